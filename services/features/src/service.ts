// Wires the features service: documents as a side input, one process over the partitions of telemetry, latest vectors in Redis.

import { createLogger, createMetrics, followDocuments, openLog, partitionOf, retainedHistory, runProcess } from '@andon/kit'
import type { Codec, Documents, Log, Logger, Metrics, OpenLog, Part, Run, Service } from '@andon/kit'
import type { FeatureSet, Plant, Serviced, Telemetry } from '@andon/schemas'
import { expectedAssets } from './absent-assets.ts'
import { latestVectors } from './adapters/latest-vectors.ts'
import { markDamaged } from './asset-windows.ts'
import type { FeaturesConfig } from './config.ts'
import { featurePlans } from './feature-plans.ts'
import { onTelemetry } from './on-telemetry.ts'
import { servicedBefore } from './serviced.ts'
import type { Counts } from './on-telemetry.ts'
import { keyedState, newMemory, remember } from './state.ts'
import type { PartitionMemory } from './state.ts'

export const createFeaturesService = (config: FeaturesConfig, open: OpenLog = () => openLog(config, 'features')): Service => {
  const logger = createLogger({ service: 'features', level: config.logLevel })
  const metrics = createMetrics('features', { withProcess: true })
  let log: Log
  let codec: Codec
  let documents: Documents
  const connection: Part = {
    name: 'log',
    async start() {
      ;({ log, codec } = await open())
      documents = await followDocuments(log, codec, { logger })
      await documents.caughtUp()
    },
    async stop() {
      await documents?.stop()
      await log?.close()
    },
  }
  const latest = latestVectors({
    log: () => log,
    codec: () => codec,
    redisUrl: config.redisUrl,
    horizonMs: config.latestHorizonMs,
    nowMs: Date.now,
    logger,
    metrics,
  })
  const processing = processPart(config, () => ({ log, codec, documents }), logger, metrics)
  return {
    name: 'features',
    logger,
    metrics,
    admin: { host: config.host, port: config.adminPort, setting: 'FEATURES_ADMIN_PORT' },
    parts: [connection, latest, processing],
    replay: { parts: [connection, processing], finished: () => processing.ended!() },
  }
}

interface Inputs {
  readonly log: Log
  readonly codec: Codec
  readonly documents: Documents
}

const processPart = (config: FeaturesConfig, inputs: () => Inputs, logger: Logger, metrics: Metrics): Part => {
  const counts = countsOf(metrics)
  const unusable = metrics.counter('andon_features_unusable_sets_total', 'Feature sets that do not fit an asset of the plant')
  const memories = new Map<number, PartitionMemory>()
  let run: Run | undefined
  return {
    name: 'telemetry',
    ready: () => run !== undefined,
    async start() {
      const { log, codec, documents } = inputs()
      const partitions = await log.admin.partitions('telemetry')
      const planAt = featurePlans({
        plantAt: (timeUs) => documents.at<Plant>('plant', timeUs),
        featureSetAt: (name, timeUs) => documents.at<FeatureSet>(name, timeUs),
        onUnusable: (assetId, featureSet, reason) => {
          unusable.inc()
          logger.error({ assetId, featureSet, reason }, 'feature set cannot be used; the asset gives no vectors')
        },
      })
      const servicedAt = servicedBefore((assetId, timeUs) => documents.at<Serviced>(`serviced/${assetId}`, timeUs)?.value.atUs)
      const open = (partition: number) => {
        const memory = newMemory()
        memories.set(partition, memory)
        const settled = () => documents.caughtUp()
        const expectedAt = expectedAssets(
          (timeUs) => documents.at<Plant>('plant', timeUs),
          (assetId) => partitionOf(assetId, partitions) === partition,
        )
        const handle = onTelemetry({ memory, planAt, servicedAt, expectedAt, settled, gapBound: config.gapBound, counts })
        return { handle, state: keyedState(memory) }
      }
      const onDeadLetter = (partition: number, assetId: string | null) => {
        const memory = memories.get(partition)
        const asset = memory?.assets.get(assetId ?? '')
        if (memory === undefined || asset === undefined || assetId === null) return
        markDamaged(asset, memory.time.timeUs)
        remember(memory, assetId, asset)
      }
      const { snapshotEveryRecords, snapshotEveryMs } = config
      const history = retainedHistory(config, logger)
      const options = {
        service: 'features',
        input: 'telemetry',
        lendsBytes: true, // rows are copied to their lanes
        open,
        onDeadLetter,
        snapshotEveryRecords,
        snapshotEveryMs,
        history,
        standby: config.standby,
        ...(config.transactional && { transactions: { everyMs: config.transactionMs } }),
      }
      run = await runProcess<Telemetry>(log, codec, options, { logger, metrics })
    },
    async stop() {
      await run?.stop()
    },
    ended: () => run?.ended ?? Promise.resolve(),
  }
}

const countsOf = (metrics: Metrics): Counts => {
  const closed = metrics.counter('andon_features_windows_closed_total', 'Vectors emitted: closed windows and their revisions')
  const unmonitored = metrics.counter(
    'andon_features_unmonitored_total',
    'Times that an asset was found without telemetry for three windows',
  )
  const rows = metrics.counter('andon_features_rows_total', 'Sample rows by what became of them', ['outcome'])
  const malformed = metrics.counter('andon_features_malformed_blocks_total', 'Blocks that contradict themselves')
  return {
    windowsClosed: (count) => closed.inc(count),
    rows: (outcome, count) => rows.inc({ outcome }, count),
    unmonitored: (count) => unmonitored.inc(count),
    malformed: () => malformed.inc(),
  }
}
