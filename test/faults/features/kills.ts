// The features service under load, killed and rebalanced, in either mode of delivery; afterwards the same telemetry goes through the same
// code undisturbed, and both have to have given the same records.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { canonicalJson, openCodec, openKafkaLog, publish, seeded, sha256Hex } from '@andon/kit'
import type { Append, Codec, Log, LogRecord } from '@andon/kit'
import { startRegistry } from '@andon/platform'
import { parseCause } from '../../../packages/kit/src/lineage.ts'
import { sumVerdicts } from '../../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { until, withScene } from '../rig.ts'
import type { Scene } from '../rig.ts'
import { documentsFor, telemetry } from './blocks.ts'
import { verifySame } from './same.ts'
import type { ReadRecord } from './same.ts'

const FULL_BLOCKS = 100_000
const PARTITIONS = 6
/** Blocks a second while there is harm to be done; afterwards as fast as it goes. */
const BLOCKS_PER_SECOND = 3000
const STEP = 200

interface Mode {
  readonly name: string
  readonly settings: Readonly<Record<string, string>>
  readonly mayRepeat: boolean
}

const MODES: readonly Mode[] = [
  { name: 'marks', settings: {}, mayRepeat: true },
  { name: 'transactions', settings: { FEATURES_TRANSACTIONAL: 'true' }, mayRepeat: false },
]

/** One namespace with its topics and documents, and the service processes that work in it. */
interface Place {
  readonly log: Log
  readonly start: (name: string) => Member
  /** Inputs whose outputs can be seen: the newest cause in each partition. */
  readonly handled: () => number
}

interface Member {
  readonly kill: () => Promise<void>
  readonly terminate: () => Promise<number | null>
}

export const featuresKills = (options: FaultOptions): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const registry = await startRegistry({ brokers: scene.kafka.brokers })
    scene.defer(() => registry.stop())
    const blocks = Math.max(3000, Math.round(FULL_BLOCKS * options.scale))
    const codec = await openCodec({ registryUrl: registry.url, namespace: 'blocks.' })
    const records = recordsOf(codec, options.seed, blocks)
    options.note(`${blocks} blocks, ${records.length} records`)

    const clean = await openPlace(scene, registry.url, blocks, { name: 'clean', settings: {}, mayRepeat: false })
    const alone = clean.start('a')
    for (let from = 0; from < records.length; from += STEP) await clean.log.append(records.slice(from, from + STEP))
    await allHandled(clean.log)
    await alone.terminate()
    const expected = await recordsIn(clean.log)
    options.note(`undisturbed: ${expected.length} records on features`)

    const verdicts = []
    const detail: Record<string, unknown> = { records: expected.length }
    const broken: string[] = []
    let slowestS = 0
    for (const mode of MODES) {
      const place = await openPlace(scene, registry.url, blocks, mode)
      const { recoveredS, lags } = await disturb(place, records, options, mode)
      slowestS = Math.max(slowestS, recoveredS)
      if (!(await hasSameInput(clean.log, place.log))) broken.push(`${mode.name}: the telemetry is not the one that was replayed`)
      const verdict = verifySame(expected, await recordsIn(place.log), mode)
      detail[mode.name] = { lagAtHarm: lags, repeats: verdict.repeats }
      verdicts.push({ ...verdict, problems: verdict.problems.map((problem) => `${mode.name}: ${problem}`) })
    }
    if (expected.length < blocks / 4) broken.push(`only ${expected.length} records on features: the run shows little`)
    return { verdict: sumVerdicts(verdicts), recoveredS: slowestS, broken: [...scene.surprises, ...broken], detail }
  })

/** Three kills and two rebalances at moments that the seed decides, while blocks come in. */
const disturb = async (
  place: Place,
  records: readonly Append[],
  { seed, note }: FaultOptions,
  mode: Mode,
): Promise<{ recoveredS: number; lags: number[] }> => {
  const { fraction: random } = seeded(seed + MODES.indexOf(mode))
  const members = new Map([['a', place.start('a')]])
  const kill = async (name: string): Promise<void> => {
    await members.get(name)!.kill()
    members.set(name, place.start(name))
  }
  const harms: readonly (readonly [string, () => Promise<void>])[] = [
    ['a killed', () => kill('a')],
    ['b joins', async () => void members.set('b', place.start('b'))],
    ['one of both killed', () => kill(random() < 0.5 ? 'a' : 'b')],
    [
      'b leaves',
      async () => {
        const leaver = members.get('b')!
        members.delete('b')
        await leaver.terminate()
      },
    ],
    ['a killed again', () => kill('a')],
  ]
  let fed = 0
  let done = 0
  /** Each harm has a share of the records before it and one after it, however fast they are handled. */
  const mayFeed = (): boolean => fed < (records.length * (done + 1)) / (harms.length + 1)
  const feed = (async () => {
    for (; fed < records.length; fed += STEP) {
      await until('the next harm to be over', mayFeed)
      const startedMs = performance.now()
      await place.log.append(records.slice(fed, fed + STEP))
      await sleep(Math.max(0, (STEP / BLOCKS_PER_SECOND) * 1000 - (performance.now() - startedMs)))
    }
  })()
  feed.catch(() => undefined) // told when it is awaited below
  const lags: number[] = []
  let slowestS = 0
  for (const [i, [what, harm]] of harms.entries()) {
    const moment = ((i + 0.2 + 0.6 * random()) / (harms.length + 1)) * records.length
    await until(`work before: ${what}`, () => fed > moment && place.handled() > 0)
    lags.push(fed - place.handled())
    await harm()
    const atMs = performance.now()
    const before = place.handled()
    done++
    await until(`work after: ${what}`, () => place.handled() > before)
    const tookS = (performance.now() - atMs) / 1000
    slowestS = Math.max(slowestS, tookS)
    note(`${mode.name}: ${what}, going on after ${tookS.toFixed(1)} s`)
  }
  await feed
  await allHandled(place.log)
  await Promise.all([...members.values()].map((member) => member.terminate()))
  return { recoveredS: slowestS, lags }
}

