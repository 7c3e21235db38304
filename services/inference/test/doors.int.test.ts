// The doors of a running service: the generated gRPC client, raw and typed tensors, scoring by asset id with a real Redis,
// health, reflection, HTTP and metrics.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import type { InferParameter, ModelInferResponse, ModelMetadataResponse } from '@andon/schemas/inference'
import { GRPCInferenceServiceClient, ModelInferRequest } from '@andon/schemas/inference'
import { Client, credentials, status } from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'
import { Redis } from 'ioredis'
import { readDoubles } from '@andon/schemas/packed'
import { FEATURES, openPlant, vectorOf } from './plant.ts'
import type { Plant } from './plant.ts'

const MODEL = 't2spe.press'
const values = readDoubles(vectorOf('press', 500, { shift: 20 }).values)

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

/** A Redis of this test's own, without persistence. */
const startRedis = async (t: TestContext): Promise<{ url: string; client: Redis; kill: () => void }> => {
  const port = await freePort()
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
    stdio: 'ignore',
  })
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 })
  client.on('error', () => {})
  t.after(() => {
    client.disconnect()
    child.kill('SIGKILL')
  })
  await client.ping()
  return { url: `redis://127.0.0.1:${port}`, client, kill: () => void child.kill('SIGKILL') }
}

/** A service whose asset `press` has been commissioned, and a client. */
const open = async (t: TestContext, redisUrl = 'redis://127.0.0.1:1') => {
  const plant: Plant = openPlant(t)
  const { ports } = await plant.start({ INFERENCE_COMMISSIONING_WINDOWS: '60', ANDON_REDIS_URL: redisUrl })
  await plant.publishVectors(
    'press',
    Array.from({ length: 61 }, (_, n) => vectorOf('press', n)),
  )
  await plant.predictions('press', 61)
  const client = new GRPCInferenceServiceClient(`127.0.0.1:${ports.grpc}`, credentials.createInsecure())
  t.after(() => client.close())
  const infer = (request: Partial<ModelInferRequest>): Promise<ModelInferResponse> =>
    promisify<ModelInferRequest, ModelInferResponse>(client.modelInfer.bind(client))(
      ModelInferRequest.fromPartial({ modelName: MODEL, ...request }),
    )
  return { plant, ports, client, infer }
}

const input = (changes: Partial<ModelInferRequest['inputs'][number]> = {}): ModelInferRequest['inputs'][number] => ({
  name: 'features',
  datatype: 'FP64',
  shape: [1n, BigInt(FEATURES)],
  parameters: {},
  contents: undefined,
  ...changes,
})
const contents = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
}
const raw = new Uint8Array(values.buffer)
const text = (value: string): InferParameter => ({ parameterChoice: { $case: 'stringParam', value } })
const output = (response: ModelInferResponse, name: string): Float64Array =>
  readDoubles(response.rawOutputContents[response.outputs.findIndex((tensor) => tensor.name === name)]!)

test('raw and typed tensors give the same answer, always raw', async (t) => {
  const { infer } = await open(t)
  const byRaw = await infer({ id: 'a1', inputs: [input()], rawInputContents: [raw] })
  const byType = await infer({ inputs: [input({ contents: { ...contents, fp64Contents: [...values] } })] })
  assert.deepEqual(byRaw.rawOutputContents, byType.rawOutputContents)
  assert.deepEqual([byRaw.id, byRaw.modelName, byRaw.modelVersion], ['a1', MODEL, '1'])
  assert.deepEqual(
    byRaw.outputs.map(({ name, datatype, shape, contents }) => [name, datatype, shape, contents]),
    [
      ...['score', 'ratio', 't2', 'spe'].map((name) => [name, 'FP64', [1n], undefined]),
      ['contributions', 'FP64', [1n, BigInt(FEATURES)], undefined],
    ],
  )
  assert.ok(output(byRaw, 'ratio')[0]! > 1)
  const some = await infer({ inputs: [input()], rawInputContents: [raw], outputs: [{ name: 'ratio', parameters: {} }] })
  assert.deepEqual(
    some.outputs.map(({ name }) => name),
    ['ratio'],
  )
})

test('many concurrent requests each get their own rows', async (t) => {
  const { infer } = await open(t)
  const alone = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      const bytes = new Uint8Array(vectorOf('press', 700 + n).values)
      const [one, two] = await Promise.all([
        infer({ inputs: [input()], rawInputContents: [bytes] }),
        infer({ inputs: [input({ shape: [2n, BigInt(FEATURES)] })], rawInputContents: [Buffer.concat([bytes, raw])] }),
      ])
      return [output(one, 'score')[0], output(two, 'score')[0]]
    }),
  )
  for (const [one, two] of alone) assert.equal(one, two)
})

