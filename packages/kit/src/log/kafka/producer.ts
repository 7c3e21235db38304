// Appends with sequence numbers of our own: one request per broker is outstanding, and on any doubt the same bytes with
// the same sequence are sent again, so a record is stored once whether or not its answer arrived. Calls that come in
// while a request is on its way travel together in the next one.

import { LogError } from '../../errors.ts'
import { logError } from '../log-error.ts'
import { murmur2 } from '../murmur2.ts'
import type { Append, AppendOptions, Appended } from '../port.ts'
import { CODE, isProducerState, isTransient, nameOfCode, toLogError } from './errors.ts'
import { API, produceBody, produceReply } from './protocol.ts'
import { BatchWriter, HeaderWriter } from './batch-writer.ts'
import { pause } from './transport.ts'
import type { Transport } from './transport.ts'

export interface ProducerOptions {
  /** How long one append goes on trying before it rejects. */
  readonly deadlineMs: number
  /** Put before topic names. */
  readonly prefix: string
  /** Batches of these topics (names at the broker) are compressed. */
  readonly zstdTopics: ReadonlySet<string>
}

/** Below the broker's default of 1 MiB per batch, overhead and headers included. */
const BATCH_BYTES = 900_000
const ATOMIC_BATCH_BYTES = 64 * 1024 * 1024
const ROUND_RECORDS = 4000
const ROUND_BYTES = 8 * 1024 * 1024
const FIRST_PAUSE_MS = 50
const LAST_PAUSE_MS = 1000

interface Call {
  readonly records: readonly Append[]
  readonly atomic: boolean
  readonly after: NonNullable<AppendOptions['after']>
  readonly endMs: number
  readonly results: Appended[]
  /** Records that are in batches already. */
  taken: number
  acknowledged: number
  failed: boolean
  readonly resolve: (results: Appended[]) => void
  readonly reject: (error: LogError) => void
}

/** What the broker acknowledged last on a partition, and the next sequence number. */
interface Lane {
  /** Name at the broker. */
  readonly topic: string
  readonly plainName: string
  readonly partition: number
  readonly writer: BatchWriter
  sequence: number
  last: { leaderEpoch: number; offset: number } | undefined
  connection: object | undefined
}

interface Batch {
  readonly lane: Lane
  /** Whose record lies at each place of the batch, and which of that call's records it is. */
  readonly calls: Call[]
  readonly indexes: number[]
  bytes: Buffer | undefined
}

/** Keys are few compared with records: their bytes and hashes are kept. */
interface Key {
  readonly bytes: Buffer
  readonly hash: number
}

const MOST_KEYS = 10_000

export class Producer {
  private readonly transport: Transport
  private readonly options: ProducerOptions
  private readonly lanes = new Map<string, Lane[]>()
  private readonly keys = new Map<string, Key>()
  private readonly headers = new HeaderWriter()
  private queue: Call[] = []
  private identity: { id: bigint; epoch: number } | undefined
  private working: Promise<void> | undefined
  private roundRobin = 0

  constructor(transport: Transport, options: ProducerOptions) {
    this.transport = transport
    this.options = options
  }

