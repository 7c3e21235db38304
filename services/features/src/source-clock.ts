// How far one source has come: by its own samples below the first number still missing, or by partition time moved to
// the source's clock. Ingest instances, spools and door switches cannot make it pass a sample that is still on its way.

import { NEVER_US, dropOverBound, nothingSeen, take, takeAbove } from './intervals.ts'
import type { Gap, SeenNumbers } from './intervals.ts'

/** Epochs remembered per source. Of an older one nothing can be told new from seen any more. */
const EPOCHS_KEPT = 8

interface Epoch extends SeenNumbers {
  readonly epoch: number
  /**
   * Event time of its first sample when another epoch came before: what the older one still has in a spool must not be
   * overtaken. NEVER_US for the first epoch known.
   */
  readonly boundaryUs: number
}

export interface SourceClock {
  /** Delivers once, by hand: nobody waits for it. */
  readonly isOneOff: boolean
  /** Ascending. */
  epochs: Epoch[]
  /** Epochs up to this one are forgotten. */
  forgottenEpoch: number
  newestUs: number
  /** When ingest received the newest sample. */
  newestReceivedUs: number
}

export interface LostRange {
  readonly epoch: number
  readonly gap: Gap
}

export const newSource = (sourceId: string): SourceClock => ({
  isOneOff: isOneOff(sourceId),
  epochs: [],
  forgottenEpoch: NEVER_US,
  newestUs: NEVER_US,
  newestReceivedUs: NEVER_US,
})

/** A source that delivers once, by hand (a correction, a release from quarantine, a file): nobody waits for it. */
export const isOneOff = (sourceId: string): boolean =>
  sourceId.startsWith('correction:') || sourceId.startsWith('release:') || sourceId.startsWith('file:')

/** As old on receipt as ingest calls `historical`. */
const OLD_DATA_US = 600_000_000

/** True for a source whose newest sample was old already when it was received. */
export const isOldData = ({ newestUs, newestReceivedUs }: SourceClock): boolean => newestReceivedUs - newestUs > OLD_DATA_US

export type Taken = 'new' | 'seen' | 'forgotten'

/** Takes one sequence number: `forgotten` when its epoch has fallen out of memory. */
export const takeNumber = (clock: SourceClock, epoch: number, number: number, timeUs: number | null): Taken => {
  if (epoch <= clock.forgottenEpoch) return 'forgotten'
  return take(epochOf(clock, epoch, timeUs), number, timeUs) ? 'new' : 'seen'
}

/**
 * Takes a run of numbers whose samples are all there, the ordinary case; false, and nothing taken, when some of them may
 * have been seen or are forgotten.
 */
export const takeAhead = (clock: SourceClock, epoch: number, from: number, to: number, firstUs: number, newestUs: number): boolean =>
  epoch > clock.forgottenEpoch && takeAheadIn(clock.epochs[clock.epochs.length - 1], epoch, from, to, firstUs, newestUs)

const takeAheadIn = (last: Epoch | undefined, epoch: number, from: number, to: number, firstUs: number, newestUs: number): boolean =>
  last !== undefined && last.epoch === epoch && takeAbove(last, from, to, firstUs, newestUs)

const epochOf = (clock: SourceClock, epoch: number, timeUs: number | null): Epoch => {
  const last = clock.epochs.at(-1)
  if (last?.epoch === epoch) return last
  const known = clock.epochs.find((candidate) => candidate.epoch === epoch)
  if (known !== undefined) return known
  const isFirst = clock.epochs.every((candidate) => candidate.epoch > epoch)
  const created: Epoch = { ...nothingSeen(), epoch, boundaryUs: isFirst ? NEVER_US : (timeUs ?? clock.newestUs) }
  clock.epochs.push(created)
  clock.epochs.sort((a, b) => a.epoch - b.epoch)
  return created
}

/** Notes that a sample was received; the newest event time and its receipt tell how far the source's clock is from ours. */
export const noteReceived = (clock: SourceClock, timeUs: number, receivedUs: number): void => {
  if (timeUs <= clock.newestUs) return
  clock.newestUs = timeUs
  clock.newestReceivedUs = receivedUs
}

/** Keeps the memory bounded; what falls out is lost: returned lowest first. */
export const trimSource = (clock: SourceClock, gapBound: number): readonly LostRange[] => {
  if (clock.epochs.length <= EPOCHS_KEPT && !hasMoreGaps(clock, gapBound)) return NOTHING_LOST
  const lost: LostRange[] = []
  while (clock.epochs.length > EPOCHS_KEPT) {
    const oldest = clock.epochs.shift() as Epoch
    clock.forgottenEpoch = oldest.epoch
    for (const gap of oldest.gaps) lost.push({ epoch: oldest.epoch, gap })
  }
  for (const epoch of clock.epochs) {
    if (epoch.gaps.length > gapBound) for (const gap of dropOverBound(epoch, gapBound)) lost.push({ epoch: epoch.epoch, gap })
  }
  return lost
}

const NOTHING_LOST: readonly LostRange[] = []

const hasMoreGaps = ({ epochs }: SourceClock, bound: number): boolean => {
  for (let at = 0; at < epochs.length; at++) if ((epochs[at] as Epoch).gaps.length > bound) return true
  return false
}

/** True when no gap and no older epoch holds the source's time: it does not depend on the time of its asset. */
export const isUnheld = ({ epochs }: SourceClock): boolean =>
  epochs.length === 0 || (epochs.length === 1 && (epochs[0] as Epoch).gaps.length === 0)

/**
 * Event time up to which nothing of this source is still expected. `assetTimeUs` only says which gaps no longer hold
 * anything back: what would fill them is late by now.
 */
export const sourceTime = (
  clock: SourceClock | undefined,
  partitionTimeUs: number,
  graceUs: number,
  latenessUs: number,
  assetTimeUs: number,
): number => {
  if (clock === undefined || clock.newestUs === NEVER_US) return unseenSourceTime(partitionTimeUs, graceUs, latenessUs)
  const byTicksUs = partitionTimeUs === NEVER_US ? NEVER_US : clock.newestUs + (partitionTimeUs - clock.newestReceivedUs) - graceUs
  return Math.max(ownTime(clock, assetTimeUs - latenessUs), byTicksUs)
}

/** A source that the plant names but nobody has seen: its clock is taken for ours, with all the patience there is. */
const unseenSourceTime = (partitionTimeUs: number, graceUs: number, latenessUs: number): number =>
  partitionTimeUs === NEVER_US ? NEVER_US : partitionTimeUs - graceUs - latenessUs

const ownTime = (clock: SourceClock, finalUs: number): number => {
  let ownUs = NEVER_US
  for (const epoch of clock.epochs) {
    if (epoch.boundaryUs !== NEVER_US && epoch.boundaryUs > finalUs) break
    const holding = epoch.gaps.find((gap) => gap.aboveUs > finalUs)
    ownUs = Math.max(ownUs, holding === undefined ? epoch.newestUs : holding.belowUs)
    if (holding !== undefined) break
  }
  return ownUs
}
