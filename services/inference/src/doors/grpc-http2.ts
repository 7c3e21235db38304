// HTTP/2 (RFC 9113) for the gRPC door, the server's side of one connection: frames in and out, flow control both ways, and limits on
// what a peer can make it hold. An answer leaves in one write: headers, message and trailers together. ADR 12 says why it is here.

import type { Socket } from 'node:net'
import { HpackDecoder, HpackError } from './grpc-hpack.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
export const FRAME_HEADER = 9
const DATA = 0
const HEADERS = 1
const PRIORITY = 2
const RST_STREAM = 3
const SETTINGS = 4
const PUSH_PROMISE = 5
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
const CONTINUATION = 9
const END_STREAM = 0x1
const ACK = 0x1
const END_HEADERS = 0x4
const PADDED = 0x8
const HAS_PRIORITY = 0x20

const NO_ERROR = 0
const PROTOCOL_ERROR = 1
const FLOW_CONTROL_ERROR = 3
const STREAM_CLOSED = 5
const FRAME_SIZE_ERROR = 6
const REFUSED_STREAM = 7
const COMPRESSION_ERROR = 9
const ENHANCE_YOUR_CALM = 11

/** The protocol's own: nobody may send longer frames than this until told otherwise. */
const MAX_FRAME_BYTES = 16_384
const FIRST_WINDOW_BYTES = 65_535
const MOST_WINDOW_BYTES = 0x7fffffff
/** What a peer may send on a stream before it is told that more may come. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024
const CONNECTION_WINDOW_BYTES = 256 * 1024 * 1024
const MOST_STREAMS = 1024
/** Streams that were cut off while the peer was sending, and about which what still comes is no fault of it. */
const MOST_CUT_OFF = 1024
const MOST_HEADER_BLOCK_BYTES = 64 * 1024
const MOST_HEADER_LIST_BYTES = 16 * 1024
/** Frames that ask for work and bring none, with no answer sent in between. */
const MOST_NUISANCES = 10_000
/** Streams that a peer may open and reset at once, and in each second after those; an answered one is one more. */
const MOST_RESETS = 1000
const RESETS_PER_S = 33
/** What is kept for a socket that takes nothing, of frames that only answer frames. */
const MOST_CONTROL_BYTES = 1024 * 1024
/** How long a peer that is sent away may take to read why. */
const LAST_WORDS_MS = 1_000
/** A message up to this is copied behind its headers; a larger one is written from where it is. */
const MOST_COPIED_BYTES = 64 * 1024

/** What is told about one stream. Nothing comes after `reset`. */
export interface StreamListener {
  /** A view of what was received; true when it, or a part of it, is kept: otherwise its memory is given back at once. */
  data(chunk: Buffer): boolean
  /** The peer sends no more. */
  end(): void
  /** The peer gave up, or the connection ended. */
  reset(): void
  /** What was written has left. */
  drained(): void
}

export interface Http2Options {
  readonly onStream: (stream: Http2Stream, headers: ReadonlyMap<string, string>, isTooLarge: boolean) => StreamListener
  /** The peer has shown that it speaks HTTP/2. */
  readonly onSettings: () => void
  readonly onClose: () => void
}

class ConnectionError extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export class Http2Stream {
  readonly id: number
  readonly #connection: Http2Connection
  /** Bytes the peer may still be sent. */
  sendWindow: number
  /** Bytes received and not yet given back to the peer's window. */
  received = 0
  isRemoteClosed = false
  isLocalClosed = false
  listener: StreamListener | undefined
  /** Waiting for a window. */
  readonly #waiting: Buffer[] = []
  #trailers: Buffer | undefined
  /** Bytes of messages that have not been handed to the socket. */
  unsent = 0

  constructor(connection: Http2Connection, id: number, sendWindow: number) {
    this.#connection = connection
    this.id = id
    this.sendWindow = sendWindow
  }

