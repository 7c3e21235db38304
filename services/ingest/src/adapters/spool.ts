// What ingest has promised to deliver, on disk: append-only segments, a CRC per entry, one fsync for everything that waits (group commit).
// An entry whose `append` resolved survives kill -9 and power loss; what was torn while being written is cut on open, and was never promised.

import { crc32 } from 'node:zlib'
import { AndonError } from '@andon/kit'
import type { Disk, DiskFile } from './disk.ts'

export interface SpoolLimits {
  /** All segments together; beyond it nothing new is taken. */
  readonly maxBytes: number
  /** A segment is left at this size or age, so that what is no longer needed is soon deleted and not sent again after a restart. */
  readonly segmentBytes: number
  readonly segmentMs: number
}

/** Where an entry lies; its bytes can be read back until it is dropped. */
export interface SpoolRef {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

export interface Spool {
  /** Resolves when the entry is on disk; entries become durable in call order. Rejects with ANDON_INGEST_SPOOL_FAILED and keeps nothing. */
  append(body: Buffer): Promise<SpoolRef>
  read(ref: SpoolRef): Promise<Buffer>
  /** The entry is no longer needed. A segment is deleted when all of its entries are dropped. */
  drop(ref: SpoolRef): void
  /** Bytes on disk and on their way there. */
  bytes(): number
  isFull(): boolean
  /** What the last write failed with; undefined once a write went through again. */
  failure(): AndonError | undefined
  /** After a failure: writes one byte and drops it, so that a disk that has room again is noticed without anybody's data. */
  probe(): Promise<void>
  /** Waits for the writes in hand. */
  close(): Promise<void>
}

export interface OpenedSpool {
  readonly spool: Spool
  /** Entries found, oldest first: everything that was not deleted yet. */
  readonly found: readonly { readonly ref: SpoolRef; readonly body: Buffer }[]
  /** Bytes behind the last whole entry of the newest segment: cut off, and normal after a crash. */
  readonly tornBytes: number
  /** Bytes that cannot be read in older segments: the disk lost them. */
  readonly damagedBytes: number
}

const probeBody = Buffer.from([0])
const headBytes = 8 // length and CRC-32 of the body, little-endian

interface Segment {
  readonly number: number
  readonly openedMs: number
  bytes: number
  live: number
}

interface Waiting {
  readonly head: Buffer
  readonly body: Buffer
  readonly resolve: (ref: SpoolRef) => void
  readonly reject: (error: AndonError) => void
}

export const openSpool = async (disk: Disk, limits: SpoolLimits, monotonicMs: () => number): Promise<OpenedSpool> => {
  const segments: Segment[] = []
  const found: { ref: SpoolRef; body: Buffer }[] = []
  let tornBytes = 0
  let damagedBytes = 0
  const names = (await disk.list()).filter((name) => numberOf(name) !== undefined)
  for (const name of names) {
    const number = numberOf(name)!
    const bytes = await disk.read(name)
    const entries = entriesOf(bytes)
    const left = bytes.length - entries.end
    if (left > 0 && name === names.at(-1)) {
      tornBytes = left
      await disk.truncate(name, entries.end)
    } else damagedBytes += left
    segments.push({
      number,
      openedMs: 0,
      bytes: entries.end,
      live: entries.list.filter(({ body }) => body.length > probeBody.length).length,
    })
    for (const { offset, body } of entries.list) {
      if (body.length > probeBody.length) found.push({ ref: { segment: number, offset, length: body.length }, body })
    }
  }
  return { spool: spoolOf(disk, limits, segments, monotonicMs), found, tornBytes, damagedBytes }
}

const spoolOf = (disk: Disk, limits: SpoolLimits, segments: Segment[], monotonicMs: () => number): Spool => {
  let file: { handle: DiskFile; segment: Segment } | undefined
  let next = (segments.at(-1)?.number ?? 0) + 1
  let waiting: Waiting[] = []
  let pendingBytes = 0
  let writer: Promise<void> | undefined
  let failure: AndonError | undefined
  let bytesOnDisk = segments.reduce((sum, segment) => sum + segment.bytes, 0)

  const trim = async () => {
    if (file !== undefined && file.segment.live === 0) await leaveFile()
    for (const gone of segments.filter((segment) => segment.live === 0)) {
      segments.splice(segments.indexOf(gone), 1)
      bytesOnDisk -= gone.bytes
      await disk.remove(nameOf(gone.number)).catch(() => undefined) // found again on the next start, and sent again: harmless
    }
  }

  const leaveFile = async () => {
    const left = file
    file = undefined
    await left?.handle.close().catch(() => undefined) // its bytes are synced already
  }

  const writeGroup = async (group: Waiting[]) => {
    if (file !== undefined && (file.segment.bytes >= limits.segmentBytes || monotonicMs() - file.segment.openedMs >= limits.segmentMs))
      await leaveFile()
    if (file === undefined) {
      const segment = { number: next++, openedMs: monotonicMs(), bytes: 0, live: 0 }
      file = { handle: await disk.create(nameOf(segment.number)), segment }
      segments.push(segment)
    }
    const { handle, segment } = file
    try {
      await handle.write(group.flatMap((entry) => [entry.head, entry.body]))
      await handle.sync()
    } catch (error) {
      // After a failed write or sync nothing is known about the tail: cut it, and never append to this file again.
      await handle.truncate(segment.bytes).catch(() => undefined)
      await leaveFile()
      throw error
    }
    failure = undefined
    for (const { head, body, resolve } of group) {
      const ref = { segment: segment.number, offset: segment.bytes + head.length, length: body.length }
      segment.bytes += head.length + body.length
      segment.live++
      bytesOnDisk += head.length + body.length
      resolve(ref)
    }
  }

  const write = async () => {
    await Promise.resolve() // everything that this turn appends goes into one group
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      try {
        await writeGroup(group)
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code ?? 'unknown'
        failure = new AndonError('ANDON_INGEST_SPOOL_FAILED', `The spool cannot be written (${code}); free the disk of ANDON_DATA_DIR`, {
          retriable: true,
          cause,
        })
        for (const entry of group) entry.reject(failure)
      }
      for (const { head, body } of group) pendingBytes -= head.length + body.length
      await trim()
    }
    writer = undefined
  }

