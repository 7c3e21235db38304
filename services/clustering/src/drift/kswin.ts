// KSWIN: do the newest values of a sliding window come from the same distribution as values drawn from the rest of it?
// Raab, Heusinger and Schleif, "Reactive soft prototype computing for concept drift streams", Neurocomputing 2020. Draws are seeded.
// It takes values for independent: on an autocorrelated signal it fires without any change.

import { randomAt, randomFrom } from '../random.ts'
import type { Random } from '../random.ts'
import { ksPValue } from './kolmogorov.ts'

export interface KswinOptions {
  /** Probability of a false change at one test, and a test is made with every value. Default 0.005. */
  readonly alpha?: number
  /** Values in the window. Default 100. */
  readonly windowSize?: number
  /** Newest values, and values drawn from the rest. Default 30. */
  readonly statSize?: number
  readonly seed?: number
  /** After a change: `keep` the newest values, as published (default); forget all, `anew`, as river does. */
  readonly afterChange?: 'keep' | 'anew'
}

/** Plain data; `openKswin` continues from it with equal bits. */
export interface KswinState {
  /** Oldest first. */
  readonly window: readonly number[]
  readonly random: readonly number[]
}

export interface Kswin {
  /** True when the value completes a change. A value that is not finite is left out. */
  push(value: number): boolean
  /** Distance of the last test, 0 before one. */
  distance(): number
  state(): KswinState
}

/** Smaller distances are no change however sure they are, as in river. */
const LEAST_DISTANCE = 0.1

export const openKswin = (options: KswinOptions = {}, state?: KswinState): Kswin => new KswinStream(options, state)

class KswinStream implements Kswin {
  private readonly size: number
  private readonly statSize: number
  private readonly random: Random
  private readonly kept: number
  /** Difference of counts, of `statSize`, from which the test fails. */
  private readonly critical: number
  /** A ring: the value of time t at t mod size. */
  private readonly window: Float64Array
  /** Places of the ring, sorted by value: the rest, then the newest. */
  private readonly rest: Int32Array
  private readonly newest: Int32Array
  private readonly drawn: Uint8Array
  private time = 0
  private count = 0
  private last = 0

  constructor({ alpha = 0.005, windowSize = 100, statSize = 30, seed = 1, afterChange = 'keep' }: KswinOptions, state?: KswinState) {
    if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha is ${alpha}, expected a probability`)
    if (!Number.isInteger(statSize) || !Number.isInteger(windowSize) || statSize < 1 || windowSize < 2 * statSize)
      throw new RangeError(`windowSize is ${windowSize}, expected twice statSize ${statSize} or more`)
    this.size = windowSize
    this.statSize = statSize
    this.kept = afterChange === 'keep' ? statSize : 0
    this.random = state === undefined ? randomFrom(seed) : randomAt(state.random)
    let critical = 1
    while (critical <= statSize && (ksPValue(statSize, statSize, critical / statSize) > alpha || critical / statSize <= LEAST_DISTANCE))
      critical++
    this.critical = critical
    this.window = new Float64Array(windowSize)
    this.rest = new Int32Array(windowSize)
    this.newest = new Int32Array(statSize)
    this.drawn = new Uint8Array(windowSize)
    for (const value of state?.window ?? []) this.take(value)
  }

  push(value: number): boolean {
    if (value - value !== 0) return false
    this.take(value)
    if (this.count < this.size) return false
    const most = this.test()
    this.last = most / this.statSize
    if (most < this.critical) return false
    this.keepNewest()
    return true
  }

  distance(): number {
    return this.last
  }

  state(): KswinState {
    const { time, count, size } = this
    const window = Array.from({ length: count }, (_, i) => this.window[(time - count + i + size) % size] as number)
    return { window, random: this.random.state() }
  }

  /** What came before the newest values is forgotten, or all. */
  private keepNewest(): void {
    const kept = this.state().window.slice(this.count - this.kept)
    this.time = this.count = 0
    for (const value of kept) this.take(value)
  }

  /** Keeps both parts sorted: one value goes out of the rest, one moves from the newest to it, one comes in. */
  private take(value: number): void {
    const { window, size, statSize } = this
    const place = this.time % size
    if (this.count === size) this.remove(this.rest, size - statSize, place)
    else this.count++
    // Either part is filled up to here before the value comes in.
    const others = Math.min(this.count - 1, statSize)
    window[place] = value
    let newest = others
    if (others === statSize) {
      const moving = (this.time - statSize + size) % size
      this.remove(this.newest, statSize, moving)
      this.insert(this.rest, this.count - 1 - statSize, moving)
      newest--
    }
    this.insert(this.newest, newest, place)
    this.time = place + 1 === size ? size : this.time + 1
    if (this.time === 2 * size) this.time = size
  }

  private remove(sorted: Int32Array, count: number, place: number): void {
    const at = sorted.indexOf(place)
    sorted.copyWithin(at, at + 1, count)
  }

  private insert(sorted: Int32Array, count: number, place: number): void {
    const { window } = this
    const value = window[place] as number
    let at = count
    while (at > 0 && (window[sorted[at - 1] as number] as number) > value) {
      sorted[at] = sorted[at - 1] as number
      at--
    }
    sorted[at] = place
  }

  /** Largest difference of counts between the newest values and as many drawn from the rest. */
  private test(): number {
    const { window, rest, newest, drawn, random, statSize } = this
    const others = this.size - statSize
    drawn.fill(0)
    // Floyd's draw without repetition.
    for (let last = others - statSize; last < others; last++) {
      const at = random.below(last + 1)
      drawn[drawn[at] === 1 ? last : at] = 1
    }
    let most = 0
    let apart = 0
    let i = 0
    let j = 0
    while (j < statSize) {
      const value = window[newest[j] as number] as number
      while (i < others && (window[rest[i] as number] as number) < value) apart += drawn[i++] as number
      most = Math.max(most, Math.abs(apart))
      while (i < others && (window[rest[i] as number] as number) === value) apart += drawn[i++] as number
      for (; j < statSize && (window[newest[j] as number] as number) === value; j++) apart--
      most = Math.max(most, Math.abs(apart))
    }
    return most
  }
}
