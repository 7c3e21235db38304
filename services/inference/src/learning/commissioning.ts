// An asset without a model is learned: its first healthy windows with the machine on are collected, a model is trained on them,
// registered and activated in advisory mode; after a service anew, on windows of the new epoch alone. The handler waits for that, so which vectors the model scores depends on the log alone. After
// a restart the windows are read again from the log; nothing is kept elsewhere.

import type { Input, Logger, Metrics } from '@andon/kit'
import type { Features, Vector } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'
import { commissioningModel } from '../models/model-writer.ts'
import type { ModelWriter } from '../models/model-writer.ts'
import { fewestRows } from './t2spe.ts'
import type { TrainingRequest, TrainingResult } from './train.ts'
import { readDoubles } from '@andon/schemas/packed'

/** How far back windows are read again after a restart, at least; longer for long windows. */
const LOOK_BACK_MS = 24 * 3_600_000
const LOOK_BACK_WINDOWS = 3
/** So many times the windows that are needed are collected at most, when a sensor is suspected in too many of them. */
const MOST_COLLECTED = 3

/** Vectors of one asset that lie on the log before an offset, oldest first. */
export type ReadBack = (assetId: string, range: { partition: number; fromMs: number; toOffset: number }) => AsyncIterable<Input<Features>>

export interface CommissioningDeps {
  /** Windows a model is trained on; never fewer than training needs. */
  readonly windows: number
  readonly writer: Pick<ModelWriter, 'activate'>
  readonly train: (request: TrainingRequest) => Promise<TrainingResult>
  readonly readBack: ReadBack
  readonly isCommissioned: (assetId: string, featureSetDigest: string, epochUs: number | null) => boolean
  readonly logger: Logger
  readonly metrics: Metrics
}

interface Window {
  readonly revision: number
  readonly startUs: number
  readonly endUs: number
  /** NaN where the sensor is suspected. */
  readonly values: Float64Array
  readonly isWhole: boolean
}

interface Collection {
  readonly names: readonly string[]
  /** Event time at which the baseline's epoch began; null = none known. */
  epochUs: number | null
  /** By window end; the highest revision counts. */
  readonly windows: Map<number, Window>
}

/** The collections of one partition. Opened anew with every assignment. */
export class Commissioning {
  readonly #deps: CommissioningDeps
  readonly #collections = new Map<string, Collection>()
  readonly #trained
  readonly #refused

