// From a stored record to a decoded input. Undecodable bytes are told apart from a registry that cannot be reached:
// the first is the record's fault and is dead-lettered, the second pauses the partition.

import type { Codec } from './codec-port.ts'
import type { Input, Lane, Order } from './flow.ts'
import { AndonError } from './errors.ts'
import { HEADER, LIVE, parseOrder } from './lineage.ts'
import { isRetriable } from './log/log-error.ts'
import type { LogRecord, Position, RecordBatch } from './log/port.ts'

/** The decoded input; a promise only when the writer's schema has to be fetched first. */
export const decodeInput = <T>(codec: Codec, record: LogRecord): Input<T> | Promise<Input<T>> => {
  const { topic, value } = record
  if (value === null) throw new AndonError('ANDON_KIT_EMPTY_VALUE', `Record ${topic}/${record.partition}/${record.offset} has no value`)
  try {
    return toInput(record, codec.decode<T>(topic, value))
  } catch (error) {
    if (isRetriable(error)) throw error
    return codec.decodeAsync<T>(topic, value).then((decoded) => toInput(record, decoded))
  }
}

/** As decodeInput, from the columns of a batch: nothing is made for records that nobody decodes. `lane` is the record's. */
export const decodeInputAt = <T>(codec: Codec, batch: RecordBatch, index: number, lane: Lane): Input<T> | Promise<Input<T>> => {
  const { topic } = batch
  const value = batch.valueAt(index)
  if (value === null)
    throw new AndonError('ANDON_KIT_EMPTY_VALUE', `Record ${topic}/${batch.partition}/${batch.offsetAt(index)} has no value`)
  try {
    return toInputAt(batch, index, lane, codec.decode<T>(topic, value))
  } catch (error) {
    if (isRetriable(error)) throw error
    return codec.decodeAsync<T>(topic, value).then((decoded) => toInputAt(batch, index, lane, decoded))
  }
}

/**
 * As decodeInputAt, for whoever is done with the input before the batch: what its headers say is read when it is asked for,
 * and of most inputs nobody asks. With `lendsBytes` its bytes are those of the batch, too.
 */
export const lendInputAt = <T>(
  codec: Codec,
  batch: RecordBatch,
  index: number,
  lane: Lane,
  lendsBytes: boolean,
): Input<T> | Promise<Input<T>> => {
  const { topic } = batch
  const from = batch.valueStartAt(index)
  if (from < 0) throw new AndonError('ANDON_KIT_EMPTY_VALUE', `Record ${topic}/${batch.partition}/${batch.offsetAt(index)} has no value`)
  try {
    const value =
      lendsBytes && codec.decodeLent
        ? codec.decodeLent<T>(topic, batch.sourceAt(index), from, batch.valueEndAt(index))
        : codec.decode<T>(topic, batch.valueAt(index)!)
    return new LentInput(batch, index, lane, value)
  } catch (error) {
    if (isRetriable(error)) throw error
    return codec.decodeAsync<T>(topic, batch.valueAt(index)!).then((decoded) => new LentInput(batch, index, lane, decoded))
  }
}

class LentInput<T> implements Input<T> {
  readonly topic: string
  readonly partition: number
  readonly position: Position
  readonly key: string | null
  readonly value: T
  readonly timestampMs: number
  readonly lane: Lane
  private readonly batch: RecordBatch
  private readonly index: number

  constructor(batch: RecordBatch, index: number, lane: Lane, value: T) {
    this.topic = batch.topic
    this.partition = batch.partition
    this.position = { leaderEpoch: batch.leaderEpochAt(index), offset: batch.offsetAt(index) }
    this.key = batch.keyAt(index)
    this.value = value
    this.timestampMs = batch.timestampMsAt(index)
    this.lane = lane
    this.batch = batch
    this.index = index
  }

  get id(): string {
    const { leaderEpoch, offset } = this.position
    return this.header(HEADER.id) ?? `${this.topic}/${this.partition}/${leaderEpoch}/${offset}`
  }

  get type(): string {
    return this.header(HEADER.type) ?? ''
  }

  get order(): Order | undefined {
    return parseOrder(this.header(HEADER.order))
  }

  get traceparent(): string | undefined {
    return this.header(HEADER.traceparent)
  }

  private header(name: string): string | undefined {
    return this.batch.headerAt(this.index, name)
  }
}

const toInputAt = <T>(batch: RecordBatch, index: number, lane: Lane, value: T): Input<T> => {
  const { topic, partition } = batch
  const position = { leaderEpoch: batch.leaderEpochAt(index), offset: batch.offsetAt(index) }
  return {
    topic,
    partition,
    position,
    key: batch.keyAt(index),
    value,
    id: batch.headerAt(index, HEADER.id) ?? `${topic}/${partition}/${position.leaderEpoch}/${position.offset}`,
    type: batch.headerAt(index, HEADER.type) ?? '',
    timestampMs: batch.timestampMsAt(index),
    lane,
    order: parseOrder(batch.headerAt(index, HEADER.order)),
    traceparent: batch.headerAt(index, HEADER.traceparent),
  }
}

export const toInput = <T>(record: LogRecord, value: T): Input<T> => ({
  topic: record.topic,
  partition: record.partition,
  position: { leaderEpoch: record.leaderEpoch, offset: record.offset },
  key: record.key,
  value,
  id: record.header(HEADER.id) ?? `${record.topic}/${record.partition}/${record.leaderEpoch}/${record.offset}`,
  type: record.header(HEADER.type) ?? '',
  timestampMs: record.timestampMs,
  lane: record.header(HEADER.lane) ?? LIVE,
  order: parseOrder(record.header(HEADER.order)),
  traceparent: record.header(HEADER.traceparent),
})
