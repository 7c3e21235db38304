// The loops of the moments. Each takes doubles x_0 … x_(n-1) and works on x - x_0, so that a large offset costs no digits and
// a constant signal has no spread at all.
//
// Order of every sum: element i goes to partial sum i mod 4 (the last n mod 4 elements to the first one), and the four are
// added as (0 + 1) + (2 + 3). It depends on n alone, and four sums do not wait for each other.

/** Sum of x - x_0 over floats, which are widened into `doubles` on the way. */
export const widenAndSum = (elements: Float32Array, n: number, doubles: Float64Array): number => {
  const first = elements[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = elements[i] as number
    const q = elements[i + 1] as number
    const r = elements[i + 2] as number
    const s = elements[i + 3] as number
    doubles[i] = p
    doubles[i + 1] = q
    doubles[i + 2] = r
    doubles[i + 3] = s
    a += p - first
    b += q - first
    c += r - first
    d += s - first
  }
  for (; i < n; i++) {
    const p = elements[i] as number
    doubles[i] = p
    a += p - first
  }
  return a + b + (c + d)
}

/** Sum of x - x_0. */
export const sum = (x: Float64Array, n: number): number => {
  const first = x[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    a += (x[i] as number) - first
    b += (x[i + 1] as number) - first
    c += (x[i + 2] as number) - first
    d += (x[i + 3] as number) - first
  }
  for (; i < n; i++) a += (x[i] as number) - first
  return a + b + (c + d)
}

/** Where loops that find two numbers leave them. */
export const found = new Float64Array(2)

/** Lowest and highest x, into `found`. */
export const extremes = (x: Float64Array, n: number): void => {
  let low = x[0] as number
  let high = low
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = x[i] as number
    const q = x[i + 1] as number
    const r = x[i + 2] as number
    const s = x[i + 3] as number
    if (p < low) low = p
    if (p > high) high = p
    if (q < low) low = q
    if (q > high) high = q
    if (r < low) low = r
    if (r > high) high = r
    if (s < low) low = s
    if (s > high) high = s
  }
  for (; i < n; i++) {
    const p = x[i] as number
    if (p < low) low = p
    if (p > high) high = p
  }
  found[0] = low
  found[1] = high
}

/** Sum of y^2, y = (x - x_0) - shift. */
export const squares = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = (x[i] as number) - first - shift
    const q = (x[i + 1] as number) - first - shift
    const r = (x[i + 2] as number) - first - shift
    const s = (x[i + 3] as number) - first - shift
    a += p * p
    b += q * q
    c += r * r
    d += s * s
  }
  for (; i < n; i++) {
    const p = (x[i] as number) - first - shift
    a += p * p
  }
  return a + b + (c + d)
}

/** Sums of y^2 and y^4, into `found`; the first has the bits of `squares`. */
export const squaresAndFourths = (x: Float64Array, n: number, shift: number): void => {
  const first = x[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let a4 = 0
  let b4 = 0
  let c4 = 0
  let d4 = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = (x[i] as number) - first - shift
    const q = (x[i + 1] as number) - first - shift
    const r = (x[i + 2] as number) - first - shift
    const s = (x[i + 3] as number) - first - shift
    const p2 = p * p
    const q2 = q * q
    const r2 = r * r
    const s2 = s * s
    a += p2
    b += q2
    c += r2
    d += s2
    a4 += p2 * p2
    b4 += q2 * q2
    c4 += r2 * r2
    d4 += s2 * s2
  }
  for (; i < n; i++) {
    const p = (x[i] as number) - first - shift
    const p2 = p * p
    a += p2
    a4 += p2 * p2
  }
  found[0] = a + b + (c + d)
  found[1] = a4 + b4 + (c4 + d4)
}

/** Sum of y^3. */
export const cubes = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    const p = (x[i] as number) - first - shift
    const q = (x[i + 1] as number) - first - shift
    const r = (x[i + 2] as number) - first - shift
    const s = (x[i + 3] as number) - first - shift
    a += p * p * p
    b += q * q * q
    c += r * r * r
    d += s * s * s
  }
  for (; i < n; i++) {
    const p = (x[i] as number) - first - shift
    a += p * p * p
  }
  return a + b + (c + d)
}

/** Sum of |y|. */
export const absolutes = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    a += Math.abs((x[i] as number) - first - shift)
    b += Math.abs((x[i + 1] as number) - first - shift)
    c += Math.abs((x[i + 2] as number) - first - shift)
    d += Math.abs((x[i + 3] as number) - first - shift)
  }
  for (; i < n; i++) a += Math.abs((x[i] as number) - first - shift)
  return a + b + (c + d)
}

/** Sum of the square roots of |y|. */
export const roots = (x: Float64Array, n: number, shift: number): number => {
  const first = x[0] as number
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < n - 3; i += 4) {
    a += Math.sqrt(Math.abs((x[i] as number) - first - shift))
    b += Math.sqrt(Math.abs((x[i + 1] as number) - first - shift))
    c += Math.sqrt(Math.abs((x[i + 2] as number) - first - shift))
    d += Math.sqrt(Math.abs((x[i + 3] as number) - first - shift))
  }
  for (; i < n; i++) a += Math.sqrt(Math.abs((x[i] as number) - first - shift))
  return a + b + (c + d)
}
