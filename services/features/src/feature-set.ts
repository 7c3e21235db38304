// Turns a feature set document and the plant's description of an asset into a plan: which numbers to compute of which
// channels, at which scales, in which order. What does not fit is refused here, so that no window meets it.

import { healthDefaults, lengthOf, nearest, octaveCentres, outputNames, statistics } from '@andon/schemas'
import type { FeatureRule, FeatureSet, OptionName, Plant, Statistic, StatisticDefinition, StatisticOptions } from '@andon/schemas'
import { motionUnit } from './functions/velocity.ts'
import { machineOf } from './machine.ts'
import type { AssetPlan, Call, HealthRules, PlanChannel, RegimeRule, Scale } from './plan.ts'

export type PlantAsset = Plant['assets'][number]
type Channel = PlantAsset['channels'][number]

/** What is wrong in a feature set, for the asset it was compiled for. */
export class FeatureSetError extends Error {
  override readonly name = 'FeatureSetError'
}

/** A set and the asset it is compiled for; every message begins with both. */
interface Pairing {
  readonly set: FeatureSet
  readonly asset: PlantAsset
}

const fail = ({ set, asset }: Pairing, what: string): never => {
  throw new FeatureSetError(`${set.name} for ${asset.id}: ${what}`)
}

/** A statistic of one channel (or pair, or three phases) at one scale, and what its numbers are called. */
interface Wanted {
  readonly statistic: Statistic
  readonly channels: readonly Channel[]
  readonly scale: number
  readonly options: StatisticOptions
  readonly names: readonly string[]
}

/**
 * Compiles a feature set for an asset. Names are unique and in document order; an unknown channel or name, or a statistic
 * that does not fit its channel or needs what the plant file does not say, fails with a message that says what to do.
 */
export const compileFeatureSet = (set: FeatureSet, digest: string, asset: PlantAsset, plantDigest: string): AssetPlan => {
  const pairing = { set, asset }
  const scales = scalesOf(set)
  const wanted = set.features.flatMap((rule) => wantedBy(pairing, rule, scales))
  const names = wanted.flatMap((each) => each.names)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) fail(pairing, `${twice} is asked for twice for ${asset.id}; name it once, or give one of them another name (as)`)
  const needsSpeed = wanted.some(({ statistic }) => definitionOf(statistic).needs.includes('speed'))
  const ofShaft = needsSpeed ? [asset.speedChannel, asset.tacho?.channel].filter((id) => id !== undefined) : []
  const ids = [...new Set([...wanted.flatMap(({ channels }) => channels.map(({ id }) => id)), ...ofShaft])]
  return {
    featureSet: set.name,
    digest,
    plantDigest,
    scales,
    hop: set.closes === 'every-row' ? 'row' : { us: (set.hopMs ?? set.windowMs ?? 0) * 1000 },
    latenessUs: set.latenessMs * 1000,
    graceUs: set.graceMs * 1000,
    sources: asset.sources,
    channels: ids.map((id) => planChannel(asset.channels.find((channel) => channel.id === id)!)),
    names,
    calls: callsOf(wanted, ids),
    machine: machineOf(asset, needsSpeed ? ids : []),
    regimes: regimesOf(pairing, names),
    health: healthOf(set),
  }
}

const definitionOf = (statistic: Statistic): StatisticDefinition => statistics[statistic]

/** The window first, then the shorter ones: by time, then by rows, the longest of each first. */
const scalesOf = (set: FeatureSet): Scale[] => {
  const window = set.windowMs === undefined ? { rows: set.windowRows ?? 0 } : { us: set.windowMs * 1000 }
  const others = (set.scales ?? []).map((name) => ({ name, length: lengthOf(name) }))
  const longest = others.find(({ length }) => isEqual(length, window)) ?? { name: lengthName(window), length: window }
  const size = ({ length }: Scale): number => ('us' in length ? length.us : length.rows)
  const byTime = ({ length }: Scale): number => ('us' in length ? 1 : 0)
  const shorter = others.filter((scale) => scale !== longest)
  return [longest, ...shorter.toSorted((a, b) => byTime(b) - byTime(a) || size(b) - size(a))]
}

