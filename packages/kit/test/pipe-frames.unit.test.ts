// Frames of a pipe: the same, however the bytes are cut on their way.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FRAME, frameOf, framesOf } from '../src/pipe-frames.ts'

async function* chunksOf(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0
  for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)) {
    yield bytes.subarray(from, to)
    from = to
  }
}

test('frames come back as they were sent, whatever the chunks are', async () => {
  const frames = fc.array(fc.tuple(fc.constantFrom(FRAME.record, FRAME.about), fc.uint8Array({ maxLength: 40 })), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.nat(), { maxLength: 8 }), async (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(([kind, body]) => frameOf(kind, body)))
      const got = await Array.fromAsync(framesOf(chunksOf(bytes, cuts)), ({ kind, body }) => [kind, new Uint8Array(body)])
      assert.deepEqual(got, sent)
    }),
  )
})

test('a pipe that ends inside a frame is an error', async () => {
  const bytes = frameOf(FRAME.record, new Uint8Array(8)).subarray(0, 9)
  await assert.rejects(Array.fromAsync(framesOf(chunksOf(bytes, []))), /ended inside/)
})
