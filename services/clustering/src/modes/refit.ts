// One refit, from a sample of rows to the next model and registry: cluster, fit the member rule, reconcile the ids. What clusters is
// handed in. Pure; the caller judges the result (`judgeRefit`) before anything of it holds, and groups its sample anew when it does.

import { type Matrix, matrixOf } from '../matrix.ts'
import { type IdentityOptions, type ModeRegistry, type Reconciled, identityDefaults, reconcile } from './identity.ts'
import { type FittedModes, type MemberOptions, fitModes, memberDefaults, openAssigner, rowsOfMode } from './members.ts'
import { Sample } from './sample.ts'

export interface ModesInForce {
  readonly registry: ModeRegistry
  /** Undefined before the first fit. */
  readonly model: FittedModes | undefined
}

export interface RefitOptions {
  readonly members: MemberOptions
  readonly identity: IdentityOptions
}

export const refitDefaults: RefitOptions = { members: memberDefaults, identity: identityDefaults }

export interface Refit extends Reconciled {
  readonly model: FittedModes
  /** Shares of the sample's rows. */
  readonly noiseShare: number
  readonly largestShare: number
}

/**
 * `cluster` labels points 0 … n - 1, -1 for noise. A mode that the sample shows no row of keeps the members that it had. Rows of the sample count
 * alike: age is in which of them stayed.
 */
export const refit = (
  { registry, model }: ModesInForce,
  sample: Sample,
  cluster: (points: Matrix) => ArrayLike<number>,
  fitId: string,
  options: RefitOptions = refitDefaults,
): Refit => {
  // A row that came again after a refit may be there in two groups.
  const rows = [...new Map(sample.all().map((row) => [row.rowId, row])).values()]
  const matrix = matrixOf(rows.map(({ values }) => values))
  const labels = Int32Array.from(cluster(matrix))
  const clusters = labels.reduce((most, label) => Math.max(most, label), -1) + 1
  const names = Array.from({ length: clusters }, (_, label) => String(label))
  const fresh = fitModes(matrix, labels, names, options.members)
  const assignNew = openAssigner(fresh)
  const assignOld = model === undefined ? undefined : openAssigner(model)
  const before = rows.map(({ values }) => assignOld?.(values).modeId ?? null)
  // A row that the clustering left out belongs to the mode that it would be assigned to.
  const after = labels.map((label, row) =>
    label >= 0 ? label : Number(assignNew((rows[row] as (typeof rows)[number]).values).modeId ?? -1),
  )
  const rowIds = rows.map(({ rowId }) => rowId)
  const reconciled = reconcile(
    registry,
    { fitId, clusters, metric: fresh.metric },
    { points: matrix, rowIds, weights: new Float64Array(rows.length).fill(1), before, after },
    options.identity,
  )
  const kept = (model?.modes ?? []).filter(({ modeId }) => reconciled.unseen.includes(modeId))
  const sizes = new Int32Array(clusters)
  for (const label of labels) if (label >= 0) sizes[label]!++
  const clustered = sizes.reduce((sum, size) => sum + size, 0)
  return {
    ...reconciled,
    model: withKept(
      fitModes(matrix, labels, reconciled.modeIds, options.members),
      model,
      kept,
      { matrix, labels, modeIds: reconciled.modeIds },
      options.members,
    ),
    noiseShare: rows.length === 0 ? 0 : 1 - clustered / rows.length,
    largestShare: clustered === 0 ? 0 : Math.max(...sizes) / clustered,
  }
}

const withKept = (
  fitted: FittedModes,
  model: FittedModes | undefined,
  kept: FittedModes['modes'],
  { matrix, labels, modeIds }: { readonly matrix: Matrix; readonly labels: Int32Array; readonly modeIds: readonly string[] },
  options: MemberOptions,
): FittedModes => {
  if (model === undefined || kept.length === 0) return fitted
  const members = kept.map((mode) => rowsOfMode(model, mode))
  const values = new Float64Array(matrix.values.length + members.reduce((sum, rows) => sum + rows.values.length, 0))
  values.set(matrix.values)
  let at = matrix.values.length
  for (const rows of members) {
    values.set(rows.values, at)
    at += rows.values.length
  }
  const keptLabels = members.flatMap((rows, i) => Array.from({ length: rows.rows }, () => modeIds.length + i))
  const all = { values, rows: values.length / matrix.width, width: matrix.width }
  return fitModes(all, [...labels, ...keptLabels], [...modeIds, ...kept.map(({ modeId }) => modeId)], options)
}

/** Name of the group of rows that belong to no mode. */
export const NOVEL = 'novel'

/** The same rows in the groups that a model puts them in, so that each mode of it has its quota. */
export const regrouped = (sample: Sample, model: FittedModes): Sample => {
  const assign = openAssigner(model)
  const next = new Sample(sample.options)
  for (const row of sample.all()) next.offer({ ...row, group: assign(row.values).modeId ?? NOVEL })
  return next
}
