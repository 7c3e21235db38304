// Strings that repeat - asset ids, units, types - are made once. Decoding a string costs more than decoding the rest of a
// small record, so each field of a decoder remembers the last one, and all of them share one table of short strings.
// Both compare bytes, so a hit is always the right string; the table overwrites, so it never grows.

const slots = 4096
const maxBytes = 32
const keys = new Uint8Array(slots * maxBytes)
/** Bytes of the string in a slot; 0 = empty. */
const lengths = new Uint8Array(slots)
const values: string[] = Array.from({ length: slots }, () => '')

/** Looks at the table pay when half of them find something; otherwise the field goes without for a while. */
const trialMisses = 64
const restReads = 4096

/** Node's own decoder of a range, which its types leave out; avsc and the clients use it, too. */
type Slicing = Buffer & { utf8Slice(start: number, end: number): string }

const decode = (bytes: Buffer, at: number, length: number): string => (bytes as Slicing).utf8Slice(at, at + length)

/** Reads one field's strings. */
export class FieldStrings {
  private slot = 0
  private hits = 0
  private misses = 0
  private rest = 0

  /** The UTF-8 string in bytes[at, at + length), which lie within the buffer. */
  read(bytes: Buffer, at: number, length: number): string {
    const last = this.slot
    if (lengths[last] === length && isSame(bytes, at, length, last * maxBytes)) return values[last] as string
    if (length > maxBytes || length === 0) return length === 0 ? '' : decode(bytes, at, length)
    if (this.rest > 0) {
      this.rest -= 1
      return decode(bytes, at, length)
    }
    return this.look(bytes, at, length)
  }

  private look(bytes: Buffer, at: number, length: number): string {
    let hash = length
    for (let i = 0; i < length; i += 1) hash = (Math.imul(hash, 31) + (bytes[at + i] as number)) | 0
    const slot = (hash ^ (hash >>> 12)) & (slots - 1)
    this.slot = slot
    if (lengths[slot] === length && isSame(bytes, at, length, slot * maxBytes)) {
      this.hits += 1
      return values[slot] as string
    }
    this.misses += 1
    if (this.misses === trialMisses) {
      if (this.hits < trialMisses) this.rest = restReads
      this.hits = 0
      this.misses = 0
    }
    const value = decode(bytes, at, length)
    const base = slot * maxBytes
    for (let i = 0; i < length; i += 1) keys[base + i] = bytes[at + i] as number
    lengths[slot] = length
    values[slot] = value
    return value
  }
}

const isSame = (bytes: Uint8Array, at: number, length: number, base: number): boolean => {
  for (let i = 0; i < length; i += 1) if (keys[base + i] !== bytes[at + i]) return false
  return true
}
