import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Matrix, matrixOf, rowOf } from '../../src/matrix.ts'
import { type FittedModes, assetOffset, classNormal, fitModes, memberDefaults, openAssigner } from '../../src/modes/members.ts'
import { fromPackedJson, toPackedJson } from '../../src/modes/packed.ts'
import { randomFrom } from '../../src/random.ts'

const isNear = (found: number, expected: number, tolerance = 1e-9): void =>
  assert.ok(Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${found}, expected ${expected}`)

/** Three modes of 30 points by arithmetic alone, so that another program can make the same. */
const pointOf = (mode: number, i: number): number[] =>
  Array.from({ length: 4 }, (_, axis) => {
    const main = 10 * mode * ((axis + mode) % 3) + (((i * (7 + 3 * axis) + mode * 5) % 31) / 31) * (1 + axis * 0.5)
    return main + (axis % 2 === 0 ? (0.8 * ((i * 13 + mode) % 17)) / 17 : 0)
  })
const golden = matrixOf([0, 1, 2].flatMap((mode) => Array.from({ length: 30 }, (_, i) => pointOf(mode, i))))
const labels = Array.from({ length: 90 }, (_, i) => Math.floor(i / 30))
const ids = ['mode-a', 'mode-b', 'mode-c']

test('the rule gives the numbers of the prototype in numpy', () => {
  const fitted = fitModes(golden, labels, ids)
  const reaches = [2.9146449804367567, 2.5693513793790963, 2.5286985582045327]
  fitted.modes.forEach(({ reach }, i) => isNear(reach, reaches[i] as number))
  const assign = openAssigner(fitted)
  const rows = [
    { row: [0.5, 0.5, 1, 1], ratios: [0.24172202067919973, 10.582373927341715, 21.877195933352734] },
    { row: [10, 20.5, 1, 10.2], ratios: [8.908018564542772, 0.4899295841797594, 19.04215162566216] },
    { row: [1, 2, 3, 4], ratios: [0.8477752848313564, 9.757476374368302, 21.241265455995556] },
    { row: [40, 1, 21, 40.5], ratios: [18.58808667475148, 18.032020340375578, 0.3845613697160914] },
    { row: [0.4, 2.4, 0.2, 0.3], ratios: [0.612401679531178, 9.922239992718282, 22.04095981137694] },
  ]
  for (const { row, ratios } of rows) {
    const found = assign(Float64Array.from(row))
    const [least, next] = ratios.toSorted((a, b) => a - b) as [number, number]
    isNear(found.ratio, least)
    isNear(found.runnerUpRatio, next)
    assert.equal(found.modeId, ids[ratios.indexOf(least)])
    assert.equal(found.runnerUpId, ids[ratios.indexOf(next)])
    isNear(found.confidence, Math.min(1 - least, 1 - least / next))
  }
})

/** Blobs around places, with a scatter that differs by axis. */
const blobs = (
  seed: number,
  modes: number,
  each: number,
  width: number,
  apart = 12,
): { points: Matrix; labels: number[]; modeIds: string[] } => {
  const random = randomFrom(seed)
  const centres = Array.from({ length: modes }, () => Array.from({ length: width }, () => apart * random.normal()))
  const rows = centres.flatMap((centre) =>
    Array.from({ length: each }, () => centre.map((value, axis) => value + (1 + (axis % 3)) * random.normal())),
  )
  return { points: matrixOf(rows), labels: rows.map((_, i) => Math.floor(i / each)), modeIds: centres.map((_, i) => `mode-${i}`) }
}

test('members find their mode, strangers none, and far places are surer than those near the line', () => {
  const { points, labels: of, modeIds } = blobs(3, 6, 120, 10)
  const assign = openAssigner(fitModes(points, of, modeIds))
  for (let row = 0; row < points.rows; row++) assert.equal(assign(rowOf(points, row)).modeId, modeIds[of[row] as number])
  const { modeId, nearestId, confidence } = assign(rowOf(points, 0).map((value) => value + 1000))
  assert.equal(modeId, undefined)
  assert.ok(nearestId !== undefined && confidence > 0.9)
  assert.equal(assign(rowOf(points, 0).map(() => Number.NaN)).modeId, undefined)
})

test('looking at every member of every mode changes no answer', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 8 }), (seed, modes) => {
      const { points, labels: of, modeIds } = blobs(seed, modes, 40, 3, 2)
      const fitted = fitModes(points, of, modeIds)
      const eager: FittedModes = { ...fitted, modes: fitted.modes.map((mode) => ({ ...mode, extent: Number.MAX_VALUE })) }
      const [pruned, full] = [openAssigner(fitted), openAssigner(eager)]
      const random = randomFrom(seed + 1)
      for (let i = 0; i < 30; i++) {
        const row = Float64Array.from({ length: 3 }, () => 4 * random.normal())
        assert.deepEqual({ ...pruned(row) }, { ...full(row) })
      }
    }),
    { numRuns: 40 },
  )
})

test('another unit of a column changes no decision', () => {
  const { points, labels: of, modeIds } = blobs(8, 4, 40, 5)
  const units = [1, 1000, 0.01, 7, 1e-6]
  const other = { ...points, values: points.values.map((value, i) => value * (units[i % 5] as number)) }
  const [one, two] = [openAssigner(fitModes(points, of, modeIds)), openAssigner(fitModes(other, of, modeIds))]
  for (let row = 0; row < points.rows; row++) isNear(two(rowOf(other, row)).ratio, one(rowOf(points, row)).ratio, 1e-7)
})

test('a mode of equal points and one of a single point do no harm', () => {
  const rows = [...Array.from({ length: 8 }, () => [1, 1]), ...Array.from({ length: 8 }, () => [5, 1]), [9, 9]]
  const fitted = fitModes(matrixOf(rows), [...Array.from({ length: 16 }, (_, i) => (i < 8 ? 0 : 1)), 2], ids)
  assert.deepEqual(
    fitted.modes.map(({ modeId }) => modeId),
    ['mode-a', 'mode-b'],
  )
  const assign = openAssigner(fitted)
  assert.equal(assign(Float64Array.of(1, 1)).modeId, 'mode-a')
  assert.equal(assign(Float64Array.of(3, 1)).modeId, undefined)
  const nothing = openAssigner(
    fitModes(
      matrixOf(rows),
      rows.map(() => -1),
      ids,
    ),
  )(Float64Array.of(1, 1))
  assert.deepEqual({ ...nothing }, { ...nothing, modeId: undefined, nearestId: undefined, ratio: Number.POSITIVE_INFINITY, confidence: 1 })
  assert.throws(
    () =>
      fitModes(
        matrixOf(rows),
        rows.map(() => 3),
        ids,
      ),
    /label 3/,
  )
})

test('a machine that stands apart from its class shares its modes through its offset', () => {
  const { points, labels: of, modeIds } = blobs(5, 4, 60, 6)
  const assign = openAssigner(fitModes(points, of, modeIds))
  const shift = [40, -30, 5, 60, 0, -80]
  const machine = (row: number): Float64Array => rowOf(points, row).map((value, axis) => value + (shift[axis] as number))
  const normal = matrixOf(Array.from({ length: 60 }, (_, i) => [...rowOf(points, i)]))
  const normalRows = matrixOf(Array.from({ length: 60 }, (_, i) => [...machine(i)]))
  const offset = assetOffset(normalRows, classNormal([normal]), 0)
  shift.forEach((value, axis) => isNear(offset[axis] as number, value))
  for (let row = 60; row < points.rows; row += 7) {
    assert.equal(assign(machine(row)).modeId, undefined)
    assert.equal(assign(machine(row), offset).modeId, modeIds[of[row] as number])
  }
  isNear(assetOffset(normalRows, classNormal([normal]), 60)[0] as number, 20)
  assert.deepEqual([...assetOffset({ values: new Float64Array(0), rows: 0, width: 6 }, classNormal([normal]))], [0, 0, 0, 0, 0, 0])
})

test('a model that was packed and read again decides the same bit by bit', () => {
  const { points, labels: of, modeIds } = blobs(2, 5, 30, 7)
  const fitted = fitModes(points, of, modeIds, { ...memberDefaults, factor: 1.5 })
  const back = fromPackedJson(toPackedJson(fitted)) as FittedModes
  assert.deepEqual(back, fitted)
  const special = { values: Float64Array.of(Number.NaN, Number.NEGATIVE_INFINITY, -0, 1 / 3) }
  assert.deepEqual(fromPackedJson(toPackedJson(special)), special)
  assert.throws(() => fromPackedJson('{"f64":"AAAA"}'), /multiple of 8/)
})
