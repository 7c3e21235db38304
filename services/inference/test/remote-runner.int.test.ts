// Models that another server runs, over every protocol: what is asked, what is checked at load, what a wrong answer becomes. The servers
// are fakes that answer what no honest one would; real ones are met by `npm run verify -- backends`.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { IncomingMessage, ServerResponse } from 'node:http'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { AndonError } from '@andon/kit'
import { ModelConfig, ModelInferResponse, ModelMetadataResponse } from '@andon/schemas/inference'
import type { GRPCInferenceServiceServer, ModelInferRequest } from '@andon/schemas/inference'
import { status } from '@grpc/grpc-js'
import { remoteRunners } from '../src/backends/remote-runner.ts'
import type { RemoteRunnersOptions } from '../src/backends/remote-runner.ts'
import type { Batch, Runner } from '../src/runtime/runner.ts'
import { fakeServer } from './fake-server.ts'

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)
const numbersIn = (bytes: Uint8Array): number[] => [...new Float32Array(new Uint8Array(bytes).buffer)]
const text = (stringValue: string): { stringValue: string } => ({ stringValue })

/** x [-1, 2] FP32 → y [-1, 2] FP32. */
const configOf = (parameters: Readonly<Record<string, string>>, changes: Partial<ModelConfig> = {}): ModelConfig =>
  ModelConfig.fromPartial({
    name: 'ours',
    backend: 'andon_remote',
    maxBatchSize: 16,
    input: [{ name: 'x', dataType: 11, dims: [2n] }],
    output: [{ name: 'y', dataType: 11, dims: [2n] }],
    parameters: Object.fromEntries(
      Object.entries({ andon_non_finite: 'refuse', ...parameters }).map(([name, value]) => [name, text(value)]),
    ),
    ...changes,
  })

const open = async (t: TestContext, config: ModelConfig, options: RemoteRunnersOptions = {}): Promise<Runner> => {
  const runners = remoteRunners(options)
  t.after(() => runners.close())
  return runners.open({ label: 'ours version 1', config })
}

const batchOf = (...rowsOfEach: readonly (readonly number[])[]): Batch => ({
  requests: rowsOfEach.map((values) => ({
    rows: values.length / 2,
    inputs: [{ shape: [values.length / 2, 2], bytes: floats(...values) }],
  })),
  outputs: ['y'],
  rows: rowsOfEach.reduce((sum, values) => sum + values.length / 2, 0),
})

const rejects = async (answer: Promise<unknown>, code: string, isRetriable: boolean, words = /./): Promise<void> => {
  await assert.rejects(answer, (error: unknown) => {
    assert.ok(error instanceof AndonError, String(error))
    assert.deepEqual([error.code, error.retriable], [code, isRetriable], error.message)
    assert.match(error.message, words)
    return true
  })
}

const metadata = ModelMetadataResponse.fromPartial({
  name: 'theirs',
  versions: ['3'],
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 2n] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1n, 2n] }],
})

/** Gives twice what it gets, unless `answer` says otherwise. */
const grpcModel = (
  answer: (request: ModelInferRequest, honest: ModelInferResponse) => ModelInferResponse | Error | undefined = (_request, honest) => honest,
  describes: Partial<ModelMetadataResponse> = {},
): Partial<GRPCInferenceServiceServer> => ({
  serverMetadata: (_call, callback) => callback(null, { name: 'fake', version: '1', extensions: [] }),
  modelReady: (_call, callback) => callback(null, { ready: true }),
  modelMetadata: (_call, callback) => callback(null, { ...metadata, ...describes }),
  modelInfer: (call, callback) => {
    const { request } = call
    const honest = ModelInferResponse.fromPartial({
      modelName: request.modelName,
      modelVersion: '3',
      outputs: request.inputs.map(({ shape, datatype }) => ({ name: 'y', shape, datatype })),
      rawOutputContents: request.rawInputContents.map((bytes) => floats(...numbersIn(bytes).map((value) => 2 * value))),
    })
    const response = answer(request, honest)
    if (response instanceof Error) callback(response)
    else if (response !== undefined) callback(null, response)
  },
})

