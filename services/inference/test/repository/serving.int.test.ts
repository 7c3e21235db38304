// What every door asks a catalogue for, with real sessions: requests that do not fit, batches, classification, the response cache,
// warm-up, recorded runs, statistics and latency targets.

import assert from 'node:assert/strict'
import test from 'node:test'
import { writeOnnx } from '../../src/learning/onnx-writer.ts'
import { unpackBytes } from '../../src/tensors/bytes.ts'
import { catalogueOver, doubles, first, requestOf, scaling, states, testFolder, values } from './serve.ts'

test('what does not fit names the tensor, what is expected and what was found', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(2))
  folder.put('press/config.pbtxt', 'max_batch_size: 3')
  const catalogue = await catalogueOver(t, folder)
  const good = doubles('x', [[1, 2]])
  const rows = (count: number) => Array.from({ length: count }, () => [1, 2])
  const refusals: [Parameters<typeof requestOf>[1], RegExp][] = [
    [[], /input x: expected a tensor FP64 \[-1, 2\], got no inputs/],
    [[{ ...good, name: 'z' }], /input x: expected a tensor FP64 \[-1, 2\], got only z/],
    [[good, { ...good, name: 'z' }], /input z: expected x, got a tensor of that name/],
    [[good, good], /input x: expected one tensor, got several of that name/],
    [[{ ...good, datatype: 'FP32' }], /input x: expected datatype FP64, got FP32/],
    [[{ ...good, shape: [1, 3] }], /input x: expected shape \[-1, 2\], got \[1, 3\]/],
    [[{ ...good, shape: [2] }], /input x: expected shape \[-1, 2\], got \[2\]/],
    [[{ ...good, shape: [0, 2], bytes: new Uint8Array() }], /input x: expected shape \[-1, 2\], got \[0, 2\]/],
    [[{ ...good, shape: [-1, 2] }], /input x: expected shape/],
    [[{ ...good, shape: [1.5, 2] }], /input x: expected shape/],
    [[{ ...good, shape: [2 ** 52, 2] }], /input x: expected shape/],
    [[{ ...good, bytes: good.bytes.subarray(1) }], /input x: expected 16 bytes for shape \[1, 2\], got 15 bytes/],
    [[doubles('x', rows(4))], /input x: expected at most 3 rows \(max_batch_size of press\), got 4 rows/],
  ]
  for (const [inputs, message] of refusals)
    await assert.rejects(catalogue.infer(requestOf('press', inputs)), { code: 'ANDON_INFERENCE_INVALID_TENSOR', status: 400, message })
  const outputs = [{ name: 'z', classes: 0 }]
  await assert.rejects(catalogue.infer(requestOf('press', [good], { outputs })), { message: /output z: expected one of y/ })
  const parameters = { priority: 'soon' }
  await assert.rejects(catalogue.infer(requestOf('press', [good], { parameters })), { message: /parameter priority: expected an integer/ })
  await assert.rejects(catalogue.infer(requestOf('nothing', [good])), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN', status: 404 })
  await assert.rejects(catalogue.infer(requestOf('press', [good], { version: '9' })), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN' })
  assert.deepEqual(first(await catalogue.infer(requestOf('press', [good]))), [2, 4])
})

test('a model takes NaN and infinities unless its configuration refuses them', async (t) => {
  const folder = testFolder(t)
  folder.put('pass/1/model.onnx', scaling(2))
  folder.put('refuse/1/model.onnx', scaling(2))
  folder.put('refuse/config.yaml', 'parameters: {andon_non_finite: {string_value: refuse}}')
  const catalogue = await catalogueOver(t, folder)
  const bad = [doubles('x', [[1, Number.NaN]])]
  assert.deepEqual(first(await catalogue.infer(requestOf('pass', bad))), [2, Number.NaN])
  for (const value of [Number.NaN, Infinity, -Infinity])
    await assert.rejects(catalogue.infer(requestOf('refuse', [doubles('x', [[1, value]])])), {
      code: 'ANDON_INFERENCE_INVALID_TENSOR',
      message: /input x: expected finite values, got NaN or an infinity at element 1/,
    })
})

