// Records that cannot be decoded go to `<topic>.<group>.dlq` at once: the original bytes as they were, and in headers
// why, where they lay and which schema they claim, so that a redrive can put them back under the right lane.

import type { Append, LogRecord, TopicSpec } from './log/port.ts'

export const deadLetterTopic = (topic: string, group: string): string => `${topic}.${group}.dlq`

export const deadLetterSpec = (topic: string, group: string, partitions: number): TopicSpec => ({
  name: deadLetterTopic(topic, group),
  partitions,
  configs: { 'cleanup.policy': 'delete', 'retention.ms': String(90 * 86_400_000) },
})

export const DEAD_LETTER_HEADER = {
  code: 'andon-dlq-code',
  reason: 'andon-dlq-reason',
  topic: 'andon-dlq-topic',
  partition: 'andon-dlq-partition',
  leaderEpoch: 'andon-dlq-leader-epoch',
  offset: 'andon-dlq-offset',
  schemaId: 'andon-dlq-schema-id',
} as const

/** Schema id of a framed value (0x00 + 4 bytes), undefined for anything else. */
export const schemaIdOf = (value: Buffer | null): number | undefined =>
  value !== null && value.length >= 5 && value[0] === 0 ? value.readInt32BE(1) : undefined

/** The dead letter of a record. It lies in the same partition number and keeps key, timestamp, value and headers. */
export const deadLetter = (record: LogRecord, group: string, error: unknown): Append => {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const schemaId = schemaIdOf(record.value)
  return {
    topic: deadLetterTopic(record.topic, group),
    partition: record.partition,
    key: record.key,
    value: record.value,
    timestampMs: record.timestampMs,
    headers: {
      ...record.headers(),
      [DEAD_LETTER_HEADER.code]: typeof code === 'string' ? code : 'ANDON_KIT_UNDECODABLE',
      [DEAD_LETTER_HEADER.reason]: String(message ?? error).slice(0, 500),
      [DEAD_LETTER_HEADER.topic]: record.topic,
      [DEAD_LETTER_HEADER.partition]: String(record.partition),
      [DEAD_LETTER_HEADER.leaderEpoch]: String(record.leaderEpoch),
      [DEAD_LETTER_HEADER.offset]: String(record.offset),
      ...(schemaId === undefined ? {} : { [DEAD_LETTER_HEADER.schemaId]: String(schemaId) }),
    },
  }
}
