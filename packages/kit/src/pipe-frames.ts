// How a command and the tool of a service that it starts hand records to each other over a pipe: 4 bytes of length (little-endian), one
// byte that says what it is, the body.

/** An encoded record, JSON about the work, or rows of a recording (row-frames.ts). */
export const FRAME = { record: 0, about: 1, rows: 2 } as const

export interface Frame {
  readonly kind: number
  readonly body: Buffer
}

export const frameOf = (kind: number, body: Uint8Array): Buffer => {
  const frame = Buffer.allocUnsafe(5 + body.byteLength)
  frame.writeUInt32LE(body.byteLength, 0)
  frame[4] = kind
  frame.set(body, 5)
  return frame
}

/** Frames of a stream, whatever its chunks are. Throws when it ends inside one. */
export async function* framesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= 5) {
      const end = at + 5 + rest.readUInt32LE(at)
      if (end > rest.length) break
      yield { kind: rest[at + 4]!, body: rest.subarray(at + 5, end) }
      at = end
    }
    rest = rest.subarray(at)
  }
  if (rest.length > 0) throw new Error('the pipe ended inside a record')
}
