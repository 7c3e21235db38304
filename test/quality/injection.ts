// Six kinds of fault, 1 to 5 standard deviations, in every channel of three kinds of normal data: how many are found within 200 rows,
// and whether the channel that has the fault is named first.

import { rowOf } from '@andon/clustering/matrix'
import type { Matrix } from '@andon/clustering/matrix'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import type { MultivariateState } from '@andon/clustering/detectors/multivariate'
import { multivariateDefaults } from '@andon/clustering/detectors/constants'
import type { MultivariateConstants } from '@andon/clustering/detectors/constants'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import type { FittedMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import { randomFrom } from '@andon/clustering/random'
import type { Random } from '@andon/clustering/random'
import { faultKinds, faultRows, findFault, momentsOf, planted } from './faults-planted.ts'
import type { FaultKind } from './faults-planted.ts'
import type { Figure, QualityResult, QualitySet } from './line.ts'
import { skabNormal, slice, steelRows, tepRuns } from './recordings.ts'

const seeds = [21, 22]
const rowsBefore = 60
const sizes = [1, 2, 3, 5]

/** A stream that stands before a fault: what it learned and where it is. */
interface Place {
  readonly fitted: FittedMultivariate
  readonly prefix: Matrix
  readonly state: MultivariateState
  readonly shapeFitted: FittedMultivariate
  readonly shapeState: MultivariateState
  readonly after: Matrix
}

/** Places where no episode is open and none was in the rows before, each learned afresh from the rows before it. */
const placesIn = (rows: Matrix, learned: number, count: number, random: Random): Place[] => {
  const places: Place[] = []
  for (let tries = 0; places.length < count && tries < 4 * count; tries++) {
    const at = learned + rowsBefore + random.below(rows.rows - faultRows - learned - rowsBefore)
    const prefix = slice(rows, at - rowsBefore - learned, at - rowsBefore)
    const place = placeAt(fitMultivariate(prefix), fitMultivariate(prefix, shapeAlone), prefix, rows, at - rowsBefore, at)
    if (place !== undefined) places.push(place)
  }
  return places
}

const placeAt = (
  fitted: FittedMultivariate,
  shapeFitted: FittedMultivariate,
  prefix: Matrix,
  rows: Matrix,
  from: number,
  at: number,
): Place | undefined => {
  const stream = openMultivariate(fitted)
  const shape = openMultivariate(shapeFitted)
  for (let t = from; t < at; t++) {
    const isOpen = stream.push(rowOf(rows, t)).isEpisodeOpen
    const isShapeOpen = shape.push(rowOf(rows, t)).isEpisodeOpen
    if ((isOpen || isShapeOpen) && t >= at - rowsBefore) return undefined
  }
  return { fitted, prefix, state: stream.state(), shapeFitted, shapeState: shape.state(), after: slice(rows, at, at + faultRows) }
}

interface Tally {
  planted: number
  found: number
  first: number
  delays: number[]
  /** In the channels the first design was measured in. */
  sampled: number
  sampledFound: number
  misses: Map<number, number>
}

/** Every channel of up to ten, else thirteen evenly spaced ones. */
const sampledOf = (width: number): Set<number> =>
  new Set(
    width <= 10 ? Array.from({ length: width }, (_, j) => j) : Array.from({ length: 13 }, (_, i) => Math.floor((i * (width - 1)) / 12)),
  )

const plantAll = (places: readonly Place[], random: Random): Map<string, Tally> => {
  const tallies = new Map<string, Tally>()
  for (const kind of faultKinds) {
    for (const sigma of kind === 'stuck' ? [0] : sizes) {
      const tally: Tally = { planted: 0, found: 0, first: 0, delays: [], sampled: 0, sampledFound: 0, misses: new Map() }
      for (const { fitted, prefix, state, after } of places) {
        for (let channel = 0; channel < after.width; channel++) {
          const values = Float64Array.from({ length: after.rows }, (_, t) => rowOf(after, t)[channel] as number)
          const found = findFault(fitted, state, after, channel, planted(values, kind, sigma, momentsOf(prefix, channel), random))
          tally.planted++
          const isSampled = sampledOf(after.width).has(channel)
          if (isSampled) tally.sampled++
          if (!found.isFound) {
            tally.misses.set(channel, (tally.misses.get(channel) ?? 0) + 1)
            continue
          }
          tally.found++
          if (isSampled) tally.sampledFound++
          tally.delays.push(found.delayRows)
          if (found.channel === channel) tally.first++
        }
      }
      tallies.set(kind === 'stuck' ? kind : `${kind}${sigma}`, tally)
    }
  }
  return tallies
}

/** The first design: the shape of a row alone. What it finds of the same faults is what is required at least. */
const shapeAlone: MultivariateConstants = { ...multivariateDefaults, bands: [], slow: [], leastCycles: Number.POSITIVE_INFINITY }

/**
 * What the first design found when it was first measured, in percent of 24 to 31 faults and, for tep, in 13 of the 52 channels with a seam
 * in the rows before. Required in the same channels; in every channel, what the first design finds of the same faults.
 */
const prototype: Readonly<Record<string, Readonly<Partial<Record<string, number>>>>> = {
  skab: {
    offset2: 48,
    offset3: 77,
    offset5: 100,
    gain2: 100,
    gain3: 100,
    gain5: 100,
    drift2: 31,
    drift3: 52,
    drift5: 74,
    stuck: 100,
    noise2: 72,
    noise3: 94,
    noise5: 100,
    oscillation2: 28,
    oscillation3: 32,
    oscillation5: 52,
  },
  tep: {
    offset2: 75,
    offset3: 100,
    offset5: 100,
    gain2: 100,
    gain3: 100,
    gain5: 100,
    drift2: 52,
    drift3: 76,
    drift5: 100,
    stuck: 87,
    noise2: 88,
    noise3: 95,
    noise5: 100,
    oscillation2: 13,
    oscillation3: 21,
    oscillation5: 55,
  },
  steel_energy: {
    offset2: 96,
    offset3: 100,
    offset5: 100,
    gain2: 100,
    gain3: 100,
    gain5: 100,
    drift2: 54,
    drift3: 100,
    drift5: 100,
    stuck: 75,
    noise2: 88,
    noise3: 100,
    noise5: 100,
    oscillation2: 54,
    oscillation3: 75,
    oscillation5: 88,
  },
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

export const injection: QualitySet = {
  name: 'injection',
  title: 'planted faults of six kinds in every channel: found, and the channel named first',
  run: ({ data, note }): QualityResult => {
    const random = randomFrom(seeds[0] as number)
    const tep = tepRuns(data)
    const d00 = tep.get('d00') as Matrix
    const d00te = tep.get('d00_te') as Matrix
    const tepFit = fitMultivariate(d00)
    const tepShape = fitMultivariate(d00, shapeAlone)
    const sets: Record<string, Place[]> = {
      skab: placesIn(skabNormal(data), 1000, 16, random),
      tep: Array.from({ length: 24 }, () => rowsBefore + 40 + random.below(d00te.rows - faultRows - rowsBefore - 40))
        .map((at) => placeAt(tepFit, tepShape, d00, d00te, 0, at))
        .filter((place) => place !== undefined)
        .slice(0, 6),
      steel_energy: placesIn(steelRows(data), 5760, 10, random),
    }
    const figures: Figure[] = []
    const detail: Record<string, Record<string, string>> = {}
    let found = 0
    let first = 0
    for (const [set, places] of Object.entries(sets)) {
      const tallies = plantAll(places, randomFrom(seeds[1] as number))
      const shapes = plantAll(
        places.map(({ shapeFitted, shapeState, ...place }) => ({
          ...place,
          shapeFitted,
          shapeState,
          fitted: shapeFitted,
          state: shapeState,
        })),
        randomFrom(seeds[1] as number),
      )
      const told: Record<string, string> = (detail[set] = {})
      for (const [kind, tally] of tallies) {
        const share = (100 * tally.found) / tally.planted
        told[kind] =
          `${share.toFixed(0)} % (${median(tally.delays)} rows, first ${((100 * tally.first) / Math.max(1, tally.found)).toFixed(0)} %) of ${tally.planted}`
        note(
          `${set} ${kind} ${told[kind]}; missed in ${[...tally.misses]
            .sort((a, b) => b[1] - a[1])
            .slice(0, 12)
            .map(([channel, count]) => `${channel}: ${count}`)
            .join(', ')}`,
        )
        found += tally.found
        first += tally.first
        const measured = prototype[set]?.[kind]
        const shape = shapes.get(kind) as Tally
        if (measured === undefined) continue
        const ofShape = Number(((100 * shape.found) / shape.planted).toFixed(1))
        figures.push({ name: `${set}.${kind}`, value: (100 * tally.sampledFound) / tally.sampled, atLeast: measured, digits: 1 })
        if (tally.sampled < tally.planted)
          figures.push({ name: `${set}.${kind}.everyChannel`, value: Number(share.toFixed(1)), atLeast: ofShape, digits: 1 })
        // The shape of a row alone, on the same planted faults: what the lines beside it gain or cost.
        figures.push({ name: `${set}.${kind}.shapeAlone`, value: ofShape, digits: 1 })
      }
    }
    return { figures: [{ name: 'channelFirst', value: first / found, atLeast: 0.9 }, ...figures], seeds, detail }
  },
}

export type { FaultKind }
