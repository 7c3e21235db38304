// Which sequence numbers of one (source, epoch) have been seen. Starts with every number missing, so that a sample
// that took another door and arrives after its successors is still new; bounded, and what falls out is handed back as lost.

/** Earlier than any event: "no such time yet". Finite, so that it survives JSON and arithmetic. */
export const NEVER_US = -Number.MAX_SAFE_INTEGER

/** Later than any event: the number above a gap was withheld, so its time is not known yet. */
export const UNKNOWN_US = Number.MAX_SAFE_INTEGER

/** Numbers not seen yet, inclusive, with the newest event time below them and the event time of the number right above. */
export interface Gap {
  from: number
  to: number
  belowUs: number
  aboveUs: number
}

/**
 * Seen numbers as a high-water mark and the gaps below it, ascending. Counters start at 0 or 1: number 0 is taken once,
 * but nobody waits for it.
 */
export interface SeenNumbers {
  mark: number
  zeroSeen: boolean
  gaps: Gap[]
  /** Newest event time of any number taken. */
  newestUs: number
}

export const nothingSeen = (): SeenNumbers => ({ mark: 0, zeroSeen: false, gaps: [], newestUs: NEVER_US })

/**
 * Takes a number with the event time of its sample (null: withheld, no time known); false when it was seen before.
 */
export const take = (seen: SeenNumbers, number: number, timeUs: number | null): boolean => {
  if (number > seen.mark) {
    if (number > seen.mark + 1)
      seen.gaps.push({ from: seen.mark + 1, to: number - 1, belowUs: seen.newestUs, aboveUs: timeUs ?? UNKNOWN_US })
    seen.mark = number
    if (timeUs !== null) dateGaps(seen, timeUs)
  } else if (number === 0) {
    if (seen.zeroSeen) return false
    seen.zeroSeen = true
    if (timeUs !== null) raiseBelow(seen, 0, timeUs)
  } else if (!fill(seen, number, timeUs)) return false
  if (timeUs !== null && timeUs > seen.newestUs) seen.newestUs = timeUs
  return true
}

/**
 * Takes the numbers from `from` to `to` when all of them lie above those seen; false, and nothing taken, otherwise. As if
 * each was taken by itself: `firstUs` is the event time of the first one, `newestUs` the newest of all.
 */
export const takeAbove = (seen: SeenNumbers, from: number, to: number, firstUs: number, newestUs: number): boolean => {
  if (from <= seen.mark || from > to) return false
  take(seen, from, firstUs)
  seen.mark = to
  if (newestUs > seen.newestUs) seen.newestUs = newestUs
  return true
}

const fill = (seen: SeenNumbers, number: number, timeUs: number | null): boolean => {
  const at = gapOf(seen.gaps, number)
  const gap = seen.gaps[at]
  if (gap === undefined) return false
  const parts: Gap[] = []
  if (gap.from < number) parts.push({ ...gap, to: number - 1, aboveUs: timeUs ?? gap.aboveUs })
  if (number < gap.to) parts.push({ ...gap, from: number + 1 })
  seen.gaps.splice(at, 1, ...parts)
  if (timeUs !== null) raiseBelow(seen, number, timeUs)
  return true
}

/** The first dated number above gaps whose upper neighbours were withheld dates them. */
const dateGaps = (seen: SeenNumbers, timeUs: number): void => {
  for (let i = seen.gaps.length - 1; i >= 0 && (seen.gaps[i] as Gap).aboveUs === UNKNOWN_US; i--) (seen.gaps[i] as Gap).aboveUs = timeUs
}

/** A number below a gap brought an event time: the gap's lower neighbourhood is at least as new. */
const raiseBelow = (seen: SeenNumbers, number: number, timeUs: number): void => {
  for (const gap of seen.gaps) if (gap.from > number && gap.belowUs < timeUs) gap.belowUs = timeUs
}

const gapOf = (gaps: readonly Gap[], number: number): number => {
  let low = 0
  let high = gaps.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const gap = gaps[middle] as Gap
    if (number < gap.from) high = middle - 1
    else if (number > gap.to) low = middle + 1
    else return middle
  }
  return -1
}

/** Drops the lowest gaps above the bound and returns them: their numbers count as seen from now on and are lost. */
export const dropOverBound = (seen: SeenNumbers, bound: number): Gap[] =>
  seen.gaps.length > bound ? seen.gaps.splice(0, seen.gaps.length - bound) : []
