// The service on any log, with the demo plant's documents, principals of three roles and a client of its door.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { canonicalJson, createLogger, followTopic, publish, sha256Hex, startService } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { documentKind, parseNamed, resolvePorts } from '@andon/schemas'
import type { Actions, Config, Finding } from '@andon/schemas'
import { parse } from 'yaml'
import { actionsService } from '../src/service.ts'
import type { ActionsPorts } from '../src/service.ts'
import { loadConfig } from '../src/config.ts'

export const WEBHOOK_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
export const TOPICS = ['telemetry', 'features', 'predictions', 'anomalies', 'actions', 'models', 'devices', 'config']

export interface PlantPorts {
  readonly opcua?: number
  readonly sinks?: number
  readonly smtp?: number
}

const plantDir = new URL('../../../examples/steel-plant/', import.meta.url)

/** The demo plant's documents with the given ports; `change` may alter a parsed document. */
export const plantDocuments = (
  ports: PlantPorts = {},
  change: (name: string, value: Record<string, unknown>) => void = () => {},
): Config[] => {
  const files = {
    plant: 'plant.yaml',
    commands: 'commands.yaml',
    'policies/press-vibration': 'policies/press-vibration.yaml',
    'policies/default': 'policies/default.yaml',
    'boundaries/press-pause': 'boundaries/press-pause.md',
    'boundaries/look-and-tell': 'boundaries/look-and-tell.md',
  }
  return Object.entries(files).map(([name, file]) => {
    const text = readFileSync(new URL(file, plantDir), 'utf8')
      .replace('{port:4840}', String(ports.opcua ?? 1))
      .replaceAll('{port:7091}', String(ports.sinks ?? 1))
      .replace('{port:7092}', String(ports.smtp ?? 1))
    const value = (file.endsWith('.md') ? parseNamed(name, text).value : parse(resolvePorts(text, 0))) as Record<string, unknown>
    change(name, value)
    const body = canonicalJson(parseNamed(name, value).value)
    const atUs = Date.now() * 1000
    return {
      type: 'ConfigPublished',
      name,
      kind: documentKind(name) ?? '',
      digest: sha256Hex(body),
      body,
      effectiveFromUs: atUs,
      by: 'test',
      atUs,
    }
  })
}

export const publishDocuments = async (log: Log, codec: Codec, documents: readonly Config[]): Promise<void> => {
  const outputs = documents.map((value) => ({
    topic: 'config',
    key: value.name,
    value,
    id: value.digest,
    type: value.type,
    timeUs: value.atUs,
  }))
  await publish(log, codec, outputs, 'test')
}

export const findingOf = (fields: Partial<Finding> = {}): Finding => ({
  findingId: 'f-1',
  episodeId: 'e-1',
  assetId: 'press-1',
  transition: 'opened',
  severity: 2,
  ratio: 1.6,
  peakRatio: 1.6,
  openedUs: Date.now() * 1000,
  atUs: Date.now() * 1000,
  openingVectorId: 'v-1',
  vectorId: 'v-1',
  predictionId: 'p-1',
  model: 'm',
  modelVersion: 1,
  modelDigest: 'd',
  modelRole: 'champion',
  detectorSet: 's',
  contributions: [],
  clusterId: null,
  clusterIsNovel: false,
  faultMode: null,
  doubts: [],
  historical: false,
  recordedUs: null,
  title: 'Vibration of press-1 is 1.6 times its line',
  about: 'machine',
  faultModeId: null,
  pValue: null,
  regime: null,
  sources: [],
  nearest: [],
  precedent: null,
  ...fields,
})

export const raise = async (log: Log, codec: Codec, finding: Finding): Promise<void> => {
  const value = { type: 'EpisodeOpened', assetId: finding.assetId, finding, detail: null }
  await publish(
    log,
    codec,
    [{ topic: 'anomalies', key: finding.assetId, value, id: finding.findingId, type: value.type, timeUs: finding.atUs }],
    'test',
  )
}

