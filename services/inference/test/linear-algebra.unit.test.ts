import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { matrix, quantile, row, secondMoment, symmetricEigen } from '../src/learning/linear-algebra.ts'

const square = (d: number): fc.Arbitrary<{ d: number; values: number[] }> =>
  fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: d * d, maxLength: d * d }).map((values) => ({ d, values }))

test('eigenvectors times eigenvalues give the matrix back, and the vectors are orthonormal', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }).chain(square), ({ d, values }) => {
      const a = secondMoment(
        matrix(d, d, Float64Array.from(values)),
        Array.from({ length: d }, (_, i) => i),
      )
      const { values: eigen, vectors } = symmetricEigen(a)
      const scale = 1 + Math.max(...a.data.map(Math.abs))
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < d; j++) {
          let rebuilt = 0
          let product = 0
          for (let k = 0; k < d; k++) {
            rebuilt += row(vectors, i)[k]! * eigen[k]! * row(vectors, j)[k]!
            product += row(vectors, k)[i]! * row(vectors, k)[j]!
          }
          assert.ok(Math.abs(rebuilt - row(a, i)[j]!) < 1e-9 * scale)
          assert.ok(Math.abs(product - (i === j ? 1 : 0)) < 1e-9)
        }
      }
      for (let k = 1; k < d; k++) assert.ok(eigen[k - 1]! >= eigen[k]!)
    }),
  )
})

test('a quantile interpolates between the closest ranks', () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5)
  assert.equal(quantile([5], 0.99), 5)
  assert.equal(quantile([0, 10], 1), 10)
})
