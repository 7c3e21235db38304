// Lists that repeat from record to record - channels, units, nothing withheld - are made once. Each list of a decoder remembers the
// last one that it read. It compares bytes, and no encoded list begins with another one, so a hit is always the right list.

const MOST_BYTES = 64
/** After so many lists in a row that were new, the next ones are not remembered. */
const TRIAL_MISSES = 64
const REST_READS = 4096

export class LastList {
  /** Bytes of the encoded list; 0 = none yet. */
  length = 0
  /** Frozen: it belongs to all who were given it. */
  value: readonly unknown[] = []
  private readonly bytes = new Uint8Array(MOST_BYTES)
  private misses = 0

  /** Whether the list is what lies at bytes[at]. */
  isAt(bytes: Uint8Array, at: number): boolean {
    const { length } = this
    for (let i = 0; i < length; i += 1) if (bytes[at + i] !== this.bytes[i]) return false
    if (length === 0) return false
    this.misses = 0
    return true
  }

  /** `value` was read from bytes[from, to). */
  keep(bytes: Uint8Array, from: number, to: number, value: readonly unknown[]): void {
    const length = to - from
    if (length > MOST_BYTES || to > bytes.length) return
    this.misses += 1
    if (this.misses > TRIAL_MISSES) {
      if (this.misses > REST_READS) this.misses = 0
      return
    }
    for (let i = 0; i < length; i += 1) this.bytes[i] = bytes[from + i] as number
    this.length = length
    this.value = Object.freeze(value)
  }
}
