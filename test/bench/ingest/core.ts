// ingest-core: what a reading costs between a door and the log: parsed, checked, placed, packed into a block, encoded and written as an
// entry of the spool. Disk and broker are memory, so that nothing but our own work is counted. Beside it what merely parsing the same
// bytes costs, and the same readings in columns.

import { createLogger, createMetrics, localCodec } from '@andon/kit'
import type { Log } from '@andon/kit'
import { appendedList } from '@andon/kit/log/appended'
import { parsePlant } from '@andon/schemas'
import type { Delivery } from '../../../services/ingest/src/adapters/source.ts'
import type { Disk } from '../../../services/ingest/src/adapters/disk.ts'
import { wireIntake } from '../../../services/ingest/src/intake.ts'
import { ingestMetrics } from '../../../services/ingest/src/metrics.ts'
import { type Contender, costsPerWork, inProcess, ratio, run } from '../../harness/bench.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'

const SAMPLES = 20
const SAMPLE_MS = 200
const SOURCES = 16
const BATCH = 100
const CHANNELS = ['temperatureC', 'pressureBar', 'speedRpm'] as const
const START_US = 1_795_000_000_000_000

export const ingestCore: Benchmark = {
  name: 'ingest-core',
  ids: ['ingest-core', 'ingest-core-parse', 'ingest-core-columns'],
  run: async ({ samples = SAMPLES }) => {
    const work = `${BATCH} readings of ${CHANNELS.length} channels a delivery, ${SOURCES} sources, numbered`
    const sampling = { judge: 'cpu', sampleMs: SAMPLE_MS, samples } as const
    const json = await run({ id: 'ingest-core', ...sampling, ours: () => intake('json', jsonOf), peers: { parse: () => parsing() } })
    const columns = await run({
      id: 'ingest-core-columns',
      ...sampling,
      ours: () => intake('columns', columnsOf),
      peers: { json: () => intake('json', jsonOf) },
    })
    const perSecond = 1e6 / Math.min(...costsPerWork(json.ours, 'cpu'))
    const reached: Measurement = {
      id: 'ingest-core',
      score: rounded(perSecond / 100_000),
      value: rounded(perSecond),
      required: 100_000,
      unit: 'readings/CPU-s, JSON to the entry of the spool',
      samples: json.ours.length,
      detail: { work },
      isLimit: false,
    }
    const parse = { id: 'ingest-core-parse', peer: 'parse', required: 0.3, unit: 'of the readings/CPU-s of JSON.parse and an object each' }
    const inColumns = { id: 'ingest-core-columns', peer: 'json', required: 2, unit: 'x less CPU/reading than JSON' }
    return [reached, ratio(json, { ...parse, detail: { work } }), ratio(columns, { ...inColumns, detail: { work } })]
  },
}

const plant = parsePlant({
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'Europe/Berlin' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'hall' }],
  assetClasses: [{ id: 'press', featureSet: 'features/press' }],
  assets: Array.from({ length: SOURCES }, (_, i) => ({
    id: `press-${i}`,
    name: `Press ${i}`,
    line: 'line-1',
    class: 'press',
    sources: [`press-${i}-plc`],
    channels: [
      { id: CHANNELS[0], unit: 'Cel', kind: 'scalar', range: [-50, 900] },
      { id: CHANNELS[1], unit: 'bar', kind: 'scalar', range: [0, 400] },
      { id: CHANNELS[2], unit: '/min', kind: 'scalar' },
    ],
  })),
})

const valueOf = (source: number, row: number, channel: number): number => 50 + 10 * Math.sin(source + row / 50 + channel) + 0.01 * (row % 7)
const timeOf = (row: number): number => START_US - BATCH * 1000 + row * 1000

const jsonOf = (source: number): Delivery => {
  const readings = Array.from({ length: BATCH }, (_, row) => ({
    source: `press-${source}-plc`,
    epoch: 1,
    seq: row + 1,
    timeUs: timeOf(row),
    values: Object.fromEntries(CHANNELS.map((channel, i) => [channel, valueOf(source, row, i)])),
  }))
  return { door: 'http', format: 'json', payload: Buffer.from(JSON.stringify(readings)) }
}

