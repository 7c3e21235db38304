// Whether a feature set fits an asset, and what it gives for it: which statistics of which channels at which scales, under
// which names. What does not fit is refused with what would.

import type { FeatureRule, FeatureSet } from './feature-set.ts'
import { lengthOf } from './feature-set.ts'
import { motionUnit } from '../motion-units.ts'
import { nearest } from './nearest.ts'
import type { Asset, Channel } from './plant.ts'
import { octaveCentres, outputNames, statistics } from './statistics.ts'
import type { OptionName, Statistic, StatisticDefinition, StatisticOptions } from './statistics.ts'

/** What is wrong in a feature set, for an asset. */
export class FeatureSetError extends Error {
  override readonly name = 'FeatureSetError'
  /** Where in the set. */
  readonly path: readonly (string | number)[]
  /** What is wrong, without the names of set and asset. */
  readonly what: string

  constructor(set: string, assetId: string, path: readonly (string | number)[], what: string) {
    super(`${set} for ${assetId}: ${what}`)
    this.path = path
    this.what = what
  }
}

/** A statistic of one channel (or pair, or three phases) at one scale, and what its numbers are called. */
export interface Feature {
  readonly statistic: Statistic
  readonly channels: readonly Channel[]
  /** Index into the scales. */
  readonly scale: number
  /** What the statistic reads; `options` holds those that are given. */
  readonly reads: readonly OptionName[]
  readonly options: StatisticOptions
  readonly names: readonly string[]
}

/** A length that is computed, and what names call it. */
export interface FeatureScale {
  readonly name: string
  readonly length: ReturnType<typeof lengthOf>
}

export interface FittedFeatures {
  /** The longest first: it is the window. */
  readonly scales: readonly FeatureScale[]
  readonly features: readonly Feature[]
  /** Of the vector, in its order. */
  readonly names: readonly string[]
}

/** A set, the asset that it is fitted to, and where in the set we are. */
interface Place {
  readonly set: FeatureSet
  readonly asset: Asset
  readonly path: readonly (string | number)[]
}

const fail = ({ set, asset, path }: Place, what: string, ...more: readonly (string | number)[]): never => {
  throw new FeatureSetError(set.name, asset.id, [...path, ...more], what)
}

/** Fits a set to an asset; throws a FeatureSetError for the first thing that does not. Names are unique and in document order. */
export const fitFeatureSet = (set: FeatureSet, asset: Asset): FittedFeatures => {
  const scales = scalesOf(set)
  const place = { set, asset, path: [] }
  const features = set.features.flatMap((rule, i) => featuresOf({ ...place, path: ['features', i] }, rule, scales))
  const names: string[] = []
  const known = new Set<string>()
  for (const name of features.flatMap((each) => each.names)) {
    if (known.has(name))
      fail(place, `${name} is asked for twice for ${asset.id}; name it once, or give one of them another name (as)`, 'features')
    known.add(name)
    names.push(name)
  }
  set.regimes?.forEach(({ id, when = {} }, i) => {
    const unknown = Object.keys(when).find((name) => !known.has(name))
    if (unknown === undefined) return
    const what = `regime ${id} asks for ${unknown}, which the vector does not have; the nearest is ${nearest(unknown, names)}`
    fail(place, what, 'regimes', i, 'when', unknown)
  })
  return { scales, features, names }
}

const definitionOf = (statistic: Statistic): StatisticDefinition => statistics[statistic]

/** The window first, then the shorter ones: by time, then by rows, the longest of each first. */
const scalesOf = (set: FeatureSet): FeatureScale[] => {
  const window = set.windowMs === undefined ? { rows: set.windowRows ?? 0 } : { us: set.windowMs * 1000 }
  const others = (set.scales ?? []).map((name) => ({ name, length: lengthOf(name) }))
  const longest = others.find(({ length }) => isEqual(length, window)) ?? { name: lengthName(window), length: window }
  const size = ({ length }: FeatureScale): number => ('us' in length ? length.us : length.rows)
  const byTime = ({ length }: FeatureScale): number => ('us' in length ? 1 : 0)
  const shorter = others.filter((scale) => scale !== longest)
  return [longest, ...shorter.toSorted((a, b) => byTime(b) - byTime(a) || size(b) - size(a))]
}

