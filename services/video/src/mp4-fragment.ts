// Reads an fMP4 segment out of its boxes - when it starts, its packets, its groups of pictures - and cuts whole groups out of it
// without touching a packet.

interface Box {
  readonly type: string
  readonly body: Buffer
}

/** Boxes of one level. A box that runs over the end ends the walk: the file is still being written or was cut. */
const boxes = function* (bytes: Buffer): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length;) {
    const long = bytes.readUInt32BE(at) === 1
    const size = long ? Number(bytes.readBigUInt64BE(at + 8)) : bytes.readUInt32BE(at)
    if (size < 8 || at + size > bytes.length) return
    yield { type: bytes.toString('latin1', at + 4, at + 8), body: bytes.subarray(at + (long ? 16 : 8), at + size) }
    at += size
  }
}

const find = (bytes: Buffer, ...path: string[]): Buffer | undefined => {
  let level: Buffer | undefined = bytes
  for (const type of path) {
    if (level === undefined) return undefined
    level = [...boxes(level)].find((box) => box.type === type)?.body
  }
  return level
}

/** What the init segment says about its one video track. */
export interface TrackClock {
  /** Units per second. */
  readonly timescale: number
  readonly trackId: number
  /** What a packet has that does not state its own: duration in units, size, flags. */
  readonly defaults: Defaults
}

interface Defaults {
  readonly duration: number
  readonly size: number
  readonly flags: number
}

/** Undefined when the bytes are no complete init segment. */
export const readInit = (init: Buffer): TrackClock | undefined => {
  const mdhd = find(init, 'moov', 'trak', 'mdia', 'mdhd')
  const trex = find(init, 'moov', 'mvex', 'trex')
  if (!mdhd || !trex) return undefined
  return {
    timescale: mdhd.readUInt32BE(mdhd[0] === 1 ? 20 : 12),
    trackId: trex.readUInt32BE(4),
    defaults: { duration: trex.readUInt32BE(12), size: trex.readUInt32BE(16), flags: trex.readUInt32BE(20) },
  }
}

/** One compressed picture, in decode order. */
export interface Packet {
  /** Its bytes within the segment. */
  readonly at: number
  readonly size: number
  /** In units of the track's clock. */
  readonly duration: number
  readonly flags: number
  /** From decoding to showing, in units of the track's clock. */
  readonly showAfter: number
  readonly isKey: boolean
}

export interface Fragment {
  /** On the track's clock, seconds. */
  readonly startS: number
  readonly durationS: number
  /** On the track's clock, in its units. */
  readonly start: bigint
  readonly packets: readonly Packet[]
}

/** sample_is_non_sync_sample. */
const nonSync = 0x10000

/** Undefined when the bytes hold no complete fragment. */
export const readFragment = (segment: Buffer, clock: TrackClock): Fragment | undefined => {
  let start: bigint | undefined
  const packets: Packet[] = []
  for (const moof of boxes(segment)) {
    if (moof.type !== 'moof') continue
    const traf = find(moof.body, 'traf')
    const tfdt = traf && find(traf, 'tfdt')
    const tfhd = traf && find(traf, 'tfhd')
    if (!traf || !tfdt || !tfhd) return undefined
    start ??= tfdt[0] === 1 ? tfdt.readBigUInt64BE(4) : BigInt(tfdt.readUInt32BE(4))
    // Offsets count from the moof's first byte (default-base-is-moof), which is what ffmpeg's HLS muxer writes.
    const base = moof.body.byteOffset - segment.byteOffset - 8
    for (const box of boxes(traf)) if (box.type === 'trun') packets.push(...readRun(box.body, base, fragmentDefaults(tfhd, clock)))
  }
  const last = packets.at(-1)
  if (start === undefined || last === undefined || last.at + last.size > segment.length) return undefined
  const duration = packets.reduce((sum, packet) => sum + packet.duration, 0)
  return { start, startS: Number(start) / clock.timescale, durationS: duration / clock.timescale, packets }
}

const fragmentDefaults = (tfhd: Buffer, { defaults }: TrackClock): Defaults => {
  const flags = tfhd.readUIntBE(1, 3)
  let at = 8 + ((flags & 0x1) === 0 ? 0 : 8) + ((flags & 0x2) === 0 ? 0 : 4)
  const next = (flag: number, otherwise: number): number => {
    if ((flags & flag) === 0) return otherwise
    at += 4
    return tfhd.readUInt32BE(at - 4)
  }
  return { duration: next(0x8, defaults.duration), size: next(0x10, defaults.size), flags: next(0x20, defaults.flags) }
}

const readRun = (trun: Buffer, base: number, defaults: Defaults): Packet[] => {
  const has = trun.readUIntBE(1, 3)
  const count = trun.readUInt32BE(4)
  let at = 8
  const next = (flag: number, otherwise: number): number => {
    if ((has & flag) === 0) return otherwise
    at += 4
    return trun.readInt32BE(at - 4)
  }
  let dataAt = base + next(0x1, 0)
  const firstFlags = next(0x4, defaults.flags) >>> 0
  return Array.from({ length: count }, (_, i) => {
    const duration = next(0x100, defaults.duration) >>> 0
    const size = next(0x200, defaults.size) >>> 0
    const flags = next(0x400, i === 0 ? firstFlags : defaults.flags) >>> 0
    const showAfter = next(0x800, 0)
    dataAt += size
    return { at: dataAt - size, size, duration, flags, showAfter, isKey: (flags & nonSync) === 0 }
  })
}

/** Packets from a key frame up to the next one. `from` and `to` index the fragment's packets. */
export interface Gop {
  readonly from: number
  readonly to: number
  readonly durationS: number
}

/** A segment that does not begin with a key frame has its first pictures in a group of their own. */
export const gopsOf = ({ packets }: Fragment, { timescale }: TrackClock): Gop[] => {
  const starts = packets.flatMap(({ isKey }, i) => (isKey || i === 0 ? [i] : []))
  return starts.map((from, i) => {
    const to = starts[i + 1] ?? packets.length
    return { from, to, durationS: packets.slice(from, to).reduce((sum, { duration }) => sum + duration, 0) / timescale }
  })
}

const box = (type: string, ...content: readonly Uint8Array[]): Buffer => {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + content.reduce((sum, each) => sum + each.length, 0))
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, ...content])
}

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => bytes.writeInt32BE(value | 0, i * 4))
  return bytes
}

/** A segment of the packets [from, to) alone, each byte for byte as it was, at the time it had. */
export const cutFragment = (segment: Buffer, fragment: Fragment, clock: TrackClock, from: number, to: number): Buffer => {
  const kept = fragment.packets.slice(from, to)
  const startsAt = fragment.packets.slice(0, from).reduce((sum, { duration }) => sum + BigInt(duration), fragment.start)
  const time = Buffer.alloc(12)
  time[0] = 1
  time.writeBigUInt64BE(startsAt, 4)
  const rows = kept.flatMap(({ duration, size, flags, showAfter }) => [duration, size, flags, showAfter])
  const moof = (dataOffset: number): Buffer =>
    box(
      'moof',
      box('mfhd', words(0, 1)),
      box(
        'traf',
        box('tfhd', words(0x20000, clock.trackId)),
        box('tfdt', time),
        box('trun', words((1 << 24) | 0xf01, kept.length, dataOffset, ...rows)),
      ),
    )
  const media = box('mdat', ...kept.map(({ at, size }) => segment.subarray(at, at + size)))
  return Buffer.concat([moof(moof(0).length + 8), media])
}
