// The power spectrum of waveforms after Welch: the mean over segments of all rows of a window. It is scaled to mean squares, so
// bins of a band add up to the mean square in it.
//
// A segment x of n elements with weights w has by Parseval sum |X_k|^2 / n = sum (x_i w_i)^2, whose expectation is the mean
// square of x times sum w^2. So a bin holds 2 |X_k|^2 / (n sum w^2); 1 instead of 2 for 0 Hz and the Nyquist frequency.

import type { SpectrumOptions } from '@andon/schemas'
import { realFftOf } from './fft.ts'
import type { Series } from './kernel.ts'

/** One-sided. `power` is scratch: valid until the next spectrum of its length is made. */
export interface Spectrum {
  /** Mean square per bin; bin k lies at k * binHz, the last one at the Nyquist frequency. */
  readonly power: Float64Array
  readonly binHz: number
  /** Elements per segment. */
  readonly length: number
  /** Bins on each side of a line that its power leaks into. */
  readonly reach: number
}

/**
 * The spectrum of a window; undefined where no row holds a segment, or the sample rate is not known. Transforms of whole rows
 * are used where they are segments.
 */
export type SpectrumMaker = (series: Series, transforms?: RowTransforms) => Spectrum | undefined

/** Transforms of the rows of a window without their means, filled up with zeros to a power of two: bins 0 to Nyquist per row. */
export type RowTransforms = () => readonly Float64Array[]

type WindowName = NonNullable<SpectrumOptions['window']>
type Detrend = NonNullable<SpectrumOptions['detrend']>

/** Coefficients of cosines, in the periodic form: the sum over k of (-1)^k c_k cos(2 pi k i / n). Harris 1978; flat top after D'Antona and Ferrero. */
const cosines: Readonly<Record<WindowName, readonly number[]>> = {
  rectangular: [1],
  hann: [0.5, 0.5],
  hamming: [0.54, 0.46],
  blackman: [0.42, 0.5, 0.08],
  flattop: [0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368],
}

interface Weights {
  readonly values: Float64Array
  readonly squares: number
}

const weightsOf = (window: WindowName, length: number): Weights => {
  const coefficients = cosines[window]
  const values = new Float64Array(length)
  let squares = 0
  for (let i = 0; i < length; i++) {
    let weight = 0
    coefficients.forEach((c, k) => (weight += (k % 2 === 0 ? c : -c) * Math.cos((2 * Math.PI * k * i) / length)))
    values[i] = weight
    squares += weight * weight
  }
  return { values, squares }
}

const weightsByName = new Map<string, Weights>()

const cachedWeights = (window: WindowName, length: number): Weights => {
  const key = `${window} ${length}`
  let found = weightsByName.get(key)
  if (found === undefined) weightsByName.set(key, (found = weightsOf(window, length)))
  return found
}

interface Scratch {
  readonly segment: Float64Array
  readonly bins: Float64Array
  readonly power: Float64Array
}

const scratchByLength = new Map<number, Scratch>()

const scratchOf = (length: number): Scratch => {
  let found = scratchByLength.get(length)
  if (found === undefined) {
    found = { segment: new Float64Array(length), bins: new Float64Array(length + 2), power: new Float64Array(length / 2 + 1) }
    scratchByLength.set(length, found)
  }
  return found
}

/** Elements of a row. */
export const rowWidth = (series: Series, row: number): number => (series.widths === null ? series.width : (series.widths[row] as number))

/** Elements of the narrowest row. */
export const leastWidth = (series: Series): number => {
  if (series.widths === null) return series.width
  let least = Number.POSITIVE_INFINITY
  for (let row = 0; row < series.rows; row++) least = Math.min(least, series.widths[row] as number)
  return least
}

/** The largest power of two that is at most this. */
export const powerOfTwoWithin = (width: number): number => 2 ** Math.floor(Math.log2(width))

