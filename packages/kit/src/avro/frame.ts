// Confluent's frame - 0x00, the schema's id in 4 bytes, the value - and what is wrong with one.

import { AndonError, messageOf } from '../errors.ts'
import { AvroError } from './errors.ts'

/** Before every value. */
export const frameBytes = 5

/** Writes the frame's head at a position of the slab. */
export const writeFrame = (slab: Buffer, at: number, id: number): void => {
  slab[at] = 0
  slab[at + 1] = id >>> 24
  slab[at + 2] = id >>> 16
  slab[at + 3] = id >>> 8
  slab[at + 4] = id
}

/** Schema id of the framed record in bytes[at, end). Throws an AndonError when it is none. */
export const readFrame = (topic: string, bytes: Buffer, at: number, end: number): number => {
  if (end - at < frameBytes) throw undecodable('ANDON_CODEC_TRUNCATED', topic, `${end - at} bytes are no framed record`)
  if (bytes[at] !== 0) throw undecodable('ANDON_CODEC_MAGIC', topic, `first byte is ${bytes[at]}, expected 0`)
  return bytes.readInt32BE(at + 1)
}

export const undecodable = (code: string, topic: string, why: string, cause?: unknown): AndonError =>
  new AndonError(code, `Cannot decode a record of ${topic}: ${why}`, { cause, fields: { topic } })

/** What a decoder threw, as the error of a record. */
export const undecodableBy = (topic: string, error: unknown): AndonError => {
  const isTruncated = error instanceof AvroError && error.fault === 'truncated'
  return undecodable(isTruncated ? 'ANDON_CODEC_TRUNCATED' : 'ANDON_CODEC_UNDECODABLE', topic, messageOf(error), error)
}
