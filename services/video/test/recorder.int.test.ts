// The recorder alone with real ffmpeg: the same segments give the same clip, a changed segment none; after a kill -9 of the process no
// ffmpeg stays behind and the ring is found again.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createLogger, openBlobs } from '@andon/kit'
import { startCameras, type Cameras } from '@andon/steel-plant/cameras'
import { ffmpegVersion } from '../src/adapters/ffmpeg.ts'
import { startRecorder, type Recorder } from '../src/adapters/recorder.ts'
import { makeClip } from '../src/clip.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-recorder-'))
const logger = createLogger({ service: 'test', level: 'silent' })
let plant: Cameras
let recorder: Recorder | undefined
const url = () => `http://127.0.0.1:${plant.port}/cam-press-rear.ts`
const ring = join(folder, 'ring')

const until = async (what: string, condition: () => boolean, withinMs = 20_000) => {
  for (const deadline = Date.now() + withinMs; !condition();) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

before(async () => {
  plant = await startCameras({ host: '127.0.0.1', port: 0, cameras: [{ id: 'cam-press-rear', scene: 'press-rear' }] })
})
after(async () => {
  await recorder?.stop()
  await plant.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('kill -9 of the recording process: ffmpeg ends by itself, and the ring is there for the next one', { timeout: 60_000 }, async (t) => {
  const program = `
    import { createLogger } from '@andon/kit'
    import { startRecorder } from ${JSON.stringify(new URL('../src/adapters/recorder.ts', import.meta.url).href)}
    const logger = createLogger({ service: 'test', level: 'silent' })
    const recorder = await startRecorder({ cameraId: 'c', url: ${JSON.stringify(url())}, folder: ${JSON.stringify(ring)}, ringUs: 6e8, logger,
      onSegment: () => console.log(recorder.pid) })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: new URL('..', import.meta.url),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL')) // also where the test did not come to it: a running child keeps the file from ending
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await until('two segments', () => said.trim().split('\n').length >= 2)
  const ffmpeg = Number(said.trim().split('\n').at(-1))
  assert.ok(isAlive(ffmpeg))
  child.kill('SIGKILL')
  await until('end of the orphan', () => !isAlive(ffmpeg))

  recorder = await startRecorder({ cameraId: 'c', url: url(), folder: ring, ringUs: 6e8, logger })
  const found = recorder.index.all().length
  assert.ok(found >= 2)
  await until('new segments', () => recorder!.index.all().length >= found + 2)
  const all = recorder.index.all()
  assert.equal(recorder.index.gaps({ fromUs: all[0]!.startUs, toUs: all.at(-1)!.endUs }).length, 1)
})

test('the same segments give the same clip and manifest, byte for byte; a changed segment gives none', { timeout: 60_000 }, async () => {
  const tools = { blobs: await openBlobs(join(folder, 'blobs')), workDir: join(folder, 'work'), ffmpegVersion: await ffmpegVersion() }
  const segments = recorder!.index.all()
  const range = { fromUs: segments[0]!.startUs + 100_000, toUs: segments.at(-1)!.endUs - 100_000 }
  const order = { orderId: 'order-1', incidentId: null, cameraId: 'c', range }
  const first = await makeClip(order, recorder!, tools)
  assert.deepEqual(await makeClip(order, recorder!, tools), first)
  assert.equal(first.gaps.length, 1)
  appendFileSync(recorder!.path(segments[1]!.name), 'x')
  await assert.rejects(makeClip(order, recorder!, tools), { code: 'ANDON_VIDEO_SEGMENT_CHANGED' })
  await assert.rejects(makeClip({ ...order, range: { fromUs: 1, toUs: 2 } }, recorder!, tools), { code: 'ANDON_VIDEO_NO_VIDEO' })
})

test('a camera that hangs without closing its stream is connected anew', { timeout: 60_000 }, async () => {
  await recorder!.stop()
  let losses = 0
  recorder = await startRecorder({
    cameraId: 'c',
    url: url(),
    folder: join(folder, 'stall'),
    ringUs: 6e8,
    logger,
    stallMs: 3000,
    onLost: () => losses++,
  })
  await until('a segment', () => recorder!.index.all().length >= 1)
  const stopped = recorder.pid!
  process.kill(stopped, 'SIGSTOP')
  await until('the stalled ffmpeg replaced', () => losses >= 1 && recorder!.pid !== undefined && recorder!.pid !== stopped)
  await until('recording again', () => recorder!.state === 'recording')
})

test('old segments leave the ring, and the files of their run with the last of them', { timeout: 60_000 }, async () => {
  await recorder!.stop()
  recorder = await startRecorder({ cameraId: 'c', url: url(), folder: join(folder, 'short'), ringUs: 3e6, logger })
  const seen = new Set<string>()
  await until('four segments seen', () => {
    for (const segment of recorder!.index.all()) seen.add(segment.name)
    return seen.size >= 4
  })
  assert.ok(recorder.index.all().length <= 3)
})
