// The same calls, by grpc-js as client, against a server of grpc-js and ours: equal outcomes.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { Client, Metadata, Server, ServerCredentials, compressionAlgorithms, credentials, status } from '@grpc/grpc-js'
import type { ClientDuplexStream, ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import { GrpcError, grpcServer } from '../../src/doors/grpc-server.ts'
import type { StreamMethod, UnaryMethod } from '../../src/doors/grpc-server.ts'

const same = (bytes: Buffer): Buffer => bytes
const bytesOf = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8)))
const MOST_BYTES = 1024 * 1024
const TEXT = 'nicht da: ä, %, \n und 漢'

interface Peer {
  readonly port: number
  /** Resolves when a call of `Never` was given up by its caller. */
  readonly cancelled: Promise<void>
  stop(): Promise<void>
}

const ours = async (): Promise<Peer> => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>()
  const unary: Record<string, UnaryMethod> = {
    '/t.T/Echo': same,
    '/t.T/Fail': () => {
      throw new GrpcError(status.NOT_FOUND, TEXT)
    },
    '/t.T/Never': (_message, { signal }) => {
      signal.addEventListener('abort', () => resolve())
      return new Promise(() => {})
    },
    '/t.T/Metadata': (_message, { metadata }) =>
      Buffer.from(`${metadata.get('x-text')} ${metadata.get('x-bytes-bin')?.replace(/=+$/, '')}`),
  }
  const streams: Record<string, StreamMethod> = {
    '/t.T/Stream': (_call, peer) => ({ message: (bytes) => peer.write(bytes), end: () => peer.end(), cancelled() {}, drained() {} }),
    '/t.T/FailLater': (_call, peer) => ({
      message: (bytes) => {
        peer.write(bytes)
        peer.end(new GrpcError(status.ABORTED, TEXT))
      },
      end() {},
      cancelled() {},
      drained() {},
    }),
  }
  const server = grpcServer({
    unary: new Map(Object.entries(unary)),
    streams: new Map(Object.entries(streams)),
    maxMessageBytes: MOST_BYTES,
    errorOf: (error) => error as GrpcError,
  })
  const port = await server.listen('127.0.0.1', 0)
  return { port, cancelled, stop: () => server.stop(200) }
}

const theirs = async (): Promise<Peer> => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>()
  const server = new Server({ 'grpc.max_receive_message_length': MOST_BYTES, 'grpc.max_send_message_length': MOST_BYTES })
  const method = (name: string, isStream: boolean) => ({
    path: `/t.T/${name}`,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  })
  type Unary = (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => void
  type Duplex = (call: ServerDuplexStream<Buffer, Buffer>) => void
  const unary: Record<string, Unary> = {
    Echo: ({ request }, answer) => answer(null, request),
    Fail: (_call, answer) => answer({ code: status.NOT_FOUND, details: TEXT }),
    Never: (call) => void call.on('cancelled', () => resolve()),
    Metadata: ({ metadata }, answer) => {
      const binary = (metadata.get('x-bytes-bin')[0] as Buffer).toString('base64').replace(/=+$/, '')
      answer(null, Buffer.from(`${String(metadata.get('x-text')[0])} ${binary}`))
    },
  }
  const streams: Record<string, Duplex> = {
    Stream: (call) => {
      call.on('data', (bytes: Buffer) => call.write(bytes))
      call.on('end', () => call.end())
    },
    FailLater: (call) => {
      call.on('data', (bytes: Buffer) => {
        call.write(bytes)
        call.emit('error', { code: status.ABORTED, details: TEXT })
      })
    },
  }
  const names = [...Object.keys(unary).map((name) => [name, false] as const), ...Object.keys(streams).map((name) => [name, true] as const)]
  server.addService(Object.fromEntries(names.map(([name, isStream]) => [name, method(name, isStream)])), { ...unary, ...streams })
  const port = await new Promise<number>((done, failed) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? done(bound) : failed(error))),
  )
  return {
    port,
    cancelled,
    stop: () =>
      new Promise((done) => {
        server.tryShutdown(() => done())
        setTimeout(() => server.forceShutdown(), 200).unref()
      }),
  }
}

interface Outcome {
  readonly code: status
  readonly details?: string
  readonly answers: readonly string[]
}

