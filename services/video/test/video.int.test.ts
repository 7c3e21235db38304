// Video as a service with real ffmpeg and the demo plant's cameras, on the log in memory: an order becomes a clip that plays, whose
// digests hold, that covers the range; a killed recorder leaves a listed gap; a service that is stopped with an order in hand answers it after its restart.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fact, ownershipTaken, sign } from '@andon/decisions'
import {
  canonicalJson,
  followTopic,
  localCodec,
  MemoryStore,
  openMemoryLog,
  publish,
  sha256Hex,
  startService,
  uuid8,
  type RunningService,
} from '@andon/kit'
import type { Actions, ConfigInput, Evidence, Telemetry } from '@andon/schemas'
import { startCameras, type Cameras } from '@andon/steel-plant/cameras'
import { loadConfig } from '../src/config.ts'
import { createVideoService } from '../src/service.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-video-'))
const store = new MemoryStore(12)
const log = openMemoryLog({ store })
const codec = localCodec()
const token = 'a-test-token-of-the-operator'
const line = 'press-line'
const nowUs = () => Date.now() * 1000
let plant: Cameras
let service: RunningService | undefined
let door = ''

const eventually = async <T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 30_000,
): Promise<T> => {
  for (const deadline = Date.now() + withinMs; ;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${door}${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } })
interface CameraView {
  id: string
  state: string
  health: string
  freezeS: number | null
  ring: { from: string; to: string; segments: number; gaps: { from: string; to: string }[] }
}
const cameras = async () => ((await (await get('/v1/cameras')).json()) as { cameras: CameraView[] }).cameras
const camera = async (id: string) => (await cameras()).find((each) => each.id === id)
const all = async <T>(topic: string): Promise<T[]> => {
  const found: T[] = []
  const follow = await followTopic<T>(log, codec, topic, ({ value }) => void found.push(value))
  await follow.caughtUp()
  await follow.stop()
  return found
}

const startVideo = async (): Promise<void> => {
  const config = loadConfig({
    ANDON_DATA_DIR: join(folder, 'data'),
    ANDON_BLOB_DIR: join(folder, '.blobs'),
    ANDON_TOKENS_FILE: join(folder, 'principals.json'),
    ANDON_LOG_LEVEL: 'silent',
    VIDEO_ADMIN_PORT: '0',
    VIDEO_HTTP_PORT: '0',
    VIDEO_STALL_S: '5',
  })
  const video = createVideoService(config, { openLog: async () => ({ log: openMemoryLog({ store }), codec: localCodec() }) })
  service = await startService(video)
  door = `http://127.0.0.1:${(video.parts.at(-1) as unknown as { port(): number }).port()}`
}

/** The owner's records: an incident with one evidence order. */
const order = async (name: string, evidence: Omit<Evidence, 'clips' | 'failure' | 'orderId'>): Promise<string> => {
  const orderId = uuid8('evidence', name)
  const epoch = Math.round(Date.now() / 10)
  const facts = sign(
    [
      fact('IncidentOpened', line, nowUs(), [name], { by: 'actions', incidentId: name, title: name }),
      fact('EvidenceOrdered', line, nowUs(), [orderId], {
        by: 'actions',
        incidentId: name,
        evidence: { ...evidence, orderId, clips: [], failure: null },
      }),
    ],
    epoch,
    'owner-a',
  )
  const records = [ownershipTaken(line, epoch, 'owner-a', nowUs()), ...facts]
  await publish(
    log,
    codec,
    records.map((value) => ({ topic: 'actions', key: line, value, id: value.id, type: value.type, timeUs: value.atUs })),
    'test',
  )
  return orderId
}
const answerTo = (orderId: string) =>
  eventually(`answer to ${orderId}`, async () =>
    (await all<Actions>('actions')).find(
      (each) => each.type.startsWith('Evidence') && each.by === 'video' && each.evidence?.orderId === orderId,
    ),
  )
const probe = (file: string) =>
  JSON.parse(
    execFileSync('ffprobe', [
      '-v',
      'error',
      '-count_frames',
      '-show_entries',
      'stream=codec_name,nb_read_frames:format=duration',
      '-of',
      'json',
      file,
    ]).toString(),
  ) as { streams: { codec_name: string; nb_read_frames: string }[]; format: { duration: string } }

