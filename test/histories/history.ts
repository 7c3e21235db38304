// A recorded history, read back: the records of five topics with the bytes, headers and places they had, decoded by today's
// code from the schemas of those who wrote them.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { frameBytes, readFrame } from '@andon/kit/avro/frame'
import { type Decoder, compileDecoder, compileResolver } from '@andon/kit/avro/decoder'
import { type Encoder, compileEncoder } from '@andon/kit/avro/encoder'
import type { LogRecord } from '@andon/kit/log/port'
import { type AvroRecord, type Records, avroSchemas } from '@andon/schemas'
import { SCHEMAS } from '../../packages/cli/src/data/transfer.ts'
import { readerOf } from '../../packages/cli/src/data/table-file.ts'

/** What decisions read and write; in the order in which an export has to read them: what is derived comes later. */
export const historyTopics = ['config', 'models', 'predictions', 'anomalies', 'actions'] as const
export type HistoryTopic = (typeof historyTopics)[number]

export interface Recorded<T> {
  readonly record: LogRecord
  /** The value as today's schema reads it. */
  readonly value: T
  /** Schema it was written with. */
  readonly writer: AvroRecord
}

/** Records of one topic: by time over all partitions, in offset order within each. */
export type History = { readonly [N in HistoryTopic]: readonly Recorded<Records[N]>[] }

const root = import.meta.dirname

/** Folders of the recorded histories, oldest first. */
export const historyNames = (): string[] =>
  readdirSync(root)
    .filter((name) => /^v\d+$/.test(name) && statSync(join(root, name)).isDirectory())
    .toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))

export const readHistory = async (name: string): Promise<History> => {
  const read = await Promise.all(historyTopics.map(async (topic) => [topic, await readTopic(name, topic)] as const))
  return Object.fromEntries(read) as unknown as History
}

const readTopic = async (name: string, topic: HistoryTopic): Promise<Recorded<unknown>[]> => {
  const reader = await readerOf(join(root, name, `${topic}.avro`))
  const writers = new Map(JSON.parse(reader.metadata[SCHEMAS] ?? '[]') as [number, AvroRecord][])
  const decoders = new Map<number, Decoder>()
  const recorded: Recorded<unknown>[] = []
  for await (const rows of reader.groups())
    for (const row of rows) {
      const bytes = row['value_bytes'] as Buffer
      const id = readFrame(topic, bytes, 0, bytes.length)
      const writer = writers.get(id)
      if (!writer) throw new Error(`${name}/${topic}.avro has a value of schema ${id} and does not carry that schema`)
      const decode = decoders.get(id) ?? compileResolver(writer, avroSchemas[topic])
      decoders.set(id, decode)
      recorded.push({ record: recordOf(row, bytes), value: decode(bytes, frameBytes, bytes.length), writer })
    }
  return recorded
}

const recordOf = (row: Readonly<Record<string, unknown>>, value: Buffer): LogRecord => {
  const headers = JSON.parse(row['headers'] as string) as Record<string, string>
  return {
    topic: row['topic'] as string,
    partition: row['partition'] as number,
    leaderEpoch: row['leader_epoch'] as number,
    offset: row['offset'] as number,
    timestampMs: row['timestamp'] as number,
    key: row['key'] as string | null,
    value,
    header: (name) => headers[name],
    headers: () => headers,
  }
}

/** Records by their partition, each in offset order. */
export const byPartition = <T>(records: readonly Recorded<T>[]): Map<number, Recorded<T>[]> =>
  Map.groupBy(records, ({ record }) => record.partition)

const own = new Map<HistoryTopic, { readonly encode: Encoder; readonly decode: Decoder }>()

const ownOf = (topic: HistoryTopic) => {
  const known = own.get(topic) ?? { encode: compileEncoder(avroSchemas[topic]), decode: compileDecoder(avroSchemas[topic]) }
  own.set(topic, known)
  return known
}

const slab = Buffer.allocUnsafe(1024 * 1024)

/** The bytes that today's code writes for a value, without the frame. */
export const written = (topic: HistoryTopic, value: unknown): Buffer => Buffer.from(slab.subarray(0, ownOf(topic).encode(value, slab, 0)))

/** The value as it comes back from the log: with every default. */
export const asWritten = <N extends HistoryTopic>(topic: N, value: unknown): Records[N] => {
  const bytes = written(topic, value)
  return ownOf(topic).decode(bytes, 0, bytes.length) as Records[N]
}
