// A small service for tests of the loop: adds up numbers per key and emits every new total.

import { emitter, isRetriable, runProcess } from '@andon/kit'
import type { Batch, Codec, Input, KeyedState, Log, MemoryLog, PartitionProcess, ProcessDeps, ProcessOptions, Run } from '@andon/kit'
import { jsonCodec } from './json-codec.ts'

export interface Add {
  readonly n: number
}

export interface Total {
  readonly total: number
  readonly count: number
}

export const silent: ProcessDeps = {
  logger: { info: () => undefined, warn: () => undefined },
  metrics: { counter: () => ({ inc: () => undefined }) },
}

type TotalsProcess = PartitionProcess<Add> & { readonly kept: Map<string, Total> }

/** Totals per key, kept in memory and snapshotted by the kit. */
export const totals = (): TotalsProcess => totalsIn(1)

/** The same in an encoding of this version. */
export const totalsIn = (version: number): TotalsProcess => {
  const kept = new Map<string, Total>()
  const changed = new Set<string>()
  const state: KeyedState = {
    version,
    dirty: () => [...changed],
    snapshot: (key) => {
      changed.delete(key)
      return Buffer.from(JSON.stringify(kept.get(key)))
    },
    restore: (key, bytes, found) => {
      if (found !== version) throw new RangeError(`state of ${key} has version ${found}, expected ${version}`)
      kept.set(key, JSON.parse(Buffer.from(bytes).toString()) as Total)
    },
  }
  return {
    kept,
    state,
    handle: (batch: Batch<Add>) => {
      const out = emitter()
      for (const input of batch.inputs) {
        const key = input.key ?? ''
        const before = kept.get(key) ?? { total: 0, count: 0 }
        const after = { total: before.total + input.value.n, count: before.count + 1 }
        kept.set(key, after)
        changed.add(key)
        out.emit(input, totalOf(input, after))
      }
      return out
    },
  }
}

export const totalOf = (input: Input<Add>, value: Total) => ({
  topic: 'totals',
  key: input.key,
  value,
  id: `${input.key}#${value.count}`,
  type: 'Total',
  timeUs: 0,
  order: 'own' as const,
})

/** Emits each input's double; no memory. */
export const doubles = (): PartitionProcess<Add> => ({
  handle: (batch) => {
    const out = emitter()
    for (const input of batch.inputs)
      out.emit(input, {
        topic: 'totals',
        key: input.key,
        value: { total: input.value.n * 2, count: 0 },
        id: `double:${input.id}`,
        type: 'Double',
        timeUs: 0,
      })
    return out
  },
})

export const start = (
  log: Log,
  options: Partial<ProcessOptions<Add>> & Pick<ProcessOptions<Add>, 'open'>,
  codec: Codec = jsonCodec,
): Promise<Run> =>
  runProcess<Add>(
    log,
    codec,
    { service: 'adder', input: 'numbers', outputs: ['totals'], snapshotEveryRecords: 3, snapshotEveryMs: 60_000, ...options },
    silent,
  )

export const add = async (log: Log, key: string, ...numbers: number[]): Promise<void> => {
  const records = numbers.map((n) => ({ topic: 'numbers', key, value: jsonCodec.encode('numbers', { n }) }))
  try {
    await log.append(records)
  } catch (error) {
    // A source that hears of a lost tail sends again what it holds; here nothing else is held.
    if (!isRetriable(error)) throw error
    await log.append(records)
  }
}

export interface Seen {
  readonly id: string
  readonly cause: string | undefined
  readonly value: Total
}

export const outputs = async (log: Log, topic = 'totals'): Promise<Seen[]> => {
  const seen: Seen[] = []
  for (const { partition } of await log.admin.watermarks(topic))
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' }))
      for (const record of batch.records)
        seen.push({
          id: record.header('ce_id') ?? '',
          cause: record.header('andon-cause'),
          value: jsonCodec.decode<Total>(topic, record.value!),
        })
  return seen
}

/** Waits until `check` holds; fails after `timeoutMs`. */
export const until = async (check: () => boolean | Promise<boolean>, what = 'the condition', timeoutMs = 30_000): Promise<void> => {
  for (const end = Date.now() + timeoutMs; Date.now() < end;) {
    if (await check()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`Waited ${timeoutMs} ms for ${what}`)
}

export { isRetriable }
export type { MemoryLog }
