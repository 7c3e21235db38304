// What happens to a row before anything is judged: counters become their steps, a single wild value is held back for one row,
// channels that never moved are left out. The same code cleans the learning prefix and the stream, one row at a time.

import type { Matrix } from '../matrix.ts'
import { quantile } from './numeric.ts'

export interface FittedCleaning {
  /** Channels of the input. */
  readonly width: number
  /** Input places that are judged, ascending. */
  readonly channels: readonly number[]
  /** Input places left out because they stood still while learning, and the value they had. */
  readonly constants: readonly { readonly channel: number; readonly value: number }[]
  /** Input places left out because more than half of the prefix was missing. */
  readonly missing: readonly number[]
  /** Per judged channel: 1 counts up, -1 counts down, 0 is a measurement. */
  readonly counter: readonly number[]
  /** Per judged channel: the largest step against the last accepted value that is believed at once. */
  readonly jump: Float64Array
}

export interface CleaningState {
  readonly last: Float64Array
  readonly accepted: Float64Array
  readonly isHeld: Float64Array
  readonly heldRows: Float64Array
  readonly moved: Float64Array
}

export interface Cleaner {
  /** Writes the judged channels of a row into `out`; NaN where a value is missing. */
  clean(row: ArrayLike<number>, out: Float64Array): void
  /** After a gap nothing before it says what a step or a jump is. */
  forget(): void
  /** Per judged channel: rows held back so far. */
  readonly heldRows: Float64Array
  /** Per constant channel: rows in which it was not its constant. */
  readonly moved: Float64Array
  state(): CleaningState
}

const column = ({ values, rows, width }: Matrix, channel: number): Float64Array => {
  const out = new Float64Array(rows)
  for (let t = 0; t < rows; t++) {
    const value = values[t * width + channel] as number
    out[t] = Number.isFinite(value) ? value : Number.NaN
  }
  return out
}

/** 1 or -1 for a channel that only counts up or down (half of its steps one way, at most 1 % the other), else 0. */
const counterOf = (values: Float64Array): number => {
  let ups = 0
  let downs = 0
  let steps = 0
  for (let t = 1; t < values.length; t++) {
    const step = (values[t] as number) - (values[t - 1] as number)
    if (step !== step) continue
    steps++
    if (step > 0) ups++
    else if (step < 0) downs++
  }
  if (ups >= 0.5 * steps && downs <= 0.01 * steps) return 1
  return downs >= 0.5 * steps && ups <= 0.01 * steps ? -1 : 0
}

/** Replaces a counter by its steps, in place; a step back (a reset) counts as 0, the first row takes the second's step. */
const toSteps = (values: Float64Array, direction: number): void => {
  let last = Number.NaN
  for (let t = 0; t < values.length; t++) {
    const value = values[t] as number
    if (value !== value) continue
    values[t] = Math.max((value - last) * direction, 0)
    last = value
  }
  const first = values.findIndex((_, t) => t > 0 && values[t] === values[t])
  if (values[0] !== values[0] && first > 0) values[0] = values[first] as number
}

export const fitCleaning = (prefix: Matrix, glitchFactor: number): FittedCleaning => {
  const channels: number[] = []
  const constants: { channel: number; value: number }[] = []
  const missing: number[] = []
  const counter: number[] = []
  const jump: number[] = []
  for (let channel = 0; channel < prefix.width; channel++) {
    const values = column(prefix, channel)
    const present = values.reduce((count, value) => (value === value ? count + 1 : count), 0)
    if (present < prefix.rows / 2) {
      missing.push(channel)
      continue
    }
    const direction = counterOf(values)
    if (direction !== 0) toSteps(values, direction)
    let mean = 0
    for (const value of values) if (value === value) mean += value
    mean /= present
    let squares = 0
    for (const value of values) if (value === value) squares += (value - mean) ** 2
    if (Math.sqrt(squares / present) < 1e-9 * (1 + Math.abs(mean)) && direction === 0) {
      constants.push({ channel, value: mean })
      continue
    }
    const steps = new Float64Array(values.length).fill(Number.NaN)
    for (let t = 1; t < values.length; t++) steps[t] = Math.abs((values[t] as number) - (values[t - 1] as number))
    channels.push(channel)
    counter.push(direction)
    const usual = quantile(steps, 0.99)
    jump.push(usual === usual ? glitchFactor * usual + 1e-12 : Number.POSITIVE_INFINITY)
  }
  return { width: prefix.width, channels, constants, missing, counter, jump: Float64Array.from(jump) }
}

export const openCleaner = (fitted: FittedCleaning, from?: CleaningState): Cleaner => {
  const { channels, constants, counter, jump } = fitted
  const d = channels.length
  const last = from === undefined ? new Float64Array(d).fill(Number.NaN) : from.last.slice()
  const accepted = from === undefined ? new Float64Array(d).fill(Number.NaN) : from.accepted.slice()
  const isHeld = from === undefined ? new Float64Array(d) : from.isHeld.slice()
  const heldRows = from === undefined ? new Float64Array(d) : from.heldRows.slice()
  const moved = from === undefined ? new Float64Array(constants.length) : from.moved.slice()
  return {
    heldRows,
    moved,
    clean(row, out) {
      for (let k = 0; k < constants.length; k++) {
        const { channel, value } = constants[k] as { channel: number; value: number }
        const now = row[channel] as number
        if (Number.isFinite(now) && Math.abs(now - value) > 1e-6 * (1 + Math.abs(value))) moved[k] = (moved[k] as number) + 1
      }
      for (let j = 0; j < d; j++) {
        let value = row[channels[j] as number] as number
        if (!Number.isFinite(value)) {
          out[j] = Number.NaN
          continue
        }
        const direction = counter[j] as number
        if (direction !== 0) {
          const before = last[j] as number
          last[j] = value
          value = Math.max((value - before) * direction, 0) // NaN on the first row
          if (value !== value) {
            out[j] = Number.NaN
            continue
          }
        }
        const before = accepted[j] as number
        if (isHeld[j] === 0 && Math.abs(value - before) > (jump[j] as number)) {
          isHeld[j] = 1
          heldRows[j] = (heldRows[j] as number) + 1
          value = before
        } else isHeld[j] = 0
        accepted[j] = value
        out[j] = value
      }
    },
    forget() {
      last.fill(Number.NaN)
      accepted.fill(Number.NaN)
      isHeld.fill(0)
    },
    state: () => ({
      last: last.slice(),
      accepted: accepted.slice(),
      isHeld: isHeld.slice(),
      heldRows: heldRows.slice(),
      moved: moved.slice(),
    }),
  }
}
