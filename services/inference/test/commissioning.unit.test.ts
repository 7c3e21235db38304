// What is collected and what becomes of it, with the training and the registry at hand.

import assert from 'node:assert/strict'
import test from 'node:test'
import { createLogger, createMetrics, followTopic, localCodec, openMemoryLog, sha256Hex } from '@andon/kit'
import type { Blobs, Input } from '@andon/kit'
import type { Features, Models, Vector } from '@andon/schemas'
import { Commissioning } from '../src/learning/commissioning.ts'
import type { ModelCard } from '../src/models/model-card.ts'
import type { ModelDraft } from '../src/models/model-writer.ts'
import { modelWriter } from '../src/models/model-writer.ts'
import { ModelRegistry } from '../src/models/model-registry.ts'
import { train } from '../src/learning/train.ts'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import { FEATURES, WINDOW_US, vectorOf } from './plant.ts'

const inputOf = (vector: Vector, offset: number): Input<Features> => ({
  topic: 'features',
  partition: 0,
  position: { leaderEpoch: 0, offset },
  key: 'press',
  value: { type: 'vector', assetId: 'press', vector, late: null },
  id: vector.vectorId,
  type: 'vector',
  timestampMs: vector.windowEndUs / 1000,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

/** Feeds vectors to a collection of 60; `earlier` already lie on the log. Gives what was activated and trained on. */
const commission = async (vectors: readonly Vector[], earlier: readonly Vector[] = []) => {
  const activated: ModelDraft[] = []
  const trainings: Float64Array[] = []
  const commissioning = new Commissioning({
    windows: 60,
    writer: {
      activate: async (draft) => {
        activated.push(draft)
        return { model: draft.model, version: 1 } as Models
      },
    },
    train: async (request) => {
      trainings.push(request.values)
      return train(request)
    },
    readBack: async function* () {
      for (const [i, vector] of earlier.entries()) yield inputOf(vector, i)
    },
    isCommissioned: () => activated.length > 0,
    logger: createLogger({ service: 'test', level: 'silent' }),
    metrics: createMetrics('test'),
  })
  for (const [i, vector] of vectors.entries())
    if (activated.length === 0) await commissioning.observe(inputOf(vector, earlier.length + i), vector)
  return { activated, trainings }
}
const healthy = (from: number, to: number): Vector[] => Array.from({ length: to - from }, (_, i) => vectorOf('press', from + i))

test('the first windows train the model, and it holds from the end of the last of them', async () => {
  const { activated } = await commission(healthy(0, 70))
  assert.deepEqual(
    activated.map(({ model, effectiveFromUs }) => [model, effectiveFromUs]),
    [['t2spe.press', 60 * WINDOW_US]],
  )
})

test('windows that lie on the log before count, each once', async () => {
  const whole = await commission(healthy(0, 60))
  const resumed = await commission(healthy(50, 60), healthy(0, 52))
  assert.equal(sha256Hex(resumed.activated[0]!.artefact), sha256Hex(whole.activated[0]!.artefact))
})

test('of a window that was revised the last revision is learned from', async () => {
  const revised = { ...vectorOf('press', 999), windowStartUs: 5 * WINDOW_US, windowEndUs: 6 * WINDOW_US, revision: 2 }
  const { trainings } = await commission([...healthy(0, 30), revised, ...healthy(30, 60)])
  assert.deepEqual(trainings[0]!.slice(5 * FEATURES, 6 * FEATURES), readDoubles(revised.values))
})

test('windows that nothing can be learned from are dropped and collecting starts again', async () => {
  const still = Array.from({ length: 60 }, (_, n) => ({ ...vectorOf('press', n), values: packDoubles(new Float64Array(FEATURES).fill(3)) }))
  const { activated, trainings } = await commission([...still, ...healthy(60, 125)])
  assert.equal(trainings.length, 2)
  assert.deepEqual(
    activated.map(({ effectiveFromUs }) => effectiveFromUs),
    [120 * WINDOW_US],
  )
})

test('windows with the machine off, and windows without telemetry, are not learnt from', async () => {
  const off = Array.from({ length: 40 }, (_, i) => vectorOf('press', 200 + i, { machineOff: true, regime: 'off' }))
  const silent = vectorOf('press', 300, { quality: 'unmonitored', names: [], values: Buffer.alloc(0), revision: 0 })
  const { activated, trainings } = await commission([...healthy(0, 59), ...off, silent, ...healthy(59, 60)])
  const { trainings: expected } = await commission(healthy(0, 60))
  assert.equal(activated.length, 1)
  assert.deepEqual(trainings, expected)
})

test('a service begins the collection anew, and late windows from before it change nothing', async () => {
  const servicedUs = 50 * WINDOW_US
  const since = (from: number, to: number) => healthy(from, to).map((vector) => ({ ...vector, baselineEpochUs: servicedUs }))
  const { activated, trainings } = await commission([...healthy(0, 50), ...since(50, 80), ...healthy(47, 50), ...since(80, 110)])
  assert.deepEqual(
    activated.map(({ effectiveFromUs }) => effectiveFromUs),
    [110 * WINDOW_US],
  )
  assert.equal(trainings[0]!.length, 60 * FEATURES)
  const resumed = await commission(since(109, 110), [...healthy(0, 50), ...since(50, 109)])
  assert.deepEqual(resumed.trainings, trainings)
})

test('windows of a suspected sensor are passed over; one that is never well is left out of the model', async () => {
  const suspected = (from: number, to: number) =>
    healthy(from, to).map((vector) => ({ ...vector, health: [{ channel: 'channel1', flags: ['stuck'], names: [] }] }))
  const passing = await commission([...healthy(0, 30), ...suspected(30, 70), ...healthy(70, 100)])
  assert.deepEqual(passing.trainings, (await commission([...healthy(0, 30), ...healthy(70, 100)])).trainings)

  const { activated, trainings } = await commission(suspected(0, 180))
  assert.equal(trainings[0]!.length, 180 * FEATURES)
  const card = activated[0]!.card as ModelCard
  assert.deepEqual(
    card.features.map(({ use }) => use),
    ['used', 'missing', 'used', 'used', 'used'],
  )
})

test('windows that end at every row are told apart by their end', async () => {
  const rows = healthy(0, 60).map((vector) => ({ ...vector, windowStartUs: 0 }))
  assert.equal((await commission(rows)).activated.length, 1)
})

/** A writer with a registry of its own on a shared log, as another instance has. */
const openWriter = async (log: ReturnType<typeof openMemoryLog>) => {
  const codec = localCodec()
  const registry = new ModelRegistry()
  const follow = await followTopic<Models>(log, codec, 'models', ({ value }) => registry.apply(value))
  const blobs = {
    put: async (bytes: Uint8Array) => ({ sha256: sha256Hex(bytes), uri: `sha256:${sha256Hex(bytes)}`, bytes: bytes.length }),
  } as unknown as Blobs
  const writer = modelWriter({ log, codec, blobs, registry, caughtUp: () => follow.caughtUp(), nowUs: () => 1 })
  return { writer, registry, stop: () => follow.stop() }
}
const draft = (artefact: string): ModelDraft => ({
  model: 't2spe.press',
  assetId: 'press',
  featureSet: 'features/test',
  featureSetDigest: 'set-a',
  artefact: Buffer.from(artefact),
  features: ['a'],
  card: {},
  effectiveFromUs: 5,
  by: 'test',
})

test('two instances that register at once settle on one version per artefact', async (t) => {
  const log = openMemoryLog({ partitions: 1 })
  const instances = await Promise.all([openWriter(log), openWriter(log)])
  t.after(() => Promise.all(instances.map(({ stop }) => stop())))
  const same = await Promise.all(instances.map(({ writer }) => writer.activate(draft('one'))))
  assert.deepEqual(
    same.map(({ version }) => version),
    [1, 1],
  )
  const different = await Promise.all(instances.map(({ writer }, i) => writer.activate(draft(`other-${i}`))))
  assert.deepEqual(new Set(different.map(({ version }) => version)), new Set([2, 3]))
  for (const { registry } of instances)
    assert.deepEqual(
      registry
        .versions('t2spe.press')
        .map(({ digest }) => digest)
        .toSorted(),
      ['one', 'other-0', 'other-1'].map((text) => sha256Hex(text)).toSorted(),
    )
})
