// What every command needs: the state folder, the ports, the doors and whose token to show.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { AndonError } from '@andon/kit/errors'
import { env, portDefault, readConfig } from '@andon/kit/settings'
import { type Home, type MeshState, caFileOf, homeAt, isRunning, readState } from '@andon/platform'
import { EXIT } from './exit.ts'

export const PRINCIPALS = ['operator', 'shift-lead', 'integrator', 'agent'] as const

export interface Context {
  readonly home: Home
  readonly portOffset: number
  /** Base URLs of the HTTP doors. */
  readonly doors: {
    readonly actions: string
    readonly clustering: string
    readonly video: string
    readonly console: string
    readonly ingest: string
    readonly plant: string
  }
  readonly registryUrl: string
  readonly brokers: readonly string[]
  readonly natsUrl: string
  readonly namespace: string
  readonly minFreeDiskMb: number
  readonly blobDir: string
  /** Program that runs images; null: the first of docker and podman that has the image. */
  readonly containerEngine: string | null
}

/** The given settings; where they do not name a port offset, that of the mesh which runs in the state folder. */
const withRunningOffset = (given: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  if (given['ANDON_PORT_OFFSET']) return given
  const state = readState(homeAt(given['ANDON_HOME'] || '.andon').stateFile)
  const offset = state !== undefined && isRunning(state.supervisor) ? state.about?.['portOffset'] : undefined
  return typeof offset === 'number' ? { ...given, ANDON_PORT_OFFSET: String(offset) } : given
}

/** Settings of the command line, from another terminal than the mesh's too; a bad one throws with its name. */
export const loadContext = (given: NodeJS.ProcessEnv): Context => {
  const source = withRunningOffset(given)
  const port = (name: string, from: (offset: number) => number) =>
    env.port(name, `Port of ${name.toLowerCase().replaceAll('_', ' ')}`, from)
  const config = readConfig(source, {
    home: env.path('ANDON_HOME', 'State folder of the mesh', '.andon'),
    portOffset: env.integer('ANDON_PORT_OFFSET', 'Added to every conventional port', 0),
    minFreeDiskMb: env.integer('ANDON_MIN_FREE_DISK_MB', 'Free disk a start asks for', 1024),
    kafkaBrokers: env.list('ANDON_KAFKA_BROKERS', 'Bootstrap brokers, comma separated', (offset) => [`127.0.0.1:${9092 + offset}`]),
    registryUrl: env.url('ANDON_REGISTRY_URL', 'Schema registry', (offset) => `http://127.0.0.1:${8081 + offset}`),
    natsUrl: env.url('ANDON_NATS_URL', 'NATS', (offset) => `nats://127.0.0.1:${4222 + offset}`),
    namespace: env.string('ANDON_NAMESPACE', 'Prefix of every topic', ''),
    blobDir: env.optional(env.path('ANDON_BLOB_DIR', 'Folder of the blob store')),
    containerEngine: env.optional(
      env.string('ANDON_CONTAINER_ENGINE', 'Program that runs images: docker, podman or one with their commands'),
    ),
    actionsUrl: env.optional(env.url('ANDON_ACTIONS_URL', 'Door of the actions service')),
    clusteringUrl: env.optional(env.url('ANDON_CLUSTERING_URL', 'Read door of clustering')),
    ingestUrl: env.optional(env.url('ANDON_INGEST_URL', 'HTTP door of ingest')),
    caFile: env.optional(env.path('ANDON_CA_FILE', 'Authorities to trust beside those of the system, PEM')),
    actions: port('ACTIONS_HTTP_PORT', portDefault('actions', 'http')),
    clustering: port('CLUSTERING_HTTP_PORT', portDefault('clustering', 'http')),
    video: port('VIDEO_HTTP_PORT', portDefault('video', 'http')),
    console: port('CONSOLE_HTTP_PORT', portDefault('console', 'http')),
    ingest: port('INGEST_HTTP_PORT', portDefault('ingest', 'http')),
    plant: port('STEEL_PLANT_CONTROL_PORT', (offset) => 7090 + offset),
  })
  if (config.portOffset < 0 || config.portOffset > 56_000) {
    throw new AndonError('ANDON_SETTING_INVALID', `ANDON_PORT_OFFSET: expected 0 to 56000, found ${config.portOffset}.`)
  }
  const home = homeAt(config.home)
  trust(config.caFile ?? caFileOf(home))
  const at = (each: number) => `http://127.0.0.1:${each}`
  return {
    home,
    portOffset: config.portOffset,
    doors: {
      actions: config.actionsUrl ?? at(config.actions),
      clustering: config.clusteringUrl ?? at(config.clustering),
      video: at(config.video),
      console: at(config.console),
      ingest: config.ingestUrl ?? (isSecure(home) ? `https://localhost:${config.ingest}` : at(config.ingest)),
      plant: at(config.plant),
    },
    registryUrl: config.registryUrl,
    brokers: config.kafkaBrokers,
    natsUrl: config.natsUrl,
    namespace: config.namespace,
    minFreeDiskMb: config.minFreeDiskMb,
    blobDir: config.blobDir ?? homeAt(config.home).blobs,
    containerEngine: config.containerEngine,
  }
}

/** Whether the mesh that runs in this folder, or ran there last, has doors with TLS. */
const isSecure = (home: Home): boolean => readState(home.stateFile)?.about?.['secure'] === true

/** From now on this process trusts the authorities of the file as well, if it is there. */
export const trust = (caFile: string): void => {
  if (existsSync(caFile)) setDefaultCACertificates([...getCACertificates('default'), readFileSync(caFile, 'utf8')])
}

/** State of the running mesh. Ends the command with exit code 3 when none runs here. */
export const requireRunning = (context: Context): MeshState => {
  const state = readState(context.home.stateFile)
  if (state !== undefined && isRunning(state.supervisor)) return state
  throw new CommandError(
    EXIT.notRunning,
    `Andon does not run here (no state in ${context.home.root}). Start it with \`andon up\`, or set ANDON_HOME.`,
  )
}

/** The token to show: ANDON_TOKEN, else the development token of the named principal. */
export const tokenOf = (context: Context, name: string): string => {
  const given = process.env['ANDON_TOKEN']
  if (given) return given
  try {
    return readFileSync(join(context.home.tokens, name), 'utf8').trim()
  } catch {
    throw new CommandError(
      EXIT.failed,
      `No token of "${name}" in ${context.home.tokens}. Start the mesh once (\`andon up\` writes ${PRINCIPALS.join(', ')}), or set ANDON_TOKEN.`,
    )
  }
}

/** Ends a command with an exit code and one message. */
export class CommandError extends Error {
  readonly exitCode: number
  constructor(exitCode: number, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
