// A real ingest process on a broker and a registry of its own: started, killed and started again by tests.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canonicalJson, openCodec, openKafkaLog, publish, sha256Hex } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { freePorts, startKafka, startRegistry } from '@andon/platform'
import { topology } from '@andon/schemas'
import type { Telemetry } from '@andon/schemas'
import { plant } from './rig.ts'
import { until } from './until.ts'

/** Its main file. */
export const main = new URL('../src/main.ts', import.meta.url).pathname

export interface IngestProcess {
  readonly folder: string
  readonly inbox: string
  readonly sftpKeys: string
  readonly ports: { readonly admin: number; readonly http: number; readonly mqtt: number; readonly sftp: number }
  /** What the process is started with. */
  readonly env: NodeJS.ProcessEnv
  readonly kafka: Awaited<ReturnType<typeof startKafka>>
  readonly log: Log
  readonly codec: Codec
  readonly registryUrl: string
  readonly namespace: string
  /** Of the running process. */
  pid(): number
  /** Resolves when it is ready. `extra`: settings for this time. */
  start(extra?: Readonly<Record<string, string>>): Promise<void>
  /** Ends the process; gives its exit code. */
  kill(signal: NodeJS.Signals): Promise<number | null>
  /** Everything on `telemetry`, partition by partition. */
  telemetry(): Promise<Telemetry[]>
  /** Publishes a document of the plant. */
  document(name: string, kind: string, body: unknown): Promise<void>
  stop(): Promise<void>
}

/** Everything it needs, with the plant file on `config`; it is not started yet. */
export const openIngestProcess = async (doors: string, settings: Readonly<Record<string, string>> = {}): Promise<IngestProcess> => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-ingest-'))
  const namespace = 'it.'
  const kafka = await startKafka()
  const registry = await startRegistry({ brokers: kafka.brokers })
  const [admin, http, mqtt, sftp] = (await freePorts(4)) as [number, number, number, number]
  const principals = [
    { id: 'p-device', name: 'device', roles: ['ingest'], tokenSha256: sha256Hex('device-token') },
    { id: 'p-operator', name: 'operator', roles: ['operator'], tokenSha256: sha256Hex('operator-token') },
    { id: 'p-loader', name: 'loader', roles: ['ingest'], tokenSha256: sha256Hex('loader-token') },
    { id: 'p-other', name: 'other', roles: ['ingest'], tokenSha256: sha256Hex('other-token') },
    { id: 'p-viewer', name: 'viewer', roles: ['view'], tokenSha256: sha256Hex('viewer-token') },
  ]
  await writeFile(join(folder, 'principals.json'), JSON.stringify(principals))
  const codec: Codec = await openCodec({ registryUrl: registry.url, namespace })
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test', namespace })
  await log.admin.ensureTopics([{ name: 'config', partitions: 1, configs: topology.topics.config.configs }])
  let child: ChildProcess | undefined

  const env = {
    PATH: process.env['PATH'],
    ANDON_KAFKA_BROKERS: kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_NAMESPACE: namespace,
    ANDON_DATA_DIR: join(folder, 'data'),
    ANDON_BLOB_DIR: join(folder, 'blobs'),
    ANDON_TOKENS_FILE: join(folder, 'principals.json'),
    ANDON_LOG_LEVEL: 'error',
    ANDON_PARENT_PID: String(process.pid),
    INGEST_DOORS: doors,
    INGEST_ADMIN_PORT: String(admin),
    INGEST_HTTP_PORT: String(http),
    INGEST_MQTT_PORT: String(mqtt),
    INGEST_SFTP_PORT: String(sftp),
    INGEST_FOLDER: join(folder, 'inbox'),
    INGEST_FOLDER_SETTLE_MS: '100',
    INGEST_SFTP_KEYS: join(folder, 'keys'),
    ...settings,
  }

  const isReady = () =>
    fetch(`http://127.0.0.1:${admin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )

  const ingest: IngestProcess = {
    folder,
    inbox: join(folder, 'inbox'),
    sftpKeys: join(folder, 'keys'),
    ports: { admin, http, mqtt, sftp },
    env,
    kafka,
    codec,
    log,
    registryUrl: registry.url,
    namespace,
    pid: () => child?.pid ?? 0,
    start: async (extra = {}) => {
      child = spawn(process.execPath, [main], { env: { ...env, ...extra }, stdio: ['ignore', 'inherit', 'inherit'] })
      await until(isReady, 'ingest is ready')
    },
    kill: async (signal) => {
      const victim = child
      if (victim === undefined || victim.exitCode !== null || victim.signalCode !== null) return null
      const ended = new Promise<number | null>((resolve) => victim.once('exit', (code) => resolve(code)))
      victim.kill(signal)
      return ended
    },
    telemetry: async () => {
      const values: Telemetry[] = []
      for (let partition = 0; partition < topology.topics.telemetry.partitions; partition++) {
        for await (const batch of log.read({ topic: 'telemetry', partition, from: 'earliest', to: 'latest' })) {
          for (const record of batch.records) values.push(await codec.decodeAsync<Telemetry>('telemetry', record.value!))
        }
      }
      return values
    },
    document: async (name, kind, content) => {
      const body = canonicalJson(content)
      const digest = sha256Hex(body)
      const atUs = Date.now() * 1000
      const value = { type: 'ConfigPublished', name, kind, digest, body, effectiveFromUs: atUs, by: 'p-test', atUs }
      await publish(
        log,
        codec,
        [{ topic: 'config', key: name, value, id: `${name}-${digest}`, type: 'andon.config', timeUs: atUs }],
        'test',
      )
    },
    stop: async () => {
      await ingest.kill('SIGKILL')
      await log.close()
      await registry.stop()
      await kafka.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  await ingest.document('plant', 'plant', { ...plant, cameras: [] })
  return ingest
}
