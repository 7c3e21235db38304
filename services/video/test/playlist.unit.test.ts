// The live playlist: a window of the newest segments, numbered so that a player can follow, with a mark where the recorder started anew.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { livePlaylist } from '../src/playlist.ts'
import { createSegmentIndex } from '../src/segment-index.ts'

const ring = (runs: string[]) => {
  const index = createSegmentIndex()
  runs.forEach((run, i) =>
    index.add({ name: `${run}-${i}.m4s`, run, endUs: (i + 1) * 2e6, durationUs: 2e6, bytes: 1, sha256: '', gops: [] }),
  )
  return index.all()
}

test('the window moves by one segment and its number with it', () => {
  const all = ring(Array.from({ length: 12 }, () => 'r1'))
  const sequence = (text: string) => Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)![1])
  const before = livePlaylist(all.slice(0, 11), 'segments/')
  const after = livePlaylist(all, 'segments/')
  assert.equal(sequence(after), sequence(before) + 1)
  assert.equal(after.match(/#EXTINF:2\.000000,/g)?.length, 8)
  assert.match(after, /segments\/r1-11\.m4s\n$/)
  assert.equal(after.match(/EXT-X-MAP/g)?.length, 1)
})

test('a new recorder start is a discontinuity with its own init segment', () => {
  const text = livePlaylist(ring(['r1', 'r1', 'r2']), '')
  assert.match(text, /r1-1\.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="r2-init\.mp4"/)
})
