// ADWIN: a window over a stream of numbers that grows while its mean holds and loses its old end when the mean has changed.
// Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007: exponential histogram, cut bound of theorem 3.2.

/** Levels of the histogram: level k holds buckets of 2^k values. More values than a stream ever has. */
const LEVELS = 48
/** Levels below this change with nearly every check: what would sum them up costs more than it saves. */
const SUMMED_FROM = 5
/** Cuts are looked at closely when one of them could nearly pass the larger part of its bound; rounding is far below this. */
const SLACK = 1 - 1e-6

export interface AdwinOptions {
  /** Probability of a false cut at one check of an unchanged window. Default 0.002. */
  readonly delta?: number
  /** Values between two checks. Default 32. */
  readonly clock?: number
  /** Buckets of one size before two of them become one of double size. Default 5. */
  readonly maxBuckets?: number
  /** Fewest values on either side of a cut. Default 5. */
  readonly minWindow?: number
  /** Values before the first check. Default 10. */
  readonly grace?: number
  /** After a change: `shrink` keeps what is new, as published (default); `anew` forgets all, as river does. */
  readonly afterChange?: 'shrink' | 'anew'
}

/** Plain data; `openAdwin` continues from it with equal bits. */
export interface AdwinState {
  readonly width: number
  readonly total: number
  /** Sum of squared deviations. */
  readonly squares: number
  /** Values since the last check. */
  readonly pending: readonly number[]
  /** Per level, oldest bucket first: total and sum of squared deviations in turn. */
  readonly levels: readonly (readonly number[])[]
}

export interface Adwin {
  /** True when the value's check found a change. A value that is not finite is left out. */
  push(value: number): boolean
  /** Values in the window. */
  width(): number
  mean(): number
  state(): AdwinState
}

export const openAdwin = (options: AdwinOptions = {}, state?: AdwinState): Adwin => new AdwinStream(options, state)

class AdwinStream implements Adwin {
  private readonly delta: number
  private readonly clock: number
  private readonly maxBuckets: number
  private readonly minWindow: number
  private readonly grace: number
  private readonly isAnew: boolean
  /** Level after level, `maxBuckets` places each, oldest bucket first. */
  private readonly totals: Float64Array
  private readonly squaresOf: Float64Array
  private readonly counts = new Int32Array(LEVELS)
  /** Per level: total, and how far its totals, summed up from the oldest, come from a straight line. Both follow from its buckets. */
  private readonly sums = new Float64Array(LEVELS)
  private readonly bends = new Float64Array(LEVELS)
  /** Buckets on their way to the next level: totals and squares, read from one pair and written to the other in turn. */
  private readonly carried: readonly [Float64Array, Float64Array, Float64Array, Float64Array]
  private glanceWidth = 0
  private glance = 0
  private readonly pending: Float64Array
  private waiting = 0
  private levels = 1
  private count = 0
  private total = 0
  private squares = 0

  constructor(
    { delta = 0.002, clock = 32, maxBuckets = 5, minWindow = 5, grace = 10, afterChange = 'shrink' }: AdwinOptions,
    state?: AdwinState,
  ) {
    if (!(delta > 0 && delta < 1)) throw new RangeError(`delta is ${delta}, expected a probability`)
    for (const [name, value, least] of [
      ['clock', clock, 1],
      ['maxBuckets', maxBuckets, 2],
      ['minWindow', minWindow, 1],
      ['grace', grace, 0],
    ] as const)
      if (!Number.isInteger(value) || value < least) throw new RangeError(`${name} is ${value}, expected a whole number from ${least}`)
    this.delta = delta
    this.clock = clock
    this.maxBuckets = maxBuckets
    this.minWindow = minWindow
    this.grace = grace
    this.isAnew = afterChange === 'anew'
    this.totals = new Float64Array(LEVELS * maxBuckets)
    this.squaresOf = new Float64Array(LEVELS * maxBuckets)
    const room = (): Float64Array => new Float64Array(clock + maxBuckets) // more than are ever on their way
    this.carried = [room(), room(), room(), room()]
    this.pending = new Float64Array(clock)
    if (state !== undefined) this.resume(state)
  }

