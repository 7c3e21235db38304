// Queue and threads together on real sessions: batches that come about by themselves, and an end that cuts nobody off.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { ModelConfig } from '@andon/schemas/inference'
import { row } from '../../src/learning/linear-algebra.ts'
import { t2SpeGraph } from '../../src/learning/t2spe-graph.ts'
import { scoreRow, trainT2Spe } from '../../src/learning/t2spe.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import type { ThreadRuntime } from '../../src/runtime/thread-runtime.ts'
import { scheduled } from '../../src/serving/scheduled.ts'
import type { Scheduled } from '../../src/serving/scheduled.ts'
import { statisticsOf } from '../../src/serving/statistics.ts'
import { unpack } from '../../src/tensors/tensors.ts'
import { featureNames, healthyRows } from '../rows.ts'

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
const request = (i: number) => ({ inputs: [{ shape: [1, d], bytes: unaligned(i) }], outputs: ['ratio', 'contributions'] })

const open = async (workers: number, maxQueueSize = 1000): Promise<{ model: Scheduled; runtime: ThreadRuntime }> => {
  const runtime = threadRuntime({ workers, runTimeoutMs: 60_000 })
  const runner = await runtime.open({
    label: 'm',
    digest: 'd',
    bytes: artefact,
    instances: workers,
    maxBatchRows: 64,
    parameters: {},
    device: 'auto',
  })
  const model = scheduled({
    name: 'm',
    version: 1,
    digest: 'd',
    config: ModelConfig.fromPartial({}),
    policy: {
      maxBatchRows: 64,
      instances: workers,
      isDynamic: true,
      preferredBatchRows: [],
      maxQueueDelayUs: 0,
      preservesOrdering: false,
      priorityLevels: 0,
      defaultPriority: 0,
      defaultQueue: { timeoutAction: 'reject', defaultTimeoutUs: 0, allowsTimeoutOverride: false, maxQueueSize },
      priorityQueues: new Map(),
    },
    runner,
    statistics: statisticsOf('m', '1', () => 0),
  })
  return { model, runtime }
}

const opened = async (t: TestContext, workers = 1, maxQueueSize?: number): Promise<Scheduled> => {
  const { model, runtime } = await open(workers, maxQueueSize)
  t.after(async () => {
    await model.close()
    await runtime.close()
  })
  return model
}

test('rows submitted together run as batches and come back to whoever asked', async (t) => {
  const model = await opened(t)
  const results = await Promise.all(Array.from({ length: 200 }, (_, i) => model.run(request(i))))
  results.forEach(({ outputs, provider }, i) => {
    const expected = scoreRow(trained, row(fresh, i))
    assert.ok(Math.abs(Number(unpack('FP64', outputs[0]!.bytes)[0]) - expected.ratio) < 1e-9)
    assert.deepEqual([outputs[1]!.shape, provider], [[1, d], 'CPUExecutionProvider'])
  })
  assert.deepEqual(
    model.statistics().batchStats.map(({ batchSize, computeInfer }) => [batchSize, computeInfer!.count]),
    [
      [8n, 1n],
      [64n, 3n],
    ],
  )
})

test('a full queue says so, and those that wait are answered', async (t) => {
  const model = await opened(t, 1, 10)
  const many = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => model.run(request(i))))
  const refused = many.flatMap((result) => (result.status === 'rejected' ? [result.reason as { code: string; retriable: boolean }] : []))
  assert.deepEqual(
    refused.map(({ code, retriable }) => [code, retriable]),
    [
      ['ANDON_INFERENCE_QUEUE_FULL', true],
      ['ANDON_INFERENCE_QUEUE_FULL', true],
    ],
  )
})

test('a failing run answers its requests and leaves the model working', async (t) => {
  const model = await opened(t)
  await assert.rejects(model.run({ inputs: [{ shape: [1, 2], bytes: new Uint8Array(16) }], outputs: ['ratio'] }), {
    code: 'ANDON_INFERENCE_RUN_FAILED',
  })
  assert.equal((await model.run(request(1))).outputs.length, 2)
})

test('opening and closing under load answers everybody and never brings the process down', async () => {
  for (let round = 0; round < 4; round++) {
    const { model, runtime } = await open(2)
    const results = Array.from({ length: 300 }, (_, i) => model.run(request(i)))
    await model.close()
    await runtime.close()
    assert.equal((await Promise.all(results)).length, 300)
    await assert.rejects(model.run(request(0)), { code: 'ANDON_INFERENCE_STOPPING' })
  }
})
