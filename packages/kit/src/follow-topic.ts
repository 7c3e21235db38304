// Side inputs and read models: a whole topic from its beginning, every partition, without a group.
// A record that cannot be decoded is left out and reported: a reader of facts cannot answer for the writer.

import type { Codec } from './codec-port.ts'
import type { Input } from './flow.ts'
import { decodeInput } from './input.ts'
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
  const decode = async (record: LogRecord): Promise<Input<T> | undefined> => {
    try {
      return await decodeInput<T>(codec, record)
    } catch (error) {
      if (isRetriable(error)) throw error
      options.onUndecodable?.(record, error)
      return undefined
    }
  }
  // A batch is tried again when onInput failed retriably: what it has handled already is not handed out twice.
  const handled = new WeakMap<RecordBatch, number>()
  return log.follow({
    topics: [topic],
    ...(options.from ? { from: options.from } : {}),
    ...(options.onReset ? { onReset: options.onReset } : {}),
    onBatch: async (batch) => {
      for (let i = handled.get(batch) ?? 0; i < batch.records.length; i++) {
        const input = await decode(batch.records[i]!)
        if (input) await onInput(input)
        handled.set(batch, i + 1)
      }
    },
  })
}
