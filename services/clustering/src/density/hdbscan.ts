// HDBSCAN* (Campello, Moulavi, Sander 2013, 2015): clusters of any shape and density, and points that belong to none. One thread, no
// random numbers; memory grows with the number of points, not with its square. The result does not depend on the order of points.

import { type Matrix, requireFinite } from '../matrix.ts'
import { type CondensedTree, condense } from './condensed-tree.ts'
import { kdTreeOf, nearest, nearestByMass } from './kd-tree.ts'
import { spanningTree } from './spanning-tree.ts'

export interface HdbscanOptions {
  /** A smaller group leaves a cluster instead of splitting it: the least mass of a cluster. Default: `defaultSizes`. */
  readonly minClusterSize?: number
  /** The mass within a point's core distance, itself included: more makes sparse regions noise. Default: `defaultSizes`. */
  readonly minSamples?: number
  /** `eom`: the clusters that persist most; `leaf`: the finest ones. Default `eom`. */
  readonly selection?: 'eom' | 'leaf'
  /** Clusters that part at a smaller distance stay one. Default 0. */
  readonly epsilon?: number
  /** Whether all points together may be the only cluster. Default false. */
  readonly allowSingle?: boolean
  /** How many points each one stands for: the centre of a micro-cluster stands for many. The same as repeating points. Default 1. */
  readonly masses?: Float64Array
  /** How far the points that one stands for lie from it; its core distance is at least that. Without it, many at one place are infinitely dense. */
  readonly radii?: Float64Array
}

export interface Clusters {
  /** Number of clusters; their labels are 0 … count - 1, in the order of their first points. */
  readonly count: number
  /** Of each point; -1 is noise. */
  readonly labels: Int32Array
  /** How much a point belongs to its cluster: 1 in the dense middle, towards 0 at its border, 0 for noise. */
  readonly membership: Float64Array
  /** GLOSH: 0 in the dense middle of the nearest cluster in the tree, towards 1 the sparser a point's surroundings are against that. */
  readonly outlierScore: Float64Array
  /** By label: the points where a cluster is densest. */
  readonly exemplars: readonly Int32Array[]
  /** By label: share of the cluster's possible persistence that it has, 0 to 1. */
  readonly persistence: Float64Array
  /** Distance within which a point has `minSamples`. */
  readonly core: Float64Array
  /** By label: its number in the tree. */
  readonly nodes: Int32Array
  /** Absent where there are too few points for any cluster. */
  readonly tree?: CondensedTree
  readonly minClusterSize: number
  readonly minSamples: number
}

/** Measured on the bearing recordings and their random subsets: large enough for stable clusters, small enough for rare fault modes. */
export const defaultSizes = (mass: number): { readonly minClusterSize: number; readonly minSamples: number } => ({
  minClusterSize: Math.max(5, Math.round(0.55 * Math.sqrt(mass))),
  minSamples: Math.max(3, Math.round(0.27 * Math.sqrt(mass))),
})

