// What features can be asked for: every statistic with what it is computed of, what it needs from the plant file and the
// rule, its unit, formula and source. The features service computes them; its README shows this table.

/** Options of a rule that statistics read. */
export interface StatisticOptions {
  /** Shares in (0, 1) for `quantile`. */
  readonly quantiles?: readonly number[] | undefined
  /** [low, high) in the channel's unit for `timeInBandPct`; null = open on that side. */
  readonly limits?: readonly [number | null, number | null] | undefined
  /** Half life of the weights of `ewma`, ms. */
  readonly halfLifeMs?: number | undefined
  /** Values of a state channel for `stateDurationS`. */
  readonly states?: readonly number[] | undefined
  /** Number of values that a counter has before it begins again at 0: 65536 for one of 16 bits. */
  readonly wrapsAt?: number | undefined
  /** [low, high) in Hz for `bandRms` and `bandLnShare`. */
  readonly bandsHz?: readonly (readonly [number, number])[] | undefined
  /** Bands of equal width on a logarithmic axis, for `logBandRms` and `logBandLnShare`. */
  readonly logBands?: { readonly count: number; readonly lowHz: number; readonly highHz: number } | undefined
  /** How spectra are made. */
  readonly spectrum?: SpectrumOptions | undefined
  /** Band of the velocity, Hz; 10 to 1000 Hz unless given (ISO 20816-1). */
  readonly velocityBandHz?: readonly [number, number] | undefined
  /** Band that is demodulated, Hz; chosen by spectral kurtosis unless given. */
  readonly envelopeBandHz?: readonly [number, number] | undefined
  /** Harmonics looked at beside the first, for defect and gear-mesh frequencies; 2 unless given. */
  readonly harmonics?: number | undefined
  /** Sidebands on each side of the gear-mesh frequency; 3 unless given. */
  readonly sidebands?: number | undefined
  /** Multiples of the shaft frequency for `orderRms`. */
  readonly orders?: readonly number[] | undefined
  /** 1 = octaves, 3 = third octaves, for `octaveDb`. */
  readonly octaveFraction?: 1 | 3 | undefined
  /** Centre frequencies of the lowest and the highest octave band, Hz. */
  readonly octaveRangeHz?: readonly [number, number] | undefined
  /** Expected fundamental of a voltage or current, Hz; 50 unless given. */
  readonly fundamentalHz?: number | undefined
}

export interface SpectrumOptions {
  /** What is taken out of each segment before it is weighted; `mean` unless given. */
  readonly detrend?: 'none' | 'mean' | 'linear' | undefined
  /** Weights of a segment; `hann` unless given. */
  readonly window?: 'hann' | 'hamming' | 'blackman' | 'flattop' | 'rectangular' | undefined
  /** Elements per segment, a power of two; the longest that fits every row unless given. */
  readonly segment?: number | undefined
  /** Share of a segment that the next one shares; 0.5 unless given. */
  readonly overlap?: number | undefined
}

export type OptionName = keyof StatisticOptions

/** What the plant file must say of the asset. */
export type PlantNeed = 'speed' | 'bearing' | 'gears' | 'zones'

export interface StatisticDefinition {
  /** Single values, waveforms, or the elements of either. */
  readonly of: 'any' | 'scalar' | 'waveform'
  /** How many channels a rule names: one by itself, a pair, three phases. */
  readonly channels: 1 | 2 | 3
  /** Options without which it cannot be computed. */
  readonly requires: readonly OptionName[]
  /** Options that it reads beside these. */
  readonly reads: readonly OptionName[]
  readonly needs: readonly PlantNeed[]
  /** What held when the window began goes in: the newest good row from before it (x_0), where windows and scales are lengths of time. */
  readonly carriesIn: boolean
  /** `channel` stands for the unit of the (first) channel. */
  readonly unit: string
  readonly formula: string
  readonly source: string
}

const define = (
  of: StatisticDefinition['of'],
  unit: string,
  formula: string,
  source: string,
  more: Partial<Pick<StatisticDefinition, 'channels' | 'requires' | 'reads' | 'needs' | 'carriesIn'>> = {},
): StatisticDefinition => ({ of, channels: 1, requires: [], reads: [], needs: [], carriesIn: false, unit, formula, source, ...more })

const spectral: readonly OptionName[] = ['spectrum']
const envelope: readonly OptionName[] = ['envelopeBandHz', 'harmonics']
const defect = { reads: [...envelope, 'spectrum'], needs: ['speed', 'bearing'] } as const

