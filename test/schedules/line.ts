// Ingest and features with their real code on one in-memory log: doors, spools, ticks and windows, with the test as
// clock, disk, broker and device. What the last reader keeps is judged here.

import { MemoryStore, compareOrders, DedupeMarks, openMemoryLog, openSimulation, parseCause, parseOrder, runProcess } from '@andon/kit'
import type { Clock, Codec, MemoryLog, Order, ProcessOptions, Run, Simulation } from '@andon/kit'
import type { Features, Telemetry } from '@andon/schemas'
import { ManualClock, openRig, plainCodec, reading, startUs } from '../../services/ingest/test/rig.ts'
import type { Rig, RigOptions } from '../../services/ingest/test/rig.ts'
import { onTelemetry } from '../../services/features/src/on-telemetry.ts'
import type { AssetPlan } from '../../services/features/src/plan.ts'
import { keyedState, newMemory } from '../../services/features/src/state.ts'
import { modelPlan } from '../../services/features/test/blocks.ts'
import type { PlanOptions } from '../../services/features/test/blocks.ts'

const SECOND_US = 1_000_000
const noCounts = { windowsClosed: () => {}, unmonitored: () => {}, rows: () => {}, malformed: () => {} }
const silent = {
  logger: { info: () => {}, warn: () => {} },
  metrics: { counter: () => ({ inc: () => {} }), gauge: () => ({ set: () => {} }) },
}

const changelog = {
  recordId: '',
  outputTopic: '',
  outputPartition: -1,
  outputLeaderEpoch: -1,
  outputOffset: -1,
  outputId: '',
  stateVersion: 1,
  state: null,
}

/** Fields that Avro would fill in. */
const defaults: Readonly<Record<string, object>> = {
  telemetry: { block: null, tick: null },
  features: { vector: null, late: null },
  anomalies: { finding: null, faultMode: null },
  'features.changelog': changelog,
  'clustering.changelog': changelog,
}

const decode = <T>(topic: string, bytes: Buffer): T => ({ ...defaults[topic], ...plainCodec.decode<object>(topic, bytes) }) as T
export const codec: Codec = { ...plainCodec, decode, decodeAsync: async <T>(topic: string, bytes: Buffer) => decode<T>(topic, bytes) }

/** A revision of a window: which samples are in it, as "<source>.<number>". */
export interface Revision {
  readonly id: string
  readonly windowS: number
  readonly revision: number
  readonly samples: readonly string[]
  readonly order: Order
}

export class Line {
  readonly store: MemoryStore
  readonly clock = new ManualClock()
  /** The connection of whoever has none of its own. */
  readonly log: MemoryLog
  readonly plan: AssetPlan
  /** What features remembers now. */
  memory = newMemory()
  private readonly gapBound: number
  private failure: unknown
  private features: { readonly log: MemoryLog; readonly run: Run } | undefined
  private readonly simulation: Simulation | undefined
  private connections = 0

  /** Windows of 4 s, lateness 4 s, grace 3 s unless given otherwise. With a seed its log is a simulated one. */
  constructor(plan: PlanOptions = {}, { gapBound = 16, seed }: { readonly gapBound?: number; readonly seed?: number | undefined } = {}) {
    this.plan = modelPlan({ sources: ['oven-plc'], ...plan })
    this.gapBound = gapBound
    this.simulation = seed === undefined ? undefined : openSimulation({ seed })
    this.simulation?.play()
    this.store = this.simulation?.store ?? new MemoryStore(1)
    this.log = this.connection()
  }

  /** An ingest instance; `clock` may differ from the others'. With `log: line.connection()` it can be cut off alone. */
  ingest(instance: string, options: RigOptions = {}): Promise<Rig> {
    return openRig({ log: this.log, clock: this.clock, instance, ...options })
  }

  connection(maxBatchRecords = 500): MemoryLog & { readonly clock?: Clock } {
    return (
      this.simulation?.openLog(`client-${++this.connections}`, { maxBatchRecords }) ?? openMemoryLog({ store: this.store, maxBatchRecords })
    )
  }

  /** Lets seconds pass for everybody; who is cut off notices. */
  async seconds(count: number, ...rigs: readonly Rig[]): Promise<void> {
    for (let second = 0; second < count; second++) {
      this.clock.ms += 1000
      for (const rig of rigs) await rig.pump()
    }
  }

  /** Sends readings and has them acknowledged: `[number, event time in seconds]`. */
  async accept(rig: Rig, ...samples: readonly (readonly [seq: number, timeS: number, extra?: Record<string, unknown>])[]): Promise<void> {
    const readings = samples.map(([seq, timeS, extra]) => reading(seq, { timeUs: startUs + timeS * SECOND_US, ...extra }))
    const sent = rig.send({ readings })
    await rig.flush()
    await sent
  }

