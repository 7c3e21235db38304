// Streams that somebody unknown could bring, from a generator: noise that remembers, walks, days, operating modes, missing and coarse
// values, counters, heavy tails, wide and narrow ones. Rows of normal data in alarm, and offsets of 3 standard deviations that are found.

import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import { rowOf } from '@andon/clustering/matrix'
import type { Matrix } from '@andon/clustering/matrix'
import { randomFrom } from '@andon/clustering/random'
import type { Random } from '@andon/clustering/random'
import { faultRows, findFault, momentsOf, planted } from './faults-planted.ts'
import type { Figure, QualityResult, QualitySet } from './line.ts'
import { slice } from './recordings.ts'

const seeds = [31, 32, 33, 34]
const judgedRows = 4000
const places = 3

interface Stranger {
  readonly width: number
  readonly learned?: number
  /** Rows from the first to the last; the first `learned` of them are learned from. */
  readonly rows: (rows: number, width: number, random: Random) => Float64Array
  /** Where in the stream rows are missing that nobody sent, as a jump of the time. */
  readonly gaps?: number
}

/** Every channel an AR(1) series of variance 1, with one common part of half of the variance. */
const remembering =
  (phi: number, share = 0.5) =>
  (rows: number, width: number, random: Random): Float64Array => {
    const values = new Float64Array(rows * width)
    const own = new Float64Array(width)
    let common = 0
    const fresh = Math.sqrt(1 - phi * phi)
    for (let j = 0; j < width; j++) own[j] = random.normal()
    for (let t = 0; t < rows; t++) {
      common = phi * common + fresh * random.normal()
      for (let j = 0; j < width; j++) {
        own[j] = phi * (own[j] as number) + fresh * random.normal()
        values[t * width + j] = Math.sqrt(share) * common + Math.sqrt(1 - share) * (own[j] as number)
      }
    }
    return values
  }

const each = (values: Float64Array, width: number, change: (x: number, t: number, j: number) => number): Float64Array => {
  for (let i = 0; i < values.length; i++) values[i] = change(values[i] as number, Math.floor(i / width), i % width)
  return values
}

/** Operating modes that last 150 rows on average, each with a level of its own per channel. */
const modes = (count: number) => (rows: number, width: number, random: Random) => {
  const levels = Array.from({ length: count * width }, () => 6 * random.normal())
  let mode = 0
  const modeAt = Array.from({ length: rows }, () => (mode = random.uniform() < 1 / 150 ? random.below(count) : mode))
  return each(remembering(0.5)(rows, width, random), width, (x, t, j) => x + (levels[(modeAt[t] as number) * width + j] as number))
}

const missing = (share: number) => (rows: number, width: number, random: Random) =>
  each(remembering(0.5)(rows, width, random), width, (x) => (random.uniform() < share ? Number.NaN : x))

const day = 96
const daily = (rows: number, width: number, random: Random): Float64Array =>
  each(remembering(0.7)(rows, width, random), width, (x, t, j) => x + 3 * Math.sin((2 * Math.PI * t) / day + j))

export const strangers: Readonly<Record<string, Stranger>> = {
  white: { width: 6, rows: remembering(0) },
  'ar 0.5': { width: 6, rows: remembering(0.5) },
  'ar 0.9': { width: 6, rows: remembering(0.9) },
  'ar 0.98': { width: 6, rows: remembering(0.98) },
  'one walk of 6': {
    width: 6,
    rows: (rows, width, random) => {
      let walk = 0
      return each(remembering(0.5)(rows, width, random), width, (x, _, j) => (j === 5 ? (walk += 0.1 * random.normal()) + 0.1 * x : x))
    },
  },
  'all walks': {
    width: 4,
    rows: (rows, width, random) => {
      const at = new Float64Array(width)
      return each(remembering(0)(rows, width, random), width, (x, _, j) => (at[j] = (at[j] as number) + x))
    },
  },
  'daily cycle': { width: 6, rows: daily },
  'daily cycle, 2 days learned': { width: 6, learned: 2 * day + 8, rows: daily },
  '2 modes': { width: 6, learned: 2000, rows: modes(2) },
  '4 modes': { width: 6, learned: 2000, rows: modes(4) },
  'missing 5 %': { width: 6, rows: missing(0.05) },
  'missing 30 %': { width: 6, rows: missing(0.3) },
  quantised: { width: 6, rows: (rows, width, random) => each(remembering(0.5)(rows, width, random), width, (x) => Math.round(x)) },
  'quantised, 2 values': {
    width: 6,
    rows: (rows, width, random) => each(remembering(0.9)(rows, width, random), width, (x, _, j) => (j === 0 ? Number(x > 1.5) : x)),
  },
  counters: {
    width: 4,
    rows: (rows, width, random) => {
      const at = new Float64Array(width)
      return each(remembering(0.5)(rows, width, random), width, (x, _, j) => (j < 2 ? (at[j] = (at[j] as number) + Math.max(0, 5 + x)) : x))
    },
  },
  'heavy tails': {
    width: 6,
    rows: (rows, width, random) =>
      each(
        remembering(0)(rows, width, random),
        width,
        (x) => x / Math.sqrt((random.normal() ** 2 + random.normal() ** 2 + random.normal() ** 2) / 3),
      ),
  },
  lognormal: { width: 6, rows: (rows, width, random) => each(remembering(0.8)(rows, width, random), width, (x) => Math.exp(x)) },
  'bursts of noise': {
    width: 6,
    rows: (rows, width, random) => each(remembering(0.3)(rows, width, random), width, (x, t) => x * (Math.sin(t / 90) > 0.8 ? 3 : 1)),
  },
  'one channel': { width: 1, rows: remembering(0.5) },
  '2 channels': { width: 2, rows: remembering(0.5) },
  '3 channels': { width: 3, rows: remembering(0.8) },
  '52 channels': { width: 52, learned: 600, rows: remembering(0.7) },
  'constants beside': {
    width: 6,
    rows: (rows, width, random) => each(remembering(0.5)(rows, width, random), width, (x, _, j) => (j > 3 ? 7 : x)),
  },
  'start-up transient': {
    width: 6,
    rows: (rows, width, random) =>
      each(remembering(0.5)(rows, width, random), width, (x, t, j) => x + (j < 3 ? 12 * Math.exp(-t / 60) : 0)),
  },
  'faults within': {
    width: 6,
    rows: (rows, width, random) =>
      each(remembering(0.5)(rows, width, random), width, (x, t, j) => (j === 1 && t >= 400 && t < 440 ? x + 8 : x)),
  },
  '150 rows learned': { width: 4, learned: 150, rows: remembering(0.5) },
  '300 rows learned': { width: 8, learned: 300, rows: remembering(0.8) },
  'gaps of rows': { width: 6, rows: remembering(0.98), gaps: 10 },
}