const people = {
  operator: ['operator'],
  lead: ['shift-lead', 'operator'],
  integrator: ['integrator'],
  agent: ['agent'],
  strong: ['shift-lead', 'operator'],
}
export type Person = keyof typeof people

/** A folder with tokens (`token-<person>`) and settings for one instance. */
export const settingsIn = (dir: string, more: Record<string, string> = {}): Record<string, string> => {
  const principals = Object.entries(people).map(([name, roles]) => ({
    id: `p-${name}`,
    name,
    roles,
    tokenSha256: sha256Hex(`token-${name}`),
    ...(name === 'strong' ? { strength: 'strong' } : {}),
  }))
  writeFileSync(join(dir, 'principals.json'), JSON.stringify(principals))
  return {
    ANDON_TOKENS_FILE: join(dir, 'principals.json'),
    ANDON_DATA_DIR: join(dir, 'data'),
    ANDON_LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
    ANDON_REDIS_URL: 'redis://127.0.0.1:1',
    ANDON_NATS_URL: 'nats://127.0.0.1:1',
    ACTIONS_HTTP_PORT: '0',
    ACTIONS_ADMIN_PORT: '0',
    ACTIONS_MAX_STOP_MS: '200',
    ACTIONS_WEBHOOK_SECRET: WEBHOOK_SECRET,
    ACTIONS_WEBHOOK_ALLOW: '127.0.0.1',
    ...more,
  }
}

export const tempDir = (t: TestContext | { after(run: () => void): void }): string => {
  const dir = mkdtempSync(join(tmpdir(), 'andon-actions-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export class DoorClient {
  readonly base: string
  constructor(base: string) {
    this.base = base
  }

  async call(method: string, path: string, person: Person | undefined, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(this.base + path, {
      method,
      headers: {
        ...(person ? { authorization: `Bearer token-${person}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    // eslint-disable-next-line typescript/no-explicit-any -- tests read answers of many shapes
    return { status: response.status, headers: response.headers, body: (await response.json()) as any }
  }

  get(path: string, person: Person = 'operator') {
    return this.call('GET', path, person)
  }

  post(path: string, body: unknown, person: Person = 'operator', headers: Record<string, string> = {}) {
    return this.call('POST', path, person, body, headers)
  }

  /** The first open incident's step of this name, once it has the status. */
  async step(name: string, status?: string, withinMs = 10_000) {
    return eventually(async () => {
      const { body } = await this.get('/v1/incidents')
      // eslint-disable-next-line typescript/no-explicit-any -- as above
      const step = body.incidents.flatMap((incident: any) => incident.steps).find((one: any) => one.name === name)
      assert.ok(step, `no step ${name}`)
      if (status !== undefined) assert.equal(step.status, status, `${name}: ${step.note}`)
      return step
    }, withinMs)
  }

  decide(verb: string, step: { id: string; commandHash: string }, person: Person = 'operator') {
    return this.post(`/v1/steps/${step.id}/${verb}`, { reason: 'looked at it', commandHash: step.commandHash }, person)
  }
}

/** Tries until it no longer throws. */
export const eventually = async <T>(check: () => Promise<T> | T, withinMs = 10_000): Promise<T> => {
  const until = Date.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > until) throw error
      await delay(20)
    }
  }
}

/** Starts the service in this process. */
export const startActions = async (t: TestContext, ports: ActionsPorts, settings: Record<string, string> = {}) => {
  const config = loadConfig(settingsIn(tempDir(t), settings))
  const service = actionsService(config, { logger: createLogger({ service: 'actions', level: config.logLevel }), ...ports })
  const running = await startService(service)
  t.after(() => running.stop())
  const door = service.parts.find((part) => part.name === 'door') as { port?: () => number } | undefined
  return { service, running, door: new DoorClient(`http://127.0.0.1:${door?.port?.() ?? 0}`) }
}

/** Everything on `actions`, as it comes. */
export const readActions = async (t: TestContext, log: Log, codec: Codec): Promise<Actions[]> => {
  const records: Actions[] = []
  const follow = await followTopic<Actions>(log, codec, 'actions', (input) => void records.push(input.value))
  t.after(() => follow.stop())
  return records
}
