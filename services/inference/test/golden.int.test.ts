// Golden vectors against models that really run: what passes, what is refused and how it says so.

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import type { ElementType } from '../src/learning/onnx-writer.ts'
import { checkGolden, readGolden } from '../src/runtime/golden.ts'
import type { Runner } from '../src/runtime/runner.ts'
import { threadRuntime } from '../src/runtime/thread-runtime.ts'

const runtime = threadRuntime({ workers: 1, runTimeoutMs: 5000 })
after(() => runtime.close())

/** y = x·[[1, 2], [3, 4]], t = s. */
const model = (type: ElementType & ('double' | 'float16')): Buffer =>
  writeOnnx({
    name: 'golden',
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] },
      { op: 'Identity', inputs: ['s'], outputs: ['t'] },
    ],
    initializers: [
      type === 'double'
        ? { name: 'w', dims: [2, 2], data: Float64Array.of(1, 2, 3, 4) }
        : { name: 'w', dims: [2, 2], data: Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400), type },
    ],
    inputs: [
      { name: 'x', type, dims: ['N', 2] },
      { name: 's', type: 'string', dims: ['N'] },
    ],
    outputs: [
      { name: 'y', type, dims: ['N', 2] },
      { name: 't', type: 'string', dims: ['N'] },
    ],
  })

let runner: Runner
const open = (type: 'double' | 'float16'): Promise<Runner> =>
  runtime.open({ label: 'golden/1', digest: '', bytes: model(type), instances: 1, maxBatchRows: 8, parameters: {}, device: 'auto' })
before(async () => {
  runner = await open('double')
})

const x = { name: 'x', shape: [2, 2], data: [1, 2, 0, 1] }
const s = { name: 's', shape: [2], data: ['a', 'é'] }
const y = { name: 'y', shape: [2, 2], data: [7, 10, 3, 4] }
const t = { name: 't', shape: [2], data: ['a', 'é'] }
const file = (outputs: readonly unknown[], tolerances = { maxAbsDifference: 1e-9, maxRelDifference: 0 }): string =>
  JSON.stringify({ ...tolerances, runs: [{ inputs: [x, s], outputs }] })

test('a model that gives its numbers passes, also in half precision', async () => {
  const golden = readGolden('golden.json', file([y, t]))
  assert.deepEqual(await checkGolden('golden/1', runner, golden), { runs: 1, values: 6, largestAbsDifference: 0 })
  const half = await open('float16')
  assert.equal((await checkGolden('golden/1', half, golden)).values, 6)
  await half.close()
})

test('lines are runs', async () => {
  const lines = [
    { maxAbsDifference: 0, maxRelDifference: 0 },
    { inputs: [x, s], outputs: [y] },
    { inputs: [x, s], outputs: [t] },
  ]
  const golden = readGolden('golden.ndjson', `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
  assert.equal((await checkGolden('golden/1', runner, golden)).runs, 2)
})

test('a number that is further off than it may be is refused with run, output, row, expected and got', async () => {
  const off = { ...y, data: [7, 10, 3, 4.5] }
  await assert.rejects(
    checkGolden('golden/1', runner, readGolden('golden.json', file([y, off]))),
    (error: Error & { code: string; fields: object }) => {
      assert.equal(error.code, 'ANDON_INFERENCE_GOLDEN_MISMATCH')
      assert.match(error.message, /golden\.json, run 0, y, row 1, value 1: expected 4\.5, got 4 on CPUExecutionProvider/)
      assert.deepEqual(
        { ...error.fields },
        { model: 'golden/1', source: 'golden.json', run: 0, output: 'y', row: 1, expected: '4.5', got: '4 on CPUExecutionProvider' },
      )
      return true
    },
  )
  const golden = readGolden('golden.json', file([off], { maxAbsDifference: 0.1, maxRelDifference: 0.1 }))
  assert.ok(Math.abs((await checkGolden('golden/1', runner, golden)).largestAbsDifference - 0.5) < 1e-12)
})

test('NaN is only NaN, another shape, another text and an unknown name are refused', async () => {
  for (const [outputs, message] of [
    [[{ ...y, data: [7, 10, 3, 'NaN'] }], /expected "NaN", got 4/],
    [[{ ...y, shape: [4] }], /y: expected shape \[4\], got \[2, 2\]/],
    [[{ ...t, data: ['a', 'b'] }], /t, row 1: expected "b", got "é"/],
  ] as const)
    await assert.rejects(checkGolden('golden/1', runner, readGolden('golden.json', file(outputs))), message)
  const nan = readGolden(
    'golden.json',
    JSON.stringify({
      maxAbsDifference: 0,
      maxRelDifference: 0,
      runs: [{ inputs: [{ ...x, data: ['NaN', 0, 0, 0] }, s], outputs: [{ ...y, data: ['NaN', 'NaN', 0, 0] }] }],
    }),
  )
  await checkGolden('golden/1', runner, nan)
  const missing = JSON.stringify({ maxAbsDifference: 0, maxRelDifference: 0, runs: [{ inputs: [x], outputs: [y] }] })
  await assert.rejects(checkGolden('golden/1', runner, readGolden('golden.json', missing)), /s: expected an input of that name, got none/)
})

test('a file that is none says where', () => {
  for (const [text, message] of [
    ['{', /golden\.json, file: it is no JSON/],
    ['{"maxAbsDifference":0,"maxRelDifference":0,"runs":[]}', /it holds no run/],
    [
      '{"maxAbsDifference":-1,"maxRelDifference":0,"runs":[{"inputs":[],"outputs":[{"name":"y","shape":[],"data":[1]}]}]}',
      /maxAbsDifference: expected a number/,
    ],
    [
      '{"maxAbsDifference":0,"maxRelDifference":0,"runs":[{"inputs":[],"outputs":[{"name":"y","shape":[3],"data":[1]}]}]}',
      /outputs\[0\]\.data: expected 3 values for shape \[3\], got 1/,
    ],
    ['{"maxAbsDifference":0,"maxRelDifference":0,"runs":[{"inputs":[],"outputs":[]}]}', /it expects no output/],
  ] as const)
    assert.throws(() => readGolden('golden.json', text), message)
})
