// Wires inference: log, models and their sessions, signed baselines, then the doors and the event path. Stopped in reverse: the
// event path and the doors end their work, then the sessions, then the log.

import {
  createLogger,
  createMetrics,
  decodeInput,
  followTopic,
  httpPart,
  isRetriable,
  messageOf,
  openBlobs,
  runProcess,
  openLog,
} from '@andon/kit'
import type { Codec, Follow, Input, Log, Logger, Metrics, OpenLog, Part, Run, Service } from '@andon/kit'
import { topology } from '@andon/schemas'
import type { Features, Models } from '@andon/schemas'
import express from 'express'
import type { Express } from 'express'
import { latestVectors } from './scoring/latest-vectors.ts'
import { installBaselines } from './learning/baselines.ts'
import { Commissioning } from './learning/commissioning.ts'
import type { ReadBack } from './learning/commissioning.ts'
import type { InferenceConfig } from './config.ts'
import { grpcDoor } from './doors/grpc-door.ts'
import type { GrpcDoor } from './doors/grpc-door.ts'
import { httpDoor } from './doors/http-door.ts'
import { inferenceDoor } from './serving/infer.ts'
import type { InferenceDoor } from './serving/infer.ts'
import { modelCache } from './serving/model-cache.ts'
import type { ModelCache } from './serving/model-cache.ts'
import { ModelRegistry } from './models/model-registry.ts'
import { modelWriter } from './models/model-writer.ts'
import type { ModelWriter } from './models/model-writer.ts'
import { onFeatures } from './on-features.ts'
import { SessionPool } from './runtime/session-pool.ts'
import { trainInWorker } from './learning/train.ts'
import { TritonMetrics } from './serving/triton-metrics.ts'

export interface InferenceService extends Service {
  /** Ports the doors have, once started. */
  readonly ports: () => { readonly grpc: number; readonly http: number; readonly metrics: number }
}

/** What the parts before have opened. */
interface Opened {
  log?: Log
  codec?: Codec
  models?: OpenModels
}

interface OpenModels {
  readonly registry: ModelRegistry
  readonly cache: ModelCache
  readonly writer: ModelWriter
  readonly pool: SessionPool
  readonly triton: TritonMetrics
  /** Every model in force is loaded, or said to be unloadable. */
  isReady(): boolean
}

export const createInferenceService = (config: InferenceConfig, open: OpenLog = () => openLog(config, 'inference')): InferenceService => {
  const logger = createLogger({ service: 'inference', level: config.logLevel })
  const metrics = createMetrics('inference', { withProcess: true })
  const opened: Opened = {}
  const doors = doorParts(config, opened, logger, metrics)
  const hasDoors = config.role !== 'scorer'
  const log = logPart(open, opened)
  const models = modelsPart(config, opened, logger, metrics)
  const eventPath = config.role === 'server' ? undefined : eventPathPart(config, opened, logger, metrics)
  return {
    name: 'inference',
    admin: { host: config.host, port: config.adminPort, setting: 'INFERENCE_ADMIN_PORT' },
    logger,
    metrics,
    ...(eventPath ? { replay: { parts: [log, models, eventPath], finished: () => eventPath.ended!() } } : {}),
    about: () => ({ role: config.role, executionProvider: 'cpu', models: opened.models?.registry.current().length ?? 0 }),
    ports: doors.ports,
    parts: [
      log,
      models,
      ...(eventPath ? [baselinesPart(config, opened, logger, metrics)] : []),
      ...(hasDoors ? doors.parts : []),
      ...(eventPath ? [eventPath] : []),
    ],
  }
}

const logPart = (open: OpenLog, opened: Opened): Part => ({
  name: 'log',
  start: async () => {
    const { log, codec } = await open()
    opened.log = log
    opened.codec = codec
    const names = ['features', 'predictions', 'models'] as const
    await log.admin.ensureTopics(
      names.map((name) => ({ name, partitions: topology.topics[name].partitions, configs: topology.topics[name].configs })),
    )
  },
  stop: async () => opened.log?.close(),
})

