// A balanced k-d tree over packed rows, for questions about all points at once: how far each one's neighbours are, and (spanning-tree.ts)
// which point of another component is nearest. Points lie in tree order, so that a leaf is a run of rows.

import type { Matrix } from '../matrix.ts'

export interface KdTree {
  readonly width: number
  readonly count: number
  /** Columns kept per point, a multiple of four: those beyond the width are 0, so that distances need no remainder. */
  readonly stride: number
  /** Coordinates in tree order, `stride` for each place. */
  readonly values: Float64Array
  /** Row of the matrix at each place of the tree. */
  readonly rowAt: Int32Array
  /** Node i has the children 2i + 1 and 2i + 2; the leaves are the last level, from `firstLeaf` on. */
  readonly nodes: number
  readonly firstLeaf: number
  /** Places of a node: from `start[node]` to before `end[node]`. */
  readonly start: Int32Array
  readonly end: Int32Array
  /** The box around a node's points: its middle and half its extent, `stride` for each node. */
  readonly middle: Float64Array
  readonly half: Float64Array
}

/** Measured at 2 000 to 10 000 points in 2 to 32 dimensions: smaller leaves cost more boxes, larger ones more distances. */
const LEAF_POINTS = 24

export const kdTreeOf = ({ values: given, rows: count, width }: Matrix, leafPoints = LEAF_POINTS): KdTree => {
  let leaves = 1
  while (count / leaves > leafPoints) leaves *= 2
  const nodes = 2 * leaves - 1
  const rowAt = Int32Array.from({ length: count }, (_, i) => i)
  const start = new Int32Array(nodes)
  const end = new Int32Array(nodes)
  const stride = Math.ceil(Math.max(width, 1) / 4) * 4
  const middle = new Float64Array(nodes * stride)
  const half = new Float64Array(nodes * stride)
  const low = new Float64Array(width)
  const high = new Float64Array(width)
  end[0] = count
  for (let node = 0; node < nodes; node++) {
    const from = start[node] as number
    const to = end[node] as number
    low.fill(Infinity)
    high.fill(-Infinity)
    for (let i = from; i < to; i++) {
      const at = (rowAt[i] as number) * width
      for (let k = 0; k < width; k++) {
        const value = given[at + k] as number
        if (value < (low[k] as number)) low[k] = value
        if (value > (high[k] as number)) high[k] = value
      }
    }
    let widest = 0
    let most = -1
    for (let k = 0; k < width && from < to; k++) {
      const [least, largest] = [low[k] as number, high[k] as number]
      const extent = largest - least
      if (extent > most) [widest, most] = [k, extent]
      middle[node * stride + k] = least + extent / 2
      // A little too large, so that rounding never makes a box look farther away than a point in it.
      half[node * stride + k] = extent / 2 + 1e-15 * (Math.abs(least) + Math.abs(largest))
    }
    if (node >= leaves - 1) continue
    const between = (from + to) >>> 1
    select(rowAt, from, to - 1, between, given, width, widest)
    start[2 * node + 1] = from
    end[2 * node + 1] = start[2 * node + 2] = between
    end[2 * node + 2] = to
  }
  const values = new Float64Array(count * stride)
  for (let i = 0; i < count; i++) {
    const at = (rowAt[i] as number) * width
    for (let k = 0; k < width; k++) values[i * stride + k] = given[at + k] as number
  }
  return { width, count, stride, values, rowAt, nodes, firstLeaf: leaves - 1, start, end, middle, half }
}

/** Hoare's selection: afterwards nothing before `middle` is larger than what stands there, and nothing behind it smaller. */
const select = (rowAt: Int32Array, from: number, to: number, middle: number, values: Float64Array, width: number, column: number): void => {
  let [left, right] = [from, to]
  while (right > left) {
    const a = values[(rowAt[left] as number) * width + column] as number
    const b = values[(rowAt[(left + right) >>> 1] as number) * width + column] as number
    const c = values[(rowAt[right] as number) * width + column] as number
    const pivot = a < b ? (b < c ? b : a < c ? c : a) : a < c ? a : b < c ? c : b
    let [i, j] = [left, right]
    while (i <= j) {
      while ((values[(rowAt[i] as number) * width + column] as number) < pivot) i++
      while ((values[(rowAt[j] as number) * width + column] as number) > pivot) j--
      if (i > j) break
      const held = rowAt[i] as number
      rowAt[i++] = rowAt[j] as number
      rowAt[j--] = held
    }
    if (middle <= j) right = j
    else if (middle >= i) left = i
    else return
  }
}

// The loops below pass numbers through arrays, and have the distance written out where it is needed most: a double that goes into or
// out of a function the compiler does not inline is allocated, which costs more than the distance (measured: 40 ns against 7).
// Every distance is summed in the same order, four columns at a time, so that equal distances are equal to the last bit.

