// kill -9 of the actions process at every point of the executor protocol, again and again, while the line answers, answers late,
// acts without a word, never hears, or refuses. Afterwards the line's ledger is held against the log.

import { seeded } from '@andon/kit'
import { hasEnded } from '@andon/decisions'
import type { Step } from '@andon/decisions'
import type { Misbehaviour } from '@andon/steel-plant'
import { startNats, startRegistry } from '@andon/platform'
import { EXECUTION_POINTS } from '../../../services/actions/src/execution.ts'
import type { ExecutionPoint } from '../../../services/actions/src/execution.ts'
import { sumVerdicts } from '../../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { until, withScene } from '../rig.ts'
import type { Scene } from '../rig.ts'
import { judgeEffects } from './judge.ts'
import { COMMAND, openPlace } from './plant.ts'
import type { Member, Place } from './plant.ts'

/** Kills of a full run; some steps are hit twice on top. */
const FULL_KILLS = 216
/** Meshes beside each other: most of a round is waiting. */
const MOST_PLACES = 5

/** How the line treats the command of a round; by name, for the ledger of what was done. */
type Mood = 'well' | 'acts-and-is-silent' | 'answers-late' | 'never-hears' | 'hears-late' | 'refuses'
const MOODS: Readonly<Record<Exclude<Mood, 'well' | 'refuses'>, Misbehaviour>> = {
  'acts-and-is-silent': { answers: 'lost', times: 1 },
  'answers-late': { answers: 'slow', delayMs: COMMAND.maxLatencyMs / 2, times: 1 },
  'never-hears': { commands: 'lost', times: 1 },
  'hears-late': { commands: 'late', delayMs: COMMAND.commandWindowMs + COMMAND.maxLatencyMs, times: 1 },
}
/** Points that are reached only when nobody knows what came of the command. */
const ONLY_UNKNOWN: ReadonlySet<ExecutionPoint> = new Set([
  'unknown-appending',
  'unknown-acknowledged',
  'settling',
  'burnt',
  'settlement-appending',
  'settlement-acknowledged',
])
/** Points that are reached only when the line answers. */
const ONLY_ANSWERED: ReadonlySet<ExecutionPoint> = new Set(['answered', 'outcome-appending', 'outcome-acknowledged'])
const AFTER_A_KILL: readonly ExecutionPoint[] = ['settling', 'burnt', 'settlement-appending', 'settlement-acknowledged', 'approved', 'sent']

interface Round {
  readonly point: ExecutionPoint
  readonly mood: Mood
  readonly delayMs: number
  /** Where the process that was started after the kill falls as well, if it comes there. */
  readonly again: ExecutionPoint | undefined
  /** A person says no: nothing may happen. */
  readonly isRejected: boolean
}

/** Every point equally often, in the order that the seed draws. */
const roundsOf = (seed: number, kills: number): Round[] => {
  const { fraction } = seeded(seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(fraction() * from.length)] as T
  const points = Array.from({ length: kills }, (_, n) => EXECUTION_POINTS[n % EXECUTION_POINTS.length] as ExecutionPoint)
  for (let n = points.length - 1; n > 0; n -= 1) {
    const other = Math.floor(fraction() * (n + 1))
    ;[points[n], points[other]] = [points[other] as ExecutionPoint, points[n] as ExecutionPoint]
  }
  return points.map((point) => ({
    point,
    mood: moodFor(point, pick),
    delayMs: pick([0, 0, 0, 1, 3, 10, 30]),
    again: fraction() < 0.3 ? pick(AFTER_A_KILL) : undefined,
    isRejected: fraction() < 0.1,
  }))
}

const moodFor = (point: ExecutionPoint, pick: <T>(from: readonly T[]) => T): Mood => {
  if (ONLY_UNKNOWN.has(point)) return pick(['acts-and-is-silent', 'never-hears', 'hears-late'])
  if (ONLY_ANSWERED.has(point)) return pick(['well', 'answers-late', 'refuses'])
  return pick(['well', 'well', 'acts-and-is-silent', 'answers-late', 'never-hears', 'hears-late', 'refuses'])
}

/** What every process of actions and its line need beside a broker. */
export const openServers = async (scene: Scene): Promise<{ registryUrl: string; natsUrl: string }> => {
  const [registry, nats] = await Promise.all([startRegistry({ brokers: scene.kafka.brokers }), startNats()])
  scene.defer(() => registry.stop())
  scene.defer(() => nats.stop())
  return { registryUrl: registry.url, natsUrl: nats.url }
}

