// The storage of the in-memory log: topics, partitions with leader epochs, and groups. Several logs may share one store,
// as several processes share a broker. It can lose its tail like a broker that lost power, so that recovery can be tested.

import { logError } from './log-error.ts'
import { headersAsMap } from './encoded-headers.ts'
import type { Append, LogRecord, Position, RecordBatch } from './port.ts'
import { RecordList } from './record-list.ts'

/** What is stored of an append: bytes of its own, as if they had travelled. */
export interface MemoryContent {
  readonly timestampMs: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

export const contentOf = ({ timestampMs, key, value, headers }: Append, nowMs: number): MemoryContent => ({
  timestampMs: timestampMs ?? nowMs,
  key,
  value: value === null ? null : Buffer.from(value),
  headers: { ...headersAsMap(headers) },
})

export class MemoryRecord implements LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly leaderEpoch: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: Buffer | null
  private readonly map: Readonly<Record<string, string>>

  constructor(topic: string, partition: number, at: { offset: number; leaderEpoch: number }, content: MemoryContent) {
    this.topic = topic
    this.partition = partition
    this.offset = at.offset
    this.leaderEpoch = at.leaderEpoch
    this.timestampMs = content.timestampMs
    this.key = content.key
    this.value = content.value
    this.map = content.headers
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

  append(content: MemoryContent): MemoryRecord {
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

  /** `topic` = the name that the reader knows it by. */
  batch(from: number, to: number, maxRecords: number, topic: string): RecordBatch {
    const end = Math.min(to, this.high, from + maxRecords)
    return new RecordList(topic, this.partition, this.records.slice(from - this.low, end - this.low), end, this.high)
  }
}

/** One member of a group, as the group sees it. */
export interface MemoryMember {
  readonly id: number
  readonly topics: readonly string[]
  /** Ends the work in hand, keeps the positions and takes nothing more until the next `assign`. */
  hold(): Promise<void>
  /** What it has from now on; what it had before and is not in the list belongs to others at once. Resolves when heard. */
  assign(partitions: readonly { topic: string; partition: number }[]): Promise<void>
}

/** A consumer group: commits, members, and who has what. Rebalances are serialised; one waits for every living member. */
export class MemoryGroup {
  readonly committed = new Map<string, number>()
  /** Members, each with what resolves when its session ran out. */
  private readonly members = new Map<MemoryMember, PromiseWithResolvers<void>>()
  private turn: Promise<void> = Promise.resolve()
  private ids = 0
  private readonly store: MemoryStore

  constructor(store: MemoryStore) {
    this.store = store
  }

  nextId(): number {
    return ++this.ids
  }

  has(member: MemoryMember): boolean {
    return this.members.has(member)
  }

  join(member: MemoryMember): Promise<void> {
    this.members.set(member, Promise.withResolvers())
    return this.rebalance()
  }

  /** The member went, or was not heard of for too long: the others go on without waiting for it. */
  leave(member: MemoryMember): Promise<void> {
    this.members.get(member)?.resolve()
    this.members.delete(member)
    return this.rebalance()
  }

  private rebalance(): Promise<void> {
    const next = this.turn.then(async () => {
      const each = (tell: (member: MemoryMember) => Promise<void>) =>
        Promise.all([...this.members].map(([member, { promise: gone }]) => Promise.race([tell(member), gone])))
      await each((member) => member.hold())
      const members = [...this.members.keys()].toSorted((a, b) => a.id - b.id)
      const plan = new Map(members.map((member) => [member, [] as { topic: string; partition: number }[]]))
      for (const topic of new Set(members.flatMap((member) => [...member.topics]))) {
        const readers = members.filter((member) => member.topics.includes(topic))
        for (const { partition } of this.store.topic(topic).partitions)
          plan.get(readers[partition % readers.length]!)!.push({ topic, partition })
      }
      await each(async (member) => member.assign(plan.get(member) ?? []))
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

  /**
   * Stores records of one partition, unless it has lost one of the `marks`: then rejects with ANDON_LOG_TAIL_LOST. Readers
   * are told.
   */
  append(part: MemoryPartition, contents: readonly MemoryContent[], marks: readonly Position[], nowMs: number): Position[] {
    const lost = marks.find((mark) => !part.holds(mark))
    if (lost) throw logError('retriable', 'ANDON_LOG_TAIL_LOST', `${part.topic}/${part.partition} lost the record at offset ${lost.offset}`)
    const hasAppendTime = this.topic(part.topic).configs['message.timestamp.type'] === 'LogAppendTime'
    const places = contents.map((content) => {
      const { leaderEpoch, offset } = part.append(hasAppendTime ? { ...content, timestampMs: nowMs } : content)
      return { leaderEpoch, offset }
    })
    part.tell()
    return places
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
