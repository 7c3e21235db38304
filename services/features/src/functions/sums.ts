// Passes of moments that are asked for less often. Each takes doubles x_0 … x_(n-1) and works on y = (x - x_0) - shift, so that a
// large offset costs no digits.
//
// Order of the sums: four neighbours are added as (0 + 1) + (2 + 3), and that to the sum so far; the last n mod 4 elements
// one by one.

/** Sum of y^3. */
export const cubes = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let total = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = (x[i] as number) - first - shift
    const q = (x[i + 1] as number) - first - shift
    const r = (x[i + 2] as number) - first - shift
    const s = (x[i + 3] as number) - first - shift
    total += p * p * p + q * q * q + (r * r * r + s * s * s)
  }
  for (; i < n; i++) {
    const p = (x[i] as number) - first - shift
    total += p * p * p
  }
  return total
}

/** Sum of |y|. */
export const absolutes = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let total = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = (x[i] as number) - first - shift
    const q = (x[i + 1] as number) - first - shift
    const r = (x[i + 2] as number) - first - shift
    const s = (x[i + 3] as number) - first - shift
    total += Math.abs(p) + Math.abs(q) + (Math.abs(r) + Math.abs(s))
  }
  for (; i < n; i++) {
    const p = (x[i] as number) - first - shift
    total += Math.abs(p)
  }
  return total
}

/** Sum of the square roots of |y|. */
export const roots = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let total = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = (x[i] as number) - first - shift
    const q = (x[i + 1] as number) - first - shift
    const r = (x[i + 2] as number) - first - shift
    const s = (x[i + 3] as number) - first - shift
    total += Math.sqrt(Math.abs(p)) + Math.sqrt(Math.abs(q)) + (Math.sqrt(Math.abs(r)) + Math.sqrt(Math.abs(s)))
  }
  for (; i < n; i++) {
    const p = (x[i] as number) - first - shift
    total += Math.sqrt(Math.abs(p))
  }
  return total
}
