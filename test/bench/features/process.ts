// P9, P9t: topic → features → topic. What the features service runs between its topics - with its settings, windows in memory, snapshots on its
// changelog - works through a field of blocks with headers, against kafkajs that copies the same records and does nothing else.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCodec, openKafkaLog } from '@andon/kit'
import type { Log } from '@andon/kit'
import { freePorts, startRedis } from '@andon/platform'
import type { Features } from '@andon/schemas'
import { type Contender, type Judge, PeerMissing, type Race, against, progress, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import { pythonWith } from '../../harness/python.ts'
import type { Benchmark } from '../benchmark.ts'
import { type Bench, newTopic, smallTopic, withBroker } from '../core/broker.ts'
import {
  HOP_ROWS,
  PARTITIONS,
  ROWS,
  START_US,
  STATISTICS,
  STEP_US,
  WINDOW_ROWS,
  assetId,
  describeField,
  fillField,
  valueAt,
} from './field.ts'
import { checkVector, isNear, momentsOf } from './oracle.ts'

const ASSETS = 1200
/** Records of one sample: as many as make every partition write a snapshot round, so that no sample goes without. */
const PER_ROUND = 5000 * PARTITIONS
const SAMPLES = 6
const WARM_UPS = 2
/** Rounds beside these: one before vectors are checked, and one that tells how many fill a sample. */
const OTHER_ROUNDS = 2
/** What was fetched is handled whole, so a round goes on for up to this many more: a partition's fetch of 1 MiB from each. */
const MOST_BEYOND = 1000 * PARTITIONS
/** Each contender reads its way through the topic once, and never to its end. */
const BLOCKS = Math.ceil(((SAMPLES + WARM_UPS + OTHER_ROUNDS) * (PER_ROUND + MOST_BEYOND)) / ASSETS)
const WORK = `${ASSETS} assets, one channel x ${ROWS} float32 a block, ${PARTITIONS} partitions, ten headers; ${STATISTICS.join('/')} over ${WINDOW_ROWS} rows each ${HOP_ROWS}`

/** One broker and one Redis, used by services that each have a namespace and a field of their own. */
interface Stand extends Bench {
  readonly redisUrl: string
}

const withStand = <T>(use: (stand: Stand) => Promise<T>): Promise<T> =>
  withBroker(async (bench) => {
    const redis = await startRedis()
    try {
      return await use({ ...bench, redisUrl: redis.url })
    } finally {
      await redis.stop()
    }
  })

let fields = 0

/** A namespace with a field that nobody has read yet. */
const newField = async ({ broker, registryUrl }: Stand): Promise<string> => {
  const namespace = `field-${++fields}.`
  const startedMs = performance.now()
  const log = await openKafkaLog({ brokers: [broker], clientId: 'bench', namespace })
  try {
    const codec = await openCodec({ registryUrl, namespace })
    await describeField(log, codec, ASSETS, smallTopic('features', PARTITIONS))
    const records = await fillField(log, codec, ASSETS, BLOCKS)
    progress(`${namespace}telemetry: ${records} records in ${Math.round((performance.now() - startedMs) / 1000)} s`)
    return namespace
  } finally {
    await log.close()
  }
}

const QUIX = ['quixstreams==3.28.1'] as const
const QUIX_SERIES = 100
const QUIX_PER_ROUND = 4000
const QUIX_ROWS = 3000

/** quixstreams on a topic of single values. */
const quix = async ({ broker, log, folder }: Stand): Promise<Contender> => {
  const { interpreter, missing } = await pythonWith(QUIX)
  if (missing !== false) throw new PeerMissing(missing)
  const [from, to] = [await newTopic(log, 'values', 1), await newTopic(log, 'windows', 1)]
  for (let row = 0; row < QUIX_ROWS; row++) {
    const records = Array.from({ length: QUIX_SERIES }, (_, asset) => {
      const value = Buffer.alloc(8)
      value.writeDoubleBE(valueAt(asset, row))
      return { topic: from, partition: 0, key: assetId(asset), value, timestampMs: (START_US + row * STEP_US) / 1000 }
    })
    await log.append(records)
  }
  const args = [broker, from, to, String(QUIX_PER_ROUND), join(folder, `quix-${from}`)]
  const command = [interpreter, join(import.meta.dirname, 'workers', 'quix.py'), ...args] as const
  const contender = await processContender({ name: 'quixstreams', command })
  await contender.run(QUIX_ROUNDS_CHECKED)
  for (let tries = 0; (await checkQuix(log, to)) === 0; tries++) {
    if (tries === 50) throw new Error('quixstreams gave no window within 10 s')
    await sleep(200)
  }
  return contender
}

/** Enough for windows to close. */
const QUIX_ROUNDS_CHECKED = 4

const checkQuix = async (log: Log, topic: string): Promise<number> => {
  let checked = 0
  for await (const batch of log.read({ topic, partition: 0, from: 'earliest', to: 'latest' })) {
    for (let i = 0; i < batch.count; i++) {
      const asset = Number(batch.keyAt(i)?.split('-')[1])
      const { start, end, ...found } = JSON.parse(String(batch.valueAt(i))) as Record<'start' | 'end' | 'mean' | 'min' | 'max', number>
      const first = Math.max(0, start - START_US / 1000)
      const rows = Array.from({ length: end - START_US / 1000 - first }, (_, row) => valueAt(asset, first + row))
      const expected = momentsOf(rows)
      for (const statistic of ['mean', 'min', 'max'] as const)
        if (!isNear(found[statistic], expected[statistic]))
          throw new Error(`quixstreams, ${batch.keyAt(i)} to ${end}: ${statistic} is ${found[statistic]}, expected ${expected[statistic]}`)
      checked++
    }
  }
  return checked
}

/** Samples instead of records. */
const perSample = (contender: Contender): Contender => ({
  ...contender,
  run: async (rounds) => {
    const cost = await contender.run(rounds)
    return { ...cost, work: cost.work * ROWS }
  },
})

export const streaming: Benchmark = {
  name: 'features-streaming',
  ids: ['P8r-quixstreams'],
  run: ({ samples = SAMPLES }) =>
    withStand(async (stand): Promise<Measurement[]> => {
      const race = await run({
        id: 'features-streaming',
        judge: 'cpu',
        ...SAMPLING,
        samples: Math.min(samples, SAMPLES),
        ours: async () => perSample(await features(stand, 'features')),
        peers: { quixstreams: () => quix(stand) },
      })
      const work = `ours: ${WORK}; quixstreams: a value a record, mean, min and max alone, ${QUIX_SERIES} keys, no changelog`
      return [
        ratio(race, {
          id: 'P8r-quixstreams',
          peer: 'quixstreams',
          required: 10,
          unit: 'x less CPU/sample than quixstreams',
          detail: { work },
        }),
      ]
    }),
}

const serviceFile = join(import.meta.dirname, 'workers', 'service.ts')

/** The service on a field of its own, its first vectors compared with numbers made another way. */
const features = async (stand: Stand, name: string, settings: Readonly<Record<string, string>> = {}): Promise<Contender> => {
  const namespace = await newField(stand)
  const folder = join(stand.folder, namespace)
  mkdirSync(folder, { recursive: true })
  const [adminPort] = await freePorts(1)
  const contender = await processContender({
    name,
    command: [process.execPath, ...nodeOptions(namespace), serviceFile, String(PER_ROUND)],
    env: {
      ANDON_KAFKA_BROKERS: stand.broker,
      ANDON_REGISTRY_URL: stand.registryUrl,
      ANDON_REDIS_URL: stand.redisUrl,
      ANDON_NAMESPACE: namespace,
      ANDON_BLOB_DIR: join(folder, 'blobs'),
      ANDON_DATA_DIR: join(folder, 'data'),
      ANDON_LOG_LEVEL: 'warn',
      ANDON_PARENT_PID: String(process.pid),
      FEATURES_ADMIN_PORT: String(adminPort),
      FEATURES_SNAPSHOT_EVERY_MS: '600000', // by number of records only: a timed round between two samples would cost nobody
      ...settings,
    },
  })
  await contender.run(1)
  return { ...contender, about: { ...contender.about, vectorsChecked: await checkVectors(stand, namespace) } }
}

/** `FEATURES_CPU_PROFILE=<folder>`: a profile of each service, for whoever wants to know where its time goes. */
const nodeOptions = (namespace: string): string[] => {
  const folder = process.env['FEATURES_CPU_PROFILE']
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${namespace}cpuprofile`]
}

const FEWEST_VECTORS = 1000

const checkVectors = async ({ broker, registryUrl }: Stand, namespace: string): Promise<number> => {
  const codec = await openCodec({ registryUrl, namespace })
  const log = await openKafkaLog({ brokers: [broker], clientId: 'bench', namespace })
  try {
    let checked = 0
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for await (const batch of log.read({ topic: 'features', partition, from: 'earliest', to: 'latest' })) {
        for (let i = 0; i < batch.count; i++) {
          const { type, assetId, vector } = codec.decode<Features>('features', batch.valueAt(i) as Buffer)
          if (type !== 'vector' || vector === null) throw new Error(`a ${type} of ${assetId} on features, expected vectors only`)
          checkVector(assetId, vector)
          checked++
        }
      }
    }
    if (checked < FEWEST_VECTORS) throw new Error(`${checked} vectors on features, expected ${FEWEST_VECTORS} at least`)
    return checked
  } finally {
    await log.close()
  }
}

/** One round is one sample, so every sample has the same work. */
const SAMPLING = { sampleMs: 1, warmUps: WARM_UPS } as const

const other = (race: Race, peer: string, judge: Judge): number => rounded(against(race, peer, judge)?.ofMinima ?? Number.NaN)

export const processing: Benchmark = {
  name: 'features-process',
  ids: ['P9', 'P9-rate'],
  run: ({ samples = SAMPLES }) =>
    withStand(async (stand): Promise<Measurement[]> => {
      const copy = async (): Promise<Contender> => {
        const script = join(import.meta.dirname, 'workers', 'copy-kafkajs.ts')
        const to = await newTopic(stand.log, 'copy', PARTITIONS, LARGE_BATCHES)
        const args = [stand.broker, 'field-1.telemetry', to, String(PER_ROUND), String(PARTITIONS)]
        return processContender({ name: 'kafkajs copy', command: [process.execPath, script, ...args] })
      }
      const race = await run({
        id: 'features-process',
        judge: 'cpu',
        ...SAMPLING,
        samples: Math.min(samples, SAMPLES),
        ours: () => features(stand, 'features'),
        peers: { copy },
      })
      const detail = { work: WORK, recordsPerSecond: other(race, 'copy', 'wall') }
      return [
        ratio(race, { id: 'P9', peer: 'copy', required: 6, unit: 'x less CPU/record than a kafkajs copy loop', detail }),
        ratio(race, { id: 'P9-rate', peer: 'copy', judge: 'wall', required: 4, unit: 'x the records/s of a kafkajs copy loop' }),
      ]
    }),
}

/** kafkajs sends what it read at once in one batch: the larger, the cheaper for it. */
const LARGE_BATCHES = { 'retention.bytes': '200000000', 'segment.bytes': '50000000', 'max.message.bytes': '16000000' } as const

/** The setting that switches transactions on. */
const TRANSACTIONAL = { FEATURES_TRANSACTIONAL: 'true' } as const

export const transactional: Benchmark = {
  name: 'features-transactional',
  ids: ['P9t'],
  run: ({ samples = SAMPLES }) =>
    withStand(async (stand): Promise<Measurement[]> => {
      const race = await run({
        id: 'features-transactional',
        judge: 'wall',
        ...SAMPLING,
        samples: Math.min(samples, SAMPLES),
        ours: () => features(stand, 'transactional', TRANSACTIONAL),
        peers: { default: () => features(stand, 'default') },
      })
      const detail = { work: `${WORK}; transactions of 100 ms`, cpu: other(race, 'default', 'cpu') }
      return [ratio(race, { id: 'P9t', peer: 'default', required: 0.9, unit: 'of the records/s of P9', detail })]
    }),
}
