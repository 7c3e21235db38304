// features → predictions with real sessions on a log in memory: learning, commissioning, scoring, doubt, restart and replay.

import assert from 'node:assert/strict'
import test from 'node:test'
import { readCard } from '../src/models/model-card.ts'
import { readDoubles } from '@andon/schemas/packed'
import { FEATURES, SET_DIGEST, WINDOW_US, openPlant, vectorOf } from './plant.ts'

const settings = { INFERENCE_COMMISSIONING_WINDOWS: '80' }
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const bodies = (inputs: readonly { value: unknown; id: string }[]): string => JSON.stringify(inputs.map(({ id, value }) => [id, value]))

test('an asset without a model is learned from its first healthy windows, then scored in advisory mode', async (t) => {
  const plant = openPlant(t)
  await plant.start(settings)
  await plant.publishVectors(
    'press',
    numbers(0, 90).map((n) => vectorOf('press', n)),
  )
  await plant.publishVectors('press', [vectorOf('press', 90, { shift: 30 })])
  const predictions = await plant.predictions('press', 91)

  const types = predictions.map(({ value }) => value.type)
  assert.deepEqual(types, [...Array<string>(80).fill('learning'), ...Array<string>(11).fill('verdicts')])
  for (const { value } of predictions.slice(0, 80)) assert.deepEqual([value.verdicts.length, value.complete], [0, false])
  const healthy = predictions[85]!.value
  assert.equal(healthy.complete, true)
  assert.equal(healthy.verdicts[0]!.role, 'advisory')
  assert.ok(healthy.verdicts[0]!.ratio < 1)
  const faulty = predictions[90]!.value.verdicts[0]!
  assert.ok(faulty.ratio > 1)
  const shares = readDoubles(faulty.contributions)
  assert.equal(faulty.contributionNames[shares.indexOf(Math.max(...shares))], 'channel2.mean')
  assert.ok(Math.abs(shares.reduce((a, b) => a + b, 0) - 1) < 1e-9)
  assert.deepEqual(
    predictions.map(({ order }) => order?.offset),
    numbers(0, 91),
  )

  const facts = await plant.models()
  assert.deepEqual(
    facts.map(({ type, model, version, role, effectiveFromUs }) => [type, model, version, role, effectiveFromUs]),
    [
      ['ModelRegistered', 't2spe.press', 1, 'advisory', 80 * WINDOW_US],
      ['ModelActivated', 't2spe.press', 1, 'advisory', 80 * WINDOW_US],
    ],
  )
  const card = readCard(facts[0]!.card)!
  assert.deepEqual([card.training.fromUs, card.training.toUs, card.training.rows], [0, 80 * WINDOW_US, 80])
  assert.equal(card.features.length, FEATURES)
})

test('a restart in the middle of learning loses no window and gives the same model', async (t) => {
  const [whole, broken] = [openPlant(t), openPlant(t)]
  await whole.start(settings)
  await whole.publishVectors(
    'press',
    numbers(0, 100).map((n) => vectorOf('press', n)),
  )
  const expected = await whole.predictions('press', 100)

  const first = await broken.start(settings)
  await broken.publishVectors(
    'press',
    numbers(0, 50).map((n) => vectorOf('press', n)),
  )
  await broken.predictions('press', 50)
  await first.stop()
  await broken.start(settings)
  await broken.publishVectors(
    'press',
    numbers(50, 100).map((n) => vectorOf('press', n)),
  )
  assert.equal(bodies(await broken.predictions('press', 100)), bodies(expected))
  const digests = await Promise.all(
    [whole, broken].map(async (plant) => (await plant.models()).map(({ digest, version, type }) => [digest, version, type])),
  )
  assert.deepEqual(digests[0], digests[1])
})

test('the same vectors beside the same models facts give the same predictions, however they are batched', async (t) => {
  const [once, oneByOne] = [openPlant(t), openPlant(t)]
  for (const plant of [once, oneByOne]) await plant.start({ INFERENCE_COMMISSIONING_WINDOWS: '60' })
  const vectors = numbers(0, 120).map((n) => vectorOf('fan', n))
  await once.publishVectors('fan', vectors)
  for (const [i, vector] of vectors.entries()) {
    await oneByOne.publishVectors('fan', [vector])
    if (i % 3 === 0) await oneByOne.predictions('fan', i + 1)
  }
  assert.equal(bodies(await once.predictions('fan', 120)), bodies(await oneByOne.predictions('fan', 120)))
})

