// Keeps children running: starts them in waves, restarts one that ends by itself with growing pauses, and ends all in reverse. Who runs is
// written to state.json with pid and start time, so that a later `andon` can look, ask for the end, or clear up after a crash.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { AndonError, messageOf } from '@andon/kit/errors'
import { type Child, type Exit, type Program, startChild } from './child.ts'
import { type ProcessIdentity, identify, isRunning } from './processes.ts'

export interface ChildState {
  readonly name: string
  readonly wave: string
  readonly identity: ProcessIdentity
  readonly status: 'starting' | 'running' | 'restarting' | 'ended'
  readonly restarts: number
  readonly sinceMs: number
  readonly logFile: string
}

export interface MeshState {
  readonly supervisor: ProcessIdentity
  readonly startedMs: number
  readonly status: 'starting' | 'ready' | 'stopping'
  readonly children: readonly ChildState[]
  /** What the starter wants later commands to know: ports, addresses. */
  readonly about: Readonly<Record<string, unknown>>
}

export type SupervisorEvent =
  | { readonly kind: 'ready'; readonly name: string; readonly tookMs: number }
  | { readonly kind: 'ended'; readonly name: string; readonly exit: Exit; readonly restartInMs: number; readonly logFile: string }
  | { readonly kind: 'restarted'; readonly name: string }
  | { readonly kind: 'restart-failed'; readonly name: string; readonly message: string; readonly restartInMs: number }

export interface SupervisorOptions {
  readonly stateFile: string
  readonly about?: Readonly<Record<string, unknown>>
  readonly onEvent?: (event: SupervisorEvent) => void
  /** First pause before a restart, doubled each time up to 30 s; a child that ran for a minute begins anew. Default 500 ms. */
  readonly firstPauseMs?: number
}

const LONGEST_PAUSE_MS = 30_000
const STEADY_MS = 60_000

/** The state a supervisor left or keeps; undefined when there is none. */
export const readState = (stateFile: string): MeshState | undefined => {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8')) as MeshState
  } catch {
    return undefined
  }
}