/** Squared distance of two places: the sum that the loops write out. */
export const squaredDistance = ({ values, stride }: KdTree, one: number, other: number): number => {
  let sum = 0
  const a = one * stride
  const b = other * stride
  for (let k = 0; k < stride; k += 4) {
    const d0 = (values[a + k] as number) - (values[b + k] as number)
    const d1 = (values[a + k + 1] as number) - (values[b + k + 1] as number)
    const d2 = (values[a + k + 2] as number) - (values[b + k + 2] as number)
    const d3 = (values[a + k + 3] as number) - (values[b + k + 3] as number)
    sum += d0 * d0 + d1 * d1 + (d2 * d2 + d3 * d3)
  }
  return sum
}

/** A quarter, as gaps below are doubled, and a little less, so that rounding never makes a box look too far away. */
const QUARTER = 0.25 * (1 - 1e-12)

/** Writes the squared distance of two nodes' boxes, 0 where they touch, to `out[at]`. */
export const boxesApart = ({ middle, half, stride }: KdTree, one: number, other: number, out: Float64Array, at: number): void => {
  let sum = 0
  const a = one * stride
  const b = other * stride
  for (let k = 0; k < stride; k++) {
    const gap = Math.abs((middle[a + k] as number) - (middle[b + k] as number)) - (half[a + k] as number) - (half[b + k] as number)
    const open = gap + Math.abs(gap) // 2 max(gap, 0) without a branch, which would be foretold wrongly half of the time
    sum += open * open
  }
  out[at] = sum * QUARTER
}

/** Whether the box of a node is at least as far from the point at a place as `most[at]`, squared. */
export const isBeyond = (
  { values, middle, half, stride }: KdTree,
  place: number,
  node: number,
  most: Float64Array,
  at: number,
): boolean => {
  let sum = 0
  const a = place * stride
  const b = node * stride
  for (let k = 0; k < stride; k++) {
    const gap = Math.abs((values[a + k] as number) - (middle[b + k] as number)) - (half[b + k] as number)
    const open = gap + Math.abs(gap)
    sum += open * open
  }
  return sum * QUARTER >= (most[at] as number)
}

/** Nodes that are still to be looked at, with their distance; as deep as any tree of fewer than 2³¹ points. */
export interface Descent {
  readonly node: Int32Array
  readonly apart: Float64Array
}

export const newDescent = (): Descent => ({ node: new Int32Array(64), apart: new Float64Array(64) })

/** Puts both children of a node on top of the descent, the one nearer to `leaf` uppermost. */
export const descend = (tree: KdTree, leaf: number, parent: number, { node, apart }: Descent, depth: number): void => {
  const left = 2 * parent + 1
  boxesApart(tree, leaf, left, apart, depth)
  boxesApart(tree, leaf, left + 1, apart, depth + 1)
  const [l, r] = [apart[depth] as number, apart[depth + 1] as number]
  const isLeftNearer = l <= r
  node[depth] = isLeftNearer ? left + 1 : left
  node[depth + 1] = isLeftNearer ? left : left + 1
  if (isLeftNearer) {
    apart[depth] = r
    apart[depth + 1] = l
  }
}

export interface Neighbours {
  /** Squared distance within which each place of the tree has the mass asked for, itself included. */
  readonly squared: Float64Array
  /** The nearest places within that distance, `width` for each place, -1 where there are fewer. */
  readonly places: Int32Array
  readonly width: number
}

const MOST_KEPT = 32

/** Distances of the `count`-th nearest point of every point, which counts itself: `count` is 1 to the number of points. */
export const nearest = (tree: KdTree, count: number): Neighbours => {
  const { start, end, firstLeaf, nodes } = tree
  const squared = new Float64Array(tree.count)
  const kept = Math.min(count, MOST_KEPT)
  const places = new Int32Array(tree.count * kept).fill(-1)
  let largest = 0
  for (let leaf = firstLeaf; leaf < nodes; leaf++) largest = Math.max(largest, (end[leaf] as number) - (start[leaf] as number))
  const best = new Float64Array(largest * count)
  const ids = new Int32Array(largest * count)
  const descent = newDescent()
  const most = new Float64Array(1)
  for (let leaf = firstLeaf; leaf < nodes; leaf++) {
    const from = start[leaf] as number
    const size = (end[leaf] as number) - from
    best.fill(Infinity, 0, size * count)
    compare(tree, leaf, leaf, best, ids, count, most)
    // From the leaf upwards: what lies beside it in the tree is mostly near, so the bound is tight when far parts are looked at.
    for (let node = leaf; node > 0; node = (node - 1) >> 1) {
      const beside = node & 1 ? node + 1 : node - 1
      boxesApart(tree, leaf, beside, descent.apart, 0)
      descent.node[0] = beside
      for (let depth = 0; depth >= 0; depth--) {
        if ((descent.apart[depth] as number) >= (most[0] as number)) continue
        const other = descent.node[depth] as number
        if (other >= firstLeaf) compare(tree, leaf, other, best, ids, count, most)
        else {
          descend(tree, leaf, other, descent, depth)
          depth += 2
        }
      }
    }
    for (let i = 0; i < size; i++) {
      squared[from + i] = best[i * count + count - 1] as number
      for (let k = 0; k < kept; k++) places[(from + i) * kept + k] = ids[i * count + k] as number
    }
  }
  return { squared, places, width: kept }
}

