import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { StatisticOptions } from '@andon/schemas'
import fc from 'fast-check'
import { envelopeStatistics as all, medianOf } from '../../src/functions/envelope.ts'
import { figuresOf, made, noise, seriesOf, sine } from './waveforms.ts'
import type { Recipe } from './waveforms.ts'

const rate = 12_000
const shaftHz = 29.95
const bearing = { bpfoOrder: 3.5848, bpfiOrder: 5.4152, bsfOrder: 2.35675, ftfOrder: 0.3983 }

const rowsOf = (x: Float64Array, width: number): Float64Array[] =>
  Array.from({ length: x.length / width }, (_, row) => x.subarray(row * width, (row + 1) * width))

const figures = (rows: readonly ArrayLike<number>[], options: StatisticOptions = {}, speedHz = shaftHz) =>
  figuresOf(seriesOf(rows, rate), all, { options, shaftHz: speedHz, machine: { bearing } })

test('envelopes, the band of highest spectral kurtosis and defect ratios equal those of scipy.signal.hilbert and welch', () => {
  const cases = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', 'vibration-envelopes.json'), 'utf8')) as {
    readonly signal: Recipe
    readonly width: number
    readonly envelopeBandHz: [number, number] | null
    readonly expected: Record<string, number>
  }[]
  for (const { signal, width, envelopeBandHz, expected } of cases) {
    const found = figures(rowsOf(made(signal), width), envelopeBandHz === null ? {} : { envelopeBandHz })
    for (const [name, value] of Object.entries(expected))
      assert.ok(Math.abs((found[name] as number) / value - 1) < 1e-7, `${width}, ${name}: ${found[name]} is not ${value}`)
  }
})

/**
 * A bearing with a local defect: a resonance struck once per passage, later or earlier by the slip of the rolling elements,
 * and as hard as the load where the defect is (modulated once per turn of the part that carries it), in noise.
 */
const faulty = (
  defectHz: number,
  { modulationHz = 0, slip = 0.01, length = 8 * 4096, seed = 5, strike = 1, level = 0.6 } = {},
): Float64Array => {
  const random = noise(seed)
  const x = Float64Array.from({ length }, (_, i) => 0.3 * Math.sin((2 * Math.PI * shaftHz * i) / rate) + level * random())
  if (strike === 0) return x
  for (let t = 0.001; t < length / rate; t += (1 + 2 * slip * random()) / defectHz) {
    const force = strike * (modulationHz === 0 ? 1 : 1 + 0.8 * Math.cos(2 * Math.PI * modulationHz * t))
    const first = Math.ceil(t * rate)
    for (let i = first; i < Math.min(length, first + 120); i++) {
      const since = i / rate - t
      x[i] = (x[i] as number) + force * Math.exp(-900 * since) * Math.sin(2 * Math.PI * 3300 * since)
    }
  }
  return x
}

const parts = [
  { name: 'envelopeBpfo', order: bearing.bpfoOrder, modulationHz: 0 },
  { name: 'envelopeBpfi', order: bearing.bpfiOrder, modulationHz: shaftHz },
  { name: 'envelopeBsf', order: 2 * bearing.bsfOrder, modulationHz: bearing.ftfOrder * shaftHz },
] as const

for (const { name, order, modulationHz } of parts)
  test(`${name} is the highest ratio, several times the healthy one, when that part strikes with slip and in noise`, () => {
    const healthy = figures(rowsOf(faulty(1, { strike: 0 }), 8192))
    for (const envelopeBandHz of [undefined, [2500, 4500]] as const)
      for (const seed of [5, 6, 7]) {
        const x = faulty(order * shaftHz, { modulationHz, seed })
        const found = figures(rowsOf(x, 8192), { envelopeBandHz })
        const ratios = ['envelopeBpfo', 'envelopeBpfi', 'envelopeBsf', 'envelopeFtf'].map((each) => found[each] as number)
        assert.equal(found[name], Math.max(...ratios), `${name} of ${ratios.join(', ')}`)
        assert.ok((found[name] as number) > 3 * (healthy[name] as number), `${found[name]} beside ${healthy[name]}`)
      }
  })

test('a cage that rubs once per its turn shows at the cage frequency', () => {
  const found = figures(rowsOf(faulty(bearing.ftfOrder * shaftHz, { slip: 0.002, length: 4 * 16_384, strike: 3 }), 16_384), {
    envelopeBandHz: [2500, 4500],
    harmonics: 5,
  })
  const healthy = figures(rowsOf(faulty(1, { strike: 0, length: 4 * 16_384 }), 16_384), { envelopeBandHz: [2500, 4500], harmonics: 5 })
  assert.ok((found['envelopeFtf'] as number) > 3 * (healthy['envelopeFtf'] as number))
  assert.equal(
    found['envelopeFtf'],
    Math.max(...['envelopeBpfo', 'envelopeBpfi', 'envelopeBsf', 'envelopeFtf'].map((each) => found[each] as number)),
  )
})

test('the band that is chosen holds the resonance', () => {
  const found = figures(rowsOf(faulty(107.4), 8192))
  assert.ok((found['envelopeLowHz'] as number) < 3300 && (found['envelopeHighHz'] as number) > 3300, JSON.stringify(found))
  assert.ok((found['envelopeHighHz'] as number) - (found['envelopeLowHz'] as number) <= 3000)
})

