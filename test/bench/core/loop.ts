// P10, P25 and the two standing costs of a service: what transactions, and what metrics and tracing, leave of the speed of the loop; what a
// service costs that has nothing to do; whether its heap stays where it is.

import { openCodec } from '@andon/kit'
import { type Cost, against, costsPerWork, keep, progress, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, limit, load, rounded } from '../../harness/bench-measurement.ts'
import { median } from '../../harness/bench-statistics.ts'
import type { Benchmark } from '../benchmark.ts'
import { BROKER_SAMPLES, BROKER_SAMPLING, type Bench, newTopic, smallTopic, withBroker, worker, workerFile } from './broker.ts'
import { type BlockShape, PARTITIONS, fillTelemetry } from './telemetry.ts'

const BLOCKS: BlockShape = { channels: 5, rows: 10, width: 1 }
/** Read again and again. */
const RECORDS = 60_000

export const transactions: Benchmark = {
  name: 'transactions',
  ids: ['P10'],
  run: ({ samples = BROKER_SAMPLES }) => withBroker((bench) => measureTransactions(bench, samples)),
}

const measureTransactions = async (bench: Bench, samples: number): Promise<Measurement[]> => {
  const { broker, registryUrl, log } = bench
  const from = await newTopic(log, 'copy-from', PARTITIONS, {})
  await fillTelemetry(log, await openCodec({ registryUrl }), from, RECORDS, BLOCKS)
  const contender = async (variant: string) => {
    const to = await newTopic(log, `copy-${variant}`, PARTITIONS)
    return worker(variant, 'copy.ts', [variant, broker, from, to])
  }
  const race = await run({
    id: 'transactions',
    judge: 'wall',
    ...BROKER_SAMPLING,
    samples,
    ours: () => contender('transactional'),
    peers: { 'at least once': () => contender('plain') },
  })
  const cpu = against(race, 'at least once', 'cpu')
  return [
    ratio(race, {
      id: 'P10',
      peer: 'at least once',
      required: 0.9,
      unit: 'of the records/s at least once',
      detail: { work: `copying blocks, transactions of 100 ms, ${PARTITIONS} partitions overlapping`, cpu: cpu && rounded(cpu.ofMinima) },
    }),
  ]
}

const filledTelemetry = async ({ log, registryUrl }: Bench): Promise<void> => {
  await log.admin.ensureTopics([{ name: 'telemetry', partitions: PARTITIONS }, smallTopic('features', PARTITIONS)])
  await fillTelemetry(log, await openCodec({ registryUrl }), 'telemetry', RECORDS, BLOCKS)
}

export const observability: Benchmark = {
  name: 'observability',
  ids: ['P25'],
  run: ({ samples = BROKER_SAMPLES }) => withBroker((bench) => measureObservability(bench, samples)),
}

const measureObservability = async (bench: Bench, samples: number): Promise<Measurement[]> => {
  await filledTelemetry(bench)
  const contender = (variant: string) => worker(variant, 'process.ts', [variant, bench.broker, bench.registryUrl])
  const race = await run({
    id: 'observability',
    judge: 'cpu',
    ...BROKER_SAMPLING,
    samples,
    ours: () => contender('observed'),
    peers: { off: () => contender('plain') },
  })
  const rate = against(race, 'off', 'wall')
  return [
    ratio(race, {
      id: 'P25',
      peer: 'off',
      required: 0.97,
      unit: 'of the records per CPU second with metrics and tracing off',
      detail: { work: 'runProcess: block to vector of means, headers and lineage', recordsPerSecond: rate && rounded(rate.ofMinima) },
    }),
  ]
}

const IDLE_PERCENT = 1
const IDLE_SETTLE_ROUNDS = 30
/** 5 s each. */
const IDLE_ROUNDS = 50
const IDLE_SAMPLES = 4
const IDLE_TOPICS = 5
const IDLE_TOPIC_PARTITIONS = 12

export const idleService: Benchmark = {
  name: 'idle-service',
  ids: ['idle-service'],
  run: ({ samples = IDLE_SAMPLES }) => withBroker((bench) => measureIdle(bench, samples)),
}

const measureIdle = async ({ broker, log }: Bench, samples: number): Promise<Measurement[]> => {
  const topics = await Promise.all(Array.from({ length: IDLE_TOPICS }, (_, i) => newTopic(log, `idle-${i}`, IDLE_TOPIC_PARTITIONS)))
  const [first = '', ...others] = topics
  const service = await worker('idle', 'idle.ts', [broker, first, others.join(',')])
  try {
    await service.run(IDLE_SETTLE_ROUNDS)
    const costs: Cost[] = []
    for (let i = 0; i < samples; i++) costs.push(await service.run(IDLE_ROUNDS))
    const percents = costs.map(({ cpuUs, wallMs }) => cpuUs / wallMs / 10)
    const raw = keep('idle-service', { costs })
    return [
      limit('idle-service', Math.min(...percents), IDLE_PERCENT, '% of a core', samples, {
        work: `one run, three follows, ${IDLE_TOPICS * IDLE_TOPIC_PARTITIONS} partitions, metrics and admin door; least of ${samples} times ${IDLE_ROUNDS / 10} s`,
        percents: percents.map(rounded),
        load: load(),
        raw,
      }),
    ]
  } finally {
    await service.close?.()
  }
}

const GROWTH_PERCENT = 2
const MEMORY_RECORDS = 10_000_000
const MEMORY_SAMPLES = 60

export const memory: Benchmark = {
  name: 'memory',
  ids: ['memory'],
  run: ({ records = MEMORY_RECORDS }) => withBroker((bench) => measureMemory(bench, records)),
}

const measureMemory = async (bench: Bench, records: number): Promise<Measurement[]> => {
  await filledTelemetry(bench)
  const command = [process.execPath, '--expose-gc', workerFile('process.ts'), 'stateful', bench.broker, bench.registryUrl] as const
  const contender = await processContender({ name: 'stateful', command })
  try {
    const costs: Cost[] = []
    for (let i = 0; i < MEMORY_SAMPLES; i++) {
      costs.push(await contender.run(Math.ceil(records / MEMORY_SAMPLES / 1000)))
      if (i % 10 === 9) progress(`memory: ${costs.reduce((sum, { work }) => sum + work, 0)} records`)
    }
    const heaps = costs.map(({ heapBytes }) => heapBytes ?? Number.NaN)
    const third = MEMORY_SAMPLES / 3
    const [middle, last] = [median(heaps.slice(third, 2 * third)), median(heaps.slice(2 * third))]
    const growthPercent = 100 * (last / middle - 1)
    return [
      limit('memory', Math.max(0, growthPercent), GROWTH_PERCENT, '% of heap, last third over middle third', costs.length, {
        work: 'runProcess with state and snapshots, heap after a full collection',
        records: costs.reduce((sum, { work }) => sum + work, 0),
        growthPercent: rounded(growthPercent),
        middleMb: rounded(middle / 2 ** 20),
        lastMb: rounded(last / 2 ** 20),
        recordsPerSecond: Math.round(1e6 / median(costsPerWork(costs, 'wall'))),
        load: load(),
        raw: keep('memory', { costs }),
      }),
    ]
  } finally {
    await contender.close?.()
  }
}