test('what does not fit is refused with tensor, expected and found', async (t) => {
  const { infer } = await open(t)
  const refusals: [Partial<ModelInferRequest>, number, RegExp][] = [
    [{ inputs: [] }, status.INVALID_ARGUMENT, /input features: expected a tensor FP64 \[-1, 5\], got no inputs/],
    [{ inputs: [input({ name: 'x' })], rawInputContents: [raw] }, status.INVALID_ARGUMENT, /input features: .* got only x/],
    [
      { inputs: [input({ datatype: 'FP32' })], rawInputContents: [raw] },
      status.INVALID_ARGUMENT,
      /input features: expected datatype FP64, got FP32/,
    ],
    [{ inputs: [input({ shape: [1n, 4n] })], rawInputContents: [raw] }, status.INVALID_ARGUMENT, /expected shape \[-1, 5\], got \[1, 4\]/],
    [
      { inputs: [input()], rawInputContents: [raw.subarray(1)] },
      status.INVALID_ARGUMENT,
      /expected 40 bytes for shape \[1, 5\], got 39 bytes/,
    ],
    [
      { inputs: [input()], rawInputContents: [raw, raw] },
      status.INVALID_ARGUMENT,
      /raw_input_contents: expected one entry per input, 1, got 2/,
    ],
    [
      { inputs: [input({ contents: { ...contents, fp64Contents: [...values] } })], rawInputContents: [raw] },
      status.INVALID_ARGUMENT,
      /got contents as well/,
    ],
    [
      { inputs: [input({ contents: { ...contents, fp32Contents: [...values] } })] },
      status.INVALID_ARGUMENT,
      /expected FP64 values in fp64_contents, got fp32_contents/,
    ],
    [
      { inputs: [input()], rawInputContents: [raw], outputs: [{ name: 'y', parameters: {} }] },
      status.INVALID_ARGUMENT,
      /output y: expected one of score/,
    ],
    [{ modelName: 'nothing', inputs: [input()], rawInputContents: [raw] }, status.NOT_FOUND, /ANDON_INFERENCE_MODEL_UNKNOWN/],
    [{ modelVersion: '9', inputs: [input()], rawInputContents: [raw] }, status.NOT_FOUND, /version 9/],
    [
      { parameters: { andon_asset: text('press') }, inputs: [input()], rawInputContents: [raw] },
      status.INVALID_ARGUMENT,
      /either the parameter andon_asset or inputs/,
    ],
  ]
  for (const [request, code, details] of refusals)
    await assert.rejects(infer(request), (error: { code: number; details: string }) => error.code === code && details.test(error.details))
  assert.ok(await infer({ inputs: [input()], rawInputContents: [raw] }), 'and the door goes on')
})

test("scoring by asset id names the vector and the event path's prediction", async (t) => {
  const redis = await startRedis(t)
  const { plant, infer } = await open(t, redis.url)
  const byAsset = (asset: string): Promise<ModelInferResponse> => infer({ modelName: '', parameters: { andon_asset: text(asset) } })
  await assert.rejects(byAsset('press'), { code: status.NOT_FOUND })
  const vector = vectorOf('press', 60)
  const { vectorId, windowEndUs, featureSet, featureSetDigest, names } = vector
  const order = { promotion: 0, leaderEpoch: 0, offset: 60, index: 0 }
  await redis.client.set(
    'andon:latest:press',
    JSON.stringify({
      vectorId,
      windowEndUs,
      featureSet,
      featureSetDigest,
      names,
      values: Buffer.from(vector.values).toString('base64'),
      order,
    }),
  )
  const response = await byAsset('press')
  const { value } = (await plant.predictions('press', 61)).at(-1)!
  assert.equal(response.modelName, MODEL)
  assert.deepEqual(response.parameters, {
    andon_asset: text('press'),
    andon_vector_id: text(value.vectorId),
    andon_prediction_id: text(value.predictionId),
    andon_window_end_us: { parameterChoice: { $case: 'int64Param', value: BigInt(value.windowEndUs) } },
    andon_in_domain: { parameterChoice: { $case: 'boolParam', value: true } },
    andon_provider: text('CPUExecutionProvider'),
  })
  // Not one bit differs from what the event path said of the same vector.
  const [verdict] = value.verdicts
  assert.deepEqual([output(response, 'ratio')[0], output(response, 'score')[0]], [verdict!.ratio, verdict!.score])
  assert.deepEqual(Buffer.from(output(response, 'contributions').buffer), Buffer.from(readDoubles(verdict!.contributions).buffer))
  redis.kill()
  await assert.rejects(
    byAsset('press'),
    (error: { code: number; details: string }) => error.code === status.UNAVAILABLE && /Redis/.test(error.details),
  )
  assert.ok(await infer({ inputs: [input()], rawInputContents: [raw] }), 'scoring sent features needs no Redis')
})

