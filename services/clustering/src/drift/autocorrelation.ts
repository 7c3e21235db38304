// How many rows of a signal are worth one independent one. Blocks of a bootstrap have to be longer than that.

/**
 * Integrated autocorrelation time, rows: 1 for independent values, (1 + φ) / (1 - φ) for AR(1). The sum over lags ends where the
 * lag is five times itself (Sokal 1997). Values that are not finite must not be among them.
 */
export const autocorrelationTime = (values: ArrayLike<number>): number => {
  const n = values.length
  let mean = 0
  for (let i = 0; i < n; i++) mean += (values[i] as number) / n
  let variance = 0
  for (let i = 0; i < n; i++) variance += ((values[i] as number) - mean) ** 2
  if (!(variance > 0)) return 1
  let time = 1
  for (let lag = 1; lag < n / 4; lag++) {
    let sum = 0
    for (let i = lag; i < n; i++) sum += ((values[i] as number) - mean) * ((values[i - lag] as number) - mean)
    time += (2 * sum) / variance
    if (lag >= 5 * time) break
  }
  return Math.max(1, time)
}

/** Variance of a mean of `rows` values of an AR(1) signal of this time, as a multiple of that of independent ones. */
export const varianceOfMean = (time: number, rows: number): number => {
  const phi = (time - 1) / (time + 1)
  return time - (2 * phi * (1 - phi ** rows)) / (rows * (1 - phi) ** 2)
}
