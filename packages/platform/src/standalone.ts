// Single servers and a cluster of brokers, for tests and tools: started on free ports in a folder of their own, ended by the caller. `kill`
// and `restart` keep port and data, so a test can end a broker as a crash does and watch what comes back.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, type Exit, type Program, startChild } from './child.ts'
import { clusterPrograms } from './kafka/cluster.ts'
import { kafkaProgram } from './kafka/server.ts'
import { freePorts } from './processes.ts'
import { homeAt } from './layout.ts'
import { registryProgram } from './platform.ts'
import { natsProgram, redisProgram } from './servers.ts'

export interface Server {
  readonly port: number
  /** Pid of the running process. */
  readonly pid: number
  /** Ends the server in order and removes its folder, unless the caller named one. */
  stop(): Promise<void>
  /** SIGKILL; port and data stay for `restart`. */
  kill(): Promise<Exit>
  /** Ends the process if it runs and starts it again on the same port and data. */
  restart(): Promise<void>
  /** SIGSTOP: it keeps its connections and answers nothing, until `resume`. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

export interface ServerOptions {
  /** Folder to keep. Default: a temporary one, removed by `stop`. */
  readonly dir?: string
  readonly port?: number
}

const standalone = async (port: number, folder: { dir: string; isOurs: boolean }, program: () => Program): Promise<Server> => {
  let child: Child = startChild(program())
  const removeFolder = () => folder.isOurs && rmSync(folder.dir, { recursive: true, force: true })
  try {
    await child.ready()
  } catch (error) {
    await child.stop()
    removeFolder()
    throw error
  }
  return {
    port,
    get pid() {
      return child.identity.pid
    },
    async stop() {
      await child.stop()
      removeFolder()
    },
    kill: () => child.kill(),
    async restart() {
      await child.stop()
      child = startChild(program())
      await child.ready()
    },
    pause: () => void process.kill(child.identity.pid, 'SIGSTOP'),
    resume: () => void process.kill(child.identity.pid, 'SIGCONT'),
  }
}

const folderFor = (name: string, dir: string | undefined): { dir: string; isOurs: boolean } =>
  dir === undefined ? { dir: mkdtempSync(join(tmpdir(), `andon-${name}-`)), isOurs: true } : { dir, isOurs: false }

export interface Kafka extends Server {
  readonly brokers: string[]
  /** Its nodes in the order of their ids 1, 2, 3: each can be killed, paused and restarted by itself. One that stands alone is its own only node. */
  readonly nodes: readonly Server[]
}

export interface KafkaServerOptions extends ServerOptions {
  readonly controllerPort?: number
  /** Where clients are sent instead of `port`: a fault proxy that leads there. One entry per node of a cluster. */
  readonly advertisedPorts?: readonly number[]
  /** More server.properties lines. */
  readonly extra?: Readonly<Record<string, string>>
}

/**
 * Brokers of one's own. One: ≈ 2 s with a class archive. Three: a cluster that keeps every record on all nodes and acknowledges it when
 * two have it, ≈ 10 s; `ports` names where they listen, and `kill`, `stop`, `restart` … of the whole reach every node at once.
 */
export const startKafka = async (
  options: KafkaServerOptions & { readonly brokers?: 1 | 3; readonly ports?: readonly number[] } = {},
): Promise<Kafka> => {
  if (options.brokers === 3) return startCluster(3, options)
  const folder = folderFor('kafka', options.dir)
  const free = await freePorts(2)
  const port = options.port ?? options.ports?.[0] ?? (free[0] as number)
  const controllerPort = options.controllerPort ?? (free[1] as number)
  const [advertisedPort = port] = options.advertisedPorts ?? []
  const program = () =>
    kafkaProgram({
      dir: folder.dir,
      port,
      controllerPort,
      advertisedPort,
      logFile: join(folder.dir, 'kafka.log'),
      extra: options.extra ?? {},
    })
  const server = await standalone(port, folder, program)
  return Object.assign(server, { brokers: [`127.0.0.1:${advertisedPort}`], nodes: [server] })
}

