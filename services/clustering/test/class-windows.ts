// Windows of an asset class for tests: places far apart in a few coordinates, and the assets that are there.

import type { ClassSpace, ClassWindow } from '../src/class-summaries.ts'
import { ClassState, HOUR_US, readSummary } from '../src/class-summaries.ts'
import type { ClassSummary } from '../src/class-summaries.ts'
import { randomFrom } from '../src/random.ts'

export const WIDTH = 4
export const space: ClassSpace = {
  featureSet: 'features/pump',
  featureSetDigest: 'f'.repeat(64),
  names: Array.from({ length: WIDTH }, (_, i) => `channel.${i}`),
}

export interface Placed {
  readonly assetId: string
  /** Number of the place; 0 is normal. */
  readonly place: number
  readonly isAnomalous?: boolean
}

/** Middle of a place. */
export const middleOf = (place: number): Float64Array =>
  Float64Array.from({ length: WIDTH }, (_, i) => (place === 0 ? 0 : i === place % WIDTH ? 8 + 4 * Math.floor(place / WIDTH) : 0))

/** Windows a minute apart, in turn of what is given. */
export const windowsOf = (placed: readonly Placed[], count: number, fromUs: number, seed: number, everyUs = 60_000_000): ClassWindow[] => {
  const random = randomFrom(seed)
  return Array.from({ length: count }, (_, i) => {
    const { assetId, place, isAnomalous = false } = placed[i % placed.length] as Placed
    const point = middleOf(place).map((value) => value + 0.6 * random.normal())
    return { assetId, vectorId: `vector-${seed}-${i}`, windowEndUs: fromUs + i * everyUs, point, isAnomalous, modeId: undefined }
  })
}

export const absorbAll = (state: ClassState, windows: readonly ClassWindow[]): ClassState => {
  for (const window of windows) {
    state.enter(space, window.windowEndUs)
    state.absorb(window)
  }
  return state
}

export const summaryOf = (state: ClassState, partition: number, hours: number): ClassSummary =>
  readSummary(state.summary(partition, hours * HOUR_US))
