// Appends with sequence numbers of our own: one request per broker is outstanding, and on any doubt the same bytes with
// the same sequence are sent again, so a record is stored once whether or not its answer arrived. Calls that come in
// while a request is on its way travel together in the next one.

import { LogError } from '../../errors.ts'
import { appendedList } from '../appended.ts'
import { logError } from '../log-error.ts'
import type { Append, AppendOptions, AppendedRecords } from '../port.ts'
import { AppendQueue, Call } from './append-queue.ts'
import { Lanes, Round } from './append-round.ts'
import type { Batch, RoundLimits } from './append-round.ts'
import { appendRefusal, graver, toLogError } from './errors.ts'
import { API, produceBody, produceReply } from './protocol.ts'
import type { ProducerIdentity } from './protocol-transactions.ts'
import { pause } from './transport.ts'
import type { Transport } from './transport.ts'

/** How appends are put together. Every limit is per request of one producer; defaults suit a service. */
export interface AppendLimits {
  /** Most records in a request. Default 4000. */
  readonly maxRequestRecords?: number
  /** Most bytes in a request. Default 8 MiB. */
  readonly maxRequestBytes?: number
  /** Most bytes of one partition in a request, below the topic's max.message.bytes. Default 900 000. */
  readonly maxBatchBytes?: number
  /** Most bytes of appends that are under way; further ones wait for room. Default 64 MiB. */
  readonly maxQueuedBytes?: number
  /**
   * How long a request that is not full waits for more records, ms. Default 0: nobody waits while nothing is on its way;
   * what comes in meanwhile travels together anyway.
   */
  readonly lingerMs?: number
}

export interface ProducerOptions extends AppendLimits {
  /** How long one append goes on trying before it rejects. */
  readonly deadlineMs: number
  /** Put before topic names. */
  readonly prefix: string
  /** Codec of a topic's batches (names at the broker); topics that are not named are not compressed. */
  readonly codecs: ReadonlyMap<string, number>
  /** Of a transactional producer, which is thrown away after any failure. */
  readonly transaction?: {
    readonly transactionalId: string
    readonly identity: ProducerIdentity
    /** Called before anything is sent to these partitions (names at the broker). */
    join(partitions: readonly { topic: string; partition: number }[]): Promise<void>
  }
}

/** Below the broker's default of 1 MiB per batch, overhead and headers included. */
const BATCH_BYTES = 900_000
const REQUEST_RECORDS = 4000
const REQUEST_BYTES = 8 * 1024 * 1024
const QUEUED_BYTES = 64 * 1024 * 1024
const REQUEST_TIMEOUT_MS = 10_000
/** Even at the end of its time a request gets this long. */
const LEAST_TIMEOUT_MS = 500
const FIRST_PAUSE_MS = 50
const LAST_PAUSE_MS = 1000

export class Producer {
  private readonly transport: Transport
  private readonly options: ProducerOptions
  private readonly limits: RoundLimits
  private readonly queue: AppendQueue
  private readonly lanes: Lanes
  private identity: ProducerIdentity | undefined
  private working: Promise<void> | undefined
  private endOfLinger: (() => void) | undefined
  /** Where the next request to a broker is written: a new one for every request would keep the garbage collector busy. */
  private readonly requests = new Map<number, Buffer>()

  constructor(transport: Transport, options: ProducerOptions) {
    this.transport = transport
    this.options = options
    this.limits = {
      maxRequestRecords: options.maxRequestRecords ?? REQUEST_RECORDS,
      maxRequestBytes: options.maxRequestBytes ?? REQUEST_BYTES,
      maxBatchBytes: options.maxBatchBytes ?? BATCH_BYTES,
    }
    this.queue = new AppendQueue(options.maxQueuedBytes ?? QUEUED_BYTES, () => this.start())
    this.lanes = new Lanes(options.prefix, this.limits)
  }

  append(records: readonly Append[], options: AppendOptions = {}): Promise<AppendedRecords> {
    if (records.length === 0) return Promise.resolve(appendedList([]))
    const call = new Call(records, options, Date.now() + this.options.deadlineMs)
    if (this.queue.add(call)) this.start()
    return call.result
  }

  /** How full the queue is, 0 … 1. */
  get pressure(): number {
    return this.queue.pressure
  }

  /** Resolves when nothing is queued or outstanding. */
  async drained(): Promise<void> {
    while (!this.queue.isEmpty || this.working) {
      this.endOfLinger?.()
      await (this.working ?? pause(FIRST_PAUSE_MS))
    }
  }

