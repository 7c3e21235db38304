// Bodies of the requests that read and write records and find their leaders. We write all bodies ourselves, in versions that
// Kafka 2.5 to 4.x serve, without tagged fields but for one. Groups, transactions and topics are in the files beside.

import { In, Out } from './protocol-io.ts'
import type { Api } from './protocol-io.ts'

export const API = {
  produce: [0, 7, 'Produce'],
  fetch: [1, 11, 'Fetch'],
  listOffsets: [2, 4, 'ListOffsets'],
  metadata: [3, 7, 'Metadata'],
  offsetCommit: [8, 7, 'OffsetCommit'],
  offsetFetch: [9, 5, 'OffsetFetch'],
  findCoordinator: [10, 2, 'FindCoordinator'],
  joinGroup: [11, 5, 'JoinGroup'],
  heartbeat: [12, 3, 'Heartbeat'],
  leaveGroup: [13, 3, 'LeaveGroup'],
  syncGroup: [14, 3, 'SyncGroup'],
  apiVersions: [18, 0, 'ApiVersions'],
  createTopics: [19, 4, 'CreateTopics'],
  deleteTopics: [20, 3, 'DeleteTopics'],
  deleteRecords: [21, 1, 'DeleteRecords'],
  initProducerId: [22, 1, 'InitProducerId'],
  offsetForLeaderEpoch: [23, 3, 'OffsetForLeaderEpoch'],
  addPartitionsToTxn: [24, 1, 'AddPartitionsToTxn'],
  addOffsetsToTxn: [25, 1, 'AddOffsetsToTxn'],
  endTxn: [26, 1, 'EndTxn'],
  txnOffsetCommit: [28, 3, 'TxnOffsetCommit'],
  describeConfigs: [32, 2, 'DescribeConfigs'],
  incrementalAlterConfigs: [44, 0, 'IncrementalAlterConfigs'],
} as const satisfies Record<string, Api>

export interface TopicParts<T> {
  readonly topic: string
  readonly parts: readonly T[]
}

const NOTHING = Buffer.alloc(0)

/** acks=all. Written into the given buffer where that is large enough. */
export const produceBody = (
  topics: readonly TopicParts<{ partition: number; bytes: Uint8Array }>[],
  timeoutMs: number,
  transactionalId: string | null = null,
  into: Buffer = NOTHING,
): Buffer => {
  let size = 64
  for (const { topic, parts } of topics) for (const { bytes } of parts) size += topic.length + bytes.length + 32
  return new Out(into.length >= size ? into : size)
    .string(transactionalId)
    .int16(-1)
    .int32(timeoutMs)
    .array(topics, (out, { topic, parts }) =>
      out.string(topic).array(parts, (part, { partition, bytes }) => part.int32(partition).bytes(bytes)),
    )
    .done()
}

export interface ProduceResult {
  readonly topic: string
  readonly partition: number
  readonly code: number
  readonly offset: number
}

export const produceReply = (reply: Buffer): ProduceResult[] => {
  const from = new In(reply)
  const results: ProduceResult[] = []
  from.array(() => {
    const topic = from.string() ?? ''
    from.array(() => {
      results.push({ topic, partition: from.int32(), code: from.int16(), offset: from.int64() })
      from.int64() // log append time
      from.int64() // log start offset
    })
  })
  return results
}

export interface FetchPart {
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
}

export interface FetchLimits {
  readonly maxWaitMs: number
  readonly maxBytes: number
  readonly maxBytesPerPartition: number
}

/** Committed records only. */
export const fetchBody = (topics: readonly TopicParts<FetchPart>[], limits: FetchLimits): Buffer =>
  new Out()
    .int32(-1)
    .int32(limits.maxWaitMs)
    .int32(1)
    .int32(limits.maxBytes)
    .int8(1)
    .int32(0)
    .int32(-1)
    .array(topics, (out, { topic, parts }) =>
      out
        .string(topic)
        .array(parts, (part, { partition, leaderEpoch, offset }) =>
          part.int32(partition).int32(leaderEpoch).int64(offset).int64(-1).int32(limits.maxBytesPerPartition),
        ),
    )
    .int32(0)
    .string('')
    .done()

export interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
}

export interface FetchResult {
  readonly topic: string
  readonly partition: number
  readonly code: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
  readonly aborted: readonly Aborted[]
  readonly records: Buffer | null
}

