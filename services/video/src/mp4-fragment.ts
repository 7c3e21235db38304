// Reads the time of an fMP4 segment out of its boxes: where it starts on the track's clock and how long it lasts.

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
  /** Duration of a sample that does not state its own, in units. */
  readonly defaultDuration: number
}

/** Undefined when the bytes are no complete init segment. */
export const readInit = (init: Buffer): TrackClock | undefined => {
  const mdhd = find(init, 'moov', 'trak', 'mdia', 'mdhd')
  const trex = find(init, 'moov', 'mvex', 'trex')
  if (!mdhd) return undefined
  return { timescale: mdhd.readUInt32BE(mdhd[0] === 1 ? 20 : 12), defaultDuration: trex?.readUInt32BE(12) ?? 0 }
}

export interface FragmentTime {
  /** On the track's clock, seconds. */
  readonly startS: number
  readonly durationS: number
  readonly samples: number
}

/** Undefined when the bytes hold no complete fragment. */
export const readFragment = (segment: Buffer, clock: TrackClock): FragmentTime | undefined => {
  let start: number | undefined
  let duration = 0
  let samples = 0
  for (const moof of boxes(segment)) {
    if (moof.type !== 'moof') continue
    const traf = find(moof.body, 'traf')
    const tfdt = traf && find(traf, 'tfdt')
    const tfhd = traf && find(traf, 'tfhd')
    if (!traf || !tfdt || !tfhd) return undefined
    start ??= tfdt[0] === 1 ? Number(tfdt.readBigUInt64BE(4)) : tfdt.readUInt32BE(4)
    for (const box of boxes(traf)) {
      if (box.type !== 'trun') continue
      const run = readRun(box.body, defaultDuration(tfhd, clock))
      duration += run.duration
      samples += run.samples
    }
  }
  if (start === undefined || samples === 0) return undefined
  return { startS: start / clock.timescale, durationS: duration / clock.timescale, samples }
}

const defaultDuration = (tfhd: Buffer, clock: TrackClock): number => {
  const flags = tfhd.readUIntBE(1, 3)
  if ((flags & 0x8) === 0) return clock.defaultDuration
  return tfhd.readUInt32BE(8 + ((flags & 0x1) === 0 ? 0 : 8) + ((flags & 0x2) === 0 ? 0 : 4))
}

const readRun = (trun: Buffer, fallback: number): { duration: number; samples: number } => {
  const flags = trun.readUIntBE(1, 3)
  const samples = trun.readUInt32BE(4)
  if ((flags & 0x100) === 0) return { samples, duration: samples * fallback }
  const first = 8 + ((flags & 0x1) === 0 ? 0 : 4) + ((flags & 0x4) === 0 ? 0 : 4)
  const stride = 4 * [0x100, 0x200, 0x400, 0x800].filter((flag) => (flags & flag) !== 0).length
  let duration = 0
  for (let i = 0; i < samples; i++) duration += trun.readUInt32BE(first + i * stride)
  return { samples, duration }
}
