// Our own server as a backend of our own server: a model in one folder runs in a thread, a model in the other folder is the first one
// elsewhere, by every protocol that Open Inference has. And the shared stream against the real door.

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { AndonError } from '@andon/kit'
import { openInferenceClient } from '../src/backends/grpc-client.ts'
import type { InferAnswer, InferRequest } from '../src/serving/serving.ts'
import { serveFolder } from './folder-server.ts'

const example = new URL('../../../examples/serving/models', import.meta.url).pathname

const folder = (t: TestContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'andon-models-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Writes a model that another server runs. */
const writeRemote = (path: string, name: string, parameters: Readonly<Record<string, string>>, more = ''): void => {
  mkdirSync(join(path, name, '1'), { recursive: true })
  const entries = Object.entries({ andon_remote_model: 'motor', andon_non_finite: 'refuse', ...parameters })
  const config = [
    'backend: "andon_remote"',
    'max_batch_size: 8',
    'input { name: "features" data_type: TYPE_FP32 dims: 4 }',
    'output { name: "scores" data_type: TYPE_FP32 dims: 3 }',
    ...entries.map(([key, value]) => `parameters { key: "${key}" value { string_value: "${value}" } }`),
    more,
  ]
  writeFileSync(join(path, name, 'config.pbtxt'), `${config.join('\n')}\n`)
}

const requestOf = (model: string, rows: readonly (readonly number[])[], changes: Partial<InferRequest> = {}): InferRequest => ({
  model,
  version: '',
  id: '',
  parameters: {},
  inputs: [{ name: 'features', datatype: 'FP32', shape: [rows.length, 4], bytes: new Uint8Array(Float32Array.from(rows.flat()).buffer) }],
  outputs: [],
  ...changes,
})
const healthy = [2, 3, 3, 55]
const worn = [3, 8, 6, 70]
const scoresOf = ({ outputs: [scores] }: InferAnswer): number[] => [...new Float32Array(new Uint8Array(scores!.bytes).buffer)]

test('a model on another server gives the bits that it gives there, by gRPC, JSON and binary HTTP', async (t) => {
  const models = folder(t)
  cpSync(example, models, { recursive: true })
  const there = await serveFolder(t, models)
  const expected = scoresOf(await there.catalogue.infer(requestOf('motor', [healthy, worn])))
  assert.ok(expected[0]! > 0.9 && expected[4]! > 0.9, String(expected))
  const remote = folder(t)
  writeRemote(remote, 'by-grpc', { andon_remote_url: there.grpcTarget })
  writeRemote(remote, 'by-http', { andon_remote_url: there.httpUrl, andon_remote_protocol: 'http' })
  writeRemote(remote, 'by-http-binary', { andon_remote_url: there.httpUrl, andon_remote_protocol: 'http-binary' })
  writeRemote(remote, 'batched', { andon_remote_url: there.grpcTarget }, 'dynamic_batching { max_queue_delay_microseconds: 2000 }')
  writeRemote(remote, 'of-nobody', { andon_remote_url: '127.0.0.1:1' })
  const here = await serveFolder(t, remote)
  const states = here.catalogue.index().map(({ name, state }) => `${name} ${state}`)
  assert.deepEqual(states.toSorted(), ['batched READY', 'by-grpc READY', 'by-http READY', 'by-http-binary READY', 'of-nobody UNAVAILABLE'])
  for (const model of ['by-grpc', 'by-http', 'by-http-binary']) {
    const answer = await here.catalogue.infer(requestOf(model, [healthy, worn]))
    assert.deepEqual(scoresOf(answer), expected, model)
    assert.equal(answer.parameters['andon_provider'], 'andon-inference')
  }
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, n) => here.catalogue.infer(requestOf('batched', [n % 2 === 0 ? healthy : worn]))),
  )
  for (const [n, answer] of answers.entries()) assert.deepEqual(scoresOf(answer), expected.slice(n % 2 === 0 ? 0 : 3, n % 2 === 0 ? 3 : 6))
  const refused = requestOf('by-grpc', [healthy], { inputs: [{ ...requestOf('', [healthy]).inputs[0]!, datatype: 'FP64' }] })
  await assert.rejects(here.catalogue.infer(refused), { code: 'ANDON_INFERENCE_INVALID_TENSOR' })
})

test('the shared stream against the real door: many requests, errors by name, deadlines', async (t) => {
  const models = folder(t)
  cpSync(example, models, { recursive: true })
  const { grpcTarget, catalogue } = await serveFolder(t, models)
  const expected = scoresOf(await catalogue.infer(requestOf('motor', [healthy, worn])))
  const client = openInferenceClient({ target: grpcTarget, maxInFlight: 100 })
  const answers = Array.from({ length: 1000 }, (_, n) => client.inferOverStream(requestOf('motor', [n % 2 === 0 ? healthy : worn])))
  const codeOf = (answer: Promise<unknown>): Promise<string> =>
    answer.then(
      () => 'answered',
      (error: unknown) => `${(error as AndonError).code} ${(error as AndonError).message}`,
    )
  const [unknown, crooked] = await Promise.all([
    codeOf(client.inferOverStream(requestOf('nobody', [healthy]))),
    codeOf(client.inferOverStream(requestOf('motor', [healthy], { inputs: [] }))),
  ])
  assert.match(unknown, /^ANDON_INFERENCE_SERVER_REFUSED .*ANDON_INFERENCE_MODEL_UNKNOWN/)
  assert.match(crooked, /^ANDON_INFERENCE_SERVER_REFUSED .*ANDON_INFERENCE_INVALID/)
  for (const [n, answer] of (await Promise.all(answers)).entries())
    assert.deepEqual(scoresOf(answer), expected.slice(n % 2 === 0 ? 0 : 3, n % 2 === 0 ? 3 : 6))
  assert.deepEqual([client.state, client.pending], ['open', 0])
  const { name } = await client.server()
  assert.equal(name, 'andon-inference')
  assert.deepEqual(
    [await client.isServerReady(), await client.isModelReady('motor', ''), await client.isModelReady('nobody', '')],
    [true, true, false],
  )
  assert.deepEqual((await client.describe('motor', '')).inputs, [{ name: 'features', datatype: 'FP32', shape: [-1, 4] }])
  await client.close() // before the server, which waits a while for streams to end
})
