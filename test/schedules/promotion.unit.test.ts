// Row 20: promotion and undo of a replay run, with the command's code and the services that read what it appends - features
// with ingest before it, inference, clustering - on one log, in memory and simulated, that loses its tail.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { HEADER, formatOrder } from '@andon/kit'
import type { Append, MemoryLog } from '@andon/kit'
import type { Config, Features, Models, Predictions } from '@andon/schemas'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import { parseTolerances } from '../../packages/cli/src/replay/compare.ts'
import { applyPromotion, planPromotion, planUndo } from '../../packages/cli/src/replay/promote.ts'
import type { PromotionPlan } from '../../packages/cli/src/replay/promote.ts'
import { keyedState, newMemory } from '../../services/clustering/src/asset-state.ts'
import { defaultDetectorSet, detectorSetDigest } from '../../services/clustering/src/detector-set.ts'
import { ModelCards } from '../../services/clustering/src/model-cards.ts'
import { onPredictions } from '../../services/clustering/src/on-predictions.ts'
import type { Outcome } from '../../services/clustering/src/on-predictions.ts'
import { onFeatures } from '../../services/inference/src/on-features.ts'
import { ModelRegistry } from '../../services/inference/src/model-registry.ts'
import { startUs } from '../../services/ingest/test/rig.ts'
import type { Rig } from '../../services/ingest/test/rig.ts'
import { Line, codec } from './line.ts'

const SECOND_US = 1_000_000
const RUN = 'run-2'
const request = { run: RUN, topic: 'features', fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, tolerances: parseTolerances([]) }

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
  atUs: 0,
}

/** Ingest and features on a line, and the services behind them. */
class Plant {
  readonly line: Line
  /** What clustering made of each prediction it was given. */
  readonly outcomes: Outcome[] = []
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
    const cache = {
      io: () => Promise.reject(new Error('nobody asks')),
      isLoaded: () => true,
      run: async (_model: Models, [input]: readonly { readonly bytes: Uint8Array }[]) => {
        const score = { name: '', shape: [1], bytes: Buffer.from(input!.bytes) }
        return [score, score, score]
      },
    }
    const handle = onFeatures({ registry, cache: cache as never, commissioning: { observe: async () => undefined } })
    await this.line.run<Features>(log, { service: 'inference', input: 'features', outputs: ['predictions'], open: () => ({ handle }) })
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
        wordsOf: () => ({ name: 'Oven', unitOf: () => 'Cel' }),
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
      if (value.vector === null) return []
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
      const { windowStartUs, verdicts } = codec.decode<Predictions>('predictions', record.value!)
      scores.set(`${windowStartUs} ${record.header(HEADER.order)}`, verdicts[0]!.score)
    }
    return windowsS.map((windowS) => {
      const windowStartUs = startUs + windowS * SECOND_US
      const kept = this.clusters.assets.get('oven')?.windows.find((window) => window.windowStartUs === windowStartUs)
      return kept === undefined ? 'none' : `${scores.get(`${windowStartUs} ${formatOrder(kept.order)}`)} by ${kept.order.promotion}`
    })
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

const promote = (plant: Plant, plan: PromotionPlan, wait: () => Promise<void> = async () => undefined): Promise<number> =>
  applyPromotion(plant.line.log, plan, { settleMs: 1, wait })
const plan = (plant: Plant): Promise<PromotionPlan> => planPromotion(plant.line.log, codec, request)

const windowsOf = ({ promotions }: PromotionPlan): number[] =>
  promotions.map(({ key }) => (Number(key.split(' ').at(-1)) - startUs) / SECOND_US)

/** Every sample is in one kept revision or was reported late. */
const assertAccounted = ({ line }: Plant, last: number): void => {
  const all = [...Object.values(line.kept()).flat(), ...line.passed().late].toSorted()
  assert.deepEqual(all, Array.from({ length: last }, (_, i) => `oven-plc.${i + 1}`).toSorted())
}

const schedule = (name: string, body: (plant: Plant, ingest: Rig) => Promise<void>): void => {
  for (const [place, seed] of [
    ['memory', undefined],
    ['simulation 1', 1],
    ['simulation 2', 2],
  ] as const)
    test(`row 20: ${name} (${place})`, { timeout: 120_000 }, async (t: TestContext) => {
      const plant = new Plant(seed)
      t.after(() => plant.line.stop())
      await plant.start()
      const ingest = await plant.line.ingest('ingest-0')
      await ingest.pump()
      await body(plant, ingest)
    })
}

/** Samples 1 to `to`, one a second and one block each, `without` one that the device holds back. */
const feed = async (plant: Plant, ingest: Rig, from: number, to: number, without?: number): Promise<void> => {
  for (let second = from; second <= to; second++) {
    await plant.line.seconds(1, ingest)
    if (second !== without) await plant.line.accept(ingest, [second, second])
    await ingest.pump()
  }
  await plant.settled()
}

