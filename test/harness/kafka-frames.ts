// Where Kafka's frames begin in a stream of bytes: 4 bytes of length, then the frame. Chunks may be cut anywhere.

/** Calls back at the first byte of every frame. */
export class Frames {
  private readonly onFrame: () => void
  private lengthBytes = Buffer.alloc(4)
  private lengthFilled = 0
  private left = 0

  constructor(onFrame: () => void) {
    this.onFrame = onFrame
  }

  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      if (this.left > 0) {
        const skipped = Math.min(this.left, bytes.length - at)
        this.skip(bytes.subarray(at, at + skipped))
        this.left -= skipped
        at += skipped
        continue
      }
      if (this.lengthFilled === 0) this.onFrame()
      const taken = bytes.copy(this.lengthBytes, this.lengthFilled, at, Math.min(bytes.length, at + 4 - this.lengthFilled))
      this.lengthFilled += taken
      at += taken
      if (this.lengthFilled < 4) return
      this.left = Math.max(0, this.lengthBytes.readInt32BE())
      this.lengthFilled = 0
    }
  }

  /** Bytes of a frame's body; subclasses look into them. */
  protected skip(_bytes: Buffer): void {}
}

/** Frames that are requests: calls back with the api key of each. */
export class ApiKeys extends Frames {
  private readonly onApiKey: (apiKey: number) => void
  private head: number[] = []

  constructor(onApiKey: (apiKey: number) => void) {
    super(() => {
      this.head = []
    })
    this.onApiKey = onApiKey
  }

  protected override skip(bytes: Buffer): void {
    for (const byte of bytes) {
      if (this.head.length >= 2) return
      this.head.push(byte)
      if (this.head.length === 2) this.onApiKey(((this.head[0] as number) << 8) | (this.head[1] as number))
    }
  }
}
