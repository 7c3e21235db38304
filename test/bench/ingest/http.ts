// P5, P5a, P6: the HTTP door on a real ingest process and a real broker, every answer a 202 for what is on disk. Readings per second, since
// that is what a sender sees; CPU and memory of the ingest process beside them.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { type Contender, costsPerWork, ratio, run } from '../../harness/bench.ts'
import { type Measurement, limit, rounded } from '../../harness/bench-measurement.ts'
import { processContender } from '../../harness/bench-process.ts'
import type { Benchmark } from '../benchmark.ts'
import { type Bench, newTopic, withBroker } from '../core/broker.ts'
import { pssMb } from '../process-tree.ts'
import { BATCH } from './readings.ts'
import { IMAGE_OPTIONS, drivenBy, startIngest } from './rig.ts'
import { join } from 'node:path'

const SAMPLES = 12
const SAMPLING = { sampleMs: 1200, warmUps: 3 } as const
const BATCH_CLIENTS = 128
const SINGLE_CLIENTS = 128
const KAFKAJS_IN_FLIGHT = 8
const SOAK_S = 60

const workerFile = (name: string): string => join(import.meta.dirname, 'workers', name)

type Kind = 'json' | 'avro' | 'single'

const post = (name: string, port: number, kind: Kind, clients: number): Promise<Contender> =>
  processContender({ name, command: [process.execPath, workerFile('post.ts'), String(port), kind, String(clients)] })

/** An ingest process and its driver; the CPU is that of ingest. */
const ingestBy = async (
  bench: Bench,
  kind: Kind,
  clients: number,
  nodeOptions: readonly string[] = [],
): Promise<Contender & { readonly pid: number }> => {
  const ingest = await startIngest(bench, ['http'], ['INGEST_HTTP_PORT'], {}, nodeOptions)
  const driver = await post(`andon (${kind})`, ingest.ports['INGEST_HTTP_PORT']!, kind, clients)
  return { ...drivenBy(ingest, driver), pid: ingest.pid }
}

const bareHttp = async (): Promise<Contender> => {
  const child = spawn(process.execPath, [workerFile('bare-http.ts')], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const { value } = await createInterface({ input: child.stdout! })[Symbol.asyncIterator]().next()
  const driver = await post('node:http', Number(value), 'single', SINGLE_CLIENTS)
  return {
    ...driver,
    close: async () => {
      await driver.close?.()
      child.kill('SIGKILL')
    },
  }
}

const kafkajsBy = async ({ log, broker }: Bench): Promise<Contender> => {
  const topic = await newTopic(log, 'readings', 12)
  return processContender({
    name: 'kafkajs',
    command: [process.execPath, workerFile('kafkajs-readings.ts'), broker, topic, String(KAFKAJS_IN_FLIGHT)],
  })
}

export const httpBatches: Benchmark = {
  name: 'http-batches',
  ids: ['P5', 'P5-cpu'],
  run: ({ samples = SAMPLES }) =>
    withBroker(async (bench) => {
      const race = await run({
        id: 'P5',
        judge: 'wall',
        ...SAMPLING,
        samples,
        ours: () => ingestBy(bench, 'json', BATCH_CLIENTS),
        peers: { kafkajs: () => kafkajsBy(bench) },
      })
      const perCpuSecond = 1e6 / Math.min(...costsPerWork(race.ours, 'cpu'))
      return [
        ratio(race, {
          id: 'P5',
          peer: 'kafkajs',
          required: 3,
          unit: 'x the readings/s of kafkajs',
          detail: {
            work: `JSON, ${BATCH} readings per POST, ${BATCH_CLIENTS} clients, 202 once on disk; kafkajs: ${BATCH} records per send, ${KAFKAJS_IN_FLIGHT} in flight, acks=all`,
          },
        }),
        atLeast('P5-cpu', perCpuSecond, 100_000, 'readings per CPU-second of ingest, JSON batches', race.ours.length),
      ]
    }),
}

export const httpAvro: Benchmark = {
  name: 'http-avro',
  ids: ['P5a'],
  run: ({ samples = SAMPLES }) =>
    withBroker(async (bench) => {
      const race = await run({
        id: 'P5a',
        judge: 'wall',
        ...SAMPLING,
        samples,
        ours: () => ingestBy(bench, 'avro', BATCH_CLIENTS),
        peers: { json: () => ingestBy(bench, 'json', BATCH_CLIENTS) },
      })
      const detail = { work: `${BATCH} readings per POST, ${BATCH_CLIENTS} clients: one Avro batch against a JSON array` }
      return [ratio(race, { id: 'P5a', peer: 'json', required: 2, unit: 'x the readings/s of the JSON body', detail })]
    }),
}

export const httpSingles: Benchmark = {
  name: 'http-singles',
  ids: ['P6'],
  run: ({ samples = SAMPLES }) =>
    withBroker(async (bench) => {
      const race = await run({
        id: 'P6',
        judge: 'wall',
        ...SAMPLING,
        samples,
        ours: () => ingestBy(bench, 'single', SINGLE_CLIENTS),
        peers: { 'node:http': () => bareHttp() },
      })
      const detail = {
        work: `one reading per POST, ${SINGLE_CLIENTS} keep-alive clients, 202 once on disk; node:http answers 202 and does nothing`,
      }
      return [ratio(race, { id: 'P6', peer: 'node:http', required: 0.4, unit: 'x the requests/s of bare node:http', detail })]
    }),
}

/** Batches without a break, under the limits of the image: memory after a minute. */
export const httpMemory: Benchmark = {
  name: 'http-memory',
  ids: ['P5-memory'],
  run: () =>
    withBroker(async (bench) => {
      const contender = await ingestBy(bench, 'json', BATCH_CLIENTS, IMAGE_OPTIONS)
      const mib: number[] = []
      let readings = 0
      const startedMs = performance.now()
      while (performance.now() - startedMs < SOAK_S * 1000) {
        readings += (await contender.run(1000)).work
        mib.push(rounded(pssMb(contender.pid)))
        await pause(1)
      }
      await contender.close?.()
      const [middle = 0, last = 0] = [mib[mib.length >> 1], mib.at(-1)]
      const detail = { readings, seconds: SOAK_S, middleMiB: middle, highestMiB: Math.max(...mib) }
      return [limit('P5-memory', last, 256, `MiB of ingest after ${SOAK_S} s of batches`, mib.length, detail)]
    }),
}

const atLeast = (id: string, value: number, required: number, unit: string, samples: number): Measurement => ({
  id,
  score: rounded(value / required),
  value: rounded(value),
  required,
  unit,
  samples,
  detail: {},
  isLimit: false,
})
