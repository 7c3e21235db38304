// P23f: how fast features come back from nothing. The service follows a live field of P9's blocks first, then the field goes on in bulk to a million.
// Vectors, snapshots and all else that the service wrote are deleted; an empty service reads telemetry from its start and has to give the same ones.

import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCodec } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { freePorts, repositoryRoot, startRedis } from '@andon/platform'
import { type Cost, type Race, keep, progress, ratio } from '../../harness/bench.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { type Bench, withBroker } from '../core/broker.ts'
import { digestOf } from '../core/replay.ts'
import { allProcesses, sum } from '../process-tree.ts'
import {
  BLOCKS_PER_TICK,
  BLOCK_US,
  PARTITIONS,
  ROWS,
  START_US,
  STATISTICS,
  appendOf,
  describeField,
  fillField,
  ticksOf,
  windowsClosedBy,
} from './field.ts'

const RECORDS = 1_000_000
/** Each sends its next block when the one before was acknowledged, as in P23. */
const DEVICES = 32
/** Of the records, those that come live. */
const LIVE_SHARE = 0.2
/** The second one is the control of the first. */
const REBUILDS = 2
const VECTORS = { name: 'features', partitions: PARTITIONS } as const

export const rebuild: Benchmark = {
  name: 'features-rebuild',
  ids: ['P23f'],
  run: ({ records = RECORDS }) => withBroker((bench) => measure(bench, records)),
}

const measure = async (bench: Bench, records: number): Promise<Measurement[]> => {
  const { log, registryUrl } = bench
  const redis = await startRedis()
  try {
    const codec = await openCodec({ registryUrl })
    const blocks = Math.ceil(records / DEVICES)
    const liveBlocks = Math.ceil(blocks * LIVE_SHARE)
    await describeField(log, codec, DEVICES, VECTORS)
    const first = await startFeatures(bench, redis.url, 'live')
    let live: Cost
    try {
      live = await timed(first.pid, DEVICES * liveBlocks, async () => {
        await Promise.all([sendLive(log, codec, liveBlocks), first.gives(DEVICES * windowsClosedBy(liveBlocks))])
      })
      progress(`live: ${perSecond(live)} blocks/s`)
      await fillField(log, codec, DEVICES, blocks, liveBlocks)
      await first.gives(DEVICES * windowsClosedBy(blocks))
    } finally {
      await first.stop()
    }
    const expected = await digestOf(log, 'features', PARTITIONS)
    const total = (await log.admin.watermarks('telemetry')).reduce((all, { high }) => all + high, 0)
    const rebuilds: Cost[] = []
    for (let i = 0; i < REBUILDS; i++) {
      await forget(log)
      const fromMs = performance.now()
      const service = await startFeatures(bench, redis.url, `rebuild-${i}`)
      try {
        await service.gives(DEVICES * windowsClosedBy(blocks))
        const cpuUs = cpuUsOf(service.pid)
        rebuilds.push({ work: total, wallMs: performance.now() - fromMs, cpuUs })
      } finally {
        await service.stop()
      }
      progress(`rebuild: ${perSecond(rebuilds.at(-1) as Cost)} records/s`)
      const found = await digestOf(log, 'features', PARTITIONS)
      if (found !== expected) throw new Error(`rebuilt: ${found}, live: ${expected}; the rebuild gave other vectors`)
    }
    return [figure(live, rebuilds, expected)]
  } finally {
    await redis.stop()
  }
}

const figure = (live: Cost, rebuilds: readonly Cost[], expected: string): Measurement => {
  const race: Race = {
    options: {
      id: 'features-rebuild',
      judge: 'wall',
      sampleMs: 0,
      samples: 1,
      ours: () => Promise.reject(new Error('no entry')),
      peers: {},
    },
    ours: rebuilds.slice(0, 1),
    control: rebuilds.slice(1),
    peers: new Map([['live', [live]]]),
    tries: 1,
    raw: keep('features-rebuild', { live, rebuilds }),
  }
  return ratio(race, {
    id: 'P23f',
    peer: 'live',
    required: 3,
    unit: 'x the live rate',
    detail: {
      live: `features follows ${DEVICES} devices, each sending a block of ${ROWS} float32 with ten headers when its last one was acknowledged; ${STATISTICS.join('/')} over 256 rows each 64`,
      rebuild: 'from the start of the process to the last vector, without snapshot or position',
      livePerSecond: perSecond(live),
      rebuildsPerSecond: rebuilds.map(perSecond),
      cpuUsPerRecord: {
        live: rounded(live.cpuUs / live.work),
        rebuild: rounded((rebuilds[0]?.cpuUs ?? Number.NaN) / (rebuilds[0]?.work ?? 1)),
      },
      bitEqual: expected,
    },
  })
}