/** Every statistic by name. x: the n elements of the window without bad and missing ones, m their mean, y = x - m. */
export const statistics = {
  count: define('any', '1', 'n', 'definition'),
  mean: define('any', 'channel', 'm = sum x / n', 'definition'),
  std: define('any', 'channel', 'sqrt(sum y^2 / n)', 'population standard deviation'),
  min: define('any', 'channel', 'min x', 'definition'),
  max: define('any', 'channel', 'max x', 'definition'),
  range: define('any', 'channel', 'max x - min x; of a waveform the peak-to-peak value', 'definition'),
  median: define('any', 'channel', 'quantile 0.5', 'definition'),
  quantile: define('any', 'channel', 'linear interpolation between the order statistics at (n - 1) q', 'Hyndman and Fan 1996, type 7', {
    requires: ['quantiles'],
  }),
  rms: define('any', 'channel', 'sqrt(sum y^2 / n)', 'ISO 20816-1, without the mean: gravity and bias are no vibration'),
  peak: define('any', 'channel', 'max |y|', 'ISO 2041'),
  crest: define('any', '1', 'peak / rms, 0 for a constant signal; 1.41 for a sine', 'ISO 13373-1'),
  kurtosis: define('any', '1', '(sum y^4 / n) / (sum y^2 / n)^2, 0 for a constant signal; 3 for Gaussian noise', 'Pearson'),
  skewness: define('any', '1', '(sum y^3 / n) / (sum y^2 / n)^1.5, 0 for a constant signal', 'Fisher-Pearson'),
  shape: define('any', '1', 'rms / (sum |y| / n), 0 for a constant signal', 'ISO 13373-1'),
  impulse: define('any', '1', 'peak / (sum |y| / n), 0 for a constant signal', 'ISO 13373-1'),
  clearance: define('any', '1', 'peak / (sum sqrt|y| / n)^2, 0 for a constant signal', 'Lei et al. 2008'),
  lnRms: define('any', 'ln(channel)', 'ln(max(rms, 1e-12)): a number for a constant signal too', 'detection of relative change of level'),

  last: define('scalar', 'channel', 'x_n', 'definition'),
  slope: define('scalar', 'channel/s', 'least squares of x over time, 0 where all times are equal', 'definition'),
  difference: define('scalar', 'channel', 'x_n - x_(n-1), 0 for one row', 'lag-1 difference'),
  differenceRms: define('scalar', 'channel', 'sqrt(sum (x_i - x_(i-1))^2 / (n - 1)), 0 for one row', 'von Neumann 1941'),
  lnDifferenceRms: define(
    'scalar',
    'ln(channel)',
    'ln(max(differenceRms, 1e-12)): a number for a constant signal too',
    'roughness: detection of relative change of noise',
  ),
  largestDifference: define(
    'scalar',
    'channel',
    'of all x_i - x_(i-1) the one with the largest size, the earliest of equals; 0 for one row',
    'definition',
  ),
  step: define(
    'scalar',
    'channel',
    'mean of the last floor(n / 2) rows - mean of the first floor(n / 2), 0 for one row',
    'change of level within the window',
  ),
  ewma: define('scalar', 'channel', 'sum w_i x_i / sum w_i, w_i = 2^(-(t_n - t_i) / half life)', 'Roberts 1959', {
    requires: ['halfLifeMs'],
  }),
  zeroCrossingsHz: define(
    'scalar',
    'Hz',
    'changes of the sign of y / (t_n - t_1), a y of 0 keeping the sign before it; 0 where all times are equal',
    'definition',
  ),
  timeInBandPct: define(
    'scalar',
    '%',
    'share of the window in which low <= x < high, each value held until the next, the last to the end; x_0 from the start on, without it from t_1',
    'definition',
    {
      requires: ['limits'],
      carriesIn: true,
    },
  ),
  stateDurationS: define(
    'scalar',
    's',
    'time of the window in which x equals the state, each value held until the next, the last to the end; x_0 from the start on, without it from t_1',
    'definition',
    {
      requires: ['states'],
      carriesIn: true,
    },
  ),
  stateChanges: define('scalar', '1', 'number of i with x_i != x_(i-1), x_0 included', 'definition', { carriesIn: true }),
  increase: define(
    'scalar',
    'channel',
    'sum of x_i - x_(i-1) over the rows of the window, from x_0 on: windows that follow each other add up; a fall by more than wrapsAt / 2 is an overflow: wrapsAt more; any other to less than half a reset: x_i instead, if above 0; a smaller one a correction: as it is',
    'Prometheus increase(), without extrapolation',
    { reads: ['wrapsAt'], carriesIn: true },
  ),
  increasePerS: define(
    'scalar',
    'channel/s',
    'increase / length of the window; without x_0 increase / (t_n - t_1), 0 where all times are equal',
    'counter rate with reset handling',
    { reads: ['wrapsAt'], carriesIn: true },
  ),
  cycleTimeS: define(
    'scalar',
    's',
    '(time of the last rise of the counter - time of the first) / what it rose by after the first; needs two rises, one from x_0 to x_1 counts',
    'ISO 22400-2, actual cycle time',
    { reads: ['wrapsAt'], carriesIn: true },
  ),
  correlation: define(
    'scalar',
    '1',
    'sum y z / sqrt(sum y^2 sum z^2) over pairs: each row of the first channel with the newest one of the second by then; 0 where either is constant',
    'Pearson',
    {
      channels: 2,
    },
  ),
  regressionResidual: define(
    'scalar',
    'channel',
    'last residual of the least-squares line of the first channel over the second, pairs as for correlation; a constant second gives the line of the mean',
    'definition',
    {
      channels: 2,
    },
  ),
  regressionResidualRms: define('scalar', 'channel', 'sqrt(sum residual^2 / pairs)', 'definition', { channels: 2 }),
  increaseRatio: define(
    'scalar',
    '1',
    'increase of the first channel / increase of the second, e.g. scrap per part; none where the second did not rise',
    'ISO 22400-2, scrap ratio',
    {
      channels: 2,
      reads: ['wrapsAt'],
      carriesIn: true,
    },
  ),
  phaseImbalancePct: define(
    'any',
    '%',
    '100 max |v_k - v| / |v| over three phases, v_k = mean (single values) or rms (waveforms), v their mean; none where v is 0',
    'NEMA MG 1',
    {
      channels: 3,
    },
  ),
  negativeSequencePct: define(
    'waveform',
    '%',
    '100 |v_1 + a^2 v_2 + a v_3| / |v_1 + a v_2 + a^2 v_3|, a = e^(2 pi j / 3), v_k the fundamental of phases sampled together; above 100 the order of the phases is reversed',
    'IEC 61000-4-30, unbalance',
    {
      channels: 3,
      reads: ['fundamentalHz'],
    },
  ),

  bandRms: define(
    'waveform',
    'channel',
    'sqrt(sum P(f)), low <= f < high; P: mean square per line of the spectrum, mean over segments of 2 |X(f)|^2 / (n sum w^2)',
    'Welch 1967; Parseval',
    { requires: ['bandsHz'], reads: spectral },
  ),
  bandLnShare: define(
    'waveform',
    '1',
    'ln(max(1e-12, sum P(f) in the band / sum P(f) above 0 Hz)); none where no line lies in the band',
    'relative band energy',
    { requires: ['bandsHz'], reads: spectral },
  ),
  logBandRms: define('waveform', 'channel', 'as bandRms, bands of equal width on a logarithmic axis', 'Welch 1967', {
    requires: ['logBands'],
    reads: spectral,
  }),
  logBandLnShare: define('waveform', '1', 'as bandLnShare, bands of equal width on a logarithmic axis', 'relative band energy', {
    requires: ['logBands'],
    reads: spectral,
  }),
  centroidHz: define('waveform', 'Hz', 'sum f P(f) / sum P(f), f > 0', 'spectral centroid', { reads: spectral }),
  spectralEntropy: define('waveform', '1', '-sum p ln p / ln(lines), p = P(f) / sum P, f > 0; 1 = white', 'Shannon; Inouye et al. 1991', {
    reads: spectral,
  }),
  dominantHz: define(
    'waveform',
    'Hz',
    'frequency of the highest line: peak of the parabola through ln P of it and its neighbours',
    'definition',
    {
      reads: spectral,
    },
  ),
  velocityRmsMmS: define(
    'waveform',
    'mm/s',
    'sqrt(sum P(f) (2 pi f)^(2 - 2d)) in the velocity band as mm/s; d = 2 for an acceleration (m/s2, [g], g), 1 for a velocity (mm/s, m/s), 0 for a displacement (um, mm); none for other units',
    'ISO 20816-1, 10 to 1000 Hz',
    { reads: [...spectral, 'velocityBandHz'] },
  ),
  isoZone: define('waveform', '1', '1 to 4 for zones A to D of velocityRmsMmS; a limit belongs to the better zone', 'ISO 20816-3', {
    reads: [...spectral, 'velocityBandHz'],
    needs: ['zones'],
  }),
  envelopeRms: define(
    'waveform',
    'channel',
    'sqrt(sum (e - mean e)^2 / n), e = |analytic signal of the band|, sampled at 2 to 4 times its width, without 2 / width s at both ends of a row',
    'Randall and Antoni 2011',
    { reads: envelope },
  ),
  envelopeKurtosis: define('waveform', '1', 'kurtosis of that e; 3.25 for Gaussian noise', 'Randall and Antoni 2011', { reads: envelope }),
  envelopeLowHz: define(
    'waveform',
    'Hz',
    'lower edge of the demodulated band: unless given, of highest mean e^4 / (mean e^2)^2 among 1, 2, 3, 4, 6 .. 64 equal parts of 0 Hz to Nyquist that pass the harmonics looked at',
    'Antoni 2007, kurtogram',
    { reads: envelope },
  ),
  envelopeHighHz: define('waveform', 'Hz', 'upper edge of that band', 'Antoni 2007, kurtogram', { reads: envelope }),
  envelopeBpfo: define(
    'waveform',
    '1',
    'mean over harmonics of A / median A, A = amplitudes of the spectrum of e^2 at multiples of the outer-race frequency, for the frequency within 2 % that gives the highest; median from 3 lines (Hann) to the last harmonic of the highest defect frequency',
    'Randall and Antoni 2011',
    defect,
  ),
  envelopeBpfi: define('waveform', '1', 'the same at the inner-race frequency', 'Randall and Antoni 2011', defect),
  envelopeBsf: define('waveform', '1', 'the same at twice the ball-spin frequency', 'Randall and Antoni 2011', defect),
  envelopeFtf: define(
    'waveform',
    '1',
    'the same at the cage frequency; none where a row is too short to part it from 0 Hz',
    'Randall and Antoni 2011',
    defect,
  ),
  gearMeshRms: define(
    'waveform',
    'channel',
    'sqrt(sum P(f)) of the lines at teeth x shaft frequency and its harmonics (within 0.5 %, at least 1 line), per gear the largest',
    'ISO 13373-2',
    { reads: [...spectral, 'harmonics'], needs: ['speed', 'gears'] },
  ),
  gearSidebandRatio: define(
    'waveform',
    '1',
    'sum of the amplitudes 1 .. k turns of the shaft below and above the mesh frequency / amplitude there, per gear the largest; none where lines overlap',
    'ISO 13373-2',
    { reads: [...spectral, 'sidebands'], needs: ['speed', 'gears'] },
  ),
  orderRms: define(
    'waveform',
    'channel',
    'with a tacho sqrt(2) |sum x w e^(-2 pi j order a)| / sum w, w = Hann weight over the angle x its step, a = turns of the shaft (cubic between pulses); else rms of the line at order x mean shaft frequency',
    'ISO 13373-2; Borghesani et al. 2014, velocity-synchronous transform',
    { requires: ['orders'], reads: spectral, needs: ['speed'] },
  ),
  octaveDb: define(
    'waveform',
    'dB',
    '10 lg(power in the band / reference^2), reference 20 uPa for Pa, else 1 of the unit; a line at an edge belongs to both bands in parts; no power below 1e-24 of the unit squared',
    'IEC 61260-1, exact edges (G = 10^(3/10)) under nominal names',
    {
      reads: ['octaveFraction', 'octaveRangeHz', 'spectrum'],
    },
  ),
  levelDb: define('waveform', 'dB', '20 lg(max(rms, 1e-12) / reference), reference as for octaveDb', 'IEC 61672-1, Z weighting', {}),
  levelDbA: define(
    'waveform',
    'dB',
    '10 lg(sum A(f) P(f) / reference^2), f > 0, reference and least power as for octaveDb',
    'IEC 61672-1, A weighting',
    {
      reads: spectral,
    },
  ),
  lineFrequencyHz: define(
    'waveform',
    'Hz',
    'frequency of the fundamental within 15 % of the expected one, by its phase at two places of a row of three cycles or more; none where it holds less than 5 % of the power',
    'IEC 61000-4-30',
    {
      reads: ['fundamentalHz'],
    },
  ),
  thdPct: define(
    'waveform',
    '%',
    '100 sqrt(sum of squared harmonics 2 to 40 below half the sample rate) / fundamental, over whole cycles; none where there is no fundamental',
    'IEC 61000-4-7',
    {
      reads: ['fundamentalHz'],
    },
  ),
} as const satisfies Record<string, StatisticDefinition>

