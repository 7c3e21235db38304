// gRPC over HTTP/2: messages in and out with their limits, compression, deadlines, cancellation and statuses. Methods take bytes and
// give bytes; what they mean is not known here.

import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { promisify } from 'node:util'
import { gunzip, inflate } from 'node:zlib'
import { status } from '@grpc/grpc-js'
import { encodeHeaders } from './grpc-hpack.ts'
import { FRAME_HEADER, Http2Connection } from './grpc-http2.ts'
import type { Http2Stream, StreamListener } from './grpc-http2.ts'

/** What a call ends with when it is not OK. */
export class GrpcError extends Error {
  readonly code: status
  constructor(code: status, message: string) {
    super(message)
    this.code = code
  }
}

export interface GrpcCall {
  readonly path: string
  /** Request metadata, names in lower case. */
  readonly metadata: ReadonlyMap<string, string>
  /** Moment of performance.now() after which the caller waits no longer. */
  readonly deadlineMs: number | undefined
  /** Aborted when the caller gives up or its deadline passes. */
  readonly signal: AbortSignal
}

export type UnaryMethod = (message: Buffer, call: GrpcCall) => Buffer | Promise<Buffer>

/** The caller's side of a stream, as a method sees it. Writing after the end does nothing. */
export interface GrpcPeer {
  /** With `hasRoom` the first HEADROOM bytes are not of the message: it is framed there instead of being copied behind its frame. */
  write(message: Buffer, hasRoom?: boolean): void
  end(error?: GrpcError): void
  /** Bytes of messages written that have not left yet. */
  pendingBytes(): number
  /** Takes no further messages until `resume`; a caller that goes on sending is held back by its window. */
  pause(): void
  resume(): void
}

export interface StreamEvents {
  message(message: Buffer): void
  /** The caller sends no more. */
  end(): void
  /** The caller is gone, or its deadline has passed: nothing it is sent arrives. */
  cancelled(): void
  /** Messages have left; `pendingBytes` is smaller. */
  drained(): void
}

export type StreamMethod = (call: GrpcCall, peer: GrpcPeer) => StreamEvents

export interface GrpcServerOptions {
  /** By path: `/package.Service/Method`. */
  readonly unary: ReadonlyMap<string, UnaryMethod>
  readonly streams: ReadonlyMap<string, StreamMethod>
  /** Largest message in either direction. */
  readonly maxMessageBytes: number
  /** Connections at a time; further ones are closed at once. Default 1024. */
  readonly maxConnections?: number | undefined
  /** How long a connection may take to speak HTTP/2. Default 10 s. */
  readonly handshakeMs?: number
  /** After so long without a call a connection is told to go, and its client opens another when it needs one. Default 10 minutes. */
  readonly idleMs?: number
  /** What an error that a method throws is told as. */
  readonly errorOf: (error: unknown, path: string) => GrpcError
}

export interface GrpcServer {
  /** The port it listens on. Rejects with the socket's error. */
  listen(host: string, port: number): Promise<number>
  /** Takes no new calls, waits for those that run, at most so long. */
  stop(patienceMs: number): Promise<void>
}

/** In front of a message: what HTTP/2 and gRPC put there. */
export const HEADROOM = FRAME_HEADER + 5

/** Messages that callers have sent and that are not answered yet, all connections together, as a multiple of the largest message. */
const HELD_MESSAGES = 8
/** Answers that a caller does not take, as a multiple of the largest message. */
const UNREAD_MESSAGES = 2
/** Many small ones may wait in any case. */
const LEAST_UNREAD_BYTES = 16 * 1024 * 1024
const HANDSHAKE_MS = 10_000
const IDLE_MS = 600_000
/** How often connections are looked at before they have been idle for too long. */
const IDLE_LOOKS = 4
const MOST_CONNECTIONS = 1024
/** A peer that is gone without a word is noticed so. */
const TCP_KEEP_ALIVE_MS = 60_000
const CREDIT_BYTES = 1024 * 1024