before(async () => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'principals.json'),
    JSON.stringify([{ id: 'p-operator', name: 'operator', roles: ['operator'], tokenSha256: sha256Hex(token) }]),
  )
  plant = await startCameras({
    host: '127.0.0.1',
    port: 0,
    cameras: [
      { id: 'cam-press-front', scene: 'press-front' },
      { id: 'cam-press-rear', scene: 'press-rear' },
    ],
  })
  const body = canonicalJson({
    version: 1,
    site: { id: 'test', name: 'test', timezone: 'UTC' },
    lines: [{ id: line, name: line, area: 'a' }],
    assetClasses: [{ id: 'c', featureSet: 'features/x' }],
    assets: [{ id: 'press-1', name: 'press', line, class: 'c', channels: [{ id: 'x', unit: '1', kind: 'scalar' }] }],
    cameras: ['front', 'rear'].map((side) => ({
      id: `cam-press-${side}`,
      name: side,
      line,
      sees: ['press-1'],
      origin: 'simulated',
      url: `http://127.0.0.1:${plant.port}/cam-press-${side}.ts`,
    })),
  })
  const value: ConfigInput = {
    type: 'ConfigPublished',
    name: 'plant',
    kind: 'plant',
    digest: sha256Hex(body),
    body,
    effectiveFromUs: nowUs(),
    by: 'test',
    atUs: nowUs(),
  }
  await publish(log, codec, [{ topic: 'config', key: 'plant', value, id: 'plant-1', type: 'config', timeUs: nowUs() }], 'test')
  await startVideo()
})

