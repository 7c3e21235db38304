import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { adjustedRand, classAgreement } from '../../src/density/agreement.ts'
import { bootstrapStability } from '../../src/density/bootstrap-stability.ts'
import { hdbscan } from '../../src/density/hdbscan.ts'
import { silhouette } from '../../src/density/silhouette.ts'
import { softMembership } from '../../src/density/soft-membership.ts'
import { densityValidity } from '../../src/density/validity.ts'
import { matrixOf, rowsAt } from '../../src/matrix.ts'
import { drawn, randomFrom } from '../../src/random.ts'
import { golden, goldenPoints } from './points.ts'

const assertNear = (found: number, expected: number, what: string): void =>
  assert.ok(Math.abs(found - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${what} is ${found}, expected ${expected}`)

for (const { points: name, truth, labels, ...expected } of golden.judged) {
  test(`quality measures are those of the references: ${name}`, () => {
    const points = goldenPoints(name)
    const agreement = classAgreement(truth, labels)
    assertNear(adjustedRand(truth, labels), expected.adjustedRand, 'adjusted Rand index')
    assertNear(agreement.homogeneity, expected.homogeneity, 'homogeneity')
    assertNear(agreement.completeness, expected.completeness, 'completeness')
    assertNear(agreement.vMeasure, expected.vMeasure, 'V-measure')
    assertNear(silhouette(points, labels), expected.silhouette, 'silhouette')
    assertNear(densityValidity(points, labels), expected.dbcv, 'DBCV')
  })
}

const labels = (most: number): fc.Arbitrary<number[]> => fc.array(fc.integer({ min: -1, max: most }), { minLength: 30, maxLength: 30 })

test('a clustering agrees with itself whatever its labels are called, and agreement has no direction', () => {
  fc.assert(
    fc.property(labels(4), labels(3), (one, other) => {
      assert.equal(
        adjustedRand(
          one,
          one.map((label) => 7 - label),
        ),
        1,
      )
      assertNear(adjustedRand(one, other), adjustedRand(other, one), 'index the other way')
      const { homogeneity, completeness, vMeasure, purity } = classAgreement(one, other)
      const swapped = classAgreement(other, one)
      assertNear(homogeneity, swapped.completeness, 'homogeneity')
      assert.ok(purity > 0 && purity <= 1 && vMeasure >= Math.min(homogeneity, completeness) - 1e-12 && vMeasure <= 1 + 1e-12)
      assert.deepEqual(classAgreement(one, one).purity, 1)
    }),
  )
})

test('known agreements', () => {
  assertNear(adjustedRand([0, 0, 1, 1], [0, 1, 0, 1]), -0.5, 'adjusted Rand index')
  assert.equal(adjustedRand([], []), 1)
  assert.equal(adjustedRand([0, 0, 0], [0, 0, 0]), 1)
  assert.equal(classAgreement([0, 0, 1, 1], [0, 0, 0, 1]).purity, 0.75)
  assert.throws(() => adjustedRand([0], [0, 1]), /1 labels on one side, 2 on the other/)
})

test('the silhouette of a sample is near that of all points, and the same for the same seed', () => {
  const points = goldenPoints('five blobs in eight dimensions')
  const truth = Array.from({ length: points.rows }, (_, i) => i % 6)
  const all = silhouette(points, truth)
  const some = silhouette(points, truth, { most: 200, seed: 1 })
  assert.ok(Math.abs(all - some) < 0.05 && some !== all)
  assert.equal(silhouette(points, truth, { most: 200, seed: 1 }), some)
})

test('measures that need two clusters say so', () => {
  const points = matrixOf([[0], [1], [2]])
  assert.ok(Number.isNaN(silhouette(points, [0, 0, -1])))
  assert.equal(densityValidity(points, [0, 0, -1]), 0)
})

test('DBCV does not depend on the order of points, is lower for wrong labels, and takes equal points', () => {
  const points = goldenPoints('three blobs and noise')
  const { labels: found } = hdbscan(points, { minClusterSize: 10, minSamples: 5 })
  const value = densityValidity(points, found)
  const order = drawn(randomFrom(1), points.rows, points.rows)
  assertNear(
    densityValidity(
      rowsAt(points, order),
      order.map((row) => found[row] as number),
    ),
    value,
    'DBCV in another order',
  )
  assert.ok(
    densityValidity(
      points,
      Int32Array.from(found, (_, i) => i % 3),
    ) <
      value - 0.3,
  )
  const twice = [...Array.from({ length: 5 }, () => [0, 0]), ...Array.from({ length: 5 }, () => [9, 9])]
  assert.equal(densityValidity(matrixOf(twice), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]), 1)
})

test('clusters that are there are found again in subsamples, those that are not are not', () => {
  const settings = { minClusterSize: 8, minSamples: 4 }
  const stability = (name: string): number => {
    const points = goldenPoints(name)
    return bootstrapStability(points, hdbscan(points, settings).labels, (some) => hdbscan(some, settings).labels, { refits: 9 }).median
  }
  assert.ok(stability('five blobs in eight dimensions') > 0.9)
  assert.ok(stability('nothing but noise') < 0.5)
  const points = goldenPoints('two arcs')
  const { agreements, least, median } = bootstrapStability(points, new Int32Array(points.rows), ({ rows }) => new Int32Array(rows), {
    refits: 4,
  })
  assert.deepEqual([...agreements, least, median], [1, 1, 1, 1, 1, 1])
})

test('nearly all members belong most to their own cluster, noise to none much, and no point to clusters more than wholly', () => {
  const points = goldenPoints('three blobs and noise')
  const clusters = hdbscan(points, { minClusterSize: 10, minSamples: 5 })
  const { values, width } = softMembership(points, clusters)
  assert.equal(width, clusters.count)
  let [mostOwn, members, noise] = [0, 0, 0]
  for (let i = 0; i < points.rows; i++) {
    const row = values.subarray(i * width, (i + 1) * width)
    const sum = row.reduce((a, b) => a + b, 0)
    assert.ok(row.every((share) => share >= 0) && sum <= 1 + 1e-12)
    const label = clusters.labels[i] as number
    if (label < 0) {
      noise = Math.max(noise, sum)
      continue
    }
    members++
    if ((row[label] as number) === Math.max(...row)) mostOwn++
    if ((clusters.exemplars[label] as Int32Array).includes(i)) assert.ok((row[label] as number) > 0.9)
  }
  // A member at the border may lie nearer to what is densest in another cluster.
  assert.ok(mostOwn >= 0.97 * members, `${mostOwn} of ${members}`)
  assert.ok(noise < 0.9)
})
