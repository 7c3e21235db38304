// What ingest appends: blocks, ticks and quarantined readings, with their identity and headers.

import { EncodedHeaders, HEADER, LIVE, encodeHeaders, eventHeaders, partitionOf, uuid8 } from '@andon/kit'
import type { Codec, Output } from '@andon/kit'
import { OutputHeaders } from '@andon/kit/header-template'
import type { TelemetryInput } from '@andon/schemas'
import type { Delivery } from './adapters/source.ts'
import type { ClosedBlock } from './open-blocks.ts'
import type { Outgoing } from './outgoing.ts'
import type { Refusal } from './reading.ts'

export const telemetryTopic = 'telemetry'
export const quarantineTopic = 'telemetry.ingest.quarantine'

// A mapped reading that is longer is mapped again when it is released.
const maxHeaderLength = 16 * 1024
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

const partitions = new WeakMap<RecordShape, Map<string, number>>()

/** Remembered, since each block asks; only assets of plant files come here. */
export const partitionOfAsset = (shape: RecordShape, assetId: string): number => {
  let known = partitions.get(shape)
  if (known === undefined) partitions.set(shape, (known = new Map()))
  let partition = known.get(assetId)
  if (partition === undefined) known.set(assetId, (partition = partitionOf(assetId, shape.telemetryPartitions)))
  return partition
}

export const blockRecord = (shape: RecordShape, { builder, identities }: ClosedBlock, isControl = false): Outgoing => {
  const { id, block, timeUs, receivedUs } = builder.close(shape.skewBoundUs)
  const { assetId } = builder.origin
  const value: TelemetryInput = { type: 'block', assetId, block }
  const output = { topic: telemetryTopic, key: assetId, value, id, type: 'andon.telemetry.block', timeUs }
  return {
    topic: telemetryTopic,
    partition: partitionOfAsset(shape, assetId),
    key: assetId,
    value: shape.codec.encode(telemetryTopic, value),
    headers: headersOf(shape.instance)(output),
    timestampMs: Math.floor(receivedUs / 1000),
    oldestReceivedUs: builder.oldestReceivedUs,
    identities,
    isControl,
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
export const quarantineRecord = (
  shape: RecordShape,
  delivery: Delivery,
  bytes: Buffer,
  refused: Refusal,
  receivedUs: number,
  reading?: unknown,
): Outgoing => {
  const { source, epoch, seq } = refused
  const id = uuid8('quarantine', source ?? '', epoch ?? '', seq ?? '', bytes.toString('base64'))
  const isRow = 'columns' in delivery
  const where: Record<string, string> = {
    [HEADER.contentType]: isRow ? 'application/octet-stream' : 'application/json',
    'andon-quarantine-door': delivery.door,
  }
  if (epoch !== undefined) where['andon-quarantine-epoch'] = String(epoch)
  if (seq !== undefined) where['andon-quarantine-seq'] = String(seq)
  if (delivery.mapped !== undefined) {
    where['andon-quarantine-mapping'] = delivery.mapped.file
    where['andon-quarantine-arrival'] = JSON.stringify(delivery.mapped.arrival)
  }
  if (delivery.mapped !== undefined || isRow) {
    const meant = reading === undefined ? undefined : JSON.stringify(reading)
    if (meant !== undefined && meant.length <= maxHeaderLength) where['andon-quarantine-reading'] = meant
  }
  return quarantined(shape, { id, key: source ?? null, bytes, refused, where, receivedUs })
}

/** What the disk of the spool made of acknowledged readings. `where` names the place, so that a repeat of it is known by its id. */
export const damageRecord = (shape: RecordShape, bytes: Buffer, where: string, receivedUs: number): Outgoing => {
  const message = `The spool no longer holds what was written (${where}); these are its ${bytes.length} bytes as found. Check the disk.`
  const refused = { code: 'ANDON_INGEST_SPOOL_DAMAGED', message }
  const id = uuid8('quarantine', 'spool', shape.instance, where, bytes.toString('base64'))
  const headers = { [HEADER.contentType]: 'application/octet-stream', 'andon-quarantine-door': 'spool' }
  return quarantined(shape, { id, key: null, bytes, refused, where: headers, receivedUs })
}

interface Quarantined {
  readonly id: string
  readonly key: string | null
  readonly bytes: Buffer
  readonly refused: Pick<Refusal, 'code' | 'message'>
  readonly where: Readonly<Record<string, string>>
  readonly receivedUs: number
}

const quarantined = (shape: RecordShape, { id, key, bytes, refused, where, receivedUs }: Quarantined): Outgoing => {
  const output = { topic: quarantineTopic, key, value: bytes, id, type: 'andon.telemetry.quarantined', timeUs: receivedUs }
  const headers: Record<string, string> = {
    ...eventHeaders(output, sourceOf(shape.instance)),
    [HEADER.lane]: LIVE,
    'andon-quarantine-code': refused.code,
    'andon-quarantine-message': refused.message,
    ...where,
  }
  if (bytes.length > maxQuarantineBytes) headers['andon-quarantine-original-bytes'] = String(bytes.length)
  return {
    topic: quarantineTopic,
    partition: key === null ? 0 : partitionOf(key, shape.quarantinePartitions),
    key,
    value: Buffer.from(bytes.subarray(0, maxQuarantineBytes)),
    headers: encodeHeaders(headers),
    timestampMs: Math.floor(receivedUs / 1000),
    oldestReceivedUs: receivedUs,
    identities: [],
    isControl: false,
  }
}

const headerSlabBytes = 64 * 1024
const byInstance = new Map<string, (output: Output) => EncodedHeaders>()

// Headers of live blocks by template, many of them in one buffer.
const headersOf = (instance: string): ((output: Output) => EncodedHeaders) => {
  let write = byInstance.get(instance)
  if (write === undefined) byInstance.set(instance, (write = headerWriter(instance)))
  return write
}

const headerWriter = (instance: string) => {
  const templates = new OutputHeaders(sourceOf(instance))
  const live = { lane: LIVE, traceparent: undefined, order: undefined, cause: undefined, index: 0 }
  let slab = Buffer.alloc(0)
  let at = 0
  return (output: Output): EncodedHeaders => {
    let end = templates.write(slab, at, output, live)
    if (end < 0) {
      slab = Buffer.allocUnsafeSlow(Math.max(headerSlabBytes, -end * 2))
      at = 0
      end = templates.write(slab, at, output, live)
    }
    const headers = new EncodedHeaders(slab, at, end)
    at = end
    return headers
  }
}