const perSecond = ({ work, wallMs }: Cost): number => Math.round((work / wallMs) * 1000)

const cpuUsOf = (pid: number): number => (allProcesses().get(pid)?.cpuSeconds ?? Number.NaN) * 1e6

const timed = async (pid: number, work: number, what: () => Promise<void>): Promise<Cost> => {
  const [beforeUs, fromMs] = [cpuUsOf(pid), performance.now()]
  await what()
  return { work, wallMs: performance.now() - fromMs, cpuUs: cpuUsOf(pid) - beforeUs }
}

/** Every device by itself; a tick when the slowest has sent another second. */
const sendLive = async (log: Log, codec: Codec, blocks: number): Promise<void> => {
  const sent = Array.from({ length: DEVICES }, () => 0)
  let ticked = 0
  const device = async (asset: number): Promise<void> => {
    for (let n = 0; n < blocks; n++) {
      await log.append([appendOf(codec, asset, n)])
      sent[asset] = n + 1
      const least = Math.min(...sent)
      if (least < ticked + BLOCKS_PER_TICK) continue
      ticked = least - (least % BLOCKS_PER_TICK)
      await log.append(ticksOf(codec, START_US + ticked * BLOCK_US))
    }
  }
  await Promise.all(Array.from({ length: DEVICES }, (_, asset) => device(asset)))
}

/** Deletes what the service wrote; it will start as if it had never been. */
const forget = async (log: Log): Promise<void> => {
  const names = (await log.admin.topics()).map(({ name }) => name).filter((name) => name === 'features' || name.startsWith('features.'))
  await log.admin.deleteTopics(names)
  while ((await log.admin.topics()).some(({ name }) => names.includes(name))) await sleep(100)
  await log.admin.ensureTopics([VECTORS])
}

interface RunningFeatures {
  readonly pid: number
  /** Resolves when so many vectors are on the log. */
  gives(vectors: number): Promise<void>
  stop(): Promise<void>
}

const startFeatures = async ({ log, broker, registryUrl, folder }: Bench, redisUrl: string, name: string): Promise<RunningFeatures> => {
  const [port = 0] = await freePorts(1)
  const own = join(folder, name)
  mkdirSync(own, { recursive: true })
  const service = spawn(process.execPath, [join(repositoryRoot, 'services', 'features', 'src', 'main.ts')], {
    env: {
      PATH: process.env['PATH'],
      ANDON_KAFKA_BROKERS: broker,
      ANDON_REGISTRY_URL: registryUrl,
      ANDON_REDIS_URL: redisUrl,
      ANDON_BLOB_DIR: join(own, 'blobs'),
      ANDON_DATA_DIR: join(own, 'data'),
      ANDON_LOG_LEVEL: 'warn',
      ANDON_PARENT_PID: String(process.pid),
      FEATURES_ADMIN_PORT: String(port),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => service.once('close', () => resolve()))
  const check = (): void => {
    if (service.exitCode !== null) throw new Error(`the features service ended with ${service.exitCode}`)
  }
  while (!(await isReady(port))) {
    check()
    await sleep(20)
  }
  return {
    pid: service.pid ?? 0,
    async gives(vectors) {
      while (sum((await log.admin.watermarks('features')).map(({ high }) => high)) < vectors) {
        check()
        await sleep(20)
      }
    },
    async stop() {
      service.kill('SIGTERM')
      await ended
    },
  }
}

const isReady = async (port: number): Promise<boolean> => {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  } catch {
    return false
  }
}
