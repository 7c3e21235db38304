// Readings of one source → one telemetry block: consecutive sequence numbers of one layout, packed as schemas/avro/telemetry.avsc says.
// Pure. What does not fit (a gap, another layout, too many rows) is told by `fits`, and the caller starts the next block.
// Numbers are written once, into columns that become the block's bytes: Node runs on little-endian machines only.

import type { BlockInput } from '@andon/schemas'
import { sha256Hex, uuid8 } from '@andon/kit'
import type { Device } from './adapters/source.ts'
import type { Correction } from './amendments.ts'
import type { ReadingColumns } from './columns.ts'
import { isWithin } from './layout.ts'
import type { Layout } from './layout.ts'
import { packDoubles, packInt64 } from './packed-columns.ts'
import type { Burst, Reading } from './reading.ts'

/** What a block is filled under; one builder serves one of these. */
export interface Origin {
  readonly sourceId: string
  readonly assetId: string
  readonly epoch: number
  readonly sender: Sender
}

/** Who brought rows, and as what. */
export interface Sender {
  readonly door: string
  /** It waits for its answer before it sends more. */
  readonly isAwaited: boolean
  readonly device: Pick<Device, 'id' | 'certificateSha256'> | undefined
  readonly correction: Correction | undefined
}

export interface BlockLimits {
  readonly maxRows: number
  readonly maxBytes: number
}

/** Receipt facts of rows. */
export interface Received {
  readonly receivedUs: number
  readonly historical: boolean
  readonly sender: Sender
}

/** Rows of at most this age on receipt are live, older ones delayed. */
const liveWithinUs = 10_000_000
/** Rows of at most this age on receipt are not historical; older ones page nobody. DESIGN §3.7. */
export const historicalAfterUs = 600_000_000

const roomUnasked = 8

export class BlockBuilder {
  readonly origin: Origin
  /** Receive time of the oldest row or withheld number in it, microseconds UTC. */
  oldestReceivedUs = Number.POSITIVE_INFINITY
  readonly #seqFrom: number
  #nextSeq: number
  readonly #withheld: number[] = []
  #shape: Shape | undefined
  #rows = 0
  #elements = 0
  /** Rows that there is room for. */
  #room: number
  /** Channel-major: [channel][room]. */
  #scalars = noNumbers
  readonly #snippets: Buffer[] = []
  #timesUs = noNumbers
  readonly #recordedUs: number[] = []
  #qualities: Uint8Array | undefined
  #newestReceivedUs = 0
  #newestTimeUs = 0
  #oldestTimeUs = Number.POSITIVE_INFINITY
  /** Where the channels of another layout stand in this block: the last one that had to be looked at. */
  #foreign: { readonly layout: Layout; readonly places: readonly number[] } | undefined

  /** @param room rows that are expected, 0 when nobody knows; more of them are welcome. */
  constructor(origin: Origin, seqFrom: number, room = 0) {
    this.origin = origin
    this.#seqFrom = seqFrom
    this.#nextSeq = seqFrom
    this.#room = room > 0 ? room : roomUnasked
  }

  get seqFrom(): number {
    return this.#seqFrom
  }

  get seqTo(): number {
    return this.#nextSeq - 1
  }

  /** Rows and withheld numbers so far. */
  get count(): number {
    return this.#nextSeq - this.#seqFrom
  }