test('a missing feature is replaced, scored, and the doubt is kept', async (t) => {
  const plant = openPlant(t)
  await plant.start(settings)
  await plant.publishVectors(
    'press',
    numbers(0, 81).map((n) => vectorOf('press', n)),
  )
  const gap = vectorOf('press', 81)
  const values = Buffer.from(gap.values)
  values.writeDoubleLE(Number.NaN, 8)
  await plant.publishVectors('press', [{ ...gap, values, complete: false, missing: ['channel1'] }])
  const { value } = (await plant.predictions('press', 82)).at(-1)!
  assert.deepEqual([value.type, value.complete, value.missing], ['verdicts', false, ['channel1', 'channel1.mean']])
  assert.equal(value.verdicts[0]!.inDomain, false)
  assert.equal(value.verdicts[0]!.error, null)
  assert.ok(value.verdicts[0]!.ratio > 0)
})

test('incomplete windows are not learned from', async (t) => {
  const plant = openPlant(t)
  await plant.start(settings)
  await plant.publishVectors(
    'press',
    numbers(0, 79).map((n) => vectorOf('press', n)),
  )
  await plant.publishVectors(
    'press',
    numbers(79, 99).map((n) => vectorOf('press', n, { complete: false, missing: ['channel1'] })),
  )
  await plant.predictions('press', 99)
  assert.deepEqual(await plant.models(), [])
  await plant.publishVectors(
    'press',
    numbers(99, 101).map((n) => vectorOf('press', n)),
  )
  assert.deepEqual((await plant.predictions('press', 101)).map(({ value }) => value.type).slice(-2), ['learning', 'verdicts'])
})

test('a new feature set is learned anew, as the next version', async (t) => {
  const plant = openPlant(t)
  await plant.start(settings)
  const next = 'e'.repeat(64)
  await plant.publishVectors(
    'press',
    numbers(0, 90).map((n) => vectorOf('press', n)),
  )
  await plant.publishVectors(
    'press',
    numbers(90, 180).map((n) => vectorOf('press', n, { featureSetDigest: next })),
  )
  const types = (await plant.predictions('press', 180)).map(({ value }) => value.type)
  assert.deepEqual([types[89], types[90], types[169], types[170]], ['verdicts', 'learning', 'learning', 'verdicts'])
  const activated = (await plant.models()).filter(({ type }) => type === 'ModelActivated')
  assert.deepEqual(
    activated.map(({ version, featureSetDigest }) => [version, featureSetDigest]),
    [
      [1, SET_DIGEST],
      [2, next],
    ],
  )
})

test('a model whose artefact is gone says so in its verdict, and the log goes on', async (t) => {
  const plant = openPlant(t)
  const first = await plant.start(settings)
  await plant.publishVectors(
    'press',
    numbers(0, 80).map((n) => vectorOf('press', n)),
  )
  await plant.predictions('press', 80)
  await first.stop()
  await plant.start({ ...settings, ANDON_BLOB_DIR: `${plant.blobDir}/elsewhere` })
  await plant.publishVectors('press', [vectorOf('press', 80)])
  const { value } = (await plant.predictions('press', 81)).at(-1)!
  assert.deepEqual([value.complete, value.missing], [false, ['t2spe.press']])
  assert.match(value.verdicts[0]!.error!, /blob store has no/)
  assert.equal(value.verdicts[0]!.ratio, 0)
})

test('two instances share the partitions and learn every asset once', async (t) => {
  const plant = openPlant(t)
  const assets = ['press-1', 'press-2', 'fan', 'meter', 'pump', 'mill']
  await Promise.all([plant.start(settings), plant.start({ ...settings, INFERENCE_ROLE: 'scorer' })])
  await Promise.all(
    assets.map((asset) =>
      plant.publishVectors(
        asset,
        numbers(0, 90).map((n) => vectorOf(asset, n)),
      ),
    ),
  )
  for (const asset of assets) {
    const predictions = await plant.predictions(asset, 90)
    assert.equal(new Set(predictions.map(({ id }) => id)).size, 90)
    assert.equal(predictions.filter(({ value }) => value.type === 'learning').length, 80)
  }
  const activated = (await plant.models())
    .filter(({ type }) => type === 'ModelActivated')
    .map(({ assetId, version }) => `${assetId} ${version}`)
  assert.deepEqual(activated.toSorted(), assets.map((asset) => `${asset} 1`).toSorted())
})
