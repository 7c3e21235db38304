// A sensor that is at fault, a machine that is off and an asset without telemetry reach no model as a machine fault.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { Input } from '@andon/kit'
import type { Features, Models, Predictions, Vector } from '@andon/schemas'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import type { Commissioning } from '../src/learning/commissioning.ts'
import { cardOf } from '../src/models/model-card.ts'
import type { Scorer } from '../src/scoring/scorer.ts'
import { ModelRegistry } from '../src/models/model-registry.ts'
import { onFeatures } from '../src/on-features.ts'
import { scoreRow, trainT2Spe } from '../src/learning/t2spe.ts'
import { arrange, scoreVector } from '../src/scoring/verdicts.ts'
import { FEATURES, SET_DIGEST, WINDOW_US, vectorOf } from './plant.ts'
import { featureNames, healthyRows } from './rows.ts'

const trained = trainT2Spe(featureNames(FEATURES), healthyRows(300, FEATURES))
const registered = (changes: Partial<Models> = {}): Models => ({
  type: 'ModelRegistered',
  model: 't2spe.press',
  version: 1,
  kind: 'onnx',
  assetId: 'press',
  featureSet: 'features/test',
  featureSetDigest: SET_DIGEST,
  digest: 'artefact-1',
  uri: 'sha256:0',
  role: 'champion',
  features: featureNames(FEATURES),
  card: JSON.stringify(cardOf(trained, { fromUs: 0, toUs: 1, source: 'test' })),
  effectiveFromUs: 0,
  by: 'test',
  assetClass: '',
  requestId: null,
  reason: '',
  atUs: 0,
  ...changes,
})
/** Runs the model as its graph does; keeps what it was given. */
const scorerOf = (given: Float64Array[] = []): Scorer => ({
  row: async (_model, values) => {
    given.push(values)
    const { score, ratio, contributions } = scoreRow(trained, values)
    return { score, ratio, contributions, embedding: undefined, hasVerdict: true, provider: 'test' }
  },
  scores: async (_model, rows) => Float64Array.from(rows, (values) => scoreRow(trained, values).score),
})
const score = async (vector: Vector, model = registered()) => {
  const { verdicts, missing } = await scoreVector(scorerOf(), { ...vector, assetId: 'press' }, [model])
  return { verdict: verdicts[0]!, missing }
}
const flagged = (...flags: string[]) => [{ channel: 'channel2', flags, names: [] }]

for (const flag of ['flat', 'stuck', 'saturated', 'drop-outs', 'noise']) {
  test(`a channel that is suspected as ${flag} is no evidence, and the verdict says so`, async () => {
    const broken = vectorOf('press', 3, { shift: 1000 })
    assert.ok((await score(broken)).verdict.ratio > 100)
    const { verdict, missing } = await score({ ...broken, health: flagged('gap', flag) })
    assert.ok(verdict.ratio < 1, `ratio ${verdict.ratio}`)
    assert.deepEqual([verdict.inDomain, verdict.error, missing], [false, null, ['channel2.mean']])
    const shares = readDoubles(verdict.contributions)
    assert.equal(shares[2], 0)
    assert.ok(Math.abs(shares.reduce((a, b) => a + b, 0) - 1) < 1e-9)
  })
}

test('a gap leaves good rows: its channel is judged', async () => {
  const { verdict, missing } = await score(vectorOf('press', 3, { shift: 1000, health: flagged('gap') }))
  assert.ok(verdict.ratio > 100)
  assert.deepEqual([verdict.inDomain, missing], [true, []])
})

test('what stands for a masked feature is the mean that the model learnt, at any scale and in any pair', () => {
  const names = ['a.mean@20rows', 'a+b.correlation', 'b.mean']
  const card = JSON.stringify({ features: names.map((name, i) => ({ name, mean: i + 10, std: 1, q01: 0, q99: 1, use: 'used' })) })
  const model = registered({ digest: 'pairs', features: names, card })
  const vector = {
    assetId: 'press',
    featureSetDigest: '',
    names,
    values: packDoubles(Float64Array.of(1, 2, 3)),
    health: [{ channel: 'a', flags: ['flat'], names: [] }],
  }
  const { values, missing } = arrange(vector, model)
  assert.deepEqual(
    [[...values], missing],
    [
      [10, 11, 3],
      ['a.mean@20rows', 'a+b.correlation'],
    ],
  )
})

test('a number that a rule gave a name of its own is masked with the channel that feeds it, and no other number is', () => {
  const names = ['a.mean', 'scrap.increaseRatio', 'b.mean']
  const card = JSON.stringify({ features: names.map((name, i) => ({ name, mean: i + 10, std: 1, q01: 0, q99: 1, use: 'used' })) })
  const values = packDoubles(Float64Array.of(1, 2, 3))
  const health = [{ channel: 'partCount', flags: ['stuck'], names: ['scrap.increaseRatio'] }]
  const model = registered({ digest: 'named', features: names, card })
  const arranged = arrange({ assetId: 'press', featureSetDigest: '', names, values, health }, model)
  assert.deepEqual([[...arranged.values], arranged.missing], [[1, 11, 3], ['scrap.increaseRatio']])
})

