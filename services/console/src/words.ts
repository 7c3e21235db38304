// The plant's and the log's names in plain words, for people.

/** Units that channel ids end with: temperatureC, pressureBar. Printed beside the value, so not said again. */
const units = new Set('G C F K Bar Pa Rpm Hz Kwh Kw Kvarh W V A T S Ms Mm M Pct L'.split(' '))

const statistics: Readonly<Record<string, string>> = {
  mean: 'mean',
  std: 'spread',
  min: 'minimum',
  max: 'maximum',
  slope: 'trend',
  rms: 'RMS',
  peak: 'peak',
  crest: 'crest factor',
  kurtosis: 'kurtosis',
}

const channelWords = (channel: string): string => {
  const words = channel.split(/(?=[A-Z])|[-_.]/).filter((word) => word !== '')
  if (words.length > 1 && units.has(words.at(-1) as string)) words.pop()
  return words.join(' ').toLowerCase().replace('co2', 'CO₂')
}

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1)

/** vibrationG.bandRms1000to2000Hz → "RMS 1000 to 2000 Hz"; a name without a statistic gives its channel. */
export const statisticWords = (name: string): string => {
  const at = name.lastIndexOf('.')
  const statistic = name.slice(at + 1)
  const band = /^bandRms([\d.]+)to([\d.]+)Hz$/.exec(statistic)
  return capital(at < 0 ? channelWords(name) : band ? `RMS ${band[1]} to ${band[2]} Hz` : (statistics[statistic] ?? statistic))
}

/** The same with its channel in front, which may contain dots: "Vibration RMS 1000 to 2000 Hz". */
export const featureWords = (name: string): string => {
  const at = name.lastIndexOf('.')
  if (at < 0) return capital(channelWords(name))
  const words = statisticWords(name)
  return capital(`${channelWords(name.slice(0, at))} ${words.startsWith('RMS') ? words : words.toLowerCase()}`)
}

/** Unit of a feature from its channel's: ratios have none, a trend is per second. */
export const featureUnit = (name: string, channelUnit: string): string => {
  const statistic = name.slice(name.lastIndexOf('.') + 1)
  if (statistic === 'crest' || statistic === 'kurtosis') return ''
  return statistic === 'slope' && channelUnit !== '' ? `${channelUnit}/s` : channelUnit
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
