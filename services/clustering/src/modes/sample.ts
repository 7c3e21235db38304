// A bounded sample of an endless stream of rows: so many of every group (a regime, a fault mode, the novel ones), so that a rare state is
// not crowded out. Which rows stay depends on their ids, times and groups alone: not on a clock, nor on the order in which they came, nor on
// how they were divided among partitions, so samples of partitions merge exactly.

import type { Matrix } from '../matrix.ts'

export interface SampleOptions {
  readonly width: number
  /** Most rows of one group. */
  readonly quota: number
  /** Other quotas, by group: the novel rows, of which nobody knows yet how many modes they are. */
  readonly quotas?: Readonly<Record<string, number>>
  /** Most groups; when one more comes, the one whose newest row is the oldest leaves. */
  readonly mostGroups: number
  /**
   * `decayed`: each row with a chance that halves with every half-life of its age (Infinity: all alike); `newest`: the newest rows.
   */
  readonly keep: 'newest' | { readonly halfLifeUs: number }
}

export interface SampleRow {
  readonly rowId: string
  readonly group: string
  readonly timeUs: number
  readonly values: Float64Array
}

interface Kept extends SampleRow {
  readonly rank: number
}

/** Plain data; pack it with `toPackedJson`. */
export interface SampleState {
  readonly version: 1
  readonly rowIds: readonly string[]
  /** Names of groups, and per row the place of its group. */
  readonly groups: readonly string[]
  readonly groupOf: readonly number[]
  readonly timesUs: Float64Array
  readonly values: Float64Array
}

interface Group {
  readonly rows: Map<string, Kept>
  newestUs: number
  /** The row that leaves next; undefined when it is not known. */
  last: Kept | undefined
}

export class Sample {
  readonly options: SampleOptions
  readonly #groups = new Map<string, Group>()

  constructor(options: SampleOptions, state?: SampleState) {
    const { width, quota, quotas, mostGroups, keep } = options
    for (const [name, count] of Object.entries({ ...quotas, width, quota, mostGroups })) {
      if (!Number.isInteger(count) || count < 1) throw new RangeError(`a sample's ${name} is ${count}, expected a whole number above 0`)
    }
    if (keep !== 'newest' && !(keep.halfLifeUs > 0))
      throw new RangeError(`a sample's half-life is ${keep.halfLifeUs}, expected a number above 0`)
    this.options = options
    if (state === undefined) return
    if (state.version !== 1) throw new RangeError(`a sample of version ${String(state.version)}, expected 1`)
    state.rowIds.forEach((rowId, i) => {
      const group = state.groups[state.groupOf[i] as number] as string
      this.offer({ rowId, group, timeUs: state.timesUs[i] as number, values: state.values.subarray(i * width, (i + 1) * width) })
    })
  }

  get rows(): number {
    let rows = 0
    for (const group of this.#groups.values()) rows += group.rows.size
    return rows
  }

  /** Copies a row that stays and says whether it does. A row that is there already, by its id, changes nothing. */
  offer({ rowId, group: name, timeUs, values }: SampleRow): boolean {
    const { width, quota, quotas, mostGroups } = this.options
    if (values.length !== width) throw new RangeError(`row ${rowId} has ${values.length} numbers, expected ${width}`)
    if (!Number.isFinite(timeUs)) throw new RangeError(`the time of row ${rowId} is ${timeUs}, expected a finite number`)
    const group = this.#groups.get(name) ?? { rows: new Map<string, Kept>(), newestUs: Number.NEGATIVE_INFINITY, last: undefined }
    this.#groups.set(name, group)
    if (timeUs > group.newestUs) group.newestUs = timeUs
    if (this.#groups.size > mostGroups && this.#dropStalest() === name) return false
    if (group.rows.has(rowId)) return false
    const kept = { rowId, group: name, timeUs, rank: this.#rankOf(rowId, timeUs) }
    if (group.rows.size === (quotas?.[name] ?? quota)) {
      const last = (group.last ??= lastOf(group.rows))
      if (!isBefore(kept, last)) return false
      group.rows.delete(last.rowId)
    }
    group.last = undefined
    group.rows.set(rowId, { ...kept, values: values.slice() })
    return true
  }

  /** Takes in the rows of another sample of the same kind. */
  merge(other: Sample): void {
    for (const row of other.all()) this.offer(row)
  }

  /** All rows, ordered by group and id. */
  all(): SampleRow[] {
    return [...this.#groups.keys()].toSorted(byText).flatMap((name) => {
      const { rows } = this.#groups.get(name) as Group
      return [...rows.values()].toSorted((a, b) => byText(a.rowId, b.rowId))
    })
  }

  /** The rows as points to cluster, in the order of `all`. */
  points(): { readonly matrix: Matrix; readonly rows: readonly SampleRow[] } {
    const { width } = this.options
    const rows = this.all()
    const values = new Float64Array(rows.length * width)
    rows.forEach((row, i) => values.set(row.values, i * width))
    return { matrix: { values, rows: rows.length, width }, rows }
  }

  state(): SampleState {
    const { matrix, rows } = this.points()
    const groups = [...new Set(rows.map(({ group }) => group))]
    const place = new Map(groups.map((group, i) => [group, i]))
    return {
      version: 1,
      rowIds: rows.map(({ rowId }) => rowId),
      groups,
      groupOf: rows.map(({ group }) => place.get(group) as number),
      timesUs: Float64Array.from(rows, ({ timeUs }) => timeUs),
      values: matrix.values,
    }
  }

  /** The lowest ranks stay. An exponential race: the winner's chance is its weight, whatever moment ages are counted from. */
  #rankOf(rowId: string, timeUs: number): number {
    const { keep } = this.options
    if (keep === 'newest') return -timeUs
    return Math.log2(-Math.log(uniformOf(rowId))) - timeUs / keep.halfLifeUs
  }

  #dropStalest(): string {
    let stalest: string | undefined
    let stalestUs = Number.POSITIVE_INFINITY
    for (const [name, { newestUs }] of this.#groups) {
      if (stalest === undefined || newestUs < stalestUs || (newestUs === stalestUs && byText(stalest, name) < 0)) {
        stalest = name
        stalestUs = newestUs
      }
    }
    this.#groups.delete(stalest as string)
    return stalest as string
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const isBefore = (a: Omit<Kept, 'values'>, b: Kept): boolean => a.rank < b.rank || (a.rank === b.rank && a.rowId < b.rowId)

const lastOf = (rows: ReadonlyMap<string, Kept>): Kept => {
  let last: Kept | undefined
  for (const row of rows.values()) if (last === undefined || isBefore(last, row)) last = row
  return last as Kept
}

/** In (0, 1) by the text alone: two multiplicative hashes of 32 bits, the same in every process. */
const uniformOf = (text: string): number => {
  let a = 0xdead_beef
  let b = 0x41c6_ce57
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e37_79b1)
    b = Math.imul(b ^ unit, 0x5f35_6495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85eb_ca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2_ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85eb_ca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2_ae35)
  return ((a >>> 5) * 2 ** 26 + (b >>> 6) + 0.5) / 2 ** 53
}
