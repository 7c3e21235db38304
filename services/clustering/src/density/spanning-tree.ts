// The minimum spanning tree of mutual reachability distances, max(core of a, core of b, distance), by Borůvka's rounds over a k-d tree.
// Which of several equal edges it takes may differ; the components below any distance, all that clustering reads, do not.

import { type Descent, type KdTree, type Neighbours, boxesApart, descend, isBeyond, newDescent } from './kd-tree.ts'

/** `count - 1` edges; ends are rows of the matrix. */
export interface SpanningTree {
  readonly from: Int32Array
  readonly to: Int32Array
  readonly distances: Float64Array
}

/** `core` are squared core distances in tree order. */
export const spanningTree = (tree: KdTree, core: Float64Array, near: Neighbours): SpanningTree => {
  const { count, start, end, firstLeaf, nodes, rowAt } = tree
  const from = new Int32Array(Math.max(0, count - 1))
  const to = new Int32Array(from.length)
  const distances = new Float64Array(from.length)
  let edges = 0
  const parent = Int32Array.from({ length: count }, (_, i) => i)
  const rootOf = (place: number): number => {
    let root = place
    while (parent[root] !== root) root = parent[root] = parent[parent[root] as number] as number
    return root
  }
  const connect = (p: number, q: number, squared: number): void => {
    const a = rootOf(p)
    const b = rootOf(q)
    if (a === b) return
    parent[Math.max(a, b)] = Math.min(a, b)
    from[edges] = rowAt[p] as number
    to[edges] = rowAt[q] as number
    distances[edges++] = Math.sqrt(squared)
  }

  // No edge of p is shorter than its core distance, and a neighbour within it that is not sparser than p has one as short.
  for (let p = 0; p < count; p++) {
    const own = core[p] as number
    for (let k = 0; k < near.width; k++) {
      const q = near.places[p * near.width + k] as number
      if (q < 0) break
      if (q === p || (core[q] as number) > own) continue
      connect(p, q, own)
      break
    }
  }

  const component = new Int32Array(count)
  const nodeComponent = new Int32Array(nodes)
  const nodeCore = new Float64Array(nodes)
  for (let node = nodes - 1; node >= 0; node--) {
    let least = Infinity
    if (node < firstLeaf) least = Math.min(nodeCore[2 * node + 1] as number, nodeCore[2 * node + 2] as number)
    else for (let p = start[node] as number; p < (end[node] as number); p++) least = Math.min(least, core[p] as number)
    nodeCore[node] = least
  }
  /** What no edge of p to another component is below, and the end of one that has exactly that length, or -1. */
  const floor = Float64Array.from(core)
  const target = new Int32Array(count).fill(-1)
  const best = new Float64Array(count)
  const bestFrom = new Int32Array(count)
  const bestTo = new Int32Array(count)
  const active = new Int32Array(count)
  const sizes = new Int32Array(count)
  const isSearching = new Uint8Array(count)
  const descent = newDescent()
  const state: Round = { component, nodeComponent, nodeCore, core, best, bestFrom, bestTo, active, most: new Float64Array(1) }

  while (edges < count - 1) {
    sizes.fill(0)
    for (let p = 0; p < count; p++) {
      const root = rootOf(p)
      component[p] = root
      sizes[root] = (sizes[root] as number) + 1
      best[p] = Infinity
    }
    // The larger half need not look for its shortest edges as long as the smaller one finds its own: all are joined in the end.
    const ascending = sizes.filter((size) => size > 0).sort()
    const mostPoints = ascending[(ascending.length - 1) >> 1] as number
    for (let root = 0; root < count; root++)
      isSearching[root] = Number((sizes[root] as number) > 0 && (sizes[root] as number) <= mostPoints)
    for (let node = nodes - 1; node >= 0; node--) {
      if (node < firstLeaf) {
        const left = nodeComponent[2 * node + 1] as number
        nodeComponent[node] = left === nodeComponent[2 * node + 2] ? left : -1
        continue
      }
      const first = component[start[node] as number] as number
      let common = first
      for (let p = start[node] as number; p < (end[node] as number); p++) if (component[p] !== first) common = -1
      nodeComponent[node] = common
    }
    // What is known already: exact edges of earlier rounds, and edges to the neighbours kept, which are exact or an upper bound.
    for (let p = 0; p < count; p++) {
      const own = component[p] as number
      const known = target[p] as number
      if (known >= 0) {
        if (component[known] !== own) {
          if ((floor[p] as number) < (best[own] as number)) {
            best[own] = floor[p] as number
            bestFrom[own] = p
            bestTo[own] = known
          }
          continue
        }
        target[p] = -1
      }
      for (let k = 0; k < near.width; k++) {
        const q = near.places[p * near.width + k] as number
        if (q < 0) break
        if (component[q] === own) continue
        const length = Math.max(core[p] as number, core[q] as number)
        if (length < (best[own] as number)) {
          best[own] = length
          bestFrom[own] = p
          bestTo[own] = q
        }
        if (length <= (floor[p] as number)) {
          target[p] = q
          break
        }
      }
    }

    for (let leaf = firstLeaf; leaf < nodes; leaf++) {
      let waiting = 0
      for (let p = start[leaf] as number; p < (end[leaf] as number); p++) {
        const own = component[p] as number
        if (isSearching[own] === 1 && (target[p] as number) < 0 && (floor[p] as number) < (best[own] as number)) active[waiting++] = p
      }
      if (waiting === 0) continue
      shorten(tree, state, leaf, leaf, waiting)
      for (let node = leaf; node > 0; node = (node - 1) >> 1) search(tree, state, descent, leaf, node & 1 ? node + 1 : node - 1, waiting)
      for (let i = 0; i < waiting; i++) {
        const p = active[i] as number
        const own = component[p] as number
        // Whatever p has not seen is at least as far as its component's best; p's own edge is known only where it is that best.
        floor[p] = Math.max(floor[p] as number, best[own] as number)
        if (bestFrom[own] === p) target[p] = bestTo[own] as number
      }
    }

    const before = edges
    for (let root = 0; root < count; root++) {
      if (isSearching[root] === 1) connect(bestFrom[root] as number, bestTo[root] as number, best[root] as number)
    }
    if (edges === before) throw new Error('a component has no edge to another')
  }
  return { from, to, distances }
}

