// A running inference service on a log in memory, with seeded assets that publish feature vectors. Every test opens its own.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { followTopic, localCodec, openMemoryLog, publish, startService, vectorId } from '@andon/kit'
import type { Input, MemoryLog, RunningService } from '@andon/kit'
import type { Features, Models, Predictions, Vector } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { row } from '../src/learning/linear-algebra.ts'
import { createInferenceService } from '../src/service.ts'
import type { InferenceService } from '../src/service.ts'
import { packDoubles } from '@andon/schemas/packed'
import { featureNames, healthyRows } from './rows.ts'

export const WINDOW_US = 1_000_000
export const FEATURES = 5
export const SET_DIGEST = 'd'.repeat(64)

const codec = localCodec()

/** Vector number `n` of an asset; equal numbers give equal vectors. */
export const vectorOf = (assetId: string, n: number, changes: Partial<Vector> & { shift?: number } = {}): Vector => {
  const { shift = 0, ...rest } = changes
  const values = Float64Array.from(row(healthyRows(1, FEATURES, 1000 + n), 0))
  values[2]! += shift
  const featureSetDigest = rest.featureSetDigest ?? SET_DIGEST
  return {
    vectorId: vectorId(featureSetDigest, assetId, (n + 1) * WINDOW_US, rest.revision ?? 1, `samples-${n}`),
    featureSet: 'features/test',
    featureSetDigest,
    windowStartUs: n * WINDOW_US,
    windowEndUs: (n + 1) * WINDOW_US,
    revision: 1,
    supersedes: null,
    names: featureNames(FEATURES),
    values: packDoubles(values),
    ranges: [],
    complete: true,
    missing: [],
    historical: false,
    recordedStartUs: null,
    quality: 'good',
    regime: null,
    machineOff: false,
    health: [],
    baselineEpochUs: null,
    plantDigest: '',
    uncertainRows: 0,
    badRows: 0,
    young: false,
    ...rest,
  }
}

export type StartedService = RunningService & { readonly ports: ReturnType<InferenceService['ports']>; metricsText(): Promise<string> }

export interface Plant {
  readonly log: MemoryLog
  readonly blobDir: string
  publishVectors(assetId: string, vectors: readonly Vector[]): Promise<void>
  /** Starts a service on this plant's log and blobs; stopped when the test ends. */
  start(settings?: Record<string, string>): Promise<StartedService>
  /** All predictions of an asset, each id once, as soon as there are so many. */
  predictions(assetId: string, count: number): Promise<Input<Predictions>[]>
  models(): Promise<Models[]>
}

export const openPlant = (t: TestContext): Plant => {
  const log = openMemoryLog()
  const blobDir = mkdtempSync(join(tmpdir(), 'andon-inference-'))
  const closing: (() => Promise<void>)[] = []
  t.after(async () => {
    for (const close of closing.toReversed()) await close()
    rmSync(blobDir, { recursive: true, force: true })
  })
  return {
    log,
    blobDir,
    async publishVectors(assetId, vectors) {
      await publish(
        log,
        codec,
        vectors.map((vector) => ({
          topic: 'features',
          key: assetId,
          value: { type: 'vector', assetId, vector, late: null } satisfies Features,
          id: vector.vectorId,
          type: 'vector',
          subject: assetId,
          timeUs: vector.windowEndUs,
          order: { promotion: 0, leaderEpoch: 0, offset: vector.windowStartUs / WINDOW_US, index: 0 },
        })),
        'test',
      )
    },
    async start(settings = {}) {
      const config = loadConfig({
        ANDON_BLOB_DIR: blobDir,
        ANDON_LOG_LEVEL: 'fatal',
        ANDON_REDIS_URL: 'redis://127.0.0.1:1',
        INFERENCE_ADMIN_PORT: '0',
        INFERENCE_GRPC_PORT: '0',
        INFERENCE_HTTP_PORT: '0',
        INFERENCE_METRICS_PORT: '0',
        ...settings,
      })
      const service = createInferenceService(config, async () => ({ log: openMemoryLog({ store: log.store }), codec }))
      const running = await startService(service)
      closing.push(() => running.stop())
      return { ...running, ports: service.ports(), metricsText: () => service.metrics.text() }
    },
    predictions: (assetId, count) => collect<Predictions>(log, 'predictions', (input) => input.key === assetId, count),
    async models() {
      const facts: Models[] = []
      const follow = await followTopic<Models>(log, codec, 'models', ({ value }) => void facts.push(value))
      await follow.caughtUp()
      await follow.stop()
      return facts
    },
  }
}

const collect = async <T>(log: MemoryLog, topic: string, matches: (input: Input<T>) => boolean, count: number): Promise<Input<T>[]> => {
  const found: Input<T>[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const follow = await followTopic<T>(log, codec, topic, (input) => {
    if (!matches(input)) return
    // A restart does the input of the last output once more; readers drop the repeat by its id, and it must say the same.
    const before = found.find(({ id }) => id === input.id)
    if (before) assert.deepEqual(input.value, before.value)
    else found.push(input)
    if (found.length >= count) resolve()
  })
  await promise
  await follow.caughtUp()
  await follow.stop()
  return found
}
