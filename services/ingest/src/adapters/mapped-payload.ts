// Payload of a stream's message → readings, as its source file maps it; shared by the doors that read NATS, Kafka and Kinesis.

import type { PayloadMapping } from '@andon/schemas'
import { compileMapping } from '../mapping.ts'
import type { Arrival, Mapping } from '../mapping.ts'
import type { RawReading } from '../reading.ts'

/** Tells a message among all of its stream, over redeliveries and restarts. */
export interface MappedMessage {
  readonly payload: Buffer
  readonly identity: string
  readonly arrival: Arrival
}

export interface PayloadMapper {
  readonly mapping: Mapping
  /** At least one reading per message; without a number of its own it has the message's identity and its place in it. */
  readingsOf(message: MappedMessage): RawReading[]
}

export const payloadMapper = (file: { readonly id: string; readonly mapping: PayloadMapping }): PayloadMapper => {
  const mapping = compileMapping(file.mapping, file)
  return {
    mapping,
    readingsOf: ({ payload, identity, arrival }) => identified(mapping.ofPayload(payload, arrival), identity),
  }
}

/** Readings of one message, told apart by their place. */
export const identified = (readings: readonly RawReading[], identity: string): RawReading[] =>
  readings.map((raw, index) => ({ ...raw, identity: `${identity}/${index}` }))
