// Reads fetched record batches (magic 2, KIP-98) into columns. Checks every batch's length and CRC before it believes
// anything else in it; every record keeps its batch's leader epoch, because an offset alone does not tell a rewritten
// record from the original.

import { crc32c } from '@node-rs/crc32'
import { logError } from '../log-error.ts'
import { APPEND_TIME, COMPRESSION_MASK, CONTROL, HEAD, TRANSACTIONAL } from './batch-format.ts'
import { CELL, CELLS, Columns } from './columns.ts'
import { unpack, unpackAside } from './compression.ts'
import type { Aborted } from './protocol.ts'
import type { Slabs } from './slabs.ts'

/** Larger compressed batches are unpacked off this thread, so that they delay nobody's heartbeat or answer. */
const UNPACK_ASIDE_BYTES = 256 * 1024

export interface Fetched {
  readonly topic: string
  readonly partition: number
  readonly bytes: Buffer
  readonly fromOffset: number
  readonly aborted: readonly Aborted[]
  readonly highWatermark: number
  /** Lends the memory of the columns. Default: it is theirs. */
  readonly tables?: Slabs
}

/** One batch whose frame has been checked; its records begin at `from` of `bytes`, still packed if `codec` is not 0. */
interface Section {
  readonly head: Buffer
  readonly codec: number
  readonly count: number
  bytes: Buffer
  from: number
  to: number
}

/**
 * The complete batches of a fetched record set from `fromOffset` on; the broker may cut the last one. Control records and
 * records of aborted transactions are left out, their offsets are passed. A promise only when large packed batches are
 * among them.
 */
export const decodeRecords = (fetched: Fetched): Columns | Promise<Columns> => {
  const { sections, nextOffset } = sectionsOf(fetched)
  const large = sections.filter(({ codec, from, to }) => codec !== 0 && to - from > UNPACK_ASIDE_BYTES)
  if (large.length === 0) return columnsOf(fetched, sections, nextOffset)
  return Promise.all(
    large.map(async (section) => unpacked(section, await unpackAside(section.codec, packedBytes(section), fetched.topic))),
  ).then(() => columnsOf(fetched, sections, nextOffset))
}

const sectionsOf = ({ topic, partition, bytes, fromOffset, aborted }: Fetched): { sections: Section[]; nextOffset: number } => {
  const filter = new AbortedFilter(aborted)
  const sections: Section[] = []
  let nextOffset = fromOffset
  for (let at = 0; at + HEAD <= bytes.length;) {
    const end = at + 12 + bytes.readInt32BE(at + 8)
    if (end < at + HEAD) {
      if (nextOffset > fromOffset) break // what lies before the damage is handed out first
      throw corrupt(topic, partition, nextOffset, `gives its length as ${end - at - 12} bytes`)
    }
    if (end > bytes.length) break
    if (bytes[at + 16] !== 2)
      throw logError(
        'fatal',
        'ANDON_LOG_FORMAT',
        `Batch of ${topic}/${partition} has message format ${bytes[at + 16]}; only format 2 (Kafka 0.11 and later) is read`,
      )
    const baseOffset = Number(bytes.readBigInt64BE(at))
    if (crc32c(bytes.subarray(at + 21, end)) !== bytes.readUInt32BE(at + 17)) {
      if (nextOffset > fromOffset) break
      throw corrupt(topic, partition, baseOffset, 'does not match its checksum')
    }
    const attributes = bytes.readInt16BE(at + 21)
    const lastOffset = baseOffset + bytes.readInt32BE(at + 23)
    if (!filter.hides(bytes, at, lastOffset, attributes) && lastOffset >= fromOffset)
      sections.push({
        head: bytes.subarray(at, at + HEAD),
        codec: attributes & COMPRESSION_MASK,
        count: bytes.readInt32BE(at + 57),
        bytes,
        from: at + HEAD,
        to: end,
      })
    nextOffset = Math.max(nextOffset, lastOffset + 1)
    at = end
  }
  return { sections, nextOffset }
}

const columnsOf = (fetched: Fetched, sections: Section[], nextOffset: number): Columns => {
  const { topic, partition, bytes, fromOffset, highWatermark, tables } = fetched
  let capacity = 0
  for (const section of sections) {
    if (section.codec !== 0 && section.bytes === bytes) unpacked(section, unpack(section.codec, packedBytes(section), topic))
    // A record takes at least 7 bytes: a count that promises more is none.
    if (section.count < 0 || section.count * 7 > section.to - section.from)
      throw badFormat(topic, partition, `a batch of ${section.to - section.from} bytes says that it has ${section.count} records`)
    capacity += section.count
  }
  const columns = new Columns(topic, partition, capacity, { nextOffset, highWatermark }, tables)
  for (const section of sections) {
    if (!readSection(columns, section, fromOffset)) throw badFormat(topic, partition, 'a record reaches beyond its batch')
  }
  return columns
}

