// One delivery while it is taken: what it was checked against, what became of its rows, and what has to be safe before its sender hears of it.

import type { Delivery, Receipt } from './adapters/source.ts'
import type { Sender } from './block-builder.ts'
import type { Clock } from './clock.ts'
import type { DoorMemory } from './door-memory.ts'
import type { OpenBlocks } from './open-blocks.ts'
import type { PlantLookup } from './plant-lookup.ts'
import { subjectOf } from './door-memory.ts'
import { timeBounds } from './reading.ts'
import type { Refusal, TimeBounds } from './reading.ts'

export interface TakingDeps {
  readonly lookup: () => PlantLookup
  readonly blocks: OpenBlocks
  readonly memory: DoorMemory
  /** `reading`: what a mapping had made of the bytes. */
  readonly quarantine: (delivery: Delivery, bytes: Buffer, refusal: Refusal, receivedUs: number, reading?: unknown) => Promise<void>
  readonly clock: Clock
  /** How far ahead of receive time and behind it a source time may be, microseconds. */
  readonly maxAheadUs: number
  readonly maxBehindUs: number
}

const fileDoors: ReadonlySet<Delivery['door']> = new Set(['tus', 'sftp', 'folder'])

export class Taking {
  readonly delivery: Delivery
  readonly deps: TakingDeps
  readonly lookup: PlantLookup
  readonly receivedUs: number
  readonly times: TimeBounds
  readonly sender: Sender
  /** May it speak as a source of ingest's own: a release, a correction, a file? */
  readonly isOwn: boolean
  /** Rows looked at so far, of whatever outcome. */
  rows = 0
  historical = 0
  duplicates = 0
  readonly #quarantined: { readonly index: number; readonly code: string; readonly message: string }[] = []
  readonly #waits: Promise<void>[] = []
  #keyed: { readonly source: string; readonly subject: string } | undefined

  constructor(delivery: Delivery, deps: TakingDeps) {
    this.delivery = delivery
    this.deps = deps
    this.lookup = deps.lookup()
    this.receivedUs = deps.clock.nowUs()
    const { door, device, correction, isAwaited = door === 'http' } = delivery
    this.sender = { door, device, correction, isAwaited }
    this.isOwn = delivery.isOwn === true || fileDoors.has(delivery.door)
    this.times = timeBounds(this.receivedUs, deps.maxAheadUs, deps.maxBehindUs)
    deps.memory.age(deps.clock.monotonicMs())
  }

  /** The receipt waits for this. Rows of a block share one promise and mostly follow each other. */
  wait(safe: Promise<void>): void {
    if (this.#waits.at(-1) !== safe) this.#waits.push(safe)
  }

  /** What the door remembers the rows under that this source has in a delivery with a key. */
  keySubject(source: string, key: string): string {
    if (this.#keyed?.source !== source) this.#keyed = { source, subject: subjectOf('key', source, key) }
    return this.#keyed.subject
  }

  /** Sends a row to quarantine, and withholds its number where that is the sender's to use. */
  refuse(index: number, bytes: Buffer, refused: Refusal, reading?: unknown): void {
    this.#quarantined.push({ index, code: refused.code, message: refused.message })
    this.wait(this.deps.quarantine(this.delivery, bytes, refused, this.receivedUs, reading))
    const { source, epoch, seq } = refused
    if (source === undefined || epoch === undefined || seq === undefined) return
    const assetId = this.lookup.assetOf(source)
    if (assetId === undefined || this.delivery.device?.speaksFor(source) === false) return
    this.wait(this.deps.blocks.withhold({ sourceId: source, assetId, epoch, sender: this.sender }, seq, this.receivedUs))
  }

  /** Resolves when the sender may be acknowledged. */
  safe(): Promise<unknown> {
    return this.#waits.length === 1 ? this.#waits[0]! : Promise.all(this.#waits)
  }

  receipt(): Receipt {
    const quarantined = this.#quarantined
    return { accepted: this.rows - quarantined.length - this.duplicates, duplicates: this.duplicates, quarantined }
  }
}