test('classification gives the highest values of each row with their labels', async (t) => {
  const folder = testFolder(t)
  folder.put('faults/1/model.onnx', scaling(1, 3))
  folder.put('faults/labels.txt', 'none\nwear\r\nimbalance\n')
  folder.put('faults/config.pbtxt', 'max_batch_size: 2\noutput { name: "y" data_type: TYPE_FP64 dims: [ 3 ] label_filename: "labels.txt" }')
  const catalogue = await catalogueOver(t, folder)
  const inputs = [
    doubles('x', [
      [0.25, 0.5, 0.25],
      [-1, -3, -2],
    ]),
  ]
  const answer = await catalogue.infer(requestOf('faults', inputs, { outputs: [{ name: 'y', classes: 2 }] }))
  const [output] = answer.outputs
  assert.deepEqual([output!.datatype, output!.shape], ['BYTES', [2, 2]])
  assert.deepEqual(
    unpackBytes(output!.bytes).map((bytes) => Buffer.from(bytes).toString()),
    ['0.500000:1:wear', '0.250000:0:none', '-1.000000:0:none', '-2.000000:2:imbalance'],
  )
})

test('reshape stands between callers and graph, in both directions', async (t) => {
  const folder = testFolder(t)
  folder.put('square/1/model.onnx', scaling(2, 4))
  folder.put(
    'square/config.pbtxt',
    `max_batch_size: 4
     input { name: "x" data_type: TYPE_FP64 dims: [ 2, 2 ] reshape { shape: [ 4 ] } }
     output { name: "y" data_type: TYPE_FP64 dims: [ 4, 1 ] reshape { shape: [ 4 ] } }`,
  )
  const catalogue = await catalogueOver(t, folder)
  assert.deepEqual((await catalogue.describe('square', '')).inputs[0]!.shape, [-1, 2, 2])
  const input = { ...doubles('x', [[1, 2, 3, 4]]), shape: [1, 2, 2] }
  const { outputs } = await catalogue.infer(requestOf('square', [input]))
  assert.deepEqual(
    [outputs[0]!.shape, values(outputs[0]!)],
    [
      [1, 4, 1],
      [2, 4, 6, 8],
    ],
  )
})

test('warm-up runs before a model is ready and is in no statistics; one that fails keeps the model away', async (t) => {
  const folder = testFolder(t)
  const warmUp = (changes: string): string =>
    `max_batch_size: 4\nmodel_warmup {\n  name: "sample" batch_size: 2 count: 3\n  inputs { key: "x" value { data_type: TYPE_FP64 dims: [ 2 ] ${changes} } }\n}`
  folder.put('zero/1/model.onnx', scaling(1))
  folder.put('zero/config.pbtxt', warmUp('zero_data: true'))
  folder.put('random/1/model.onnx', scaling(1))
  folder.put('random/config.pbtxt', warmUp('random_data: true'))
  folder.put('file/1/model.onnx', scaling(1))
  folder.put('file/config.pbtxt', warmUp('input_data_file: "row"'))
  folder.put('file/warmup/row', new Uint8Array(16))
  folder.put('gone/1/model.onnx', scaling(1))
  folder.put('gone/config.pbtxt', warmUp('input_data_file: "row"'))
  folder.put('short/1/model.onnx', scaling(1))
  folder.put('short/config.pbtxt', warmUp('input_data_file: "row"'))
  folder.put('short/warmup/row', new Uint8Array(15))
  folder.put('fails/1/model.onnx', failing())
  folder.put('fails/config.pbtxt', warmUp('zero_data: true'))
  folder.put('name/1/model.onnx', scaling(1))
  folder.put('name/config.pbtxt', warmUp('zero_data: true').replace('key: "x"', 'key: "z"'))
  const catalogue = await catalogueOver(t, folder)
  const index = new Map(catalogue.index().map((entry) => [entry.name, entry]))
  for (const name of ['zero', 'random', 'file']) {
    assert.equal(index.get(name)!.state, 'READY', index.get(name)!.reason)
    assert.equal(catalogue.statistics(name, '')[0]!.executionCount, 0n)
  }
  assert.match(index.get('gone')!.reason, /gone\/warmup\/row: .*no such file/)
  assert.match(index.get('short')!.reason, /model_warmup\[0\]\.inputs\.x\.input_data_file: expected as many bytes as dims have/)
  assert.match(index.get('fails')!.reason, /MODEL_UNLOADABLE.*warm-up sample/)
  assert.match(index.get('name')!.reason, /name\/config\.pbtxt:4: model_warmup\[0\]\.inputs\.z: expected an input of the model: x/)
})

