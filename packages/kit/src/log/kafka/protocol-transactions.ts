// Bodies of the requests about producer ids and transactions.

import { In, Out } from './protocol-io.ts'
import { offsetCommitReply, refusals } from './protocol-groups.ts'
import type { CommittedOffset, Membership, PartitionsByTopic } from './protocol-groups.ts'

export interface ProducerIdentity {
  readonly id: bigint
  readonly epoch: number
}

/** null: a producer without transactions. */
export const initProducerIdBody = (transactionalId: string | null, transactionTimeoutMs: number): Buffer =>
  new Out().string(transactionalId).int32(transactionTimeoutMs).done()

export const initProducerIdReply = (reply: Buffer): { code: number } & ProducerIdentity => {
  const from = new In(reply)
  from.int32()
  return { code: from.int16(), id: from.bigint(), epoch: from.int16() }
}

/** Who speaks in a transaction. */
export interface TransactionalProducer extends ProducerIdentity {
  readonly transactionalId: string
}

const producer = ({ transactionalId, id, epoch }: TransactionalProducer): Out => new Out().string(transactionalId).int64(id).int16(epoch)

export const addPartitionsBody = (of: TransactionalProducer, topics: PartitionsByTopic): Buffer =>
  producer(of)
    .array(topics, (out, { topic, partitions }) => out.string(topic).array(partitions, (part, number) => part.int32(number)))
    .done()

/** Codes of the partitions that were refused; on the wire the same as the reply to a commit. */
export const addPartitionsReply = offsetCommitReply

export const addOffsetsBody = (of: TransactionalProducer, groupId: string): Buffer => producer(of).string(groupId).done()

export const endTransactionBody = (of: TransactionalProducer, committed: boolean): Buffer =>
  producer(of)
    .int8(committed ? 1 : 0)
    .done()

/**
 * Offsets that are committed with the transaction. With a member, the group's coordinator also refuses them from a member
 * of an old generation. The one flexible request: only since its version 3 does it carry the member.
 */
export const txnOffsetCommitBody = (of: TransactionalProducer, member: Membership, offsets: readonly CommittedOffset[]): Buffer =>
  new Out()
    .noTags() // of the request's header
    .compactString(of.transactionalId)
    .compactString(member.groupId)
    .int64(of.id)
    .int16(of.epoch)
    .int32(member.generation)
    .compactString(member.memberId)
    .compactString(member.instance)
    .compactArray(offsets, (out, { topic, partition, offset }) =>
      out
        .compactString(topic)
        .compactArray([partition], (part, number) => part.int32(number).int64(offset).int32(-1).compactString('').noTags())
        .noTags(),
    )
    .noTags()
    .done()

/** Codes of the partitions that were refused. */
export const txnOffsetCommitReply = (reply: Buffer): number[] => {
  const from = new In(reply)
  from.skipTags()
  from.int32()
  return refusals(
    from.compactArray(() => {
      from.compactString()
      const codes = from.compactArray(() => {
        from.int32()
        const code = from.int16()
        from.skipTags()
        return code
      })
      from.skipTags()
      return codes
    }),
  )
}
