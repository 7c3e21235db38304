// Names of a vector's numbers, `channel.statistic` or `channel.statistic@scale`, read back: which channels and which
// statistic of the catalogue they are, in plain words and with their unit.

import { statisticNames, statistics, statisticWords as words } from './documents/statistics.ts'
import type { Statistic } from './documents/statistics.ts'

export interface FeatureParts {
  /** A channel, several joined by `+`, or what the rule calls them. */
  readonly channel: string
  /** As the name has it: `mean`, `p95`, `bandRms2000to3000Hz`. */
  readonly statistic: string
  /** `20rows`, `60s`; empty where the set has one scale. */
  readonly scale: string
}

/** Channel ids may hold dots, statistics never. */
export const featureParts = (name: string): FeatureParts => {
  const at = name.lastIndexOf('@')
  const [plain, scale] = at < 0 ? [name, ''] : [name.slice(0, at), name.slice(at + 1)]
  const band = /\.((?:bandRms|bandLnShare)[\d._]+to[\d._]+Hz)$/.exec(plain) // vectors of earlier sets have dots in their bands
  const dot = band === null ? plain.lastIndexOf('.') : plain.length - band[0].length
  return dot < 0 ? { channel: plain, statistic: '', scale } : { channel: plain.slice(0, dot), statistic: plain.slice(dot + 1), scale }
}

/** The channels that a number is made of; a name that a rule gave stands for itself. */
export const featureChannels = (name: string): string[] => featureParts(name).channel.split('+')

/** Words that read better behind a comma than as one phrase with the channel. */
const apart: ReadonlySet<Statistic> = new Set([
  'envelopeBpfo',
  'envelopeBpfi',
  'envelopeBsf',
  'envelopeFtf',
  'isoZone',
  'regressionResidual',
])

const number = (part: string): string => part.replace('_', '.').replace('minus', '-')

interface Found {
  readonly statistic: Statistic
  readonly words: string
}

/** Names of statistics that give several numbers, and what their parameters say. */
const families: readonly (readonly [RegExp, Statistic, (parameters: readonly string[]) => string])[] = [
  [/^p(\d[\d_.]*)$/, 'quantile', ([share]) => `${share} % quantile`],
  [/^state(\w+)S$/, 'stateDurationS', ([state]) => `${words.stateDurationS} ${state}`],
  [/^bandRms([\d_.]+)to([\d_.]+)Hz$/, 'bandRms', ([low, high]) => `${words.bandRms} ${low}-${high} Hz`],
  [/^bandLnShare([\d_.]+)to([\d_.]+)Hz$/, 'bandLnShare', ([low, high]) => `${words.bandLnShare} ${low}-${high} Hz`],
  [/^logBandRms(\d+)$/, 'logBandRms', ([at]) => `${words.logBandRms} ${at}`],
  [/^logBandLnShare(\d+)$/, 'logBandLnShare', ([at]) => `${words.logBandLnShare} ${at}`],
  [/^order([\d_]+)Rms$/, 'orderRms', ([order]) => `${words.orderRms} ${order}`],
  [/^octave([\d_]+)HzDb$/, 'octaveDb', ([hz]) => `${words.octaveDb} at ${hz} Hz`],
]

const isStatistic = (name: string): name is Statistic => (statisticNames as readonly string[]).includes(name)

const find = (output: string): Found | undefined => {
  if (isStatistic(output)) return { statistic: output, words: words[output] }
  for (const [shape, statistic, say] of families) {
    const found = shape.exec(output)
    if (found !== null) return { statistic, words: say(found.slice(1).map(number)) }
  }
  return undefined
}

/** The statistic of the catalogue that gives a number of this name: `p95` → quantile. Undefined for a stranger. */
export const statisticOf = (output: string): Statistic | undefined => find(output)?.statistic

/** 20rows → "last 20 values", 60s → "last 60 s"; '' for none. */
export const scaleWords = (scale: string): string => {
  const [, amount, unit] = /^(\d+)(rows|ms|s|min)$/.exec(scale) ?? []
  if (amount === undefined) return scale
  return unit === 'rows' ? `last ${amount} values` : `last ${amount} ${unit}`
}

/** Units that channel ids end with: temperatureC, pressureBar. Printed beside the value, so not said again. */
const UNITS = new Set('G C F K Bar Pa Rpm Hz Kwh Kw Kvarh W V A T S Ms Mm M Pct L'.split(' '))

/** temperatureC → "temperature", laggingReactiveKvarh → "lagging reactive", a+b → "a and b". */
export const channelWords = (channel: string): string => channel.split('+').map(oneChannel).join(' and ')

const oneChannel = (channel: string): string => {
  const parts = channel.split(/(?=[A-Z])|[-_.]/).filter((part) => part !== '')
  if (parts.length > 1 && UNITS.has(parts.at(-1) as string)) parts.pop()
  return parts.join(' ').toLowerCase()
}

/** What a number says, without its channel: "band 2000-3000 Hz", "outer-race defect"; '' for a mean, a stranger by its name. */
export const outputWords = (output: string): string => find(output)?.words ?? output

/** vibrationG.bandRms2000to3000Hz → "vibration band 2000-3000 Hz", temperatureC.mean@20rows → "temperature (last 20 values)". */
export const featureWords = (name: string): string => {
  const { channel, statistic, scale } = featureParts(name)
  const known = find(statistic)
  const said = known?.words ?? statistic
  const comma = known !== undefined && apart.has(known.statistic) ? ',' : ''
  const plain = said === '' ? channelWords(channel) : `${channelWords(channel)}${comma} ${said}`
  return scale === '' ? plain : `${plain} (${scaleWords(scale)})`
}

/** Unit (UCUM) of a number, from its channel's: `Cel` → `Cel/s` for a trend, `1` for a ratio. */
export const featureUnit = (name: string, channelUnit: string): string => {
  const statistic = statisticOf(featureParts(name).statistic)
  const unit: string = statistic === undefined ? 'channel' : statistics[statistic].unit
  if (unit === 'channel') return channelUnit
  if (unit === 'channel/s') return channelUnit === '' ? '' : `${channelUnit}/s`
  return unit.includes('channel') ? '1' : unit
}

/** What a sensor that is suspected of this cannot be believed in: its numbers are no evidence about the machine. */
const maskedBy: ReadonlySet<string> = new Set(['flat', 'stuck', 'saturated', 'drop-outs', 'noise'])

/** Whether the numbers of a sensor with these flags must not be judged; a gap alone leaves good rows. */
export const isMasking = (flags: readonly string[]): boolean => flags.some((flag) => maskedBy.has(flag))

interface Health {
  readonly channel: string
  readonly flags: readonly string[]
  /** As the vector tells; absent or empty in vectors of earlier releases. */
  readonly names?: readonly string[]
}

/** The names of a vector that a suspected channel feeds; where it does not tell, those that carry the channel. */
export const namesFed = (names: readonly string[], { channel, names: told = [] }: Health): readonly string[] =>
  told.length > 0 ? told : names.filter((name) => featureChannels(name).includes(channel))

const NONE: ReadonlySet<string> = new Set()

/** The names of a vector whose numbers must not be judged, by the flags that it carries. */
export const maskedNames = (names: readonly string[], health: readonly Health[]): ReadonlySet<string> =>
  health.length === 0 ? NONE : new Set(health.flatMap((each) => (isMasking(each.flags) ? namesFed(names, each) : [])))
