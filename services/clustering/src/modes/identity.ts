// Fault modes keep their names across refits: what the old model and the new one say about the same rows is compared by mass, and every mode
// survives, splits, is absorbed, disappears or emerges. Names, labels and causes that people gave hang on the ids, so an id is never used
// again and an absorbed one leads to its successor. Pure: the same registry, fit and sample give the same ids and transitions.

import { uuid8 } from '@andon/kit/ids'
import { type Matrix, rowOf } from '../matrix.ts'
import { bestMatching } from './matching.ts'
import { inMetric } from './members.ts'

export interface IdentityOptions {
  /** A mode survives in the new cluster that has at least this share of its mass. */
  readonly surviveShare: number
  /** Or in the largest of several parts that have at least this share each and `surviveShare` together: it has split. */
  readonly splitShare: number
  /** Standard deviations of a mode, in its own metric, that its centre may move before it has drifted. */
  readonly driftBound: number
  /** A mode with less mass than this in the sample is unseen: nothing is said about it. */
  readonly leastMass: number
  /** Refits in a row without a sign after which an unseen mode disappears. */
  readonly mostUnseen: number
  /** Ids that are over and whose fate is remembered; the oldest are forgotten first. */
  readonly mostRetired: number
}

export const identityDefaults: IdentityOptions = {
  surviveShare: 0.5,
  splitShare: 0.25,
  driftBound: 1,
  leastMass: 1,
  mostUnseen: 50,
  mostRetired: 10_000,
}

export interface ModeRecord {
  readonly modeId: string
  /** The mode it split from. */
  readonly parentId: string | null
  readonly bornFitId: string
  readonly centre: Float64Array
  /** Weighted rows of the last sample that showed it. */
  readonly mass: number
  /** Where it was when it was last said to be somewhere, with its standard deviation and number of rows then. */
  readonly anchor: { readonly centre: Float64Array; readonly spread: number; readonly count: number }
  /** Refits in a row whose sample did not show it. */
  readonly unseenFits: number
}

export interface RetiredMode {
  readonly modeId: string
  readonly parentId: string | null
  /** The mode that absorbed it; null when it disappeared. */
  readonly intoId: string | null
  readonly retiredFitId: string
}

/** Plain data; pack it with `toPackedJson`. */
export interface ModeRegistry {
  readonly version: 1
  readonly classId: string
  readonly fits: number
  readonly lastFitId: string | null
  /** By id. */
  readonly modes: readonly ModeRecord[]
  /** Oldest first. */
  readonly retired: readonly RetiredMode[]
}

export const emptyRegistry = (classId: string): ModeRegistry => ({
  version: 1,
  classId,
  fits: 0,
  lastFitId: null,
  modes: [],
  retired: [],
})

export interface Fit {
  /** Logical identity of the refit: a digest of what went in, code, settings and seed. */
  readonly fitId: string
  readonly clusters: number
  /** Of `FittedModes`, in the coordinates of the points. */
  readonly metric: Float64Array
}

/** The common replay sample: each row with what both models say about it. */
export interface JudgedSample {
  readonly points: Matrix
  /** Unique. */
  readonly rowIds: readonly string[]
  readonly weights: Float64Array
  /** Mode by the old model; null: novel. */
  readonly before: readonly (string | null)[]
  /** Cluster by the new one; -1: novel. Every cluster has a row. */
  readonly after: Int32Array
}

export type Transition =
  | { readonly type: 'survived'; readonly modeId: string; readonly share: number }
  | {
      readonly type: 'split'
      readonly modeId: string
      readonly share: number
      readonly children: readonly { readonly modeId: string; readonly share: number }[]
    }
  | { readonly type: 'absorbed'; readonly modeId: string; readonly intoId: string; readonly share: number }
  | { readonly type: 'disappeared'; readonly modeId: string }
  | { readonly type: 'emerged'; readonly modeId: string; readonly mass: number }
  /** Beside `survived`: standard deviations moved since it was last said to be somewhere. */
  | { readonly type: 'drifted'; readonly modeId: string; readonly moved: number }

/** Mass by the mode it had and the mode it has; null: novel. */
export interface Flow {
  readonly fromId: string | null
  readonly toId: string | null
  readonly mass: number
}

