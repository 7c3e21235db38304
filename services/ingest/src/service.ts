// Wires ingest: log and plant file, spool and pump, then the doors. Stopped in reverse: doors, work in hand, log.

import { createLogger, createMetrics, followDocuments, loadPrincipals, openLog } from '@andon/kit'
import type { Codec, Documents, Log, Logger, Metrics, Part, Principals, Service } from '@andon/kit'
import { topology } from '@andon/schemas'
import type { Plant } from '@andon/schemas'
import { openDisk } from './adapters/disk.ts'
import { openInstanceFolder } from './adapters/instance-folder.ts'
import type { InstanceFolder } from './adapters/instance-folder.ts'
import { openSeenJournal } from './adapters/seen-journal.ts'
import type { SeenJournal } from './adapters/seen-journal.ts'
import type { Source } from './adapters/source.ts'
import { openSpool } from './adapters/spool.ts'
import { systemClock } from './clock.ts'
import type { IngestConfig } from './config.ts'
import { noDevices } from './devices.ts'
import type { DoorContext } from './doors.ts'
import { HttpRoutes } from './http-routes.ts'
import { wireIntake } from './intake.ts'
import type { IntakeWiring } from './intake.ts'
import { ingestMetrics } from './metrics.ts'
import { sourceFiles } from './source-files.ts'
import { quarantineTopic, telemetryTopic } from './records.ts'

// An append that takes longer puts everything held in doubt; ticks wait meanwhile.
const appendDeadlineMs = 5000
const quarantineRetentionMs = 90 * 86_400_000
const largestSegmentBytes = 16 * 1024 * 1024

export const createIngestService = (config: IngestConfig): Service => {
  const logger = createLogger({ service: 'ingest', level: config.logLevel })
  const metrics = createMetrics('ingest', { withProcess: true })
  const opened: Opened = {}
  const doors = doorsOf(config, opened, logger, metrics)
  return {
    name: 'ingest',
    admin: { host: config.host, port: config.adminPort, setting: 'INGEST_ADMIN_PORT' },
    logger,
    metrics,
    about: () => ({
      instance: config.instance,
      acknowledge: config.acknowledge,
      durability:
        config.acknowledge === 'spooled'
          ? 'acknowledged once the local spool has it on disk'
          : 'acknowledged once the brokers have it (acks=all)',
    }),
    parts: [
      logPart(config, opened),
      intakePart(config, opened, logger, metrics),
      plantPart(opened, logger),
      ...doors.map((door) => doorPart(door, opened)),
    ],
  }
}

/** What the parts before have opened. */
interface Opened {
  log?: Log
  codec?: Codec
  intake?: IntakeWiring
  documents?: Documents
}

const logPart = (config: IngestConfig, opened: Opened): Part => ({
  name: 'log',
  start: async () => {
    Object.assign(opened, await openLog(config, config.instance, { appendDeadlineMs }))
  },
  stop: async () => opened.log?.close(),
})

const intakePart = (config: IngestConfig, opened: Opened, logger: Logger, metrics: Metrics): Part => {
  let folder: InstanceFolder | undefined
  let journal: SeenJournal | undefined
  let failure: () => string | undefined = () => undefined
  return {
    name: 'intake',
    start: async () => {
      const log = opened.log!
      folder = await openInstanceFolder(config.dataDir, config.instance)
      const { partitions, configs } = topology.topics.telemetry
      await log.admin.ensureTopics([
        { name: telemetryTopic, partitions, configs },
        { name: quarantineTopic, partitions: 1, configs: { 'cleanup.policy': 'delete', 'retention.ms': String(quarantineRetentionMs) } },
      ])
      const clock = systemClock()
      const limits = {
        maxBytes: config.spoolMaxBytes,
        segmentBytes: Math.min(largestSegmentBytes, Math.ceil(config.spoolMaxBytes / 8)),
        segmentMs: 30_000,
      }
      const spool = await openSpool(await openDisk(folder.spoolFolder), limits, clock.monotonicMs)
      journal = await openSeenJournal(folder.seenFolder, Date.now)
      if (spool.tornBytes > 0)
        logger.warn({ tornBytes: spool.tornBytes }, 'cut a torn tail off the spool; nobody had been told that it was safe')
      if (spool.damagedBytes > 0)
        logger.error({ damagedBytes: spool.damagedBytes }, 'the spool lost acknowledged readings: its disk is damaged')
      if (spool.found.length > 0) logger.info({ records: spool.found.length }, 'the spool is sent again')
      failure = () => spool.spool.failure()?.message
      opened.intake = wireIntake({
        settings: config,
        shape: {
          codec: opened.codec!,
          instance: config.instance,
          telemetryPartitions: await log.admin.partitions(telemetryTopic),
          quarantinePartitions: await log.admin.partitions(quarantineTopic),
          skewBoundUs: config.skewBoundMs * 1000,
        },
        log,
        opened: spool,
        doorEpoch: folder.doorEpoch,
        journal,
        clock,
        logger,
        metrics: ingestMetrics(metrics),
      })
      opened.intake.pump.start()
    },
    ready: () => failure() ?? opened.intake?.refusing()?.message ?? true,
    stop: async () => {
      await opened.intake?.stop()
      await journal?.close()
      await folder?.release()
    },
  }
}

const plantPart = (opened: Opened, logger: Logger): Part => ({
  name: 'plant',
  start: async () => {
    const documents = await followDocuments(opened.log!, opened.codec!, { logger })
    opened.documents = documents
    documents.onChange(({ name, digest, value }) => {
      if (name !== 'plant') return
      opened.intake?.usePlant(value as Plant)
      logger.info({ digest }, 'plant file in use')
    })
    await documents.caughtUp()
  },
  stop: async () => opened.documents?.stop(),
})

const doorsOf = (config: IngestConfig, opened: Opened, logger: Logger, metrics: Metrics): Source[] => {
  let principals: Principals | undefined
  const context: DoorContext = {
    config,
    logger,
    metrics,
    principals: () => (principals ??= loadPrincipals(config.tokensFile)),
    sources: sourceFiles(() => opened.documents!),
    assignment: { isMine: () => true, onChange: () => () => undefined },
    devices: noDevices,
    http: new HttpRoutes(),
    documents: () => opened.documents!,
    log: () => opened.log!,
    codec: () => opened.codec!,
  }
  return config.doors.map(({ kind, settings }) => kind.open(settings as never, context))
}

const doorPart = (door: Source, opened: Opened): Part => ({
  name: door.name,
  start: () => door.start(opened.intake!.intake, opened.intake!.refusing),
  ready: () => door.ready(),
  stop: () => door.stop(),
})
