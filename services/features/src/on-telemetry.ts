// telemetry → features. Adds a partition's blocks to their assets' windows and emits a vector for every window that the
// data has closed; ticks close the windows of silent sources. Blocks of one asset share a key, so they arrive in order.
// Replaying the same records yields the same vectors with the same ids: nothing here reads a clock.

import { constantStrings, emitter, samplesDigest, uuid8, vectorId } from '@andon/kit'
import type { Emitter, Handler, Input } from '@andon/kit'
import type { Block, FeaturesInput, Telemetry, Tick } from '@andon/schemas'
import { findAbsent } from './absent-assets.ts'
import { addBlock, advance, isMovedBy, isQuiet, newAsset } from './asset-windows.ts'
import type { AssetWindows, Closing, PlanAt, VectorClosing } from './asset-windows.ts'
import { BlockError } from './block-rows.ts'
import { onTick } from './partition-time.ts'
import { isEqualPlan } from './plan-identity.ts'
import type { AssetPlan } from './plan.ts'
import { rangeCount } from './ranges.ts'
import type { Silence } from './silence.ts'
import { ABSENT_KEY, remember, sortedAssets, TIME_KEY } from './state.ts'
import type { PartitionMemory } from './state.ts'
import { summarise } from './summarise.ts'

type RowOutcome = 'accepted' | 'repeated' | 'late' | 'lost' | 'unplanned'

/** What may be counted; the names are those of the metrics. */
export interface Counts {
  readonly windowsClosed: (count: number) => void
  /** Vectors without values, for want of telemetry. */
  readonly unmonitored: (count: number) => void
  readonly rows: (outcome: RowOutcome, count: number) => void
  readonly malformed: () => void
}

export interface TelemetryDependencies {
  readonly memory: PartitionMemory
  /** The plan of an asset at an event time; undefined when the plant does not describe it. */
  readonly planAt: (assetId: string, timeUs: number) => AssetPlan | undefined
  /** When the asset was serviced last before an event time; null where that is not known. */
  readonly servicedAt: (assetId: string, beforeUs: number) => number | null
  /** Assets that the plant names at a partition time and whose telemetry belongs to this partition. Default: none. */
  readonly expectedAt?: (timeUs: number) => readonly string[]
  /** Resolves when every document that is on the log by now has been read. */
  readonly settled: () => Promise<void>
  /** Missing ranges remembered per source and epoch. */
  readonly gapBound: number
  readonly counts: Counts
}

export const onTelemetry =
  (dependencies: TelemetryDependencies): Handler<Telemetry> =>
  async (batch) => {
    const work = new Work(dependencies)
    // A block may overtake the plant file that describes its asset: dropped then, a replay would differ.
    if (batch.inputs.some((input) => work.isUnknown(input))) await dependencies.settled()
    for (const input of batch.inputs) {
      const { type, assetId, block, tick } = input.value
      if (type === 'tick' && tick !== null) work.applyTick(input, tick)
      else if (type === 'block' && block !== null) work.applyBlock(input, assetId, block)
    }
    work.report()
    return work.out
  }

/** One batch: what it gives, and what is counted of it; a metric is too dear to be asked for every block. */
class Work {
  readonly out: Emitter = emitter()
  private readonly dependencies: TelemetryDependencies
  private readonly rows: Record<RowOutcome, number> = { accepted: 0, repeated: 0, late: 0, lost: 0, unplanned: 0 }
  private windowsClosed = 0
  private unmonitored = 0
  /** Of the asset that is worked on. */
  private assetId = ''
  private readonly planAt: PlanAt = (timeUs) => this.dependencies.planAt(this.assetId, timeUs)

  constructor(dependencies: TelemetryDependencies) {
    this.dependencies = dependencies
  }

  isUnknown({ value: { assetId, block } }: Input<Telemetry>): boolean {
    const { memory, planAt } = this.dependencies
    return block !== null && !memory.assets.has(assetId) && planAt(assetId, block.receivedUs) === undefined
  }

  applyTick(input: Input<Telemetry>, tick: Tick): void {
    const { memory } = this.dependencies
    memory.changed.add(TIME_KEY)
    if (!onTick(memory.time, tick.instance, tick.upToUs)) return
    const { timeUs } = memory.time
    for (const [assetId, asset] of sortedAssets(memory)) {
      if (!isMovedBy(asset, timeUs)) continue
      const closings = advance(asset, timeUs)
      if (closings.length > 0 || !isQuiet(asset)) remember(memory, assetId, asset)
      if (closings.length === 0) continue
      this.assetId = assetId
      for (const closing of closings) this.emit(input, asset, closing)
    }
    this.findAbsent(input)
  }

  private findAbsent(input: Input<Telemetry>): void {
    const { memory, planAt, expectedAt } = this.dependencies
    const { timeUs } = memory.time
    if (expectedAt === undefined) return
    const { found, isChanged } = findAbsent(memory.absent, expectedAt(timeUs), (id) => memory.assets.has(id), planAt, timeUs)
    if (isChanged) memory.changed.add(ABSENT_KEY)
    for (const each of found) {
      this.assetId = each.assetId
      this.emitUnmonitored(input, each)
    }
  }