export type Statistic = keyof typeof statistics

export const statisticNames = Object.keys(statistics) as readonly Statistic[]

/** Plain words per statistic of the catalogue; the mean of a channel is called as the channel. */
export const statisticWords: Readonly<Record<Statistic, string>> = {
  count: 'number of values',
  mean: '',
  std: 'variation',
  min: 'minimum',
  max: 'maximum',
  range: 'range',
  median: 'median',
  quantile: 'quantile',
  rms: 'level',
  peak: 'peak',
  crest: 'crest factor',
  kurtosis: 'impulsiveness',
  skewness: 'skewness',
  shape: 'shape factor',
  impulse: 'impulse factor',
  clearance: 'clearance factor',
  lnRms: 'level on a logarithmic scale',
  last: 'last value',
  slope: 'trend',
  difference: 'last step',
  differenceRms: 'roughness',
  lnDifferenceRms: 'roughness on a logarithmic scale',
  largestDifference: 'largest step',
  step: 'change of level',
  ewma: 'weighted mean',
  zeroCrossingsHz: 'crossings of the mean',
  timeInBandPct: 'share of time in band',
  stateDurationS: 'time in state',
  stateChanges: 'changes of state',
  increase: 'increase',
  increasePerS: 'rate',
  cycleTimeS: 'cycle time',
  correlation: 'correlation',
  regressionResidual: 'distance from what the other implies',
  regressionResidualRms: 'scatter around what the other implies',
  increaseRatio: 'ratio of increases',
  phaseImbalancePct: 'phase imbalance',
  negativeSequencePct: 'negative sequence of the phases',
  bandRms: 'band',
  bandLnShare: 'share of band',
  logBandRms: 'band',
  logBandLnShare: 'share of band',
  centroidHz: 'centre of the spectrum',
  spectralEntropy: 'evenness of the spectrum',
  dominantHz: 'strongest frequency',
  velocityRmsMmS: 'velocity',
  isoZone: 'zone after ISO 20816',
  envelopeRms: 'level of the envelope',
  envelopeKurtosis: 'impulsiveness of the envelope',
  envelopeLowHz: 'lower edge of the envelope band',
  envelopeHighHz: 'upper edge of the envelope band',
  envelopeBpfo: 'outer-race defect',
  envelopeBpfi: 'inner-race defect',
  envelopeBsf: 'ball defect',
  envelopeFtf: 'cage defect',
  gearMeshRms: 'gear mesh',
  gearSidebandRatio: 'gear-mesh sidebands',
  orderRms: 'order',
  octaveDb: 'octave',
  levelDb: 'sound level',
  levelDbA: 'A-weighted sound level',
  lineFrequencyHz: 'line frequency',
  thdPct: 'harmonic distortion',
}

