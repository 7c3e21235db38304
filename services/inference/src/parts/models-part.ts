// The models: registry facts followed from the log, the catalogue of what can be scored, and the threads that run it. A model in force
// is loaded as soon as its activation is read.

import { followTopic, messageOf, openBlobs } from '@andon/kit'
import type { Follow, Part } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { ModelRegistry } from '../models/model-registry.ts'
import { modelWriter } from '../models/model-writer.ts'
import { SessionPool } from '../runtime/session-pool.ts'
import type { ServableOf } from '../scoring/run-here.ts'
import { openCatalogue } from '../serving/catalogue.ts'
import { modelCache } from '../serving/model-cache.ts'
import { poolOpener } from '../serving/pool-servable.ts'
import type { Servable } from '../serving/servable.ts'
import { TritonMetrics } from '../serving/triton-metrics.ts'
import type { OpenModels, Surroundings } from './opened.ts'

export const modelsPart = ({ config, opened, logger, metrics }: Surroundings): Part => {
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
      const catalogue = await openCatalogue({ registry, blobs, latest: opened.latest!, open: poolOpener(pool, config.maxBatchRows) })
      const preload = async (model: Models): Promise<void> => {
        try {
          await catalogue.servableOf(model)
          logger.info({ model: model.model, version: model.version, assetId: model.assetId, role: model.role }, 'model in force is loaded')
        } catch (error) {
          logger.error({ err: error, model: model.model, version: model.version }, 'model in force cannot be loaded; its verdicts say so')
        }
      }
      const awaitingShadows: (() => void)[] = []
      const tellOfShadows = (): void => {
        if (registry.currentShadows().length > 0) for (const listener of awaitingShadows.splice(0)) listener()
      }
      const scoresHere = config.serverUrls === null || config.scorerFallback === 'embedded'
      follow = await followTopic<Models>(
        log,
        codec,
        'models',
        ({ value }) => {
          registry.apply(value)
          active.set(registry.current().length)
          if (value.kind !== 'onnx' || value.type !== 'ModelActivated') return
          if (value.role === 'shadow') tellOfShadows()
          else if (scoresHere) void preload(value) // never rejects
        },
        {
          onUndecodable: (record, error) =>
            logger.error({ offset: record.offset, err: messageOf(error) }, 'a record on models cannot be read'),
        },
      )
      const settled = (): Promise<void> => follow!.caughtUp()
      await settled()
      const writer = modelWriter({ log, codec, blobs, registry, caughtUp: settled, nowUs: () => Date.now() * 1000 })
      models = {
        registry,
        catalogue,
        servableOf: counted(
          (model) => catalogue.servableOf(model),
          (model, isSuccess, durationUs) => triton.request(model.name, model.version, isSuccess, durationUs),
        ),
        cache,
        writer,
        pool,
        triton,
        settled,
        whenShadowed: (listener) => {
          awaitingShadows.push(listener)
          tellOfShadows()
        },
        isReady: () => !scoresHere || catalogue.isReady(),
      }
      opened.models = models
    },
    ready: () => (models?.isReady() === true ? true : 'models in force are being loaded'),
    ended: () => follow?.ended ?? Promise.resolve(),
    stop: async () => {
      await follow?.stop()
      await models?.catalogue.close()
      await models?.pool.close()
    },
  }
}

const counted = (servableOf: ServableOf, onRun: (model: Servable, isSuccess: boolean, durationUs: number) => void): ServableOf => {
  const known = new WeakMap<Servable, Servable>()
  return async (model) => {
    const servable = await servableOf(model)
    const before = known.get(servable)
    if (before !== undefined) return before
    const run: Servable['run'] = async (request) => {
      const startedMs = performance.now()
      let isSuccess = false
      try {
        const answer = await servable.run(request)
        isSuccess = true
        return answer
      } finally {
        onRun(servable, isSuccess, (performance.now() - startedMs) * 1000)
      }
    }
    const wrapped = { ...servable, run }
    known.set(servable, wrapped)
    return wrapped
  }
}