interface Outcome {
  readonly falseRows: number
  readonly rows: number
  readonly episodes: number
  readonly planted: number
  readonly found: number
  readonly first: number
}

const periodUs = 1_000_000

export const meet = ({ width, learned = 1000, rows: generate, gaps = 0 }: Stranger, seed: number): Outcome => {
  const random = randomFrom(seed)
  const total = learned + judgedRows + faultRows
  const rows: Matrix = { values: generate(total, width, random), rows: total, width }
  const prefix = slice(rows, 0, learned)
  const fitted = fitMultivariate(prefix)
  const stream = openMultivariate(fitted, undefined, { periodUs })
  const faults = randomFrom(seed + 1000)
  const at = new Set(
    Array.from({ length: places }, (_, i) => learned + Math.floor(((i + 0.3 + 0.4 * faults.uniform()) * judgedRows) / places)),
  )
  const outcome = { falseRows: 0, rows: judgedRows, episodes: 0, planted: 0, found: 0, first: 0 }
  let missed = 0
  let isOpen = false
  let isDue = false
  for (let t = learned; t < learned + judgedRows; t++) {
    if (at.has(t)) isDue = true
    if (isDue && !isOpen) {
      isDue = false
      const state = stream.state()
      const after = slice(rows, t, t + faultRows)
      for (const channel of fitted.cleaning.channels.slice(0, 8)) {
        const values = Float64Array.from({ length: faultRows }, (_, i) => rowOf(after, i)[channel] as number)
        const isCounter = fitted.cleaning.counter[fitted.cleaning.channels.indexOf(channel)] !== 0
        // An offset of a counter is one of its rate.
        const moments = isCounter ? { mean: 0, std: 1 } : momentsOf(prefix, channel)
        const faulty = isCounter ? values.map((x, i) => x + 3 * (i + 1)) : planted(values, 'offset', 3, moments, faults)
        const found = findFault(fitted, state, after, channel, faulty)
        outcome.planted++
        if (found.isFound) outcome.found++
        if (found.isFound && found.channel === channel) outcome.first++
      }
    }
    if (gaps > 0 && (t - learned) % Math.floor(judgedRows / gaps) === 200) missed += 500
    const judged = stream.push(rowOf(rows, t), (t + missed) * periodUs)
    isOpen = judged.isEpisodeOpen
    if (isOpen) outcome.falseRows++
    if (judged.isOpening) outcome.episodes++
  }
  return outcome
}

export const strangersSet: QualitySet = {
  name: 'strangers',
  title: 'generated streams that somebody could bring: false alarm rows per 10 000, 3 sigma offsets found',
  needsData: false,
  run: ({ note }): QualityResult => {
    const figures: Figure[] = []
    for (const [name, stranger] of Object.entries(strangers)) {
      const outcomes = seeds.map((seed) => meet(stranger, seed))
      const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0)
      const key = name.replaceAll(/[^a-z0-9]+/g, '-').replace(/-$/, '')
      const falseRows = (10_000 * sum((outcome) => outcome.falseRows)) / sum((outcome) => outcome.rows)
      const found = sum((outcome) => outcome.found) / sum((outcome) => outcome.planted)
      note(
        `${name.padEnd(28)} false ${falseRows.toFixed(0)} in ${sum((o) => o.episodes)} episodes, found ${(100 * found).toFixed(0)} %, first ${(
          (100 * sum((o) => o.first)) /
          Math.max(
            1,
            sum((o) => o.found),
          )
        ).toFixed(0)} % of ${sum((o) => o.planted)}; worst ${Math.max(...outcomes.map((o) => o.falseRows))}`,
      )
      figures.push({ name: `${key}.falsePer10000`, value: falseRows, digits: 0 }, { name: `${key}.offset3`, value: found, digits: 2 })
    }
    return { figures, seeds }
  },
}
