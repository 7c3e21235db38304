// OPC UA values → readings: source time to the microsecond, status code as quality, values of one source time in one reading.
// Pure. A value that is no number is refused by itself; the ones beside it are kept.

import { refusal } from './reading.ts'
import type { RawReading } from './reading.ts'

/** What is read of node-opcua's DataValue. */
export interface DataValueLike {
  readonly value?: { readonly dataType: number; readonly arrayType: number; readonly value: unknown } | null | undefined
  readonly statusCode: { readonly value: number; readonly name: string }
  readonly sourceTimestamp?: Date | null | undefined
  /** Below the millisecond of the timestamp. */
  readonly sourcePicoseconds?: number | null | undefined
  readonly serverTimestamp?: Date | null | undefined
  readonly serverPicoseconds?: number | null | undefined
}

/** A channel as its source file has it. */
export interface NodeChannel {
  readonly channel: string
  readonly node: string
  readonly unit?: string | undefined
  readonly scale: number
  readonly offset: number
}

/** One value of one node. */
export interface NodeValue {
  readonly of: NodeChannel
  /** Source time, microseconds UTC; the server's where the source has none, and else the time of receipt. */
  readonly timeUs: number
  readonly quality: 0 | 1 | 2
  /** The code without the bits that say how the value was queued. */
  readonly status: number
  readonly statusName: string
  /** The server's queue ran over before this value. */
  readonly isAfterLoss: boolean
  /** Null: none. A text: why it is no number. */
  readonly value: number | null | string
  readonly original: DataValueLike
}

// OPC 10000-4 §7.38: severity in the highest two bits, information bits in the lowest ten and two.
const severityShift = 30
const codeBits = 0xffff_0000
const isDataValue = 0x0400
const isOverflow = 0x0080

/** 0 good, 1 uncertain, 2 bad. */
export const severityOf = (status: { readonly value: number }): 0 | 1 | 2 =>
  Math.min((status.value >>> 0) >>> severityShift, 2) as 0 | 1 | 2

export const valueOf = (of: NodeChannel, original: DataValueLike, receivedUs: number): NodeValue => {
  const bits = original.statusCode.value >>> 0
  const isAfterLoss = (bits & isDataValue) !== 0 && (bits & isOverflow) !== 0
  const severity = severityOf(original.statusCode)
  return {
    of,
    timeUs:
      timeOf(original.sourceTimestamp, original.sourcePicoseconds) ??
      timeOf(original.serverTimestamp, original.serverPicoseconds) ??
      receivedUs,
    quality: isAfterLoss && severity === 0 ? 1 : severity,
    status: (bits & codeBits) >>> 0,
    statusName: original.statusCode.name.split('#')[0]!,
    isAfterLoss,
    value: numberOf(original, of, severity),
    original,
  }
}

const timeOf = (time: Date | null | undefined, picoseconds: number | null | undefined): number | undefined => {
  const ms = time?.getTime()
  if (ms === undefined || Number.isNaN(ms)) return undefined
  return ms * 1000 + Math.floor((picoseconds ?? 0) / 1_000_000)
}

/** What was found instead of a number, in words. */
const numberOf = ({ value: variant }: DataValueLike, { scale, offset }: NodeChannel, severity: number): number | null | string => {
  if (variant === null || variant === undefined || variant.dataType === dataTypes.Null) return null
  const { dataType, arrayType, value } = variant
  const type = typeNames.get(dataType) ?? `data type ${dataType}`
  if (arrayType !== 0) return `an array of ${type}`
  const number = scalar(dataType, value)
  if (number === undefined) return severity === 2 ? null : type
  if (Number.isFinite(number)) return number * scale + offset
  return severity === 0 ? String(number) : null
}

const dataTypes = {
  Null: 0,
  Boolean: 1,
  SByte: 2,
  Byte: 3,
  Int16: 4,
  UInt16: 5,
  Int32: 6,
  UInt32: 7,
  Int64: 8,
  UInt64: 9,
  Float: 10,
  Double: 11,
  String: 12,
  DateTime: 13,
  Guid: 14,
  ByteString: 15,
  XmlElement: 16,
  NodeId: 17,
  ExpandedNodeId: 18,
  StatusCode: 19,
  QualifiedName: 20,
  LocalizedText: 21,
  ExtensionObject: 22,
  DataValue: 23,
  Variant: 24,
  DiagnosticInfo: 25,
} as const
const typeNames = new Map<number, string>(Object.entries(dataTypes).map(([name, number]) => [number, name]))

