// telemetry → features. Adds a partition's blocks to their assets' windows and emits a vector for every window that the
// data has closed; ticks close the windows of silent sources. Blocks of one asset share a key, so they arrive in order.
// Replaying the same records yields the same vectors with the same ids: nothing here reads a clock.

import { emitter, samplesDigest, uuid8, vectorId } from '@andon/kit'
import type { Emitter, Handler, Input } from '@andon/kit'
import type { Block, FeaturesInput, Telemetry, Tick } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { addBlock, advance, newAsset, windowRanges } from './asset-windows.ts'
import type { Closing, PlanAt, VectorClosing, Window } from './asset-windows.ts'
import { BlockError } from './chunk.ts'
import type { AssetPlan } from './feature-set.ts'
import { onTick } from './partition-time.ts'
import { remember, TIME_KEY } from './state.ts'
import type { PartitionMemory } from './state.ts'
import { summarise } from './summarise.ts'

type RowOutcome = 'accepted' | 'repeated' | 'late' | 'lost' | 'unplanned'

/** What may be counted; the names are those of the metrics. */
export interface Counts {
  readonly windowsClosed: (count: number) => void
  readonly rows: (outcome: RowOutcome, count: number) => void
  readonly malformed: () => void
}

export interface TelemetryDependencies {
  readonly memory: PartitionMemory
  /** The plan of an asset at an event time; undefined when the plant does not describe it. */
  readonly planAt: (assetId: string, timeUs: number) => AssetPlan | undefined
  /** Resolves when every document that is on the log by now has been read. */
  readonly settled: () => Promise<void>
  /** Missing ranges remembered per source and epoch. */
  readonly gapBound: number
  readonly counts: Counts
}

export const onTelemetry =
  (dependencies: TelemetryDependencies): Handler<Telemetry> =>
  async (batch) => {
    const out = emitter()
    const rows = new RowCounts()
    // A block may overtake the plant file that describes its asset: dropped then, a replay would differ.
    const isUnknown = ({ value }: Input<Telemetry>) =>
      value.block !== null && dependencies.planAt(value.assetId, value.block.receivedUs) === undefined
    if (batch.inputs.some(isUnknown)) await dependencies.settled()
    for (const input of batch.inputs) {
      const { type, assetId, block, tick } = input.value
      if (type === 'tick' && tick !== null) applyTick(dependencies, rows, out, input, tick)
      else if (type === 'block' && block !== null) applyBlock(dependencies, rows, out, input, assetId, block)
    }
    rows.report(dependencies.counts)
    return out
  }

/** Rows of one batch by what became of them: a metric is too dear to be asked for every block. */
class RowCounts {
  private readonly counted: Record<RowOutcome, number> = { accepted: 0, repeated: 0, late: 0, lost: 0, unplanned: 0 }

  add(outcome: RowOutcome, count: number): void {
    this.counted[outcome] += count
  }

  report(counts: Counts): void {
    for (const [outcome, count] of Object.entries(this.counted) as [RowOutcome, number][]) if (count > 0) counts.rows(outcome, count)
  }
}

const applyTick = (dependencies: TelemetryDependencies, rows: RowCounts, out: Emitter, input: Input<Telemetry>, tick: Tick): void => {
  const { memory, counts } = dependencies
  memory.changed.add(TIME_KEY)
  if (!onTick(memory.time, tick.instance, tick.upToUs)) return
  // Assets without a window have nothing to close; their time catches up with their next block.
  const waiting = [...memory.assets].filter(([, asset]) => asset.windows.length > 0)
  for (const [assetId, asset] of waiting.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    remember(memory, assetId, asset)
    for (const closing of advance(asset, memory.time.timeUs)) emitClosing(counts, rows, out, input, assetId, closing)
  }
}

const applyBlock = (
  dependencies: TelemetryDependencies,
  rows: RowCounts,
  out: Emitter,
  input: Input<Telemetry>,
  assetId: string,
  block: Block,
): void => {
  const { memory, gapBound, counts } = dependencies
  const planAt: PlanAt = (timeUs) => dependencies.planAt(assetId, timeUs)
  try {
    const asset = memory.assets.get(assetId) ?? newAsset()
    const result = addBlock(asset, block, planAt, memory.time.timeUs, gapBound)
    if (result.unplanned < block.rows || block.rows === 0) remember(memory, assetId, asset)
    rows.add('accepted', result.accepted)
    rows.add('repeated', result.repeated)
    rows.add('unplanned', result.unplanned)
    for (const closing of result.closings) emitClosing(counts, rows, out, input, assetId, closing)
  } catch (error) {
    // Nothing of it was applied. It would fail the same way on every retry and replay: counted, kept in telemetry.
    if (!(error instanceof BlockError)) throw error
    counts.malformed()
  }
}

const emitClosing = (counts: Counts, rows: RowCounts, out: Emitter, cause: Input<Telemetry>, assetId: string, closing: Closing): void => {
  if (closing.kind === 'vector') {
    counts.windowsClosed(1)
    emitVector(out, cause, assetId, closing)
    return
  }
  const { windowStartUs, ranges, lost } = closing
  rows.add(
    lost ? 'lost' : 'late',
    ranges.reduce((sum, range) => sum + range.seqTo - range.seqFrom + 1, 0),
  )
  const value: FeaturesInput = { type: 'late', assetId, late: { windowStartUs, ranges, lost } }
  const id = uuid8('late', assetId, windowStartUs, samplesDigest(ranges), lost ? 1 : 0)
  out.emit(cause, { topic: 'features', key: assetId, value, id, type: 'late', subject: assetId, timeUs: windowStartUs })
}

const emitVector = (out: Emitter, cause: Input<Telemetry>, assetId: string, { window, plan, corrections }: VectorClosing): void => {
  const { startUs, chunks, revision } = window
  const { values, missing } = summarise(plan, chunks, corrections)
  const ranges = windowRanges(window)
  const id = vectorId(plan.digest, assetId, startUs, revision, samplesDigest(ranges))
  const supersedes = window.published
  window.published = id
  const value: FeaturesInput = {
    type: 'vector',
    assetId,
    vector: {
      vectorId: id,
      featureSet: plan.featureSet,
      featureSetDigest: plan.digest,
      windowStartUs: startUs,
      windowEndUs: startUs + plan.windowUs,
      revision,
      supersedes,
      names: plan.computations.map(({ name }) => name),
      values: packDoubles(values),
      ranges,
      complete: missing.length === 0 && !window.isDamaged,
      missing,
      historical: chunks.some(({ historical }) => historical),
      recordedStartUs: recordedStart(window),
    },
  }
  out.emit(cause, {
    topic: 'features',
    key: assetId,
    value,
    id,
    type: 'vector',
    subject: assetId,
    timeUs: startUs + plan.windowUs,
    order: 'own',
  })
}

/** Recorded time of the window's first row, if the rows are a replayed recording. */
const recordedStart = ({ chunks }: Window): number | null => {
  let first: { timeUs: number; recordedUs: number } | undefined
  for (const chunk of chunks) {
    for (let row = 0; row < chunk.rows && chunk.recordedUs.length > 0; row++) {
      const timeUs = chunk.timesUs[row] as number
      const recordedUs = chunk.recordedUs[row] as number
      if (first === undefined || timeUs < first.timeUs || (timeUs === first.timeUs && recordedUs < first.recordedUs))
        first = { timeUs, recordedUs }
    }
  }
  return first?.recordedUs ?? null
}
