// Known waveforms, and the kernels that read them: signals by recipe, as scripts/golden-vibration.py makes them too.

import { outputNames } from '@andon/schemas'
import type { Statistic, StatisticOptions } from '@andon/schemas'
import { kernelOf } from '../../src/functions/index.ts'
import type { Series } from '../../src/functions/kernel.ts'
import type { Machine, PlanChannel } from '../../src/plan.ts'

export interface Recipe {
  readonly rate: number
  readonly length: number
  /** Hz, amplitude, phase. */
  readonly tones: readonly (readonly [number, number, number])[]
  readonly noise: number
  readonly bias: number
  /** Per second. */
  readonly trend: number
  /** Resonance in Hz, decay per second, repetitions in Hz, amplitude. */
  readonly impulses: readonly [number, number, number, number] | null
  readonly seed: number
}

/** Lehmer's generator: equal numbers in every language. -0.5 to 0.5. */
export const noise = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state * 16_807) % 2_147_483_647
    return state / 2_147_483_647 - 0.5
  }
}

export const made = ({ rate, length, tones, noise: level, bias, trend, impulses, seed }: Recipe): Float64Array => {
  const random = noise(seed)
  return Float64Array.from({ length }, (_, i) => {
    const t = i / rate
    let x = bias + trend * t
    for (const [hz, amplitude, phase] of tones) x += amplitude * Math.sin(2 * Math.PI * hz * t + phase)
    if (impulses !== null) {
      const [hz, decay, repetitionHz, amplitude] = impulses
      const since = t - Math.floor(t * repetitionHz) / repetitionHz
      x += amplitude * Math.exp(-decay * since) * Math.sin(2 * Math.PI * hz * since)
    }
    return x + level * random()
  })
}

export const sine = (rate: number, length: number, hz: number, amplitude = 1, phase = 0): Float64Array =>
  Float64Array.from({ length }, (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate + phase))

/** Rows one after the other, without a pause. */
export const seriesOf = (rows: readonly ArrayLike<number>[], sampleRateHz: number, floats = false): Series => {
  const widths = rows.map(({ length }) => length)
  const isEqual = widths.every((width) => width === widths[0])
  const all = rows.flatMap((row) => Array.from(row))
  let elapsed = 0
  const timesUs = Float64Array.from(widths, (width) => {
    const timeUs = 1.8e15 + (elapsed * 1e6) / sampleRateHz
    elapsed += width
    return timeUs
  })
  return {
    rows: rows.length,
    timesUs,
    elements: floats ? Float32Array.from(all) : Float64Array.from(all),
    width: isEqual ? (widths[0] ?? 0) : 0,
    widths: isEqual ? null : widths,
    sampleRateHz,
  }
}

/** Single values whose times are the pulses of a tacho, in seconds after the first row. */
export const pulsesAt = (seconds: readonly number[]): Series => ({
  rows: seconds.length,
  timesUs: Float64Array.from(seconds, (s) => 1.8e15 + s * 1e6),
  elements: new Float64Array(seconds.length).fill(1),
  width: 1,
  widths: null,
  sampleRateHz: null,
})

export interface Given {
  readonly options?: StatisticOptions
  readonly unit?: string
  readonly shaftHz?: number
  readonly tacho?: Series
  readonly machine?: Partial<Machine>
}

/** Numbers of a window by the names that a vector gives them. */
export const figuresOf = (
  series: Series,
  statistics: readonly Statistic[],
  { options = {}, unit = '[g]', shaftHz = Number.NaN, tacho, machine = {} }: Given = {},
): Record<string, number> => {
  const names: string[] = []
  const asked = statistics.map((statistic) => ({
    statistic,
    places: outputNames(statistic, options).map((name) => names.push(name) - 1),
  }))
  const channel: PlanChannel = {
    id: 'vibration',
    unit,
    kind: 'waveform',
    range: null,
    sampleRateHz: series.sampleRateHz,
    width: series.width,
  }
  const values = new Float64Array(names.length).fill(Number.NaN)
  for (const kernel of new Set(statistics.map(kernelOf))) {
    const compute = kernel.prepare({
      call: { channels: [0], scale: 0, options, asked: asked.filter(({ statistic }) => kernelOf(statistic) === kernel) },
      channels: [channel],
      machine: {
        speedChannel: null,
        nominalSpeedRpm: null,
        tachoChannel: tacho === undefined ? null : 1,
        tachoPulsesPerRev: 1,
        bearing: null,
        gears: [],
        zoneLimitsMmS: null,
        ...machine,
      },
    })
    compute([series], values, { startUs: 0, endUs: 0, shaftHz: () => shaftHz, tacho: () => tacho })
  }
  return Object.fromEntries(names.map((name, i) => [name, values[i] as number]))
}