  private start(): void {
    this.working ??= this.work()
    if (this.endOfLinger && this.isWorthARequest()) this.endOfLinger()
  }

  private async work(): Promise<void> {
    await Promise.resolve() // calls made in the same turn travel together
    while (this.queue.calls.length > 0) {
      if (this.options.lingerMs) await this.linger(this.options.lingerMs)
      // At least one good try, however long the call has waited behind others.
      const end = Math.max(this.queue.calls[0]!.endMs, Date.now() + 1000)
      const calls: Call[] = []
      try {
        if (!this.identity) await this.untilThere(end)
        const { batches } = await this.fill(calls, end)
        await this.send(batches, end)
      } catch (error) {
        // What was under way is in doubt: with a new producer id its sequence numbers bind nobody.
        this.identity = undefined
        this.lanes.clear()
        const failure = toLogError(error, 'Appending')
        for (const call of this.queue.calls) if (call.endMs <= end) this.fail(call, failure)
        for (const call of calls) this.fail(call, failure)
      }
      this.queue.prune()
    }
    this.working = undefined
  }

  /** Waits for company, until there is enough for a request. */
  private async linger(ms: number): Promise<void> {
    if (this.isWorthARequest()) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.endOfLinger?.(), ms)
      this.endOfLinger = () => {
        clearTimeout(timer)
        this.endOfLinger = undefined
        resolve()
      }
    })
  }

  private isWorthARequest(): boolean {
    let records = 0
    let bytes = 0
    for (const call of this.queue.calls) {
      records += call.records.length - call.taken
      bytes += call.bytes
      if (records >= this.limits.maxRequestRecords || bytes >= this.limits.maxRequestBytes) return true
    }
    return false
  }

  private fail(call: Call, error: LogError): void {
    if (call.hasSettled) return
    call.reject(error)
    this.queue.left(call)
  }

  /** Gets a producer id; after a broker start its coordinator may need a moment. */
  private async untilThere(end: number): Promise<void> {
    await this.retrying(end, async () => {
      this.identity ??= this.options.transaction?.identity ?? (await this.transport.initProducer())
    })
  }

  /** Moves records from the queue into one batch per partition, in order, as far as they fit. */
  private async fill(calls: Call[], end: number): Promise<Round> {
    const round = new Round()
    try {
      for (const call of this.queue.calls) {
        if (call.hasSettled) continue
        if (call.atomic && round.records > 0) break
        let partitions: ReadonlyMap<string, number>
        try {
          partitions = await this.partitionsOf(call, end)
        } catch (error) {
          this.fail(call, toLogError(error, 'Appending'))
          continue
        }
        calls.push(call)
        if (!this.take(call, round, partitions)) break
      }
    } finally {
      round.close()
    }
    return round
  }

  /** A call whose records are none - a text for a value - fails for good; those of its round may be tried again. */
  private take(call: Call, round: Round, partitions: ReadonlyMap<string, number>): boolean {
    try {
      return this.lanes.take(call, round, partitions)
    } catch (error) {
      if (error instanceof LogError) throw error
      const what = `Record ${call.taken} of an append cannot be written (${error instanceof Error ? error.message : String(error)})`
      this.fail(call, logError('fatal', 'ANDON_LOG_BAD_RECORD', `${what}: values are bytes or null, keys texts or null`, error))
      throw logError('retriable', 'ANDON_LOG_UNAVAILABLE', 'Appending: a record of another call could not be written')
    }
  }

  /** Number of partitions of each topic of the call, all of whose own partition numbers exist. */
  private async partitionsOf(call: Call, end: number): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (const { topic, lowest, highest } of call.topics) {
      const name = this.options.prefix + topic
      let count = this.transport.known(name)?.length
      if (count === undefined)
        await this.retrying(end, async () => {
          count = (await this.transport.leaders(name)).length
        })
      if (highest >= count! || lowest < 0)
        throw logError('fatal', 'ANDON_LOG_NO_PARTITION', `Topic ${topic} has no partition ${lowest < 0 ? lowest : highest}`)
      counts.set(topic, count!)
    }
    return counts
  }

  private async send(batches: readonly Batch[], end: number): Promise<void> {
    const { id, epoch } = this.identity!
    for (const batch of batches) {
      const { lane } = batch
      const bytes = lane.writer.takeAside(
        { id, epoch, sequence: lane.sequence },
        { codec: this.options.codecs.get(lane.topic) ?? 0, transactional: this.options.transaction !== undefined },
      )
      batch.bytes = bytes instanceof Promise ? await bytes : bytes
    }
    await this.options.transaction?.join(batches.map(({ lane }) => lane))
    let left = [...batches]
    let inDoubt = false
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LAST_PAUSE_MS)) {
      let failure: LogError | undefined
      try {
        if (inDoubt) await this.refresh(left)
        const byNode = await this.byLeader(left)
        const answers = await Promise.allSettled([...byNode].map(([node, group]) => this.sendTo(node, group, end)))
        for (const answer of answers) if (answer.status === 'rejected') failure = graver(failure, toLogError(answer.reason, 'Appending'))
      } catch (error) {
        failure = graver(failure, toLogError(error, 'Appending'))
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
  private async sendTo(node: number, batches: readonly Batch[], end: number): Promise<void> {
    const timeoutMs = Math.min(REQUEST_TIMEOUT_MS, Math.max(LEAST_TIMEOUT_MS, end - Date.now()))
    const topics = new Map<string, { topic: string; parts: { partition: number; bytes: Uint8Array }[] }>()
    for (const { lane, bytes } of batches) {
      const topic = topics.get(lane.topic) ?? { topic: lane.topic, parts: [] }
      topics.set(lane.topic, topic)
      topic.parts.push({ partition: lane.partition, bytes: bytes! })
    }
    const connection = await this.transport.connectionTo(node, API.produce, timeoutMs)
    for (const batch of batches) if (batch.lane.connection !== connection) await this.checkTail(batch)
    const into = this.roomFor(node, batches)
    const { body } = await this.transport.call(
      node,
      API.produce,
      produceBody([...topics.values()], 10_000, this.options.transaction?.transactionalId, into),
      { connection, timeoutMs },
    )
    if (into.length <= 2 * this.limits.maxRequestBytes) this.requests.set(node, into)
    const found = new Map(batches.map((batch) => [`${batch.lane.topic}/${batch.lane.partition}`, batch]))
    let failure: LogError | undefined
    for (const { topic, partition, code, offset } of produceReply(body)) {
      const batch = found.get(`${topic}/${partition}`)!
      if (code === 0) this.acknowledge(batch, offset, connection)
      else {
        const reason = appendRefusal(topic, partition, code, this.options.transaction !== undefined)
        if (reason.kind === 'retriable') failure = graver(failure, reason)
        else this.refuse(batch, reason)
      }
    }
    if (failure) throw failure
  }

  /** A request in doubt may be on its way still, so its bytes are left alone: the buffer comes back with the answer only. */
  private roomFor(node: number, batches: readonly Batch[]): Buffer {
    let bytes = 256
    for (const batch of batches) bytes += batch.bytes!.length + batch.lane.topic.length * 3 + 32
    const known = this.requests.get(node)
    this.requests.delete(node)
    return known && known.length >= bytes ? known : Buffer.allocUnsafeSlow(bytes * 2)
  }

  /**
   * Before anything is sent over a new connection: what was acknowledged last, to us and to the callers, must still be
   * there. Otherwise records before these are missing, and the callers have to work them out again first.
   */
  private async checkTail({ lane, parts }: Batch): Promise<void> {
    const { topic, partition, plainName } = lane
    const marks = parts.flatMap(({ call }) => call.after.filter((mark) => mark.topic === plainName && mark.partition === partition))
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
    const { lane, parts } = batch
    const leaderEpoch = this.transport.known(lane.topic)?.[lane.partition]?.leaderEpoch ?? -1
    const { count } = lane.writer
    lane.sequence = (lane.sequence + count) % 0x80000000
    lane.last = { leaderEpoch, offset: firstOffset + count - 1 }
    lane.connection = connection
    batch.bytes = undefined
    let offset = firstOffset
    for (const { call, run } of parts) {
      run.leaderEpoch = leaderEpoch
      run.firstOffset = offset
      offset += run.count
      call.acknowledged += run.count
      if (call.acknowledged < call.records.length || call.hasSettled) continue
      call.resolve()
      this.queue.left(call)
    }
  }

  /** The broker took nothing of this batch and never will: its calls fail, the sequence goes on with the next one. */
  private refuse(batch: Batch, reason: LogError): void {
    batch.bytes = undefined
    for (const { call } of batch.parts) this.fail(call, reason)
  }

  private async byLeader(batches: readonly Batch[]): Promise<Map<number, Batch[]>> {
    const nodes = new Map<number, Batch[]>()
    for (const batch of batches) {
      const { topic, partition } = batch.lane
      const known = this.transport.known(topic)?.[partition]?.leader ?? -1
      const leader = known < 0 ? (await this.transport.leader(topic, partition)).leader : known
      const group = nodes.get(leader)
      if (group) group.push(batch)
      else nodes.set(leader, [batch])
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
