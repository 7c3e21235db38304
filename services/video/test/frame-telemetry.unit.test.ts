// Frame rows and ticks: numbers without holes, a tick never ahead of what is not yet on the log.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger, followTopic, localCodec, openMemoryLog } from '@andon/kit'
import type { Telemetry } from '@andon/schemas'
import { frameTelemetry } from '../src/frame-telemetry.ts'

const rig = () => {
  const log = openMemoryLog({ partitions: 3 })
  const codec = localCodec()
  let us = 5_000_000_000_000_000
  const frames = frameTelemetry({
    log,
    codec,
    logger: createLogger({ service: 'test', level: 'silent' }),
    instance: 'video-1',
    telemetryPartitions: 3,
    epoch: 7,
    nowUs: () => us,
  })
  const written = async () => {
    const records: Telemetry[] = []
    const follow = await followTopic<Telemetry>(log, codec, 'telemetry', ({ value }) => void records.push(value))
    await follow.caughtUp()
    await follow.stop()
    return {
      blocks: records.flatMap(({ block }) => (block ? [block] : [])),
      ticks: records.flatMap(({ tick }) => (tick ? [tick] : [])),
    }
  }
  return { log, frames, written, pass: (seconds: number) => (us += seconds * 1e6), now: () => us }
}

test('a second writes one block per camera and one tick per partition', async () => {
  const { frames, written, now } = rig()
  frames.add('cam-a', { motion: 1.5, freezeS: 0 })
  frames.add('cam-a', { motion: 2.5, freezeS: 3 })
  frames.add('cam-b', { motion: 0, freezeS: 9 })
  await frames.second()
  const { blocks, ticks } = await written()
  assert.deepEqual(
    blocks
      .map((block) => [block.sourceId, block.epoch, block.seqFrom, block.seqTo, block.rows])
      .toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
    [
      ['cam-a-frames', 7, 0, 1, 2],
      ['cam-b-frames', 7, 0, 0, 1],
    ],
  )
  const samples = blocks.find((block) => block.sourceId === 'cam-a-frames')!.samples
  assert.deepEqual(
    [0, 4, 8, 12].map((at) => Buffer.from(samples).readFloatLE(at)),
    [1.5, 2.5, 0, 3],
  )
  assert.deepEqual(
    ticks.map((tick) => [tick.instance, tick.upToUs]),
    Array.from({ length: 3 }, () => ['video-1', now()]),
  )
})

test('while the log is away rows wait under their numbers and no tick is written; then all come, in order', async () => {
  const { log, frames, written, pass } = rig()
  log.failAppends(() => ({ error: new Error('away') }))
  frames.add('cam-a', { motion: 1, freezeS: 0 })
  await frames.second()
  pass(1)
  frames.add('cam-a', { motion: 2, freezeS: 0 })
  await frames.second()
  assert.equal(frames.waiting(), 2)
  log.failAppends(undefined)
  pass(1)
  await frames.second()
  const { blocks, ticks } = await written()
  assert.deepEqual(
    blocks.map((block) => [block.seqFrom, block.seqTo]),
    [[0, 1]],
  )
  assert.equal(ticks.length, 3)
  assert.equal(frames.waiting(), 0)
})
