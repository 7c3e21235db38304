// How far apart two samples of one number are. Distances and divergences only; what is far is decided by calibration.ts.
// Values are finite; samples that are `sorted` rise.

/** A sorted copy. */
export const sorted = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).sort()

/** Kolmogorov-Smirnov: largest difference of the distribution functions. */
export const ksDistance = (a: Float64Array, b: Float64Array): number => {
  let most = 0
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i] as number, b[j] as number)
    while (i < a.length && (a[i] as number) <= value) i++
    while (j < b.length && (b[j] as number) <= value) j++
    const apart = Math.abs(i / a.length - j / b.length)
    if (apart > most) most = apart
  }
  return most
}

/** Cramér-von Mises T of Anderson (1962), ties by middle ranks. */
export const cvmStatistic = (a: Float64Array, b: Float64Array): number => {
  const n = a.length
  const m = b.length
  let sum = 0
  let i = 0
  let j = 0
  while (i < n || j < m) {
    const value = Math.min(a[i] ?? Infinity, b[j] ?? Infinity)
    const i0 = i
    const j0 = j
    while (i < n && (a[i] as number) === value) i++
    while (j < m && (b[j] as number) === value) j++
    const rank = (i0 + j0 + 1 + i + j) / 2
    for (let k = i0; k < i; k++) sum += n * (rank - k - 1) ** 2
    for (let k = j0; k < j; k++) sum += m * (rank - k - 1) ** 2
  }
  return sum / (n * m * (n + m)) - (4 * m * n - 1) / (6 * (m + n))
}

/** Wasserstein-1: area between the distribution functions, in the unit of the values. */
export const wassersteinDistance = (a: Float64Array, b: Float64Array): number => {
  let area = 0
  let i = 0
  let j = 0
  let before = Math.min(a[0] ?? 0, b[0] ?? 0)
  while (i < a.length || j < b.length) {
    const value = Math.min(a[i] ?? Infinity, b[j] ?? Infinity)
    area += (value - before) * Math.abs(i / a.length - j / b.length)
    before = value
    while (i < a.length && (a[i] as number) === value) i++
    while (j < b.length && (b[j] as number) === value) j++
  }
  return area
}

/** Inner edges of bins that hold equal shares of a sorted reference. Where values repeat, edges fall together and are one: fewer bins. */
export const binEdges = (reference: Float64Array, bins = 10): number[] => {
  const edges: number[] = []
  for (let k = 1; k < bins; k++) {
    const at = ((reference.length - 1) * k) / bins
    const low = reference[Math.floor(at)] as number
    const edge = low + ((reference[Math.ceil(at)] as number) - low) * (at - Math.floor(at))
    if (edge > (edges.at(-1) ?? -Infinity)) edges.push(edge)
  }
  return edges
}

/** Values per bin; a value on an edge belongs above it. */
export const binCounts = (edges: readonly number[], values: ArrayLike<number>): Float64Array => {
  const counts = new Float64Array(edges.length + 1)
  for (let i = 0; i < values.length; i++) {
    let low = 0
    let high = edges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((edges[middle] as number) <= (values[i] as number)) low = middle + 1
      else high = middle
    }
    counts[low] = (counts[low] as number) + 1
  }
  return counts
}

/** Half a value in every bin, so that an empty one gives no infinity. */
const shares = (counts: Float64Array): Float64Array => {
  let total = 0
  for (const count of counts) total += count
  return counts.map((count) => (count + 0.5) / (total + counts.length / 2))
}

/** Population stability index of two counts over the same bins, nats. */
export const psi = (reference: Float64Array, current: Float64Array): number => {
  const p = shares(reference)
  const q = shares(current)
  let sum = 0
  for (let i = 0; i < p.length; i++) sum += ((q[i] as number) - (p[i] as number)) * Math.log((q[i] as number) / (p[i] as number))
  return sum
}

/** Jensen-Shannon divergence of two counts over the same bins, bits: 0 … 1. Its root is a distance. */
export const jensenShannon = (reference: Float64Array, current: Float64Array): number => {
  let total = 0
  let other = 0
  for (let i = 0; i < reference.length; i++) {
    total += reference[i] as number
    other += current[i] as number
  }
  let sum = 0
  for (let i = 0; i < reference.length; i++) {
    const p = (reference[i] as number) / total
    const q = (current[i] as number) / other
    if (p > 0) sum += p * Math.log2((2 * p) / (p + q))
    if (q > 0) sum += q * Math.log2((2 * q) / (p + q))
  }
  return Math.max(0, sum / 2)
}
