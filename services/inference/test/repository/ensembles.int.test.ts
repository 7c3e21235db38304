// Ensembles over real models of a real folder: what they answer, what is refused when they are loaded, and what happens to them when a
// part changes, fails, or goes away.

import assert from 'node:assert/strict'
import test from 'node:test'
import { catalogueOver, doubles, first, repositoryOver, requestOf, scaling, states, testFolder } from './serve.ts'
import type { TestFolder } from './serve.ts'

const step = (model: string, inputs: Record<string, string>, outputs: Record<string, string>, version = -1): string => {
  const map = (name: string, of: Record<string, string>): string =>
    Object.entries(of)
      .map(([key, value]) => `${name} { key: "${key}" value: "${value}" }`)
      .join(' ')
  return `step { model_name: "${model}" model_version: ${version} ${map('input_map', inputs)} ${map('output_map', outputs)} }`
}

const tensor = (field: 'input' | 'output', name: string, dims = '2', type = 'TYPE_FP64'): string =>
  `${field} { name: "${name}" data_type: ${type} dims: [ ${dims} ] }`

const ensemble = (
  folder: TestFolder,
  name: string,
  steps: readonly string[],
  tensors: readonly string[],
  rest = 'max_batch_size: 4',
): void => {
  folder.put(`${name}/config.pbtxt`, `platform: "ensemble"\n${rest}\n${tensors.join('\n')}\nensemble_scheduling {\n${steps.join('\n')}\n}`)
  folder.put(`${name}/1/.keep`, '')
}

const inAndOut = [tensor('input', 'in'), tensor('output', 'out')]

const chain = (folder: TestFolder): void => {
  folder.put('double/1/model.onnx', scaling(2))
  folder.put('triple/1/model.onnx', scaling(3))
  ensemble(folder, 'six', [step('triple', { x: 'middle' }, { y: 'out' }), step('double', { x: 'in' }, { y: 'middle' })], inAndOut)
}

test('an ensemble runs its steps as their inputs are there, and its parts count what they did', async (t) => {
  const folder = testFolder(t)
  chain(folder)
  const catalogue = await catalogueOver(t, folder)
  const answer = await catalogue.infer(
    requestOf('six', [
      doubles('in', [
        [1, 2],
        [3, 4],
      ]),
    ]),
  )
  assert.deepEqual(first(answer), [6, 12, 18, 24])
  assert.deepEqual(
    answer.outputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
    [['out', 'FP64', [2, 2]]],
  )
  const description = await catalogue.describe('six', '')
  assert.deepEqual([description.platform, description.inputs[0]!.shape, description.versions], ['ensemble', [-1, 2], ['1']])
  for (const name of ['six', 'double', 'triple']) {
    const [statistics] = catalogue.statistics(name, '')
    assert.deepEqual(
      [statistics!.inferenceCount, statistics!.executionCount, statistics!.inferenceStats!.success!.count],
      [2n, 1n, 1n],
      name,
    )
  }
})

test('steps that do not wait for each other share an input; only what is asked for is answered', async (t) => {
  const folder = testFolder(t)
  folder.put('double/1/model.onnx', scaling(2))
  folder.put('triple/1/model.onnx', scaling(3))
  ensemble(
    folder,
    'both',
    [step('double', { x: 'in' }, { y: 'two' }), step('triple', { x: 'in' }, { y: 'three' })],
    [tensor('input', 'in'), tensor('output', 'two'), tensor('output', 'three')],
  )
  const catalogue = await catalogueOver(t, folder)
  const all = await catalogue.infer(requestOf('both', [doubles('in', [[1, 1]])]))
  assert.deepEqual(
    all.outputs.map(({ name }) => name),
    ['two', 'three'],
  )
  const one = await catalogue.infer(requestOf('both', [doubles('in', [[1, 1]])], { outputs: [{ name: 'three', classes: 0 }] }))
  assert.deepEqual([one.outputs.length, first(one)], [1, [3, 3]])
})

test('an ensemble that does not fit together says where', async (t) => {
  const folder = testFolder(t)
  folder.put('double/1/model.onnx', scaling(2))
  folder.put('narrow/1/model.onnx', scaling(2, 1))
  folder.put('small/1/model.onnx', scaling(2))
  folder.put('small/config.pbtxt', 'max_batch_size: 2')
  const faults: Record<string, [steps: string[], tensors: string[], reason: RegExp]> = {
    missing: [[step('nobody', { x: 'in' }, { y: 'out' })], inAndOut, /there is no model nobody/],
    input: [[step('double', { z: 'in' }, { y: 'out' })], inAndOut, /step\[0\]\.input_map\.z: expected an input of double: x, found z/],
    forgotten: [[step('double', {}, { y: 'out' })], inAndOut, /step\[0\]\.input_map: expected the input x of double as well/],
    output: [[step('double', { x: 'in' }, { z: 'out' })], inAndOut, /output_map\.z: expected an output of double: y, found z/],
    unmade: [
      [step('double', { x: 'other' }, { y: 'out' })],
      inAndOut,
      /input_map\.x: expected a tensor that something makes: in, out, found other/,
    ],
    twice: [
      [step('double', { x: 'in' }, { y: 'out' }), step('double', { x: 'in' }, { y: 'out' })],
      inAndOut,
      /step\[1\]\.output_map\.y: expected every tensor made once/,
    ],
    shape: [[step('narrow', { x: 'in' }, { y: 'out' })], inAndOut, /in as narrow takes it, FP64 \[-1, 1\], found FP64 \[-1, 2\]/],
    type: [[step('double', { x: 'in' }, { y: 'out' })], [tensor('input', 'in', '2', 'TYPE_FP32'), tensor('output', 'out')], /found FP32/],
    result: [
      [step('double', { x: 'in' }, { y: 'out' })],
      [tensor('input', 'in'), tensor('output', 'out', '3')],
      /output\[0\]: expected out as it is made/,
    ],
    rows: [[step('small', { x: 'in' }, { y: 'out' })], inAndOut, /max_batch_size: expected at most what small takes, 2, found 4/],
    cycle: [
      [step('double', { x: 'b' }, { y: 'a' }), step('double', { x: 'a' }, { y: 'b' })],
      [tensor('input', 'in'), tensor('output', 'a')],
      /a cycle: double, double/,
    ],
    itself: [[step('itself', { x: 'in' }, { y: 'out' })], inAndOut, /cycle: itself, itself/],
  }
  for (const [name, [steps, tensors]] of Object.entries(faults)) ensemble(folder, name, steps, tensors)
  const repository = await repositoryOver(t, folder)
  const reasons = new Map(repository.index().map((entry) => [entry.name, entry]))
  for (const [name, [, , reason]] of Object.entries(faults)) {
    assert.match(reasons.get(name)!.reason, reason, name)
    assert.equal(reasons.get(name)!.state, 'UNAVAILABLE')
  }
})

