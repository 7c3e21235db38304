// Sample identities in canonical form: ranges of numbers per source and epoch, sorted, neighbours merged.

/** Numbers of one source, inclusive. */
export interface Range {
  readonly sourceId: string
  readonly epoch: number
  readonly seqFrom: number
  readonly seqTo: number
}

const byIdentity = (a: Range, b: Range): number =>
  (a.sourceId < b.sourceId ? -1 : a.sourceId > b.sourceId ? 1 : 0) || a.epoch - b.epoch || a.seqFrom - b.seqFrom

/** Sorted, neighbours merged: equal for equal sets of samples. */
export const mergeRanges = (ranges: readonly Range[]): Range[] => {
  const merged: Range[] = []
  for (const range of ranges.toSorted(byIdentity)) {
    const last = merged.at(-1)
    if (last !== undefined && last.sourceId === range.sourceId && last.epoch === range.epoch && range.seqFrom <= last.seqTo + 1) {
      merged[merged.length - 1] = { ...last, seqTo: Math.max(last.seqTo, range.seqTo) }
    } else merged.push(range)
  }
  return merged
}

/** Ranges of ascending numbers of one source. */
export const rangesOf = (sourceId: string, epoch: number, numbers: ArrayLike<number>): Range[] => {
  const ranges: Range[] = []
  for (let i = 0; i < numbers.length;) {
    const from = i
    while (i + 1 < numbers.length && numbers[i + 1] === (numbers[i] as number) + 1) i++
    ranges.push({ sourceId, epoch, seqFrom: numbers[from] as number, seqTo: numbers[i] as number })
    i++
  }
  return ranges
}

/** Samples that ranges hold. */
export const rangeCount = (ranges: readonly Range[]): number => ranges.reduce((sum, { seqFrom, seqTo }) => sum + seqTo - seqFrom + 1, 0)
