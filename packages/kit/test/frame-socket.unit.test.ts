// Answers arrive in any pieces and are handed on whole.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { Frames, openFrameSocket } from '../src/log/kafka/frame-socket.ts'

const framed = (body: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

test('frames come out whole and in order, however the bytes were cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 12 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
      (bodies, cuts) => {
        const sent = Buffer.concat(bodies.map(framed))
        const frames = new Frames()
        const found: Buffer[] = []
        const reused = Buffer.alloc(40)
        for (let at = 0; at < sent.length;) {
          const piece = sent.subarray(at, at + cuts.next().value!)
          piece.copy(reused)
          frames.take(reused.subarray(0, piece.length), (frame) => found.push(frame))
          at += piece.length
        }
        assert.deepEqual(found, bodies.map(framed))
      },
    ),
    { numRuns: 300 },
  )
})

test('a length that no broker sends is refused', () => {
  for (const length of [-1, 0x48545450]) {
    const bytes = Buffer.alloc(8)
    bytes.writeInt32BE(length)
    assert.throws(() => new Frames().take(bytes, () => undefined), /is this a Kafka broker/)
  }
})

test('a socket hands on large answers whole and tells when it ends', { timeout: 30_000 }, async (t) => {
  const bodies = [Buffer.alloc(3_000_000, 1), Buffer.alloc(0), Buffer.from('end')]
  const server = createServer((peer) => {
    for (const body of bodies) peer.write(framed(body))
    peer.end()
  })
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = openFrameSocket('127.0.0.1', (server.address() as AddressInfo).port, () => undefined)
  const found: Buffer[] = []
  socket.on('data', (frame: Buffer) => found.push(frame))
  await once(socket, 'close')
  assert.deepEqual(
    found.map((frame) => frame.length),
    bodies.map((body) => body.length + 4),
  )
  assert.ok(found[0]!.subarray(4).equals(bodies[0]!))
})
