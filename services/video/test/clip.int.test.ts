// A clip cut by real ffmpeg: whole GOPs around what was asked for, not whole segments; picture for picture what was recorded.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { packetLeaf, packetsOfMp4 } from '@andon/audit'
import { openBlobs } from '@andon/kit'
import { makeClip } from '../src/clip.ts'
import { readFragment, readInit } from '../src/mp4-fragment.ts'
import { ringStartUs, smallRing } from './small-ring.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-clip-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const pictures = (file: string): string[] =>
  execFileSync('ffmpeg', ['-v', 'error', '-i', file, '-f', 'framemd5', '-fps_mode', 'passthrough', '-'])
    .toString()
    .split('\n')
    .filter((line) => line.startsWith('0,'))
    .map((line) => line.split(',').at(-1)!.trim())

for (const bFrames of [0, 2])
  test(`a clip is the GOPs that cover the range, picture for picture, with ${bFrames} B-frames`, { timeout: 60_000 }, async () => {
    const ring = smallRing(join(folder, `ring-${bFrames}`), { bFrames })
    const blobs = await openBlobs(join(folder, 'blobs'))
    const tools = { blobs, workDir: join(folder, 'work'), ffmpegVersion: 'x' }
    const range = { fromUs: ringStartUs + 1_700_000, toUs: ringStartUs + 4_600_000 }
    const order = { orderId: `order-${bFrames}`, incidentId: null, cameraId: 'c', range }
    const clip = await makeClip(order, ring, tools)
    assert.deepEqual([clip.fromUs, clip.toUs, clip.gaps], [ringStartUs + 1_500_000, ringStartUs + 5_000_000, []])
    assert.deepEqual(await makeClip(order, ring, tools), clip)

    const whole = join(folder, 'whole.mp4')
    writeFileSync(
      whole,
      Buffer.concat([readFileSync(ring.initOf('r0000000000001')), ...ring.names.map((name) => readFileSync(ring.path(name)))]),
    )
    const recorded = pictures(whole)
    assert.equal(recorded.length, 80)
    assert.deepEqual(pictures(blobs.path(clip.uri)), recorded.slice(15, 50))

    const clock = readInit(readFileSync(ring.initOf('r0000000000001')))!
    const leaves = ring.names.flatMap((name) => {
      const bytes = readFileSync(ring.path(name))
      return readFragment(bytes, clock)!.packets.map(({ at, size }) => packetLeaf(bytes.subarray(at, at + size)).toString('hex'))
    })
    assert.deepEqual(
      packetsOfMp4(readFileSync(blobs.path(clip.uri))).map((packet) => packetLeaf(packet).toString('hex')),
      leaves.slice(15, 50),
    )
  })

test('what the ring does not hold is a gap of the clip, before and after it', { timeout: 60_000 }, async () => {
  const ring = smallRing(join(folder, 'ring-gap'))
  const tools = { blobs: await openBlobs(join(folder, 'blobs')), workDir: join(folder, 'work'), ffmpegVersion: 'x' }
  const range = { fromUs: ringStartUs - 1_000_000, toUs: ringStartUs + 9_000_000 }
  const clip = await makeClip({ orderId: 'order-gap', incidentId: null, cameraId: 'c', range }, ring, tools)
  assert.deepEqual([clip.fromUs, clip.toUs], [ringStartUs, ringStartUs + 8_000_000])
  assert.equal(clip.gaps.length, 2)
})
