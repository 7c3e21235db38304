// Readings of one source → one telemetry block: consecutive sequence numbers of one layout, packed as schemas/avro/telemetry.avsc says.
// Pure. What does not fit (a gap, another layout, too many rows) is told by `fits`, and the caller starts the next block.

import type { BlockInput } from '@andon/schemas'
import { sha256Hex, uuid8 } from '@andon/kit'
import type { Placed } from './plant-lookup.ts'

/** What a block is filled under; one builder serves one of these. */
export interface Origin {
  readonly sourceId: string
  readonly assetId: string
  readonly epoch: number
}

export interface BlockLimits {
  readonly maxRows: number
  readonly maxBytes: number
}

/** Receipt facts of one row. */
export interface Received {
  readonly receivedUs: number
  readonly historical: boolean
}

/** Rows of at most this age on receipt are live; older ones page nobody. DESIGN §3.7. */
export const historicalAfterUs = 600_000_000

export class BlockBuilder {
  readonly origin: Origin
  /** Receive time of the oldest row or withheld number in it, microseconds UTC. */
  oldestReceivedUs = Number.POSITIVE_INFINITY
  readonly #seqFrom: number
  #nextSeq: number
  readonly #withheld: number[] = []
  #layout: Layout | undefined
  #rows = 0
  #elements = 0
  /** Row-major until the block is closed. */
  #scalars: Float64Array = new Float64Array(0)
  readonly #snippets: Buffer[] = []
  readonly #timesUs: number[] = []
  readonly #recordedUs: number[] = []
  readonly #qualities: number[] = []
  #anyQuality = false
  #newestReceivedUs = 0
  #newestTimeUs = 0

