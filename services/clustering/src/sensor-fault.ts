// A sensor that stands still: a channel that always moved while learning now gives windows without any movement.
// That is the sensor's fault, not the machine's, and it is said as such.

import type { Card } from './model-cards.ts'
import { featureParts } from './words.ts'

/** What is remembered per channel. */
export interface ChannelWatch {
  /** Packed values of the channel's features in the last window. */
  last: readonly number[]
  /** Windows in a row without movement. */
  still: number
  /** Vector and event time at which the fault was reported; null = none open. */
  fault: { readonly openingVectorId: string; readonly openedUs: number } | null
}

export interface SensorTransition {
  readonly kind: 'opened' | 'closed'
  readonly channel: string
  readonly openingVectorId: string
  readonly openedUs: number
  /** Windows without movement so far. */
  readonly still: number
}

/** Features that are above 0 whenever the signal moves inside a window. */
const MOVEMENT = ['std', 'rms']

/** Judges the channels of one window; updates the watches in place. Channels in order of their first feature. */
export const watchSensors = (
  watches: Record<string, ChannelWatch>,
  names: readonly string[],
  values: ArrayLike<number>,
  card: Card,
  window: { readonly vectorId: string; readonly atUs: number },
  stuckWindows: number,
): SensorTransition[] => {
  const transitions: SensorTransition[] = []
  for (const [channel, places] of channelsOf(names)) {
    if (!movesAlways(channel, card)) continue
    const now = places.map((at) => values[at] as number)
    if (!now.every(Number.isFinite)) continue // missing is another story: the vector says so itself
    const watch = (watches[channel] ??= { last: [], still: 0, fault: null })
    const movement = places.find((at) => MOVEMENT.includes(featureParts(names[at] as string).statistic)) as number
    const isStill = values[movement] === 0 || isEqual(now, watch.last)
    watch.still = isStill ? watch.still + 1 : 0
    watch.last = now
    if (watch.fault === null && watch.still >= stuckWindows) {
      watch.fault = { openingVectorId: window.vectorId, openedUs: window.atUs }
      transitions.push({ kind: 'opened', channel, ...watch.fault, still: watch.still })
    } else if (watch.fault !== null && !isStill) {
      transitions.push({ kind: 'closed', channel, ...watch.fault, still: watch.still })
      watch.fault = null
    }
  }
  return transitions
}

/** True when even the calmest windows of the learning data showed movement in this channel. */
const movesAlways = (channel: string, card: Card): boolean =>
  MOVEMENT.some((statistic) => {
    const feature = card.features.get(`${channel}.${statistic}`)
    return feature !== undefined && feature.isUsed && (feature.low ?? feature.mean - 3 * feature.std) > 0
  })

const channelsOf = (names: readonly string[]): Map<string, number[]> => {
  const channels = new Map<string, number[]>()
  names.forEach((name, at) => {
    const { channel } = featureParts(name)
    const places = channels.get(channel)
    if (places === undefined) channels.set(channel, [at])
    else places.push(at)
  })
  return channels
}

const isEqual = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((value, i) => value === b[i])
