// Contenders that are processes of their own, so that compiler, collector and CPU time are each one's own. They speak lines: `ready`
// with what they are, then for every number of rounds that comes in one JSON object with what those cost; the end of input ends them.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type Contender, type Cost, PeerMissing } from './bench.ts'

export interface ProcessOptions {
  readonly name: string
  readonly command: readonly [program: string, ...args: string[]]
  readonly env?: Readonly<Record<string, string>>
}

/** How long a contender may take to set up, and one sample to run. */
const PATIENCE_MS = 180_000

/** Starts the process and waits until it is ready. A line `missing <why>` in place of `ready` throws PeerMissing. */
export const processContender = async ({ name, command, env }: ProcessOptions): Promise<Contender> => {
  const [program, ...args] = command
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
  const errors: string[] = []
  child.stderr.on('data', (bytes: Buffer) => errors.push(bytes.toString()))
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(`ended with ${code ?? signal}: ${errors.join('').trim().slice(-2000)}`))
  })
  child.stdin.on('error', () => {}) // the process has ended, and `ended` says why
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const nextLine = async (): Promise<string> => {
    const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    const line = await lines.next()
    clearTimeout(late)
    if (line.done === true) throw new Error(`contender ${name} ${await ended}`)
    return line.value
  }
  const first = await nextLine()
  if (first.startsWith('missing ')) {
    child.stdin.end()
    await ended
    throw new PeerMissing(`${name}: ${first.slice('missing '.length)}`)
  }
  if (!first.startsWith('ready')) {
    child.kill('SIGKILL')
    throw new Error(`contender ${name} said ${first}, expected ready`)
  }
  return {
    name,
    about: JSON.parse(first.slice('ready'.length).trim() || '{}') as Record<string, unknown>,
    async run(rounds) {
      child.stdin.write(`${rounds}\n`)
      return JSON.parse(await nextLine()) as Cost
    },
    async close() {
      child.stdin.end()
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(late)
    },
  }
}

/**
 * The other side, for a contender in TypeScript: says it is ready, then does what it is asked until its input ends.
 * `rounds` returns the units of work done; `prepare` comes before it and is not timed. What was set up is ended by `close`.
 */
export const serveContender = async (
  about: Readonly<Record<string, unknown>>,
  rounds: (count: number) => Promise<number>,
  close: () => Promise<void>,
  prepare?: (count: number) => void,
): Promise<void> => {
  process.stdout.write(`ready ${JSON.stringify({ node: process.version, ...about })}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    prepare?.(Number(line))
    const before = process.cpuUsage()
    const startedMs = performance.now()
    const work = await rounds(Number(line))
    const wallMs = performance.now() - startedMs
    const { user, system } = process.cpuUsage(before)
    const cost: Cost = { work, wallMs, cpuUs: user + system, ...heapAfterCollection() }
    process.stdout.write(`${JSON.stringify(cost)}\n`)
  }
  await close()
}

const heapAfterCollection = (): Pick<Cost, 'heapBytes'> => {
  if (globalThis.gc === undefined) return {}
  globalThis.gc()
  globalThis.gc() // the second one takes what only the first one's finalisers held
  return { heapBytes: process.memoryUsage().heapUsed }
}