export interface Reconciled {
  readonly registry: ModeRegistry
  readonly transitions: readonly Transition[]
  /** Mode of each cluster of the fit. */
  readonly modeIds: readonly string[]
  /** Modes that the sample did not show: they stay, and the new model should keep their members. */
  readonly unseen: readonly string[]
  /** Sum up to the mass of the sample. */
  readonly flows: readonly Flow[]
  /** Share of the mass of old modes that has the same id, or one that leads back to it by a split or an absorption. */
  readonly survival: number
}

export const reconcile = (
  previous: ModeRegistry,
  fit: Fit,
  sample: JudgedSample,
  options: IdentityOptions = identityDefaults,
): Reconciled => {
  checkInput(previous, fit, sample)
  const { surviveShare, splitShare, leastMass } = options
  const clusters = clustersOf(fit, sample)
  const old = previous.modes
  const columns = clusters.length

  // What of each old mode went where; column `columns` is novel. Clusters in the order of their first rows, whatever their numbers were.
  const placeOf = new Map(old.map(({ modeId }, i) => [modeId, i]))
  const columnOf = new Int32Array(columns)
  clusters.forEach(({ label }, column) => (columnOf[label] = column))
  const moved = new Float64Array((old.length + 1) * (columns + 1))
  sample.weights.forEach((weight, row) => {
    const before = sample.before[row] as string | null
    const i = before === null ? old.length : (placeOf.get(before) as number)
    const label = sample.after[row] as number
    const at = i * (columns + 1) + (label < 0 ? columns : (columnOf[label] as number))
    moved[at] = (moved[at] as number) + weight
  })
  const massAt = (i: number, j: number): number => moved[i * (columns + 1) + j] as number
  const massOf = old.map((_, i) => moved.subarray(i * (columns + 1), (i + 1) * (columns + 1)).reduce((sum, mass) => sum + mass, 0))
  const isSeen = (i: number): boolean => (massOf[i] as number) >= leastMass
  const shareAt = (i: number, j: number): number => massAt(i, j) / (massOf[i] as number)

  // Which cluster may carry which id on.
  const partsOf = old.map((_, i) => (isSeen(i) ? clusters.map((_each, j) => j).filter((j) => shareAt(i, j) >= splitShare) : []))
  const isSplitting = partsOf.map((parts, i) => parts.length > 1 && parts.reduce((sum, j) => sum + shareAt(i, j), 0) >= surviveShare)
  const profits = new Float64Array(old.length * columns)
  partsOf.forEach((parts, i) => {
    for (const j of parts) if (isSplitting[i] === true || shareAt(i, j) >= surviveShare) profits[i * columns + j] = massAt(i, j)
  })
  const heirOf = bestMatching(profits, old.length, columns)
  const ownerOf = new Int32Array(columns).fill(-1)
  heirOf.forEach((j, i) => {
    if (j >= 0) ownerOf[j] = i
  })

  // New ids: of the fit and of a row that no other cluster of the fit has.
  const known = new Set([...old.map(({ modeId }) => modeId), ...previous.retired.map(({ modeId }) => modeId)])
  const idOf = clusters.map(({ firstRowId }, j) => {
    const owner = ownerOf[j] as number
    if (owner >= 0) return (old[owner] as ModeRecord).modeId
    const modeId = uuid8('fault-mode', previous.classId, fit.fitId, firstRowId)
    if (known.has(modeId)) throw new RangeError(`fit ${fit.fitId} was applied before: mode ${modeId} is known`)
    return modeId
  })
  /** The old mode that a cluster without an owner is a part of; the one that gave most. */
  const parentOf = clusters.map((_, j) => {
    if ((ownerOf[j] as number) >= 0) return -1
    let parent = -1
    partsOf.forEach((parts, i) => {
      if ((heirOf[i] as number) >= 0 && isSplitting[i] === true && parts.includes(j) && (parent < 0 || massAt(i, j) > massAt(parent, j)))
        parent = i
    })
    return parent
  })

  const transitions: Transition[] = []
  const modes: ModeRecord[] = []
  const retired: RetiredMode[] = []
  const unseen: string[] = []
  const retire = ({ modeId, parentId }: ModeRecord, intoId: string | null): void =>
    void retired.push({ modeId, parentId, intoId, retiredFitId: fit.fitId })
  /** Clusters that took a whole mode in: their centre moved because of that. */
  const hasAbsorbed = new Uint8Array(columns)
  old.forEach((mode, i) => {
    if ((heirOf[i] as number) >= 0) return
    if (!isSeen(i)) {
      if (mode.unseenFits + 1 >= options.mostUnseen) {
        transitions.push({ type: 'disappeared', modeId: mode.modeId })
        retire(mode, null)
      } else {
        unseen.push(mode.modeId)
        modes.push({ ...mode, unseenFits: mode.unseenFits + 1 })
      }
      return
    }
    const into = partsOf[i]?.find((j) => shareAt(i, j) >= surviveShare && (ownerOf[j] as number) >= 0)
    if (into === undefined) {
      transitions.push({ type: 'disappeared', modeId: mode.modeId })
      return retire(mode, null)
    }
    hasAbsorbed[into] = 1
    transitions.push({ type: 'absorbed', modeId: mode.modeId, intoId: idOf[into] as string, share: shareAt(i, into) })
    retire(mode, idOf[into] as string)
  })
  old.forEach((mode, i) => {
    const j = heirOf[i] as number
    if (j < 0) return
    const { modeId } = mode
    const children = clusters.flatMap((_, child) =>
      parentOf[child] === i ? [{ modeId: idOf[child] as string, share: shareAt(i, child) }] : [],
    )
    const cluster = clusters[j] as Cluster
    const share = shareAt(i, j)
    const shift = shiftOf(mode.anchor, cluster, fit.metric)
    const hasDrifted = shift > options.driftBound && children.length === 0 && hasAbsorbed[j] === 0
    if (children.length > 0) transitions.push({ type: 'split', modeId, share, children })
    else transitions.push({ type: 'survived', modeId, share })
    if (hasDrifted) transitions.push({ type: 'drifted', modeId, moved: shift })
    const isNewPlace = hasDrifted || children.length > 0 || hasAbsorbed[j] === 1
    const { centre, mass } = cluster
    modes.push({ ...mode, centre, mass, anchor: isNewPlace ? anchorOf(cluster) : mode.anchor, unseenFits: 0 })
  })
  clusters.forEach((cluster, j) => {
    if ((ownerOf[j] as number) >= 0) return
    const modeId = idOf[j] as string
    const parent = old[parentOf[j] as number]
    if (parent === undefined) transitions.push({ type: 'emerged', modeId, mass: cluster.mass })
    const { centre, mass } = cluster
    modes.push({ modeId, parentId: parent?.modeId ?? null, bornFitId: fit.fitId, centre, mass, anchor: anchorOf(cluster), unseenFits: 0 })
  })

  const toId = (j: number): string | null => (j === columns ? null : (idOf[j] as string))
  const flows = Array.from(moved, (mass, at): Flow => {
    const i = Math.floor(at / (columns + 1))
    return { fromId: old[i]?.modeId ?? null, toId: toId(at % (columns + 1)), mass }
  }).filter(({ mass }) => mass > 0)
  const intoOf = new Map(retired.map(({ modeId, intoId }) => [modeId, intoId]))
  const parentIdOf = new Map(modes.map(({ modeId, parentId }) => [modeId, parentId]))
  let [kept, all] = [0, 0]
  for (const { fromId, toId: to, mass } of flows) {
    if (fromId === null) continue
    all += mass
    if (to !== null && (to === fromId || intoOf.get(fromId) === to || parentIdOf.get(to) === fromId)) kept += mass
  }
  const registry: ModeRegistry = {
    version: 1,
    classId: previous.classId,
    fits: previous.fits + 1,
    lastFitId: fit.fitId,
    modes: modes.toSorted((a, b) => byText(a.modeId, b.modeId)),
    retired: [...previous.retired, ...retired].slice(-options.mostRetired),
  }
  return {
    registry,
    transitions,
    modeIds: Array.from(columnOf, (column) => idOf[column] as string),
    unseen,
    flows,
    survival: all === 0 ? 1 : kept / all,
  }
}

