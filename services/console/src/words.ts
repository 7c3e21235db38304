// The plant's and the log's names in plain words, for people.

import { channelWords, featureParts, outputWords, scaleWords, featureUnit as unitOf } from '@andon/schemas/feature-names'

/** What an analyst calls a number on a chart, where the catalogue's words for findings are plainer. */
const labels: readonly (readonly [RegExp, string])[] = [
  [/^mean$/, 'mean'],
  [/^std$/, 'spread'],
  [/^rms$/, 'RMS'],
  [/^kurtosis$/, 'kurtosis'],
  [/^skewness$/, 'skewness'],
  [/^bandRms([\d._]+)to([\d._]+)Hz$/, 'RMS $1 to $2 Hz'],
]

const statisticLabel = (statistic: string): string => {
  const label = labels.find(([shape]) => shape.test(statistic))
  return label === undefined ? outputWords(statistic) : statistic.replace(...label).replaceAll('_', '.')
}

const channelLabel = (channel: string): string => channelWords(channel).replace('co2', 'CO₂')

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1)

const withScale = (words: string, scale: string): string => (scale === '' ? words : `${words} (${scaleWords(scale)})`)

/** vibrationG.bandRms1000to2000Hz → "RMS 1000 to 2000 Hz"; a name without a statistic gives its channel. */
export const statisticWords = (name: string): string => {
  const { channel, statistic, scale } = featureParts(name)
  return capital(statistic === '' ? channelLabel(channel) : withScale(statisticLabel(statistic), scale))
}

/** The same with its channel in front, which may contain dots: "Vibration RMS 1000 to 2000 Hz". */
export const featureWords = (name: string): string => {
  const { channel, statistic, scale } = featureParts(name)
  return capital(statistic === '' ? channelLabel(channel) : withScale(`${channelLabel(channel)} ${statisticLabel(statistic)}`, scale))
}

/** Unit of a feature from its channel's: ratios have none, a trend is per second. */
export const featureUnit = (name: string, channelUnit: string): string => {
  const unit = unitOf(name, channelUnit)
  return unit === '1' ? '' : unit
}

/** modeAutomatic → "mode automatic". */
export const camelWords = (name: string): string => name.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase()

/** What a target said, as one line: executors write JSON, people read words. Text that is no JSON stays as it is. */
export const readbackWords = (text: string): string => {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    return text
  }
  if (Array.isArray(read)) return (read as Told[]).map(told).join(', ')
  if (typeof read !== 'object' || read === null) return String(read)
  const { state, mode, tookMs, status, code, location } = read as Record<string, unknown>
  const parts = [
    typeof state === 'string' ? `line ${state}` : undefined,
    typeof mode === 'string' ? `mode ${mode}` : undefined,
    typeof tookMs === 'number' ? `after ${tookMs} ms` : undefined,
    typeof status === 'number' ? `answered ${status}` : undefined,
    typeof location === 'string' ? location : undefined,
    typeof code === 'string' ? code : undefined,
  ].filter((part) => part !== undefined)
  return parts.length > 0 ? parts.join(', ') : text
}

interface Told {
  readonly channel?: string
  readonly target?: string
  readonly delivered?: boolean
}

/** "smtp to 2 technicians" → "mail to 2 technicians". */
export const noticeWords = (text: string): string => text.replace(/^\w+/, (channel) => channels[channel] ?? channel)

const channels: Readonly<Record<string, string>> = { smtp: 'mail', nats: 'live notice', webhook: 'webhook' }

const told = ({ channel = 'notice', target = '', delivered }: Told): string =>
  `${channels[channel] ?? channel} to ${target}${delivered === false ? ' not delivered' : ''}`
