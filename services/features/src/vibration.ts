// Condition-monitoring figures of a vibration waveform: overall level, impulsiveness, energy per frequency band.
//
// Scaling of the spectrum: a segment x of n elements, Hann-windowed with weights w, has by Parseval
//   sum |X_k|^2 / n = sum (x_i w_i)^2,
// whose expectation is the mean square of x times sum w^2. So the mean square inside a band is
//   2 / (n * sum w^2) * sum over the band's bins of |X_k|^2   (1 instead of 2 for 0 Hz and the Nyquist bin),
// and the bands that together cover 0..Nyquist add up to the mean square of the signal.

import FFT from 'fft.js'

/** Mean square of one or more snippets, lowest and highest bin limits in Hz. */
export interface Band {
  readonly lowHz: number
  readonly highHz: number
}

/** Removes the mean of the whole window: gravity and sensor bias are no vibration. */
export const withoutMean = (snippets: readonly ArrayLike<number>[]): Float64Array => {
  let length = 0
  for (const snippet of snippets) length += snippet.length
  const all = new Float64Array(length)
  let sum = 0
  let at = 0
  for (const snippet of snippets) {
    for (let i = 0; i < snippet.length; i++) {
      const x = snippet[i] as number
      all[at++] = x
      sum += x
    }
  }
  const centre = sum / length
  for (let i = 0; i < length; i++) all[i] = (all[i] as number) - centre
  return all
}

/** Figures of a signal whose mean is 0. A constant signal has rms, crest and kurtosis 0. */
export const rms = (signal: Float64Array): number => Math.sqrt(meanPower(signal, 2))

export const peak = (signal: Float64Array): number => {
  let highest = 0
  for (let i = 0; i < signal.length; i++) highest = Math.max(highest, Math.abs(signal[i] as number))
  return highest
}

/** Peak over RMS: 1.41 for a sine, higher for knocking. */
export const crest = (signal: Float64Array): number => {
  const level = rms(signal)
  return level > 0 ? peak(signal) / level : 0
}

/** Pearson's kurtosis: 3 for Gaussian noise, 1.5 for a sine, higher for impulses. */
export const kurtosis = (signal: Float64Array): number => {
  const variance = meanPower(signal, 2)
  return variance > 0 ? meanPower(signal, 4) / (variance * variance) : 0
}

const meanPower = (signal: Float64Array, power: 2 | 4): number => {
  let sum = 0
  for (let i = 0; i < signal.length; i++) {
    const square = (signal[i] as number) * (signal[i] as number)
    sum += power === 2 ? square : square * square
  }
  return sum / signal.length
}

/** Elements of a spectrum's segment for snippets of this width: the largest power of two that fits. */
export const segmentLength = (width: number): number => 2 ** Math.floor(Math.log2(width))

interface Transform {
  readonly fft: FFT
  readonly weights: Float64Array
  readonly weightSquares: number
  readonly input: Float64Array
  readonly output: number[]
}

const transforms = new Map<number, Transform>()

const transformOf = (length: number): Transform => {
  const known = transforms.get(length)
  if (known !== undefined) return known
  const weights = new Float64Array(length)
  let weightSquares = 0
  for (let i = 0; i < length; i++) {
    const weight = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length)
    weights[i] = weight
    weightSquares += weight * weight
  }
  const fft = new FFT(length)
  const created = { fft, weights, weightSquares, input: new Float64Array(length), output: fft.createComplexArray() }
  transforms.set(length, created)
  return created
}

/**
 * One-sided mean square per bin, averaged over all segments of all snippets (segments overlap by half; the last one is
 * aligned to the end). The mean of each segment is removed first. Bin k lies at k * sampleRateHz / length.
 */
export const powerSpectrum = (snippets: readonly ArrayLike<number>[], length: number): Float64Array => {
  const { fft, weights, weightSquares, input, output } = transformOf(length)
  const half = length / 2
  const power = new Float64Array(half + 1)
  let segments = 0
  for (const snippet of snippets) {
    for (const start of segmentStarts(snippet.length, length)) {
      let centre = 0
      for (let i = 0; i < length; i++) centre += snippet[start + i] as number
      centre /= length
      for (let i = 0; i < length; i++) input[i] = ((snippet[start + i] as number) - centre) * (weights[i] as number)
      fft.realTransform(output, input)
      for (let k = 0; k <= half; k++) {
        const re = output[2 * k] as number
        const im = output[2 * k + 1] as number
        power[k] = (power[k] as number) + re * re + im * im
      }
      segments++
    }
  }
  const scale = 1 / (length * weightSquares * segments)
  for (let k = 0; k <= half; k++) power[k] = (power[k] as number) * scale * (k === 0 || k === half ? 1 : 2)
  return power
}

const segmentStarts = (width: number, length: number): number[] => {
  const starts: number[] = []
  for (let start = 0; start + length <= width; start += length / 2) starts.push(start)
  const last = starts.at(-1)
  if (last !== undefined && last + length < width) starts.push(width - length)
  return starts
}

/** RMS of the signal inside a band: bins at or above lowHz and below highHz. */
export const bandRms = (power: Float64Array, sampleRateHz: number, band: Band): number => {
  const binHz = sampleRateHz / (2 * (power.length - 1))
  let sum = 0
  for (let k = 0; k < power.length; k++) if (k * binHz >= band.lowHz && k * binHz < band.highHz) sum += power[k] as number
  return Math.sqrt(sum)
}
