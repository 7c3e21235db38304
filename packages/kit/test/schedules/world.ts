// A small mesh on a simulated log, for random schedules: a source that keeps what is not safe, a stateful stage that
// collects numbers per key, a stage that passes its outputs on, and the judgement of what the last reader gets to see.

import { DedupeMarks, compareOrders, emitter, isRetriable, openSimulation, parseCause, parseOrder, runProcess } from '@andon/kit'
import type { Batch, Input, KeyedState, LogRecord, Order, PartitionProcess, ProcessDeps, Run, SimulatedLog, Simulation } from '@andon/kit'
import { jsonCodec } from '../json-codec.ts'
import { silent } from '../process-rig.ts'

export interface Sample {
  readonly n: number
}

/** `one` for each new number, then `set`: all of the key's numbers so far, as a revision of one window. */
export interface Collected {
  readonly kind: 'one' | 'set'
  readonly key: string
  readonly numbers: readonly number[]
}

/** A stage that remembers which numbers of a key it has seen; what it emits is a function of them. */
export const collector = (): PartitionProcess<Sample> => {
  const sets = new Map<string, number[]>()
  const changed = new Set<string>()
  const state: KeyedState = {
    version: 1,
    dirty: () => [...changed],
    snapshot: (key) => {
      changed.delete(key)
      return Buffer.from(JSON.stringify(sets.get(key)))
    },
    restore: (key, bytes) => void sets.set(key, JSON.parse(Buffer.from(bytes).toString()) as number[]),
  }
  return {
    state,
    handle: (batch: Batch<Sample>) => {
      const out = emitter()
      for (const input of batch.inputs) {
        const key = input.key ?? ''
        const before = sets.get(key) ?? []
        if (before.includes(input.value.n)) continue
        const numbers = [...before, input.value.n].toSorted((a, b) => a - b)
        sets.set(key, numbers)
        changed.add(key)
        out.emit(input, outputOf('totals', `one:${key}:${input.value.n}`, { kind: 'one', key, numbers: [input.value.n] }))
        out.emit(input, outputOf('totals', `set:${key}:${numbers.join()}`, { kind: 'set', key, numbers }))
      }
      return out
    },
  }
}

/** A stage without memory of its own. */
export const relay = (): PartitionProcess<Collected> => ({
  handle: (batch: Batch<Collected>) => {
    const out = emitter()
    for (const input of batch.inputs) out.emit(input, { ...outputOf('finals', `relayed:${input.id}`, input.value), ...orderOf(input) })
    return out
  },
})

const outputOf = (topic: string, id: string, value: Collected) => ({
  topic,
  key: value.key,
  value,
  id,
  type: value.kind,
  timeUs: 0,
  ...(topic === 'totals' ? { order: 'own' as const } : {}),
})

const orderOf = ({ order }: Input<Collected>) => (order ? { order } : {})

/** Sends in order, one append outstanding; after any doubt everything it holds again. Like ingest's pump, but it never lets go. */
class Source {
  readonly held: { readonly key: string; readonly n: number; isAcknowledged: boolean; isSent: boolean }[] = []
  private readonly log: SimulatedLog
  private isPumping = false
  private leaderEpochs = new Map<number, number>()

  constructor(log: SimulatedLog) {
    this.log = log
  }

  send(key: string, n: number): void {
    this.held.push({ key, n, isAcknowledged: false, isSent: false })
    void this.pump()
  }

  /** What is safe has left the spool: everything from the first entry that the log lacks is sent again, and one before. */
  doubt(): void {
    const { partitions } = this.log.store.topic('numbers')
    const there = new Set(partitions.flatMap(({ records }) => records.map((record) => record.header('ce_id'))))
    const first = this.held.findIndex(({ key, n }) => !there.has(`${key}:${n}`))
    for (const entry of this.held.slice(first < 0 ? -2 : Math.max(0, first - 1))) entry.isSent = false
    void this.pump()
  }