export const actionsKills = (options: FaultOptions): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const kills = Math.max(4, Math.round(FULL_KILLS * options.scale))
    const rounds = roundsOf(options.seed, kills)
    const servers = await openServers(scene)
    const count = Math.min(MOST_PLACES, kills)
    options.note(`${kills} rounds over ${count} meshes, seed ${options.seed}`)
    const places = await Promise.all(
      Array.from({ length: count }, async (_, n) => {
        // Every other line knows no time: it refuses repeats and what was burnt, and that has to do.
        const place = await openPlace(scene, `m${n}`, { ...servers, guards: { late: n % 2 === 0, repeated: true } })
        return { place, mine: rounds.filter((_round, at) => at % count === n) }
      }),
    )
    const results = await Promise.all(places.map(({ place, mine }) => playAll(place, mine, options)))
    const judged = places.map(({ place }, n) => judgeEffects(place, (results[n] as Played).approved))
    const fell = results.flatMap((one) => one.fell)
    const missed = EXECUTION_POINTS.filter((point) => kills >= EXECUTION_POINTS.length && !fell.includes(point))
    const unapproved = judged.reduce((sum, one) => sum + one.unapproved, 0)
    const broken = [
      ...scene.surprises,
      ...results.flatMap((one) => one.broken),
      ...(unapproved > 0 ? [`${unapproved} effects without an approval`] : []),
      ...(missed.length > 0 ? [`never killed at ${missed.join(', ')}`] : []),
    ]
    return {
      verdict: {
        ...sumVerdicts(judged.map((one) => one.verdict)),
        acknowledged: judged.reduce((sum, one) => sum + one.verdict.acknowledged, 0),
      },
      recoveredS: Math.max(...results.map((one) => one.slowestS)),
      broken,
      detail: {
        kills: fell.length,
        points: new Set(fell).size,
        effects: judged.reduce((sum, one) => sum + one.effects, 0),
        readBack: judged.reduce((sum, one) => sum + one.readBack, 0),
        unapproved,
        endings: sumOf(judged.map((one) => one.endings)),
      },
    }
  })

interface Played {
  readonly approved: Set<string>
  readonly fell: string[]
  readonly broken: string[]
  slowestS: number
}

/** One process after the other: whenever it has fallen, the next one is started. */
class Instance {
  private readonly place: Place
  private readonly fell: string[]
  private member: Member

  constructor(place: Place, fell: string[]) {
    this.place = place
    this.fell = fell
    this.member = place.start('a')
  }

  get hasFallen(): boolean {
    return this.member.hasExited()
  }

  arm(point?: ExecutionPoint, delayMs = 0): void {
    this.member.arm(point === undefined ? undefined : { point, signal: 'SIGKILL', delayMs })
  }

  /** True when another one had to be started. */
  keep = (): boolean => {
    if (!this.member.hasExited()) return false
    this.fell.push(...this.member.fell)
    this.member = this.place.start('a')
    return true
  }

  stop(): Promise<void> {
    return this.member.kill()
  }
}

const playAll = async (place: Place, rounds: readonly Round[], { note }: FaultOptions): Promise<Played> => {
  const played: Played = { approved: new Set(), fell: [], broken: [], slowestS: 0 }
  const instance = new Instance(place, played.fell)
  for (const [n, round] of rounds.entries()) {
    await play(place, round, n, instance, played)
    if (n % 10 === 9) note(`${n + 1} of ${rounds.length} rounds, ${played.fell.length} kills`)
  }
  await instance.stop()
  await place.look()
  return played
}

/** One step from the finding to its end, killed on the way. */
const play = async (place: Place, round: Round, n: number, instance: Instance, played: Played): Promise<void> => {
  const { line } = place
  line.reset()
  const step = await place.propose(String(n), instance.keep)
  if (round.isRejected) await place.decide('reject', await place.propose(`${n}-no`, instance.keep))
  if (round.mood === 'refuses') line.refuse(true)
  else if (round.mood !== 'well') line.misbehave(MOODS[round.mood])
  instance.keep()
  instance.arm(round.point, round.delayMs)
  await place.decide('approve', step)
  played.approved.add(step.id)
  const what = `${round.point} (${round.mood})`
  await fallen(place, step, instance, what)
  const fellMs = performance.now()
  instance.keep()
  instance.arm(round.again, round.delayMs)
  await until(`an end of ${step.id} after a kill at ${what}`, async () => {
    instance.keep()
    await place.look()
    return hasEnded(place.step(step.id))
  })
  played.slowestS = Math.max(played.slowestS, (performance.now() - fellMs) / 1000)
  instance.arm()
}

/** Waits for the kill. While the breaker is open nobody may approve; another person does when it has closed. */
const fallen = async (place: Place, step: Step, instance: Instance, what: string): Promise<void> => {
  let tries = 0
  try {
    await until(
      'it',
      async () => {
        if (instance.hasFallen) return true
        await place.look()
        if (place.refusals(step.id) > tries && !isOpen(place)) await place.decide('approve', step, ++tries)
        return false
      },
      60_000,
    )
  } catch (cause) {
    throw new Error(`the process did not fall at ${what}: ${place.told(step.id)}`, { cause })
  }
}

const isOpen = ({ state }: Place): boolean => [...state.breakers.values()].some((breaker) => breaker.state === 'open')

export const sumOf = (all: readonly Readonly<Record<string, number>>[]): Record<string, number> => {
  const sum: Record<string, number> = {}
  for (const one of all) for (const [name, count] of Object.entries(one)) sum[name] = (sum[name] ?? 0) + count
  return sum
}
