// Trailing windows over standardised rows: level, roughness and step of every channel. Sums are taken afresh from the ring for
// every row, in one order, so nothing drifts and a stream cut anywhere goes on with the same bits.

import type { FamilySpec } from './constants.ts'

export interface WindowState {
  readonly ring: Float64Array
  /** Per scale of a band: squares of its filtered rows. */
  readonly squares: readonly Float64Array[]
  readonly rows: number
}

export interface Windows {
  push(z: Float64Array): void
  /** Begins anew: nothing before this row is in a window. */
  forget(): void
  /** Writes a family's raw value per channel, NaN where too little is known; false when its windows are not full yet. */
  read(family: FamilySpec, out: Float64Array): boolean
  state(): WindowState
}

/** The first usable row, counted from 0, after the windows were empty. */
export const firstUsable = ({ kind, window, scale = 0 }: FamilySpec): number => (kind === 'step' ? 2 * window : window + 2 * scale)

/** Rows the windows of these families look back. */
export const reachOf = (families: readonly FamilySpec[]): number => Math.max(...families.map((family) => firstUsable(family) + 1))

/** A window of which less than half is there says nothing. */
const enough = 0.5

export const openWindows = (width: number, families: readonly FamilySpec[], from?: WindowState): Windows => {
  const length = reachOf(families)
  const scales = [...new Set(families.map(({ scale }) => scale ?? 0))].filter((scale) => scale > 0)
  const ring = from === undefined ? new Float64Array(length * width).fill(Number.NaN) : from.ring.slice()
  const squares = scales.map((_, k) => from?.squares[k]?.slice() ?? new Float64Array(length * width).fill(Number.NaN))
  /** Rows since the windows were empty. */
  let rows = from?.rows ?? 0

  /** Mean of `window` values of channel j that end `back` rows ago. */
  const mean = (j: number, back: number, window: number): number => {
    let sum = 0
    let count = 0
    for (let i = back + window - 1; i >= back; i--) {
      const value = ring[((rows - 1 - i + length * 2) % length) * width + j] as number
      if (value === value) {
        sum += value
        count++
      }
    }
    return count >= enough * window ? sum / count : Number.NaN
  }

  return {
    push(z) {
      ring.set(z, (rows % length) * width)
      const at = (rows % length) * width
      rows++
      for (let k = 0; k < scales.length; k++) {
        const scale = scales[k] as number
        const out = squares[k] as Float64Array
        for (let j = 0; j < width; j++) {
          const filtered = rows > 2 * scale ? mean(j, 0, scale) - mean(j, scale, scale) : Number.NaN
          out[at + j] = filtered * filtered
        }
      }
      // A count of whole rings would do as well: this keeps the number small in a stream without end.
      if (rows >= length * 1_000_000) rows -= length * 999_000
    },
    forget() {
      rows = 0
      ring.fill(Number.NaN)
      for (const ofScale of squares) ofScale.fill(Number.NaN)
    },
    read(family, out) {
      const { kind, window } = family
      if (rows - 1 < firstUsable(family)) return false
      if (kind === 'level') for (let j = 0; j < width; j++) out[j] = mean(j, 0, window)
      else if (kind === 'step') for (let j = 0; j < width; j++) out[j] = mean(j, 0, window) - mean(j, window, window)
      else if (kind === 'band') {
        const ofScale = squares[scales.indexOf(family.scale as number)] as Float64Array
        for (let j = 0; j < width; j++) {
          let sum = 0
          let count = 0
          for (let i = window - 1; i >= 0; i--) {
            const square = ofScale[((rows - 1 - i + length * 2) % length) * width + j] as number
            if (square === square) {
              sum += square
              count++
            }
          }
          out[j] = count >= enough * window ? Math.sqrt(sum / count) : Number.NaN
        }
      } else {
        for (let j = 0; j < width; j++) {
          let sum = 0
          let count = 0
          let before = ring[((rows - 1 - window + length * 2) % length) * width + j] as number
          for (let i = window - 1; i >= 0; i--) {
            const value = ring[((rows - 1 - i + length * 2) % length) * width + j] as number
            const step = value - before
            if (step === step) {
              sum += step * step
              count++
            }
            before = value
          }
          out[j] = count >= enough * window ? Math.sqrt(sum / count) : Number.NaN
        }
      }
      return true
    },
    state: () => ({ ring: ring.slice(), squares: squares.map((ofScale) => ofScale.slice()), rows }),
  }
}
