// Signals by recipe, as scripts/golden-statistics.py makes them too, and the numbers that kernels give for them.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { outputNames } from '@andon/schemas'
import type { Statistic, StatisticOptions } from '@andon/schemas'
import { kernelOf } from '../../src/functions/index.ts'
import type { Series } from '../../src/functions/kernel.ts'
import { noise } from './waveforms.ts'
import { plainMachine } from '../../src/plan.ts'

export interface SignalRecipe {
  readonly kind: 'uniform' | 'gaussian' | 'knocks' | 'skewed' | 'walk'
  readonly seed: number
  readonly count: number
  readonly scale: number
  readonly offset: number
  readonly floats: boolean
}

/** A slow signal with rows at random times, and a second one with its own. */
export interface SlowCase {
  readonly first: SignalRecipe
  readonly second: SignalRecipe
  readonly timesSeed: number
  readonly meanUs: number
  readonly endAfterUs: number
  readonly halfLifeMs: number
  readonly limits: [number, number]
  readonly figures: Record<string, number>
  readonly pairs: Record<string, number>
  readonly counter: Record<string, number>
  readonly states: Record<string, number>
}

export const golden = <T>(name: string): T =>
  JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', `statistics-${name}.json`), 'utf8')) as T

const unscaled = ({ kind, seed, count }: SignalRecipe): Float64Array => {
  const random = noise(seed)
  const bell = () => {
    let sum = 0
    for (let k = 0; k < 12; k++) sum += random()
    return sum
  }
  let at = 0
  return Float64Array.from({ length: count }, (_, i) => {
    switch (kind) {
      case 'uniform':
        return random()
      case 'gaussian':
        return bell()
      case 'knocks':
        return bell() * (i % 97 === 0 ? 12 : 1)
      case 'skewed': {
        const u = random() + 0.5
        return u * u * u * u
      }
      case 'walk':
        return (at += random())
    }
  })
}

export const signalOf = (recipe: SignalRecipe): Float32Array | Float64Array => {
  const values = unscaled(recipe).map((x) => x * recipe.scale + recipe.offset)
  return recipe.floats ? Float32Array.from(values) : values
}

/** Event times at random distances, whole microseconds. */
export const timesOf = (seed: number, count: number, meanUs: number, fromUs = 1.8e15): Float64Array => {
  const random = noise(seed)
  let at = fromUs
  return Float64Array.from({ length: count }, () => (at += Math.floor((random() + 0.5) * 2 * meanUs)))
}

/** Single values; one a second unless times are given. */
export const rowsOf = (values: ArrayLike<number>, timesUs?: ArrayLike<number>, floats = values instanceof Float32Array): Series => ({
  rows: values.length,
  timesUs: Float64Array.from({ length: values.length }, (_, i) => timesUs?.[i] ?? 1.8e15 + i * 1e6),
  elements: floats ? Float32Array.from(values) : Float64Array.from(values),
  width: 1,
  widths: null,
  sampleRateHz: null,
})

export interface Asked {
  readonly options?: StatisticOptions
  readonly unit?: string
  /** The last row's time and 1 us unless given. */
  readonly endUs?: number
}

/** Numbers of a window by the names that a vector gives them. */
export const numbersOf = (
  series: Series | readonly Series[],
  statistics: readonly Statistic[],
  { options = {}, unit = '[g]', endUs }: Asked = {},
): Record<string, number> => {
  const all = Array.isArray(series) ? (series as readonly Series[]) : [series as Series]
  const names: string[] = []
  const asked = statistics.map((statistic) => ({ statistic, places: outputNames(statistic, options).map((name) => names.push(name) - 1) }))
  const values = new Float64Array(names.length).fill(Number.NaN)
  const last = all[0]!.timesUs[all[0]!.rows - 1]!
  for (const kernel of new Set(statistics.map(kernelOf))) {
    kernel.prepare({
      call: { channels: all.map((_, i) => i), scale: 0, options, asked: asked.filter(({ statistic }) => kernelOf(statistic) === kernel) },
      channels: all.map(({ sampleRateHz, width }, i) => ({
        id: `channel${i}`,
        unit,
        kind: sampleRateHz === null ? 'scalar' : 'waveform',
        range: null,
        sampleRateHz,
        width,
      })),
      machine: plainMachine,
    })(all, values, { startUs: 0, endUs: endUs ?? last + 1, shaftHz: () => Number.NaN, tacho: () => undefined })
  }
  return Object.fromEntries(names.map((name, i) => [name, values[i] as number]))
}

/** One number of one series. */
export const numberOf = (series: Series | readonly Series[], statistic: Statistic, asked: Asked = {}): number =>
  numbersOf(series, [statistic], asked)[outputNames(statistic, asked.options ?? {})[0]!]!

export const close = (actual: number | undefined, expected: number, relative = 1e-12, scale = 0, what = ''): void =>
  assert.ok(
    Object.is(actual, expected) || Math.abs(actual! - expected) <= relative * Math.max(Math.abs(expected), scale),
    `${what} ${actual} is not ${expected}`,
  )
