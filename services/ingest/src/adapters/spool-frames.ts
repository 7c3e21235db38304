// The bytes of a spool segment: a header, then frames, each with a mark, a length and a CRC-32C before its body. Pure.
//
// The mark is a random number per process, kept in the segment's name: a device cannot put a frame of its own making into a payload and
// have it found after damage, and damage finds its end at the next mark, however far away.

import { crc32c } from '@andon/kit'

/** Mark, length and CRC-32C of length and body; little-endian. */
export const frameHeadBytes = 12

const version = 1
const title = Buffer.from([...Buffer.from('ANDONSP'), version])

/** What a segment begins with: title, version, and their CRC. A damaged one costs nothing, since the mark is in the name. */
export const segmentHeader: Buffer = Buffer.concat([title, Buffer.alloc(4)])
segmentHeader.writeUInt32LE(crc32c(title), title.length)

/** The version of an intact header; undefined when it is damaged or torn. */
export const versionOf = (bytes: Buffer): number | undefined => {
  if (bytes.length < segmentHeader.length || !bytes.subarray(0, title.length - 1).equals(title.subarray(0, -1))) return undefined
  const isIntact = bytes.readUInt32LE(title.length) === crc32c(bytes.subarray(0, title.length))
  return isIntact ? bytes[title.length - 1] : undefined
}

export const currentVersion: number = version

/** Completes the frame whose body lies at [bodyAt, end); its head goes in front of it. */
export const putFrameHead = (into: Buffer, mark: number, bodyAt: number, end: number): void => {
  const length = end - bodyAt
  into.writeUInt32LE(mark, bodyAt - frameHeadBytes)
  into.writeUInt32LE(length, bodyAt - frameHeadBytes + 4)
  into.writeUInt32LE(crc32c(into.subarray(bodyAt, end), length), bodyAt - frameHeadBytes + 8)
}

/** True when the bytes are one whole frame. */
export const isFrame = (bytes: Buffer, mark: number): boolean => bodyEndAt(bytes, 0, mark) === bytes.length

export interface Span {
  readonly from: number
  readonly to: number
}

export interface Frames {
  /** Bodies, in order. */
  readonly bodies: readonly Span[]
  /** What lies between and behind frames and is none. */
  readonly damaged: readonly Span[]
  /** Where a frame begins that was not written to its end; the length of the bytes when there is none. */
  readonly tornAt: number
}

/** Finds every whole frame, whatever lies between. */
export const framesIn = (bytes: Buffer, mark: number): Frames => {
  const bodies: Span[] = []
  const damaged: Span[] = []
  const sought = Buffer.alloc(4)
  sought.writeUInt32LE(mark, 0)
  let at = Math.min(segmentHeader.length, bytes.length)
  while (at < bytes.length) {
    let found = at
    let end = bodyEndAt(bytes, found, mark)
    while (end < 0 && found >= 0) {
      found = bytes.indexOf(sought, found + 1)
      if (found >= 0) end = bodyEndAt(bytes, found, mark)
    }
    if (end < 0) {
      if (isTorn(bytes, at, sought)) return { bodies, damaged, tornAt: at }
      damaged.push({ from: at, to: bytes.length })
      break
    }
    if (found > at) damaged.push({ from: at, to: found })
    bodies.push({ from: found + frameHeadBytes, to: end })
    at = end
  }
  return { bodies, damaged, tornAt: bytes.length }
}

// Where the body of the frame at `at` ends, or -1 when there is no whole frame.
const bodyEndAt = (bytes: Buffer, at: number, mark: number): number => {
  const from = at + frameHeadBytes
  if (from >= bytes.length || bytes.readUInt32LE(at) !== mark) return -1
  const length = bytes.readUInt32LE(at + 4)
  const end = from + length
  if (length === 0 || end > bytes.length) return -1
  return bytes.readUInt32LE(at + 8) === crc32c(bytes.subarray(from, end), length) ? end : -1
}

// A write that a crash ended early leaves the beginning of a frame, or a hole of zeros where a file system had made room already.
const isTorn = (bytes: Buffer, at: number, sought: Buffer): boolean => {
  const left = bytes.length - at
  const begin = bytes.subarray(at, at + Math.min(left, 4))
  if (begin.every((byte) => byte === 0)) return true
  if (!begin.equals(sought.subarray(0, begin.length))) return false
  return left < frameHeadBytes || bytes.readUInt32LE(at + 4) > left - frameHeadBytes
}
