import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Series } from '../src/functions/kernel.ts'
import { noHealthRules, plainMachine } from '../src/plan.ts'
import type { HealthRules, PlanChannel } from '../src/plan.ts'
import { sensorFlags } from '../src/sensor-health.ts'
import type { ChannelWindow } from '../src/sensor-health.ts'

const all: HealthRules = { stuckRows: 20, flat: true, saturatedShare: 0.02, dropOutShare: 0.2, gapPeriods: 5, noiseFactor: 4 }
const pressure: PlanChannel = { id: 'pressureBar', unit: 'bar', kind: 'scalar', range: [0, 400], sampleRateHz: null, width: 1 }
const vibration: PlanChannel = { id: 'vibrationG', unit: 'g', kind: 'waveform', range: [-100, 100], sampleRateHz: 8192, width: 4 }
const STEP_US = 100_000

/** Rows a tenth of a second apart, or at these times. */
const seriesOf = (elements: readonly number[], { width = 1, timesUs }: { width?: number; timesUs?: readonly number[] } = {}): Series => {
  const rows = elements.length / width
  return {
    rows,
    timesUs: Float64Array.from(timesUs ?? Array.from({ length: rows }, (_, row) => row * STEP_US)),
    elements: Float64Array.from(elements),
    width,
    widths: null,
    sampleRateHz: null,
  }
}

const flagsOf = (
  health: Partial<HealthRules>,
  good: Series | undefined,
  { channel = pressure, hop = { us: 1 }, ...window }: Partial<ChannelWindow> & { channel?: PlanChannel; hop?: 'row' | { us: number } } = {},
) => {
  const endUs = good === undefined ? 0 : (good.timesUs.at(-1) as number) + STEP_US
  const whole = { good, badRows: 0, startUs: good?.timesUs[0] ?? 0, endUs, isMachineOff: false, ...window }
  return sensorFlags({ channels: [channel], machine: plainMachine, hop, health: { ...noHealthRules, ...health } }, 0, whole)
}

/** Noise of a sound sensor: values that differ from their neighbours, well inside the range. */
const noise = (length: number, scale = 1, seed = 1): number[] => {
  let state = seed
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return 200 + scale * (state / 1_073_741_824 - 1)
  })
}

test('a sound sensor has no flags, and every healthy window gives the same empty list', () => {
  const first = flagsOf(all, seriesOf(noise(256)))
  assert.deepEqual(first, [])
  assert.equal(flagsOf(all, seriesOf(noise(256, 1, 7))), first)
})

test('flat: exactly when no element differs', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 40 }), (values) => {
      assert.equal(flagsOf({ flat: true }, seriesOf(values)).includes('flat'), new Set(values).size === 1)
    }),
  )
  assert.deepEqual(flagsOf({ flat: true }, seriesOf([5])), [], 'one value tells nothing')
})

test('stuck: exactly when the last so many rows are equal and one before them differs', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 2, maxLength: 12 }),
      fc.integer({ min: 2, max: 6 }),
      fc.integer({ min: 1, max: 3 }),
      (rows, stuckRows, width) => {
        const tail = rows.slice(-stuckRows)
        const isStuck = rows.length > stuckRows && new Set(tail).size === 1 && new Set(rows).size > 1
        const elements = rows.flatMap((value) => Array.from({ length: width }, () => value))
        assert.equal(flagsOf({ stuckRows }, seriesOf(elements, { width })).includes('stuck'), isStuck)
      },
    ),
  )
})

test('a sensor that stops moving is stuck, from its twentieth equal row on', () => {
  const moving = noise(236)
  const still = (rows: number) => [...moving, ...Array.from({ length: rows }, () => 17)]
  assert.deepEqual(flagsOf(all, seriesOf(still(19))), [])
  assert.deepEqual(flagsOf(all, seriesOf(still(20))), ['stuck'])
})

test('where the machine is off, what stands still is no fault', () => {
  const still = seriesOf([...noise(100), ...Array.from({ length: 100 }, () => 17)])
  assert.deepEqual(flagsOf({ stuckRows: 20, flat: true }, still, { isMachineOff: true }), [])
  assert.deepEqual(flagsOf({ flat: true }, seriesOf([3, 3, 3]), { isMachineOff: true }), [])
})

test('saturated: exactly when this share of the elements is at an end of the range or beyond', () => {
  const channel = { ...pressure, range: [-2, 2] as const }
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 30 }),
      fc.constantFrom(0.02, 0.25, 1),
      (values, share) => {
        const beyond = values.filter((value) => Math.abs(value) >= 2).length
        const isSaturated = beyond > 0 && beyond / values.length >= share
        assert.equal(flagsOf({ saturatedShare: share }, seriesOf(values), { channel }).includes('saturated'), isSaturated)
      },
    ),
  )
})

