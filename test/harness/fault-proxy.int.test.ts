// The proxy itself, in front of an echo: it does the harm it promises, and passes on every byte in order.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import { openFaultProxy } from './fault-proxy.ts'
import type { FaultProxy } from './fault-proxy.ts'
import { ApiKeys, Frames } from './kafka-frames.ts'

let echoPort = 0
let received = 0
const server = createServer((socket) => {
  socket.on('error', () => undefined)
  socket.on('data', (bytes: Buffer) => {
    received += bytes.length
    socket.write(bytes)
  })
})

before(
  () =>
    new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        echoPort = (server.address() as AddressInfo).port
        resolve()
      })
    }),
)
after(() => new Promise((resolve) => server.close(resolve)))

const openProxy = async (t: TestContext): Promise<FaultProxy> => {
  const proxy = await openFaultProxy(echoPort, { random: seeded(7).fraction })
  t.after(() => proxy.close())
  return proxy
}

interface Caller {
  readonly socket: Socket
  /** Bytes that came back, all pieces in order. */
  readonly pieces: Buffer[]
  readonly closed: Promise<void>
  readonly got: (bytes: number) => Promise<void>
}

const call = async (t: TestContext, { port }: FaultProxy): Promise<Caller> => {
  const pieces: Buffer[] = []
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
  })
  await new Promise((resolve) => socket.once('connect', resolve))
  let wake = (): void => undefined
  let length = 0
  socket.on('close', () => wake())
  socket.on('data', (bytes: Buffer) => {
    pieces.push(bytes)
    length += bytes.length
    wake()
  })
  const got = async (bytes: number): Promise<void> => {
    while (length < bytes && !socket.destroyed) await new Promise<void>((resolve) => (wake = resolve))
  }
  return { socket, pieces, closed, got }
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const noise = (bytes: number): Buffer => {
  const { fraction: random } = seeded(bytes)
  return Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)))
}
/** A Kafka request: length, api key, and a body. */
const request = (apiKey: number, body: string): Buffer => {
  const frame = Buffer.alloc(6 + body.length)
  frame.writeInt32BE(2 + body.length, 0)
  frame.writeInt16BE(apiKey, 4)
  frame.write(body, 6)
  return frame
}

for (const [name, fault] of [
  ['without a fault', {}],
  ['late, with jitter', { latencyMs: 5, jitterMs: 5 }],
  ['in small pieces', { splitBytes: 97 }],
  ['slowly', { bytesPerSecond: 400_000 }],
] as const) {
  test(`bytes pass unchanged and in order: ${name}`, async (t) => {
    const proxy = await openProxy(t)
    const { socket, pieces, got } = await call(t, proxy)
    proxy.set(fault)
    const sent = noise(100_000)
    for (let at = 0; at < sent.length; at += 9000) socket.write(sent.subarray(at, at + 9000))
    await got(sent.length)
    assert.equal(digest(Buffer.concat(pieces)), digest(sent))
  })
}

test('latency holds for both directions, a healed proxy has none', async (t) => {
  const proxy = await openProxy(t)
  const { socket, got } = await call(t, proxy)
  proxy.set({ latencyMs: 60 })
  const startedMs = performance.now()
  socket.write('there and back')
  await got(14)
  assert.ok(performance.now() - startedMs >= 119, 'twice 60 ms')
  proxy.heal()
  socket.write('again')
  await got(19)
})

test('bandwidth is bounded', async (t) => {
  const proxy = await openProxy(t)
  const { socket, got } = await call(t, proxy)
  proxy.set({ bytesPerSecond: 50_000 })
  const startedMs = performance.now()
  socket.write(noise(10_000))
  await got(10_000)
  assert.ok(performance.now() - startedMs >= 190, '10 000 bytes at 50 000 a second')
})

test('a split of 1 tears a frame at every byte', async (t) => {
  const proxy = await openProxy(t)
  const { socket, pieces, got } = await call(t, proxy)
  proxy.set({ splitBytes: 1 })
  socket.write(noise(64))
  await got(64)
  assert.ok(pieces.length > 16, `64 bytes came in ${pieces.length} pieces`)
})

test('a half-open connection carries one direction only, and its held bytes arrive when it is healed', async (t) => {
  const proxy = await openProxy(t)
  const { socket, pieces, got } = await call(t, proxy)
  const before = received
  proxy.set({ blackhole: 'answers' })
  socket.write('did you hear me?')
  while (received < before + 16) await sleep(5)
  await sleep(30)
  assert.equal(pieces.length, 0)
  assert.equal(socket.destroyed, false, 'nobody was told')
  proxy.heal()
  await got(16)
  assert.equal(Buffer.concat(pieces).toString(), 'did you hear me?')
})

