// Reading → block → spool → log, wired: the whole of ingest but for its doors, the broker's client and the disk. Tests start here.

import { setTimeout as pause } from 'node:timers/promises'
import { AndonError } from '@andon/kit'
import type { Log, Logger } from '@andon/kit'
import type { Plant } from '@andon/schemas'
import type { Delivery, Intake } from './adapters/source.ts'
import type { Disk } from './adapters/disk.ts'
import type { SeenJournal } from './adapters/seen-journal.ts'
import type { SpoolLimits } from './adapters/spool.ts'
import type { Origin } from './block-builder.ts'
import type { Clock } from './clock.ts'
import { DoorMemory } from './door-memory.ts'
import { openEdge } from './edge.ts'
import type { Edge } from './edge.ts'
import type { AcknowledgeWhen } from './keeper.ts'
import type { IngestMetrics } from './metrics.ts'
import { onReading } from './on-reading.ts'
import { OpenBlocks } from './open-blocks.ts'
import type { ClosedBlock } from './open-blocks.ts'
import { plantLookup } from './plant-lookup.ts'
import type { PlantLookup } from './plant-lookup.ts'
import { blockRecord, partitionOfAsset, quarantineRecord } from './records.ts'
import type { RecordShape } from './records.ts'

export interface IntakeSettings {
  readonly acknowledge: AcknowledgeWhen
  readonly inFlightMaxBytes: number
  readonly lingerMs: number
  readonly blockMaxRows: number
  readonly maxAheadS: number
  readonly maxBehindDays: number
}

export interface IntakeDeps {
  readonly settings: IntakeSettings
  readonly shape: RecordShape
  readonly log: Pick<Log, 'append' | 'appender' | 'latest'>
  readonly disk: Disk
  readonly limits: SpoolLimits
  readonly doorEpoch: number
  readonly journal: Pick<SeenJournal, 'remembered' | 'note'>
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: IngestMetrics
  /** Timers, for tests that are the clock. */
  readonly schedule?: (afterMs: number, callback: () => void) => void
  readonly sleep?: (ms: number) => Promise<void>
}

export interface IntakeWiring {
  readonly intake: Intake
  /** Undefined while deliveries are taken, else why they are not. */
  readonly refusing: () => AndonError | undefined
  /** The plant file changed. Nothing is taken before the first one. */
  readonly usePlant: (plant: Plant) => void
  readonly edge: Edge
  /** Closes the blocks that wait now. */
  readonly flush: () => void
  /** Takes nothing more, makes what is in hand safe, and sends what it can. What is not sent is sent by the next process. */
  readonly stop: () => Promise<void>
}

// A single waveform may be longer; it then has a block of its own.
const blockMaxBytes = 256 * 1024
const stopMs = 3000

/** Opens the spool and takes over what it holds; rejects when that is not ours to read. */
export const wireIntake = async (deps: IntakeDeps): Promise<IntakeWiring> => {
  const { settings, shape, clock, metrics } = deps
  const memory = new DoorMemory(deps.doorEpoch, clock.monotonicMs())
  const bound = new Map<string, string>()
  let lookup: PlantLookup | undefined
  let inFlightBytes = 0
  let isStopping = false

  // Numbers that the door gave to rows it then could not keep. Left missing, they would hold every window of their source open.
  let unkept: { origin: Origin; seqFrom: number; seqTo: number }[] = []

  const keepBlock = async (closed: ClosedBlock): Promise<void> => {
    try {
      await edge.keep(blockRecord(shape, closed))
    } catch (error) {
      memory.forget(closed.identities)
      const { origin, seqFrom, seqTo } = closed.builder
      if (origin.epoch === memory.epoch) unkept.push({ origin, seqFrom, seqTo })
      throw error
    }
  }

  const blocks = new OpenBlocks({
    limits: { maxRows: settings.blockMaxRows, maxBytes: blockMaxBytes },
    lingerMs: settings.lingerMs,
    monotonicMs: clock.monotonicMs,
    keep: keepBlock,
    schedule: deps.schedule ?? schedule,
  })

  const withholdUnkept = () => {
    if (unkept.length === 0 || edge.spool.failure() !== undefined) return
    const ranges = unkept
    unkept = []
    for (const { origin, seqFrom, seqTo } of ranges) {
      for (let seq = seqFrom; seq <= seqTo; seq++) void blocks.withhold(origin, seq, clock.nowUs()) // a failure comes back to unkept
    }
  }

  const edge = await openEdge({
    ...deps,
    acknowledge: settings.acknowledge,
    oldestWaitingUs: (partition) => {
      let oldestUs = Number.POSITIVE_INFINITY
      for (const { assetId, oldestReceivedUs } of blocks.waiting()) {
        if (oldestReceivedUs < oldestUs && partitionOfAsset(shape, assetId) === partition) oldestUs = oldestReceivedUs
      }
      return oldestUs
    },
    onSecond: withholdUnkept,
  })
  const { spool, pump } = edge
  memory.restore(deps.journal.remembered)
  memory.restore(edge.restored)

  const refusing = (): AndonError | undefined => {
    if (isStopping) return retriable('ANDON_INGEST_STOPPING', 'Ingest is stopping')
    if (!pump.hasJoined) return retriable('ANDON_INGEST_NOT_JOINED', 'The first tick of this process is not on the log yet')
    if (lookup === undefined)
      return retriable('ANDON_INGEST_NO_PLANT', 'No plant file is published on config; `andon plant apply` does that')
    if (spool.fullness() >= 1)
      return retriable(
        'ANDON_INGEST_SPOOL_FULL',
        'The spool is full: the broker has been away for too long, or INGEST_SPOOL_MAX_BYTES is too small',
      )
    if (inFlightBytes >= settings.inFlightMaxBytes)
      return retriable('ANDON_INGEST_BUSY', 'Too many readings at once (INGEST_IN_FLIGHT_MAX_BYTES)', 429)
    return undefined
  }

  const take = onReading({
    refusing,
    lookup: () => lookup!, // refusing() has seen it
    blocks,
    memory,
    quarantine: (delivery, bytes, refusal, receivedUs) => edge.keep(quarantineRecord(shape, delivery, bytes, refusal, receivedUs)),
    clock,
    maxAheadUs: settings.maxAheadS * 1e6,
    maxBehindUs: settings.maxBehindDays * 86_400e6,
    observe: metrics.received,
  })

  const inHand = new Set<Promise<unknown>>()
  const intake = async (delivery: Delivery) => {
    const startedMs = clock.monotonicMs()
    const taken = take(delivery)
    const bytes = 'payload' in delivery ? delivery.payload.length : delivery.bytes
    inFlightBytes += bytes
    inHand.add(taken)
    try {
      return await taken
    } catch (error) {
      metrics.refused(delivery.door)
      throw error
    } finally {
      inHand.delete(taken)
      inFlightBytes -= bytes
      metrics.acknowledged(delivery.door, (clock.monotonicMs() - startedMs) / 1000)
    }
  }

  return {
    intake,
    refusing,
    usePlant: (plant) => {
      lookup = plantLookup(plant, bound)
    },
    edge,
    flush: () => blocks.flush(),
    stop: async () => {
      isStopping = true
      blocks.flush()
      await Promise.race([Promise.allSettled(inHand), pause(stopMs, undefined, { ref: false })])
      await edge.stop(stopMs)
    },
  }
}

const retriable = (code: string, message: string, status = 503) => new AndonError(code, message, { retriable: true, status })

const schedule = (afterMs: number, callback: () => void): void => {
  if (afterMs === 0) setImmediate(callback)
  else setTimeout(callback, afterMs)
}
