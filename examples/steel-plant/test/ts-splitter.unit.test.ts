// A viewer may join only where tables and a key frame begin, however the bytes were chunked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { tsSplitter } from '../src/ts-splitter.ts'

type Kind = 'pat' | 'pmt' | 'key' | 'frame' | 'rest'
const packet = (kind: Kind, n: number): Buffer => {
  const bytes = Buffer.alloc(188, n & 0xff)
  const pid = { pat: 0, pmt: 0x1000, key: 0x100, frame: 0x100, rest: 0x100 }[kind]
  const unitStart = kind === 'rest' ? 0 : 0x40
  bytes[0] = 0x47
  bytes[1] = unitStart | (pid >> 8)
  bytes[2] = pid & 0xff
  if (kind === 'key' || kind === 'frame') {
    bytes.set([0x30, 1, kind === 'key' ? 0x50 : 0x10, 0, 0, 1, 0xe0], 3)
  } else bytes.set([0x10, 0, 2, 0xb0], 3)
  return bytes
}
const stream = (kinds: Kind[]) => Buffer.concat(kinds.map(packet))
const gop: Kind[] = ['pat', 'pmt', 'key', 'rest', 'frame', 'rest', 'pat', 'pmt', 'frame']

test('pieces join to the stream again, and a joinable one starts with PAT and PMT before a key frame', () => {
  const bytes = stream(['rest', ...gop, ...gop, ...gop, 'frame'])
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 40 }), (sizes) => {
      const split = tsSplitter()
      const pieces = []
      let at = 0
      for (const size of [...sizes, bytes.length]) {
        pieces.push(...split(bytes.subarray(at, at + size)))
        at = Math.min(bytes.length, at + size)
      }
      assert.deepEqual(Buffer.concat(pieces.map((piece) => piece.bytes)), bytes)
      const joinable = pieces.filter((piece) => piece.joinable)
      assert.equal(joinable.length, 3)
      for (const piece of joinable)
        assert.deepEqual([piece.bytes[2], piece.bytes[189]! & 0x1f, piece.bytes[376 + 5]! & 0x40], [0, 0x10, 0x40])
    }),
  )
})

test('a stream that lost its packets is an error, not garbage for viewers', () => {
  assert.throws(() => tsSplitter()(Buffer.alloc(188)), /sync byte/)
})