/** Notes where the parts of each record lie; false if one lies outside. The integers are read in line: this is the hottest loop. */
const readSection = (columns: Columns, { head, count, bytes, from, to }: Section, fromOffset: number): boolean => {
  const baseOffset = Number(head.readBigInt64BE(0))
  const firstMs = Number(head.readBigInt64BE(27))
  const appendMs = head.readInt16BE(21) & APPEND_TIME ? Number(head.readBigInt64BE(35)) : -1
  const section = columns.sections.push({ bytes, baseOffset, leaderEpoch: head.readInt32BE(12) }) - 1
  const { cells, timestampMs } = columns
  let c = columns.count
  let at = from
  let z = 0
  let byte = 0
  let shift = 0
  for (let i = 0; i < count; i++) {
    z = bytes[at++]!
    if (z > 0x7f) {
      z &= 0x7f
      shift = 7
      do {
        byte = bytes[at++]!
        z |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
    }
    const end = at + ((z >>> 1) ^ -(z & 1))
    if (end > to || end < at + 6) return false
    at++ // attributes
    let deltaMs = bytes[at++]!
    if (deltaMs > 0x7f) {
      deltaMs &= 0x7f
      let scale = 128
      do {
        byte = bytes[at++]!
        deltaMs += (byte & 0x7f) * scale
        scale *= 128
      } while (byte > 0x7f)
    }
    deltaMs = deltaMs % 2 ? -(deltaMs + 1) / 2 : deltaMs / 2
    z = bytes[at++]!
    if (z > 0x7f) {
      z &= 0x7f
      shift = 7
      do {
        byte = bytes[at++]!
        z |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
    }
    const offsetDelta = (z >>> 1) ^ -(z & 1)
    z = bytes[at++]!
    if (z > 0x7f) {
      z &= 0x7f
      shift = 7
      do {
        byte = bytes[at++]!
        z |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
    }
    const keyBytes = (z >>> 1) ^ -(z & 1)
    const keyFrom = at
    if (keyBytes > 0) at += keyBytes
    z = bytes[at++]!
    if (z > 0x7f) {
      z &= 0x7f
      shift = 7
      do {
        byte = bytes[at++]!
        z |= (byte & 0x7f) << shift
        shift += 7
      } while (byte > 0x7f)
    }
    const valueBytes = (z >>> 1) ^ -(z & 1)
    const valueFrom = at
    if (valueBytes > 0) at += valueBytes
    if (at >= end) return false
    if (baseOffset + offsetDelta >= fromOffset) {
      const cell = c * CELLS
      cells[cell + CELL.key] = keyFrom
      cells[cell + CELL.keyLength] = keyBytes
      cells[cell + CELL.value] = valueFrom
      cells[cell + CELL.valueLength] = valueBytes
      cells[cell + CELL.headers] = at
      cells[cell + CELL.offsetDelta] = offsetDelta
      cells[cell + CELL.section] = section
      timestampMs[c++] = appendMs < 0 ? firstMs + deltaMs : appendMs
    }
    at = end
  }
  columns.count = c
  return true
}

const packedBytes = ({ bytes, from, to }: Section): Buffer => bytes.subarray(from, to)

const unpacked = (section: Section, bytes: Buffer): void => {
  section.bytes = bytes
  section.from = 0
  section.to = bytes.length
}

/** Producers whose transaction was aborted leave records behind; they are skipped up to their abort marker. */
class AbortedFilter {
  private readonly waiting: Aborted[]
  private readonly active = new Set<number>()

  constructor(aborted: readonly Aborted[]) {
    this.waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  hides(batch: Buffer, at: number, lastOffset: number, attributes: number): boolean {
    while (this.waiting.length > 0 && this.waiting[0]!.firstOffset <= lastOffset) this.active.add(this.waiting.shift()!.producerId)
    const producerId = Number(batch.readBigInt64BE(at + 43))
    if (attributes & CONTROL) {
      this.active.delete(producerId)
      return true
    }
    return (attributes & TRANSACTIONAL) !== 0 && this.active.has(producerId)
  }
}

const corrupt = (topic: string, partition: number, offset: number, why: string) =>
  logError('retriable', 'ANDON_LOG_CORRUPT', `Batch at ${topic}/${partition}/${offset} ${why}`)

const badFormat = (topic: string, partition: number, why: string) =>
  logError('fatal', 'ANDON_LOG_FORMAT', `${topic}/${partition} cannot be read: ${why}`)
