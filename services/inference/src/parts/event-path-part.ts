// The event path: features → predictions in the service's group, learning of assets without a model, signed baselines, and beside it,
// once there is a shadow, features → predictions.shadow.inference in a group of its own.

import { decodeInput, isRetriable, runProcess } from '@andon/kit'
import type { Codec, Input, Log, Part, Run } from '@andon/kit'
import { topology } from '@andon/schemas'
import type { Features, Predictions } from '@andon/schemas'
import { openInferenceClient } from '../backends/grpc-client.ts'
import { installBaselines } from '../learning/baselines.ts'
import { Commissioning } from '../learning/commissioning.ts'
import type { ReadBack } from '../learning/commissioning.ts'
import { trainInWorker } from '../learning/train.ts'
import { onFeatures } from '../on-features.ts'
import { SHADOW_GROUP, SHADOW_TOPIC, onShadowFeatures } from '../on-shadow-features.ts'
import { gathered } from '../scoring/gathered.ts'
import { runHere } from '../scoring/run-here.ts'
import { runThere } from '../scoring/run-there.ts'
import type { RunThere } from '../scoring/run-there.ts'
import { ownRuntime } from './own-runtime.ts'
import type { OwnRuntime } from './own-runtime.ts'
import type { OpenModels, Surroundings } from './opened.ts'

export const baselinesPart = ({ config, opened, logger, metrics }: Surroundings): Part => ({
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

export const eventPathPart = (surroundings: Surroundings): Part => {
  const { config, opened, logger, metrics } = surroundings
  let run: Run | undefined
  let rows: RunThere | undefined
  const predictions = metrics.counter('andon_inference_predictions_total', 'Predictions made, by type', ['type'])
  return {
    name: 'event-path',
    start: async () => {
      const [log, codec] = [opened.log!, opened.codec!]
      const { registry, writer, settled } = opened.models!
      rows = runnerOf(opened.models!, surroundings)
      for (const model of registry.current()) rows.prepare(model)
      // Half the queue is left to the doors.
      const scorer = gathered(rows.run, { mostRows: Math.max(1, Math.floor(config.maxQueuedRows / 2)), mostTogether: config.maxBatchRows })
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
        const handle = onFeatures({ registry, scorer, settled, commissioning: commissioning() })
        return {
          handle: async (batch: Parameters<typeof handle>[0]) => {
            const out = await handle(batch)
            for (const { output } of out.outputs) predictions.inc({ type: (output.value as Predictions).type })
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
    stop: async () => {
      await run?.stop()
      await rows?.close()
    },
  }
}

/** Where rows are scored: here, or on the servers of the setting. */
const runnerOf = ({ catalogue }: OpenModels, { config, logger, metrics }: Surroundings): RunThere => {
  const here = runHere((model) => catalogue.servableOf(model))
  const { serverUrls, serverTimeoutMs: timeoutMs, maxMessageBytes, maxBatchRows: mostRows } = config
  if (serverUrls === null) return { run: here, prepare: () => {}, close: async () => {} }
  const clients = serverUrls.map((target) => openInferenceClient({ target, maxMessageBytes }))
  const fallback = config.scorerFallback === 'embedded' ? here : undefined
  return runThere({ clients, timeoutMs, mostRows, fallback, logger, metrics })
}

/** Starts when there is a shadow; its end is nobody's but its own: it is logged, and the live path goes on. */
export const shadowPart = (surroundings: Surroundings): Part => {
  const { config, opened, logger, metrics } = surroundings
  let run: Run | undefined
  let runtime: OwnRuntime | undefined
  let isStopped = false
  let starting: Promise<void> = Promise.resolve()
  const scored = metrics.counter('andon_inference_shadow_predictions_total', 'Predictions of shadow models, by type', ['type'])
  const start = async (): Promise<void> => {
    const [log, codec] = [opened.log!, opened.codec!]
    const { registry, settled } = opened.models!
    const { partitions, configs } = topology.topics.predictions
    await log.admin.ensureTopics([{ name: SHADOW_TOPIC, partitions, configs }])
    runtime = await ownRuntime(surroundings, 1)
    const scorer = gathered(runHere(runtime.servableOf), { mostRows: 2 * config.maxBatchRows, mostTogether: config.maxBatchRows })
    const handle = onShadowFeatures({ registry, scorer, settled })
    const open = () => ({
      handle: async (batch: Parameters<typeof handle>[0]) => {
        const out = await handle(batch)
        for (const { output } of out.outputs) scored.inc({ type: (output.value as Predictions).type })
        return out
      },
    })
    if (isStopped) return
    run = await runProcess<Features>(
      log,
      codec,
      { service: 'inference', group: SHADOW_GROUP, input: 'features', open, maxBatchRecords: 100 },
      { logger, metrics },
    )
    run.ended.catch((error: unknown) => logger.error({ err: error }, 'shadow models are not scored any more; live ones are'))
  }
  return {
    name: 'shadow-path',
    start: async () => {
      opened.models!.whenShadowed(() => {
        if (isStopped) return
        starting = start().catch((error: unknown) => logger.error({ err: error }, 'shadow models cannot be scored; live ones are'))
      })
    },
    stop: async () => {
      isStopped = true
      await starting
      await run?.stop()
      await runtime?.close()
    },
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
