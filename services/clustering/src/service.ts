// Wires the clustering service: models and documents as side inputs, one process over the partitions of predictions, the
// read door.

import {
  createLogger,
  createMetrics,
  followDocuments,
  followTopic,
  httpPart,
  openBlobs,
  openLog,
  openPrincipals,
  retainedHistory,
  runProcess,
} from '@andon/kit'
import type { Blobs, Codec, Documents, Follow, Log, Metrics, OpenLog, Part, Principals, Run, Service } from '@andon/kit'
import type { Models, Plant, Predictions } from '@andon/schemas'
import { keyedState, newMemory } from './asset-state.ts'
import type { PartitionMemory } from './asset-state.ts'
import { detectorSetOf } from './config.ts'
import type { ClusteringConfig } from './config.ts'
import { openClassModels } from './class-models.ts'
import type { ClassState } from './class-summaries.ts'
import { openArtefacts } from './detector-artefacts.ts'
import { detectorSetDigest } from './detector-set.ts'
import { openFaultModes } from './fault-modes.ts'
import { fitDriftWatch } from './drift-watch.ts'
import { openFitter } from './fitter/fitter.ts'
import type { Fitter } from './fitter/fitter.ts'
import { summaryRecord } from './fitter/summary-records.ts'
import { ModelCards } from './model-cards.ts'
import { onPredictions } from './on-predictions.ts'
import type { Outcome } from './on-predictions.ts'
import { openPlantWords } from './plant-words.ts'
import { readDoor } from './read-door.ts'
import { Teachings, followTeachings } from './teachings.ts'
import type { KnownFailure, TeachingsFollow } from './teachings.ts'

