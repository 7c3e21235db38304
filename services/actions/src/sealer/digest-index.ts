// Where a document or an artefact with a digest is told of: `config` and `models` read on from where the last reading ended. Both
// topics are small and kept for ever; memory holds a place per digest, and the records that were asked for last.

import { decodedOr, recordAt, recordsIn } from '@andon/kit'
import type { Codec, LineageRecord, Log, LogRecord } from '@andon/kit'
import type { Config, Models } from '@andon/schemas'

/** An incident names what the one before it did: plant, feature set, policies, models. */
const RECORDS_KEPT = 64

interface Known extends LineageRecord {
  /** Name of the document, `model@version` of an artefact. */
  readonly name: string
  /** Blob of an artefact; empty for a document. */
  readonly uri: string
}

export interface Cluster {
  readonly digest: string
  readonly timestampMs: number
  readonly effectiveFromUs: number
}

export interface Named {
  readonly name: string
  readonly uri: string
  /** Undefined when the record went between two looks. */
  readonly record: LogRecord | undefined
}

export class DigestIndex {
  private readonly places = new Map<string, Known>()
  private readonly next = new Map<string, number>()
  /** By topic and digest, the one asked for longest ago first. */
  private readonly records = new Map<string, LogRecord>()
  /** Cluster models by asset class, in log order. */
  private readonly clusters = new Map<string, Cluster[]>()
  private readonly log: Log
  private readonly codec: Codec

  constructor(log: Log, codec: Codec) {
    this.log = log
    this.codec = codec
  }

  /** The first record that names a digest, as of now. */
  async find(topic: 'config' | 'models', digest: string): Promise<Named | undefined> {
    const key = `${topic} ${digest}`
    if (!this.places.has(key)) await this.read(topic)
    const found = this.places.get(key)
    return found && { name: found.name, uri: found.uri, record: await this.recordOf(key, found) }
  }

  private async recordOf(key: string, known: Known): Promise<LogRecord | undefined> {
    const record = this.records.get(key) ?? (await recordAt(this.log, known))
    this.records.delete(key)
    if (record) this.records.set(key, record)
    const [oldest] = this.records.keys()
    if (oldest !== undefined && this.records.size > RECORDS_KEPT) this.records.delete(oldest)
    return record
  }

  /** Digest of the cluster model of a class that held at an event time, told of before a moment of record time. */
  async clustersAt(assetClass: string, timeUs: number, beforeMs: number): Promise<string | undefined> {
    await this.read('models')
    return this.clusters
      .get(assetClass)
      ?.filter((one) => one.timestampMs < beforeMs && one.effectiveFromUs <= timeUs)
      .at(-1)?.digest
  }

  private async read(topic: 'config' | 'models'): Promise<void> {
    for (const { partition, low, high } of await this.log.admin.watermarks(topic)) {
      const at = `${topic}/${partition}`
      for await (const record of recordsIn(this.log, topic, partition, this.next.get(at) ?? low, high)) await this.note(topic, record)
      this.next.set(at, Math.max(high, this.next.get(at) ?? 0))
    }
  }

  private async note(topic: 'config' | 'models', record: LogRecord): Promise<void> {
    const { partition, leaderEpoch, offset, timestampMs } = record
    const place = { topic, partition, leaderEpoch, offset }
    if (topic === 'config') {
      const value = await decodedOr<Config>(this.codec, record)
      if (value && value.body !== '') this.keep(topic, value.digest, { ...place, name: value.name, uri: '' })
      return
    }
    const value = await decodedOr<Models>(this.codec, record)
    if (!value || value.digest === '') return
    if (value.uri !== '') this.keep(topic, value.digest, { ...place, name: `${value.model}@${value.version}`, uri: value.uri })
    if (value.kind !== 'clusters' || value.type !== 'ModelActivated') return
    const ofClass = this.clusters.get(value.assetClass) ?? []
    this.clusters.set(value.assetClass, [...ofClass, { digest: value.digest, timestampMs, effectiveFromUs: value.effectiveFromUs }])
  }

  private keep(topic: string, digest: string, known: Known): void {
    const key = `${topic} ${digest}`
    if (!this.places.has(key)) this.places.set(key, known)
  }
}
