// Servers that a test starts, kills and starts again: mosquitto, NATS with JetStream, and kinesis-local.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { checkReachable } from '@andon/kit'
import { freePorts } from '@andon/platform'

export interface OwnServer {
  readonly url: string
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

interface Program {
  readonly name: string
  readonly scheme: string
  readonly config: (port: number, folder: string) => readonly string[]
}

const isRoot = process.getuid?.() === 0

/** @param lines further lines of its configuration. */
export const startMosquitto = (lines: readonly string[] = []): Promise<OwnServer> =>
  startOwn({
    name: 'mosquitto',
    scheme: 'mqtt',
    config: (port) => [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...(isRoot ? ['user root'] : []), ...lines],
  })

/** NATS with JetStream on disk. */
export const startJetStream = (lines: readonly string[] = []): Promise<OwnServer> =>
  startOwn({
    name: 'nats-server',
    scheme: 'nats',
    config: (port, folder) => [`listen: 127.0.0.1:${port}`, `jetstream { store_dir: ${JSON.stringify(join(folder, 'js'))} }`, ...lines],
  })

/** A Kinesis in memory: what a kill leaves is nothing. */
export const startKinesisLocal = async (): Promise<OwnServer> => {
  const [plain, tls] = (await freePorts(2)) as [number, number]
  const main = createRequire(import.meta.url).resolve('kinesis-local')
  const env = {
    PATH: process.env['PATH'],
    KINESIS_MOCK_PLAIN_PORT: String(plain),
    KINESIS_MOCK_TLS_PORT: String(tls),
    LOG_LEVEL: 'ERROR',
    SPLIT_SHARD_DURATION: '50ms',
    MERGE_SHARDS_DURATION: '50ms',
    CREATE_STREAM_DURATION: '50ms',
    SHARD_LIMIT: '100',
  }
  const cwd = dirname(main) // it reads server.json from there
  return restartable('kinesis-local', `http://127.0.0.1:${plain}`, () => spawn(process.execPath, [main], { cwd, env, stdio: 'ignore' }))
}

const startOwn = async ({ name, scheme, config }: Program): Promise<OwnServer> => {
  const program = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/opt/homebrew/sbin', '/opt/homebrew/bin']
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
  if (program === undefined) throw new Error(`${name} is not installed`)
  const folder = await mkdtemp(join(tmpdir(), `andon-${name}-`))
  const [port] = (await freePorts(1)) as [number]
  const file = join(folder, 'server.conf')
  await writeFile(file, `${config(port, folder).join('\n')}\n`)
  const url = `${scheme}://127.0.0.1:${port}`
  const server = await restartable(name, url, () => spawn(program, ['-c', file], { stdio: 'ignore' }))
  return {
    ...server,
    stop: async () => {
      await server.kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Started, and up when it resolves. */
const restartable = async (name: string, url: string, run: () => ChildProcess): Promise<OwnServer> => {
  let child: ChildProcess | undefined

  const kill = async () => {
    const running = child
    child = undefined
    if (running === undefined || running.exitCode !== null) return
    const ended = new Promise((resolve) => running.once('exit', resolve))
    running.kill('SIGKILL')
    await ended
  }
  const start = async () => {
    child = run()
    for (let attempt = 0; ; attempt++) {
      try {
        return await checkReachable([url], name, 500)
      } catch (error) {
        if (attempt === 400) {
          await kill()
          throw error
        }
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  await start()
  return { url, kill, start, stop: kill }
}
