// Membership in a classic consumer group, with timing of our own: heartbeats run beside the handlers, however long these
// work; a rebalance waits for the batches in hand; partitions that stay with us are not interrupted. A member that has
// not been heard for a session gives up its partitions by itself, before the broker can give them to somebody else.

import { logError } from '../log-error.ts'
import { toLogError, typeOf } from './errors.ts'
import { MemberAssignment, MemberMetadata } from './kafkajs.ts'
import type { Broker } from './kafkajs.ts'
import { pause, settledWithin } from './transport.ts'
import type { Transport } from './transport.ts'
import { assign } from './assign.ts'
import type { Claim } from './assign.ts'

export interface GroupTiming {
  readonly sessionMs: number
  readonly heartbeatMs: number
  readonly rebalanceMs: number
}

export interface GroupOptions extends GroupTiming {
  readonly groupId: string
  /** Names at the broker. */
  readonly topics: readonly string[]
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface GroupHandlers {
  /** Finish the batches in hand and start no other; commit. */
  hold(): Promise<void>
  /** These are ours now (with the committed offset of the new ones); give up all others, then go on. */
  assigned(
    partitions: readonly TopicPartition[],
    committed: (topics: readonly TopicPartition[]) => Promise<Map<string, number>>,
  ): Promise<void>
  /** We may have lost everything: stop at once. */
  lost(): Promise<void>
  onFatal(error: unknown): void
}

const RETRY_PAUSE_MS = 200
const CALL_TIMEOUT_MS = 5000
const PROTOCOL = 'andon-sticky'

export class GroupMember {
  private readonly transport: Transport
  private readonly options: GroupOptions
  private readonly handlers: GroupHandlers
  private memberId = ''
  private generationId = -1
  private coordinator: string | number | undefined
  private owned: TopicPartition[] = []
  private lastHeardMs = 0
  private state: 'out' | 'in' = 'out'
  private leaving = false
  private wake: (() => void) | undefined
  private readonly loop: Promise<void>
  private readonly joinedOnce = Promise.withResolvers<void>()

  constructor(transport: Transport, options: GroupOptions, handlers: GroupHandlers) {
    this.transport = transport
    this.options = options
    this.handlers = handlers
    this.joinedOnce.promise.catch(() => undefined)
    this.loop = this.run()
  }

  /** Resolves when partitions were assigned for the first time. */
  get joined(): Promise<void> {
    return this.joinedOnce.promise
  }

  /** True while our claim on the partitions cannot have been given to another member. */
  get isMember(): boolean {
    return this.state === 'in' && performance.now() - this.lastHeardMs < this.options.sessionMs
  }

  /** Commits positions (next to read). Rejects if we are no member any more. */
  async commit(positions: readonly (TopicPartition & { offset: number })[]): Promise<void> {
    if (this.state !== 'in') throw logError('fenced', 'ANDON_LOG_NO_MEMBER', `No member of ${this.options.groupId} at the moment`)
    const topics = byTopic(positions, ({ partition, offset }) => ({ partition, offset: String(offset), metadata: '' }))
    const { groupId } = this.options
    await this.ask('committing offsets', CALL_TIMEOUT_MS, (broker) =>
      broker.offsetCommit({ groupId, groupGenerationId: this.generationId, memberId: this.memberId, topics }),
    )
  }

  /** Leaves the group; the handlers have ended before. */
  async leave(): Promise<void> {
    this.leaving = true
    this.wake?.()
    await settledWithin(this.loop, 3000) // a join may wait for others much longer
    if (this.memberId === '') return
    const { groupId } = this.options
    await this.ask('leaving the group', 2000, (broker) => broker.leaveGroup({ groupId, memberId: this.memberId })).catch(() => undefined)
  }

  private async run(): Promise<void> {
    try {
      while (!this.leaving) {
        if (this.state === 'out') await this.join()
        else {
          await this.sleep(this.options.heartbeatMs)
          if (!this.leaving) await this.beat()
        }
      }
    } catch (error) {
      this.joinedOnce.reject(error)
      this.handlers.onFatal(error)
    }
  }

