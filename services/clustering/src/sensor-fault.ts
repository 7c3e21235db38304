// A sensor at fault: its channel is flagged by the vectors (flat, stuck, saturated, drop-outs, gap, noise), or stands still in
// windows that always moved while the model learnt. That is the sensor's fault, not the machine's, and is said as such: one
// open fault per channel, whatever shows it.

import type { ChannelHealth } from '@andon/schemas'
import type { Card } from './model-cards.ts'
import { layoutOf } from './vector-layout.ts'
import type { ChannelPlaces } from './vector-layout.ts'

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

/** A machine that is off gives such signals by itself. */
const NORMAL_WHEN_OFF: ReadonlySet<string> = new Set(['flat', 'stuck', 'noise'])

/** Judges the channels of one window; updates the watches in place. `card`: what a model learnt as normal, if there is one. */
export const watchSensors = (
  watches: Record<string, ChannelWatch>,
  window: SensorWindow,
  card: Card | undefined,
  rules: SensorRules,
): SensorTransition[] => {
  const { channels } = layoutOf(window.names)
  const transitions: SensorTransition[] = []
  const moving = card === undefined || window.machineOff ? NONE_MOVES : movingChannels(card, window.names)
  const look = (channel: string, of: ChannelPlaces | undefined, flagged: readonly string[]): void => {
    const isThere = of !== undefined && of.places.every((at) => Number.isFinite(window.values[at]))
    const mayStandStill = isThere && moving.has(channel)
    if (watches[channel] === undefined && flagged.length === 0 && !mayStandStill) return
    const watch = (watches[channel] ??= newWatch())
    let isStill: boolean | undefined
    if (mayStandStill) {
      const now = of.places.map((at) => window.values[at] as number)
      isStill = window.values[of.movements[0] as number] === 0 || isEqual(now, watch.last)
      watch.still = isStill ? watch.still + 1 : 0
      watch.last = now
    }
    watch.flagged = flagged.length > 0 ? watch.flagged + 1 : 0
    const told = settle(watch, channel, window, { flagged, isStill, isThere }, rules)
    if (told !== undefined) transitions.push(told)
  }
  const flags = new Map(window.health.map((each) => [each.channel, flagsOf(each, window.machineOff)]))
  for (const [channel, of] of channels) look(channel, of, flags.get(channel) ?? NO_FLAGS)
  for (const [channel, flagged] of flags) if (!channels.has(channel)) look(channel, undefined, flagged)
  for (const channel of Object.keys(watches)) if (!channels.has(channel) && !flags.has(channel)) look(channel, undefined, NO_FLAGS)
  return transitions
}

const NO_FLAGS: readonly string[] = []
const NONE_MOVES: ReadonlySet<string> = new Set()

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

const movements = new WeakMap<Card, { readonly names: readonly string[]; readonly channels: ReadonlySet<string> }>()

/** Channels in which even the calmest windows of the learning data showed movement. */
const movingChannels = (card: Card, names: readonly string[]): ReadonlySet<string> => {
  const made = movements.get(card)
  if (made?.names === names) return made.channels
  const channels = new Set<string>()
  for (const { channel, movements: places } of layoutOf(names).channels.values()) {
    const isMoving = places.some((at) => {
      const feature = card.features.get(names[at] as string)
      return feature !== undefined && feature.isUsed && (feature.low ?? feature.mean - 3 * feature.std) > 0
    })
    if (isMoving) channels.add(channel)
  }
  movements.set(card, { names, channels })
  return channels
}

const isEqual = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((value, i) => value === b[i])
