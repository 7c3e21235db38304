import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hdbscan } from '../../src/density/hdbscan.ts'
import type { Matrix } from '../../src/matrix.ts'
import { emptyRegistry } from '../../src/modes/identity.ts'
import { fitModes, openAssigner, rowsOfMode } from '../../src/modes/members.ts'
import { type ModesInForce, NOVEL, refit, regrouped } from '../../src/modes/refit.ts'
import { Sample, type SampleOptions } from '../../src/modes/sample.ts'
import { randomFrom } from '../../src/random.ts'

const options: SampleOptions = { width: 4, quota: 60, quotas: { [NOVEL]: 240 }, mostGroups: 20, keep: 'newest' }
const density = (points: Matrix): Int32Array => hdbscan(points).labels
const start: ModesInForce = { registry: emptyRegistry('pump'), model: undefined }

/** Rows of places 30 apart on the first axis, a microsecond after another. */
const fill = (sample: Sample, places: readonly number[], rows: number, from: number): void => {
  const random = randomFrom(from + 1)
  for (let i = 0; i < rows; i++) {
    const values = Float64Array.from(
      { length: 4 },
      (_, axis) => (axis === 0 ? 30 * (places[i % places.length] as number) : 0) + random.normal(),
    )
    sample.offer({ rowId: `row-${from + i}`, group: NOVEL, timeUs: from + i, values })
  }
}
const at = (place: number): Float64Array => Float64Array.of(30 * place, 0, 0, 0)

test('modes keep their ids from refit to refit, and the model assigns by them', () => {
  const sample = new Sample(options)
  fill(sample, [0, 1, 2], 180, 0)
  const first = refit(start, sample, density, 'fit-1')
  assert.equal(first.modeIds.length, 3)
  const known = [0, 1, 2].map((place) => openAssigner(first.model)(at(place)).modeId)
  assert.equal(new Set(known).size, 3)
  assert.equal(openAssigner(first.model)(at(4)).modeId, undefined)

  const grouped = regrouped(sample, first.model)
  fill(grouped, [4], 40, 500)
  const second = refit(first, grouped, density, 'fit-2')
  assert.deepEqual(
    [0, 1, 2].map((place) => openAssigner(second.model)(at(place)).modeId),
    known,
  )
  const emerged = second.transitions.filter(({ type }) => type === 'emerged')
  assert.equal(emerged.length, 1)
  assert.equal(openAssigner(second.model)(at(4)).modeId, emerged[0]?.modeId)
  assert.equal(second.survival, 1)
})

test('the same refit gives the same model, whatever order the rows came in', () => {
  const [one, two] = [new Sample(options), new Sample(options)]
  fill(one, [0, 1, 2], 180, 0)
  for (const row of one.all().toReversed()) two.offer(row)
  assert.deepEqual(refit(start, two, density, 'fit-1'), refit(start, one, density, 'fit-1'))
})

test('a mode that the sample no longer shows keeps its members', () => {
  const sample = new Sample(options)
  fill(sample, [0, 1, 2], 180, 0)
  const first = refit(start, sample, density, 'fit-1')
  const lost = openAssigner(first.model)(at(2)).modeId as string
  const later = new Sample(options)
  fill(later, [0, 1], 120, 500)
  const second = refit(first, later, density, 'fit-2')
  assert.deepEqual(second.unseen, [lost])
  assert.equal(openAssigner(second.model)(at(2)).modeId, lost)
})

test('a row that is there in two groups counts once', () => {
  const sample = new Sample(options)
  fill(sample, [0, 1], 120, 0)
  const first = refit(start, sample, density, 'fit-1')
  const grouped = regrouped(sample, first.model)
  for (const row of sample.all()) grouped.offer(row)
  assert.equal(grouped.rows, 240)
  assert.deepEqual(refit(first, grouped, density, 'fit-2').model, refit(first, regrouped(sample, first.model), density, 'fit-2').model)
})

test('where there are no clusters there are no modes', () => {
  const sample = new Sample(options)
  fill(sample, [0, 1], 100, 0)
  const { model, transitions, noiseShare, largestShare } = refit(start, sample, ({ rows }) => new Int32Array(rows).fill(-1), 'fit-1')
  assert.deepEqual([model.modes, transitions, noiseShare, largestShare], [[], [], 1, 0])
})

test('strays that the clustering drew into a mode do not widen it', () => {
  const random = randomFrom(1)
  const rows = Array.from({ length: 100 }, (_, i) => Array.from({ length: 4 }, () => random.normal() + (i % 2 === 0 ? 0 : 40)))
  const values = Float64Array.from([...rows, [15, -9, 0, 3], [-20, 5, 1, 0]].flat())
  const points: Matrix = { values, rows: 102, width: 4 }
  const labels = [...rows.map((_, i) => i % 2), 0, 0]
  const [strayed, other] = fitModes(points, labels, ['a', 'b']).modes
  assert.equal(strayed?.rows, 50)
  assert.equal(other?.rows, 50)
  const clean = fitModes({ values: values.slice(0, 400), rows: 100, width: 4 }, labels.slice(0, 100), ['a', 'b'])
  assert.ok(Math.abs((strayed?.reach ?? 0) - (clean.modes[0]?.reach ?? 1)) < 1e-12)
})

test('members come back from the metric as they went in', () => {
  const sample = new Sample(options)
  fill(sample, [0, 1], 120, 0)
  const { model } = refit(start, sample, density, 'fit-1')
  const given = new Set(sample.all().map(({ values }) => [...values].map((value) => value.toFixed(6)).join()))
  for (const mode of model.modes) {
    const { values, rows } = rowsOfMode(model, mode)
    for (let i = 0; i < rows; i++) assert.ok(given.has([...values.subarray(4 * i, 4 * i + 4)].map((value) => value.toFixed(6)).join()))
  }
})
