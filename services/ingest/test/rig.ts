// Ingest in memory, with the test as clock, disk, broker and device: the log and the disk can lose what was not flushed.

import { deserialize, serialize } from 'node:v8'
import { createLogger, createMetrics, openMemoryLog } from '@andon/kit'
import type { Codec, Log, MemoryLog } from '@andon/kit'
import { parsePlant } from '@andon/schemas'
import type { Block, Telemetry } from '@andon/schemas'
import type { Delivery, Receipt } from '../src/adapters/source.ts'
import type { DeviceRates } from '../src/adapters/device-rates.ts'
import type { Disk, DiskFile } from '../src/adapters/disk.ts'
import type { SpoolLimits } from '../src/adapters/spool.ts'
import { wireIntake } from '../src/intake.ts'
import type { IntakeSettings, IntakeWiring } from '../src/intake.ts'
import { ingestMetrics } from '../src/metrics.ts'
import { telemetryTopic } from '../src/records.ts'

export const plant = parsePlant({
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'Europe/Berlin' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'hall' }],
  assetClasses: [{ id: 'machine', featureSet: 'features/machine' }],
  assets: [
    {
      id: 'oven',
      name: 'Oven',
      line: 'line-1',
      class: 'machine',
      sources: ['oven-plc'],
      channels: [
        { id: 'temperatureC', unit: 'Cel', kind: 'scalar', range: [-50, 900] },
        { id: 'pressureBar', unit: 'bar', kind: 'scalar' },
      ],
    },
    {
      id: 'spindle',
      name: 'Spindle',
      line: 'line-1',
      class: 'machine',
      sources: ['spindle-vib'],
      channels: [{ id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 1000, width: 4, range: [-10, 10] }],
    },
  ],
})

/** Values as they are, so that a test reads what was written; the Avro codec has its own suite. */
export const plainCodec: Codec = {
  encode: (_topic, value) => serialize(value),
  encodeInto: (_topic, value, slab, at) => {
    const bytes = serialize(value)
    return at + bytes.length > slab.length ? slab.length - at - bytes.length : at + bytes.copy(slab, at)
  },
  decode: <T>(_topic: string, bytes: Buffer) => deserialize(bytes) as T,
  decodeAsync: async <T>(_topic: string, bytes: Buffer) => deserialize(bytes) as T,
}

/** A disk that keeps, after a power loss, what was synced and as much of the rest as the test says. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, { bytes: Buffer; synced: number }>()
  /** Returned by the next writes, e.g. ENOSPC; half of the bytes are written nevertheless. */
  fault: Error | undefined
  syncs = 0
  /** The journal of identities, always synced. */
  seen: string[] = []

  list = async () => [...this.files.keys()].toSorted()
  read = async (name: string) => Buffer.from(this.#file(name).bytes)
  readAt = async (name: string, offset: number, length: number) => Buffer.from(this.#file(name).bytes.subarray(offset, offset + length))
  remove = async (name: string) => void this.files.delete(name)
  truncate = async (name: string, length: number) => this.#cut(name, length)

  create = async (name: string): Promise<DiskFile> => {
    this.files.set(name, { bytes: Buffer.alloc(0), synced: 0 })
    return {
      write: async (bytes) => {
        await Promise.resolve()
        const file = this.#file(name)
        const written = this.fault === undefined ? bytes : bytes.subarray(0, bytes.length >> 1)
        file.bytes = Buffer.concat([file.bytes, written])
        if (this.fault !== undefined) throw this.fault
      },
      sync: async () => {
        await Promise.resolve()
        this.syncs++
        const file = this.#file(name)
        file.synced = file.bytes.length
      },
      truncate: async (length) => this.#cut(name, length),
      close: async () => undefined,
    }
  }

  /** The disk as the next process finds it; of the unsynced tail of each file `keptShare` (0 to 1) is left. */
  afterPowerLoss(keptShare: number): MemoryDisk {
    const next = new MemoryDisk()
    next.seen = [...this.seen]
    for (const [name, { bytes, synced }] of this.files) {
      const kept = synced + Math.floor((bytes.length - synced) * keptShare)
      next.files.set(name, { bytes: Buffer.from(bytes.subarray(0, kept)), synced: kept })
    }
    return next
  }

  #file(name: string) {
    const file = this.files.get(name)
    if (file === undefined) throw Object.assign(new Error(`no file ${name}`), { code: 'ENOENT' })
    return file
  }

  #cut(name: string, length: number) {
    const file = this.#file(name)
    file.bytes = file.bytes.subarray(0, length)
    file.synced = Math.min(file.synced, length)
  }
}

export const limits: SpoolLimits = { maxBytes: 1 << 20, segmentBytes: 4096, segmentMs: 30_000 }
export const startUs = 1_795_000_000_000_000