  private async pump(): Promise<void> {
    if (this.isPumping) return
    this.isPumping = true
    for (let batch = this.waiting(); batch.length > 0; batch = this.waiting()) {
      try {
        for (const entry of batch) entry.isSent = true
        const places = await this.log.append(
          batch.map(({ key, n }) => ({
            topic: 'numbers',
            key,
            value: jsonCodec.encode('numbers', { n }),
            headers: { ce_id: `${key}:${n}` },
          })),
        )
        for (const entry of batch) entry.isAcknowledged = true
        for (const { partition, leaderEpoch } of places) {
          const before = this.leaderEpochs.get(partition)
          this.leaderEpochs.set(partition, leaderEpoch)
          if (before !== undefined && before !== leaderEpoch) this.doubt()
        }
      } catch (error) {
        if (!isRetriable(error)) throw error
        for (const entry of batch) entry.isSent = false
        this.doubt()
      }
    }
    this.isPumping = false
  }

  private waiting() {
    return this.held.filter(({ isSent }) => !isSent).slice(0, 5)
  }
}

/** The first place where two lists of outputs part, with what comes around it. */
const firstDifference = (
  live: readonly { id: string; cause: string }[],
  replay: readonly { id: string; cause: string }[],
): string | undefined => {
  const [a, b] = [live, replay].map((outputs) => outputs.map(({ id, cause }) => `${cause} ${id}`)) as [string[], string[]]
  const at = [...a, ''].findIndex((line, i) => line !== b[i])
  if (at === a.length && a.length === b.length) return undefined
  const around = (lines: string[]): string => lines.slice(Math.max(0, at - 3), at + 4).join('\n    ')
  return `at output ${at}\n  live\n    ${around(a)}\n  replay\n    ${around(b)}`
}

interface Service {
  readonly log: SimulatedLog
  readonly run: Promise<Run | undefined>
}

export interface Passed {
  readonly id: string
  readonly cause: string
  readonly order: Order | undefined
  readonly value: Collected
}

export interface WorldOptions {
  readonly seed: number
  readonly partitions?: number
  readonly maxBatchRecords?: number
  /** The collector keeps a standby's view of the changelog. */
  readonly standby?: boolean
}

export class World {
  readonly sim: Simulation
  readonly source: Source
  readonly reader: SimulatedLog
  readonly services: Service[] = []
  private readonly maxBatchRecords: number
  private readonly standby: boolean
  private launched = 0

  constructor({ seed, partitions = 1, maxBatchRecords = 500, standby = false }: WorldOptions) {
    this.standby = standby
    this.sim = openSimulation({ seed, partitions })
    this.maxBatchRecords = maxBatchRecords
    for (const topic of ['numbers', 'totals', 'finals']) this.sim.store.topic(topic)
    this.source = new Source(this.sim.openLog('source'))
    this.reader = this.sim.openLog('reader')
  }

  launch(stage: 'collector' | 'relay'): Service {
    const log = this.sim.openLog(`${stage}-${++this.launched}`, { maxBatchRecords: this.maxBatchRecords })
    const deps: ProcessDeps = { ...silent, clock: log.clock }
    const every = { snapshotEveryRecords: 4, snapshotEveryMs: 3000 }
    const start = (): Promise<Run> =>
      stage === 'collector'
        ? runProcess<Sample>(log, jsonCodec, { service: stage, input: 'numbers', open: collector, standby: this.standby, ...every }, deps)
        : runProcess<Collected>(log, jsonCodec, { service: stage, input: 'totals', outputs: ['finals'], open: relay, ...every }, deps)
    // A start that meets a lost connection is tried again, as a supervisor would.
    const tryStart = async (): Promise<Run | undefined> => {
      for (;;) {
        try {
          return await start()
        } catch (error) {
          if (!isRetriable(error)) throw error
        }
      }
    }
    const service = { log, run: tryStart() }
    service.run.then((run) => run?.ended).catch((error: unknown) => this.failures.push(error))
    this.services.push(service)
    return service
  }

  /** Runs that ended with an error nobody asked for. */
  readonly failures: unknown[] = []