/** Whatever it is given, its one index is out of range. */
const failing = (): Buffer =>
  writeOnnx({
    name: 'fails',
    nodes: [{ op: 'Gather', inputs: ['x', 'far'], outputs: ['y'], attributes: { axis: 1 } }],
    initializers: [{ name: 'far', dims: [1], data: BigInt64Array.of(9n) }],
    inputs: [{ name: 'x', type: 'double', dims: ['N', 2] }],
    outputs: [{ name: 'y', type: 'double', dims: ['N', 'M'] }],
  })

test('a model that does not repeat its recorded runs is not served', async (t) => {
  const folder = testFolder(t)
  const golden = (y: number): string =>
    JSON.stringify({
      maxAbsDifference: 0.001,
      maxRelDifference: 0,
      runs: [{ inputs: [{ name: 'x', shape: [1, 2], data: [1, 2] }], outputs: [{ name: 'y', shape: [1, 2], data: [2, y] }] }],
    })
  folder.put('right/1/model.onnx', scaling(2))
  folder.put('right/1/golden.json', golden(4))
  folder.put('wrong/1/model.onnx', scaling(2))
  folder.put('wrong/1/golden.json', golden(4.5))
  const catalogue = await catalogueOver(t, folder)
  assert.deepEqual(states(catalogue.index()), ['right 1 READY', 'wrong 1 UNAVAILABLE'])
  assert.match(catalogue.index()[1]!.reason, /GOLDEN/)
})

test('statistics count requests, rows, batches by size, and what the cache knew', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(2))
  folder.put('press/config.pbtxt', 'max_batch_size: 4\nresponse_cache { enable: true }')
  const catalogue = await catalogueOver(t, folder)
  const two = [
    doubles('x', [
      [1, 2],
      [3, 4],
    ]),
  ]
  await catalogue.infer(requestOf('press', two))
  await catalogue.infer(requestOf('press', two))
  await catalogue.infer(requestOf('press', [doubles('x', [[5, 6]])]))
  const [statistics] = catalogue.statistics('press', '1')
  const { inferenceStats: of } = statistics!
  assert.equal(statistics!.inferenceCount, 3n)
  assert.equal(statistics!.executionCount, 2n)
  assert.equal(statistics!.lastInference, 1_700_000_000_000n)
  assert.deepEqual(
    statistics!.batchStats.map(({ batchSize, computeInfer }) => [batchSize, computeInfer!.count]),
    [
      [1n, 1n],
      [2n, 1n],
    ],
  )
  assert.deepEqual(
    [of!.success, of!.fail, of!.queue, of!.computeInfer, of!.cacheHit, of!.cacheMiss].map((each) => each!.count),
    [3n, 0n, 3n, 2n, 1n, 2n],
  )
  assert.ok(of!.success!.ns >= of!.computeInfer!.ns)
  assert.throws(() => catalogue.statistics('nothing', ''), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN' })
})

test('a model over its latency target is served, and the index says what it took', async (t) => {
  const folder = testFolder(t)
  const target = (ms: string): string => `max_batch_size: 4\nparameters { key: "andon_target_p95_ms" value { string_value: "${ms}" } }`
  folder.put('slow/1/model.onnx', scaling(1))
  folder.put('slow/config.pbtxt', target('0.000001'))
  folder.put('quick/1/model.onnx', scaling(1))
  folder.put('quick/config.pbtxt', target('60000'))
  const catalogue = await catalogueOver(t, folder)
  assert.deepEqual(states(catalogue.index()), ['quick 1 READY', 'slow 1 READY'])
  assert.match(catalogue.index()[0]!.reason, /^within its latency target: p95 .* ms of 60000 ms/)
  assert.match(catalogue.index()[1]!.reason, /^over its latency target: p95/)
})

test('no request fails while its model is loaded anew', async (t) => {
  const folder = testFolder(t)
  folder.put('press/1/model.onnx', scaling(1))
  const catalogue = await catalogueOver(t, folder, 'explicit')
  await catalogue.load('press', {})
  const answers = new Set<number>()
  let isOver = false
  const ask = async (): Promise<void> => {
    while (!isOver) answers.add(first(await catalogue.infer(requestOf('press', [doubles('x', [[1, 1]])])))[0]!)
  }
  const asking = Promise.all(Array.from({ length: 16 }, ask))
  for (const factor of [2, 3, 4, 5, 6]) {
    folder.put('press/1/model.onnx', scaling(factor))
    await catalogue.load('press', {})
  }
  isOver = true
  await asking
  assert.ok([...answers].every((value) => [1, 2, 3, 4, 5, 6].includes(value)))
  assert.deepEqual(first(await catalogue.infer(requestOf('press', [doubles('x', [[1, 1]])]))), [6, 6])
})