  push(value: number): boolean {
    if (value - value !== 0) return false
    this.pending[this.waiting++] = value
    if (this.waiting < this.clock) return false
    this.take()
    if (this.count <= this.grace) return false
    if (!this.shrink()) return false
    if (this.isAnew) this.forget()
    return true
  }

  width(): number {
    return this.count + this.waiting
  }

  mean(): number {
    let total = this.total
    for (let i = 0; i < this.waiting; i++) total += this.pending[i] as number
    return this.width() === 0 ? 0 : total / this.width()
  }

  state(): AdwinState {
    const levels = Array.from({ length: this.levels }, (_, level) =>
      Array.from({ length: this.counts[level] as number }, (__, k) => {
        const at = level * this.maxBuckets + k
        return [this.totals[at] as number, this.squaresOf[at] as number]
      }).flat(),
    )
    const { count: width, total, squares } = this
    return { width, total, squares, pending: [...this.pending.subarray(0, this.waiting)], levels }
  }

  private resume({ width, total, squares, pending, levels }: AdwinState): void {
    if (pending.length >= this.clock || levels.length > LEVELS || levels.some((each) => each.length > 2 * this.maxBuckets))
      throw new RangeError('the state is of other options')
    this.count = width
    this.total = total
    this.squares = squares
    this.pending.set(pending)
    this.waiting = pending.length
    this.levels = Math.max(levels.length, 1)
    levels.forEach((buckets, level) => {
      this.counts[level] = buckets.length / 2
      for (let k = 0; k < buckets.length / 2; k++) {
        this.totals[level * this.maxBuckets + k] = buckets[2 * k] as number
        this.squaresOf[level * this.maxBuckets + k] = buckets[2 * k + 1] as number
      }
      const first = level * this.maxBuckets
      this.summarise(level, first, first + buckets.length / 2)
    })
  }

  private forget(): void {
    this.counts.fill(0)
    this.levels = 1
    this.waiting = 0
    this.count = 0
    this.total = 0
    this.squares = 0
  }

  /** The values that wait go into the histogram. Nothing between two checks depends on when they do. */
  private take(): void {
    const { pending, waiting } = this
    // Two sums side by side: one would wait for each addition.
    let even = 0
    let odd = 0
    let i = 0
    for (; i + 1 < waiting; i += 2) {
      even += pending[i] as number
      odd += pending[i + 1] as number
    }
    const last = i < waiting ? (pending[i] as number) : 0
    const sum = even + odd + last
    const mean = sum / waiting
    even = i < waiting ? (last - mean) * (last - mean) : 0
    odd = 0
    for (i = 0; i + 1 < waiting; i += 2) {
      const off = (pending[i] as number) - mean
      const next = (pending[i + 1] as number) - mean
      even += off * off
      odd += next * next
    }
    let squares = even + odd
    if (this.count > 0) {
      const off = mean - this.total / this.count
      squares += (off * off * this.count * waiting) / (this.count + waiting)
    }
    this.squares += squares
    this.total += sum
    this.count += waiting
    this.waiting = 0
    const arriving = this.pairUp(waiting)
    if (arriving > 0) this.insert(arriving)
  }