  /** True when this reading can be the next row. */
  fits(seq: number, epoch: number, layout: Layout, reading: Reading, { historical, sender }: Received, limits: BlockLimits): boolean {
    if (!this.continues(seq, epoch, sender, limits)) return false
    const shape = this.#shape
    const { waveform, recordedUs } = reading
    if (shape === undefined) return layout.asset.id === this.origin.assetId && waveform?.burst === undefined
    if (shape.burst !== null || waveform?.burst !== undefined) return false
    if (shape.historical !== historical || shape.recorded !== (recordedUs !== undefined) || !isWithin(layout, shape.layout)) return false
    if (waveform === undefined) return shape.sampleRateHz === null && (this.#elements + shape.layout.ids.length) * 8 <= limits.maxBytes
    return (
      shape.width === waveform.f32.length / 4 &&
      shape.sampleRateHz === waveform.sampleRateHz &&
      shape.sensitivity === (waveform.sensitivity ?? null) &&
      (this.#elements + shape.width) * 4 <= limits.maxBytes
    )
  }

  /** How many of `rows` rows of columns can be the next ones. */
  roomFor(rows: number, seq: number, epoch: number, layout: Layout, { historical, sender }: Received, limits: BlockLimits): number {
    if (!this.continues(seq, epoch, sender, limits)) return 0
    const shape = this.#shape
    if (shape === undefined && layout.asset.id !== this.origin.assetId) return 0
    if (shape !== undefined) {
      if (shape.historical !== historical || shape.recorded || shape.sampleRateHz !== null || !isWithin(layout, shape.layout)) return 0
    }
    const width = (shape?.layout ?? layout).ids.length
    const byBytes = Math.floor((limits.maxBytes / 8 - this.#elements) / width)
    return Math.min(rows, limits.maxRows - this.count, shape === undefined ? Math.max(1, byBytes) : byBytes)
  }

  /** True when a number can follow, whether as a row or withheld. */
  continues(seq: number, epoch: number, sender: Sender, limits: BlockLimits): boolean {
    return seq === this.#nextSeq && epoch === this.origin.epoch && this.count < limits.maxRows && isSame(sender, this.origin.sender)
  }

  /** Adds the next row; `row` holds its values in the layout's order. The caller has asked `fits`, or the builder is new. */
  add(layout: Layout, reading: Reading, row: Float64Array, received: Received): void {
    const { waveform, recordedUs, timeUs, quality } = reading
    const shape = (this.#shape ??= shapeOf(layout, reading, received.historical))
    const at = this.#rows
    this.#reserve(at + 1, shape)
    if (waveform === undefined) {
      const width = shape.layout.ids.length
      const places = layout === shape.layout ? undefined : this.#placesOf(layout, shape.layout)
      if (places === undefined) for (let i = 0; i < width; i++) this.#scalars[i * this.#room + at] = row[i]!
      else {
        for (let i = 0; i < width; i++) this.#scalars[i * this.#room + at] = Number.NaN
        for (let i = 0; i < places.length; i++) this.#scalars[places[i]! * this.#room + at] = row[i]!
      }
      this.#elements += width
    } else {
      this.#snippets.push(waveform.f32)
      this.#elements += shape.width
    }
    this.#timesUs[at] = timeUs
    if (recordedUs !== undefined) this.#recordedUs.push(recordedUs)
    if (quality !== 0) this.#qualityColumn()[at] = quality
    if (timeUs > this.#newestTimeUs) this.#newestTimeUs = timeUs
    if (timeUs < this.#oldestTimeUs) this.#oldestTimeUs = timeUs
    this.#rows++
    this.#nextSeq++
    this.#hear(received.receivedUs)
  }

  /** Adds rows `from` to `to` - 1; `roomFor` has said that they fit. */
  addColumns(layout: Layout, columns: ReadingColumns, from: number, to: number, received: Received): void {
    const shape = (this.#shape ??= shapeOf(layout, undefined, received.historical))
    const at = this.#rows
    const count = to - from
    this.#reserve(at + count, shape)
    const room = this.#room
    const width = shape.layout.ids.length
    const places = layout === shape.layout ? undefined : this.#placesOf(layout, shape.layout)
    if (places !== undefined) for (let i = 0; i < width; i++) this.#scalars.fill(Number.NaN, i * room + at, i * room + at + count)
    for (let channel = 0; channel < layout.ids.length; channel++) {
      const first = channel * columns.rows
      this.#scalars.set(columns.values.subarray(first + from, first + to), (places?.[channel] ?? channel) * room + at)
    }
    this.#elements += width * count
    this.#timesUs.set(columns.timesUs.subarray(from, to), at)
    for (let row = from; row < to; row++) {
      const timeUs = columns.timesUs[row]!
      if (timeUs > this.#newestTimeUs) this.#newestTimeUs = timeUs
      if (timeUs < this.#oldestTimeUs) this.#oldestTimeUs = timeUs
    }
    const { qualities } = columns
    if (qualities !== undefined) this.#qualityColumn().set(qualities.subarray(from, to), at)
    this.#rows += count
    this.#nextSeq += count
    this.#hear(received.receivedUs)
  }

  /** Takes the next number without a row: its reading is in quarantine, and readers count it as seen. */
  withhold(receivedUs: number): void {
    this.#withheld.push(this.#nextSeq++)
    this.#hear(receivedUs)
  }

  /** Withholds the number of the row added last after all: down-sampling leaves it out. */
  leaveOutLast(): void {
    this.#rows--
    this.#elements -= this.#shape!.layout.ids.length
    if (this.#qualities !== undefined) this.#qualities[this.#rows] = 0
    if (this.#shape!.recorded) this.#recordedUs.pop()
    this.#withheld.push(this.#nextSeq - 1)
  }

  #hear(receivedUs: number): void {
    if (receivedUs < this.oldestReceivedUs) this.oldestReceivedUs = receivedUs
    if (receivedUs > this.#newestReceivedUs) this.#newestReceivedUs = receivedUs
  }

  #reserve(rows: number, shape: Shape): void {
    const width = shape.sampleRateHz === null ? shape.layout.ids.length : 0
    const isNew = this.#timesUs.length === 0
    if (!isNew && rows <= this.#room) return
    const old = this.#room
    this.#room = Math.max(rows, isNew ? old : old * 2)
    const room = this.#room
    const scalars = new Float64Array(width * room)
    for (let i = 0; i < width && !isNew; i++) scalars.set(this.#scalars.subarray(i * old, i * old + this.#rows), i * room)
    this.#scalars = scalars
    this.#timesUs = isNew ? new Float64Array(room) : grown(this.#timesUs, new Float64Array(room))
    if (this.#qualities !== undefined) this.#qualities = grown(this.#qualities, new Uint8Array(room))
  }

  #qualityColumn(): Uint8Array {
    return (this.#qualities ??= new Uint8Array(this.#room))
  }

  #placesOf(layout: Layout, block: Layout): readonly number[] {
    if (this.#foreign?.layout !== layout) this.#foreign = { layout, places: layout.ids.map((id) => block.ids.indexOf(id)) }
    return this.#foreign.places
  }

  /** The block and its logical identity. `skewBoundUs`: from which difference of clocks on a block is marked. */
  close(skewBoundUs: number): { id: string; block: BlockInput; timeUs: number; receivedUs: number } {
    const shape = this.#shape ?? emptyShape
    const { ids, units, retentionDays, sampling } = shape.layout
    const { sourceId, epoch, sender } = this.origin
    const rows = this.#rows
    const seqTo = this.#nextSeq - 1
    const skewUs = rows === 0 ? 0 : this.#newestReceivedUs - this.#newestTimeUs
    const block: BlockInput = {
      sourceId,
      epoch,
      seqFrom: this.#seqFrom,
      seqTo,
      withheld: this.#withheld,
      rows,
      channels: ids,
      units,
      dtype: shape.sampleRateHz === null ? 'f64' : 'f32',
      width: shape.width,
      samples: shape.sampleRateHz === null ? packDoubles(this.#scalars, ids.length, this.#room, rows) : Buffer.concat(this.#snippets),
      timesUs: packInt64(this.#timesUs, rows),
      qualities: this.#packQualities(),
      sampleRateHz: shape.sampleRateHz,
      sensitivity: shape.sensitivity,
      recordedUs: shape.recorded ? packInt64(this.#recordedUs, rows) : null,
      receivedUs: this.#newestReceivedUs,
      historical: shape.historical,
      skewUs: Math.abs(skewUs) > skewBoundUs ? skewUs : 0,
      door: sender.door,
      deviceId: sender.device?.id ?? null,
      certificateSha256: sender.device?.certificateSha256 ?? null,
      lateness:
        rows === 0 ? '' : shape.historical ? 'historical' : this.#newestReceivedUs - this.#oldestTimeUs > liveWithinUs ? 'delayed' : 'live',
      retentionDays,
      downsampling: sampling?.methods ?? none,
      errorBounds: sampling?.bounds ?? none,
      burst: shape.burst,
      correction: sender.correction ?? null,
    }
    const id = uuid8('block', sourceId, epoch, this.#seqFrom, seqTo, withheldDigest(this.#withheld))
    return { id, block, timeUs: rows === 0 ? this.#newestReceivedUs : this.#newestTimeUs, receivedUs: this.#newestReceivedUs }
  }

  #packQualities(): Uint8Array {
    const qualities = this.#qualities?.subarray(0, this.#rows)
    return qualities?.some((quality) => quality !== 0) === true ? qualities : noBytes
  }
}

/** Part of a block's identity: hex SHA-256 over the decimal numbers joined by commas; empty when nothing is withheld. */
export const withheldDigest = (withheld: readonly number[]): string => (withheld.length === 0 ? '' : sha256Hex(withheld.join(',')))

/** What all rows of a block have in common. */
interface Shape {
  readonly layout: Layout
  readonly width: number
  readonly sampleRateHz: number | null
  readonly sensitivity: number | null
  readonly historical: boolean
  readonly recorded: boolean
  readonly burst: Burst | null
}

const none: readonly never[] = []
const noNumbers = new Float64Array(0)
const noBytes = new Uint8Array(0)

const emptyShape = {
  layout: { ids: none, units: none, retentionDays: none, sampling: undefined },
  width: 1,
  sampleRateHz: null,
  sensitivity: null,
  historical: false,
  recorded: false,
  burst: null,
} as const

const shapeOf = (layout: Layout, reading: Reading | undefined, historical: boolean): Shape => ({
  layout,
  width: reading?.waveform === undefined ? 1 : reading.waveform.f32.length / 4,
  sampleRateHz: reading?.waveform?.sampleRateHz ?? null,
  sensitivity: reading?.waveform?.sensitivity ?? null,
  historical,
  recorded: reading?.recordedUs !== undefined,
  burst: reading?.waveform?.burst ?? null,
})

const isSame = (one: Sender, other: Sender): boolean =>
  one === other ||
  (one.door === other.door &&
    one.device?.id === other.device?.id &&
    one.device?.certificateSha256 === other.device?.certificateSha256 &&
    one.correction?.id === other.correction?.id)

const grown = <A extends Float64Array | Uint8Array>(column: A, longer: A): A => {
  longer.set(column)
  return longer
}