const accepted = ['grpc-accept-encoding', 'identity,deflate,gzip'] as const
const HEADERS = encodeHeaders([[':status', '200'], ['content-type', 'application/grpc'], accepted])
const OK = encodeHeaders([['grpc-status', '0']])
const NOT_GRPC = encodeHeaders([[':status', '415']])

const expand = {
  gzip: promisify<Uint8Array, { maxOutputLength: number }, Buffer>(gunzip),
  deflate: promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate),
}

export const grpcServer = (options: GrpcServerOptions): GrpcServer => {
  const connections = new Set<Http2Connection>()
  const budget: Budget = { heldBytes: 0, most: HELD_MESSAGES * options.maxMessageBytes }
  let whenEmpty: (() => void) | undefined
  const accept = (socket: Socket): void => {
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS)
    const handshake = setTimeout(() => connection.destroy(), options.handshakeMs ?? HANDSHAKE_MS)
    handshake.unref()
    const connection = new Http2Connection(socket, {
      onStream: (stream, headers, isTooLarge) => {
        clearTimeout(handshake)
        return new Call(stream, connection, headers, isTooLarge, options, budget)
      },
      onSettings: () => clearTimeout(handshake),
      onClose: () => {
        clearTimeout(handshake)
        connections.delete(connection)
        if (connections.size === 0) whenEmpty?.()
      },
    })
    connections.add(connection)
  }
  const server: Server = createServer({ noDelay: true }, accept)
  server.maxConnections = options.maxConnections ?? MOST_CONNECTIONS
  const idleMs = options.idleMs ?? IDLE_MS
  const watch = setInterval(() => {
    const nowMs = performance.now()
    for (const connection of Array.from(connections)) if (nowMs - connection.idleSinceMs >= idleMs) connection.close()
  }, idleMs / IDLE_LOOKS)
  watch.unref()
  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          server.on('error', () => {}) // a connection that could not be accepted: its caller sees it, the others go on
          const address = server.address()
          resolve(typeof address === 'object' && address !== null ? address.port : port)
        })
      }),
    async stop(patienceMs) {
      clearInterval(watch)
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const empty = new Promise<void>((resolve) => (whenEmpty = resolve))
      for (const connection of Array.from(connections)) connection.close()
      if (connections.size > 0) {
        const force = setTimeout(() => connections.forEach((connection) => connection.destroy()), patienceMs)
        await empty
        clearTimeout(force)
      }
      await closed
    },
  }
}

interface Budget {
  heldBytes: number
  readonly most: number
}

class Call implements StreamListener, GrpcCall {
  readonly path: string
  readonly metadata: ReadonlyMap<string, string>
  readonly deadlineMs: number | undefined
  readonly #stream: Http2Stream
  readonly #connection: Http2Connection
  readonly #options: GrpcServerOptions
  readonly #budget: Budget
  readonly #unary: UnaryMethod | undefined
  #events: StreamEvents | undefined
  #abort: AbortController | undefined
  #isAborted = false
  #timer: NodeJS.Timeout | undefined
  /** Bytes of messages that are counted in the budget. */
  #held = 0
  #isOver = false
  #hasHeaders = false
  /** No gRPC: answered once its body comes, or its end. */
  #isForeign = false
  /** The unary request. */
  #request: Buffer | undefined
  #hasEnded = false

  // The message being received: its first five bytes, then its content.
  readonly #prefix = Buffer.allocUnsafe(5)
  #prefixBytes = 0
  #needed = 0
  #message: Buffer | undefined
  #messageBytes = 0
  /** Messages that were received while paused or while an earlier one is being expanded, and the end behind them. */
  readonly #queue: { readonly isCompressed: boolean; readonly bytes: Buffer }[] = []
  #isPaused = false
  #isExpanding = false

