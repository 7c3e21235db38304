// Mixtures of normal distributions, fitted by expectation and maximisation from a k-means start; diagonal or full covariances with a ridge. BIC
// compares numbers of components.

import { type Matrix, requireFinite } from '../matrix.ts'
import { type KMeansOptions, kMeans } from './k-means.ts'

export interface MixtureOptions {
  readonly components: number
  /** Default `full`. */
  readonly covariance?: 'diagonal' | 'full'
  /** Added to every variance, so that no component collapses. Default: a millionth of the mean variance of the columns. */
  readonly ridge?: number
  readonly seed?: number
  /** Ends when the mean log likelihood grows by less. Default 1e-6. */
  readonly tolerance?: number
  readonly mostSteps?: number
  readonly start?: Pick<KMeansOptions, 'centres' | 'starts'>
}

export interface Mixture {
  readonly weights: Float64Array
  readonly means: Matrix
  /** One row per component: its variances, or its covariance matrix row by row. */
  readonly covariances: Matrix
  /** The likeliest component of each point, and the probability of each component, `components` for each point. */
  readonly labels: Int32Array
  readonly membership: Matrix
  /** Mean over the points. */
  readonly logLikelihood: number
  /** Bayesian information criterion: the smaller the better. */
  readonly bic: number
  readonly steps: number
}

export const gaussianMixture = (points: Matrix, options: MixtureOptions): Mixture => {
  requireFinite(points, 'point')
  const { values, rows, width } = points
  const { components, covariance = 'full', seed = 0, tolerance = 1e-6, mostSteps = 500, start } = options
  const ridge = options.ridge ?? 1e-6 * (meanVariance(points) || 1)
  if (!(ridge > 0)) throw new RangeError(`ridge is ${ridge}, expected a number above 0`)
  const isFull = covariance === 'full'
  const { labels: first } = kMeans(points, { clusters: components, seed, ...start })
  const share = new Float64Array(rows * components)
  for (let i = 0; i < rows; i++) share[i * components + (first[i] as number)] = 1
  const size = isFull ? width * width : width
  const weights = new Float64Array(components)
  const means = new Float64Array(components * width)
  const covariances = new Float64Array(components * size)
  /** Cholesky factor of each covariance, or the deviations; and the logarithm of the density's constant. */
  const factors = new Float64Array(components * size)
  const constants = new Float64Array(components)
  const deviation = new Float64Array(width)
  const logs = new Float64Array(components)

  const maximise = (): void => {
    for (let c = 0; c < components; c++) {
      let total = 10 * Number.EPSILON
      const mean = means.subarray(c * width, (c + 1) * width).fill(0)
      const spread = covariances.subarray(c * size, (c + 1) * size).fill(0)
      for (let i = 0; i < rows; i++) {
        const r = share[i * components + c] as number
        total += r
        for (let k = 0; k < width; k++) mean[k] = (mean[k] as number) + r * (values[i * width + k] as number)
      }
      for (let k = 0; k < width; k++) mean[k] = (mean[k] as number) / total
      for (let i = 0; i < rows; i++) {
        const r = share[i * components + c] as number
        if (r === 0) continue
        for (let k = 0; k < width; k++) deviation[k] = (values[i * width + k] as number) - (mean[k] as number)
        for (let k = 0; k < width; k++) {
          const d = r * (deviation[k] as number)
          if (!isFull) spread[k] = (spread[k] as number) + d * (deviation[k] as number)
          else for (let l = 0; l <= k; l++) spread[k * width + l] = (spread[k * width + l] as number) + d * (deviation[l] as number)
        }
      }
      for (let k = 0; k < width; k++) {
        if (!isFull) {
          spread[k] = (spread[k] as number) / total + ridge
          continue
        }
        for (let l = 0; l <= k; l++)
          spread[k * width + l] = spread[l * width + k] = (spread[k * width + l] as number) / total + (l === k ? ridge : 0)
      }
      weights[c] = total / rows
      constants[c] = factorise(spread, factors.subarray(c * size, (c + 1) * size), width, isFull) - (width / 2) * Math.log(2 * Math.PI)
    }
    const sum = weights.reduce((a, b) => a + b, 0)
    for (let c = 0; c < components; c++) weights[c] = (weights[c] as number) / sum
  }
  const expect = (): number => {
    let total = 0
    for (let i = 0; i < rows; i++) {
      let most = -Infinity
      for (let c = 0; c < components; c++) {
        const factor = factors.subarray(c * size, (c + 1) * size)
        let square = 0
        for (let k = 0; k < width; k++) {
          let d = (values[i * width + k] as number) - (means[c * width + k] as number)
          if (isFull) {
            for (let l = 0; l < k; l++) d -= (factor[k * width + l] as number) * (deviation[l] as number)
            d /= factor[k * width + k] as number
            deviation[k] = d
          } else d /= factor[k] as number
          square += d * d
        }
        const log = (constants[c] as number) - square / 2 + Math.log(weights[c] as number)
        logs[c] = log
        most = Math.max(most, log)
      }
      let sum = 0
      for (let c = 0; c < components; c++) sum += Math.exp((logs[c] as number) - most)
      const log = most + Math.log(sum)
      for (let c = 0; c < components; c++) share[i * components + c] = Math.exp((logs[c] as number) - log)
      total += log
    }
    return total / rows
  }

  let logLikelihood = -Infinity
  let steps = 0
  while (steps < mostSteps) {
    maximise()
    const next = expect()
    steps++
    const gain = next - logLikelihood
    logLikelihood = next
    if (Math.abs(gain) < tolerance) break
  }
  const labels = Int32Array.from({ length: rows }, (_, i) => {
    let at = 0
    for (let c = 1; c < components; c++) if ((share[i * components + c] as number) > (share[i * components + at] as number)) at = c
    return at
  })
  const free = components * (width + (isFull ? (width * (width + 1)) / 2 : width)) + components - 1
  return {
    weights,
    means: { values: means, rows: components, width },
    covariances: { values: covariances, rows: components, width: size },
    labels,
    membership: { values: share, rows, width: components },
    logLikelihood,
    bic: -2 * logLikelihood * rows + free * Math.log(rows),
    steps,
  }
}

/** Writes the factor and returns minus half the logarithm of the determinant. The ridge keeps it positive. */
const factorise = (spread: Float64Array, factor: Float64Array, width: number, isFull: boolean): number => {
  let log = 0
  for (let k = 0; k < width; k++) {
    if (!isFull) {
      factor[k] = Math.sqrt(spread[k] as number)
      log -= Math.log(factor[k] as number)
      continue
    }
    for (let l = 0; l <= k; l++) {
      let sum = spread[k * width + l] as number
      for (let j = 0; j < l; j++) sum -= (factor[k * width + j] as number) * (factor[l * width + j] as number)
      if (l < k) factor[k * width + l] = sum / (factor[l * width + l] as number)
      else {
        // Rounding may eat a ridge that is small against the variances.
        factor[k * width + k] = Math.sqrt(Math.max(sum, Number.EPSILON * (spread[k * width + k] as number)))
        log -= Math.log(factor[k * width + k] as number)
      }
    }
  }
  return log
}

const meanVariance = ({ values, rows, width }: Matrix): number => {
  let total = 0
  for (let k = 0; k < width; k++) {
    let [mean, sum] = [0, 0]
    for (let i = 0; i < rows; i++) mean += (values[i * width + k] as number) / rows
    for (let i = 0; i < rows; i++) sum += ((values[i * width + k] as number) - mean) ** 2
    total += sum / rows
  }
  return width === 0 ? 0 : total / width
}
