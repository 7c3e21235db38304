// What ingest has promised to deliver, on disk: append-only segments of CRC-framed entries, one write and one fdatasync for everything
// that waits (group commit). An entry whose group is safe survives kill -9 and power loss; what was torn while being written is cut on
// open, and was never promised; what the disk damaged is handed over as bytes, and every other entry is found again.

import { randomInt } from 'node:crypto'
import { AndonError, codeOf } from '@andon/kit'
import type { Disk, DiskFile } from './disk.ts'
import { currentVersion, frameHeadBytes, framesIn, isFrame, putFrameHead, segmentHeader, versionOf } from './spool-frames.ts'

export interface SpoolLimits {
  /** All segments together; beyond it nothing new is taken. */
  readonly maxBytes: number
  /** A segment is left at this size or age, so that what is no longer needed is soon deleted and not sent again after a restart. */
  readonly segmentBytes: number
  readonly segmentMs: number
}

/** Entries that become safe together. */
export interface SpoolGroup {
  /** Resolves when they are on disk; rejects with ANDON_INGEST_SPOOL_FAILED, and then nothing of them is kept. */
  readonly safe: Promise<void>
  readonly isSafe: boolean
}

/** Where an entry lies; its bytes can be read back until it is dropped. */
export interface SpoolRef {
  readonly group: SpoolGroup
  /** Of the body within its group. */
  readonly at: number
  readonly length: number
}

export interface Spool {
  /** Takes an entry of `length` bytes, which `put` writes at once, into the group that is being gathered. Order of calls is order on disk. */
  append(length: number, put: (into: Buffer, at: number) => void): SpoolRef
  /** The entry. Rejects with ANDON_INGEST_SPOOL_DAMAGED when the disk no longer holds what was written. */
  read(ref: SpoolRef): Promise<Buffer>
  /** Whatever lies where the entry was written; nothing when it cannot be read at all. */
  raw(ref: SpoolRef): Promise<Buffer>
  /** The entry is no longer needed. A segment is deleted when all of its entries are dropped. */
  drop(ref: SpoolRef): void
  /** Bytes on disk and on their way there. */
  bytes(): number
  /** Share of the bound in use; from 1 on nothing new is to be taken. */
  fullness(): number
  /** What the last write failed with; undefined once a write went through again. */
  failure(): AndonError | undefined
  /** After a failure: writes one byte and drops it, so that a disk that has room again is noticed without anybody's data. */
  probe(): Promise<void>
  /** Waits for the writes in hand. */
  close(): Promise<void>
}

/** Told on open, oldest first. What it was given is kept until it is dropped. */
export interface SpoolVisitor {
  /** An entry that was not dropped. `body` is a view into its segment. */
  found(ref: SpoolRef, body: Buffer): void
  /** Bytes that are no entry any more; acknowledged readings may have been in them. */
  damaged(ref: SpoolRef, bytes: Buffer, segment: string): void
}

export interface OpenedSpool {
  readonly spool: Spool
  /** Bytes of a write that a crash ended early: cut off, and normal after one. */
  readonly tornBytes: number
}

const probeBody = Buffer.from([0])
const nothing = Buffer.alloc(0)
const firstSlabBytes = 256 * 1024
const largestKeptSlabBytes = 4 * 1024 * 1024
const readAheadBytes = 1024 * 1024

interface Segment {
  readonly name: string
  readonly number: number
  readonly mark: number
  readonly openedMs: number
  bytes: number
  /** Entries not dropped, and whoever writes to it now. */
  live: number
}

class Group implements SpoolGroup {
  readonly #settled = Promise.withResolvers<void>()
  readonly safe = this.#settled.promise
  isSafe = false
  slab: Buffer
  bytes = 0
  entries = 0
  /** Where it was written. */
  segment: Segment | undefined
  start = 0

  constructor(slab: Buffer) {
    this.slab = slab
    this.safe.catch(() => undefined) // whoever put something in hears it
  }

  written(segment: Segment, start: number): void {
    this.segment = segment
    this.start = start
    this.isSafe = true
    this.slab = nothing
    this.#settled.resolve()
  }

  failed(error: AndonError): void {
    this.slab = nothing
    this.#settled.reject(error)
  }
}

