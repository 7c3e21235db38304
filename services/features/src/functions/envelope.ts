// Envelope analysis of rolling bearings: a band around a resonance is demodulated, and the spectrum of its squared envelope
// shows how often the resonance is struck (Randall and Antoni 2011).
//
// The bins of the band alone go into the inverse transform: that is the analytic signal of the band, sampled as often as its
// squared envelope needs (at least twice the width of the band) instead of as often as the row was.

import type { Statistic } from '@andon/schemas'
import { fftOf } from './fft.ts'
import type { WaveformFigures } from './figure.ts'
import type { Preparation, Series } from './kernel.ts'
import { select } from './order-statistics.ts'
import { leastWidth, rowWidth, spectrumOf, sumOf } from './spectrum.ts'
import type { Spectrum } from './spectrum.ts'

/** The catalogue's default: the second and third harmonic beside the first. */
const HARMONICS = 2
/** Rolling elements slip: a line may lie so far from its kinematic frequency. */
const SLIP = 0.02
/** Fewer bins than this have no kurtosis to speak of. */
const LEAST_BINS = 16
/** Into how many bands of equal width the kurtogram divides 0 Hz to Nyquist, level by level (Antoni 2007: halves and thirds). */
const KURTOGRAM = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64] as const

/** A band as shares of the sample rate: [low, high). */
interface Band {
  readonly low: number
  readonly high: number
}

/** Squared envelopes of the rows, one after the other. */
interface Envelope {
  /** Elements of all rows. */
  length: number
  squares: Float64Array
  readonly widths: number[]
  /** Elements at the ends of a row that hold what the cut of the row itself excites. */
  edge: number
  /** Elements of a row per element of its envelope. */
  decimation: number
}

const scratch: Envelope = { length: 0, squares: new Float64Array(1024), widths: [], edge: 0, decimation: 1 }

const bandScratch = new Map<number, { readonly bins: Float64Array; readonly signal: Float64Array }>()

const bandScratchOf = (length: number) => {
  let found = bandScratch.get(length)
  if (found === undefined) bandScratch.set(length, (found = { bins: new Float64Array(2 * length), signal: new Float64Array(2 * length) }))
  return found
}

interface Edges {
  /** Bins `from` to `to` - 1 of a row's spectrum. */
  readonly from: number
  readonly to: number
  /** Elements of the envelope, for the length of the transform of the row. */
  readonly samples: number
  readonly edge: number
}

/** 0 Hz and Nyquist are left out: they have no envelope. */
const edgesOf = ({ low, high }: Band, length: number): Edges => {
  const from = Math.max(1, Math.ceil(low * length - 1e-9))
  const to = Math.min(length / 2, Math.ceil(high * length - 1e-9))
  // The same share of the sample rate for rows of every length.
  const samples = length * 2 ** Math.ceil(Math.log2(2 * (high - low)) - 1e-9)
  return { from, to, samples, edge: Math.ceil((2 * samples) / (to - from)) }
}

/** Squared modulus of the analytic signal of a band, from the bins of the row; `out` from `at` on. */
const squaredEnvelope = (bins: Float64Array, { from, to, samples }: Edges, out: Float64Array, at: number, count: number) => {
  const { bins: band, signal } = bandScratchOf(samples)
  const size = 2 * (to - from)
  const scale = 2 / (bins.length - 2)
  // The forward transform of the conjugate is the conjugate of the inverse: the modulus is the same.
  for (let i = 0, k = 2 * from; i < size; i += 2, k += 2) {
    band[i] = (bins[k] as number) * scale
    band[i + 1] = -(bins[k + 1] as number) * scale
  }
  band.fill(0, size)
  fftOf(samples).complex(band, signal)
  for (let i = 0; i < count; i++) {
    const re = signal[2 * i] as number
    const im = signal[2 * i + 1] as number
    out[at + i] = re * re + im * im
  }
}

/** Elements of an envelope that lie inside a row of `width`. */
const countOf = (width: number, length: number, { samples }: Edges): number => Math.floor(((width - 1) * samples) / length) + 1

const demodulate = (series: Series, transforms: readonly Float64Array[], band: Band): Envelope | undefined => {
  scratch.length = 0
  scratch.widths.length = 0
  for (let row = 0; row < series.rows; row++) {
    const width = rowWidth(series, row)
    const bins = transforms[row] as Float64Array
    const length = bins.length - 2
    const edges = edgesOf(band, length)
    if (edges.to - edges.from < LEAST_BINS) return undefined
    const count = countOf(width, length, edges)
    if (scratch.squares.length < scratch.length + count) {
      const more = new Float64Array(2 * (scratch.length + count))
      more.set(scratch.squares)
      scratch.squares = more
    }
    squaredEnvelope(bins, edges, scratch.squares, scratch.length, count)
    scratch.length += count
    scratch.widths.push(count)
    scratch.edge = edges.edge
    scratch.decimation = length / edges.samples
  }
  return scratch
}