export const createClusteringService = (config: ClusteringConfig, open: OpenLog = () => openLog(config, 'clustering')): Service => {
  const logger = createLogger({ service: 'clustering', level: config.logLevel })
  const metrics = createMetrics('clustering', { withProcess: true })
  const set = detectorSetOf(config)
  const detectorSet = detectorSetDigest(set)
  const cards = new ModelCards()
  const [isAssigner, isFitter] = [config.role !== 'fitter', config.role !== 'assigner' && config.replayPlan === null]
  const classModels = openClassModels({
    blobs: async () => blobs,
    delayUs: config.activationDelayMs * 1000,
    onMissing: (digest, reason) => logger.error({ digest, reason }, 'fault modes in force cannot be read; their class is judged without'),
  })
  const memories = new Map<number, PartitionMemory>()
  let log: Log
  let codec: Codec
  let documents: Documents
  let models: Follow
  let blobs: Blobs
  let taught: TeachingsFollow | undefined
  let fitter: Fitter | undefined
  let principals: Principals
  let run: Run | undefined

  const inputs: Part = {
    name: 'log',
    async start() {
      ;({ log, codec } = await open())
      blobs = await openBlobs(config.blobDir)
      documents = await followDocuments(log, codec, { logger })
      taught = await followTeachings(log, codec, { logger, classOf: (assetId) => classOf(assetId) })
      if (isFitter) fitter = openFitter({ ...fitterDeps(), log, codec, blobs })
      models = await followTopic<Models>(log, codec, 'models', ({ value, timestampMs }) => {
        cards.apply(value)
        classModels.apply(value, timestampMs * 1000)
        fitter?.apply(value)
      })
      await Promise.all([documents.caughtUp(), models.caughtUp(), taught.caughtUp()])
    },
    async stop() {
      await models?.stop()
      await taught?.stop()
      await documents?.stop()
      await log?.close()
    },
    ended: async () => {
      await Promise.race([models.ended, taught?.ended ?? models.ended])
    },
  }
  const settled = async () => {
    await Promise.all([models.caughtUp(), documents.caughtUp()])
  }
  /** As of records of a time: activations and words hold a little later than they came onto the log. */
  let readUntilUs = 0
  const settledFor = async (recordUs: number): Promise<void> => {
    await taught?.settled(recordUs)
    if (recordUs - config.activationDelayMs * 1000 <= readUntilUs) return
    const askedUs = Date.now() * 1000
    await models.caughtUp()
    readUntilUs = Math.max(readUntilUs, askedUs)
  }
  const teachings = (): Teachings => taught?.teachings ?? noTeachings
  const plantAt = (timeUs: number) => documents.at<Plant>('plant', timeUs)?.value
  const { wordsOf, classOf } = openPlantWords(plantAt)
  const fitterDeps = () => ({
    models: classModels,
    settled: () => models.caughtUp(),
    taughtOf: async (classId: string, episodeIds: readonly string[]) => {
      await taught?.caughtUp()
      return taughtAbout(teachings(), classId, episodeIds)
    },
    nameOf: (modeId: string) => teachings().nameOf(modeId),
    refitEveryUs: config.refitEveryMs * 1000,
    logger,
    metrics,
    nowUs: () => Date.now() * 1000,
  })
  const { countPrediction, countFinding, countDetector, countAssignment } = countsOf(metrics)
  let partitions = 0
  /** Cumulative, so nothing waits for it: the next full hour brings what a lost one had. */
  const summarise = (state: ClassState, partition: number, hourUs: number): void => {
    const record = summaryRecord(codec, state.classId, partition, partitions, state.summary(partition, hourUs))
    log.append([record]).catch((error: unknown) => logger.warn({ err: error, classId: state.classId }, 'a class summary was not written'))
  }

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
        const faultModes = openFaultModes({
          memory,
          partition,
          classOf,
          models: classModels,
          settled: settledFor,
          teachings,
          summarised: (state, hourUs) => summarise(state, partition, hourUs),
          count: countAssignment,
        })
        const handle = onPredictions({
          memory,
          set,
          detectorSet,
          cardOf,
          artefacts,
          faultModes,
          isReplay: config.replayPlan !== null,
          wordsOf,
          settled,
          fitDrift: (prefix) => fitDriftWatch(prefix, { expectedRunWindows: config.driftRunWindows }),
          verdictOf: (episodeId, { timestampMs }) => teachings().verdictOf(episodeId, timestampMs * 1000) ?? null,
          ...counts,
        })
        return { handle, state: keyedState(memory) }
      }
      partitions = await log.admin.partitions('predictions')
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

  const fitting: Part = {
    name: 'fitter',
    start: async () => fitter?.start(),
    stop: async () => fitter?.stop(),
    ended: () => fitter?.ended ?? Promise.resolve(),
  }

  /** Only partitions that are ours now: a memory left over from before a rebalance is stale. */
  const assigned = () => (run?.assigned() ?? []).flatMap(({ partition }) => memories.get(partition) ?? [])
  const refusalOf = (classId: string): string | null => fitter?.refusalOf(classId) ?? null
  const ofModes = { models: classModels, teachings, classOf: (assetId: string) => classOf(assetId), refusalOf }
  const app = readDoor({ principals: () => principals, memories: assigned, detectorSet, logger, ...ofModes })
  const listening = httpPart({ name: 'read-door', host: config.host, port: config.httpPort, app, setting: 'CLUSTERING_HTTP_PORT' })
  const door: Part = {
    ...listening,
    start: async () => {
      principals = openPrincipals(config)
      await listening.start()
    },
  }
  return {
    name: 'clustering',
    logger,
    metrics,
    admin: { host: config.host, port: config.adminPort, setting: 'CLUSTERING_ADMIN_PORT' },
    about: () => ({ detectorSet }),
    parts: [inputs, ...(isAssigner ? [processing] : []), ...(isFitter ? [fitting] : []), door],
    replay: { parts: [inputs, processing], finished: () => processing.ended!() },
  }
}

const noTeachings = new Teachings()

const taughtAbout = (teachings: Teachings, classId: string, episodeIds: readonly string[]) => {
  const events = (known: readonly KnownFailure[]) => known.map(({ failureId, assetId, atUs }) => ({ eventId: failureId, assetId, atUs }))
  return {
    failures: events(teachings.failuresOf({ classId })),
    interventions: events(teachings.interventionsOf({ classId })),
    verdicts: Object.fromEntries(
      episodeIds.flatMap((episodeId) => {
        const verdict = teachings.verdictOf(episodeId)
        return verdict === undefined ? [] : [[episodeId, verdict]]
      }),
    ),
  }
}

const countsOf = (metrics: Metrics) => {
  const assignments = metrics.counter('andon_clustering_windows_assigned_total', 'Windows placed among the modes of their class', [
    'outcome',
  ])
  const predictions = metrics.counter('andon_clustering_predictions_total', 'Predictions by what became of them', ['outcome'])
  const findings = metrics.counter('andon_clustering_findings_total', 'Findings emitted by type', ['type'])
  const detectors = metrics.counter(
    'andon_clustering_detectors_total',
    'Detectors of assets that learnt, by kind, and such that were lost',
    ['outcome'],
  )
  return {
    countAssignment: (outcome: 'mode' | 'novel' | 'no-model') => assignments.inc({ outcome }),
    countDetector: (outcome: 'multivariate' | 'univariate' | 'lost') => detectors.inc({ outcome }),
    countPrediction: (outcome: Outcome) => predictions.inc({ outcome }),
    countFinding: (type: string) => findings.inc({ type }),
  }
}