  /** Records of a topic by partition, in log order. */
  records(topic: string): LogRecord[][] {
    return this.sim.store.topic(topic).partitions.map(({ records }) => [...records])
  }

  /** What a reader that drops repeats by marks sees of a topic. */
  passed(topic: string): Passed[] {
    return this.records(topic).flatMap((records) => {
      const marks = new DedupeMarks()
      return records.flatMap((record) => {
        const cause = record.header('andon-cause')
        if (!marks.admit(parseCause(cause), 'live')) return []
        const value = jsonCodec.decode<Collected>(topic, record.value!)
        return [{ id: record.header('ce_id') ?? '', cause: cause ?? '', order: parseOrder(record.header('andon-order')), value }]
      })
    })
  }

  /** What the collector gives for the log as it is now. */
  replayed(): { id: string; cause: string }[] {
    return this.records('numbers').flatMap((records, partition) => {
      const process = collector()
      return records.flatMap((record) => {
        const { leaderEpoch, offset, key } = record
        const input = { key, value: jsonCodec.decode<Sample>('numbers', record.value!) } as Input<Sample>
        const { outputs } = process.handle({ topic: 'numbers', partition, inputs: [input] }) as ReturnType<typeof emitter>
        return outputs.map(({ output, index }) => ({ id: output.id, cause: `numbers/${partition}/${leaderEpoch}/${offset}/${index}` }))
      })
    })
  }

  /** No faults any more, everybody lives, everything is sent: after this nothing is left to happen. */
  async complete(): Promise<void> {
    this.sim.faults = {}
    for (const { log } of this.services) log.resume()
    this.launch('collector')
    this.launch('relay')
    this.source.doubt()
    await this.sim.idle()
  }

  /** The first promise that the world breaks, or undefined. */
  judge(hadLoss: boolean): string | undefined {
    if (this.failures.length > 0) return `a run ended: ${String(this.failures[0])}`
    const unacknowledged = this.source.held.find(({ isAcknowledged }) => !isAcknowledged)
    if (unacknowledged) return `never acknowledged: ${unacknowledged.key}:${unacknowledged.n}`
    const surviving = new Set(
      this.records('numbers').flatMap((records, p) => records.map((r) => `numbers/${p}/${r.leaderEpoch}/${r.offset}`)),
    )
    const isOrphan = (cause: string): boolean => !surviving.has(cause.slice(0, cause.lastIndexOf('/')))
    const live = this.passed('totals').filter(({ cause }) => !isOrphan(cause))
    const difference = firstDifference(live, this.replayed())
    if (difference) return `replay differs: ${difference}`
    const contents = new Map<string, string>()
    for (const record of this.records('totals').flat()) {
      const id = record.header('ce_id') ?? ''
      const bytes = record.value!.toString()
      if ((contents.get(id) ?? bytes) !== bytes) return `one id, two contents: ${id}`
      contents.set(id, bytes)
    }
    return this.judgeLastReader(hadLoss)
  }

  /** The note's downstream rule: marks, then per window the highest order; an equal id is no news. */
  private judgeLastReader(hadLoss: boolean): string | undefined {
    const seen = new Map<string, Order>()
    const kept = new Map<string, Passed>()
    for (const passed of this.passed('finals')) {
      if (!passed.order) return `an output without order: ${passed.id}`
      const before = seen.get(passed.id)
      if (before && compareOrders(before, passed.order) === 0) continue // passed on twice, from one record
      if (before && !hadLoss) return `seen twice downstream: ${passed.id}`
      seen.set(passed.id, passed.order)
      const known = kept.get(passed.value.key)
      if (passed.value.kind === 'set' && (!known || compareOrders(passed.order, known.order!) > 0)) kept.set(passed.value.key, passed)
    }
    for (const { key, n } of this.source.held) {
      const times = kept.get(key)?.value.numbers.filter((number) => number === n).length ?? 0
      if (times !== 1) return `acknowledged and ${times} times in the kept revision: ${key}:${n}`
      if (!seen.has(`relayed:one:${key}:${n}`)) return `acknowledged and never passed on: ${key}:${n}`
    }
    return undefined
  }
}