const modelsPart = (config: InferenceConfig, opened: Opened, logger: Logger, metrics: Metrics): Part => {
  let follow: Follow | undefined
  let models: OpenModels | undefined
  const lost = metrics.counter('andon_inference_workers_lost_total', 'Worker threads that ended by themselves and were replaced')
  const active = metrics.gauge('andon_inference_models_active', 'Model versions in force')
  return {
    name: 'models',
    start: async () => {
      const [log, codec] = [opened.log!, opened.codec!]
      const blobs = await openBlobs(config.blobDir)
      const registry = new ModelRegistry()
      const pool = new SessionPool({
        workers: Math.max(1, config.workers),
        maxBatchRows: config.maxBatchRows,
        maxQueuedRows: config.maxQueuedRows,
        onBatch: (report) => {
          const model = registry.byArtefact(report.model)
          if (model !== undefined) triton.batch(model.model, model.version, report)
        },
        onWorkerLost: (reason) => {
          lost.inc()
          logger.error({ reason }, 'a worker thread ended by itself; another takes its place')
        },
      })
      const triton = new TritonMetrics(() => pool.pending)
      const cache = modelCache(blobs, pool, ({ model, isSuccess, durationUs }) =>
        triton.request(model.model, model.version, isSuccess, durationUs),
      )
      const failed = new Set<string>()
      const preload = async (model: Models): Promise<void> => {
        try {
          await cache.io(model)
          logger.info({ model: model.model, version: model.version, assetId: model.assetId, role: model.role }, 'model in force is loaded')
        } catch (error) {
          failed.add(model.digest)
          logger.error({ err: error, model: model.model, version: model.version }, 'model in force cannot be loaded; its verdicts say so')
        }
      }
      follow = await followTopic<Models>(
        log,
        codec,
        'models',
        ({ value }) => {
          registry.apply(value)
          active.set(registry.current().length)
          if (value.kind === 'onnx' && value.type === 'ModelActivated') void preload(value) // never rejects
        },
        {
          onUndecodable: (record, error) =>
            logger.error({ offset: record.offset, err: messageOf(error) }, 'a record on models cannot be read'),
        },
      )
      await follow.caughtUp()
      const caughtUp = (): Promise<void> => follow!.caughtUp()
      const writer = modelWriter({ log, codec, blobs, registry, caughtUp, nowUs: () => Date.now() * 1000 })
      const isReady = (): boolean => registry.current().every((model) => cache.isLoaded(model) || failed.has(model.digest))
      models = { registry, cache, writer, pool, triton, isReady }
      opened.models = models
    },
    ready: () => (models?.isReady() === true ? true : 'models in force are being loaded'),
    ended: () => follow?.ended ?? Promise.resolve(),
    stop: async () => {
      await follow?.stop()
      await models?.pool.close()
    },
  }
}

const baselinesPart = (config: InferenceConfig, opened: Opened, logger: Logger, metrics: Metrics): Part => ({
  name: 'baselines',
  start: async () => {
    const refused = metrics.counter('andon_inference_baselines_refused_total', 'Signed baselines that were refused')
    if (config.baselineDir === null) return
    const { registry, writer } = opened.models!
    const report = await installBaselines(
      config.baselineDir,
      config.baselineKeys,
      (assetId, digest) => registry.isCommissioned(assetId, digest),
      (draft) => writer.activate(draft),
    )
    refused.inc(report.refused.length)
    for (const error of report.refused) logger.error({ err: error }, 'a baseline is refused')
    if (report.registered.length > 0) logger.info({ assets: report.registered }, 'signed baselines registered in advisory mode')
  },
  stop: async () => {},
})