  constructor(
    stream: Http2Stream,
    connection: Http2Connection,
    headers: ReadonlyMap<string, string>,
    isTooLarge: boolean,
    options: GrpcServerOptions,
    budget: Budget,
  ) {
    this.#stream = stream
    this.#connection = connection
    this.#options = options
    this.#budget = budget
    this.metadata = headers
    this.path = headers.get(':path') ?? ''
    const timeout = headers.get('grpc-timeout')
    const timeoutMs = timeout === undefined ? undefined : millisecondsOf(timeout)
    this.deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs
    this.#unary = options.unary.get(this.path)
    const method = this.#unary === undefined ? options.streams.get(this.path) : undefined
    if (headers.get('content-type')?.startsWith('application/grpc') !== true || headers.get(':method') !== 'POST') {
      this.#isForeign = true
    } else if (isTooLarge) this.#fail(status.RESOURCE_EXHAUSTED, 'The metadata is larger than 16 KiB')
    else if (this.#unary === undefined && method === undefined) this.#fail(status.UNIMPLEMENTED, `There is no method ${this.path}`)
    else if (timeoutMs !== undefined && Number.isNaN(timeoutMs))
      this.#fail(status.INTERNAL, `grpc-timeout: expected a number and a unit, got ${timeout}`)
    else {
      if (timeoutMs !== undefined) {
        this.#timer = setTimeout(() => this.#expire(), Math.min(timeoutMs, 0x7fffffff))
        this.#timer.unref()
      }
      this.#events = method?.(this, this.#peer())
    }
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#isAborted) this.#abort.abort()
    }
    return this.#abort.signal
  }

  // What comes.

