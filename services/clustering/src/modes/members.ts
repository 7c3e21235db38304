// Which fault mode a row shows, or none of those known: the member-distance rule. A row belongs to the mode whose k-th nearest member is
// near, measured in that mode's own typical distance and in the metric that modes have within themselves; beyond a factor it is novel.
// The fitted model is plain data, an artefact; nothing here adapts.

import type { Matrix } from '../matrix.ts'

export interface MemberOptions {
  /** The distance of a row is that to its so many-th nearest member. */
  readonly neighbours: number
  /** Novel beyond this many of a mode's own distances. */
  readonly factor: number
  /** A mode's own distance: this quantile of those of its members. */
  readonly quantile: number
  /** Points farther from their mode than so many upper deciles of its distances are no members: strays that a clustering drew in. */
  readonly trim: number
  /** Share of the identity in the metric, so that it exists for few members. */
  readonly ridge: number
}

/** Measured on bearings, see the README: 1.75 joins fewer windows of loads not seen, 2.25 lets faults not seen in. */
export const memberDefaults: MemberOptions = { neighbours: 5, factor: 2, quantile: 0.99, trim: 2, ridge: 0.1 }

export interface FittedMode {
  readonly modeId: string
  /** Rows of the model's metric. */
  readonly members: Float64Array
  readonly rows: number
  /** The mode's own distance. */
  readonly reach: number
  /** Centre of the members in the metric, and how far the farthest is from it. */
  readonly middle: Float64Array
  readonly extent: number
}

/** Plain data; pack it with `toPackedJson`. */
export interface FittedModes {
  readonly version: 1
  readonly width: number
  readonly options: MemberOptions
  /** Lower triangle, row after row in full width: coordinates in the metric are `metric × row`. */
  readonly metric: Float64Array
  readonly modes: readonly FittedMode[]
}

/** One object per assigner, overwritten by the next row. */
export interface ModeAssignment {
  /** Undefined: novel. */
  modeId: string | undefined
  /** Distance from the nearest mode over the line: up to 1 it belongs to it. Infinity when there are no modes. */
  ratio: number
  /** The nearest mode, of a novel row as well, and the next one. */
  nearestId: string | undefined
  runnerUpId: string | undefined
  runnerUpRatio: number
  /** 0 at the nearest border of the decision (line or runner-up), towards 1 far from it; no probability. */
  confidence: number
}

/**
 * Fits the rule to points with labels: the place of a mode in `modeIds`, or -1 for none. Points of a few hundred per mode are enough, and
 * cost what they are many: take them from a `Sample`. A mode needs two points; one with fewer is left out.
 */
export const fitModes = (
  points: Matrix,
  labels: ArrayLike<number>,
  modeIds: readonly string[],
  options: MemberOptions = memberDefaults,
): FittedModes => {
  const { values, rows, width } = points
  if (labels.length !== rows) throw new RangeError(`${labels.length} labels for ${rows} points`)
  const rowsOf = modeIds.map(() => [] as number[])
  for (let row = 0; row < rows; row++) {
    const label = labels[row] as number
    if (label < 0) continue
    const of = rowsOf[label]
    if (of === undefined) throw new RangeError(`point ${row} has label ${label}, there are ${modeIds.length} modes`)
    of.push(row)
  }
  const membersOf = (metric: Float64Array, of: readonly number[]): { members: Float64Array; own: Float64Array } => {
    const members = new Float64Array(of.length * width)
    of.forEach((row, i) => transform(metric, values, row * width, undefined, members, i * width, width))
    const neighbours = Math.min(options.neighbours, of.length - 1)
    return { members, own: Float64Array.from(of, (_, i) => kthDistance(members, width, members, i * width, neighbours + 1)) }
  }
  const first = metricOf(
    points,
    rowsOf.filter((of) => of.length > 1),
    options.ridge,
  )
  const kept = rowsOf.map((of) => {
    if (of.length < 2) return []
    const { own } = membersOf(first, of)
    const most = options.trim * quantileOf(own.slice().sort(), 0.9)
    return of.filter((_, i) => (own[i] as number) <= most)
  })
  const isTrimmed = kept.some((of, mode) => of.length !== rowsOf[mode]?.length)
  const metric = isTrimmed
    ? metricOf(
        points,
        kept.filter((of) => of.length > 1),
        options.ridge,
      )
    : first
  const modes = modeIds.flatMap((modeId, place): FittedMode[] => {
    const of = kept[place] as number[]
    if (of.length < 2) return []
    const { members, own } = membersOf(metric, of)
    own.sort()
    const middle = new Float64Array(width)
    for (let i = 0; i < members.length; i++) middle[i % width] = (middle[i % width] as number) + (members[i] as number) / of.length
    let extent = 0
    for (let i = 0; i < of.length; i++) extent = Math.max(extent, distance(members, i * width, middle, 0, width))
    // A mode of equal points would call every other point novel: a thousandth of what members of all modes scatter is its least.
    const reach = Math.max(quantileOf(own, options.quantile), 1e-3 * Math.sqrt(width))
    return [{ modeId, members, rows: of.length, reach, middle, extent }]
  })
  return { version: 1, width, options, metric, modes }
}

