// Words that come again and again in a column (assets, channels, quality): bytes → a small number, without making a string each time. Pure.

const emptySlot = -1

/** Numbers words 0, 1, 2… in the order of their first appearance, up to a bound. */
export class ByteNames {
  readonly #bound: number
  readonly #names: string[] = []
  readonly #bytes: Buffer[] = []
  #slots = new Int32Array(64).fill(emptySlot)
  #last = emptySlot

  constructor(bound: number) {
    this.#bound = bound
  }

  get size(): number {
    return this.#names.length
  }

  name(index: number): string {
    return this.#names[index]!
  }

  /** The number of the word at bytes[from..to); -1 when it is new and the bound is reached. */
  indexOf(bytes: Buffer, from: number, to: number): number {
    if (this.#last !== emptySlot && this.#equals(this.#last, bytes, from, to)) return this.#last
    let hash = 0x811c9dc5
    for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
    let slot = this.#slotOf(hash)
    for (let index = this.#slots[slot]!; index !== emptySlot; index = this.#slots[slot]!) {
      if (this.#equals(index, bytes, from, to)) return (this.#last = index)
      slot = (slot + 1) & (this.#slots.length - 1)
    }
    if (this.#names.length === this.#bound) return -1
    const index = this.#names.length
    const word = Buffer.from(bytes.subarray(from, to))
    this.#bytes.push(word)
    this.#names.push(word.toString('utf8'))
    this.#slots[slot] = index
    if (this.#names.length * 2 > this.#slots.length) this.#grow()
    return (this.#last = index)
  }

  #slotOf(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1)
  }

  #equals(index: number, bytes: Buffer, from: number, to: number): boolean {
    const word = this.#bytes[index]!
    if (word.length !== to - from) return false
    for (let at = 0; at < word.length; at++) if (word[at] !== bytes[from + at]) return false
    return true
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(emptySlot)
    this.#bytes.forEach((word, index) => {
      let hash = 0x811c9dc5
      for (const byte of word) hash = Math.imul(hash ^ byte, 0x01000193)
      let slot = this.#slotOf(hash)
      while (this.#slots[slot] !== emptySlot) slot = (slot + 1) & (this.#slots.length - 1)
      this.#slots[slot] = index
    })
  }
}
