// Environment variables → typed settings. A service reads its environment once, in config.ts, through readConfig;
// whatever is missing or bad ends the start with one error that names the setting.

import { resolve } from 'node:path'
import { topology } from '@andon/schemas'
import type { ServiceName } from '@andon/schemas'
import { AndonError } from './errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** A default that moves with ANDON_PORT_OFFSET. */
export type Shifted<T> = (portOffset: number) => T

/** One setting: where it is read from, what it is for, and how its text becomes a value. */
export interface Setting<T> {
  readonly name: string
  readonly doc: string
  readonly default: T | Shifted<T> | undefined
  readonly expected: string
  /** Its value never appears in an error or a log. */
  readonly isSecret: boolean
  /** Undefined when the text is not acceptable. */
  parse(text: string): T | undefined
}

type Values<S extends Readonly<Record<string, Setting<unknown>>>> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

/** Reads all settings of a spec; throws one ANDON_SETTING_INVALID that names every bad or missing one. */
export const readConfig = <S extends Readonly<Record<string, Setting<unknown>>>>(source: Environment, spec: S): Values<S> => {
  const faults: string[] = []
  const portOffset = integer(source['ANDON_PORT_OFFSET'] ?? '') ?? 0
  const values = Object.entries(spec).map(([key, setting]) => {
    const text = source[setting.name]
    if (text === undefined || text === '') {
      if (setting.default === undefined) faults.push(fault(setting, 'nothing'))
      return [key, typeof setting.default === 'function' ? (setting.default as Shifted<unknown>)(portOffset) : setting.default]
    }
    const value = setting.parse(text)
    if (value === undefined) faults.push(fault(setting, setting.isSecret ? 'something else' : JSON.stringify(text)))
    return [key, value]
  })
  if (faults.length > 0) throw new AndonError('ANDON_SETTING_INVALID', faults.join('\n'))
  return Object.fromEntries(values) as Values<S>
}

const fault = (setting: Setting<unknown>, found: string): string =>
  `${setting.name} (${setting.doc}): expected ${setting.expected}, found ${found}. Set ${setting.name} in the environment and start again.`

const integer = (text: string): number | undefined => (/^-?\d{1,15}$/.test(text) ? Number(text) : undefined)

const port = (text: string): number | undefined => {
  const value = integer(text)
  return value !== undefined && value >= 0 && value <= 65_535 ? value : undefined
}

const setting =
  <T>(expected: string, parse: (text: string) => T | undefined, isSecret = false) =>
  (name: string, doc: string, fallback?: NoInfer<T> | Shifted<NoInfer<T>>): Setting<T> => ({
    name,
    doc,
    default: fallback,
    expected,
    isSecret,
    parse,
  })

/** Kinds of settings. Each takes the variable's name, what it is for, and the default (without one it is required). */
export const env = {
  string: setting('a text', (text) => text),
  secret: setting('a text', (text) => text, true),
  integer: setting('an integer', integer),
  number: setting('a number', (text) => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined)),
  boolean: setting<boolean>('true or false', (text) => ({ true: true, '1': true, false: false, '0': false })[text]),
  port: setting('a port from 0 to 65535', port),
  /** Comma separated, blanks trimmed. */
  list: setting<readonly string[]>('a comma-separated list', (text) => {
    const items = text.split(',').map((item) => item.trim())
    return items.includes('') ? undefined : items
  }),
  /** Absolute, from the working folder. */
  path: (name: string, doc: string, fallback?: string): Setting<string> => ({
    ...setting('a path', (text) => resolve(text))(name, doc),
    default: fallback === undefined ? undefined : () => resolve(fallback),
  }),
  url: setting('a URL', (text) => (URL.canParse(text) ? text.replace(/\/$/, '') : undefined)),
  /** One of a few words. */
  oneOf: <const T extends string>(words: readonly T[], name: string, doc: string, fallback?: T): Setting<T> => ({
    ...setting<T>(words.join(', '), (text) => words.find((word) => word === text))(name, doc),
    default: fallback,
  }),
  /** The same setting, null when the environment does not have it. */
  optional: <T>(inner: Setting<T>): Setting<T | null> => ({ ...inner, default: () => null }),
}