after(async () => {
  await service?.stop()
  await plant.stop()
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

test('both cameras are recorded, and nobody without a token sees them', { timeout: 60_000 }, async () => {
  await eventually('two segments of each camera', async () => {
    const found = await cameras()
    return found.length === 2 && found.every((each) => each.state === 'recording' && each.ring.segments >= 2)
  })
  assert.equal((await fetch(`${door}/v1/cameras`)).status, 401)
  assert.equal((await fetch(`${door}/v1/cameras`, { headers: { cookie: `x=1; andon_token=${token}` } })).status, 200)
})

test('live pictures play over HTTP, and no path leads out of the ring', { timeout: 60_000 }, async () => {
  const playlist = await (await get('/v1/cameras/cam-press-front/live.m3u8')).text()
  const [init] = /[^"/]+-init\.mp4/.exec(playlist)!
  const [segment] = /r\d+-\d+\.m4s/.exec(playlist)!
  const parts = await Promise.all(
    [init, segment].map(async (name) => Buffer.from(await (await get(`/v1/cameras/cam-press-front/segments/${name}`)).arrayBuffer())),
  )
  const file = join(folder, 'live.mp4')
  writeFileSync(file, Buffer.concat(parts))
  assert.ok(Number(probe(file).streams[0]!.nb_read_frames) >= 15)
  for (const name of ['..%2f..%2fprincipals.json', '%2e%2e%2fprincipals.json', 'r0000000000000-000000.m4s']) {
    assert.equal((await get(`/v1/cameras/cam-press-front/segments/${name}`)).status, 404)
  }
})

test(
  'an order becomes one clip per camera: it covers the range, its digests hold, it plays and can be seeked',
  { timeout: 60_000 },
  async () => {
    const range = { fromUs: nowUs() - 2_500_000, toUs: nowUs() + 1_500_000 }
    const orderId = await order('incident-1', { cameraIds: ['cam-press-front', 'cam-press-rear'], ...range })
    const answer = await answerTo(orderId)
    assert.equal(answer.type, 'EvidenceStored')
    assert.equal(answer.incidentId, 'incident-1')
    assert.equal(answer.evidence!.failure, null)
    assert.equal(answer.evidence!.clips.length, 2)
    for (const clip of answer.evidence!.clips) {
      assert.ok(clip.fromUs <= range.fromUs && clip.toUs >= range.toUs, JSON.stringify({ clip, range }))
      assert.deepEqual(clip.gaps, [])
      const video = Buffer.from(await (await get(`/v1/clips/${clip.clipId}/video`)).arrayBuffer())
      assert.equal(createHash('sha256').update(video).digest('hex'), clip.sha256)
      const manifest = await (await get(`/v1/clips/${clip.clipId}/manifest`)).text()
      assert.equal(sha256Hex(manifest), clip.manifestSha256)
      const said = JSON.parse(manifest) as {
        clip: { sha256: string }
        segments: { sha256: string }[]
        requested: unknown
        tool: { argv: string[] }
      }
      assert.equal(said.clip.sha256, clip.sha256)
      assert.ok(said.segments.length >= 2)
      assert.ok(said.tool.argv.every((argument) => !argument.includes('/')))
      const file = join(folder, 'clip.mp4')
      writeFileSync(file, video)
      const { streams, format } = probe(file)
      assert.equal(streams[0]!.codec_name, 'h264')
      const seconds = (clip.toUs - clip.fromUs) / 1e6
      assert.ok(Math.abs(Number(format.duration) - seconds) < 0.6, `${format.duration} of ${seconds}`)
      assert.ok(Number(streams[0]!.nb_read_frames) >= (seconds - 0.6) * 10)
      const part = await get(`/v1/clips/${clip.clipId}/video`, { range: 'bytes=100-199' })
      assert.equal(part.status, 206)
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), video.subarray(100, 200))
    }
    const listed = (await (await get('/v1/clips')).json()) as { clips: { clipId: string }[] }
    assert.equal(listed.clips.length, 2)
    assert.equal((await get('/v1/clips/nobody')).status, 404)
  },
)

test('kill -9 of a recorder: it connects again, the gap is listed, a clip over it names the gap', { timeout: 90_000 }, async () => {
  const fromUs = nowUs()
  const before = await camera('cam-press-rear')
  const [pid] = execFileSync('pgrep', ['-f', `ffmpeg.*${plant.port}/cam-press-rear`])
    .toString()
    .trim()
    .split('\n')
  process.kill(Number(pid), 'SIGKILL')
  await eventually('recording again', async () => {
    const now = await camera('cam-press-rear')
    return now?.state === 'recording' && now.ring.gaps.length > (before?.ring.gaps.length ?? 0)
  })
  const toUs = nowUs()
  const answer = await answerTo(await order('incident-2', { cameraIds: ['cam-press-rear'], fromUs, toUs }))
  const [clip] = answer.evidence!.clips
  assert.equal(answer.type, 'EvidenceStored')
  assert.equal(clip!.gaps.length, 1)
  const file = join(folder, 'gap.mp4')
  writeFileSync(file, Buffer.from(await (await get(`/v1/clips/${clip!.clipId}/video`)).arrayBuffer()))
  assert.ok(Number(probe(file).streams[0]!.nb_read_frames) > 10)
})

test('a frozen picture is seen, a moving one is good again', { timeout: 90_000 }, async () => {
  plant.freeze('cam-press-front', true)
  await eventually('frozen', async () => (await camera('cam-press-front'))?.health === 'frozen')
  assert.equal((await camera('cam-press-rear'))?.health, 'good')
  plant.freeze('cam-press-front', false)
  await eventually('good again', async () => (await camera('cam-press-front'))?.health === 'good')
})

test('an order of which nothing is recorded is answered with the reason', { timeout: 60_000 }, async () => {
  const fromUs = nowUs() - 3_600_000_000
  const answer = await answerTo(
    await order('incident-3', { cameraIds: ['cam-press-front', 'cam-nowhere'], fromUs, toUs: fromUs + 5_000_000 }),
  )
  assert.equal(answer.type, 'EvidenceFailed')
  assert.match(answer.evidence!.failure!, /cam-press-front: .*holds nothing.*cam-nowhere: no camera/)
})

test(
  'a service that ends with an order in hand answers it after its restart, once, and knows its ring and clips again',
  { timeout: 90_000 },
  async () => {
    const range = { fromUs: nowUs() - 3_000_000, toUs: nowUs() + 3_000_000 }
    const orderId = await order('incident-4', { cameraIds: ['cam-press-front'], ...range })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await service!.stop()
    assert.equal((await all<Actions>('actions')).filter((each) => each.evidence?.orderId === orderId && each.by === 'video').length, 0)
    await startVideo()
    const answer = await answerTo(orderId)
    assert.equal(answer.type, 'EvidenceStored')
    assert.equal(answer.evidence!.clips[0]!.gaps.length, 1)
    assert.ok((await camera('cam-press-front'))!.ring.segments > 5)
    assert.equal(((await (await get('/v1/clips')).json()) as { clips: unknown[] }).clips.length, 4)
    await service!.stop()
    await startVideo()
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.equal((await all<Actions>('actions')).filter((each) => each.evidence?.orderId === orderId && each.by === 'video').length, 1)
  },
)

test('frame rows lie on telemetry without holes, beside a tick per partition and second', async () => {
  const records = await all<Telemetry>('telemetry')
  const blocks = records.flatMap(({ block }) => (block?.sourceId === 'cam-press-front-frames' ? [block] : []))
  for (const epoch of new Set(blocks.map((block) => block.epoch))) {
    let next = 0
    for (const block of blocks.filter((each) => each.epoch === epoch)) {
      assert.equal(block.seqFrom, next)
      next = block.seqTo + 1
    }
    assert.ok(next > 0)
  }
  const ticks = records.filter(({ type }) => type === 'tick').length
  assert.ok(ticks > 0 && ticks % 12 === 0)
})
