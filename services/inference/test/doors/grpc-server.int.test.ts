// gRPC over the door's own HTTP/2, against clients that are not ours: grpc-js, node:http2, and frames by hand.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Client, Metadata, credentials, compressionAlgorithms, status } from '@grpc/grpc-js'
import type { ClientDuplexStream } from '@grpc/grpc-js'
import fc from 'fast-check'
import { HpackDecoder, encodeHeaders } from '../../src/doors/grpc-hpack.ts'
import { GrpcError, grpcServer } from '../../src/doors/grpc-server.ts'
import type { GrpcCall, GrpcServerOptions, StreamMethod, UnaryMethod } from '../../src/doors/grpc-server.ts'

const same = (bytes: Buffer): Buffer => bytes
const ECHO = '/t.T/Echo'
const STREAM = '/t.T/Stream'

const echoStream: StreamMethod = (_call, peer) => ({
  message: (bytes) => peer.write(bytes),
  end: () => peer.end(),
  cancelled() {},
  drained() {},
})

interface Opened {
  readonly port: number
  readonly client: Client
  readonly call: (path: string, message: Buffer, options?: { metadata?: Metadata; deadlineMs?: number }) => Promise<Buffer>
}

const open = async (
  t: TestContext,
  methods: { unary?: Record<string, UnaryMethod>; streams?: Record<string, StreamMethod> } = {},
  maxMessageBytes = 64 * 1024 * 1024,
  clientOptions: object = {},
  limits: Pick<GrpcServerOptions, 'maxConnections' | 'handshakeMs' | 'idleMs'> = {},
): Promise<Opened> => {
  const server = grpcServer({
    unary: new Map(Object.entries({ [ECHO]: same, ...methods.unary })),
    streams: new Map(Object.entries({ [STREAM]: echoStream, ...methods.streams })),
    maxMessageBytes,
    ...limits,
    errorOf: (error) => (error instanceof GrpcError ? error : new GrpcError(status.INTERNAL, String(error))),
  })
  const port = await server.listen('127.0.0.1', 0)
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    ...clientOptions,
  })
  t.after(async () => {
    client.close()
    await server.stop(200)
  })
  return {
    port,
    client,
    call: (path, message, { metadata = new Metadata(), deadlineMs } = {}) =>
      new Promise((resolve, reject) => {
        const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }
        client.makeUnaryRequest(path, same, same, message, metadata, options, (error, answer) =>
          error === null ? resolve(answer!) : reject(error),
        )
      }),
  }
}

const bytesOf = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8)))

test('messages of any length come back, alone and many at once', async (t) => {
  const { call } = await open(t)
  const lengths = [0, 1, 5, 100, 16_379, 16_384, 16_385, 65_535, 65_536, 70_000, 1_000_000, 6_000_000]
  for (const length of lengths) assert.ok((await call(ECHO, bytesOf(length))).equals(bytesOf(length)), `${length} bytes`)
  const many = await Promise.all(Array.from({ length: 300 }, (_, i) => call(ECHO, bytesOf(i * 100))))
  many.forEach((answer, i) => assert.ok(answer.equals(bytesOf(i * 100)), `message ${i}`))
})

test('a stream gives every message back in its order, whatever their lengths', async (t) => {
  const { client } = await open(t)
  const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(STREAM, same, same)
  const sent = Array.from({ length: 200 }, (_, i) => bytesOf((i * 977) % 40_000))
  const received: Buffer[] = []
  stream.on('data', (bytes: Buffer) => received.push(bytes))
  for (const message of sent) stream.write(message)
  stream.end()
  const [ended] = (await once(stream, 'status')) as [{ code: number }]
  assert.equal(ended.code, status.OK)
  assert.equal(received.length, sent.length)
  received.forEach((bytes, i) => assert.ok(bytes.equals(sent[i]!), `message ${i}`))
})

test('compressed messages are expanded, in their order', async (t) => {
  for (const algorithm of [compressionAlgorithms.gzip, compressionAlgorithms.deflate]) {
    const { call, client } = await open(t, {}, 1024 * 1024, { 'grpc.default_compression_algorithm': algorithm })
    assert.ok((await call(ECHO, bytesOf(300_000))).equals(bytesOf(300_000)))
    const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(STREAM, same, same)
    const received: number[] = []
    stream.on('data', (bytes: Buffer) => received.push(bytes.length))
    for (const length of [50_000, 10, 100_000, 1]) stream.write(bytesOf(length))
    stream.end()
    await once(stream, 'end')
    assert.deepEqual(received, [50_000, 10, 100_000, 1])
  }
})