const columnsOf = (source: number): Delivery => {
  const columns = {
    source: `press-${source}-plc`,
    epoch: 1,
    seqFrom: 1,
    rows: BATCH,
    channels: CHANNELS,
    timesUs: Float64Array.from({ length: BATCH }, (_, row) => timeOf(row)),
    values: Float64Array.from({ length: BATCH * CHANNELS.length }, (_, at) => valueOf(source, at % BATCH, Math.floor(at / BATCH))),
    bytesOf: () => Buffer.alloc(0),
  }
  return { door: 'http', columns: [columns], bytes: BATCH * 32 }
}

/** A round is one delivery of each source, all of them safe and on the log. */
const intake = async (name: string, deliveryOf: (source: number) => Delivery): Promise<Contender> => {
  const deliveries = Array.from({ length: SOURCES }, (_, source) => deliveryOf(source))
  let nowMs = 0
  let isIdle = false
  const {
    intake: take,
    edge,
    flush,
    usePlant,
  } = await wireIntake({
    settings: {
      acknowledge: 'spooled',
      inFlightMaxBytes: 1 << 28,
      lingerMs: 20,
      blockMaxRows: 2000,
      maxAheadS: 86_400,
      maxBehindDays: 3650,
    },
    shape: { codec: localCodec(), instance: 'ingest-0', telemetryPartitions: 12, quarantinePartitions: 12, skewBoundUs: 5_000_000 },
    log: forgetfulLog(),
    disk: forgetfulDisk(),
    limits: { maxBytes: 1 << 30, segmentBytes: 32 << 20, segmentMs: 30_000 },
    doorEpoch: 1,
    journal: { remembered: [], note: () => Promise.resolve() },
    clock: { nowUs: () => START_US, monotonicMs: () => nowMs, stepS: () => 0 },
    logger: createLogger({ service: 'ingest', level: 'silent' }),
    metrics: ingestMetrics(createMetrics('ingest')),
    schedule: () => undefined, // flush() is the timer
    sleep: () => {
      isIdle = true
      return Promise.resolve()
    },
  })
  const pump = async (): Promise<void> => {
    isIdle = false
    while (!isIdle) await edge.pump.step()
  }
  usePlant(plant)
  await pump()
  const rounds = async (count: number): Promise<number> => {
    let accepted = 0
    for (let round = 0; round < count; round++) {
      nowMs += 50
      const taken = deliveries.map(take)
      flush()
      for (const receipt of await Promise.all(taken)) accepted += receipt.accepted
      await pump()
    }
    if (accepted !== count * SOURCES * BATCH) throw new Error(`${name}: ${accepted} readings accepted of ${count * SOURCES * BATCH}`)
    return accepted
  }
  return inProcess(name, rounds, SOURCES * BATCH)
}

/** What any door that reads JSON does at least. */
const parsing = (): Contender => {
  const payloads = Array.from({ length: SOURCES }, (_, source) => jsonOf(source)).flatMap((each) =>
    'payload' in each ? [each.payload] : [],
  )
  let kept: unknown[] = []
  return inProcess(
    'parse',
    (rounds) => {
      let sum = 0
      for (let round = 0; round < rounds; round++) {
        for (const payload of payloads) {
          const parsed = JSON.parse(payload.toString('utf8')) as {
            source: string
            epoch: number
            seq: number
            timeUs: number
            values: object
          }[]
          kept = parsed.map(({ source, epoch, seq, timeUs, values }) => ({ source, epoch, seq, timeUs, values, quality: 0 }))
          sum += kept.length
        }
      }
      return sum
    },
    SOURCES * BATCH,
  )
}

const forgetfulLog = (): Pick<Log, 'append' | 'appender' | 'latest'> => {
  let offset = 0
  const append: Log['append'] = (records) =>
    Promise.resolve(appendedList(records.map(({ topic, partition = 0 }) => ({ topic, partition, leaderEpoch: 0, offset: offset++ }))))
  return { append, appender: () => ({ append }), latest: () => Promise.resolve({ leaderEpoch: 0, offset }) }
}

const forgetfulDisk = (): Disk => {
  const bytes = Buffer.allocUnsafeSlow(8 << 20)
  const done = () => Promise.resolve()
  return {
    list: () => Promise.resolve([]),
    read: () => Promise.resolve(Buffer.alloc(0)),
    readAt: () => Promise.resolve(Buffer.alloc(0)),
    remove: done,
    truncate: done,
    create: () =>
      Promise.resolve({ write: (written) => Promise.resolve(void written.copy(bytes)), sync: done, truncate: done, close: done }),
  }
}