  private async beat(): Promise<void> {
    const sentMs = performance.now()
    const { groupId } = this.options
    try {
      await this.ask('heartbeat', CALL_TIMEOUT_MS, (broker) =>
        broker.heartbeat({ groupId, groupGenerationId: this.generationId, memberId: this.memberId }),
      )
      this.lastHeardMs = sentMs
    } catch (error) {
      const type = typeOf(error)
      if (type === 'REBALANCE_IN_PROGRESS') {
        this.lastHeardMs = sentMs
        await this.rejoin()
      } else if (type === 'UNKNOWN_MEMBER_ID' || type === 'ILLEGAL_GENERATION' || type === 'FENCED_INSTANCE_ID') {
        if (type === 'UNKNOWN_MEMBER_ID') this.memberId = ''
        await this.lose()
      } else {
        this.finalOnly(error)
        if (performance.now() - this.lastHeardMs >= this.options.sessionMs) await this.lose()
      }
    }
  }

  /** Heartbeats go on while the batches in hand are finished; the join itself then speaks for us. */
  private async rejoin(): Promise<void> {
    let done = false
    const held = this.handlers.hold().finally(() => {
      done = true
      this.wake?.()
    })
    const { groupId } = this.options
    while (!done && !this.leaving) {
      await this.sleep(this.options.heartbeatMs)
      if (done || this.leaving) break
      const sentMs = performance.now()
      try {
        await this.ask('heartbeat', CALL_TIMEOUT_MS, (broker) =>
          broker.heartbeat({ groupId, groupGenerationId: this.generationId, memberId: this.memberId }),
        )
        this.lastHeardMs = sentMs
      } catch (error) {
        const type = typeOf(error)
        if (type === 'REBALANCE_IN_PROGRESS') this.lastHeardMs = sentMs
        else if (type === 'UNKNOWN_MEMBER_ID' || type === 'ILLEGAL_GENERATION') {
          if (type === 'UNKNOWN_MEMBER_ID') this.memberId = ''
          await this.lose()
          return
        } else if (performance.now() - this.lastHeardMs >= this.options.sessionMs) {
          await this.lose()
          return
        }
      }
    }
    await held
    this.state = 'out'
  }

  private async lose(): Promise<void> {
    this.state = 'out'
    this.owned = []
    await this.handlers.lost()
  }