/** Conventional port of a service (`admin`, `http`, …), shifted by ANDON_PORT_OFFSET. */
export const portDefault = (service: ServiceName, name: string): Shifted<number> => {
  const edges = topology.services[service]
  const conventional = name === 'admin' ? edges.admin : edges.ports[name]
  if (conventional === undefined) throw new RangeError(`topology.json gives ${service} no port ${name}`)
  return (offset) => conventional + offset
}

/** Settings that all services share; spread them into a spec. */
export const sharedSettings = {
  kafkaBrokers: env.list('ANDON_KAFKA_BROKERS', 'Bootstrap brokers, comma separated', (offset) => [`127.0.0.1:${9092 + offset}`]),
  registryUrl: env.url('ANDON_REGISTRY_URL', 'Schema registry', (offset) => `http://127.0.0.1:${8081 + offset}`),
  redisUrl: env.url('ANDON_REDIS_URL', 'Redis', (offset) => `redis://127.0.0.1:${6379 + offset}`),
  natsUrl: env.url('ANDON_NATS_URL', 'NATS', (offset) => `nats://127.0.0.1:${4222 + offset}`),
  namespace: env.string('ANDON_NAMESPACE', 'Prefix of every topic, subject, group and transactional id', ''),
  registerSchemas: env.boolean('ANDON_REGISTER_SCHEMAS', 'Register missing schemas at start instead of only looking them up', true),
  host: env.string('ANDON_HOST', 'Address the doors listen on', '127.0.0.1'),
  dataDir: env.path('ANDON_DATA_DIR', 'Folder for local state', '.andon/data'),
  blobDir: env.path('ANDON_BLOB_DIR', 'Folder of the blob store', '.andon/blobs'),
  tokensFile: env.path('ANDON_TOKENS_FILE', 'Principals and the digests of their tokens', '.andon/tokens/principals.json'),
  oidcIssuer: env.optional(env.url('ANDON_OIDC_ISSUER', 'Identity provider whose access tokens are taken, as in `iss`')),
  oidcAudience: env.string('ANDON_OIDC_AUDIENCE', 'Audience that its tokens have to name', 'andon'),
  oidcRolesClaim: env.string('ANDON_OIDC_ROLES_CLAIM', 'Claim that lists roles; a dot goes into an object', 'roles'),
  oidcSite: env.optional(env.string('ANDON_OIDC_SITE', 'Only roles `<site>/<role>` of this site count')),
  oidcStrong: env.list('ANDON_OIDC_STRONG', 'Values of `acr` or `amr` that stand for a strong sign-in', ['phr', 'phrh', 'mfa', 'hwk']),
  oidcStrongMaxAgeS: env.integer('ANDON_OIDC_STRONG_MAX_AGE_S', 'Oldest sign-in that is still strong, s', 300),
  replayPlan: env.optional(env.path('ANDON_REPLAY_PLAN', 'Plan of the replay run that this process is; set by `andon replay`')),
  historyEveryMs: env.integer('ANDON_HISTORY_EVERY_MS', 'Record time between two retained snapshots of a partition, ms', 600_000),
  historyEveryRecords: env.integer('ANDON_HISTORY_EVERY', 'Records between two retained snapshots, if that comes first', 50_000),
  groupInstance: env.optional(
    env.string('ANDON_INSTANCE', 'Name of this process in its groups, kept over restarts and used by no other running process of a group'),
  ),
  groupInstanceStays: env.boolean('ANDON_INSTANCE_STAYS', 'A stopped process with a name keeps its partitions for a session', false),
  standby: env.boolean('ANDON_STANDBY', 'Keep the state of partitions that other instances own warm, for a quick takeover', false),
  logLevel: env.oneOf(
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'ANDON_LOG_LEVEL',
    'Least severe log line that is written',
    'info',
  ),
}
