// Messages of a stream → deliveries, as its source file maps them; shared by the doors that read NATS, Kafka and Kinesis.

import type { PayloadMapping } from '@andon/schemas'
import type { RawReading } from '../reading.ts'
import type { Delivery, DoorName, Intake } from './source.ts'

/** A message that was mapped. */
export interface MappedMessage {
  readonly readings: readonly RawReading[]
  readonly bytes: number
  /** Tells the message among all of its stream, over redeliveries and restarts. */
  readonly identity: string
}

/** One delivery for all where readings have numbers of their own, else one per message, under its identity. */
const deliveriesOf = (door: DoorName, { seq }: PayloadMapping, messages: readonly MappedMessage[]): Delivery[] => {
  if (seq === undefined) return messages.map(({ readings, bytes, identity }) => ({ door, readings, bytes, idempotencyKey: identity }))
  const bytes = messages.reduce((sum, message) => sum + message.bytes, 0)
  return [{ door, readings: messages.flatMap(({ readings }) => readings), bytes }]
}

/**
 * Hands messages to the intake, in order and in one turn, so that they share blocks. Resolves when all are safe; rejects when one was
 * refused, once the others are settled: all may be handed over again, those that are safe are known by their identity.
 */
export const takeMessages = async (
  intake: Intake,
  door: DoorName,
  mapping: PayloadMapping,
  messages: readonly MappedMessage[],
): Promise<void> => {
  const settled = await Promise.allSettled(deliveriesOf(door, mapping, messages).map((delivery) => intake(delivery)))
  for (const { status, ...outcome } of settled) if (status === 'rejected' && 'reason' in outcome) throw outcome.reason
}
