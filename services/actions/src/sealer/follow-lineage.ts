// From an opened incident back to what its finding was made of: finding → prediction → vectors → blocks by the positions in their
// headers, then the models, documents and snapshots that they name. What is no longer there becomes a gap, never a failure.

import {
  blocksBehind,
  causesOf,
  decodedOr,
  HEADER,
  lastBefore,
  listSnapshots,
  parseCause,
  positionOf,
  recordsIn,
  snapshotBlobs,
} from '@andon/kit'
import type { Blobs, Codec, Log, LogRecord } from '@andon/kit'
import type { Actions, Features, Finding, Plant, Predictions, Vector } from '@andon/schemas'
import { Collection, GONE } from './collection.ts'
import type { DigestIndex } from './digest-index.ts'

const HOUR_MS = 3_600_000
/** A finding was copied at most this long before its owner decided it. */
const COPIED_WITHIN_MS = 24 * HOUR_MS
/** A snapshot is retained beside the work: a younger one may turn up later, and another run would name it. */
const SETTLED_MS = 60_000
/** Facts of one decision lie side by side. */
const MOST_FACTS = 64

export interface LineageDeps {
  readonly log: Log
  readonly codec: Codec
  readonly index: DigestIndex
  /** Where retained snapshots lie. */
  readonly history: () => Promise<Blobs>
  /** Where artefacts lie and items go. */
  readonly blobs: Blobs
  readonly maxBytes: number
}

/** IncidentOpened and where it lies. */
export interface Opened {
  readonly fact: Actions
  readonly finding: Finding
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
}

interface FoundVector {
  readonly record: LogRecord
  readonly vector: Vector
}

export const followLineage = async (deps: LineageDeps, opened: Opened): Promise<Collection> => {
  const { log, codec } = deps
  const { finding } = opened
  const into = new Collection(deps.blobs, deps.maxBytes)
  const { predictions, vectors, cause } = await causalRecords(deps, opened, into)
  for (const found of vectors) await sealBlocks(deps, finding.assetId, found, into)
  const plant = await sealDocuments(deps, opened, vectors, into)
  const assetClass = plant?.assets.find(({ id }) => id === finding.assetId)?.class
  await sealModels(deps, opened, predictions, assetClass, into)
  const starts = [
    { group: 'clustering', cause },
    { group: 'features', cause: causeOf(vectors[0]?.record) },
  ]
  for (const { group, cause: before } of starts)
    if (before) await sealSnapshot({ ...deps, log, codec }, group, before, finding.assetId, into)
  return into
}

const causeOf = (record: LogRecord | undefined) => parseCause(record?.header(HEADER.cause))

const KINDS: Readonly<Record<string, string>> = { anomalies: 'finding', predictions: 'prediction', features: 'vector' }

/** Finding, prediction and vectors; sealed as they are found. */
const causalRecords = async ({ log, codec }: LineageDeps, { fact, finding, partition, offset, timestampMs }: Opened, into: Collection) => {
  const ids: Readonly<Record<string, string>> = {
    anomalies: finding.findingId,
    predictions: finding.predictionId,
    features: finding.vectorId,
  }
  const place = { topic: 'actions', partition, before: offset, sinceMs: timestampMs - COPIED_WITHIN_MS }
  const copied = await lastBefore(log, place, (record) => record.header(HEADER.id) === fact.requestId)
  const { records, gone } = copied ? await causesOf(log, causeOf(copied) ?? null, 8) : { records: [], gone: null }
  const byTopic = new Map(records.map((record) => [record.topic, record]))
  let why = copied ? 'nothing on the log says what caused it' : `the copy of the finding is ${GONE}`
  for (const [topic, kind] of Object.entries(KINDS)) {
    const record = byTopic.get(topic)
    if (record) await into.record(kind, record)
    else if (gone?.topic === topic) {
      into.gap(`${kind} ${ids[topic]} at ${positionOf(gone)}`, GONE)
      why = `what led to it is ${GONE}`
    } else into.gap(`${kind} ${ids[topic]}`, why)
  }
  // what closed the window, where it was no block of the asset
  const last = byTopic.get('telemetry')
  if (last && last.key !== finding.assetId) await into.record('tick', last)

  const predicted = byTopic.get('predictions')
  const prediction = predicted && (await decodedOr<Predictions>(codec, predicted))
  const vectors = await vectorsOf({ log, codec }, finding, byTopic.get('features'), into)
  return { predictions: prediction ? [prediction] : [], vectors, cause: causeOf(byTopic.get('anomalies')) }
}

/** The vector that caused the finding, and the one that opened its episode. */
const vectorsOf = async (
  { log, codec }: Pick<LineageDeps, 'log' | 'codec'>,
  finding: Finding,
  record: LogRecord | undefined,
  into: Collection,
): Promise<FoundVector[]> => {
  if (!record) return []
  const found: FoundVector[] = []
  const add = async (each: LogRecord): Promise<void> => {
    const vector = (await decodedOr<Features>(codec, each))?.vector
    if (vector) found.push({ record: each, vector })
  }
  await add(record)
  const { openingVectorId, vectorId, atUs, openedUs } = finding
  if (openingVectorId === vectorId || openingVectorId === '') return found
  const sinceMs = record.timestampMs - (atUs - openedUs) / 1000 - HOUR_MS
  const place = { topic: record.topic, partition: record.partition, before: record.offset, sinceMs }
  const opening = await lastBefore(log, place, (each) => each.header(HEADER.id) === openingVectorId)
  if (opening) {
    await into.record('vector', opening)
    await add(opening)
  } else into.gap(`vector ${openingVectorId}, which opened the episode`, GONE)
  return found
}

