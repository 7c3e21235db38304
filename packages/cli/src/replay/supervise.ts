// One hop from its plan to its end: its processes are started, watched through their progress files, and ended in order when
// the caller is. Whatever happens, the same command goes on where it stopped.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ReplayProgress } from '@andon/kit'
import { type Home, type ProcessIdentity, isRunning, tail } from '@andon/platform'
import { identify } from '@andon/platform/processes'
import type { Context } from '../context.ts'
import { type HopFiles, startChild } from './child.ts'
import type { ReplayCode } from './code.ts'
import { removeContainers } from './container.ts'
import { type HopStatus, type ReplayHop, requireManifest, writeJson, writeManifest } from './manifest.ts'
import { openRunRegistry } from './run-registry.ts'
import { readProgress, sharesOf } from './shares.ts'

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

/** The hop's status now: a supervisor that is gone has stopped it. */
export const statusOf = ({ status, supervisor }: ReplayHop): HopStatus =>
  status === 'running' && (supervisor === null || !isRunning(supervisor)) ? 'stopped' : status

/** Changes one hop of a run's manifest. */
export const updateHop = (home: Home, id: string, service: string, changes: Partial<ReplayHop>): void => {
  const manifest = requireManifest(home, id)
  writeManifest(home, { ...manifest, hops: manifest.hops.map((hop) => (hop.service === service ? { ...hop, ...changes } : hop)) })
}

interface HopEnd {
  readonly status: HopStatus
  readonly problem: string | null
}

/** Runs a hop, whose code is installed, to its end, or until `signal` is aborted. Its status is in the manifest before and after. */
export const superviseHop = async (
  context: Context,
  id: string,
  hop: ReplayHop,
  code: ReplayCode,
  signal: AbortSignal,
  onProgress: (progress: HopProgress) => void,
): Promise<HopEnd> => {
  const { registryUrl, namespace } = context
  const registry = await openRunRegistry({ url: registryUrl, namespace, runId: hop.plan.id, writes: hop.plan.writes })
  try {
    return await supervise({ ...context, registryUrl: registry.url }, id, hop, code, signal, onProgress)
  } finally {
    await registry.close()
  }
}

const supervise = async (
  context: Context,
  id: string,
  hop: ReplayHop,
  code: ReplayCode,
  signal: AbortSignal,
  onProgress: (progress: HopProgress) => void,
): Promise<HopEnd> => {
  const { home } = context
  const shares = sharesOf(home, id, hop)
  for (const { files, plan } of shares) {
    mkdirSync(files.folder, { recursive: true })
    writeJson(files.plan, plan)
  }
  const update = (changes: Partial<ReplayHop>): void => updateHop(home, id, hop.service, changes)
  for (const child of hop.children) await outlive(child)
  await endContainers(code, shares)
  update({ status: 'running', supervisor: identify(process.pid), startedMs: hop.startedMs ?? Date.now(), endedMs: null, problem: null })
  const children = shares.map(({ files }) => startChild(context, code, files, hop.settings))
  const stop = (): void => {
    for (const child of children) child.kill('SIGTERM')
  }
  let failed: number | undefined
  const ended = Promise.all(
    children.map(async (child, at) => {
      const exit = await endOf(child)
      if (exit.code === 0) return exit
      failed ??= at // the first one says why: the others end because they are told to
      stop() // their work is kept, and the same command goes on from there
      return exit
    }),
  )
  update({ children: children.flatMap(({ pid }) => (pid === undefined ? [] : [identify(pid)])) })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const rate = rateOf()
  try {
    for (let exits: Exit[] | undefined; exits === undefined;) {
      exits = await Promise.race([ended, sleep(LOOK_EVERY_MS, undefined)])
      const progress = readProgress(shares)
      if (progress) onProgress(rate(progress))
    }
    const exits = await ended
    const isDone = failed === undefined && readProgress(shares)?.isDone === true
    // who was asked to stop may have left answers open, whatever it had read
    const status: HopStatus = signal.aborted ? 'stopped' : isDone ? 'finished' : 'failed'
    const at = failed ?? 0
    const problem = status === 'failed' ? problemOf(exits[at]!, shares[at]!.files) : null
    // an abort from another terminal has had the last word already
    if (requireManifest(home, id).hops.find(({ service }) => service === hop.service)?.status !== 'aborted')
      update({ status, problem, supervisor: null, children: [], endedMs: Date.now() })
    return { status, problem }
  } finally {
    signal.removeEventListener('abort', stop)
    for (const child of children) child.kill('SIGKILL') // no more than a second thought: it has ended, or this function failed
    await endContainers(code, shares)
  }
}

/** A run has one writer: a process that lost its supervisor ends within a second by itself, and is ended here if it does not. */
const outlive = async (child: ProcessIdentity): Promise<void> => {
  for (const fromMs = Date.now(); isRunning(child); await sleep(100)) {
    if (Date.now() - fromMs > STOP_WITHIN_MS) process.kill(child.pid, 'SIGKILL')
  }
}

/** A container is no child of ours: it goes on when the process that stands for it was killed. */
const endContainers = async ({ at }: ReplayCode, shares: readonly { readonly files: HopFiles }[]): Promise<void> => {
  if ('image' in at)
    await removeContainers(
      at.engine,
      shares.map(({ files }) => files),
    )
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
