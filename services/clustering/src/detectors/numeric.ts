// Small numeric tools of the detectors: quantiles as numpy gives them, and the inverse of a covariance with a ridge.
// Fixed order of summation, so the same input gives the same bits.

/** Linear-interpolated quantile of ascending values; NaN of none. */
export const quantileOfSorted = (sorted: Float64Array, q: number): number => {
  const n = sorted.length
  if (n === 0) return Number.NaN
  const at = q * (n - 1)
  const below = Math.min(n - 1, Math.max(0, Math.floor(at)))
  const low = sorted[below] as number
  const high = sorted[Math.min(n - 1, below + 1)] as number
  const t = at - below
  return t >= 0.5 ? high - (high - low) * (1 - t) : low + (high - low) * t
}

/** The values that are numbers, ascending. */
export const sortedNumbers = (values: ArrayLike<number>): Float64Array => {
  let count = 0
  const out = new Float64Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (value === value) out[count++] = value
  }
  return out.subarray(0, count).sort()
}

export const quantile = (values: ArrayLike<number>, q: number): number => quantileOfSorted(sortedNumbers(values), q)

/** 2 mean²/variance, the degrees of freedom of a chi-square with the same spread, within 0.5 and 10 000. */
export const degreesOfFreedom = (values: ArrayLike<number>): number => {
  let count = 0
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (value === value) {
      sum += value
      count++
    }
  }
  const mean = sum / count
  let squares = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (value === value) squares += (value - mean) * (value - mean)
  }
  return Math.min(1e4, Math.max(0.5, (2 * mean * mean) / Math.max(squares / count, 1e-12)))
}

/** Inverse of a symmetric positive definite matrix (row-major, width × width) by Cholesky; a positive ridge on the diagonal makes it one. */
export const inverse = (matrix: Float64Array, width: number): Float64Array => {
  const lower = new Float64Array(width * width)
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * width + j] as number
      for (let k = 0; k < j; k++) sum -= (lower[i * width + k] as number) * (lower[j * width + k] as number)
      lower[i * width + j] = i === j ? Math.sqrt(sum) : sum / (lower[j * width + j] as number)
    }
  }
  // Inverse of the triangle, then of the product: (L L')⁻¹ = L'⁻¹ L⁻¹.
  const inverted = new Float64Array(width * width)
  for (let j = 0; j < width; j++) {
    for (let i = j; i < width; i++) {
      let sum = i === j ? 1 : 0
      for (let k = j; k < i; k++) sum -= (lower[i * width + k] as number) * (inverted[k * width + j] as number)
      inverted[i * width + j] = sum / (lower[i * width + i] as number)
    }
  }
  const out = new Float64Array(width * width)
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0
      for (let k = i; k < width; k++) sum += (inverted[k * width + i] as number) * (inverted[k * width + j] as number)
      out[i * width + j] = sum
      out[j * width + i] = sum
    }
  }
  return out
}

/** e'Me of a symmetric matrix (row-major): each pair is looked at once, in four sums side by side. */
export const quadraticForm = (matrix: Float64Array, e: Float64Array): number => {
  const width = e.length
  let diagonal = 0
  let twice = 0
  for (let i = 0; i < width; i++) {
    const at = i * width
    const own = e[i] as number
    if (own === 0) continue
    diagonal += (matrix[at + i] as number) * own * own
    let a = 0
    let b = 0
    let c = 0
    let d = 0
    let j = i + 1
    for (; j + 3 < width; j += 4) {
      a += (matrix[at + j] as number) * (e[j] as number)
      b += (matrix[at + j + 1] as number) * (e[j + 1] as number)
      c += (matrix[at + j + 2] as number) * (e[j + 2] as number)
      d += (matrix[at + j + 3] as number) * (e[j + 3] as number)
    }
    for (; j < width; j++) a += (matrix[at + j] as number) * (e[j] as number)
    twice += own * (a + b + (c + d))
  }
  return diagonal + 2 * twice
}
