// Records that cannot be decoded go to `<topic>.<group>.dlq` at once: the original bytes as they were, and in headers
// why, where they lay, since when and which schema they claim, so that a redrive can put them back under the right lane.
// What became of a letter is a further record of the same topic, since a log cannot delete one record.

import type { Append, LogRecord, TopicSpec } from './log/port.ts'
import { codeOf, messageOf } from './errors.ts'
import { sha256Hex } from './ids.ts'

export const deadLetterTopic = (topic: string, group: string): string => `${topic}.${group}.dlq`

export const deadLetterSpec = (topic: string, group: string, partitions: number): TopicSpec => ({
  name: deadLetterTopic(topic, group),
  partitions,
  configs: { 'cleanup.policy': 'delete', 'retention.ms': String(90 * 86_400_000) },
})

/** Headers of a dead letter, beside those the record already had (its id, lane, cause and trace). */
export const DEAD_LETTER_HEADER = {
  code: 'andon-dlq-code',
  reason: 'andon-dlq-reason',
  /** 12 hex digits: letters of one fault in the code share it (stackHash). */
  stackHash: 'andon-dlq-stack-hash',
  /** When a reader first failed on the record, microseconds UTC; kept when a redriven record fails again. */
  firstSeenUs: 'andon-dlq-first-seen-us',
  /** Consumer group that failed. */
  group: 'andon-dlq-group',
  topic: 'andon-dlq-topic',
  partition: 'andon-dlq-partition',
  leaderEpoch: 'andon-dlq-leader-epoch',
  offset: 'andon-dlq-offset',
  schemaId: 'andon-dlq-schema-id',
} as const

/** Headers of a settlement: a record without value in the letter's partition that says what became of the letter. */
export const SETTLEMENT_HEADER = {
  /** `<leader epoch>/<offset>` of the letter. */
  letter: 'andon-dlq-settles',
  /** `redriven`, `released` (from quarantine, through ingest) or `discarded`. */
  as: 'andon-dlq-settled-as',
  reason: 'andon-dlq-settled-reason',
  /** Lane of a redrive; a later redrive of the letter takes the same one. */
  lane: 'andon-dlq-settled-lane',
} as const

/** Schema id of a framed value (0x00 + 4 bytes), undefined for anything else. */
export const schemaIdOf = (value: Buffer | null): number | undefined =>
  value !== null && value.length >= 5 && value[0] === 0 ? value.readInt32BE(1) : undefined

// Further out, frames tell how the reader came there - through a cache or an await - and not what is wrong.
const HASHED_FRAMES = 2

/**
 * First 12 hex digits of the SHA-256 over where an error was thrown: the innermost frames of our code and its libraries,
 * and those of its causes. Lines, columns, folders and the message's values are left out, so it stays the same over
 * records, machines and unrelated edits.
 */
export const stackHash = (error: unknown): string => {
  const parts: string[] = []
  for (let each: unknown = error; each !== undefined && parts.length < 8; each = (each as { cause?: unknown } | null)?.cause) {
    const name = each instanceof Error ? each.name : typeof each
    parts.push([name, codeOf(each) ?? '', ...framesOf(each)].join('\n'))
  }
  return sha256Hex(parts.join('\n\n')).slice(0, 12)
}

const framesOf = (error: unknown): string[] =>
  (error instanceof Error ? (error.stack ?? '') : '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !line.includes('node:'))
    .slice(0, HASHED_FRAMES)
    .map((line) =>
      line
        .trim()
        .replace('at async ', 'at ')
        .replaceAll(/:\d+/g, '')
        .replaceAll(/(?:file:\/\/)?[\\/][^\s():]*[\\/]/g, ''),
    )

type LetterAppend = Append & { readonly headers: Readonly<Record<string, string>> }

/**
 * The dead letter of a record. It lies in the same partition number and keeps key, timestamp, value and headers.
 * `atUs`: when the reader failed, microseconds UTC.
 */
export const deadLetter = (record: LogRecord, group: string, error: unknown, atUs: number = Date.now() * 1000): LetterAppend => {
  const schemaId = schemaIdOf(record.value)
  return {
    topic: deadLetterTopic(record.topic, group),
    partition: record.partition,
    key: record.key,
    value: record.value,
    timestampMs: record.timestampMs,
    headers: {
      ...record.headers(),
      [DEAD_LETTER_HEADER.code]: codeOf(error) ?? 'ANDON_KIT_UNDECODABLE',
      [DEAD_LETTER_HEADER.reason]: messageOf(error).slice(0, 500),
      [DEAD_LETTER_HEADER.stackHash]: stackHash(error),
      [DEAD_LETTER_HEADER.firstSeenUs]: record.header(DEAD_LETTER_HEADER.firstSeenUs) ?? String(atUs),
      [DEAD_LETTER_HEADER.group]: group,
      [DEAD_LETTER_HEADER.topic]: record.topic,
      [DEAD_LETTER_HEADER.partition]: String(record.partition),
      [DEAD_LETTER_HEADER.leaderEpoch]: String(record.leaderEpoch),
      [DEAD_LETTER_HEADER.offset]: String(record.offset),
      ...(schemaId === undefined ? {} : { [DEAD_LETTER_HEADER.schemaId]: String(schemaId) }),
    },
  }
}

/** What became of a letter. */
export interface Settlement {
  readonly as: 'redriven' | 'released' | 'discarded'
  readonly reason: string
  readonly lane?: string
}

/** The record that settles a letter; readers of the topic take the newest one of a letter. */
export const settlement = (
  letter: {
    readonly topic: string
    readonly partition: number
    readonly leaderEpoch: number
    readonly offset: number
    readonly key: string | null
  },
  { as, reason, lane }: Settlement,
): LetterAppend => ({
  topic: letter.topic,
  partition: letter.partition,
  key: letter.key,
  value: null,
  headers: {
    [SETTLEMENT_HEADER.letter]: `${letter.leaderEpoch}/${letter.offset}`,
    [SETTLEMENT_HEADER.as]: as,
    [SETTLEMENT_HEADER.reason]: reason.slice(0, 500),
    ...(lane === undefined ? {} : { [SETTLEMENT_HEADER.lane]: lane }),
  },
})
