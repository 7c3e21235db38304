import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adjusted } from '../../src/drift/benjamini-hochberg.ts'
import { autocorrelationTime, varianceOfMean } from '../../src/drift/autocorrelation.ts'
import { cvmPValue, ksPValue } from '../../src/drift/kolmogorov.ts'
import {
  binCounts,
  binEdges,
  cvmStatistic,
  jensenShannon,
  ksDistance,
  psi,
  sorted,
  wassersteinDistance,
} from '../../src/drift/two-sample.ts'
import { classifierAuc, energyDistance, medianDistance, mmdLinear, mmdQuadratic } from '../../src/drift/vector-tests.ts'
import { randomFrom } from '../../src/random.ts'
import { golden, isNear, pointsOf, streamOf } from './streams.ts'

for (const [i, expected] of golden.twoSample.entries())
  test(`two-sample statistics are those of scipy and numpy (pair ${i})`, () => {
    const x = sorted(streamOf(expected.a))
    const y = sorted(streamOf(expected.b))
    const near = (name: string, found: number, wanted: number, relative?: number, absolute?: number): void =>
      assert.ok(isNear(found, wanted, relative, absolute), `${name}: ${found}, scipy ${wanted}`)
    near('KS', ksDistance(x, y), expected.ks)
    // Large samples: the limit with Stephens's correction, where scipy takes the one-sample distribution of n m / (n + m) values.
    near('p of KS', ksPValue(x.length, y.length, expected.ks), expected.ksP, expected.ksIsExact ? 1e-9 : 0.02)
    near('CvM', cvmStatistic(x, y), expected.cvm)
    near('p of CvM', cvmPValue(x.length, y.length, expected.cvm), expected.cvmP, 1e-6, 1e-9)
    near('Wasserstein', wassersteinDistance(x, y), expected.wasserstein)
    const edges = binEdges(x)
    const [p, q] = [binCounts(edges, x), binCounts(edges, y)]
    near('PSI', psi(p, q), expected.psi)
    near('Jensen-Shannon', jensenShannon(p, q), expected.jensenShannon)
  })

for (const [i, expected] of golden.vectors.entries())
  test(`distances of vectors are those of scipy and numpy (pair ${i})`, () => {
    const x = pointsOf(expected.a)
    const y = pointsOf(expected.b)
    const both = { values: Float64Array.from([...x.values, ...y.values]), rows: x.rows + y.rows, width: x.width }
    const width = medianDistance(both)
    assert.ok(isNear(width, expected.median), `median ${width}, scipy ${expected.median}`)
    assert.ok(isNear(mmdQuadratic(x, y, width), expected.mmdQuadratic))
    const linear = mmdLinear(x, y, width)
    assert.ok(isNear(linear.value, expected.mmdLinear))
    assert.ok(isNear(linear.standardError, expected.mmdLinearStd))
    assert.ok(isNear(energyDistance(x, y), expected.energy))
    // Newton and L-BFGS stop at slightly different weights; a pair of rows may change places.
    assert.ok(isNear(classifierAuc(x, y), expected.auc, 1e-3), `AUC ${classifierAuc(x, y)}, scipy ${expected.auc}`)
  })

for (const { p, adjusted: expected } of golden.adjusted)
  test(`Benjamini-Hochberg adjusts ${p.join(', ')} as scipy does`, () => {
    adjusted(p).forEach((value, i) => assert.ok(isNear(value, expected[i] as number), `${value}, scipy ${expected[i]}`))
  })

test('equal samples have no distance, and bins of a constant reference are one', () => {
  const x = sorted([3, 1, 2, 2])
  assert.equal(ksDistance(x, x), 0)
  assert.equal(wassersteinDistance(x, x), 0)
  assert.equal(ksPValue(4, 4, 0), 1)
  const edges = binEdges(sorted([5, 5, 5]))
  assert.deepEqual([...binCounts(edges, [4, 5, 6])], [1, 2])
  assert.equal(psi(binCounts(edges, [5, 5, 5]), binCounts(edges, [5, 5, 5])), 0)
})

test('the autocorrelation time of AR(1) is (1 + φ) / (1 - φ)', () => {
  for (const phi of [0, 0.5, 0.8]) {
    const random = randomFrom(3)
    let x = 0
    const values = Float64Array.from({ length: 40_000 }, () => (x = phi * x + random.normal()))
    const expected = (1 + phi) / (1 - phi)
    assert.ok(Math.abs(autocorrelationTime(values) / expected - 1) < 0.15, `φ ${phi}: ${autocorrelationTime(values)}, expected ${expected}`)
  }
  assert.equal(autocorrelationTime([2, 2, 2, 2]), 1)
})

test('the variance of a mean of an AR(1) signal goes from 1 to its autocorrelation time with the length', () => {
  assert.ok(isNear(varianceOfMean(9, 1), 1))
  assert.ok(Math.abs(varianceOfMean(9, 1e6) - 9) < 0.001)
  assert.ok(isNear(varianceOfMean(1, 50), 1))
  // Two neighbours correlate by φ = 0.8.
  assert.ok(isNear(varianceOfMean(9, 2), 1.8))
})