/** Sums over the rows per candidate: elements, squares, fourth powers of the envelope. */
let sums = new Float64Array(0)

const addKurtogram = (bins: Float64Array, width: number, candidates: readonly Band[]): void => {
  const length = bins.length - 2
  candidates.forEach((band, i) => {
    const edges = edgesOf(band, length)
    if (edges.to - edges.from < LEAST_BINS) return
    const count = countOf(width, length, edges)
    const { squares } = kurtogramScratch(count)
    squaredEnvelope(bins, edges, squares, 0, count)
    let second = 0
    let fourth = 0
    for (let j = edges.edge; j < count - edges.edge; j++) {
      const square = squares[j] as number
      second += square
      fourth += square * square
    }
    sums[3 * i] = (sums[3 * i] as number) + Math.max(0, count - 2 * edges.edge)
    sums[3 * i + 1] = (sums[3 * i + 1] as number) + second
    sums[3 * i + 2] = (sums[3 * i + 2] as number) + fourth
  })
}

let kurtogramSquares = new Float64Array(1024)
const kurtogramScratch = (count: number) => {
  if (kurtogramSquares.length < count) kurtogramSquares = new Float64Array(2 * count)
  return { squares: kurtogramSquares }
}

const candidates: readonly Band[] = KURTOGRAM.flatMap((bands) =>
  Array.from({ length: bands }, (_, i) => ({ low: i / (2 * bands), high: (i + 1) / (2 * bands) })),
)

/** The band whose envelope has the highest spectral kurtosis, of those that are at least `leastShare` of the sample rate wide. */
const kurtogramBand = (series: Series, transforms: readonly Float64Array[], leastShare: number): Band | undefined => {
  const wide = candidates.filter(({ low, high }) => high - low >= leastShare * (1 - 1e-9))
  sums = sums.length < 3 * wide.length ? new Float64Array(3 * wide.length) : sums.fill(0)
  for (let row = 0; row < series.rows; row++) addKurtogram(transforms[row] as Float64Array, rowWidth(series, row), wide)
  let best: Band | undefined
  let highest = Number.NEGATIVE_INFINITY
  wide.forEach((band, i) => {
    const [count, second, fourth] = [sums[3 * i] as number, sums[3 * i + 1] as number, sums[3 * i + 2] as number]
    if (count === 0) return
    const kurtosis = second > 0 ? (fourth * count) / (second * second) - 2 : Number.NEGATIVE_INFINITY
    if (best === undefined || kurtosis > highest) {
      highest = kurtosis
      best = band
    }
  })
  return best
}

let moduli = new Float64Array(1024)

/** Root mean square and kurtosis of the envelope about its mean, without the ends of the rows. */
const figuresOf = ({ length, squares, widths, edge }: Envelope): { readonly rms: number; readonly kurtosis: number } => {
  if (moduli.length < length) moduli = new Float64Array(2 * length)
  let count = 0
  for (let row = 0, from = 0; row < widths.length; row++) {
    const end = from + (widths[row] as number)
    for (let i = from + edge; i < end - edge; i++) moduli[count++] = Math.sqrt(squares[i] as number)
    from = end
  }
  const mean = sumOf(moduli, 0, count) / count
  let second = 0
  let fourth = 0
  for (let i = 0; i < count; i++) {
    const y = (moduli[i] as number) - mean
    const square = y * y
    second += square
    fourth += square * square
  }
  return { rms: Math.sqrt(second / count), kurtosis: second > 0 ? (fourth * count) / (second * second) : second }
}

let ranked = new Float64Array(1024)

/** The lower median of bins `from` to `to` - 1: selected, since sorting would cost more than the transform. */
export const medianOf = (power: Float64Array, from: number, to: number): number => {
  const count = to - from
  if (count <= 0) return Number.NaN
  if (ranked.length < count) ranked = new Float64Array(2 * count)
  for (let i = 0; i < count; i++) ranked[i] = power[from + i] as number
  const wanted = (count - 1) >> 1
  select(ranked, 0, count - 1, wanted)
  return ranked[wanted] as number
}

/**
 * Mean over harmonics of amplitude / median, for the frequency within the slip that gives the highest: harmonics of one line
 * move together, so those of another part do not pass for them one by one. NaN where the first harmonic is not resolved, or
 * beyond the band.
 */
