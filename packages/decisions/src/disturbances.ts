// Several assets of a line at once: one disturbance, its likely origin first. Pure: episodes in, what they have in common out.

import type { DisturbanceInput } from '@andon/schemas'

/** An open episode of an asset of the line. */
export interface Onset {
  readonly assetId: string
  readonly episodeId: string
  readonly openedUs: number
  /** 1 is the gravest. */
  readonly severity: number
}

export interface LineOrder {
  readonly line: string
  /** Assets in the order in which material or power passes them; empty where the plant file has none. */
  readonly order: readonly string[]
  readonly assets: number
}

/** Episodes that begin further apart have nothing to do with each other. */
const TOGETHER_US = 10 * 60e6
/** Begun within this time nobody can say who was first: something they share. */
const COMMON_US = 30e6
const LEAST_ASSETS = 2
/** Share of the line that a common cause has to show in. */
const COMMON_SHARE = 0.6

export type DisturbanceKind = 'spread' | 'common-cause'

/**
 * The disturbance that the newest onset belongs to; undefined where it stands alone. The first episode of an asset counts.
 * An origin is early; of those about as early, the graver one and the one further upstream.
 */
export const disturbanceOf = (
  onsets: readonly Onset[],
  { line, order, assets }: LineOrder,
): { readonly kind: DisturbanceKind; readonly disturbance: DisturbanceInput } | undefined => {
  const first = new Map<string, Onset>()
  for (const onset of onsets.toSorted((a, b) => a.openedUs - b.openedUs || (a.episodeId < b.episodeId ? -1 : 1)))
    if (!first.has(onset.assetId)) first.set(onset.assetId, onset)
  const group = chainOf([...first.values()])
  if (group.length < LEAST_ASSETS) return undefined
  const fromUs = Math.min(...group.map(({ openedUs }) => openedUs))
  const span = Math.max(...group.map(({ openedUs }) => openedUs)) - fromUs
  const isCommon = span <= COMMON_US && group.length > 2 && group.length >= COMMON_SHARE * assets
  const weights = group.map(({ assetId, openedUs, severity }) => {
    const place = order.indexOf(assetId)
    const upstream = place < 0 || order.length < 2 ? 0.5 : 1 - place / (order.length - 1)
    return Math.exp(-(openedUs - fromUs) / COMMON_US) * (1 + (4 - severity) / 4) * (0.5 + upstream)
  })
  const sum = weights.reduce((all, weight) => all + weight, 0)
  const scored = group
    .map((onset, i) => ({ ...onset, originScore: (weights[i] as number) / sum }))
    .toSorted((a, b) => b.originScore - a.originScore || a.openedUs - b.openedUs || (a.assetId < b.assetId ? -1 : 1))
  return { kind: isCommon ? 'common-cause' : 'spread', disturbance: { line, assets: scored } }
}

/** Onsets that reach the newest one in steps short enough. */
const chainOf = (rising: readonly Onset[]): Onset[] => {
  let from = rising.length - 1
  while (from > 0 && (rising[from] as Onset).openedUs - (rising[from - 1] as Onset).openedUs <= TOGETHER_US) from--
  return rising.slice(Math.max(from, 0))
}