/**
 * Assigns rows one by one. `offset` is what sets an asset apart from its class in the same coordinates (see `assetOffset`), so that machines
 * of a class share modes.
 */
export const openAssigner = (fitted: FittedModes): ((row: Float64Array, offset?: Float64Array) => ModeAssignment) => {
  const { version, width, options, metric, modes } = fitted
  if (version !== 1) throw new RangeError(`fitted modes of version ${String(version)}, expected 1`)
  const { factor, neighbours } = options
  const point = new Float64Array(width)
  const ratios = new Float64Array(modes.length)
  const answer: ModeAssignment = {
    modeId: undefined,
    ratio: Number.POSITIVE_INFINITY,
    nearestId: undefined,
    runnerUpId: undefined,
    runnerUpRatio: Number.POSITIVE_INFINITY,
    confidence: 1,
  }
  const order = modes.map((_, i) => i)
  return (row, offset) => {
    if (row.length !== width) throw new RangeError(`a row has ${row.length} numbers, expected ${width}`)
    transform(metric, row, 0, offset, point, 0, width)
    // No member is nearer than its mode's middle less the extent: most modes need no look at their members.
    for (let i = 0; i < modes.length; i++) {
      const { middle, extent, reach } = modes[i] as FittedMode
      ratios[i] = Math.max(0, distance(point, 0, middle, 0, width) - extent) / (factor * reach)
    }
    order.sort((a, b) => (ratios[a] as number) - (ratios[b] as number) || a - b)
    let first = Number.POSITIVE_INFINITY
    let second = Number.POSITIVE_INFINITY
    let firstAt = -1
    let secondAt = -1
    for (const i of order) {
      if ((ratios[i] as number) > second) break
      const { members, rows, reach } = modes[i] as FittedMode
      const ratio = kthDistance(members, width, point, 0, Math.min(neighbours, rows)) / (factor * reach)
      if (ratio < first || (ratio === first && i < firstAt)) {
        second = first
        secondAt = firstAt
        first = ratio
        firstAt = i
      } else if (ratio < second || (ratio === second && i < secondAt)) {
        second = ratio
        secondAt = i
      }
    }
    answer.nearestId = modes[firstAt]?.modeId
    answer.runnerUpId = modes[secondAt]?.modeId
    answer.ratio = first
    answer.runnerUpRatio = second
    answer.modeId = first <= 1 ? answer.nearestId : undefined
    const fromLine = first <= 1 ? 1 - first : 1 - 1 / first
    answer.confidence =
      first > 1 || second === Number.POSITIVE_INFINITY ? fromLine : Math.min(fromLine, second > 0 ? 1 - first / second : 0)
    return answer
  }
}

/**
 * What sets an asset apart from its class: the median of its normal rows less that of the class, for each column. `shrink` rows of the class
 * stand beside the asset's own, so that few rows say little.
 */
export const assetOffset = (normalRows: Matrix, classNormal: ArrayLike<number>, shrink = 20): Float64Array => {
  const { rows } = normalRows
  const medians = columnMedians(normalRows)
  return medians.map((median, i) => (rows === 0 ? 0 : ((median - (classNormal[i] as number)) * rows) / (rows + shrink)))
}

/** What is normal for a class: the median over its assets of their own medians, so that an asset with many rows counts once. */
export const classNormal = (assets: readonly Matrix[]): Float64Array => {
  const medians = assets.filter(({ rows }) => rows > 0).map(columnMedians)
  const width = assets[0]?.width ?? 0
  const values = new Float64Array(medians.length * width)
  medians.forEach((median, i) => values.set(median, i * width))
  return columnMedians({ values, rows: medians.length, width })
}

const columnMedians = ({ values, rows, width }: Matrix): Float64Array => {
  const column = new Float64Array(rows)
  return Float64Array.from({ length: width }, (_, at) => {
    for (let row = 0; row < rows; row++) column[row] = values[row * width + at] as number
    return rows === 0 ? 0 : quantileOf(column.sort(), 0.5)
  })
}

