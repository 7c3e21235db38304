// Motion and freeze from key frames: a small moving part counts, encoder noise does not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameBytes, frameChannels, frameCutter, frameSize } from '../src/frame-channels.ts'

const grey = (level: number) => new Uint8Array(frameBytes).fill(level)
const withSpot = (x: number, y: number) => {
  const frame = grey(40)
  for (let dy = 0; dy < 6; dy++) frame.fill(200, (y + dy) * frameSize.width + x, (y + dy) * frameSize.width + x + 6)
  return frame
}

test('the first frame says nothing, equal frames freeze, a change ends the freeze', () => {
  const channels = frameChannels()
  assert.equal(channels.next(withSpot(10, 10), 0), undefined)
  assert.deepEqual(channels.next(withSpot(10, 10), 4e6), { motion: 0, freezeS: 4 })
  const moved = channels.next(withSpot(30, 10), 5e6)!
  assert.equal(moved.freezeS, 0)
  assert.ok(moved.motion > 0.5)
  assert.equal(channels.next(withSpot(30, 10), 6e6)!.freezeS, 1)
})

test('noise of one grey level here and there is no motion that ends a freeze', () => {
  const channels = frameChannels()
  channels.next(grey(40), 0)
  const noisy = grey(40)
  for (let i = 0; i < frameBytes; i += 2) noisy[i] = 41
  assert.equal(channels.next(noisy, 3e6)!.freezeS, 3)
})

test('after a lost connection the next frame is a first one', () => {
  const channels = frameChannels()
  channels.next(grey(1), 0)
  channels.reset()
  assert.equal(channels.next(grey(200), 9e6), undefined)
  assert.equal(channels.next(grey(200), 10e6)!.freezeS, 1)
})

test('frames are cut out of the byte stream wherever it was split', () => {
  const frames: number[] = []
  const cut = frameCutter((frame) => frames.push(frame[0]!, frame[frameBytes - 1]!))
  const stream = Buffer.concat([grey(1), grey(2), grey(3)])
  for (let at = 0; at < stream.length; at += 4099) cut(stream.subarray(at, at + 4099))
  assert.deepEqual(frames, [1, 1, 2, 2, 3, 3])
})
