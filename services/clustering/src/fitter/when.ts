// When a class is to be fitted again: by event time alone, from what its partitions have summarised. Pure.

import { HOUR_US } from '../class-summaries.ts'

/** A partition that is farther behind than this is taken as it is: its assets are silent, or it is being read again. */
const MOST_BEHIND_US = 2 * HOUR_US
/** Windows before a first fit; fewer will do when a good part of them is in episodes, so that there is something to tell apart. */
const LEAST_WINDOWS = 500
const LEAST_WINDOWS_ANOMALOUS = 150
const ANOMALOUS_SHARE = 0.1
/** New windows that are worth another fit. */
const LEAST_NEW_WINDOWS = 20

export interface SummaryHead {
  readonly partition: number
  readonly hourUs: number
  readonly windows: number
  readonly anomalous: number
}

export interface LastFit {
  /** Full hour that it stood for, whatever became of it. */
  readonly hourUs: number
  /** Windows of the class then; 0 for one that was refused. */
  readonly windows: number
}

/** The full hour that every partition of the class has reached, those left behind aside; undefined while there is none. */
const hourReached = (heads: readonly SummaryHead[]): number | undefined => {
  if (heads.length === 0) return undefined
  const newest = Math.max(...heads.map(({ hourUs }) => hourUs))
  return Math.min(...heads.filter(({ hourUs }) => newest - hourUs <= MOST_BEHIND_US).map(({ hourUs }) => hourUs))
}

/** The hour of the next fit, when one is due. */
export const dueHour = (heads: readonly SummaryHead[], last: LastFit | undefined, refitEveryUs: number): number | undefined => {
  const hourUs = hourReached(heads)
  if (hourUs === undefined) return undefined
  const sum = (of: (head: SummaryHead) => number): number => heads.reduce((all, head) => all + of(head), 0)
  const windows = sum((head) => head.windows)
  if (last !== undefined) {
    const isDue = hourUs >= last.hourUs + refitEveryUs && Math.abs(windows - last.windows) >= LEAST_NEW_WINDOWS
    return isDue ? hourUs : undefined
  }
  const isClear = windows >= LEAST_WINDOWS_ANOMALOUS && sum((head) => head.anomalous) >= ANOMALOUS_SHARE * windows
  return windows >= LEAST_WINDOWS || isClear ? hourUs : undefined
}
