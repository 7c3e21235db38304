// Every constant of the detectors, one default for every kind of recording. Where each comes from is in the service's README;
// none of them is fitted to an asset. Counts are rows unless the name says otherwise.

export type FamilyKind = 'level' | 'rough' | 'step' | 'band'

export interface FamilySpec {
  readonly kind: FamilyKind
  readonly window: number
  /** Of a band: rows of each of the two means whose difference is its filter; it lets periods of about 2 to 4 scales pass. */
  readonly scale?: number
}

export interface MultivariateConstants {
  /** What is looked at in trailing windows: the mean, the logarithm of the root mean square step, the mean against the mean before it. */
  readonly families: readonly FamilySpec[]
  /** Power of octave bands per channel, judged on a line of its own: oscillations. */
  readonly bands: readonly FamilySpec[]
  /** Longer windows, on a line of their own: small offsets, drifts and noise. Only where the prefix has `shortRows`. */
  readonly slow: readonly FamilySpec[]
  readonly slowMargin: number
  /** A line that m independent windows taught lies 1 + this/m higher: the square of Student's against the normal quantile. */
  readonly fewWindows: number
  /** The other constants hold from so many rows on; a shorter prefix raises every line by the rule before. */
  readonly shortRows: number
  /** The lines of bands and cycles lie so many times higher: they are further looks at the same rows. */
  readonly bandMargin: number
  readonly cycleMargin: number
  /** Mean over one whole cycle (a day, a shift), on a line of its own, when the prefix shows a cycle at least so many times. */
  readonly leastCycles: number
  /** Autocorrelation from which a lag is a cycle. */
  readonly cycleCorrelation: number
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
  /** Rows after which a small episode that wandering channels explain is told as an unknown regime, and its level becomes a provisional baseline. */
  readonly regimeAfter: number
  /** Level up to which that may be: twice as far out as the line. In the regime the line lies there, as nobody calibrated it. */
  readonly regimeLevel: number
  /** Uncertainty of the baseline from which a channel's wander explains where it is, in variances of one row. */
  readonly regimeWander: number
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
  bands: [
    { kind: 'band', window: 40, scale: 2 },
    { kind: 'band', window: 40, scale: 4 },
    { kind: 'band', window: 40, scale: 8 },
  ],
  slow: [
    { kind: 'level', window: 40 },
    { kind: 'rough', window: 60 },
  ],
  slowMargin: 1.5,
  fewWindows: 10,
  shortRows: 400,
  bandMargin: 2,
  cycleMargin: 3,
  leastCycles: 20,
  cycleCorrelation: 0.3,
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
  regimeAfter: 450,
  regimeLevel: 4,
  regimeWander: 1,
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
  /** An episode is over after so many rows below this part of the threshold: what the multivariate one closes by. */
  readonly off: number
  readonly closeBelow: number
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
  off: 10,
  closeBelow: 0.7,
  dayMemory: 7,
}
