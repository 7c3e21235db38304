// A sensor at fault: its channel is flagged by the vectors (flat, stuck, saturated, drop-outs, gap, noise), or stands still in
// windows that always moved while the model learnt. That is the sensor's fault, not the machine's, and is said as such: one
// open fault per channel, whatever shows it.

import type { ChannelHealth } from '@andon/schemas'
import { featureChannels, featureParts } from '@andon/schemas/feature-names'
import type { Card } from './model-cards.ts'

/** What is remembered per channel. */
export interface ChannelWatch {
  /** Values of the channel's features in the last window. */
  last: readonly number[]
  /** Windows in a row without movement. */
  still: number
  /** Windows in a row with a flag. */
  flagged: number
  /** Windows in a row without any sign, while a fault is open. */
  clear: number
  /** The open fault, null = none. */
  fault: {
    readonly openingVectorId: string
    readonly openedUs: number
    /** Flags that opened it; none when it only stands still. */
    readonly flags: readonly string[]
  } | null
}

export interface SensorTransition {
  readonly kind: 'opened' | 'closed'
  readonly channel: string
  readonly openingVectorId: string
  readonly openedUs: number
  readonly flags: readonly string[]
  /** Windows in a row that showed the fault so far. */
  readonly windows: number
  /** The same as a share of what opens one. */
  readonly evidence: number
}

export interface SensorWindow {
  readonly names: readonly string[]
  readonly values: ArrayLike<number>
  readonly health: readonly ChannelHealth[]
  readonly machineOff: boolean
  readonly vectorId: string
  readonly atUs: number
}

/** Windows in a row that open a fault: standing still, flagged; and that close one that flags had opened. */
export interface SensorRules {
  readonly stuckWindows: number
  readonly flaggedWindows: number
  readonly clearWindows: number
}

/** Features that are above 0 whenever the signal moves inside a window. */
const MOVEMENT = ['std', 'rms']
/** A machine that is off gives such signals by itself. */
const NORMAL_WHEN_OFF: ReadonlySet<string> = new Set(['flat', 'stuck', 'noise'])

/** Judges the channels of one window; updates the watches in place. `card`: what a model learnt as normal, if there is one. */
export const watchSensors = (
  watches: Record<string, ChannelWatch>,
  window: SensorWindow,
  card: Card | undefined,
  rules: SensorRules,
): SensorTransition[] => {
  const places = placesOf(window.names)
  const flags = new Map(window.health.map((each) => [each.channel, flagsOf(each, window.machineOff)]))
  const transitions: SensorTransition[] = []
  for (const channel of new Set([...places.keys(), ...flags.keys(), ...Object.keys(watches)])) {
    const now = (places.get(channel) ?? []).map((at) => window.values[at] as number)
    const isThere = now.length > 0 && now.every(Number.isFinite)
    const mayStandStill = card !== undefined && isThere && !window.machineOff && movesAlways(channel, window.names, places, card)
    const flagged = flags.get(channel) ?? []
    if (watches[channel] === undefined && flagged.length === 0 && !mayStandStill) continue
    const watch = (watches[channel] ??= newWatch())
    const isStill = mayStandStill ? standsStill(watch, channel, now, window.names, places) : undefined
    if (isStill !== undefined) {
      watch.still = isStill ? watch.still + 1 : 0
      watch.last = now
    }
    watch.flagged = flagged.length > 0 ? watch.flagged + 1 : 0
    const told = settle(watch, channel, window, { flagged, isStill, isThere }, rules)
    if (told !== undefined) transitions.push(told)
  }
  return transitions
}

const newWatch = (): ChannelWatch => ({ last: [], still: 0, flagged: 0, clear: 0, fault: null })

const flagsOf = ({ flags }: ChannelHealth, machineOff: boolean): string[] =>
  flags.filter((flag) => !machineOff || !NORMAL_WHEN_OFF.has(flag))

interface Signs {
  readonly flagged: readonly string[]
  /** Undefined where standing still says nothing: no model, no values, machine off. */
  readonly isStill: boolean | undefined
  /** The channel has values. */
  readonly isThere: boolean
}

/** Opens or closes the channel's fault by what its windows showed. */
const settle = (
  watch: ChannelWatch,
  channel: string,
  { vectorId, atUs, machineOff }: SensorWindow,
  { flagged, isStill, isThere }: Signs,
  { stuckWindows, flaggedWindows, clearWindows }: SensorRules,
): SensorTransition | undefined => {
  const transition = (kind: 'opened' | 'closed', fault: NonNullable<ChannelWatch['fault']>): SensorTransition => {
    const isByFlags = fault.flags.length > 0
    const windows = isByFlags ? watch.flagged : watch.still
    return { kind, channel, ...fault, windows, evidence: Math.max(windows, 1) / (isByFlags ? flaggedWindows : stuckWindows) }
  }
  if (watch.fault === null) {
    const isByFlags = watch.flagged >= flaggedWindows
    if (!isByFlags && watch.still < stuckWindows) return undefined
    watch.clear = 0
    watch.fault = { openingVectorId: vectorId, openedUs: atUs, flags: isByFlags ? flagged : [] }
    return transition('opened', watch.fault)
  }
  if (machineOff || !isThere) return undefined // says nothing about the sensor being well
  watch.clear = flagged.length === 0 && isStill !== true ? watch.clear + 1 : 0
  const isOver = watch.clear >= (watch.fault.flags.length > 0 ? clearWindows : 1)
  if (!isOver) return undefined
  const closed = transition('closed', watch.fault)
  watch.fault = null
  watch.clear = 0
  return closed
}

/** A service or another sensor: what was counted before says nothing about what comes. Open faults stay until they are seen to be over. */
export const forgetCounts = (watches: Record<string, ChannelWatch>): void => {
  for (const watch of Object.values(watches)) Object.assign(watch, { last: [], still: 0, flagged: 0, clear: 0 })
}

type Places = ReadonlyMap<string, readonly number[]>

/** Places of the features of one channel each; those of several channels say nothing about one sensor. */
const placesOf = (names: readonly string[]): Places => {
  const places = new Map<string, number[]>()
  names.forEach((name, at) => {
    const [channel, other] = featureChannels(name)
    if (channel === undefined || other !== undefined) return
    const known = places.get(channel)
    if (known === undefined) places.set(channel, [at])
    else known.push(at)
  })
  return places
}

const isMovement = (name: string): boolean => MOVEMENT.includes(featureParts(name).statistic)

/** True when even the calmest windows of the learning data showed movement in this channel, by its first scale. */
const movesAlways = (channel: string, names: readonly string[], places: Places, card: Card): boolean =>
  (places.get(channel) ?? []).some((at) => {
    const name = names[at] as string
    const feature = isMovement(name) ? card.features.get(name) : undefined
    return feature !== undefined && feature.isUsed && (feature.low ?? feature.mean - 3 * feature.std) > 0
  })

const standsStill = (watch: ChannelWatch, channel: string, now: readonly number[], names: readonly string[], places: Places): boolean => {
  const movement = (places.get(channel) ?? []).findIndex((at) => isMovement(names[at] as string))
  return now[movement] === 0 || isEqual(now, watch.last)
}

const isEqual = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((value, i) => value === b[i])
