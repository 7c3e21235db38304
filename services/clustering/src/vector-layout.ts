// What follows from a vector's names alone, worked out once per list of names: places, channels, numbers with a limit. Pure.

import { featureChannels, featureParts } from '@andon/schemas/feature-names'
import { velocityOf } from './state-findings.ts'

export interface ChannelPlaces {
  readonly channel: string
  readonly places: readonly number[]
  /** Which of them are above 0 whenever the signal moves inside a window. */
  readonly movements: readonly number[]
}

export interface ZonePlace {
  readonly name: string
  readonly at: number
  /** The velocity that the zone was found by; -1 where it is not in the vector. */
  readonly velocityAt: number
  readonly velocity: string | undefined
}

export interface VectorLayout {
  readonly places: ReadonlyMap<string, number>
  /** Of one channel each: numbers of several say nothing about one sensor. */
  readonly channels: ReadonlyMap<string, ChannelPlaces>
  readonly zones: readonly ZonePlace[]
}

const MOVEMENT = ['std', 'rms']

const layouts = new WeakMap<readonly string[], VectorLayout>()

/** Of one list of names, by its identity. */
export const layoutOf = (names: readonly string[]): VectorLayout => {
  const known = layouts.get(names)
  if (known !== undefined) return known
  const channels = new Map<string, { channel: string; places: number[]; movements: number[] }>()
  const zones: ZonePlace[] = []
  names.forEach((name, at) => {
    const { statistic } = featureParts(name)
    if (statistic === 'isoZone') {
      const velocity = velocityOf(name, names)
      zones.push({ name, at, velocity, velocityAt: velocity === undefined ? -1 : names.indexOf(velocity) })
    }
    const [channel, other] = featureChannels(name)
    if (channel === undefined || other !== undefined) return
    const of = channels.get(channel) ?? { channel, places: [], movements: [] }
    channels.set(channel, of)
    of.places.push(at)
    if (MOVEMENT.includes(statistic)) of.movements.push(at)
  })
  const places = new Map<string, number>()
  names.forEach((name, at) => {
    if (!places.has(name)) places.set(name, at)
  })
  const layout = { places, channels, zones }
  layouts.set(names, layout)
  return layout
}

const MOST_LISTS = 256

/** One list for all vectors that have the same names, so that what follows from them is worked out once. */
export class NameLists {
  readonly #lists = new Map<string, readonly string[]>()

  /** The list that was seen first with these names for the feature set; names are compared, a digest alone is not believed. */
  shared(featureSetDigest: string, names: readonly string[]): readonly string[] {
    const known = this.#lists.get(featureSetDigest)
    if (known !== undefined && isEqual(known, names)) return known
    this.#lists.delete(featureSetDigest)
    this.#lists.set(featureSetDigest, names)
    if (this.#lists.size > MOST_LISTS) this.#lists.delete(this.#lists.keys().next().value as string)
    return names
  }
}

const isEqual = (a: readonly string[], b: readonly string[]): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
