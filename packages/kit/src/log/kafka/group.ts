// Membership in a classic consumer group, with timing of our own: heartbeats run beside the handlers, however long these
// work; a rebalance waits for the batches in hand; partitions that stay with us are not interrupted. A member that has
// not been heard for a session gives up its partitions by itself, before the broker can give them to somebody else.
// A member with an instance name that is back within its session, as another process too, has its partitions again and no
// other member notices; whoever had the name before is fenced by the coordinator, and its run ends.

import type { LogError } from '../../errors.ts'
import { logError } from '../log-error.ts'
import { assign } from './assign.ts'
import type { Claim } from './assign.ts'
import { CODE, brokerCodeOf, brokerError, toLogError } from './errors.ts'
import { API } from './protocol.ts'
import {
  assignmentBytes,
  codeReply,
  heartbeatBody,
  joinGroupBody,
  joinGroupReply,
  leaveGroupBody,
  offsetCommitBody,
  offsetCommitReply,
  offsetFetchBody,
  offsetFetchReply,
  readAssignment,
  readSubscription,
  subscriptionBytes,
  syncGroupBody,
  syncGroupReply,
} from './protocol-groups.ts'
import type { Joined, Membership } from './protocol-groups.ts'
import type { Api } from './protocol-io.ts'
import { pause, settledWithin } from './transport.ts'
import type { Transport } from './transport.ts'

export interface GroupTiming {
  readonly sessionMs: number
  readonly heartbeatMs: number
  readonly rebalanceMs: number
}

export interface GroupOptions extends GroupTiming {
  readonly groupId: string
  /** Names at the broker. */
  readonly topics: readonly string[]
  /** Name that is kept over restarts; null = none. */
  readonly instance: string | null
  /** A member with a name does not leave when it ends: its partitions wait for it, for a session. */
  readonly stays: boolean
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
  private generation = -1
  private owned: readonly TopicPartition[] = []
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

  /** Who we are to the coordinator: fences what we say once a newer generation is there. */
  get membership(): Membership {
    const { groupId, instance } = this.options
    return { groupId, generation: this.generation, memberId: this.memberId, instance }
  }

  /** Commits positions (next to read). Rejects if we are no member any more. */
  async commit(positions: readonly (TopicPartition & { offset: number })[]): Promise<void> {
    if (this.state !== 'in') throw logError('fenced', 'ANDON_LOG_NO_MEMBER', `No member of ${this.options.groupId} at the moment`)
    await this.ask(API.offsetCommit, offsetCommitBody(this.membership, positions), (reply) => {
      for (const code of offsetCommitReply(reply)) throw brokerError(code, 'Committing offsets')
    })
  }

  /**
   * True if the coordinator says now that our generation is the group's: the partitions are ours and nobody else's. While a
   * rebalance gathers its members it still is, since it cannot end without us.
   */
  async isConfirmed(): Promise<boolean> {
    if (this.state !== 'in') return false
    return this.heartbeat().then(
      () => true,
      (error: unknown) => brokerCodeOf(error) === CODE.rebalanceInProgress,
    )
  }

