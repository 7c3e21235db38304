// How far a signal stands from normal, in the words a finding begins with.

import { featureWords } from '@andon/schemas/feature-names'
import { unitText } from '@andon/schemas/units'

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
