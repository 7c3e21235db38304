// Run by `npm run verify -- backends`: models on MLServer, KServe and BentoML as backends of ours, as real processes, JSON, binary and gRPC
// apart. Where a server cannot do something, the rule is that we say so and answer nothing else.

import '../../services/inference/src/runtime/no-telemetry.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AndonError } from '@andon/kit'
import { ModelConfig } from '@andon/schemas/inference'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { openInferenceClient } from '../../services/inference/src/backends/grpc-client.ts'
import { remoteRunners } from '../../services/inference/src/backends/remote-runner.ts'
import type { RemoteRunners } from '../../services/inference/src/backends/remote-runner.ts'
import type { Batch, Runner } from '../../services/inference/src/runtime/runner.ts'
import { type ModelServer, ServerMissing, startBentoml, startKserve, startMlserver } from '../harness/model-servers.ts'

const onnx = join(import.meta.dirname, '../../examples/serving/models/motor/1/model.onnx')
const MODEL = 'motor'
const [FEATURES, SCORES] = [4, 3]

type Protocol = 'grpc' | 'http' | 'http-binary' | 'bentoml'

interface Subject {
  readonly name: string
  readonly start: () => Promise<ModelServer>
  /** Each with why it cannot be used, or true. */
  readonly protocols: Readonly<Partial<Record<Protocol, true | string>>>
  readonly saysTensors: boolean
}

const SUBJECTS: readonly Subject[] = [
  {
    name: 'MLServer 1.7.1',
    start: () => startMlserver({ onnx, name: MODEL }),
    protocols: { grpc: true, http: true, 'http-binary': 'it answers binary tensors over HTTP with an error' },
    saysTensors: false,
  },
  {
    name: 'KServe 0.21.0',
    start: () => startKserve({ onnx, name: MODEL }),
    protocols: { grpc: true, http: true, 'http-binary': true },
    saysTensors: true,
  },
  { name: 'BentoML 1.4.39', start: () => startBentoml({ onnx, name: MODEL }), protocols: { bentoml: true }, saysTensors: false },
]

const configOf = (server: ModelServer, protocol: Protocol, parameters: Readonly<Record<string, string>> = {}): ModelConfig =>
  ModelConfig.fromPartial({
    name: 'here',
    backend: 'andon_remote',
    maxBatchSize: 64,
    input: [{ name: 'features', dataType: 11, dims: [BigInt(FEATURES)] }],
    output: [{ name: 'scores', dataType: 11, dims: [BigInt(SCORES)] }],
    parameters: Object.fromEntries(
      Object.entries({
        andon_remote_url: protocol === 'grpc' ? server.grpcTarget : server.httpUrl,
        andon_remote_protocol: protocol,
        andon_remote_model: MODEL,
        andon_non_finite: 'refuse',
        ...parameters,
      }).map(([name, stringValue]) => [name, { stringValue }]),
    ),
  })

const rowsOf = (seed: number, rows: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: rows * FEATURES }, (_, i) => [2, 3, 3, 55][i % FEATURES]! * (0.5 + (((seed + i) * 7919) % 1000) / 1000))

const batchOf = (...inputs: readonly Float32Array<ArrayBuffer>[]): Batch => ({
  requests: inputs.map((values) => ({
    rows: values.length / FEATURES,
    inputs: [{ shape: [values.length / FEATURES, FEATURES], bytes: new Uint8Array(values.buffer) }],
  })),
  outputs: ['scores'],
  rows: inputs.reduce((sum, values) => sum + values.length / FEATURES, 0),
})

const session = await InferenceSession.create(readFileSync(onnx), { intraOpNumThreads: 1 })
const here = async (values: Float32Array): Promise<Float32Array> => {
  const { scores } = await session.run({ features: new Tensor('float32', values, [values.length / FEATURES, FEATURES]) })
  return scores!.data as Float32Array
}

const same = async (runner: Runner, ...inputs: readonly Float32Array<ArrayBuffer>[]): Promise<void> => {
  const { outputs } = await runner.run(batchOf(...inputs))
  for (const [i, values] of inputs.entries()) {
    const [output] = outputs[i]!
    const found = new Float32Array(new Uint8Array(output!.bytes).buffer)
    const expected = await here(values)
    assert.deepEqual(output!.shape, [values.length / FEATURES, SCORES])
    for (let j = 0; j < expected.length; j++)
      assert.ok(Math.abs(found[j]! - expected[j]!) <= 1e-6, `row value ${j}: ${found[j]} for ${expected[j]}`)
  }
}

const codeOf = async (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'answered',
    (error: unknown) => {
      assert.ok(error instanceof AndonError, String(error))
      return `${error.code}${error.retriable ? ' retriable' : ''}`
    },
  )

const [TIMEOUT, UNREACHABLE, BREAKER] = [
  'ANDON_INFERENCE_SERVER_TIMEOUT retriable',
  'ANDON_INFERENCE_SERVER_UNREACHABLE retriable',
  'ANDON_BREAKER_OPEN retriable',
]

