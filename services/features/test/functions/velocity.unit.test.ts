import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { motionUnit } from '@andon/schemas/motion-units'
import { zoneOf } from '../../src/functions/velocity.ts'
import { figuresOf, made, seriesOf, sine } from './waveforms.ts'
import type { Recipe } from './waveforms.ts'

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', 'vibration-figures.json'), 'utf8')) as {
  readonly signal: Recipe
  readonly velocityRmsMmS: Record<string, number>
}

const velocity = (x: Float64Array, rate: number, unit: string, velocityBandHz?: [number, number]): number =>
  figuresOf(seriesOf([x], rate), ['velocityRmsMmS'], { unit, options: { velocityBandHz } })['velocityRmsMmS'] as number

test('the velocity equals that of numpy, from acceleration, velocity and displacement', () => {
  for (const [unit, expected] of Object.entries(golden.velocityRmsMmS)) {
    const found = velocity(made(golden.signal), golden.signal.rate, unit)
    assert.ok(Math.abs(found / expected - 1) < 1e-8, `${unit}: ${found} is not ${expected}`)
  }
})

test('a tone of 1 g at 159.15 Hz moves with 9.80665 mm/s of amplitude, whatever measures it', () => {
  const hz = 1000 / (2 * Math.PI)
  const amplitudes = { '[g]': 1, g: 1, 'm/s2': 9.80665, 'mm/s': 9.80665, um: 9.80665, mm: 0.00980665 }
  for (const [unit, amplitude] of Object.entries(amplitudes)) {
    const found = velocity(sine(8192, 8192, hz, amplitude), 8192, unit)
    assert.ok(Math.abs(found / (9.80665 / Math.SQRT2) - 1) < 2e-4, `${unit}: ${found}`)
  }
})

test('what lies outside the band does not count; 10 to 1000 Hz unless another is given', () => {
  const x = sine(8192, 8192, 1500, 1)
  assert.ok(velocity(x, 8192, '[g]') < 1e-4)
  assert.ok(velocity(x, 8192, '[g]', [10, 2000]) > 0.7)
  assert.ok(velocity(sine(8192, 8192, 5, 1), 8192, '[g]') < 1)
  assert.ok(velocity(sine(8192, 8192, 5, 1), 8192, '[g]', [2, 1000]) > 200)
  // What stands still has no velocity: a band from 0 Hz begins with the first line.
  const found = velocity(
    sine(8192, 8192, 100, 1).map((value) => value + 3),
    8192,
    '[g]',
    [0, 1000],
  )
  assert.ok(Math.abs(found / velocity(sine(8192, 8192, 100, 1), 8192, '[g]') - 1) < 1e-6, `${found}`)
})

test('of a unit that is no vibration there is no velocity and no zone', () => {
  for (const unit of ['Pa', 'A', 'V', '', '1', 'toString']) {
    assert.equal(motionUnit(unit), undefined)
    const found = figuresOf(seriesOf([sine(8192, 2048, 100)], 8192), ['velocityRmsMmS', 'isoZone'], {
      unit,
      machine: { zoneLimitsMmS: [1, 2, 3] },
    })
    assert.deepEqual(found, { velocityRmsMmS: Number.NaN, isoZone: Number.NaN })
  }
})

test('zones A to D are 1 to 4; a limit belongs to the better zone', () => {
  const limits = [1.4, 2.8, 4.5] as const
  assert.deepEqual(
    [0, 1.4, 1.41, 2.8, 2.81, 4.5, 4.51, Number.NaN].map((v) => zoneOf(v, limits)),
    [1, 1, 2, 2, 3, 3, 4, Number.NaN],
  )
  const found = figuresOf(seriesOf([sine(8192, 8192, 100, 3 * Math.SQRT2)], 8192), ['isoZone'], {
    unit: 'mm/s',
    machine: { zoneLimitsMmS: limits },
  })
  assert.deepEqual(found, { isoZone: 3 })
  assert.deepEqual(figuresOf(seriesOf([sine(8192, 8192, 100)], 8192), ['isoZone'], { unit: 'mm/s' }), { isoZone: Number.NaN })
})