const lengthName = (length: Scale['length']): string => {
  if ('rows' in length) return `${length.rows}rows`
  const ms = length.us / 1000
  if (ms % 60_000 === 0) return `${ms / 60_000}min`
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

const wantedBy = (pairing: Pairing, rule: FeatureRule, scales: readonly Scale[]): Wanted[] => {
  const lengths = rule.scales?.map(lengthOf)
  const at = scales.flatMap(({ name, length }, scale) => {
    if (lengths !== undefined && !lengths.some((each) => isEqual(each, length))) return []
    return [{ scale, suffix: scales.length > 1 ? `@${name}` : '' }]
  })
  return targetsOf(pairing, rule).flatMap((channels) => {
    const subject = rule.as ?? channels.map(({ id }) => id).join('+')
    for (const statistic of rule.statistics) checkFit(pairing, statistic, channels, rule)
    return at.flatMap(({ scale, suffix }) =>
      rule.statistics.map((statistic) => {
        const options = readBy(statistic, rule)
        const names = outputNames(statistic, options).map((output) => `${subject}.${output}${suffix}`)
        return { statistic, channels, scale, options, names }
      }),
    )
  })
}

/** What the statistics of a rule are computed of, one after the other. */
const targetsOf = (pairing: Pairing, rule: FeatureRule): Channel[][] => {
  const { asset } = pairing
  if (rule.channels !== undefined) return [rule.channels.map((id) => channelOf(pairing, id))]
  if (rule.channel !== '*') return [[channelOf(pairing, rule.channel ?? '')]]
  const scalars = asset.channels.filter(({ kind }) => kind === 'scalar')
  if (scalars.length === 0) fail(pairing, `"*" means every scalar channel, but ${asset.id} has none`)
  return scalars.map((channel) => [channel])
}

const channelOf = (pairing: Pairing, id: string): Channel => {
  const { channels } = pairing.asset
  const found = channels.find((channel) => channel.id === id)
  const ids = channels.map((channel) => channel.id)
  return found ?? fail(pairing, `no channel ${id}; the nearest is ${nearest(id, ids)}`)
}

/** The options of a rule that a statistic reads. */
const readBy = (statistic: Statistic, rule: FeatureRule): StatisticOptions =>
  Object.fromEntries(readable(statistic).flatMap((name) => (rule[name] === undefined ? [] : [[name, rule[name]]])))

const readable = (statistic: Statistic): readonly OptionName[] => [...definitionOf(statistic).requires, ...definitionOf(statistic).reads]

/**
 * Puts together what is computed of the same channels at the same scale, so that passes are shared. What two statistics
 * both read must be equal; what only one of them reads does not part them.
 */
const callsOf = (wanted: readonly Wanted[], ids: readonly string[]): Call[] => {
  const calls: (Pick<Call, 'channels' | 'scale'> & { options: StatisticOptions; asked: Call['asked'][number][]; read: Set<OptionName> })[] =
    []
  let place = 0
  for (const { statistic, channels, scale, options, names } of wanted) {
    const places = names.map(() => place++)
    const at = channels.map(({ id }) => ids.indexOf(id))
    const reads = readable(statistic)
    const same = calls.find(
      (call) =>
        call.scale === scale &&
        isEqual(call.channels, at) &&
        reads.every((name) => !call.read.has(name) || isEqual(call.options[name], options[name])),
    )
    const call = same ?? { channels: at, scale, options: {}, asked: [], read: new Set() }
    if (same === undefined) calls.push(call)
    call.options = { ...call.options, ...options }
    call.asked.push({ statistic, places })
    for (const name of reads) call.read.add(name)
  }
  return calls.map((call) => ({ channels: call.channels, scale: call.scale, options: call.options, asked: call.asked }))
}

const planChannel = (channel: Channel): PlanChannel => ({
  id: channel.id,
  unit: channel.unit,
  kind: channel.kind,
  range: channel.range ?? null,
  sampleRateHz: channel.kind === 'waveform' ? channel.sampleRateHz : null,
  width: channel.kind === 'waveform' ? channel.width : 1,
})

const regimesOf = (pairing: Pairing, names: readonly string[]): RegimeRule[] =>
  (pairing.set.regimes ?? []).map(({ id, off = false, when = {} }) => ({
    id,
    isOff: off,
    when: Object.entries(when).map(([name, bounds]) => {
      const place = names.indexOf(name)
      if (place < 0) fail(pairing, `regime ${id} asks for ${name}, which the vector does not have; the nearest is ${nearest(name, names)}`)
      const { atLeast = null, below = null, equals = null } = bounds
      return { place, atLeast, below, equals }
    }),
  }))

const healthOf = (set: FeatureSet): HealthRules => {
  const health = { ...healthDefaults, ...set.health }
  return {
    stuckRows: health.stuckRows || null,
    flat: health.flat ?? healthDefaults.flat,
    saturatedShare: health.saturatedShare || null,
    dropOutShare: health.dropOutShare || null,
    gapPeriods: health.gapPeriods || null,
    noiseFactor: health.noiseFactor || null,
  }
}

const checkFit = (pairing: Pairing, statistic: Statistic, channels: readonly Channel[], rule: FeatureRule): void => {
  const { of, needs } = definitionOf(statistic)
  const what = `${statistic} of ${channels.map(({ id }) => id).join(' and ')}`
  const [first] = channels as [Channel]
  const other = channels.find(({ kind }) => kind !== first.kind)
  if (other !== undefined) fail(pairing, `${what} needs channels of one kind, found ${kindText(first)} and ${kindText(other)}`)
  if (of !== 'any' && of !== first.kind)
    fail(pairing, `${what} needs ${of === 'scalar' ? 'single values' : 'a waveform'}, found ${kindText(first)}`)
  if (pairing.set.closes === 'every-row' && first.kind === 'waveform')
    fail(pairing, `${what}: windows that end at every row are made of single values, found a waveform; leave out closes: every-row`)
  for (const need of needs)
    if (!isGiven[need](pairing.asset)) fail(pairing, `${what} needs ${needText[need]} of ${pairing.asset.id} in the plant file`)
  for (const channel of channels) if (channel.kind === 'waveform') checkSpectrum(pairing, what, statistic, channel, rule)
}

const kindText = ({ kind }: Channel): string => (kind === 'scalar' ? 'single values' : 'a waveform')

const isGiven = {
  speed: ({ speedChannel, tacho, nominalSpeedRpm }: PlantAsset) => (speedChannel ?? tacho ?? nominalSpeedRpm) !== undefined,
  bearing: ({ bearing }: PlantAsset) => bearing !== undefined,
  gears: ({ gears }: PlantAsset) => (gears ?? []).length > 0,
  zones: ({ zones }: PlantAsset) => zones !== undefined,
} as const

const needText = {
  speed: 'the speed of the shaft (speedChannel, tacho or nominalSpeedRpm)',
  bearing: 'the bearing (its orders or its geometry)',
  gears: 'the gears (name and teeth)',
  zones: 'the zones (limitsMmS, or group and support after ISO 20816-3)',
} as const

/** Every band that is looked at lies below half the sample rate and holds a line of the spectrum. */
const checkSpectrum = (
  pairing: Pairing,
  what: string,
  statistic: Statistic,
  channel: Channel & { kind: 'waveform' },
  rule: FeatureRule,
): void => {
  const { sampleRateHz, width } = channel
  const reads = readable(statistic)
  const segment = rule.spectrum?.segment
  if (reads.includes('spectrum') && segment !== undefined && segment > width)
    fail(pairing, `${what}: a segment of ${segment} elements does not fit rows of ${width}; give at most ${longestSegment(width)}`)
  const nyquistHz = sampleRateHz / 2
  const lineHz = sampleRateHz / (segment ?? longestSegment(width))
  for (const [lowHz, highHz] of bandsOf(statistic, rule)) {
    const band = `${figure(lowHz)}-${figure(highHz)} Hz`
    if (highHz > nyquistHz)
      fail(
        pairing,
        `${what}: the band ${band} ends at ${figure(highHz)} Hz, above half the sample rate (${nyquistHz} Hz); change ${bandOption(statistic)}`,
      )
    if (statistic.startsWith('envelope')) continue // the band is cut out of the whole row
    if (Math.ceil(lowHz / lineHz) * lineHz >= highHz)
      fail(pairing, `${what}: no line of the spectrum (${figure(lineHz)} Hz apart) lies in ${band}; change ${bandOption(statistic)}`)
  }
  if (reads.includes('velocityBandHz') && motionUnit(channel.unit) === undefined)
    fail(pairing, `${what} needs a unit of vibration (m/s2, g, mm/s, um ...), found ${channel.unit}`)
  const fundamentalHz = reads.includes('fundamentalHz') ? (rule.fundamentalHz ?? 50) : 0
  if (fundamentalHz >= nyquistHz)
    fail(pairing, `${what}: the fundamental of ${fundamentalHz} Hz lies above half the sample rate (${nyquistHz} Hz)`)
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
