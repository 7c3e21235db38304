// Environment variables → typed settings of ingest. Read here and nowhere else.

import { AndonError, env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { DoorName } from './adapters/source.ts'

const doorNames: readonly DoorName[] = ['http', 'mqtt', 'nats']

const mebibyte = 1024 * 1024

export const loadConfig = (source: NodeJS.ProcessEnv) => {
  const settings = readConfig(source, {
    ...sharedSettings,
    adminPort: env.port('INGEST_ADMIN_PORT', 'Admin port', portDefault('ingest', 'admin')),
    httpPort: env.port('INGEST_HTTP_PORT', 'Port of the HTTP door', portDefault('ingest', 'http')),
    mqttPort: env.port('INGEST_MQTT_PORT', 'Port of the MQTT door', portDefault('ingest', 'mqtt')),
    doors: env.list('INGEST_DOORS', 'Doors to open: http, mqtt, nats', [...doorNames]),
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
    inFlightMaxBytes: env.integer(
      'INGEST_IN_FLIGHT_MAX_BYTES',
      'Deliveries worked on at once, bytes; beyond it devices are told to wait',
      64 * mebibyte,
    ),
    bodyMaxBytes: env.integer('INGEST_BODY_MAX_BYTES', 'Longest HTTP body', 16 * mebibyte),
    lingerMs: env.integer('INGEST_LINGER_MS', 'How long rows of a fast source wait for each other', 20),
    blockMaxRows: env.integer('INGEST_BLOCK_MAX_ROWS', 'Most rows in one block', 2000),
    skewBoundMs: env.integer('INGEST_SKEW_BOUND_MS', 'Difference between receive and source time from which a block is marked', 5000),
    maxAheadS: env.integer(
      'INGEST_MAX_AHEAD_S',
      'How far in the future a source time may be before the reading goes to quarantine',
      86_400,
    ),
  })
  const doors = settings.doors.map((name) => {
    const door = doorNames.find((known) => known === name)
    if (door !== undefined) return door
    throw new AndonError(
      'ANDON_SETTING_INVALID',
      `INGEST_DOORS: expected some of ${doorNames.join(', ')}, found ${name}. Correct INGEST_DOORS and start again.`,
    )
  })
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(settings.instance)) {
    throw new AndonError(
      'ANDON_SETTING_INVALID',
      `INGEST_INSTANCE: expected letters, digits and . _ -, found ${JSON.stringify(settings.instance)}. Correct INGEST_INSTANCE and start again.`,
    )
  }
  return { ...settings, doors }
}

export type IngestConfig = ReturnType<typeof loadConfig>
