// Order tracking: lines at multiples of the shaft frequency. With a tacho the row is transformed over the angle of the shaft
// instead of over time (velocity-synchronous transform, Borghesani et al. 2014), so that a changing speed smears nothing and
// no resampling filter comes in between. Without one the lines of the ordinary spectrum are read at the mean speed.

import type { FigureOf, WaveformFigures } from './figure.ts'
import type { Preparation, Series } from './kernel.ts'
import { highestBin, linePower, rowWidth } from './spectrum.ts'
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

let weighted = new Float64Array(0)

/** Elements with Hann weights over the angle and without their mean over it; gives the sum of the weights. */
const weigh = (elements: Series['elements'], from: number, { turns, steps, count }: Turned): number => {
  if (weighted.length < count) weighted = new Float64Array(count)
  const first = turns[0] as number
  const span = (turns[count - 1] as number) - first
  let weights = 0
  let mean = 0
  for (let i = 0; i < count; i++) {
    const weight = (1 - Math.cos((2 * Math.PI * ((turns[i] as number) - first)) / span)) * (steps[i] as number)
    weighted[i] = weight
    weights += weight
    mean += weight * (elements[from + i] as number)
  }
  mean /= weights
  for (let i = 0; i < count; i++) weighted[i] = (weighted[i] as number) * ((elements[from + i] as number) - mean)
  return weights
}

/** Mean square at an order, of the elements that were weighed last. */
const orderPower = ({ turns, count }: Turned, weights: number, order: number): number => {
  let re = 0
  let im = 0
  for (let i = 0; i < count; i++) {
    const angle = 2 * Math.PI * order * (turns[i] as number)
    re += (weighted[i] as number) * Math.cos(angle)
    im += (weighted[i] as number) * Math.sin(angle)
  }
  return (2 * (re * re + im * im)) / (weights * weights)
}

const fastestOf = ({ steps, count }: Turned): number => {
  let fastest = 0
  for (let i = 0; i < count; i++) fastest = Math.max(fastest, steps[i] as number)
  return fastest
}

/** Without a tacho: lines of the spectrum. */
const orderRms: FigureOf = ({ call, machine }, places) => {
  const orders = call.options.orders ?? []
  if (machine.tachoChannel !== null) return undefined
  return (spectrum, values, context) => {
    const shaftHz = context.shaftHz()
    orders.forEach((order, i) => (values[places[i] as number] = lineRms(spectrum, order * shaftHz)))
  }
}

export const orderFigures = { orderRms }

/** With a tacho: what a call asks of orders; undefined = nothing. */
export const ordersByAngle = ({ call, machine }: Preparation): WaveformFigures | undefined => {
  const places = call.asked.find(({ statistic }) => statistic === 'orderRms')?.places
  if (places === undefined || machine.tachoChannel === null) return undefined
  const orders = call.options.orders ?? []
  return (series, _transforms, values, context) => {
    const tacho = context.tacho()
    if (series.sampleRateHz === null || tacho === undefined) return
    const pulses = pulseTimes(tacho)
    if (pulses.length < 3) return
    const slopes = slopesOf(pulses, pulses.length)
    const sums = orders.map(() => ({ power: 0, turns: 0, isAliased: false }))
    for (let row = 0, from = 0; row < series.rows; row++) {
      const width = rowWidth(series, row)
      const over = turn(series.timesUs[row] as number, 1e6 / series.sampleRateHz, width, pulses, slopes, machine.tachoPulsesPerRev)
      if (over.count > 1) {
        const span = (over.turns[over.count - 1] as number) - (over.turns[0] as number)
        const fastest = fastestOf(over)
        const weights = weigh(series.elements, from + over.from, over)
        orders.forEach((order, i) => {
          const sum = sums[i] as (typeof sums)[number]
          if (order * fastest >= 0.5) sum.isAliased = true
          else if (order * span >= LEAST_CYCLES) {
            sum.power += span * orderPower(over, weights, order)
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
}
