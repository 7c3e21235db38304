// Bodies of the requests we write ourselves, all in versions without tagged fields that Kafka 2.3 to 4.x serve:
// Produce 7, Fetch 11, ListOffsets 4, Metadata 7, OffsetForLeaderEpoch 3.

export const API = {
  produce: [0, 7, 'Produce'],
  fetch: [1, 11, 'Fetch'],
  listOffsets: [2, 4, 'ListOffsets'],
  metadata: [3, 7, 'Metadata'],
  offsetForLeaderEpoch: [23, 3, 'OffsetForLeaderEpoch'],
} as const

export class Out {
  private buffer: Buffer
  private at = 0

  constructor(size = 256) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  private need(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes))
    this.buffer.copy(larger, 0, 0, this.at)
    this.buffer = larger
  }

  int8(value: number): this {
    this.need(1)
    this.at = this.buffer.writeInt8(value, this.at)
    return this
  }

  int16(value: number): this {
    this.need(2)
    this.at = this.buffer.writeInt16BE(value, this.at)
    return this
  }

  int32(value: number): this {
    this.need(4)
    this.at = this.buffer.writeInt32BE(value, this.at)
    return this
  }

  int64(value: number): this {
    this.need(8)
    this.at = this.buffer.writeBigInt64BE(BigInt(value), this.at)
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const length = Buffer.byteLength(value)
    this.int16(length).need(length)
    this.at += this.buffer.write(value, this.at)
    return this
  }

  /** Bytes with their length in front. */
  bytes(value: Uint8Array): this {
    this.int32(value.length).need(value.length)
    this.buffer.set(value, this.at)
    this.at += value.length
    return this
  }

  array<T>(items: readonly T[], write: (out: Out, item: T) => void): this {
    this.int32(items.length)
    for (const item of items) write(this, item)
    return this
  }

  done(): Buffer {
    return this.buffer.subarray(0, this.at)
  }
}

export class In {
  private readonly buffer: Buffer
  private at = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  int8(): number {
    return this.buffer.readInt8(this.at++)
  }

  int16(): number {
    this.at += 2
    return this.buffer.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.buffer.readInt32BE(this.at - 4)
  }

  int64(): number {
    this.at += 8
    return Number(this.buffer.readBigInt64BE(this.at - 8))
  }

  string(): string | null {
    const length = this.int16()
    if (length < 0) return null
    this.at += length
    return this.buffer.toString('utf8', this.at - length, this.at)
  }

  /** A view into the reply. */
  bytes(): Buffer | null {
    const length = this.int32()
    if (length < 0) return null
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }

  array<T>(read: () => T): T[] {
    const length = this.int32()
    const items: T[] = []
    for (let i = 0; i < length; i++) items.push(read())
    return items
  }
}

export interface TopicParts<T> {
  readonly topic: string
  readonly parts: readonly T[]
}

/** acks=all. */
export const produceBody = (topics: readonly TopicParts<{ partition: number; bytes: Uint8Array }>[], timeoutMs: number): Buffer => {
  let size = 64
  for (const { topic, parts } of topics) for (const { bytes } of parts) size += topic.length + bytes.length + 32
  return new Out(size)
    .string(null)
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
  from.int32() // controller
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
  return { brokers, clusterId, topics }
}
