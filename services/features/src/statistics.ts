// Statistics of one channel over one window. Two-pass sums in a fixed order: equal inputs give equal bits.

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  return sum / values.length
}

/** Population standard deviation. */
export const std = (values: ArrayLike<number>): number => {
  const centre = mean(values)
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    const d = (values[i] as number) - centre
    sum += d * d
  }
  return Math.sqrt(sum / values.length)
}

export const min = (values: ArrayLike<number>): number => {
  let lowest = Number.POSITIVE_INFINITY
  for (let i = 0; i < values.length; i++) if ((values[i] as number) < lowest) lowest = values[i] as number
  return lowest
}

export const max = (values: ArrayLike<number>): number => {
  let highest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) if ((values[i] as number) > highest) highest = values[i] as number
  return highest
}

/** Least-squares slope, units per second; 0 with fewer than two distinct times. */
export const slope = (values: ArrayLike<number>, timesUs: ArrayLike<number>): number => {
  const originUs = (timesUs[0] as number) ?? 0
  let meanS = 0
  for (let i = 0; i < timesUs.length; i++) meanS += ((timesUs[i] as number) - originUs) / 1e6
  meanS /= timesUs.length
  const centre = mean(values)
  let covariance = 0
  let variance = 0
  for (let i = 0; i < values.length; i++) {
    const s = ((timesUs[i] as number) - originUs) / 1e6 - meanS
    covariance += s * ((values[i] as number) - centre)
    variance += s * s
  }
  return variance > 0 ? covariance / variance : 0
}
