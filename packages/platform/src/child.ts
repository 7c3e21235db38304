// One child process: its log file, its end, and the promise that it does not outlive us. A child leads its own process group, so Ctrl-C reaches
// the supervisor alone and children end in order; where setpriv exists the kernel sends them SIGTERM when we die, however we die.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AndonError } from '@andon/kit/errors'
import { type ProcessIdentity, identify } from './processes.ts'
import { which } from './system.mjs'

export interface Program {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** The whole environment of the child. Default: ours. */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Gets standard output and error; earlier runs are kept as .1 to .3. */
  readonly logFile: string
  /** Resolves when the child serves; polled until the deadline. Default: running is ready. */
  readonly isReady?: () => Promise<boolean>
  readonly readyWithinMs?: number
  /** Time between SIGTERM and SIGKILL. Default 10 s. */
  readonly graceMs?: number
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly name: string
  readonly identity: ProcessIdentity
  readonly exited: Promise<Exit>
  /** Resolves when the child serves; rejects with the end of its log when it ends or stays silent instead. */
  ready(): Promise<void>
  /** SIGTERM, then SIGKILL after the grace; resolves when it and everything it started is gone. */
  stop(): Promise<Exit>
  /** SIGKILL at once: what a crash looks like. */
  kill(): Promise<Exit>
}

const setpriv = process.platform === 'linux' ? which('setpriv') : undefined
/** We may have died before the kernel knew: then nobody tells the child, and it must not begin. */
const UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'

/** Moves x.log to x.log.1 and so on; three earlier runs are kept. */
export const rotate = (file: string): void => {
  for (const [from, to] of [
    [`${file}.2`, `${file}.3`],
    [`${file}.1`, `${file}.2`],
    [file, `${file}.1`],
  ] as const) {
    if (existsSync(from)) renameSync(from, to)
  }
}

/** Last lines of a log file, for a message about a child that failed. */
export const tail = (file: string, lines = 40): string => {
  if (!existsSync(file)) return ''
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
}

const signalGroup = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-pid, signal)
  } catch {
    // Nobody is left in the group.
  }
}

/** Starts a child. It must be called from the main thread: the kernel ties the child to the thread that started it. */
export const startChild = (program: Program): Child => {
  mkdirSync(dirname(program.logFile), { recursive: true })
  rotate(program.logFile)
  const log = openSync(program.logFile, 'a')
  const [command, ...args] = setpriv
    ? [setpriv, '--pdeathsig', 'TERM', 'sh', '-c', UNLESS_ORPHANED, String(process.pid), program.command, ...program.args]
    : [program.command, ...program.args]
  const child: ChildProcess = spawn(command as string, args, {
    stdio: ['ignore', log, log],
    detached: true,
    env: program.env ?? process.env,
    ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
  })
  closeSync(log)

  let exit: Exit | undefined
  const pid = child.pid ?? 0
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', () => resolve((exit = { code: 127, signal: null })))
    child.once('exit', (code, signal) => {
      if (pid > 0) signalGroup(pid, 'SIGKILL') // what it started itself does not stay behind
      resolve((exit = { code, signal }))
    })
  })

  const failure = (what: string): AndonError =>
    new AndonError(
      'ANDON_PLATFORM_CHILD_FAILED',
      `${program.name} ${what}. Its log (${program.logFile}) ends with:\n${tail(program.logFile)}`,
    )

  const end = async (signal: NodeJS.Signals, graceMs: number): Promise<Exit> => {
    if (exit === undefined && pid > 0) child.kill(signal)
    const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), graceMs)
    const result = await exited
    clearTimeout(timer)
    return result
  }

  return {
    name: program.name,
    identity: pid > 0 ? identify(pid) : { pid: 0, startTicks: 0 },
    exited,
    async ready() {
      const deadline = Date.now() + (program.readyWithinMs ?? 60_000)
      for (;;) {
        if (exit !== undefined) throw failure(`ended before it was ready (${exit.signal ?? `exit code ${exit.code}`})`)
        if (program.isReady === undefined || (await program.isReady().catch(() => false))) return
        if (Date.now() > deadline) throw failure(`was not ready within ${Math.round((program.readyWithinMs ?? 60_000) / 1000)} s`)
        await sleep(50)
      }
    },
    stop: () => end('SIGTERM', program.graceMs ?? 10_000),
    kill: () => end('SIGKILL', 10_000),
  }
}
