// What fault runs share: a cluster, processes that can be killed, paused and told to end, and a log to look in from outside.
// Everything a scene started is gone when it ends, however it ends.

import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKafkaLog } from '@andon/kit'
import type { KafkaLogOptions, Log, LogRecord } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import type { FaultOptions } from './fault.ts'

export type KafkaStartOptions = NonNullable<Parameters<typeof startKafka>[0]>

export interface Worker {
  readonly name: string
  readonly pid: number
  /** Resolves when the worker has said that it is ready; rejects when it ends instead. */
  readonly ready: Promise<void>
  /** Exit code, null after a signal. */
  readonly exited: Promise<number | null>
  /** From here on an end of its own is no surprise. */
  mayEnd(): void
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>
  /** SIGSTOP, until `resume`. */
  pause(): void
  resume(): void
}

/** What a worker tells on its standard output, one JSON object per line; `{"ready":true}` means that it has started. */
export type Message = Readonly<Record<string, unknown>>

export interface Scene {
  readonly kafka: Kafka
  /** A folder that goes with the scene. */
  readonly dir: string
  /** Prefix of topics and groups of this run. */
  readonly namespace: string
  /** Opens a log of the run itself, patient while brokers are away. */
  openLog(options?: Partial<KafkaLogOptions>): Promise<Log>
  /** Starts `workers/<name>.ts`. An end that nobody asked for is kept in `surprises`. */
  startWorker(name: string, config: Message, onMessage?: (message: Message) => void): Worker
  /** Ends of workers that nobody asked for, in words. */
  readonly surprises: readonly string[]
  /** Runs when the scene ends, last one first. */
  defer(end: () => unknown): void
}

/** Sets a scene, plays it, clears it away. `kafkaOptions` gets the scene's folder. */
export const withScene = async <T>(
  { nodes, note }: Pick<FaultOptions, 'nodes' | 'note'>,
  play: (scene: Scene) => Promise<T>,
  kafkaOptions: (dir: string) => KafkaStartOptions = () => ({}),
): Promise<T> => {
  const ends: (() => unknown)[] = []
  const surprises: string[] = []
  const children = new Set<ChildProcess>()
  const killChildren = (): void => {
    for (const child of children) child.kill('SIGKILL')
  }
  process.on('exit', killChildren) // a paused worker does not notice that we are gone
  ends.push(() => process.off('exit', killChildren))
  const dir = mkdtempSync(join(tmpdir(), 'andon-faults-'))
  ends.push(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  try {
    note(`starting ${nodes === 1 ? 'a broker' : 'three brokers'}`)
    const kafka = await startKafka({ brokers: nodes, ...kafkaOptions(dir) })
    ends.push(() => kafka.stop())
    ends.push(killChildren)
    return await play({
      kafka,
      dir,
      namespace: 'f-',
      surprises,
      defer: (end) => void ends.push(end),
      openLog: async (options) => {
        const log = await openKafkaLog({
          brokers: kafka.brokers,
          clientId: 'faults',
          namespace: 'f-',
          appendDeadlineMs: 120_000,
          ...options,
        })
        ends.push(() => log.close())
        return log
      },
      startWorker: (name, config, onMessage) => {
        const worker = spawnWorker(name, { brokers: kafka.brokers, namespace: 'f-', ...config }, dir, surprises, onMessage)
        children.add(worker.child)
        worker.child.once('exit', () => children.delete(worker.child))
        return worker
      },
    })
  } finally {
    for (const end of ends.toReversed())
      await Promise.resolve(end()).catch((error: unknown) => note(`while clearing away: ${String(error)}`))
  }
}

let started = 0

const spawnWorker = (
  name: string,
  config: Message,
  dir: string,
  surprises: string[],
  onMessage: (message: Message) => void = () => undefined,
): Worker & { readonly child: ChildProcess } => {
  const label = `${name} ${++started}`
  const main = join(import.meta.dirname, 'workers', `${name}.ts`)
  // Standard input ends when we end: the worker's sign to go.
  const child = spawn(process.execPath, [main, JSON.stringify(config)], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => undefined)
  child.stderr.pipe(createWriteStream(join(dir, `${label}.log`)))
  let lastWords = ''
  child.stderr.on('data', (bytes: Buffer) => (lastWords = (lastWords + bytes.toString()).slice(-2000)))
  const ready = Promise.withResolvers<void>()
  ready.promise.catch(() => undefined) // not everybody waits for it
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as Message
    if (message['ready'] === true) ready.resolve()
    else onMessage(message)
  })
  let isExpected = false
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code, signal) => {
      ready.reject(new Error(`${label} ended before it was ready: ${lastWords}`))
      if (!isExpected) surprises.push(`${label} ended by itself (${signal ?? `code ${code}`}): ${lastWords.trim().slice(-400)}`)
      resolve(code)
    })
  })
  const end = (signal: NodeJS.Signals): Promise<number | null> => {
    isExpected = true
    child.kill(signal)
    return exited
  }
  return {
    name: label,
    pid: child.pid ?? 0,
    child,
    ready: ready.promise,
    exited,
    mayEnd: () => {
      isExpected = true
    },
    kill: async () => void (await end('SIGKILL')),
    terminate: () => end('SIGTERM'),
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
  }
}

/** Waits until `check` holds; fails after the deadline with what it waited for. */
export const until = async (what: string, check: () => boolean | Promise<boolean>, deadlineMs = 120_000): Promise<void> => {
  for (const endMs = performance.now() + deadlineMs; ;) {
    if (await check()) return
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`)
    await sleep(20)
  }
}

/** All records of a topic as they lie now, partition by partition. Values stay valid. */
export const readTopic = async (log: Log, topic: string): Promise<LogRecord[]> => {
  const records: LogRecord[] = []
  for (const { partition } of await log.admin.watermarks(topic))
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' })) records.push(...batch.records)
  return records
}

/** Seconds a piece of work takes. */
export const secondsOf = async (work: () => Promise<unknown>): Promise<number> => {
  const startedMs = performance.now()
  await work()
  return (performance.now() - startedMs) / 1000
}
