// The storage of the in-memory log: topics, partitions with leader epochs, and groups. Several logs may share one store,
// as several processes share a broker. It can lose its tail like a broker that lost power, so that recovery can be tested.

import { logError } from './log-error.ts'
import { headersAsMap } from './encoded-headers.ts'
import type { Append, LogRecord, Position, RecordBatch } from './port.ts'
import { RecordList } from './record-list.ts'

export class MemoryRecord implements LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly leaderEpoch: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: Buffer | null
  private readonly map: Readonly<Record<string, string>>

  constructor(
    topic: string,
    partition: number,
    at: { offset: number; leaderEpoch: number },
    content: { timestampMs: number; key: string | null; value: Uint8Array | null; headers: Append['headers'] },
  ) {
    this.topic = topic
    this.partition = partition
    this.offset = at.offset
    this.leaderEpoch = at.leaderEpoch
    this.timestampMs = content.timestampMs
    this.key = content.key
    this.value = content.value === null ? null : Buffer.from(content.value)
    this.map = { ...headersAsMap(content.headers) }
  }

  header(name: string): string | undefined {
    return Object.hasOwn(this.map, name) ? this.map[name] : undefined
  }

  headers(): Record<string, string> {
    return { ...this.map }
  }
}

export class MemoryPartition {
  readonly topic: string
  readonly partition: number
  low = 0
  leaderEpoch = 0
  records: MemoryRecord[] = []
  /** Readers to be told about new records. */
  readonly readers = new Set<() => void>()
  /** Readers to be told that the leader epoch rose. */
  readonly doubters = new Set<() => void>()

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get high(): number {
    return this.low + this.records.length
  }

  append(content: { timestampMs: number; key: string | null; value: Uint8Array | null; headers: Append['headers'] }): MemoryRecord {
    const record = new MemoryRecord(this.topic, this.partition, { offset: this.high, leaderEpoch: this.leaderEpoch }, content)
    this.records.push(record)
    return record
  }

  /** True if a record of that place is there or has been removed by retention. */
  holds({ leaderEpoch, offset }: Position): boolean {
    return offset < this.low || this.records[offset - this.low]?.leaderEpoch === leaderEpoch
  }

  tell(): void {
    for (const reader of this.readers) reader()
  }

  batch(from: number, to: number, maxRecords: number): RecordBatch {
    const end = Math.min(to, this.high, from + maxRecords)
    return new RecordList(this.topic, this.partition, this.records.slice(from - this.low, end - this.low), end, this.high)
  }
}

export interface MemoryMember {
  readonly id: number
  readonly topics: readonly string[]
  /** Gives up partitions that are not in the list; resolves when their work has ended. */
  revoke(keep: ReadonlySet<string>): Promise<void>
  grant(wanted: readonly { topic: string; partition: number }[]): void
}

/** A consumer group: commits, members, and who has what. Rebalances are serialised. */
export class MemoryGroup {
  readonly committed = new Map<string, number>()
  private members: MemoryMember[] = []
  private turn: Promise<void> = Promise.resolve()
  private readonly store: MemoryStore

  constructor(store: MemoryStore) {
    this.store = store
  }

  join(member: MemoryMember): Promise<void> {
    this.members.push(member)
    return this.rebalance()
  }

  leave(member: MemoryMember): Promise<void> {
    this.members = this.members.filter((other) => other !== member)
    return this.rebalance()
  }

  private rebalance(): Promise<void> {
    const next = this.turn.then(async () => {
      const members = [...this.members]
      const plan = new Map(members.map((member) => [member, [] as { topic: string; partition: number }[]]))
      for (const topic of new Set(members.flatMap((member) => [...member.topics]))) {
        const readers = members.filter((member) => member.topics.includes(topic)).sort((a, b) => a.id - b.id)
        for (const { partition } of this.store.topic(topic).partitions)
          plan.get(readers[partition % readers.length]!)!.push({ topic, partition })
      }
      await Promise.all(
        members.map((member) => member.revoke(new Set(plan.get(member)!.map(({ topic, partition }) => `${topic}/${partition}`)))),
      )
      for (const member of members) member.grant(plan.get(member)!)
    })
    this.turn = next.catch(() => undefined)
    return next
  }
}

export interface MemoryTopic {
  readonly name: string
  configs: Record<string, string>
  readonly partitions: MemoryPartition[]
}

export class MemoryStore {
  readonly topics = new Map<string, MemoryTopic>()
  readonly groups = new Map<string, MemoryGroup>()
  private readonly defaultPartitions: number

  constructor(defaultPartitions: number) {
    this.defaultPartitions = defaultPartitions
  }

  /** The topic; one that nobody created comes into being with the default number of partitions. */
  topic(name: string): MemoryTopic {
    return this.topics.get(name) ?? this.create(name, this.defaultPartitions)
  }

  create(name: string, partitions: number): MemoryTopic {
    const topic = {
      name,
      configs: {},
      partitions: Array.from({ length: partitions }, (_, partition) => new MemoryPartition(name, partition)),
    }
    this.topics.set(name, topic)
    return topic
  }

  partition(topic: string, partition: number): MemoryPartition {
    const found = this.topic(topic).partitions[partition]
    if (!found) throw logError('fatal', 'ANDON_LOG_NO_PARTITION', `Topic ${topic} has no partition ${partition}`)
    return found
  }

  group(name: string): MemoryGroup {
    const group = this.groups.get(name) ?? new MemoryGroup(this)
    this.groups.set(name, group)
    return group
  }

  /** Power loss: records from `offset` on are gone, the leader epoch rises, every reader is in doubt. */
  cut(topic: string, partition: number, offset: number): void {
    const part = this.partition(topic, partition)
    part.records.length = Math.max(0, Math.min(part.records.length, offset - part.low))
    part.leaderEpoch++
    for (const doubt of part.doubters) doubt()
    part.tell()
  }

  /** Retention: records below `offset` are gone. */
  trim(topic: string, partition: number, offset: number): void {
    const part = this.partition(topic, partition)
    part.records.splice(0, Math.max(0, Math.min(part.records.length, offset - part.low)))
    part.low = Math.max(part.low, offset)
  }
}
