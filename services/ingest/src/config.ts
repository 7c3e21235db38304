// Environment variables → typed settings of ingest: its core, and those of each door that INGEST_DOORS names. Read here and nowhere else.

import { AndonError, env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { DoorName } from './adapters/source.ts'
import { doorKinds } from './door-kinds.ts'
import { checkDoorMode, deviceSettings } from './devices/settings.ts'
import type { DoorKind } from './doors.ts'

const mebibyte = 1024 * 1024

const coreSettings = {
  ...sharedSettings,
  ...deviceSettings,
  adminHost: env.optional(env.string('INGEST_ADMIN_HOST', 'Address of the admin port; default ANDON_HOST')),
  adminPort: env.port('INGEST_ADMIN_PORT', 'Admin port', portDefault('ingest', 'admin')),
  instance: env.string(
    'INGEST_INSTANCE',
    'Id of this instance in ticks and of its spool folder; stable over restarts, unique per mesh',
    'ingest-0',
  ),
  acknowledge: env.oneOf(
    ['spooled', 'published'],
    'INGEST_ACKNOWLEDGE',
    'When a sender is acknowledged: with the spool on disk (one broker host) or the brokers’ answer (three or more hosts)',
    'spooled',
  ),
  spoolMaxBytes: env.integer('INGEST_SPOOL_MAX_BYTES', 'Disk the spool may use; beyond it devices are told to wait', 1024 * mebibyte),
  drainOnStop: env.boolean('INGEST_DRAIN_ON_STOP', 'On SIGTERM wait for an empty spool: where the disk goes with the instance', false),
  drainMaxS: env.integer('INGEST_DRAIN_MAX_S', 'How long to wait for an empty spool; the orchestrator’s grace has to be longer', 300),
  inFlightMaxBytes: env.integer(
    'INGEST_IN_FLIGHT_MAX_BYTES',
    'Deliveries worked on at once, bytes; beyond it devices are told to wait',
    64 * mebibyte,
  ),
  deviceBytesPerS: env.integer(
    'INGEST_DEVICE_BYTES_PER_S',
    'Most one device may send, bytes a second over two seconds, all instances together; 0 = no limit',
    128 * mebibyte,
  ),
  lingerMs: env.integer('INGEST_LINGER_MS', 'How long rows of a fast source wait for each other', 20),
  blockMaxRows: env.integer('INGEST_BLOCK_MAX_ROWS', 'Most rows in one block', 2000),
  skewBoundMs: env.integer('INGEST_SKEW_BOUND_MS', 'Difference between receive and source time from which a block is marked', 5000),
  maxAheadS: env.integer('INGEST_MAX_AHEAD_S', 'How far in the future a source time may be before the reading goes to quarantine', 86_400),
  maxBehindDays: env.integer(
    'INGEST_MAX_BEHIND_DAYS',
    'How far in the past a source time may be before the reading goes to quarantine',
    3650,
  ),
}

const doorsSetting = env.list('INGEST_DOORS', `Doors to open: ${doorKinds.map(({ name }) => name).join(', ')}`, ['http', 'mqtt', 'nats'])

/** A door to open, with the values of its settings. */
export interface ChosenDoor {
  readonly kind: DoorKind
  readonly settings: Readonly<Record<string, unknown>>
}

const readCore = (source: NodeJS.ProcessEnv) => readConfig(source, coreSettings)
export type CoreConfig = ReturnType<typeof readCore>

export interface IngestConfig extends CoreConfig {
  readonly doors: readonly ChosenDoor[]
}

export const loadConfig = (source: NodeJS.ProcessEnv): IngestConfig => {
  const core = readCore(source)
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(core.instance))
    throw invalid('INGEST_INSTANCE', 'letters, digits and . _ -', JSON.stringify(core.instance))
  checkDoorMode(core)
  const { names } = readConfig(source, { names: doorsSetting })
  return { ...core, doors: [...new Set(names)].map((name) => chosen(name, source)) }
}

const chosen = (name: string, source: NodeJS.ProcessEnv): ChosenDoor => {
  const kind = doorKinds.find((known) => known.name === (name as DoorName))
  if (kind === undefined) throw invalid('INGEST_DOORS', `some of ${doorKinds.map((known) => known.name).join(', ')}`, name)
  return { kind, settings: readConfig(source, kind.settings) }
}

const invalid = (setting: string, expected: string, found: string) =>
  new AndonError('ANDON_SETTING_INVALID', `${setting}: expected ${expected}, found ${found}. Correct ${setting} and start again.`)
