// Telemetry blocks for faults of the codec: valid ones, and bytes that only look like them.

import type { Codec, LogRecord } from '@andon/kit'
import type { TelemetryInput } from '@andon/schemas'

/** Framing: magic byte, schema id. */
const FRAME_BYTES = 5
/** What a lying header promises. */
const HUGE = 100 * 1024 * 1024

/** A valid block of one sample. */
export const blockValue = (number: number): TelemetryInput => ({
  type: 'block',
  assetId: 'press',
  block: {
    sourceId: 'faults',
    epoch: 1,
    seqFrom: number,
    seqTo: number,
    withheld: [],
    rows: 1,
    channels: ['vibration'],
    units: ['g'],
    dtype: 'float32',
    width: 1,
    samples: Buffer.from(new Float32Array([number]).buffer),
    timesUs: Buffer.alloc(8),
    receivedUs: 1_700_000_000_000_000,
    historical: false,
  },
})

/** Avro's zigzag varint. */
const long = (value: number): Buffer => {
  const bytes: number[] = []
  for (let left = value >= 0 ? value * 2 : -value * 2 - 1; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left % 128) + 128)
  }
}
const text = (value: string): Buffer => Buffer.concat([long(value.length), Buffer.from(value)])

/** The beginning of a block up to its first array. */
const beforeArray = (frame: Buffer): Buffer =>
  Buffer.concat([frame, text('block'), text('press'), long(1), text('faults'), long(1), long(7), long(7)])

export type Poison =
  | 'bad magic'
  | 'unknown schema'
  | 'truncated'
  | 'huge array'
  | 'huge array in bytes'
  | 'huge string'
  | 'no value'
  | 'fuzzed'

/** Codes that the dead letter of each kind may carry; fuzzed bytes may even be valid. */
export const CODES: Readonly<Record<Exclude<Poison, 'fuzzed'>, readonly string[]>> = {
  'bad magic': ['ANDON_CODEC_MAGIC'],
  'unknown schema': ['ANDON_CODEC_UNKNOWN_SCHEMA'],
  truncated: ['ANDON_CODEC_TRUNCATED', 'ANDON_CODEC_UNDECODABLE'],
  'huge array': ['ANDON_CODEC_TRUNCATED', 'ANDON_CODEC_UNDECODABLE'],
  'huge array in bytes': ['ANDON_CODEC_TRUNCATED', 'ANDON_CODEC_UNDECODABLE'],
  'huge string': ['ANDON_CODEC_TRUNCATED', 'ANDON_CODEC_UNDECODABLE'],
  'no value': ['ANDON_KIT_EMPTY_VALUE'],
}

export const POISONS = [...Object.keys(CODES), 'fuzzed'] as readonly Poison[]

/** Bytes of a kind, made from a valid record. */
export const poisonOf = (kind: Poison, valid: Buffer, random: () => number): Buffer | null => {
  const frame = valid.subarray(0, FRAME_BYTES)
  switch (kind) {
    case 'bad magic':
      return Buffer.concat([Buffer.from([1 + Math.floor(random() * 255)]), valid.subarray(1)])
    case 'unknown schema': {
      const bytes = Buffer.from(valid)
      bytes.writeInt32BE(1_000_000 + Math.floor(random() * 3), 1)
      return bytes
    }
    case 'truncated':
      return valid.subarray(0, Math.floor(random() * (valid.length - 1)))
    case 'huge array':
      return Buffer.concat([beforeArray(frame), long(HUGE), Buffer.alloc(64)])
    case 'huge array in bytes':
      return Buffer.concat([beforeArray(frame), long(-HUGE), long(HUGE), Buffer.alloc(64)])
    case 'huge string':
      return Buffer.concat([frame, long(HUGE), Buffer.from('block')])
    case 'no value':
      return null
    case 'fuzzed':
      return fuzzed(valid, random)
  }
}

const fuzzed = (valid: Buffer, random: () => number): Buffer => {
  const below = (limit: number): number => Math.floor(random() * limit)
  const bytes = Buffer.from(valid)
  switch (below(4)) {
    case 0: // a few bytes changed
      for (let i = 0; i <= below(4); i++) bytes[below(bytes.length)] = below(256)
      return bytes
    case 1: // a piece missing
      return Buffer.concat([bytes.subarray(0, below(bytes.length)), bytes.subarray(below(bytes.length))])
    case 2: // noise in a valid frame
      return Buffer.concat([bytes.subarray(0, FRAME_BYTES), Buffer.from(Array.from({ length: below(200) }, () => below(256)))])
    default: // noise
      return Buffer.from(Array.from({ length: below(200) }, () => below(256)))
  }
}

export const encodeBlock = (codec: Codec, number: number): Buffer => Buffer.from(codec.encode('telemetry', blockValue(number)))

/** Input offset that a derived record names as its cause. */
export const causeOffset = (record: LogRecord): number => Number((record.header('andon-cause') ?? '').split('/')[3])