test('a message over the limit is refused with the limit, before and after it is expanded', async (t) => {
  const { call } = await open(t, {}, 10_000)
  assert.equal((await call(ECHO, bytesOf(10_000))).length, 10_000)
  await assert.rejects(call(ECHO, bytesOf(10_001)), { code: status.RESOURCE_EXHAUSTED, details: /10001 bytes, expected at most 10000/ })
  const bomb = await promisify<Buffer, Buffer>(gzip)(Buffer.alloc(50_000_000))
  const small = await open(t, {}, 100_000)
  const headers = { ...http2Headers(ECHO), 'grpc-encoding': 'gzip' }
  const found = await byHttp2(small.port, headers, framed(bomb, 1))
  assert.equal(found.trailers['grpc-status'], String(status.RESOURCE_EXHAUSTED))
  assert.match(String(found.trailers['grpc-message']), /expands to more than 100000 bytes/)
  assert.equal((await small.call(ECHO, bytesOf(10))).length, 10)
})

test('errors become statuses with their text, in any script', async (t) => {
  const { call } = await open(t, {
    unary: {
      '/t.T/Throws': () => {
        throw new GrpcError(status.NOT_FOUND, 'no model 100 % größer\n')
      },
      '/t.T/Rejects': () => Promise.reject(new GrpcError(status.UNAVAILABLE, 'later')),
    },
  })
  await assert.rejects(call('/t.T/Throws', bytesOf(1)), { code: status.NOT_FOUND, details: 'no model 100 % größer\n' })
  await assert.rejects(call('/t.T/Rejects', bytesOf(1)), { code: status.UNAVAILABLE, details: 'later' })
  await assert.rejects(call('/t.T/Nothing', bytesOf(1)), { code: status.UNIMPLEMENTED })
})

test('a deadline is known to the method, ends the call and aborts what it does', async (t) => {
  const seen: GrpcCall[] = []
  const { call } = await open(t, {
    unary: {
      '/t.T/Never': (_bytes, call) => {
        seen.push(call)
        return new Promise(() => {})
      },
    },
  })
  await assert.rejects(call('/t.T/Never', bytesOf(1), { deadlineMs: 100 }), { code: status.DEADLINE_EXCEEDED })
  const { deadlineMs, signal } = seen[0]!
  assert.ok(deadlineMs! > performance.now() - 60_000 && deadlineMs! < performance.now() + 100)
  if (!signal.aborted) await once(signal, 'abort')
})

test('a caller that gives up aborts the call', async (t) => {
  let called: (call: GrpcCall) => void
  const started = new Promise<GrpcCall>((resolve) => (called = resolve))
  const { client } = await open(t, {
    unary: {
      '/t.T/Never': (_bytes, call) => {
        called(call)
        return new Promise(() => {})
      },
    },
  })
  const call = client.makeUnaryRequest('/t.T/Never', same, same, bytesOf(1), () => {})
  const { signal } = await started
  const aborted = once(signal, 'abort')
  call.cancel()
  await aborted
})

test('metadata reaches the method', async (t) => {
  const { call } = await open(t, { unary: { '/t.T/Metadata': (_bytes, { metadata }) => Buffer.from(metadata.get('x-mine') ?? '') } })
  const metadata = new Metadata()
  metadata.set('x-mine', 'value')
  for (let i = 0; i < 3; i++) assert.equal((await call('/t.T/Metadata', bytesOf(0), { metadata })).toString(), 'value')
})