const sealBlocks = async (
  { log, codec }: LineageDeps,
  assetId: string,
  { record, vector }: FoundVector,
  into: Collection,
): Promise<void> => {
  const cause = causeOf(record)
  if (!cause) {
    if (vector.ranges.length > 0) into.gap(`blocks of vector ${vector.vectorId}`, 'nothing on the log says what caused it')
    return
  }
  const sinceMs = Math.min(vector.windowStartUs / 1000, record.timestampMs) - HOUR_MS
  const blocks = blocksBehind(log, codec, cause, { assetId, ...vector }, sinceMs)
  for (let next = await blocks.next(); ; next = await blocks.next()) {
    if (!next.done) {
      await into.record('block', next.value.record)
      continue
    }
    for (const { sourceId, epoch, seqFrom, seqTo } of next.value)
      into.gap(`samples ${seqFrom} to ${seqTo} of ${sourceId}, epoch ${epoch}, for vector ${vector.vectorId}`, GONE)
    return
  }
}

/** Documents by the digests that records name; gives the plant file. */
const sealDocuments = async (
  { log, codec, index }: LineageDeps,
  opened: Opened,
  vectors: readonly FoundVector[],
  into: Collection,
): Promise<Plant | undefined> => {
  const plantDigest = vectors[0]?.vector.plantDigest ?? ''
  const named = vectors.flatMap(({ vector }) => [vector.featureSetDigest, vector.plantDigest])
  const policies: string[] = []
  const { partition, offset } = opened
  for await (const record of recordsIn(log, 'actions', partition, offset, offset + MOST_FACTS)) {
    const fact = await decodedOr<Actions>(codec, record)
    if (fact?.requestId !== opened.fact.requestId) break
    policies.push(fact?.proposal?.policyDigest ?? '')
  }
  let plant: Plant | undefined
  for (const digest of new Set([...named, ...policies])) {
    if (digest === '') continue
    const document = await index.find('config', digest)
    if (!document?.record) into.gap(`document ${digest}`, 'no record of config has this digest')
    else {
      await into.record('config', document.record)
      if (digest === plantDigest) plant = await plantIn(codec, document.record)
    }
  }
  return plant
}

const plantIn = async (codec: Codec, record: LogRecord): Promise<Plant | undefined> => {
  const { body = '{}' } = (await decodedOr<{ body: string }>(codec, record)) ?? {}
  return JSON.parse(body) as Plant
}

/** Models, detectors and the cluster model: the record that told of each, and its artefact. */
const sealModels = async (
  { index, blobs }: LineageDeps,
  { finding, timestampMs }: Opened,
  predictions: readonly Predictions[],
  assetClass: string | undefined,
  into: Collection,
): Promise<void> => {
  const named = new Map<string, string>([[finding.modelDigest, finding.model]])
  for (const { name, digest } of finding.sources) named.set(digest, name)
  for (const { verdicts, embeddings } of predictions)
    for (const { model, digest } of [...verdicts, ...(embeddings ?? [])]) named.set(digest, model)
  const clusters = assetClass === undefined ? undefined : await index.clustersAt(assetClass, finding.atUs, timestampMs)
  if (clusters !== undefined) named.set(clusters, `clusters of ${assetClass}`)
  for (const [digest, name] of named) {
    if (digest === '') continue
    const told = await index.find('models', digest)
    if (!told?.record) {
      into.gap(`artefact of ${name}, ${digest}`, 'no record of models has this digest')
      continue
    }
    await into.record('model', told.record)
    await into.blob('artefact', told.name, blobs, told.uri)
  }
}

/** The newest retained snapshot before the cause: its manifest, and the state of the asset. */
const sealSnapshot = async (
  { log, codec, history }: LineageDeps,
  group: string,
  before: NonNullable<ReturnType<typeof parseCause>>,
  assetId: string,
  into: Collection,
): Promise<void> => {
  const { topic, partition } = before
  const what = `snapshot of ${group} before ${positionOf(before)}`
  const causing = await log.admin.endOfEpoch(topic, partition, before.leaderEpoch)
  if (causing <= before.offset) return into.gap(what, GONE)
  const settledMs = await timestampOf(log, before)
  if (settledMs === undefined) return into.gap(what, GONE)
  const entries = await listSnapshots(log, codec, group, partition)
  const entry = entries.findLast(
    ({ input }) => input.topic === topic && input.offset < before.offset && input.timestampMs < settledMs - SETTLED_MS,
  )
  if (!entry) return into.gap(what, 'none was retained')
  const blobs = await history()
  const id = `${group}/${partition}@${entry.input.offset}`
  await into.blob('snapshot', id, blobs, entry.uri)
  const keys = await snapshotBlobs(blobs, entry.uri)
  for (const { key, uri } of keys ?? [])
    if (key === assetId || key.startsWith(`${assetId}#`)) await into.blob('snapshot', `${id} ${key}`, blobs, uri)
}

const timestampOf = async (
  log: Log,
  { topic, partition, offset }: { topic: string; partition: number; offset: number },
): Promise<number | undefined> => {
  for await (const batch of log.read({ topic, partition, from: offset, to: offset + 1 }))
    for (const record of batch.records) if (record.offset === offset) return record.timestampMs
  return undefined
}