/** Encoded once, so that every place has the same bytes. */
const recordsOf = (codec: Codec, seed: number, blocks: number): Append[] => {
  const records: Append[] = []
  for (const { key, isTick, id, timeUs, value } of telemetry(seed, blocks)) {
    const headers = {
      ce_specversion: '1.0',
      ce_id: id,
      ce_source: 'ingest',
      ce_type: value.type,
      ce_time: new Date(timeUs / 1000).toISOString(),
      'andon-lane': 'live',
    }
    const bytes = Buffer.from(codec.encode('telemetry', value))
    const record = { topic: 'telemetry', key, value: bytes, headers, timestampMs: Math.floor(timeUs / 1000) }
    if (!isTick) records.push(record)
    else for (let partition = 0; partition < PARTITIONS; partition++) records.push({ ...record, partition })
  }
  return records
}

const openPlace = async (scene: Scene, registryUrl: string, blocks: number, { name, settings }: Mode): Promise<Place> => {
  const namespace = `${name}.`
  const log = await openKafkaLog({ brokers: scene.kafka.brokers, clientId: 'faults', namespace, appendDeadlineMs: 120_000 })
  scene.defer(() => log.close())
  const codec = await openCodec({ registryUrl, namespace })
  await log.admin.ensureTopics([
    { name: 'config', partitions: 1 },
    ...['telemetry', 'features'].map((topic) => ({ name: topic, partitions: PARTITIONS, configs: { 'retention.ms': '-1' } })),
  ])
  await publishAll(log, codec, blocks)
  const handled = new Map<number, number>()
  const follow = await log.follow({
    topics: ['features'],
    onBatch: (batch) => {
      const cause = parseCause(batch.headerAt(batch.count - 1, 'andon-cause'))
      if (cause) handled.set(cause.partition, Math.max(handled.get(cause.partition) ?? 0, cause.offset + 1))
    },
  })
  scene.defer(() => follow.stop())
  const env = {
    PATH: process.env['PATH'],
    ANDON_KAFKA_BROKERS: scene.kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registryUrl,
    ANDON_REDIS_URL: 'redis://127.0.0.1:1',
    ANDON_NAMESPACE: namespace,
    ANDON_DATA_DIR: join(scene.dir, name, 'data'),
    ANDON_BLOB_DIR: join(scene.dir, name, 'blobs'),
    ANDON_LOG_LEVEL: 'warn',
    ANDON_PARENT_PID: String(process.pid),
    FEATURES_ADMIN_PORT: '0',
    FEATURES_SNAPSHOT_EVERY: '500',
    FEATURES_SNAPSHOT_EVERY_MS: '500',
    ...settings,
  }
  return {
    log,
    handled: () => [...handled.values()].reduce((sum, count) => sum + count, 0),
    start: (instance) => startMember(scene, { ...env, ANDON_INSTANCE: instance }, `${name}-${instance}`),
  }
}

const startMember = (scene: Scene, env: NodeJS.ProcessEnv, label: string): Member => {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '../../../services/features/src/main.ts')], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const out = createWriteStream(join(scene.dir, `${label}.log`), { flags: 'a' })
  child.stdout?.pipe(out)
  child.stderr?.pipe(out)
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const end = (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal)
    return exited
  }
  scene.defer(() => end('SIGKILL'))
  return { kill: async () => void (await end('SIGKILL')), terminate: () => end('SIGTERM') }
}

const publishAll = async (log: Log, codec: Codec, blocks: number): Promise<void> => {
  const outputs = documentsFor(blocks).map(({ name, kind, value }) => {
    const body = canonicalJson(value)
    const record = { type: 'ConfigPublished', name, kind, digest: sha256Hex(body), body, effectiveFromUs: 0, by: 'p-faults', atUs: 0 }
    return { topic: 'config', key: name, value: record, id: `${name}-1`, type: 'ConfigPublished', timeUs: 0 }
  })
  await publish(log, codec, outputs, 'faults')
}

/** The group has committed everything that is on telemetry. */
const allHandled = async (log: Log): Promise<void> => {
  const ends = await log.admin.watermarks('telemetry')
  await until('all telemetry to be handled', async () => {
    const committed = await log.admin.committed('features', 'telemetry')
    return ends.every(({ partition, high }) => (committed.get(partition) ?? 0) >= high)
  })
}

const hasSameInput = async (a: Log, b: Log): Promise<boolean> =>
  JSON.stringify(await a.admin.watermarks('telemetry')) === JSON.stringify(await b.admin.watermarks('telemetry'))

/** Magic byte and schema id. */
const FRAME_BYTES = 5

const recordsIn = async (log: Log): Promise<ReadRecord[]> => {
  const found: ReadRecord[] = []
  for (let partition = 0; partition < PARTITIONS; partition++)
    for await (const batch of log.read({ topic: 'features', partition, from: 'earliest', to: 'latest' }))
      for (const record of batch.records) found.push(readRecord(record))
  return found
}

const readRecord = (record: LogRecord): ReadRecord => {
  const { traceparent: _, ...headers } = record.headers()
  const body = sha256Hex(record.value!.subarray(FRAME_BYTES))
  const said = Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { id: headers['ce_id'] ?? '', partition: record.partition, content: JSON.stringify([record.key, said, body]) }
}
