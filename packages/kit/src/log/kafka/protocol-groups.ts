// Bodies of the requests about coordinators, group membership and committed offsets, and what members tell each other
// (the consumer protocol's subscription and assignment, version 1).

import { In, Out } from './protocol-io.ts'

/** Partition numbers by topic, as most of these requests list them. */
export type PartitionsByTopic = readonly { readonly topic: string; readonly partitions: readonly number[] }[]

export type CoordinatorKind = 'group' | 'transaction'

export const findCoordinatorBody = (kind: CoordinatorKind, key: string): Buffer =>
  new Out()
    .string(key)
    .int8(kind === 'group' ? 0 : 1)
    .done()

export const findCoordinatorReply = (reply: Buffer): { code: number; node: number } => {
  const from = new In(reply)
  from.int32()
  const code = from.int16()
  from.string() // message
  return { code, node: from.int32() }
}

export const joinGroupBody = (join: {
  groupId: string
  sessionMs: number
  rebalanceMs: number
  memberId: string
  instance: string | null
  protocol: string
  subscription: Buffer
}): Buffer =>
  new Out()
    .string(join.groupId)
    .int32(join.sessionMs)
    .int32(join.rebalanceMs)
    .string(join.memberId)
    .string(join.instance)
    .string('consumer')
    .array([join.protocol], (out, name) => out.string(name).bytes(join.subscription))
    .done()

export interface Joined {
  readonly code: number
  readonly generation: number
  readonly leader: string
  readonly memberId: string
  /** Only told to the leader. */
  readonly members: readonly { readonly memberId: string; readonly subscription: Buffer }[]
}

export const joinGroupReply = (reply: Buffer): Joined => {
  const from = new In(reply)
  from.int32()
  const code = from.int16()
  const generation = from.int32()
  from.string() // protocol
  const leader = from.string() ?? ''
  const memberId = from.string() ?? ''
  const members = from.array(() => {
    const id = from.string() ?? ''
    from.string() // instance id
    return { memberId: id, subscription: from.bytes() ?? Buffer.alloc(0) }
  })
  return { code, generation, leader, memberId, members }
}

export interface Membership {
  readonly groupId: string
  readonly generation: number
  readonly memberId: string
  /** The name it keeps over restarts (Kafka's `group.instance.id`); null = it has none. */
  readonly instance: string | null
}

const membership = ({ groupId, generation, memberId, instance }: Membership): Out =>
  new Out().string(groupId).int32(generation).string(memberId).string(instance)

export const syncGroupBody = (member: Membership, assignments: readonly { memberId: string; assignment: Buffer }[]): Buffer =>
  membership(member)
    .array(assignments, (out, { memberId, assignment }) => out.string(memberId).bytes(assignment))
    .done()

export const syncGroupReply = (reply: Buffer): { code: number; assignment: Buffer } => {
  const from = new In(reply)
  from.int32()
  return { code: from.int16(), assignment: from.bytes() ?? Buffer.alloc(0) }
}

export const heartbeatBody = (member: Membership): Buffer => membership(member).done()

/** Of the requests that are answered with a code and nothing else that matters. */
export const codeReply = (reply: Buffer): number => {
  const from = new In(reply)
  from.int32()
  return from.int16()
}

export const leaveGroupBody = ({ groupId, memberId, instance }: Membership): Buffer =>
  new Out()
    .string(groupId)
    .array([memberId], (out, id) => out.string(id).string(instance))
    .done()

export interface CommittedOffset {
  readonly topic: string
  readonly partition: number
  /** Next record to read. */
  readonly offset: number
}

export const offsetCommitBody = (member: Membership, offsets: readonly CommittedOffset[]): Buffer =>
  membership(member)
    .array(offsets, (out, { topic, partition, offset }) =>
      out.string(topic).array([partition], (part, number) => part.int32(number).int64(offset).int32(-1).string('')),
    )
    .done()

/** Codes of the partitions that were refused; nothing for the others. */
export const offsetCommitReply = (reply: Buffer): number[] => {
  const from = new In(reply)
  from.int32()
  return refusals(
    from.array(() => {
      from.string()
      return from.array(() => {
        from.int32()
        return from.int16()
      })
    }),
  )
}

export const refusals = (codes: readonly (readonly number[])[]): number[] => codes.flat().filter((code) => code !== 0)

export const offsetFetchBody = (groupId: string, topics: PartitionsByTopic): Buffer =>
  new Out()
    .string(groupId)
    .array(topics, (out, { topic, partitions }) => out.string(topic).array(partitions, (part, number) => part.int32(number)))
    .done()

/** Partitions without a committed offset are left out. */
export const offsetFetchReply = (reply: Buffer): { code: number; offsets: CommittedOffset[] } => {
  const from = new In(reply)
  from.int32()
  let firstCode = 0
  const offsets: CommittedOffset[] = []
  from.array(() => {
    const topic = from.string() ?? ''
    from.array(() => {
      const partition = from.int32()
      const offset = from.int64()
      from.int32() // leader epoch
      from.string() // metadata
      const code = from.int16()
      if (code !== 0) firstCode ||= code
      else if (offset >= 0) offsets.push({ topic, partition, offset })
    })
  })
  return { code: from.int16() || firstCode, offsets }
}

export const subscriptionBytes = (topics: readonly string[], userData: Buffer): Buffer =>
  new Out()
    .int16(1)
    .array(topics, (out, topic) => out.string(topic))
    .bytes(userData)
    .int32(0) // owned partitions: ours travel in the user data
    .done()

/** Members of any consumer can be read: what follows the user data is ignored. */
export const readSubscription = (bytes: Buffer): { topics: string[]; userData: Buffer | null } => {
  const from = new In(bytes)
  from.int16()
  return { topics: from.array(() => from.string() ?? ''), userData: from.bytes() }
}

/** `subscribed` = the topics that the member was known to read when it was given these. */
export const assignmentBytes = (topics: PartitionsByTopic, subscribed: readonly string[]): Buffer =>
  new Out()
    .int16(1)
    .array(topics, (out, { topic, partitions }) => out.string(topic).array(partitions, (part, number) => part.int32(number)))
    .bytes(Buffer.from(JSON.stringify(subscribed)))
    .done()

interface Assignment {
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
  /** As in `assignmentBytes`; undefined when the assignment does not say. */
  readonly subscribed: readonly string[] | undefined
}

/** A member that gets nothing may be sent no bytes at all. */
export const readAssignment = (bytes: Buffer): Assignment => {
  if (bytes.length === 0) return { partitions: [], subscribed: undefined }
  const from = new In(bytes)
  from.int16()
  const partitions = from.array(() => {
    const topic = from.string() ?? ''
    return from.array(() => ({ topic, partition: from.int32() }))
  })
  const subscribed = from.bytes()
  return { partitions: partitions.flat(), subscribed: subscribed ? (JSON.parse(subscribed.toString()) as string[]) : undefined }
}
