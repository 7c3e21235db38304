// An edge node as tests write it: payloads encoded by sparkplug-payload, whose reader the door does not use.

import sparkplug from 'sparkplug-payload/lib/sparkplugbpayload.js'
import proto from 'sparkplug-payload/lib/sparkplugPayloadProto.js'
import type { EdgeNode, Outcome } from '../src/sparkplug/edge-node.ts'
import { sparkplugTopic } from '../src/sparkplug/topic.ts'

export type SentMetric = Parameters<typeof sparkplug.encodePayload>[0]['metrics'] extends (infer M)[] | null | undefined ? M : never

export interface SentPayload {
  readonly timestamp?: number
  readonly seq?: number
  readonly metrics?: readonly Partial<SentMetric>[]
}

export const encode = (payload: SentPayload): Buffer => Buffer.from(sparkplug.encodePayload(payload as never))

/** Fields of the protobuf message as they are, for what sparkplug-payload would not write. */
export const encodeRaw = (payload: object): Buffer => {
  const { Payload } = proto.org.eclipse.tahu.protobuf
  return Buffer.from(Payload.encode(Payload.create(payload)).finish())
}

export const startMs = 1_795_000_000_000

/** A birth with temperature (alias 1) and pressure (alias 2). */
export const birth = (extra: SentPayload = {}, bdSeq = 0): Buffer =>
  encode({
    timestamp: startMs,
    seq: 0,
    ...extra,
    metrics: [
      { name: 'bdSeq', type: 'UInt64', value: bdSeq },
      { name: 'temp', alias: 1, type: 'Double', value: 20, timestamp: startMs - 5000 },
      { name: 'press', alias: 2, type: 'Int32', value: -3, timestamp: startMs - 5000 },
      { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
      ...(extra.metrics ?? []),
    ],
  })

/** A data message as the specification has it: alias and value, no name and no datatype. */
export const data = (seq: number, value = seq, timestamp = startMs + seq * 100): Buffer =>
  encodeRaw({ timestamp, seq, metrics: [{ alias: 1, timestamp, doubleValue: value }] })

export const death = (bdSeq: number): Buffer =>
  encode({ timestamp: startMs - 1000, metrics: [{ name: 'bdSeq', type: 'UInt64', value: bdSeq }] })

/** Hands a message of node G/N to its state, and gives what came of it. */
export const tell = (edge: EdgeNode, type: string, payload: Buffer, atMs = startMs, device?: string): Outcome =>
  edge.take(sparkplugTopic(`spBv1.0/G/${type}/N${device === undefined ? '' : `/${device}`}`)!, payload, atMs)

export interface Row {
  readonly source: string
  readonly asset: string
  readonly epoch: number
  readonly seq: number
  readonly timeUs: number
  readonly quality: number
  readonly values: Record<string, number | null>
}

export const rows = ({ readings }: Pick<Outcome, 'readings'>): Row[] =>
  readings.filter(({ refused }) => refused === undefined).map(({ value }) => value as Row)

export const refusals = ({ readings }: Pick<Outcome, 'readings'>) =>
  readings.flatMap(({ refused }) => (refused === undefined ? [] : [refused]))
