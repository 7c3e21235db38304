// A plan: everything that decides how the windows of an asset are cut, closed and computed, as plain data. Compiled from a
// feature set and the plant's description of the asset; stored with the windows it applies to.

import type { Statistic, StatisticOptions } from '@andon/schemas'

/** How long a window is: so many rows of a channel, or so much event time. */
export type Length = { readonly rows: number } | { readonly us: number }

/** One of the lengths that a set computes at once. */
export interface Scale {
  /** As rules name it: `20rows`, `60s`. */
  readonly name: string
  readonly length: Length
}

export interface PlanChannel {
  readonly id: string
  readonly unit: string
  readonly kind: 'scalar' | 'waveform'
  /** What the sensor can show, in its unit. */
  readonly range: readonly [number, number] | null
  /** Of a waveform. */
  readonly sampleRateHz: number | null
  /** Elements per row; 1 for single values. */
  readonly width: number
}

/** A statistic that is asked for, and where its numbers go in the vector. */
export interface Asked {
  readonly statistic: Statistic
  readonly places: readonly number[]
}

/** What one rule asks of one channel (or pair, or three phases) at one scale. */
export interface Call {
  /** Indices into the plan's channels. */
  readonly channels: readonly number[]
  /** Index into the plan's scales. */
  readonly scale: number
  readonly options: StatisticOptions
  readonly asked: readonly Asked[]
}

/** What the plant file says of the machine behind the channels. */
export interface Machine {
  /** Channel of the shaft speed (index into the plan's channels), in revolutions per minute. */
  readonly speedChannel: number | null
  readonly nominalSpeedRpm: number | null
  /** Channel of the tacho: single values whose event times are the pulses. */
  readonly tachoChannel: number | null
  readonly tachoPulsesPerRev: number
  /** Multiples of the shaft frequency. */
  readonly bearing: { readonly bpfoOrder: number; readonly bpfiOrder: number; readonly bsfOrder: number; readonly ftfOrder: number } | null
  /** Teeth of the gear, and turns of its shaft per turn of the one whose speed is measured. */
  readonly gears: readonly { readonly name: string; readonly teeth: number; readonly shaftRatio: number }[]
  /** Upper limits of zones A, B and C of the velocity, mm/s RMS. */
  readonly zoneLimitsMmS: readonly [number, number, number] | null
}

/** A machine of which the plant file says nothing. */
export const plainMachine: Machine = {
  speedChannel: null,
  nominalSpeedRpm: null,
  tachoChannel: null,
  tachoPulsesPerRev: 1,
  bearing: null,
  gears: [],
  zoneLimitsMmS: null,
}

/** A condition on a number of the vector. */
export interface Condition {
  /** Index into the plan's names. */
  readonly place: number
  readonly atLeast: number | null
  readonly below: number | null
  readonly equals: number | null
}

/** A regime holds when all its conditions do; the first that holds is the window's. */
export interface RegimeRule {
  readonly id: string
  /** The machine is off. */
  readonly isOff: boolean
  readonly when: readonly Condition[]
}

/** When a sensor is suspected, per set; null = not looked for. See sensor-health.ts. */
export interface HealthRules {
  /** `stuck`: the last so many values are equal while the window moved before. */
  readonly stuckRows: number | null
  /** `flat`: no movement in the whole window. */
  readonly flat: boolean
  /** `saturated`: at least this share of the elements lies at an end of the channel's range or beyond; 0 and 100 % are no ends. */
  readonly saturatedShare: number | null
  /** `drop-outs`: at least this share of the rows is bad or not a number. */
  readonly dropOutShare: number | null
  /** `gap`: a pause of more than so many of the usual distances between rows, where they come in a rhythm. */
  readonly gapPeriods: number | null
  /** `noise`: differences between neighbouring single values in the later half are larger, or smaller, than in the earlier by this factor. */
  readonly noiseFactor: number | null
}

/** Nothing is looked for. */
export const noHealthRules: HealthRules = {
  stuckRows: null,
  flat: false,
  saturatedShare: null,
  dropOutShare: null,
  gapPeriods: null,
  noiseFactor: null,
}

export interface AssetPlan {
  readonly featureSet: string
  /** SHA-256 (hex) of the feature set document. */
  readonly digest: string
  /** SHA-256 (hex) of the plant document since which the asset is described so. */
  readonly plantDigest: string
  /** Lengths, the longest first: it is the window; the others end with it. */
  readonly scales: readonly Scale[]
  /** Event time from the end of one window to the end of the next; `row` = a window ends at every row. */
  readonly hop: { readonly us: number } | 'row'
  readonly latenessUs: number
  readonly graceUs: number
  /** Sources that the plant names for the asset: windows wait for each of them. */
  readonly sources: readonly string[]
  /** Channels that are read, for numbers, health or speed. */
  readonly channels: readonly PlanChannel[]
  /** Names of the vector, in its order: `channel.statistic`, `channel.statistic@scale` where there are several scales. */
  readonly names: readonly string[]
  readonly calls: readonly Call[]
  readonly machine: Machine
  readonly regimes: readonly RegimeRule[]
  readonly health: HealthRules
}
