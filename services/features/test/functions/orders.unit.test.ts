import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SpectrumOptions } from '@andon/schemas'
import { figuresOf, noise, pulsesAt, seriesOf, sine } from './waveforms.ts'

const rate = 8192
const length = 8192

/** Turns of a shaft that starts at `hz` and gains `gainHz` per second. */
const turnsAt = (t: number, hz: number, gainHz: number): number => hz * t + (gainHz * t * t) / 2

/** When the turns of the shaft are whole multiples of 1 / pulsesPerRev, from before the row until after it. */
const pulseSeconds = (hz: number, gainHz: number, pulsesPerRev = 1, seconds = 1): number[] => {
  const last = Math.ceil(turnsAt(seconds, hz, gainHz) * pulsesPerRev) + 1
  return Array.from({ length: last + 3 }, (_, i) => {
    const turns = (i - 2) / pulsesPerRev
    return gainHz === 0 ? turns / hz : (Math.sqrt(hz * hz + 2 * gainHz * turns) - hz) / gainHz
  })
}

const runUp = (hz: number, gainHz: number, lines: readonly (readonly [number, number])[]): Float64Array => {
  const random = noise(3)
  return Float64Array.from({ length }, (_, i) => {
    const turns = turnsAt(i / rate, hz, gainHz)
    return lines.reduce((sum, [order, amplitude]) => sum + amplitude * Math.sin(2 * Math.PI * order * turns + order), 2 + 0.02 * random())
  })
}

const orderRms = (
  rows: readonly Float64Array[],
  orders: readonly number[],
  given: { pulses?: readonly number[]; pulsesPerRev?: number; shaftHz?: number; spectrum?: SpectrumOptions } = {},
): number[] =>
  Object.values(
    figuresOf(seriesOf(rows, rate), ['orderRms'], {
      options: { orders, spectrum: given.spectrum },
      ...(given.pulses && { tacho: pulsesAt(given.pulses) }),
      ...(given.shaftHz !== undefined && { shaftHz: given.shaftHz }),
      machine: { tachoPulsesPerRev: given.pulsesPerRev ?? 1 },
    }),
  )

const close = (actual: number | undefined, expected: number, within: number): void =>
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) <= within, `${actual} is not ${expected}`)

const lines = [
  [1, 0.4],
  [2, 0.2],
  [7, 1],
] as const

test('at a steady speed an order has its rms, by the mean speed alone', () => {
  const found = orderRms([runUp(30.2, 0, lines)], [1, 2, 3, 7], { shaftHz: 30.2 })
  close(found[0], 0.4 / Math.SQRT2, 0.003)
  close(found[1], 0.2 / Math.SQRT2, 0.003)
  close(found[2], 0, 0.003)
  close(found[3], 1 / Math.SQRT2, 0.003)
})

test('with a tacho an order keeps its rms while the speed runs up by half and the frequency smears', () => {
  const x = runUp(20, 10, lines)
  const found = orderRms([x], [1, 2, 3, 7], { pulses: pulseSeconds(20, 10) })
  close(found[0], 0.4 / Math.SQRT2, 0.003)
  close(found[1], 0.2 / Math.SQRT2, 0.003)
  close(found[2], 0, 0.003)
  close(found[3], 1 / Math.SQRT2, 0.003)
  // The same by the mean speed: what a spectrum over time makes of it.
  const smeared = orderRms([x], [7], { shaftHz: 25 })[0] as number
  assert.ok(smeared < 0.5 / Math.SQRT2, `${smeared}`)
})

test('a constant acceleration is followed exactly between pulses, however strong', () => {
  const x = runUp(4, 20, [[100, 1]])
  close(orderRms([x], [100], { pulses: pulseSeconds(4, 20).filter(Number.isFinite) })[0], 1 / Math.SQRT2, 0.002)
})

test('a pulse that is told twice counts once', () => {
  const pulses = pulseSeconds(20, 10)
  const twice = pulses.flatMap((s, i) => (i % 3 === 0 ? [s, s] : [s]))
  const x = runUp(20, 10, lines)
  assert.deepEqual(orderRms([x], [1, 7], { pulses: twice }), orderRms([x], [1, 7], { pulses }))
})

test('a bias of the sensor does not leak into low orders of a few turns', () => {
  const x = runUp(30, 0, [[2, 0.4]])
  const pulses = [0, 1, 2, 3].map((turn) => 0.1 + turn / 30)
  const unbiased = orderRms([x.map((value) => value - 2)], [1, 2], { pulses })
  orderRms([x.map((value) => value + 98)], [1, 2], { pulses }).forEach((rms, i) => close(rms, unbiased[i] as number, 1e-6))
})

test('pulses per turn are counted, and orders need not be whole', () => {
  const x = runUp(20, 10, [[3.58, 0.7]])
  close(orderRms([x], [3.58], { pulses: pulseSeconds(20, 10, 8), pulsesPerRev: 8 })[0], 0.7 / Math.SQRT2, 0.003)
})

test('rows of a window are averaged by the turns that they hold', () => {
  const x = runUp(20, 10, lines)
  const rows = [x.subarray(0, 3000), x.subarray(3000)]
  close(orderRms(rows, [7], { pulses: pulseSeconds(20, 10) })[0], 1 / Math.SQRT2, 0.005)
})

test('a tacho that is silent, or turns too few, give no order; nor does one beyond half the sample rate', () => {
  const x = runUp(30, 0, lines)
  assert.deepEqual(orderRms([x], [1], { pulses: [], shaftHz: 30 }), [Number.NaN])
  assert.deepEqual(orderRms([x], [1], { pulses: [0.1, 0.2], shaftHz: 30 }), [Number.NaN])
  const threeTurns = [0, 1, 2, 3].map((turn) => 0.1 + turn / 30)
  assert.deepEqual(orderRms([x], [0.5, 1, 2], { pulses: threeTurns }).map(Number.isNaN), [true, false, false])
  assert.deepEqual(orderRms([x], [200], { pulses: pulseSeconds(30, 0) }), [Number.NaN])
  assert.deepEqual(orderRms([x], [200], { shaftHz: 30 }), [Number.NaN])
  assert.deepEqual(orderRms([x], [1], {}), [Number.NaN])
})

test('a line that the resolution does not part from 0 Hz is not made up', () => {
  assert.deepEqual(orderRms([sine(rate, 256, 30)], [1], { shaftHz: 30 }), [Number.NaN])
})
