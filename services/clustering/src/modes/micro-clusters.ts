// Micro-clusters: what is kept of an endless stream of points. Each has a centre, a decayed weight and its scatter; there are never
// more than a given number. Weights count from one reference time for all clusters (forward decay), so that summaries of several
// partitions add up, and moving the reference multiplies by a power of two, which loses nothing. No clock and no chance.

import type { Matrix } from '../matrix.ts'

export interface MicroClusterOptions {
  /** Numbers per point. */
  readonly width: number
  /** Most clusters that are kept. */
  readonly most: number
  /** A point joins the nearest centre within this distance; a point that finds none opens a cluster. */
  readonly radius: number
  /** Event time in which the weight of a point halves, or windows where time counts windows; Infinity keeps all for good. */
  readonly halfLifeUs: number
  /** A cluster whose weight has faded below this leaves first when room is needed. Default: half a point. */
  readonly faint?: number
}

export interface WeightedCentres {
  readonly centres: Matrix
  /** Points per centre, as of the newest point. */
  readonly weights: Float64Array
  /** Root mean square distance of a cluster's points from its centre. */
  readonly spreads: Float64Array
  readonly openedUs: Float64Array
  readonly lastUs: Float64Array
}

const VERSION = 1
const MAGIC = 0x434d_4e41 // 'ANMC'
const HEADER = 8
/** Weights grow to 2^256 before the reference moves: far from the largest number, and squares of distances still fit. */
const MOST_HALVINGS = 256
/** Room is made for this share of clusters at once, so that a stream of strangers does not pay for a search with every point. */
const ROOM = 1 / 16
/** weight, scatter, opened, last, number */
const FACTS = 5
const NUMBER = 4

export class MicroClusters {
  readonly options: Required<MicroClusterOptions>
  #centres: Float64Array
  #facts: Float64Array
  #count = 0
  /** In half-lives since the epoch; a whole number. */
  #reference = 0
  /** Relative to the reference, like all weights. */
  #dropped = 0
  #points = 0
  #opened = 0
  #newestUs = Number.NEGATIVE_INFINITY
  #weighedUs = Number.NaN
  #weight = 1

  constructor(options: MicroClusterOptions) {
    this.options = checked(options)
    this.#centres = new Float64Array(options.most * options.width)
    this.#facts = new Float64Array(options.most * FACTS)
  }

  get count(): number {
    return this.#count
  }

  /** Points absorbed, here and in what was merged in. */
  get points(): number {
    return this.#points
  }

  get newestUs(): number {
    return this.#newestUs
  }

