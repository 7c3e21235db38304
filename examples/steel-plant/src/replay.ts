// Plays a recording at a chosen speed: which rows are due at a given time, with source times made anew.
// Pure: the same recording, start and times give the same readings, so a repeat carries the same sequence numbers.

import type { Recording } from './recordings.ts'
import type { Reading } from './reading.ts'

export interface ReplayOptions {
  readonly source: string
  readonly asset: string
  readonly recording: Recording
  /** Recorded seconds per second, > 0. */
  readonly speed: number
  /** First row played in the first round; later rounds start at row 0. */
  readonly fromRow?: number
}

export interface Replay {
  /**
   * The rows due up to now that were not handed out yet, in the order of the file. Source time is
   * start + (recorded time since the first row) / speed and rises with every row, also where the recorder's clock
   * stepped back. At the end the recording starts again under a higher epoch.
   */
  due(nowUs: number): Reading[]
  /** Recorded time of the last row handed out, microseconds UTC; undefined before the first. */
  positionUs(): number | undefined
}

/** First row recorded at or after the time; 0 when there is none. */
export const rowAt = (recording: Recording, recordedUs: number): number =>
  Math.max(
    0,
    recording.rows.findIndex((row) => row.recordedUs >= recordedUs),
  )

export const startReplay = ({ source, asset, recording, speed, fromRow = 0 }: ReplayOptions, startUs: number): Replay => {
  let first = fromRow
  let next = fromRow
  let roundStartUs = startUs
  let epoch = Math.floor(startUs / 1e6)
  let sinceFirstUs = 0

  /** Recorded time from the row before to this row; a step back or a repeat counts as the usual distance. */
  const stepUs = (row: number): number => {
    if (row === first) return 0
    const step = recording.rows[row]!.recordedUs - recording.rows[row - 1]!.recordedUs
    return step > 0 ? step : recording.stepUs
  }

  return {
    due(nowUs) {
      const out: Reading[] = []
      for (;;) {
        if (next >= recording.rows.length) {
          roundStartUs += Math.round((sinceFirstUs + recording.stepUs) / speed)
          epoch = Math.max(epoch + 1, Math.floor(roundStartUs / 1e6))
          first = next = 0
          sinceFirstUs = 0
        }
        const row = recording.rows[next]!
        const elapsedUs = sinceFirstUs + stepUs(next)
        const timeUs = roundStartUs + Math.round(elapsedUs / speed)
        if (timeUs > nowUs) return out
        out.push({ source, asset, epoch, seq: next - first, timeUs, recordedUs: row.recordedUs, values: row.values })
        sinceFirstUs = elapsedUs
        next++
      }
    },
    positionUs: () => recording.rows[next - 1]?.recordedUs,
  }
}
