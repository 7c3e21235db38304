// The service with nothing but a folder of models: no broker, no registry, no Redis.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { startService } from '@andon/kit'
import { openInferenceClient } from '../src/backends/grpc-client.ts'
import { loadConfig } from '../src/config.ts'
import { createInferenceService } from '../src/service.ts'

const example = new URL('../../../examples/serving', import.meta.url).pathname
const SERVER = { INFERENCE_ROLE: 'server', INFERENCE_MODEL_REPOSITORY: join(example, 'models') }

test('only a server with a folder and no brokers named goes without a log', () => {
  const cases: [Record<string, string>, boolean][] = [
    [SERVER, true],
    [{ ...SERVER, ANDON_KAFKA_BROKERS: '' }, true],
    [{ ...SERVER, ANDON_KAFKA_BROKERS: 'b:9092' }, false],
    [{ ...SERVER, INFERENCE_ROLE: 'all' }, false],
    [{ ...SERVER, INFERENCE_ROLE: 'scorer' }, false],
    [{ INFERENCE_ROLE: 'server' }, false],
  ]
  for (const [source, expected] of cases) assert.equal(loadConfig(source).isFolderOnly, expected, JSON.stringify(source))
})

test('a folder is served over gRPC and HTTP without broker, registry and Redis', async (t) => {
  const blobDir = mkdtempSync(join(tmpdir(), 'andon-inference-'))
  t.after(() => rmSync(blobDir, { recursive: true, force: true }))
  const ports = { INFERENCE_GRPC_PORT: '0', INFERENCE_HTTP_PORT: '0', INFERENCE_METRICS_PORT: '0', INFERENCE_ADMIN_PORT: '0' }
  const nobody = { ANDON_REGISTRY_URL: 'http://127.0.0.1:1', ANDON_REDIS_URL: 'redis://127.0.0.1:1' }
  const service = createInferenceService(loadConfig({ ...SERVER, ...ports, ...nobody, ANDON_BLOB_DIR: blobDir, ANDON_LOG_LEVEL: 'fatal' }))
  const running = await startService(service)
  const { grpc, http } = service.ports()
  const client = openInferenceClient({ target: `127.0.0.1:${grpc}` })
  try {
    const ready = (): Promise<Response> => fetch(`http://127.0.0.1:${http}/v2/models/motor/ready`)
    while ((await ready()).status !== 200) await new Promise((resolve) => setImmediate(resolve))
    const answer = await fetch(`http://127.0.0.1:${http}/v2/models/motor/infer`, {
      method: 'POST',
      body: readFileSync(join(example, 'request.json')),
    })
    const { outputs } = (await answer.json()) as { outputs: { name: string; shape: number[]; data: number[] }[] }
    assert.deepEqual([outputs[0]!.name, outputs[0]!.shape], ['scores', [3, 3]])
    const likeliest = [0, 1, 2]
      .map((row) => outputs[0]!.data.slice(3 * row, 3 * row + 3))
      .map((scores) => scores.indexOf(Math.max(...scores)))
    assert.deepEqual(likeliest, [0, 1, 2])
    const bytes = new Uint8Array(Float32Array.of(2, 3, 3, 55, 3, 8, 6, 70, 6, 4, 3, 58).buffer)
    const inputs = [{ name: 'features', datatype: 'FP32', shape: [3, 4], bytes }] as const
    const byGrpc = await client.infer({ model: 'motor', version: '', id: '', parameters: {}, inputs, outputs: [] })
    assert.deepEqual([...new Float32Array(new Uint8Array(byGrpc.outputs[0]!.bytes).buffer)], outputs[0]!.data)
  } finally {
    await client.close()
    await running.stop()
  }
})