  /** The lowest level: single values, which have no squares. Returns the pairs on their way to the next. */
  private pairUp(arriving: number): number {
    const { totals, pending, maxBuckets } = this
    const [to, toSquares] = this.carried
    const kept = this.counts[0] as number
    const all = kept + arriving
    const merged = all > maxBuckets ? (all - maxBuckets + 1) >> 1 : 0
    let into = 0
    let at = 0
    for (; at + 1 < kept && into < merged; at += 2, into++) {
      const apart = (totals[at] as number) - (totals[at + 1] as number)
      to[into] = (totals[at] as number) + (totals[at + 1] as number)
      toSquares[into] = apart * apart * 0.5
    }
    let next = 0
    if (into < merged && at < kept) {
      const apart = (totals[at] as number) - (pending[0] as number)
      to[into] = (totals[at] as number) + (pending[0] as number)
      toSquares[into++] = apart * apart * 0.5
      next = 1
    }
    for (; into < merged; into++, next += 2) {
      const first = pending[next] as number
      const second = pending[next + 1] as number
      to[into] = first + second
      toSquares[into] = (first - second) * (first - second) * 0.5
    }
    let place = 0
    for (let k = 2 * merged; k < kept; k++) totals[place++] = totals[k] as number
    for (; next < arriving; next++) totals[place++] = pending[next] as number
    this.counts[0] = place
    return merged
  }

  /** As if one after the other: of a level with one bucket too many, the two oldest become one of the next level. */
  private insert(arriving: number): void {
    const { totals, squaresOf, counts, maxBuckets } = this
    let [from, fromSquares, to, toSquares] = this.carried
    let base = maxBuckets
    let share = 0.25
    for (let level = 1; arriving > 0; level++, base += maxBuckets, share *= 0.5) {
      if (level === LEVELS) throw new RangeError('the stream is longer than any')
      if (level >= this.levels) this.levels = level + 1
      const kept = counts[level] as number
      const all = kept + arriving
      const merged = all > maxBuckets ? (all - maxBuckets + 1) >> 1 : 0
      const gone = 2 * merged
      let into = 0
      let at = 0
      // Pairs of what was there, a pair of both, pairs of what arrives.
      for (; at + 1 < kept && at < gone; at += 2, into++) {
        const apart = (totals[base + at] as number) - (totals[base + at + 1] as number)
        to[into] = (totals[base + at] as number) + (totals[base + at + 1] as number)
        toSquares[into] = (squaresOf[base + at] as number) + (squaresOf[base + at + 1] as number) + apart * apart * share
      }
      let next = 0
      if (at < gone && at < kept) {
        const apart = (totals[base + at] as number) - (from[0] as number)
        to[into] = (totals[base + at] as number) + (from[0] as number)
        toSquares[into] = (squaresOf[base + at] as number) + (fromSquares[0] as number) + apart * apart * share
        into++
        next = 1
      }
      for (; into < merged; into++, next += 2) {
        const apart = (from[next] as number) - (from[next + 1] as number)
        to[into] = (from[next] as number) + (from[next + 1] as number)
        toSquares[into] = (fromSquares[next] as number) + (fromSquares[next + 1] as number) + apart * apart * share
      }
      let place = base
      for (let k = gone; k < kept; k++, place++) {
        totals[place] = totals[base + k] as number
        squaresOf[place] = squaresOf[base + k] as number
      }
      for (; next < arriving; next++, place++) {
        totals[place] = from[next] as number
        squaresOf[place] = fromSquares[next] as number
      }
      counts[level] = place - base
      this.summarise(level, base, place)
      arriving = merged
      const spare = from
      const spareSquares = fromSquares
      from = to
      fromSquares = toSquares
      to = spare
      toSquares = spareSquares
    }
  }

  private shrink(): boolean {
    let isChanged = false
    while (this.hasCut()) {
      isChanged = true
      this.dropOldest()
    }
    return isChanged
  }