const eventPathPart = (config: InferenceConfig, opened: Opened, logger: Logger, metrics: Metrics): Part => {
  let run: Run | undefined
  const predictions = metrics.counter('andon_inference_predictions_total', 'Predictions made, by type', ['type'])
  return {
    name: 'event-path',
    start: async () => {
      const [log, codec] = [opened.log!, opened.codec!]
      const { registry, cache, writer } = opened.models!
      // A replay learns nothing: models that an asset got since then hold from the event time of their activation.
      const commissioning = (): Pick<Commissioning, 'observe'> =>
        config.replayPlan !== null
          ? { observe: async () => {} }
          : new Commissioning({
              windows: config.commissioningWindows,
              writer,
              train: trainInWorker,
              readBack: readBack(log, codec),
              isCommissioned: (assetId, digest, epochUs) => registry.isCommissioned(assetId, digest, epochUs),
              logger,
              metrics,
            })
      const open = () => {
        const handle = onFeatures({ registry, cache, commissioning: commissioning() })
        return {
          handle: async (batch: Parameters<typeof handle>[0]) => {
            const out = await handle(batch)
            for (const { output } of out.outputs) predictions.inc({ type: output.type })
            return out
          },
        }
      }
      run = await runProcess<Features>(
        log,
        codec,
        { service: 'inference', input: 'features', open, outputs: ['predictions'] },
        { logger, metrics },
      )
    },
    ended: () => run?.ended ?? Promise.resolve(),
    stop: async () => run?.stop(),
  }
}

/** Earlier vectors of an asset, decoded only where the key is the asset's. */
const readBack = (log: Log, codec: Codec): ReadBack =>
  async function* (assetId, { partition, fromMs, toOffset }): AsyncGenerator<Input<Features>> {
    const from = await log.admin.offsetAt('features', partition, fromMs)
    if (from >= toOffset) return
    for await (const batch of log.read({ topic: 'features', partition, from, to: toOffset })) {
      for (const record of batch.records) {
        if (record.key !== assetId || record.value === null) continue
        try {
          yield await decodeInput<Features>(codec, record)
        } catch (error) {
          if (isRetriable(error)) throw error // undecodable records were dead-lettered when they were read first
        }
      }
    }
  }

const doorParts = (
  config: InferenceConfig,
  opened: Opened,
  logger: Logger,
  metrics: Metrics,
): { parts: Part[]; ports: InferenceService['ports'] } => {
  const latest = latestVectors(config.redisUrl)
  let door: InferenceDoor | undefined
  const requests = metrics.counter('andon_inference_requests_total', 'Scoring requests through the doors', ['door', 'outcome'])
  const duration = metrics.histogram('andon_inference_duration_seconds', 'Time from scoring request to answer', ['door'])
  const options = (name: 'grpc' | 'http') => ({
    door: () => (door ??= inferenceDoor(opened.models!.registry, opened.models!.cache, latest)),
    isReady: () => opened.models?.isReady() === true,
    onRequest: ({ isSuccess, durationMs }: { isSuccess: boolean; durationMs: number }): void => {
      requests.inc({ door: name, outcome: isSuccess ? 'success' : 'failure' })
      duration.observe({ door: name }, durationMs / 1000)
    },
    logger,
  })
  const grpc: GrpcDoor = grpcDoor({ ...options('grpc'), host: config.host, port: config.grpcPort, setting: 'INFERENCE_GRPC_PORT' })
  const http = httpPart({
    name: 'http',
    host: config.host,
    port: config.httpPort,
    setting: 'INFERENCE_HTTP_PORT',
    app: httpDoor(options('http')),
  })
  const scrape = httpPart({
    name: 'metrics',
    host: config.host,
    port: config.metricsPort,
    setting: 'INFERENCE_METRICS_PORT',
    app: metricsApp(opened, metrics),
  })
  return { parts: [latest, grpc, http, scrape], ports: () => ({ grpc: grpc.port(), http: http.port(), metrics: scrape.port() }) }
}

/** GET /metrics: Triton's names, then ours. */
const metricsApp = (opened: Opened, metrics: Metrics): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(`${opened.models?.triton.text() ?? ''}${await metrics.text()}`)
  })
  return app
}
