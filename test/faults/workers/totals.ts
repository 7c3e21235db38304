// A service as the kit runs it: adds up numbers per key with `runProcess`, keeps its state in snapshots, uses no transactions.
// Every output carries count and sum, so that one input lost or applied twice shows in all later ones.

import { emitter, openHistoryBlobs, openKafkaLog, runProcess } from '@andon/kit'
import type { KafkaLogOptions, KeyedState, PartitionProcess } from '@andon/kit'
import { setTimeout as sleep } from 'node:timers/promises'
import { jsonCodec } from '../../../packages/kit/test/json-codec.ts'
import type { NumberRecord, TotalRecord } from '../numbers.ts'
import { onTermination, tell, workerConfig } from './worker.ts'

interface Config {
  readonly brokers: readonly string[]
  readonly namespace: string
  readonly client: NonNullable<KafkaLogOptions['client']>
  /** Pause per handled batch, ms, so that a fault finds work under way. */
  readonly paceMs: number
  readonly sessionMs?: number
  /** Its name in the group; default: none. */
  readonly instance?: string
  readonly snapshotEveryRecords?: number
  /** Delivers in transactions of this length; default: by marks. */
  readonly transactionMs?: number
  /** Retains snapshots in this folder, so many records apart. */
  readonly blobDir?: string
  readonly historyEveryRecords?: number
}

const config = workerConfig<Config>()
const { blobDir, historyEveryRecords = 50_000 } = config

const totals = (): PartitionProcess<NumberRecord> => {
  const kept = new Map<string, { count: number; sum: number }>()
  const changed = new Set<string>()
  const state: KeyedState = {
    version: 1,
    dirty: () => changed,
    snapshot: (key) => {
      changed.delete(key)
      return Buffer.from(JSON.stringify(kept.get(key)))
    },
    restore: (key, bytes) => void kept.set(key, JSON.parse(Buffer.from(bytes).toString()) as { count: number; sum: number }),
  }
  return {
    state,
    handle: async (batch) => {
      const out = emitter()
      for (const input of batch.inputs) {
        const key = input.key ?? ''
        const before = kept.get(key) ?? { count: 0, sum: 0 }
        const total = { count: before.count + 1, sum: before.sum + input.value.number }
        kept.set(key, total)
        changed.add(key)
        const value: TotalRecord = { number: input.value.number, ...total }
        out.emit(input, {
          topic: 'totals',
          key: input.key,
          value,
          id: `total:${input.value.number}`,
          type: 'Total',
          timeUs: 0,
          partition: input.partition,
        })
      }
      if (config.paceMs > 0) await sleep(config.paceMs)
      return out
    },
  }
}

const log = await openKafkaLog({
  brokers: config.brokers,
  clientId: 'faults-totals',
  namespace: config.namespace,
  client: config.client,
  appendDeadlineMs: 30_000,
  ...(config.instance === undefined ? {} : { instance: config.instance }),
  timing: { sessionMs: config.sessionMs ?? 6000, heartbeatMs: 500, rebalanceMs: 10_000 },
})
const run = await runProcess<NumberRecord>(
  log,
  jsonCodec,
  {
    service: 'totals',
    input: 'numbers',
    outputs: ['totals'],
    open: totals,
    snapshotEveryRecords: config.snapshotEveryRecords ?? 2000,
    snapshotEveryMs: 1000,
    ...(config.transactionMs === undefined ? {} : { transactions: { everyMs: config.transactionMs } }),
    ...(blobDir === undefined
      ? {}
      : { history: { blobs: () => openHistoryBlobs(blobDir), everyMs: 600_000, everyRecords: historyEveryRecords } }),
  },
  {
    logger: { info: () => undefined, warn: (fields, text) => console.error(text, fields) },
    metrics: { counter: () => ({ inc: () => undefined }) },
  },
)
onTermination(async () => {
  await run.stop()
  await log.close()
})
run.ended.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
tell({ ready: true })