test('rows of different widths are one signal: the fault shows as in rows of one width', () => {
  const x = faulty(107.4, { length: 4 * 8192 })
  const cuts = [0, 5000, 13_000, 17_096, 4 * 8192]
  const rows = cuts.slice(1).map((end, i) => x.subarray(cuts[i], end))
  for (const options of [{}, { envelopeBandHz: [2500, 4500] as const }]) {
    const found = figures(rows, options)
    assert.ok((found['envelopeBpfo'] as number) > 5, JSON.stringify(found))
    assert.ok((found['envelopeBpfo'] as number) > 2 * (found['envelopeBpfi'] as number))
    const equal = figures(rowsOf(x, 8192), options)
    assert.ok(Math.abs((found['envelopeRms'] as number) / (equal['envelopeRms'] as number) - 1) < 0.03)
  }
})

test('a given band is used as it is, as far as the spectrum goes', () => {
  const x = rowsOf(faulty(107.4), 8192)
  const found = figures(x, { envelopeBandHz: [2500, 9000] })
  assert.deepEqual([found['envelopeLowHz'], found['envelopeHighHz']], [2500, 6000])
})

test('the envelope of two tones beats with their distance: level and kurtosis as the formula says', () => {
  // |a e^ix + b e^iy| for a = 1, b = 0.5, over whole beats.
  const x = sine(rate, 6000, 3000, 1).map((value, i) => value + 0.5 * Math.sin((2 * Math.PI * 3100 * i) / rate))
  const beat = Float64Array.from({ length: 100_000 }, (_, i) => Math.sqrt(1.25 + Math.cos((2 * Math.PI * i) / 100_000)))
  const mean = beat.reduce((sum, y) => sum + y, 0) / beat.length
  const moment = (power: number): number => beat.reduce((sum, y) => sum + (y - mean) ** power, 0) / beat.length
  const found = figures([x.subarray(0, 4096)], { envelopeBandHz: [2000, 4000] })
  assert.ok(Math.abs((found['envelopeRms'] as number) / Math.sqrt(moment(2)) - 1) < 0.05)
  assert.ok(Math.abs((found['envelopeKurtosis'] as number) / (moment(4) / moment(2) ** 2) - 1) < 0.05)
})

test('a signal c times as large has c times the level of the envelope, and the rest as before; its sign changes nothing', () => {
  const rows = rowsOf(faulty(107.4, { length: 2 * 4096 }), 4096)
  const plain = figures(rows)
  for (const c of [-1, 1e-3, 50]) {
    const scaled = figures(rows.map((row) => row.map((x) => c * x)))
    for (const [name, value] of Object.entries(plain)) {
      const expected = name === 'envelopeRms' ? Math.abs(c) * value : value
      assert.ok(Math.abs((scaled[name] as number) / expected - 1) < 1e-6, `${c}, ${name}: ${scaled[name]} is not ${expected}`)
    }
  }
})

test('a row with a frequency too low to be resolved, or beyond the band, has no ratio there', () => {
  const rows = rowsOf(faulty(107.4, { length: 1024 }), 1024)
  const found = figures(rows, { envelopeBandHz: [2000, 4000] })
  assert.equal(found['envelopeFtf'], Number.NaN)
  assert.ok((found['envelopeBpfo'] as number) > 0)
  assert.equal(figures(rows, { envelopeBandHz: [3000, 3400] }, 100)['envelopeBpfi'], Number.NaN)
})

test('a segment parts the lines of the envelope as it parts those of the signal', () => {
  const row = faulty(107.4, { length: 4096 })
  const options = { envelopeBandHz: [2500, 4500] as const }
  assert.ok((figures([row], options)['envelopeFtf'] as number) > 0)
  const shorter = figures([row], { ...options, spectrum: { segment: 2048 } })
  assert.deepEqual([shorter['envelopeFtf'], Number.isNaN(shorter['envelopeBpfo'])], [Number.NaN, false])
})

test('without a speed or a bearing there are no ratios; a band of a few bins, or a short row, has no envelope', () => {
  const row = faulty(107.4, { length: 4096 })
  const still = figures([row], {}, Number.NaN)
  assert.deepEqual([still['envelopeBpfo'], still['envelopeRms']].map(Number.isNaN), [true, false])
  const unknown = figuresOf(seriesOf([row], rate), all, { shaftHz })
  assert.deepEqual([unknown['envelopeBpfo'], unknown['envelopeRms']].map(Number.isNaN), [true, false])
  assert.ok(Object.values(figures([row], { envelopeBandHz: [3000, 3020] })).every(Number.isNaN))
  assert.ok(Object.values(figures([row.subarray(0, 20)])).every(Number.isNaN))
})

test('a dead signal has an envelope of 0 and no ratios', () => {
  const found = figures([new Float64Array(4096).fill(1)], { envelopeBandHz: [2000, 4000] })
  assert.deepEqual([found['envelopeRms'], found['envelopeKurtosis'], found['envelopeBpfo']], [0, 0, Number.NaN])
})

test('the median that is selected is the one that sorting finds', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 70 }), (values) => {
      const sorted = values.toSorted((a, b) => a - b)
      assert.equal(medianOf(Float64Array.from([-5, ...values, 99]), 1, values.length + 1), sorted[(values.length - 1) >> 1])
    }),
  )
})