  /** True when the means of the two sides of some cut differ by more than chance explains. */
  private hasCut(): boolean {
    const { totals, counts, sums, bends, maxBuckets, count: n, total, minWindow } = this
    // The bound grows slowly with the width: that of a width down to half as large is a little lower, and does for a first look.
    if (n < this.glanceWidth || n > 2 * this.glanceWidth) {
      this.glanceWidth = n
      this.glance = this.confidence()
    }
    const mean = total / n
    // How far the older part's total is from normal: `apart`. A cut passes only if apart² > spread · old · recent / n.
    const least = ((2 * this.squares * this.glance) / (n * n)) * SLACK
    let old = 0
    let apart = 0
    let size = 2 ** (this.levels - 1)
    let level = this.levels - 1
    for (; level >= SUMMED_FROM; level--, size /= 2) {
      const count = counts[level] as number
      if (count === 0) continue
      const oldAfter = old + count * size
      const apartAfter = apart + (sums[level] as number) - count * size * mean
      // No cut of the level is farther apart than its ends and its bend, nor has it less on its smaller side than its first or last.
      const most = Math.max(Math.abs(apart), Math.abs(apartAfter)) + (bends[level] as number)
      const sides = Math.min((old + size) * (n - old - size), oldAfter * (n - oldAfter))
      if (most * most >= least * sides && this.hasCutIn(level, size, old, apart)) return true
      old = oldAfter
      apart = apartAfter
    }
    for (; level >= 0; level--, size /= 2) {
      const first = level * maxBuckets
      const end = first + (counts[level] as number)
      const normal = size * mean
      for (let at = first; at < end; at++) {
        old += size
        apart += (totals[at] as number) - normal
        if (n - old < minWindow) return false
        if (apart * apart >= least * old * (n - old) && this.hasCutAt(old, apart)) return true
      }
    }
    return false
  }

  /** `delta` is shared by the cuts that a window of this width has. */
  private confidence(): number {
    return Math.log((2 * Math.log(this.count)) / this.delta)
  }

  private hasCutIn(level: number, size: number, old: number, apart: number): boolean {
    const { totals, maxBuckets } = this
    const mean = this.total / this.count
    const first = level * maxBuckets
    const end = first + (this.counts[level] as number)
    for (let at = first; at < end; at++) {
      old += size
      apart += (totals[at] as number) - size * mean
      if (this.hasCutAt(old, apart)) return true
    }
    return false
  }

  /** The bound itself, between the `old` values and those after them. */
  private hasCutAt(old: number, apart: number): boolean {
    const { count: n, total, minWindow } = this
    const recent = n - old
    if (old < minWindow || recent < minWindow) return false
    const confidence = this.confidence()
    const inverse = 1 / (old - minWindow + 1) + 1 / (recent - minWindow + 1)
    const bound = Math.sqrt((inverse * 2 * this.squares * confidence) / n) + (2 / 3) * confidence * inverse
    const oldTotal = apart + (old * total) / n
    return Math.abs(oldTotal / old - (total - oldTotal) / recent) > bound
  }

  /** Of the places from `first` up to `end`. */
  private summarise(level: number, first: number, end: number): void {
    if (level < SUMMED_FROM) return
    const { totals } = this
    let sum = 0
    for (let at = first; at < end; at++) sum += totals[at] as number
    const normal = end === first ? 0 : sum / (end - first)
    let bend = 0
    let line = 0
    for (let at = first; at < end; at++) {
      line += (totals[at] as number) - normal
      const off = Math.abs(line)
      if (off > bend) bend = off
    }
    this.sums[level] = sum
    this.bends[level] = bend
  }

  private dropOldest(): void {
    const level = this.levels - 1
    const size = 2 ** level
    const at = level * this.maxBuckets
    const total = this.totals[at] as number
    const squares = this.squaresOf[at] as number
    const left = (this.counts[level] as number) - 1
    this.counts[level] = left
    this.totals.copyWithin(at, at + 1, at + 1 + left)
    this.squaresOf.copyWithin(at, at + 1, at + 1 + left)
    this.summarise(level, at, at + left)
    this.count -= size
    this.total -= total
    const off = total / size - this.total / this.count
    this.squares = Math.max(this.squares - squares - (size * this.count * off * off) / (size + this.count), 0)
    while (this.levels > 1 && this.counts[this.levels - 1] === 0) this.levels--
  }
}
