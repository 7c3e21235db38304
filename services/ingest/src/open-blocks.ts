// Rows → blocks: one open block per source, closed when the next row does not fit or its linger is over.
// Linger adapts: a source whose rows come farther apart than the linger gains nothing by waiting, so its block closes with the turn, and so
// does that of a sender that waits for its answer (HTTP, MQTT but for QoS 0) while nothing of its source is on its way to the disk;
// a burst that has ended (its sender waits for the acknowledgement) closes after a quarter of the linger; a steady stream after all of it.

import { BlockBuilder } from './block-builder.ts'
import type { BlockLimits, Origin, Received } from './block-builder.ts'
import type { ReadingColumns } from './columns.ts'
import { Traces } from './door-memory.ts'
import { DownSampler } from './down-sampling.ts'
import type { Sampling } from './down-sampling.ts'
import type { Layout } from './layout.ts'
import { maxValues } from './reading.ts'
import type { Reading } from './reading.ts'

export interface ClosedBlock {
  readonly builder: BlockBuilder
  /** What its rows without numbers are known by. */
  readonly identities: readonly string[]
}

/** Where rows went. */
export interface OpenBlock {
  /** Resolves when the block is safe: one promise for all of its rows. */
  readonly safe: Promise<void>
  readonly traces: Traces
}

export interface OpenBlocksDeps {
  readonly limits: BlockLimits
  readonly lingerMs: number
  readonly monotonicMs: () => number
  /** Keeps a closed block; resolves when its senders may be acknowledged. Called in the order in which blocks close. */
  readonly keep: (block: ClosedBlock) => Promise<void>
  /** A closed block could not be kept; called before its senders hear of it. */
  readonly lost: (block: ClosedBlock) => void
  /** Calls back after this turn of the event loop (0) or later. */
  readonly schedule: (afterMs: number, callback: () => void) => void
}

class Open implements OpenBlock {
  readonly lane: Lane
  readonly builder: BlockBuilder
  readonly openedMs: number
  readonly safe: Promise<void>
  /** Rows at the last look, to tell a burst that has ended. */
  seenCount = 0
  #traces: Traces | undefined
  #resolve: (() => void) | undefined
  #reject: ((error: unknown) => void) | undefined