/** What a round of Borůvka knows: components and core distances by place and node, each component's shortest edge so far. */
interface Round {
  /** Root of each place's component. */
  readonly component: Int32Array
  /** The component that all points of a node belong to, or -1. */
  readonly nodeComponent: Int32Array
  /** The smallest squared core distance of a node. */
  readonly nodeCore: Float64Array
  readonly core: Float64Array
  /** By root: squared length and ends of the shortest edge found. */
  readonly best: Float64Array
  readonly bestFrom: Int32Array
  readonly bestTo: Int32Array
  /** Places of the leaf in question that may still have a shorter edge. */
  readonly active: Int32Array
  /** The most that any of them may improve on. */
  readonly most: Float64Array
}

/** Looks for edges from the active points of a leaf into the nodes below `top`. */
const search = (tree: KdTree, round: Round, descent: Descent, leaf: number, top: number, waiting: number): void => {
  const { nodeComponent, nodeCore, most } = round
  const { node, apart } = descent
  const common = nodeComponent[leaf] as number
  boxesApart(tree, leaf, top, apart, 0)
  node[0] = top
  for (let depth = 0; depth >= 0; depth--) {
    const other = node[depth] as number
    const bound = most[0] as number
    if ((apart[depth] as number) >= bound || (nodeCore[other] as number) >= bound) continue
    if (common >= 0 && nodeComponent[other] === common) continue
    if (other >= tree.firstLeaf) shorten(tree, round, leaf, other, waiting)
    else {
      descend(tree, leaf, other, descent, depth)
      depth += 2
    }
  }
}

/** The same into one leaf, point by point. */
const shorten = (tree: KdTree, round: Round, leaf: number, other: number, waiting: number): void => {
  const { values, stride, start, end } = tree
  const { component, nodeComponent, core, best, bestFrom, bestTo, active, most } = round
  const theirs = nodeComponent[other] as number
  const first = start[other] as number
  const last = end[other] as number
  for (let i = 0; i < waiting; i++) {
    const p = active[i] as number
    const own = component[p] as number
    const ownCore = core[p] as number
    let bound = best[own] as number
    if (theirs === own || ownCore >= bound || (leaf !== other && isBeyond(tree, p, other, best, own))) continue
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
    for (let q = first; q < last; q++) {
      const theirCore = core[q] as number
      if (theirCore >= bound || component[q] === own) continue
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
      bound = sum > ownCore ? (sum > theirCore ? sum : theirCore) : ownCore > theirCore ? ownCore : theirCore
      best[own] = bound
      bestFrom[own] = p
      bestTo[own] = q
      // The edge leads both ways: the other component need not look beyond it either.
      const toward = component[q] as number
      if (bound < (best[toward] as number)) {
        best[toward] = bound
        bestFrom[toward] = q
        bestTo[toward] = p
      }
    }
  }
  let largest = 0
  for (let i = 0; i < waiting; i++) {
    const bound = best[component[active[i] as number] as number] as number
    if (bound > largest) largest = bound
  }
  most[0] = largest
}