test('a reader who does not read is not read from: what waits for it stays bounded', async (t) => {
  let taken = 0
  let pendingMost = 0
  const chatty: StreamMethod = (_call, peer) => {
    const settle = (): void => (peer.pendingBytes() > 1_000_000 ? peer.pause() : peer.resume())
    return {
      message(bytes) {
        taken++
        peer.write(bytes)
        pendingMost = Math.max(pendingMost, peer.pendingBytes())
        settle()
      },
      end: () => peer.end(),
      cancelled() {},
      drained: settle,
    }
  }
  const { port } = await open(t, { streams: { '/t.T/Chatty': chatty } })
  const session = http2.connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 1000 })
  t.after(() => session.close())
  const stream = session.request(http2Headers('/t.T/Chatty'))
  const message = framed(bytesOf(100_000))
  for (let i = 0; i < 400; i++) stream.write(message)
  stream.end()
  // It is at rest when nothing was taken between two looks.
  for (let last = -1; taken !== last || taken === 0; await sleep(50)) last = taken
  assert.ok(taken < 200, `${taken} of 400 messages were taken from a caller that reads none`)
  assert.ok(pendingMost < 3_000_000, `${pendingMost} bytes waited`)
  let received = 0
  stream.on('data', (chunk: Buffer) => (received += chunk.length))
  await once(stream, 'end')
  assert.equal(received, 400 * message.length)
})

// By node:http2 and by hand.

const http2Headers = (path: string): http2.OutgoingHttpHeaders => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'application/grpc',
  te: 'trailers',
})

const framed = (message: Buffer, flag = 0): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix[0] = flag
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

const byHttp2 = async (
  port: number,
  headers: http2.OutgoingHttpHeaders,
  ...chunks: Buffer[]
): Promise<{ headers: http2.IncomingHttpHeaders; trailers: http2.IncomingHttpHeaders; body: Buffer }> => {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  try {
    const stream = session.request(headers)
    const body: Buffer[] = []
    let found: http2.IncomingHttpHeaders = {}
    let trailers: http2.IncomingHttpHeaders = {}
    stream.on('response', (each) => (found = each))
    stream.on('trailers', (each) => (trailers = each))
    stream.on('data', (chunk: Buffer) => body.push(chunk))
    stream.on('error', () => {}) // a stream that the server resets after its status
    for (const chunk of chunks) stream.write(chunk)
    stream.end()
    await once(stream, 'close')
    if (trailers['grpc-status'] === undefined) trailers = found
    return { headers: found, trailers, body: Buffer.concat(body) }
  } finally {
    session.close()
  }
}

test('a message that comes in pieces, two at once and none are told apart', async (t) => {
  const { port } = await open(t)
  const whole = framed(bytesOf(20))
  const pieces = Array.from({ length: whole.length }, (_, i) => whole.subarray(i, i + 1))
  assert.deepEqual((await byHttp2(port, http2Headers(ECHO), ...pieces)).body, whole)
  assert.equal((await byHttp2(port, http2Headers(ECHO), whole, whole)).trailers['grpc-status'], String(status.INTERNAL))
  assert.equal((await byHttp2(port, http2Headers(ECHO))).trailers['grpc-status'], String(status.INTERNAL))
  assert.equal((await byHttp2(port, http2Headers(ECHO), whole.subarray(0, 10))).trailers['grpc-status'], String(status.INTERNAL))
  assert.equal((await byHttp2(port, { ...http2Headers(ECHO), 'content-type': 'text/plain' }, whole)).headers[':status'], 415)
  assert.equal(
    (await byHttp2(port, { ...http2Headers(ECHO), 'grpc-timeout': 'soon' }, whole)).trailers['grpc-status'],
    String(status.INTERNAL),
  )
  const large = { ...http2Headers(ECHO), 'x-large': 'x'.repeat(20_000) }
  assert.equal((await byHttp2(port, large, whole)).trailers['grpc-status'], String(status.RESOURCE_EXHAUSTED))
})

const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])])
const frame = (type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(id, 5)
  return Buffer.concat([header, payload])
}
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const blockOf = (path: string): Buffer =>
  encodeHeaders([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    ['content-type', 'application/grpc'],
  ])
const requestBlock = blockOf(ECHO)
const pausedBlock = blockOf('/t.T/Paused')

/** Sends frames; resolves with the code of the GOAWAY that ends the connection, undefined when it just ends. */
const goAwayOf = async (port: number, ...frames: Buffer[]): Promise<number | undefined> => {
  const socket: Socket = connect(port, '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (bytes: Buffer) => received.push(bytes))
  socket.on('error', () => {}) // it is reset while frames are still being written
  socket.write(Buffer.concat(frames))
  await once(socket, 'close')
  const bytes = Buffer.concat(received)
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) if (bytes[at + 3] === 7) return bytes.readUInt32BE(at + 13)
  return undefined
}

