// features → predictions beside a model that hangs on one vector: the log goes on, its verdict says why, and models beside it speak.

import assert from 'node:assert/strict'
import test from 'node:test'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import { openSession } from '../src/runtime/session.ts'
import { FEATURES, openPlant, vectorOf } from './plant.ts'
import { putInForce, smallModel } from './small-models.ts'

/** Spins once in itself for each unit of its largest feature, and says 1. */
const spinning = (): Buffer =>
  writeOnnx({
    name: 'spinning',
    nodes: [
      { op: 'ReduceMax', inputs: ['features'], outputs: ['largest'], attributes: { keepdims: 0 } },
      { op: 'Abs', inputs: ['largest'], outputs: ['positive'] },
      { op: 'Cast', inputs: ['positive'], outputs: ['spins'], attributes: { to: 7 } },
      {
        op: 'Loop',
        inputs: ['spins', '', 'zero'],
        outputs: ['spun'],
        attributes: {
          body: {
            name: 'spin',
            nodes: [
              { op: 'Identity', inputs: ['goes'], outputs: ['goes_on'] },
              { op: 'Identity', inputs: ['state'], outputs: ['next'] },
            ],
            initializers: [],
            inputs: [
              { name: 'i', type: 'int64', dims: [] },
              { name: 'goes', type: 'bool', dims: [] },
              { name: 'state', type: 'double', dims: [1, 1] },
            ],
            outputs: [
              { name: 'goes_on', type: 'bool', dims: [] },
              { name: 'next', type: 'double', dims: [1, 1] },
            ],
          },
        },
      },
      { op: 'MatMul', inputs: ['features', 'nothing'], outputs: ['zeros'] },
      { op: 'Add', inputs: ['zeros', 'spun'], outputs: ['column'] },
      { op: 'Squeeze', inputs: ['column', 'one'], outputs: ['ratio'] },
    ],
    initializers: [
      { name: 'zero', dims: [1, 1], data: new Float64Array(1) },
      { name: 'nothing', dims: [FEATURES, 1], data: new Float64Array(FEATURES) },
      { name: 'one', dims: [1], data: BigInt64Array.of(1n) },
    ],
    inputs: [{ name: 'features', type: 'double', dims: ['N', FEATURES] }],
    outputs: [{ name: 'ratio', type: 'double', dims: ['N'] }],
  })

const TIMEOUT_MS = 400

/** Spins that take some seconds on this machine. */
const longSpins = async (): Promise<number> => {
  const session = await openSession({ bytes: spinning() })
  const spin = async (spins: number): Promise<number> => {
    const buffer = new Float64Array(FEATURES).fill(spins).buffer
    const { runUs } = await session.run([{ name: 'features', datatype: 'FP64', shape: [1, FEATURES], buffer }], ['ratio'])
    return runUs
  }
  await spin(1000)
  const us = await spin(200_000)
  await session.release()
  return Math.round((200_000 * 5 * TIMEOUT_MS * 1000) / us)
}

test('a model that hangs on one vector leaves that one unscored; the log goes on, and so do the models beside it', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, spinning(), { model: 'spinning' })
  await putInForce(plant, smallModel({ weight: 0.01 }), { model: 'beside' })
  await putInForce(plant, smallModel({ weight: 0.01 }), { model: 'other', assetId: 'lathe' })
  const running = await plant.start({ INFERENCE_RUN_TIMEOUT_MS: String(TIMEOUT_MS) })
  const shift = await longSpins()
  const vectors = Array.from({ length: 20 }, (_, n) => vectorOf('press', n, n === 7 ? { shift } : {}))
  await plant.publishVectors('press', vectors)
  await plant.publishVectors(
    'lathe',
    Array.from({ length: 20 }, (_, n) => vectorOf('lathe', n)),
  )
  const predictions = await plant.predictions('press', 20)
  for (const [n, { value }] of predictions.entries()) {
    assert.equal(value.vectorId, vectors[n]!.vectorId)
    const said = new Map(value.verdicts.map(({ model, error }) => [model, error]))
    assert.equal(said.get('beside'), null)
    if (n !== 7) assert.deepEqual([said.get('spinning'), value.complete], [null, true])
    else {
      assert.match(said.get('spinning')!, /^Nothing could score spinning: ANDON_INFERENCE_RUN_TIMEOUT: /)
      assert.deepEqual([value.type, value.complete, value.missing], ['verdicts', false, ['spinning']])
    }
  }
  for (const { value } of await plant.predictions('lathe', 20)) assert.deepEqual([value.complete, value.verdicts[0]!.error], [true, null])
  // With the others of its poll, then alone; no more, and nothing was read twice.
  const lost = Number(/^andon_inference_workers_lost_total\S* (\d+)/m.exec(await running.metricsText())![1])
  assert.ok(lost === 2, `${lost} threads did not come back`)
})

test('a model that hangs on every vector is left alone, and the service stays ready', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, spinning(), { model: 'spinning' })
  await putInForce(plant, smallModel({ weight: 0.01 }), { model: 'other', assetId: 'lathe' })
  const { ports } = await plant.start({ INFERENCE_RUN_TIMEOUT_MS: String(TIMEOUT_MS) })
  const shift = await longSpins()
  await plant.publishVectors(
    'press',
    Array.from({ length: 30 }, (_, n) => vectorOf('press', n, { shift })),
  )
  await plant.publishVectors(
    'lathe',
    Array.from({ length: 30 }, (_, n) => vectorOf('lathe', n)),
  )
  const predictions = await plant.predictions('press', 30)
  for (const { value } of predictions) assert.deepEqual([value.type, value.missing], ['unscored', ['spinning']])
  assert.match(predictions[0]!.value.verdicts[0]!.error!, /ANDON_INFERENCE_RUN_TIMEOUT/)
  assert.match(predictions.at(-1)!.value.verdicts[0]!.error!, /ANDON_INFERENCE_MODEL_SUSPENDED/)
  for (const { value } of await plant.predictions('lathe', 30)) assert.equal(value.complete, true)
  assert.equal((await fetch(`http://127.0.0.1:${ports.http}/v2/health/ready`)).status, 200)
})
