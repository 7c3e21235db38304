// P23, P22: how fast a day comes back. The features service follows a live field first: 32 devices that each send a block of 5 x 10 float32
// when the one before was acknowledged (devices.ts). Then `andon replay run` takes the same records through the same service, and has
// to give the same vectors, bit for bit. The whole command counts, start of its processes included.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { canonicalJson, openCodec, publish, sha256Hex } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { freePorts, repositoryRoot, startRedis } from '@andon/platform'
import { avroSchemas } from '@andon/schemas'
import { FAULTS } from '../../faults/catalogue.ts'
import { type Cost, type Race, against, keep, progress, ratio } from '../../harness/bench.ts'
import { type Measurement, limit, load, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { allProcesses, sum } from '../process-tree.ts'
import { type Bench, withBroker } from './broker.ts'
import { cpuSecondsOf } from './child-cpu.ts'
import { DEVICES, deviceId, sendTelemetry, windowsOf } from './devices.ts'
import { CHANNELS, PARTITIONS, UNITS } from './telemetry.ts'

const RECORDS = 1_000_000
/** The second one is the control of the first. */
const REPLAYS = 2
const TENTHS = 10

export const replay: Benchmark = {
  name: 'replay',
  ids: ['P23'],
  run: ({ records = RECORDS }) => withBroker((bench) => measureReplay(bench, records)),
}

const measureReplay = async (bench: Bench, records: number): Promise<Measurement[]> => {
  const { log, registryUrl } = bench
  const codec = await openCodec({ registryUrl })
  const names = Object.keys(avroSchemas).filter((name) => name !== 'changelog')
  await log.admin.ensureTopics(names.map((name) => ({ name, partitions: name === 'config' ? 1 : PARTITIONS })))
  await publishPlant(log, codec)
  const blocks = Math.ceil(records / DEVICES)
  const startedMs = Date.now()
  const live = await followLive(bench, codec, blocks)
  const expected = await digestOf(log, 'features')
  const range = ['--from', new Date(startedMs - 1000).toISOString(), '--to', new Date(Date.now() + 1000).toISOString()]
  const runs: Cost[] = []
  const total = (await log.admin.watermarks('telemetry')).reduce((all, { high }) => all + high, 0)
  for (let i = 0; i < REPLAYS; i++) {
    const id = `bench-${i}`
    const fromMs = performance.now()
    const args = ['replay', 'run', '--as', id, '--topic', 'telemetry', '--service', 'features', '--json', ...range]
    const cpuSeconds = await andon(bench, args)
    runs.push({ work: total, wallMs: performance.now() - fromMs, cpuUs: cpuSeconds * 1e6 })
    progress(`replay: ${Math.round((total / (runs.at(-1) as Cost).wallMs) * 1000)} records/s`)
    const found = await digestOf(log, `features.run.${id}`)
    if (found !== expected) throw new Error(`features.run.${id} has ${found}, live has ${expected}: the replay gave other vectors`)
  }
  const [ours, control] = [runs.slice(0, 1), runs.slice(1)]
  const race: Race = {
    options: {
      id: 'replay',
      judge: 'wall',
      sampleMs: 0,
      samples: ours.length,
      ours: () => Promise.reject(new Error('no entry')),
      peers: {},
    },
    ours,
    control,
    peers: new Map([['live', [sumOf(live)]]]),
    tries: 1,
    raw: keep('replay', { live, runs }),
  }
  return [
    ratio(race, {
      id: 'P23',
      peer: 'live',
      required: 3,
      unit: 'x the live rate',
      detail: {
        live: `features follows ${DEVICES} devices, each sending a block of 50 float32 when its last one was acknowledged; from the first block to the last vector`,
        livePerSecond: live.map(({ work, wallMs }) => Math.round((work / wallMs) * 1000)),
        replay: 'the whole command `andon replay run`, starts of its processes included',
        bitEqual: expected,
        serviceCpuPerRecord: rounded(against(race, 'live', 'cpu')?.ofMinima ?? Number.NaN),
      },
    }),
  ]
}

const sumOf = (costs: readonly Cost[]): Cost => ({
  work: sum(costs.map(({ work }) => work)),
  wallMs: sum(costs.map(({ wallMs }) => wallMs)),
  cpuUs: sum(costs.map(({ cpuUs }) => cpuUs)),
})

/** Runs the service while the devices send, and says what each tenth of the vectors took. */
const followLive = async (bench: Bench, codec: Codec, blocks: number): Promise<Cost[]> => {
  const { log, broker, registryUrl, folder } = bench
  const redis = await startRedis()
  const [port = 0] = await freePorts(1)
  const service = spawn(process.execPath, [join(repositoryRoot, 'services', 'features', 'src', 'main.ts')], {
    env: {
      ...process.env,
      ANDON_KAFKA_BROKERS: broker,
      ANDON_REGISTRY_URL: registryUrl,
      ANDON_REDIS_URL: redis.url,
      ANDON_BLOB_DIR: join(folder, 'blobs'),
      ANDON_DATA_DIR: join(folder, 'data'),
      ANDON_LOG_LEVEL: 'warn',
      ANDON_PARENT_PID: String(process.pid), // it ends with us, however we end
      FEATURES_ADMIN_PORT: String(port),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => service.once('close', () => resolve()))
  try {
    while (!(await isReady(port))) {
      if (service.exitCode !== null) throw new Error(`the features service ended with ${service.exitCode}`)
      await sleep(100)
    }
    const vectors = DEVICES * windowsOf(blocks)
    progress(`live: ${DEVICES * blocks} blocks of ${DEVICES} devices, ${vectors} vectors`)
    let sendingFailed: unknown
    const sending = sendTelemetry(log, codec, blocks).catch((error: unknown) => (sendingFailed = error))
    const cpuUs = (): number => (allProcesses().get(service.pid ?? 0)?.cpuSeconds ?? Number.NaN) * 1e6
    const marks = [{ atMs: performance.now(), cpuUs: cpuUs() }]
    while (marks.length <= TENTHS) {
      const emitted = (await log.admin.watermarks('features')).reduce((all, { high }) => all + high, 0)
      if (emitted >= (vectors * marks.length) / TENTHS) marks.push({ atMs: performance.now(), cpuUs: cpuUs() })
      else if (sendingFailed !== undefined) throw sendingFailed
      else await sleep(20)
    }
    await sending
    return marks.slice(1).map((mark, i) => {
      const before = marks[i] as (typeof marks)[number]
      return { work: (DEVICES * blocks) / TENTHS, wallMs: mark.atMs - before.atMs, cpuUs: mark.cpuUs - before.cpuUs }
    })
  } finally {
    service.kill('SIGTERM')
    await ended
    await redis.stop()
  }
}

const isReady = async (port: number): Promise<boolean> => {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  } catch {
    return false
  }
}

/** Runs the command line and returns the CPU seconds of it and the service it starts. */
const andon = ({ broker, registryUrl, folder }: Bench, args: readonly string[]): Promise<number> => {
  const env = {
    ...process.env,
    ANDON_HOME: join(folder, 'home'),
    ANDON_KAFKA_BROKERS: broker,
    ANDON_REGISTRY_URL: registryUrl,
    ANDON_BLOB_DIR: join(folder, 'blobs'),
  }
  return cpuSecondsOf(process.execPath, [join(repositoryRoot, 'packages', 'cli', 'src', 'main.ts'), ...args], { cwd: folder, env })
}

/** One digest over partition, key, value, id, type and subject of every record of a topic, in order, and their number. */
export const digestOf = async (log: Log, topic: string, partitions = PARTITIONS): Promise<string> => {
  const hash = createHash('sha256')
  let records = 0
  for (let partition = 0; partition < partitions; partition++) {
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' })) {
      for (let i = 0; i < batch.count; i++) {
        const names = [batch.keyAt(i), ...['ce_id', 'ce_type', 'ce_subject'].map((name) => batch.headerAt(i, name))]
        hash.update(`${partition} ${JSON.stringify(names)} `).update(batch.valueAt(i) ?? '')
        records++
      }
    }
  }
  return `${records} records, sha256 ${hash.digest('hex').slice(0, 16)}`
}

const publishPlant = async (log: Log, codec: Codec): Promise<void> => {
  const assets = Array.from({ length: DEVICES }, (_, device) => ({
    id: deviceId(device),
    name: deviceId(device),
    line: 'line-1',
    class: 'press',
    sources: [`${deviceId(device)}-plc`],
    channels: CHANNELS.map((id, i) => ({ id, unit: UNITS[i], kind: 'scalar' })),
  }))
  const plant = {
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'UTC' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
    assetClasses: [{ id: 'press', featureSet: 'features/press' }],
    assets,
  }
  const featureSet = {
    version: 1,
    name: 'features/press',
    windowMs: 1000,
    latenessMs: 500,
    graceMs: 250,
    features: [{ channel: '*', statistics: ['mean', 'std', 'min', 'max'] }],
  }
  const document = (name: string, kind: string, body: unknown) => {
    const text = canonicalJson(body)
    const value = { type: 'ConfigPublished', name, kind, digest: sha256Hex(text), body: text, effectiveFromUs: 0, by: 'bench', atUs: 0 }
    return { topic: 'config', key: name, value, id: name, type: 'ConfigPublished', timeUs: 0, partition: 0 }
  }
  await publish(log, codec, [document('plant', 'plant', plant), document('features/press', 'feature-set', featureSet)], 'bench')
}

const CAUGHT_UP_SECONDS = 15

/** The fault `service-killed` (test/faults), whose ledger has to be clean as well. */
export const recovery: Benchmark = {
  name: 'recovery',
  ids: ['P22'],
  run: async ({ samples }) => {
    const requirement = { id: 'P22', required: CAUGHT_UP_SECONDS, unit: 's from kill -9 to caught up, slowest' }
    const fault = FAULTS.find(({ id }) => id === 'service-killed')
    if (fault === undefined) throw new Error('test/faults has no fault service-killed')
    const { verdict, recoveredS, broken, detail } = await fault.run({
      seed: 1,
      scale: samples === undefined ? 1 : 0.5,
      client: 'kafkajs',
      nodes: 1,
      note: progress,
    })
    const { acknowledged, lost, duplicates, misordered, problems } = verdict
    const why = [...broken, ...problems].join('; ')
    const found = limit(requirement.id, recoveredS ?? Number.POSITIVE_INFINITY, requirement.required, requirement.unit, 1, {
      acknowledged,
      lost,
      duplicates,
      misordered,
      ...detail,
      load: load(),
    })
    return [why === '' ? found : { ...found, why }]
  },
}
