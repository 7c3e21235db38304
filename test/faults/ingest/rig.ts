// A real ingest process with its platform for fault runs: started, killed and started again under one instance name, on ports and folders
// that stay. What it is asked to bring in is one number after the other per door; the verifier finds the numbers in `telemetry`.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createWriteStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalJson, openCodec, publish, sha256Hex } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { freePorts, startRedis, startRegistry } from '@andon/platform'
import { parsePlant, topology } from '@andon/schemas'
import type { Plant } from '@andon/schemas'
import { until } from '../rig.ts'
import type { Scene } from '../rig.ts'

export const TOKEN = 'faults-token'
/** Every asset of the run has this one channel; its values are the numbers that the ledger knows. */
export const CHANNEL = 'count'

export interface IngestOptions {
  readonly doors: readonly string[]
  /** One asset per stream of numbers; its source has the asset's id and a suffix -src. */
  readonly assets: readonly string[]
  /** Documents `sources/<id>`. */
  readonly sources?: readonly (Readonly<Record<string, unknown>> & { readonly id: string })[]
  readonly env?: Readonly<Record<string, string>>
}

export interface Ingest {
  readonly codec: Codec
  readonly log: Log
  /** Base URL of the HTTP door. */
  readonly url: string
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
  /** SIGTERM; resolves with the exit code. */
  readonly terminate: () => Promise<number | null>
  /** CPU seconds and resident bytes of the running process, from /proc; undefined while it is down. */
  readonly pid: () => number | undefined
}

export const sourceOf = (asset: string): string => `${asset}-src`

const plantOf = (assets: readonly string[]): Plant =>
  parsePlant({
    version: 1,
    site: { id: 'works', name: 'Works', timezone: 'Europe/Berlin' },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'hall' }],
    assetClasses: [{ id: 'machine', featureSet: 'features/machine' }],
    assets: assets.map((id) => ({
      id,
      name: id,
      line: 'line-1',
      class: 'machine',
      sources: [sourceOf(id)],
      channels: [{ id: CHANNEL, unit: '1', kind: 'scalar', range: [0, 1e9] }],
    })),
  })

/** Publishes documents on `config`. */
export const publishDocuments = async (
  log: Log,
  codec: Codec,
  documents: readonly { readonly name: string; readonly kind: string; readonly value: unknown }[],
): Promise<void> => {
  await log.admin.ensureTopics([{ name: 'config', partitions: 1, configs: topology.topics.config.configs }])
  const atUs = Date.now() * 1000
  const outputs = documents.map(({ name, kind, value }) => {
    const body = canonicalJson(value)
    const record = { type: 'ConfigPublished', name, kind, digest: sha256Hex(body), body, effectiveFromUs: atUs, by: 'p-faults', atUs }
    return { topic: 'config', key: name, value: record, id: `${name}-1`, type: 'andon.config', timeUs: atUs }
  })
  await publish(log, codec, outputs, 'faults')
}

/** The platform beside the broker, the documents, and ingest ready to be started. */
export const openIngest = async (scene: Scene, options: IngestOptions): Promise<Ingest> => {
  const [registry, redis] = await Promise.all([startRegistry({ brokers: scene.kafka.brokers }), startRedis()])
  scene.defer(() => Promise.all([registry.stop(), redis.stop()]))
  const codec = await openCodec({ registryUrl: registry.url, namespace: scene.namespace })
  const log = await scene.openLog()
  await publishDocuments(log, codec, [
    { name: 'plant', kind: 'plant', value: plantOf(options.assets) },
    ...(options.sources ?? []).map((value) => ({ name: `sources/${value.id}`, kind: 'source', value })),
  ])
  const principals = [{ id: 'p-device', name: 'device', roles: ['ingest'], tokenSha256: sha256Hex(TOKEN) }]
  writeFileSync(join(scene.dir, 'principals.json'), JSON.stringify(principals))
  const [admin, http] = await freePorts(2)
  const env = {
    PATH: process.env['PATH'],
    ANDON_KAFKA_BROKERS: scene.kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_REDIS_URL: redis.url,
    ANDON_NAMESPACE: scene.namespace,
    ANDON_DATA_DIR: join(scene.dir, 'data'),
    ANDON_BLOB_DIR: join(scene.dir, 'blobs'),
    ANDON_TOKENS_FILE: join(scene.dir, 'principals.json'),
    ANDON_LOG_LEVEL: 'warn',
    ANDON_PARENT_PID: String(process.pid),
    INGEST_DOORS: options.doors.join(','),
    INGEST_ADMIN_PORT: String(admin),
    INGEST_HTTP_PORT: String(http),
    ...options.env,
  }
  let child: ChildProcess | undefined
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ending = child
    if (ending === undefined) return null
    child = undefined
    if (ending.exitCode !== null) return ending.exitCode
    const ended = new Promise<number | null>((resolve) => ending.once('exit', resolve))
    ending.kill(signal)
    return ended
  }
  scene.defer(() => end('SIGKILL'))
  const isReady = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${admin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
  return {
    codec,
    log,
    url: `http://127.0.0.1:${http}`,
    pid: () => child?.pid,
    kill: async () => void (await end('SIGKILL')),
    terminate: () => end('SIGTERM'),
    start: async () => {
      const out = createWriteStream(join(scene.dir, 'ingest.log'), { flags: 'a' })
      child = spawn(process.execPath, [join(import.meta.dirname, '../../../services/ingest/src/main.ts')], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child.stdout?.pipe(out)
      child.stderr?.pipe(out)
      await until('ingest to be ready', isReady)
    },
  }
}
