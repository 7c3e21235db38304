// Rows → blocks: one open block per source, closed when the next row does not fit or its linger is over.
// Linger adapts: a source whose rows come farther apart than the linger gains nothing by waiting, so its block closes with the turn.

import { BlockBuilder } from './block-builder.ts'
import type { BlockLimits, Origin, Received } from './block-builder.ts'
import type { Placed } from './plant-lookup.ts'

export interface ClosedBlock {
  readonly builder: BlockBuilder
  readonly identities: readonly string[]
}

export interface OpenBlocksDeps {
  readonly limits: BlockLimits
  readonly lingerMs: number
  readonly monotonicMs: () => number
  /** Keeps a closed block; resolves when its senders may be acknowledged. Called in the order in which blocks close. */
  readonly keep: (block: ClosedBlock) => Promise<void>
  /** Calls back after this turn of the event loop (0) or later. */
  readonly schedule: (afterMs: number, callback: () => void) => void
}

interface Open {
  readonly builder: BlockBuilder
  readonly identities: string[]
  readonly safe: PromiseWithResolvers<void>
}

export class OpenBlocks {
  readonly #deps: OpenBlocksDeps
  readonly #open = new Map<string, Open>()
  readonly #lastRowMs = new Map<string, number>()
  readonly #soon = new Set<string>()
  readonly #later = new Set<string>()

  constructor(deps: OpenBlocksDeps) {
    this.#deps = deps
  }

  /** Adds a row. The promise resolves when it is safe, and is shared by the rows of a block. */
  add(placed: Placed, epoch: number, seq: number, received: Received, identity?: string): Promise<void> {
    const { source } = placed.reading
    let open = this.#open.get(source)
    if (open !== undefined && !open.builder.fits(seq, epoch, placed, received, this.#deps.limits)) open = this.#close(source)
    open ??= this.#start(source, { sourceId: source, assetId: placed.assetId, epoch }, seq)
    open.builder.add(placed, received)
    if (identity !== undefined) open.identities.push(identity)
    return open.safe.promise
  }

  /** Takes a number without a row. */
  withhold(origin: Origin, seq: number, receivedUs: number): Promise<void> {
    const source = origin.sourceId
    let open = this.#open.get(source)
    if (
      open !== undefined &&
      (open.builder.origin.assetId !== origin.assetId || !open.builder.continues(seq, origin.epoch, this.#deps.limits))
    ) {
      open = this.#close(source)
    }
    open ??= this.#start(source, origin, seq)
    open.builder.withhold(receivedUs)
    return open.safe.promise
  }

  /** Closes every open block now. */
  flush(): void {
    for (const source of this.#open.keys()) this.#close(source)
  }

  /** Receive times of the rows that wait in open blocks, with their assets. */
  *waiting(): Iterable<{ assetId: string; oldestReceivedUs: number }> {
    for (const { builder } of this.#open.values()) yield { assetId: builder.origin.assetId, oldestReceivedUs: builder.oldestReceivedUs }
  }

  #start(source: string, origin: Origin, seq: number): Open {
    const open = { builder: new BlockBuilder(origin, seq), identities: [], safe: Promise.withResolvers<void>() }
    open.safe.promise.catch(() => undefined) // every sender of its rows awaits it; none is left unheard
    this.#open.set(source, open)
    const nowMs = this.#deps.monotonicMs()
    const gapMs = nowMs - (this.#lastRowMs.get(source) ?? Number.NEGATIVE_INFINITY)
    this.#lastRowMs.set(source, nowMs)
    const isSlow = gapMs > this.#deps.lingerMs
    this.#closeAfter(isSlow ? 0 : this.#deps.lingerMs, isSlow ? this.#soon : this.#later, source)
    return open
  }

  #closeAfter(afterMs: number, due: Set<string>, source: string): void {
    due.add(source)
    if (due.size > 1) return
    this.#deps.schedule(afterMs, () => {
      for (const name of due) this.#close(name)
      due.clear()
    })
  }

  #close(source: string): undefined {
    const open = this.#open.get(source)
    if (open === undefined) return
    this.#open.delete(source)
    this.#lastRowMs.set(source, this.#deps.monotonicMs())
    this.#deps.keep({ builder: open.builder, identities: open.identities }).then(open.safe.resolve, open.safe.reject)
  }
}
