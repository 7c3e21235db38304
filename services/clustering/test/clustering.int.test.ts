// The service as it runs, on the log in memory: findings come out, the read door shows them, a restart goes on.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryStore, localCodec, openMemoryLog, publish, sha256Hex, startService } from '@andon/kit'
import type { Log, Part } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import type { Anomalies } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { createClusteringService } from '../src/service.ts'
import { modelFact, predictionOf } from './predictions.ts'

const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-clustering-'))
after(() => rmSync(folder, { recursive: true }))
const tokens = join(folder, 'principals.json')
writeFileSync(tokens, JSON.stringify([{ id: 'p-operator', name: 'operator', roles: ['operator'], tokenSha256: sha256Hex('open-sesame') }]))

const eventually = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 25) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(25)
  }
  throw new Error(`did not happen within 10 s: ${what}`)
}

const start = async (store: MemoryStore) => {
  const config = loadConfig({
    CLUSTERING_ADMIN_PORT: '0',
    CLUSTERING_HTTP_PORT: '0',
    CLUSTERING_HYSTERESIS_ON: '2',
    CLUSTERING_HYSTERESIS_OFF: '2',
    CLUSTERING_SNAPSHOT_EVERY_MS: '50',
    ANDON_LOG_LEVEL: 'silent',
    ANDON_TOKENS_FILE: tokens,
    ANDON_BLOB_DIR: join(folder, 'blobs'),
  })
  const outside = async () => ({ log: openMemoryLog({ store }), codec })
  const service = createClusteringService(config, outside)
  const running = await startService(service)
  const door = service.parts.find(({ name }) => name === 'read-door') as Part & { port(): number }
  const get = async (path: string, token = 'open-sesame') => {
    const response = await fetch(`http://127.0.0.1:${door.port()}${path}`, { headers: { authorization: `Bearer ${token}` } })
    return { status: response.status, body: (await response.json()) as Answer }
  }
  return { running, get }
}

interface Answer {
  readonly code: string
  readonly episodes: readonly { readonly episodeId: string }[]
  readonly clusters: readonly { readonly clusterId: string }[]
}

const setUp = async () => {
  const store = new MemoryStore(2)
  const log = openMemoryLog({ store })
  const names = Object.keys(avroSchemas).filter((name) => name !== 'changelog')
  await log.admin.ensureTopics(names.map((name) => ({ name, partitions: name === 'config' || name === 'models' ? 1 : 2 })))
  return { store, log }
}

const sendWindow = async (log: Log, n: number, ratio: number) => {
  const value = predictionOf(n, ratio)
  const order = { promotion: 0, leaderEpoch: 0, offset: n, index: 0 }
  const output = {
    topic: 'predictions',
    key: value.assetId,
    value,
    id: value.predictionId,
    type: 'verdicts',
    timeUs: value.windowEndUs,
    order,
  }
  await publish(log, codec, [output], 'test')
}

const findingsOf = async (log: Log): Promise<Anomalies[]> => {
  const found: Anomalies[] = []
  for (const partition of [0, 1]) {
    for await (const batch of log.read({ topic: 'anomalies', partition, from: 'earliest', to: 'latest' })) {
      for (const record of batch.records) found.push(codec.decode<Anomalies>('anomalies', record.value as Buffer))
    }
  }
  return found
}

test('an episode opens, is shown at the door, and closes after a restart', async (t) => {
  const { store, log } = await setUp()
  const first = await start(store)
  t.after(() => first.running.stop())
  // The model is registered and used at once: its card must be known when the first window is judged.
  await publish(
    log,
    codec,
    [{ topic: 'models', key: 't2spe.press-1', value: modelFact(), id: 'm1', type: 'ModelRegistered', timeUs: 0, partition: 0 }],
    'test',
  )
  for (const [n, ratio] of [0.4, 3, 4].entries()) await sendWindow(log, n, ratio)
  const opened = await eventually('the episode opens', async () => (await findingsOf(log)).find(({ type }) => type === 'EpisodeOpened'))
  assert.equal(opened.finding?.openingVectorId, 'vector-2')
  assert.notEqual(opened.finding?.clusterId, null)
  assert.notEqual(opened.finding?.contributions[0]?.normalHigh, null)

  const { episodes } = (await first.get('/v1/episodes?open=true')).body
  assert.deepEqual(
    episodes.map(({ episodeId }) => episodeId),
    [opened.finding?.episodeId],
  )
  const { clusters } = (await first.get('/v1/clusters/press-1')).body
  assert.ok(clusters.some(({ clusterId }) => clusterId === opened.finding?.clusterId))
  const unknown = await first.get('/v1/clusters/press-9')
  assert.deepEqual([unknown.status, unknown.body.code], [404, 'ANDON_CLUSTERING_ASSET_UNKNOWN'])
  assert.equal((await first.get('/v1/episodes', 'nobody')).status, 401)
  await sleep(150)
  await first.running.stop()

  const second = await start(store)
  t.after(() => second.running.stop())
  for (const [i, ratio] of [0.1, 0.1].entries()) await sendWindow(log, 3 + i, ratio)
  const closed = await eventually('the episode closes', async () => (await findingsOf(log)).find(({ type }) => type === 'EpisodeClosed'))
  assert.equal(closed.finding?.episodeId, opened.finding?.episodeId)
  assert.equal((await findingsOf(log)).filter(({ type }) => type === 'EpisodeOpened').length, 1)
  assert.deepEqual((await second.get('/v1/episodes?open=true')).body.episodes, [])
  assert.equal((await second.get('/v1/episodes')).body.episodes.length, 1)
})