  /** Weight of all clusters and of those that were dropped, as of the newest point: every absorbed point is in it. */
  get mass(): { readonly kept: number; readonly dropped: number } {
    let kept = 0
    for (let i = 0; i < this.#count; i++) kept += this.#facts[i * FACTS] as number
    const scale = this.#scaleNow()
    return { kept: kept * scale, dropped: this.#dropped * scale }
  }

  /** Takes a point in and returns the place of its cluster, which holds until the next call. `timeUs` may go back. */
  absorb(row: Float64Array, timeUs: number): number {
    const { width, radius } = this.options
    if (row.length !== width) throw new RangeError(`a point has ${row.length} numbers, expected ${width}`)
    const weight = this.#weightAt(timeUs)
    this.#points++
    if (timeUs > this.#newestUs) this.#newestUs = timeUs
    const found = this.#nearest(row, radius * radius)
    if (found >= 0) {
      this.#join(found, row, weight, timeUs)
      return found
    }
    if (this.#count === this.options.most) this.#makeRoom(Math.max(1, Math.floor(this.options.most * ROOM)))
    const place = this.#count++
    this.#centres.set(row, place * width)
    this.#facts.set([weight, 0, timeUs, timeUs, ++this.#opened], place * FACTS)
    return place
  }

  /**
   * The nearest centre within the radius and its distance, without taking the point in; place -1 when it fits none.
   */
  find(row: Float64Array): { place: number; distance: number } {
    const place = this.#nearest(row, this.options.radius ** 2)
    return {
      place,
      distance: place < 0 ? Number.POSITIVE_INFINITY : Math.sqrt(squaredDistance(this.#centres, place * row.length, row, 0, row.length)),
    }
  }

  /** The number of a cluster among all that were opened here, and when: what tells it from others as long as nothing is merged in. */
  opening(place: number): { readonly number: number; readonly openedUs: number } {
    return { number: this.#facts[place * FACTS + NUMBER] as number, openedUs: this.#facts[place * FACTS + 2] as number }
  }

  /** Takes another summary of the same kind in; `mergeAll` says what the result does not depend on. The other stays as it is. */
  merge(other: MicroClusters): void {
    this.#take(mergeAll([this, other]))
  }

  centres(): WeightedCentres {
    const { width } = this.options
    const rows = this.#count
    const scale = this.#scaleNow()
    const fact = (at: number): Float64Array => Float64Array.from({ length: rows }, (_, i) => this.#facts[i * FACTS + at] as number)
    return {
      centres: { values: this.#centres.slice(0, rows * width), rows, width },
      weights: fact(0).map((weight) => weight * scale),
      spreads: fact(0).map((weight, i) => (weight > 0 ? Math.sqrt((this.#facts[i * FACTS + 1] as number) / weight) : 0)),
      openedUs: fact(2),
      lastUs: fact(3),
    }
  }

  /** All of it, little-endian: continuing from these bytes gives the same bits as never having stopped. */
  toBytes(): Uint8Array {
    const { width, most, radius, halfLifeUs, faint } = this.options
    const numbers = [
      width,
      most,
      radius,
      halfLifeUs,
      faint,
      this.#count,
      this.#reference,
      this.#dropped,
      this.#points,
      this.#newestUs,
      this.#opened,
    ]
    const length = HEADER + 8 * (numbers.length + this.#count * (FACTS + width))
    const bytes = new Uint8Array(length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, MAGIC, true)
    view.setUint32(4, VERSION, true)
    let at = HEADER
    const put = (number: number): void => {
      view.setFloat64(at, number, true)
      at += 8
    }
    numbers.forEach(put)
    this.#facts.subarray(0, this.#count * FACTS).forEach(put)
    this.#centres.subarray(0, this.#count * width).forEach(put)
    return bytes
  }

  static fromBytes(bytes: Uint8Array): MicroClusters {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const header = HEADER + 8 * 11
    if (bytes.byteLength < header || view.getUint32(0, true) !== MAGIC) throw new RangeError('these bytes are no micro-clusters')
    const version = view.getUint32(4, true)
    if (version !== VERSION) throw new RangeError(`micro-clusters of version ${version}, expected ${VERSION}`)
    let at = HEADER
    const next = (): number => {
      at += 8
      return view.getFloat64(at - 8, true)
    }
    const [width, most, radius, halfLifeUs, faint] = [next(), next(), next(), next(), next()] as const
    const [count, reference, dropped, points, newestUs, opened] = [next(), next(), next(), next(), next(), next()] as const
    if (!(count >= 0 && count <= most) || bytes.byteLength !== header + 8 * count * (FACTS + width)) {
      throw new RangeError(`${bytes.byteLength} bytes do not hold ${count} micro-clusters of ${width} numbers`)
    }
    const clusters = new MicroClusters({ width, most, radius, halfLifeUs, faint })
    clusters.#count = count
    clusters.#reference = reference
    clusters.#dropped = dropped
    clusters.#points = points
    clusters.#newestUs = newestUs
    clusters.#opened = opened
    for (let i = 0; i < count * FACTS; i++) clusters.#facts[i] = next()
    for (let i = 0; i < count * width; i++) clusters.#centres[i] = next()
    return clusters
  }

  /** One summary of several, see `mergeAll`. */
  static union(summaries: readonly MicroClusters[]): MicroClusters {
    const [first] = summaries
    if (first === undefined) throw new RangeError('no micro-clusters to merge')
    const { width, most, radius, halfLifeUs, faint } = first.options
    for (const { options } of summaries) {
      const isSame = options.width === width && options.most === most && options.radius === radius
      if (!isSame || options.halfLifeUs !== halfLifeUs || options.faint !== faint) {
        throw new RangeError('micro-clusters of other options cannot be merged')
      }
    }
    const used = summaries.filter(({ points }) => points > 0)
    const reference = used.length === 0 ? 0 : Math.max(...used.map((summary) => summary.#reference))
    const all: { facts: Float64Array; centre: Float64Array }[] = []
    const merged = new MicroClusters({ width, most, radius, halfLifeUs, faint })
    merged.#reference = reference
    const dropped: number[] = []
    for (const summary of used) {
      const scale = 2 ** (summary.#reference - reference)
      merged.#points += summary.#points
      merged.#opened = Math.max(merged.#opened, summary.#opened)
      merged.#newestUs = Math.max(merged.#newestUs, summary.#newestUs)
      dropped.push(summary.#dropped * scale)
      for (let i = 0; i < summary.#count; i++) {
        const facts = summary.#facts.slice(i * FACTS, (i + 1) * FACTS)
        facts[0] = (facts[0] as number) * scale
        facts[1] = (facts[1] as number) * scale
        all.push({ facts, centre: summary.#centres.slice(i * width, (i + 1) * width) })
      }
    }
    for (const weight of dropped.toSorted((a, b) => a - b)) merged.#dropped += weight
    all.sort(
      (a, b) => firstDifference(a.facts, b.facts, NUMBER) || firstDifference(a.centre, b.centre) || firstDifference(a.facts, b.facts),
    )
    const room = Math.max(most, all.length)
    merged.#centres = new Float64Array(room * width)
    merged.#facts = new Float64Array(room * FACTS)
    all.forEach(({ facts, centre }, i) => {
      merged.#facts.set(facts, i * FACTS)
      merged.#centres.set(centre, i * width)
    })
    merged.#count = all.length
    merged.#joinNear(radius * radius, Number.POSITIVE_INFINITY)
    if (merged.#count > most) merged.#makeRoom(merged.#count - most)
    merged.#centres = merged.#centres.slice(0, most * width)
    merged.#facts = merged.#facts.slice(0, most * FACTS)
    return merged
  }

  #take(other: MicroClusters): void {
    this.#centres = other.#centres
    this.#facts = other.#facts
    this.#count = other.#count
    this.#reference = other.#reference
    this.#dropped = other.#dropped
    this.#points = other.#points
    this.#opened = other.#opened
    this.#newestUs = other.#newestUs
    this.#weighedUs = Number.NaN
  }

  /** Weight of a point now, relative to the reference, which moves on when weights become large. */
  #weightAt(timeUs: number): number {
    if (timeUs === this.#weighedUs) return this.#weight
    if (!Number.isFinite(timeUs)) throw new RangeError(`a point's time is ${timeUs}, expected a finite number`)
    const halvings = timeUs / this.options.halfLifeUs
    if (this.#points === 0) this.#reference = Math.floor(halvings)
    else if (halvings - this.#reference > MOST_HALVINGS) this.#rebase(Math.floor(halvings))
    this.#weighedUs = timeUs
    this.#weight = powerOfTwo(halvings - this.#reference)
    return this.#weight
  }

  #rebase(reference: number): void {
    const scale = 2 ** (this.#reference - reference)
    for (let i = 0; i < this.#count; i++) {
      this.#facts[i * FACTS] = (this.#facts[i * FACTS] as number) * scale
      this.#facts[i * FACTS + 1] = (this.#facts[i * FACTS + 1] as number) * scale
    }
    this.#dropped *= scale
    this.#reference = reference
  }

  /** Turns weights relative to the reference into points as of the newest one. */
  #scaleNow(): number {
    return this.#points === 0 ? 1 : powerOfTwo(this.#reference - this.#newestUs / this.options.halfLifeUs)
  }

  /** Place of the nearest centre at a squared distance up to `bound`, of equals the first; -1 for none. */
  #nearest(row: Float64Array, bound: number): number {
    const centres = this.#centres
    const width = row.length
    const blocks = width & ~3
    const end = this.#count * width
    let best = bound
    let found = -1
    for (let start = 0; start < end; start += width) {
      let sum = 0
      let i = 0
      for (; i < blocks && sum <= best; i += 4) {
        const a = (row[i] as number) - (centres[start + i] as number)
        const b = (row[i + 1] as number) - (centres[start + i + 1] as number)
        const c = (row[i + 2] as number) - (centres[start + i + 2] as number)
        const d = (row[i + 3] as number) - (centres[start + i + 3] as number)
        sum += a * a + b * b + (c * c + d * d)
      }
      if (!(sum <= best)) continue
      for (; i < width; i++) {
        const a = (row[i] as number) - (centres[start + i] as number)
        sum += a * a
      }
      if (sum < best || (found < 0 && sum <= best)) {
        best = sum
        found = start / width
      }
    }
    return found
  }

  #join(place: number, row: Float64Array, weight: number, timeUs: number): void {
    const facts = this.#facts
    const centres = this.#centres
    const at = place * FACTS
    const start = place * row.length
    const before = facts[at] as number
    const sum = before + weight
    const share = weight / sum
    let squares = 0
    for (let i = 0; i < row.length; i++) {
      const difference = (row[i] as number) - (centres[start + i] as number)
      squares += difference * difference
      centres[start + i] = (centres[start + i] as number) + share * difference
    }
    facts[at] = sum
    facts[at + 1] = (facts[at + 1] as number) + before * share * squares
    if (timeUs < (facts[at + 2] as number)) facts[at + 2] = timeUs
    if (timeUs > (facts[at + 3] as number)) facts[at + 3] = timeUs
  }

  /** Frees places: what has faded leaves, then the nearest pairs become one. */
  #makeRoom(places: number): void {
    const target = this.#count - places
    const faintest = this.options.faint / this.#scaleNow()
    let kept = 0
    for (let i = 0; i < this.#count; i++) {
      if ((this.#facts[i * FACTS] as number) < faintest) {
        this.#dropped += this.#facts[i * FACTS] as number
        continue
      }
      this.#move(i, kept++)
    }
    this.#count = kept
    if (this.#count > target) this.#joinNear(Number.POSITIVE_INFINITY, this.#count - target)
  }

  /** Joins the nearest pair, of equals the first, again and again, while it is within `bound` and at most `times` times. */
  #joinNear(bound: number, times: number): void {
    const { width } = this.options
    const count = this.#count
    const isGone = new Uint8Array(count)
    const near = new Int32Array(count).fill(-1)
    const distance = new Float64Array(count).fill(Number.POSITIVE_INFINITY)
    const search = (i: number): void => {
      near[i] = -1
      distance[i] = Number.POSITIVE_INFINITY
      for (let j = i + 1; j < count; j++) {
        if (isGone[j] === 1) continue
        const found = squaredDistance(this.#centres, i * width, this.#centres, j * width, width, Math.min(bound, distance[i] as number))
        if (found < (distance[i] as number) && found <= bound) {
          near[i] = j
          distance[i] = found
        }
      }
    }
    for (let i = 0; i < count; i++) search(i)
    for (let time = 0; time < times; time++) {
      let best = -1
      for (let i = 0; i < count; i++) {
        if (isGone[i] === 0 && (near[i] as number) >= 0 && (best < 0 || (distance[i] as number) < (distance[best] as number))) best = i
      }
      if (best < 0) break
      const gone = near[best] as number
      this.#joinClusters(best, gone)
      isGone[gone] = 1
      for (let i = 0; i < count; i++) {
        if (isGone[i] === 1) continue
        if (i === best || near[i] === gone || near[i] === best) search(i)
        else if (i < best) {
          const found = squaredDistance(this.#centres, i * width, this.#centres, best * width, width)
          if (found <= bound && (found < (distance[i] as number) || (found === distance[i] && best < (near[i] as number)))) {
            near[i] = best
            distance[i] = found
          }
        }
      }
    }
    let kept = 0
    for (let i = 0; i < count; i++) if (isGone[i] === 0) this.#move(i, kept++)
    this.#count = kept
  }

  #joinClusters(into: number, gone: number): void {
    const { width } = this.options
    const facts = this.#facts
    const [a, b] = [into * FACTS, gone * FACTS]
    const [before, weight] = [facts[a] as number, facts[b] as number]
    const sum = before + weight
    const share = sum > 0 ? weight / sum : 0
    let squares = 0
    for (let i = 0; i < width; i++) {
      const at = into * width + i
      const difference = (this.#centres[gone * width + i] as number) - (this.#centres[at] as number)
      squares += difference * difference
      this.#centres[at] = (this.#centres[at] as number) + share * difference
    }
    facts[a] = sum
    facts[a + 1] = (facts[a + 1] as number) + (facts[b + 1] as number) + before * share * squares
    facts[a + 2] = Math.min(facts[a + 2] as number, facts[b + 2] as number)
    facts[a + 3] = Math.max(facts[a + 3] as number, facts[b + 3] as number)
    facts[a + NUMBER] = Math.min(facts[a + NUMBER] as number, facts[b + NUMBER] as number)
  }

  #move(from: number, to: number): void {
    if (from === to) return
    const { width } = this.options
    this.#centres.copyWithin(to * width, from * width, (from + 1) * width)
    this.#facts.copyWithin(to * FACTS, from * FACTS, (from + 1) * FACTS)
  }
}

/**
 * One summary of those of several partitions: the union of their clusters, then the nearest pairs within the radius joined until there
 * are none, then as many as fit. Bit-equal whatever the order of the partitions, and whichever snapshots they went through. How points
 * were divided among partitions shows in nothing but rounding as long as every point is within the radius of one centre only and no
 * summary was full; the sum of weights (dropped ones included) and the centre of mass of what is kept never depend on it.
 */
export const mergeAll = (summaries: readonly MicroClusters[]): MicroClusters => MicroClusters.union(summaries)

/** The whole halvings apart from the rest, so that another reference multiplies by a power of two and changes no other bit. */
const powerOfTwo = (exponent: number): number => {
  const whole = Math.floor(exponent)
  return 2 ** (exponent - whole) * 2 ** whole
}

const squaredDistance = (
  left: Float64Array,
  leftAt: number,
  right: Float64Array,
  rightAt: number,
  width: number,
  bound = Number.POSITIVE_INFINITY,
): number => {
  let sum = 0
  for (let i = 0; i < width; i++) {
    const difference = (left[leftAt + i] as number) - (right[rightAt + i] as number)
    sum += difference * difference
    if (sum > bound) return Number.POSITIVE_INFINITY
  }
  return sum
}

/** Orders arrays of equal length by their first different number from the end, or from a place, on. */
const firstDifference = (left: Float64Array, right: Float64Array, end = left.length): number => {
  for (let i = end - 1; i >= 0; i--) if (left[i] !== right[i]) return (left[i] as number) - (right[i] as number)
  return 0
}

const checked = (options: MicroClusterOptions): Required<MicroClusterOptions> => {
  const { width, most, radius, halfLifeUs, faint = 0.5 } = options
  const require = (isRight: boolean, what: string): void => {
    if (!isRight) throw new RangeError(`micro-clusters: ${what}`)
  }
  require(Number.isInteger(width) && width > 0, `width is ${width}, expected a whole number above 0`)
  require(Number.isInteger(most) && most > 1, `most is ${most}, expected a whole number above 1`)
  require(Number.isFinite(radius) && radius > 0, `radius is ${radius}, expected a number above 0`)
  require(halfLifeUs > 0, `halfLifeUs is ${halfLifeUs}, expected a number above 0`)
  require(faint >= 0 && Number.isFinite(faint), `faint is ${faint}, expected 0 or more`)
  return { width, most, radius, halfLifeUs, faint }
}
