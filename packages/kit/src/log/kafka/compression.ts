// The codecs of record batches. Foreign producers may use any of them, so all are read; zstd is what we write unless a topic
// says otherwise. snappy and lz4 are loaded by the first batch that needs them.

import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import {
  constants,
  gunzip,
  gunzipSync,
  gzip,
  gzipSync,
  zstdCompress,
  zstdCompressSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib'
import { messageOf } from '../../errors.ts'
import { logError } from '../log-error.ts'

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Number of a codec in a batch's attributes. */
export const CODEC: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/** A batch that would unpack to more is refused: the broker takes ≤ 1 MiB packed, so this is damage or an attack. */
const MOST_BYTES = 256 * 1024 * 1024

const require = createRequire(import.meta.url)
const lazy = <T>(name: string): (() => T) => {
  let loaded: T | undefined
  return () => (loaded ??= require(name) as T)
}
const snappy = lazy<typeof import('snappy')>('snappy')
const lz4 = lazy<typeof import('lz4-napi')>('lz4-napi')

interface Codec {
  pack(bytes: Buffer): Buffer
  packAside(bytes: Buffer): Promise<Buffer>
  unpack(bytes: Buffer): Buffer
  unpackAside(bytes: Buffer): Promise<Buffer>
}

const LIMIT = { maxOutputLength: MOST_BYTES }
const QUICK_GZIP = { level: 1 }
const QUICK_ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const gzipAside = promisify(gzip)
const gunzipAside = promisify(gunzip)
const zstdAside = promisify(zstdCompress)
const unzstdAside = promisify(zstdDecompress)

const CODECS: readonly (Codec | undefined)[] = [
  undefined,
  {
    pack: (bytes) => gzipSync(bytes, QUICK_GZIP),
    packAside: (bytes) => gzipAside(bytes, QUICK_GZIP),
    unpack: (bytes) => gunzipSync(bytes, LIMIT),
    unpackAside: (bytes) => gunzipAside(bytes, LIMIT),
  },
  {
    pack: (bytes) => xerial(blocksOf(bytes).map((block) => snappy().compressSync(block))),
    packAside: async (bytes) => xerial(await Promise.all(blocksOf(bytes).map((block) => snappy().compress(block)))),
    unpack: (bytes) => Buffer.concat(snappyBlocks(bytes).map((block) => snappy().uncompressSync(block) as Buffer)),
    unpackAside: async (bytes) =>
      Buffer.concat(await Promise.all(snappyBlocks(bytes).map(async (block) => (await snappy().uncompress(block)) as Buffer))),
  },
  {
    pack: (bytes) => lz4().compressFrameSync(bytes),
    packAside: (bytes) => lz4().compressFrame(bytes),
    unpack: (bytes) => lz4().decompressFrameSync(boundedFrame(bytes)),
    unpackAside: (bytes) => lz4().decompressFrame(boundedFrame(bytes)),
  },
  {
    pack: (bytes) => zstdCompressSync(bytes, QUICK_ZSTD),
    packAside: (bytes) => zstdAside(bytes, QUICK_ZSTD),
    unpack: (bytes) => zstdDecompressSync(bytes, LIMIT),
    unpackAside: (bytes) => unzstdAside(bytes, LIMIT),
  },
]

/** The records of a batch, packed by a codec other than `none`. */
export const pack = (codec: number, bytes: Buffer): Buffer => CODECS[codec]!.pack(bytes)

/** As `pack`, off this thread. */
export const packAside = (codec: number, bytes: Buffer): Promise<Buffer> => CODECS[codec]!.packAside(bytes)

/** Rejects with ANDON_LOG_COMPRESSION when the codec is unknown or the bytes are not its own. `topic` is for the message. */
export const unpack = (codec: number, bytes: Buffer, topic: string): Buffer => {
  try {
    return known(codec).unpack(bytes)
  } catch (error) {
    throw unpackable(codec, topic, error)
  }
}

/** As `unpack`, off this thread. */
export const unpackAside = async (codec: number, bytes: Buffer, topic: string): Promise<Buffer> => {
  try {
    return await known(codec).unpackAside(bytes)
  } catch (error) {
    throw unpackable(codec, topic, error)
  }
}

const known = (codec: number): Codec => {
  const found = CODECS[codec]
  if (!found) throw new Error('the codec is not known')
  return found
}

const unpackable = (codec: number, topic: string, cause: unknown): Error => {
  const name = Object.entries(CODEC).find(([, number]) => number === codec)?.[0] ?? 'unknown'
  return logError(
    'fatal',
    'ANDON_LOG_COMPRESSION',
    `A batch of ${topic} cannot be unpacked (codec ${codec}, ${name}): ${messageOf(cause)}. Its checksum is right, so its producer wrote it so: set another compression.type there`,
    cause,
  )
}

// Java producers frame snappy as the xerial library does: a header, then blocks with their length in front. Others write
// one raw block.
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])
const XERIAL_MAGIC = XERIAL.subarray(0, 8)
const BLOCK_BYTES = 64 * 1024

const blocksOf = (bytes: Buffer): Buffer[] => {
  const blocks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) blocks.push(bytes.subarray(at, at + BLOCK_BYTES))
  return blocks
}

const xerial = (packed: readonly Buffer[]): Buffer => {
  const parts: Buffer[] = [XERIAL]
  for (const block of packed) {
    const length = Buffer.allocUnsafe(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

const snappyBlocks = (bytes: Buffer): Buffer[] => {
  const blocks: Buffer[] = []
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) blocks.push(bytes)
  else
    for (let at = XERIAL.length; at < bytes.length;) {
      const end = at + 4 + bytes.readInt32BE(at)
      if (end <= at + 4 || end > bytes.length) throw new Error('a snappy block reaches beyond its batch')
      blocks.push(bytes.subarray(at + 4, end))
      at = end
    }
  let total = 0
  for (const block of blocks) total += unpackedLength(block)
  if (total > MOST_BYTES) throw new Error(`it would unpack to ${total} bytes`)
  return blocks
}

/** What a raw snappy block says of itself: a varint in front. */
const unpackedLength = (block: Buffer): number => {
  let length = 0
  let scale = 1
  for (let at = 0; at < 5; at++) {
    const byte = block[at] ?? 0
    length += (byte & 0x7f) * scale
    if (byte < 0x80) break
    scale *= 128
  }
  return length
}

const LZ4_MAGIC = 0x184d2204

/** Refuses a frame whose blocks could unpack to too much: each has at most the size that its frame's header names. */
const boundedFrame = (bytes: Buffer): Buffer => {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== LZ4_MAGIC) throw new Error('it is no lz4 frame')
  const flags = bytes[4]!
  const blockBytes = 1 << (2 * ((bytes[5]! >> 4) & 7) + 8) // 4 = 64 KiB … 7 = 4 MiB
  const checksumBytes = flags & 0x10 ? 4 : 0
  let at = 6 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0) + 1
  let blocks = 0
  while (at + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(at) & 0x7fffffff
    if (size === 0) break
    at += 4 + size + checksumBytes
    blocks++
  }
  if ((blocks - 1) * blockBytes > MOST_BYTES) throw new Error(`its ${blocks} blocks could unpack to ${blocks * blockBytes} bytes`)
  return bytes
}