  data(chunk: Buffer): boolean {
    if (this.#isForeign) this.#refuseForeign()
    let at = 0
    let isKept = false
    while (at < chunk.length && !this.#isOver) {
      if (this.#prefixBytes < 5) {
        if (this.#prefixBytes === 0 && chunk.length - at >= 5) {
          // A small message that is whole in what was received is passed on as a view of it.
          const length = chunk.readUInt32BE(at + 1)
          if (!this.#begin(chunk[at]!, length)) return isKept
          at += 5
          if (chunk.length - at >= length) {
            isKept = true
            this.#complete(chunk.subarray(at, at + length))
            at += length
          }
          continue
        }
        this.#prefix[this.#prefixBytes++] = chunk[at++]!
        if (this.#prefixBytes === 5 && this.#begin(this.#prefix[0]!, this.#prefix.readUInt32BE(1))) this.#completeIfWhole()
        continue
      }
      this.#message ??= Buffer.allocUnsafeSlow(this.#needed)
      const taken = chunk.copy(this.#message, this.#messageBytes, at)
      this.#messageBytes += taken
      at += taken
      this.#completeIfWhole()
    }
    if (!this.#isPaused && this.#stream.received > CREDIT_BYTES) this.#stream.credit()
    return isKept
  }

  end(): void {
    if (this.#isForeign) this.#refuseForeign()
    if (this.#isOver) return
    if (this.#prefixBytes > 0) return this.#fail(status.INTERNAL, 'The last message is not whole')
    this.#hasEnded = true
    this.#next()
  }

  #refuseForeign(): void {
    if (this.#isOver) return
    this.#finish()
    this.#stream.sendOnly(NOT_GRPC)
  }

  reset(): void {
    this.#finish()
    this.#cancel()
  }

  drained(): void {
    if (!this.#isOver) this.#events?.drained()
  }

  /** False when the call is over. */
  #begin(flag: number, length: number): boolean {
    const { maxMessageBytes } = this.#options
    const refused =
      length > maxMessageBytes
        ? `The message has ${length} bytes, expected at most ${maxMessageBytes} (INFERENCE_MAX_MESSAGE_BYTES)`
        : this.#budget.heldBytes + length > this.#budget.most
          ? `Requests of ${this.#budget.heldBytes} bytes are being received or scored, expected at most ${this.#budget.most}; try again`
          : undefined
    if (refused !== undefined) {
      this.#fail(status.RESOURCE_EXHAUSTED, refused)
      return false
    }
    if (flag > 1) {
      this.#fail(status.INTERNAL, `A message begins with ${flag}, expected 0 or 1`)
      return false
    }
    this.#hold(length)
    this.#prefix[0] = flag
    this.#prefixBytes = 5
    this.#needed = length
    return true
  }

  #completeIfWhole(): void {
    if (!this.#isOver && this.#messageBytes === this.#needed) this.#complete(this.#message ?? Buffer.alloc(0))
  }

  #complete(bytes: Buffer): void {
    this.#prefixBytes = 0
    this.#message = undefined
    this.#messageBytes = 0
    const isCompressed = this.#prefix[0] === 1
    if (!isCompressed && !this.#isPaused && !this.#isExpanding && this.#queue.length === 0) return this.#take(bytes)
    this.#queue.push({ isCompressed, bytes })
    this.#next()
  }

  /** Goes on with what waits, in its order. */
  #next(): void {
    while (!this.#isOver && !this.#isPaused && !this.#isExpanding) {
      const next = this.#queue.shift()
      if (next === undefined) {
        if (this.#hasEnded) this.#takeEnd()
        return
      }
      if (next.isCompressed) void this.#expand(next.bytes) // never rejects
      else this.#take(next.bytes)
    }
  }

  async #expand(bytes: Buffer): Promise<void> {
    const encoding = this.metadata.get('grpc-encoding') ?? 'identity'
    if (encoding !== 'gzip' && encoding !== 'deflate') {
      this.#fail(status.UNIMPLEMENTED, `grpc-encoding: expected identity, gzip or deflate, got ${encoding}`)
      return
    }
    this.#isExpanding = true
    try {
      const expanded = await expand[encoding](bytes, { maxOutputLength: this.#options.maxMessageBytes })
      this.#isExpanding = false
      if (this.#isOver) return
      this.#hold(expanded.length - bytes.length)
      this.#take(expanded)
      this.#next()
    } catch (error) {
      this.#isExpanding = false
      const isTooLarge = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
      if (isTooLarge)
        this.#fail(
          status.RESOURCE_EXHAUSTED,
          `The message expands to more than ${this.#options.maxMessageBytes} bytes (INFERENCE_MAX_MESSAGE_BYTES)`,
        )
      else this.#fail(status.INTERNAL, `The message cannot be expanded as ${encoding}`)
    }
  }

  #take(bytes: Buffer): void {
    if (this.#unary === undefined) {
      this.#events?.message(bytes)
      this.#release(bytes.length)
      return
    }
    if (this.#request !== undefined) this.#fail(status.INTERNAL, 'A second message, expected one')
    else this.#request = bytes
  }

  #takeEnd(): void {
    this.#hasEnded = false
    if (this.#unary === undefined) this.#events?.end()
    else if (this.#request === undefined) this.#fail(status.INTERNAL, 'No message, expected one')
    else this.#answer(this.#unary, this.#request)
  }

  #answer(unary: UnaryMethod, request: Buffer): void {
    let answer: Buffer | Promise<Buffer>
    try {
      answer = unary(request, this)
    } catch (error) {
      this.#refuse(error)
      return
    }
    if (Buffer.isBuffer(answer)) this.#respond(answer)
    else
      answer.then(
        (message) => this.#respond(message),
        (error: unknown) => this.#refuse(error),
      )
  }

  // What goes.

  #respond(message: Buffer): void {
    if (this.#isOver || this.#isTooLarge(message)) return
    this.#finish()
    this.#stream.send(HEADERS, framed(message), OK)
  }

  #peer(): GrpcPeer {
    return {
      write: (message, hasRoom = false) => {
        if (this.#isOver || this.#isTooLarge(hasRoom ? message.subarray(HEADROOM) : message)) return
        const isFirst = !this.#hasHeaders
        this.#hasHeaders = true
        this.#stream.send(isFirst ? HEADERS : undefined, hasRoom ? [framedInPlace(message)] : framed(message), undefined, hasRoom)
      },
      end: (error) => {
        if (this.#isOver) return
        if (error !== undefined) return this.#fail(error.code, error.message)
        this.#finish()
        this.#stream.send(this.#hasHeaders ? undefined : HEADERS, [], OK)
      },
      pendingBytes: () => this.#stream.unsent + (this.#connection.isFull ? this.#connection.pendingBytes : 0),
      pause: () => void (this.#isPaused = true),
      resume: () => {
        if (!this.#isPaused) return
        this.#isPaused = false
        this.#stream.credit()
        this.#next()
      },
    }
  }

  #refuse(error: unknown): void {
    const { code, message } = this.#options.errorOf(error, this.path)
    this.#fail(code, message)
  }

  #isTooLarge(message: Buffer): boolean {
    const { maxMessageBytes } = this.#options
    if (message.length > maxMessageBytes) {
      this.#fail(
        status.RESOURCE_EXHAUSTED,
        `The answer has ${message.length} bytes, expected at most ${maxMessageBytes} (INFERENCE_MAX_MESSAGE_BYTES)`,
      )
      return true
    }
    if (this.#connection.pendingBytes > Math.max(LEAST_UNREAD_BYTES, UNREAD_MESSAGES * maxMessageBytes)) {
      this.#fail(status.RESOURCE_EXHAUSTED, `Answers of ${this.#connection.pendingBytes} bytes wait to be read on this connection`)
      return true
    }
    return false
  }

  #fail(code: status, message: string): void {
    if (this.#isOver) return
    this.#finish()
    const trailers = statusBlock(code, message)
    if (this.#hasHeaders) this.#stream.send(undefined, [], encodeHeaders(trailers))
    else this.#stream.sendOnly(encodeHeaders([[':status', '200'], ['content-type', 'application/grpc'], accepted, ...trailers]))
  }

  #expire(): void {
    this.#fail(status.DEADLINE_EXCEEDED, 'The deadline of the request has passed')
    this.#cancel()
  }

  #cancel(): void {
    this.#isAborted = true
    this.#abort?.abort()
    this.#events?.cancelled()
  }

  #finish(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#release(this.#held)
    this.#queue.length = 0
    this.#message = undefined
  }

  #hold(bytes: number): void {
    this.#held += bytes
    this.#budget.heldBytes += bytes
  }

  #release(bytes: number): void {
    this.#held -= bytes
    this.#budget.heldBytes -= bytes
  }
}

/** A message behind its five bytes. A large one is not copied for that. */
const framed = (message: Buffer): Buffer[] => {
  const prefix = Buffer.allocUnsafe(5)
  prefix[0] = 0
  prefix.writeUInt32BE(message.length, 1)
  return message.length <= COPIED_BYTES ? [Buffer.concat([prefix, message])] : [prefix, message]
}
const COPIED_BYTES = 16_000

/** The five bytes, written into the room in front of the message. */
const framedInPlace = (message: Buffer): Buffer => {
  message[FRAME_HEADER] = 0
  message.writeUInt32BE(message.length - HEADROOM, FRAME_HEADER + 1)
  return message.subarray(FRAME_HEADER)
}

type Header = readonly [name: string, value: string]

/** `grpc-message` is percent-encoded outside of printable ASCII. */
const statusBlock = (code: status, message: string): Header[] => [
  ['grpc-status', String(code)],
  [
    'grpc-message',
    Array.from(Buffer.from(message.slice(0, MOST_MESSAGE)), (byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    ).join(''),
  ],
]
/** What is quoted of a request must not make headers too large to be taken. */
const MOST_MESSAGE = 2000

const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 }

/** NaN for what is no timeout. */
const millisecondsOf = (timeout: string): number => {
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(timeout) ?? []
  return amount === undefined || unit === undefined ? NaN : Number(amount) * units[unit]!
}
