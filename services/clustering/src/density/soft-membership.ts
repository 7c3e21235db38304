// How much every point, noise too, belongs to every cluster: nearness to the exemplars, times how soon the tree joins the point with the cluster.

import type { Matrix } from '../matrix.ts'
import type { Clusters } from './hdbscan.ts'

/**
 * One row per point, one column per cluster; a row sums up to how much the point belongs to any cluster, at most 1. Both parts have equal weight:
 * the inverse distance to the nearest exemplar, and λ of the join against the λ at which the cluster ends, each as a share of its row.
 */
export const softMembership = ({ values, rows, width }: Matrix, { count, exemplars, nodes, tree }: Clusters): Matrix => {
  const out = new Float64Array(rows * count)
  if (tree === undefined || count === 0) return { values: out, rows, width: count }
  const { parent, birth, death, lastCluster, lambda, clusters } = tree
  const ends = death.slice()
  for (let cluster = clusters - 1; cluster > 0; cluster--) {
    const up = parent[cluster] as number
    ends[up] = Math.max(ends[up] as number, ends[cluster] as number)
  }
  const isAbove = Array.from(nodes, (node) => {
    const above = new Map<number, number>() // each ancestor of the cluster, and the λ at which the cluster's branch parts from it
    for (let at = node; at > 0; at = parent[at] as number) above.set(parent[at] as number, birth[at] as number)
    return above
  })
  /** The λ up to which a point is together with a cluster, as a share of where the cluster ends, or for a member the part of it that it is in. */
  const together = (point: number, label: number): number => {
    const node = nodes[label] as number
    const above = isAbove[label] as Map<number, number>
    const last = lastCluster[point] as number
    let from = lambda[point] as number
    for (let at = last; at >= 0; at = parent[at] as number) {
      if (at === node) return (lambda[point] as number) / (ends[last] as number)
      const parts = above.get(at)
      if (parts !== undefined) return Math.min(from, parts) / (ends[node] as number)
      from = Math.min(from, birth[at] as number)
    }
    return 0
  }
  const near = new Float64Array(count)
  const joined = new Float64Array(count)
  for (let p = 0; p < rows; p++) {
    let [nearSum, joinedSum, belongs] = [0, 0, 0]
    let at = -1
    for (let label = 0; label < count; label++) {
      let least = Infinity
      for (const row of exemplars[label] as Int32Array) {
        let square = 0
        for (let k = 0; k < width; k++) {
          const d = (values[p * width + k] as number) - (values[row * width + k] as number)
          square += d * d
        }
        least = Math.min(least, square)
      }
      if (least === 0) at = label
      near[label] = 1 / Math.sqrt(least)
      const share = Math.min(1, together(p, label))
      joined[label] = share
      belongs = Math.max(belongs, share)
      nearSum += near[label] as number
      joinedSum += share
    }
    let total = 0
    for (let label = 0; label < count; label++) {
      // On top of an exemplar it is that cluster's, as far as nearness goes.
      const nearness = at >= 0 ? Number(label === at) : (near[label] as number) / nearSum
      const product = joinedSum > 0 ? (nearness * (joined[label] as number)) / joinedSum : 0
      out[p * count + label] = product
      total += product
    }
    for (let label = 0; label < count && total > 0; label++) out[p * count + label] = ((out[p * count + label] as number) / total) * belongs
  }
  return { values: out, rows, width: count }
}
