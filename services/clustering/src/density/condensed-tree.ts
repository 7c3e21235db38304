// From the spanning tree to the tree of clusters: what stays together as the distance shrinks. Merges at exactly equal distances count as
// one merge of many parts, so the tree does not depend on the order of points or on which of several equal edges was taken.

import type { SpanningTree } from './spanning-tree.ts'

/** Clusters are numbered from 0, the root with all points; a parent has a smaller number than its children. λ is 1 / distance. */
export interface CondensedTree {
  readonly clusters: number
  /** -1 for the root. */
  readonly parent: Int32Array
  /** λ at which a cluster parts from its parent's other children; 0 for the root. */
  readonly birth: Float64Array
  /** λ at which it splits, or its last points leave it. */
  readonly death: Float64Array
  /** Sum over its points of how much λ each of them stays for. */
  readonly stability: Float64Array
  /** Of each point, the last cluster it is part of, and the λ at which it leaves that one. */
  readonly lastCluster: Int32Array
  readonly lambda: Float64Array
}

/**
 * `core` and `masses` are by row. A part with less than `leastMass` leaves its cluster instead of splitting it. Distances below the
 * smallest one above zero count as that one: equal points are as dense as the densest different ones, not infinitely dense.
 */
export const condense = (tree: SpanningTree, core: Float64Array, masses: Float64Array, leastMass: number): CondensedTree => {
  const points = core.length
  const merges = points - 1
  const order = ascending(tree.distances)
  // A dendrogram of two parts each: nodes below `points` are points, then one per edge.
  const left = new Int32Array(merges)
  const right = new Int32Array(merges)
  const height = new Float64Array(merges)
  const mass = new Float64Array(points + merges)
  mass.set(masses)
  const top = Int32Array.from({ length: points }, (_, i) => i)
  const above = Int32Array.from({ length: points }, (_, i) => i)
  const rootOf = (point: number): number => {
    let root = point
    while (above[root] !== root) root = above[root] = above[above[root] as number] as number
    return root
  }
  for (let i = 0; i < merges; i++) {
    const edge = order[i] as number
    const a = rootOf(tree.from[edge] as number)
    const b = rootOf(tree.to[edge] as number)
    left[i] = top[a] as number
    right[i] = top[b] as number
    height[i] = tree.distances[edge] as number
    mass[points + i] = (mass[left[i] as number] as number) + (mass[right[i] as number] as number)
    above[b] = a
    top[a] = points + i
  }
  let least = Infinity
  for (let i = 0; i < points; i++) if ((core[i] as number) > 0) least = Math.min(least, core[i] as number)
  for (let i = 0; i < merges; i++) if ((height[i] as number) > 0) least = Math.min(least, height[i] as number)
  const lambdaOf = (distance: number): number => 1 / Math.max(distance, least === Infinity ? 1 : least)

  const parent: number[] = [-1]
  const birth: number[] = [0]
  const death: number[] = [0]
  const stability: number[] = [0]
  const lastCluster = new Int32Array(points)
  const lambda = new Float64Array(points)
  const leave = (node: number, cluster: number, at: number): void => {
    let depth = 0
    leaving[depth++] = node
    while (depth > 0) {
      const one = leaving[--depth] as number
      if (one < points) {
        lastCluster[one] = cluster
        lambda[one] = at
      } else {
        leaving[depth++] = left[one - points] as number
        leaving[depth++] = right[one - points] as number
      }
    }
  }
  const leaving = new Int32Array(points + 1)
  const parts = new Int32Array(points + 1)
  const large = new Int32Array(points + 1)
  const waiting: [node: number, cluster: number][] = [[2 * points - 2, 0]]
  while (waiting.length > 0) {
    const [node, cluster] = waiting.pop() as [number, number]
    if (node < points) {
      // A point that stands for many: they part from each other at its core distance.
      const at = lambdaOf(core[node] as number)
      leave(node, cluster, at)
      stability[cluster] = (stability[cluster] as number) + (at - (birth[cluster] as number)) * (mass[node] as number)
      death[cluster] = at
      continue
    }
    const distance = height[node - points] as number
    const at = lambdaOf(distance)
    let [depth, larges, leaves] = [0, 0, 0]
    parts[depth++] = left[node - points] as number
    parts[depth++] = right[node - points] as number
    while (depth > 0) {
      const part = parts[--depth] as number
      if (part >= points && height[part - points] === distance) {
        parts[depth++] = left[part - points] as number
        parts[depth++] = right[part - points] as number
      } else if ((mass[part] as number) >= leastMass && (part >= points || (core[part] as number) < distance)) large[larges++] = part
      else {
        leave(part, cluster, at)
        leaves += mass[part] as number
      }
    }
    const stay = at - (birth[cluster] as number)
    death[cluster] = at
    if (larges === 1) {
      stability[cluster] = (stability[cluster] as number) + stay * leaves
      waiting.push([large[0] as number, cluster])
      continue
    }
    stability[cluster] = (stability[cluster] as number) + stay * (mass[node] as number)
    for (let i = 0; i < larges; i++) {
      waiting.push([large[i] as number, parent.length])
      parent.push(cluster)
      birth.push(at)
      death.push(at)
      stability.push(0)
    }
  }
  return {
    clusters: parent.length,
    parent: Int32Array.from(parent),
    birth: Float64Array.from(birth),
    death: Float64Array.from(death),
    stability: Float64Array.from(stability),
    lastCluster,
    lambda,
  }
}

/** Numbers of the edges in ascending order of their distance. Sorts the distances alone, which needs no comparing function, and looks each one up. */
const ascending = (distances: Float64Array): Int32Array => {
  const sorted = distances.slice().sort()
  const order = new Int32Array(distances.length)
  const taken = new Int32Array(distances.length)
  for (let edge = 0; edge < distances.length; edge++) {
    const distance = distances[edge] as number
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((sorted[middle] as number) < distance) low = middle + 1
      else high = middle
    }
    const at = taken[low] as number
    taken[low] = at + 1
    order[low + at] = edge
  }
  return order
}
