// The recorded predictions, judged again by today's clustering: its own handler, with the models and documents of then.

import { parseCause, HEADER } from '@andon/kit/lineage'
import { toInput } from '@andon/kit/input'
import { type Anomalies, type Plant, type Predictions, parsePlant } from '@andon/schemas'
import { newMemory } from '../../services/clustering/src/asset-state.ts'
import { openArtefacts } from '../../services/clustering/src/detector-artefacts.ts'
import { defaultDetectorSet, detectorSetDigest } from '../../services/clustering/src/detector-set.ts'
import { assetWords } from '../../services/clustering/src/finding.ts'
import { ModelCards } from '../../services/clustering/src/model-cards.ts'
import { type PredictionsDependencies, onPredictions } from '../../services/clustering/src/on-predictions.ts'
import type { HistoryDifference } from './differences.ts'
import { type History, type Recorded, asWritten, byPartition } from './history.ts'

/** Largest difference of two numbers that counts as none, relative to the larger one. */
const TOLERANCE = 1e-9

/** The constants to judge by, and the digest that goes into every id. */
type Judging = Pick<PredictionsDependencies, 'set' | 'detectorSet'>

const today: Judging = { set: defaultDetectorSet, detectorSet: detectorSetDigest(defaultDetectorSet) }

export interface Rejudgement {
  /** Predictions that were judged. */
  readonly compared: number
  /** What today's code tells, per partition in order. */
  readonly findings: readonly Anomalies[]
  readonly differences: readonly HistoryDifference[]
}

/** A finding and the prediction that caused it. */
interface Told {
  readonly offset: number
  readonly value: Anomalies
}

/**
 * Judges every recorded prediction and compares what is told about it, in order, with the recorded findings that name it as
 * their cause. Findings of predictions after the recorded ones are left out.
 */
export const rejudge = async (history: History, judging: Judging = today): Promise<Rejudgement> => {
  const told: Anomalies[] = []
  const differences: HistoryDifference[] = []
  for (const [partition, predictions] of byPartition(history.predictions)) {
    const now = await judged(history, predictions, judging)
    const recorded = toldIn(history, partition, predictions.at(-1)?.record.offset ?? -1)
    told.push(...now.map(({ value }) => value))
    differences.push(...compare(partition, recorded, now))
  }
  return { compared: history.predictions.length, findings: told, differences }
}

const judged = async (history: History, predictions: readonly Recorded<Predictions>[], judging: Judging): Promise<Told[]> => {
  const cards = new ModelCards()
  for (const { value } of history.models) cards.apply(value)
  const plantAt = plantsOf(history)
  const handle = onPredictions({
    memory: newMemory(),
    artefacts: openArtefacts(),
    ...judging,
    cardOf: (digest) => cards.of(digest),
    wordsOf: (assetId, timeUs) => assetWords(plantAt(timeUs), assetId),
    settled: async () => {},
    countPrediction: () => {},
    countFinding: () => {},
  })
  const inputs = predictions.map(({ record, value }) => toInput(record, value))
  const { outputs } = await handle({ topic: 'predictions', partition: inputs[0]?.partition ?? 0, inputs })
  return outputs
    .filter(({ output }) => output.topic === 'anomalies')
    .map(({ cause, output }) => ({ offset: cause.position.offset, value: asWritten('anomalies', output.value) }))
}

/** The plant file that holds at an event time; before the first one, the first. */
const plantsOf = (history: History): ((timeUs: number) => Plant | undefined) => {
  const versions = history.config
    .filter(({ value }) => value.name === 'plant')
    .map(({ value }) => ({ fromUs: value.effectiveFromUs, plant: parsePlant(JSON.parse(value.body)) }))
  return (timeUs) => (versions.findLast(({ fromUs }) => fromUs <= timeUs) ?? versions[0])?.plant
}

/** Findings that name a prediction of the partition as their cause; one that was told again after a restart counts once. */
const toldIn = (history: History, partition: number, last: number): Told[] =>
  [...new Map(history.anomalies.map((one) => [one.record.header(HEADER.cause), one])).values()]
    .flatMap(({ record, value }) => {
      const cause = parseCause(record.header(HEADER.cause))
      return cause?.partition === partition && cause.offset <= last ? [{ offset: cause.offset, index: cause.index, value }] : []
    })
    .toSorted((a, b) => a.offset - b.offset || a.index - b.index)

const compare = (partition: number, recorded: readonly Told[], today: readonly Told[]): HistoryDifference[] => {
  const differences: HistoryDifference[] = []
  const causes = [...new Set([...recorded, ...today].map(({ offset }) => offset))].toSorted((a, b) => a - b)
  for (const offset of causes) {
    const of = (all: readonly Told[]): Anomalies[] => all.filter((each) => each.offset === offset).map(({ value }) => value)
    const [was, is] = [of(recorded), of(today)]
    for (let i = 0; i < Math.max(was.length, is.length); i++) {
      const { type, assetId } = (was[i] ?? is[i]) as Anomalies
      const add = (path: string, expected: unknown, found: unknown): void =>
        void differences.push({ of: 'anomalies', at: `${partition}/${offset}`, about: `a window of ${assetId}`, path, expected, found })
      if (was[i]?.type === is[i]?.type) collect(type, was[i], is[i], add)
      else add(type, was[i]?.type ?? 'nothing', is[i]?.type ?? 'nothing')
    }
  }
  return differences
}

const collect = (path: string, was: unknown, is: unknown, add: (path: string, was: unknown, is: unknown) => void): void => {
  if (isObject(was) && isObject(is)) {
    for (const name of new Set([...Object.keys(was), ...Object.keys(is)])) collect(`${path}.${name}`, was[name], is[name], add)
    return
  }
  const isClose =
    typeof was === 'number' && typeof is === 'number' && Math.abs(was - is) <= TOLERANCE * Math.max(Math.abs(was), Math.abs(is))
  if (!isClose && !Object.is(was, is)) add(path, was, is)
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
