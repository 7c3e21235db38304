// What ingest appends: blocks, ticks and quarantined readings, with their identity and headers.

import { HEADER, LIVE, eventHeaders, partitionOf, uuid8 } from '@andon/kit'
import type { Codec } from '@andon/kit'
import type { TelemetryInput } from '@andon/schemas'
import type { Delivery } from './adapters/source.ts'
import type { ClosedBlock } from './open-blocks.ts'
import type { Outgoing } from './outgoing.ts'
import type { Refusal } from './reading.ts'

export const telemetryTopic = 'telemetry'
export const quarantineTopic = 'telemetry.ingest.quarantine'

// A quarantined reading keeps its original bytes up to this; a longer one says so in a header.
const maxQuarantineBytes = 512 * 1024

export interface RecordShape {
  readonly codec: Codec
  readonly instance: string
  readonly telemetryPartitions: number
  readonly quarantinePartitions: number
  readonly skewBoundUs: number
}

export const sourceOf = (instance: string): string => `andon/ingest/${instance}`

export const partitionOfAsset = (shape: RecordShape, assetId: string): number => partitionOf(assetId, shape.telemetryPartitions)

export const blockRecord = (shape: RecordShape, { builder, identities }: ClosedBlock): Outgoing => {
  const { id, block, timeUs, receivedUs } = builder.close(shape.skewBoundUs)
  const { assetId } = builder.origin
  const value: TelemetryInput = { type: 'block', assetId, block }
  const output = { topic: telemetryTopic, key: assetId, value, id, type: 'andon.telemetry.block', timeUs }
  return {
    topic: telemetryTopic,
    partition: partitionOfAsset(shape, assetId),
    key: assetId,
    value: shape.codec.encode(telemetryTopic, value),
    headers: { ...eventHeaders(output, sourceOf(shape.instance)), [HEADER.lane]: LIVE },
    timestampMs: Math.floor(receivedUs / 1000),
    oldestReceivedUs: builder.oldestReceivedUs,
    identities,
  }
}

/** A tick says: nothing this instance will still append to the partition was received before `upToUs`. */
export const tickRecord = (shape: RecordShape, partition: number, upToUs: number) => {
  const value: TelemetryInput = { type: 'tick', tick: { instance: shape.instance, upToUs } }
  const id = uuid8('tick', shape.instance, partition, upToUs)
  const output = { topic: telemetryTopic, key: null, value, id, type: 'andon.telemetry.tick', timeUs: upToUs }
  return {
    topic: telemetryTopic,
    key: null,
    partition,
    value: shape.codec.encode(telemetryTopic, value),
    headers: { ...eventHeaders(output, sourceOf(shape.instance)), [HEADER.lane]: LIVE },
  }
}

/** The original bytes, and in headers why they were not taken and whose they are. */
export const quarantineRecord = (shape: RecordShape, delivery: Delivery, bytes: Buffer, refused: Refusal, receivedUs: number): Outgoing => {
  const key = refused.source ?? null
  const { source, epoch, seq } = refused
  const id = uuid8('quarantine', source ?? '', epoch ?? '', seq ?? '', bytes.toString('base64'))
  const output = { topic: quarantineTopic, key, value: bytes, id, type: 'andon.telemetry.quarantined', timeUs: receivedUs }
  const headers: Record<string, string> = {
    ...eventHeaders(output, sourceOf(shape.instance)),
    [HEADER.contentType]: 'application/json',
    [HEADER.lane]: LIVE,
    'andon-quarantine-code': refused.code,
    'andon-quarantine-message': refused.message,
    'andon-quarantine-door': delivery.door,
  }
  if (epoch !== undefined) headers['andon-quarantine-epoch'] = String(epoch)
  if (seq !== undefined) headers['andon-quarantine-seq'] = String(seq)
  if (bytes.length > maxQuarantineBytes) headers['andon-quarantine-original-bytes'] = String(bytes.length)
  return {
    topic: quarantineTopic,
    partition: key === null ? 0 : partitionOf(key, shape.quarantinePartitions),
    key,
    value: Buffer.from(bytes.subarray(0, maxQuarantineBytes)),
    headers,
    timestampMs: Math.floor(receivedUs / 1000),
    oldestReceivedUs: receivedUs,
    identities: [],
  }
}
