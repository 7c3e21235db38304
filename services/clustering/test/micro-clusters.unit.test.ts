import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { defaultDetectorSet } from '../src/detector-set.ts'
import { assign, coordinates, emptySpace } from '../src/micro-clusters.ts'
import type { Standard } from '../src/micro-clusters.ts'

const set = defaultDetectorSet.clusters
const standard: Standard = { space: 'model', axes: Array.from({ length: 9 }, (_, at) => ({ at, mean: 10, std: 2 })) }

/** Deterministic normal-ish noise. */
const noise = (seed: number) => {
  let state = seed
  const uniform = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648
  return () => Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, 0) - 6
}
const feed = (vectors: readonly (readonly number[])[], limits = set) => {
  const space = emptySpace()
  return {
    space,
    assigned: vectors.map((vector, i) =>
      assign(space, standard, coordinates(vector, standard), { number: i, vectorId: `v${i}`, atUs: i }, limits, (id) => `c-${id}`),
    ),
  }
}
const around = (sigmas: readonly number[], next: () => number) => sigmas.map((sigma) => 10 + 2 * (sigma + next()))

const healthy = Array.from({ length: 9 }, () => 0)
const bearing = [25, 40, 30, 28, 2, 5, 60, 50, 8]
const imbalance = [20, 0, 0, 10, 45, 2, 0, 0, 0]

test('healthy windows stay together, faults form their own clusters, and each comes back to its own', () => {
  const next = noise(7)
  const phases = [healthy, bearing, healthy, imbalance, bearing, imbalance]
  const { assigned } = feed(phases.flatMap((phase) => Array.from({ length: 60 }, () => around(phase, next))))
  const cluster = (phase: number) => new Set(assigned.slice(phase * 60, phase * 60 + 60).map(({ cluster: { clusterId } }) => clusterId))
  assert.ok(cluster(0).size <= 2, `healthy: ${[...cluster(0)].join(' ')}`)
  assert.deepEqual(cluster(1), cluster(4))
  assert.deepEqual(cluster(3), cluster(5))
  for (const [a, b] of [
    [0, 1],
    [1, 3],
    [0, 3],
  ] as const)
    assert.ok(cluster(a).isDisjointFrom(cluster(b)))
})

test('a fault that grows by half stays the same pattern', () => {
  const next = noise(3)
  const { assigned } = feed(
    [1, 1.2, 1.5].flatMap((scale) =>
      Array.from({ length: 30 }, () =>
        around(
          bearing.map((x) => x * scale),
          next,
        ),
      ),
    ),
  )
  assert.equal(new Set(assigned.map(({ cluster }) => cluster.clusterId)).size, 1)
})

test('the number of clusters is bounded, and a cluster that leaves does not return under its id', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.integer({ min: -500, max: 500 }), { minLength: 9, maxLength: 9 }), { maxLength: 120 }), (vectors) => {
      const { space, assigned } = feed(vectors, { ...set, max: 4 })
      assert.ok(space.clusters.length <= 4)
      const opened = assigned.filter(({ isNew }) => isNew).map(({ cluster }) => cluster.clusterId)
      assert.equal(new Set(opened).size, opened.length)
    }),
  )
})

test('another model means another space: nothing is compared across', () => {
  const space = emptySpace()
  const point = coordinates(around(healthy, noise(1)), standard)
  const window = { number: 0, vectorId: 'v0', atUs: 0 }
  assert.ok(assign(space, standard, point, window, set, (id) => id).isNew)
  assert.ok(assign(space, { ...standard, space: 'newer model' }, point, { ...window, vectorId: 'v1' }, set, (id) => id).isNew)
  assert.equal(space.clusters.length, 1)
})

test('a missing value counts as normal', () => {
  assert.deepEqual(
    coordinates([Number.NaN, 12], {
      space: '',
      axes: [
        { at: 0, mean: 5, std: 1 },
        { at: 1, mean: 10, std: 2 },
      ],
    }),
    [0, Math.asinh(1)],
  )
})
