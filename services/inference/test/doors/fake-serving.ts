// A fake, for tests of what a door reads and writes: it answers every input as an output of the same name and remembers what it was
// asked. There is no model behind it.

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { ModelConfig } from '@andon/schemas/inference'
import { modelUnknown } from '../../src/errors.ts'
import type { InferRequest, LoadOptions, ModelDescription, Serving } from '../../src/serving/serving.ts'
import type { TensorSpec } from '../../src/tensors/tensors.ts'

export interface FakeServing extends Serving {
  readonly asked: InferRequest[]
  readonly loaded: { readonly name: string; readonly options: LoadOptions }[]
  readonly unloaded: { readonly name: string; readonly withDependents: boolean }[]
  /** What `infer` waits for and may fail with. */
  before: (request: InferRequest) => Promise<void>
}

export const fakeServing = (inputs: readonly TensorSpec[] = []): FakeServing => {
  const config = ModelConfig.fromPartial({ name: 'identity', maxBatchSize: 8 })
  const description: ModelDescription = {
    name: 'identity',
    versions: ['1', '2'],
    platform: 'onnxruntime_onnx',
    inputs,
    outputs: inputs,
    config,
  }
  const known = (name: string): void => {
    if (name !== 'identity') throw modelUnknown(name, '')
  }
  const fake: FakeServing = {
    asked: [],
    loaded: [],
    unloaded: [],
    before: async () => {},
    isReady: () => true,
    isModelReady: (name, version) => name === 'identity' && version !== '9',
    async infer(request) {
      known(request.model)
      fake.asked.push(request)
      await fake.before(request)
      const outputs = request.inputs.map((input) => ({ ...input, shape: [...input.shape] }))
      return { model: request.model, version: request.version || '2', outputs, parameters: {} }
    },
    async describe(name) {
      known(name)
      return description
    },
    index: () => [
      { name: 'identity', version: '2', state: 'READY', reason: '' },
      { name: 'broken', version: '', state: 'UNAVAILABLE', reason: 'no such file' },
    ],
    load: async (name, options) => void fake.loaded.push({ name, options }),
    unload: async (name, options) => void fake.unloaded.push({ name, ...options }),
    statistics: () => [],
  }
  return fake
}

/** Listens with it until the test ends; returns its address. */
export const listening = async (t: TestContext, listener: RequestListener): Promise<string> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
