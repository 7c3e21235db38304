// The detector in the service as it runs, on the log in memory with blobs on disk: it learns, asks to be registered, finds, and goes
// on after a restart as if there had been none.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryStore, localCodec, openBlobs, openMemoryLog, publish, sha256Hex, startService } from '@andon/kit'
import type { Log } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import type { Anomalies, Models } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { createClusteringService } from '../src/service.ts'
import { plantRows, unscoredWindow } from './detector-stream.ts'

const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-detector-'))
after(() => rmSync(folder, { recursive: true }))
const tokens = join(folder, 'principals.json')
writeFileSync(tokens, JSON.stringify([{ id: 'p-operator', name: 'operator', roles: ['operator'], tokenSha256: sha256Hex('open-sesame') }]))

const learned = 120
const rows = plantRows(300, 3, 7).map((row, t) => (t >= 220 && t < 260 ? row.map((value, j) => (j === 1 ? value + 4 : value)) : row))

const start = (store: MemoryStore, blobDir: string) =>
  startService(
    createClusteringService(
      loadConfig({
        CLUSTERING_ADMIN_PORT: '0',
        CLUSTERING_HTTP_PORT: '0',
        CLUSTERING_LEARNING_WINDOWS: String(learned),
        CLUSTERING_SNAPSHOT_EVERY: '10',
        CLUSTERING_ROLE: 'assigner',
        ANDON_LOG_LEVEL: 'silent',
        ANDON_TOKENS_FILE: tokens,
        ANDON_BLOB_DIR: blobDir,
      }),
      async () => ({ log: openMemoryLog({ store }), codec }),
    ),
  )

const send = async (log: Log, from: number, to: number): Promise<void> => {
  const outputs = rows.slice(from, to).map((row, i) => {
    const value = unscoredWindow(from + i, row)
    const order = { promotion: 0, leaderEpoch: 0, offset: from + i, index: 0 }
    return { topic: 'predictions', key: value.assetId, value, id: value.predictionId, type: 'learning', timeUs: value.windowEndUs, order }
  })
  await publish(log, codec, outputs, 'test')
}

const read = async <T>(log: Log, topic: string): Promise<T[]> => {
  const found: T[] = []
  for await (const batch of log.read({ topic, partition: 0, from: 'earliest', to: 'latest' }))
    for (const record of batch.records) found.push(codec.decode<T>(topic, record.value as Buffer))
  return found
}

const eventually = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 25) {
    if (await holds()) return
    await sleep(25)
  }
  throw new Error(`did not happen within 20 s: ${what}`)
}

/** All findings when the service is stopped and started anew after some windows. */
const run = async (name: string, stopsAfter: readonly number[]) => {
  const store = new MemoryStore(1)
  const log = openMemoryLog({ store })
  const names = Object.keys(avroSchemas).filter((topic) => topic !== 'changelog')
  await log.admin.ensureTopics(names.map((topic) => ({ name: topic, partitions: 1 })))
  const blobDir = join(folder, name)
  let running = await start(store, blobDir)
  let sent = 0
  for (const stop of [...stopsAfter, rows.length]) {
    await send(log, sent, stop)
    sent = stop
    if (stop === rows.length) break
    await running.stop()
    running = await start(store, blobDir)
  }
  const told = async () => (await read<Anomalies>(log, 'anomalies')).flatMap(({ finding }) => finding ?? [])
  await eventually('the episode closes', async () => (await told()).some(({ transition }) => transition === 'closed'))
  await running.stop()
  const requests = (await read<Models>(log, 'models')).filter(({ type }) => type === 'RegistrationRequested')
  return { findings: await told(), requests, blobs: await openBlobs(blobDir) }
}

test('an asset is learnt, found and followed over restarts as without them', async () => {
  const whole = await run('whole', [])
  assert.equal(whole.findings[0]?.transition, 'opened')
  assert.equal(whole.findings[0]?.sources[0]?.kind, 'detector')
  assert.ok(await whole.blobs.has(whole.requests[0]?.uri ?? ''))
  const cut = await run('cut', [60, learned + 1, 180, 230])
  assert.deepEqual(cut.findings, whole.findings)
  assert.deepEqual(
    cut.requests.map(({ requestId, digest }) => [requestId, digest]),
    whole.requests.map(({ requestId, digest }) => [requestId, digest]),
  )
})
