// The worker pool on real sessions: batching, errors, lost workers, and an end that never cuts a run.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Worker } from 'node:worker_threads'
import type { TestContext } from 'node:test'
import { row } from '../src/learning/linear-algebra.ts'
import { SessionPool } from '../src/runtime/session-pool.ts'
import type { BatchReport, PoolOptions } from '../src/runtime/session-pool.ts'
import { t2SpeGraph } from '../src/learning/t2spe-graph.ts'
import { scoreRow, trainT2Spe } from '../src/learning/t2spe.ts'
import { unpack } from '../src/tensors/tensors.ts'
import { featureNames, healthyRows } from './rows.ts'

const d = 5
const trained = trainT2Spe(featureNames(d), healthyRows(100, d))
const artefact = t2SpeGraph(trained, {})
const fresh = healthyRows(500, d, 3)

/** Bytes of row i that start at an odd address, as they do inside a received message. */
const unaligned = (i: number): Uint8Array => {
  const bytes = new Uint8Array(d * 8 + 1)
  bytes.set(new Uint8Array(row(fresh, i).slice().buffer), 1)
  return bytes.subarray(1)
}
const request = (i: number) => ({ model: 'm', inputs: [{ shape: [1, d], bytes: unaligned(i) }], outputs: ['ratio', 'contributions'] })

const open = (t: TestContext, options: Partial<PoolOptions> = {}): { pool: SessionPool; batches: BatchReport[] } => {
  const batches: BatchReport[] = []
  const pool = new SessionPool({ workers: 1, onBatch: (batch) => batches.push(batch), ...options })
  t.after(() => pool.close())
  return { pool, batches }
}

test('rows submitted together run as batches and come back to whoever asked', async (t) => {
  const { pool, batches } = open(t)
  await pool.load('m', artefact)
  const results = await Promise.all(Array.from({ length: 200 }, (_, i) => pool.run(request(i))))
  results.forEach((outputs, i) => {
    const expected = scoreRow(trained, row(fresh, i))
    assert.ok(Math.abs(Number(unpack('FP64', outputs[0]!.bytes)[0]) - expected.ratio) < 1e-9)
    assert.deepEqual(outputs[1]!.shape, [1, d])
  })
  assert.deepEqual(
    batches.map(({ rows }) => rows),
    [64, 64, 64, 8],
  )
})

test('a request larger than the largest batch runs alone', async (t) => {
  const { pool, batches } = open(t)
  await pool.load('m', artefact)
  const bytes = new Uint8Array(fresh.data.buffer)
  const [ratio] = await pool.run({ model: 'm', inputs: [{ shape: [500, d], bytes }], outputs: ['ratio'] })
  assert.deepEqual(ratio!.shape, [500])
  assert.equal(batches[0]!.rows, 500)
})

test('closing answers everything that was accepted, then turns requests away', async (t) => {
  const { pool } = open(t, { workers: 2 })
  await pool.load('m', artefact)
  const results = Promise.all(Array.from({ length: 300 }, (_, i) => pool.run(request(i))))
  await pool.close()
  assert.equal((await results).length, 300)
  await assert.rejects(pool.run(request(0)), { code: 'ANDON_INFERENCE_STOPPING' })
})

test('opening and closing under load never brings the process down', async () => {
  for (let round = 0; round < 8; round++) {
    const pool = new SessionPool({ workers: 2 })
    await pool.load('m', artefact)
    const results = Array.from({ length: 50 }, (_, i) => pool.run(request(i)))
    await pool.close()
    assert.equal((await Promise.all(results)).length, 50)
  }
})

test('a request that nobody waits for any more is not run, and a full queue says so', async (t) => {
  const { pool } = open(t, { maxQueuedRows: 10 })
  await pool.load('m', artefact)
  const gone = AbortSignal.abort()
  await assert.rejects(pool.run({ ...request(0), signal: gone }), { code: 'ANDON_INFERENCE_CANCELLED' })
  const many = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => pool.run(request(i))))
  const refused = many
    .filter((result) => result.status === 'rejected')
    .map((result) => result.reason as { code: string; retriable: boolean })
  assert.equal(refused.length, 2)
  for (const error of refused) assert.deepEqual([error.code, error.retriable], ['ANDON_INFERENCE_QUEUE_FULL', true])
})

test('bytes that are no model are refused with their reason', async (t) => {
  const { pool } = open(t)
  await assert.rejects(pool.load('bad', Buffer.from('no model')), { code: 'ANDON_INFERENCE_MODEL_UNLOADABLE' })
  await pool.load('m', artefact)
  assert.equal((await pool.run(request(0))).length, 2)
})

test('a failing run answers its requests and leaves the pool working', async (t) => {
  const { pool } = open(t)
  await pool.load('m', artefact)
  await assert.rejects(pool.run({ model: 'm', inputs: [{ shape: [1, 2], bytes: new Uint8Array(16) }], outputs: ['ratio'] }), {
    code: 'ANDON_INFERENCE_RUN_FAILED',
  })
  assert.equal((await pool.run(request(1))).length, 2)
})

test('a lost worker is replaced: its request may be tried again and the next one is answered', async (t) => {
  // The first worker ends itself in the middle of its first run.
  const dying = `const { parentPort } = require('node:worker_threads')
    parentPort.on('message', ({ id, op }) => {
      if (op === 'run') process.exit(3)
      parentPort.postMessage({ id, op: 'loaded', io: { inputs: [{ name: 'features', datatype: 'FP64', shape: [-1, ${d}] }], outputs: [] } })
    })`
  const lost: string[] = []
  let opened = 0
  const openWorker = (): Worker =>
    opened++ === 0 ? new Worker(dying, { eval: true }) : new Worker(new URL('../src/runtime/session-worker.ts', import.meta.url))
  const { pool } = open(t, { openWorker, onWorkerLost: (reason) => lost.push(reason) })
  await pool.load('m', artefact)
  await assert.rejects(pool.run(request(0)), { code: 'ANDON_INFERENCE_WORKER_LOST', retriable: true })
  assert.equal((await pool.run(request(0))).length, 2)
  assert.equal(lost.length, 1)
})
