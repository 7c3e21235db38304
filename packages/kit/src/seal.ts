// Sealed inputs of an incident: a canonical manifest in the blob store names every item by its digest, and every gap. What can be
// stored again is equal byte for byte, so sealing the same log twice gives the same digest. Verification needs the store alone.

import type { SealGap, SealedItem } from '@andon/schemas'
import type { Blobs } from './blobs.ts'
import { AndonError, codeOf, messageOf } from './errors.ts'
import { canonicalJson } from './ids.ts'
import type { LineageRecord } from './lineage-walk.ts'
import { HEADER } from './lineage.ts'
import type { LogRecord } from './log/port.ts'

export interface SealManifest {
  readonly version: 1
  readonly incidentId: string
  readonly findingId: string
  readonly line: string
  readonly assetId: string
  /** Sorted by kind, id and position. */
  readonly items: readonly SealedItem[]
  /** Sorted by what and why. */
  readonly gaps: readonly SealGap[]
}

const compare = (left: readonly string[], right: readonly string[]): number => {
  for (const [at, text] of left.entries()) if (text !== right[at]) return text < right[at]! ? -1 : 1
  return 0
}

/** Items and gaps in the one order, each once. */
export const sealManifest = (of: Omit<SealManifest, 'version'>): SealManifest => {
  const items = new Map(of.items.map((item) => [`${item.kind}\n${item.id}\n${item.position ?? ''}`, item]))
  const gaps = new Map(of.gaps.map((gap) => [`${gap.what}\n${gap.why}`, gap]))
  return {
    ...of,
    version: 1,
    items: [...items.values()].toSorted((a, b) => compare([a.kind, a.id, a.position ?? ''], [b.kind, b.id, b.position ?? ''])),
    gaps: [...gaps.values()].toSorted((a, b) => compare([a.what, a.why], [b.what, b.why])),
  }
}

export const manifestBytes = (manifest: SealManifest): Buffer => Buffer.from(canonicalJson(manifest))

/** topic/partition/leader epoch/offset. */
export const positionOf = ({ topic, partition, leaderEpoch, offset }: LineageRecord): string =>
  `${topic}/${partition}/${leaderEpoch}/${offset}`

const MAGIC = Buffer.from('andon-record-1\n')

/** A record as it is sealed: place, timestamp, key, value and headers (by name), each with its length before it (int32; -1: none). */
export const sealedRecord = (record: LogRecord): Buffer => {
  const { topic, partition, leaderEpoch, offset, timestampMs, key, value } = record
  const headers = Object.entries(record.headers()).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const fields = [topic, String(partition), String(leaderEpoch), String(offset), String(timestampMs), key, value, ...headers.flat()]
  return Buffer.concat([MAGIC, ...fields.flatMap(prefixed)])
}

const prefixed = (field: string | Buffer | null): Buffer[] => {
  const length = Buffer.alloc(4)
  const bytes = typeof field === 'string' ? Buffer.from(field) : field
  length.writeInt32BE(bytes?.length ?? -1)
  return bytes === null ? [length] : [length, bytes]
}

export interface UnsealedRecord extends LineageRecord {
  readonly timestampMs: number
  readonly key: string | null
  /** As it was on the log: Confluent framing and Avro. */
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

/** Reads what `sealedRecord` wrote. Throws ANDON_SEAL_RECORD when it is nothing of that kind. */
export const unsealedRecord = (bytes: Buffer): UnsealedRecord => {
  const fields: (Buffer | null)[] = []
  const isOne = bytes.subarray(0, MAGIC.length).equals(MAGIC)
  for (let at = MAGIC.length; isOne && at + 4 <= bytes.length;) {
    const length = bytes.readInt32BE(at)
    at += 4 + Math.max(0, length)
    fields.push(length < 0 ? null : bytes.subarray(at - length, at))
  }
  if (fields.length < 7) throw new AndonError('ANDON_SEAL_RECORD', 'Expected a sealed record')
  const [topic, partition, leaderEpoch, offset, timestampMs, key, value, ...headers] = fields
  const text = (field: Buffer | null | undefined): string => field?.toString('utf8') ?? ''
  return {
    topic: text(topic),
    partition: Number(text(partition)),
    leaderEpoch: Number(text(leaderEpoch)),
    offset: Number(text(offset)),
    timestampMs: Number(text(timestampMs)),
    key: key === null ? null : text(key),
    value: value ?? null,
    headers: Object.fromEntries(headers.flatMap((name, at) => (at % 2 === 0 ? [[text(name), text(headers[at + 1])]] : []))),
  }
}

/** An item that is not as it was sealed. */
export interface SealProblem {
  readonly kind: string
  readonly id: string
  readonly position: string | null
  readonly digest: string
  readonly problem: 'missing' | 'changed' | 'another record'
  readonly message: string
}

export interface SealVerdict {
  /** Digest of the manifest. */
  readonly digest: string
  readonly manifest: SealManifest
  /** Bytes that were read again. */
  readonly bytes: number
  readonly problems: readonly SealProblem[]
}

/**
 * Reads everything that an incident's hold keeps again and computes every digest. With `expected`, the digest of IncidentSealed, the
 * manifest has to be that one. Throws ANDON_SEAL_UNKNOWN where nothing is sealed or the manifest is not whole.
 */
export const verifySeal = async (blobs: Blobs, incidentId: string, expected?: string): Promise<SealVerdict> => {
  const uri = expected === undefined ? (await blobs.held(incidentId))?.[0] : `sha256:${expected}`
  if (uri === undefined)
    throw new AndonError('ANDON_SEAL_UNKNOWN', `The blob store holds no sealed inputs of incident ${incidentId}`, { status: 404 })
  const manifest = await manifestAt(blobs, uri)
  if (manifest.incidentId !== incidentId)
    throw new AndonError('ANDON_SEAL_UNKNOWN', `${uri} is the seal of incident ${manifest.incidentId}, not of ${incidentId}`)
  const problems: SealProblem[] = []
  let bytes = 0
  for (const item of manifest.items) {
    const { kind, id, position, digest } = item
    const note = (problem: SealProblem['problem'], message: string) => problems.push({ kind, id, position, digest, problem, message })
    try {
      const content = await blobs.get(`sha256:${digest}`)
      bytes += content.length
      if (content.length !== item.bytes) note('changed', `Expected ${item.bytes} bytes, found ${content.length}`)
      if (position !== null && !isRecordOf(content, item)) note('another record', `Its content is not the record at ${position}`)
    } catch (error) {
      const code = codeOf(error)
      if (code !== 'ANDON_BLOB_MISSING' && code !== 'ANDON_BLOB_CORRUPT') throw error
      note(code === 'ANDON_BLOB_MISSING' ? 'missing' : 'changed', messageOf(error))
    }
  }
  return { digest: uri.slice('sha256:'.length), manifest, bytes, problems }
}

const manifestAt = async (blobs: Blobs, uri: string): Promise<SealManifest> => {
  try {
    return JSON.parse((await blobs.get(uri)).toString('utf8')) as SealManifest
  } catch (error) {
    if (!codeOf(error)?.startsWith('ANDON_BLOB_')) throw error
    throw new AndonError('ANDON_SEAL_UNKNOWN', `The manifest is not whole: ${messageOf(error)}`, { cause: error })
  }
}

const isRecordOf = (content: Buffer, { id, position }: SealedItem): boolean => {
  try {
    const record = unsealedRecord(content)
    return positionOf(record) === position && (record.headers[HEADER.id] ?? position) === id
  } catch {
    return false
  }
}