test('an ensemble comes after its parts, so nobody is told of parts that are only on their way', async (t) => {
  const folder = testFolder(t)
  ensemble(folder, 'all', [step('six', { in: 'in' }, { out: 'out' })], inAndOut)
  chain(folder)
  const said: string[] = []
  const logger = { info: () => {}, warn: () => {}, error: (fields: unknown) => void said.push(JSON.stringify(fields)) }
  const repository = await repositoryOver(t, folder, 'none', { logger })
  assert.deepEqual(states(repository.index()), ['all 1 READY', 'double 1 READY', 'six 1 READY', 'triple 1 READY'])
  assert.deepEqual(said, [])
})

test('ensembles that wait for each other are never ready, and say so', async (t) => {
  const folder = testFolder(t)
  ensemble(folder, 'one', [step('other', { in: 'in' }, { out: 'out' })], inAndOut)
  ensemble(folder, 'other', [step('one', { in: 'in' }, { out: 'out' })], inAndOut)
  const repository = await repositoryOver(t, folder)
  assert.deepEqual(states(repository.index()), ['one 1 UNAVAILABLE', 'other 1 UNAVAILABLE'])
})

test('a part that is loaded anew is used at once; an ensemble without a part is not ready', async (t) => {
  const folder = testFolder(t)
  chain(folder)
  const catalogue = await catalogueOver(t, folder, 'explicit')
  await catalogue.load('six', {})
  assert.deepEqual(states(catalogue.index()), ['double 1 READY', 'six 1 READY', 'triple 1 READY'])
  const request = requestOf('six', [doubles('in', [[1, 1]])])
  assert.deepEqual(first(await catalogue.infer(request)), [6, 6])
  folder.put('double/1/model.onnx', scaling(10))
  await catalogue.load('double', {})
  assert.deepEqual(first(await catalogue.infer(request)), [30, 30])
  await catalogue.unload('triple', { withDependents: false })
  assert.equal(catalogue.isModelReady('six', ''), false)
  assert.match(catalogue.index().find(({ name }) => name === 'six')!.reason, /triple is not ready/)
  await assert.rejects(catalogue.infer(request), { code: 'ANDON_INFERENCE_MODEL_NOT_READY', message: /triple/ })
  await catalogue.load('triple', {})
  assert.deepEqual(first(await catalogue.infer(request)), [30, 30])
  await catalogue.unload('six', { withDependents: true })
  assert.deepEqual(states(catalogue.index()), ['double  UNAVAILABLE', 'six  UNAVAILABLE', 'triple  UNAVAILABLE'])
  await assert.rejects(catalogue.load('double', { config: '{"max_batch": 1}' }), { code: 'ANDON_INFERENCE_CONFIG_INVALID' })
  await catalogue.load('six', {}) // the refused configuration is not the part's
  assert.deepEqual(first(await catalogue.infer(request)), [30, 30])
})

test('a part that is replaced by one of another shape makes the ensemble an error and never a guess', async (t) => {
  const folder = testFolder(t)
  chain(folder)
  const catalogue = await catalogueOver(t, folder, 'explicit')
  await catalogue.load('six', {})
  folder.put('double/1/model.onnx', scaling(2, 3))
  await catalogue.load('double', {})
  await assert.rejects(catalogue.infer(requestOf('six', [doubles('in', [[1, 1]])])), { code: 'ANDON_INFERENCE_CONFIG_INVALID' })
})

test('a caller that gives up ends all steps, and the ensemble counts it once', async (t) => {
  const folder = testFolder(t)
  chain(folder)
  const catalogue = await catalogueOver(t, folder)
  const signal = AbortSignal.abort()
  await assert.rejects(catalogue.infer(requestOf('six', [doubles('in', [[1, 1]])], { signal })), { code: 'ANDON_INFERENCE_CANCELLED' })
  const [six] = catalogue.statistics('six', '')
  assert.deepEqual([six!.inferenceStats!.fail!.count, six!.inferenceStats!.success!.count], [1n, 0n])
  assert.equal(catalogue.statistics('triple', '')[0]!.executionCount, 0n)
})
