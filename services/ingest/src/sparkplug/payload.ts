// Bytes ↔ Sparkplug B payloads. Reads through the message classes of sparkplug-payload, not its decodePayload: that one needs a
// datatype in every metric, which data messages must not carry, makes UInt32 negative from 2³¹ on, and follows templates into any
// depth. Here templates and data sets stay closed, and what is absent stays absent (a missing seq is not 0). Pure.

import proto from 'sparkplug-payload/lib/sparkplugPayloadProto.js'
import { closeTemplates } from './closed-templates.ts'

/** A metric as it was sent. */
export interface Metric {
  readonly name: string | undefined
  /** Exact, also above 2^53. */
  readonly alias: number | string | undefined
  /** Number of the data type; absent in data messages. */
  readonly type: number | undefined
  readonly timestampMs: number | undefined
  readonly isHistorical: boolean
  readonly isNull: boolean
  /** 0 good, 1 uncertain, 2 bad: the property `Quality` (192, 0 and 500 = stale; others are uncertain). */
  readonly quality: 0 | 1 | 2
  /** Field of the protobuf message the value came in, undefined when it has none. */
  readonly field: ValueField | undefined
  /** Numbers and booleans; integers of 64 bits as bigint. Undefined for text, bytes, data sets and templates. */
  readonly value: number | bigint | boolean | undefined
}

export type ValueField =
  | 'intValue'
  | 'longValue'
  | 'floatValue'
  | 'doubleValue'
  | 'booleanValue'
  | 'stringValue'
  | 'bytesValue'
  | 'datasetValue'
  | 'templateValue'
  | 'extensionValue'

export interface Payload {
  readonly timestampMs: number | undefined
  /** 0 to 255 in a valid payload; undefined when absent. */
  readonly seq: number | undefined
  readonly metrics: readonly Metric[]
}

/** Why bytes are no payload. */
export class BadPayload extends Error {}

export const maxPayloadBytes = 1024 * 1024
export const maxMetrics = 20_000

const goodQuality = 192
const knownBad: ReadonlySet<number> = new Set([0, 500])

const { Payload: PayloadMessage } = proto.org.eclipse.tahu.protobuf
type PayloadMessage = InstanceType<typeof PayloadMessage>
type MetricMessage = InstanceType<typeof PayloadMessage.Metric>
type Unsigned64 = number | { readonly low: number; readonly high: number }

/** Reads a payload. Throws BadPayload with the reason; takes memory in proportion to the bytes. */
export const readPayload = (bytes: Buffer): Payload => {
  if (bytes.length > maxPayloadBytes) throw new BadPayload(`found ${bytes.length} bytes, expected at most ${maxPayloadBytes}`)
  let message: PayloadMessage
  try {
    message = PayloadMessage.decode(closeTemplates(bytes, maxMetrics))
  } catch (error) {
    throw new BadPayload(`not a Sparkplug B payload: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  const metrics = own(message, 'metrics') ?? []
  const seq = unsigned(own(message, 'seq'))
  return {
    timestampMs: milliseconds(own(message, 'timestamp')),
    seq: seq === undefined ? undefined : seq > 255n ? Number.NaN : Number(seq),
    metrics: metrics.map((metric) => readMetric(metric as MetricMessage)),
  }
}

/** A command that asks an edge node for its births. */
export const rebirthCommand = (nowMs: number): Buffer =>
  Buffer.from(
    PayloadMessage.encode(
      PayloadMessage.create({
        timestamp: nowMs,
        metrics: [{ name: 'Node Control/Rebirth', timestamp: nowMs, datatype: 11, booleanValue: true }],
      }),
    ).finish(),
  )

const readMetric = (metric: MetricMessage): Metric => {
  const alias = unsigned(own(metric, 'alias'))
  const field = metric.value as ValueField | undefined
  return {
    name: own(metric, 'name') ?? undefined,
    alias: alias === undefined ? undefined : alias <= Number.MAX_SAFE_INTEGER ? Number(alias) : String(alias),
    type: own(metric, 'datatype') ?? undefined,
    timestampMs: milliseconds(own(metric, 'timestamp')),
    isHistorical: own(metric, 'isHistorical') === true,
    isNull: own(metric, 'isNull') === true,
    quality: qualityOf(metric),
    field,
    value: scalar(metric, field),
  }
}

const scalar = (metric: MetricMessage, field: ValueField | undefined): Metric['value'] => {
  if (field === 'longValue') return unsigned(metric.longValue)
  if (field === 'intValue' || field === 'floatValue' || field === 'doubleValue') return metric[field] ?? undefined
  return field === 'booleanValue' ? (metric.booleanValue ?? undefined) : undefined
}

const qualityOf = (metric: MetricMessage): 0 | 1 | 2 => {
  const properties = own(metric, 'properties')
  const at = properties?.keys?.findIndex((key) => key.toLowerCase() === 'quality') ?? -1
  const code = at < 0 ? undefined : properties?.values?.[at]?.intValue
  if (code === undefined || code === null || code === goodQuality) return 0
  return knownBad.has(code) ? 2 : 1
}

/** A field that is in the message itself: protobuf's defaults lie on the prototype. */
const own = <T extends object, K extends keyof T>(message: T, key: K): T[K] | undefined =>
  Object.hasOwn(message, key) ? message[key] : undefined

const unsigned = (value: Unsigned64 | null | undefined): bigint | undefined => {
  if (value === undefined || value === null) return undefined
  return typeof value === 'number' ? BigInt(value) : (BigInt(value.high >>> 0) << 32n) | BigInt(value.low >>> 0)
}

// A time that no double holds is no time; what comes of NaN is refused as one.
const milliseconds = (value: Unsigned64 | null | undefined): number | undefined => {
  const ms = unsigned(value)
  return ms === undefined ? undefined : ms > 8_640_000_000_000n ? Number.NaN : Number(ms)
}
