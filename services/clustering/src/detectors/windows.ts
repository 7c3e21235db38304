// Trailing windows over standardised rows: level, roughness, step and bands of every channel. Each window is summed up in two parts, what
// remains of the last block and what the new one has so far: nothing is ever subtracted, so nothing drifts, a wild value leaves no trace
// once it is out, and a row costs the same whatever the window. A stream cut anywhere goes on with the same bits.

import type { FamilySpec } from './constants.ts'

export interface MovingState {
  /** Rows of the new block as they came, sums from the end of the old block behind them. */
  readonly block: Float64Array
  readonly fresh: Float64Array
  readonly place: number
}

export interface WindowState {
  /** The last rows, as far back as anything is compared with. */
  readonly ring: Float64Array
  readonly sums: readonly MovingState[]
  /** How many values of every window are there; null while none was missing. */
  readonly counts: readonly MovingState[] | null
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

/** Sum of the last `window` rows, per channel. */
class MovingSum {
  readonly sum: Float64Array
  private readonly width: number
  private readonly window: number
  private readonly block: Float64Array
  private readonly fresh: Float64Array
  private place: number

  constructor(width: number, window: number, from?: MovingState) {
    this.width = width
    this.window = window
    this.sum = new Float64Array(width)
    this.block = from === undefined ? new Float64Array(window * width) : from.block.slice()
    this.fresh = from === undefined ? new Float64Array(width) : from.fresh.slice()
    this.place = from?.place ?? 0
    this.total()
  }

  push(row: Float64Array): void {
    const { width, window, block, fresh } = this
    if (this.place === window) {
      for (let i = (window - 1) * width - 1; i >= 0; i--) block[i] = (block[i] as number) + (block[i + width] as number)
      fresh.fill(0)
      this.place = 0
    }
    const at = this.place * width
    for (let j = 0; j < width; j++) {
      const value = row[j] as number
      block[at + j] = value
      fresh[j] = (fresh[j] as number) + value
    }
    this.place++
    this.total()
  }

  /** One that stands where this one does and has seen nothing but ones. */
  ofOnes(): MovingSum {
    const { width, window, place } = this
    const ones = new MovingSum(width, window, { block: new Float64Array(window * width), fresh: new Float64Array(width), place })
    ones.fill(1)
    return ones
  }

  /** As if every row so far had been `value`. */
  fill(value: number): void {
    const { width, window, block, fresh } = this
    for (let i = 0; i < window; i++) block.fill(i < this.place ? value : (window - i) * value, i * width, (i + 1) * width)
    fresh.fill(this.place * value)
    this.total()
  }

  state(): MovingState {
    return { block: this.block.slice(), fresh: this.fresh.slice(), place: this.place }
  }

