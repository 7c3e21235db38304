// One hop from its plan to its end: the process is started, watched through its progress file, and ended in order when the
// caller is. Whatever happens, the same command goes on where it stopped.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ReplayProgress } from '@andon/kit'
import { progressFile } from '@andon/kit/replay/open'
import { type Home, type ProcessIdentity, isRunning, tail } from '@andon/platform'
import { identify } from '@andon/platform/processes'
import type { Context } from '../context.ts'
import { type HopFiles, startChild } from './child.ts'
import type { ReplayCode } from './code.ts'
import { type HopStatus, type ReplayHop, requireManifest, runFolder, writeJson, writeManifest } from './manifest.ts'

const LOOK_EVERY_MS = 500
const RATE_OVER_MS = 10_000
const STOP_WITHIN_MS = 15_000

/** How far a hop has come. */
export interface HopProgress {
  readonly records: number
  readonly total: number
  readonly appended: number
  /** Records per second over the last seconds; null before two looks. */
  readonly recordsPerSecond: number | null
  readonly leftMs: number | null
}

export const filesOf = (home: Home, id: string, service: string): HopFiles => {
  const folder = runFolder(home, id)
  return { folder, plan: join(folder, `${service}.json`), log: join(folder, `${service}.log`) }
}

/** What the hop's process said last; undefined before it said anything. */
export const readProgress = (files: HopFiles): ReplayProgress | undefined => {
  try {
    return JSON.parse(readFileSync(progressFile(files.plan), 'utf8')) as ReplayProgress
  } catch {
    return undefined
  }
}

/** The hop's status now: a supervisor that is gone has stopped it. */
export const statusOf = ({ status, supervisor }: ReplayHop): HopStatus =>
  status === 'running' && (supervisor === null || !isRunning(supervisor)) ? 'stopped' : status

/** Changes one hop of a run's manifest. */
export const updateHop = (home: Home, id: string, service: string, changes: Partial<ReplayHop>): void => {
  const manifest = requireManifest(home, id)
  writeManifest(home, { ...manifest, hops: manifest.hops.map((hop) => (hop.service === service ? { ...hop, ...changes } : hop)) })
}

/** Runs a hop to its end, or until `signal` is aborted. Its status is in the manifest before and after. */
export const superviseHop = async (
  context: Context,
  id: string,
  hop: ReplayHop,
  code: ReplayCode,
  signal: AbortSignal,
  onProgress: (progress: HopProgress) => void,
): Promise<{ status: HopStatus; problem: string | null }> => {
  const { home } = context
  const files = filesOf(home, id, hop.service)
  mkdirSync(files.folder, { recursive: true })
  writeJson(files.plan, hop.plan)
  const update = (changes: Partial<ReplayHop>): void => updateHop(home, id, hop.service, changes)
  if (hop.child !== null) await outlive(hop.child)
  update({ status: 'running', supervisor: identify(process.pid), startedMs: hop.startedMs ?? Date.now(), endedMs: null, problem: null })
  const child = startChild(context, code, files, hop.settings)
  const ended = endOf(child)
  if (child.pid !== undefined) update({ child: identify(child.pid) })
  const stop = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const rate = rateOf()
  try {
    for (let exit: Exit | undefined; exit === undefined;) {
      exit = await Promise.race([ended, sleep(LOOK_EVERY_MS, undefined)])
      const progress = readProgress(files)
      if (progress) onProgress(rate(progress))
    }
    const exit = await ended
    const isDone = exit.code === 0 && readProgress(files)?.isDone === true
    // who was asked to stop may have left answers open, whatever it had read
    const status: HopStatus = signal.aborted ? 'stopped' : isDone ? 'finished' : 'failed'
    const problem = status === 'failed' ? problemOf(exit, files) : null
    // an abort from another terminal has had the last word already
    if (requireManifest(home, id).hops.find(({ service }) => service === hop.service)?.status !== 'aborted')
      update({ status, problem, supervisor: null, child: null, endedMs: Date.now() })
    return { status, problem }
  } finally {
    signal.removeEventListener('abort', stop)
    child.kill('SIGKILL') // no more than a second thought: it has ended, or this function failed
  }
}

/** A run has one writer: a process that lost its supervisor ends within a second by itself, and is ended here if it does not. */
const outlive = async (child: ProcessIdentity): Promise<void> => {
  for (const fromMs = Date.now(); isRunning(child); await sleep(100)) {
    if (Date.now() - fromMs > STOP_WITHIN_MS) process.kill(child.pid, 'SIGKILL')
  }
}

interface Exit {
  readonly code: number | null
  readonly error?: Error
}

const endOf = async (child: ChildProcess): Promise<Exit> => {
  const failed = new Promise<Exit>((resolve) => child.once('error', (error) => resolve({ code: null, error })))
  const exited = once(child, 'exit').then(
    ([code]): Exit => ({ code: code as number | null }),
    (error: Error): Exit => ({ code: null, error }),
  )
  return Promise.race([failed, exited])
}

const problemOf = (exit: Exit, files: HopFiles): string =>
  exit.error?.message ?? `the process ended with code ${exit.code ?? 'none'}; the end of ${files.log}:\n${tail(files.log, 5)}`

/** Records per second over the last ten seconds, and what is left at that rate. */
const rateOf = (): ((progress: ReplayProgress) => HopProgress) => {
  const seen: { atMs: number; records: number }[] = []
  return ({ records, total, appended }) => {
    const atMs = Date.now()
    seen.push({ atMs, records })
    while (seen.length > 2 && seen[0]!.atMs < atMs - RATE_OVER_MS) seen.shift()
    const [first] = seen as [{ atMs: number; records: number }]
    const recordsPerSecond = atMs > first.atMs ? ((records - first.records) * 1000) / (atMs - first.atMs) : null
    const leftMs = recordsPerSecond === null || recordsPerSecond <= 0 ? null : ((total - records) * 1000) / recordsPerSecond
    return { records, total, appended, recordsPerSecond, leftMs }
  }
}