export interface RigOptions {
  readonly log?: MemoryLog
  /** Where records go when it is not the log in memory. */
  readonly broker?: Pick<Log, 'append' | 'appender' | 'latest'>
  readonly disk?: MemoryDisk
  readonly clock?: ManualClock
  readonly instance?: string
  readonly doorEpoch?: number
  readonly settings?: Partial<IntakeSettings>
  readonly partitions?: number
  /** Assets that are control-class. */
  readonly control?: readonly string[]
  /** What devices may send. */
  readonly rates?: Pick<DeviceRates, 'take' | 'isShared'>
  readonly spoolMaxBytes?: number
  /** Real timers and a running pump, for tests through a door; the test stops `wiring`. */
  readonly isRunning?: boolean
}

/** Monotonic time that only the test moves. */
export class ManualClock {
  ms = 0
  nowUs = () => startUs + Math.round(this.ms * 1000)
  monotonicMs = () => this.ms
  stepS = () => 0
}

export interface Rig {
  readonly wiring: IntakeWiring
  readonly log: MemoryLog
  readonly disk: MemoryDisk
  readonly clock: ManualClock
  send(delivery: Partial<Delivery> & { readings?: unknown }): Promise<Receipt>
  /** Runs callbacks that are due after this turn and later ones, closing all waiting blocks. */
  flush(): Promise<void>
  /** Runs the pump until it has nothing to do. */
  pump(): Promise<void>
  /** Lets a second pass, with its tick. */
  second(): Promise<void>
}

export const openRig = async (options: RigOptions = {}): Promise<Rig> => {
  const partitions = options.partitions ?? 1
  const log = options.log ?? openMemoryLog({ partitions })
  const disk = options.disk ?? new MemoryDisk()
  const clock = options.clock ?? new ManualClock()
  let resting = 0
  const wiring = await wireIntake({
    settings: {
      acknowledge: 'spooled',
      inFlightMaxBytes: 1 << 20,
      lingerMs: 20,
      blockMaxRows: 100,
      maxAheadS: 86_400,
      maxBehindDays: 3650,
      ...options.settings,
    },
    shape: {
      codec: plainCodec,
      instance: options.instance ?? 'ingest-0',
      telemetryPartitions: partitions,
      quarantinePartitions: 1,
      skewBoundUs: 5_000_000,
    },
    log: options.broker ?? log,
    disk,
    limits: { ...limits, maxBytes: options.spoolMaxBytes ?? limits.maxBytes },
    ...(options.rates === undefined ? {} : { rates: options.rates }),
    doorEpoch: options.doorEpoch ?? 1,
    journal: { remembered: [...disk.seen], note: async (identities) => void disk.seen.push(...identities) },
    clock,
    logger: createLogger({ service: 'ingest', level: 'silent' }),
    metrics: ingestMetrics(createMetrics('ingest')),
    ...(options.isRunning === true
      ? {}
      : {
          schedule: () => undefined, // flush() is the timer
          sleep: async () => {
            resting++
          },
        }),
  })
  const assets = plant.assets.map((asset) => (options.control?.includes(asset.id) ? { ...asset, priority: 'control' as const } : asset))
  wiring.usePlant({ ...plant, assets })
  if (options.isRunning === true) wiring.edge.pump.start()
  const settle = async () => {
    for (let turn = 0; turn < 6; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  const pump = async () => {
    const { pump } = wiring.edge
    resting = 0
    for (let step = 0; resting < pump.groups && step < 200; step++) {
      resting = 0
      await pump.step()
    }
  }
  return {
    wiring,
    log,
    disk,
    clock,
    send: ({ readings = [], ...rest }) =>
      wiring.intake({ door: 'nats', format: 'json', payload: Buffer.from(JSON.stringify(readings)), ...rest }),
    flush: async () => {
      wiring.flush()
      await settle()
    },
    pump,
    second: async () => {
      clock.ms += 1000
      await pump()
    },
  }
}

/** An oven reading; source time is receive time unless given. */
export const reading = (seq: number | undefined, extra: Record<string, unknown> = {}) => ({
  source: 'oven-plc',
  ...(seq === undefined ? {} : { epoch: 1, seq }),
  timeUs: startUs,
  values: { temperatureC: 20 },
  ...extra,
})

export interface LoggedRecord {
  readonly offset: number
  readonly key: string | null
  readonly value: Telemetry
  readonly id: string | undefined
}

export const logged = async (log: MemoryLog, topic = telemetryTopic, partition = 0): Promise<LoggedRecord[]> => {
  const records: LoggedRecord[] = []
  for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' })) {
    for (const record of batch.records) {
      const value =
        topic === telemetryTopic ? plainCodec.decode<Telemetry>(topic, record.value!) : ({ type: record.value!.toString() } as Telemetry)
      records.push({ offset: record.offset, key: record.key, value, id: record.header('ce_id') })
    }
  }
  return records
}

export const blocksOf = (records: readonly LoggedRecord[]): Block[] => records.flatMap(({ value }) => (value.block ? [value.block] : []))

/** Sequence numbers that lie in the log as rows, in log order. */
export const rowsOf = (records: readonly LoggedRecord[], source = 'oven-plc'): number[] =>
  blocksOf(records)
    .filter((block) => block.sourceId === source)
    .flatMap((block) => {
      const rows: number[] = []
      for (let seq = block.seqFrom; seq <= block.seqTo; seq++) if (!block.withheld.includes(seq)) rows.push(seq)
      return rows
    })