export const hdbscan = (points: Matrix, options: HdbscanOptions = {}): Clusters => {
  requireFinite(points, 'point')
  const { rows } = points
  const masses = options.masses ?? new Float64Array(rows).fill(1)
  requirePositive(masses, rows, 'mass')
  if (options.radii !== undefined) requirePositive(options.radii, rows, 'radius')
  let total = 0
  for (const mass of masses) total += mass
  const { minClusterSize, minSamples } = { ...defaultSizes(total), ...options }
  const { selection = 'eom', epsilon = 0, allowSingle = false } = options
  if (!(minClusterSize >= 2)) throw new RangeError(`minClusterSize is ${minClusterSize}, expected at least 2`)
  if (!(minSamples >= 1)) throw new RangeError(`minSamples is ${minSamples}, expected at least 1`)
  if (!(epsilon >= 0)) throw new RangeError(`epsilon is ${epsilon}, expected at least 0`)
  if (rows < 2 || total < Math.max(minClusterSize, minSamples)) return onlyNoise(rows, minClusterSize, minSamples)

  const kdTree = kdTreeOf(points)
  const near =
    options.masses === undefined
      ? nearest(kdTree, Math.ceil(minSamples))
      : nearestByMass(
          kdTree,
          kdTree.rowAt.reduce((out, row, place) => ((out[place] = masses[row] as number), out), new Float64Array(rows)),
          minSamples,
        )
  const core = new Float64Array(rows)
  for (let place = 0; place < rows; place++) {
    const row = kdTree.rowAt[place] as number
    const radius = options.radii?.[row] ?? 0
    near.squared[place] = Math.max(near.squared[place] as number, radius * radius)
    core[row] = Math.sqrt(near.squared[place] as number)
  }
  const tree = condense(spanningTree(kdTree, near.squared, near), core, masses, minClusterSize)
  const isSelected = selection === 'eom' ? mostPersistent(tree, allowSingle) : finest(tree)
  if (epsilon > 0) mergeWithin(tree, isSelected, epsilon, allowSingle)
  return { ...labelled(tree, isSelected, masses, epsilon, allowSingle), core, tree, minClusterSize, minSamples }
}

const requirePositive = (values: Float64Array, rows: number, what: 'mass' | 'radius'): void => {
  if (values.length !== rows) throw new RangeError(`${rows} points have ${values.length} values of ${what}`)
  values.forEach((value, i) => {
    if (!(value > 0 || (what === 'radius' && value === 0)) || value === Infinity)
      throw new RangeError(`point ${i}: ${what} is ${value}, expected a finite number ${what === 'mass' ? 'above' : 'not below'} 0`)
  })
}

const onlyNoise = (rows: number, minClusterSize: number, minSamples: number): Clusters => ({
  count: 0,
  labels: new Int32Array(rows).fill(-1),
  membership: new Float64Array(rows),
  outlierScore: new Float64Array(rows),
  exemplars: [],
  persistence: new Float64Array(0),
  core: new Float64Array(rows).fill(Infinity),
  nodes: new Int32Array(0),
  minClusterSize,
  minSamples,
})

const childrenOf = ({ parent, clusters }: CondensedTree): number[][] => {
  const children: number[][] = Array.from({ length: clusters }, () => [])
  for (let cluster = 1; cluster < clusters; cluster++) (children[parent[cluster] as number] as number[]).push(cluster)
  return children
}

/** Excess of mass: from the leaves up, a cluster takes the place of those below it unless they are together more stable. */
const mostPersistent = (tree: CondensedTree, allowSingle: boolean): Uint8Array => {
  const children = childrenOf(tree)
  const isSelected = new Uint8Array(tree.clusters)
  const value = tree.stability.slice()
  for (let cluster = tree.clusters - 1; cluster >= (allowSingle ? 0 : 1); cluster--) {
    // Summed in the order of size, so that rounding is the same however the points are numbered.
    const below = (children[cluster] as number[]).map((child) => value[child] as number).sort((a, b) => a - b)
    const sum = below.reduce((a, b) => a + b, 0)
    if (below.length > 0 && sum > (value[cluster] as number)) value[cluster] = sum
    else isSelected[cluster] = 1
  }
  // The parents come first: whatever lies below a selected cluster is part of it.
  for (let cluster = 1; cluster < tree.clusters; cluster++) {
    for (let up = tree.parent[cluster] as number; up >= 0 && isSelected[cluster] === 1; up = tree.parent[up] as number)
      if (isSelected[up] === 1) isSelected[cluster] = 0
  }
  return isSelected
}

const finest = (tree: CondensedTree): Uint8Array => {
  const isSelected = new Uint8Array(tree.clusters).fill(1)
  for (let cluster = 1; cluster < tree.clusters; cluster++) isSelected[tree.parent[cluster] as number] = 0
  return isSelected
}

