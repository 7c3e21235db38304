// Order tracking: lines at multiples of the shaft frequency. With a tacho the row is transformed over the angle of the shaft
// instead of over time (velocity-synchronous transform, Borghesani et al. 2014), so that a changing speed smears nothing and
// no resampling filter comes in between. Without one the lines of the ordinary spectrum are read at the mean speed.

import type { Compute, Kernel, Preparation, Series } from './kernel.ts'
import { highestBin, linePower, rowWidth, spectrumOf } from './spectrum.ts'
import type { Spectrum } from './spectrum.ts'

/** The measured speed may be off by so much. */
const SPEED_ERROR = 0.005
/** Turns of the shaft times the order from which a line stands clear of 0 Hz: the half width of a Hann window's main lobe. */
const LEAST_CYCLES = 2

const lineRms = (spectrum: Spectrum, hz: number): number => {
  const { binHz, reach } = spectrum
  if (!(hz >= (reach + 1) * binHz)) return Number.NaN
  const aroundHz = Math.max(binHz, SPEED_ERROR * hz)
  const bin = highestBin(spectrum, hz - aroundHz, hz + aroundHz)
  return bin === undefined ? Number.NaN : Math.sqrt(linePower(spectrum, bin))
}

/** Turns of the shaft per pulse interval at each pulse: the parabola through it and its neighbours, which a constant acceleration follows. */
const slopesOf = (timesUs: Float64Array, pulses: number): Float64Array => {
  const slopes = new Float64Array(pulses)
  const gap = (j: number): number => (timesUs[j + 1] as number) - (timesUs[j] as number)
  for (let j = 1; j < pulses - 1; j++) {
    const before = gap(j - 1)
    const after = gap(j)
    slopes[j] = (after / before + before / after) / (before + after)
  }
  slopes[0] = 2 / gap(0) - (slopes[1] as number)
  slopes[pulses - 1] = 2 / gap(pulses - 2) - (slopes[pulses - 2] as number)
  return slopes
}

/** Pulses in order of time; equal times are one pulse. */
const pulseTimes = (tacho: Series): Float64Array => {
  const times = tacho.timesUs.subarray(0, tacho.rows)
  return times.filter((time, i) => i === 0 || time > (times[i - 1] as number))
}

/** What the elements of one row say over the angle: scratch, valid for the row. */
interface Turned {
  /** First element that lies between two pulses, and how many do. */
  from: number
  count: number
  /** Turns of the shaft at each element. */
  turns: Float64Array
  /** Turns per element. */
  steps: Float64Array
}

const turned: Turned = { from: 0, count: 0, turns: new Float64Array(0), steps: new Float64Array(0) }

const turn = (startUs: number, stepUs: number, width: number, pulses: Float64Array, slopes: Float64Array, pulsesPerRev: number): Turned => {
  if (turned.turns.length < width) {
    turned.turns = new Float64Array(width)
    turned.steps = new Float64Array(width)
  }
  turned.count = 0
  let j = 0
  for (let i = 0; i < width; i++) {
    const timeUs = startUs + i * stepUs
    while (j < pulses.length - 1 && (pulses[j + 1] as number) <= timeUs) j++
    if (j === pulses.length - 1) break
    const sinceUs = timeUs - (pulses[j] as number)
    if (sinceUs < 0) continue
    const gapUs = (pulses[j + 1] as number) - (pulses[j] as number)
    const s = sinceUs / gapUs
    const left = gapUs * (slopes[j] as number)
    const right = gapUs * (slopes[j + 1] as number)
    // Cubic from 0 to 1 with these slopes at its ends, and its derivative.
    const angle = s * (left + s * (3 - 2 * left - right + s * (left + right - 2)))
    const speed = left + s * (2 * (3 - 2 * left - right) + 3 * s * (left + right - 2))
    if (turned.count === 0) turned.from = i
    turned.turns[turned.count] = (j + angle) / pulsesPerRev
    turned.steps[turned.count] = ((speed / gapUs) * stepUs) / pulsesPerRev
    turned.count++
  }
  return turned
}

/** Mean square at an order in one row: Hann weights over the angle, and the mean over the angle left out. */
const orderPower = (elements: Series['elements'], from: number, { turns, steps, count }: Turned, order: number): number => {
  const first = turns[0] as number
  const span = (turns[count - 1] as number) - first
  const weightOf = (i: number): number => (1 - Math.cos((2 * Math.PI * ((turns[i] as number) - first)) / span)) * (steps[i] as number)
  let weights = 0
  let mean = 0
  for (let i = 0; i < count; i++) {
    const weight = weightOf(i)
    weights += weight
    mean += weight * (elements[from + i] as number)
  }
  mean /= weights
  let re = 0
  let im = 0
  for (let i = 0; i < count; i++) {
    const x = ((elements[from + i] as number) - mean) * weightOf(i)
    const angle = 2 * Math.PI * order * (turns[i] as number)
    re += x * Math.cos(angle)
    im += x * Math.sin(angle)
  }
  return (2 * (re * re + im * im)) / (weights * weights)
}

export const orders: Kernel = {
  statistics: ['orderRms'],
  prepare: ({ call, machine }: Preparation): Compute => {
    const wanted = call.options.orders ?? []
    const places = call.asked[0]?.places ?? []
    const spectrumFor = spectrumOf(call.options.spectrum)
    const bySpeed: Compute = ([series], values, context) => {
      const shaftHz = context.shaftHz()
      const spectrum = series && shaftHz > 0 ? spectrumFor(series) : undefined
      if (spectrum !== undefined) wanted.forEach((order, i) => (values[places[i] as number] = lineRms(spectrum, order * shaftHz)))
    }
    const byAngle: Compute = ([series], values, context) => {
      const tacho = context.tacho()
      if (series === undefined || series.sampleRateHz === null || tacho === undefined) return
      const pulses = pulseTimes(tacho)
      if (pulses.length < 3) return
      const slopes = slopesOf(pulses, pulses.length)
      const sums = wanted.map(() => ({ power: 0, turns: 0, isAliased: false }))
      for (let row = 0, from = 0; row < series.rows; row++) {
        const width = rowWidth(series, row)
        const over = turn(series.timesUs[row] as number, 1e6 / series.sampleRateHz, width, pulses, slopes, machine.tachoPulsesPerRev)
        if (over.count > 1) {
          const span = (over.turns[over.count - 1] as number) - (over.turns[0] as number)
          let fastest = 0
          for (let i = 0; i < over.count; i++) fastest = Math.max(fastest, over.steps[i] as number)
          wanted.forEach((order, i) => {
            const sum = sums[i] as (typeof sums)[number]
            if (order * fastest >= 0.5) sum.isAliased = true
            else if (order * span >= LEAST_CYCLES) {
              sum.power += span * orderPower(series.elements, from + over.from, over, order)
              sum.turns += span
            }
          })
        }
        from += width
      }
      sums.forEach(({ power, turns, isAliased }, i) => {
        if (turns > 0 && !isAliased) values[places[i] as number] = Math.sqrt(power / turns)
      })
    }
    return machine.tachoChannel === null ? bySpeed : byAngle
  },
}
