// The bearing recordings (cwru) as windows of 4 096 samples at 12 kHz with 17 numbers each: six of the waveform, the energies of eight bands
// relative to the total, three defect lines of the envelope. Relative, because absolute energies tell loads apart rather than faults.

import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type Matrix, matrixOf } from '@andon/clustering/matrix'
import { fftOf, realFftOf } from '@andon/features/functions/fft'

const SAMPLE_RATE_HZ = 12_000
const WINDOW = 4096
const SEGMENT = 1024
const BANDS = 8
/** Of the bearing of these recordings, in turns of the shaft: outer race, inner race, ball. */
const DEFECT_ORDERS = [3.5848, 5.4152, 4.7135] as const

export const BEARING_FEATURES: readonly string[] = [
  'logRms',
  'logKurtosis',
  'logCrest',
  'logShape',
  'logImpulse',
  'skewness',
  ...Array.from({ length: BANDS }, (_, i) => `logBandShare${i + 1}`),
  'logOuterRace',
  'logInnerRace',
  'logBall',
]

export interface BearingWindows {
  /** Rows are windows, columns `BEARING_FEATURES`. */
  readonly features: Matrix
  /** `Normal`, or fault and size: `IR_21`. */
  readonly faults: readonly string[]
  readonly speedsRpm: readonly number[]
}

/** All windows of the drive-end (`DE`) or fan-end (`FE`) sensor, in the order of the file names. */
export const bearingWindows = (data: string, sensor: 'DE' | 'FE' = 'DE'): BearingWindows => {
  const rows: Float64Array[] = []
  const faults: string[] = []
  const speedsRpm: number[] = []
  for (const path of globSync(`*_${sensor}_*.gz`, { cwd: join(data, 'cwru') }).toSorted()) {
    const bytes = gunzipSync(readFileSync(join(data, 'cwru', path)))
    const samples = Float64Array.from(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)))
    const [speed = '', fault = '', size = ''] = basename(path).split('_')
    // The healthy run has four times the rate of the others (see the README there).
    const signal = fault === 'Normal' ? everyFourth(samples) : samples
    for (let from = 0; from + WINDOW <= signal.length; from += WINDOW) {
      rows.push(bearingFeatures(signal.subarray(from, from + WINDOW), Number(speed)))
      faults.push(fault === 'Normal' ? fault : `${fault}_${size}`)
      speedsRpm.push(Number(speed))
    }
  }
  return { features: matrixOf(rows), faults, speedsRpm }
}

/** Low-pass (81 taps, Hamming) and every fourth sample, without delay. */
const everyFourth = (samples: Float64Array): Float64Array => {
  const half = 40
  const taps = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const x = (i - half) / 4
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
    return sinc * (0.54 - 0.46 * Math.cos((Math.PI * i) / half))
  })
  const gain = taps.reduce((sum, tap) => sum + tap, 0)
  return Float64Array.from({ length: Math.ceil(samples.length / 4) }, (_, i) => {
    let sum = 0
    taps.forEach((tap, k) => (sum += tap * (samples[4 * i - half + k] ?? 0)))
    return sum / gain
  })
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length

export const bearingFeatures = (window: Float64Array, speedRpm: number): Float64Array => {
  const offset = mean(window)
  const x = window.map((value) => value - offset)
  const rms = Math.sqrt(mean(x.map((value) => value * value)))
  const sizes = x.map(Math.abs)
  const [peak, size] = [sizes.reduce((a, b) => Math.max(a, b), 0), mean(sizes)]
  const waveform = [
    Math.log(rms),
    Math.log(mean(x.map((value) => (value / rms) ** 4))),
    Math.log(peak / rms),
    Math.log(rms / size),
    Math.log(peak / size),
    mean(x.map((value) => (value / rms) ** 3)),
  ]
  return Float64Array.from([...waveform, ...bandShares(x), ...defectLines(x, speedRpm)])
}

/** Power by Welch's method: segments that overlap by half, Hann, each without its mean. */
const bandShares = (x: Float64Array): number[] => {
  const power = new Float64Array(SEGMENT / 2)
  const fft = realFftOf(SEGMENT)
  const out = new Float64Array(SEGMENT + 2)
  for (let from = 0; from + SEGMENT <= x.length; from += SEGMENT / 2) {
    const segment = x.subarray(from, from + SEGMENT)
    const level = mean(segment)
    fft.real(
      segment.map((value, i) => (value - level) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SEGMENT))),
      out,
    )
    for (let k = 0; k < power.length; k++) power[k] = (power[k] as number) + (out[2 * k] as number) ** 2 + (out[2 * k + 1] as number) ** 2
  }
  const width = power.length / BANDS
  const bands = Array.from({ length: BANDS }, (_, i) => power.subarray(i * width, (i + 1) * width).reduce((sum, one) => sum + one, 0))
  const total = bands.reduce((sum, one) => sum + one, 0)
  return bands.map((one) => Math.log(one / total))
}

/** Each defect's first two lines in the spectrum of the envelope, against its median from 5 to 1 000 Hz. */
const defectLines = (x: Float64Array, speedRpm: number): number[] => {
  const n = x.length
  const complex = new Float64Array(2 * n)
  x.forEach((value, i) => (complex[2 * i] = value))
  const spectrum = new Float64Array(2 * n)
  fftOf(n).complex(complex, spectrum)
  // The analytic signal: positive frequencies doubled, negative ones out. Conjugated, so that the forward transform is the inverse one.
  for (let k = 0; k < n; k++) {
    const factor = k === 0 || k === n / 2 ? 1 : k < n / 2 ? 2 : 0
    spectrum[2 * k] = factor * (spectrum[2 * k] as number)
    spectrum[2 * k + 1] = -factor * (spectrum[2 * k + 1] as number)
  }
  fftOf(n).complex(spectrum, complex)
  const envelope = Float64Array.from({ length: n }, (_, i) => Math.hypot(complex[2 * i] as number, complex[2 * i + 1] as number) / n)
  const level = mean(envelope)
  const out = new Float64Array(n + 2)
  realFftOf(n).real(
    envelope.map((value, i) => (value - level) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (n - 1)))),
    out,
  )
  const power = Float64Array.from({ length: n / 2 + 1 }, (_, k) => (out[2 * k] as number) ** 2 + (out[2 * k + 1] as number) ** 2)
  const hz = (k: number): number => (k * SAMPLE_RATE_HZ) / n
  const quiet = power.filter((_, k) => hz(k) > 5 && hz(k) < 1000).sort()
  const middle = (quiet.length - 1) / 2
  const median = ((quiet[Math.floor(middle)] as number) + (quiet[Math.ceil(middle)] as number)) / 2
  return DEFECT_ORDERS.map((order) => {
    let sum = 0
    for (const harmonic of [1, 2]) {
      const at = (order * harmonic * speedRpm) / 60
      sum += power.reduce((most, one, k) => (hz(k) > at * 0.98 - 3 && hz(k) < at * 1.02 + 3 && one > most ? one : most), 0)
    }
    return Math.log(sum / median)
  })
}

/** Every column with mean 0 and standard deviation 1. */
export const standardised = ({ values, rows, width }: Matrix): Matrix => {
  const out = values.slice()
  for (let k = 0; k < width; k++) {
    const column = Float64Array.from({ length: rows }, (_, i) => values[i * width + k] as number)
    const level = mean(column)
    const spread = Math.sqrt(mean(column.map((value) => (value - level) ** 2))) || 1
    column.forEach((value, i) => (out[i * width + k] = (value - level) / spread))
  }
  return { values: out, rows, width }
}
