// Every constant of the detectors, one default for every kind of recording. Where each comes from is in the service's README;
// none of them is fitted to an asset. Counts are rows unless the name says otherwise.

export type FamilyKind = 'level' | 'rough' | 'step'

export interface MultivariateConstants {
  /** What is looked at in trailing windows: the mean, the logarithm of the root mean square step, the mean against the mean before it. */
  readonly families: readonly { readonly kind: FamilyKind; readonly window: number }[]
  /** Held-out rows of the prefix that may lie above the base threshold: about one excursion of two windows. */
  readonly rowsAbove: number
  /** The line lies at 1 + this/√ν above the base threshold, ν the degrees of freedom of the joint score. */
  readonly jointFactor: number
  /** The same for the largest single channel. */
  readonly singleFactor: number
  readonly ridge: number
  readonly folds: number
  /** Largest gain of the baseline: it remembers at least 1/gain rows. */
  readonly maxGain: number
  /** Part of the episode's level below which it counts as gone although above the line. */
  readonly goneBelow: number
  /** Part of the episode's signature below which it counts as undone. */
  readonly undoneBelow: number
  /** Rows an episode lasts before its level can be called a new normal one. */
  readonly armAfter: number
  readonly on: number
  readonly off: number
  readonly closeBelow: number
  /** Rows of the prefix this many times the median score are dropped, at most the share below of all. */
  readonly trimFactor: number
  readonly trimShare: number
  /** A jump of this many times the 99 % step is held for one row. */
  readonly glitchFactor: number
}

export const multivariateDefaults: MultivariateConstants = {
  families: [
    { kind: 'level', window: 10 },
    { kind: 'rough', window: 20 },
    { kind: 'step', window: 10 },
  ],
  rowsAbove: 20,
  jointFactor: 1.4,
  singleFactor: 6,
  ridge: 0.1,
  folds: 5,
  maxGain: 0.01,
  goneBelow: 0.1,
  undoneBelow: 0.2,
  armAfter: 30,
  on: 3,
  off: 10,
  closeBelow: 0.7,
  trimFactor: 20,
  trimShare: 0.15,
  glitchFactor: 4,
}

export interface UnivariateConstants {
  /** Score from which a report is a finding: 4.6 sensitive, 6 quiet. */
  readonly threshold: number
  /** Weight of the second largest statistic. */
  readonly secondWeight: number
  /** The quantile every statistic follows, the relative size of its steps, and the gain of the mean excess above it. */
  readonly quantile: number
  readonly quantileStep: number
  readonly excessGain: number
  /** A row reports only if it beats the last report by this, or so many rows passed since. */
  readonly margin: number
  readonly hold: number
  /** Days a slot of the day remembers. */
  readonly dayMemory: number
}

export const univariateDefaults: UnivariateConstants = {
  threshold: 4.6,
  secondWeight: 0.5,
  quantile: 0.995,
  quantileStep: 0.02,
  excessGain: 0.1,
  margin: 0.2,
  hold: 200,
  dayMemory: 7,
}