schedule('a window that live may still revise is not promoted, and one that is final stays as promoted', async (plant, ingest) => {
  await feed(plant, ingest, 1, 17, 13)
  await plant.line.seconds(4, ingest)
  await plant.settled()
  await plant.replay()
  const first = await plan(plant)
  assert.deepEqual([windowsOf(first), first.notFinal], [[0, 4, 8], 1])
  await promote(plant, first)
  await plant.settled()
  await plant.line.accept(ingest, [13, 13]) // window 12 is revised
  await plant.line.accept(ingest, [18, 3]) // window 0 is final
  await ingest.pump()
  await feed(plant, ingest, 19, 40)
  await plant.line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 40)
  assert.deepEqual(plant.line.passed().late, ['oven-plc.18'])
  assert.deepEqual(plant.judged(0, 4, 8, 12), ['30 by 1', '30 by 1', '30 by 1', '20 by 0'])
  assert.equal(plant.taken(), 3)
})

/** Three final windows and a run that says other things of them. */
const finalWindows = async (plant: Plant, ingest: Rig): Promise<PromotionPlan> => {
  await feed(plant, ingest, 1, 17)
  await plant.line.seconds(4, ingest)
  await plant.settled()
  await plant.replay()
  return plan(plant)
}

schedule('promote, crash, promote again, undo, promote once more: readers take each once', async (plant, ingest) => {
  const first = await finalWindows(plant, ingest)
  assert.deepEqual(windowsOf(first), [0, 4, 8])
  const crash = (): Promise<never> => Promise.reject(new Error('crash'))
  await assert.rejects(promote(plant, { ...first, promotions: first.promotions.slice(0, 1) }, crash), /crash/)
  await promote(plant, { ...first, promotions: first.promotions.slice(0, 1) }) // as far as a crash let it come
  await promote(plant, first) // the same plan, for whoever kept it
  await plant.startInference() // and a reader that forgets its marks
  const again = await plan(plant)
  assert.deepEqual(windowsOf(again), [], 'given again, the command finds nothing left to do')
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 1', '30 by 1', '30 by 1'])
  assert.equal(plant.taken(), 3)

  const undo = await planUndo(plant.line.log, codec, request)
  await promote(plant, { ...undo, promotions: undo.promotions.slice(0, 2) })
  const rest = await planUndo(plant.line.log, codec, request)
  assert.deepEqual([windowsOf(undo), windowsOf(rest)], [[0, 4, 8], [8]])
  await promote(plant, rest)
  await promote(plant, undo)
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['20 by 2', '20 by 2', '20 by 2'])
  assert.equal(plant.taken(), 6)

  await promote(plant, await plan(plant))
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 3', '30 by 3', '30 by 3'])
  assert.equal(plant.taken(), 9)
  await feed(plant, ingest, 18, 40)
  await plant.line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 40)
})

schedule('a power loss right after a promotion: it is refused or given again, and taken once', async (plant, ingest) => {
  const { line } = plant
  const first = await finalWindows(plant, ingest)
  const left = line.store.partition('features', 0).high
  let waits = 0
  const losesItsTail = async (): Promise<void> => {
    if (++waits === 2) line.powerLoss({ features: left + 1 }) // the first of three was flushed
  }
  await assert.rejects(promote(plant, first, losesItsTail), { code: 'ANDON_CLI_PROMOTE_UNSETTLED' })
  await plant.settled()
  const again = await plan(plant)
  assert.deepEqual(windowsOf(again), [4, 8])
  await promote(plant, again)
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 1', '30 by 1', '30 by 1'])
  assert.equal(plant.taken(), 3)
  await feed(plant, ingest, 18, 40)
  await plant.line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 40)
})

schedule('a power loss that takes the samples a window was closed by away takes the decision away', async (plant, ingest) => {
  const { line } = plant
  await feed(plant, ingest, 1, 9)
  const before = line.store.partition('telemetry', 0).high
  await feed(plant, ingest, 10, 17)
  await line.seconds(4, ingest)
  await plant.settled()
  await plant.replay()
  const first = await plan(plant)
  assert.deepEqual(windowsOf(first), [0, 4, 8])
  const loses = async (): Promise<void> => line.powerLoss({ telemetry: before })
  await assert.rejects(promote(plant, first, loses), { code: 'ANDON_CLI_PROMOTE_UNSETTLED' })
  assert.deepEqual(windowsOf(await plan(plant)), [0], 'what closed the later ones is lost: they are open again')
  // The device's readings were acknowledged: ingest sends them again, the windows close, and the promotion goes through.
  await line.seconds(20, ingest)
  await plant.settled()
  await promote(plant, await plan(plant))
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 1', '30 by 1', '30 by 1'])
  assertAccounted(plant, 17)
})
