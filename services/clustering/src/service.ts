// Wires the clustering service: models and documents as side inputs, one process over the partitions of predictions, the
// read door.

import {
  createLogger,
  createMetrics,
  followDocuments,
  followTopic,
  httpPart,
  loadPrincipals,
  openBlobs,
  openLog,
  retainedHistory,
  runProcess,
} from '@andon/kit'
import type { Blobs, Codec, Documents, Follow, Log, Metrics, OpenLog, Part, Principals, Run, Service } from '@andon/kit'
import type { Models, Plant, Predictions } from '@andon/schemas'
import { keyedState, newMemory } from './asset-state.ts'
import type { PartitionMemory } from './asset-state.ts'
import { detectorSetOf } from './config.ts'
import type { ClusteringConfig } from './config.ts'
import { openArtefacts } from './detector-artefacts.ts'
import { detectorSetDigest } from './detector-set.ts'
import { assetWords } from './finding.ts'
import { ModelCards } from './model-cards.ts'
import { onPredictions } from './on-predictions.ts'
import type { Outcome } from './on-predictions.ts'
import { readDoor } from './read-door.ts'

export const createClusteringService = (config: ClusteringConfig, open: OpenLog = () => openLog(config, 'clustering')): Service => {
  const logger = createLogger({ service: 'clustering', level: config.logLevel })
  const metrics = createMetrics('clustering', { withProcess: true })
  const set = detectorSetOf(config)
  const detectorSet = detectorSetDigest(set)
  const cards = new ModelCards()
  const memories = new Map<number, PartitionMemory>()
  let log: Log
  let codec: Codec
  let documents: Documents
  let models: Follow
  let blobs: Blobs
  let principals: Principals
  let run: Run | undefined

  const inputs: Part = {
    name: 'log',
    async start() {
      ;({ log, codec } = await open())
      blobs = await openBlobs(config.blobDir)
      documents = await followDocuments(log, codec, { logger })
      models = await followTopic<Models>(log, codec, 'models', ({ value }) => cards.apply(value))
      await Promise.all([documents.caughtUp(), models.caughtUp()])
    },
    async stop() {
      await models?.stop()
      await documents?.stop()
      await log?.close()
    },
    ended: () => models.ended,
  }
  const settled = async () => {
    await Promise.all([models.caughtUp(), documents.caughtUp()])
  }
  const wordsOf = (assetId: string, timeUs: number) => assetWords(documents.at<Plant>('plant', timeUs)?.value, assetId)
  const { countPrediction, countFinding, countDetector } = countsOf(metrics)

  const processing: Part = {
    name: 'predictions',
    ready: () => run !== undefined,
    async start() {
      const open = (partition: number) => {
        const memory = newMemory()
        memories.set(partition, memory)
        const cardOf = (digest: string) => cards.of(digest)
        const artefacts = openArtefacts(blobs, (digest, error) => {
          countDetector('lost')
          logger.warn({ digest, err: error, partition }, 'the blob store has lost what a detector learnt; its asset is learnt anew')
        })
        const counts = { countPrediction, countFinding, countDetector }
        const handle = onPredictions({ memory, set, detectorSet, cardOf, artefacts, wordsOf, settled, ...counts })
        return { handle, state: keyedState(memory) }
      }
      const { snapshotEveryRecords, snapshotEveryMs } = config
      const history = retainedHistory(config, logger)
      const options = {
        service: 'clustering',
        input: 'predictions',
        open,
        snapshotEveryRecords,
        snapshotEveryMs,
        history,
        standby: config.standby,
      }
      run = await runProcess<Predictions>(log, codec, options, { logger, metrics })
    },
    async stop() {
      await run?.stop()
    },
    ended: () => run?.ended ?? Promise.resolve(),
  }

  /** Only partitions that are ours now: a memory left over from before a rebalance is stale. */
  const assigned = () => (run?.assigned() ?? []).flatMap(({ partition }) => memories.get(partition) ?? [])
  const app = readDoor({ principals: () => principals, memories: assigned, set, detectorSet, logger })
  const listening = httpPart({ name: 'read-door', host: config.host, port: config.httpPort, app, setting: 'CLUSTERING_HTTP_PORT' })
  const door: Part = {
    ...listening,
    start: async () => {
      principals = loadPrincipals(config.tokensFile)
      await listening.start()
    },
  }
  return {
    name: 'clustering',
    logger,
    metrics,
    admin: { host: config.host, port: config.adminPort, setting: 'CLUSTERING_ADMIN_PORT' },
    about: () => ({ detectorSet }),
    parts: [inputs, processing, door],
    replay: { parts: [inputs, processing], finished: () => processing.ended!() },
  }
}

const countsOf = (metrics: Metrics) => {
  const predictions = metrics.counter('andon_clustering_predictions_total', 'Predictions by what became of them', ['outcome'])
  const findings = metrics.counter('andon_clustering_findings_total', 'Findings emitted by type', ['type'])
  const detectors = metrics.counter(
    'andon_clustering_detectors_total',
    'Detectors of assets that learnt, by kind, and such that were lost',
    ['outcome'],
  )
  return {
    countDetector: (outcome: 'multivariate' | 'univariate' | 'lost') => detectors.inc({ outcome }),
    countPrediction: (outcome: Outcome) => predictions.inc({ outcome }),
    countFinding: (type: string) => findings.inc({ type }),
  }
}
