// DBCV (Moulavi et al. 2014): how dense clusters are within against what lies between them, -1 to 1. It is made for clusters of any shape,
// which the silhouette is not, and noise counts against it. Of equally long edges of a spanning tree, common here, the one between the nearer points
// is taken: the paper leaves that open, programs differ in it and in their results, and ours does not depend on the order of points. Made for a sample: time grows with the square of the points, memory does not.

import { type Matrix, requireFinite } from '../matrix.ts'

/** Mean over the clusters by size, noise counting as 0. 0 where there are not at least two clusters of two points. */
export const densityValidity = (points: Matrix, labels: ArrayLike<number>): number => {
  requireFinite(points, 'point')
  const { rows } = points
  if (labels.length !== rows) throw new RangeError(`${rows} points have ${labels.length} labels`)
  const members: number[][] = []
  for (let i = 0; i < rows; i++) {
    const label = labels[i] as number
    if (label < 0) continue
    while (members.length <= label) members.push([])
    ;(members[label] as number[]).push(i)
  }
  const parts = members.filter((rows) => rows.length > 1).map((rows) => innerPart(points, rows))
  if (parts.length < 2) return 0
  const apart = parts.map(() => Infinity)
  for (let a = 0; a < parts.length; a++) {
    for (let b = a + 1; b < parts.length; b++) {
      const between = separation(points, parts[a] as InnerPart, parts[b] as InnerPart)
      apart[a] = Math.min(apart[a] as number, between)
      apart[b] = Math.min(apart[b] as number, between)
    }
  }
  let total = 0
  parts.forEach(({ size, sparseness }, i) => {
    const nearest = apart[i] as number
    const larger = Math.max(nearest, sparseness)
    if (larger > 0) total += (size / rows) * ((nearest - sparseness) / larger)
  })
  return total
}

interface InnerPart {
  readonly size: number
  /** Points with two edges or more in the cluster's own spanning tree: what lies inside. */
  readonly inner: Int32Array
  /** Their core distances, taken over all points of the cluster. */
  readonly core: Float64Array
  /** The longest edge between inner points. */
  readonly sparseness: number
}

/** Square of the distance of two rows. */
const squared = (values: Float64Array, a: number, b: number, width: number): number => {
  let sum = 0
  for (let k = 0; k < width; k++) {
    const d = (values[a * width + k] as number) - (values[b * width + k] as number)
    sum += d * d
  }
  return sum
}

const innerPart = ({ values, width }: Matrix, rows: readonly number[]): InnerPart => {
  const size = rows.length
  // The core distance is a mean of distances to the power of -width: the nearest count most. Scaled by the nearest, so that no power overflows.
  const core = new Float64Array(size)
  const distances = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    let nearest = Infinity
    for (let j = 0; j < size; j++) {
      const distance = Math.sqrt(squared(values, rows[i] as number, rows[j] as number, width))
      distances[j] = distance
      if (distance > 0) nearest = Math.min(nearest, distance)
    }
    let sum = 0
    for (let j = 0; j < size; j++) if ((distances[j] as number) > 0) sum += (nearest / (distances[j] as number)) ** width
    core[i] = sum === 0 ? 0 : nearest * (sum / (size - 1)) ** (-1 / width)
  }
  // Prim's algorithm: the whole matrix is never there.
  const length = new Float64Array(size).fill(Infinity)
  const direct = new Float64Array(size).fill(Infinity)
  const source = new Int32Array(size)
  const isIn = new Uint8Array(size)
  const degree = new Int32Array(size)
  const edges: { readonly a: number; readonly b: number; readonly distance: number }[] = []
  for (let current = 0, step = 1; step < size; step++) {
    isIn[current] = 1
    let next = -1
    for (let j = 0; j < size; j++) {
      if (isIn[j] === 1) continue
      const distance = Math.sqrt(squared(values, rows[current] as number, rows[j] as number, width))
      const reach = Math.max(distance, core[current] as number, core[j] as number)
      if (reach < (length[j] as number) || (reach === length[j] && distance < (direct[j] as number))) {
        length[j] = reach
        direct[j] = distance
        source[j] = current
      }
      if (
        next < 0 ||
        (length[j] as number) < (length[next] as number) ||
        (length[j] === length[next] && (direct[j] as number) < (direct[next] as number))
      )
        next = j
    }
    const least = length[next] as number
    const from = source[next] as number
    edges.push({ a: from, b: next, distance: least })
    degree[from] = (degree[from] as number) + 1
    degree[next] = (degree[next] as number) + 1
    current = next
  }
  const isInner = (i: number): boolean => (degree[i] as number) > 1
  const between = edges.filter(({ a, b }) => isInner(a) && isInner(b))
  const sparseness = Math.max(...(between.length > 0 ? between : edges).map(({ distance }) => distance))
  const kept = rows.flatMap((_, i) => (isInner(i) ? [i] : []))
  const inner = kept.length > 0 ? kept : rows.map((_, i) => i)
  return {
    size,
    inner: Int32Array.from(inner, (i) => rows[i] as number),
    core: Float64Array.from(inner, (i) => core[i] as number),
    sparseness,
  }
}

/** The shortest mutual reachability distance between inner points of two clusters. */
const separation = ({ values, width }: Matrix, one: InnerPart, other: InnerPart): number => {
  let least = Infinity
  for (let i = 0; i < one.inner.length; i++) {
    const own = one.core[i] as number
    if (own >= least) continue
    for (let j = 0; j < other.inner.length; j++) {
      const theirs = other.core[j] as number
      if (theirs >= least) continue
      const distance = Math.sqrt(squared(values, one.inner[i] as number, other.inner[j] as number, width))
      least = Math.min(least, Math.max(distance, own, theirs))
    }
  }
  return least
}