  private async join(): Promise<void> {
    const { groupId, sessionMs, rebalanceMs, topics } = this.options
    const claim: Claim = { generation: this.generationId, owned: this.owned }
    const metadata = MemberMetadata.encode({ version: 1, topics, userData: Buffer.from(JSON.stringify(claim)) })
    try {
      const sentMs = performance.now()
      const joined = await this.ask('joining the group', rebalanceMs + CALL_TIMEOUT_MS, (broker) =>
        broker.joinGroup({
          groupId,
          sessionTimeout: sessionMs,
          rebalanceTimeout: rebalanceMs,
          memberId: this.memberId,
          groupProtocols: [{ name: PROTOCOL, metadata }],
        }),
      )
      this.memberId = joined.memberId
      this.generationId = joined.generationId
      const isLeader = joined.leaderId === joined.memberId
      const groupAssignment = isLeader ? await this.plan(joined.members) : []
      const synced = await this.ask('syncing the group', rebalanceMs, (broker) =>
        broker.syncGroup({ groupId, generationId: this.generationId, memberId: this.memberId, groupAssignment }),
      )
      this.lastHeardMs = Math.max(sentMs, performance.now() - CALL_TIMEOUT_MS)
      const { assignment = {} } = MemberAssignment.decode(synced.memberAssignment) ?? {}
      this.owned = Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })))
      this.state = 'in'
      await this.handlers.assigned(this.owned, (partitions) => this.committed(partitions))
      this.joinedOnce.resolve()
    } catch (error) {
      await this.onJoinError(error)
    }
  }

  private async onJoinError(error: unknown): Promise<void> {
    this.state = 'out'
    const type = typeOf(error)
    if (type === 'MEMBER_ID_REQUIRED') {
      this.memberId = (error as { memberId: string }).memberId
      return
    }
    if (type === 'UNKNOWN_MEMBER_ID' || type === 'ILLEGAL_GENERATION' || type === 'FENCED_INSTANCE_ID') {
      this.memberId = type === 'ILLEGAL_GENERATION' ? this.memberId : ''
      await this.lose()
    } else if (type !== 'REBALANCE_IN_PROGRESS') {
      this.finalOnly(error)
      // Held partitions may have been given away while we could not be heard.
      if (this.owned.length > 0 && performance.now() - this.lastHeardMs >= this.options.sessionMs) await this.lose()
    }
    if (!this.leaving) await this.sleep(RETRY_PAUSE_MS)
  }

  private finalOnly(error: unknown): void {
    this.coordinator = undefined
    const failure = toLogError(error, `Group ${this.options.groupId}`)
    if (failure.kind === 'fatal' && !this.leaving) throw failure
  }

  private async plan(members: readonly { memberId: string; memberMetadata: Buffer }[]) {
    const readers = members.map(({ memberId, memberMetadata }) => {
      const { topics, userData } = MemberMetadata.decode(memberMetadata)
      return { memberId, topics, claim: readClaim(userData) }
    })
    const counts = new Map<string, number>()
    for (const topic of new Set(readers.flatMap(({ topics }) => topics))) counts.set(topic, (await this.transport.leaders(topic)).length)
    return [...assign(readers, counts)].map(([memberId, partitions]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({
        version: 1,
        assignment: Object.fromEntries(
          byTopic(partitions, ({ partition }) => partition).map(({ topic, partitions: list }) => [topic, list]),
        ),
      }),
    }))
  }

  private async committed(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    if (partitions.length === 0) return found
    const { groupId } = this.options
    const { responses } = await this.ask('reading committed offsets', CALL_TIMEOUT_MS, (broker) =>
      broker.offsetFetch({ groupId, topics: byTopic(partitions, ({ partition }) => ({ partition })) }),
    )
    for (const { topic, partitions: list } of responses)
      for (const { partition, offset } of list) if (Number(offset) >= 0) found.set(`${topic}/${partition}`, Number(offset))
    return found
  }

  private async ask<T>(what: string, timeoutMs: number, work: (broker: Broker) => Promise<T>): Promise<T> {
    try {
      const { result, node } = await this.transport.onCoordinator(this.options.groupId, what, timeoutMs, work, this.coordinator)
      this.coordinator = node
      return result
    } catch (error) {
      const type = typeOf(error)
      if (type !== 'REBALANCE_IN_PROGRESS' && type !== 'MEMBER_ID_REQUIRED') this.coordinator = undefined
      throw error
    }
  }

  private async sleep(ms: number): Promise<void> {
    if (this.leaving) return
    await Promise.race([
      pause(ms),
      new Promise<void>((resolve) => {
        this.wake = resolve
      }),
    ])
    this.wake = undefined
  }
}

const byTopic = <P extends TopicPartition, T>(
  partitions: readonly P[],
  shape: (partition: P) => T,
): { topic: string; partitions: T[] }[] => {
  const topics = new Map<string, T[]>()
  for (const partition of partitions) topics.set(partition.topic, [...(topics.get(partition.topic) ?? []), shape(partition)])
  return [...topics].map(([topic, list]) => ({ topic, partitions: list }))
}

const readClaim = (userData: Buffer | null): Claim => {
  try {
    return JSON.parse((userData ?? Buffer.alloc(0)).toString()) as Claim
  } catch {
    return { generation: -1, owned: [] } // a member of another kind
  }
}
