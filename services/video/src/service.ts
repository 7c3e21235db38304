// Wires video: log, one recorder per camera of the plant file, frame telemetry with ticks, evidence orders, the HTTP door.
// Stopped in reverse: door, evidence in hand, telemetry, recorders, log.

import { join } from 'node:path'
import {
  createLogger,
  createMetrics,
  followTopic,
  httpPart,
  openBlobs,
  openLog,
  openPrincipals,
  type Blobs,
  type Codec,
  type Follow,
  type Log,
  type OpenLog,
  type Part,
  type Principals,
  type Service,
} from '@andon/kit'
import { parsePlant, topology, type Actions, type Camera, type Config } from '@andon/schemas'
import { ffmpegVersion } from './adapters/ffmpeg.ts'
import { openCameras, type Cameras } from './cameras.ts'
import type { VideoConfig } from './config.ts'
import { createEvidenceOrders } from './evidence-orders.ts'
import { frameTelemetry, type FrameTelemetry } from './frame-telemetry.ts'
import { cameraView, createDoor } from './http-door.ts'
import { videoMetrics } from './metrics.ts'
import { evidenceService, type EvidenceService } from './on-actions.ts'

/** Adapters a test may put in the place of Kafka and the registry. */
export interface VideoAdapters {
  readonly openLog: OpenLog
}

const tickEveryMs = 1000

export const createVideoService = (config: VideoConfig, adapters: VideoAdapters = kafkaAdapters(config)): Service => {
  const logger = createLogger({ service: 'video', level: config.logLevel })
  const metrics = createMetrics('video', { withProcess: true })
  const counted = videoMetrics(metrics)
  const orders = createEvidenceOrders()
  const startUs = Date.now() * 1000
  const startMonotonicMs = performance.now()
  // Wall clock at start plus monotonic time: a tick never goes back.
  const nowUs = () => startUs + Math.round((performance.now() - startMonotonicMs) * 1000)

  let log: Log
  let codec: Codec
  let version = ''
  let blobs: Blobs
  let principals: Principals
  let cameras: Cameras
  let telemetry: FrameTelemetry
  let evidence: EvidenceService
  let seconds: NodeJS.Timeout | undefined
  let second: Promise<void> = Promise.resolve()
  const follows: Follow[] = []
  let actions: Follow | undefined

  const logPart: Part = {
    name: 'log',
    async start() {
      version = await ffmpegVersion()
      blobs = await openBlobs(config.blobDir)
      principals = openPrincipals(config)
      ;({ log, codec } = await adapters.openLog())
      const { partitions, configs } = topology.topics.telemetry
      await log.admin.ensureTopics([{ name: 'telemetry', partitions, configs }])
    },
    stop: async () => log?.close(),
  }

  const cameraPart: Part = {
    name: 'cameras',
    async start() {
      cameras = openCameras({
        wanted: config.cameraIds,
        folder: join(config.dataDir, 'video'),
        ringUs: config.ringMinutes * 60e6,
        stallMs: config.stallS * 1000,
        logger,
        onFrame: (cameraId, reading) => telemetry?.add(cameraId, reading),
        onSegment: (cameraId, segment) => {
          counted.segments.inc({ camera: cameraId })
          counted.bytes.inc({ camera: cameraId }, segment.bytes)
        },
        onLost: (cameraId) => counted.losses.inc({ camera: cameraId }),
      })
      telemetry = frameTelemetry({
        log,
        codec,
        logger,
        instance: config.instance,
        telemetryPartitions: await log.admin.partitions('telemetry'),
        epoch: Math.floor(startUs / 1e6),
        nowUs,
      })
      // Of the files published before this start only the newest matters.
      let isCaughtUp = false
      let newest: readonly Camera[] = []
      const onConfig = async ({ value }: { readonly value: Config }) => {
        if (value.name !== 'plant') return
        try {
          newest = parsePlant(value.body).cameras
          if (isCaughtUp) await cameras.use(newest)
        } catch (error) {
          logger.error({ err: error, digest: value.digest }, 'the plant file cannot be followed, cameras stay as they are')
        }
      }
      // After a lost tail the plant file that is left is used like any other.
      const plants = await followTopic<Config>(log, codec, 'config', onConfig, { onReset: () => undefined })
      follows.push(plants)
      await plants.caughtUp()
      isCaughtUp = true
      await cameras.use(newest)
      const tick = () => {
        second = second.then(() => telemetry.second())
        counted.show(cameras.list().map((each) => cameraView(each, config.frozenAfterS)))
      }
      seconds = setInterval(tick, tickEveryMs)
    },
    async stop() {
      clearInterval(seconds)
      await Promise.all(follows.map((follow) => follow.stop()))
      await cameras?.stop()
      await second
    },
    ready: () => cameras !== undefined,
  }

  const evidencePart: Part = {
    name: 'evidence',
    async start() {
      evidence = evidenceService({
        log,
        codec,
        logger,
        orders,
        tools: { blobs, workDir: join(config.dataDir, 'video', '.work'), ffmpegVersion: version },
        recorder: (cameraId) => cameras.recorder(cameraId),
        waitUs: config.evidenceWaitS * 1e6,
        onAnswered: (outcome, afterS) => {
          counted.evidence.inc({ outcome })
          counted.evidenceSeconds.observe(Math.max(0, afterS))
        },
      })
      actions = await followTopic<Actions>(log, codec, 'actions', (input) => evidence.next(input))
      follows.push(actions)
      await actions.caughtUp()
      evidence.begin()
    },
    stop: async () => evidence?.stop(),
    ended: () => actions?.ended ?? Promise.resolve(), // orders that are gone from the log: a restart reads what is left
  }

  const app = createDoor({
    cameras: () => cameras.list(),
    orders,
    blobs: () => blobs,
    principals: () => principals,
    logger,
    frozenAfterS: config.frozenAfterS,
  })
  return {
    name: 'video',
    parts: [
      logPart,
      cameraPart,
      evidencePart,
      httpPart({ name: 'http', host: config.host, port: config.httpPort, app, setting: 'VIDEO_HTTP_PORT' }),
    ],
    admin: { host: config.host, port: config.adminPort, setting: 'VIDEO_ADMIN_PORT' },
    logger,
    metrics,
    about: () => ({ instance: config.instance, ffmpeg: version, ringMinutes: config.ringMinutes }),
  }
}

const kafkaAdapters = (config: VideoConfig): VideoAdapters => ({ openLog: () => openLog(config, config.instance) })