  async startFeatures(maxBatchRecords = 500): Promise<void> {
    const log = this.connection(maxBatchRecords)
    const open = () => {
      const memory = newMemory()
      this.memory = memory
      const settled = async () => {}
      return {
        handle: onTelemetry({
          memory,
          settled,
          planAt: () => this.plan,
          servicedAt: () => null,
          gapBound: this.gapBound,
          counts: noCounts,
        }),
        state: keyedState(memory),
      }
    }
    const every = { snapshotEveryRecords: 2, snapshotEveryMs: 60_000 }
    this.features = { log, run: await this.run<Telemetry>(log, { service: 'features', input: 'telemetry', open, ...every }) }
  }

  /** Starts a service on a connection; an end that nobody asked for fails the next `settled`. */
  async run<T>(log: MemoryLog & { readonly clock?: Clock }, options: ProcessOptions<T>, readsWith = codec): Promise<Run> {
    const run = await runProcess<T>(log, readsWith, options, { ...silent, ...(log.clock ? { clock: log.clock } : {}) })
    run.ended.catch((error: unknown) => {
      this.failure = error
    })
    return run
  }

  crashFeatures(): void {
    this.features?.log.crash()
    this.features = undefined
  }

  async stop(): Promise<void> {
    await this.features?.run.stop()
    this.features = undefined
  }

  /** Resolves when a service has handled all that is on its input. */
  async settled(service = 'features', input = 'telemetry'): Promise<void> {
    const position = () => this.store.group(service).committed.get(`${input}/0`) ?? 0
    for (let idle = 0, turns = 0; idle < 20; turns++) {
      if (this.failure !== undefined) throw this.failure
      if (turns > 100_000) throw new Error(`${service} does not come to rest`)
      await new Promise<void>((resolve) => void setTimeout(resolve, 1))
      idle = position() === this.store.partition(input, 0).high ? idle + 1 : 0
    }
  }

  /** Power loss at the broker: so many records of each topic are left. */
  powerLoss(left: Readonly<Record<string, number>>): void {
    for (const topic of this.store.topics.keys()) this.store.cut(topic, 0, left[topic] ?? Number.MAX_SAFE_INTEGER)
  }

  /** What a reader that drops repeats by marks lets pass: revisions and, apart, samples reported late, those of them that are lost too. */
  passed(): { readonly revisions: Revision[]; readonly late: string[]; readonly lost: string[] } {
    const marks = new DedupeMarks()
    const revisions: Revision[] = []
    const late: string[] = []
    const lost: string[] = []
    for (const record of this.store.partition('features', 0).records) {
      if (!marks.admit(parseCause(record.header('andon-cause')), record.header('andon-lane') ?? 'live')) continue
      const { vector, late: report } = decode<Features>('features', record.value!)
      if (report) late.push(...samplesOf(report.ranges))
      if (report?.lost) lost.push(...samplesOf(report.ranges))
      if (vector && vector.quality !== 'unmonitored')
        // that no telemetry came revises nothing
        revisions.push({
          id: vector.vectorId,
          windowS: (vector.windowStartUs - startUs) / SECOND_US,
          revision: vector.revision,
          samples: samplesOf(vector.ranges),
          order: parseOrder(record.header('andon-order'))!,
        })
    }
    return { revisions, late, lost }
  }

  /** Samples of the kept revision of each window, by its start in seconds: the highest order, an equal id is no news. */
  kept(): Record<number, readonly string[]> {
    const kept = new Map<number, Revision>()
    for (const revision of this.passed().revisions) {
      const known = kept.get(revision.windowS)
      if (!known || compareOrders(revision.order, known.order) > 0) kept.set(revision.windowS, revision)
    }
    return Object.fromEntries([...kept].toSorted(([a], [b]) => a - b).map(([windowS, { samples }]) => [windowS, samples]))
  }
}

/** `<source>.<number>`, from the second epoch on `<source>/<epoch>.<number>`. */
const samplesOf = (
  ranges: readonly { readonly sourceId: string; readonly epoch: number; readonly seqFrom: number; readonly seqTo: number }[],
): string[] =>
  ranges
    .flatMap(({ sourceId, epoch, seqFrom, seqTo }) =>
      Array.from({ length: seqTo - seqFrom + 1 }, (_, i) => `${sourceId}${epoch === 1 ? '' : `/${epoch}`}.${seqFrom + i}`),
    )
    .toSorted()

/** The clock of a host that is set wrong by so much, and goes as fast as the others. */
export const skewed = (clock: ManualClock, byS: number): ManualClock => ({
  get ms() {
    return clock.ms
  },
  set ms(ms) {
    clock.ms = ms
  },
  nowUs: () => clock.nowUs() + byS * SECOND_US,
  monotonicMs: clock.monotonicMs,
  stepS: () => 0,
})

export { ManualClock }
