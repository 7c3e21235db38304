// Rows → blocks: one open block per source, closed when the next row does not fit or its linger is over.
// Linger adapts: a source whose rows come farther apart than the linger gains nothing by waiting, so its block closes with the turn;
// a burst that has ended (its sender waits for the acknowledgement) closes after a quarter of the linger; a steady stream after all of it.

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
  readonly openedMs: number
  /** Rows at the last look, to tell a burst that has ended. */
  seenCount: number
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
    const openedMs = this.#deps.monotonicMs()
    const gapMs = openedMs - (this.#lastRowMs.get(source) ?? Number.NEGATIVE_INFINITY)
    const open = { builder: new BlockBuilder(origin, seq), identities: [], safe: Promise.withResolvers<void>(), openedMs, seenCount: 0 }
    open.safe.promise.catch(() => undefined) // every sender of its rows awaits it; none is left unheard
    this.#open.set(source, open)
    if (gapMs > this.#deps.lingerMs) this.#due(this.#soon, source, 0, () => this.#closeSoon())
    else this.#due(this.#later, source, this.#deps.lingerMs / 4, () => this.#look())
    return open
  }

  #due(sources: Set<string>, source: string, afterMs: number, callback: () => void): void {
    sources.add(source)
    if (sources.size === 1) this.#deps.schedule(afterMs, callback)
  }

  #closeSoon(): void {
    for (const source of this.#soon) this.#close(source)
    this.#soon.clear()
  }

  #look(): void {
    const nowMs = this.#deps.monotonicMs()
    for (const source of this.#later) {
      const open = this.#open.get(source)
      const isOver = open !== undefined && (open.builder.count === open.seenCount || nowMs - open.openedMs >= this.#deps.lingerMs)
      if (isOver) this.#close(source)
      if (isOver || open === undefined) this.#later.delete(source)
      else open.seenCount = open.builder.count
    }
    if (this.#later.size > 0) this.#deps.schedule(this.#deps.lingerMs / 4, () => this.#look())
  }

  #close(source: string): undefined {
    const open = this.#open.get(source)
    if (open === undefined) return
    this.#open.delete(source)
    this.#lastRowMs.set(source, this.#deps.monotonicMs())
    this.#deps.keep({ builder: open.builder, identities: open.identities }).then(open.safe.resolve, open.safe.reject)
  }
}