test('zero and 100 % are values, not ends of a sensor', () => {
  const level = { ...pressure, unit: '%', range: [0, 100] as const }
  assert.deepEqual(flagsOf(all, seriesOf([0, 100, 0, 100]), { channel: level }), [])
  assert.deepEqual(flagsOf(all, seriesOf([0, 100.1]), { channel: level }), ['saturated'])
  assert.deepEqual(flagsOf(all, seriesOf([-0.1, 50]), { channel: level }), ['saturated'])
  assert.deepEqual(flagsOf(all, seriesOf([100, 50]), { channel: { ...level, unit: 'Cel' } }), ['saturated'])
  assert.deepEqual(flagsOf(all, seriesOf([1e9, 50]), { channel: { ...level, range: null } }), [])
})

test('drop-outs: exactly when this share of the rows is bad, also where no good row is left', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }), (goodRows, badRows) => {
      const good = goodRows === 0 ? undefined : seriesOf(noise(goodRows))
      const flagged = flagsOf({ dropOutShare: 0.2 }, good, { badRows }).includes('drop-outs')
      assert.equal(flagged, badRows > 0 && badRows / (goodRows + badRows) >= 0.2)
    }),
  )
})

test('gap: a pause of more than five usual distances between rows, and at the ends of a time window', () => {
  const timesWith = (pause: number) => Array.from({ length: 40 }, (_, row) => (row < 20 ? row : row + pause - 1) * STEP_US)
  const rows = noise(40)
  fc.assert(
    fc.property(fc.double({ min: 1, max: 20, noNaN: true }), (pause) => {
      const flagged = flagsOf({ gapPeriods: 5 }, seriesOf(rows, { timesUs: timesWith(pause) })).includes('gap')
      if (Math.abs(pause - 5) > 1e-6) assert.equal(flagged, pause > 5)
    }),
  )
  const good = seriesOf(rows)
  assert.deepEqual(flagsOf(all, good, { startUs: -6 * STEP_US }), ['gap'])
  assert.deepEqual(flagsOf(all, good, { endUs: 46 * STEP_US }), ['gap'])
  assert.deepEqual(flagsOf(all, good, { startUs: -6 * STEP_US, endUs: 46 * STEP_US, hop: 'row' }), [], 'windows by row end with a row')
})

test('gap: as one would count it, for any distances', () => {
  const distance = fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 12 }) })
  fc.assert(
    fc.property(fc.array(distance, { minLength: 7, maxLength: 60 }), fc.constantFrom(1.5, 3, 5), (distances, gapPeriods) => {
      const timesUs = [0, ...distances.map((_, i) => distances.slice(0, i + 1).reduce((sum, each) => sum + each, 0))]
      const longest = Math.max(...distances)
      const usual = ((timesUs.at(-1) as number) - longest) / (distances.length - 1)
      const near = distances.filter((each) => Math.abs(each - usual) <= usual / 2).length
      const isGap = longest > gapPeriods * usual && near >= 0.75 * distances.length
      assert.equal(flagsOf({ gapPeriods }, seriesOf(noise(timesUs.length), { timesUs }), { hop: 'row' }).includes('gap'), isGap)
    }),
  )
})

test('what is sent on change has no rhythm, and so no gaps', () => {
  let timeUs = 0
  const timesUs = Array.from({ length: 60 }, (_, row) => (timeUs += row % 3 === 0 ? 8 * STEP_US : STEP_US / (1 + (row % 4))))
  assert.deepEqual(flagsOf(all, seriesOf(noise(60), { timesUs })), [])
})

test('noise: differences between neighbours change by the factor from one half to the other', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.05, max: 20, noNaN: true }), (ratio) => {
      const half = noise(128)
      const later = half.map((value) => 200 + ratio * (value - 200))
      const flagged = flagsOf({ noiseFactor: 4 }, seriesOf([...half, ...later])).includes('noise')
      const change = Math.max(ratio, 1 / ratio)
      if (Math.abs(change - 4) > 0.01) assert.equal(flagged, change > 4)
    }),
  )
})

test('a fault of the machine is none of the sensor: a step of the level, a trend, a growing vibration', () => {
  const rows = noise(256)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 255 }), fc.double({ min: -5000, max: 5000, noNaN: true }), (at, step) => {
      const shifted = seriesOf(rows.map((value, i) => (i < at ? value : value + step)))
      assert.deepEqual(flagsOf(all, shifted, { channel: { ...pressure, range: null } }), [])
    }),
  )
  assert.deepEqual(flagsOf(all, seriesOf(rows.map((value, i) => value + 0.3 * i))), [])
  const growing = noise(1024).map((value, i) => (value - 200) * (1 + i / 50))
  assert.deepEqual(flagsOf(all, seriesOf(growing, { width: 4 }), { channel: vibration }), [])
})

test('a tacho is not judged by its values, and a channel without rows not at all', () => {
  const plan = { channels: [pressure], machine: { ...plainMachine, tachoChannel: 0 }, hop: { us: 1 }, health: all }
  const window = { badRows: 0, startUs: 0, endUs: 1, isMachineOff: false }
  assert.deepEqual(sensorFlags(plan, 0, { ...window, good: seriesOf([1, 1, 1, 1]) }), [])
  assert.deepEqual(flagsOf(all, undefined), [])
})
