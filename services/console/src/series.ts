// Recent feature values per asset for the trend: bounded rings, filled from predictions, oldest windows fall out.

export interface SeriesPoint {
  readonly timeUs: number
  readonly ratio: number
}

/** One asset's recent windows, columns per feature. `capacity` windows are kept. */
export class AssetSeries {
  readonly capacity: number
  names: readonly string[] = []
  private times: Float64Array
  private ratios: Float64Array
  private columns: Float64Array[] = []
  private used = 0
  private head = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.times = new Float64Array(capacity)
    this.ratios = new Float64Array(capacity)
  }

  /** Appends a window. Another set of names starts afresh; an older or equal time replaces nothing and is ignored unless it is the newest (a revision). */
  add(timeUs: number, names: readonly string[], values: Float64Array, ratio: number): void {
    if (names.length !== this.names.length || names.some((name, i) => name !== this.names[i])) {
      this.names = names
      this.columns = names.map(() => new Float64Array(this.capacity))
      this.used = 0
      this.head = 0
    }
    const newest = this.newestUs()
    if (newest !== null && timeUs < newest) return
    const at = newest === timeUs ? (this.head - 1 + this.capacity) % this.capacity : this.head
    this.times[at] = timeUs
    this.ratios[at] = ratio
    for (let i = 0; i < this.columns.length; i++) (this.columns[i] as Float64Array)[at] = values[i] ?? Number.NaN
    if (newest === timeUs) return
    this.head = (this.head + 1) % this.capacity
    this.used = Math.min(this.used + 1, this.capacity)
  }

  newestUs(): number | null {
    return this.used === 0 ? null : (this.times[(this.head - 1 + this.capacity) % this.capacity] as number)
  }

  newestRatio(): number | null {
    return this.used === 0 ? null : finite(this.ratios[(this.head - 1 + this.capacity) % this.capacity])
  }

  /** Evidence of the last `count` windows, oldest first; null where none was scored. */
  recentRatios(count: number): (number | null)[] {
    const kept = Math.min(count, this.used)
    return Array.from({ length: kept }, (_, i) => finite(this.ratios[(this.head - kept + i + this.capacity) % this.capacity]))
  }

  /** Windows of one feature from `fromUs` on, oldest first; NaN becomes null (a gap). */
  read(feature: string, fromUs: number): { timesUs: number[]; values: (number | null)[]; ratios: (number | null)[] } {
    const column = this.columns[this.names.indexOf(feature)]
    const timesUs: number[] = []
    const values: (number | null)[] = []
    const ratios: (number | null)[] = []
    for (let i = 0; i < this.used; i++) {
      const at = (this.head - this.used + i + this.capacity) % this.capacity
      const timeUs = this.times[at] as number
      if (timeUs < fromUs) continue
      timesUs.push(timeUs)
      values.push(column ? finite(column[at]) : null)
      ratios.push(finite(this.ratios[at]))
    }
    return { timesUs, values, ratios }
  }
}

const finite = (value: number | undefined): number | null => (value !== undefined && Number.isFinite(value) ? value : null)
