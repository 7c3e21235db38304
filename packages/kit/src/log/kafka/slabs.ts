// Large buffers that are written to again: memory that a process touches for the first time costs more than all that is done
// with it afterwards, and the garbage collector runs whenever enough of it was thrown away. Free ones are held weakly.

export class Slabs {
  private readonly leastBytes: number
  private readonly mostFree: number
  private free: WeakRef<Buffer>[] = []
  /** Memory that is lent: only that can be given back, and once. */
  private readonly lent = new WeakMap<ArrayBufferLike, Buffer>()

  /** Less than `leastBytes` is simply allocated. */
  constructor(leastBytes: number, mostFree: number) {
    this.leastBytes = leastBytes
    this.mostFree = mostFree
  }

  /** So many bytes with anything in them, at the start of their memory. Whoever never gives them back has them for good. */
  take(bytes: number): Buffer {
    if (bytes < this.leastBytes) return Buffer.allocUnsafeSlow(bytes)
    const slab = this.fitting(bytes) ?? Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)))
    this.lent.set(slab.buffer, slab)
    return slab.subarray(0, bytes)
  }

  /** Takes back what this is a view of, if that was lent; from here on nobody may look at it. */
  giveBack(view: { readonly buffer: ArrayBufferLike }): void {
    const slab = this.lent.get(view.buffer)
    if (!slab) return
    this.lent.delete(view.buffer)
    this.free.push(new WeakRef(slab))
    if (this.free.length > this.mostFree) this.free.shift()
  }

  private fitting(bytes: number): Buffer | undefined {
    for (let i = this.free.length - 1; i >= 0; i--) {
      const slab = this.free[i]!.deref()
      if (slab && slab.length < bytes) continue
      this.free.splice(i, 1)
      if (slab) return slab
    }
    return undefined
  }
}
