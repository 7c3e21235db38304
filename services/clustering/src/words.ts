// Feature names in plain words, and the one sentence a finding begins with.

import { unitText } from '@andon/schemas/units'

/** Units that channel ids end with: temperatureC, pressureBar. */
const UNITS = new Set([
  'G',
  'C',
  'F',
  'K',
  'Bar',
  'Pa',
  'Rpm',
  'Hz',
  'Kwh',
  'Kw',
  'Kvarh',
  'W',
  'V',
  'A',
  'T',
  'S',
  'Ms',
  'Mm',
  'M',
  'Pct',
  'L',
])

/** temperatureC → "temperature", laggingReactiveKvarh → "lagging reactive". */
export const channelWords = (channel: string): string => {
  const words = channel.split(/(?=[A-Z])|[-_.]/).filter((word) => word !== '')
  if (words.length > 1 && UNITS.has(words.at(-1) as string)) words.pop()
  return words.join(' ').toLowerCase()
}

const STATISTICS: Readonly<Record<string, string>> = {
  mean: '',
  std: 'variation',
  min: 'minimum',
  max: 'maximum',
  slope: 'trend',
  rms: 'level',
  peak: 'peak',
  crest: 'crest factor',
  kurtosis: 'impulsiveness',
}

/** Channel and statistic of a feature name; the channel may contain dots. */
export const featureParts = (name: string): { channel: string; statistic: string } => {
  const at = name.lastIndexOf('.')
  return at < 0 ? { channel: name, statistic: '' } : { channel: name.slice(0, at), statistic: name.slice(at + 1) }
}

/** vibrationG.bandRms2000to3000Hz → "vibration band 2000-3000 Hz". */
export const featureWords = (name: string): string => {
  const { channel, statistic } = featureParts(name)
  const band = /^bandRms([\d.]+)to([\d.]+)Hz$/.exec(statistic)
  const words = band === null ? (STATISTICS[statistic] ?? statistic) : `band ${band[1]}-${band[2]} Hz`
  return `${channelWords(channel)} ${words}`.trim()
}

/** Unit of a feature, from its channel's. */
export const featureUnit = (name: string, channelUnit: string): string => {
  const { statistic } = featureParts(name)
  if (statistic === 'crest' || statistic === 'kurtosis') return '1'
  return statistic === 'slope' && channelUnit !== '' ? `${channelUnit}/s` : channelUnit
}

/** Two significant digits at least, no trailing noise: 6.34 → "6.3", 12.7 → "13", 0.0482 → "0.048". */
export const figure = (value: number): string => {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  return Math.abs(value) >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2)))
}

export interface TopSignal {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly normalLow: number | null
  readonly normalHigh: number | null
}

/** "vibration band 2000-3000 Hz 6.3 × its normal limit", or how far a value lies below its range. */
export const signalWords = (signal: TopSignal): string => {
  const words = featureWords(signal.name)
  const { value, normalLow, normalHigh, unit } = signal
  const shown = unitText(unit) === '' ? '' : ` ${unitText(unit)}`
  if (normalHigh !== null && value > normalHigh) {
    return normalHigh > 0 && value >= 1.1 * normalHigh
      ? `${words} ${figure(value / normalHigh)} × its normal limit`
      : `${words} at ${figure(value)}${shown}, above its normal ${figure(normalHigh)}`
  }
  if (normalLow !== null && value < normalLow) return `${words} at ${figure(value)}${shown}, below its normal ${figure(normalLow)}`
  return words
}
