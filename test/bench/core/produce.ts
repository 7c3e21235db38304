// P1, P2: the CPU that producing costs its client. 100-byte keyed records in batches of 500, acks=all, idempotent, uncompressed, no headers,
// one batch in flight, one partition, every client in a warm process of its own. Broker and clients share the cores, so the
// figure is the client's own CPU time per record; records per second are beside it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '@andon/kit'
import { requireJava } from '@andon/platform'
import { type Contender, type Race, against, PeerMissing, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { BROKER_SAMPLES, BROKER_SAMPLING, type Bench, newTopic, withBroker, worker, workerFile } from './broker.ts'
import { cpuSecondsOf } from './child-cpu.ts'
import { VALUE_BYTES, keyOf, sensorValues } from './payloads.ts'
import { javaTools, librdkafkaProducer, python } from './peers.ts'

const BATCH = 500

export const produce: Benchmark = {
  name: 'produce',
  ids: ['P1', 'P2'],
  run: ({ samples = BROKER_SAMPLES }) => withBroker((bench) => measure(bench, samples)),
}

const measure = async (bench: Bench, samples: number): Promise<Measurement[]> => {
  const values = sensorValues()
  const valuesFile = join(bench.folder, 'values')
  writeFileSync(valuesFile, Buffer.concat(values))
  const contender = async (name: string, start: (args: readonly string[]) => Promise<Contender>): Promise<Contender> => {
    const topic = await newTopic(bench.log, `produce-${name}`, 1)
    return checked(bench.log, topic, values, await start([bench.broker, topic, String(BATCH), valuesFile]))
  }
  const race = await run({
    id: 'produce',
    judge: 'cpu',
    ...BROKER_SAMPLING,
    samples,
    ours: () => contender('andon', (args) => worker('andon', 'produce.ts', ['andon', ...args])),
    peers: {
      kafkajs: () => contender('kafkajs', (args) => worker('kafkajs', 'produce.ts', ['kafkajs', ...args])),
      'confluent-kafka': async () => {
        const program = await python()
        return contender('confluent-kafka', (args) =>
          processContender({ name: 'confluent-kafka', command: [program, workerFile('produce.py'), ...args] }),
        )
      },
      librdkafka: async () => {
        const program = await librdkafkaProducer()
        return contender('librdkafka', (args) => processContender({ name: 'librdkafka', command: [program, ...args] }))
      },
    },
  })
  const kafkajs = { work: `${BATCH} x ${VALUE_BYTES} B keyed, acks=all, idempotent, one partition, one batch in flight, no headers` }
  const rate = against(race, 'kafkajs', 'wall')
  return [
    ratio(race, {
      id: 'P1',
      peer: 'kafkajs',
      required: 10,
      unit: 'x less CPU/record than kafkajs',
      detail: { ...kafkajs, recordsPerSecond: rate && { value: rounded(rate.ofMinima), required: 3, pass: rate.ofMinima >= 3 } },
    }),
    ratio(race, {
      id: 'P2',
      peer: 'confluent-kafka',
      required: 2.5,
      unit: 'x less CPU/record than confluent-kafka (Python)',
      detail: { ...kafkajs, librdkafkaC: besideC(race), javaProducerPerformance: await besideJava(bench) },
    }),
  ]
}

/** Reads back the batch that every contender sends before it is ready, and counts what it sent when it ends. */
const checked = async (log: Log, topic: string, values: readonly Buffer[], contender: Contender): Promise<Contender> => {
  let place = 0
  for await (const { records } of log.read({ topic, partition: 0, from: 'earliest', to: 'latest' })) {
    for (const { key, value } of records) {
      if (key !== keyOf(place) || value?.equals(values[place] as Buffer) !== true)
        throw new Error(`${contender.name}: record ${place} of ${topic} is not the one that was to be sent`)
      place++
    }
  }
  if (place !== BATCH) throw new Error(`${contender.name}: ${place} records are on ${topic}, expected ${BATCH}`)
  let sent = BATCH
  return {
    ...contender,
    run: async (rounds) => {
      const cost = await contender.run(rounds)
      sent += cost.work
      return cost
    },
    close: async () => {
      await contender.close?.()
      const [stored] = await log.admin.watermarks(topic)
      if (stored?.high !== sent) throw new Error(`${contender.name}: ${stored?.high} records were stored of ${sent} that it sent`)
    },
  }
}

const besideC = (race: Race): unknown => {
  const found = against(race, 'librdkafka')
  if (found === undefined) return { skipped: (race.peers.get('librdkafka') as PeerMissing).message }
  return { value: rounded(found.ofMinima), required: 1.5, pass: found.ofMinima >= 1.5, interval90: found.interval.map(rounded) }
}

const JAVA_RECORDS = [200_000, 1_200_000] as const

/**
 * Kafka's own ProducerPerformance. It cannot be asked for samples, and pipelines its batches: the difference of a long and a short run
 * leaves out the start of the virtual machine, but not all of its compiling.
 */
const besideJava = async ({ log, broker }: Bench): Promise<unknown> => {
  try {
    const classPath = await javaTools()
    const topic = await newTopic(log, 'produce-java', 1)
    const cpuSeconds = (records: number): Promise<number> => {
      const settings = [
        `bootstrap.servers=${broker}`,
        'acks=all',
        'enable.idempotence=true',
        'max.in.flight.requests.per.connection=1',
        'linger.ms=5',
      ]
      const args = ['-cp', classPath, 'org.apache.kafka.tools.ProducerPerformance', '--topic', topic, '--num-records', String(records)]
      args.push('--record-size', String(VALUE_BYTES), '--throughput', '-1', '--producer-props', ...settings)
      return cpuSecondsOf(requireJava(), args)
    }
    const [few, many] = JAVA_RECORDS
    const short = await cpuSeconds(few)
    return {
      cpuUsPerRecord: rounded((((await cpuSeconds(many)) - short) * 1e6) / (many - few)),
      records: many - few,
      batching: 'linger 5 ms, pipelined',
    }
  } catch (error) {
    return { skipped: error instanceof Error ? error.message.split('\n')[0] : String(error) }
  }
}
