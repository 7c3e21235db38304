import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matrixOf, requireFinite, rowOf, rowsAt } from '../src/matrix.ts'

test('rows go in and come out', () => {
  const matrix = matrixOf([
    [1, 2],
    [3, 4],
    [5, 6],
  ])
  assert.deepEqual({ ...matrix, values: [...matrix.values] }, { values: [1, 2, 3, 4, 5, 6], rows: 3, width: 2 })
  assert.deepEqual([...rowOf(matrix, 1)], [3, 4])
  assert.deepEqual([...rowsAt(matrix, [2, 0]).values], [5, 6, 1, 2])
})

test('rows of different length are refused', () => {
  assert.throws(() => matrixOf([[1, 2], [3]]), /row 1 has 1 values, row 0 has 2/)
})

test('what is not finite is refused with its place', () => {
  requireFinite(matrixOf([[1, 2]]))
  assert.throws(
    () =>
      requireFinite(
        matrixOf([
          [1, 2],
          [3, Number.NaN],
        ]),
        'point',
      ),
    /point 1, column 1 is NaN/,
  )
  assert.throws(() => requireFinite({ values: new Float64Array(3), rows: 2, width: 2 }), /need 4 values, there are 3/)
})
