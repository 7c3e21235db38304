import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { adjustedRand } from '../../src/density/agreement.ts'
import { gaussianMixture } from '../../src/density/gaussian-mixture.ts'
import { kMeans } from '../../src/density/k-means.ts'
import { type Matrix, matrixOf, rowsAt } from '../../src/matrix.ts'
import { randomFrom } from '../../src/random.ts'
import { golden, goldenPoints } from './points.ts'

const isNear = (a: number, b: number, slack: number): boolean => Math.abs(a - b) <= slack * Math.max(1, Math.abs(b))

const cloud = (seed: number, count: number, width: number): Matrix => {
  const random = randomFrom(seed)
  return matrixOf(Array.from({ length: count }, (_, i) => Array.from({ length: width }, () => random.normal() + 4 * (i % 3))))
}

for (const { points: name, k, inertia, labels, mixtures } of golden.fits) {
  const points = goldenPoints(name)
  const centres = rowsAt(
    points,
    Array.from({ length: k }, (_, i) => i),
  )
  test(`k-means and mixtures settle where scikit-learn's do: ${name}`, () => {
    const found = kMeans(points, { clusters: k, centres })
    assert.ok(isNear(found.inertia, inertia, 1e-9))
    assert.deepEqual([...found.labels], labels)
    for (const { kind, logLikelihood, bic, labels: expected } of mixtures) {
      const covariance = kind === 'diag' ? 'diagonal' : 'full'
      const mixture = gaussianMixture(points, {
        components: k,
        covariance,
        ridge: 1e-6,
        tolerance: 1e-12,
        mostSteps: 5000,
        start: { centres },
      })
      assert.ok(isNear(mixture.logLikelihood, logLikelihood, 1e-9) && isNear(mixture.bic, bic, 1e-9), `${kind}: ${mixture.logLikelihood}`)
      assert.deepEqual([...mixture.labels], expected)
    }
  })
}

test('every point is with its nearest centre, and every centre is the mean of its points', () => {
  fc.assert(
    fc.property(
      fc.nat(10_000),
      fc.integer({ min: 5, max: 80 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (seed, count, width, clusters) => {
        const points = cloud(seed, count, width)
        const { centres, labels, inertia } = kMeans(points, { clusters, seed })
        const sums = new Float64Array(clusters * width)
        const sizes = new Float64Array(clusters)
        let total = 0
        for (let i = 0; i < count; i++) {
          const squares = Array.from({ length: clusters }, (_, c) => {
            let sum = 0
            for (let k = 0; k < width; k++)
              sum += ((points.values[i * width + k] as number) - (centres.values[c * width + k] as number)) ** 2
            return sum
          })
          const label = labels[i] as number
          assert.ok(isNear(squares[label] as number, Math.min(...squares), 1e-12))
          total += squares[label] as number
          sizes[label] = (sizes[label] as number) + 1
          for (let k = 0; k < width; k++)
            sums[label * width + k] = (sums[label * width + k] as number) + (points.values[i * width + k] as number)
        }
        assert.ok(isNear(inertia, total, 1e-9))
        sizes.forEach((size, c) => {
          for (let k = 0; k < width && size > 0; k++)
            assert.ok(isNear(centres.values[c * width + k] as number, (sums[c * width + k] as number) / size, 1e-9))
        })
      },
    ),
  )
})

test('a point with a mass is as many points at one place', () => {
  const points = cloud(3, 60, 3)
  const masses = Float64Array.from({ length: 60 }, (_, i) => 1 + (i % 4))
  const repeated = Array.from(masses).flatMap((mass, row) => Array.from({ length: mass }, () => row))
  const centres = rowsAt(points, [0, 1, 2])
  const one = kMeans(points, { clusters: 3, masses, centres })
  const other = kMeans(rowsAt(points, repeated), { clusters: 3, centres })
  assert.ok(isNear(one.inertia, other.inertia, 1e-9))
  assert.deepEqual(
    [...other.labels],
    repeated.map((row) => one.labels[row]),
  )
})

test('the same seed gives the same centres, and good ones', () => {
  const points = cloud(5, 300, 4)
  const [one, other] = [kMeans(points, { clusters: 3, seed: 9 }), kMeans(points, { clusters: 3, seed: 9 })]
  assert.deepEqual([...one.centres.values], [...other.centres.values])
  assert.ok(
    adjustedRand(
      one.labels,
      Int32Array.from({ length: 300 }, (_, i) => i % 3),
    ) > 0.98,
  )
})

test('equal points and as many clusters as points are no trouble', () => {
  const same = kMeans(matrixOf(Array.from({ length: 10 }, () => [1, 2])), { clusters: 3 })
  assert.equal(same.inertia, 0)
  assert.equal(kMeans(cloud(1, 6, 2), { clusters: 6 }).inertia, 0)
  const mixture = gaussianMixture(matrixOf(Array.from({ length: 10 }, (_, i) => [1, i < 5 ? 0 : 1])), { components: 2 })
  assert.ok(Number.isFinite(mixture.logLikelihood) && adjustedRand(mixture.labels, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]) === 1)
})

test('the information criterion finds the number of components', () => {
  const points = cloud(8, 400, 2)
  const bics = [1, 2, 3, 4, 5].map((components) => gaussianMixture(points, { components, seed: 1 }).bic)
  assert.equal(bics.indexOf(Math.min(...bics)) + 1, 3)
})

test('probabilities of the components sum up to one', () => {
  const { membership, weights } = gaussianMixture(cloud(4, 100, 3), { components: 3, covariance: 'diagonal' })
  for (let i = 0; i < membership.rows; i++)
    assert.ok(
      isNear(
        membership.values.subarray(i * 3, i * 3 + 3).reduce((a, b) => a + b, 0),
        1,
        1e-12,
      ),
    )
  assert.ok(
    isNear(
      weights.reduce((a, b) => a + b, 0),
      1,
      1e-12,
    ),
  )
})

test('what makes no sense is refused with its value', () => {
  const points = cloud(1, 5, 2)
  assert.throws(() => kMeans(points, { clusters: 6 }), /clusters is 6, expected 1 to 5/)
  assert.throws(() => kMeans(matrixOf([[Number.NaN]]), { clusters: 1 }), /point 0, column 0 is NaN/)
  assert.throws(() => gaussianMixture(points, { components: 1, ridge: 0 }), /ridge is 0/)
})
