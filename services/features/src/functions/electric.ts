// Voltages and currents of the mains: frequency, harmonics, and how unequal three phases are.
//
// The fundamental is looked for within 15 % of the expected frequency (IEC 61000-4-30), roughly in the spectrum and then by
// its phase in two parts of each row. Harmonics are measured over a whole number of its cycles, Hann-weighted, at exact multiples:
// then neither the fundamental nor other harmonics leak into them. A row needs three cycles.

import type { Statistic } from '@andon/schemas'
import { scratchArray } from './elements.ts'
import type { Compute, Kernel, Series } from './kernel.ts'
import { meanOf, rmsOf } from './moments.ts'
import { highestBin, lineHz, linePower, rowWidth, spectrumOf, totalPower } from './spectrum.ts'

const leastCycles = 3
/** Of a count of cycles: a row of a whole number is not one short because its frequency is not known to the last digit. */
const tolerance = 0.02
const harmonics = 40
/** Below this share of the power there is noise rather than a fundamental: the mains are off. */
const leastShare = 0.05

const makeSpectrum = spectrumOf()

/** Frequency of the fundamental in all rows together; NaN without one. */
const roughHz = (series: Series, expectedHz: number): number => {
  const spectrum = makeSpectrum(series)
  if (spectrum === undefined) return Number.NaN
  const bin = highestBin(spectrum, 0.85 * expectedHz, 1.15 * expectedHz)
  if (bin === undefined) return Number.NaN
  const total = totalPower(spectrum)
  return total > 0 && linePower(spectrum, bin) >= leastShare * total ? lineHz(spectrum, bin) : Number.NaN
}

const phasor = { re: Number.NaN, im: Number.NaN }

/** Component of a frequency in x[from .. from + n), in `phasor`: an amplitude, and the phase at `from`. Hann-weighted. */
const measure = (x: Series['elements'], from: number, n: number, turnsPerElement: number): void => {
  const first = x[from] as number
  const [stepRe, stepIm] = [Math.cos(2 * Math.PI * turnsPerElement), -Math.sin(2 * Math.PI * turnsPerElement)]
  const [windowRe, windowIm] = [Math.cos((2 * Math.PI) / n), Math.sin((2 * Math.PI) / n)]
  let [re, im, turnRe, turnIm, hannRe, hannIm] = [0, 0, 1, 0, 1, 0]
  for (let i = 0; i < n; i++) {
    const y = ((x[from + i] as number) - first) * (0.5 - 0.5 * hannRe)
    re += y * turnRe
    im += y * turnIm
    const nextTurn = turnRe * stepRe - turnIm * stepIm
    turnIm = turnRe * stepIm + turnIm * stepRe
    turnRe = nextTurn
    const nextHann = hannRe * windowRe - hannIm * windowIm
    hannIm = hannRe * windowIm + hannIm * windowRe
    hannRe = nextHann
  }
  phasor.re = (4 * re) / n
  phasor.im = (4 * im) / n
}

/** The frequency in one row: what its phase advances by from the first two thirds of the row to the last. */
const refinedHz = (x: Series['elements'], from: number, width: number, rateHz: number, hz: number): number => {
  const cycles = Math.floor((width * hz * 2) / (3 * rateHz) + tolerance)
  const n = Math.round((cycles * rateHz) / hz)
  const apart = width - n
  if (cycles < 2 || apart < 1) return hz
  measure(x, from, n, hz / rateHz)
  const before = Math.atan2(phasor.im, phasor.re)
  measure(x, from + apart, n, hz / rateHz)
  const turns = (Math.atan2(phasor.im, phasor.re) - before) / (2 * Math.PI) - (apart * hz) / rateHz
  return hz + ((turns - Math.round(turns)) * rateHz) / apart
}

/** Looks at each row that is long enough: its place, elements in whole cycles, and frequency. False where there is none. */
const eachRow = (series: Series, expectedHz: number, look: (from: number, width: number, n: number, hz: number) => void): boolean => {
  const rateHz = series.sampleRateHz
  const rough = rateHz === null ? Number.NaN : roughHz(series, expectedHz)
  if (rateHz === null || Number.isNaN(rough)) return false
  let rows = 0
  for (let row = 0, from = 0; row < series.rows; row++) {
    const width = rowWidth(series, row)
    if ((width * rough) / rateHz >= leastCycles - tolerance) {
      const hz = refinedHz(series.elements, from, width, rateHz, rough)
      const cycles = Math.floor((width * hz) / rateHz + tolerance)
      look(from, width, Math.min(width, Math.round((cycles * rateHz) / hz)), hz)
      rows++
    }
    from += width
  }
  return rows > 0
}

const lineFrequency = (series: Series, expectedHz: number): number => {
  let [sum, weight] = [0, 0]
  const isFound = eachRow(series, expectedHz, (_, width, __, hz) => {
    sum += width * hz
    weight += width
  })
  return isFound ? sum / weight : Number.NaN
}

const weighted = scratchArray()

const weigh = (x: Series['elements'], from: number, n: number, y: Float64Array): void => {
  const first = x[from] as number
  for (let i = 0; i < n; i++) y[i] = ((x[from + i] as number) - first) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n))
}

