// Redis and NATS as child programs. Redis holds only what can be rebuilt: no persistence, a memory cap. NATS has no storage here.

import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import type { Program } from './child.ts'
import { AndonError } from '@andon/kit/errors'
import { type PartName, PARTS, findPart, installCommand } from './system.mjs'

const requirePart = (part: PartName): string => {
  const path = findPart(part)
  if (path !== undefined) return path
  throw new AndonError('ANDON_PLATFORM_PART_MISSING', `${PARTS[part].title} was not found. Install it: ${installCommand([part])}`)
}

/** Connects, sends the words if any, and tells whether the answer begins as expected. */
const answers = (port: number, send: string, expected: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const end = (result: boolean) => {
      socket.destroy()
      resolve(result)
    }
    socket.setTimeout(1000, () => end(false))
    socket.once('error', () => end(false))
    socket.once('connect', () => send && socket.write(send))
    socket.once('data', (chunk) => end(chunk.toString('utf8').startsWith(expected)))
  })

export interface SmallServerOptions {
  readonly port: number
  readonly logFile: string
}

export const redisProgram = (options: SmallServerOptions & { readonly dir: string }): Program => {
  mkdirSync(options.dir, { recursive: true })
  const settings = {
    port: options.port,
    bind: '127.0.0.1',
    save: '',
    appendonly: 'no',
    dir: options.dir,
    maxmemory: '96mb',
    'maxmemory-policy': 'volatile-lru',
    databases: 1,
  }
  return {
    name: 'redis',
    command: requirePart('redis'),
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    logFile: options.logFile,
    readyWithinMs: 10_000,
    isReady: () => answers(options.port, 'PING\r\n', '+PONG'),
  }
}

export const natsProgram = (options: SmallServerOptions): Program => ({
  name: 'nats',
  command: requirePart('nats'),
  args: ['--addr', '127.0.0.1', '--port', String(options.port)],
  logFile: options.logFile,
  readyWithinMs: 10_000,
  isReady: () => answers(options.port, '', 'INFO '),
})
