// One server at a time, for tests and tools: started on a free port in a folder of its own, ended by the caller. `kill` and `restart` keep
// port and data, so a test can end a broker as a crash does and watch what comes back.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, type Exit, type Program, startChild } from './child.ts'
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
  }
}

const folderFor = (name: string, dir: string | undefined): { dir: string; isOurs: boolean } =>
  dir === undefined ? { dir: mkdtempSync(join(tmpdir(), `andon-${name}-`)), isOurs: true } : { dir, isOurs: false }

export interface Kafka extends Server {
  readonly brokers: string[]
}

/** A broker of one's own: ≈ 2 s with a class archive. `extra` are more server.properties lines. */
export const startKafka = async (
  options: ServerOptions & { readonly controllerPort?: number; readonly extra?: Readonly<Record<string, string>> } = {},
): Promise<Kafka> => {
  const folder = folderFor('kafka', options.dir)
  const free = await freePorts(2)
  const port = options.port ?? (free[0] as number)
  const controllerPort = options.controllerPort ?? (free[1] as number)
  const program = () =>
    kafkaProgram({ dir: folder.dir, port, controllerPort, logFile: join(folder.dir, 'kafka.log'), extra: options.extra ?? {} })
  const server = await standalone(port, folder, program)
  return Object.assign(server, { brokers: [`127.0.0.1:${port}`] })
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
