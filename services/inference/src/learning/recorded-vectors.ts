// Recorded vectors of one asset, from a file or from the log, and a model trained on them.

import { readFile } from 'node:fs/promises'
import { AndonError, decodeInput, openCodec, openKafkaLog, partitionOf } from '@andon/kit'
import type { LogSettings } from '@andon/kit'
import type { Features, Vector } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'
import { readDoubles } from '@andon/schemas/packed'
import type { ModelCard } from '../models/model-card.ts'
import { train } from './train.ts'

/** One training window, from a file or from the log. */
export interface RecordedVector {
  readonly names: readonly string[]
  readonly values: readonly number[]
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly windowStartUs: number
  readonly windowEndUs: number
}

export interface BaselineOrigin {
  readonly asset: string
  /** What the card says about where the rows came from. */
  readonly source: string
  readonly licence?: string
}

export interface TrainedModel {
  readonly artefact: Uint8Array
  readonly card: ModelCard
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly features: readonly string[]
}

/** Trains on vectors of one feature set, in time order. Throws ANDON_INFERENCE_BASELINE_FAILED when no model comes of them. */
export const trainOn = (vectors: readonly RecordedVector[], origin: BaselineOrigin): TrainedModel => {
  const [first] = vectors
  if (first === undefined) throw invalid('there are no vectors to train on')
  const other = vectors.findIndex(
    ({ featureSetDigest, names }) => featureSetDigest !== first.featureSetDigest || names.join() !== first.names.join(),
  )
  if (other >= 0)
    throw invalid(
      `vector ${other + 1} is of feature set ${vectors[other]!.featureSetDigest}, the first of ${first.featureSetDigest}; expected one feature set`,
    )
  const { featureSet, featureSetDigest, names, windowStartUs } = first
  const result = train({
    features: names,
    featureSetDigest,
    values: Float64Array.from(vectors.flatMap(({ values }) => values)),
    origin: {
      fromUs: windowStartUs,
      toUs: Math.max(...vectors.map(({ windowEndUs }) => windowEndUs)),
      source: origin.source,
      ...(origin.licence === undefined ? {} : { licence: origin.licence }),
    },
  })
  if ('refused' in result) throw invalid(result.refused)
  return { artefact: result.artefact, card: result.card, featureSet, featureSetDigest, features: names }
}

export const invalid = (reason: string): AndonError => new AndonError('ANDON_INFERENCE_BASELINE_FAILED', `No model was made: ${reason}`)

/** Rows of a file: JSON lines. Throws ANDON_INFERENCE_BASELINE_FAILED naming the line that is none. */
export const readVectorFile = async (file: string): Promise<RecordedVector[]> =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, i) => {
      const vector = JSON.parse(line) as RecordedVector
      const isWhole = Array.isArray(vector.names) && Array.isArray(vector.values) && vector.names.length === vector.values.length
      if (!isWhole || typeof vector.featureSetDigest !== 'string')
        throw invalid(`${file}, line ${i + 1}: expected {names, values, featureSet, featureSetDigest, windowStartUs, windowEndUs}`)
      return { ...vector, values: vector.values.map((value) => value ?? Number.NaN) } // JSON has no NaN: null stands for it
    })

/** Complete, with the machine on and no sensor suspected. */
const isHealthy = ({ complete, machineOff, quality, names, health }: Vector): boolean =>
  complete && !machineOff && quality !== 'unmonitored' && maskedNames(names, health).size === 0

/** Healthy vectors of the asset's newest feature set and newest epoch, highest revision of each window, oldest window first. */
export const readVectorTopic = async (config: LogSettings, asset: string): Promise<RecordedVector[]> => {
  const codec = await openCodec({ registryUrl: config.registryUrl, namespace: config.namespace, autoRegister: false })
  const log = await openKafkaLog({ brokers: config.kafkaBrokers, clientId: 'inference-vectors', namespace: config.namespace })
  try {
    const windows = new Map<number, RecordedVector & Pick<Vector, 'revision' | 'baselineEpochUs'>>()
    const partition = partitionOf(asset, await log.admin.partitions('features'))
    for await (const batch of log.read({ topic: 'features', partition, from: 'earliest', to: 'latest' })) {
      for (const record of batch.records) {
        if (record.key !== asset) continue
        const { vector } = (await decodeInput<Features>(codec, record)).value
        if (vector === null || !isHealthy(vector)) continue
        const known = windows.values().next().value
        const [epochUs, knownUs] = [vector.baselineEpochUs ?? 0, known?.baselineEpochUs ?? 0]
        if (known?.featureSetDigest === vector.featureSetDigest && epochUs < knownUs) continue
        if (known?.featureSetDigest !== vector.featureSetDigest || epochUs > knownUs) windows.clear()
        if ((windows.get(vector.windowEndUs)?.revision ?? 0) < vector.revision)
          windows.set(vector.windowEndUs, { ...vector, values: [...readDoubles(vector.values)] })
      }
    }
    return [...windows.values()].toSorted((a, b) => a.windowEndUs - b.windowEndUs)
  } finally {
    await log.close()
  }
}
