// What findings say about the fault mode of a window, and what people's words about a mode do.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newMemory } from '../src/asset-state.ts'
import { openArtefacts } from '../src/detector-artefacts.ts'
import { defaultDetectorSet, detectorSetDigest } from '../src/detector-set.ts'
import { loadedModel } from '../src/class-models.ts'
import type { ClassModels, LoadedModel } from '../src/class-models.ts'
import { HOUR_US, readSummary } from '../src/class-summaries.ts'
import { openFaultModes } from '../src/fault-modes.ts'
import { fitClass } from '../src/fitter/fit-class.ts'
import { onPredictions } from '../src/on-predictions.ts'
import { Teachings } from '../src/teachings.ts'
import type { Standing } from '../src/teachings.ts'
import type { Anomalies, Precedent, Predictions } from '@andon/schemas'
import { Clustering, inputOf, modelFact, predictionOf, valuesAt } from './predictions.ts'

const DAY_US = 24 * HOUR_US
const wobble = (n: number, i: number): number => Math.sin(n * (1.3 + 0.7 * i)) + 0.5 * Math.cos(n * (2.9 + i))
const window = (n: number, sigmas: readonly number[], ratio: number): Predictions =>
  predictionOf(n, ratio, { values: valuesAt(...sigmas.map((sigma, i) => sigma + wobble(n, i))) })

const healthy = [0, 0, 0]
const worn = [20, 30, 40]
const turns = (from: number, count: number): Predictions[] =>
  Array.from({ length: count }, (_, i) => (i % 60 < 20 ? window(from + i, worn, 9) : window(from + i, healthy, 0.3)))

/** A model of windows as these, in which the worn mode preceded failures. */
const learnt = async (): Promise<{ loaded: LoadedModel; modeId: string }> => {
  const clustering = await new Clustering({}, [modelFact()]).feed(turns(0, 600).map((value, i) => inputOf(value, i)))
  const state = clustering.memory.classes.get('press-1')
  assert.ok(state !== undefined)
  const summaries = [readSummary(state.summary(0, HOUR_US))]
  const taught = { failures: [], interventions: [], verdicts: {} }
  const result = fitClass({ summaries, hourUs: HOUR_US, inForce: null, taught })
  assert.equal(result.decision, 'activate')
  const { model } = result as Extract<typeof result, { decision: 'activate' }>
  const modeId = model.modes.find(({ isFault }) => isFault)?.modeId as string
  const modes = model.modes.map((mode) =>
    mode.modeId === modeId ? { ...mode, failures: { ...precedent, hasPrecededFailures: true } } : mode,
  )
  return { loaded: loadedModel('m', { ...model, modes }), modeId }
}

const precedent: Precedent = {
  episodes: 6,
  failures: 4,
  horizonUs: 14 * DAY_US,
  probabilityLow: 0.5,
  probability: 0.65,
  probabilityHigh: 0.8,
  liftLow: 4,
  leadTimeLowUs: 2 * DAY_US,
  leadTimeUs: 4 * DAY_US,
  failureIds: ['f-1', 'f-2', 'f-3', 'f-4'],
}

const { loaded, modeId } = await learnt()

class Words extends Teachings {
  readonly standing: Standing
  constructor(standing: Standing) {
    super()
    this.standing = standing
  }
  override nameOf(): string | null {
    return 'worn bearing'
  }
  override standingOf(id: string): Standing {
    return id === modeId ? this.standing : 'fault'
  }
}

/** Findings about these windows, with the model in force and a word of people about its fault mode. */
const findingsOf = async (predictions: readonly Predictions[], standing: Standing): Promise<Anomalies[]> => {
  const memory = newMemory()
  const clustering = new Clustering()
  const models = { at: () => loaded, load: async () => {} } as unknown as ClassModels
  const words = new Words(standing)
  const handle = onPredictions({
    memory,
    set: defaultDetectorSet,
    detectorSet: detectorSetDigest(defaultDetectorSet),
    cardOf: (digest) => clustering.cards.of(digest),
    artefacts: openArtefacts(),
    faultModes: openFaultModes({ memory, models, teachings: () => words }),
    wordsOf: () => clustering.words,
    settled: async () => {},
    countPrediction: () => {},
    countFinding: () => {},
  })
  const { outputs } = await handle({ topic: 'predictions', partition: 0, inputs: predictions.map((value, i) => inputOf(value, i)) })
  return outputs.map(({ output }) => output.value as Anomalies)
}

test('an episode of a known mode names it, and one that preceded failures is told as back, once and graver', async () => {
  const found = await findingsOf(turns(1000, 60), 'fault')
  const opened = found.find(({ type }) => type === 'EpisodeOpened')?.finding
  assert.deepEqual([opened?.faultModeId, opened?.faultMode, opened?.clusterIsNovel], [modeId, 'worn bearing', false])
  assert.match(opened?.title ?? '', /\(worn bearing\)$/)
  const back = found.filter(({ type }) => type === 'FaultModeReappeared')
  assert.equal(back.length, 1)
  const finding = back[0]?.finding
  assert.deepEqual([finding?.severity, finding?.episodeId], [(opened?.severity ?? 0) - 1, opened?.episodeId])
  assert.deepEqual(finding?.precedent, precedent)
  assert.equal(
    finding?.title,
    'Press 1 main drive: worn bearing is back; a failure followed 4 of 6 earlier episodes, 4 days after it began',
  )
})

test('a mode that people call normal or want ignored opens no episode; what is novel still does', async () => {
  for (const standing of ['normal', 'ignore'] as const) {
    assert.deepEqual(await findingsOf(turns(1000, 60), standing), [])
    const strange = Array.from({ length: 5 }, (_, i) => window(2000 + i, [-50, 60, -70], 9))
    const found = await findingsOf(strange, standing)
    assert.equal(found[0]?.type, 'EpisodeOpened')
    assert.deepEqual([found[0]?.finding?.faultModeId, found[0]?.finding?.clusterIsNovel], [null, true])
  }
})

test('a known mode opens episodes of the lowest severity', async () => {
  const found = await findingsOf(turns(1000, 60), 'known')
  const episodes = found.filter(({ type }) => type.startsWith('Episode'))
  assert.deepEqual(
    episodes.map(({ type, finding }) => [type, finding?.severity]),
    [
      ['EpisodeOpened', 4],
      ['EpisodeClosed', 4],
    ],
  )
})