/** Prepares spectra with these options: they come from `spectrum` of a rule. */
export const spectrumOf = (options: SpectrumOptions = {}): SpectrumMaker => {
  const { detrend = 'mean', window = 'hann', segment, overlap = 0.5 } = options
  const isPlain = window === 'hann' && detrend === 'mean'
  return (series, transforms) => {
    const { sampleRateHz } = series
    const least = leastWidth(series)
    const length = segment ?? (least >= 2 ? powerOfTwoWithin(least) : 0)
    if (length < 2 || sampleRateHz === null) return undefined
    const { power } = scratchOf(length)
    const weights = cachedWeights(window, length)
    power.fill(0)
    let segments = 0
    if (transforms !== undefined && isPlain && series.widths === null && series.width === length)
      for (const bins of transforms()) {
        addHann(power, bins)
        segments++
      }
    else {
      const step = Math.max(1, Math.round(length * (1 - overlap)))
      for (let row = 0, from = 0; row < series.rows; row++) {
        const width = rowWidth(series, row)
        const last = width - length
        for (let start = 0; start <= last; start += step) {
          addSegment(series.elements, from + start, length, isPlain ? undefined : weights.values, detrend)
          segments++
          // What is left over at the end is covered by one more segment that is aligned to it.
          if (start < last && start + step > last) start = last - step
        }
        from += width
      }
    }
    if (segments === 0) return undefined
    const scale = 1 / (length * weights.squares * segments)
    const nyquist = length / 2
    for (let k = 1; k < nyquist; k++) power[k] = (power[k] as number) * (2 * scale)
    power[0] = (power[0] as number) * scale
    power[nyquist] = (power[nyquist] as number) * scale
    return { power, binHz: sampleRateHz / length, length, reach: reaches[window] }
  }
}

/**
 * Transforms of the rows: made when they are first asked for, then shared by all that read them. The arrays are scratch: valid
 * until the rows of another window are transformed.
 */
export const transformsOf = (series: Series): RowTransforms => {
  let made: Float64Array[] | undefined
  return () => {
    if (made !== undefined) return made
    made = []
    for (let row = 0, from = 0; row < series.rows; row++) {
      const width = rowWidth(series, row)
      const length = powerOfTwoFor(width)
      const bins = rowBins(length, row)
      const { segment } = scratchOf(length)
      fill(series.elements, from, segment, width)
      realFftOf(length).real(segment, bins)
      made.push(bins)
      from += width
    }
    return made
  }
}

const binsOfRows = new Map<number, Float64Array[]>()

const rowBins = (length: number, row: number): Float64Array => {
  let rows = binsOfRows.get(length)
  if (rows === undefined) binsOfRows.set(length, (rows = []))
  while (rows.length <= row) rows.push(new Float64Array(length + 2))
  return rows[row] as Float64Array
}

/** The smallest power of two that is at least this, from 2 on. */
export const powerOfTwoFor = (width: number): number => Math.max(2, 2 ** Math.ceil(Math.log2(width)))

/** Half width of the main lobe, bins. */
const reaches: Readonly<Record<WindowName, number>> = { rectangular: 1, hann: 2, hamming: 2, blackman: 3, flattop: 5 }

/** Elements without their mean, and zeros behind them. */
const fill = (elements: Series['elements'], from: number, segment: Float64Array, width: number): void => {
  segment.set(elements.subarray(from, from + width))
  const mean = sumOf(segment, 0, width) / width
  for (let i = 0; i < width; i++) segment[i] = (segment[i] as number) - mean
  for (let i = width; i < segment.length; i++) segment[i] = 0
}

const addSegment = (
  elements: Series['elements'],
  from: number,
  length: number,
  weights: Float64Array | undefined,
  detrend: Detrend,
): void => {
  const { segment, bins, power } = scratchOf(length)
  if (detrend === 'none') segment.set(elements.subarray(from, from + length))
  else fill(elements, from, segment, length)
  if (detrend === 'linear') withoutLine(segment)
  if (weights !== undefined) weigh(segment, weights)
  realFftOf(length).real(segment, bins)
  if (weights === undefined) addHann(power, bins)
  else addSquares(power, bins)
}

/** Of a segment whose mean is 0. */
const withoutLine = (segment: Float64Array): void => {
  const n = segment.length
  const centre = (n - 1) / 2
  let products = 0
  for (let i = 0; i < n; i++) products += (i - centre) * (segment[i] as number)
  const slope = products / ((n * (n * n - 1)) / 12)
  for (let i = 0; i < n; i++) segment[i] = (segment[i] as number) - slope * (i - centre)
}