test('whoever waits for answers on a half-open connection does not hear that the server has gone, until it is healed', async (t) => {
  const gone = createServer((socket) => socket.on('error', () => undefined).on('data', () => socket.destroy()))
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve))
  t.after(() => gone.close())
  const proxy = await openFaultProxy((gone.address() as AddressInfo).port)
  t.after(() => proxy.close())
  const { socket, closed } = await call(t, proxy)
  proxy.set({ blackhole: 'answers' })
  socket.write('are you there?')
  await sleep(50)
  assert.equal(socket.destroyed, false)
  proxy.heal()
  await closed
})

test('a silent direction to the server lets nothing reach it', async (t) => {
  const proxy = await openProxy(t)
  const { socket, got } = await call(t, proxy)
  socket.write('a')
  await got(1)
  const before = received
  for (const blackhole of ['requests', 'both'] as const) {
    proxy.set({ blackhole })
    socket.write('b')
    await sleep(30)
    assert.equal(received, before)
  }
  proxy.heal()
  await got(3)
})

test('frames and their api keys are found however the bytes are cut', () => {
  const bytes = Buffer.concat([request(0, 'a body'), request(18, ''), request(3, 'another')])
  for (const size of [1, 2, 3, 5, 7, bytes.length]) {
    const apiKeys: number[] = []
    let frames = 0
    const requests = new ApiKeys((apiKey) => void apiKeys.push(apiKey))
    const answers = new Frames(() => void frames++)
    for (let at = 0; at < bytes.length; at += size) {
      requests.feed(bytes.subarray(at, at + size))
      answers.feed(bytes.subarray(at, at + size))
    }
    assert.deepEqual(apiKeys, [0, 18, 3], `pieces of ${size}`)
    assert.equal(frames, 3)
  }
})

test('an answer to the named request is swallowed, and only that', async (t) => {
  const proxy = await openProxy(t)
  proxy.swallowAnswers(0, 1)
  const first = await call(t, proxy)
  const before = received
  const other = request(3, 'metadata')
  first.socket.write(Buffer.concat([other, other.subarray(0, 7)])) // the second one comes in two pieces
  await first.got(other.length + 7)
  first.socket.write(other.subarray(7))
  await first.got(2 * other.length)
  assert.equal(proxy.swallowed, 0)
  first.socket.write(request(0, 'produce'))
  await first.closed
  assert.equal(received - before, 2 * other.length + 13, 'the request was carried out')
  assert.equal(Buffer.concat(first.pieces).length, 2 * other.length)
  const second = await call(t, proxy)
  second.socket.write(request(0, 'produce'))
  await second.got(13)
  assert.equal(proxy.swallowed, 1)
})

test('a share of the connections is reset under way', async (t) => {
  const proxy = await openProxy(t)
  proxy.set({ resetShare: 0.5 })
  const callers = await Promise.all(Array.from({ length: 40 }, () => call(t, proxy)))
  await Promise.all(
    callers.map(async ({ socket, got }) => {
      socket.write(noise(70_000))
      await got(70_000)
    }),
  )
  assert.ok(proxy.resets > 8 && proxy.resets < 32, `${proxy.resets} of 40`)
  assert.equal(callers.filter(({ socket }) => socket.destroyed).length, proxy.resets)
})

test('a cut ends every connection at once', async (t) => {
  const proxy = await openProxy(t)
  const callers = await Promise.all([call(t, proxy), call(t, proxy)])
  while (proxy.connections < 2) await sleep(5)
  proxy.cutAll()
  await Promise.all(callers.map(({ closed }) => closed))
  assert.equal(proxy.connections, 0)
})

test('a server that is down is a connection that ends; when it is back the proxy leads to it', async (t) => {
  const target = createServer((socket) => void socket.end('hello'))
  const listen = (port: number): Promise<number> =>
    new Promise((resolve) => {
      target.listen(port, '127.0.0.1', () => resolve((target.address() as AddressInfo).port))
    })
  const port = await listen(0)
  await new Promise((resolve) => target.close(resolve))
  const proxy = await openFaultProxy(port)
  t.after(() => proxy.close())
  await (
    await call(t, proxy)
  ).closed
  await listen(port)
  t.after(() => target.close())
  const { pieces, closed } = await call(t, proxy)
  await closed
  assert.equal(Buffer.concat(pieces).toString(), 'hello')
})