test('probes, metadata, health and reflection answer', async (t) => {
  const { client, ports } = await open(t)
  type Reply<T> = (error: Error | null, response: T) => void
  const call = <T>(send: (reply: Reply<T>) => unknown): Promise<T> => promisify<T>((reply: Reply<T>) => void send(reply))()
  assert.deepEqual(await call((reply) => client.serverLive({}, reply)), { live: true })
  assert.deepEqual(await call((reply) => client.serverReady({}, reply)), { ready: true })
  assert.deepEqual(await call((reply) => client.modelReady({ name: MODEL, version: '' }, reply)), { ready: true })
  assert.deepEqual(await call((reply) => client.modelReady({ name: 'nothing', version: '' }, reply)), { ready: false })
  const metadata = await call<ModelMetadataResponse>((reply) => client.modelMetadata({ name: MODEL, version: '1' }, reply))
  assert.deepEqual(metadata.inputs, [{ name: 'features', datatype: 'FP64', shape: [-1n, BigInt(FEATURES)] }])
  assert.deepEqual(metadata.versions, ['1'])
  assert.equal((await call<{ name: string }>((reply) => client.serverMetadata({}, reply))).name, 'andon-inference')

  const plain = new Client(`127.0.0.1:${ports.grpc}`, credentials.createInsecure())
  t.after(() => plain.close())
  const { path, requestSerialize, responseDeserialize } = healthService['Check']!
  const health = await new Promise<unknown>((resolve, reject) =>
    plain.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service: 'inference.GRPCInferenceService' }, (error, response) =>
      error === null ? resolve(response) : reject(error),
    ),
  )
  assert.deepEqual(health, { status: 'SERVING' })
  // grpc.reflection.v1.ServerReflectionRequest { list_services = 7: "" }, by hand on the wire.
  const identity = (bytes: Buffer): Buffer => bytes
  const stream = plain.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', identity, identity)
  const listed = new Promise<string>((resolve) => stream.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1'))))
  stream.write(Buffer.from([0x3a, 0x00]))
  assert.match(await listed, /inference\.GRPCInferenceService/)
  // file_containing_symbol = 4: the file of the service and the one that it imports.
  const symbol = 'inference.GRPCInferenceService'
  const files = new Promise<string>((resolve) => stream.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1'))))
  stream.write(Buffer.concat([Buffer.from([0x22, symbol.length]), Buffer.from(symbol)]))
  for (const file of ['grpc_service.proto', 'model_config.proto']) assert.ok((await files).includes(`inference/${file}`), file)
  stream.end()
})

test('the HTTP door scores JSON tensors and answers errors as problems', async (t) => {
  const { ports, infer } = await open(t)
  const url = `http://127.0.0.1:${ports.http}/v2`
  assert.equal((await fetch(`${url}/health/live`)).status, 200)
  assert.equal((await fetch(`${url}/health/ready`)).status, 200)
  assert.equal(((await (await fetch(url)).json()) as { name: string }).name, 'andon-inference')
  assert.equal((await fetch(`${url}/models/${MODEL}/ready`)).status, 200)
  assert.equal((await fetch(`${url}/models/nothing/ready`)).status, 404)
  const post = (body: unknown): Promise<Response> =>
    fetch(`${url}/models/${MODEL}/infer`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const answer = (await (
    await post({ id: '3', inputs: [{ name: 'features', datatype: 'FP64', shape: [1, FEATURES], data: [[...values]] }] })
  ).json()) as {
    id: string
    outputs: { name: string; data: number[] }[]
  }
  const byGrpc = await infer({ inputs: [input()], rawInputContents: [raw] })
  assert.equal(answer.id, '3')
  assert.deepEqual(answer.outputs.find(({ name }) => name === 'contributions')!.data, [...output(byGrpc, 'contributions')])
  const refused = await post({ inputs: [{ name: 'features', datatype: 'FP64', shape: [1, 2], data: [1, 2] }] })
  assert.equal(refused.status, 400)
  assert.match(refused.headers.get('content-type')!, /^application\/json/)
  const problem = (await refused.json()) as Record<string, unknown>
  assert.equal(problem['code'], 'ANDON_INFERENCE_INVALID_TENSOR')
  assert.match(String(problem['error']), /expected shape \[-1, 5\], got \[1, 2\]/)
})

test('metrics carry the names of Triton and our own', async (t) => {
  const { ports, infer } = await open(t)
  await infer({ inputs: [input()], rawInputContents: [raw] })
  const text = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text()
  // One vector of the event path and one request.
  assert.match(text, /nv_inference_request_success\{model="t2spe.press",version="1"\} 2\n/)
  assert.match(text, /nv_inference_count\{model="t2spe.press",version="1"\} 2\n/)
  assert.match(text, /nv_inference_pending_request_count\{model="t2spe.press",version="1"\} 0\n/)
  assert.match(text, /andon_inference_requests_total\{door="grpc",outcome="success",service="inference"\} 1\n/)
  assert.match(text, /andon_inference_predictions_total\{type="learning",service="inference"\} 60\n/)
})

test('a gRPC port that is taken ends the start with a message that names the setting', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  await assert.rejects(openPlant(t).start({ INFERENCE_GRPC_PORT: String(port) }), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'ANDON_PORT_BUSY')
    assert.match(error.message, new RegExp(`INFERENCE_GRPC_PORT: .* ${port}`))
    return true
  })
})