const weigh = (segment: Float64Array, weights: Float64Array): void => {
  for (let i = 0; i < segment.length; i++) segment[i] = (segment[i] as number) * (weights[i] as number)
}

/** Squares of the bins that the segment would have with Hann weights: these are a sum of three bins without weights. */
const addHann = (power: Float64Array, bins: Float64Array): void => {
  const nyquist = power.length - 1
  let beforeRe = bins[2] as number
  let beforeIm = -(bins[3] as number)
  let re = bins[0] as number
  let im = bins[1] as number
  for (let k = 0; k < nyquist; k++) {
    const afterRe = bins[2 * k + 2] as number
    const afterIm = bins[2 * k + 3] as number
    const hannRe = 0.5 * re - 0.25 * (beforeRe + afterRe)
    const hannIm = 0.5 * im - 0.25 * (beforeIm + afterIm)
    power[k] = (power[k] as number) + (hannRe * hannRe + hannIm * hannIm)
    beforeRe = re
    beforeIm = im
    re = afterRe
    im = afterIm
  }
  const last = 0.5 * (re - beforeRe)
  power[nyquist] = (power[nyquist] as number) + last * last
}

const addSquares = (power: Float64Array, bins: Float64Array): void => {
  for (let k = 0; k < power.length; k++) {
    const re = bins[2 * k] as number
    const im = bins[2 * k + 1] as number
    power[k] = (power[k] as number) + (re * re + im * im)
  }
}

/** The first bin at or above a frequency; beyond the last one where there is none. */
export const firstBin = ({ power, binHz }: Spectrum, hz: number): number => {
  let k = Math.max(0, Math.min(Math.ceil(hz / binHz), power.length))
  while (k > 0 && (k - 1) * binHz >= hz) k--
  while (k < power.length && k * binHz < hz) k++
  return k
}

/** Mean square in [lowHz, highHz). */
export const bandPower = (spectrum: Spectrum, lowHz: number, highHz: number): number =>
  sumOf(spectrum.power, firstBin(spectrum, lowHz), firstBin(spectrum, highHz))

/** Sum of elements `from` to `to` - 1, in four strands: each addition waits for the one before it. */
export const sumOf = (values: Float64Array, from: number, to: number): number => {
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = from
  for (; i + 3 < to; i += 4) {
    a += values[i] as number
    b += values[i + 1] as number
    c += values[i + 2] as number
    d += values[i + 3] as number
  }
  for (; i < to; i++) a += values[i] as number
  return a + b + (c + d)
}

/** Mean square above 0 Hz. */
export const totalPower = ({ power }: Spectrum): number => sumOf(power, 1, power.length)

/** The highest bin between two frequencies, both included as far as a bin is nearest to them; undefined beyond the spectrum. */
export const highestBin = ({ power, binHz }: Spectrum, lowHz: number, highHz: number): number | undefined => {
  const from = Math.max(1, Math.round(lowHz / binHz))
  const to = Math.round(highHz / binHz)
  if (to >= power.length) return undefined
  let highest = from
  for (let k = from + 1; k <= to; k++) if ((power[k] as number) > (power[highest] as number)) highest = k
  return highest
}

/** Mean square of the line in a bin: with what the window function spreads to its neighbours, `reach` unless less is wanted. */
export const linePower = ({ power, reach }: Spectrum, bin: number, within = reach): number =>
  sumOf(power, Math.max(1, bin - within), Math.min(power.length, bin + within + 1))

/** Frequency of the line in a bin: a parabola through the logarithms of the bin and its neighbours. */
export const lineHz = ({ power, binHz }: Spectrum, bin: number): number => {
  const left = Math.log(power[bin - 1] ?? 0)
  const middle = Math.log(power[bin] as number)
  const right = Math.log(power[bin + 1] ?? 0)
  const curvature = left - 2 * middle + right
  const shift = curvature < 0 && Number.isFinite(curvature) ? (left - right) / (2 * curvature) : 0
  return (bin + Math.max(-0.5, Math.min(0.5, shift))) * binHz
}
