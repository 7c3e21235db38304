import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Clusters, type HdbscanOptions, defaultSizes, hdbscan } from '../../src/density/hdbscan.ts'
import { type Matrix, matrixOf, rowsAt } from '../../src/matrix.ts'
import { drawn, randomFrom } from '../../src/random.ts'
import { golden, goldenPoints } from './points.ts'

/** Numbers as the first member does, so that clusterings can be compared whatever their labels are; noise stays. */
const renumbered = (labels: ArrayLike<number>): number[] => {
  const seen = new Map<number, number>()
  return Array.from(labels, (label) => {
    if (label < 0) return -1
    if (!seen.has(label)) seen.set(label, seen.size)
    return seen.get(label) as number
  })
}

const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9

/** Leaves its cluster at exactly the λ at which that one splits: scikit-learn gives such a point to one of the parts, we to none. */
const isBridge = ({ tree }: Clusters, point: number): boolean => {
  const last = tree?.lastCluster[point] as number
  return (tree?.parent.includes(last) ?? false) && tree?.lambda[point] === tree?.death[last]
}

for (const { points, settings, labels, membership, outlierScore } of golden.clusterings) {
  const { minClusterSize, minSamples, selection, epsilon, allowSingle } = settings
  const name = `${points}, sizes ${minClusterSize} and ${minSamples}, ${selection}${epsilon > 0 ? `, epsilon ${epsilon}` : ''}${allowSingle ? ', also a single one' : ''}`
  test(`clusters and memberships are those of the reference: ${name}`, () => {
    const found = hdbscan(goldenPoints(points), settings)
    const bridges = labels.flatMap((_, i) => (isBridge(found, i) && found.labels[i] === -1 ? [i] : []))
    const same = labels.flatMap((_, i) => (bridges.includes(i) ? [] : [i]))
    assert.deepEqual(renumbered(same.map((i) => found.labels[i] as number)), renumbered(same.map((i) => labels[i] as number)))
    for (const i of same) assert.ok(isNear(found.membership[i] as number, membership[i] as number), `membership of point ${i}`)
    if (minSamples === 1) assert.equal(bridges.filter((i) => labels[i] !== -1).length, 0)
    assert.ok(bridges.length <= 0.05 * labels.length)
    // The score of a point looks down the whole tree, so a bridge moves those of others; most are untouched.
    const off = outlierScore.filter((score, i) => !isNear(score, found.outlierScore[i] as number)).length
    assert.ok(off <= 0.2 * labels.length, `${off} outlier scores differ`)
  })
}

/** Small clouds, with numbers on a coarse grid now and then, so that equal points and equal distances occur. */
const clouds = fc
  .record({ seed: fc.nat(1_000_000), count: fc.integer({ min: 2, max: 90 }), width: fc.integer({ min: 1, max: 9 }), grid: fc.boolean() })
  .map(({ seed, count, width, grid }): Matrix => {
    const random = randomFrom(seed)
    const centres = Array.from({ length: 3 }, () => Array.from({ length: width }, () => 8 * random.uniform()))
    return matrixOf(
      Array.from({ length: count }, (_, i) =>
        (centres[i % 3] as number[]).map((c) => (grid ? Math.round(c + random.normal()) : c + random.normal() * (0.3 + (i % 3)))),
      ),
    )
  })
const sizes = fc.record({
  minClusterSize: fc.integer({ min: 2, max: 12 }),
  minSamples: fc.integer({ min: 1, max: 8 }),
  selection: fc.constantFrom('eom' as const, 'leaf' as const),
})

/** Labels, memberships and scores of one are those of the other; `rowOf` says which row a point of the other was. */
const assertSame = (one: Clusters, other: Clusters, rowOf: (point: number) => number, slack = 0): void => {
  const rows = Array.from(other.labels, (_, i) => rowOf(i))
  assert.deepEqual(renumbered(other.labels), renumbered(rows.map((row) => one.labels[row] as number)))
  rows.forEach((row, i) => {
    assert.ok(Math.abs((one.membership[row] as number) - (other.membership[i] as number)) <= slack, `membership of ${row}`)
    assert.ok(Math.abs((one.outlierScore[row] as number) - (other.outlierScore[i] as number)) <= slack, `outlier score of ${row}`)
  })
}

test('the order of the points changes nothing but their numbers, bit by bit', () => {
  fc.assert(
    fc.property(clouds, sizes, fc.nat(1000), (points, options, seed) => {
      const order = drawn(randomFrom(seed), points.rows, points.rows)
      assertSame(hdbscan(points, options), hdbscan(rowsAt(points, order), options), (i) => order[i] as number)
    }),
  )
})

test('moving and scaling the points changes nothing', () => {
  fc.assert(
    fc.property(clouds, sizes, fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -8, max: 8 }), (points, options, by, power) => {
      const factor = 2 ** power // exact, as is moving points that lie on a grid of 2⁻²⁰
      const onGrid = { ...points, values: points.values.map((value) => Math.round(value * 2 ** 20) / 2 ** 20) }
      const moved = { ...onGrid, values: onGrid.values.map((value) => (value + by) * factor) }
      assertSame(hdbscan(onGrid, options), hdbscan(moved, options), (i) => i, 1e-12)
    }),
  )
})