const overGrpc = async (
  t: TestContext,
  handlers: Partial<GRPCInferenceServiceServer>,
  parameters: Readonly<Record<string, string>> = {},
  options: RemoteRunnersOptions = {},
): Promise<Runner> => {
  const { target } = await fakeServer(t, handlers)
  return open(t, configOf({ andon_remote_url: target, andon_remote_model: 'theirs', ...parameters }), options)
}

test('requests of a batch are one request to the other server, and each gets its own rows back', async (t) => {
  const asked: ModelInferRequest[] = []
  const runner = await overGrpc(
    t,
    grpcModel((request, honest) => {
      asked.push(request)
      return honest
    }),
    { andon_remote_version: '3' },
  )
  const { outputs } = await runner.run(batchOf([1, 2], [3, 4, 5, 6], [7, 8]))
  assert.deepEqual(
    outputs.map(([y]) => [y!.name, y!.shape, numbersIn(y!.bytes)]),
    [
      ['y', [1, 2], [2, 4]],
      ['y', [2, 2], [6, 8, 10, 12]],
      ['y', [1, 2], [14, 16]],
    ],
  )
  assert.deepEqual(
    asked.map(({ modelName, modelVersion, inputs, outputs: wanted }) => [modelName, modelVersion, inputs[0]!.shape, wanted[0]!.name]),
    [['theirs', '3', [4n, 2n], 'y']],
  )
  assert.equal(runner.provider, 'fake')
})

test('a model that is not what the configuration says is not loaded, and the message says what differs', async (t) => {
  const cases: [Partial<ModelMetadataResponse>, RegExp][] = [
    [{ inputs: [{ name: 'x', datatype: 'FP64', shape: [-1n, 2n] }] }, /input x: expected FP32 \[-1, 2\], found FP64 \[-1, 2\]/],
    [{ inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 3n] }] }, /input x: expected FP32 \[-1, 2\], found FP32 \[-1, 3\]/],
    [{ inputs: [{ name: 'z', datatype: 'FP32', shape: [-1n, 2n] }] }, /input x: .* none of that name/],
    [{ inputs: [...metadata.inputs, { name: 'more', datatype: 'FP32', shape: [-1n] }] }, /input more: .* the configuration has none/],
    [{ outputs: [{ name: 'score', datatype: 'FP32', shape: [-1n, 2n] }] }, /output y/],
  ]
  for (const [describes, words] of cases)
    await rejects(overGrpc(t, grpcModel(undefined, describes)), 'ANDON_INFERENCE_MODEL_UNLOADABLE', false, words)
  const other = grpcModel()
  other.modelReady = (_call, callback) => callback(null, { ready: false })
  await rejects(overGrpc(t, other), 'ANDON_INFERENCE_MODEL_UNLOADABLE', true, /not ready/)
  // A server that says nothing about its tensors is taken at the configuration's word.
  await overGrpc(t, grpcModel(undefined, { inputs: [], outputs: [] }))
})

test('without tensors in the configuration the other server says what the model takes', async (t) => {
  const { target } = await fakeServer(t, grpcModel())
  const config = configOf({ andon_remote_url: target }, { input: [], output: [] })
  const { io } = await open(t, config)
  assert.deepEqual(io, {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  })
  const silent = await fakeServer(t, grpcModel(undefined, { inputs: [], outputs: [] }))
  const nobodySays = configOf({ andon_remote_url: silent.target }, { input: [], output: [] })
  await rejects(open(t, nobodySays), 'ANDON_INFERENCE_MODEL_UNLOADABLE', false, /neither/)
})

test('parameters that say nothing useful are refused with what is expected', async (t) => {
  const cases: [Record<string, string>, RegExp][] = [
    [{}, /andon_remote_url: expected host:port.* found none/],
    [{ andon_remote_url: 'http://h:1' }, /andon_remote_url: expected host:port/],
    [
      { andon_remote_url: 'h:1', andon_remote_protocol: 'soap' },
      /andon_remote_protocol: expected one of grpc, http, http-binary, bentoml, ray/,
    ],
    [{ andon_remote_url: 'h:1', andon_remote_protocol: 'http' }, /andon_remote_url: expected http:/],
    [{ andon_remote_url: 'h:1', andon_remote_timeout_ms: '-1' }, /andon_remote_timeout_ms: expected a whole number/],
    [{ andon_remote_url: 'http://h:1', andon_remote_protocol: 'http', andon_non_finite: 'pass' }, /andon_non_finite: expected refuse/],
    [{ andon_remote_url: 'http://h:1', andon_remote_protocol: 'ray', andon_remote_fields: '["x"]' }, /andon_remote_fields: expected JSON/],
  ]
  for (const [parameters, words] of cases) await rejects(open(t, configOf(parameters)), 'ANDON_INFERENCE_MODEL_UNLOADABLE', false, words)
})

