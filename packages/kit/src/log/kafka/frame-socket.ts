// Sockets that hand on whole answers. Node gives every read a buffer of its own, and kafkajs joins them: twice the bytes of
// an answer for the garbage collector. Here reads go into one buffer, and from there into one of the answer's size.

import { connect } from 'node:net'
import type { Socket } from 'node:net'

const READ_BYTES = 64 * 1024
const KEEP_ALIVE_DELAY_MS = 60_000
/** More than any broker answers; a peer that speaks another protocol seems to announce such. */
const MOST_FRAME_BYTES = 512 * 1024 * 1024

/** Puts frames - four bytes of length, then as many bytes - together from whatever arrives. */
export class Frames {
  private readonly length = Buffer.alloc(4)
  private lengthAt = 0
  private frame: Buffer | undefined
  private at = 0

  /** Calls `onFrame` with each frame that is complete, its length in front; the bytes may be written over afterwards. */
  take(bytes: Buffer, onFrame: (frame: Buffer) => void): void {
    for (let from = 0; from < bytes.length;) {
      if (!this.frame) {
        while (this.lengthAt < 4 && from < bytes.length) this.length[this.lengthAt++] = bytes[from++]!
        if (this.lengthAt < 4) return
        this.begin(this.length.readInt32BE(0))
      }
      const frame = this.frame!
      const end = Math.min(bytes.length, from + frame.length - this.at)
      bytes.copy(frame, this.at, from, end)
      this.at += end - from
      from = end
      if (this.at < frame.length) return
      this.frame = undefined
      onFrame(frame)
    }
  }

  private begin(bytes: number): void {
    if (bytes < 0 || bytes > MOST_FRAME_BYTES) throw new Error(`An answer of ${bytes} bytes was announced: is this a Kafka broker?`)
    this.frame = Buffer.allocUnsafe(4 + bytes)
    this.length.copy(this.frame)
    this.at = 4
    this.lengthAt = 0
  }
}

/** A plain connection whose `data` events are whole frames. */
export const openFrameSocket = (host: string, port: number, onConnect: () => void): Socket => {
  const frames = new Frames()
  const socket: Socket = connect(
    {
      host,
      port,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (count, buffer) => {
          try {
            frames.take(Buffer.from(buffer.buffer, buffer.byteOffset, count), (frame) => socket.emit('data', frame))
          } catch (error) {
            socket.destroy(error as Error)
          }
          return true
        },
      },
    },
    onConnect,
  )
  socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS)
  return socket
}