  /** Leaves the group, unless its partitions are to wait for it; the handlers have ended before. */
  async leave(): Promise<void> {
    this.leaving = true
    this.wake?.()
    await settledWithin(this.loop, 3000) // a join may wait for others much longer
    const { instance, stays } = this.options
    if (this.memberId === '' || (instance !== null && stays)) return
    await this.ask(API.leaveGroup, leaveGroupBody(this.membership), codeReply, 2000).catch(() => undefined)
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
      if ((error as LogError).kind === 'fenced') {
        this.state = 'out' // somebody else has the partitions already
        this.memberId = ''
      }
      this.joinedOnce.reject(error)
      this.handlers.onFatal(error)
    }
  }

  private async heartbeat(): Promise<void> {
    await this.ask(API.heartbeat, heartbeatBody(this.membership), (reply) => check(codeReply(reply), 'Heartbeat'))
  }

  private async beat(): Promise<void> {
    const sentMs = performance.now()
    try {
      await this.heartbeat()
      this.lastHeardMs = sentMs
    } catch (error) {
      if (brokerCodeOf(error) === CODE.rebalanceInProgress) {
        this.lastHeardMs = sentMs
        await this.rejoin()
      } else await this.onSilence(error)
    }
  }

  /** Heartbeats go on while the batches in hand are finished; the join itself then speaks for us. */
  private async rejoin(): Promise<void> {
    let done = false
    const held = this.handlers.hold().finally(() => {
      done = true
      this.wake?.()
    })
    while (!done && !this.leaving) {
      await this.sleep(this.options.heartbeatMs)
      if (done || this.leaving) break
      const sentMs = performance.now()
      try {
        await this.heartbeat()
        this.lastHeardMs = sentMs
      } catch (error) {
        if (brokerCodeOf(error) === CODE.rebalanceInProgress) this.lastHeardMs = sentMs
        else if (await this.onSilence(error)) return
      }
    }
    await held
    this.state = 'out'
  }

  /** A heartbeat failed: everything is lost once the coordinator says so, or once it cannot have heard us for a session. */
  private async onSilence(error: unknown): Promise<boolean> {
    const isOut = this.isPutOut(error)
    if (!isOut) this.finalOnly(error)
    if (!isOut && performance.now() - this.lastHeardMs < this.options.sessionMs) return false
    await this.lose()
    return true
  }

  /** True if the coordinator knows us no more, or not in this generation. */
  private isPutOut(error: unknown): boolean {
    const code = brokerCodeOf(error)
    if (code === CODE.unknownMemberId) this.memberId = ''
    return code === CODE.unknownMemberId || code === CODE.illegalGeneration
  }

  private async lose(): Promise<void> {
    this.state = 'out'
    this.owned = []
    await this.handlers.lost()
  }

  private async join(): Promise<void> {
    const { groupId, sessionMs, rebalanceMs, topics, instance } = this.options
    const isNew = this.memberId === ''
    const claim: Claim = { generation: this.generation, owned: this.owned }
    const subscription = subscriptionBytes(topics, Buffer.from(JSON.stringify(claim)))
    const body = joinGroupBody({ groupId, sessionMs, rebalanceMs, memberId: this.memberId, instance, protocol: PROTOCOL, subscription })
    try {
      const joined = await this.ask(API.joinGroup, body, joinGroupReply, rebalanceMs + CALL_TIMEOUT_MS)
      if (joined.code === CODE.memberIdRequired) {
        this.memberId = joined.memberId
        return // join again, by this name
      }
      check(joined.code, 'Joining the group')
      const joinedMs = performance.now()
      this.memberId = joined.memberId
      this.generation = joined.generation
      const plan = joined.leader === joined.memberId ? await this.plan(joined) : []
      const { assignment } = await this.ask(
        API.syncGroup,
        syncGroupBody(this.membership, plan),
        (reply) => {
          const synced = syncGroupReply(reply)
          check(synced.code, 'Syncing the group')
          return synced
        },
        rebalanceMs,
      )
      this.lastHeardMs = joinedMs
      const { partitions, subscribed } = readAssignment(assignment)
      this.owned = partitions
      // Under a name that the group knew we are given what the process before us had: join again if it read other topics.
      if (isNew && instance !== null && !isSame(subscribed, topics)) return
      this.state = 'in'
      await this.handlers.assigned(this.owned, (partitions) => this.committed(partitions))
      this.joinedOnce.resolve()
    } catch (error) {
      await this.onJoinError(error)
    }
  }

  private async onJoinError(error: unknown): Promise<void> {
    this.state = 'out'
    if (this.isPutOut(error)) await this.lose()
    else if (brokerCodeOf(error) !== CODE.rebalanceInProgress) {
      this.finalOnly(error)
      // Held partitions may have been given away while we could not be heard.
      if (this.owned.length > 0 && performance.now() - this.lastHeardMs >= this.options.sessionMs) await this.lose()
    }
    if (!this.leaving) await this.sleep(RETRY_PAUSE_MS)
  }

  private finalOnly(error: unknown): void {
    const { groupId, instance } = this.options
    if (this.leaving) return
    if (brokerCodeOf(error) === CODE.fencedInstanceId)
      throw logError(
        'fenced',
        'ANDON_LOG_INSTANCE_TAKEN',
        `Another process runs as instance ${instance} of group ${groupId} and has its partitions now: give each running process an ANDON_INSTANCE of its own`,
        error,
      )
    const failure = toLogError(error, `Group ${groupId}`)
    if (failure.kind === 'fatal') throw failure
  }

  private async plan({ members }: Joined): Promise<{ memberId: string; assignment: Buffer }[]> {
    const readers = members.map(({ memberId, subscription }) => {
      const { topics, userData } = readSubscription(subscription)
      return { memberId, topics, claim: readClaim(userData) }
    })
    const counts = new Map<string, number>()
    for (const topic of new Set(readers.flatMap(({ topics }) => topics))) counts.set(topic, (await this.transport.leaders(topic)).length)
    const plan = assign(readers, counts)
    return readers.map(({ memberId, topics }) => ({ memberId, assignment: assignmentBytes(byTopic(plan.get(memberId)!), topics) }))
  }

  /** Committed offsets, by `<topic>/<partition>`. */
  async committed(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    if (partitions.length === 0) return new Map()
    const { groupId } = this.options
    const { offsets } = await this.ask(API.offsetFetch, offsetFetchBody(groupId, byTopic(partitions)), (reply) => {
      const fetched = offsetFetchReply(reply)
      check(fetched.code, 'Reading committed offsets')
      return fetched
    })
    return new Map(offsets.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]))
  }

  private ask<T>(api: Api, body: Buffer, read: (reply: Buffer) => T, timeoutMs = CALL_TIMEOUT_MS): Promise<T> {
    return this.transport.atCoordinator('group', this.options.groupId, api, body, read, timeoutMs)
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

const check = (code: number, what: string): void => {
  if (code !== 0) throw brokerError(code, what)
}

const isSame = (subscribed: readonly string[] | undefined, topics: readonly string[]): boolean =>
  subscribed !== undefined && subscribed.length === topics.length && topics.every((topic) => subscribed.includes(topic))

const byTopic = (partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] => {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  return [...topics].map(([topic, list]) => ({ topic, partitions: list }))
}

const readClaim = (userData: Buffer | null): Claim => {
  try {
    return JSON.parse((userData ?? Buffer.alloc(0)).toString()) as Claim
  } catch {
    return { generation: -1, owned: [] } // a member of another kind
  }
}