  private total(): void {
    const { width, window, block, fresh, sum, place } = this
    if (place === window) sum.set(fresh)
    else {
      const at = place * width
      for (let j = 0; j < width; j++) sum[j] = (fresh[j] as number) + (block[at + j] as number)
    }
  }
}

/** What is summed: rows that came `lag` ago, squared steps from row to row, squares of a band's filter. */
interface Source {
  readonly kind: 'row' | 'step' | 'filter'
  readonly window: number
  readonly lag: number
  readonly scale: number
}

const keyOf = ({ kind, window, lag, scale }: Source): string => `${kind} ${window} ${lag} ${scale}`

const rowSource = (window: number, lag: number): Source => ({ kind: 'row', window, lag, scale: 0 })
const stepSource = (window: number): Source => ({ kind: 'step', window, lag: 0, scale: 0 })
const filterSource = (window: number, scale: number): Source => ({ kind: 'filter', window, lag: 0, scale })

const sourcesOf = ({ kind, window, scale = 0 }: FamilySpec): Source[] => {
  if (kind === 'level') return [rowSource(window, 0)]
  if (kind === 'step') return [rowSource(window, 0), rowSource(window, window)]
  if (kind === 'rough') return [stepSource(window)]
  return [rowSource(scale, 0), rowSource(scale, scale), filterSource(window, scale)]
}

export const openWindows = (width: number, families: readonly FamilySpec[], from?: WindowState): Windows => {
  // Filters last: they are made of the sums of their row.
  const sources = [...new Map(families.flatMap(sourcesOf).map((source) => [keyOf(source), source])).values()].toSorted(
    (a, b) => Number(a.kind === 'filter') - Number(b.kind === 'filter'),
  )
  const placeOf = new Map(sources.map((source, k) => [keyOf(source), k]))
  const at = (source: Source): number => placeOf.get(keyOf(source)) as number
  const length = Math.max(1, ...sources.map(({ lag }) => lag)) + 1
  const ring = from?.ring.slice() ?? new Float64Array(length * width)
  const sums = sources.map(({ window }, k) => new MovingSum(width, window, from?.sums[k]))
  let counts = from?.counts?.map((state, k) => new MovingSum(width, (sources[k] as Source).window, state)) ?? null
  const filters = sources.map((source) =>
    source.kind === 'filter' ? ([at(rowSource(source.scale, 0)), at(rowSource(source.scale, source.scale))] as const) : null,
  )
  const input = new Float64Array(width)
  const there = new Float64Array(width)
  const recipes = new Map(families.map((family) => [family, sourcesOf(family).map(at)]))
  /** Rows since the windows were empty. */
  let rows = from?.rows ?? 0

  const mean = (k: number, j: number): number => {
    const { window } = sources[k] as Source
    const sum = (sums[k] as MovingSum).sum[j] as number
    if (counts === null) return sum / window
    const count = (counts[k] as MovingSum).sum[j] as number
    return count >= enough * window ? sum / count : Number.NaN
  }

  /** The source's value of the newest row into `input`; a missing one is 0 and not there. */
  const take = (k: number): void => {
    const { kind, lag, scale } = sources[k] as Source
    if (kind === 'filter') {
      const [recent, before] = filters[k] as readonly [number, number]
      if (rows <= 2 * scale) {
        input.fill(0)
        return
      }
      if (counts === null) {
        const a = (sums[recent] as MovingSum).sum
        const b = (sums[before] as MovingSum).sum
        const share = 1 / scale
        for (let j = 0; j < width; j++) {
          const filtered = ((a[j] as number) - (b[j] as number)) * share
          input[j] = filtered * filtered
        }
        return
      }
      for (let j = 0; j < width; j++) {
        const filtered = mean(recent, j) - mean(before, j)
        input[j] = filtered * filtered
      }
      return
    }
    const row = ((rows - 1 - lag + 2 * length) % length) * width
    if (kind === 'row') for (let j = 0; j < width; j++) input[j] = ring[row + j] as number
    else {
      const before = ((rows - 2 + length) % length) * width
      for (let j = 0; j < width; j++) {
        const step = (ring[row + j] as number) - (ring[before + j] as number)
        input[j] = step * step
      }
      if (rows === 1) input.fill(0)
    }
  }

  return {
    push(z) {
      let isMissing = false
      const row = (rows % length) * width
      for (let j = 0; j < width; j++) {
        const value = z[j] as number
        ring[row + j] = value
        if (value !== value) isMissing = true
      }
      if (isMissing && counts === null) {
        counts = sums.map((sum) => sum.ofOnes())
      }
      rows++
      for (let k = 0; k < sources.length; k++) {
        take(k)
        if (counts !== null) {
          for (let j = 0; j < width; j++) {
            if (input[j] === input[j]) there[j] = 1
            else {
              there[j] = 0
              input[j] = 0
            }
          }
          ;(counts[k] as MovingSum).push(there)
        }
        ;(sums[k] as MovingSum).push(input)
      }
      // A count of whole rings would do as well: this keeps the number small in a stream without end.
      if (rows >= length * 1_000_000) rows -= length * 999_000
    },
    forget() {
      rows = 0
      ring.fill(0)
      for (const sum of sums) sum.fill(0)
      if (counts !== null) for (const count of counts) count.fill(0)
    },
    read(family, out) {
      if (rows - 1 < firstUsable(family)) return false
      const { kind } = family
      const [first = 0, second = 0, third = 0] = recipes.get(family) ?? sourcesOf(family).map(at)
      if (kind === 'level') for (let j = 0; j < width; j++) out[j] = mean(first, j)
      else if (kind === 'step') for (let j = 0; j < width; j++) out[j] = mean(first, j) - mean(second, j)
      else {
        const k = kind === 'band' ? third : first
        for (let j = 0; j < width; j++) out[j] = Math.sqrt(mean(k, j))
      }
      return true
    },
    state: () => ({
      ring: ring.slice(),
      sums: sums.map((sum) => sum.state()),
      counts: counts?.map((count) => count.state()) ?? null,
      rows,
    }),
  }
}
