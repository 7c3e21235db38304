// A mosquitto of a test's own.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkReachable } from '@andon/kit'
import { freePorts } from '@andon/platform'

const program = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto'].find((path) => existsSync(path))

/** False when mosquitto is there, else why not. */
export const mosquittoMissing: string | false = program === undefined && 'mosquitto is not installed (apt-get install mosquitto)'

export interface Mosquitto {
  readonly url: string
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** @param lines further lines of its configuration. */
export const startMosquitto = async (lines: readonly string[] = []): Promise<Mosquitto> => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-mosquitto-'))
  const [port] = await freePorts(1)
  const file = join(folder, 'm.conf')
  const user = process.getuid?.() === 0 ? ['user root'] : []
  await writeFile(file, [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...user, ...lines, ''].join('\n'))
  const url = `mqtt://127.0.0.1:${port}`
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
    child = spawn(program!, ['-c', file], { stdio: 'ignore' })
    for (let attempt = 0; ; attempt++) {
      try {
        return await checkReachable([url], 'mosquitto', 500)
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