/** 0.95 → "95", 0.005 → "0_5": a part of a name holds no dot. */
const part = (value: number): string =>
  String(Number(value.toPrecision(12)))
    .replace('.', '_')
    .replace('-', 'minus')

/** Nominal centre frequencies of octaves, Hz (IEC 61260-1), from 16 Hz on. */
export const octaveCentresHz = [16, 31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16_000] as const
/** Nominal centre frequencies of third octaves, Hz. */
export const thirdOctaveCentresHz = [
  12.5, 16, 20, 25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000,
  6300, 8000, 10_000, 12_500, 16_000, 20_000,
] as const

/** Centres of the bands that the options ask for. */
export const octaveCentres = ({ octaveFraction = 1, octaveRangeHz = [31.5, 8000] }: StatisticOptions): number[] => {
  const centres: readonly number[] = octaveFraction === 3 ? thirdOctaveCentresHz : octaveCentresHz
  return centres.filter((hz) => hz >= octaveRangeHz[0] && hz <= octaveRangeHz[1])
}

/** Names of the numbers that a statistic gives with these options, in their order; most give one, by their own name. */
export const outputNames = (statistic: Statistic, options: StatisticOptions): string[] => {
  switch (statistic) {
    case 'quantile':
      return (options.quantiles ?? []).map((share) => `p${part(share * 100)}`)
    case 'stateDurationS':
      return (options.states ?? []).map((state) => `state${part(state)}S`)
    case 'bandRms':
    case 'bandLnShare':
      return (options.bandsHz ?? []).map(([low, high]) => `${statistic}${part(low)}to${part(high)}Hz`)
    case 'logBandRms':
    case 'logBandLnShare':
      return Array.from({ length: options.logBands?.count ?? 0 }, (_, i) => `${statistic}${i + 1}`)
    case 'orderRms':
      return (options.orders ?? []).map((order) => `order${part(order)}Rms`)
    case 'octaveDb':
      return octaveCentres(options).map((hz) => `octave${part(hz)}HzDb`)
    default:
      return [statistic]
  }
}
