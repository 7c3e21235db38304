// The metrics port, read by Prometheus' own parser for Python, against what was done: requests, rows, batches, failures by reason.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { GRPCInferenceServiceClient, ModelInferRequest } from '@andon/schemas/inference'
import type { ModelInferResponse } from '@andon/schemas/inference'
import { credentials } from '@grpc/grpc-js'
import { pythonWith } from '../../../test/harness/python.ts'
import { serveRepository } from './clients/served.ts'

const python = await pythonWith(['prometheus-client==0.23.1'])

interface Sample {
  readonly family: string
  readonly type: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const parse = async (text: string): Promise<Sample[]> => {
  const child = spawn(python.interpreter, [join(import.meta.dirname, 'clients/prometheus.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(text)
  return JSON.parse(Buffer.concat((await child.stdout.toArray()) as Buffer[]).toString()) as Sample[]
}

test('an outside parser reads the metrics port, and the numbers are those of what was done', { skip: python.missing }, async (t) => {
  const { http, grpc, metrics } = await serveRepository(t)
  const scrape = async (): Promise<Sample[]> => parse(await (await fetch(`http://${metrics}/metrics`)).text())
  const infer = async (model: string, rows: number, columns = 16): Promise<number> => {
    const data = Array.from({ length: rows * columns }, (_, i) => i)
    const inputs = ['INPUT0', 'INPUT1'].map((name) => ({ name, datatype: 'INT32', shape: [rows, columns], data }))
    const response = await fetch(`http://${http}/v2/models/${model}/infer`, { method: 'POST', body: JSON.stringify({ inputs }) })
    await response.arrayBuffer()
    return response.status
  }
  for (const rows of [1, 2, 8, 5]) assert.equal(await infer('simple', rows), 200)
  const client = new GRPCInferenceServiceClient(grpc, credentials.createInsecure())
  t.after(() => client.close())
  const input = (name: string) => ({ name, datatype: 'INT32', shape: [1n, 16n] })
  const raw = { modelName: 'simple', inputs: [input('INPUT0'), input('INPUT1')], rawInputContents: [Buffer.alloc(64), Buffer.alloc(64)] }
  await promisify<ModelInferRequest, ModelInferResponse>(client.modelInfer.bind(client))(ModelInferRequest.fromPartial(raw))
  assert.equal(await infer('simple', 9), 400)
  assert.equal(await infer('nothing', 1), 404)

  const samples = await scrape()
  const value = (name: string, labels: Record<string, string>): number => {
    // The parser gives counters the ending that Triton's have not.
    const found = samples.filter(
      (one) =>
        (one.name === name || one.name === `${name}_total`) && Object.entries(labels).every(([key, text]) => one.labels[key] === text),
    )
    assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}`)
    return found[0]!.value
  }
  const simple = { model: 'simple', version: '2' }
  assert.equal(value('nv_inference_request_success', simple), 5)
  assert.equal(value('nv_inference_count', simple), 17)
  assert.equal(value('nv_inference_exec_count', simple), 5)
  for (const reason of ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'])
    assert.equal(value('nv_inference_request_failure', { ...simple, reason }), 0)
  const total = value('nv_inference_request_duration_us', simple)
  const parts = ['queue', 'compute_input', 'compute_infer', 'compute_output'].map((part) =>
    value(`nv_inference_${part}_duration_us`, simple),
  )
  assert.ok(
    total > 0 && parts.every((part) => part >= 0) && parts.reduce((sum, part) => sum + part, 0) <= total + 4,
    `${total} of ${parts.join()}`,
  )
  assert.equal(value('nv_inference_pending_request_count', simple), 0)
  assert.equal(value('nv_cache_num_hits_per_model', simple), 0)
  assert.equal(value('nv_inference_request_success', { model: 'simple', version: '1' }), 0)
  assert.equal(value('andon_inference_model_info', { ...simple, provider: 'CPUExecutionProvider' }), 1)

  for (const stage of ['preprocess', 'predict', 'postprocess']) {
    assert.equal(value(`request_${stage}_seconds_count`, { model_name: 'simple' }), 5)
    assert.equal(value(`request_${stage}_seconds_bucket`, { model_name: 'simple', le: '+Inf' }), 5)
    const bounds = samples.filter(({ name }) => name === `request_${stage}_seconds_bucket`).map(({ value }) => value)
    assert.deepEqual(
      bounds,
      bounds.toSorted((a, b) => a - b),
    )
  }
  const success = { door: 'http', outcome: 'success' }
  assert.equal(value('andon_inference_requests_total', { ...success, door: 'grpc' }), 1)
  assert.equal(value('andon_inference_requests_total', success), 4)
  assert.equal(value('andon_inference_requests_total', { ...success, outcome: 'failure' }), 2)

  // Types as Prometheus knows them, no family twice, and nothing of ours without its prefix.
  const types = new Map(samples.map(({ family, type }) => [family, type]))
  assert.equal(types.get('nv_inference_request_success'), 'counter')
  assert.equal(types.get('nv_inference_pending_request_count'), 'gauge')
  assert.equal(types.get('request_predict_seconds'), 'histogram')
  const keys = samples.map(({ name, labels }) => `${name}${JSON.stringify(labels)}`)
  assert.equal(new Set(keys).size, keys.length)
})