/** Frames for each of so many streams. */
const many = (count: number, framesOf: (id: number) => Buffer[]): Buffer[] => [
  PREFACE,
  ...Array.from({ length: count }, (_, i) => framesOf(2 * i + 1)).flat(),
]
const upperCase = encodeHeaders([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', ECHO],
  ['Content-Type', 'application/grpc'],
])

/** The last frame that the server sends on stream 1: its kind and, of a reset, the code. */
const lastOf = async (port: number, ...frames: Buffer[]): Promise<readonly [kind: number, code: number]> => {
  const socket: Socket = connect(port, '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (bytes: Buffer) => received.push(bytes))
  socket.write(Buffer.concat([PREFACE, ...frames, frame(6, 0, 0, Buffer.alloc(8, 7))]))
  const answersOf = (): { kind: number; flags: number; id: number; payload: Buffer }[] => {
    const bytes = Buffer.concat(received)
    const found = []
    for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
      found.push({
        kind: bytes[at + 3]!,
        flags: bytes[at + 4]!,
        id: bytes.readUInt32BE(at + 5),
        payload: bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3)),
      })
    return found
  }
  while (!answersOf().some(({ kind, flags }) => kind === 6 && flags === 1)) await once(socket, 'data')
  socket.destroy()
  const last = answersOf().findLast(({ id }) => id === 1)!
  return [last.kind, last.kind === 3 ? last.payload.readUInt32BE(0) : -1]
}

test('a fault of one stream ends that one', async (t) => {
  const never: UnaryMethod = () => new Promise(() => {})
  const { port } = await open(t, { unary: { '/t.T/Never': never } })
  const [openBlock, message] = [blockOf('/t.T/Never'), framed(Buffer.alloc(3))]
  const trailers = encodeHeaders([[':path', '/x']])
  const twice = encodeHeaders([
    [':method', 'POST'],
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', ECHO],
  ])
  const cases: [string, number, Buffer[]][] = [
    ['data after the end', 5, [frame(1, 4, 1, openBlock), frame(0, 1, 1, message), frame(0, 0, 1, message)]],
    ['headers after the end', 5, [frame(1, 4, 1, openBlock), frame(0, 1, 1, message), frame(1, 5, 1, openBlock)]],
    ['second headers that end nothing', 1, [frame(1, 4, 1, openBlock), frame(1, 4, 1, encodeHeaders([['x', 'y']]))]],
    ['trailers with a path', 1, [frame(1, 4, 1, openBlock), frame(1, 5, 1, trailers)]],
    ['a name in upper case', 1, [frame(1, 4, 1, upperCase)]],
    ['a field of connections', 1, [frame(1, 4, 1, Buffer.concat([openBlock, encodeHeaders([['connection', 'close']])]))]],
    ['a name for HTTP/2 behind the others', 1, [frame(1, 4, 1, Buffer.concat([openBlock, encodeHeaders([[':authority', 'a']])]))]],
    ['a name for HTTP/2 twice', 1, [frame(1, 4, 1, twice)]],
    ['a value with a zero byte', 1, [frame(1, 4, 1, Buffer.concat([openBlock, encodeHeaders([['x', 'a\0b']])]))]],
    [
      'no path',
      1,
      [
        frame(
          1,
          4,
          1,
          encodeHeaders([
            [':method', 'POST'],
            [':scheme', 'http'],
          ]),
        ),
      ],
    ],
    ['a window that is too large', 3, [frame(1, 4, 1, openBlock), frame(8, 0, 1, uint32(0x7fffffff))]],
  ]
  for (const [name, code, frames] of cases) assert.deepEqual(await lastOf(port, ...frames), [3, code], name)
})

test('more connections than are allowed are closed, and there is room again when one goes', async (t) => {
  const { port } = await open(t, {}, 1024, {}, { maxConnections: 2 })
  const opened = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.write(PREFACE)
    await Promise.race([once(socket, 'data'), once(socket, 'close')])
    return socket
  }
  const [first, second, third] = [await opened(), await opened(), await opened()]
  assert.deepEqual([first.bytesRead > 0, second.bytesRead > 0, third.bytesRead], [true, true, 0])
  first.end()
  await once(first, 'close')
  assert.ok((await opened()).bytesRead > 0)
})

test('whoever does not speak HTTP/2 in time is cut off, and whoever asks for nothing is told to go', async (t) => {
  const { port } = await open(t, {}, 1024, {}, { handshakeMs: 50, idleMs: 200 })
  const silent = connect(port, '127.0.0.1')
  silent.resume()
  await once(silent, 'close')
  assert.equal(await goAwayOf(port, PREFACE.subarray(0, 24)), undefined) // no settings
  assert.equal(await goAwayOf(port, PREFACE), 0)
})

