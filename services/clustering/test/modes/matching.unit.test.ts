import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bestMatching } from '../../src/modes/matching.ts'
import { randomFrom } from '../../src/random.ts'

const total = (profits: Float64Array, columns: number, matched: Int32Array): number =>
  matched.reduce((sum, j, i) => sum + (j < 0 ? 0 : (profits[i * columns + j] as number)), 0)

/** The largest total of all matchings, by trying them. */
const bruteForce = (profits: Float64Array, rows: number, columns: number): number => {
  const best = (row: number, used: number): number => {
    if (row === rows) return 0
    let most = best(row + 1, used)
    for (let j = 0; j < columns; j++) {
      if ((used & (1 << j)) === 0) most = Math.max(most, (profits[row * columns + j] as number) + best(row + 1, used | (1 << j)))
    }
    return most
  }
  return best(0, 0)
}

test('the total is the largest there is, and every row and column is used at most once', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 6 }),
      fc.integer({ min: 0, max: 6 }),
      fc.nat(1_000_000),
      fc.boolean(),
      (rows, columns, seed, isCoarse) => {
        const random = randomFrom(seed)
        // Coarse ones have many zeros and many equal totals.
        const profits = Float64Array.from({ length: rows * columns }, () => (isCoarse ? random.below(4) : Math.max(0, random.normal())))
        const matched = bestMatching(profits, rows, columns)
        assert.equal(matched.length, rows)
        const used = [...matched].filter((j) => j >= 0)
        assert.equal(new Set(used).size, used.length)
        assert.ok(used.every((j) => j < columns))
        matched.forEach((j, i) => assert.ok(j < 0 || (profits[i * columns + j] as number) > 0))
        assert.ok(Math.abs(total(profits, columns, matched) - bruteForce(profits, rows, columns)) < 1e-9)
      },
    ),
    { numRuns: 600 },
  )
})

test('a permutation of a large diagonal is found whole', () => {
  const size = 200
  const random = randomFrom(4)
  const profits = Float64Array.from({ length: size * size }, (_, at) =>
    ((at % size) * 37) % size === Math.floor(at / size) ? 2 : random.uniform(),
  )
  assert.equal(total(profits, size, bestMatching(profits, size, size)), 2 * size)
})

test('what is no profit is refused', () => {
  assert.throws(() => bestMatching(Float64Array.of(-1), 1, 1), /profit is -1/)
  assert.throws(() => bestMatching(Float64Array.of(Number.NaN), 1, 1), /profit is NaN/)
  assert.throws(() => bestMatching(Float64Array.of(1, 2), 1, 1), /2 profits/)
})