test('a point with a mass is as many points at one place', () => {
  fc.assert(
    fc.property(clouds, sizes, fc.nat(1000), (points, options, seed) => {
      const random = randomFrom(seed)
      const masses = Float64Array.from({ length: points.rows }, () => 1 + random.below(4))
      const repeated = Array.from(masses).flatMap((mass, row) => Array.from({ length: mass }, () => row))
      const one = hdbscan(points, { ...options, masses })
      assertSame(one, hdbscan(rowsAt(points, repeated), options), (i) => repeated[i] as number, 1e-12)
    }),
  )
})

test('masses of one change nothing', () => {
  fc.assert(
    fc.property(clouds, sizes, (points, options) => {
      const masses = new Float64Array(points.rows).fill(1)
      assertSame(hdbscan(points, options), hdbscan(points, { ...options, masses }), (i) => i)
    }),
  )
})

test('every cluster has its least mass, a label below the count, exemplars of its own, and the tree is consistent', () => {
  fc.assert(
    fc.property(clouds, sizes, (points, options) => {
      const { count, labels, membership, outlierScore, exemplars, persistence, tree } = hdbscan(points, options)
      const members = new Float64Array(count)
      for (const [i, label] of labels.entries()) {
        assert.ok(label >= -1 && label < count)
        assert.equal((membership[i] as number) > 0, label >= 0)
        assert.ok((membership[i] as number) <= 1 && (outlierScore[i] as number) >= 0 && (outlierScore[i] as number) <= 1)
        if (label >= 0) members[label] = (members[label] as number) + 1
      }
      assert.ok(members.every((size) => size >= options.minClusterSize))
      assert.equal(exemplars.length, count)
      exemplars.forEach((rows, label) => {
        assert.ok(rows.length > 0)
        for (const row of rows) assert.ok(labels[row] === label && membership[row] === 1)
      })
      assert.ok(persistence.every((share) => share >= 0 && share <= 1))
      if (tree === undefined) return
      for (let i = 1; i < tree.clusters; i++) {
        assert.ok((tree.parent[i] as number) < i)
        assert.equal(tree.birth[i], tree.death[tree.parent[i] as number])
      }
    }),
  )
})

test('equal points are one dense cluster, not an infinitely dense one', () => {
  const rows = [
    ...Array.from({ length: 20 }, () => [0, 0]),
    ...Array.from({ length: 20 }, (_, i) => [5 + 0.1 * (i % 5), 0.1 * Math.floor(i / 5)]),
  ]
  const { count, labels, membership } = hdbscan(matrixOf(rows), { minClusterSize: 5, minSamples: 3 })
  assert.equal(count, 2)
  assert.ok(labels.every((label, i) => label === (i < 20 ? 0 : 1)) && membership.every((share) => share > 0 && share <= 1))
  const same = hdbscan(matrixOf(Array.from({ length: 30 }, () => [1, 2, 3])), { minClusterSize: 5, minSamples: 3, allowSingle: true })
  assert.equal(same.count, 1)
  assert.ok(same.labels.every((label) => label === 0) && same.membership.every((share) => share === 1))
})

test('centres with a radius are no denser than the points they stand for', () => {
  const rows = [0, 0.5, 1, 1.5, 10, 10.5, 11, 11.5].map((x) => [x])
  const masses = new Float64Array(8).fill(50)
  const settings: HdbscanOptions = { minClusterSize: 20, minSamples: 10, selection: 'leaf', masses }
  assert.equal(hdbscan(matrixOf(rows), settings).count, 8) // fifty points at each of eight places
  const { count, labels } = hdbscan(matrixOf(rows), { ...settings, radii: new Float64Array(8).fill(0.6) })
  assert.equal(count, 2)
  assert.deepEqual([...labels], [0, 0, 0, 0, 1, 1, 1, 1])
})

test('fewer points than a cluster needs are noise', () => {
  for (const rows of [0, 1, 4]) {
    const { count, labels, membership } = hdbscan(matrixOf(Array.from({ length: rows }, (_, i) => [i])), {
      minClusterSize: 5,
      minSamples: 2,
    })
    assert.equal(count, 0)
    assert.ok(labels.length === rows && labels.every((label) => label === -1) && membership.every((share) => share === 0))
  }
})

test('what is not a number is refused with its place, and settings that make no sense with their value', () => {
  const points = matrixOf([
    [0, 1],
    [2, Number.NaN],
  ])
  assert.throws(() => hdbscan(points), /point 1, column 1 is NaN/)
  const fine = matrixOf([[0], [1], [2]])
  const refused: readonly (readonly [HdbscanOptions, RegExp])[] = [
    [{ minClusterSize: 1 }, /minClusterSize is 1/],
    [{ minSamples: 0 }, /minSamples is 0/],
    [{ epsilon: Number.NaN }, /epsilon is NaN/],
    [{ masses: Float64Array.of(1, 0, 1) }, /point 1: mass is 0/],
    [{ masses: Float64Array.of(1) }, /3 points have 1 values of mass/],
    [{ radii: Float64Array.of(1, -1, 1) }, /point 1: radius is -1/],
  ]
  for (const [options, message] of refused) assert.throws(() => hdbscan(fine, options), message)
})

test('sizes follow the rule of the design', () => {
  assert.deepEqual(defaultSizes(356), { minClusterSize: 10, minSamples: 5 })
  assert.deepEqual(defaultSizes(10_000), { minClusterSize: 55, minSamples: 27 })
  assert.deepEqual(defaultSizes(4), { minClusterSize: 5, minSamples: 3 })
})
