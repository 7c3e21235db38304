// Scoring on other servers, with clients that do what a test says: what is believed, who is asked, and what stands in for an answer.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { AndonError, createLogger, createMetrics } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import type { RemoteModel } from '../src/backends/client.ts'
import { serverBusy, serverRefused, serverUnreachable } from '../src/errors.ts'
import { runThere } from '../src/scoring/run-there.ts'
import type { ScoringClient } from '../src/scoring/run-there.ts'
import type { RunRows } from '../src/scoring/scorer.ts'
import type { InferAnswer, InferRequest } from '../src/serving/serving.ts'

const model = { model: 't2spe.press', version: 3, digest: 'd1', role: 'champion', features: ['a', 'b'], card: '' } as unknown as Models
const described: RemoteModel = {
  name: 't2spe.press',
  versions: ['3'],
  platform: 'onnxruntime_onnx',
  inputs: [{ name: 'features', datatype: 'FP64', shape: [-1, 2] }],
  outputs: ['score', 'ratio'].map((name) => ({ name, datatype: 'FP64', shape: [-1] })),
}
const rows = (...firsts: number[]): Float64Array[] => firsts.map((first) => Float64Array.of(first, 0))

/** Answers each row with its first number, as the artefact `digest`. */
const answer = ({ inputs, outputs }: InferRequest, parameters: InferAnswer['parameters'] = { andon_digest: 'd1' }): InferAnswer => {
  const values = readDoubles(inputs[0]!.bytes)
  const firsts = values.filter((_, i) => i % 2 === 0)
  return {
    model: 't2spe.press',
    version: '3',
    parameters,
    outputs: outputs.map(({ name }) => ({ name, datatype: 'FP64', shape: [firsts.length], bytes: packDoubles(firsts) })),
  }
}

const clientOf = (infer: (request: InferRequest) => InferAnswer | Promise<InferAnswer>, changes: Partial<ScoringClient> = {}) => {
  const asked: InferRequest[] = []
  const client: ScoringClient = {
    target: 'gpu:8001',
    describe: async () => described,
    inferOverStream: async (request) => {
      asked.push(request)
      return infer(request)
    },
    isServerReady: async () => true,
    close: async () => {},
    ...changes,
  }
  return { client, asked }
}

const here: RunRows = async (_model, given) =>
  given.map(([first]) => ({
    score: first!,
    ratio: first!,
    contributions: new Float64Array(),
    embedding: undefined,
    hasVerdict: true,
    provider: 'CPUExecutionProvider',
  }))

const open = (t: TestContext, clients: readonly ScoringClient[], fallback?: RunRows) => {
  const there = runThere({
    clients,
    timeoutMs: 1_000,
    mostRows: 4,
    fallback,
    logger: createLogger({ service: 'inference', level: 'silent' }),
    metrics: createMetrics('inference'),
    probeEveryMs: 1,
  })
  t.after(() => there.close())
  return async (...firsts: number[]) => (await there.run(model, rows(...firsts), 'all')).map(({ score, provider }) => [score, provider])
}

test('rows are scored by the server, in chunks, in order, with the provider it names', async (t) => {
  const { client, asked } = clientOf((request) => answer(request, { andon_digest: 'd1', andon_provider: 'CUDAExecutionProvider' }))
  const run = open(t, [client])
  assert.deepEqual(
    await run(1, 2, 3, 4, 5, 6),
    [1, 2, 3, 4, 5, 6].map((score) => [score, 'CUDAExecutionProvider']),
  )
  assert.deepEqual(
    asked.map(({ parameters, inputs }) => [parameters['andon_digest'], inputs[0]!.shape]),
    [
      ['d1', [4, 2]],
      ['d1', [2, 2]],
    ],
  )
})

