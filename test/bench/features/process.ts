// P9, P9t: topic → features → topic. What the features service runs between its topics - with its settings, windows in memory, snapshots on its
// changelog - works through a field of blocks with headers, against kafkajs that copies the same records and does nothing else.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openCodec, openKafkaLog } from '@andon/kit'
import { freePorts, startRedis } from '@andon/platform'
import type { Features } from '@andon/schemas'
import { type Contender, type Judge, type Race, against, progress, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { type Bench, newTopic, smallTopic, withBroker } from '../core/broker.ts'
import { HOP_ROWS, PARTITIONS, ROWS, STATISTICS, WINDOW_ROWS, describeField, fillField } from './field.ts'
import { checkVector } from './oracle.ts'

const ASSETS = 1200
/** Records of one sample: as many as make every partition write a snapshot round, so that no sample goes without. */
const PER_ROUND = 5000 * PARTITIONS
const SAMPLES = 10
const WARM_UPS = 4
/** Each contender reads its way through the topic once. */
const BLOCKS = Math.ceil(((SAMPLES + WARM_UPS + 3) * PER_ROUND) / ASSETS)
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

const serviceFile = join(import.meta.dirname, 'workers', 'service.ts')

/** The service on a field of its own, its first vectors compared with numbers made another way. */
const features = async (
  stand: Stand,
  name: string,
  parts: 'process' | 'all',
  settings: Readonly<Record<string, string>> = {},
): Promise<Contender> => {
  const namespace = await newField(stand)
  const folder = join(stand.folder, namespace)
  mkdirSync(folder, { recursive: true })
  const [adminPort] = await freePorts(1)
  const contender = await processContender({
    name,
    command: [process.execPath, ...nodeOptions(namespace), serviceFile, String(PER_ROUND), parts],
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
        ours: () => features(stand, 'features', 'process'),
        peers: { copy, whole: () => features(stand, 'features with Redis', 'all') },
      })
      const detail = { work: WORK, recordsPerSecond: other(race, 'copy', 'wall'), withRedisCost: other(race, 'whole', 'cpu') }
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
        ours: () => features(stand, 'transactional', 'process', TRANSACTIONAL),
        peers: { default: () => features(stand, 'default', 'process') },
      })
      const detail = { work: `${WORK}; transactions of 100 ms`, cpu: other(race, 'default', 'cpu') }
      return [ratio(race, { id: 'P9t', peer: 'default', required: 0.9, unit: 'of the records/s of P9', detail })]
    }),
}
