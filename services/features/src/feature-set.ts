// Turns a feature set document and the plant's description of an asset into a plan: which numbers to compute of which
// channels, at which scales, in which order. What does not fit is refused here, so that no window meets it.

import { fitFeatureSet, healthDefaults, statistics } from '@andon/schemas'
import type { Feature, FeatureSet, OptionName, Plant, Statistic, StatisticDefinition, StatisticOptions } from '@andon/schemas'
import { machineOf } from './machine.ts'
import type { AssetPlan, Call, HealthRules, PlanChannel, RegimeRule } from './plan.ts'

export { FeatureSetError } from '@andon/schemas'
export type PlantAsset = Plant['assets'][number]
type Channel = PlantAsset['channels'][number]

/**
 * Compiles a feature set for an asset. Names are unique and in document order; an unknown channel or name, or a statistic
 * that does not fit its channel or needs what the plant file does not say, fails with a message that says what to do.
 */
export const compileFeatureSet = (set: FeatureSet, digest: string, asset: PlantAsset, plantDigest: string): AssetPlan => {
  const { scales, features, names } = fitFeatureSet(set, asset)
  const needsSpeed = features.some(({ statistic }) => definitionOf(statistic).needs.includes('speed'))
  const ofShaft = needsSpeed ? [asset.speedChannel, asset.tacho?.channel].filter((id) => id !== undefined) : []
  const ids = [...new Set([...features.flatMap(({ channels }) => channels.map(({ id }) => id)), ...ofShaft])]
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
    calls: callsOf(features, ids),
    machine: machineOf(asset, needsSpeed ? ids : []),
    regimes: regimesOf(set, names),
    health: healthOf(set),
  }
}

const definitionOf = (statistic: Statistic): StatisticDefinition => statistics[statistic]

type GrowingCall = Pick<Call, 'channels' | 'scale'> & { options: StatisticOptions; asked: Call['asked'][number][]; read: Set<OptionName> }

/**
 * Puts together what is computed of the same channels at the same scale, so that passes are shared. What two statistics
 * both read must be equal; what only one of them reads does not part them.
 */
const callsOf = (features: readonly Feature[], ids: readonly string[]): Call[] => {
  const calls: GrowingCall[] = []
  const byChannels = new Map<string, GrowingCall[]>()
  const indexOf = new Map(ids.map((id, i) => [id, i]))
  let place = 0
  for (const { statistic, channels, scale, reads, options, names } of features) {
    const places = names.map(() => place++)
    const at = channels.map(({ id }) => indexOf.get(id)!)
    const key = `${scale} ${at.join(' ')}`
    const near = byChannels.get(key) ?? []
    byChannels.set(key, near)
    let call = near.find(({ read, options: held }) => reads.every((name) => !read.has(name) || isEqual(held[name], options[name])))
    if (call === undefined) {
      call = { channels: at, scale, options: {}, asked: [], read: new Set() }
      near.push(call)
      calls.push(call)
    }
    call.options = { ...call.options, ...options }
    call.asked.push({ statistic, places })
    for (const name of reads) call.read.add(name)
  }
  return calls.map(({ channels, scale, options, asked }) => ({ channels, scale, options, asked }))
}

const planChannel = (channel: Channel): PlanChannel => ({
  id: channel.id,
  unit: channel.unit,
  kind: channel.kind,
  range: channel.range ?? null,
  sampleRateHz: channel.kind === 'waveform' ? channel.sampleRateHz : null,
  width: channel.kind === 'waveform' ? channel.width : 1,
})

const regimesOf = ({ regimes = [] }: FeatureSet, names: readonly string[]): RegimeRule[] =>
  regimes.map(({ id, off = false, when = {} }) => ({
    id,
    isOff: off,
    when: Object.entries(when).map(([name, { atLeast = null, below = null, equals = null }]) => {
      return { place: names.indexOf(name), atLeast, below, equals }
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

const isEqual = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right)
