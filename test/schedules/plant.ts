// Ingest, features, inference and clustering with their real code on one log, in memory or simulated: the pipeline that a
// promotion, an undo or a redrive goes through. The model is the one thing made up; its score is the feature it is given.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { HEADER, formatOrder } from '@andon/kit'
import type { Append, Codec, MemoryLog } from '@andon/kit'
import type { Config, Features, Models, Predictions } from '@andon/schemas'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import { keyedState, newMemory } from '../../services/clustering/src/asset-state.ts'
import type { KeptWindow } from '../../services/clustering/src/asset-state.ts'
import { openArtefacts } from '../../services/clustering/src/detector-artefacts.ts'
import { defaultDetectorSet, detectorSetDigest } from '../../services/clustering/src/detector-set.ts'
import { assetWords } from '../../services/clustering/src/finding.ts'
import { ModelCards } from '../../services/clustering/src/model-cards.ts'
import { onPredictions } from '../../services/clustering/src/on-predictions.ts'
import type { Outcome } from '../../services/clustering/src/on-predictions.ts'
import { onFeatures } from '../../services/inference/src/on-features.ts'
import { ModelRegistry } from '../../services/inference/src/models/model-registry.ts'
import { startUs } from '../../services/ingest/test/rig.ts'
import type { Rig } from '../../services/ingest/test/rig.ts'
import { Line, codec } from './line.ts'

const SECOND_US = 1_000_000
const WINDOW_US = 4 * SECOND_US
/** The run that `replay` pretends. */
export const RUN = 'run-2'

/** A model of the one feature; its score is the feature. */
const model: Models = {
  type: 'ModelRegistered',
  model: 'mean.oven',
  version: 1,
  kind: 'onnx',
  assetId: 'oven',
  featureSet: 'features/test',
  featureSetDigest: 'd'.repeat(64),
  digest: 'm'.repeat(64),
  uri: `sha256:${'m'.repeat(64)}`,
  role: 'champion',
  features: ['temperatureC.mean'],
  card: JSON.stringify({ features: [{ name: 'temperatureC.mean', mean: 20, std: 1, q01: 18, q99: 22, use: 'used' }] }),
  effectiveFromUs: 0,
  by: 'p-test',
  assetClass: '',
  requestId: null,
  reason: '',
  atUs: 0,
}

/** Ingest and features on a line, and inference and clustering behind them. */
export class Plant {
  readonly line: Line
  /** What clustering made of each prediction it was given. */
  readonly outcomes: Outcome[] = []
  /** Features that inference cannot read. */
  isPoison: (value: Features) => boolean = () => false
  private clusters = newMemory()
  private inference: MemoryLog | undefined

  constructor(seed: number | undefined) {
    this.line = new Line({}, { seed })
    for (const topic of ['features', 'predictions', 'anomalies', 'config']) this.line.store.topic(topic)
  }

  async start(): Promise<void> {
    await this.line.startFeatures()
    await this.startInference()
    await this.startClustering()
    const body = JSON.stringify({ name: 'features/test', latenessMs: 4000 })
    const value: Config = {
      type: 'ConfigPublished',
      name: 'features/test',
      kind: 'feature-set',
      digest: 'd',
      body,
      effectiveFromUs: 0,
      by: 'p',
      atUs: 0,
    }
    await this.line.log.append([{ topic: 'config', key: 'features/test', value: codec.encode('config', value), timestampMs: 1 }])
  }

  async startInference(): Promise<void> {
    this.inference?.crash()
    const log = (this.inference = this.line.connection())
    const registry = new ModelRegistry()
    registry.apply(model)
    registry.apply({ ...model, type: 'ModelActivated' })
    const answerTo = (values: Float64Array) => ({
      score: values[0]!,
      ratio: values[0]!,
      contributions: values,
      embedding: undefined,
      hasVerdict: true,
      provider: '',
    })
    const scorer = {
      row: async (_model: Models, values: Float64Array) => answerTo(values),
      scores: async (_model: Models, rows: readonly Float64Array[]) => Float64Array.from(rows, ([value]) => value!),
    }
    const settled = async (): Promise<void> => undefined
    const handle = onFeatures({ registry, scorer, settled, commissioning: { observe: async () => undefined } })
    await this.line.run<Features>(
      log,
      { service: 'inference', input: 'features', outputs: ['predictions'], open: () => ({ handle }) },
      this.wary(),
    )
  }

  private wary(): Codec {
    const check = <T>(value: T): T => {
      if (this.isPoison(value as Features)) throw new Error('cannot be read')
      return value
    }
    return {
      ...codec,
      decode: <T>(topic: string, bytes: Buffer) => check(codec.decode<T>(topic, bytes)),
      decodeAsync: async <T>(topic: string, bytes: Buffer) => check(codec.decode<T>(topic, bytes)),
    }
  }