const lengthName = (length: FeatureScale['length']): string => {
  if ('rows' in length) return `${length.rows}rows`
  const ms = length.us / 1000
  if (ms % 60_000 === 0) return `${ms / 60_000}min`
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

const featuresOf = (place: Place, rule: FeatureRule, scales: readonly FeatureScale[]): Feature[] => {
  const lengths = rule.scales?.map(lengthOf)
  const at = scales.flatMap(({ name, length }, scale) => {
    if (lengths !== undefined && !lengths.some((each) => isEqual(each, length))) return []
    return [{ scale, suffix: scales.length > 1 ? `@${name}` : '' }]
  })
  return targetsOf(place, rule).flatMap((channels) => {
    const subject = rule.as ?? channels.map(({ id }) => id).join('+')
    rule.statistics.forEach((statistic, i) => checkFit({ ...place, path: [...place.path, 'statistics', i] }, statistic, channels, rule))
    return at.flatMap(({ scale, suffix }) =>
      rule.statistics.map((statistic) => {
        const options = readBy(statistic, rule)
        const names = outputNames(statistic, options).map((output) => `${subject}.${output}${suffix}`)
        return { statistic, channels, scale, reads: readable(statistic), options, names }
      }),
    )
  })
}

/** What the statistics of a rule are computed of, one after the other. */
const targetsOf = (place: Place, rule: FeatureRule): Channel[][] => {
  const { asset } = place
  if (rule.channels !== undefined) return [rule.channels.map((id, i) => channelOf(place, id, 'channels', i))]
  if (rule.channel !== '*') return [[channelOf(place, rule.channel ?? '', 'channel')]]
  const scalars = asset.channels.filter(({ kind }) => kind === 'scalar')
  if (scalars.length === 0) fail(place, `"*" means every scalar channel, but ${asset.id} has none`, 'channel')
  return scalars.map((channel) => [channel])
}

const channelOf = (place: Place, id: string, ...at: readonly (string | number)[]): Channel => {
  const { channels } = place.asset
  const found = channels.find((channel) => channel.id === id)
  const ids = channels.map((channel) => channel.id)
  return found ?? fail(place, `no channel ${id}; the nearest is ${nearest(id, ids)}`, ...at)
}

/** The options of a rule that a statistic reads. */
const readBy = (statistic: Statistic, rule: FeatureRule): StatisticOptions =>
  Object.fromEntries(readable(statistic).flatMap((name) => (rule[name] === undefined ? [] : [[name, rule[name]]])))

const readable = (statistic: Statistic): readonly OptionName[] => [...definitionOf(statistic).requires, ...definitionOf(statistic).reads]

const checkFit = (place: Place, statistic: Statistic, channels: readonly Channel[], rule: FeatureRule): void => {
  const { of, needs } = definitionOf(statistic)
  const what = `${statistic} of ${channels.map(({ id }) => id).join(' and ')}`
  const [first] = channels as [Channel]
  const other = channels.find(({ kind }) => kind !== first.kind)
  if (other !== undefined) fail(place, `${what} needs channels of one kind, found ${kindText(first)} and ${kindText(other)}`)
  if (of !== 'any' && of !== first.kind)
    fail(place, `${what} needs ${of === 'scalar' ? 'single values' : 'a waveform'}, found ${kindText(first)}`)
  if (place.set.closes === 'every-row' && first.kind === 'waveform')
    fail(place, `${what}: windows that end at every row are made of single values, found a waveform; leave out closes: every-row`)
  for (const need of needs)
    if (!isGiven[need](place.asset)) fail(place, `${what} needs ${needText[need]} of ${place.asset.id} in the plant file`)
  const still = readable(statistic).includes('velocityBandHz') ? channels.find(({ unit }) => motionUnit(unit) === undefined) : undefined
  if (still !== undefined) fail(place, `${what} needs a unit of vibration (m/s2, g, mm/s, um ...), found ${still.unit}`)
  for (const channel of channels) if (channel.kind === 'waveform') checkSpectrum(place, what, statistic, channel, rule)
}

const kindText = ({ kind }: Channel): string => (kind === 'scalar' ? 'single values' : 'a waveform')

const isGiven = {
  speed: ({ speedChannel, tacho, nominalSpeedRpm }: Asset) => (speedChannel ?? tacho ?? nominalSpeedRpm) !== undefined,
  bearing: ({ bearing }: Asset) => bearing !== undefined,
  gears: ({ gears }: Asset) => (gears ?? []).length > 0,
  zones: ({ zones }: Asset) => zones !== undefined,
} as const

const needText = {
  speed: 'the speed of the shaft (speedChannel, tacho or nominalSpeedRpm)',
  bearing: 'the bearing (its orders or its geometry)',
  gears: 'the gears (name and teeth)',
  zones: 'the zones (limitsMmS, or group and support after ISO 20816-3)',
} as const

/** Every band that is looked at lies below half the sample rate and holds a line of the spectrum. */
const checkSpectrum = (
  place: Place,
  what: string,
  statistic: Statistic,
  channel: Channel & { kind: 'waveform' },
  rule: FeatureRule,
): void => {
  const { sampleRateHz, width } = channel
  const reads = readable(statistic)
  const segment = rule.spectrum?.segment
  if (reads.includes('spectrum') && segment !== undefined && segment > width)
    fail(place, `${what}: a segment of ${segment} elements does not fit rows of ${width}; give at most ${longestSegment(width)}`)
  const nyquistHz = sampleRateHz / 2
  const lineHz = sampleRateHz / (segment ?? longestSegment(width))
  for (const [lowHz, highHz] of bandsOf(statistic, rule)) {
    const band = `${figure(lowHz)}-${figure(highHz)} Hz`
    if (highHz > nyquistHz)
      fail(
        place,
        `${what}: the band ${band} ends at ${figure(highHz)} Hz, above half the sample rate (${nyquistHz} Hz); change ${bandOption(statistic)}`,
      )
    if (statistic.startsWith('envelope')) continue // the band is cut out of the whole row
    if (Math.ceil(lowHz / lineHz) * lineHz >= highHz)
      fail(place, `${what}: no line of the spectrum (${figure(lineHz)} Hz apart) lies in ${band}; change ${bandOption(statistic)}`)
  }
  const fundamentalHz = reads.includes('fundamentalHz') ? (rule.fundamentalHz ?? 50) : 0
  if (fundamentalHz >= nyquistHz)
    fail(place, `${what}: the fundamental of ${fundamentalHz} Hz lies above half the sample rate (${nyquistHz} Hz)`)
}

/** Elements of a segment where none are given: the largest power of two that fits a row. */
const longestSegment = (width: number): number => 2 ** Math.floor(Math.log2(width))

const figure = (value: number): string => String(Number(value.toPrecision(6)))

const bandsOf = (statistic: Statistic, rule: FeatureRule): readonly (readonly [number, number])[] => {
  switch (statistic) {
    case 'bandRms':
    case 'bandLnShare':
      return rule.bandsHz ?? []
    case 'logBandRms':
    case 'logBandLnShare':
      return logBandsOf(rule.logBands)
    case 'velocityRmsMmS':
    case 'isoZone':
      return [rule.velocityBandHz ?? [10, 1000]]
    case 'octaveDb':
      return octaveCentres(rule).map((centreHz) => octaveBand(centreHz, rule.octaveFraction ?? 1))
    default:
      return statistic.startsWith('envelope') && rule.envelopeBandHz !== undefined ? [rule.envelopeBandHz] : []
  }
}

/** The option that says where a statistic looks. */
const bandOption = (statistic: Statistic): OptionName =>
  readable(statistic).find((name) => /^bandsHz$|^logBands$|BandHz$|RangeHz$/.test(name)) ?? 'spectrum'

const logBandsOf = (bands: StatisticOptions['logBands']): [number, number][] => {
  if (bands === undefined) return []
  const { count, lowHz, highHz } = bands
  const edge = (i: number): number => (i === count ? highHz : lowHz * (highHz / lowHz) ** (i / count))
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)])
}

/** Edges after IEC 61260-1: the exact centre beside the nominal one, an octave being a factor of 10^0.3. */
const octaveBand = (nominalHz: number, fraction: 1 | 3): [number, number] => {
  const step = 0.3 / fraction
  const centreHz = 1000 * 10 ** (Math.round(Math.log10(nominalHz / 1000) / step) * step)
  return [centreHz * 10 ** (-step / 2), centreHz * 10 ** (step / 2)]
}

const isEqual = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right)