  const append = (body: Buffer) =>
    new Promise<SpoolRef>((resolve, reject) => {
      const head = Buffer.allocUnsafe(headBytes)
      head.writeUInt32LE(body.length, 0)
      head.writeUInt32LE(crc32(body), 4)
      waiting.push({ head, body, resolve, reject })
      pendingBytes += head.length + body.length
      writer ??= write()
    })

  const drop = (ref: SpoolRef) => {
    const segment = segments.find((candidate) => candidate.number === ref.segment)
    if (segment === undefined) return
    segment.live--
    if (segment.live === 0) writer ??= trim().then(write)
  }

  return {
    append,
    read: async (ref) => {
      const body = await disk.readAt(nameOf(ref.segment), ref.offset, ref.length)
      const head = await disk.readAt(nameOf(ref.segment), ref.offset - headBytes, headBytes)
      if (body.length === ref.length && head.readUInt32LE(4) === crc32(body)) return body
      throw new AndonError('ANDON_INGEST_SPOOL_DAMAGED', `Segment ${nameOf(ref.segment)} no longer holds what was written at ${ref.offset}`)
    },
    drop,
    probe: () => append(probeBody).then(drop, () => undefined), // a failure is kept in failure()
    bytes: () => bytesOnDisk + pendingBytes,
    isFull: () => bytesOnDisk + pendingBytes >= limits.maxBytes,
    failure: () => failure,
    close: async () => {
      while (writer !== undefined) await writer
      await leaveFile()
    },
  }
}

const entriesOf = (bytes: Buffer): { list: { offset: number; body: Buffer }[]; end: number } => {
  const list: { offset: number; body: Buffer }[] = []
  let at = 0
  while (at + headBytes <= bytes.length) {
    const length = bytes.readUInt32LE(at)
    const from = at + headBytes
    if (length === 0 || from + length > bytes.length) break
    const body = bytes.subarray(from, from + length)
    if (bytes.readUInt32LE(at + 4) !== crc32(body)) break
    list.push({ offset: from, body })
    at = from + length
  }
  return { list, end: at }
}

const nameOf = (segment: number): string => `${String(segment).padStart(10, '0')}.spool`
const numberOf = (name: string): number | undefined => (/^\d{10}\.spool$/.test(name) ? Number(name.slice(0, 10)) : undefined)