/** What a caller sees of one server. */
const outcomesOf = async (t: TestContext, peer: Peer): Promise<Record<string, unknown>> => {
  const open = (options: object = {}): Client => {
    const client = new Client(`127.0.0.1:${peer.port}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      ...options,
    })
    t.after(() => client.close())
    return client
  }
  const plain = open()
  const digest = (bytes: Buffer): string => `${bytes.length}:${bytes.subarray(0, 40).toString('latin1')}`
  const unary = (
    name: string,
    message: Buffer,
    { client = plain, metadata = new Metadata(), deadlineMs = 20_000 } = {},
  ): Promise<Outcome> =>
    new Promise((resolve) => {
      client.makeUnaryRequest(`/t.T/${name}`, same, same, message, metadata, { deadline: Date.now() + deadlineMs }, (error, answer) =>
        resolve({
          code: error?.code ?? status.OK,
          ...(error === null ? {} : { details: error.details }),
          answers: answer === undefined ? [] : [digest(answer)],
        }),
      )
    })
  const stream = (
    name: string,
    messages: readonly Buffer[],
    use: (call: ClientDuplexStream<Buffer, Buffer>) => void = (call) => call.end(),
    client = plain,
  ) =>
    new Promise<Outcome>((resolve) => {
      const call = client.makeBidiStreamRequest(`/t.T/${name}`, same, same)
      const answers: string[] = []
      call.on('data', (bytes: Buffer) => answers.push(digest(bytes)))
      call.on('error', () => {}) // told by the status
      call.on('status', ({ code, details }) => resolve({ code, ...(code === status.OK ? {} : { details }), answers }))
      for (const message of messages) call.write(message)
      use(call)
    })
  const codeOnly = async (outcome: Promise<Outcome>): Promise<status> => (await outcome).code

  const metadata = new Metadata()
  metadata.set('x-text', 'some text')
  metadata.set('x-bytes-bin', Buffer.from([0, 1, 2, 254, 255]))
  const gzip = open({ 'grpc.default_compression_algorithm': compressionAlgorithms.gzip })
  const deflate = open({ 'grpc.default_compression_algorithm': compressionAlgorithms.deflate })
  const pinging = open({ 'grpc.keepalive_time_ms': 20, 'grpc.keepalive_timeout_ms': 5_000, 'grpc.keepalive_permit_without_calls': 1 })
  const never = plain.makeUnaryRequest('/t.T/Never', same, same, bytesOf(3), () => {})
  const outcomes = {
    empty: await unary('Echo', bytesOf(0)),
    small: await unary('Echo', bytesOf(10)),
    'as large as may be': await unary('Echo', bytesOf(MOST_BYTES)),
    'too large': await codeOnly(unary('Echo', bytesOf(MOST_BYTES + 1))),
    'many at once': await Promise.all(Array.from({ length: 300 }, (_, i) => unary('Echo', bytesOf(i * 50)))),
    gzip: await unary('Echo', bytesOf(100_000), { client: gzip }),
    deflate: await unary('Echo', bytesOf(100_000), { client: deflate }),
    'gzip that expands to too much': await codeOnly(unary('Echo', Buffer.alloc(MOST_BYTES + 1), { client: gzip })),
    metadata: await unary('Metadata', bytesOf(1), { metadata }),
    error: await unary('Fail', bytesOf(1)),
    'no such method': await codeOnly(unary('Nothing', bytesOf(1))),
    deadline: await codeOnly(unary('Never', bytesOf(1), { deadlineMs: 60 })),
    stream: await stream('Stream', [0, 1, 20_000, 300_000, 5].map(bytesOf)),
    'stream of nothing': await stream('Stream', []),
    'stream, compressed': await stream('Stream', [10, 200_000, 0].map(bytesOf), (call) => call.end(), gzip),
    'stream that fails': await stream('FailLater', [bytesOf(4)], () => {}),
    'stream that is cancelled': await codeOnly(stream('Stream', [bytesOf(4)], (call) => void call.once('data', () => call.cancel()))),
    'call behind many pings': await unary('Never', bytesOf(1), { client: pinging, deadlineMs: 400 }).then(() =>
      unary('Echo', bytesOf(2), { client: pinging }),
    ),
  }
  never.cancel()
  await peer.cancelled
  const late = stream('Stream', [bytesOf(2)], (call) => void call.once('data', () => void peer.stop()))
  return {
    ...outcomes,
    'stream that is cut off by the end of the server': (await codeOnly(late)) !== status.OK,
    'call after it': await codeOnly(unary('Echo', bytesOf(1))),
  }
}

test('a client cannot tell our server from that of grpc-js', async (t) => {
  const [expected, found] = [await outcomesOf(t, await theirs()), await outcomesOf(t, await ours())]
  for (const [name, outcome] of Object.entries(expected)) assert.deepEqual(found[name], outcome, name)
})