test('an answer of other size, shape, name or datatype, or with NaN, is an error and never a score', async (t) => {
  let spoil: (honest: ModelInferResponse) => void = () => {}
  const runner = await overGrpc(
    t,
    grpcModel((_request, honest) => {
      spoil(honest)
      return honest
    }),
    {},
    { resetAfterMs: 1 },
  )
  const cases: [(honest: ModelInferResponse) => void, RegExp][] = [
    [(honest) => (honest.rawOutputContents = [floats(1)]), /expected 16 bytes for shape \[2, 2\], got 4/],
    [(honest) => (honest.outputs[0]!.shape = [2n, 3n]), /expected 24 bytes/],
    [
      (honest) => Object.assign(honest, { outputs: [{ ...honest.outputs[0], shape: [1n, 4n] }] }),
      /expected the shape \[2, 2\], got \[1, 4\]/,
    ],
    [(honest) => (honest.outputs[0]!.name = 'z'), /expected one, got only z/],
    [(honest) => (honest.outputs[0]!.datatype = 'INT32'), /expected FP32, got INT32/],
  ]
  for (const [change, words] of cases) {
    spoil = change
    await rejects(runner.run(batchOf([1, 2], [3, 4])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, words)
    spoil = () => {}
    assert.deepEqual(numbersIn((await runner.run(batchOf([1, 2]))).outputs[0]![0]!.bytes), [2, 4])
  }
  spoil = (honest) => (honest.rawOutputContents = [floats(1, NaN, 3, 4)])
  await rejects(runner.run(batchOf([1, 2], [3, 4])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /NaN or infinity at element 1/)
  spoil = (honest) => (honest.rawOutputContents = [floats(1, 2, 3, -Infinity)])
  await rejects(runner.run(batchOf([1, 2], [3, 4])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /NaN or infinity at element 3/)
})

test('NaN is passed on where the policy of the model says so', async (t) => {
  const runner = await overGrpc(
    t,
    grpcModel((_request, honest) => ({ ...honest, rawOutputContents: [floats(NaN, 1)] })),
    { andon_non_finite: 'pass' },
  )
  assert.deepEqual(numbersIn((await runner.run(batchOf([1, 2]))).outputs[0]![0]!.bytes), [NaN, 1])
})

test('a server that keeps failing is left alone by all its models, and asked again later', async (t) => {
  let isDown = true
  let asked = 0
  const { target } = await fakeServer(
    t,
    grpcModel((_request, honest) => {
      asked++
      return isDown ? Object.assign(new Error('down'), { code: status.UNAVAILABLE, details: 'down' }) : honest
    }),
  )
  const states: string[] = []
  let onChange = (): void => {}
  const runners = remoteRunners({
    resetAfterMs: 50,
    onStateChange: (_target, state) => {
      states.push(state)
      onChange()
    },
  })
  t.after(() => runners.close())
  const config = configOf({ andon_remote_url: target })
  const one = await runners.open({ label: 'one version 1', config })
  const two = await runners.open({ label: 'two version 1', config })
  for (let i = 0; i < 5; i++) await rejects(one.run(batchOf([1, 2])), 'ANDON_INFERENCE_SERVER_UNREACHABLE', true)
  const before = asked
  await rejects(two.run(batchOf([1, 2])), 'ANDON_BREAKER_OPEN', true)
  assert.equal(asked, before)
  isDown = false
  while (states.at(-1) !== 'half-open') await new Promise<void>((resolve) => (onChange = resolve))
  assert.deepEqual(numbersIn((await two.run(batchOf([1, 2]))).outputs[0]![0]!.bytes), [2, 4])
  assert.deepEqual(states, ['open', 'half-open', 'closed'])
})

test('a server that says no does not open the breaker', async (t) => {
  const runner = await overGrpc(
    t,
    grpcModel(() => Object.assign(new Error('no'), { code: status.INVALID_ARGUMENT, details: 'no' })),
  )
  for (let i = 0; i < 12; i++) await rejects(runner.run(batchOf([1, 2])), 'ANDON_INFERENCE_SERVER_REFUSED', false, /INVALID_ARGUMENT: no/)
})

test('a server that hangs costs the time-out and no more, whichever way it is spoken to', async (t) => {
  const grpc = await overGrpc(
    t,
    grpcModel(() => undefined),
    { andon_remote_timeout_ms: '200' },
  )
  await rejects(grpc.run(batchOf([1, 2])), 'ANDON_INFERENCE_SERVER_TIMEOUT', true)
  for (const protocol of ['http', 'http-binary'] as const) {
    const runner = await overHttp(t, () => {}, { andon_remote_protocol: protocol, andon_remote_timeout_ms: '200' })
    await rejects(runner.run(batchOf([1, 2])), 'ANDON_INFERENCE_SERVER_TIMEOUT', true)
  }
})

// HTTP.

type Answer = (body: Buffer, response: ServerResponse, request: IncomingMessage) => void

const httpServer = async (t: TestContext, infer: Answer): Promise<string> => {
  const server = createServer((request, response) => {
    const json = (value: unknown): void => void response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    if (request.url === '/v2') return json({ name: 'fake', version: '1' })
    if (request.url!.endsWith('/ready') || request.url!.endsWith('z')) return json({ ready: true })
    if (request.method === 'GET')
      return json({
        name: 'theirs',
        versions: ['1'],
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
      })
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => infer(Buffer.concat(parts), response, request))
    return undefined
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const overHttp = async (t: TestContext, infer: Answer, parameters: Readonly<Record<string, string>>): Promise<Runner> =>
  open(t, configOf({ andon_remote_url: await httpServer(t, infer), andon_remote_model: 'theirs', ...parameters }), { resetAfterMs: 1 })

interface OipBody {
  readonly inputs: readonly { readonly name: string; readonly shape: number[]; readonly data: number[]; readonly parameters?: unknown }[]
  readonly outputs: readonly { readonly name: string; readonly parameters?: unknown }[]
}

test('over HTTP tensors go as JSON, and nothing announces bytes', async (t) => {
  const runner = await overHttp(
    t,
    (body, response) => {
      const { inputs, outputs } = JSON.parse(body.toString()) as OipBody
      assert.deepEqual(outputs, [{ name: 'y' }])
      const [{ name, shape, data, parameters }] = inputs as [OipBody['inputs'][number]]
      assert.deepEqual([name, shape, parameters], ['x', [2, 2], undefined])
      response.end(
        JSON.stringify({ model_name: 'theirs', outputs: [{ name: 'y', datatype: 'FP32', shape, data: data.map((value) => 2 * value) }] }),
      )
    },
    { andon_remote_protocol: 'http' },
  )
  const { outputs } = await runner.run(batchOf([0.1, -2], [3e-40, 4]))
  assert.deepEqual(
    outputs.map(([y]) => numbersIn(y!.bytes)),
    [[...Float32Array.of(0.2, -4)], [2 * Math.fround(3e-40), 8]],
  )
  assert.equal(runner.provider, 'fake')
})

test('over binary HTTP tensors go as bytes behind the JSON, and outputs may come either way', async (t) => {
  let asJson = false
  const runner = await overHttp(
    t,
    (body, response, request) => {
      const length = Number(request.headers['inference-header-content-length'])
      const { inputs, outputs } = JSON.parse(body.toString('utf8', 0, length)) as OipBody
      assert.deepEqual(inputs[0]!.parameters, { binary_data_size: 16 })
      assert.deepEqual(outputs, [{ name: 'y', parameters: { binary_data: true } }])
      const bytes = floats(...numbersIn(body.subarray(length)).map((value) => 2 * value))
      const output = { name: 'y', datatype: 'FP32', shape: [2, 2] }
      if (asJson) return void response.end(JSON.stringify({ outputs: [{ ...output, data: numbersIn(bytes) }] }))
      const json = JSON.stringify({ outputs: [{ ...output, parameters: { binary_data_size: 16 } }] })
      response.setHeader('inference-header-content-length', json.length)
      response.end(Buffer.concat([Buffer.from(json), bytes]))
    },
    { andon_remote_protocol: 'http-binary' },
  )
  for (asJson of [false, true]) {
    const { outputs } = await runner.run(batchOf([1, 2], [3, 4]))
    assert.deepEqual(
      outputs.map(([y]) => numbersIn(y!.bytes)),
      [
        [2, 4],
        [6, 8],
      ],
    )
  }
})

test('half an answer over HTTP, one without end, other numbers, and what is no JSON are errors', async (t) => {
  let answer: Answer = () => {}
  const binary = await overHttp(t, (...call) => answer(...call), { andon_remote_protocol: 'http-binary' })
  const json = await overHttp(t, (...call) => answer(...call), { andon_remote_protocol: 'http' })
  const output = (data: unknown): string => JSON.stringify({ outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data }] })
  const cases: [Answer, string, boolean, RegExp][] = [
    [(_body, response) => response.end('{"outputs":['), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /expected JSON/],
    [(_body, response) => response.end('[]'), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /expected an object/],
    [(_body, response) => response.end('{}'), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /expected outputs/],
    [(_body, response) => response.end(output([1])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /output y/],
    [(_body, response) => response.end(output([1, null])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /numbers, got null/],
    [(_body, response) => response.end(output([1, 'NaN'])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /numbers, got string/],
    [(_body, response) => response.end(output([1, 1e300])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /NaN or infinity/],
    [(_body, response) => response.end(output([[1, 2], [3]])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /output y/],
    [(_body, response) => response.end(output([1, 2]).replace('FP32', 'FP8')), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /datatype/],
    [(_body, response) => response.writeHead(422).end('unprocessable'), 'ANDON_INFERENCE_SERVER_REFUSED', false, /422: unprocessable/],
    [(_body, response) => response.writeHead(500).end('oops'), 'ANDON_INFERENCE_SERVER_REFUSED', false, /500: oops/],
    [(_body, response) => response.writeHead(503).end('Exceeds maximum queue size'), 'ANDON_INFERENCE_SERVER_BUSY', true, /queue/],
    [(_body, response) => response.writeHead(503).end('starting'), 'ANDON_INFERENCE_SERVER_UNREACHABLE', true, /starting/],
    [
      (_body, response) => {
        response.writeHead(200, { 'content-length': 1000 })
        response.write('{"outputs":[')
        setImmediate(() => response.destroy())
      },
      'ANDON_INFERENCE_SERVER_UNREACHABLE',
      true,
      /cut/,
    ],
  ]
  for (const [wrong, code, isRetriable, words] of cases) {
    answer = wrong
    for (const runner of [json, binary])
      await rejects(
        breakerApart(() => runner.run(batchOf([1, 2]))),
        code,
        isRetriable,
        words,
      )
  }
  const head = '{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":SIZE}}]}'
  const bytesBehind = (size: string, bytes: Uint8Array, length?: number): Answer => {
    const text_ = head.replace('SIZE', size)
    return (_body, response) => {
      response.setHeader('inference-header-content-length', length ?? text_.length)
      response.end(Buffer.concat([Buffer.from(text_), bytes]))
    }
  }
  for (const wrong of [
    bytesBehind('8', floats(1)),
    bytesBehind('8', floats(1, 2, 3)),
    bytesBehind('4', floats(1)),
    bytesBehind('-8', floats(1, 2)),
    bytesBehind('1e9', floats(1, 2)),
    bytesBehind('8', floats(1, NaN)),
    bytesBehind('8', floats(1, 2), 100_000),
  ]) {
    answer = wrong
    await rejects(
      breakerApart(() => binary.run(batchOf([1, 2]))),
      'ANDON_INFERENCE_SERVER_ANSWER_WRONG',
      false,
    )
  }
})

/** Runs until the breaker lets it through: it is not what these tests are about. */
const breakerApart = async <T>(run: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof AndonError && error.code === 'ANDON_BREAKER_OPEN')) throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

test('a server with its own JSON is asked and read as the configuration declares', async (t) => {
  const bodies: unknown[] = []
  const doubled = (rows: number[][]): number[][] => rows.map((row) => row.map((value) => 2 * value))
  const cases: [Record<string, string>, (body: never) => unknown, unknown][] = [
    [{ andon_remote_protocol: 'bentoml' }, (body: { x: number[][] }) => ({ y: doubled(body.x) }), { x: [[1, 2]] }],
    [
      { andon_remote_protocol: 'ray', andon_remote_fields: '{"x":"instances","y":"result.scores"}' },
      (body: { instances: number[][] }) => ({ result: { scores: doubled(body.instances) } }),
      { instances: [[1, 2]] },
    ],
    [{ andon_remote_protocol: 'ray', andon_remote_fields: '{"x":".","y":"."}' }, (body: number[][]) => doubled(body), [[1, 2]]],
  ]
  for (const [parameters, answer, expected] of cases) {
    const runner = await overHttp(
      t,
      (body, response) => {
        bodies.push(JSON.parse(body.toString()))
        response.end(JSON.stringify(answer(bodies.at(-1) as never)))
      },
      parameters,
    )
    assert.deepEqual(numbersIn((await runner.run(batchOf([1, 2]))).outputs[0]![0]!.bytes), [2, 4])
    assert.deepEqual(bodies.at(-1), expected)
    assert.equal(runner.provider, parameters['andon_remote_protocol'])
  }
  const wrong = await overHttp(t, (_body, response) => response.end('{"y":[[1,2],[3,4]]}'), { andon_remote_protocol: 'bentoml' })
  await rejects(wrong.run(batchOf([1, 2])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /expected the shape \[1, 2\], got \[2, 2\]/)
  const ragged = await overHttp(t, (_body, response) => response.end('{"y":[[1,2],[3]]}'), { andon_remote_protocol: 'bentoml' })
  await rejects(ragged.run(batchOf([1, 2, 3, 4])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /expected 2 elements at depth 1, got 1/)
  const none = await overHttp(t, (_body, response) => response.end('{"z":[[1,2]]}'), { andon_remote_protocol: 'bentoml' })
  await rejects(none.run(batchOf([1, 2])), 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', false, /field y/)
})

test('64-bit integers, texts and truth values survive JSON, and a value that does not fit is refused', async (t) => {
  let answer = ''
  const types = { i: 'INT64', s: 'BYTES', b: 'BOOL' }
  const config = configOf(
    { andon_remote_protocol: 'bentoml' },
    {
      maxBatchSize: 0,
      input: ModelConfig.fromPartial({ input: [{ name: 'i', dataType: 9, dims: [1n] }] }).input,
      output: ModelConfig.fromPartial({
        output: [
          { name: 'i', dataType: 9, dims: [1n] },
          { name: 's', dataType: 13, dims: [2n] },
          { name: 'b', dataType: 1, dims: [2n] },
        ],
      }).output,
    },
  )
  const bodies: string[] = []
  const url = await httpServer(t, (body, response) => {
    bodies.push(body.toString())
    response.end(answer)
  })
  const runner = await open(t, { ...config, parameters: { ...config.parameters, andon_remote_url: { stringValue: url } } })
  const input = new Uint8Array(BigInt64Array.of(2n ** 62n + 1n).buffer)
  const batch: Batch = { requests: [{ rows: 1, inputs: [{ shape: [1], bytes: input }] }], outputs: Object.keys(types), rows: 1 }
  answer = '{"i":[4611686018427387905],"s":["né","\\u0000"],"b":[true,false]}'
  const [[i, s, b]] = (await runner.run(batch)).outputs as unknown as [{ bytes: Uint8Array }[]]
  assert.equal(bodies[0], '{"i":[4611686018427387905]}')
  assert.deepEqual(new Uint8Array(i!.bytes), input)
  assert.deepEqual(Buffer.from(s!.bytes), Buffer.from('\u{3}\0\0\0né\u{1}\0\0\0\0'))
  assert.deepEqual([...b!.bytes], [1, 0])
  for (const wrong of [
    '{"i":[1.5],"s":["",""],"b":[true,false]}',
    '{"i":[9223372036854775808],"s":["",""],"b":[true,false]}',
    '{"i":[1],"s":["",7],"b":[true,false]}',
    '{"i":[1],"s":["",""],"b":[true,2]}',
  ]) {
    answer = wrong
    await rejects(
      breakerApart(() => runner.run(batch)),
      'ANDON_INFERENCE_SERVER_ANSWER_WRONG',
      false,
    )
  }
})
