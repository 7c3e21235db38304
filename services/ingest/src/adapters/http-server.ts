// The listening side of the HTTP door: plain on loopback, or TLS with client certificates. Slow, broken and too many senders end here.

import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { Server as TlsServer } from 'node:tls'
import type { Duplex } from 'node:stream'
import { AndonError, codeOf, listen, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { Devices } from '../devices.ts'
import { answerProblem, rawProblem } from './http-answers.ts'
import { BodyRequest } from './http-body.ts'

export interface ServerOptions {
  readonly host: string
  readonly port: number
  readonly devices: Devices
  readonly maxConnections: number
  /** A request must be there, body included, within this. */
  readonly requestTimeoutMs: number
  readonly logger: Logger
}

export interface DoorServer {
  readonly server: Server
  listen(): Promise<number>
  /** Takes no new connection, lets answers in flight end, then closes what is left. */
  close(): Promise<void>
}

const maxHeaderBytes = 16 * 1024
const headersTimeoutMs = 10_000
const keepAliveMs = 65_000 // longer than the 60 s of usual proxies, which must be the ones to close
const closeGraceMs = 3000
const lingerMs = 500
const maxPipelined = 256
const loopback = '127.0.0.1'

/** `onContinue`: the request waits for our word before it sends its body. */
export const doorServer = (options: ServerOptions, onRequest: RequestListener, onContinue: RequestListener): DoorServer => {
  const { devices, logger, port } = options
  const { tls } = devices
  const common = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: Math.min(headersTimeoutMs, options.requestTimeoutMs),
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.min(1000, options.requestTimeoutMs),
    noDelay: true,
    IncomingMessage: BodyRequest,
  }
  const server: Server =
    tls === undefined
      ? createServer(common)
      : createSecureServer({
          ...common,
          ...tls,
          requestCert: true,
          rejectUnauthorized: false, // a token will do as well; who shows a certificate is asked for by request
          minVersion: 'TLSv1.2',
          handshakeTimeout: headersTimeoutMs,
        })
  if (server instanceof TlsServer) devices.keepFresh(server)
  server.maxConnections = options.maxConnections
  const inHand = new InHand()
  server.on('request', inHand.counted(onRequest))
  server.on('checkContinue', inHand.counted(onContinue))
  server.on('checkExpectation', (request, response) => answerProblem(request, response, unexpected(request)))
  server.on('clientError', (error, socket) => inHand.onceAnswered(socket, () => endWith(socket, problemOfConnection(error))))

  const host = tls === undefined && !isLoopback(options.host) ? loopback : options.host
  return {
    server,
    listen: async () => {
      const listening = await listen(server, { host, port, setting: 'INGEST_HTTP_PORT' })
      if (tls === undefined)
        logger.warn(
          { host, port: listening },
          'PLAIN MODE: the HTTP door knows no devices and listens on this machine only; `andon up --secure` opens it to the network',
        )
      return listening
    },
    close: async () => {
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      const idle = setInterval(() => server.closeIdleConnections(), 20)
      const late = setTimeout(() => server.closeAllConnections(), closeGraceMs)
      await closed
      clearInterval(idle)
      clearTimeout(late)
    },
  }
}

const isLoopback = (host: string): boolean => /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host)

/** Requests without an answer, by connection: pipelined ones are answered in order, and an error of the connection behind them. */
class InHand {
  readonly #responses = new WeakMap<Duplex, ServerResponse[]>()

  counted(listener: RequestListener): RequestListener {
    return (request, response) => {
      const { socket } = request
      const responses = this.#responses.get(socket)
      if (responses === undefined) this.#responses.set(socket, [response])
      else if (responses.length === 1 && responses[0]!.closed) responses[0] = response
      else {
        while (responses.length > 0 && responses[0]!.closed) responses.shift() // answered in order
        if (responses.length >= maxPipelined) return answerProblem(request, response, tooManyPipelined())
        responses.push(response)
      }
      return listener(request, response)
    }
  }

  /** Runs `then` when all requests that have come in whole on this connection are answered. */
  onceAnswered(socket: Duplex, then: () => void): void {
    const whole = (this.#responses.get(socket) ?? []).filter(({ closed, req }) => !closed && req.complete)
    if (whole.length === 0) return then()
    void Promise.all(whole.map((response) => new Promise((resolve) => response.once('close', resolve)))).then(then) // cannot reject
  }
}

const ended = new WeakSet<Duplex>()

/** Says what is wrong, and closes the connection once that is through. */
const endWith = (socket: Duplex, error: AndonError | undefined): void => {
  if (ended.has(socket)) return
  ended.add(socket)
  if (error === undefined || !socket.writable) return void socket.destroy()
  socket.end(rawProblem(error))
  socket.on('data', () => undefined)
  setTimeout(() => socket.destroy(), lingerMs).unref()
}

/** Undefined when there is nobody left to tell. */
const problemOfConnection = (error: Error): AndonError | undefined => {
  const code = codeOf(error) ?? ''
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const message = 'The request did not come in whole in time; expected steady sending (INGEST_HTTP_REQUEST_TIMEOUT_MS)'
    return new AndonError('ANDON_INGEST_TIMEOUT', message, { status: 408 })
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new AndonError('ANDON_INGEST_HEADERS_TOO_LARGE', `Headers: expected at most ${maxHeaderBytes} bytes`, { status: 431 })
  }
  if (!code.startsWith('HPE_')) return undefined
  return new AndonError('ANDON_INGEST_BAD_REQUEST', `Found what is no HTTP/1.1 request: ${messageOf(error)}`, { status: 400 })
}

const unexpected = ({ headers }: IncomingMessage) =>
  new AndonError('ANDON_INGEST_BAD_REQUEST', `Expect: found ${String(headers.expect)}, expected 100-continue`, { status: 417 })

const tooManyPipelined = () =>
  new AndonError('ANDON_INGEST_BUSY', `Expected at most ${maxPipelined} requests without an answer on a connection`, {
    retriable: true,
    status: 429,
  })
