// A log whose every asynchronous step - a request on its way, its answer, a rebalance, a timer - is an event that a seed
// puts somewhere on a virtual time line. Clients crash and freeze, the broker loses its power, requests and answers get
// lost or arrive late, all in one process and thousands of times faster than real time.
// Same seed, same code: same trace, line by line. What a test finds it finds again.

import type { Clock } from './clock.ts'
import { logError } from './log-error.ts'
import { openMemoryLog } from './memory.ts'
import type { MemoryLog } from './memory.ts'
import { MemoryStore } from './memory-store.ts'
import { seeded } from './random.ts'
import type { Random } from './random.ts'
import type { RequestKind, Schedule } from './schedule.ts'
import { Timeline } from './timeline.ts'

/** How often things go wrong, each from 0 (default) to 1. */
export interface SimulationFaults {
  /** A request never reaches the broker. */
  readonly lostRequests?: number
  /** A request is carried out, its answer never arrives. */
  readonly lostAnswers?: number
  /** The client gives a request up, and the broker carries it out later nevertheless. */
  readonly lateRequests?: number
  /** The answer to a fetch comes a second time, up to 5 s later. */
  readonly repeatedAnswers?: number
  /** A step takes up to 3 s instead of a few ms. */
  readonly slowSteps?: number
}

export interface SimulationOptions {
  readonly seed: number
  /** Partitions of a topic that appears on first use. Default 1. */
  readonly partitions?: number
  readonly faults?: SimulationFaults
  /** Virtual time at the start, ms UTC. Default 0. */
  readonly startMs?: number
  /** How long a group waits for a silent member, virtual ms. Default 10 000. */
  readonly sessionMs?: number
}

export interface Simulation {
  readonly seed: number
  readonly store: MemoryStore
  /** Virtual time. Timers of this clock belong to no client. */
  readonly clock: Clock
  /** For whoever wants chance of their own under the same seed. */
  readonly random: Random
  /** What happened, one line per event: `<ms> <client> <what>`. */
  readonly trace: readonly string[]
  /** May be changed at any time. */
  faults: SimulationFaults
  /** A client, as a process with a connection of its own. `options.maxBatchRecords` as in openMemoryLog. */
  openLog(name: string, options?: { maxBatchRecords?: number }): SimulatedLog
  /** Power loss at the broker: every partition's leader epoch rises, what is under way is lost, `lose` records of each tail are gone. */
  powerLoss(lose: (topic: string, partition: number, records: number) => number): void
  /** Another broker takes a partition over; nothing that was acknowledged is lost. */
  changeLeader(topic: string, partition: number): void
  /** Lets things happen until the promise settles; throws with seed and trace when nothing is left to happen before. */
  complete<T>(promise: Promise<T>): Promise<T>
  /** Lets things happen until `check` holds; throws like `complete`. */
  until(check: () => boolean): Promise<void>
  /** Lets things happen until nothing is left to happen; throws with seed and trace when that does not come. */
  idle(): Promise<void>
  /** Goes on by itself whenever there is something to do: for suites that know nothing of simulations. Repeatable no more. */
  play(): void
}

export interface SimulatedLog extends MemoryLog {
  readonly clock: Clock
  /** Stops as a process under SIGSTOP: what it has sent is on its way, nothing reaches it. */
  pause(): void
  resume(): void
}

/** The newest lines that a failure shows. */
const TRACE_SHOWN = 60
/** A schedule of minutes takes some thousands. */
const MOST_EVENTS = 100_000