/** Squared amplitudes of four multiples of a frequency at once, the first being `k` (Goertzel): four chains that do not wait for each other. */
const squaredAmplitudes = (y: Float64Array, n: number, turnsPerElement: number, k: number, out: Float64Array): void => {
  const turn = (m: number) => 2 * Math.cos(2 * Math.PI * turnsPerElement * m)
  const [ta, tb, tc, td] = [turn(k), turn(k + 1), turn(k + 2), turn(k + 3)]
  let [a1, a2, b1, b2, c1, c2, d1, d2] = [0, 0, 0, 0, 0, 0, 0, 0]
  for (let i = 0; i < n; i++) {
    const x = y[i] as number
    const a0 = ta * a1 + (x - a2)
    const b0 = tb * b1 + (x - b2)
    const c0 = tc * c1 + (x - c2)
    const d0 = td * d1 + (x - d2)
    a2 = a1
    a1 = a0
    b2 = b1
    b1 = b0
    c2 = c1
    c1 = c0
    d2 = d1
    d1 = d0
  }
  const scale = 16 / (n * n)
  out[k] = (a1 * a1 + a2 * a2 - ta * a1 * a2) * scale
  out[k + 1] = (b1 * b1 + b2 * b2 - tb * b1 * b2) * scale
  out[k + 2] = (c1 * c1 + c2 * c2 - tc * c1 * c2) * scale
  out[k + 3] = (d1 * d1 + d2 * d2 - td * d1 * d2) * scale
}

const powers = new Float64Array(harmonics + 1)

const thd = (series: Series, expectedHz: number): number => {
  const rateHz = series.sampleRateHz ?? Number.NaN
  let [fundamental, distortion] = [0, 0]
  const isFound = eachRow(series, expectedHz, (from, _, n, hz) => {
    const highest = Math.min(harmonics, Math.ceil(rateHz / 2 / hz) - 1)
    const y = weighted(n)
    weigh(series.elements, from, n, y)
    for (let k = 1; k <= highest; k += 4) squaredAmplitudes(y, n, hz / rateHz, k, powers)
    fundamental += n * (powers[1] as number)
    for (let k = 2; k <= highest; k++) distortion += n * (powers[k] as number)
  })
  return isFound && 2 * expectedHz * 1.15 < rateHz / 2 ? 100 * Math.sqrt(distortion / fundamental) : Number.NaN
}

const ofMains = { lineFrequencyHz: lineFrequency, thdPct: thd } as const satisfies Partial<Record<Statistic, unknown>>

export const mains: Kernel = {
  statistics: ['lineFrequencyHz', 'thdPct'],
  prepare: ({ call: { asked, options } }): Compute => {
    const expectedHz = options.fundamentalHz ?? 50
    const wanted = asked.map(({ statistic, places: [place] }) => ({
      of: ofMains[statistic as keyof typeof ofMains],
      place: place as number,
    }))
    return ([series], values) => {
      for (const { of, place } of wanted) values[place] = of(series!, expectedHz)
    }
  },
}

const imbalance = (three: readonly Series[]): number => {
  const levels = three.map((series) => (series.sampleRateHz === null ? meanOf(series) : rmsOf(series)))
  const mean = levels.reduce((sum, level) => sum + level, 0) / 3
  const furthest = Math.max(...levels.map((level) => Math.abs(level - mean)))
  return mean === 0 ? Number.NaN : (100 * furthest) / Math.abs(mean)
}

/** Rows of three phases that were sampled together. */
const areTogether = (three: readonly Series[]): boolean => {
  const [first, ...others] = three as readonly [Series, ...Series[]]
  return others.every((other) => {
    if (other.rows !== first.rows || other.sampleRateHz !== first.sampleRateHz) return false
    for (let row = 0; row < first.rows; row++)
      if (other.timesUs[row] !== first.timesUs[row] || rowWidth(other, row) !== rowWidth(first, row)) return false
    return true
  })
}

const negativeSequence = (three: readonly Series[], expectedHz: number): number => {
  const rateHz = three[0]!.sampleRateHz ?? Number.NaN
  if (!areTogether(three)) return Number.NaN
  let [positive, negative] = [0, 0]
  const isFound = eachRow(three[0]!, expectedHz, (from, _, n, hz) => {
    let [posRe, posIm, negRe, negIm] = [0, 0, 0, 0]
    three.forEach(({ elements }, phase) => {
      measure(elements, from, n, hz / rateHz)
      const [re, im] = [Math.cos((2 * Math.PI * phase) / 3), Math.sin((2 * Math.PI * phase) / 3)]
      posRe += phasor.re * re - phasor.im * im
      posIm += phasor.re * im + phasor.im * re
      negRe += phasor.re * re + phasor.im * im
      negIm += phasor.im * re - phasor.re * im
    })
    positive += n * (posRe * posRe + posIm * posIm)
    negative += n * (negRe * negRe + negIm * negIm)
  })
  return isFound && positive > 0 ? 100 * Math.sqrt(negative / positive) : Number.NaN
}

const ofPhases = { phaseImbalancePct: imbalance, negativeSequencePct: negativeSequence } as const satisfies Partial<
  Record<Statistic, unknown>
>

export const phases: Kernel = {
  statistics: ['phaseImbalancePct', 'negativeSequencePct'],
  prepare: ({ call: { asked, options } }): Compute => {
    const expectedHz = options.fundamentalHz ?? 50
    const wanted = asked.map(({ statistic, places: [place] }) => ({
      of: ofPhases[statistic as keyof typeof ofPhases],
      place: place as number,
    }))
    return (three, values) => {
      for (const { of, place } of wanted) values[place] = of(three, expectedHz)
    }
  },
}
