// Turns a feature set document and the plant's description of an asset into a plan: which numbers to compute of which
// channel, in which order. The plan is plain data, so that it is stored with the windows it applies to.

import type { FeatureSet, Plant } from '@andon/schemas'
import { segmentLength } from './vibration.ts'
import type { Band } from './vibration.ts'

export type PlantAsset = Plant['assets'][number]
type Channel = PlantAsset['channels'][number]
type Rule = FeatureSet['features'][number]
type Statistic = Rule['statistics'][number]

/** One number of the vector. */
export interface Computation {
  /** `channel.statistic`, for a band e.g. `vibrationG.bandRms2000to3000Hz`. */
  readonly name: string
  readonly channel: string
  readonly statistic: Statistic
  readonly band?: Band
}

/** Everything that decides how an asset's windows are cut, closed and computed. */
export interface AssetPlan {
  readonly featureSet: string
  /** SHA-256 (hex) of the feature set document. */
  readonly digest: string
  readonly windowUs: number
  readonly latenessUs: number
  readonly graceUs: number
  /** Sources that the plant names for the asset: windows wait for each of them. */
  readonly sources: readonly string[]
  /** Channels that the computations read. */
  readonly channels: readonly string[]
  readonly computations: readonly Computation[]
}

/** What is wrong in a feature set, for the asset it was compiled for. */
export class FeatureSetError extends Error {
  override readonly name = 'FeatureSetError'
}

/** Statistics that need a waveform, and those that need single values. */
const waveformOnly: readonly Statistic[] = ['bandRms']
const scalarOnly: readonly Statistic[] = ['slope']

/**
 * Compiles a feature set for an asset. Names are unique and in document order; an unknown channel or statistic, or one
 * that does not fit its channel, fails with a message that names the nearest known one.
 */
export const compileFeatureSet = (set: FeatureSet, digest: string, asset: PlantAsset): AssetPlan => {
  const computations = set.features.flatMap((rule) =>
    channelsOf(rule, asset, set.name).flatMap((channel) => rule.statistics.flatMap((statistic) => compute(set, rule, channel, statistic))),
  )
  const names = new Set<string>()
  for (const { name } of computations) {
    if (names.has(name)) throw new FeatureSetError(`${set.name}: ${name} is asked for twice for ${asset.id}; name it once`)
    names.add(name)
  }
  return {
    featureSet: set.name,
    digest,
    windowUs: set.windowMs * 1000,
    latenessUs: set.latenessMs * 1000,
    graceUs: set.graceMs * 1000,
    sources: asset.sources,
    channels: [...new Set(computations.map(({ channel }) => channel))],
    computations,
  }
}

const channelsOf = (rule: Rule, asset: PlantAsset, set: string): Channel[] => {
  if (rule.channel === '*') {
    const scalars = asset.channels.filter((channel) => channel.kind === 'scalar')
    if (scalars.length === 0) throw new FeatureSetError(`${set}: "*" means every scalar channel, but ${asset.id} has none`)
    return scalars
  }
  const channel = asset.channels.find(({ id }) => id === rule.channel)
  if (channel !== undefined) return [channel]
  const ids = asset.channels.map(({ id }) => id)
  throw new FeatureSetError(`${set}: asset ${asset.id} has no channel ${rule.channel}; the nearest is ${nearest(rule.channel, ids)}`)
}

const compute = (set: FeatureSet, rule: Rule, channel: Channel, statistic: Statistic): Computation[] => {
  const where = `${set.name}: ${statistic} of ${channel.id}`
  if (!known.includes(statistic)) throw new FeatureSetError(`${where} is unknown; the nearest is ${nearest(statistic, known)}`)
  if (waveformOnly.includes(statistic) && channel.kind !== 'waveform')
    throw new FeatureSetError(`${where} needs a waveform, found single values`)
  if (scalarOnly.includes(statistic) && channel.kind !== 'scalar')
    throw new FeatureSetError(`${where} needs single values, found a waveform`)
  if (statistic !== 'bandRms') return [{ name: `${channel.id}.${statistic}`, channel: channel.id, statistic }]
  return (rule.bandsHz ?? []).map(([lowHz, highHz]) => {
    if (channel.kind === 'waveform') checkBand(where, channel, { lowHz, highHz })
    return { name: `${channel.id}.bandRms${lowHz}to${highHz}Hz`, channel: channel.id, statistic, band: { lowHz, highHz } }
  })
}

const known: readonly Statistic[] = ['mean', 'std', 'min', 'max', 'slope', 'rms', 'kurtosis', 'crest', 'peak', 'bandRms']

const checkBand = (where: string, channel: Channel & { kind: 'waveform' }, { lowHz, highHz }: Band): void => {
  const nyquistHz = channel.sampleRateHz / 2
  if (highHz > nyquistHz) throw new FeatureSetError(`${where}: the band ends at ${highHz} Hz, above half the sample rate (${nyquistHz} Hz)`)
  const binHz = channel.sampleRateHz / segmentLength(channel.width)
  if (Math.ceil(lowHz / binHz) * binHz >= highHz) {
    throw new FeatureSetError(`${where}: no line of the spectrum (${binHz} Hz apart) lies in ${lowHz}-${highHz} Hz`)
  }
}

/** The candidate with the fewest edits; the first of equals. */
const nearest = (word: string, candidates: readonly string[]): string =>
  candidates.reduce((best, candidate) => (edits(word, candidate) < edits(word, best) ? candidate : best), candidates[0] ?? 'none')

/** Levenshtein distance, letter case ignored. */
const edits = (left: string, right: string): number => {
  const a = left.toLowerCase()
  const b = right.toLowerCase()
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
