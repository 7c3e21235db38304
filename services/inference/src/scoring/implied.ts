// What the other features imply for those that cannot be believed: the values at which the model's score is least, so that they
// are no evidence at all. A mean would be one wherever features move together (measured: a tenth to four fifths of healthy windows
// above the line). The score is taken as a parabola in the features, which that of T² + SPE is, and asked for at a few points; the
// same model and vector give the same bits.

/** A feature that is left out: its place in the input and the step it is moved by, one standard deviation. */
export interface LeftOut {
  readonly at: number
  readonly step: number
}

/** Scores of inputs, row by row. */
export type ScoresOf = (rows: readonly Float64Array[]) => Promise<Float64Array>

/** Second differences of the score, m × m: a property of the model and of which features are left out. */
export type Curvature = Float64Array

const moved = (values: Float64Array, ...steps: readonly (readonly [LeftOut, number])[]): Float64Array => {
  const next = values.slice()
  for (const [{ at, step }, count] of steps) next[at]! += count * step
  return next
}

/** Around `centre`, the model's means. */
export const curvatureOf = async (centre: Float64Array, left: readonly LeftOut[], scoresOf: ScoresOf): Promise<Curvature> => {
  const m = left.length
  const pairs = left.flatMap((a, i) => left.slice(i + 1).map((b) => [a, b] as const))
  const scores = await scoresOf([
    centre,
    ...left.map((each) => moved(centre, [each, 1])),
    ...left.map((each) => moved(centre, [each, -1])),
    ...pairs.map(([a, b]) => moved(centre, [a, 1], [b, 1])),
  ])
  const [origin, up] = [scores[0]!, (i: number) => scores[1 + i]!]
  const curvature = new Float64Array(m * m)
  let pair = 1 + 2 * m
  for (let i = 0; i < m; i++) {
    curvature[i * m + i] = up(i) + scores[1 + m + i]! - 2 * origin
    for (let j = i + 1; j < m; j++) curvature[i * m + j] = curvature[j * m + i] = scores[pair++]! - up(i) - up(j) + origin
  }
  return curvature
}

/** `values` with the features left out at the least score; as they were where that is no less. */
export const implied = async (
  values: Float64Array,
  left: readonly LeftOut[],
  curvature: Curvature,
  scoresOf: ScoresOf,
): Promise<Float64Array> => {
  const m = left.length
  const scores = await scoresOf([values, ...left.map((each) => moved(values, [each, 1]))])
  const slope = Float64Array.from(left, (_, i) => scores[i + 1]! - scores[0]! - curvature[i * m + i]! / 2)
  const steps = solve(curvature, slope)
  if (steps === undefined) return values
  const best = moved(values, ...left.map((each, i) => [each, -steps[i]!] as const))
  const [score] = await scoresOf([best])
  return score! <= scores[0]! ? best : values
}

/** x of A x = b for a symmetric, positive definite A (Cholesky); undefined for another. */
const solve = (a: Float64Array, b: Float64Array): Float64Array | undefined => {
  const m = b.length
  const lower = new Float64Array(m * m)
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * m + j]!
      for (let k = 0; k < j; k++) sum -= lower[i * m + k]! * lower[j * m + k]!
      if (i !== j) lower[i * m + j] = sum / lower[j * m + j]!
      else if (!(sum > 1e-12 * Math.abs(a[i * m + i]!))) return undefined
      else lower[i * m + i] = Math.sqrt(sum)
    }
  }
  const x = b.slice()
  for (let i = 0; i < m; i++) {
    for (let k = 0; k < i; k++) x[i]! -= lower[i * m + k]! * x[k]!
    x[i]! /= lower[i * m + i]!
  }
  for (let i = m - 1; i >= 0; i--) {
    for (let k = i + 1; k < m; k++) x[i]! -= lower[k * m + i]! * x[k]!
    x[i]! /= lower[i * m + i]!
  }
  return x
}