export const fetchReply = (reply: Buffer): { code: number; results: FetchResult[] } => {
  const from = new In(reply)
  from.int32() // throttle time
  const code = from.int16()
  from.int32() // session id
  const results: FetchResult[] = []
  from.array(() => {
    const topic = from.string() ?? ''
    from.array(() => {
      const partition = from.int32()
      const partCode = from.int16()
      from.int64() // high watermark; committed readers end at the last stable offset
      const lastStableOffset = from.int64()
      const logStartOffset = from.int64()
      const count = from.int32()
      const aborted: Aborted[] = []
      for (let i = 0; i < count; i++) aborted.push({ producerId: from.int64(), firstOffset: from.int64() })
      from.int32() // preferred read replica
      results.push({ topic, partition, code: partCode, lastStableOffset, logStartOffset, aborted, records: from.bytes() })
    })
  })
  return { code, results }
}

export const EARLIEST = -2
export const LATEST = -1

export const listOffsetsBody = (topic: string, parts: readonly { partition: number; timestampMs: number }[]): Buffer =>
  new Out()
    .int32(-1)
    .int8(1)
    .array([topic], (out, name) =>
      out.string(name).array(parts, (part, { partition, timestampMs }) => part.int32(partition).int32(-1).int64(timestampMs)),
    )
    .done()

export const listOffsetsReply = (reply: Buffer): { partition: number; code: number; offset: number; leaderEpoch: number }[] => {
  const from = new In(reply)
  from.int32()
  return from
    .array(() => {
      from.string()
      return from.array(() => {
        const partition = from.int32()
        const code = from.int16()
        from.int64() // timestamp
        return { partition, code, offset: from.int64(), leaderEpoch: from.int32() }
      })
    })
    .flat()
}

export const epochEndBody = (topic: string, partition: number, leaderEpoch: number): Buffer =>
  new Out()
    .int32(-1)
    .array([topic], (out, name) => out.string(name).array([partition], (part, number) => part.int32(number).int32(-1).int32(leaderEpoch)))
    .done()

export const epochEndReply = (reply: Buffer): { code: number; leaderEpoch: number; endOffset: number } => {
  const from = new In(reply)
  from.int32()
  return from
    .array(() => {
      from.string()
      return from.array(() => {
        const code = from.int16()
        from.int32()
        return { code, leaderEpoch: from.int32(), endOffset: from.int64() }
      })
    })
    .flat()[0]!
}

/** null asks for all topics. */
export const metadataBody = (topics: readonly string[] | null): Buffer => {
  const out = new Out()
  if (topics === null) out.int32(-1)
  else out.array(topics, (item, topic) => item.string(topic))
  return out.int8(0).done()
}

export interface PartitionLeader {
  readonly code: number
  readonly partition: number
  readonly leader: number
  readonly leaderEpoch: number
}

export interface Metadata {
  readonly brokers: { id: number; host: string; port: number }[]
  readonly clusterId: string
  /** Where topics are created and deleted. */
  readonly controller: number
  readonly topics: { code: number; name: string; partitions: PartitionLeader[] }[]
}

export const metadataReply = (reply: Buffer): Metadata => {
  const from = new In(reply)
  from.int32()
  const brokers = from.array(() => {
    const broker = { id: from.int32(), host: from.string() ?? '', port: from.int32() }
    from.string() // rack
    return broker
  })
  const clusterId = from.string() ?? ''
  const controller = from.int32()
  const topics = from.array(() => {
    const code = from.int16()
    const name = from.string() ?? ''
    from.int8() // internal
    const partitions = from.array(() => {
      const found = { code: from.int16(), partition: from.int32(), leader: from.int32(), leaderEpoch: from.int32() }
      for (let lists = 0; lists < 3; lists++) from.array(() => from.int32()) // replicas, in sync, offline
      return found
    })
    return { code, name, partitions: partitions.sort((a, b) => a.partition - b.partition) }
  })
  return { brokers, clusterId, controller, topics }
}

export const apiVersionsBody = (): Buffer => Buffer.alloc(0)

/** Oldest and newest version the broker serves, by key of the request. */
export const apiVersionsReply = (reply: Buffer): Map<number, { oldest: number; newest: number }> => {
  const from = new In(reply)
  from.int16() // error code: version 0 is always served
  return new Map(from.array(() => [from.int16(), { oldest: from.int16(), newest: from.int16() }]))
}
