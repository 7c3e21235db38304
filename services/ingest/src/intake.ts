// Reading → block → spool → log, wired: the whole of ingest but for its doors, the broker's client and the disk. Tests start here.

import { setTimeout as pause } from 'node:timers/promises'
import type { AndonError, Log, Logger } from '@andon/kit'
import type { Plant } from '@andon/schemas'
import type { Delivery, Intake, Receipt } from './adapters/source.ts'
import type { DeviceRates } from './adapters/device-rates.ts'
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
import { Pressure, tryAgain } from './pressure.ts'
import { controlAssets, isAllFor } from './priorities.ts'
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
  /** Absent: devices may send as they like. */
  readonly rates?: Pick<DeviceRates, 'take' | 'isShared'>
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
  /** Takes nothing more, makes what is in hand safe, and sends what it can; with `drainMs` it waits so long for an empty spool. What is not sent is sent by the next process. */
  readonly stop: (drainMs?: number) => Promise<void>
}

// A single waveform may be longer; it then has a block of its own.
const blockMaxBytes = 256 * 1024
const stopMs = 3000
// Records in the spool: their places take some 150 MB of the heap. Nothing comes to so many but readings that go to quarantine one by one.
const mostHeld = 700_000

/** Opens the spool and takes over what it holds; rejects when that is not ours to read. */
export const wireIntake = async (deps: IntakeDeps): Promise<IntakeWiring> => {
  const { settings, shape, clock, metrics } = deps
  const memory = new DoorMemory(deps.doorEpoch, clock.monotonicMs())
  const bound = new Map<string, string>()
  let lookup: PlantLookup | undefined
  let control: ReadonlySet<string> = new Set()
  let isStopping = false

  // Numbers that the door gave to rows it then could not keep. Left missing, they would hold every window of their source open.
  let unkept: { origin: Origin; seqFrom: number; seqTo: number }[] = []

  const forgetBlock = ({ identities, builder: { origin, seqFrom, seqTo } }: ClosedBlock): void => {
    memory.forget(identities)
    if (origin.epoch === memory.epoch) unkept.push({ origin, seqFrom, seqTo })
  }

  const blocks = new OpenBlocks({
    limits: { maxRows: settings.blockMaxRows, maxBytes: blockMaxBytes },
    lingerMs: settings.lingerMs,
    monotonicMs: clock.monotonicMs,
    keep: (closed) => edge.keep(blockRecord(shape, closed, control.has(closed.builder.origin.assetId))),
    lost: forgetBlock,
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
    oldestWaitingUs: () => {
      const oldestUs = new Float64Array(shape.telemetryPartitions).fill(Number.POSITIVE_INFINITY)
      for (const { assetId, oldestReceivedUs } of blocks.waiting()) {
        const partition = partitionOfAsset(shape, assetId)
        if (oldestReceivedUs < oldestUs[partition]!) oldestUs[partition] = oldestReceivedUs
      }
      return (partition) => oldestUs[partition]!
    },
    onSecond: () => {
      observe()
      withholdUnkept()
    },
  })
  const { spool, pump } = edge
  memory.restore(deps.journal.remembered)
  memory.restore(edge.restored)

  const pressure = new Pressure({
    maxBytes: settings.inFlightMaxBytes,
    spoolFullness: () => Math.max(spool.fullness(), edge.held.size / mostHeld),
  })

  const observe = () => {
    const counts = { ...edge.held.counts(), spoolBytes: spool.bytes(), inFlightBytes: pressure.bytes }
    metrics.second({ ...counts, isShared: deps.rates?.isShared() ?? false, clockStepS: clock.stepS() })
  }

  const refusing = (): AndonError | undefined => {
    if (isStopping) return tryAgain('ANDON_INGEST_STOPPING', `Ingest is stopping; ${edge.held.counts().held} records are in its spool`, 1)
    if (!pump.hasJoined) return tryAgain('ANDON_INGEST_NOT_JOINED', 'The first tick of this process is not on the log yet', 2)
    if (lookup === undefined)
      return tryAgain('ANDON_INGEST_NO_PLANT', 'No plant file is published on config; `andon plant apply` does that', 10)
    return pressure.refusing()
  }

  /** Why this delivery is not let in though others are: the room left is not for it, or its device has sent enough. */
  const refusingOne = (delivery: Delivery, bytes: number): AndonError | undefined | Promise<AndonError | undefined> => {
    const full = pressure.refusingOrdinary()
    if (full !== undefined && !isAllFor(control, delivery, (source) => lookup?.assetOf(source))) return full
    return delivery.isOwn
      ? undefined
      : deps.rates?.take(delivery.device?.id ?? delivery.source ?? delivery.principal ?? delivery.door, bytes)
  }

  const take = onReading({
    refusing,
    lookup: () => lookup!, // refusing() has seen it
    blocks,
    memory,
    quarantine: (...refused) => edge.keep(quarantineRecord(shape, ...refused)),
    clock,
    maxAheadUs: settings.maxAheadS * 1e6,
    maxBehindUs: settings.maxBehindDays * 86_400e6,
    observe: metrics.received,
  })

  let inHand = 0
  const letIn = async (delivery: Delivery, asked: AndonError | Promise<AndonError | undefined>) => {
    const refused = await asked
    if (refused !== undefined) throw refused
    return take(delivery)
  }
  const intake = (delivery: Delivery): Promise<Receipt> => {
    const startedMs = clock.monotonicMs()
    const bytes = 'payload' in delivery ? delivery.payload.length : delivery.bytes
    const asked = refusingOne(delivery, bytes)
    const taken = asked === undefined ? take(delivery) : letIn(delivery, asked)
    pressure.enter(bytes)
    inHand++
    const answer = () => {
      inHand--
      pressure.leave(bytes)
      metrics.acknowledged(delivery.door, (clock.monotonicMs() - startedMs) / 1000)
    }
    return taken.then(
      (receipt) => {
        answer()
        return receipt
      },
      (error: unknown) => {
        metrics.refused(delivery.door)
        answer()
        throw error
      },
    )
  }

  return {
    intake,
    refusing,
    usePlant: (plant) => {
      lookup = plantLookup(plant, bound)
      control = controlAssets(plant)
    },
    edge,
    flush: () => blocks.flush(),
    stop: async (drainMs) => {
      isStopping = true
      blocks.flush()
      const until = clock.monotonicMs() + stopMs
      while (inHand > 0 && clock.monotonicMs() < until) await pause(1)
      await edge.stop(stopMs, drainMs)
    },
  }
}

const schedule = (afterMs: number, callback: () => void): void => {
  if (afterMs === 0) setImmediate(callback)
  else setTimeout(callback, afterMs)
}
