// The platform of one mesh: Kafka, Redis and NATS side by side, then the schema registry. `andon up` and the whole-mesh tests start it here.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Program } from './child.ts'
import { ensureDistribution } from './kafka/distribution.ts'
import { type ClusterPorts, clusterPrograms, requireBrokerCount } from './kafka/cluster.ts'
import { kafkaProgram } from './kafka/server.ts'
import { type Home, homeAt, repositoryRoot } from './layout.ts'
import { natsProgram, redisProgram } from './servers.ts'
import { Supervisor, type SupervisorEvent } from './supervisor.ts'

export interface PlatformPorts {
  readonly kafka: number
  readonly controller: number
  readonly registry: number
  readonly redis: number
  readonly nats: number
}

/** The conventional ports, shifted together. */
export const platformPorts = (offset: number): PlatformPorts => ({
  kafka: 9092 + offset,
  controller: 9093 + offset,
  registry: 8081 + offset,
  redis: 6379 + offset,
  nats: 4222 + offset,
})

/** Brokers, controllers and replication of a cluster of three; the first broker and controller are where a single one would be. */
export const clusterPorts = ({ kafka, controller }: PlatformPorts): ClusterPorts => ({
  clients: [kafka, kafka + 2, kafka + 4],
  controllers: [controller, controller + 2, controller + 4],
  replication: [kafka + 6, kafka + 7, kafka + 8],
})

export interface PlatformOptions {
  /** State folder; its data is used again. */
  readonly home: string
  readonly portOffset?: number
  readonly ports?: PlatformPorts
  /** Default 1. Three on one host survive a broker's end, and a power loss no better than one. */
  readonly brokers?: 1 | 3
  readonly about?: Readonly<Record<string, unknown>>
  readonly onEvent?: (event: SupervisorEvent) => void
}

export interface Platform {
  readonly home: Home
  readonly ports: PlatformPorts
  readonly brokers: string[]
  readonly registryUrl: string
  readonly redisUrl: string
  readonly natsUrl: string
  /** For more waves of children: services, a demo plant. */
  readonly supervisor: Supervisor
  /** Shared settings (ANDON_…) that point a service at this platform. */
  readonly environment: Readonly<Record<string, string>>
  /** Ends everything the supervisor started, the platform last. */
  stop(): Promise<void>
}

const registryMain = fileURLToPath(new URL('registry/main.ts', import.meta.url))

/** True when an HTTP server answers the path with success. */
export const answersOk = async (url: string): Promise<boolean> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
  await response.arrayBuffer()
  return response.ok
}

export interface NodeProgramOptions {
  readonly name: string
  /** The process's main.ts. */
  readonly main: string
  readonly home: Home
  readonly environment: Readonly<Record<string, string>>
  readonly isReady: () => Promise<boolean>
  /** Heap limit. Default 128 MiB. */
  readonly heapMb?: number
}

/** A Node process as a child: small heap, compile cache, and it ends with us even where the kernel does not see to it. */
export const nodeProgram = ({ name, main, home, environment, isReady, heapMb = 128 }: NodeProgramOptions): Program => ({
  name,
  command: process.execPath,
  args: [`--max-old-space-size=${heapMb}`, '--max-semi-space-size=4', main],
  cwd: repositoryRoot,
  env: {
    ...process.env,
    NODE_COMPILE_CACHE: join(repositoryRoot, '.cache', 'node'),
    ...environment,
    ANDON_PARENT_PID: String(process.pid),
  },
  logFile: join(home.logs, `${name}.log`),
  readyWithinMs: 60_000,
  isReady,
})

/** The schema registry on a broker. */
export const registryProgram = (options: { home: Home; port: number; environment: Readonly<Record<string, string>> }): Program =>
  nodeProgram({
    name: 'registry',
    main: registryMain,
    home: options.home,
    environment: { ...options.environment, REGISTRY_HTTP_PORT: String(options.port) },
    heapMb: 96,
    isReady: () => answersOk(`http://127.0.0.1:${options.port}/subjects`),
  })

/** Starts the platform and resolves when all of it serves. When a part fails, what had started is ended and the error thrown. */
export const startPlatform = async (options: PlatformOptions): Promise<Platform> => {
  const home = homeAt(options.home)
  const ports = options.ports ?? platformPorts(options.portOffset ?? 0)
  const distribution = ensureDistribution()
  requireBrokerCount(home.kafka, options.brokers ?? 1)
  const cluster = options.brokers === 3 ? clusterPorts(ports) : undefined
  const brokers = (cluster?.clients ?? [ports.kafka]).map((port) => `127.0.0.1:${port}`)
  const environment = {
    ANDON_KAFKA_BROKERS: brokers.join(),
    ANDON_REGISTRY_URL: `http://127.0.0.1:${ports.registry}`,
    ANDON_REDIS_URL: `redis://127.0.0.1:${ports.redis}`,
    ANDON_NATS_URL: `nats://127.0.0.1:${ports.nats}`,
    ANDON_HOST: '127.0.0.1',
    ANDON_DATA_DIR: home.data,
    ANDON_BLOB_DIR: home.blobs,
    ANDON_TOKENS_FILE: join(home.tokens, 'principals.json'),
    ANDON_PORT_OFFSET: String(options.portOffset ?? 0),
  }
  const log = (name: string) => join(home.logs, `${name}.log`)
  const supervisor = new Supervisor({
    stateFile: home.stateFile,
    about: { ports, portOffset: options.portOffset ?? 0, ...options.about },
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  })
  const stop = () => supervisor.stop()
  const kafkaPrograms =
    cluster === undefined
      ? [() => kafkaProgram({ dir: home.kafka, port: ports.kafka, controllerPort: ports.controller, logFile: log('kafka'), distribution })]
      : clusterPrograms({ dir: home.kafka, ports: cluster, logFile: (nodeId) => log(`kafka-${nodeId}`), distribution })
  try {
    await supervisor.startWave('servers', [
      ...kafkaPrograms,
      () => redisProgram({ dir: home.redis, port: ports.redis, logFile: log('redis') }),
      () => natsProgram({ port: ports.nats, logFile: log('nats') }),
    ])
    await supervisor.startWave('registry', [() => registryProgram({ home, port: ports.registry, environment })])
  } catch (error) {
    await stop()
    throw error
  }
  return {
    home,
    ports,
    brokers,
    registryUrl: environment.ANDON_REGISTRY_URL,
    redisUrl: environment.ANDON_REDIS_URL,
    natsUrl: environment.ANDON_NATS_URL,
    supervisor,
    environment,
    stop,
  }
}
