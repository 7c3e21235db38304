// Short texts that come again and again in a log - keys, types, lanes - as one string each: bytes that were seen before
// are compared, not decoded. Bounded: a newer text takes the place of an older one with the same slot.

const SLOTS = 4096
const MOST_BYTES = 24

export class TextCache {
  private readonly texts: string[] = Array.from({ length: SLOTS }, () => '')
  private readonly lengths = new Uint8Array(SLOTS)
  private readonly bytes = new Uint8Array(SLOTS * MOST_BYTES)

  /** The UTF-8 text in [from, from + length). */
  text(buffer: Buffer, from: number, length: number): string {
    if (length > MOST_BYTES || length === 0) return buffer.toString('utf8', from, from + length)
    let hash = length
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ buffer[from + i]!, 0x01000193)
    const slot = (hash ^ (hash >>> 13)) & (SLOTS - 1)
    const at = slot * MOST_BYTES
    const { bytes } = this
    if (this.lengths[slot] === length) {
      let i = 0
      while (i < length && bytes[at + i] === buffer[from + i]) i++
      if (i === length) return this.texts[slot]!
    }
    const text = buffer.toString('utf8', from, from + length)
    for (let i = 0; i < length; i++) bytes[at + i] = buffer[from + i]!
    this.lengths[slot] = length
    this.texts[slot] = text
    return text
  }
}
