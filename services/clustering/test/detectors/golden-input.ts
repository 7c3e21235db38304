// Input from arithmetic alone, for numbers that another implementation of the same design gave.

import type { Matrix } from '../../src/matrix.ts'

/** Uniform in [-1, 1): a 32-bit linear congruential generator. */
export const congruential = (count: number, seed = 1): Float64Array => {
  const out = new Float64Array(count)
  let state = seed
  for (let i = 0; i < count; i++) {
    // Two halves: the product does not fit into 53 bits.
    state = ((((1664525 * (state >>> 16)) % 65536) * 65536 + 1664525 * (state & 0xffff) + 1013904223) % 2 ** 32) >>> 0
    out[i] = state / 2 ** 31 - 1
  }
  return out
}

/** 900 rows of 4 channels: noise, a follower of it, a cycle of 37 rows, a random walk; an offset in rows 600-699, a stuck value in 760-799. */
export const goldenRows = (rows = 900): Matrix => {
  const u = congruential(rows * 4)
  const values = u.slice()
  let walk = 0
  for (let t = 0; t < rows; t++) {
    const at = t * 4
    values[at + 1] = (u[at + 1] as number) + 0.8 * (u[at] as number)
    values[at + 2] = (u[at + 2] as number) + Math.sin((2 * Math.PI * t) / 37)
    walk += u[at + 3] as number
    values[at + 3] = walk * 0.05 + 0.3 * (u[at + 2] as number)
  }
  for (let t = 600; t < 700; t++) values[t * 4 + 1] = (values[t * 4 + 1] as number) + 1.5
  for (let t = 760; t < 800; t++) values[t * 4] = values[760 * 4] as number
  return { values, rows, width: 4 }
}

export const sliceOf = ({ values, width, rows }: Matrix, from: number, to: number = rows): Matrix => ({
  values: values.slice(from * width, to * width),
  rows: to - from,
  width,
})
