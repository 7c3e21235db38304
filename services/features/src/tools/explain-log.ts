// What an explanation needs of the log: a vector by its id, the samples it names, the documents of its digests, what came
// before and after it. Everything is looked for from the newest end on, in bounded pieces.

import { type Cause, type Codec, HEADER, type Log, type LogRecord, blocksBehind, decodedOr, parseCause, recordsIn } from '@andon/kit'
import { type Config, type Features, parseNamed } from '@andon/schemas'
import type { Block, Predictions } from '@andon/schemas'

/** Where a record lies and what it says of itself. */
export interface Place {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
  readonly timestampMs: number
  readonly lane: string
  readonly cause: Cause | null
}

export interface FoundVector {
  readonly place: Place
  readonly assetId: string
  readonly vector: NonNullable<Features['vector']>
}

const placeOf = (record: LogRecord): Place => ({
  topic: record.topic,
  partition: record.partition,
  leaderEpoch: record.leaderEpoch,
  offset: record.offset,
  timestampMs: record.timestampMs,
  lane: record.header(HEADER.lane) ?? 'live',
  cause: parseCause(record.header(HEADER.cause)) ?? null,
})

const PIECE = 2000

/** Where a search begins: at the end, or a moment of record time. */
export interface Hints {
  /** Partition of the asset, where the asset is known. */
  readonly partition?: number | undefined
  readonly aroundMs?: number | undefined
}

const HOUR_MS = 3_600_000

/** The vector with this id: the first record that has it, searched from the newest on, in all partitions side by side. */
export const findVector = async (log: Log, codec: Codec, topic: string, id: string, hints: Hints): Promise<FoundVector | undefined> => {
  const marks = (await log.admin.watermarks(topic)).filter(
    ({ partition }) => hints.partition === undefined || partition === hints.partition,
  )
  const ends = await Promise.all(
    marks.map(async ({ partition, low, high }) => {
      const end = hints.aroundMs === undefined ? high : await log.admin.offsetAt(topic, partition, hints.aroundMs + HOUR_MS)
      return { partition, low, end: Math.min(end, high) }
    }),
  )
  for (let open = ends; open.length > 0; open = open.filter(({ low, end }) => end > low))
    for (const search of open) {
      const from = Math.max(search.low, search.end - PIECE)
      // The last of equal ids: a promotion carries the id that it brings back.
      let record: LogRecord | undefined
      for await (const each of recordsIn(log, topic, search.partition, from, search.end)) if (each.header(HEADER.id) === id) record = each
      search.end = from
      const value = record && (await decodedOr<Features>(codec, record))
      if (record && value?.vector) return { place: placeOf(record), assetId: value.assetId, vector: value.vector }
    }
  return hints.aroundMs === undefined ? undefined : findVector(log, codec, topic, id, { partition: hints.partition })
}

/** A block of the asset and where it lies. */
export interface FoundBlock {
  readonly block: Block
  readonly place: Place
}

/** Blocks of the asset that hold samples of the ranges, and corrections of the window, up to and with the causing record, in log order. */
export const findBlocks = async (log: Log, codec: Codec, { place, assetId, vector }: FoundVector): Promise<FoundBlock[]> => {
  if (place.cause === null) return []
  const found: FoundBlock[] = []
  for await (const { record, block } of blocksBehind(log, codec, place.cause, { assetId, ...vector }))
    found.push({ block, place: placeOf(record) })
  return found.toSorted((a, b) => a.place.offset - b.place.offset)
}

/** A document as it stands on `config`. */
export interface FoundDocument {
  readonly name: string
  readonly digest: string
  readonly effectiveFromUs: number
  readonly value: unknown
}

/** Every readable document on `config`; those of a digest are looked up in it. */
export const readDocuments = async (log: Log, codec: Codec): Promise<FoundDocument[]> => {
  const documents: FoundDocument[] = []
  for (const { partition, low, high } of await log.admin.watermarks('config'))
    for await (const record of recordsIn(log, 'config', partition, low, high)) {
      const config = await decodedOr<Config>(codec, record)
      if (config === undefined || config.body === '') continue
      try {
        const { value } = parseNamed(config.name, JSON.parse(config.body))
        documents.push({ name: config.name, digest: config.digest, effectiveFromUs: config.effectiveFromUs, value })
      } catch {
        continue // of another version of the words; the service could not use it either
      }
    }
  return documents
}

export interface FoundRevision {
  readonly place: Place
  readonly vectorId: string
  readonly revision: number
  readonly supersedes: string | null
  readonly featureSetDigest: string
}

/** How far revisions of the same window are looked for on either side. */
const AROUND = 10_000

/** Revisions of the vector's window, itself included, in log order. */
export const findRevisions = async (log: Log, codec: Codec, { place, assetId, vector }: FoundVector): Promise<FoundRevision[]> => {
  const mark = (await log.admin.watermarks(place.topic)).find(({ partition }) => partition === place.partition)
  const revisions: FoundRevision[] = []
  const to = Math.min(mark?.high ?? 0, place.offset + AROUND)
  for (let from = Math.max(mark?.low ?? 0, place.offset - AROUND); from < to; from += PIECE)
    for await (const record of recordsIn(log, place.topic, place.partition, from, Math.min(to, from + PIECE))) {
      if (record.key !== assetId) continue
      const other = (await decodedOr<Features>(codec, record))?.vector
      if (!other || other.windowEndUs !== vector.windowEndUs || other.featureSet !== vector.featureSet) continue
      const { vectorId, revision, supersedes, featureSetDigest } = other
      revisions.push({ place: placeOf(record), vectorId, revision, supersedes, featureSetDigest })
    }
  return revisions
}

export interface FoundCitation {
  readonly place: Place
  readonly id: string
  /** `prediction`, or what a finding says happened. */
  readonly kind: string
}

const MOST_LOOKED_AT = 5000

/** Predictions of the vector and findings that name it: those close behind it, which is where they are made. */
export const findCitations = async (log: Log, codec: Codec, { place, assetId, vector }: FoundVector): Promise<FoundCitation[]> => {
  const present = new Set((await log.admin.topics()).map(({ name }) => name))
  const citations: FoundCitation[] = []
  for (const topic of ['predictions', 'anomalies']) {
    if (!present.has(topic)) continue
    const high = (await log.admin.watermarks(topic)).find(({ partition }) => partition === place.partition)?.high ?? 0
    const from = await log.admin.offsetAt(topic, place.partition, place.timestampMs)
    for await (const record of recordsIn(log, topic, place.partition, from, Math.min(high, from + MOST_LOOKED_AT))) {
      if (record.key !== assetId) continue
      const value = await decodedOr<
        Partial<Predictions> & { finding?: { findingId: string; vectorId: string; openingVectorId: string; transition: string } | null }
      >(codec, record)
      const { finding } = value ?? {}
      if (topic === 'predictions' && value?.vectorId === vector.vectorId)
        citations.push({ place: placeOf(record), id: value.predictionId ?? '', kind: 'prediction' })
      if (finding && (finding.vectorId === vector.vectorId || finding.openingVectorId === vector.vectorId))
        citations.push({ place: placeOf(record), id: finding.findingId, kind: `finding ${finding.transition}` })
    }
  }
  return citations
}
