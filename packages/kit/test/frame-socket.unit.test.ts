// Answers arrive in any pieces and are handed on whole.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { exchangeOn, FrameReader, openFrameSocket } from '../src/log/kafka/frame-socket.ts'
import { Slabs } from '../src/log/kafka/slabs.ts'

const slabs = (): Slabs => new Slabs(64 * 1024, 4)

const framed = (body: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** Writes the bytes where the reader wants them, in pieces of these sizes or less. */
const feed = (reader: FrameReader, sent: Buffer, pieces: Iterator<number>): void => {
  for (let at = 0; at < sent.length;) {
    const room = reader.room()
    const count = sent.copy(room, 0, at, at + Math.min(room.length, pieces.next().value!))
    reader.came(count)
    at += count
  }
}

test('frames come out whole and in order, however the bytes were cut', () => {
  const short = fc.uint8Array({ maxLength: 60 })
  const large = fc.integer({ min: 65_000, max: 200_000 }).map((length) => Buffer.alloc(length, length))
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 8, arbitrary: short }, { weight: 1, arbitrary: large }), { maxLength: 12 }),
      fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1000, max: 100_000 }))),
      (bodies, cuts) => {
        const found: Buffer[] = []
        feed(new FrameReader(slabs(), (frame) => found.push(frame)), Buffer.concat(bodies.map(framed)), cuts)
        assert.equal(found.length, bodies.length)
        for (const [i, body] of bodies.entries()) assert.ok(found[i]!.equals(framed(body)))
      },
    ),
    { numRuns: 100 },
  )
})

test('memory that was given back is written to again, and only that', () => {
  const lender = slabs()
  const first = lender.take(100_000)
  const second = lender.take(100_000)
  assert.notEqual(first.buffer, second.buffer)
  lender.giveBack(first.subarray(8))
  lender.giveBack(first)
  lender.giveBack(Buffer.alloc(100_000))
  assert.equal(lender.take(90_000).buffer, first.buffer)
  assert.notEqual(lender.take(90_000).buffer, first.buffer)
  assert.equal(lender.take(10).buffer.byteLength, 10, 'little memory is simply allocated')
})

test('a length that no broker sends is refused', () => {
  for (const length of [-1, 0x48545450]) {
    const bytes = Buffer.alloc(8)
    bytes.writeInt32BE(length)
    const reader = new FrameReader(slabs(), () => undefined)
    assert.throws(() => feed(reader, bytes, [8].values()), /is this a Kafka broker/)
  }
})

/** What `serve` does with a connection, and a socket to it. */
const connected = async (t: TestContext, serve: (peer: Socket) => void): Promise<Socket> => {
  const server = createServer(serve)
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return openFrameSocket({ host: '127.0.0.1', port, onConnect: () => undefined }, slabs())
}

test('a socket hands on large answers whole and tells when it ends', { timeout: 30_000 }, async (t) => {
  const bodies = [Buffer.alloc(3_000_000, 1), Buffer.alloc(0), Buffer.from('end')]
  const socket = await connected(t, (peer) => {
    for (const body of bodies) peer.write(framed(body))
    peer.end()
  })
  const found: Buffer[] = []
  socket.on('data', (frame: Buffer) => found.push(frame))
  await once(socket, 'close')
  assert.deepEqual(
    found.map((frame) => frame.length),
    bodies.map((body) => body.length + 4),
  )
  assert.ok(found[0]!.subarray(4).equals(bodies[0]!))
})

const answerTo = (number: number, body: string): Buffer => {
  const head = Buffer.alloc(4)
  head.writeInt32BE(number)
  return framed(Buffer.concat([head, Buffer.from(body)]))
}

test('answers come to whoever asked: ours to us in any order, all others to kafkajs', { timeout: 30_000 }, async (t) => {
  const socket = await connected(t, (peer) => {
    const numbers: number[] = []
    const requests = new FrameReader(slabs(), (frame) => {
      numbers.push(frame.readInt32BE(8))
      if (numbers.length === 2)
        peer.write(Buffer.concat([answerTo(numbers[1]!, 'second'), answerTo(0, 'theirs'), answerTo(numbers[0]!, 'first')]))
      // One that nobody waits for is no business of kafkajs' either.
      if (numbers.length === 3) peer.end(answerTo(-77, 'late'))
    })
    peer.on('data', (bytes: Buffer) => feed(requests, bytes, [bytes.length].values()))
  })
  const theirs: string[] = []
  socket.on('data', (frame: Buffer) => theirs.push(frame.toString('utf8', 8)))
  const exchange = exchangeOn(socket)!
  const ask = (body: string): Promise<Buffer> => exchange.ask([0, 7, 'Produce'], 'c', Buffer.from(body))
  assert.deepEqual((await Promise.all([ask('a'), ask('b')])).map(String), ['first', 'second'])
  await assert.rejects(ask('c'), /ended before the answer/)
  await assert.rejects(ask('d'), /has ended/)
  assert.deepEqual(theirs, ['theirs'])
})
