// features → predictions with models of several kinds: embeddings beside verdicts, shadows apart from them, and what an imported
// graph may look like.

import assert from 'node:assert/strict'
import test from 'node:test'
import { followTopic, localCodec } from '@andon/kit'
import type { Predictions } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { SHADOW_TOPIC } from '../src/on-shadow-features.ts'
import { openPlant, vectorOf } from './plant.ts'
import type { Plant } from './plant.ts'
import { putInForce, smallModel } from './small-models.ts'

const sumOf = (n: number): number => readDoubles(vectorOf('press', n).values).reduce((a, b) => a + b, 0)
const vectors = (count: number, from = 0) => Array.from({ length: count }, (_, i) => vectorOf('press', from + i))

/** Predictions of shadow models, as soon as there are so many. */
const shadowPredictions = async (plant: Plant, count: number): Promise<Predictions[]> => {
  const found: Predictions[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const follow = await followTopic<Predictions>(plant.log, localCodec(), SHADOW_TOPIC, ({ value }) => {
    if (found.push(value) >= count) resolve()
  })
  await promise
  await follow.stop()
  return found
}

test('a verdict names the execution provider, and an imported graph needs no more than a ratio', async (t) => {
  const plant = openPlant(t)
  const fact = await putInForce(plant, smallModel({ weight: 0.01 }), {})
  await plant.start()
  await plant.publishVectors('press', vectors(3))
  const predictions = await plant.predictions('press', 3)
  for (const [n, { value }] of predictions.entries()) {
    assert.equal(value.complete, true)
    const [{ provider, digest, ratio, score, contributionNames }] = value.verdicts as [Predictions['verdicts'][number]]
    assert.deepEqual([provider, digest, contributionNames], ['CPUExecutionProvider', fact.digest, []])
    assert.ok(Math.abs(ratio - 0.01 * sumOf(n)) < 1e-9 && score === ratio)
  }
})

test('an embedding travels with its model and version, beside the verdicts or instead of one', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ weight: 0.01, embedding: 'embedding' }), { model: 'both' })
  await putInForce(plant, smallModel({ embedding: 'place' }), { model: 'placer', version: 4, card: '{"embedding":"place"}' })
  await plant.start()
  await plant.publishVectors('press', vectors(2))
  for (const [n, { value }] of (await plant.predictions('press', 2)).entries()) {
    assert.deepEqual([value.complete, value.missing, value.verdicts.map(({ model }) => model)], [true, [], ['both']])
    assert.deepEqual(
      value.embeddings.map(({ model, version, dtype, provider }) => [model, version, dtype, provider]),
      [
        ['both', 1, 'f64', 'CPUExecutionProvider'],
        ['placer', 4, 'f64', 'CPUExecutionProvider'],
      ],
    )
    const row = readDoubles(vectorOf('press', n).values)
    for (const { values } of value.embeddings) {
      const placed = readDoubles(values)
      assert.ok(Math.abs(placed[0]! - row[0]! - row[1]!) < 1e-9 && Math.abs(placed[1]! - row[3]! - row[4]!) < 1e-9)
    }
  }
})

test('remaining life travels with its interval, model and coverage; one that no card gives a coverage is refused', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ remaining: true }), { model: 'life', card: '{"coverage":0.8}' })
  await putInForce(plant, smallModel({ remaining: true }), { model: 'unclear', card: '{}' })
  await plant.start()
  await plant.publishVectors('press', vectors(2))
  for (const [n, { value }] of (await plant.predictions('press', 2)).entries()) {
    const [{ model, coverage, lowUs, medianUs, highUs }, ...others] = value.remaining as [Predictions['remaining'][number]]
    assert.deepEqual([model, coverage, others.length], ['life', 0.8, 0])
    const unit = sumOf(n) * 3_600_000_000
    for (const [i, us] of [lowUs, medianUs, highUs].entries()) assert.ok(Math.abs(us - (i + 1) * unit) < 2)
    const [{ model: refused, error }] = value.verdicts as [Predictions['verdicts'][number]]
    assert.equal(refused, 'unclear')
    assert.match(error!, /expects coverage of the interval of remaining_hours in its card/)
  }
})