const startCluster = async (count: number, options: KafkaServerOptions & { readonly ports?: readonly number[] }): Promise<Kafka> => {
  const folder = folderFor('kafka', options.dir)
  const free = await freePorts(3 * count)
  const ports = options.ports ?? free.slice(0, count)
  const controllerPorts = free.slice(count, 2 * count)
  const programs = clusterPrograms({
    dir: folder.dir,
    ports: { clients: ports, controllers: controllerPorts, replication: free.slice(2 * count) },
    ...(options.advertisedPorts === undefined ? {} : { advertisedPorts: options.advertisedPorts }),
    ...(options.extra === undefined ? {} : { extra: options.extra }),
  })
  const keep = { dir: folder.dir, isOurs: false } // the folder of all nodes goes when all have stopped
  const removeFolder = () => folder.isOurs && rmSync(folder.dir, { recursive: true, force: true })
  const started = await Promise.allSettled(programs.map((program, i) => standalone(ports[i] as number, keep, program)))
  const nodes = started.flatMap((node) => (node.status === 'fulfilled' ? [node.value] : []))
  const onAll = async (work: (node: Server) => unknown): Promise<void> => void (await Promise.all(nodes.map(work)))
  const failed = started.find((node) => node.status === 'rejected')
  if (failed !== undefined) {
    await onAll((node) => node.stop())
    removeFolder()
    throw failed.reason
  }
  const [first] = nodes as [Server]
  return {
    port: first.port,
    pid: first.pid,
    brokers: (options.advertisedPorts ?? ports).map((port) => `127.0.0.1:${port}`),
    nodes,
    stop: async () => {
      // In order it takes 10 s, since the last nodes wait for a quorum that is gone: only for data that stays.
      await onAll((node) => (folder.isOurs ? node.kill() : node.stop()))
      removeFolder()
    },
    kill: async () => {
      const exits = await Promise.all(nodes.map((node) => node.kill()))
      return exits[0] as Exit
    },
    restart: () => onAll((node) => node.restart()),
    pause: () => nodes.forEach((node) => node.pause()),
    resume: () => nodes.forEach((node) => node.resume()),
  }
}

/** A Redis without persistence. */
export const startRedis = async (options: ServerOptions = {}): Promise<Server & { readonly url: string }> => {
  const folder = folderFor('redis', options.dir)
  const port = options.port ?? ((await freePorts(1))[0] as number)
  const server = await standalone(port, folder, () => redisProgram({ dir: folder.dir, port, logFile: join(folder.dir, 'redis.log') }))
  return Object.assign(server, { url: `redis://127.0.0.1:${port}` })
}

/** A NATS server without storage. */
export const startNats = async (options: ServerOptions = {}): Promise<Server & { readonly url: string }> => {
  const folder = folderFor('nats', options.dir)
  const port = options.port ?? ((await freePorts(1))[0] as number)
  const server = await standalone(port, folder, () => natsProgram({ port, logFile: join(folder.dir, 'nats.log') }))
  return Object.assign(server, { url: `nats://127.0.0.1:${port}` })
}

/** A schema registry on a broker. Its data lies on the broker's `_schemas`. */
export const startRegistry = async (
  options: ServerOptions & { readonly brokers: readonly string[]; readonly environment?: Readonly<Record<string, string>> },
): Promise<Server & { readonly url: string }> => {
  const folder = folderFor('registry', options.dir)
  const port = options.port ?? ((await freePorts(1))[0] as number)
  const environment = { ANDON_HOST: '127.0.0.1', ...options.environment, ANDON_KAFKA_BROKERS: options.brokers.join(',') }
  const server = await standalone(port, folder, () => registryProgram({ home: homeAt(folder.dir), port, environment }))
  return Object.assign(server, { url: `http://127.0.0.1:${port}` })
}
