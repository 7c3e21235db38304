// The process on a real broker, killed with SIGKILL while telemetry flows: the vectors are those of a
// run that nobody disturbed, with the same ids and bytes, none missing.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryStore, localCodec, openCodec, openKafkaLog, openMemoryLog, startService } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import type { Features } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { createFeaturesService } from '../src/service.ts'
import { createTopics, featuresOf, publishDocuments, sample, tick } from './plant.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const SAMPLES = 91
const folder = mkdtempSync(join(tmpdir(), 'andon-features-'))
after(() => rmSync(folder, { recursive: true }))

/** 10 samples a second of event time, every ninth one out of order, a tick each second. */
const feed = async (log: Log, codec: Codec, from: number, to: number): Promise<void> => {
  for (let seq = from; seq <= to; seq++) {
    const timeS = seq * 0.1 - (seq % 9 === 0 ? 0.35 : 0)
    await sample(log, codec, seq, timeS, Math.sin(seq))
    if (seq % 10 === 0) await tick(log, codec, seq * 0.1)
  }
}

const closeAll = (log: Log, codec: Codec) => tick(log, codec, 1_000)

const settle = async (log: Log, codec: Codec, done: (found: Features[]) => boolean): Promise<Features[]> => {
  for (let waitedMs = 0; ; waitedMs += 200) {
    const found = await featuresOf(log, codec)
    if (done(found)) return found
    if (waitedMs > 60_000) throw new Error(`only ${found.length} records on features after 60 s`)
    await sleep(200)
  }
}

/** The last window has closed: its vector is there. */
const isDone = (found: Features[]) => found.some(({ vector }) => vector?.windowStartUs === Math.floor(SAMPLES * 0.1) * 1e6)

const distinct = (found: readonly Features[]): string[] => {
  const seen = new Map<string, string>()
  for (const { vector } of found) {
    if (vector === null) continue
    const body = JSON.stringify({ ...vector, values: vector.values.toString('hex') })
    assert.equal(seen.get(vector.vectorId) ?? body, body, 'one id, one content')
    seen.set(vector.vectorId, body)
  }
  return [...seen.values()]
}

const undisturbed = async (): Promise<string[]> => {
  const store = new MemoryStore(2)
  const codec = localCodec()
  const log = openMemoryLog({ store })
  await createTopics(log)
  await publishDocuments(log, codec)
  const config = loadConfig({
    FEATURES_ADMIN_PORT: '0',
    ANDON_LOG_LEVEL: 'silent',
    ANDON_REDIS_URL: 'redis://127.0.0.1:1',
    ANDON_BLOB_DIR: folder,
  })
  const service = await startService(createFeaturesService(config, async () => ({ log: openMemoryLog({ store }), codec })))
  try {
    await feed(log, codec, 1, SAMPLES)
    await closeAll(log, codec)
    return distinct(await settle(log, codec, isDone))
  } finally {
    await service.stop()
  }
}

const MODES = [
  { name: 'by default', settings: {}, seesRepeats: true },
  { name: 'in transactions', settings: { FEATURES_TRANSACTIONAL: 'true', FEATURES_TRANSACTION_MS: '50' }, seesRepeats: false },
] as const

for (const mode of MODES) test(`killed twice, the same vectors come out: ${mode.name}`, { timeout: 180_000 }, (t) => killedTwice(t, mode))

const killedTwice = async (t: TestContext, { name, settings, seesRepeats }: (typeof MODES)[number]): Promise<void> => {
  const expected = await undisturbed()
  const kafka = await startKafka()
  t.after(() => kafka.stop())
  const registry = await startRegistry({ brokers: kafka.brokers })
  t.after(() => registry.stop())
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  t.after(() => log.close())
  const codec = await openCodec({ registryUrl: registry.url })
  await createTopics(log)
  await publishDocuments(log, codec)

  let child: ChildProcess | undefined
  const start = () => {
    const env = {
      ...process.env,
      ANDON_KAFKA_BROKERS: kafka.brokers.join(','),
      ANDON_REGISTRY_URL: registry.url,
      ANDON_REDIS_URL: 'redis://127.0.0.1:1',
      ANDON_BLOB_DIR: join(folder, name),
      ANDON_LOG_LEVEL: 'warn',
      ...settings,
      FEATURES_ADMIN_PORT: '0',
      FEATURES_SNAPSHOT_EVERY: '7',
      FEATURES_SNAPSHOT_EVERY_MS: '200',
    }
    child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const kill = async () => {
    const exited = once(child as ChildProcess, 'exit')
    child?.kill('SIGKILL')
    await exited
  }
  t.after(() => child?.kill('SIGKILL'))

  start()
  for (const [from, to] of [
    [1, 30],
    [31, 65],
  ] as const) {
    const before = (await featuresOf(log, codec)).length
    await feed(log, codec, from, to)
    await settle(log, codec, (found) => found.length > before)
    await kill()
    start()
  }
  await feed(log, codec, 66, SAMPLES)
  await closeAll(log, codec)
  const found = await settle(log, codec, isDone)
  const vectors = distinct(found)
  assert.deepEqual(vectors.toSorted(), expected.toSorted())
  if (!seesRepeats) assert.equal(found.filter(({ vector }) => vector !== null).length, vectors.length, 'nobody sees a vector twice')
  await kill()
}
