// Compressed pictures as what is proved about them: their packets, found in an MP4 file, digested without their container. Nothing
// but Node: a bundle of evidence carries this file.

import { createHash } from 'node:crypto'

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}

const START_CODE = Buffer.of(0, 0, 0, 1)
/** H.264: parameter sets and access unit delimiters, which a muxer moves between packets and header. */
const MOVES = new Set([7, 8, 9])

/** A packet of H.264 as in an elementary stream (ISO/IEC 14496-10 annex B), without what muxers move about. */
export const elementary = (packet: Uint8Array): Buffer => {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength)
  const units: Buffer[] = []
  for (let at = 0; at + 4 < bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) return bytes // no H.264 with lengths of four bytes: digested as it is
    if (!MOVES.has(bytes[at + 4]! & 0x1f)) units.push(START_CODE, bytes.subarray(at + 4, end))
    at = end
  }
  return Buffer.concat(units)
}

/** Leaf of a Merkle tree over packets. */
export const packetLeaf = (packet: Uint8Array): Buffer => sha256(Buffer.of(0), elementary(packet))

const childrenOf = (bytes: Buffer, from: number, to: number): Map<string, { from: number; to: number }> => {
  const found = new Map<string, { from: number; to: number }>()
  for (let at = from; at + 8 <= to;) {
    const isLong = bytes.readUInt32BE(at) === 1 && at + 16 <= to
    const size = isLong ? Number(bytes.readBigUInt64BE(at + 8)) : bytes.readUInt32BE(at)
    if (size < 8 || at + size > to) break
    const type = bytes.toString('latin1', at + 4, at + 8)
    if (!found.has(type)) found.set(type, { from: at + (isLong ? 16 : 8), to: at + size })
    at += size
  }
  return found
}

/** Packets of the first track of an MP4 file, in decode order. Throws when the bytes are no such file. */
export const packetsOfMp4 = (file: Buffer): Buffer[] => {
  let level = { from: 0, to: file.length }
  for (const type of ['moov', 'trak', 'mdia', 'minf', 'stbl']) {
    const next = childrenOf(file, level.from, level.to).get(type)
    if (!next) throw new RangeError(`The file has no ${type}`)
    level = next
  }
  const tables = childrenOf(file, level.from, level.to)
  const table = (type: string): Buffer => {
    const found = tables.get(type)
    if (!found) throw new RangeError(`The file has no ${type}`)
    return file.subarray(found.from, found.to)
  }
  const [sizes, runs] = [table('stsz'), table('stsc')]
  const isLong = !tables.has('stco')
  const chunks = table(isLong ? 'co64' : 'stco')
  const chunkAt = (i: number): number => (isLong ? Number(chunks.readBigUInt64BE(8 + i * 8)) : chunks.readUInt32BE(8 + i * 4))
  const fixed = sizes.readUInt32BE(4)
  const count = sizes.readUInt32BE(8)
  const packets: Buffer[] = []
  let run = 0
  for (let chunk = 0; chunk < chunks.readUInt32BE(4); chunk++) {
    while (run + 1 < runs.readUInt32BE(4) && runs.readUInt32BE(8 + (run + 1) * 12) === chunk + 1) run++
    let at = chunkAt(chunk)
    for (let left = runs.readUInt32BE(12 + run * 12); left > 0 && packets.length < count; left--) {
      const size = fixed || sizes.readUInt32BE(12 + packets.length * 4)
      if (at + size > file.length) throw new RangeError('The file ends before its packets do')
      packets.push(file.subarray(at, at + size))
      at += size
    }
  }
  return packets
}