/** Where an id leads today: itself while its mode is there, else the mode that absorbed it; undefined when it has disappeared or is unknown. */
export const currentIdOf = ({ modes, retired }: ModeRegistry, modeId: string): string | undefined => {
  const active = new Set(modes.map((mode) => mode.modeId))
  const intoOf = new Map(retired.map((mode) => [mode.modeId, mode.intoId]))
  let id: string | null | undefined = modeId
  // An id is retired once, so a chain cannot be longer than there are retired ones.
  for (let steps = 0; id !== null && id !== undefined && steps <= retired.length; steps++) {
    if (active.has(id)) return id
    id = intoOf.get(id)
  }
  return undefined
}

interface Cluster {
  readonly label: number
  readonly firstRowId: string
  readonly centre: Float64Array
  readonly mass: number
  /** Standard deviation of a coordinate in the metric. */
  readonly spread: number
  /** Rows that count as much as these with their weights. */
  readonly count: number
}

/** In the order of their first row ids. */
const clustersOf = ({ clusters, metric }: Fit, { points, rowIds, weights, after }: JudgedSample): Cluster[] => {
  const { width } = points
  const rowsOf = Array.from({ length: clusters }, () => [] as number[])
  after.forEach((label, row) => {
    if (label >= 0) rowsOf[label]?.push(row)
  })
  return rowsOf
    .map((rows, label): Cluster => {
      const weightOf = (row: number): number => weights[row] as number
      const mass = rows.reduce((sum, row) => sum + weightOf(row), 0)
      const centre = new Float64Array(width)
      for (const row of rows) {
        rowOf(points, row).forEach((value, i) => (centre[i] = (centre[i] as number) + (value * weightOf(row)) / mass))
      }
      const squares = rows.reduce(
        (sum, row) => sum + weightOf(row) * squaredLength(inMetric(metric, difference(rowOf(points, row), centre))),
        0,
      )
      const count = mass ** 2 / rows.reduce((sum, row) => sum + weightOf(row) ** 2, 0)
      const firstRowId = rows.map((row) => rowIds[row] as string).reduce((a, b) => (a < b ? a : b))
      return { label, firstRowId, centre, mass, spread: Math.sqrt((squares / mass / width) * (count > 1 ? count / (count - 1) : 1)), count }
    })
    .toSorted((a, b) => byText(a.firstRowId, b.firstRowId))
}