interface Entry {
  readonly wave: string
  readonly make: () => Program
  child: Child
  status: ChildState['status']
  restarts: number
  sinceMs: number
  logFile: string
  pause?: NodeJS.Timeout
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #entries = new Map<string, Entry>()
  readonly #waves: string[] = []
  readonly #startedMs = Date.now()
  #status: MeshState['status'] = 'starting'
  #about: Readonly<Record<string, unknown>>
  #stopping: Promise<void> | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#about = options.about ?? {}
    mkdirSync(dirname(options.stateFile), { recursive: true })
    this.#save()
  }

  /** Starts the programs of one wave side by side and waits until all serve. The first that fails decides; the others go on starting. */
  async startWave(wave: string, programs: readonly (() => Program)[]): Promise<void> {
    this.#waves.push(wave)
    await Promise.all(programs.map((make) => this.#start(wave, make)))
  }

  /** Everything that should run does; adds to what `about` says. */
  markReady(about: Readonly<Record<string, unknown>> = {}): void {
    this.#about = { ...this.#about, ...about }
    this.#status = 'ready'
    this.#save()
  }

  children(): ChildState[] {
    return [...this.#entries].map(([name, { wave, child, status, restarts, sinceMs, logFile }]) => ({
      name,
      wave,
      identity: child.identity,
      status,
      restarts,
      sinceMs,
      logFile,
    }))
  }

  /** Ends all children, the last wave first, and removes the state. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stopAll())
  }

  async #start(wave: string, make: () => Program): Promise<void> {
    const startedMs = Date.now()
    const program = make()
    if (this.#stopping !== undefined) throw new AndonError('ANDON_START_INTERRUPTED', 'The start was interrupted.')
    const child = startChild(program)
    const entry: Entry = { wave, make, child, status: 'starting', restarts: 0, sinceMs: startedMs, logFile: program.logFile }
    this.#entries.set(program.name, entry)
    this.#save()
    await child.ready()
    entry.status = 'running'
    entry.sinceMs = Date.now()
    this.#save()
    this.#options.onEvent?.({ kind: 'ready', name: program.name, tookMs: Date.now() - startedMs })
    this.#watch(program.name, entry)
  }

  /** Waits for the child's end; if nobody asked for it, restarts after a pause. */
  #watch(name: string, entry: Entry): void {
    void entry.child.exited.then((exit) => {
      if (this.#stopping !== undefined) return
      if (Date.now() - entry.sinceMs > STEADY_MS) entry.restarts = 0
      const restartInMs = this.#planRestart(name, entry)
      this.#options.onEvent?.({ kind: 'ended', name, exit, restartInMs, logFile: entry.logFile })
    })
  }

  #planRestart(name: string, entry: Entry): number {
    const pauseMs = Math.min((this.#options.firstPauseMs ?? 500) * 2 ** entry.restarts, LONGEST_PAUSE_MS)
    entry.restarts += 1
    entry.status = 'restarting'
    entry.pause = setTimeout(() => void this.#restart(name, entry), pauseMs) // it reports its own failures
    this.#save()
    return pauseMs
  }

  async #restart(name: string, entry: Entry): Promise<void> {
    if (this.#stopping !== undefined) return
    try {
      entry.child = startChild(entry.make())
      entry.sinceMs = Date.now()
      this.#save()
      await entry.child.ready()
      if (this.#stopping !== undefined) return
      entry.status = 'running'
      this.#save()
      this.#options.onEvent?.({ kind: 'restarted', name })
      this.#watch(name, entry)
    } catch (error) {
      if (this.#stopping !== undefined) return
      await entry.child.stop()
      const restartInMs = this.#planRestart(name, entry)
      const message = messageOf(error).split('\n', 1)[0] ?? ''
      this.#options.onEvent?.({ kind: 'restart-failed', name, message, restartInMs })
    }
  }

  async #stopAll(): Promise<void> {
    this.#status = 'stopping'
    for (const entry of this.#entries.values()) clearTimeout(entry.pause)
    this.#save()
    for (const wave of this.#waves.toReversed()) {
      const members = [...this.#entries.values()].filter((entry) => entry.wave === wave)
      await Promise.all(members.map((entry) => entry.child.stop()))
    }
    rmSync(this.#options.stateFile, { force: true })
  }

  #save(): void {
    const state: MeshState = {
      supervisor: identify(process.pid),
      startedMs: this.#startedMs,
      status: this.#status,
      children: this.children(),
      about: this.#about,
    }
    const temporary = `${this.#options.stateFile}.tmp`
    writeFileSync(temporary, `${JSON.stringify(state, null, 2)}\n`)
    renameSync(temporary, this.#options.stateFile)
  }
}

const signal = ({ pid }: ProcessIdentity, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // It ended meanwhile.
  }
}

/** SIGTERM, then SIGKILL after the grace, to exactly these processes; resolves when all are gone. Gives how many there were. */
export const endProcesses = async (identities: readonly ProcessIdentity[], graceMs = 10_000): Promise<number> => {
  const running = identities.filter(isRunning)
  for (const identity of running) signal(identity, 'SIGTERM')
  const deadline = Date.now() + graceMs
  while (running.some(isRunning) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50))
  for (const identity of running.filter(isRunning)) signal(identity, 'SIGKILL')
  while (running.some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 20))
  return running.length
}

/** Ends what a supervisor that was killed left behind. Throws when that supervisor still runs. Gives how many processes were ended. */
export const clearLeftovers = async (stateFile: string): Promise<number> => {
  const state = readState(stateFile)
  if (state === undefined) return 0
  if (isRunning(state.supervisor)) {
    throw new AndonError(
      'ANDON_ALREADY_RUNNING',
      `Andon already runs here (pid ${state.supervisor.pid}, state in ${stateFile}). Use it, end it with \`andon down\`, or choose another ANDON_HOME and ANDON_PORT_OFFSET.`,
    )
  }
  const ended = await endProcesses(state.children.map((child) => child.identity))
  rmSync(stateFile, { force: true })
  return ended
}