test('an answer of another artefact, or of none in particular, is never believed', async (t) => {
  for (const parameters of [{ andon_digest: 'other' }, {}]) {
    const { client, asked } = clientOf((request) => answer(request, parameters as InferAnswer['parameters']))
    const run = open(t, [client], here)
    assert.deepEqual(await run(7), [[7, 'CPUExecutionProvider']])
    assert.deepEqual(await run(8), [[8, 'CPUExecutionProvider']])
    assert.equal(asked.length, 1, 'and it is not asked again at once')
    await assert.rejects(open(t, [clientOf((request) => answer(request, parameters as InferAnswer['parameters'])).client])(7), {
      code: 'ANDON_INFERENCE_UNSCORED',
    })
  }
})

test('an answer with fewer rows than were asked for, or without a tensor, is never believed', async (t) => {
  const short = clientOf((request) => {
    const whole = answer(request)
    return { ...whole, outputs: whole.outputs.map((output) => ({ ...output, shape: [1], bytes: output.bytes.subarray(0, 8) })) }
  })
  const half = clientOf((request) => ({ ...answer(request), outputs: answer(request).outputs.slice(1) }))
  for (const { client } of [short, half])
    assert.deepEqual(await open(t, [client], here)(7, 8), [
      [7, 'CPUExecutionProvider'],
      [8, 'CPUExecutionProvider'],
    ])
})

test('where one server cannot be reached the other one scores', async (t) => {
  const dead = clientOf(() => {
    throw serverUnreachable('dead:8001', 'connection refused')
  })
  const live = clientOf((request) => answer(request))
  const run = open(t, [dead.client, live.client], undefined)
  for (let i = 0; i < 20; i++) assert.deepEqual(await run(i), [[i, 'remote']])
  assert.ok(dead.asked.length < 20 && live.asked.length === 20)
})

test('a server that fails is asked for its health alone, and scores again when it is well', async (t) => {
  let isWell = false
  let questions = 0
  const { promise: askedTwice, resolve } = Promise.withResolvers<void>()
  const { client, asked } = clientOf(
    (request) => {
      if (isWell) return answer(request)
      throw serverUnreachable('gpu:8001', 'connection refused')
    },
    {
      isServerReady: async () => {
        if (++questions === 2) resolve()
        return isWell
      },
    },
  )
  const run = open(t, [client], here)
  for (let i = 0; i < 10; i++) assert.deepEqual(await run(i), [[i, 'CPUExecutionProvider']])
  await askedTwice
  const before = asked.length
  assert.ok(before < 10)
  await run(1)
  assert.equal(asked.length, before, 'no vector is sent to a server that is not well')
  isWell = true
  let provider: unknown
  while (provider !== 'remote') {
    ;[[, provider]] = (await run(5)) as [[number, string]]
    await new Promise((done) => setImmediate(done))
  }
})

test('without a session here, what no server answers is unscored, never a default', async (t) => {
  const { client } = clientOf(() => {
    throw serverUnreachable('gpu:8001', 'connection refused')
  })
  const run = open(t, [client])
  await assert.rejects(run(1), (error: AndonError) => error.code === 'ANDON_INFERENCE_UNSCORED' && !error.retriable)
})

test('a server whose queue is full is asked again', async (t) => {
  let times = 0
  const { client } = clientOf((request) => {
    if (++times < 3) throw serverBusy('gpu:8001', 'Exceeds maximum queue size')
    return answer(request)
  })
  assert.deepEqual(await open(t, [client])(9), [[9, 'remote']])
})

test('what is wrong with a row is said of the row, and the server goes on', async (t) => {
  const { client } = clientOf((request) => {
    if (readDoubles(request.inputs[0]!.bytes)[0] === 13) throw serverRefused('gpu:8001', 'an error', 'ANDON_INFERENCE_RUN_FAILED: bad row')
    return answer(request)
  })
  const run = open(t, [client])
  await assert.rejects(run(13), { code: 'ANDON_INFERENCE_SERVER_REFUSED' })
  assert.deepEqual(await run(14), [[14, 'remote']])
})
