// Statistics of a model version, as Triton counts them.

import assert from 'node:assert/strict'
import test from 'node:test'
import { statisticsOf } from '../../src/serving/statistics.ts'

const batch = { inputUs: 10, runUs: 20, outputUs: 5 }

test('two requests in one batch are two successes, one execution, and each has the whole time of the batch', () => {
  const statistics = statisticsOf('press', '3', () => 1234.6)
  statistics.execution({ rows: 5, ...batch })
  statistics.success({ rows: 2, totalUs: 100, queueUs: 50, batch })
  statistics.success({ rows: 3, totalUs: 110, queueUs: 60, batch })
  const read = statistics.read()
  assert.deepEqual([read.name, read.version, read.inferenceCount, read.executionCount, read.lastInference], ['press', '3', 5n, 1n, 1235n])
  assert.deepEqual(read.inferenceStats, {
    success: { count: 2n, ns: 210_000n },
    fail: { count: 0n, ns: 0n },
    queue: { count: 2n, ns: 110_000n },
    computeInput: { count: 2n, ns: 20_000n },
    computeInfer: { count: 2n, ns: 40_000n },
    computeOutput: { count: 2n, ns: 10_000n },
    cacheHit: { count: 0n, ns: 0n },
    cacheMiss: { count: 0n, ns: 0n },
  })
  assert.deepEqual(read.batchStats, [
    {
      batchSize: 5n,
      computeInput: { count: 1n, ns: 10_000n },
      computeInfer: { count: 1n, ns: 20_000n },
      computeOutput: { count: 1n, ns: 5_000n },
    },
  ])
})

test('an answer from the cache is a success without rows, run or time of computing', () => {
  const statistics = statisticsOf('press', '1', () => 7)
  statistics.cacheHit({ totalUs: 9, queueUs: 1, lookupUs: 4 })
  const { inferenceCount, executionCount, lastInference, inferenceStats: of } = statistics.read()
  assert.deepEqual([inferenceCount, executionCount, lastInference], [0n, 0n, 0n])
  assert.deepEqual(
    [of!.success, of!.queue, of!.cacheHit, of!.computeInfer],
    [
      { count: 1n, ns: 9_000n },
      { count: 1n, ns: 1_000n },
      { count: 1n, ns: 4_000n },
      { count: 0n, ns: 0n },
    ],
  )
})

test('what the cache did not know takes its look-up and insertion longer', () => {
  const statistics = statisticsOf('press', '1', () => 7)
  statistics.success({ rows: 1, totalUs: 100, queueUs: 0, batch })
  statistics.cacheMiss({ lookupUs: 8 })
  const { inferenceStats: of } = statistics.read()
  assert.deepEqual(of!.success, { count: 1n, ns: 108_000n })
  assert.deepEqual(of!.cacheMiss, { count: 1n, ns: 8_000n })
})

test('a failure counts with its reason and in nothing else', () => {
  const statistics = statisticsOf('press', '1', () => 7)
  statistics.failure({ totalUs: 3, reason: 'REJECTED' })
  statistics.failure({ totalUs: 4, reason: 'BACKEND' })
  const { inferenceStats: of, inferenceCount } = statistics.read()
  assert.deepEqual([of!.fail, of!.success!.count, inferenceCount], [{ count: 2n, ns: 7_000n }, 0n, 0n])
  assert.deepEqual(statistics.failures(), { REJECTED: 1, CANCELED: 0, BACKEND: 1, OTHER: 0 })
})

test('batch sizes come in order, and the last inference is the latest', () => {
  let nowMs = 9
  const statistics = statisticsOf('press', '1', () => nowMs)
  for (const rows of [8, 1, 8]) statistics.execution({ rows, ...batch })
  nowMs = 5 // the wall clock was put back
  statistics.execution({ rows: 2, ...batch })
  const { batchStats, executionCount, lastInference } = statistics.read()
  assert.deepEqual(
    batchStats.map(({ batchSize, computeInfer }) => [batchSize, computeInfer!.count]),
    [
      [1n, 1n],
      [2n, 1n],
      [8n, 2n],
    ],
  )
  assert.deepEqual([executionCount, lastInference], [4n, 9n])
})
