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

/** Bytes of a record's entry. */
export const entryBytes = ({ topic, key, value, headers, identities }: Outgoing): number =>
  fixedBytes + topic.length + keyBytes(key) + headers.to - headers.from + rememberedBytes(identities) + value.length

/** Writes the entry of a record into `into`, which has room for it. */
export const putEntry = (
  { topic, partition, key, value, headers, timestampMs, oldestReceivedUs, identities, isControl }: Outgoing,
  into: Buffer,
  from: number,
): void => {
  const headerBytes = headers.to - headers.from
  const ofKey = keyBytes(key)
  const ofRemembered = rememberedBytes(identities)
  into.writeDoubleLE(timestampMs, from)
  into.writeDoubleLE(oldestReceivedUs, from + 8)
  into.writeUInt16LE(partition, from + 16)
  into[from + 18] = (key === null ? 0 : hasKey) | (isControl ? control : 0)
  into[from + 19] = topic.length
  into.writeUInt16LE(ofKey, from + 20)
  into.writeUInt32LE(headerBytes, from + 22)
  into.writeUInt32LE(ofRemembered, from + 26)
  let at = from + fixedBytes
  at += into.write(topic, at, 'latin1')
  if (key !== null) at += into.write(key, at)
  at += headers.bytes.copy(into, at, headers.from, headers.to)
  if (ofRemembered > 0) at += into.write(identities.join('\n'), at, 'latin1')
  into.set(value, at)
}

const keyBytes = (key: string | null): number => (key === null ? 0 : Buffer.byteLength(key))

/** Identities are ASCII, one a line. */
const rememberedBytes = (identities: readonly string[]): number =>
  identities.reduce((sum, identity) => sum + identity.length + 1, 0) - (identities.length === 0 ? 0 : 1)

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
