// Side inputs and read models: a whole topic from its beginning, every partition, without a group.
// A record that cannot be decoded is left out and reported: a reader of facts cannot answer for the writer.

import type { Codec } from './codec-port.ts'
import type { Input } from './flow.ts'
import { decodeInputAt } from './input.ts'
import { HEADER, LIVE } from './lineage.ts'
import { isRetriable } from './log/log-error.ts'
import type { Follow, FollowOptions, Log, LogRecord, RecordBatch } from './log/port.ts'

export interface FollowTopicOptions {
  readonly from?: FollowOptions['from']
  readonly onReset?: FollowOptions['onReset']
  /** Told about a record that cannot be decoded. */
  readonly onUndecodable?: (record: LogRecord, error: unknown) => void
}

/** Hands every record to `onInput` in offset order per partition. `caughtUp()` says when the log's present end was reached. */
export const followTopic = <T>(
  log: Log,
  codec: Codec,
  topic: string,
  onInput: (input: Input<T>) => void | Promise<void>,
  options: FollowTopicOptions = {},
): Promise<Follow> => {
  const undecodable = (batch: RecordBatch, index: number, error: unknown): undefined => {
    if (isRetriable(error)) throw error
    options.onUndecodable?.(batch.records[index]!, error)
    return undefined
  }
  const decode = (batch: RecordBatch, index: number): Input<T> | undefined | Promise<Input<T> | undefined> => {
    try {
      const decoded = decodeInputAt<T>(codec, batch, index, batch.headerAt(index, HEADER.lane) ?? LIVE)
      return decoded instanceof Promise ? decoded.catch((error: unknown) => undecodable(batch, index, error)) : decoded
    } catch (error) {
      return undecodable(batch, index, error)
    }
  }
  // A batch is tried again when onInput failed retriably: what it has handled already is not handed out twice.
  const handled = new WeakMap<RecordBatch, number>()
  return log.follow({
    topics: [topic],
    ...(options.from ? { from: options.from } : {}),
    ...(options.onReset ? { onReset: options.onReset } : {}),
    onBatch: async (batch) => {
      let next = handled.get(batch) ?? 0
      try {
        for (; next < batch.count; next++) {
          const decoded = decode(batch, next)
          const input = decoded instanceof Promise ? await decoded : decoded
          if (input === undefined) continue
          const taken = onInput(input)
          if (taken !== undefined) await taken // most are handled at once: a turn of the microtasks for each would cost more
        }
      } finally {
        handled.set(batch, next)
      }
    },
  })
}