const scalar = (dataType: number, value: unknown): number | undefined => {
  if (dataType === dataTypes.Boolean) return typeof value === 'boolean' ? Number(value) : undefined
  if (dataType === dataTypes.Int64 || dataType === dataTypes.UInt64) return wide(value, dataType === dataTypes.Int64)
  const isNumber = dataType >= dataTypes.SByte && dataType <= dataTypes.Double
  return isNumber && typeof value === 'number' ? value : undefined
}

/** 64 bits come as two halves; beyond 2^53 the nearest number. */
const wide = (value: unknown, isSigned: boolean): number | undefined => {
  if (!Array.isArray(value) || value.length !== 2 || !value.every((half) => Number.isInteger(half))) return undefined
  const [high, low] = value as [number, number]
  const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  return Number(isSigned ? BigInt.asIntN(64, bits) : bits)
}

/** A reading with what tells it from all others: file, source time, nodes and status codes. */
export interface KeyedReading extends RawReading {
  readonly key: string
}

/**
 * Readings of values, oldest source time first. Values of one time and quality are one reading. A reading of one channel of several
 * has a source of its own, since a block is rows of one layout.
 */
export const readingsOfValues = (values: readonly NodeValue[], file: { id: string; asset: string; width: number }): KeyedReading[] => {
  const rows: NodeValue[][] = []
  const open = new Map<string, NodeValue[]>()
  for (const value of values.toSorted((a, b) => a.timeUs - b.timeUs)) {
    const key = `${value.timeUs}/${value.quality}`
    const row = open.get(key)
    if (row !== undefined && typeof value.value !== 'string' && !row.some(({ of }) => of === value.of)) {
      row.push(value)
      continue
    }
    const own = [value]
    rows.push(own)
    if (typeof value.value !== 'string') open.set(key, own)
  }
  return rows.map((row) => (typeof row[0]!.value === 'string' ? refused(row[0]!, file) : readingOf(row, file)))
}

const keyOf = (row: readonly NodeValue[], id: string): string =>
  [id, row[0]!.timeUs, ...row.map(({ of, status }) => `${of.channel} ${of.node} ${status.toString(16)}`)].join(' ')

const readingOf = (row: readonly NodeValue[], { id, asset, width }: { id: string; asset: string; width: number }): KeyedReading => {
  const [first] = row as [NodeValue]
  const stream = row.length === 1 && width > 1 ? `.${first.of.channel.replaceAll(/[^A-Za-z0-9._-]/g, '-')}` : ''
  const source = `${asset}:${id}${stream}`
  const withUnits = row.filter(({ of }) => of.unit !== undefined)
  return {
    key: keyOf(row, id),
    value: {
      source,
      asset,
      timeUs: first.timeUs,
      quality: first.quality,
      values: Object.fromEntries(row.map(({ of, value }) => [of.channel, value])),
      ...(withUnits.length > 0 && { units: Object.fromEntries(withUnits.map(({ of }) => [of.channel, of.unit])) }),
    },
    bytes: () => describe(row),
  }
}

const refused = (value: NodeValue, { id, asset }: { id: string; asset: string }): KeyedReading => ({
  key: keyOf([value], id),
  value: undefined,
  bytes: () => describe([value]),
  refused: refusal(
    'ANDON_INGEST_OPCUA_NOT_A_NUMBER',
    `sources/${id}: node ${value.of.node}: found ${String(value.value)}, expected one finite number for channel ${value.of.channel}`,
    { source: `${asset}:${id}`, asset },
  ),
})

/** The values as JSON: the frame they came in holds others' too. */
const describe = (row: readonly NodeValue[]): Buffer =>
  Buffer.from(
    JSON.stringify(
      row.map(({ of, statusName, original: { value, sourceTimestamp } }) => ({
        node: of.node,
        status: statusName,
        sourceTimestamp,
        dataType: value == null ? undefined : typeNames.get(value.dataType),
        value: plain(value?.value),
      })),
    ),
  )

// Objects of a server's own types may refer to themselves.
const plain = (value: unknown): unknown => {
  try {
    return JSON.parse(
      JSON.stringify(value, (_, part: unknown) => (typeof part === 'number' && !Number.isFinite(part) ? String(part) : part)) ?? 'null',
    )
  } catch {
    return String(value)
  }
}
