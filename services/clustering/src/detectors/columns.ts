// Of a wide vector the numbers that together tell most about all the others: what a detector can carry on the rows it has.
// Deterministic: equal rows give equal columns.

import type { Matrix } from '../matrix.ts'

/** A number of which this share of the rest is left unexplained adds nothing. */
const negligible = 1e-6

/**
 * Places of at most `most` columns, ascending; all of them where there are no more. Otherwise columns that never moved or were
 * mostly missing are left out, and one after the other the column is taken that explains most of what is not yet explained.
 */
export const chooseColumns = (rows: Matrix, most: number): number[] => {
  const all = Array.from({ length: rows.width }, (_, at) => at)
  if (rows.width <= most) return all
  const standard = all.flatMap((at) => standardised(rows, at) ?? [])
  const d = standard.length
  const rest = correlations(standard.map(({ values }) => values))
  const chosen: number[] = []
  while (chosen.length < most) {
    let best = -1
    let most = negligible
    for (let j = 0; j < d; j++) {
      const own = rest[j * d + j] as number
      if (own < negligible) continue
      let explained = 0
      for (let k = 0; k < d; k++) explained += (rest[j * d + k] as number) ** 2
      if (explained / own > most) {
        most = explained / own
        best = j
      }
    }
    if (best < 0) break
    chosen.push((standard[best] as Standardised).at)
    const own = rest[best * d + best] as number
    const pivot = rest.slice(best * d, (best + 1) * d)
    for (let j = 0; j < d; j++) {
      const share = (pivot[j] as number) / own
      for (let k = 0; k < d; k++) rest[j * d + k] = (rest[j * d + k] as number) - share * (pivot[k] as number)
    }
  }
  return chosen.toSorted((a, b) => a - b)
}

interface Standardised {
  readonly at: number
  readonly values: Float64Array
}

/** A column in its standard deviations, 0 where it is missing; undefined for one that says nothing. */
const standardised = ({ values, rows, width }: Matrix, at: number): Standardised | undefined => {
  const of = (t: number): number => values[t * width + at] as number
  let count = 0
  let sum = 0
  for (let t = 0; t < rows; t++) {
    if (!Number.isFinite(of(t))) continue
    count++
    sum += of(t)
  }
  if (count < rows / 2) return undefined
  const mean = sum / count
  let squares = 0
  for (let t = 0; t < rows; t++) if (Number.isFinite(of(t))) squares += (of(t) - mean) ** 2
  const std = Math.sqrt(squares / count)
  if (std < 1e-9 * (1 + Math.abs(mean))) return undefined
  return { at, values: Float64Array.from({ length: rows }, (_, t) => (Number.isFinite(of(t)) ? (of(t) - mean) / std : 0)) }
}

const correlations = (columns: readonly Float64Array[]): Float64Array => {
  const d = columns.length
  const out = new Float64Array(d * d)
  for (let j = 0; j < d; j++) {
    const a = columns[j] as Float64Array
    for (let k = 0; k <= j; k++) {
      const b = columns[k] as Float64Array
      let sum = 0
      for (let t = 0; t < a.length; t++) sum += (a[t] as number) * (b[t] as number)
      out[j * d + k] = sum / a.length
      out[k * d + j] = sum / a.length
    }
  }
  return out
}