test('a graph that takes or gives something else says so in its verdict', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ embedding: 'else' }), {})
  await plant.start()
  await plant.publishVectors('press', vectors(1))
  const { value } = (await plant.predictions('press', 1))[0]!
  assert.match(value.verdicts[0]!.error!, /expects an output ratio, embedding or remaining_hours, found else/)
  assert.deepEqual([value.type, value.complete, value.missing], ['verdicts', false, ['small.press']])
})

test('shadows speak on a topic of their own: the live prediction, its id and its verdict set do not know of them', async (t) => {
  const [alone, shadowed] = [openPlant(t), openPlant(t)]
  for (const plant of [alone, shadowed]) await putInForce(plant, smallModel({ weight: 0.01 }), {})
  const shadow = await putInForce(shadowed, smallModel({ weight: 0.02 }), { version: 2, role: 'shadow' })
  for (const plant of [alone, shadowed]) {
    await plant.start()
    await plant.publishVectors('press', vectors(20))
  }
  const bodies = async (plant: Plant) => (await plant.predictions('press', 20)).map(({ id, value }) => ({ id, value }))
  assert.deepEqual(await bodies(shadowed), await bodies(alone))
  const said = await shadowPredictions(shadowed, 20)
  assert.deepEqual(
    said.map(({ verdicts }) => verdicts.map(({ model, version, role, digest }) => [model, version, role, digest])),
    said.map(() => [['small.press', 2, 'shadow', shadow.digest]]),
  )
  said.forEach(({ verdicts, vectorId }, n) => {
    assert.equal(vectorId, vectorOf('press', n).vectorId)
    assert.ok(Math.abs(verdicts[0]!.ratio - 0.02 * sumOf(n)) < 1e-9)
  })
})

test('a shadow that is activated later speaks of the windows from its event time on', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ weight: 0.01 }), {})
  await plant.start()
  await plant.publishVectors('press', vectors(10))
  await plant.predictions('press', 10)
  await putInForce(plant, smallModel({ weight: 0.03 }), {
    model: 'other',
    role: 'shadow',
    effectiveFromUs: vectorOf('press', 5).windowEndUs,
  })
  await plant.publishVectors('press', vectors(5, 10))
  await plant.predictions('press', 15)
  const said = await shadowPredictions(plant, 9)
  assert.deepEqual(
    said.map(({ vectorId }) => vectorId),
    vectors(9, 6).map(({ vectorId }) => vectorId),
  )
})

test('a shadow that cannot be loaded says so where shadows speak, and delays and fails nothing', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ weight: 0.01 }), {})
  await putInForce(plant, Buffer.from('no model'), { version: 2, role: 'shadow' })
  await plant.start()
  await plant.publishVectors('press', vectors(5))
  for (const { value } of await plant.predictions('press', 5)) assert.deepEqual([value.complete, value.verdicts.length], [true, 1])
  const [first] = await shadowPredictions(plant, 5)
  assert.match(first!.verdicts[0]!.error!, /cannot be loaded/)
})

test('an asset that only a shadow watches is learned all the same', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ weight: 0.02 }), { role: 'shadow' })
  await plant.start({ INFERENCE_COMMISSIONING_WINDOWS: '60' })
  await plant.publishVectors('press', vectors(61))
  const types = (await plant.predictions('press', 61)).map(({ value }) => value.type)
  assert.deepEqual([types[0], types[59], types[60]], ['learning', 'learning', 'verdicts'])
})

test('a poll far beyond the queue is scored in windows: nothing is turned away, skipped or out of order', async (t) => {
  const plant = openPlant(t)
  await putInForce(plant, smallModel({ weight: 0.01 }), {})
  await plant.publishVectors('press', vectors(1_500))
  await plant.start({ INFERENCE_MAX_QUEUED_ROWS: '8', INFERENCE_MAX_BATCH_ROWS: '4' })
  const predictions = await plant.predictions('press', 1_500)
  for (const [n, { value }] of predictions.entries()) {
    assert.equal(value.vectorId, vectorOf('press', n).vectorId)
    assert.deepEqual([value.type, value.complete, value.verdicts[0]!.error], ['verdicts', true, null])
  }
})
