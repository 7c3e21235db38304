// The service as it runs, on the log in memory and a real Redis: latest vectors appear, survive a flush and a lost
// Redis, and vectors go on without it; a restart goes on where the last one stopped.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryStore, localCodec, openMemoryLog, startService } from '@andon/kit'
import type { Log, RunningService } from '@andon/kit'
import { Redis } from 'ioredis'
import { loadConfig } from '../src/config.ts'
import { createFeaturesService } from '../src/service.ts'
import { createTopics, featuresOf, publishDocuments, sample } from './plant.ts'

const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-features-'))
after(() => rmSync(folder, { recursive: true }))

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

const eventually = async <T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  for (let waitedMs = 0; waitedMs < 15_000; waitedMs += 50) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(50)
  }
  throw new Error(`did not happen within 15 s: ${what}`)
}

let port: number
let server: ChildProcess
let redis: Redis
const startRedis = async () => {
  server = spawn('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no', '--bind', '127.0.0.1'], { stdio: 'ignore' })
  await eventually('Redis answers', async () => ((await redis.ping().catch(() => undefined)) === 'PONG' ? true : undefined))
}
const stopRedis = async () => {
  const exited = once(server, 'exit')
  server.kill('SIGKILL')
  await exited
}

before(async () => {
  port = await freePort()
  redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => 50 })
  redis.on('error', () => {})
  await startRedis()
})
after(async () => {
  redis.disconnect()
  await stopRedis()
})

const latest = async (): Promise<{ windowEndUs: number; values: string; vectorId: string } | undefined> => {
  const text = await redis.get('andon:latest:oven-1').catch(() => null)
  return text === null ? undefined : (JSON.parse(text) as { windowEndUs: number; values: string; vectorId: string })
}
const latestEndS = async (endS: number) => ((await latest())?.windowEndUs === endS * 1e6 ? true : undefined)

const vectorsOf = async (log: Log): Promise<string[]> => (await featuresOf(log, codec)).map(({ vector }) => vector!.vectorId)

const start = async (store: MemoryStore): Promise<{ service: RunningService; log: Log }> => {
  const config = loadConfig({
    FEATURES_ADMIN_PORT: '0',
    ANDON_REDIS_URL: `redis://127.0.0.1:${port}`,
    ANDON_BLOB_DIR: join(folder, 'blobs'),
    ANDON_LOG_LEVEL: 'silent',
    FEATURES_SNAPSHOT_EVERY_MS: '50',
  })
  const log = openMemoryLog({ store })
  const outside = async () => ({ log, codec })
  return { service: await startService(createFeaturesService(config, outside)), log: openMemoryLog({ store }) }
}
const readiness = async (service: RunningService) => {
  const response = await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)
  return (await response.json()) as { status: string; parts: Record<string, unknown> }
}

test('latest vectors: appear, stay monotone, come back after a flush and after a lost Redis', async (t) => {
  const store = new MemoryStore(2)
  const setup = openMemoryLog({ store })
  await createTopics(setup)
  await publishDocuments(setup, codec)
  const { service, log } = await start(store)
  t.after(() => service.stop())

  await sample(log, codec, 1, 0.1, 20)
  await sample(log, codec, 2, 1.1, 30)
  await eventually('the first vector is in Redis', () => latestEndS(1))
  assert.equal(Buffer.from((await latest())!.values, 'base64').readDoubleLE(0), 20)

  await sample(log, codec, 3, 2.1, 30)
  await sample(log, codec, 4, 3.1, 30)
  await eventually('the next ones replace it', () => latestEndS(3))
  await sample(log, codec, 5, 1.5, 99)
  await eventually('a revision of an older window is on the log', async () => ((await vectorsOf(log)).length === 4 ? true : undefined))
  await sleep(200)
  assert.equal((await latest())?.windowEndUs, 3e6, 'the newest window stays')

  await redis.flushall()
  await sample(log, codec, 6, 4.1, 30)
  await eventually('a flushed Redis is filled again', () => latestEndS(4))

  await stopRedis()
  await eventually('readyz says it', async () => {
    const { parts } = await readiness(service)
    return typeof parts['latest-vectors'] === 'string' ? true : undefined
  })
  const before = (await vectorsOf(log)).length
  await sample(log, codec, 7, 5.2, 30)
  await eventually('vectors go on without Redis', async () => ((await vectorsOf(log)).length > before ? true : undefined))

  await startRedis()
  await eventually('the returned Redis is filled', () => latestEndS(5))
  await eventually('and the service is ready again', async () => ((await readiness(service)).status === 'ready' ? true : undefined))
})

test('a flush is noticed although nothing new is measured', async (t) => {
  const store = new MemoryStore(2)
  const setup = openMemoryLog({ store })
  await createTopics(setup)
  await publishDocuments(setup, codec)
  await redis.flushall()
  const { service, log } = await start(store)
  t.after(() => service.stop())
  await sample(log, codec, 1, 0.1, 20)
  await sample(log, codec, 2, 1.1, 30)
  await eventually('the vector is in Redis', () => latestEndS(1))
  await redis.flushall()
  await eventually('it is written again', () => latestEndS(1))
})

test('a restart goes on where the last one stopped: no window twice, none missing', async () => {
  const store = new MemoryStore(2)
  const setup = openMemoryLog({ store })
  await createTopics(setup)
  await publishDocuments(setup, codec)
  const whole = new MemoryStore(2)
  const wholeSetup = openMemoryLog({ store: whole })
  await createTopics(wholeSetup)
  await publishDocuments(wholeSetup, codec)

  const one = await start(whole)
  for (let i = 1; i <= 12; i++) await sample(one.log, codec, i, i * 0.4, i)
  await eventually('all windows are closed', async () => ((await vectorsOf(one.log)).length >= 4 ? true : undefined))
  await one.service.stop()

  for (const range of [
    [1, 5],
    [6, 9],
    [10, 12],
  ] as const) {
    const { service, log } = await start(store)
    for (let i = range[0]; i <= range[1]; i++) await sample(log, codec, i, i * 0.4, i)
    await sleep(300)
    await service.stop()
  }
  const reader = openMemoryLog({ store })
  assert.deepEqual(await vectorsOf(reader), await vectorsOf(openMemoryLog({ store: whole })))
})