test('healthy windows with any channel masked stay below the line, beside features that it moves with', async () => {
  let above = 0
  for (let n = 0; n < 300; n++) {
    const { verdict } = await score(
      vectorOf('press', n, { shift: 1000, health: [{ channel: `channel${n % FEATURES}`, flags: ['stuck'], names: [] }] }),
    )
    if (n % FEATURES === 2 && verdict.ratio > 1) above++
    if (n % FEATURES !== 2) assert.ok(verdict.ratio > 100, 'a fault that another channel shows is found')
  }
  assert.ok(above <= 1, `${above} of 60 windows`)
  const means = Float64Array.from(trained.mean)
  const byMeans = Array.from({ length: 300 }, (_, n) => {
    const values = readDoubles(vectorOf('press', n).values)
    values[2] = means[2]!
    return scoreRow(trained, values).ratio
  })
  assert.ok(byMeans.filter((ratio) => ratio > 1).length > 5, 'a mean in its place would be evidence')
})

test('what is implied depends on model and vector alone, bit for bit', async () => {
  const masked = (n: number) => vectorOf('press', n, { health: flagged('stuck') })
  const first = await score(masked(7))
  for (let n = 0; n < 5; n++) await score(masked(n))
  assert.deepEqual(await score(masked(7)), first)
  const again = await score(masked(7), registered({ digest: 'the same, asked first with another window' }))
  assert.deepEqual([again.verdict.ratio, again.verdict.contributions], [first.verdict.ratio, first.verdict.contributions])
})

test('a model whose card does not say what is normal gives an error, not a score', async () => {
  const foreign = registered({ digest: 'foreign', card: '{}' })
  assert.equal((await score(vectorOf('press', 3), foreign)).verdict.error, null)
  const { verdict, missing } = await score(vectorOf('press', 3, { health: flagged('stuck') }), foreign)
  assert.match(verdict.error!, /channel2\.mean cannot be computed or believed/)
  assert.deepEqual([verdict.ratio, verdict.inDomain, missing], [0, false, ['t2spe.press']])
})

test('where no feature is left to judge by there is no score', async () => {
  const health = featureNames(FEATURES).map((name) => ({ channel: name.split('.')[0]!, flags: ['drop-outs'], names: [] }))
  const { verdict } = await score(vectorOf('press', 3, { health }))
  assert.match(verdict.error!, /No number that t2spe.press judges by/)
})

const inputOf = (vector: Vector, offset: number): Input<Features> => ({
  topic: 'features',
  partition: 0,
  position: { leaderEpoch: 0, offset },
  key: 'press',
  value: { type: 'vector', assetId: 'press', vector, late: null },
  id: vector.vectorId,
  type: 'vector',
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

/** Predictions on these vectors by one model in force, and which of them were collected. */
const predict = async (vectors: readonly Vector[], facts: readonly Models[] = [registered(), registered({ type: 'ModelActivated' })]) => {
  const registry = new ModelRegistry()
  for (const fact of facts) registry.apply(fact)
  const observed: Vector[] = []
  const commissioning: Pick<Commissioning, 'observe'> = { observe: async (_input, vector) => void observed.push(vector) }
  const given: Float64Array[] = []
  const handle = onFeatures({ registry, scorer: scorerOf(given), settled: async () => {}, commissioning })
  const out = await handle({ topic: 'features', partition: 0, inputs: vectors.map(inputOf) })
  return { predictions: out.outputs.map(({ output }) => output.value as Predictions), observed, given }
}

test('a machine that is off, a young window and an asset without telemetry are not scored and not learnt from', async () => {
  const off = vectorOf('press', 1, { shift: 1000, machineOff: true, regime: 'off' })
  const young = vectorOf('press', 3, { shift: 1000, young: true, complete: false })
  const silent = vectorOf('press', 2, { quality: 'unmonitored', names: [], values: Buffer.alloc(0), revision: 0, complete: false })
  for (const facts of [[], undefined]) {
    const { predictions, observed, given } = await predict([off, silent, young], facts)
    assert.deepEqual(
      predictions.map(({ type, verdicts, complete, machineOff, quality, regime }) => [
        type,
        verdicts,
        complete,
        machineOff,
        quality,
        regime,
      ]),
      [
        ['machine-off', [], false, true, 'good', 'off'],
        ['unmonitored', [], false, false, 'unmonitored', null],
        ['young', [], false, false, 'good', null],
      ],
    )
    assert.deepEqual([observed, given], [[], []])
  }
})

test('quality, regime, health and epoch travel with the prediction', async () => {
  const carried = { quality: 'uncertain', regime: 'load', machineOff: false, health: flagged('gap'), baselineEpochUs: 77 }
  const { predictions } = await predict([vectorOf('press', 1, carried)])
  const { quality, regime, machineOff, health, baselineEpochUs, type } = predictions[0]!
  assert.deepEqual({ quality, regime, machineOff, health, baselineEpochUs }, carried)
  assert.equal(type, 'verdicts')
})

test('after a service the old model goes on while the asset is learnt anew, until a model of the new epoch is in force', async () => {
  const servicedUs = 5 * WINDOW_US
  const later = vectorOf('press', 9, { baselineEpochUs: servicedUs })
  const before = await predict([vectorOf('press', 4), later])
  assert.deepEqual([before.observed, before.predictions.map(({ type }) => type)], [[later], ['verdicts', 'verdicts']])
  const second = { version: 2, digest: 'artefact-2', effectiveFromUs: 8 * WINDOW_US }
  const facts = [
    registered(),
    registered({ type: 'ModelActivated' }),
    registered(second),
    registered({ ...second, type: 'ModelActivated' }),
  ]
  const after = await predict([later], facts)
  assert.deepEqual([after.observed, after.predictions[0]!.verdicts[0]!.version], [[], 2])
})