test('answers that nobody reads are refused beyond a bound, and take no more memory', async (t) => {
  const ANSWER = 1024 * 1024
  const { port } = await open(t, { unary: { '/t.T/Large': () => Buffer.alloc(ANSWER) } }, ANSWER)
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } })
  session.on('error', () => {})
  t.after(() => session.destroy())
  const refused = await Promise.race(
    Array.from({ length: 60 }, async () => {
      const stream = session.request(http2Headers('/t.T/Large'))
      stream.on('error', () => {})
      stream.end(framed(Buffer.alloc(1)))
      const [found] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
      if (found['grpc-status'] === undefined) return new Promise<never>(() => {}) // it waits to be read
      return found['grpc-status']
    }),
  )
  assert.equal(refused, String(status.RESOURCE_EXHAUSTED))
})

test('a header list that is small on the wire and large when it is read takes no memory', () => {
  const decoder = new HpackDecoder(16 * 1024)
  const entry = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 0x62)]) // a: 4000 times b, kept
  const bomb = Buffer.concat([entry, Buffer.alloc(60_000, 0x80 | 62)])
  const { headers, isTooLarge } = decoder.decode(bomb)
  assert.equal(isTooLarge, true)
  assert.ok([...headers.values()].join('').length <= 16 * 1024)
})

test('a peer that breaks HTTP/2 is sent away with the reason, and others are served on', async (t) => {
  const paused: StreamMethod = (call, peer) => (peer.pause(), echoStream(call, peer))
  const { port, call } = await open(t, { streams: { '/t.T/Paused': paused } })
  const cases: [string, number | undefined, Buffer[]][] = [
    ['HTTP/1', 1, [Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')]],
    ['a frame that is too long', 6, [PREFACE, frame(0, 0, 1, Buffer.alloc(16_385))]],
    ['an even stream', 1, [PREFACE, frame(1, 4, 2, requestBlock)]],
    ['data of no stream', 1, [PREFACE, frame(0, 0, 1, Buffer.alloc(4))]],
    ['a frame within a header block', 1, [PREFACE, frame(1, 0, 1, requestBlock), frame(6, 0, 0, Buffer.alloc(8))]],
    ['headers that are none', 9, [PREFACE, frame(1, 4, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))]],
    ['a window of nothing', 1, [PREFACE, frame(8, 0, 0, uint32(0))]],
    ['a window that is too large', 3, [PREFACE, frame(8, 0, 0, uint32(0x7fffffff))]],
    ['settings of another length', 6, [PREFACE, frame(4, 0, 0, Buffer.alloc(5))]],
    ['a push', 1, [PREFACE, frame(5, 4, 1, Buffer.alloc(8))]],
    [
      'more data than the window',
      3,
      [PREFACE, frame(1, 4, 1, pausedBlock), ...Array.from({ length: 300 }, () => frame(0, 0, 1, Buffer.alloc(16_380)))],
    ],
    ['a header block without end', 11, [PREFACE, frame(1, 0, 1), ...Array.from({ length: 80 }, () => frame(9, 0, 1))]],
    ['pings without end', 11, [PREFACE, ...Array.from({ length: 10_050 }, () => frame(6, 0, 0, Buffer.alloc(8)))]],
    ['streams that are opened and reset without end', 11, many(1_300, (id) => [frame(1, 4, id, requestBlock), frame(3, 0, id, uint32(8))])],
    [
      'streams that we are made to reset without end',
      11,
      many(1_300, (id) => [frame(1, 4, id, requestBlock), frame(8, 0, id, uint32(0x7fffffff))]),
    ],
    ['settings without end', 11, many(10_050, () => [frame(4, 0, 0)])],
    ['acknowledgements of nothing without end', 11, many(10_050, () => [frame(4, 1, 0)])],
    ['priorities without end', 11, many(10_050, () => [frame(2, 0, 1, Buffer.alloc(5, 1))])],
    ['windows without end', 11, many(10_050, () => [frame(8, 0, 0, uint32(1))])],
    ['frames of no known kind without end', 11, many(10_050, () => [frame(0xbe, 0, 0)])],
    ['data of no length without end', 11, [PREFACE, frame(1, 4, 1, pausedBlock), ...Array.from({ length: 10_050 }, () => frame(0, 0, 1))]],
    ['data on a stream that has ended', 5, [PREFACE, frame(1, 5, 1, blockOf('/t.T/None')), frame(0, 0, 1, Buffer.alloc(4))]],
    ['a name in upper case, then a goodbye on a stream', 1, [PREFACE, frame(1, 5, 1, upperCase), frame(7, 0, 1, Buffer.alloc(8))]],
  ]
  for (const [name, code, frames] of cases) assert.equal(await goAwayOf(port, ...frames), code, name)
  assert.equal((await call(ECHO, bytesOf(3))).length, 3)
})

test('any bytes after the preface end one connection at most', async (t) => {
  const { port, call } = await open(t)
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(
          fc.nat({ max: 11 }),
          fc.nat({ max: 255 }),
          fc.nat({ max: 6 }),
          fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constant(requestBlock)),
        ),
        { maxLength: 8 },
      ),
      async (frames) => {
        const socket = connect(port, '127.0.0.1')
        socket.on('error', () => {})
        socket.resume()
        socket.end(Buffer.concat([PREFACE, ...frames.map(([type, flags, id, payload]) => frame(type, flags, id, Buffer.from(payload)))]))
        await once(socket, 'close')
      },
    ),
    { numRuns: 300 },
  )
  assert.equal((await call(ECHO, bytesOf(3))).length, 3)
})