  constructor(lane: Lane, builder: BlockBuilder, openedMs: number) {
    this.lane = lane
    this.builder = builder
    this.openedMs = openedMs
    this.safe = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Made for rows without numbers only. */
  get traces(): Traces {
    return (this.#traces ??= new Traces())
  }

  closed(): ClosedBlock {
    return { builder: this.builder, identities: this.#traces?.texts() ?? none }
  }

  kept(): void {
    this.lane.unsafe--
    this.#resolve!()
  }

  failed(error: unknown): void {
    this.lane.unsafe--
    this.lane.sampler = undefined // the rows it measured from are not there
    this.safe.catch(ignore) // every sender of its rows awaits it; none is left unheard
    this.#reject!(error)
  }
}

const none: readonly string[] = []
const ignore = (): void => undefined

/** Closed blocks that become safe with one promise, and hear of it with one callback. */
interface Together {
  readonly safe: Promise<void>
  readonly blocks: { readonly open: Open; readonly closed: ClosedBlock }[]
}

/** At so many sources those without an open block are forgotten, or at twice as many as have one. */
const fewestLanes = 10_000

/** A source, and its block while one is open. */
interface Lane {
  readonly source: string
  open: Open | undefined
  lastRowMs: number
  /** Rows of the block before: as many are expected in the next one. */
  lastRows: number
  /** Where the plant file asks for down-sampling. */
  sampler: DownSampler | undefined
  /** Closed blocks that are not safe yet. */
  unsafe: number
}

export class OpenBlocks {
  /** Rows that down-sampling has left out so far. */
  leftOut = 0
  readonly #deps: OpenBlocksDeps
  readonly #lanes = new Map<string, Lane>()
  /** Lanes with an open block. */
  readonly #open = new Set<Lane>()
  #mostLanes = fewestLanes
  readonly #soon = new Set<Lane>()
  readonly #later = new Set<Lane>()
  #together: Together | undefined
  /** The lane of the row before: rows of a source mostly follow each other. */
  #last: Lane | undefined
  /** The values of a row of columns that is looked at by itself. */
  readonly #row = new Float64Array(maxValues)

  constructor(deps: OpenBlocksDeps) {
    this.#deps = deps
  }

  /** Adds a row; `row` holds its values in the layout's order. */
  add(layout: Layout, reading: Reading, row: Float64Array, epoch: number, seq: number, received: Received): OpenBlock {
    const lane = this.#lane(reading.source)
    let { open } = lane
    if (open !== undefined && !open.builder.fits(seq, epoch, layout, reading, received, this.#deps.limits)) {
      open = this.#close(lane)
    }
    open ??= this.#start(lane, { sourceId: lane.source, assetId: layout.asset.id, epoch, sender: received.sender }, seq)
    if (layout.sampling !== undefined && this.#samplerOf(lane, layout.sampling).next(reading.timeUs, row, reading.quality)) {
      this.#leaveOutLast(open)
    }
    open.builder.add(layout, reading, row, received)
    return open
  }

  /**
   * Adds rows `from` to `to` - 1 of columns, as many as fit into one block; the number of the first one is `seq`.
   * Returns the row after the last one taken, and where they went.
   */
  addColumns(
    layout: Layout,
    columns: ReadingColumns,
    from: number,
    to: number,
    epoch: number,
    seq: number,
    received: Received,
  ): { readonly next: number; readonly block: OpenBlock } {
    const { limits } = this.#deps
    if (layout.sampling !== undefined) {
      for (let channel = 0; channel < layout.ids.length; channel++) this.#row[channel] = columns.values[channel * columns.rows + from]!
      return { next: from + 1, block: this.add(layout, readingAt(columns, from), this.#row, epoch, seq, received) }
    }
    const lane = this.#lane(columns.source)
    let { open } = lane
    let count = open?.builder.roomFor(to - from, seq, epoch, layout, received, limits) ?? 0
    if (count < 1) {
      if (open !== undefined) this.#close(lane)
      open = this.#start(lane, { sourceId: lane.source, assetId: layout.asset.id, epoch, sender: received.sender }, seq, to - from)
      count = open.builder.roomFor(to - from, seq, epoch, layout, received, limits)
    }
    open!.builder.addColumns(layout, columns, from, from + count, received)
    return { next: from + count, block: open! }
  }

  /** Takes a number without a row. */
  withhold(origin: Origin, seq: number, receivedUs: number): Promise<void> {
    const lane = this.#lane(origin.sourceId)
    let { open } = lane
    if (
      open !== undefined &&
      (open.builder.origin.assetId !== origin.assetId || !open.builder.continues(seq, origin.epoch, origin.sender, this.#deps.limits))
    ) {
      open = this.#close(lane)
    }
    open ??= this.#start(lane, origin, seq)
    this.#settle(lane, open)
    open.builder.withhold(receivedUs)
    return open.safe
  }

  /** Closes every open block now. */
  flush(): void {
    for (const lane of this.#open) this.#close(lane)
  }

  /** Receive times of the rows that wait in open blocks, with their assets. */
  *waiting(): Iterable<{ assetId: string; oldestReceivedUs: number }> {
    for (const { open } of this.#open) {
      if (open !== undefined) yield { assetId: open.builder.origin.assetId, oldestReceivedUs: open.builder.oldestReceivedUs }
    }
  }

  #lane(source: string): Lane {
    if (this.#last?.source === source) return this.#last
    let lane = this.#lanes.get(source)
    if (lane === undefined) {
      if (this.#lanes.size >= this.#mostLanes) this.#forgetIdle()
      lane = { source, open: undefined, lastRowMs: Number.NEGATIVE_INFINITY, lastRows: 0, sampler: undefined, unsafe: 0 }
      this.#lanes.set(source, lane)
    }
    this.#last = lane
    return lane
  }

  /** A source that comes back after this is as a new one, which costs nothing but a row that down-sampling could have left out. */
  #forgetIdle(): void {
    for (const [source, lane] of this.#lanes) if (lane.open === undefined) this.#lanes.delete(source)
    this.#last = undefined
    this.#mostLanes = Math.max(fewestLanes, this.#lanes.size * 2)
  }

  #samplerOf(lane: Lane, sampling: Sampling): DownSampler {
    if (lane.sampler?.sampling === sampling) return lane.sampler
    if (lane.open !== undefined) this.#settle(lane, lane.open)
    return (lane.sampler = new DownSampler(sampling))
  }

  /** Decides about the newest row: nothing after it will. */
  #settle({ sampler }: Lane, open: Open): void {
    if (sampler?.settle() === true) this.#leaveOutLast(open)
  }

  #leaveOutLast({ builder }: Open): void {
    builder.leaveOutLast()
    this.leftOut++
  }

  #start(lane: Lane, origin: Origin, seq: number, rows = lane.lastRows): Open {
    const openedMs = this.#deps.monotonicMs()
    const gapMs = openedMs - lane.lastRowMs
    const room = Math.min(rows, this.#deps.limits.maxRows)
    const open = new Open(lane, new BlockBuilder(origin, seq, room), openedMs)
    lane.open = open
    this.#open.add(lane)
    const isAwaited = origin.sender.isAwaited && lane.unsafe === 0
    if (isAwaited || gapMs > this.#deps.lingerMs) this.#due(this.#soon, lane, 0, () => this.#closeSoon())
    else this.#due(this.#later, lane, this.#deps.lingerMs / 4, () => this.#look())
    return open
  }

  #due(lanes: Set<Lane>, lane: Lane, afterMs: number, callback: () => void): void {
    lanes.add(lane)
    if (lanes.size === 1) this.#deps.schedule(afterMs, callback)
  }

  #closeSoon(): void {
    for (const lane of this.#soon) this.#close(lane)
    this.#soon.clear()
  }

  #look(): void {
    const nowMs = this.#deps.monotonicMs()
    for (const lane of this.#later) {
      const { open } = lane
      const isOver = open !== undefined && (open.builder.count === open.seenCount || nowMs - open.openedMs >= this.#deps.lingerMs)
      if (isOver) this.#close(lane)
      if (isOver || open === undefined) this.#later.delete(lane)
      else open.seenCount = open.builder.count
    }
    if (this.#later.size > 0) this.#deps.schedule(this.#deps.lingerMs / 4, () => this.#look())
  }

  #close(lane: Lane): undefined {
    const { open } = lane
    if (open === undefined) return
    this.#settle(lane, open)
    lane.open = undefined
    this.#open.delete(lane)
    lane.lastRowMs = this.#deps.monotonicMs()
    lane.lastRows = open.builder.count
    lane.unsafe++
    const closed = open.closed()
    try {
      const safe = this.#deps.keep(closed)
      if (this.#together?.safe === safe) this.#together.blocks.push({ open, closed })
      else this.#keepTogether(safe, open, closed)
    } catch (error) {
      this.#failed(open, closed, error)
    }
  }

  #keepTogether(safe: Promise<void>, open: Open, closed: ClosedBlock): void {
    const together: Together = { safe, blocks: [{ open, closed }] }
    const settled = () => {
      if (this.#together === together) this.#together = undefined
      return together.blocks
    }
    this.#together = together
    safe.then(
      () => {
        for (const kept of settled()) kept.open.kept()
      },
      (error: unknown) => {
        for (const lost of settled()) this.#failed(lost.open, lost.closed, error)
      },
    )
  }

  #failed(open: Open, closed: ClosedBlock, error: unknown): void {
    this.#deps.lost(closed)
    open.failed(error)
  }
}

/** A row of columns as a reading, but for its values. */
const readingAt = ({ source, timesUs, qualities }: ReadingColumns, row: number): Reading => ({
  source,
  epoch: undefined,
  seq: undefined,
  timeUs: timesUs[row]!,
  asset: undefined,
  values: undefined,
  units: undefined,
  waveform: undefined,
  quality: qualities?.[row] ?? 0,
  recordedUs: undefined,
})