  /**
   * Headers, when there are any, then bytes of messages, then trailers, which end the stream. Each is optional. With `hasRoom` the only
   * buffer has FRAME_HEADER bytes in front of it that are nobody's: what can leave at once is framed there, without a copy.
   */
  send(headers: Buffer | undefined, data: readonly Buffer[], trailers: Buffer | undefined, hasRoom = false): void {
    if (this.isLocalClosed || this.#trailers !== undefined) return
    const connection = this.#connection
    if (headers !== undefined) connection.frame(HEADERS, END_HEADERS, this.id, headers)
    const length = hasRoom ? data[0]!.length : Infinity
    const isAtOnce = this.#waiting.length === 0 && !connection.isFull
    if (isAtOnce && length <= Math.min(this.sendWindow, connection.sendWindow, connection.maxFrameBytes)) {
      connection.dataInPlace(this.id, data[0]!)
      this.sendWindow -= length
      connection.sendWindow -= length
    } else this.#queue(data)
    this.#trailers = trailers
    this.pump()
  }

  #queue(data: readonly Buffer[]): void {
    for (const each of data) {
      this.#waiting.push(each)
      this.unsent += each.length
      this.#connection.unsent += each.length
    }
  }

  /** A whole answer that has nothing but its headers, such as an error. */
  sendOnly(headers: Buffer): void {
    if (this.isLocalClosed) return
    this.drop()
    this.#connection.frame(HEADERS, END_HEADERS | END_STREAM, this.id, headers)
    this.#closeLocal()
  }

  /** Sends what the windows allow. */
  pump(): void {
    const connection = this.#connection
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!
      const room = Math.min(next.length, this.sendWindow, connection.sendWindow, connection.maxFrameBytes)
      if (connection.isFull || (room <= 0 && next.length > 0)) {
        connection.blocked.add(this)
        return
      }
      connection.data(this.id, room === next.length ? next : next.subarray(0, room))
      if (room === next.length) this.#waiting.shift()
      else this.#waiting[0] = next.subarray(room)
      this.sendWindow -= room
      connection.sendWindow -= room
      this.unsent -= room
      connection.unsent -= room
    }
    connection.blocked.delete(this)
    if (this.#trailers !== undefined && !this.isLocalClosed) {
      connection.frame(HEADERS, END_HEADERS | END_STREAM, this.id, this.#trailers)
      this.#closeLocal()
    } else if (this.unsent === 0) connection.whenFlushed(this)
  }

  /** Gives what was received back to the peer's window. */
  credit(): void {
    if (this.received === 0 || this.isRemoteClosed || this.isLocalClosed) return
    this.#connection.windowUpdate(this.id, this.received)
    this.received = 0
  }

  /** Forgets what waits. */
  drop(): void {
    this.#waiting.length = 0
    this.#connection.unsent -= this.unsent
    this.unsent = 0
    this.#connection.blocked.delete(this)
  }

  reset(code: number): void {
    if (this.isLocalClosed && this.isRemoteClosed) return
    this.#connection.resetStream(this, code)
  }

  #closeLocal(): void {
    this.isLocalClosed = true
    this.#connection.answered()
    // The peer may still be sending what nobody will read.
    if (!this.isRemoteClosed) this.#connection.resetStream(this, NO_ERROR)
    else this.#connection.forget(this)
  }
}

export class Http2Connection {
  readonly #socket: Socket
  readonly #options: Http2Options
  readonly #hpack = new HpackDecoder(MOST_HEADER_LIST_BYTES)
  readonly #streams = new Map<number, Http2Stream>()
  readonly blocked = new Set<Http2Stream>()
  sendWindow = FIRST_WINDOW_BYTES
  maxFrameBytes = MAX_FRAME_BYTES
  /** Bytes of messages that wait for a window. */
  unsent = 0
  #peerStreamWindow = FIRST_WINDOW_BYTES
  #received = 0
  #lastId = 0
  #isClosing = false
  #isClosed = false
  #nuisances = 0
  #idleSinceMs = performance.now()
  #resets = 0
  #resetMs = 0
  /** Streams that were reset here; older ones that are forgotten lie below the second. */
  readonly #cutOff = new Set<number>()
  #forgottenBelow = 0

  /** What has been read and is not yet a whole frame; the payload of a DATA frame is passed on as it comes. */
  #rest: Buffer | undefined
  #preface = 0
  #dataLeft = 0
  #dataStream: Http2Stream | undefined
  #dataFlags = 0
  /** Somebody holds a view of what was read last. */
  #isKept = false
  #padding = 0
  /** A header block whose end has not come. */
  #block: { readonly id: number; readonly flags: number; readonly parts: Buffer[]; bytes: number } | undefined

