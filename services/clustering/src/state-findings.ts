// What clustering publishes beside episodes: a sensor at fault, an asset without telemetry, an absolute limit that is exceeded.
// Each opens once and closes once; ids follow from what was judged.

import { episodeId, findingId } from '@andon/kit'
import type { Output } from '@andon/kit'
import type { AnomaliesInput, FindingInput } from '@andon/schemas'
import { channelWords, featureParts, isMasking, namesFed } from '@andon/schemas/feature-names'
import { contribution, findingBase } from './finding.ts'
import type { WindowWords } from './finding.ts'
import { limitSeverity } from './limit.ts'
import type { LimitTransition } from './limit.ts'
import type { Card } from './model-cards.ts'
import { findingRecord } from './outputs.ts'
import type { SensorTransition } from './sensor-fault.ts'
import type { Silence } from './telemetry-watch.ts'
import { figure } from './words.ts'

const SENSOR_SEVERITY = 3
const SILENT_SEVERITY = 3
/** An asset that decides about stops must not go unwatched. */
const SILENT_CONTROL_SEVERITY = 2

interface Standing {
  readonly kind: 'opened' | 'updated' | 'closed'
  readonly openingVectorId: string
  readonly openedUs: number
}

/** `scope` tells apart what can stand open at the same time: `sensor/<channel>`, `telemetry`, `limit/<name>`. */
const standing = (
  facts: WindowWords,
  type: string,
  scope: string,
  { kind, openingVectorId, openedUs }: Standing,
  finding: Pick<FindingInput, 'severity' | 'ratio' | 'peakRatio' | 'contributions' | 'about' | 'title'>,
): Output<AnomaliesInput> => {
  const { assetId, prediction, detectorSet } = facts
  const place = `${detectorSet}/${scope}`
  return findingRecord(facts, type, {
    ...findingBase(facts),
    findingId: findingId(assetId, place, openingVectorId, kind === 'opened' ? kind : `${kind}:${prediction.vectorId}`),
    episodeId: episodeId(assetId, place, openingVectorId),
    transition: kind,
    openedUs,
    openingVectorId,
    ...finding,
  })
}

const flagWords: Readonly<Record<string, string>> = {
  flat: 'shows no movement at all',
  stuck: 'is stuck at one value',
  saturated: 'is at the end of its range',
  'drop-outs': 'drops out',
  gap: 'pauses',
  noise: 'has another noise than before',
}

/** Models that judge by the channel, in words: what they go without, or have to take from it. */
const blindWords = (
  { prediction }: WindowWords,
  { channel, flags }: SensorTransition,
  cardOf: (digest: string) => Card | undefined,
): string[] => {
  const isLeftOut = isMasking(flags)
  const { names, health } = prediction
  const fed = new Set(namesFed(names, health.find((each) => each.channel === channel) ?? { channel, flags }))
  const words = prediction.verdicts
    .filter(({ role }) => role !== 'shadow')
    .flatMap(({ model, digest }) => {
      const used = [...(cardOf(digest)?.features ?? [])].filter(([, { isUsed }]) => isUsed).map(([name]) => name)
      const touched = used.filter((name) => fed.has(name)).length
      if (touched === 0) return []
      if (isLeftOut && touched === used.length) return [`${model} is blind`]
      return [
        `${model} ${isLeftOut ? 'goes without' : 'still takes'} ${touched} of its ${used.length} numbers${isLeftOut ? '' : ' from it'}`,
      ]
    })
  const hasLimit = names.some((name) => featureParts(name).statistic === 'isoZone' && fed.has(name))
  return hasLimit && isLeftOut ? [...words, 'its ISO 20816 zone is not watched'] : words
}

export const sensorFinding = (
  given: WindowWords,
  fault: SensorTransition,
  values: ArrayLike<number>,
  card: Card | undefined,
  cardOf: (digest: string) => Card | undefined,
): Output<AnomaliesInput> => {
  const isByFlags = fault.flags.length > 0
  const facts = isByFlags ? { ...given, evidence: undefined } : given // no model judges what the vectors say themselves
  const { asset, prediction } = facts
  const places = prediction.names.filter((name) => featureParts(name).channel === fault.channel)
  const words = `${asset.name}: ${channelWords(fault.channel)} sensor`
  const signs = isByFlags
    ? `${fault.flags.map((flag) => flagWords[flag] ?? flag).join(' and ')}, ${fault.windows} windows in a row`
    : `stands still: no movement in ${fault.windows} windows`
  const blind = blindWords(facts, fault, cardOf).map((each) => `; ${each}`)
  return standing(facts, 'SensorFault', `sensor/${fault.channel}`, fault, {
    severity: SENSOR_SEVERITY,
    ratio: fault.evidence,
    peakRatio: Math.max(fault.evidence, 1),
    contributions: places.map((name) => contribution(name, 1 / places.length, prediction.names, values, card, asset)),
    about: 'sensor',
    title: fault.kind === 'opened' ? `${words} ${signs}${blind.join('')}` : `${words} ${isByFlags ? 'is well again' : 'moves again'}`,
  })
}

