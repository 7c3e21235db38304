// An activation takes effect at its event time, also in the middle of a batch: whatever the interleaving of facts and vectors, however
// vectors are batched and however late facts are read, the verdicts are those of the sequential reference, and of a replay.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { predictionId } from '@andon/kit'
import type { Input } from '@andon/kit'
import type { Features, Models, Predictions } from '@andon/schemas'
import { ModelRegistry, verdictSetDigest } from '../src/models/model-registry.ts'
import { onFeatures } from '../src/on-features.ts'
import type { Scorer } from '../src/scoring/scorer.ts'
import { FEATURES, SET_DIGEST, WINDOW_US, vectorOf } from './plant.ts'
import { featureNames } from './rows.ts'

interface Activation {
  readonly kind: 'ModelActivated' | 'ModelRolledBack'
  readonly version: number
  /** Windows after the newest published one from whose end on it holds. */
  readonly ahead: number
  readonly role: 'champion' | 'shadow'
}
type Step = 'vector' | Activation

const registered = (version: number): Models => ({
  type: 'ModelRegistered',
  model: 'm.press',
  version,
  kind: 'onnx',
  assetId: 'press',
  featureSet: 'features/test',
  featureSetDigest: SET_DIGEST,
  digest: `artefact-${version}`,
  uri: 'sha256:0',
  role: 'champion',
  features: featureNames(FEATURES),
  card: '{}',
  effectiveFromUs: 0,
  by: 'test',
  assetClass: '',
  requestId: null,
  reason: '',
  atUs: 0,
})
const VERSIONS = [1, 2, 3]

/** The two logs in the order of time: facts with the number of vectors that were published before them. */
const logsOf = (steps: readonly Step[]): { facts: { fact: Models; after: number }[]; vectors: number } => {
  let vectors = 0
  const facts = VERSIONS.map((version) => ({ fact: registered(version), after: 0 }))
  for (const step of steps) {
    if (step === 'vector') vectors++
    else {
      const { kind: type, version, ahead, role } = step
      facts.push({ fact: { ...registered(version), type, role, effectiveFromUs: (vectors + ahead) * WINDOW_US }, after: vectors })
    }
  }
  return { facts, vectors }
}

/** The rule as one would say it: per version the last fact before the window decides; of the versions in force the latest one speaks. */
const versionAt = (facts: readonly Models[], windowEndUs: number): number | undefined => {
  const inForce = VERSIONS.flatMap((version) => {
    const before = facts.filter((fact) => fact.type !== 'ModelRegistered' && fact.version === version && fact.effectiveFromUs < windowEndUs)
    const last = before.toSorted((a, b) => a.effectiveFromUs - b.effectiveFromUs).at(-1)
    return last?.type === 'ModelActivated' && last.role !== 'shadow' ? [last] : []
  })
  return inForce.toSorted((a, b) => a.effectiveFromUs - b.effectiveFromUs || a.version - b.version).at(-1)?.version
}

const inputOf = (n: number): Input<Features> => ({
  topic: 'features',
  partition: 0,
  position: { leaderEpoch: 0, offset: n },
  key: 'press',
  value: { type: 'vector', assetId: 'press', vector: vectorOf('press', n), late: null },
  id: vectorOf('press', n).vectorId,
  type: 'vector',
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

/** Handles the vectors in these batches; `early` says how many facts have been read before anybody asked, and `during` while rows are scored. */
const run = async (
  steps: readonly Step[],
  sizes: readonly number[],
  lags: readonly number[],
  isReplay: boolean,
): Promise<Predictions[]> => {
  const { facts, vectors } = logsOf(steps)
  const registry = new ModelRegistry()
  let read = 0
  const readUpTo = (count: number): void => {
    for (; read < Math.min(count, facts.length); read++) registry.apply(facts[read]!.fact)
  }
  let published = 0
  let lag = 0
  const scorer: Scorer = {
    row: async (model, values) => {
      await Promise.resolve() // facts are read while rows are scored
      readUpTo(facts.filter(({ after }) => after <= published).length + (lags[lag++ % lags.length] ?? 0))
      const score = model.version + values[0]!
      return { score, ratio: score, contributions: values, embedding: undefined, hasVerdict: true, provider: 'test' }
    },
    scores: async () => new Float64Array(),
  }
  const settled = async (): Promise<void> => readUpTo(isReplay ? facts.length : facts.filter(({ after }) => after <= published).length)
  const handle = onFeatures({ registry, scorer, settled, commissioning: { observe: async () => {} } })
  const out: Predictions[] = []
  for (let from = 0, i = 0; from < vectors; i++) {
    const to = Math.min(vectors, from + (sizes[i % sizes.length] ?? 1))
    // The batch is read when its last vector is there, or any time later.
    published = Math.min(vectors, to + (lags[i % lags.length] ?? 0))
    const inputs = Array.from({ length: to - from }, (_, k) => inputOf(from + k))
    out.push(...(await handle({ topic: 'features', partition: 0, inputs })).outputs.map(({ output }) => output.value as Predictions))
    from = to
  }
  return out
}

const activation = fc.record({
  kind: fc.constantFrom('ModelActivated' as const, 'ModelActivated' as const, 'ModelRolledBack' as const),
  version: fc.constantFrom(...VERSIONS),
  ahead: fc.nat(4),
  role: fc.constantFrom('champion' as const, 'champion' as const, 'shadow' as const),
})
const steps = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant('vector' as const) }, { weight: 1, arbitrary: activation }), {
  maxLength: 60,
})
const few = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 })
const lags = fc.array(fc.nat(6), { minLength: 1, maxLength: 5 })

test('an activation takes effect at its event time, in whatever batch, and the same on replay', async () => {
  await fc.assert(
    fc.asyncProperty(steps, few, lags, few, async (history, sizes, delays, otherSizes) => {
      const { facts, vectors } = logsOf(history)
      const all = facts.map(({ fact }) => fact)
      const live = await run(history, sizes, delays, false)
      assert.equal(live.length, vectors)
      for (const [n, { verdicts, predictionId: id, type, vectorId }] of live.entries()) {
        const version = versionAt(all, vectorOf('press', n).windowEndUs)
        assert.deepEqual(
          verdicts.map((verdict) => verdict.version),
          version === undefined ? [] : [version],
          `window ${n}`,
        )
        assert.equal(type, version === undefined ? 'learning' : 'verdicts')
        const set = version === undefined ? [] : [{ ...registered(version) }]
        assert.equal(id, predictionId(vectorId, verdictSetDigest(set)))
      }
      assert.deepEqual(await run(history, otherSizes, [0], true), live)
    }),
    { numRuns: 300 },
  )
})