  append(records: readonly Append[], options: AppendOptions = {}): Promise<Appended[]> {
    if (records.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      this.queue.push({
        records,
        atomic: options.atomic === true,
        after: options.after ?? [],
        endMs: Date.now() + this.options.deadlineMs,
        results: [],
        taken: 0,
        acknowledged: 0,
        failed: false,
        resolve,
        reject,
      })
      this.working ??= this.work()
    })
  }

  /** Resolves when nothing is queued or outstanding. */
  async drained(): Promise<void> {
    await this.working
  }

  private async work(): Promise<void> {
    await Promise.resolve() // calls made in the same turn travel together
    while (this.queue.length > 0) {
      // At least one good try, however long the call has waited behind others.
      const end = Math.max(this.queue[0]!.endMs, Date.now() + 1000)
      const calls = new Set<Call>()
      try {
        await this.untilThere(end)
        const batches = await this.fill(calls, end)
        await this.send(batches, end)
      } catch (error) {
        // What was under way is in doubt: with a new producer id its sequence numbers bind nobody.
        this.identity = undefined
        this.lanes.clear()
        const failure = toLogError(error, 'Appending')
        for (const call of this.queue) if (call.endMs <= end) calls.add(call)
        for (const call of calls) this.fail(call, failure)
      }
      this.queue = this.queue.filter((call) => !call.failed && call.taken < call.records.length)
    }
    this.working = undefined
  }

  private fail(call: Call, error: LogError): void {
    if (call.failed || call.acknowledged === call.records.length) return
    call.failed = true
    call.reject(error)
  }

  /** Gets a producer id; after a broker start its coordinator may need a moment. */
  private async untilThere(end: number): Promise<void> {
    await this.retrying(end, async () => {
      this.identity ??= await this.transport.initProducer()
    })
  }

  /** Moves records from the queue into one batch per partition, in order, as far as they fit. */
  private async fill(calls: Set<Call>, end: number): Promise<Batch[]> {
    const batches = new Map<Lane, Batch>()
    let records = 0
    let bytes = 0
    for (const call of this.queue) {
      if (call.failed) continue
      if (call.atomic && records > 0) break
      let partitions: Map<string, number>
      try {
        partitions = await this.partitionsOf(call, end)
      } catch (error) {
        this.fail(call, toLogError(error, 'Appending'))
        continue
      }
      calls.add(call)
      const limit = call.atomic ? ATOMIC_BATCH_BYTES : BATCH_BYTES
      while (call.taken < call.records.length) {
        const record = call.records[call.taken]!
        const key = record.key === null ? null : this.key(record.key)
        const size = (record.value?.length ?? 0) + (key?.bytes.length ?? 0) + 400
        const lane = this.lane(record, key, partitions)
        let batch = batches.get(lane)
        const isFull = batch !== undefined && lane.writer.size + size > limit
        if (isFull && call.atomic)
          throw logError('fatal', 'ANDON_LOG_TOO_LARGE', `An atomic append to ${record.topic}/${lane.partition} exceeds ${limit} bytes`)
        if (isFull || (!call.atomic && (records >= ROUND_RECORDS || bytes > ROUND_BYTES))) return [...batches.values()]
        if (!batch) {
          lane.writer.begin()
          batch = { lane, calls: [], indexes: [], bytes: undefined }
          batches.set(lane, batch)
        }
        batch.calls.push(call)
        batch.indexes.push(call.taken++)
        lane.writer.append(
          key === null ? null : key.bytes,
          record.value,
          Math.trunc(record.timestampMs ?? Date.now()),
          this.headers.write(record.headers),
        )
        records++
        bytes += size
      }
    }
    return [...batches.values()]
  }

  private async partitionsOf(call: Call, end: number): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    for (const { topic, partition = 0 } of call.records) {
      if (!counts.has(topic))
        await this.retrying(end, async () => void counts.set(topic, (await this.transport.leaders(this.options.prefix + topic)).length))
      if (partition >= counts.get(topic)! || partition < 0)
        throw logError('fatal', 'ANDON_LOG_NO_PARTITION', `Topic ${topic} has no partition ${partition}`)
    }
    return counts
  }

  private key(text: string): Key {
    let key = this.keys.get(text)
    if (!key) {
      const bytes = Buffer.from(text)
      key = { bytes, hash: murmur2(bytes) & 0x7fffffff }
      if (this.keys.size >= MOST_KEYS) this.keys.clear()
      this.keys.set(text, key)
    }
    return key
  }

  private lane(record: Append, key: Key | null, partitions: Map<string, number>): Lane {
    const count = partitions.get(record.topic)!
    const partition = record.partition ?? (key === null ? this.roundRobin++ : key.hash) % count
    let lanes = this.lanes.get(record.topic)
    if (!lanes) {
      lanes = []
      this.lanes.set(record.topic, lanes)
    }
    lanes[partition] ??= {
      topic: this.options.prefix + record.topic,
      plainName: record.topic,
      partition,
      writer: new BatchWriter(),
      sequence: 0,
      last: undefined,
      connection: undefined,
    }
    return lanes[partition]
  }

  private async send(batches: readonly Batch[], end: number): Promise<void> {
    for (const batch of batches) {
      const { lane } = batch
      batch.bytes = lane.writer.take({ ...this.identity!, sequence: lane.sequence }, this.options.zstdTopics.has(lane.topic))
    }
    let left = [...batches]
    let inDoubt = false
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LAST_PAUSE_MS)) {
      let failure: LogError | undefined
      try {
        if (inDoubt) await this.refresh(left)
        const byNode = await this.byLeader(left)
        const answers = await Promise.allSettled([...byNode].map(([node, group]) => this.sendTo(node, group)))
        for (const answer of answers) if (answer.status === 'rejected') failure = pick(failure, toLogError(answer.reason, 'Appending'))
      } catch (error) {
        failure = pick(failure, toLogError(error, 'Appending'))
      }
      left = left.filter((batch) => batch.bytes !== undefined)
      if (left.length === 0 && !failure) return
      if (failure && failure.kind !== 'retriable') throw failure
      if (failure?.code === 'ANDON_LOG_TAIL_LOST' || Date.now() + wait > end)
        throw failure ?? logError('retriable', 'ANDON_LOG_TIMEOUT', 'The brokers did not acknowledge in time')
      inDoubt = true
      await pause(wait)
    }
  }

  /** One request to one broker. Acknowledged batches lose their bytes; the others are sent again, unchanged. */
  private async sendTo(node: number, batches: readonly Batch[]): Promise<void> {
    const topics = new Map<string, { topic: string; parts: { partition: number; bytes: Uint8Array }[] }>()
    for (const { lane, bytes } of batches) {
      const topic = topics.get(lane.topic) ?? { topic: lane.topic, parts: [] }
      topics.set(lane.topic, topic)
      topic.parts.push({ partition: lane.partition, bytes: bytes! })
    }
    const connection = await this.transport.connectionTo(node, API.produce)
    for (const batch of batches) if (batch.lane.connection !== connection) await this.checkTail(batch)
    const { body } = await this.transport.call(node, API.produce, produceBody([...topics.values()], 10_000), { connection })
    const found = new Map(batches.map((batch) => [`${batch.lane.topic}/${batch.lane.partition}`, batch]))
    let failure: LogError | undefined
    for (const { topic, partition, code, offset } of produceReply(body)) {
      const batch = found.get(`${topic}/${partition}`)!
      if (code === 0) this.acknowledge(batch, offset, connection)
      else {
        const reason = refusal(topic, partition, code)
        if (reason.kind === 'retriable') failure = pick(failure, reason)
        else this.refuse(batch, reason)
      }
    }
    if (failure) throw failure
  }

  /**
   * Before anything is sent over a new connection: what was acknowledged last, to us and to the callers, must still be
   * there. Otherwise records before these are missing, and the callers have to work them out again first.
   */
  private async checkTail({ lane, calls }: Batch): Promise<void> {
    const { topic, partition, plainName } = lane
    const marks = [...new Set(calls)].flatMap(({ after }) =>
      after.filter((mark) => mark.topic === plainName && mark.partition === partition),
    )
    if (lane.last) marks.push({ topic: plainName, partition, ...lane.last })
    if (marks.length === 0) return
    const ends = new Map<number, number>()
    for (const { leaderEpoch, offset } of marks) {
      if (!ends.has(leaderEpoch)) ends.set(leaderEpoch, await this.transport.endOfEpoch(topic, partition, leaderEpoch))
      const end = ends.get(leaderEpoch)!
      if (end <= offset)
        throw logError('retriable', 'ANDON_LOG_TAIL_LOST', `${topic}/${partition} lost acknowledged records from offset ${end} on`)
    }
    // The new connection may lead to a new leader epoch; Appended says which one.
    await this.transport.refresh([topic])
  }

  private acknowledge(batch: Batch, firstOffset: number, connection: object): void {
    const { lane, calls, indexes } = batch
    const leaderEpoch = this.transport.known(lane.topic)?.[lane.partition]?.leaderEpoch ?? -1
    lane.sequence = (lane.sequence + lane.writer.count) % 0x80000000
    lane.last = { leaderEpoch, offset: firstOffset + calls.length - 1 }
    lane.connection = connection
    batch.bytes = undefined
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!
      call.results[indexes[i]!] = { topic: lane.plainName, partition: lane.partition, leaderEpoch, offset: firstOffset + i }
      if (++call.acknowledged === call.records.length && !call.failed) call.resolve(call.results)
    }
  }

  /** The broker took nothing of this batch and never will: its calls fail, the sequence goes on with the next one. */
  private refuse(batch: Batch, reason: LogError): void {
    batch.bytes = undefined
    for (const call of new Set(batch.calls)) this.fail(call, reason)
  }

  private async byLeader(batches: readonly Batch[]): Promise<Map<number, Batch[]>> {
    const nodes = new Map<number, Batch[]>()
    for (const batch of batches) {
      const { leader } = await this.transport.leader(batch.lane.topic, batch.lane.partition)
      nodes.set(leader, [...(nodes.get(leader) ?? []), batch])
    }
    return nodes
  }

  private async refresh(batches: readonly Batch[]): Promise<void> {
    await this.transport.refresh([...new Set(batches.map(({ lane }) => lane.topic))])
  }

  private async retrying(end: number, step: () => Promise<void>): Promise<void> {
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LAST_PAUSE_MS)) {
      try {
        await step()
        return
      } catch (error) {
        const failure = toLogError(error, 'Appending')
        if (failure.kind !== 'retriable' || failure.code === 'ANDON_LOG_UNKNOWN_TOPIC' || Date.now() + wait > end) throw failure
        await pause(wait)
      }
    }
  }
}

/** The graver of two failures. */
const pick = (a: LogError | undefined, b: LogError): LogError => (a && (a.kind !== 'retriable' || a.code === 'ANDON_LOG_TAIL_LOST') ? a : b)

const refusal = (topic: string, partition: number, code: number): LogError => {
  const what = `Appending to ${topic}/${partition}: ${nameOfCode(code)}`
  if (isProducerState(code))
    return logError('retriable', 'ANDON_LOG_TAIL_LOST', `${what}: the broker does not know what we appended before`)
  if (code === CODE.messageTooLarge)
    return logError('fatal', 'ANDON_LOG_TOO_LARGE', `${what}: a record or batch is larger than the topic allows`)
  return logError(isTransient(code) ? 'retriable' : 'fatal', 'ANDON_LOG_REFUSED', what)
}