  constructor(origin: Origin, seqFrom: number) {
    this.origin = origin
    this.#seqFrom = seqFrom
    this.#nextSeq = seqFrom
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
  fits(seq: number, epoch: number, placed: Placed, received: Received, limits: BlockLimits): boolean {
    if (!this.continues(seq, epoch, limits) || placed.assetId !== this.origin.assetId) return false
    const layout = this.#layout
    if (layout === undefined) return true
    const { waveform, recordedUs } = placed.reading
    if (layout.historical !== received.historical || layout.recorded !== (recordedUs !== undefined)) return false
    if (waveform !== undefined) {
      return (
        layout.width === waveform.f32.length / 4 &&
        layout.sampleRateHz === waveform.sampleRateHz &&
        layout.sensitivity === (waveform.sensitivity ?? null) &&
        layout.channels[0] === waveform.channel &&
        (this.#elements + layout.width) * 4 <= limits.maxBytes
      )
    }
    if (layout.sampleRateHz !== null || (this.#elements + layout.channels.length) * 8 > limits.maxBytes) return false
    return placed.channels.every((channel) => layout.position.has(channel.id))
  }

  /** True when a number can follow, whether as a row or withheld. */
  continues(seq: number, epoch: number, limits: BlockLimits): boolean {
    return epoch === this.origin.epoch && seq === this.#nextSeq && this.count < limits.maxRows
  }

  /** Adds the next row. The caller has asked `fits`, or the builder is new. */
  add(placed: Placed, received: Received): void {
    const { reading } = placed
    const layout = (this.#layout ??= layoutOf(placed, received))
    if (reading.waveform !== undefined) this.#snippets.push(reading.waveform.f32)
    else this.#addScalars(layout, reading.values ?? {})
    this.#elements += layout.channels.length * layout.width
    this.#timesUs.push(reading.timeUs)
    if (reading.recordedUs !== undefined) this.#recordedUs.push(reading.recordedUs)
    this.#qualities.push(reading.quality)
    if (reading.quality !== 0) this.#anyQuality = true
    if (reading.timeUs > this.#newestTimeUs) this.#newestTimeUs = reading.timeUs
    this.#rows++
    this.#count(received.receivedUs)
  }

  /** Takes the next number without a row: its reading is in quarantine, and readers count it as seen. */
  withhold(receivedUs: number): void {
    this.#withheld.push(this.#nextSeq)
    this.#count(receivedUs)
  }

  #count(receivedUs: number): void {
    this.#nextSeq++
    if (receivedUs < this.oldestReceivedUs) this.oldestReceivedUs = receivedUs
    if (receivedUs > this.#newestReceivedUs) this.#newestReceivedUs = receivedUs
  }

  #addScalars(layout: Layout, values: Readonly<Record<string, number | null>>): void {
    const width = layout.channels.length
    const at = this.#rows * width
    if (at + width > this.#scalars.length) {
      const grown = new Float64Array(Math.max(8 * width, this.#scalars.length * 2))
      grown.set(this.#scalars)
      this.#scalars = grown
    }
    this.#scalars.fill(Number.NaN, at, at + width)
    for (const id in values) this.#scalars[at + layout.position.get(id)!] = values[id] ?? Number.NaN
  }

  /** The block and its logical identity. `skewBoundUs`: from which difference of clocks on a block is marked. */
  close(skewBoundUs: number): { id: string; block: BlockInput; timeUs: number; receivedUs: number } {
    const layout = this.#layout ?? emptyLayout
    const { sourceId, epoch } = this.origin
    const seqTo = this.#nextSeq - 1
    const skewUs = this.#rows === 0 ? 0 : this.#newestReceivedUs - this.#newestTimeUs
    const block: BlockInput = {
      sourceId,
      epoch,
      seqFrom: this.#seqFrom,
      seqTo,
      withheld: this.#withheld,
      rows: this.#rows,
      channels: layout.channels,
      units: layout.units,
      dtype: layout.sampleRateHz === null ? 'f64' : 'f32',
      width: layout.width,
      samples: layout.sampleRateHz === null ? this.#packScalars(layout.channels.length) : Buffer.concat(this.#snippets),
      timesUs: packInt64(this.#timesUs),
      qualities: this.#anyQuality ? Buffer.from(this.#qualities) : Buffer.alloc(0),
      sampleRateHz: layout.sampleRateHz,
      sensitivity: layout.sensitivity,
      recordedUs: layout.recorded ? packInt64(this.#recordedUs) : null,
      receivedUs: this.#newestReceivedUs,
      historical: layout.historical,
      skewUs: Math.abs(skewUs) > skewBoundUs ? skewUs : 0,
    }
    const id = uuid8('block', sourceId, epoch, this.#seqFrom, seqTo, withheldDigest(this.#withheld))
    return { id, block, timeUs: this.#rows === 0 ? this.#newestReceivedUs : this.#newestTimeUs, receivedUs: this.#newestReceivedUs }
  }

  #packScalars(channels: number): Buffer {
    const packed = Buffer.allocUnsafe(this.#rows * channels * 8)
    let at = 0
    for (let channel = 0; channel < channels; channel++) {
      for (let row = 0; row < this.#rows; row++) at = packed.writeDoubleLE(this.#scalars[row * channels + channel]!, at)
    }
    return packed
  }
}

/** Part of a block's identity: hex SHA-256 over the decimal numbers joined by commas; empty when nothing is withheld. */
export const withheldDigest = (withheld: readonly number[]): string => (withheld.length === 0 ? '' : sha256Hex(withheld.join(',')))

interface Layout {
  readonly channels: readonly string[]
  readonly units: readonly string[]
  readonly position: ReadonlyMap<string, number>
  readonly width: number
  readonly sampleRateHz: number | null
  readonly sensitivity: number | null
  readonly historical: boolean
  readonly recorded: boolean
}

const emptyLayout: Layout = {
  channels: [],
  units: [],
  position: new Map(),
  width: 1,
  sampleRateHz: null,
  sensitivity: null,
  historical: false,
  recorded: false,
}

const layoutOf = ({ reading, channels }: Placed, received: Received): Layout => ({
  channels: channels.map((channel) => channel.id),
  units: channels.map((channel) => channel.unit),
  position: new Map(channels.map((channel, index) => [channel.id, index])),
  width: reading.waveform === undefined ? 1 : reading.waveform.f32.length / 4,
  sampleRateHz: reading.waveform?.sampleRateHz ?? null,
  sensitivity: reading.waveform?.sensitivity ?? null,
  historical: received.historical,
  recorded: reading.recordedUs !== undefined,
})

const packInt64 = (values: readonly number[]): Buffer => {
  const packed = Buffer.allocUnsafe(values.length * 8)
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!
    packed.writeUInt32LE(value % 0x1_0000_0000, row * 8)
    packed.writeUInt32LE(Math.floor(value / 0x1_0000_0000), row * 8 + 4)
  }
  return packed
}