/** The factor L⁻¹ of (1 - ridge) S + ridge · mean variance · I = L Lᵀ, S the pooled scatter within modes of standardised columns. */
const metricOf = ({ values, width }: Matrix, rowsOf: readonly (readonly number[])[], ridge: number): Float64Array => {
  const count = rowsOf.reduce((sum, { length }) => sum + length, 0)
  const scale = new Float64Array(width).fill(1)
  const pooled = new Float64Array(width * width)
  if (count > 0) {
    for (let at = 0; at < width; at++) {
      let mean = 0
      for (const rows of rowsOf) for (const row of rows) mean += (values[row * width + at] as number) / count
      let variance = 0
      for (const rows of rowsOf) for (const row of rows) variance += ((values[row * width + at] as number) - mean) ** 2 / count
      const std = Math.sqrt(variance)
      scale[at] = std > 1e-9 * (1 + Math.abs(mean)) ? std : 1
    }
    const mean = new Float64Array(width)
    const apart = new Float64Array(width)
    for (const rows of rowsOf) {
      mean.fill(0)
      for (const row of rows)
        for (let at = 0; at < width; at++) mean[at] = (mean[at] as number) + (values[row * width + at] as number) / rows.length
      for (const row of rows) {
        for (let at = 0; at < width; at++) apart[at] = ((values[row * width + at] as number) - (mean[at] as number)) / (scale[at] as number)
        for (let i = 0; i < width; i++) {
          for (let j = 0; j <= i; j++)
            pooled[i * width + j] = (pooled[i * width + j] as number) + ((apart[i] as number) * (apart[j] as number)) / count
        }
      }
    }
  }
  let trace = 0
  for (let i = 0; i < width; i++) trace += pooled[i * width + i] as number
  // Modes of equal points have no scatter at all: then the standardised columns are the metric.
  const floor = trace > 0 ? (ridge * trace) / width : 1
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) pooled[i * width + j] = (1 - ridge) * (pooled[i * width + j] as number) + (i === j ? floor : 0)
  }
  const inverse = inverseOfFactor(pooled, width)
  for (let i = 0; i < width; i++)
    for (let j = 0; j <= i; j++) inverse[i * width + j] = (inverse[i * width + j] as number) / (scale[j] as number)
  return inverse
}

/** Cholesky's lower factor, inverted; the matrix is positive definite and given by its lower triangle. */
const inverseOfFactor = (matrix: Float64Array, width: number): Float64Array => {
  const factor = new Float64Array(width * width)
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * width + j] as number
      for (let k = 0; k < j; k++) sum -= (factor[i * width + k] as number) * (factor[j * width + k] as number)
      factor[i * width + j] = i === j ? Math.sqrt(sum) : sum / (factor[j * width + j] as number)
    }
  }
  const inverse = new Float64Array(width * width)
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? 1 : 0
      for (let k = j; k < i; k++) sum -= (factor[i * width + k] as number) * (inverse[k * width + j] as number)
      inverse[i * width + j] = sum / (factor[i * width + i] as number)
    }
  }
  return inverse
}

/** `into = metric × (from - offset)`, the metric a lower triangle. */
const transform = (
  metric: Float64Array,
  from: Float64Array,
  fromAt: number,
  offset: Float64Array | undefined,
  into: Float64Array,
  intoAt: number,
  width: number,
): void => {
  for (let i = 0; i < width; i++) {
    let sum = 0
    for (let j = 0; j <= i; j++)
      sum += (metric[i * width + j] as number) * ((from[fromAt + j] as number) - (offset === undefined ? 0 : (offset[j] as number)))
    into[intoAt + i] = sum
  }
}

/** The members of a mode in the coordinates that they were given in. */
export const rowsOfMode = ({ metric, width }: FittedModes, { members, rows }: FittedMode): Matrix => {
  const values = new Float64Array(members.length)
  for (let start = 0; start < members.length; start += width) {
    for (let i = 0; i < width; i++) {
      let sum = members[start + i] as number
      for (let j = 0; j < i; j++) sum -= (metric[i * width + j] as number) * (values[start + j] as number)
      values[start + i] = sum / (metric[i * width + i] as number)
    }
  }
  return { values, rows, width }
}

/** A vector in the metric of fitted modes, for comparing places in it. */
export const inMetric = (metric: Float64Array, row: Float64Array): Float64Array => {
  const into = new Float64Array(row.length)
  transform(metric, row, 0, undefined, into, 0, row.length)
  return into
}

const distance = (left: Float64Array, leftAt: number, right: Float64Array, rightAt: number, width: number): number => {
  let sum = 0
  for (let i = 0; i < width; i++) {
    const difference = (left[leftAt + i] as number) - (right[rightAt + i] as number)
    sum += difference * difference
  }
  return Math.sqrt(sum)
}

/** Distance from a point to the k-th nearest row. */
const kthDistance = (rows: Float64Array, width: number, point: Float64Array, pointAt: number, k: number): number => {
  const nearest: number[] = []
  let bound = Number.POSITIVE_INFINITY
  for (let start = 0; start < rows.length; start += width) {
    let sum = 0
    for (let i = 0; i < width && sum < bound; i++) {
      const difference = (rows[start + i] as number) - (point[pointAt + i] as number)
      sum += difference * difference
    }
    if (!(sum < bound)) continue
    if (nearest.length === k) nearest.pop()
    let at = nearest.length
    while (at > 0 && (nearest[at - 1] as number) > sum) at--
    nearest.splice(at, 0, sum)
    if (nearest.length === k) bound = nearest[k - 1] as number
  }
  return Math.sqrt(nearest[nearest.length - 1] ?? Number.POSITIVE_INFINITY)
}

/** Between the neighbours in linear proportion. */
const quantileOf = (sorted: Float64Array, q: number): number => {
  const place = q * (sorted.length - 1)
  const low = Math.floor(place)
  const below = sorted[low] as number
  const above = sorted[Math.min(low + 1, sorted.length - 1)] as number
  return below + (place - low) * (above - below)
}
