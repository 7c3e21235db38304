// Small dense linear algebra in float64. Fixed summation order and no transcendental function: the same numbers on every machine.

/** A row-major matrix. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly data: Float64Array
}

export const matrix = (rows: number, columns: number, data: Float64Array = new Float64Array(rows * columns)): Matrix => ({
  rows,
  columns,
  data,
})

/** Row `i` as a view. */
export const row = (m: Matrix, i: number): Float64Array => m.data.subarray(i * m.columns, (i + 1) * m.columns)

/** Mean of the outer products of the chosen rows: the correlation matrix when columns are standardised. */
export const secondMoment = (m: Matrix, chosen: readonly number[]): Matrix => {
  const d = m.columns
  const out = new Float64Array(d * d)
  for (const i of chosen) {
    const x = row(m, i)
    for (let a = 0; a < d; a++) for (let b = a; b < d; b++) out[a * d + b]! += x[a]! * x[b]!
  }
  for (let a = 0; a < d; a++) {
    for (let b = a; b < d; b++) {
      const value = out[a * d + b]! / chosen.length
      out[a * d + b] = value
      out[b * d + a] = value
    }
  }
  return matrix(d, d, out)
}

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array
  /** Column k belongs to values[k]; its largest entry is positive, so the sign is fixed. */
  readonly vectors: Matrix
}

/** Eigenvalues and vectors of a symmetric matrix by cyclic Jacobi rotations. */
export const symmetricEigen = (symmetric: Matrix): Eigen => {
  const d = symmetric.rows
  const a = Float64Array.from(symmetric.data)
  const v = new Float64Array(d * d)
  for (let i = 0; i < d; i++) v[i * d + i] = 1
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0
    let total = 0
    for (let i = 0; i < d * d; i++) {
      const square = a[i]! * a[i]!
      total += square
      if (i % (d + 1) !== 0) off += square
    }
    if (off <= 1e-30 * total) break
    for (let p = 0; p < d - 1; p++) for (let q = p + 1; q < d; q++) rotate(a, v, d, p, q)
  }
  const order = Array.from({ length: d }, (_, i) => i).sort((i, j) => a[j * d + j]! - a[i * d + i]! || i - j)
  const vectors = new Float64Array(d * d)
  order.forEach((from, to) => {
    let largest = 0
    for (let i = 1; i < d; i++) if (Math.abs(v[i * d + from]!) > Math.abs(v[largest * d + from]!)) largest = i
    const sign = v[largest * d + from]! < 0 ? -1 : 1
    for (let i = 0; i < d; i++) vectors[i * d + to] = sign * v[i * d + from]!
  })
  return { values: Float64Array.from(order, (i) => a[i * d + i]!), vectors: matrix(d, d, vectors) }
}

/** One Jacobi rotation that makes a[p, q] zero. */
const rotate = (a: Float64Array, v: Float64Array, d: number, p: number, q: number): void => {
  const apq = a[p * d + q]!
  if (apq === 0) return
  const theta = (a[q * d + q]! - a[p * d + p]!) / (2 * apq)
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
  const c = 1 / Math.sqrt(t * t + 1)
  const s = t * c
  for (let i = 0; i < d; i++) {
    const ip = a[i * d + p]!
    const iq = a[i * d + q]!
    a[i * d + p] = c * ip - s * iq
    a[i * d + q] = s * ip + c * iq
  }
  for (let i = 0; i < d; i++) {
    const pi = a[p * d + i]!
    const qi = a[q * d + i]!
    a[p * d + i] = c * pi - s * qi
    a[q * d + i] = s * pi + c * qi
    const vp = v[i * d + p]!
    const vq = v[i * d + q]!
    v[i * d + p] = c * vp - s * vq
    v[i * d + q] = s * vp + c * vq
  }
}

/** Quantile with linear interpolation between the closest ranks. */
export const quantile = (values: ArrayLike<number>, q: number): number => {
  const sorted = Float64Array.from(values).sort()
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low)
}
