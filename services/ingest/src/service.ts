// Wires ingest: log and plant file, spool and pump, then the doors. Stopped in reverse: doors, work in hand, log.

import { createLogger, createMetrics, followDocuments, loadPrincipals, openLog } from '@andon/kit'
import type { AndonError, Codec, Documents, Log, Logger, Metrics, Part, Service } from '@andon/kit'
import { topology } from '@andon/schemas'
import type { Plant } from '@andon/schemas'
import { groupAssignment } from './adapters/assignment.ts'
import { deviceRates } from './adapters/device-rates.ts'
import type { DeviceRates } from './adapters/device-rates.ts'
import { mountAmendments } from './adapters/amend.ts'
import { openDisk } from './adapters/disk.ts'
import { openInstanceFolder } from './adapters/instance-folder.ts'
import type { InstanceFolder } from './adapters/instance-folder.ts'
import { openSeenJournal } from './adapters/seen-journal.ts'
import type { SeenJournal } from './adapters/seen-journal.ts'
import type { Intake, Source } from './adapters/source.ts'
import { systemClock } from './clock.ts'
import type { IngestConfig } from './config.ts'
import { devicesPart } from './devices/part.ts'
import type { DevicesPart } from './devices/part.ts'
import { siteObjection } from './devices/site-rule.ts'
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
  const http = new HttpRoutes()
  const principals = onFirstUse(() => loadPrincipals(config.tokensFile))
  const log = () => opened.log!
  const codec = () => opened.codec!
  const devices = devicesPart({ config, http, log, codec, principals, logger, metrics })
  const assignment = groupAssignment({ log, logger })
  const context: DoorContext = {
    config,
    logger,
    metrics,
    principals,
    sources: sourceFiles(() => opened.documents!),
    assignment,
    devices: devices.devices,
    http,
    documents: () => opened.documents!,
    log,
    codec,
  }
  mountAmendments(http, { principals, documents: context.documents, logger, intake: (delivery) => opened.intake!.intake(delivery) })
  const doors = config.doors.map(({ kind, settings }) => kind.open(settings as never, context))
  return {
    name: 'ingest',
    stopWithinMs: 10_000 + drainMsOf(config),
    admin: { host: config.adminHost ?? config.host, port: config.adminPort, setting: 'INGEST_ADMIN_PORT' },
    logger,
    metrics,
    about: () => ({
      instance: config.instance,
      acknowledge: config.acknowledge,
      doors:
        devices.devices.tls === undefined
          ? 'PLAIN: devices are not asked who they are; loopback only'
          : 'secure: TLS, devices by certificate',
      ...(config.cluster === null ? {} : { cluster: config.cluster }),
      durability:
        config.acknowledge === 'spooled'
          ? 'acknowledged once the local spool has it on disk'
          : 'acknowledged once the brokers have it (acks=all)',
    }),
    parts: [
      logPart(config, opened),
      intakePart(config, opened, logger, metrics),
      { name: 'assignment', start: () => Promise.resolve(), stop: () => assignment.close() }, // it starts when a door asks
      plantPart(config, opened, devices, logger),
      devices,
      ...doors.map((door) => doorPart(door, opened)),
    ],
  }
}

const drainMsOf = ({ drainOnStop, drainMaxS }: IngestConfig): number => (drainOnStop ? drainMaxS * 1000 : 0)

/** What the parts before have opened. */
interface Opened {
  log?: Log
  codec?: Codec
  intake?: IntakeWiring
  documents?: Documents
  siteObjection?: AndonError | undefined
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
  let rates: DeviceRates | undefined
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
      if (config.deviceBytesPerS > 0) rates = deviceRates({ ...config, bytesPerS: config.deviceBytesPerS, logger })
      journal = await openSeenJournal(folder.seenFolder, Date.now)
      const { edge } = (opened.intake = await wireIntake({
        settings: config,
        shape: {
          codec: opened.codec!,
          instance: config.instance,
          telemetryPartitions: await log.admin.partitions(telemetryTopic),
          quarantinePartitions: await log.admin.partitions(quarantineTopic),
          skewBoundUs: config.skewBoundMs * 1000,
        },
        log,
        disk: await openDisk(folder.spoolFolder),
        limits,
        doorEpoch: folder.doorEpoch,
        ...(rates === undefined ? {} : { rates }),
        journal,
        clock,
        logger,
        metrics: ingestMetrics(metrics),
      }))
      failure = () => edge.spool.failure()?.message
      edge.pump.start()
    },
    ready: () => failure() ?? opened.intake?.refusing()?.message ?? true,
    stop: async () => {
      await opened.intake?.stop(drainMsOf(config))
      await journal?.close()
      await rates?.close()
      await folder?.release()
    },
  }
}

const plantPart = (config: IngestConfig, opened: Opened, devices: DevicesPart, logger: Logger): Part => ({
  name: 'plant',
  start: async () => {
    const documents = await followDocuments(opened.log!, opened.codec!, { logger })
    opened.documents = documents
    documents.onChange(({ name, digest, value }) => {
      if (name !== 'plant') return
      const plant = value as Plant
      opened.siteObjection = siteObjection(plant, config.cluster)
      if (opened.siteObjection) logger.error({ code: opened.siteObjection.code }, opened.siteObjection.message)
      opened.intake?.usePlant(plant)
      devices.usePlant(plant)
      logger.info({ digest }, 'plant file in use')
    })
    await documents.caughtUp()
  },
  stop: async () => opened.documents?.stop(),
})

/** Takes nothing of a site whose data may not reach this cluster. */
const guarded =
  (opened: Opened): Intake =>
  (delivery) =>
    opened.siteObjection === undefined ? opened.intake!.intake(delivery) : Promise.reject(opened.siteObjection)

const onFirstUse = <T>(make: () => T): (() => T) => {
  let made: T | undefined
  return () => (made ??= make())
}

const doorPart = (door: Source, opened: Opened): Part => ({
  name: door.name,
  start: () => door.start(guarded(opened), () => opened.siteObjection ?? opened.intake!.refusing()),
  ready: () => door.ready(),
  stop: () => door.stop(),
})
