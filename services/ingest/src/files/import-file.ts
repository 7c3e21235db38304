// One file → deliveries, made safe in the order of the file. Batches are read ahead of those that wait for their acknowledgement; the
// checkpoint follows behind: it never names a row that is not safe. Started again from a checkpoint it sends at most what was in flight
// once more, under the same numbers.

import { setTimeout as pause } from 'node:timers/promises'
import { AndonError } from '@andon/kit'
import type { DoorName, Intake, Receipt } from '../adapters/source.ts'
import { fileRefused } from './column-plan.ts'
import type { FileAssets } from './file-assets.ts'
import { deliveriesOf } from './file-deliveries.ts'
import type { FileDelivery } from './file-deliveries.ts'
import type { Checkpoint, RejectedList } from './import-store.ts'
import { rejectedLine, tallied } from './manifest.ts'
import type { RejectedRow, Tally } from './manifest.ts'
import type { QuarantinePace } from './quarantine-pace.ts'
import type { RowBatch } from './row-batch.ts'
import type { Position, RowSource } from './row-source.ts'

export interface ImportDeps {
  readonly door: DoorName
  readonly sha256: string
  readonly bytes: number
  readonly source: RowSource
  /** Counts rows while they are read. */
  readonly assets: FileAssets
  readonly rejected: RejectedList
  readonly pace: QuarantinePace
  readonly intake: Intake
  readonly save: (checkpoint: Checkpoint) => Promise<void>
  readonly onProgress: (position: Position, tally: Tally) => void
  readonly signal: AbortSignal
}

export interface ImportStart {
  readonly position: Position
  readonly tally: Tally
}

/** Batches in hand at once: one is read while the others are made safe. */
const batchesInHand = 3
const checkpointEveryMs = 200
const shortestPauseMs = 50
const longestPauseMs = 2000

interface Sent {
  readonly batch: RowBatch
  readonly end: Position
  readonly counts: readonly (readonly [asset: number, next: number])[]
  readonly safe: Promise<Tally>
}

/** Resolves with the tally when every row is safe; rejects when stopped (the signal's reason) or when reading fails. */
export const importFile = async (deps: ImportDeps, start: ImportStart): Promise<Tally> => {
  const { source, assets, rejected, pace, signal } = deps
  const free: RowBatch[] = []
  const sent: Sent[] = []
  const safeAssets = new Map(assets.ids.map((id, index) => [id, assets.next[index]!] as const))
  let { position, tally } = start
  let savedMs = performance.now()
  let safePosition = position
  const settle = async (): Promise<void> => {
    const oldest = sent.shift()!
    const { rejected: before } = tally
    tally = await oldest.safe
    pace.sent(tally.rejected - before)
    for (const [asset, next] of oldest.counts) safeAssets.set(assets.ids[asset]!, next)
    safePosition = oldest.end
    free.push(oldest.batch)
    deps.onProgress(safePosition, tally)
    if (performance.now() - savedMs < checkpointEveryMs) return
    savedMs = performance.now()
    const rejectedBytes = await rejected.sync()
    await deps.save({ sha256: deps.sha256, bytes: deps.bytes, position: safePosition, assets: [...safeAssets], tally, rejectedBytes })
  }

  try {
    let before = Promise.resolve(tally)
    for (;;) {
      signal.throwIfAborted()
      if (sent.length === batchesInHand) await settle()
      for (let waitMs = pace.waitMs(); waitMs > 0; waitMs = pace.waitMs()) {
        while (sent.length > 0) await settle()
        await pause(waitMs, undefined, { signal })
      }
      const batch = free.pop() ?? source.newBatch()
      const end = await source.read(batch, position)
      if (batch.rows === 0) break
      const deliveries = deliveriesOf(deps, source.plan, source.longChannels(), batch, assets)
      const safe = inOrder(before, deliverAll(deps, deliveries), rejected)
      before = safe
      safe.catch(() => undefined) // settle() hears of it
      sent.push({ batch, end, counts: countsOf(batch, assets), safe })
      position = end
    }
    while (sent.length > 0) await settle()
    return tally
  } finally {
    await Promise.allSettled(sent.map(({ safe }) => safe))
  }
}

/** Numbers behind this batch, of the assets it has rows of. */
const countsOf = (batch: RowBatch, assets: FileAssets): (readonly [number, number])[] =>
  [...new Set(batch.assets.subarray(0, batch.rows))].filter((asset) => asset >= 0).map((asset) => [asset, assets.next[asset]!] as const)

interface Batched {
  readonly accepted: number
  readonly duplicates: number
  readonly rejected: readonly RejectedRow[]
}

/** Adds a batch to the tally once those before it are in. */
const inOrder = async (before: Promise<Tally>, delivered: Promise<Batched>, list: RejectedList): Promise<Tally> => {
  const [tally, batch] = await Promise.all([before, delivered])
  if (batch.rejected.length > 0) await list.append(batch.rejected.map(rejectedLine).join(''))
  return tallied(tally, batch)
}

const deliverAll = async (deps: ImportDeps, deliveries: readonly FileDelivery[]): Promise<Batched> => {
  const receipts = await Promise.all(deliveries.map(({ delivery }) => patiently(deps, () => deps.intake(delivery))))
  const rejected: RejectedRow[] = []
  let accepted = 0
  let duplicates = 0
  receipts.forEach((receipt, at) => {
    accepted += receipt.accepted
    duplicates += receipt.duplicates
    for (const { index, code, message } of receipt.quarantined) rejected.push({ row: deliveries[at]!.rowOf(index) + 1, code, message })
  })
  return { accepted, duplicates, rejected: rejected.toSorted((a, b) => a.row - b.row) }
}

/** Tries again for as long as the intake says that another try can help: a full spool, no broker yet, too much at once. */
const patiently = async ({ signal }: ImportDeps, attempt: () => Promise<Receipt>): Promise<Receipt> => {
  for (let pauseMs = shortestPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof AndonError)) throw error
      if (!error.retriable) throw fileRefused(error.code, error.message)
      await pause(pauseMs, undefined, { signal })
    }
  }
}
