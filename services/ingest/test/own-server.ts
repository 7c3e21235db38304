// Servers that a test starts, kills and starts again: mosquitto, and NATS with JetStream.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
    child = spawn(program, ['-c', file], { stdio: 'ignore' })
    for (let attempt = 0; ; attempt++) {
      try {
        return await checkReachable([url], name, 500)
      } catch (error) {
        if (attempt === 100) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  await start()
  return {
    url,
    kill,
    start,
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