/** Puts the first ancestor that parts at more than `epsilon` in the place of a cluster that parts at less (Malzer and Baum 2020). */
const mergeWithin = (tree: CondensedTree, isSelected: Uint8Array, epsilon: number, allowSingle: boolean): void => {
  if (isSelected[0] === 1) return
  const partsAt = (cluster: number): number => 1 / (tree.birth[cluster] as number)
  for (let cluster = tree.clusters - 1; cluster > 0; cluster--) {
    if (isSelected[cluster] === 0 || partsAt(cluster) >= epsilon) continue
    let up = cluster
    while (up > 0 && partsAt(up) < epsilon) {
      const next = tree.parent[up] as number
      if (next === 0 && !allowSingle) break
      up = next
    }
    isSelected[cluster] = 0
    isSelected[up] = 1
  }
  for (let cluster = 1; cluster < tree.clusters; cluster++) {
    for (let up = tree.parent[cluster] as number; up >= 0; up = tree.parent[up] as number) if (isSelected[up] === 1) isSelected[cluster] = 0
  }
}

const labelled = (
  tree: CondensedTree,
  isSelected: Uint8Array,
  masses: Float64Array,
  epsilon: number,
  allowSingle: boolean,
): Pick<Clusters, 'count' | 'labels' | 'membership' | 'outlierScore' | 'exemplars' | 'persistence' | 'nodes'> => {
  const { clusters, parent, birth, death, stability, lastCluster, lambda } = tree
  const points = lambda.length
  /** The selected cluster that a cluster is part of, or -1; and the largest λ at which anything in it ends. */
  const within = new Int32Array(clusters).fill(-1)
  const deepest = death.slice()
  for (let cluster = 0; cluster < clusters; cluster++)
    within[cluster] = isSelected[cluster] === 1 ? cluster : cluster === 0 ? -1 : (within[parent[cluster] as number] as number)
  for (let cluster = clusters - 1; cluster > 0; cluster--) {
    const up = parent[cluster] as number
    deepest[up] = Math.max(deepest[up] as number, deepest[cluster] as number)
  }
  // All points as one cluster have no λ at which they parted from others: only those that stay as long as the last ones belong to it.
  const rootFrom = !allowSingle ? Infinity : epsilon > 0 ? 1 / epsilon : (death[0] as number)

  const labels = new Int32Array(points).fill(-1)
  const membership = new Float64Array(points)
  const outlierScore = new Float64Array(points)
  const labelOf = new Int32Array(clusters).fill(-1)
  const nodes: number[] = []
  for (let p = 0; p < points; p++) {
    const last = lastCluster[p] as number
    const leaves = lambda[p] as number
    const most = deepest[last] as number
    outlierScore[p] = most > 0 ? (most - leaves) / most : 0
    const cluster = within[last] as number
    if (cluster < 0 || (cluster === 0 && leaves < rootFrom)) continue
    if ((labelOf[cluster] as number) < 0) labelOf[cluster] = nodes.push(cluster) - 1
    labels[p] = labelOf[cluster] as number
    const ends = death[cluster] as number
    membership[p] = last === cluster && leaves < ends ? leaves / ends : 1
  }
  const exemplars: number[][] = nodes.map(() => [])
  const sizes = new Float64Array(nodes.length)
  const isLeaf = finest(tree)
  for (let p = 0; p < points; p++) {
    const label = labels[p] as number
    if (label < 0) continue
    sizes[label] = (sizes[label] as number) + (masses[p] as number)
    const last = lastCluster[p] as number
    if (isLeaf[last] === 1 && lambda[p] === death[last]) (exemplars[label] as number[]).push(p)
  }
  const ends = deepest[0] as number
  const persistence = Float64Array.from(nodes, (cluster, label) => {
    const possible = (sizes[label] as number) * (ends - (birth[cluster] as number))
    return possible > 0 ? Math.min(1, (stability[cluster] as number) / possible) : 0
  })
  return {
    count: nodes.length,
    labels,
    membership,
    outlierScore,
    exemplars: exemplars.map((rows) => Int32Array.from(rows)),
    persistence,
    nodes: Int32Array.from(nodes),
  }
}
