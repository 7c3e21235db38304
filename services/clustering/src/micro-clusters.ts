// Which pattern a window shows: a bounded number of micro-clusters per asset over standardised feature vectors. A window
// joins the nearest cluster it fits, or opens one. In order and without clock or chance: equal windows give equal clusters.

import type { DetectorSet } from './detector-set.ts'

export interface MicroCluster {
  readonly clusterId: string
  readonly openingVectorId: string
  readonly openedUs: number
  lastUs: number
  /** Window number of the asset at which it was opened. */
  readonly openedAt: number
  centre: number[]
  /** Decayed number of windows, as of window number `weighedAt`. */
  weight: number
  weighedAt: number
  /** Decayed sum of squared distances of joining windows. */
  squares: number
  /** Windows that fell into an open episode. */
  anomalousWindows: number
  /** Episode in which it was last seen. */
  lastEpisodeId: string | null
  isAnnounced: boolean
}

export interface ClusterSpace {
  /** What the coordinates mean: model digest and features. Clusters of another space cannot be compared. */
  space: string
  clusters: MicroCluster[]
}

export const emptySpace = (): ClusterSpace => ({ space: '', clusters: [] })

export interface Standard {
  readonly space: string
  /** Per feature used: place in the vector, mean and standard deviation. */
  readonly axes: readonly { readonly at: number; readonly mean: number; readonly std: number }[]
}

export interface Assignment {
  readonly cluster: MicroCluster
  readonly isNew: boolean
}

/**
 * Coordinates of a vector: standard deviations from normal, compressed (asinh) so that a fault that doubles in size
 * stays near itself. A missing value counts as normal.
 */
export const coordinates = (values: ArrayLike<number>, { axes }: Standard): number[] =>
  axes.map(({ at, mean, std }) => {
    const value = values[at]
    return value === undefined || !Number.isFinite(value) ? 0 : Math.asinh((value - mean) / std)
  })

/** Assigns a window and updates the space in place. `window` counts the asset's windows. */
export const assign = (
  state: ClusterSpace,
  standard: Standard,
  point: readonly number[],
  window: { readonly number: number; readonly vectorId: string; readonly atUs: number },
  set: DetectorSet['clusters'],
  idOf: (openingVectorId: string) => string,
): Assignment => {
  if (state.space !== standard.space) {
    state.space = standard.space
    state.clusters = []
  }
  let nearest: MicroCluster | undefined
  let nearestDistance = Number.POSITIVE_INFINITY
  for (const cluster of state.clusters) {
    const distance = distanceTo(cluster, point)
    if (distance < nearestDistance) {
      nearest = cluster
      nearestDistance = distance
    }
  }
  if (nearest !== undefined && nearestDistance <= set.radiusFactor * radius(nearest, point.length, set)) {
    join(nearest, point, nearestDistance, window, set)
    return { cluster: nearest, isNew: false }
  }
  const cluster: MicroCluster = {
    clusterId: idOf(window.vectorId),
    openingVectorId: window.vectorId,
    openedUs: window.atUs,
    lastUs: window.atUs,
    openedAt: window.number,
    centre: [...point],
    weight: 1,
    weighedAt: window.number,
    squares: 0,
    anomalousWindows: 0,
    lastEpisodeId: null,
    isAnnounced: false,
  }
  if (state.clusters.length >= set.max) dropLightest(state, window.number, set)
  state.clusters.push(cluster)
  return { cluster, isNew: true }
}

const distanceTo = ({ centre }: MicroCluster, point: readonly number[]): number => {
  let sum = 0
  for (let i = 0; i < point.length; i++) sum += ((point[i] as number) - (centre[i] as number)) ** 2
  return Math.sqrt(sum)
}

/**
 * Root mean square distance of its windows, started with and never below what windows of a healthy asset have: far from
 * normal, compression makes noise look smaller than it is.
 */
export const radius = (cluster: MicroCluster, dimensions: number, set: DetectorSet['clusters']): number => {
  const start = set.startRadius * set.startRadius * dimensions
  return Math.sqrt(Math.max(start, (set.startWeight * start + cluster.squares) / (set.startWeight + cluster.weight)))
}

const decay = (windows: number, set: DetectorSet['clusters']): number => 2 ** (-windows / set.halfLifeWindows)

const join = (
  cluster: MicroCluster,
  point: readonly number[],
  distance: number,
  window: { readonly number: number; readonly atUs: number },
  set: DetectorSet['clusters'],
): void => {
  const kept = decay(window.number - cluster.weighedAt, set)
  cluster.weight = cluster.weight * kept + 1
  cluster.squares = cluster.squares * kept + distance * distance
  cluster.weighedAt = window.number
  cluster.lastUs = Math.max(cluster.lastUs, window.atUs)
  const share = 1 / cluster.weight
  cluster.centre = cluster.centre.map((value, i) => value + share * ((point[i] as number) - value))
}

/** The lightest leaves; of equals the oldest. Its id is never used again. */
const dropLightest = (state: ClusterSpace, now: number, set: DetectorSet['clusters']): void => {
  const weightNow = (cluster: MicroCluster) => cluster.weight * decay(now - cluster.weighedAt, set)
  let lightest = 0
  state.clusters.forEach((cluster, i) => {
    if (weightNow(cluster) < weightNow(state.clusters[lightest] as MicroCluster)) lightest = i
  })
  state.clusters.splice(lightest, 1)
}
