// Topic `actions` as records with offset and append time: what the kernel folds and what it appends.
// One decision is one record batch: all of its facts are on the log, or none.

import { childTraceparent, decodeInput, eventHeaders, HEADER, isRetriable, LIVE } from '@andon/kit'
import type { Append, Codec, Input, Log, LogRecord, Logger } from '@andon/kit'
import type { Entry } from '@andon/decisions'
import type { Actions } from '@andon/schemas'

export const ACTIONS = 'actions'

/** An entry and the trace it belongs to. */
export interface TracedEntry extends Entry {
  readonly traceparent: string | undefined
}

export const entryOf = (input: Input<Actions>): TracedEntry => ({
  record: input.value,
  offset: input.position.offset,
  appendedUs: input.timestampMs * 1000,
  traceparent: input.traceparent,
})

export interface ActionsLog {
  /** Appends all records or none; resolves with the first offset. A rejection says nothing about what landed. */
  append(partition: number, records: readonly Actions[], traceparent?: string): Promise<number>
  /** Every record from `from` to the partition's end as of the call; returns where the next reading starts. */
  read(partition: number, from: number, onEntry: (entry: TracedEntry) => void): Promise<number>
}

/** Undecodable records are reported and left out: they were nobody's fact. */
export const openActionsLog = (log: Log, codec: Codec, logger: Logger): ActionsLog => ({
  async append(partition, records, traceparent) {
    const appended = await log.append(
      records.map((record) => appendOf(codec, partition, record, traceparent)),
      { atomic: true },
    )
    const [first] = appended
    if (!first) throw new RangeError('Nothing was appended')
    return first.offset
  },

  async read(partition, from, onEntry) {
    const decode = async (stored: LogRecord): Promise<TracedEntry | undefined> => {
      try {
        return entryOf(await decodeInput<Actions>(codec, stored))
      } catch (cause) {
        if (isRetriable(cause)) throw cause
        logger.error({ err: cause, partition, offset: stored.offset }, 'undecodable record on actions is left out')
        return undefined
      }
    }
    let next = from
    for await (const batch of log.read({ topic: ACTIONS, partition, from, to: 'latest' })) {
      for (const stored of batch.records) {
        const entry = await decode(stored)
        if (entry) onEntry(entry)
      }
      next = batch.nextOffset
    }
    return next
  },
})

const appendOf = (codec: Codec, partition: number, record: Actions, traceparent: string | undefined): Append => {
  const output = {
    topic: ACTIONS,
    key: record.line,
    value: record,
    id: record.id,
    type: record.type,
    timeUs: record.atUs,
    ...(record.incidentId === null ? {} : { subject: record.incidentId }),
  }
  return {
    topic: ACTIONS,
    partition,
    key: record.line,
    value: codec.encode(ACTIONS, record),
    headers: { ...eventHeaders(output, 'actions'), [HEADER.lane]: LIVE, [HEADER.traceparent]: childTraceparent(traceparent) },
  }
}