for (const { name, start, protocols, saysTensors } of SUBJECTS) {
  let missing: string | undefined
  let server: ModelServer | undefined
  try {
    server = await start()
  } catch (error) {
    if (!(error instanceof ServerMissing)) throw error
    missing = error.message
  }
  after(() => server?.stop())

  for (const [protocol, usable] of Object.entries(protocols) as [Protocol, true | string][]) {
    const rule = (text: string, body: (runners: RemoteRunners) => Promise<void>): void =>
      void test(`${name} ${protocol}: ${text}`, { skip: missing }, async () => {
        const runners = remoteRunners({ resetAfterMs: 100 })
        try {
          await body(runners)
        } finally {
          await runners.close()
        }
      })
    const open = (runners: RemoteRunners, parameters: Readonly<Record<string, string>> = {}): Promise<Runner> =>
      runners.open({ label: 'here version 1', config: configOf(server!, protocol, parameters) })

    if (usable !== true) {
      rule(`a typed error, because ${usable}`, async (runners) => {
        const runner = await open(runners)
        assert.equal(await codeOf(runner.run(batchOf(rowsOf(1, 1)))), 'ANDON_INFERENCE_SERVER_REFUSED')
      })
      continue
    }
    rule('the same scores as in this process, alone and in a batch', async (runners) => {
      const runner = await open(runners)
      await same(runner, rowsOf(1, 1))
      await same(runner, rowsOf(2, 7))
      await same(runner, rowsOf(3, 1), rowsOf(4, 5), rowsOf(5, 2))
      assert.equal(runner.provider, name.split(' ')[0]!.toLowerCase())
    })
    rule('of many at once each gets its own rows', async (runners) => {
      const runner = await open(runners, { andon_remote_concurrency: '32' })
      await Promise.all(Array.from({ length: 32 }, (_, seed) => same(runner, rowsOf(seed, 1 + (seed % 5)))))
    })
    rule('a request that the model cannot take is a typed error, and the next one is answered', async (runners) => {
      const runner = await open(runners)
      const [request] = batchOf(rowsOf(1, 1)).requests
      const crooked: Batch = { requests: [{ rows: 2, inputs: [{ ...request!.inputs[0]!, shape: [2, 2] }] }], outputs: ['scores'], rows: 2 }
      assert.equal(await codeOf(runner.run(crooked)), 'ANDON_INFERENCE_SERVER_REFUSED')
      await same(runner, rowsOf(1, 1))
    })
    if (protocol !== 'bentoml')
      rule('a model that is not there is not loaded', async (runners) => {
        assert.equal(
          (await codeOf(open(runners, { andon_remote_model: 'nobody' }))).replace(' retriable', ''),
          'ANDON_INFERENCE_MODEL_UNLOADABLE',
        )
      })
    if (saysTensors)
      rule('a configuration that says something else is not loaded', async (runners) => {
        const config = configOf(server!, protocol)
        config.input[0]!.dims = [5n]
        assert.equal(await codeOf(runners.open({ label: 'other', config })), 'ANDON_INFERENCE_MODEL_UNLOADABLE')
      })
    rule('frozen it costs the time-out, and is used again when it runs', async (runners) => {
      const runner = await open(runners, { andon_remote_timeout_ms: '1000' })
      server!.signal('SIGSTOP')
      try {
        assert.equal(await codeOf(runner.run(batchOf(rowsOf(1, 1)))), TIMEOUT)
      } finally {
        server!.signal('SIGCONT')
      }
      for (let found = ''; found !== 'answered';) {
        found = await codeOf(same(runner, rowsOf(1, 1)))
        assert.ok(['answered', TIMEOUT, UNREACHABLE, BREAKER].includes(found), found)
      }
    })
  }
  if (protocols.grpc !== undefined)
    test(`${name} grpc: the stream, which is not Open Inference's here, is refused or lost, never misread`, { skip: missing }, async () => {
      const client = openInferenceClient({ target: server!.grpcTarget })
      const input = { name: 'features', datatype: 'FP32', shape: [1, FEATURES], bytes: new Uint8Array(rowsOf(1, 1).buffer) } as const
      const request = { model: MODEL, version: '', id: '', parameters: {}, inputs: [input], outputs: [] }
      try {
        assert.match(await codeOf(client.inferOverStream(request)), /^ANDON_INFERENCE_SERVER_(REFUSED|UNREACHABLE retriable)$/)
      } finally {
        await client.close()
      }
    })
  const [protocol] = Object.keys(protocols) as [Protocol]
  test(`${name} ${protocol}: killed it is unreachable`, { skip: missing }, async () => {
    const runners = remoteRunners()
    const runner = await runners.open({ label: 'here version 1', config: configOf(server!, protocol) })
    await server!.stop()
    assert.equal(await codeOf(runner.run(batchOf(rowsOf(1, 1)))), UNREACHABLE)
    assert.equal(
      await codeOf(runners.open({ label: 'here version 1', config: configOf(server!, protocol) })).then((code) =>
        code.endsWith('retriable'),
      ),
      true,
    )
    await runners.close()
  })
}
