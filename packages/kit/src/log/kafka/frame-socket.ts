// Connections that are read frame by frame, each straight into memory of its size, and over which two ask: we and kafkajs. Node
// by itself gives every read a buffer, and kafkajs joins them: twice the bytes of an answer for the garbage collector.

import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import type { Api } from './protocol-io.ts'
import type { Slabs } from './slabs.ts'

const READ_BYTES = 64 * 1024
const KEEP_ALIVE_DELAY_MS = 60_000
/** More than any broker answers; a peer that speaks another protocol seems to announce such. */
const MOST_FRAME_BYTES = 512 * 1024 * 1024

/** Puts frames - four bytes of length, then as many bytes - together from whatever arrives. */
export class FrameReader {
  private readonly slabs: Slabs
  private readonly onFrame: (frame: Buffer) => void
  /** Short frames, and the beginnings of large ones. */
  private readonly short = Buffer.allocUnsafeSlow(READ_BYTES)
  private shortAt = 0
  private large: Buffer | undefined
  private largeAt = 0

  /** `onFrame` is given each complete frame, its length in front; large ones are lent from the slabs. */
  constructor(slabs: Slabs, onFrame: (frame: Buffer) => void) {
    this.slabs = slabs
    this.onFrame = onFrame
  }

  /** Where the next bytes go; never empty. */
  room(): Buffer {
    return this.large ? this.large.subarray(this.largeAt) : this.short.subarray(this.shortAt)
  }

  /** So many bytes have been written to the room. */
  came(count: number): void {
    if (!this.large) {
      this.split(this.shortAt + count)
      return
    }
    this.largeAt += count
    if (this.largeAt < this.large.length) return
    const frame = this.large
    this.large = undefined
    this.onFrame(frame)
  }

  /** Hands on what lies complete in the first `end` bytes. */
  private split(end: number): void {
    const { short } = this
    let at = 0
    while (end - at >= 4) {
      const bytes = 4 + short.readInt32BE(at)
      if (bytes < 4 || bytes > MOST_FRAME_BYTES) throw new Error(`An answer of ${bytes - 4} bytes was announced: is this a Kafka broker?`)
      if (end - at < bytes) {
        if (bytes > short.length) this.begin(bytes, at, end)
        break
      }
      this.onFrame(Buffer.from(short.subarray(at, at + bytes)))
      at += bytes
    }
    this.shortAt = this.large ? 0 : short.copy(short, 0, at, end)
  }

  private begin(bytes: number, from: number, to: number): void {
    this.large = this.slabs.take(bytes)
    this.largeAt = this.short.copy(this.large, 0, from, to)
  }
}

interface Waiting {
  resolve(answer: Buffer): void
  reject(error: Error): void
}

/** Our requests on a socket. Their numbers are below zero; kafkajs counts from zero up. */
export class Exchange {
  private readonly waiting = new Map<number, Waiting>()
  private readonly socket: Socket
  private last = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Sends a request; the answer's body. Rejects when the connection ends before. */
  ask(api: Api, clientId: string, body: Buffer): Promise<Buffer> {
    const { socket } = this
    if (socket.destroyed || !socket.writable) return Promise.reject(new Error('The connection has ended'))
    this.last = this.last === -0x80000000 ? -1 : this.last - 1
    const number = this.last
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject })
      socket.cork()
      socket.write(requestHead(api, number, clientId, body.length))
      socket.write(body)
      socket.uncork()
    })
  }

  /** True if the frame answers one of ours, also one that nobody waits for any more. */
  answer(frame: Buffer): boolean {
    if (frame.length < 8 || frame[4]! < 0x80) return false
    const number = frame.readInt32BE(4)
    this.waiting.get(number)?.resolve(frame.subarray(8))
    this.waiting.delete(number)
    return true
  }

  /** Nothing that was asked will be answered. */
  end(error: Error): void {
    for (const waiting of this.waiting.values()) waiting.reject(error)
    this.waiting.clear()
  }
}

/** Size of a request, its key and version, its number, and who asks. */
const requestHead = ([key, version]: Api, number: number, clientId: string, bodyBytes: number): Buffer => {
  const nameBytes = Buffer.byteLength(clientId)
  const head = Buffer.allocUnsafe(14 + nameBytes)
  head.writeInt32BE(10 + nameBytes + bodyBytes, 0)
  head.writeInt16BE(key, 4)
  head.writeInt16BE(version, 6)
  head.writeInt32BE(number, 8)
  head.writeInt16BE(nameBytes, 12)
  head.write(clientId, 14)
  return head
}

const exchanges = new WeakMap<object, Exchange>()

/** Of a socket that was opened here. */
export const exchangeOn = (socket: Socket): Exchange | undefined => exchanges.get(socket)

export interface Target {
  readonly host: string
  readonly port: number
  readonly ssl?: ConnectionOptions | boolean | undefined
  readonly onConnect: () => void
}

/** A connection whose `data` events are the whole frames that answer none of our own requests. */
export const openFrameSocket = ({ host, port, ssl, onConnect }: Target, slabs: Slabs): Socket => {
  const reader = new FrameReader(slabs, (frame) => {
    if (!exchange.answer(frame)) socket.emit('data', frame)
  })
  const onread = {
    buffer: () => reader.room(),
    callback: (count: number): boolean => {
      try {
        reader.came(count)
      } catch (error) {
        socket.destroy(error as Error)
      }
      return true
    },
  }
  const target = { host, port, onread }
  const named = isIP(host) ? {} : { servername: host }
  const socket: Socket = ssl ? connectTls({ ...target, ...named, ...(ssl === true ? {} : ssl) }, onConnect) : connect(target, onConnect)
  const exchange = new Exchange(socket)
  exchanges.set(socket, exchange)
  socket.once('close', () => exchange.end(new Error(`The connection to ${host}:${port} ended before the answer`)))
  socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS)
  return socket
}
