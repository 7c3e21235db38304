// A run: group membership, one runner per assigned partition, and commits.

import { PartitionRunner } from '../partition-runner.ts'
import type { Run, RunOptions } from '../port.ts'
import { CODE, brokerCodeOf } from './errors.ts'
import { GroupMember } from './group.ts'
import type { TopicPartition } from './group.ts'
import type { KafkaContext } from './log.ts'
import { MAX_BYTES, MAX_BYTES_PER_PARTITION, Reader } from './reader.ts'
import { startOffset } from './start-offset.ts'
import type { Transport } from './transport.ts'

const idOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

/** What a run that commits its positions by other means needs of it. */
export interface OwnCommits {
  readonly member: GroupMember
  /** The position may no longer hold: `onDoubt` is asked before the next batch. */
  doubt(topic: string, partition: number): void
}

/** `made` is given the run before its first assignment and takes over committing. */
export const runKafka = async (context: KafkaContext, options: RunOptions, made?: (run: OwnCommits) => void): Promise<Run> => {
  const { prefix, transport: lookups } = context
  for (const topic of options.topics) await lookups.leaders(prefix + topic)
  const transport = await context.open()
  const instance = takeInstance(context, options.group)
  const running = new KafkaRun(context, options, transport, made === undefined, instance)
  if (instance !== null) running.ended.catch(() => undefined).finally(() => context.named.delete(options.group))
  made?.(running)
  try {
    await running.member.joined
  } catch (error) {
    await running.stop()
    throw error
  }
  return running
}

/** The name of this process in a group. One member has it; further runs of the group in this process go without. */
const takeInstance = ({ named, options }: KafkaContext, group: string): string | null => {
  if (options.instance === undefined || named.has(group)) return null
  named.add(group)
  return options.instance
}

class KafkaRun implements Run, OwnCommits {
  readonly ended: Promise<void>
  readonly member: GroupMember
  private readonly context: KafkaContext
  private readonly options: RunOptions
  private readonly transport: Transport
  private readonly commits: boolean
  private readonly reader: Reader
  /** By topic at the broker and partition. */
  private readonly runners = new Map<string, PartitionRunner>()
  private readonly end = Promise.withResolvers<void>()
  private timer: NodeJS.Timeout | undefined
  private committing: Promise<void> = Promise.resolve()
  private stopping: Promise<void> | undefined

  constructor(context: KafkaContext, options: RunOptions, transport: Transport, commits: boolean, instance: string | null) {
    this.context = context
    this.options = options
    this.transport = transport
    this.commits = commits
    this.ended = this.end.promise
    this.ended.catch(() => undefined) // whoever cares awaits `ended`
    const { prefix, timing } = context
    this.reader = new Reader(transport, {
      maxWaitMs: options.maxWaitMs ?? 500,
      maxBytesPerPartition: options.maxBytesPerPartition ?? MAX_BYTES_PER_PARTITION,
      maxBytes: options.maxBytes ?? MAX_BYTES,
      plainName: (topic) => topic.slice(prefix.length),
      onFatal: (error) => this.fail(error),
    })
    this.member = new GroupMember(
      transport,
      {
        ...timing,
        groupId: prefix + options.group,
        topics: options.topics.map((topic) => prefix + topic),
        instance,
        stays: context.options.instanceStays ?? false,
      },
      {
        hold: () => this.hold(),
        assigned: (partitions, committed) => this.assign(partitions, committed),
        lost: () => this.lose(),
        onFatal: (error) => this.fail(error),
      },
    )
  }

  assigned(): readonly TopicPartition[] {
    return [...this.runners.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  doubt(topic: string, partition: number): void {
    this.runners.get(`${this.context.prefix}${topic}/${partition}`)?.doubt()
  }

  stop(): Promise<void> {
    return this.finish()
  }

  private fail(error: unknown): void {
    void this.finish(error)
  }

  private finish(error?: unknown): Promise<void> {
    this.stopping ??= (async () => {
      clearTimeout(this.timer)
      const reading = this.reader.stop()
      if (!this.member.isMember) for (const runner of this.runners.values()) runner.lose()
      await Promise.all([...this.runners.values()].map((runner) => runner.close()))
      await this.commit().catch(() => undefined) // the next owner sees some records again
      await this.member.leave()
      await this.transport.close()
      await reading
      if (error === undefined) this.end.resolve()
      else this.end.reject(error)
    })()
    return this.stopping
  }

  private async hold(): Promise<void> {
    await Promise.all([...this.runners.values()].map((runner) => runner.hold()))
    await this.commit().catch(() => undefined)
  }

  private async assign(
    partitions: readonly TopicPartition[],
    committed: (partitions: readonly TopicPartition[]) => Promise<Map<string, number>>,
  ): Promise<void> {
    const wanted = new Set(partitions.map(idOf))
    // Their new owners may be at work already: nothing more is written on their behalf.
    await this.giveUp([...this.runners.keys()].filter((id) => !wanted.has(id)))
    const added = partitions.filter((partition) => !this.runners.has(idOf(partition)))
    const offsets = await committed(added)
    if (this.stopping) return
    for (const runner of this.runners.values()) runner.release()
    for (const partition of added) this.add(partition, offsets.get(idOf(partition)))
  }

  private async lose(): Promise<void> {
    await this.giveUp([...this.runners.keys()])
  }

  private async giveUp(ids: readonly string[]): Promise<void> {
    await Promise.all(
      ids.map(async (id) => {
        const runner = this.runners.get(id)!
        this.runners.delete(id)
        this.reader.remove(id.slice(0, id.lastIndexOf('/')), runner.partition)
        runner.lose()
        await runner.close()
      }),
    )
  }

  private add({ topic, partition }: TopicPartition, committed: number | undefined): void {
    const { prefix, transport: lookups } = this.context
    const runner = new PartitionRunner(topic.slice(prefix.length), partition, this.options, {
      resolve: (_topic, number, at) => startOffset(lookups, topic, number, at),
      onHungry: () => this.reader.hungry(),
      onProgress: () => this.armCommit(),
      onHandled: (batch) => this.reader.handled(batch),
      onFatal: (error) => this.fail(error),
    })
    this.runners.set(idOf({ topic, partition }), runner)
    this.reader.add(topic, runner, lookups.known(topic)?.[partition]?.leaderEpoch)
    runner.start(committed)
  }

  private armCommit(): void {
    if (this.timer || this.stopping || !this.commits) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.commit().catch(() => this.armCommit())
    }, this.options.commitEveryMs ?? 1000)
  }

  /** Commits what moved, one request at a time. A refusal for a rebalance is nothing: the next commit says the same. */
  private commit(): Promise<void> {
    if (!this.commits) return Promise.resolve()
    const next = this.committing.then(async () => {
      const positions: (TopicPartition & { offset: number; runner: PartitionRunner })[] = []
      for (const [id, runner] of this.runners) {
        const offset = runner.uncommitted()
        if (offset !== undefined) positions.push({ topic: id.slice(0, id.lastIndexOf('/')), partition: runner.partition, offset, runner })
      }
      if (positions.length === 0) return
      try {
        await this.member.commit(positions)
      } catch (error) {
        const code = brokerCodeOf(error)
        if (code !== CODE.illegalGeneration && code !== CODE.unknownMemberId && code !== CODE.fencedInstanceId) throw error
        return // the next heartbeat hears the same and gives up the partitions
      }
      for (const { runner, offset } of positions) runner.markCommitted(offset)
    })
    this.committing = next.catch(() => undefined)
    return next
  }
}