/** Opens the spool in a folder and tells what is in it. Rejects with ANDON_INGEST_SPOOL_VERSION when another release wrote it. */
export const openSpool = async (
  disk: Disk,
  limits: SpoolLimits,
  monotonicMs: () => number,
  visitor: SpoolVisitor,
): Promise<OpenedSpool> => {
  const segments: Segment[] = []
  let tornBytes = 0
  const names = (await disk.list()).filter((name) => name.endsWith('.spool'))
  for (const name of names) {
    const named = parseName(name)
    const bytes = await disk.read(name)
    const version = named === undefined ? 0 : (versionOf(bytes) ?? currentVersion)
    if (named === undefined || version !== currentVersion)
      throw new AndonError(
        'ANDON_INGEST_SPOOL_VERSION',
        `${name}: found a segment of spool format ${version}, expected ${currentVersion}. Start the release that wrote it until its spool is empty, then this one.`,
      )
    const { bodies, damaged, tornAt } = framesIn(bytes, named.mark)
    const isNewest = name === names.at(-1)
    if (tornAt < bytes.length && isNewest) {
      tornBytes = bytes.length - tornAt
      await disk.truncate(name, tornAt)
    }
    const segment: Segment = { name, ...named, openedMs: 0, bytes: isNewest ? tornAt : bytes.length, live: 0 }
    segments.push(segment)
    const group = new Group(nothing)
    group.written(segment, 0)
    for (const { from, to } of bodies) {
      if (to - from === probeBody.length) continue
      segment.live++
      visitor.found({ group, at: from, length: to - from }, bytes.subarray(from, to))
    }
    const lost = tornAt < bytes.length && !isNewest ? [...damaged, { from: tornAt, to: bytes.length }] : damaged
    for (const { from, to } of lost) {
      segment.live++
      visitor.damaged({ group, at: from, length: to - from }, bytes.subarray(from, to), name)
    }
  }
  return { spool: spoolOf(disk, limits, segments, monotonicMs), tornBytes }
}

