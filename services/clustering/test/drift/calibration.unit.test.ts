import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compare, fitDrift } from '../../src/drift/calibration.ts'
import type { DriftReference } from '../../src/drift/calibration.ts'
import type { Matrix } from '../../src/matrix.ts'
import { plant } from './plant.ts'

/** Falls outside by chance less than once in 10 000 times. */
const STANDARD_DEVIATIONS = 3.9

const rateOf = (
  phi: number,
  rows: number,
  seeds: number,
  checks: number,
  rate: number,
): { alarms: number; expected: number; bound: number } => {
  let alarms = 0
  for (let seed = 1; seed <= seeds; seed++) {
    const source = plant(seed, 3, phi)
    const windowRows = phi === 0 ? 64 : 90
    const reference = fitDrift(source.rows(rows), {
      windowRows,
      hopRows: windowRows,
      expectedRunRows: windowRows / rate,
      bootstraps: 300,
      seed,
    })
    for (let k = 0; k < checks; k++) if (compare(reference, source.rows(windowRows)).isChanged) alarms++
  }
  const count = seeds * checks
  return { alarms, expected: count * rate, bound: STANDARD_DEVIATIONS * Math.sqrt(count * rate * (1 - rate)) }
}

for (const [name, phi, rows, seeds] of [
  ['independent values', 0, 1000, 25],
  ['values that follow AR(1) with φ 0.8', 0.8, 2000, 15],
] as const)
  test(`false alarms on ${name} come at the rate that was asked for`, () => {
    const { alarms, expected, bound } = rateOf(phi, rows, seeds, 80, 0.02)
    assert.ok(Math.abs(alarms - expected) <= bound, `${alarms} alarms, ${expected} ± ${bound} expected`)
  })

test('autocorrelation counts: the same line without blocks would cry wolf', () => {
  const source = plant(3, 3, 0.8)
  const learnt = source.rows(2000)
  const shuffled: Matrix = { ...learnt, values: new Float64Array(learnt.values.length) }
  // Rows in another order: the same values without their correlation in time.
  for (let i = 0; i < learnt.rows; i++) shuffled.values.set(learnt.values.subarray(i * 3, i * 3 + 3), ((i * 709) % learnt.rows) * 3)
  const options = { windowRows: 90, hopRows: 90, expectedRunRows: 4500 }
  const [honest, naive] = [fitDrift(learnt, options), fitDrift(shuffled, options)]
  assert.ok(honest.autocorrelationRows > 6 && naive.autocorrelationRows < 2)
  let honestAlarms = 0
  let naiveAlarms = 0
  for (let k = 0; k < 100; k++) {
    const window = source.rows(90)
    if (compare(honest, window).isChanged) honestAlarms++
    if (compare(naive, window).isChanged) naiveAlarms++
  }
  assert.ok(honestAlarms <= 8, `${honestAlarms} with blocks`)
  assert.ok(naiveAlarms >= 40, `${naiveAlarms} without`)
})

const reference = (): { source: ReturnType<typeof plant>; fitted: DriftReference } => {
  const source = plant(11, 4, 0)
  return { source, fitted: fitDrift(source.rows(1000), {}) }
}

test('a window that moved by 1 σ in one feature, doubled its spread or lost a correlation is changed, and the right feature is first', () => {
  const { source, fitted } = reference()
  for (const change of ['mean', 'variance', 'correlation'] as const) {
    const found = compare(fitted, source.rows(fitted.windowRows, change))
    assert.ok(found.isChanged, change)
    if (change === 'correlation') {
      assert.deepEqual(found.relation?.features, [0, 1])
      assert.ok(Math.abs(found.relation.before) < 0.2 && found.relation.now > 0.5)
      assert.ok(found.relation.pValue < 1e-4)
      assert.ok(Math.min(...found.adjusted) > 1e-3, 'no feature by itself')
    } else assert.equal(found.pValues.indexOf(Math.min(...found.pValues)), 0)
  }
})

test('probabilities of an unchanged feature are spread evenly', () => {
  const { source, fitted } = reference()
  const low = [0, 0, 0]
  for (let k = 0; k < 200; k++) {
    const { pValues } = compare(fitted, source.rows(fitted.windowRows))
    ;[0.5, 0.2, 0.05].forEach((p, i) => (low[i] = (low[i] as number) + pValues.filter((value) => value <= p).length / 800))
  }
  ;[0.5, 0.2, 0.05].forEach((p, i) => assert.ok(Math.abs((low[i] as number) - p) < 0.35 * p + 0.02, `${low[i]} at ${p}`))
})

test('the same seed gives the same reference, and JSON changes nothing about it', () => {
  const learnt = plant(5, 3, 0.5).rows(1200)
  const fitted = fitDrift(learnt, { bootstraps: 100 })
  assert.deepEqual(fitDrift(learnt, { bootstraps: 100 }), fitted)
  const window = plant(6, 3, 0.5).rows(fitted.windowRows)
  assert.deepEqual(compare(JSON.parse(JSON.stringify(fitted)) as DriftReference, window), compare(fitted, window))
})

test('a feature that never moved and one whose values are missing are not compared', () => {
  const source = plant(7, 3, 0)
  const learnt = source.rows(1000)
  for (let i = 0; i < learnt.rows; i++) learnt.values[i * 3 + 1] = 5
  const fitted = fitDrift(learnt, { bootstraps: 100 })
  const window = source.rows(fitted.windowRows)
  for (let i = 0; i < window.rows; i++) {
    window.values[i * 3 + 1] = 9
    if (i % 2 === 0) window.values[i * 3 + 2] = Number.NaN
  }
  const found = compare(fitted, window)
  assert.deepEqual(found.pValues.map(Number.isNaN), [false, true, true])
  assert.equal(found.isChanged, false)
  assert.equal(found.relation, null)
})

test('a reference that is too short, or has holes, is refused', () => {
  assert.throws(() => fitDrift(plant(1, 2, 0).rows(500)), /640 are needed/)
  const holed = plant(1, 2, 0).rows(1000)
  holed.values[7] = Number.NaN
  assert.throws(() => fitDrift(holed), RangeError)
})
