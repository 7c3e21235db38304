// What the benchmarks of ingest stand on: real ingest processes on one real broker, each with topics, folder and ports of its own, and a
// plant of machines that all send the same kind of readings.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalJson, openCodec, openKafkaLog, publish, sha256Hex } from '@andon/kit'
import { freePorts, repositoryRoot } from '@andon/platform'
import { parsePlant, topology } from '@andon/schemas'
import { type Bench, smallTopic } from '../core/broker.ts'
import type { Contender } from '../../harness/bench.ts'

export const MACHINES = 128
export const TOKEN = 'bench-token'
const READY_MS = 60_000

export const machineOf = (n: number): string => `machine-${n % MACHINES}`
export const sourceOf = (n: number): string => `${machineOf(n)}-plc`

const plant = parsePlant({
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'Europe/Berlin' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'hall' }],
  assetClasses: [{ id: 'machine', featureSet: 'features/machine' }],
  assets: Array.from({ length: MACHINES }, (_, n) => ({
    id: machineOf(n),
    name: `Machine ${n}`,
    line: 'line-1',
    class: 'machine',
    sources: [sourceOf(n)],
    channels: [
      { id: 'temperatureC', unit: 'Cel', kind: 'scalar', range: [-50, 900] },
      { id: 'pressureBar', unit: 'bar', kind: 'scalar', range: [0, 400] },
      { id: 'speedRpm', unit: '/min', kind: 'scalar' },
      { id: 'powerKw', unit: 'kW', kind: 'scalar' },
    ],
  })),
})

/** A running ingest process. */
export interface Ingest {
  readonly pid: number
  readonly ports: Readonly<Record<string, number>>
  readonly adminPort: number
  readonly namespace: string
  close(): Promise<void>
}

let started = 0

/** How `andon up` and the image start the process. */
export const IMAGE_OPTIONS = ['--max-old-space-size=256', '--max-semi-space-size=4'] as const

/** Starts an ingest process with these doors and waits until it takes readings. `portsOf`: settings that give a door its port. */
export const startIngest = async (
  bench: Bench,
  doors: readonly string[],
  portsOf: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Promise<Ingest> => {
  const namespace = `bench-${++started}.`
  const folder = join(bench.folder, `ingest-${started}`)
  mkdirSync(folder, { recursive: true })
  const tokens = join(folder, 'principals.json')
  writeFileSync(tokens, JSON.stringify([{ id: 'p-bench', name: 'bench', roles: ['ingest'], tokenSha256: sha256Hex(TOKEN) }]))
  await publishPlant(bench, namespace)
  const [adminPort, ...free] = (await freePorts(portsOf.length + 1)) as [number, ...number[]]
  const ports = Object.fromEntries(portsOf.map((name, i) => [name, free[i] as number]))
  const child = spawn(process.execPath, [...nodeOptions, join(repositoryRoot, 'services', 'ingest', 'src', 'main.ts')], {
    env: {
      PATH: process.env['PATH'],
      ANDON_KAFKA_BROKERS: bench.broker,
      ANDON_REGISTRY_URL: bench.registryUrl,
      ANDON_NAMESPACE: namespace,
      ANDON_DATA_DIR: join(folder, 'data'),
      ANDON_TOKENS_FILE: tokens,
      ANDON_LOG_LEVEL: 'error',
      ANDON_PARENT_PID: String(process.pid),
      INGEST_DOORS: doors.join(','),
      INGEST_ADMIN_PORT: String(adminPort),
      ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await ready(child, adminPort)
  return { pid: child.pid as number, ports, adminPort, namespace, close: () => ended(child) }
}

const publishPlant = async (bench: Bench, namespace: string): Promise<void> => {
  const codec = await openCodec({ registryUrl: bench.registryUrl, namespace })
  const log = await openKafkaLog({ brokers: [bench.broker], clientId: 'bench', namespace })
  // Made before ingest makes it: a benchmark writes gigabytes, and telemetry keeps 14 days.
  await log.admin.ensureTopics([
    { name: 'config', partitions: 1, configs: topology.topics.config.configs },
    smallTopic('telemetry', topology.topics.telemetry.partitions),
  ])
  const body = canonicalJson(plant)
  const atUs = Date.now() * 1000
  const fact = {
    type: 'ConfigPublished',
    name: 'plant',
    kind: 'plant',
    digest: sha256Hex(body),
    body,
    effectiveFromUs: atUs,
    by: 'p-bench',
    atUs,
  }
  await publish(log, codec, [{ topic: 'config', key: 'plant', value: fact, id: 'plant-1', type: 'andon.config', timeUs: atUs }], 'bench')
  await log.close()
}

const ready = async (child: ChildProcess, adminPort: number): Promise<void> => {
  const deadline = Date.now() + READY_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`ingest ended with ${child.exitCode}`)
    const isReady = await fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isReady) return
    if (Date.now() > deadline) throw new Error(`ingest was not ready within ${READY_MS} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
    setTimeout(() => child.kill('SIGKILL'), 15_000).unref()
  })

/** CPU time of a process so far, all its threads, microseconds. */
export const cpuUsOf = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce((total, task) => {
    try {
      return total + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000
    } catch {
      return total // the thread ended while we looked
    }
  }, 0)

/** A driver and the ingest process it drives, as one contender; the CPU is that of ingest. */
export const drivenBy = (ingest: Pick<Ingest, 'pid' | 'close'>, driver: Contender): Contender => ({
  ...driver,
  run: async (rounds) => {
    const beforeUs = cpuUsOf(ingest.pid)
    const cost = await driver.run(rounds)
    return { ...cost, cpuUs: cpuUsOf(ingest.pid) - beforeUs }
  },
  close: async () => {
    await driver.close?.()
    await ingest.close()
  },
})