  private async startClustering(): Promise<void> {
    const cards = new ModelCards()
    cards.apply(model)
    const set = defaultDetectorSet
    const open = () => {
      const memory = (this.clusters = newMemory())
      const handle = onPredictions({
        memory,
        set,
        detectorSet: detectorSetDigest(set),
        cardOf: (digest) => cards.of(digest),
        artefacts: openArtefacts(),
        wordsOf: (assetId) => assetWords(undefined, assetId),
        settled: async () => {},
        countPrediction: (outcome) => void this.outcomes.push(outcome),
        countFinding: () => {},
      })
      return { handle, state: keyedState(memory) }
    }
    await this.line.run<Predictions>(this.line.connection(), { service: 'clustering', input: 'predictions', outputs: ['anomalies'], open })
  }

  async settled(): Promise<void> {
    await this.line.settled()
    await this.line.settled('inference', 'features')
    await this.line.settled('clustering', 'predictions')
  }

  /** A run over all that there is by now, which finds ten degrees more in every window. */
  async replay(): Promise<void> {
    const records = this.line.store.partition('features', 0).records.flatMap((record): Append[] => {
      const value = codec.decode<Features>('features', record.value!)
      if (value.vector === null || value.vector.quality === 'unmonitored') return []
      const values = packDoubles(readDoubles(value.vector.values).map((each) => each + 10))
      const { key, timestampMs } = record
      return [
        {
          topic: `features.run.${RUN}`,
          partition: 0,
          key,
          timestampMs,
          value: codec.encode('features', { ...value, vector: { ...value.vector, values } }),
          headers: { ...record.headers(), [HEADER.run]: RUN },
        },
      ]
    })
    await this.line.log.append(records)
  }

  /** What clustering holds of these windows: `<value that it judged> by <how often it was promoted or taken back>`. */
  judged(...windowsS: readonly number[]): string[] {
    const scores = new Map<string, number>()
    for (const record of this.line.store.partition('predictions', 0).records) {
      const { windowEndUs, verdicts } = codec.decode<Predictions>('predictions', record.value!)
      if (verdicts[0]) scores.set(`${windowEndUs} ${record.header(HEADER.order)}`, verdicts[0].score)
    }
    return windowsS.map((windowS) => {
      const kept = this.windowAt(windowS)
      return kept === undefined ? 'none' : `${scores.get(`${kept.windowEndUs} ${formatOrder(kept.order)}`)} by ${kept.order.promotion}`
    })
  }

  /** The order that clustering holds of a window. */
  orderOf(windowS: number): string {
    const kept = this.windowAt(windowS)
    return kept === undefined ? 'none' : formatOrder(kept.order)
  }

  /** What clustering remembers of the window of 4 s that starts then. */
  private windowAt(windowS: number): KeptWindow | undefined {
    const endUs = startUs + windowS * SECOND_US + WINDOW_US
    return this.clusters.assets.get('oven')?.windows.find(({ windowEndUs }) => windowEndUs === endUs)
  }

  /** How many judgements of windows clustering took in place of an earlier one of the same inputs: promotions and undos. */
  taken(): number {
    return this.outcomes.filter((outcome) => outcome === 'revised').length - this.revisedByLive()
  }

  private revisedByLive(): number {
    return this.line
      .passed()
      .revisions.filter(({ order }, i, all) => order.promotion === 0 && all.slice(0, i).some(({ windowS }) => windowS === all[i]!.windowS))
      .length
  }
}

/** Every sample is in one kept revision or was reported late. */
export const assertAccounted = ({ line }: Plant, last: number): void => {
  const all = [...Object.values(line.kept()).flat(), ...line.passed().late].toSorted()
  assert.deepEqual(all, Array.from({ length: last }, (_, i) => `oven-plc.${i + 1}`).toSorted())
}

/** Samples 1 to `to`, one a second and one block each, `without` one that the device holds back. */
export const feed = async (plant: Plant, ingest: Rig, from: number, to: number, without?: number): Promise<void> => {
  for (let second = from; second <= to; second++) {
    await plant.line.seconds(1, ingest)
    if (second !== without) await plant.line.accept(ingest, [second, second])
    await ingest.pump()
  }
  await plant.settled()
}

/** Runs a schedule on a plant of its own, in memory and simulated. */
export const schedule = (name: string, body: (plant: Plant, ingest: Rig) => Promise<void>): void => {
  for (const [place, seed] of [
    ['memory', undefined],
    ['simulation 1', 1],
    ['simulation 2', 2],
  ] as const)
    test(`${name} (${place})`, { timeout: 120_000 }, async (t: TestContext) => {
      const plant = new Plant(seed)
      t.after(() => plant.line.stop())
      await plant.start()
      const ingest = await plant.line.ingest('ingest-0')
      await ingest.pump()
      await body(plant, ingest)
    })
}