test('headers of node:http2 are read through the table and Huffman codes, as they were written', async (t) => {
  const seen: ReadonlyMap<string, string>[] = []
  const { port } = await open(t, { unary: { '/t.T/Seen': (_bytes, { metadata }) => (seen.push(metadata), Buffer.alloc(0)) } })
  const session = http2.connect(`http://127.0.0.1:${port}`)
  t.after(() => session.close())
  const value = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 40,
  })
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.stringMatching(/^x-[a-z]{1,6}$/), value, { maxKeys: 6, noNullPrototype: true }), async (headers) => {
      const stream = session.request({ ...http2Headers('/t.T/Seen'), ...headers })
      stream.resume()
      stream.end(framed(Buffer.alloc(0)))
      await once(stream, 'close')
      const found = seen.pop()!
      for (const [name, text] of Object.entries(headers)) assert.equal(found.get(name), text)
    }),
    { numRuns: 200 },
  )
})

test('header blocks of the examples of RFC 7541 are read, and broken ones are refused', () => {
  const decoder = new HpackDecoder(16_384)
  const decode = (hex: string): [string, string][] => [...decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex')).headers]
  // C.4: three requests, with Huffman codes, on one connection.
  assert.deepEqual(decode('8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'), [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ])
  assert.deepEqual(decode('8286 84be 5886 a8eb 1064 9cbf').at(-1), ['cache-control', 'no-cache'])
  assert.deepEqual(decode('8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf').at(-1), ['custom-key', 'custom-value'])
  for (const broken of ['80', 'ff ff ff ff ff 0f', 'c5', '00 05 61', '00 01 61 81 ff ff', '3f e2 1f 82', '82 20'])
    assert.throws(() => new HpackDecoder(16_384).decode(Buffer.from(broken.replaceAll(' ', ''), 'hex')), broken)
})

test('stopping lets a call that runs end and ends what does not', async (t) => {
  let release: (bytes: Buffer) => void = () => {}
  const server = grpcServer({
    unary: new Map<string, UnaryMethod>([['/t.T/Slow', () => new Promise((resolve) => (release = resolve))]]),
    streams: new Map([[STREAM, echoStream]]),
    maxMessageBytes: 1024,
    errorOf: (error) => error as GrpcError,
  })
  const port = await server.listen('127.0.0.1', 0)
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  t.after(() => client.close())
  const answered = new Promise<Buffer>((resolve, reject) => {
    client.makeUnaryRequest('/t.T/Slow', same, same, bytesOf(1), (error, answer) => (error === null ? resolve(answer!) : reject(error)))
  })
  const open = client.makeBidiStreamRequest(STREAM, same, same)
  open.on('error', () => {})
  const echoed = once(open, 'data')
  open.write(bytesOf(2))
  await echoed
  const stopped = server.stop(300)
  release(bytesOf(7))
  assert.equal((await answered).length, 7)
  await stopped
})
