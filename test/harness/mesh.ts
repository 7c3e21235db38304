// Raises the whole mesh for a test as a user would (`andon up --demo`), in its own folder and on its own ports, and gives
// what a test needs of it: doors with tokens, kill -9 by name, everything that lies on its topics.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCodec, openKafkaLog } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { type ChildState, type MeshState, isPortFree, readState, repositoryRoot } from '@andon/platform'
import type { Actions, Anomalies, Features, Predictions, Telemetry } from '@andon/schemas'
import type { Acknowledged, Ledger, PhysicalEffect, Stored } from './ledger.ts'

export interface MeshOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Arguments of `andon up`. Default: --demo. */
  readonly args?: readonly string[]
  /** State folder and ports of an earlier start; the folder is then kept. Default: a new folder, removed in the end, and free ports. */
  readonly place?: Readonly<{ home: string; offset: number }>
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** Waits until `found` gives something; throws with `what` and the last error after `withinMs`. Polls, because it asks outside programs. */
export const until = async <T>(
  what: string,
  withinMs: number,
  found: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> => {
  const deadline = Date.now() + withinMs
  let last: unknown
  for (;;) {
    try {
      const value = await found()
      if (value !== undefined && value !== false) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) throw new Error(`not within ${withinMs / 1000} s: ${what}`, { cause: last })
    await sleep(100)
  }
}

export class Mesh {
  readonly home: string
  readonly offset: number
  readonly output: string[] = []
  private readonly child: ChildProcess
  private readonly environment: NodeJS.ProcessEnv
  private readonly isKept: boolean
  private log: Log | undefined
  private codec: Codec | undefined

  private constructor(home: string, offset: number, options: MeshOptions) {
    this.home = home
    this.offset = offset
    this.isKept = options.place !== undefined || process.env['ANDON_KEEP_HOME'] !== undefined
    this.environment = { ...process.env, ANDON_HOME: home, ANDON_PORT_OFFSET: String(offset), ...options.env }
    const main = join(repositoryRoot, 'packages', 'cli', 'src', 'main.ts')
    this.child = spawn(process.execPath, [main, 'up', ...(options.args ?? ['--demo'])], {
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', (bytes: Buffer) => this.output.push(bytes.toString()))
  }

  /** Resolves when `andon up` says that the mesh is ready; on failure the error carries what it printed. */
  static async start(options: MeshOptions = {}): Promise<Mesh> {
    const { home, offset } = options.place ?? { home: mkdtempSync(join(tmpdir(), 'andon-mesh-')), offset: await freeOffset() }
    const mesh = new Mesh(home, offset, options)
    try {
      await until('the mesh is ready', 120_000, () => {
        if (mesh.child.exitCode !== null) return 'ended'
        return mesh.state()?.status === 'ready' && 'ready'
      })
      if (mesh.child.exitCode !== null) throw new Error(`andon up ended with ${mesh.child.exitCode}`)
      return mesh
    } catch (cause) {
      await mesh.stop()
      throw new Error(`the mesh did not start:\n${mesh.output.join('')}`, { cause })
    }
  }

  private state(): MeshState | undefined {
    return readState(join(this.home, 'state.json'))
  }

  private childState(name: string): ChildState {
    const child = this.state()?.children.find((one) => one.name === name)
    if (!child) throw new Error(`no process ${name}`)
    return child
  }

  /** Process id of a service, of `kafka`, `redis`, `nats`, `registry` or `steel-plant`. */
  pid(name: string): number {
    return this.childState(name).identity.pid
  }

  /** kill -9, then waits until the supervisor has another one that runs. */
  async kill(name: string): Promise<void> {
    const before = this.pid(name)
    process.kill(before, 'SIGKILL')
    await until(`${name} runs again`, 60_000, () => {
      const { identity, status } = this.childState(name)
      return identity.pid !== before && status === 'running'
    })
  }

  port(conventional: number): number {
    return conventional + this.offset
  }

  token(name: string): string {
    return readFileSync(join(this.home, 'tokens', name), 'utf8').trim()
  }

  /** Calls a door on its conventional port. */
  async call(
    method: string,
    port: number,
    path: string,
    options: { as?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${this.port(port)}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(options.as === undefined ? {} : { authorization: `Bearer ${this.token(options.as)}` }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      signal: AbortSignal.timeout(10_000),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text) }
  }

  /** Runs an `andon` command against this mesh; gives its exit code and what it printed. */
  async andon(...args: string[]): Promise<{ code: number; out: string }> {
    const main = join(repositoryRoot, 'packages', 'cli', 'src', 'main.ts')
    const child = spawn(process.execPath, [main, ...args], { env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (out += bytes.toString()))
    const code = await new Promise<number>((resolve) => child.on('close', (exit) => resolve(exit ?? -1)))
    return { code, out }
  }

  /** Everything on a topic, in offset order per partition. */
  async read<T>(topic: string): Promise<Stored<T>[]> {
    this.log ??= await openKafkaLog({ brokers: [`127.0.0.1:${this.port(9092)}`], clientId: 'flow-test' })
    this.codec ??= await openCodec({ registryUrl: `http://127.0.0.1:${this.port(8081)}` })
    const stored: Stored<T>[] = []
    for (let partition = 0; partition < (await this.log.admin.partitions(topic)); partition++)
      for await (const batch of this.log.read({ topic, partition, from: 'earliest', to: 'latest' }))
        for (const record of batch.records) {
          if (record.value === null) continue
          const value = await this.codec.decodeAsync<T>(topic, Buffer.from(record.value))
          stored.push({ partition, offset: record.offset, timestampMs: record.timestampMs, headers: record.headers(), value })
        }
    return stored
  }

  /** What the ledger verifier judges: the demo plant's acknowledgements and the line's own book beside the topics. */
  async ledger(): Promise<Ledger> {
    const acknowledged = (await this.call('GET', 7090, '/acknowledged')).body as {
      source: string
      epoch: number
      from: number
      to: number
    }[]
    const { effects } = (await this.call('GET', 7090, '/ledger')).body as { effects: PhysicalEffect[] }
    return {
      ...(await this.topics()),
      acknowledged: acknowledged.flatMap(({ source, epoch, from, to }): Acknowledged[] =>
        Array.from({ length: to - from + 1 }, (_, i) => ({ sourceId: source, epoch, seq: from + i })),
      ),
      effects,
    }
  }

  /** The data path and the decisions, whole. */
  async topics(): Promise<Omit<Ledger, 'acknowledged' | 'effects'>> {
    return {
      telemetry: await this.read<Telemetry>('telemetry'),
      features: await this.read<Features>('features'),
      predictions: await this.read<Predictions>('predictions'),
      anomalies: await this.read<Anomalies>('anomalies'),
      actions: await this.read<Actions>('actions'),
    }
  }

  /** Resolves when what was acknowledged by now has been windowed and scored: two windows more of every stream on `predictions`. */
  async settle(): Promise<void> {
    const newest = async (): Promise<Map<string, number>> => {
      const ends = new Map<string, number>()
      for (const { value } of await this.read<Predictions>('predictions'))
        ends.set(value.assetId, Math.max(ends.get(value.assetId) ?? 0, value.windowEndUs))
      return ends
    }
    const nowUs = Date.now() * 1000
    await until('every asset is scored past now', 60_000, async () => [...(await newest()).values()].every((endUs) => endUs > nowUs + 1e6))
  }

  async stop(): Promise<void> {
    await this.log?.close()
    if (this.child.exitCode === null) {
      const ended = new Promise((resolve) => this.child.once('close', resolve))
      this.child.kill('SIGINT')
      const late = setTimeout(() => this.child.kill('SIGKILL'), 40_000)
      await ended
      clearTimeout(late)
    }
    if (!this.isKept) rmSync(this.home, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Ports that any mesh uses; services and the demo plant lie close together, so their ranges are asked whole. */
const conventional = [
  1883, 4222, 4840, 6379, 7070, 7071, 7072, 7073, 7074, 7081, 7082, 7083, 7084, 7085, 7086, 7087, 7090, 7091, 7092, 7095, 7096, 8000, 8001,
  8002, 8081, 9092, 9093,
]

/**
 * An offset under which the conventional ports are free now. Shifted ports stay below 32768, where the system hands out ports
 * for outgoing connections; a fixed port there may be taken at any time.
 */
export const freeOffset = async (): Promise<number> => {
  for (let tries = 0; tries < 200; tries++) {
    const offset = 10_000 + randomInt(135) * 97
    const free = await Promise.all(conventional.map((port) => isPortFree(port + offset)))
    if (free.every(Boolean)) return offset
  }
  throw new Error('no offset with free ports found in 200 tries')
}
