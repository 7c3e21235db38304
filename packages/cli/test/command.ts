// Runs the `andon` command as a person does: a process of its own, with a state folder of its own.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { isPortFree, platformPorts } from '@andon/platform'
import { portsInUse } from '../src/up/checks.ts'

const main = join(import.meta.dirname, '../src/main.ts')

export interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
  readonly tookMs: number
}

export const andon = (args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Result> =>
  new Promise((resolve) => {
    const startedMs = Date.now()
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.once('close', (code) => resolve({ code, out, err, tookMs: Date.now() - startedMs }))
  })

/** An ANDON_PORT_OFFSET with all ports of a mesh free, below the ports the system hands out by itself. */
export const freeOffset = async (): Promise<number> => {
  for (let tries = 0; tries < 50; tries++) {
    const offset = 11_000 + Math.floor(Math.random() * 12_000)
    const uses = portsInUse(platformPorts(offset), offset, true, {})
    if ((await Promise.all(uses.map((use) => isPortFree(use.port)))).every(Boolean)) return offset
  }
  throw new Error('no free port offset found')
}