  constructor(deps: CommissioningDeps) {
    this.#deps = deps
    this.#trained = deps.metrics.counter(
      'andon_inference_models_commissioned_total',
      'Models trained and activated for assets that had none',
    )
    this.#refused = deps.metrics.counter(
      'andon_inference_commissioning_refused_total',
      'Collections of windows that no model could be trained on',
    )
  }

  /** Takes a vector of an asset without a model. Returns once a model that became due is in force. */
  async observe(input: Input<Features>, vector: Vector): Promise<void> {
    const { assetId } = input.value
    const key = `${assetId} ${vector.featureSetDigest}`
    if (!this.#collections.has(key)) {
      this.#collections.set(key, { names: vector.names, epochUs: vector.baselineEpochUs, windows: new Map() })
      try {
        for await (const earlier of this.#deps.readBack(assetId, this.#lookBack(input, vector))) {
          const before = earlier.value.vector
          if (before !== null && before.featureSetDigest === vector.featureSetDigest) await this.#add(assetId, before)
          if (this.#isCommissioned(assetId, vector)) break
        }
      } catch (error) {
        this.#collections.delete(key) // half a collection would train another model than the whole one
        throw error
      }
    }
    if (!this.#isCommissioned(assetId, vector)) await this.#add(assetId, vector)
    if (this.#isCommissioned(assetId, vector)) this.#collections.delete(key)
  }

  #isCommissioned(assetId: string, { featureSetDigest, baselineEpochUs }: Vector): boolean {
    return this.#deps.isCommissioned(assetId, featureSetDigest, baselineEpochUs)
  }

  #lookBack(input: Input<Features>, vector: Vector): { partition: number; fromMs: number; toOffset: number } {
    const windowMs = (vector.windowEndUs - vector.windowStartUs) / 1000
    const backMs = Math.max(LOOK_BACK_MS, LOOK_BACK_WINDOWS * this.#needed(vector) * windowMs)
    return { partition: input.partition, fromMs: Math.max(0, input.timestampMs - backMs), toOffset: input.position.offset }
  }

  #needed(vector: Vector): number {
    return Math.max(this.#deps.windows, fewestRows(vector.names.length))
  }

  async #add(assetId: string, vector: Vector): Promise<void> {
    const collection = this.#collections.get(`${assetId} ${vector.featureSetDigest}`)!
    if (!vector.complete || vector.names.length === 0 || vector.quality === 'unmonitored' || vector.machineOff) return
    if (!isOfEpoch(collection, vector)) return
    const masked = maskedNames(vector.names, vector.health)
    const values = readDoubles(vector.values).map((value, j) => (masked.has(vector.names[j] ?? '') ? Number.NaN : value))
    if (values.length !== collection.names.length) return
    const known = collection.windows.get(vector.windowEndUs)
    if (known !== undefined && known.revision >= vector.revision) return
    collection.windows.set(vector.windowEndUs, {
      revision: vector.revision,
      startUs: vector.windowStartUs,
      endUs: vector.windowEndUs,
      values,
      isWhole: masked.size === 0,
    })
    const needed = this.#needed(vector)
    if (collection.windows.size < needed) return
    const whole = [...collection.windows.values()].filter(({ isWhole }) => isWhole)
    if (whole.length >= needed) await this.#trainOn(assetId, vector, collection, whole)
    // A sensor that is never well must not keep the others from being watched: training leaves out what is mostly missing.
    else if (collection.windows.size >= MOST_COLLECTED * needed)
      await this.#trainOn(assetId, vector, collection, [...collection.windows.values()])
  }

  async #trainOn(assetId: string, vector: Vector, collection: Collection, collected: readonly Window[]): Promise<void> {
    const { logger, writer } = this.#deps
    const windows = collected.toSorted((a, b) => a.endUs - b.endUs)
    const width = collection.names.length
    const values = new Float64Array(windows.length * width)
    windows.forEach((window, i) => values.set(window.values, i * width))
    const origin = { fromUs: windows[0]!.startUs, toUs: windows.at(-1)!.endUs, source: 'commissioning' }
    const result = await this.#deps.train({ features: collection.names, featureSetDigest: vector.featureSetDigest, values, origin })
    if ('refused' in result) {
      collection.windows.clear()
      this.#refused.inc()
      logger.warn(
        { assetId, reason: result.refused, windows: windows.length },
        'no model could be trained on these windows; collecting anew',
      )
      return
    }
    const model = await writer.activate({
      model: commissioningModel(assetId),
      assetId,
      featureSet: vector.featureSet,
      featureSetDigest: vector.featureSetDigest,
      artefact: result.artefact,
      features: collection.names,
      card: result.card,
      effectiveFromUs: origin.toUs,
      by: 'inference/commissioning',
    })
    this.#trained.inc()
    logger.info(
      { assetId, model: model.model, version: model.version, windows: windows.length },
      'asset commissioned: its model is active in advisory mode',
    )
  }
}

/** A window of a later epoch begins the collection anew; one of an earlier epoch has nothing to say any more. */
const isOfEpoch = (collection: Collection, { baselineEpochUs }: Vector): boolean => {
  const [now, then] = [baselineEpochUs ?? Number.NEGATIVE_INFINITY, collection.epochUs ?? Number.NEGATIVE_INFINITY]
  if (now < then) return false
  if (now > then) {
    collection.windows.clear()
    collection.epochUs = baselineEpochUs
  }
  return true
}
