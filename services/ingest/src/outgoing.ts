// One record on its way to the log, and its form in the spool: a compact head and the encoded value. Pure.

import { EncodedHeaders } from '@andon/kit'

/** A record that ingest has decided to append, complete but for its position. */
export interface Outgoing {
  readonly topic: string
  readonly partition: number
  readonly key: string | null
  readonly value: Buffer
  readonly headers: EncodedHeaders
  readonly timestampMs: number
  /** Receive time of the oldest sample it stands for, microseconds UTC: ticks stay below it until the broker has it. */
  readonly oldestReceivedUs: number
  /** What the door remembers of readings without a sequence number. */
  readonly identities: readonly string[]
  /** Of a control-class asset: sent before others once there is a backlog. */
  readonly isControl: boolean
}

// Two doubles, the partition, flags, and the lengths of topic, key, headers and identities; then these four, then the value.
const fixedBytes = 8 + 8 + 2 + 1 + 1 + 2 + 4 + 4
const hasKey = 1
const control = 2
const none: readonly string[] = []

/** What goes into the spool before the value. */
export const headOf = ({ topic, partition, key, headers, timestampMs, oldestReceivedUs, identities, isControl }: Outgoing): Buffer => {
  const remembered = identities.length === 0 ? '' : identities.join('\n')
  const headerBytes = headers.to - headers.from
  const keyBytes = key === null ? 0 : Buffer.byteLength(key)
  const head = Buffer.allocUnsafe(fixedBytes + topic.length + keyBytes + headerBytes + remembered.length)
  head.writeDoubleLE(timestampMs, 0)
  head.writeDoubleLE(oldestReceivedUs, 8)
  head.writeUInt16LE(partition, 16)
  head[18] = (key === null ? 0 : hasKey) | (isControl ? control : 0)
  head[19] = topic.length
  head.writeUInt16LE(keyBytes, 20)
  head.writeUInt32LE(headerBytes, 22)
  head.writeUInt32LE(remembered.length, 26)
  let at = fixedBytes
  at += head.write(topic, at, 'latin1')
  if (key !== null) at += head.write(key, at)
  at += headers.bytes.copy(head, at, headers.from, headers.to)
  head.write(remembered, at, 'latin1')
  return head
}

/** The record of an entry; `value` and `headers` are views into it. */
export const fromEntry = (entry: Buffer): Outgoing => {
  const flags = entry[18]!
  const topicEnd = fixedBytes + entry[19]!
  const keyEnd = topicEnd + entry.readUInt16LE(20)
  const headersEnd = keyEnd + entry.readUInt32LE(22)
  const rememberedEnd = headersEnd + entry.readUInt32LE(26)
  return {
    topic: entry.toString('latin1', fixedBytes, topicEnd),
    partition: entry.readUInt16LE(16),
    key: (flags & hasKey) === 0 ? null : entry.toString('utf8', topicEnd, keyEnd),
    value: entry.subarray(rememberedEnd),
    headers: new EncodedHeaders(entry, keyEnd, headersEnd),
    timestampMs: entry.readDoubleLE(0),
    oldestReceivedUs: entry.readDoubleLE(8),
    identities: rememberedEnd === headersEnd ? none : entry.toString('latin1', headersEnd, rememberedEnd).split('\n'),
    isControl: (flags & control) !== 0,
  }
}
