// P3, P3p: the CPU that reading telemetry into columns costs its client, per sample: blocks of 50 float32 (5 channels of 10 rows), and
// windows of 1 024. Four partitions, no headers, uncompressed, every client in a warm process of its own.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCodec } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import { type Contender, against, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { BROKER_SAMPLES, BROKER_SAMPLING, type Bench, newTopic, withBroker, worker, workerFile } from './broker.ts'
import { python } from './peers.ts'
import { type BlockShape, type Check, PARTITIONS, START_OF_TIME_US, fillTelemetry, isSame } from './telemetry.ts'

const BLOCKS: BlockShape = { channels: 5, rows: 10, width: 1 }
const WINDOWS: BlockShape = { channels: 1, rows: 1, width: 1024 }

export const consume: Benchmark = {
  name: 'consume',
  ids: ['P3', 'P3p'],
  run: ({ samples = BROKER_SAMPLES, records = 60_000 }) => withBroker((bench) => measureBlocks(bench, samples, records)),
}

export const consumeWindows: Benchmark = {
  name: 'consume-windows',
  ids: ['P3w'],
  run: ({ samples = BROKER_SAMPLES, records = 5000 }) => withBroker((bench) => measureWindows(bench, samples, records)),
}

const measureBlocks = async (bench: Bench, samples: number, records: number): Promise<Measurement[]> => {
  const race = await raceOver(bench, 'consume', samples, records, BLOCKS)
  const rate = against(race, 'kafkajs', 'wall')
  const work = { work: `${records} blocks of 50 float32 to columns, ${PARTITIONS} partitions, uncompressed, no headers` }
  const unit = 'x less CPU/sample than'
  return [
    ratio(race, {
      id: 'P3',
      peer: 'kafkajs',
      required: 5,
      unit: `${unit} kafkajs + avsc`,
      detail: { ...work, samplesPerSecond: rate && { value: rounded(rate.ofMinima) } },
    }),
    ratio(race, { id: 'P3p', peer: 'confluent-kafka', required: 12, unit: `${unit} confluent-kafka + fastavro (Python)`, detail: work }),
  ]
}

const measureWindows = async (bench: Bench, samples: number, records: number): Promise<Measurement[]> => {
  const race = await raceOver(bench, 'consume-windows', samples, records, WINDOWS)
  const work = { work: `${records} windows of 1 024 float32 to columns, ${PARTITIONS} partitions, uncompressed, no headers` }
  const beside = against(race, 'confluent-kafka')
  return [
    ratio(race, {
      id: 'P3w',
      peer: 'kafkajs',
      required: 3.5,
      unit: 'x less CPU/sample than kafkajs + avsc',
      detail: { ...work, confluentKafkaAndFastavro: beside === undefined ? 'skipped' : rounded(beside.ofMinima) },
    }),
  ]
}

const raceOver = async (bench: Bench, id: string, samples: number, records: number, shape: BlockShape) => {
  const { broker, registryUrl, log, folder } = bench
  const codec = await openCodec({ registryUrl })
  const topic = await newTopic(log, id, PARTITIONS, {})
  const expected = await fillTelemetry(log, codec, topic, records, shape)
  const schemaFile = join(folder, 'telemetry.avsc')
  writeFileSync(schemaFile, JSON.stringify(avroSchemas.telemetry))
  const typescript = async (name: string): Promise<Contender> =>
    checked(expected, await worker(name, 'consume.ts', [name, broker, registryUrl, topic, String(records)]))
  return run({
    id,
    judge: 'cpu',
    ...BROKER_SAMPLING,
    samples,
    ours: () => typescript('andon'),
    peers: {
      kafkajs: () => typescript('kafkajs'),
      'confluent-kafka': async () => {
        const args = [broker, schemaFile, topic, String(records), String(PARTITIONS), String(START_OF_TIME_US)]
        const command = [await python(), workerFile('consume.py'), ...args] as const
        return checked(expected, await processContender({ name: 'confluent-kafka', command }))
      },
    },
  })
}

/** Every contender has read the topic once before it is ready, and says what it found. */
const checked = (expected: Check, contender: Contender): Contender => {
  const found = contender.about?.['check'] as Check
  if (!isSame(expected, found)) throw new Error(`${contender.name} read ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`)
  return contender
}