/** Takes the points of `other` into the lists of the points of `leaf`; `most` becomes the largest distance that ends a list. */
const compare = (
  tree: KdTree,
  leaf: number,
  other: number,
  best: Float64Array,
  ids: Int32Array,
  count: number,
  most: Float64Array,
): void => {
  const { values, stride, start, end } = tree
  const from = start[leaf] as number
  const to = end[leaf] as number
  const first = start[other] as number
  const last = end[other] as number
  let largest = 0
  for (let p = from; p < to; p++) {
    const head = (p - from) * count
    const tail = head + count - 1
    if (leaf === other || !isBeyond(tree, p, other, best, tail)) {
      const a = p * stride
      const isWide = stride > 4
      const x0 = values[a] as number
      const x1 = values[a + 1] as number
      const x2 = values[a + 2] as number
      const x3 = values[a + 3] as number
      const x4 = isWide ? (values[a + 4] as number) : 0
      const x5 = isWide ? (values[a + 5] as number) : 0
      const x6 = isWide ? (values[a + 6] as number) : 0
      const x7 = isWide ? (values[a + 7] as number) : 0
      let bound = best[tail] as number
      for (let q = first; q < last; q++) {
        const b = q * stride
        const d0 = x0 - (values[b] as number)
        const d1 = x1 - (values[b + 1] as number)
        const d2 = x2 - (values[b + 2] as number)
        const d3 = x3 - (values[b + 3] as number)
        let sum = d0 * d0 + d1 * d1 + (d2 * d2 + d3 * d3)
        if (isWide) {
          const d4 = x4 - (values[b + 4] as number)
          const d5 = x5 - (values[b + 5] as number)
          const d6 = x6 - (values[b + 6] as number)
          const d7 = x7 - (values[b + 7] as number)
          sum += d4 * d4 + d5 * d5 + (d6 * d6 + d7 * d7)
          for (let k = 8; k < stride && sum < bound; k += 4) {
            const e0 = (values[a + k] as number) - (values[b + k] as number)
            const e1 = (values[a + k + 1] as number) - (values[b + k + 1] as number)
            const e2 = (values[a + k + 2] as number) - (values[b + k + 2] as number)
            const e3 = (values[a + k + 3] as number) - (values[b + k + 3] as number)
            sum += e0 * e0 + e1 * e1 + (e2 * e2 + e3 * e3)
          }
        }
        if (sum >= bound) continue
        let at = tail
        for (; at > head && (best[at - 1] as number) > sum; at--) {
          best[at] = best[at - 1] as number
          ids[at] = ids[at - 1] as number
        }
        best[at] = sum
        ids[at] = q
        bound = best[tail] as number
      }
    }
    if ((best[tail] as number) > largest) largest = best[tail] as number
  }
  most[0] = largest
}

/** The same where points stand for more or less than one: the distance within which their masses sum up to `mass`; `masses` in tree order. */
export const nearestByMass = (tree: KdTree, masses: Float64Array, mass: number): Neighbours => {
  const { start, end, firstLeaf, nodes } = tree
  const squared = new Float64Array(tree.count)
  const kept = Math.min(tree.count, MOST_KEPT)
  const places = new Int32Array(tree.count * kept).fill(-1)
  const stack = new Int32Array(64)
  const most = new Float64Array(1)
  let best = new Float64Array(64)
  let ids = new Int32Array(64)
  let size = 0
  const take = (p: number, other: number): void => {
    for (let q = start[other] as number; q < (end[other] as number); q++) {
      const distance = squaredDistance(tree, p, q)
      if (distance >= (most[0] as number)) continue
      if (size === best.length) [best, ids] = [grown(best), grown(ids)]
      let at = size++
      for (; at > 0 && (best[at - 1] as number) > distance; at--) {
        best[at] = best[at - 1] as number
        ids[at] = ids[at - 1] as number
      }
      best[at] = distance
      ids[at] = q
      let total = 0
      for (let i = 0; i < size; i++) {
        total += masses[ids[i] as number] as number
        if (total < mass) continue
        size = i + 1 // those behind are not needed
        most[0] = best[i] as number
      }
    }
  }
  for (let leaf = firstLeaf; leaf < nodes; leaf++) {
    for (let p = start[leaf] as number; p < (end[leaf] as number); p++) {
      size = 0
      most[0] = Infinity
      take(p, leaf)
      for (let node = leaf; node > 0; node = (node - 1) >> 1) {
        stack[0] = node & 1 ? node + 1 : node - 1
        for (let depth = 0; depth >= 0; depth--) {
          const other = stack[depth] as number
          if (isBeyond(tree, p, other, most, 0)) continue
          if (other >= firstLeaf) take(p, other)
          else {
            stack[depth++] = 2 * other + 2
            stack[depth++] = 2 * other + 1
          }
        }
      }
      squared[p] = most[0] as number
      for (let k = 0; k < Math.min(size, kept); k++) places[p * kept + k] = ids[k] as number
    }
  }
  return { squared, places, width: kept }
}

const grown = <A extends Float64Array | Int32Array>(array: A): A => {
  const larger = new (array.constructor as new (length: number) => A)(2 * array.length)
  larger.set(array)
  return larger
}