const clock = (us: number): string => `${new Date(us / 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** 754 s → "13 min". */
export const lengthWords = (us: number): string => {
  const s = us / 1e6
  if (s < 90) return `${Math.round(s)} s`
  if (s < 5400) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} days`
}

/** `hasEpisode`: an open episode of the machine stays open meanwhile, and is not judged. */
export const telemetryFinding = (
  given: WindowWords,
  kind: 'opened' | 'closed',
  silence: Silence,
  hasEpisode: boolean,
): Output<AnomaliesInput> => {
  const facts = { ...given, evidence: undefined }
  const { asset, prediction } = facts
  const { sinceUs } = silence
  const from = asset.sources.length === 0 ? '' : ` from ${asset.sources.join(', ')}`
  const open = hasEpisode ? '; its open finding stays open, unjudged' : ''
  return standing(
    facts,
    'AssetUnmonitored',
    'telemetry',
    { kind, ...silence },
    {
      severity: asset.isControl ? SILENT_CONTROL_SEVERITY : SILENT_SEVERITY,
      ratio: 1,
      peakRatio: 1,
      contributions: [],
      about: 'telemetry',
      title:
        kind === 'opened'
          ? `${asset.name}: unmonitored, no telemetry${from} since ${clock(sinceUs)}${open}`
          : `${asset.name}: monitored again after ${lengthWords(prediction.windowEndUs - sinceUs)} without telemetry`,
    },
  )
}

export const limitFinding = (
  given: WindowWords,
  name: string,
  velocityName: string | undefined,
  { kind, limit }: LimitTransition,
  values: ArrayLike<number>,
): Output<AnomaliesInput> => {
  const facts = { ...given, evidence: undefined } // no model judged: the limits are those of the plant file
  const { asset, prediction } = facts
  const limits = asset.zoneLimitsMmS
  const told = velocityName ?? name
  const value = values[prediction.names.indexOf(told)] ?? Number.NaN
  const limitMmS = limits === null ? null : limits[1]
  const shown = limits === null ? '' : ` (limits of A, B, C: ${limits.map((each) => String(each)).join(', ')} mm/s)`
  const velocity = velocityName === undefined ? 'velocity' : `velocity ${figure(value)} mm/s RMS`
  const where = channelWords(featureParts(name).channel)
  const worst = limit.peakMmS === null ? '' : `, at most ${figure(limit.peakMmS)} mm/s RMS`
  const ratioOf = (mmS: number | null): number => (mmS === null || !Number.isFinite(mmS) || limitMmS === null ? 1 : mmS / limitMmS)
  return standing(
    facts,
    'LimitExceeded',
    `limit/${name}`,
    { kind, ...limit },
    {
      severity: limitSeverity(limit),
      ratio: ratioOf(velocityName === undefined ? null : value),
      peakRatio: ratioOf(limit.peakMmS),
      contributions: [
        { ...contribution(told, 1, prediction.names, values, undefined, asset), normalHigh: velocityName === undefined ? null : limitMmS },
      ],
      about: 'machine',
      title:
        kind === 'closed'
          ? `${asset.name}: ${where} ${velocity} below zone C of ISO 20816 again after ${limit.windows} windows${worst}`
          : `${asset.name}: ${where} ${velocity} in zone ${limit.zone} of ISO 20816${shown}: ${zoneWords[limit.zone]}`,
    },
  )
}

const zoneWords = { C: 'unsatisfactory for long-term running', D: 'severe enough to cause damage' } as const

/** The velocity that a zone was found by: the same channel and scale. */
export const velocityOf = (name: string, names: readonly string[]): string | undefined => {
  const wanted = name.replace('.isoZone', '.velocityRmsMmS')
  return names.find((each) => each === wanted) ?? names.find((each) => each === wanted.replace(/@.*$/, ''))
}
