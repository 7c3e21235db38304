// Past episodes that looked like this one: an episode's signature is the mean of its windows' numbers, each in standard deviations of
// its own asset's normal, so that assets of a class compare. Bounded per asset; those of a class on one partition are searched.

/** Numbers of a signature. */
const MOST_NAMES = 64
/** Closed episodes kept per asset. */
const MOST_CLOSED = 20
const TOLD = 3
/** Share of either signature's numbers that both must have. */
const LEAST_COMMON = 0.5
const DECIMALS = 1e4

export interface Signature {
  readonly episodeId: string
  readonly classId: string
  readonly featureSet: string
  readonly openedUs: number
  readonly closedUs: number | null
  readonly faultModeId: string | null
  readonly names: readonly string[]
  readonly coordinates: readonly number[]
}

interface OpenSignature extends Omit<Signature, 'coordinates' | 'closedUs'> {
  readonly sums: readonly number[]
  readonly counts: readonly number[]
}

/** Plain data. */
export interface PatternState {
  readonly open: OpenSignature | null
  /** Oldest first. */
  readonly closed: readonly Signature[]
}

export const noPatterns: PatternState = { open: null, closed: [] }

export interface PatternWindow {
  readonly episodeId: string
  readonly classId: string
  readonly featureSet: string
  readonly openedUs: number
  readonly faultModeId: string | null
  /** Normal of the asset: mean and spread; undefined where a number is not compared. */
  readonly normalOf: (name: string) => { readonly mean: number; readonly std: number } | undefined
  readonly names: readonly string[]
  readonly values: ArrayLike<number>
}

/** A window of an open episode. Another episode begins another signature. */
export const withWindow = (state: PatternState, window: PatternWindow): PatternState => {
  const { episodeId, classId, featureSet, openedUs, normalOf, names, values } = window
  const isSame = state.open?.episodeId === episodeId && state.open.featureSet === featureSet
  // An episode of several feature sets has the signature of the first.
  if (state.open?.episodeId === episodeId && !isSame) return state
  const before = isSame ? state.open : null
  const kept = before?.names ?? names.filter((name) => (normalOf(name)?.std ?? 0) > 0).slice(0, MOST_NAMES)
  const sums = [...(before?.sums ?? kept.map(() => 0))]
  const counts = [...(before?.counts ?? kept.map(() => 0))]
  const places = new Map(names.map((name, at) => [name, at]))
  kept.forEach((name, i) => {
    const normal = normalOf(name)
    const value = values[places.get(name) ?? -1] ?? Number.NaN
    if (normal === undefined || !(normal.std > 0) || !Number.isFinite(value)) return
    // Compressed, so that one number far out does not stand for the whole pattern.
    sums[i] = (sums[i] as number) + Math.asinh((value - normal.mean) / normal.std)
    counts[i] = (counts[i] as number) + 1
  })
  const faultModeId = window.faultModeId ?? before?.faultModeId ?? null
  return { ...state, open: { episodeId, classId, featureSet, openedUs, faultModeId, names: kept, sums, counts } }
}

/** The episode is over: its signature is kept. */
export const withClosed = (state: PatternState, episodeId: string, closedUs: number): PatternState => {
  if (state.open?.episodeId !== episodeId) return state
  return { open: null, closed: [...state.closed, { ...signatureOf(state.open), closedUs }].slice(-MOST_CLOSED) }
}

const signatureOf = ({ sums, counts, ...rest }: OpenSignature): Signature => {
  const known = counts.flatMap((count, i) => (count > 0 ? [i] : []))
  return {
    ...rest,
    closedUs: null,
    names: known.map((i) => rest.names[i] as string),
    coordinates: known.map((i) => Math.round((DECIMALS * (sums[i] as number)) / (counts[i] as number)) / DECIMALS),
  }
}

export interface Near {
  readonly assetId: string
  readonly signature: Signature
  /** Standard deviations of normal per root of dimension, compressed. */
  readonly distance: number
}

/** Closed episodes nearest to the open one, of assets of its class. */
export const nearestOf = ({ open }: PatternState, past: Iterable<readonly [assetId: string, state: PatternState]>): Near[] => {
  if (open === null) return []
  const now = signatureOf(open)
  const found: Near[] = []
  for (const [assetId, { closed }] of past)
    for (const signature of closed) {
      if (signature.classId !== now.classId || signature.featureSet !== now.featureSet || signature.episodeId === now.episodeId) continue
      const distance = distanceOf(now, signature)
      if (distance !== undefined) found.push({ assetId, signature, distance })
    }
  const isBefore = (a: Near, b: Near): number =>
    a.distance - b.distance || b.signature.openedUs - a.signature.openedUs || (a.signature.episodeId < b.signature.episodeId ? -1 : 1)
  return found.toSorted(isBefore).slice(0, TOLD)
}

const distanceOf = (a: Signature, b: Signature): number | undefined => {
  const places = new Map(b.names.map((name, at) => [name, at]))
  let squares = 0
  let common = 0
  a.names.forEach((name, i) => {
    const at = places.get(name)
    if (at === undefined) return
    common++
    squares += ((a.coordinates[i] as number) - (b.coordinates[at] as number)) ** 2
  })
  if (common === 0 || common < LEAST_COMMON * Math.max(a.names.length, b.names.length)) return undefined
  return Math.sqrt(squares / common)
}
