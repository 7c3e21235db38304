// Rows of numbers as one packed array: what detectors, clusterings and drift detectors take. Points are rows.

export interface Matrix {
  /** Row after row, `rows × width` numbers. */
  readonly values: Float64Array
  readonly rows: number
  readonly width: number
}

/** Copies rows of equal length. Throws when one differs. */
export const matrixOf = (rows: readonly ArrayLike<number>[]): Matrix => {
  const width = rows[0]?.length ?? 0
  const values = new Float64Array(rows.length * width)
  rows.forEach((row, i) => {
    if (row.length !== width) throw new RangeError(`row ${i} has ${row.length} values, row 0 has ${width}`)
    values.set(row, i * width)
  })
  return { values, rows: rows.length, width }
}

/** A view of one row, not a copy. */
export const rowOf = ({ values, width }: Matrix, row: number): Float64Array => values.subarray(row * width, (row + 1) * width)

/** The rows with these numbers, in this order, as a matrix of their own. */
export const rowsAt = (matrix: Matrix, rows: ArrayLike<number>): Matrix => {
  const values = new Float64Array(rows.length * matrix.width)
  for (let i = 0; i < rows.length; i++) values.set(rowOf(matrix, rows[i] as number), i * matrix.width)
  return { values, rows: rows.length, width: matrix.width }
}

/** Throws unless the array has `rows × width` values and all of them are finite; the message says which is not. `what` names a row: `point`. */
export const requireFinite = ({ values, rows, width }: Matrix, what = 'row'): void => {
  if (values.length !== rows * width)
    throw new RangeError(`${rows} ${what}s of ${width} need ${rows * width} values, there are ${values.length}`)
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]))
      throw new RangeError(`${what} ${Math.floor(i / width)}, column ${i % width} is ${values[i]}, expected a finite number`)
  }
}