const defectRatio = (spectrum: Spectrum, hz: number, harmonics: number, widthHz: number, median: number): number => {
  const { binHz, power, reach } = spectrum
  const within = Math.min(harmonics, Math.floor(widthHz / (hz * (1 + SLIP))))
  if (!(hz >= (reach + 1) * binHz) || !(median > 0) || within < 1) return Number.NaN
  // Half a line of the highest harmonic from one frequency to the next.
  const steps = Math.ceil((2 * within * SLIP * hz) / binHz)
  let highest = 0
  for (let step = -steps; step <= steps; step++) {
    const lines = (hz * (1 + (SLIP * step) / Math.max(1, steps))) / binHz
    let sum = 0
    for (let harmonic = 1; harmonic <= within; harmonic++) sum += Math.sqrt(power[Math.round(harmonic * lines)] ?? 0)
    if (sum > highest) highest = sum
  }
  return highest / (within * Math.sqrt(median))
}

export const envelopeStatistics = [
  'envelopeRms',
  'envelopeKurtosis',
  'envelopeLowHz',
  'envelopeHighHz',
  'envelopeBpfo',
  'envelopeBpfi',
  'envelopeBsf',
  'envelopeFtf',
] as const satisfies readonly Statistic[]

type EnvelopeStatistic = (typeof envelopeStatistics)[number]

/** Prepares what a call asks of envelopes; undefined = nothing. */
export const envelopeOf = ({ call, machine }: Preparation): WaveformFigures | undefined => {
  const { envelopeBandHz, spectrum: spectrumOptions, harmonics: beside = HARMONICS } = call.options
  const placeOf = (statistic: EnvelopeStatistic): number => call.asked.find((each) => each.statistic === statistic)?.places[0] ?? -1
  const places = envelopeStatistics.map(placeOf)
  if (places.every((place) => place < 0)) return undefined
  const [rmsAt = -1, kurtosisAt = -1, lowAt = -1, highAt = -1, bpfoAt = -1, bpfiAt = -1, bsfAt = -1, ftfAt = -1] = places
  const { bearing } = machine
  const defects =
    bearing === null
      ? []
      : [
          { at: bpfoAt, order: bearing.bpfoOrder },
          { at: bpfiAt, order: bearing.bpfiOrder },
          { at: bsfAt, order: 2 * bearing.bsfOrder },
          { at: ftfAt, order: bearing.ftfOrder },
        ]
  const highestOrder = Math.max(0, ...defects.map(({ order }) => order))
  const wanted = defects.filter(({ at }) => at >= 0)
  const harmonics = 1 + beside
  const { segment } = spectrumOptions ?? {}
  const spectrumFor = spectrumOf(spectrumOptions)

  const bandOf = (series: Series, transforms: readonly Float64Array[], sampleRateHz: number, shaftHz: number): Band | undefined => {
    if (envelopeBandHz !== undefined)
      return { low: envelopeBandHz[0] / sampleRateHz, high: Math.min(0.5, envelopeBandHz[1] / sampleRateHz) }
    // A band has to pass the harmonics that are looked at.
    const leastHz = shaftHz > 0 ? harmonics * highestOrder * shaftHz : 0
    return kurtogramBand(series, transforms, Math.min(0.5, leastHz / sampleRateHz))
  }

  return (series, transforms, values, context) => {
    const { sampleRateHz, timesUs } = series
    if (sampleRateHz === null || leastWidth(series) < 2 * LEAST_BINS) return
    const shaftHz = highestOrder > 0 ? context.shaftHz() : Number.NaN
    const rows = transforms()
    const band = bandOf(series, rows, sampleRateHz, shaftHz)
    if (band === undefined || !(band.high > band.low)) return
    const found = demodulate(series, rows, band)
    if (found === undefined) return
    if (lowAt >= 0) values[lowAt] = band.low * sampleRateHz
    if (highAt >= 0) values[highAt] = band.high * sampleRateHz
    if (rmsAt >= 0 || kurtosisAt >= 0) {
      const { rms, kurtosis } = figuresOf(found)
      if (rmsAt >= 0) values[rmsAt] = rms
      if (kurtosisAt >= 0) values[kurtosisAt] = kurtosis
    }
    if (wanted.length === 0 || !(shaftHz > 0)) return
    const { squares, widths, decimation } = found
    const maker = segment === undefined ? spectrumFor : spectrumOf({ ...spectrumOptions, segment: segment / decimation })
    const spectrum = maker({
      rows: widths.length,
      timesUs,
      elements: squares,
      width: 0,
      widths,
      sampleRateHz: sampleRateHz / decimation,
    })
    if (spectrum === undefined) return
    const widthHz = (band.high - band.low) * sampleRateHz
    const { power, binHz, reach } = spectrum
    const last = Math.min(Math.floor(Math.min(widthHz, harmonics * highestOrder * (1 + SLIP) * shaftHz) / binHz), power.length - 1)
    const median = medianOf(power, reach + 1, last + 1)
    for (const { at, order } of wanted) values[at] = defectRatio(spectrum, order * shaftHz, harmonics, widthHz, median)
  }
}