const anchorOf = ({ centre, spread, count }: Cluster): ModeRecord['anchor'] => ({ centre, spread, count })

/**
 * Standard deviations between two places of a mode, less what two means of so many rows are apart by chance; 0 when they could be so far
 * apart by chance (three standard deviations of the chi-square beyond its mean).
 */
const shiftOf = (anchor: ModeRecord['anchor'], { centre, count }: Cluster, metric: Float64Array): number => {
  const spread = Math.max(anchor.spread, LEAST_SPREAD)
  const apart = squaredLength(inMetric(metric, difference(centre, anchor.centre))) / spread ** 2
  const noise = 1 / count + 1 / anchor.count
  const width = centre.length
  return apart < noise * (width + 3 * Math.sqrt(2 * width)) ? 0 : Math.sqrt(apart - noise * width)
}

/** Of a mode of equal points; in the metric, where modes have a spread of about 1. */
const LEAST_SPREAD = 1e-3

const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - (b[i] as number))

const squaredLength = (vector: Float64Array): number => vector.reduce((sum, value) => sum + value * value, 0)

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const checkInput = (previous: ModeRegistry, fit: Fit, { points, rowIds, weights, before, after }: JudgedSample): void => {
  if (previous.version !== 1) throw new RangeError(`a mode registry of version ${String(previous.version)}, expected 1`)
  if (fit.fitId === previous.lastFitId) throw new RangeError(`fit ${fit.fitId} was applied already`)
  const lengths = [rowIds.length, weights.length, before.length, after.length]
  if (lengths.some((length) => length !== points.rows))
    throw new RangeError(`a sample of ${points.rows} rows has columns of ${lengths.join(', ')}`)
  if (fit.metric.length !== points.width ** 2)
    throw new RangeError(`a metric of ${fit.metric.length} numbers for points of ${points.width}`)
  if (new Set(rowIds).size !== rowIds.length) throw new RangeError('a row is in the sample twice')
  const modes = new Set(previous.modes.map(({ modeId }) => modeId))
  const stranger = before.find((modeId) => modeId !== null && !modes.has(modeId))
  if (stranger !== undefined) throw new RangeError(`the sample has rows of mode ${String(stranger)}, which the registry does not know`)
  const isEmpty = new Uint8Array(fit.clusters).fill(1)
  for (const label of after) {
    if (label >= fit.clusters) throw new RangeError(`the sample has rows of cluster ${label}, there are ${fit.clusters}`)
    if (label >= 0) isEmpty[label] = 0
  }
  if (isEmpty.includes(1)) throw new RangeError(`cluster ${isEmpty.indexOf(1)} has no row in the sample`)
  const wrong = weights.find((weight) => !(weight > 0 && Number.isFinite(weight)))
  if (wrong !== undefined) throw new RangeError(`a row weighs ${wrong}, expected a number above 0`)
}
