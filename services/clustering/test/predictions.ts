// Predictions for tests: one asset, one window a second, with a chosen ratio.

import type { Input, Order, Output } from '@andon/kit'
import type { Anomalies, Finding, Models, Predictions, Verdict } from '@andon/schemas'
import { newMemory } from '../src/asset-state.ts'
import type { PartitionMemory } from '../src/asset-state.ts'
import { openArtefacts } from '../src/detector-artefacts.ts'
import { defaultDetectorSet, detectorSetDigest } from '../src/detector-set.ts'
import type { DetectorSet } from '../src/detector-set.ts'
import type { AssetWords } from '../src/finding.ts'
import { ModelCards } from '../src/model-cards.ts'
import { onPredictions } from '../src/on-predictions.ts'
import type { Outcome } from '../src/on-predictions.ts'

export const SECOND_US = 1_000_000
export const NAMES = ['vibrationG.rms', 'vibrationG.kurtosis', 'vibrationG.bandRms2000to3000Hz']

const f64s = (values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 8)
  values.forEach((value, i) => bytes.writeDoubleLE(value, i * 8))
  return bytes
}

export const verdictOf = (ratio: number, overrides: Partial<Verdict> = {}): Verdict => ({
  model: 't2spe.press-1',
  version: 1,
  digest: 'm'.repeat(64),
  role: 'champion',
  score: ratio,
  ratio,
  contributionNames: NAMES,
  contributions: f64s([0.2, 0.1, 0.7]),
  inDomain: true,
  error: null,
  provider: 'CPUExecutionProvider',
  ...overrides,
})

/** Window number n, one second each. */
export const predictionOf = (n: number, ratio: number, overrides: Partial<Predictions> = {}): Predictions => ({
  type: 'verdicts',
  assetId: 'press-1',
  predictionId: `prediction-${n}`,
  vectorId: `vector-${n}`,
  featureSet: 'features/press-vibration',
  featureSetDigest: 'f'.repeat(64),
  windowStartUs: n * SECOND_US,
  windowEndUs: (n + 1) * SECOND_US,
  revision: 4,
  names: NAMES,
  values: valuesAt(n % 3, n % 5, n % 2),
  verdicts: [verdictOf(ratio)],
  complete: true,
  missing: [],
  historical: false,
  recordedStartUs: null,
  quality: 'good',
  regime: null,
  machineOff: false,
  health: [],
  baselineEpochUs: null,
  embeddings: [],
  remaining: [],
  ...overrides,
})

/** A prediction whose values are so many standard deviations from normal. */
export const valuesAt = (...sigmas: readonly number[]): Buffer => f64s(sigmas.map((sigma, i) => MEANS[i]! + sigma * STDS[i]!))

const MEANS = [1, 3, 0.2]
const STDS = [0.1, 0.3, 0.02]

export const modelFact = (overrides: Partial<Models> = {}): Models => ({
  type: 'ModelRegistered',
  model: 't2spe.press-1',
  version: 1,
  kind: 'onnx',
  assetId: 'press-1',
  featureSet: 'features/press-vibration',
  featureSetDigest: 'f'.repeat(64),
  digest: 'm'.repeat(64),
  uri: `sha256:${'m'.repeat(64)}`,
  role: 'champion',
  features: NAMES,
  card: JSON.stringify({
    features: NAMES.map((name, i) => ({
      name,
      mean: MEANS[i],
      std: STDS[i],
      q01: MEANS[i]! - 2 * STDS[i]!,
      q99: MEANS[i]! + 2 * STDS[i]!,
      use: 'used',
    })),
  }),
  effectiveFromUs: 0,
  by: 'p-test',
  assetClass: '',
  requestId: null,
  reason: '',
  atUs: 0,
  ...overrides,
})

export const inputOf = (value: Predictions, offset: number, order?: Order): Input<Predictions> => ({
  topic: 'predictions',
  partition: 0,
  position: { leaderEpoch: 0, offset },
  key: value.assetId,
  value,
  id: value.predictionId,
  type: value.type,
  timestampMs: 0,
  lane: 'live',
  order: order ?? { promotion: 0, leaderEpoch: 0, offset, index: 0 },
  traceparent: undefined,
})

export interface Emitted {
  readonly cause: number
  readonly output: Output
}

/** Clustering of one partition, in memory. */
export class Clustering {
  memory: PartitionMemory = newMemory()
  readonly emitted: Emitted[] = []
  readonly outcomes: Outcome[] = []
  readonly cards = new ModelCards()
  artefacts = openArtefacts()
  readonly set: DetectorSet
  words: AssetWords = {
    name: 'Press 1 main drive',
    unitOf: () => 'g',
    sources: ['press-1-vib'],
    isControl: false,
    classId: 'pump',
    zoneLimitsMmS: null,
  }

  constructor(overrides: Partial<DetectorSet> = {}, facts: readonly Models[] = [modelFact()]) {
    this.set = { ...defaultDetectorSet, ...overrides }
    for (const fact of facts) this.cards.apply(fact)
  }

  async feed(inputs: readonly Input<Predictions>[], batchSize = inputs.length) {
    const handle = onPredictions({
      memory: this.memory,
      set: this.set,
      detectorSet: detectorSetDigest(this.set),
      cardOf: (digest) => this.cards.of(digest),
      artefacts: this.artefacts,
      wordsOf: () => this.words,
      settled: async () => {},
      countPrediction: (outcome) => this.outcomes.push(outcome),
      countFinding: () => {},
    })
    for (let at = 0; at < inputs.length; at += batchSize) {
      const out = await handle({ topic: 'predictions', partition: 0, inputs: inputs.slice(at, at + batchSize) })
      for (const { cause, output } of out.outputs) this.emitted.push({ cause: cause.position.offset, output })
    }
    return this
  }

  /** Windows with these ratios, from window number `from` on. */
  ratios(ratios: readonly number[], from = 0, overrides: Partial<Predictions> = {}) {
    return this.feed(ratios.map((ratio, i) => inputOf(predictionOf(from + i, ratio, overrides), from + i)))
  }

  /** Windows that lie near these standard deviations from normal, never twice the same. */
  near(count: number, ratio: number, from: number, sigmas: readonly number[]) {
    const values = (i: number) => valuesAt(...sigmas.map((sigma) => sigma * (1 + 0.01 * (i % 7)) + 0.1 * (i % 3)))
    return this.feed(Array.from({ length: count }, (_, i) => inputOf(predictionOf(from + i, ratio, { values: values(i) }), from + i)))
  }

  types(): string[] {
    return this.emitted.map(({ output }) => output.type)
  }

  findings(): Finding[] {
    return this.emitted.flatMap(({ output }) => (output.value as Anomalies).finding ?? [])
  }
}

export const oneOnOne: Partial<DetectorSet> = { episode: { ...defaultDetectorSet.episode, on: 1, off: 1 } }
