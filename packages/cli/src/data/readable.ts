// Records as people and filters see them: decoded, with packed numbers under their names. Reading changes nothing; a value
// that cannot be decoded says why instead.

import { type Codec, HEADER, type LogRecord } from '@andon/kit'
import { messageOf } from '@andon/kit/errors'
import { schemaOfTopic } from '@andon/schemas'
import type { Block } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'

export interface ShownRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly leaderEpoch: number
  readonly timestampMs: number
  readonly key: string | null
  readonly id: string | null
  readonly type: string | null
  readonly headers: Readonly<Record<string, string>>
  /** Decoded and readable; `{ undecodable, bytes }` when it cannot be decoded; null when the record has no value. */
  readonly value: unknown
}

/** Decodes a record for showing. Rejects only when the registry cannot be asked. */
export const showRecord = async (codec: Pick<Codec, 'decodeAsync'>, record: LogRecord): Promise<ShownRecord> => {
  let value: unknown = null
  try {
    if (record.value !== null) value = readable(record.topic, await codec.decodeAsync(record.topic, record.value))
  } catch (error) {
    if ((error as { retriable?: boolean }).retriable) throw error
    value = { undecodable: messageOf(error), bytes: record.value?.length ?? 0 }
  }
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    leaderEpoch: record.leaderEpoch,
    timestampMs: record.timestampMs,
    key: record.key,
    id: record.header(HEADER.id) ?? null,
    type: record.header(HEADER.type) ?? null,
    headers: record.headers(),
    value,
  }
}

type Fields = Record<string, unknown>

/** A decoded value with its packed numbers under their names: plain objects, lists and bytes. */
export const readable = (topic: string, value: unknown): unknown => {
  const copy = plainOf(value)
  if (typeof copy !== 'object' || copy === null) return copy
  const record = copy as Fields
  switch (schemaOfTopic(topic)) {
    case 'telemetry':
      if (record['block']) record['block'] = readableBlock(record['block'] as Block & Fields)
      break
    case 'features':
      if (record['vector']) name(record['vector'] as Fields, 'names', 'values')
      break
    case 'predictions':
      name(record, 'names', 'values')
      for (const verdict of (record['verdicts'] ?? []) as Fields[]) name(verdict, 'contributionNames', 'contributions')
      break
    default:
  }
  return record
}

/** Avro records are instances of generated classes; filters and JSON want plain objects. */
const plainOf = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(plainOf)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainOf(each)]))
}

const named = (names: readonly string[], values: ArrayLike<number>): Record<string, number> =>
  Object.fromEntries(names.map((each, i) => [each, values[i] ?? Number.NaN]))

const name = (fields: Fields, names: string, values: string): void => {
  const [list, bytes] = [fields[names], fields[values]]
  if (!Array.isArray(list) || !(bytes instanceof Uint8Array)) return
  fields[values] = named(list as string[], readDoubles(bytes))
}

const readableBlock = (block: Block & Fields): Fields => {
  const { samples, timesUs, qualities, recordedUs, channels } = block
  const numbers = block.dtype === 'f32' ? readFloats(samples) : readDoubles(samples)
  const perChannel = block.rows * block.width
  return {
    ...block,
    samples: Object.fromEntries(channels.map((channel, i) => [channel, [...numbers.subarray(i * perChannel, (i + 1) * perChannel)]])),
    timesUs: readLongs(timesUs),
    qualities: [...qualities],
    recordedUs: recordedUs === null ? null : readLongs(recordedUs),
  }
}

/** Packed little-endian f32, at any alignment. */
export const readFloats = (bytes: Uint8Array): Float64Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float64Array.from({ length: Math.floor(bytes.byteLength / 4) }, (_, i) => view.getFloat32(i * 4, true))
}

/** Packed little-endian int64 below 2^53, at any alignment. */
export const readLongs = (bytes: Uint8Array): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.floor(bytes.byteLength / 8) }, (_, i) => Number(view.getBigInt64(i * 8, true)))
}
