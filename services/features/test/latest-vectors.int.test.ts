// What a real Redis holds of what is on the log: the newest vector with values and the present state per asset, whatever is
// flushed or lost. Nothing is read back: the log stays as it is.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger, createMetrics, localCodec, openMemoryLog, publish } from '@andon/kit'
import type { Log } from '@andon/kit'
import type { Vector } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { Redis } from 'ioredis'
import { latestVectors } from '../src/adapters/latest-vectors.ts'

const codec = localCodec()
const SECOND_US = 1_000_000

const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/** Looks again until it has been seen; the bound only ends a test that would never end. */
const eventually = async (what: string, look: () => Promise<boolean>): Promise<void> => {
  for (let looks = 0; looks < 600; looks++) {
    if (await look()) return
    await sleep(25)
  }
  throw new Error(`did not happen: ${what}`)
}

let port: number
let server: ChildProcess
let redis: Redis
before(async () => {
  port = await freePort()
  server = spawn('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no', '--bind', '127.0.0.1'], { stdio: 'ignore' })
  redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => 50 })
  redis.on('error', () => {})
  await eventually('Redis answers', async () => (await redis.ping().catch(() => '')) === 'PONG')
})
after(async () => {
  redis.disconnect()
  const exited = once(server, 'exit')
  server.kill('SIGKILL')
  await exited
})

const vectorAt = (endS: number, changes: Partial<Vector> = {}): Vector => ({
  vectorId: `vector-${endS}`,
  featureSet: 'features/test',
  featureSetDigest: 'd'.repeat(64),
  windowStartUs: (endS - 1) * SECOND_US,
  windowEndUs: endS * SECOND_US,
  revision: 1,
  supersedes: null,
  names: ['temperatureC.mean'],
  values: packDoubles(Float64Array.of(endS)),
  ranges: [],
  complete: true,
  missing: [],
  historical: false,
  recordedStartUs: null,
  quality: 'good',
  regime: 'load',
  machineOff: false,
  health: [],
  baselineEpochUs: null,
  plantDigest: '',
  uncertainRows: 0,
  badRows: 0,
  young: false,
  ...changes,
})
const silentAt = (endS: number): Vector =>
  vectorAt(endS, { vectorId: `silent-${endS}`, quality: 'unmonitored', names: [], values: Buffer.alloc(0), revision: 0, regime: null })

let offset = 0
const put = async (log: Log, ...vectors: readonly Vector[]): Promise<void> => {
  for (const vector of vectors)
    await publish(
      log,
      codec,
      [
        {
          topic: 'features',
          key: 'oven-1',
          value: { type: 'vector', assetId: 'oven-1', vector, late: null },
          id: `${vector.vectorId}-${offset}`,
          type: 'vector',
          timeUs: vector.windowEndUs,
          order: { promotion: 0, leaderEpoch: 0, offset: offset++, index: 0 },
        },
      ],
      'test',
    )
}

const start = async (t: TestContext, log: Log) => {
  const logger = createLogger({ service: 'test', level: 'silent' })
  const metrics = createMetrics('test')
  const redisUrl = `redis://127.0.0.1:${port}`
  const part = latestVectors({
    log: () => log,
    codec: () => codec,
    redisUrl,
    horizonMs: 3_600_000,
    nowMs: () => Date.now(),
    logger,
    metrics,
  })
  await part.start!()
  t.after(() => part.stop!())
  return part
}

const read = async (kind: 'latest' | 'state'): Promise<Record<string, unknown> | null> =>
  JSON.parse((await redis.get(`andon:${kind}:oven-1`)) ?? 'null') as Record<string, unknown> | null
const becomes = (kind: 'latest' | 'state', vectorId: string) =>
  eventually(`${kind} is ${vectorId}`, async () => (await read(kind))?.['vectorId'] === vectorId)

test('the state follows the newest data; a silence leaves the latest vector, and any newer data ends it', async (t) => {
  await redis.flushall()
  const log = openMemoryLog({ partitions: 1 })
  await start(t, log)
  const health = [{ channel: 'temperatureC', flags: ['stuck'], names: [] }]
  await put(log, vectorAt(5, { quality: 'uncertain', machineOff: true, health, baselineEpochUs: 3 }))
  await becomes('state', 'vector-5')
  const { order, ...state } = (await read('state'))!
  assert.deepEqual(state, {
    vectorId: 'vector-5',
    windowEndUs: 5 * SECOND_US,
    dataUntilUs: 5 * SECOND_US,
    quality: 'uncertain',
    regime: 'load',
    machineOff: true,
    health,
    baselineEpochUs: 3,
  })
  assert.ok(order)
  assert.deepEqual((await read('latest'))?.['health'], health)

  await put(log, silentAt(20))
  await becomes('state', 'silent-20')
  assert.deepEqual([(await read('state'))?.['quality'], (await read('latest'))?.['vectorId']], ['unmonitored', 'vector-5'])

  await put(log, vectorAt(3), vectorAt(7)) // an older window, then one that was under way when the silence began
  await becomes('state', 'vector-7')
  await put(log, vectorAt(7, { vectorId: 'vector-7b' }), vectorAt(6))
  await becomes('latest', 'vector-7b')
  await becomes('state', 'vector-7b')
})

test('a flush changes nothing on the log, and both keys come back as they were', async (t) => {
  await redis.flushall()
  const log = openMemoryLog({ partitions: 1 })
  await start(t, log)
  await put(log, vectorAt(1), vectorAt(2), silentAt(9))
  await becomes('state', 'silent-9')
  const [latest, state, end] = [await read('latest'), await read('state'), await log.latest('features', 0)]
  await redis.flushall()
  await becomes('latest', 'vector-2')
  await becomes('state', 'silent-9')
  assert.deepEqual([await read('latest'), await read('state')], [latest, state])
  assert.deepEqual(await log.latest('features', 0), end)
})

test('a second instance that read the same log leaves what is newer alone', async (t) => {
  await redis.flushall()
  const log = openMemoryLog({ partitions: 1 })
  await put(log, vectorAt(1), vectorAt(2))
  await start(t, log)
  await becomes('state', 'vector-2')
  const newer = { ...(await read('state')), vectorId: 'from-elsewhere', dataUntilUs: 8 * SECOND_US }
  await redis.set('andon:state:oven-1', JSON.stringify(newer))
  await put(log, vectorAt(4))
  await becomes('latest', 'vector-4')
  assert.equal((await read('state'))?.['vectorId'], 'from-elsewhere')
})