export const openSimulation = (options: SimulationOptions): Simulation => {
  const { seed, sessionMs = 10_000 } = options
  const random = seeded(seed)
  const timeline = new Timeline(options.startMs ?? 0)
  const store = new MemoryStore(options.partitions ?? 1)
  /** Rises with every power loss: what was sent before does not arrive any more. */
  let power = 0
  const simulation: Simulation = {
    seed,
    store,
    random,
    trace: timeline.trace,
    faults: options.faults ?? {},
    clock: timeline.clockOf('world', () => false),
    openLog,
    powerLoss: (lose) => {
      power++
      timeline.note('broker loses its power')
      for (const { name, partitions } of store.topics.values())
        for (const { partition, low, high } of partitions)
          store.cut(name, partition, high - Math.min(high - low, lose(name, partition, high - low)))
    },
    changeLeader: (topic, partition) => {
      timeline.note(`broker: another leader for ${topic}/${partition}`)
      store.cut(topic, partition, store.partition(topic, partition).high)
    },
    complete: async (promise) => {
      let isSettled = false
      const settle = (): void => {
        isSettled = true
      }
      promise.then(settle, settle)
      while (!isSettled) {
        await timeline.quiet()
        if (!isSettled && !(await timeline.next())) break
      }
      await timeline.quiet()
      if (!isSettled)
        throw new Error(`Seed ${seed}: nothing is left to happen, and something is still waited for\n${timeline.tail(TRACE_SHOWN)}`)
      return promise
    },
    until: async (check) => {
      await timeline.quiet()
      while (!check())
        if (!(await timeline.next()))
          throw new Error(`Seed ${seed}: nothing is left to happen before ${check.toString()}\n${timeline.tail(TRACE_SHOWN)}`)
    },
    idle: async () => {
      await timeline.quiet()
      const last = timeline.trace.length + MOST_EVENTS
      while (await timeline.next())
        if (timeline.trace.length > last) throw new Error(`Seed ${seed}: it does not come to rest\n${timeline.tail(TRACE_SHOWN)}`)
    },
    play: () => timeline.play(),
  }

  const delay = (): number => {
    if (random.chance(simulation.faults.slowSteps ?? 0)) return random.int(3000)
    return random.chance(0.2) ? random.int(40) : random.int(4)
  }

  function openLog(name: string, logOptions: { maxBatchRecords?: number } = {}): SimulatedLog {
    let isDead = false
    let isPaused = false
    const held: (() => void)[] = []
    /** Something happens to this client: not before it runs again, never once it is dead. */
    const reach = (what: string, work: () => void): void => {
      timeline.after(delay(), name, what, () => {
        if (isDead) return false
        if (isPaused) {
          held.push(() => reach(what, work))
          return false
        }
        work()
        return true
      })
    }
    const lost = () => logError('retriable', 'ANDON_LOG_UNAVAILABLE', `${name} lost its connection`)
    const request = <T>(kind: RequestKind, what: string, work: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const { lostRequests = 0, lostAnswers = 0, lateRequests = 0 } = simulation.faults
        const title = `${kind} ${what}`
        const sentUnder = power
        const fail = (): void => reach(`${title}: no answer`, () => reject(lost()))
        const arrive = (): { value: T } | { error: unknown } => {
          try {
            return { value: work() }
          } catch (error) {
            return { error }
          }
        }
        if (random.chance(lostRequests)) return fail()
        if (random.chance(lateRequests)) {
          timeline.after(random.int(5000), 'broker', `${title} of ${name}, late`, () => {
            if (power === sentUnder) arrive()
            return power === sentUnder
          })
          return fail()
        }
        timeline.after(delay(), 'broker', `${title} of ${name}`, () => {
          if (power !== sentUnder) {
            fail()
            return false
          }
          const result = arrive()
          if (random.chance(lostAnswers)) fail()
          else reach(`${title}: answer`, () => ('error' in result ? reject(result.error as Error) : resolve(result.value)))
          return true
        })
        return undefined
      })
    const clock = timeline.clockOf(name, (run) => {
      if (isPaused) held.push(run)
      return isDead || isPaused
    })
    const again = (what: string, work: () => void): void => {
      const { repeatedAnswers = 0 } = simulation.faults
      if (repeatedAnswers === 0 || !random.chance(repeatedAnswers)) return
      timeline.after(random.int(5000), 'broker', `${what} of ${name}, answered again`, () => {
        reach(`${what}: the answer again`, work)
        return true
      })
    }
    const schedule: Schedule = { clock, request, again, hear: (what) => new Promise((resolve) => reach(what, resolve)) }
    const log = openMemoryLog({ store, schedule, ...logOptions })
    const expelIfSilent = (isSilent: () => boolean): void =>
      timeline.after(sessionMs, 'broker', `${name} was silent for too long`, () => {
        if (isSilent()) log.expel()
        return isSilent()
      })
    return {
      ...log,
      clock,
      crash: () => {
        if (isDead) return
        isDead = true
        timeline.note(`${name} crashes`)
        log.die()
        expelIfSilent(() => true)
      },
      pause: () => {
        if (isPaused || isDead) return
        isPaused = true
        timeline.note(`${name} freezes`)
        let isSame = true
        held.push(() => {
          isSame = false
        })
        expelIfSilent(() => isSame)
      },
      resume: () => {
        if (!isPaused) return
        isPaused = false
        timeline.note(`${name} goes on`)
        for (const work of held.splice(0)) work()
      },
    }
  }
  return simulation
}