const spoolOf = (disk: Disk, limits: SpoolLimits, segments: Segment[], monotonicMs: () => number): Spool => {
  const mark = randomInt(1, 0x1_0000_0000)
  const slabs: Buffer[] = []
  let file: { handle: DiskFile; segment: Segment } | undefined
  let next = (segments.at(-1)?.number ?? 0) + 1
  let gathering: Group | undefined
  let pendingBytes = 0
  let writer: Promise<void> | undefined
  let letGo: Promise<unknown> = Promise.resolve()
  let failure: AndonError | undefined
  let bytesOnDisk = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  let window: { segment: Segment; from: number; bytes: Buffer } | undefined

  const trim = () => {
    if (file !== undefined && file.segment.live === 0) leaveFile()
    for (const gone of segments.filter((segment) => segment.live === 0)) {
      segments.splice(segments.indexOf(gone), 1)
      bytesOnDisk -= gone.bytes
      letGo = letGo.then(() => disk.remove(gone.name)).catch(() => undefined) // found again on the next start, and sent again: harmless
    }
  }

  const leaveFile = () => {
    const left = file
    file = undefined
    if (left !== undefined) letGo = letGo.then(() => left.handle.close()).catch(() => undefined) // its bytes are synced already
  }

  /** The file that the next entries go to; they count from here on, so that nobody deletes it meanwhile. */
  const openFile = async (entries: number) => {
    const isOver =
      file !== undefined && (file.segment.bytes >= limits.segmentBytes || monotonicMs() - file.segment.openedMs >= limits.segmentMs)
    if (isOver) leaveFile()
    if (file !== undefined) {
      file.segment.live += entries
      return file
    }
    const name = nameOf(next, mark)
    const segment: Segment = { name, number: next++, mark, openedMs: monotonicMs(), bytes: 0, live: entries }
    file = { handle: await disk.create(name), segment }
    segments.push(segment)
    return file
  }

  // After a failed write or sync nothing is known about the tail: cut it, and never append to this file again.
  const poison = async ({ handle, segment }: { handle: DiskFile; segment: Segment }) => {
    await handle.truncate(segment.bytes).catch(() => undefined)
    leaveFile()
  }

  const writeGroup = async (group: Group) => {
    const { bytes, entries } = group
    const into = await openFile(entries)
    const { handle, segment } = into
    const headerBytes = segment.bytes === 0 ? segmentHeader.length : 0
    try {
      if (headerBytes > 0) await handle.write(segmentHeader)
      await handle.write(group.slab.subarray(0, bytes))
      await handle.sync()
    } catch (error) {
      segment.live -= entries
      await poison(into)
      throw error
    }
    failure = undefined
    if (group.slab.length <= largestKeptSlabBytes && slabs.length < 2) slabs.push(group.slab)
    const start = segment.bytes + headerBytes
    segment.bytes = start + bytes
    bytesOnDisk += headerBytes + bytes
    group.written(segment, start)
  }

  const write = async () => {
    await new Promise<void>((resolve) => setImmediate(resolve)) // everything that came in with this turn of the event loop goes into one group
    while (gathering !== undefined) {
      const group = gathering
      gathering = undefined
      try {
        await writeGroup(group)
      } catch (cause) {
        const message = `The spool cannot be written (${codeOf(cause) ?? 'unknown'}); free the disk of ANDON_DATA_DIR`
        failure = new AndonError('ANDON_INGEST_SPOOL_FAILED', message, { retriable: true, cause })
        group.failed(failure)
      }
      pendingBytes -= group.bytes
      trim()
    }
    writer = undefined
  }

  const roomFor = (group: Group, bytes: number): Buffer => {
    if (bytes <= group.slab.length) return group.slab
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, group.slab.length * 2))
    group.slab.copy(grown, 0, 0, group.bytes)
    group.slab = grown
    return grown
  }

  const append = (length: number, put: (into: Buffer, at: number) => void): SpoolRef => {
    const group = (gathering ??= new Group(slabs.pop() ?? Buffer.allocUnsafeSlow(firstSlabBytes)))
    const at = group.bytes + frameHeadBytes
    const slab = roomFor(group, at + length)
    put(slab, at)
    putFrameHead(slab, mark, at, at + length)
    group.bytes = at + length
    group.entries++
    pendingBytes += frameHeadBytes + length
    writer ??= write()
    return { group, at, length }
  }

  const drop = ({ group }: SpoolRef) => {
    const { segment } = group as Group
    if (segment !== undefined && --segment.live === 0) trim()
  }

  /** Neighbours are read together: what is sent after a long outage lies side by side. */
  const frameAt = async (segment: Segment, from: number, length: number): Promise<Buffer> => {
    if (window?.segment !== segment || from < window.from || from + length > window.from + window.bytes.length)
      window = { segment, from, bytes: await disk.readAt(segment.name, from, Math.max(length, readAheadBytes)) }
    return window.bytes.subarray(from - window.from, from - window.from + length)
  }

  return {
    append,
    read: async ({ group, at, length }) => {
      const { segment, start } = group as Group
      const from = start + at - frameHeadBytes
      const frame = await frameAt(segment!, from, frameHeadBytes + length)
      if (isFrame(frame, segment!.mark)) return frame.subarray(frameHeadBytes)
      window = undefined
      throw new AndonError('ANDON_INGEST_SPOOL_DAMAGED', `Segment ${segment!.name} no longer holds what was written at ${from}`)
    },
    raw: async ({ group, at, length }) => {
      const { segment, start } = group as Group
      return disk.readAt(segment!.name, start + at, length).catch(() => nothing)
    },
    drop,
    probe: async () => {
      const ref = append(probeBody.length, (into, at) => into.set(probeBody, at))
      await ref.group.safe.then(() => drop(ref)).catch(() => undefined) // a failure is kept in failure()
    },
    bytes: () => bytesOnDisk + pendingBytes,
    fullness: () => (bytesOnDisk + pendingBytes) / limits.maxBytes,
    failure: () => failure,
    close: async () => {
      while (writer !== undefined) await writer
      trim()
      leaveFile()
      await letGo
    },
  }
}

// The number orders the segments; the mark tells their frames.
const nameOf = (number: number, mark: number): string => `${String(number).padStart(10, '0')}-${mark.toString(16).padStart(8, '0')}.spool`

const parseName = (name: string): { number: number; mark: number } | undefined => {
  const match = /^(\d{10})-([0-9a-f]{8})\.spool$/.exec(name)
  return match === null ? undefined : { number: Number(match[1]), mark: Number.parseInt(match[2]!, 16) }
}