  applyBlock(input: Input<Telemetry>, assetId: string, block: Block): void {
    const { memory, gapBound, counts } = this.dependencies
    try {
      this.assetId = assetId
      const asset = memory.assets.get(assetId) ?? newAsset()
      const { closings, accepted, repeated, unplanned } = addBlock(asset, block, this.planAt, memory.time.timeUs, gapBound)
      if (unplanned < block.rows || block.rows === 0) remember(memory, assetId, asset)
      this.rows.accepted += accepted
      this.rows.repeated += repeated
      this.rows.unplanned += unplanned
      for (const closing of closings) this.emit(input, asset, closing)
    } catch (error) {
      // Nothing of it was applied. It would fail the same way on every retry and replay: counted, kept in telemetry.
      if (!(error instanceof BlockError)) throw error
      counts.malformed()
    }
  }

  report(): void {
    const { counts } = this.dependencies
    for (const [outcome, count] of Object.entries(this.rows) as [RowOutcome, number][]) if (count > 0) counts.rows(outcome, count)
    if (this.windowsClosed > 0) counts.windowsClosed(this.windowsClosed)
    if (this.unmonitored > 0) counts.unmonitored(this.unmonitored)
  }

  private emit(cause: Input<Telemetry>, asset: AssetWindows, closing: Closing): void {
    if (closing.kind === 'vector') this.emitVector(cause, asset, closing)
    else if (closing.kind === 'late') this.emitLate(cause, closing)
    else this.emitUnmonitored(cause, closing)
  }

  private emitVector(cause: Input<Telemetry>, asset: AssetWindows, closing: VectorClosing): void {
    const { assetId } = this
    const { plan, window } = closing
    const found = summarise(asset, closing, this.dependencies.servicedAt(assetId, window.endUs))
    if (found === undefined) return
    const { values, ranges, startUs, endUs, revision } = found
    const id = vectorId(plan.digest, assetId, endUs, revision, samplesDigest(ranges))
    const supersedes = window.published
    window.published = id
    this.windowsClosed++
    this.send(cause, {
      vectorId: id,
      featureSet: plan.featureSet,
      featureSetDigest: plan.digest,
      windowStartUs: startUs,
      windowEndUs: endUs,
      revision,
      supersedes,
      names: constantStrings(plan.names),
      values: Buffer.from(values.buffer, values.byteOffset, values.byteLength),
      ranges,
      complete: found.isComplete,
      missing: found.missing,
      historical: found.historical,
      recordedStartUs: found.recordedStartUs,
      quality: found.quality,
      regime: found.regime,
      machineOff: found.machineOff,
      health: found.health,
      baselineEpochUs: found.baselineEpochUs,
      plantDigest: this.plantDigestOf(closing, found.newestUs),
      uncertainRows: found.uncertainRows,
      badRows: found.badRows,
      young: found.isYoung,
    })
  }

  /** Of the plant file that holds at the window's end; where it describes the asset otherwise by then, of the one at its newest row. */
  private plantDigestOf({ plan, window }: VectorClosing, newestUs: number): string {
    const atEnd = this.planAt(window.endUs - 1)
    const held = atEnd !== undefined && isEqualPlan(atEnd, plan) ? atEnd : this.planAt(newestUs)
    return (held ?? plan).plantDigest
  }

  private emitLate(cause: Input<Telemetry>, { windowStartUs, ranges, lost }: Extract<Closing, { kind: 'late' }>): void {
    const { assetId } = this
    this.rows[lost ? 'lost' : 'late'] += rangeCount(ranges)
    const value: FeaturesInput = { type: 'late', assetId, late: { windowStartUs, ranges, lost } }
    const id = uuid8('late', assetId, windowStartUs, samplesDigest(ranges), lost ? 1 : 0)
    this.out.emit(cause, { topic: 'features', key: assetId, value, id, type: 'late', subject: assetId, timeUs: windowStartUs })
  }

  /** A vector without values: nothing came, which is no state of the machine. */
  private emitUnmonitored(cause: Input<Telemetry>, { plan, startUs, endUs, historical }: Silence & { readonly plan: AssetPlan }): void {
    const { assetId } = this
    const id = vectorId(plan.digest, assetId, endUs, 0, samplesDigest([]))
    this.unmonitored++
    this.send(cause, {
      vectorId: id,
      featureSet: plan.featureSet,
      featureSetDigest: plan.digest,
      windowStartUs: startUs,
      windowEndUs: endUs,
      revision: 0,
      supersedes: null,
      names: [],
      values: Buffer.alloc(0),
      ranges: [],
      complete: false,
      missing: plan.channels.map(({ id: channel }) => channel),
      historical,
      quality: 'unmonitored',
      baselineEpochUs: this.dependencies.servicedAt(assetId, endUs),
      plantDigest: this.planAt(endUs - 1)?.plantDigest ?? plan.plantDigest,
    })
  }

  private send(cause: Input<Telemetry>, vector: NonNullable<FeaturesInput['vector']>): void {
    const { assetId } = this
    const { vectorId: id, windowEndUs: timeUs } = vector
    const value: FeaturesInput = { type: 'vector', assetId, vector }
    this.out.emit(cause, { topic: 'features', key: assetId, value, id, type: 'vector', subject: assetId, timeUs, order: 'own' })
  }
}