  #out: Buffer[] = []
  #outBytes = 0
  #isScheduled = false
  #isFull = false
  readonly #flushing = new Set<Http2Stream>()

  constructor(socket: Socket, options: Http2Options) {
    this.#socket = socket
    this.#options = options
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('drain', () => this.#drained())
    socket.on('error', () => this.#close())
    socket.on('close', () => this.#close())
    socket.on('end', () => this.#close())
    const settings = Buffer.alloc(18)
    setting(settings, 0, 3, MOST_STREAMS)
    setting(settings, 6, 4, STREAM_WINDOW_BYTES)
    setting(settings, 12, 6, MOST_HEADER_LIST_BYTES)
    this.frame(SETTINGS, 0, 0, settings)
    this.windowUpdate(0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES)
  }

  /** Takes no new streams; ends when the present ones have ended. */
  close(): void {
    if (this.#isClosed || this.#isClosing) return
    this.#isClosing = true
    this.#goAway(NO_ERROR)
    if (this.#streams.size === 0) this.#end()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#close()
  }

  /** Since when there has been no stream; Infinity while there is one. */
  get idleSinceMs(): number {
    return this.#streams.size === 0 ? this.#idleSinceMs : Infinity
  }

  /** Open streams. */
  get streams(): number {
    return this.#streams.size
  }

  /** Bytes of messages that have not left this process. */
  get pendingBytes(): number {
    return this.unsent + this.#outBytes + this.#socket.writableLength
  }

  get isFull(): boolean {
    return this.#isFull
  }

  /** A stream was answered: what the peer asks for is real work. */
  answered(): void {
    this.#nuisances = 0
    if (this.#resets > 0) this.#resets--
  }

  /** Opening streams and resetting them costs the peer less than us (CVE-2023-44487). */
  #countReset(): void {
    const nowMs = performance.now()
    this.#resets = Math.max(0, this.#resets - ((nowMs - this.#resetMs) / 1000) * RESETS_PER_S) + 1
    this.#resetMs = nowMs
    if (this.#resets > MOST_RESETS) throw new ConnectionError(ENHANCE_YOUR_CALM, 'streams that are opened and reset')
  }

  frame(type: number, flags: number, id: number, payload: Buffer): void {
    const bytes = Buffer.allocUnsafe(FRAME_HEADER + payload.length)
    frameHeader(bytes, payload.length, type, flags, id)
    payload.copy(bytes, FRAME_HEADER)
    this.#push(bytes)
  }

  data(id: number, payload: Buffer): void {
    this.#nuisances = 0
    const header = Buffer.allocUnsafe(FRAME_HEADER)
    frameHeader(header, payload.length, DATA, 0, id)
    this.#push(header)
    this.#push(payload)
  }

  /** As `data`, with the header in the bytes that stand in front of the payload. */
  dataInPlace(id: number, payload: Buffer): void {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset - FRAME_HEADER, FRAME_HEADER + payload.length)
    frameHeader(bytes, payload.length, DATA, 0, id)
    this.#push(bytes)
  }

  windowUpdate(id: number, bytes: number): void {
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(bytes, 0)
    this.frame(WINDOW_UPDATE, 0, id, payload)
  }

  /** Tells the stream once what it has written has gone to the socket and the socket takes more. */
  whenFlushed(stream: Http2Stream): void {
    this.#flushing.add(stream)
    this.#schedule()
  }

  resetStream(stream: Http2Stream, code: number): void {
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(code, 0)
    this.frame(RST_STREAM, 0, stream.id, payload)
    if (!stream.isRemoteClosed) this.#rememberCutOff(stream.id)
    stream.isLocalClosed = true
    stream.isRemoteClosed = true
    this.forget(stream)
  }

  #rememberCutOff(id: number): void {
    this.#cutOff.add(id)
    if (this.#cutOff.size <= MOST_CUT_OFF) return
    const [oldest] = this.#cutOff
    this.#cutOff.delete(oldest!)
    this.#forgottenBelow = Math.max(this.#forgottenBelow, oldest! + 1)
  }

  /** What the peer sends on a stream that it has ended, or never opened. */
  #onClosed(id: number, what: string): void {
    if (!this.#cutOff.has(id) && id >= this.#forgottenBelow)
      throw new ConnectionError(STREAM_CLOSED, `${what} on stream ${id}, which is closed`)
    this.#nuisance()
  }

  /** A fault of one stream: it ends, the others go on. */
  #break(stream: Http2Stream, code: number): void {
    this.#countReset() // as well as by the peer itself: it is the cheaper way
    this.resetStream(stream, code)
    stream.listener?.reset()
  }

  forget(stream: Http2Stream): void {
    stream.drop()
    this.#flushing.delete(stream)
    this.#streams.delete(stream.id)
    if (this.#streams.size === 0) this.#idleSinceMs = performance.now()
    if (this.#dataStream === stream) this.#dataStream = undefined
    if (this.#isClosing && this.#streams.size === 0) this.#end()
  }

  // Writing. What is produced in one turn leaves in one write.

  #push(bytes: Buffer): void {
    if (this.#isClosed) return
    this.#out.push(bytes)
    this.#outBytes += bytes.length
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull) return
    this.#isScheduled = true
    process.nextTick(() => this.#flush())
  }

  #flush(): void {
    this.#isScheduled = false
    if (this.#isClosed) return
    const out = this.#out
    if (out.length > 0) {
      const bytes = this.#outBytes
      this.#out = []
      this.#outBytes = 0
      if (out.length === 1) this.#isFull = !this.#socket.write(out[0]!)
      else if (bytes <= MOST_COPIED_BYTES) this.#isFull = !this.#socket.write(Buffer.concat(out, bytes))
      else {
        this.#socket.cork()
        for (const each of out) this.#isFull = !this.#socket.write(each)
        this.#socket.uncork()
      }
    }
    if (!this.#isFull) this.#tellFlushed()
  }

  #drained(): void {
    this.#isFull = false
    this.#unblock()
    if (this.#out.length > 0) this.#flush()
    else this.#tellFlushed()
  }

  #tellFlushed(): void {
    if (this.#flushing.size === 0) return
    const streams = [...this.#flushing]
    this.#flushing.clear()
    for (const stream of streams) stream.listener?.drained()
  }

  #end(): void {
    this.#flush()
    this.#socket.end()
  }

  #goAway(code: number): void {
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(this.#lastId, 0)
    payload.writeUInt32BE(code, 4)
    this.frame(GOAWAY, 0, 0, payload)
  }

  #close(): void {
    this.#socket.destroy()
    this.#ended()
  }

  #ended(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const stream of Array.from(this.#streams.values())) {
      stream.isLocalClosed = true
      stream.isRemoteClosed = true
      stream.drop()
      stream.listener?.reset()
    }
    this.#streams.clear()
    this.#options.onClose()
  }

  // Reading.

  #read(chunk: Buffer): void {
    if (this.#isClosed) return
    this.#isKept = false
    try {
      this.#parse(chunk)
      if (!this.#isKept) giveBack(chunk)
    } catch (error) {
      const code = error instanceof ConnectionError ? error.code : error instanceof HpackError ? COMPRESSION_ERROR : undefined
      if (code === undefined) throw error
      this.#goAway(code)
      this.#flush()
      const late = setTimeout(() => this.#socket.destroy(), LAST_WORDS_MS)
      late.unref()
      this.#socket.once('close', () => clearTimeout(late))
      this.#socket.end(() => this.#socket.destroy())
      this.#ended()
      return
    }
    if (this.#received > CONNECTION_WINDOW_BYTES / 2) {
      this.windowUpdate(0, this.#received)
      this.#received = 0
    }
  }

  #parse(chunk: Buffer): void {
    let bytes = chunk
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    let at = 0
    if (this.#preface < PREFACE.length) {
      if (bytes.length < PREFACE.length) {
        if (bytes.compare(PREFACE, 0, bytes.length) !== 0) throw new ConnectionError(PROTOCOL_ERROR, 'no preface of HTTP/2')
        this.#rest = Buffer.from(bytes)
        return
      }
      if (bytes.compare(PREFACE, 0, PREFACE.length, 0, PREFACE.length) !== 0)
        throw new ConnectionError(PROTOCOL_ERROR, 'no preface of HTTP/2')
      this.#preface = PREFACE.length
      at = PREFACE.length
    }
    while (!this.#isClosed) {
      if (this.#dataLeft > 0) {
        if (at >= bytes.length) return
        at += this.#readData(bytes, at)
        continue
      }
      if (bytes.length - at < FRAME_HEADER) break
      const length = bytes.readUIntBE(at, 3)
      const type = bytes[at + 3]!
      const flags = bytes[at + 4]!
      const id = bytes.readUInt32BE(at + 5) & 0x7fffffff
      if (length > MAX_FRAME_BYTES) throw new ConnectionError(FRAME_SIZE_ERROR, `a frame of ${length} bytes`)
      if (this.#block !== undefined && (type !== CONTINUATION || id !== this.#block.id))
        throw new ConnectionError(PROTOCOL_ERROR, 'a frame within a header block')
      if (type === DATA) {
        const padding = (flags & PADDED) !== 0 ? 1 : 0
        if (bytes.length - at < FRAME_HEADER + padding) break
        at += FRAME_HEADER
        this.#startData(id, flags, length, padding === 1 ? bytes[at++]! : undefined)
        continue
      }
      if (bytes.length - at < FRAME_HEADER + length) break
      at += FRAME_HEADER
      this.#frame(type, flags, id, bytes.subarray(at, at + length))
      at += length
    }
    if (at < bytes.length && !this.#isClosed) this.#rest = Buffer.from(bytes.subarray(at))
  }

  #startData(id: number, flags: number, length: number, padding: number | undefined): void {
    if (id === 0 || id > this.#lastId) throw new ConnectionError(PROTOCOL_ERROR, `data of stream ${id}`)
    const left = length - (padding === undefined ? 0 : 1)
    if ((padding ?? 0) > left || left < 0) throw new ConnectionError(PROTOCOL_ERROR, 'padding longer than its frame')
    this.#received += length
    let stream = this.#streams.get(id)
    if (stream === undefined) this.#onClosed(id, 'data')
    else if (stream.isRemoteClosed) {
      this.#break(stream, STREAM_CLOSED)
      stream = undefined
    } else {
      stream.received += length
      if (stream.received > STREAM_WINDOW_BYTES) throw new ConnectionError(FLOW_CONTROL_ERROR, `stream ${id} has no window`)
    }
    if (left - (padding ?? 0) === 0 && (flags & END_STREAM) === 0) this.#nuisance()
    this.#dataStream = stream
    this.#dataFlags = flags
    this.#dataLeft = left
    this.#padding = padding ?? 0
    if (left === 0) this.#endData()
  }

  /** Passes on what is there of a DATA frame; returns how many bytes that are. */
  #readData(bytes: Buffer, at: number): number {
    const there = Math.min(this.#dataLeft, bytes.length - at)
    const content = Math.min(there, this.#dataLeft - this.#padding)
    this.#dataLeft -= there
    this.#padding = Math.min(this.#padding, this.#dataLeft)
    if (content > 0 && this.#dataStream?.listener?.data(bytes.subarray(at, at + content)) === true) this.#isKept = true
    if (this.#dataLeft === 0) this.#endData()
    return there
  }

  #endData(): void {
    const stream = this.#dataStream
    this.#dataStream = undefined
    if (stream === undefined || (this.#dataFlags & END_STREAM) === 0) return
    stream.isRemoteClosed = true
    stream.listener?.end()
    if (stream.isLocalClosed) this.forget(stream)
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    switch (type) {
      case HEADERS:
        return this.#headers(flags, id, payload)
      case CONTINUATION: {
        if (this.#block === undefined) throw new ConnectionError(PROTOCOL_ERROR, 'a continuation of nothing')
        this.#append(payload)
        if ((flags & END_HEADERS) !== 0) this.#endBlock()
        return
      }
      case SETTINGS:
        return this.#settings(flags, id, payload)
      case PING:
        if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, 'a ping on a stream')
        if (payload.length !== 8) throw new ConnectionError(FRAME_SIZE_ERROR, 'a ping of another length')
        this.#nuisance()
        if ((flags & ACK) !== 0) return
        return this.frame(PING, ACK, 0, payload)
      case WINDOW_UPDATE:
        return this.#windowUpdated(id, payload)
      case RST_STREAM: {
        if (payload.length !== 4) throw new ConnectionError(FRAME_SIZE_ERROR, 'a reset of another length')
        if (id === 0 || id > this.#lastId) throw new ConnectionError(PROTOCOL_ERROR, `a reset of stream ${id}`)
        this.#nuisance()
        const stream = this.#streams.get(id)
        if (stream === undefined) return
        this.#countReset()
        stream.isLocalClosed = true
        stream.isRemoteClosed = true
        this.forget(stream)
        stream.listener?.reset()
        return
      }
      case PUSH_PROMISE:
        throw new ConnectionError(PROTOCOL_ERROR, 'a push from a client')
      case PRIORITY: {
        if (id === 0) throw new ConnectionError(PROTOCOL_ERROR, 'a priority of the connection')
        if (payload.length !== 5) throw new ConnectionError(FRAME_SIZE_ERROR, 'a priority of another length')
        if ((payload.readUInt32BE(0) & 0x7fffffff) === id) throw new ConnectionError(PROTOCOL_ERROR, `stream ${id} depends on itself`)
        return this.#nuisance()
      }
      case GOAWAY: // the client opens no more streams
        if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, 'a goodbye on a stream')
        return
      default: // an extension
        this.#nuisance()
    }
  }

  #headers(flags: number, id: number, payload: Buffer): void {
    if (id === 0 || id % 2 === 0) throw new ConnectionError(PROTOCOL_ERROR, `headers on stream ${id}`)
    let from = 0
    let to = payload.length
    if ((flags & PADDED) !== 0) to -= payload[from++] ?? 0
    if ((flags & HAS_PRIORITY) !== 0) {
      if (payload.length >= from + 5 && (payload.readUInt32BE(from) & 0x7fffffff) === id)
        throw new ConnectionError(PROTOCOL_ERROR, `stream ${id} depends on itself`)
      from += 5
    }
    if (from > to) throw new ConnectionError(PROTOCOL_ERROR, 'padding longer than its frame')
    this.#block = { id, flags, parts: [], bytes: 0 }
    this.#append(payload.subarray(from, to))
    if ((flags & END_HEADERS) !== 0) this.#endBlock()
  }

  #append(payload: Buffer): void {
    const block = this.#block!
    block.bytes += payload.length
    block.parts.push(Buffer.from(payload))
    if (block.bytes > MOST_HEADER_BLOCK_BYTES || block.parts.length > 64)
      throw new ConnectionError(ENHANCE_YOUR_CALM, 'a header block without end')
  }

  #endBlock(): void {
    const { id, flags, parts } = this.#block!
    this.#block = undefined
    const { headers, isTooLarge, fault } = this.#hpack.decode(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
    const known = this.#streams.get(id)
    if (known !== undefined) {
      if (known.isRemoteClosed) return this.#break(known, STREAM_CLOSED)
      // Trailers of a request mean nothing in gRPC but its end.
      if ((flags & END_STREAM) === 0 || fault !== undefined || headers.has(':method') || headers.has(':path'))
        return this.#break(known, PROTOCOL_ERROR)
      known.isRemoteClosed = true
      known.listener?.end()
      return
    }
    if (id <= this.#lastId) return this.#onClosed(id, 'headers')
    this.#lastId = id
    const stream = new Http2Stream(this, id, this.#peerStreamWindow)
    stream.isRemoteClosed = (flags & END_STREAM) !== 0
    this.#streams.set(id, stream)
    if (this.#streams.size > MOST_STREAMS || this.#isClosing) {
      this.#nuisance()
      this.resetStream(stream, REFUSED_STREAM)
      return
    }
    if (!isTooLarge && (fault !== undefined || !isRequest(headers))) return this.#break(stream, PROTOCOL_ERROR)
    const listener = this.#options.onStream(stream, headers, isTooLarge)
    stream.listener = listener
    if (stream.isRemoteClosed && this.#streams.has(id)) listener.end()
  }

  #settings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, 'settings on a stream')
    if ((flags & ACK) !== 0) {
      if (payload.length > 0) throw new ConnectionError(FRAME_SIZE_ERROR, 'settings that are acknowledged with settings')
      return this.#nuisance()
    }
    if (payload.length % 6 !== 0) throw new ConnectionError(FRAME_SIZE_ERROR, 'settings of another length')
    this.#nuisance()
    for (let at = 0; at < payload.length; at += 6) {
      const name = payload.readUInt16BE(at)
      const value = payload.readUInt32BE(at + 2)
      if (name === 2 && value > 1) throw new ConnectionError(PROTOCOL_ERROR, 'a push that is neither on nor off')
      if (name === 4) {
        if (value > MOST_WINDOW_BYTES) throw new ConnectionError(FLOW_CONTROL_ERROR, 'a window that is too large')
        const more = value - this.#peerStreamWindow
        this.#peerStreamWindow = value
        for (const stream of this.#streams.values()) {
          stream.sendWindow += more
          if (stream.sendWindow > MOST_WINDOW_BYTES) throw new ConnectionError(FLOW_CONTROL_ERROR, 'a window that is too large')
        }
      } else if (name === 5) {
        if (value < MAX_FRAME_BYTES || value > 0xffffff) throw new ConnectionError(PROTOCOL_ERROR, 'a frame size that is none')
        this.maxFrameBytes = value
      }
    }
    this.frame(SETTINGS, ACK, 0, Buffer.alloc(0))
    this.#options.onSettings()
    this.#unblock()
  }

  #windowUpdated(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError(FRAME_SIZE_ERROR, 'a window update of another length')
    const more = payload.readUInt32BE(0) & 0x7fffffff
    if (id > this.#lastId) throw new ConnectionError(PROTOCOL_ERROR, `a window of stream ${id}`)
    if (more === 0) throw new ConnectionError(PROTOCOL_ERROR, 'a window update of nothing')
    this.#nuisance()
    if (id === 0) {
      this.sendWindow += more
      if (this.sendWindow > MOST_WINDOW_BYTES) throw new ConnectionError(FLOW_CONTROL_ERROR, 'a window that is too large')
      this.#unblock()
      return
    }
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.sendWindow += more
    if (stream.sendWindow > MOST_WINDOW_BYTES) return this.#break(stream, FLOW_CONTROL_ERROR)
    if (this.blocked.has(stream)) stream.pump()
  }

  #unblock(): void {
    for (const stream of Array.from(this.blocked)) {
      if (this.sendWindow <= 0 || this.#isFull) return
      stream.pump()
    }
  }

  #nuisance(): void {
    this.#nuisances++
    if (this.#nuisances > MOST_NUISANCES || (this.#isFull && this.#outBytes > MOST_CONTROL_BYTES))
      throw new ConnectionError(ENHANCE_YOUR_CALM, 'frames that bring nothing')
  }
}

/** What RFC 9113, 8.3.1 asks of a request. */
const isRequest = (headers: ReadonlyMap<string, string>): boolean =>
  headers.get(':method') !== undefined && headers.get(':scheme') !== undefined && (headers.get(':path') ?? '') !== ''

const WORTH_GIVING_BACK_BYTES = 16 * 1024

/**
 * Frees a buffer that has its memory to itself. Left to the collector, what is received for large tensors costs as much in
 * collections as in copying. Whoever still used it would fail, and not read something else.
 */
export const giveBack = (bytes: Buffer): void => {
  const { buffer, byteOffset, byteLength } = bytes
  if (byteLength >= WORTH_GIVING_BACK_BYTES && byteOffset === 0 && buffer.byteLength === byteLength && buffer instanceof ArrayBuffer)
    buffer.transfer(0)
}

const frameHeader = (bytes: Buffer, length: number, type: number, flags: number, id: number): void => {
  bytes.writeUIntBE(length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(id, 5)
}

const setting = (bytes: Buffer, at: number, name: number, value: number): void => {
  bytes.writeUInt16BE(name, at)
  bytes.writeUInt32BE(value, at + 2)
}
