// A recording through the engine, as if its rows had come one after the other, each when its time was.

import type { Block, Telemetry } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import type { AssetPlan } from '../plan.ts'
import { type EmittedVector, blockRecord, emittedFrom, tickRecord } from './engine.ts'
import { type PlottedVector, usualStepUs } from './plot.ts'
import type { PreviewPlan } from './preview-plan.ts'
import { type Recording, blocksOf } from './recording.ts'

export type PreviewedVector = PlottedVector & { readonly vector: EmittedVector }

export interface RecordingRun {
  /** The newest revision of each window, by its end. */
  readonly vectors: readonly PreviewedVector[]
  /** Rows that came too late for their windows, in the order of the file. */
  readonly lateRows: number
  readonly revisions: number
}

/** A pause of the file is a pause here: ticks tell of it, as on the log. */
export const runRecording = async ({ plan, layouts }: PreviewPlan, recording: Recording): Promise<RecordingRun> => {
  const newest = new Map<number, EmittedVector>()
  let [lateRows, revisions] = [0, 0]
  const blocks = layouts.flatMap((layout) => blocksOf(recording, layout))
  let lastUs = Number.NEGATIVE_INFINITY
  for (const { receivedUs } of blocks) lastUs = Math.max(lastUs, receivedUs)
  for await (const emitted of emittedFrom(plan, recordsOf(plan, blocks, recording, lastUs))) {
    if ('late' in emitted) {
      for (const { seqFrom, seqTo } of emitted.late.ranges) lateRows += seqTo - seqFrom + 1
    } else if (emitted.vector.windowStartUs <= lastUs) {
      if (newest.has(emitted.vector.windowEndUs)) revisions += 1
      newest.set(emitted.vector.windowEndUs, emitted.vector)
    }
  }
  const vectors = [...newest.values()]
    .toSorted((a, b) => a.windowEndUs - b.windowEndUs)
    .map((vector) => ({
      vector,
      windowStartUs: vector.windowStartUs,
      windowEndUs: vector.windowEndUs,
      values: vector.names.length === 0 ? new Float64Array(plan.names.length).fill(Number.NaN) : readDoubles(vector.values),
      quality: vector.quality ?? 'good',
      regime: vector.regime ?? null,
      machineOff: vector.machineOff ?? false,
      health: vector.health ?? [],
    }))
  return { vectors, lateRows, revisions }
}

function* recordsOf(plan: AssetPlan, blocks: readonly Block[], recording: Recording, lastUs: number): Generator<Telemetry> {
  let receivedUs = Number.NEGATIVE_INFINITY
  for (const block of inOrderOfArrival(blocks)) {
    const firstUs = Number(block.timesUs.readBigInt64LE(0))
    // What a mesh would have been told in a pause: nothing came.
    const stepUs = tickUs(plan)
    if (receivedUs > Number.NEGATIVE_INFINITY && firstUs - receivedUs > 2 * stepUs)
      for (let tick = 1; tick <= MOST_TICKS && receivedUs + tick * stepUs < firstUs; tick++) yield tickRecord(receivedUs + tick * stepUs)
    receivedUs = Math.max(receivedUs, block.receivedUs)
    yield blockRecord('recording', { ...block, receivedUs })
    yield tickRecord(receivedUs)
  }
  const { latenessUs, graceUs } = plan
  yield tickRecord(lastUs + longestUs(plan, recording) + latenessUs + graceUs + 1_000_000)
}

/** Blocks of several layouts side by side; the order inside one is that of the file. */
const inOrderOfArrival = (blocks: readonly Block[]): Block[] => {
  const newest = new Map<string, number>()
  const arrived = blocks.map((block, at) => {
    const us = Math.max(newest.get(block.sourceId) ?? Number.NEGATIVE_INFINITY, block.receivedUs)
    newest.set(block.sourceId, us)
    return { block, us, at }
  })
  return arrived.toSorted((a, b) => a.us - b.us || a.at - b.at).map(({ block }) => block)
}

/** Ticks in one pause: after these nothing new is said. */
const MOST_TICKS = 16

const tickUs = (plan: AssetPlan): number => Math.max(1_000_000, ...plan.scales.map(({ length }) => ('us' in length ? length.us : 0)))

const longestUs = (plan: AssetPlan, recording: Recording): number =>
  Math.max(...plan.scales.map(({ length }) => ('us' in length ? length.us : 2 * usualStepUs(recording.timesUs))))
