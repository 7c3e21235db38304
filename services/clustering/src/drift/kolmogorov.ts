// Tail probabilities of the two-sample Kolmogorov-Smirnov and Cramér-von Mises statistics of independent values.
// Autocorrelated values need the calibration of calibration.ts instead: their probabilities are far too small here.

/** Lattice points up to which probabilities are exact: 4 ms of work. */
const EXACT_POINTS = 1_000_000

/** P(D ≥ d) for two samples of these sizes: exact while sizes are moderate, else by the limit with Stephens's correction. */
export const ksPValue = (n: number, m: number, d: number): number => (n * m <= EXACT_POINTS ? exact(n, m, d) : limit(n, m, d))

/** Share of all orders of the pooled values in which the distribution functions are ever `d` or more apart. */
const exact = (n: number, m: number, d: number): number => {
  if (d <= 0) return 1
  if (d > 1 + 1e-9) return 0
  // Distances are multiples of 1 / (n m): the bound lies between two of them.
  const bound = Math.ceil(d * n * m - 1e-7) - 0.5
  const crossed = new Float64Array(m + 1)
  for (let i = 0; i <= n; i++) {
    for (let j = 0; j <= m; j++) {
      if (Math.abs(i * m - j * n) > bound) crossed[j] = 1
      else if (i + j === 0) crossed[0] = 0
      else crossed[j] = (i * (i === 0 ? 0 : (crossed[j] as number)) + j * (j === 0 ? 0 : (crossed[j - 1] as number))) / (i + j)
    }
  }
  return crossed[m] as number
}

const limit = (n: number, m: number, d: number): number => {
  const root = Math.sqrt((n * m) / (n + m))
  const x = (root + 0.12 + 0.11 / root) * d
  if (x < 0.2) return 1
  let sum = 0
  for (let k = 1; k <= 100; k++) {
    const term = Math.exp(-2 * k * k * x * x)
    sum += k % 2 === 1 ? term : -term
    if (term < 1e-18) break
  }
  return Math.min(Math.max(2 * sum, 0), 1)
}

/** P(T ≥ t) of the two-sample Cramér-von Mises statistic by its limit (Anderson and Darling 1952, Anderson 1962). */
export const cvmPValue = (n: number, m: number, t: number): number => {
  const pooled = n + m
  const mean = (1 + 1 / pooled) / 6
  const variance = ((pooled + 1) * (4 * m * n * pooled - 3 * (m * m + n * n) - 2 * m * n)) / (45 * pooled * pooled * 4 * m * n)
  const standard = 1 / 6 + (t - mean) / Math.sqrt(45 * variance)
  return standard < 0.003 ? 1 : Math.max(0, 1 - cvmLimit(standard))
}

const cvmLimit = (x: number): number => {
  let sum = 0
  let weight = Math.PI // Γ(k + 1/2) / k! · √π, from k = 0
  for (let k = 0; k < 200; k++) {
    const y = 4 * k + 1
    const q = (y * y) / (16 * x)
    const term = weight * Math.sqrt(y) * scaledBesselK(0.25, q) * Math.exp(-2 * q)
    sum += term
    if (term < 1e-17 * sum) break
    weight *= (k + 0.5) / (k + 1)
  }
  return sum / (Math.PI * Math.PI * Math.sqrt(x))
}

/** e^z K_ν(z) = ∫ exp(-z (cosh t - 1)) cosh(ν t) dt from 0: the trapezoid rule converges faster than any power. */
const scaledBesselK = (order: number, z: number): number => {
  const step = 0.02
  let sum = 0.5
  for (let t = step; ; t += step) {
    const decay = z * (Math.cosh(t) - 1)
    if (decay > 60) break
    sum += Math.exp(-decay) * Math.cosh(order * t)
  }
  return sum * step
}
