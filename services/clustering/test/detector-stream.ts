// A plant without models for tests: windows of correlated, slowly wandering numbers, one a second, and the judge that hears them.

import { emitter } from '@andon/kit'
import type { Input } from '@andon/kit'
import type { Anomalies, Finding, Models, Predictions } from '@andon/schemas'
import { keyedState, newMemory } from '../src/asset-state.ts'
import type { PartitionMemory } from '../src/asset-state.ts'
import { openArtefacts } from '../src/detector-artefacts.ts'
import type { DetectorArtefacts } from '../src/detector-artefacts.ts'
import { defaultDetectorSet, detectorSetDigest } from '../src/detector-set.ts'
import type { DetectorSet } from '../src/detector-set.ts'
import type { Judged } from '../src/judged.ts'
import { openJudge } from '../src/on-predictions.ts'
import type { PredictionsDependencies } from '../src/on-predictions.ts'
import { randomFrom } from '../src/random.ts'
import { SECOND_US, inputOf, predictionOf } from './predictions.ts'

/** Rows of an AR(1) plant: `d` numbers that share a common part. */
export const plantRows = (count: number, d: number, seed: number): Float64Array[] => {
  const random = randomFrom(seed)
  const state = new Float64Array(d)
  let common = 0
  return Array.from({ length: count }, () => {
    common = 0.8 * common + 0.6 * random.normal()
    return Float64Array.from({ length: d }, (_, j) => {
      state[j] = 0.7 * (state[j] as number) + 0.7 * random.normal()
      return 10 * (j + 1) + (j + 1) * 0.1 * ((state[j] as number) + common)
    })
  })
}

export const namesOf = (d: number): string[] => Array.from({ length: d }, (_, j) => `channel${j}.mean`)

/** A window of an asset that no model is there for. */
export const unscoredWindow = (n: number, row: Float64Array, overrides: Partial<Predictions> = {}): Predictions =>
  predictionOf(n, 0, {
    type: 'learning',
    verdicts: [],
    complete: false,
    names: namesOf(row.length),
    values: Buffer.from(row.buffer, row.byteOffset, row.byteLength),
    ...overrides,
  })

/** What a blob store holds, in memory. */
export const blobMap = () => {
  const held = new Map<string, Buffer>()
  return {
    held,
    put: async (content: Uint8Array | string) => {
      const bytes = Buffer.from(content)
      const { sha256Hex } = await import('@andon/kit')
      const sha256 = sha256Hex(bytes)
      held.set(`sha256:${sha256}`, bytes)
      return { sha256, uri: `sha256:${sha256}`, bytes: bytes.length }
    },
    get: async (uri: string) => {
      const found = held.get(uri)
      if (found === undefined) throw Object.assign(new Error(`no ${uri}`), { code: 'ANDON_BLOB_MISSING' })
      return found
    },
  }
}

export const shortSet: DetectorSet = { ...defaultDetectorSet, detector: { ...defaultDetectorSet.detector, learningWindows: 120 } }

/** One partition that judges, is cut and restored. */
export class Plant {
  memory: PartitionMemory = newMemory()
  readonly blobs = blobMap()
  artefacts: DetectorArtefacts = openArtefacts(this.blobs)
  readonly set: DetectorSet
  readonly judged: Judged[] = []
  readonly outputs: { readonly type: string; readonly id: string; readonly value: unknown }[] = []
  readonly #changelog = new Map<string, Buffer>()
  #judge

  readonly #more: Partial<PredictionsDependencies>

  /** `more`: what else it is given, or instead. */
  constructor(set: DetectorSet = defaultDetectorSet, more: Partial<PredictionsDependencies> = {}) {
    this.set = set
    this.#more = more
    this.#judge = this.#open()
  }

  #open() {
    return openJudge({
      memory: this.memory,
      set: this.set,
      detectorSet: detectorSetDigest(this.set),
      cardOf: () => undefined,
      artefacts: this.artefacts,
      wordsOf: () => ({ name: 'Press 1', classId: 'press', unitOf: () => '', sources: [], isControl: false, zoneLimitsMmS: null }),
      settled: async () => {},
      countPrediction: () => {},
      countFinding: () => {},
      judged: (judged) => this.judged.push(judged),
      ...this.#more,
    })
  }

  async feed(predictions: readonly Predictions[], firstOffset = 0): Promise<this> {
    return this.take(predictions.map((prediction, i) => inputOf(prediction, firstOffset + i)))
  }

  async take(inputs: readonly Input<Predictions>[]): Promise<this> {
    const out = emitter()
    await this.#judge.prepare(inputs)
    for (const input of inputs) this.#judge.judge(input, out)
    await this.#judge.stored()
    for (const { output } of out.outputs) this.outputs.push({ type: output.type, id: output.id, value: output.value })
    return this
  }

  /** What is left after a fall: the snapshots and the blob store. */
  restart(): void {
    const saved = keyedState(this.memory)
    for (const key of saved.dirty()) this.#changelog.set(key, Buffer.from(saved.snapshot(key)))
    this.memory = newMemory()
    const state = keyedState(this.memory)
    for (const [key, bytes] of this.#changelog) state.restore(key, bytes, state.version)
    this.artefacts = openArtefacts(this.blobs)
    this.#judge = this.#open()
  }

  snapshotBytes(assetId = 'press-1'): number {
    const snapshot = Buffer.from(keyedState(this.memory).snapshot(assetId))
    this.#changelog.set(assetId, snapshot)
    return snapshot.length
  }

  findings(): Finding[] {
    return this.outputs.flatMap(({ type, value }) => (type === 'RegistrationRequested' ? [] : ((value as Anomalies).finding ?? [])))
  }

  requests(): Models[] {
    return this.outputs.flatMap(({ type, value }) => (type === 'RegistrationRequested' ? [value as Models] : []))
  }
}

export { SECOND_US }
