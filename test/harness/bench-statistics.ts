// What a noisy machine lets one say about two series of costs: the ratio of the minima is the figure, the ratio of the medians with a
// bootstrapped interval says how sure it is. Pure, and the same for the same samples.

/** Costs of one contender per unit of work, in the order in which they were taken. */
export type Series = readonly number[]

export interface Ratio {
  /** min(theirs) / min(ours): above 1 when ours costs less. */
  readonly ofMinima: number
  readonly ofMedians: number
  /** 90 % interval of the ratio of medians. */
  readonly interval: readonly [low: number, high: number]
}

const RESAMPLES = 2000

/** How many times cheaper `ours` is. Both need one sample at least; costs are above 0. */
export const ratioOf = (ours: Series, theirs: Series): Ratio => {
  const random = randomFrom(0x9e3779b9)
  const ratios = Array.from({ length: RESAMPLES }, () => median(resampled(theirs, random)) / median(resampled(ours, random)))
  return {
    ofMinima: Math.min(...theirs) / Math.min(...ours),
    ofMedians: median(theirs) / median(ours),
    interval: [quantile(ratios, 0.05), quantile(ratios, 0.95)],
  }
}

/** Linear-interpolated quantile. */
export const quantile = (values: Series, q: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = q * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN]
  return low + (high - low) * (at - Math.floor(at))
}

export const median = (values: Series): number => quantile(values, 0.5)

const resampled = (values: Series, random: () => number): number[] =>
  Array.from(values, () => values[Math.floor(random() * values.length)] as number)

/** Numbers in [0, 1), always the same ones for a seed (mulberry32): payloads and intervals are equal in every run. */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
