// Whether a window is young: it overlaps the one before it and is not yet full of rows, since its asset was seen first, was
// serviced, or got its feature set a short while ago. What is made of the first few rows - the slope of two, the spread of
// one - looks like nothing that comes later, so nobody is to learn from it or to judge it.

import type { AssetPlan } from './plan.ts'
import type { WindowRows } from './window-rows.ts'

/** `begunUs`: event time of the first accepted row of the plan, or of a service after it. Follows from the accepted rows alone. */
export const isYoung = (plan: AssetPlan, rows: WindowRows, begunUs: number): boolean => {
  const { hop, scales, latenessUs } = plan
  const { length: window } = scales[0]!
  if (hop !== 'row') {
    if (!('us' in window) || hop.us >= window.us) return false // windows that follow each other: each has its own time
    // A row from before the hop and the lateness can no longer come; one after that could, and would not touch this window.
    return begunUs > rows.endUs - Math.max(window.us, hop.us + latenessUs)
  }
  if ('us' in window) return begunUs > rows.endUs - window.us
  return scales.some(({ length }, scale) => ('us' in length ? begunUs > rows.endUs - length.us : isShort(plan, rows, scale, length.rows)))
}

/**
 * No channel has as many rows as the scale counts yet, or one that has fewer began within those of a channel that has. One
 * that began before them is seldom, not young.
 */
const isShort = ({ calls }: AssetPlan, rows: WindowRows, scale: number, count: number): boolean => {
  let isFull = true // what every lane has enough rows of, every channel has
  for (let i = 0; i < rows.lanes.length; i++) isFull &&= (rows.to[i] as number) - rows.firstOf(i, scale) >= count
  if (isFull) return false
  let fullSinceUs = Number.NEGATIVE_INFINITY
  let begunUs = Number.NEGATIVE_INFINITY
  for (const call of calls) {
    if (call.scale !== scale) continue
    for (const channel of call.channels) {
      const { held, oldestUs } = rows.lastRowsOf(channel, scale, count)
      if (held >= count) fullSinceUs = Math.max(fullSinceUs, oldestUs)
      else if (held > 0) begunUs = Math.max(begunUs, oldestUs)
    }
  }
  return fullSinceUs === Number.NEGATIVE_INFINITY || begunUs > fullSinceUs
}
