// The matching of rows with columns that has the largest total, each used at most once (Hungarian method with potentials, O(n²m)).

/**
 * Column of each row, -1 where it has none. `profits` has `rows × columns` numbers, row after row, none negative; a pair without profit is
 * never matched. Equal input gives equal output; of equal totals the one found first.
 */
export const bestMatching = (profits: Float64Array, rows: number, columns: number): Int32Array => {
  if (profits.length !== rows * columns) throw new RangeError(`${profits.length} profits for ${rows} rows and ${columns} columns`)
  for (const profit of profits)
    if (!(profit >= 0 && Number.isFinite(profit))) throw new RangeError(`a profit is ${profit}, expected 0 or more`)
  // The method wants no more rows than columns.
  const isTurned = rows > columns
  const [short, long] = isTurned ? [columns, rows] : [rows, columns]
  const profit = (i: number, j: number): number => (isTurned ? profits[j * columns + i] : profits[i * columns + j]) as number
  const rowPotential = new Float64Array(short + 1)
  const columnPotential = new Float64Array(long + 1)
  /** 1-based row of each column; column 0 is the start of a path. */
  const rowOf = new Int32Array(long + 1)
  const from = new Int32Array(long + 1)
  const slack = new Float64Array(long + 1)
  const isUsed = new Uint8Array(long + 1)
  for (let row = 1; row <= short; row++) {
    rowOf[0] = row
    slack.fill(Number.POSITIVE_INFINITY)
    isUsed.fill(0)
    let column = 0
    do {
      isUsed[column] = 1
      const at = rowOf[column] as number
      let least = Number.POSITIVE_INFINITY
      let next = 0
      for (let j = 1; j <= long; j++) {
        if (isUsed[j] === 1) continue
        const reduced = -profit(at - 1, j - 1) - (rowPotential[at] as number) - (columnPotential[j] as number)
        if (reduced < (slack[j] as number)) {
          slack[j] = reduced
          from[j] = column
        }
        if ((slack[j] as number) < least) {
          least = slack[j] as number
          next = j
        }
      }
      for (let j = 0; j <= long; j++) {
        if (isUsed[j] === 1) {
          const held = rowOf[j] as number
          rowPotential[held] = (rowPotential[held] as number) + least
          columnPotential[j] = (columnPotential[j] as number) - least
        } else slack[j] = (slack[j] as number) - least
      }
      column = next
    } while (rowOf[column] !== 0)
    while (column !== 0) {
      const before = from[column] as number
      rowOf[column] = rowOf[before] as number
      column = before
    }
  }
  const matched = new Int32Array(rows).fill(-1)
  for (let j = 1; j <= long; j++) {
    const i = (rowOf[j] as number) - 1
    if (i < 0 || profit(i, j - 1) <= 0) continue
    if (isTurned) matched[j - 1] = i
    else matched[i] = j - 1
  }
  return matched
}
