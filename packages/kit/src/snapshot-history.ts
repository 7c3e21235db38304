// Retained snapshots: what the state was, every ten minutes of record time, for as long as the input is kept. Replays
// start from one. Content lies in the blob store, one blob per key; a key that did not change is named again, not stored
// again. An index in `<group>.history.changelog` says when each was taken: an entry is appended once all it names is on
// disk, so a kill leaves an entry or none, and a second owner's entries stand beside the first one's.

import { topology } from '@andon/schemas'
import type { Changelog, ChangelogInput } from '@andon/schemas'
import { openBlobs } from './blobs.ts'
import type { Blobs } from './blobs.ts'
import type { Codec } from './codec-port.ts'
import { codeOf } from './errors.ts'
import type { DedupeEntry } from './lineage.ts'
import type { Log, TopicSpec } from './log/port.ts'
import type { Mark } from './marks.ts'
import type { KeySnapshot } from './snapshots.ts'

export interface SnapshotHistoryOptions {
  /** Asked for with the first snapshot: a service goes on where none can be kept, and says so. */
  readonly blobs: () => Promise<Blobs>
  /** Record time between two retained snapshots of a partition, ms. */
  readonly everyMs: number
  /** Records between two, if that comes first. */
  readonly everyRecords: number
  readonly logger?: { warn(fields: object, message: string): void }
}

/** State of one partition after its record `input`. */
export interface RetainedState {
  readonly input: Mark
  readonly dedupe: readonly DedupeEntry[]
  readonly keys: readonly KeySnapshot[]
}

/** One entry of the index. */
export interface RetainedSnapshot {
  /** The last record that the state contains. */
  readonly input: Mark & { readonly timestampMs: number }
  /** Of the manifest in the blob store. */
  readonly uri: string
}

interface Manifest {
  readonly version: 1
  readonly group: string
  readonly input: Mark
  readonly dedupe: readonly DedupeEntry[]
  readonly keys: readonly { readonly key: string; readonly version: number; readonly uri: string }[]
}

interface PartitionHistory {
  /** Keys that changed since the newest entry. */
  changed: Map<string, KeySnapshot>
  /** Where each key of the newest entry lies. */
  readonly kept: Map<string, { readonly version: number; readonly uri: string }>
  last: { readonly timestampMs: number; readonly offset: number } | undefined
  hasLooked: boolean
  saving: Promise<void> | undefined
}

const DAY_MS = 86_400_000
const TEND_EVERY_MS = 3_600_000
const UNKNOWN_RETENTION_MS = 14 * DAY_MS

export const historyTopic = (group: string): string => `${group}.history.changelog`

/** The blob store of retained snapshots: a folder of its own, since what is in it is removed with age. */
export const openHistoryBlobs = (blobDir: string): Promise<Blobs> => openBlobs(`${blobDir}/history`)

/** The history that a service's settings ask for. */
export const retainedHistory = (
  config: { readonly blobDir: string; readonly historyEveryMs: number; readonly historyEveryRecords: number },
  logger: SnapshotHistoryOptions['logger'],
): SnapshotHistoryOptions => ({
  blobs: () => openHistoryBlobs(config.blobDir),
  everyMs: config.historyEveryMs,
  everyRecords: config.historyEveryRecords,
  ...(logger ? { logger } : {}),
})

/** How long a topic keeps records, ms; -1 = for ever. */
const retentionOf = (topic: string): number => {
  const configs: Readonly<Record<string, string>> | undefined = (topology.topics as Record<string, { configs: Record<string, string> }>)[
    topic
  ]?.configs
  return Number(configs?.['retention.ms'] ?? UNKNOWN_RETENTION_MS)
}

export const historySpec = (group: string, inputTopic: string, partitions: number): TopicSpec => ({
  name: historyTopic(group),
  partitions,
  configs: { 'cleanup.policy': 'delete', 'retention.ms': String(retentionOf(inputTopic)) },
})

/** Writes the history of the partitions of one group. */
export class SnapshotHistory {
  private readonly log: Log
  private readonly codec: Codec
  private readonly group: string
  private readonly inputTopic: string
  private readonly options: SnapshotHistoryOptions
  private readonly partitions = new Map<number, PartitionHistory>()
  private readonly tending: NodeJS.Timeout
  private created: Promise<void> | undefined

  constructor(log: Log, codec: Codec, group: string, inputTopic: string, options: SnapshotHistoryOptions) {
    this.log = log
    this.codec = codec
    this.group = group
    this.inputTopic = inputTopic
    this.options = options
    this.tending = setInterval(() => void this.tend(retentionOf(inputTopic)), TEND_EVERY_MS)
    this.tending.unref()
  }

  /** A partition begins with this state: its first entry holds every key. */
  restored(partition: number, keys: readonly KeySnapshot[]): void {
    const changed = new Map(keys.map((each) => [each.key, each]))
    this.partitions.set(partition, { changed, kept: new Map(), last: undefined, hasLooked: false, saving: undefined })
  }

  /** The newest retained state of a partition that is whole and stands on records that were not lost. */
  async newest(partition: number): Promise<RetainedState | undefined> {
    const blobs = await this.options.blobs()
    const place = { group: this.group, topic: this.inputTopic, partition, before: Infinity }
    const found = await findSnapshot(this.log, this.codec, blobs, place)
    return found && loadSnapshot(blobs, found.uri)
  }

  /** A round was written. Returns at once; an entry that is due is written beside the partition's work. */
  note(state: RetainedState): void {
    const { input } = state
    const own = this.partitions.get(input.partition)
    if (own === undefined || input.timestampMs === undefined) return
    for (const each of state.keys) own.changed.set(each.key, each)
    if (own.saving !== undefined || (own.hasLooked && !this.isDue(own, input))) return
    const changed = own.changed
    own.changed = new Map()
    own.saving = this.save(own, state, changed)
      .catch((error: unknown) => {
        for (const [key, snapshot] of changed) if (!own.changed.has(key)) own.changed.set(key, snapshot)
        this.options.logger?.warn({ err: error, partition: input.partition }, 'a snapshot was not retained; the next round tries again')
      })
      .finally(() => {
        own.saving = undefined
      })
  }

  /** Resolves when what is being written is there or has failed. */
  async settled(): Promise<void> {
    for (const { saving } of this.partitions.values()) await saving
  }

  async close(): Promise<void> {
    clearInterval(this.tending)
    await this.settled()
  }

  private isDue({ last }: PartitionHistory, input: Mark): boolean {
    if (last === undefined) return true
    return input.timestampMs! - last.timestampMs >= this.options.everyMs || input.offset - last.offset >= this.options.everyRecords
  }

  private async save(own: PartitionHistory, { input, dedupe }: RetainedState, changed: Map<string, KeySnapshot>): Promise<void> {
    const blobs = await this.options.blobs()
    if (!own.hasLooked) {
      this.created ??= this.createTopic(input.topic)
      await this.created
      const newest = (await listSnapshots(this.log, this.codec, this.group, input.partition)).at(-1)?.input
      own.last = newest === undefined || newest.offset > input.offset ? undefined : newest
      own.hasLooked = true
      if (!this.isDue(own, input)) {
        for (const [key, snapshot] of changed) if (!own.changed.has(key)) own.changed.set(key, snapshot)
        return
      }
    }
    for (const { key, version, state } of changed.values()) own.kept.set(key, { version, uri: (await blobs.put(state)).uri })
    for (const [key, { uri }] of own.kept) if (!changed.has(key)) await blobs.keep(uri)
    const keys = [...own.kept].map(([key, { version, uri }]) => ({ key, version, uri }))
    const manifest: Manifest = { version: 1, group: this.group, input, dedupe, keys }
    const { uri } = await blobs.put(Buffer.from(JSON.stringify(manifest)))
    const value: ChangelogInput = {
      type: 'history',
      inputTopic: input.topic,
      inputPartition: input.partition,
      leaderEpoch: input.leaderEpoch,
      offset: input.offset,
      recordId: input.id,
      state: Buffer.from(uri),
    }
    const topic = historyTopic(this.group)
    const timestampMs = input.timestampMs!
    await this.log.append([{ topic, partition: input.partition, key: null, value: this.codec.encode(topic, value), timestampMs }])
    own.last = { timestampMs, offset: input.offset }
  }

  private async createTopic(inputTopic: string): Promise<void> {
    const partitions = await this.log.admin.partitions(inputTopic)
    await this.log.admin.ensureTopics([historySpec(this.group, inputTopic, partitions)]).catch((error: unknown) => {
      this.created = undefined
      throw error
    })
  }

  /** What the newest entries name stays young, also while nothing arrives; what only expired entries named goes. */
  private async tend(retentionMs: number): Promise<void> {
    try {
      const blobs = await this.options.blobs()
      for (const { kept } of this.partitions.values()) for (const { uri } of kept.values()) await blobs.keep(uri)
      if (retentionMs > 0) await blobs.sweep(retentionMs + DAY_MS)
    } catch (error) {
      this.options.logger?.warn({ err: error }, 'old retained snapshots were not removed')
    }
  }
}

/** The entries of one partition, oldest first; none when the group retains no snapshots. */
export const listSnapshots = async (log: Log, codec: Codec, group: string, partition: number): Promise<RetainedSnapshot[]> => {
  const topic = historyTopic(group)
  if (!(await log.admin.topics()).some(({ name }) => name === topic)) return []
  const found: RetainedSnapshot[] = []
  for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' }))
    for (const { value, timestampMs } of batch.records) {
      if (value === null) continue
      const entry = await codec.decodeAsync<Changelog>(topic, value)
      if (entry.type !== 'history' || entry.state === null) continue
      const { inputTopic, inputPartition, leaderEpoch, offset, recordId } = entry
      const input = { topic: inputTopic, partition: inputPartition, leaderEpoch, offset, id: recordId, timestampMs }
      found.push({ input, uri: entry.state.toString('utf8') })
    }
  return found.toSorted((a, b) => a.input.timestampMs - b.input.timestampMs || a.input.offset - b.input.offset)
}

/** Reads a retained state. Rejects with ANDON_BLOB_MISSING or ANDON_BLOB_CORRUPT when it is not whole. */
export const loadSnapshot = async (blobs: Blobs, uri: string): Promise<RetainedState> => {
  const { input, dedupe, keys } = JSON.parse((await blobs.get(uri)).toString('utf8')) as Manifest
  return {
    input,
    dedupe,
    keys: await Promise.all(keys.map(async ({ key, version, uri: of }) => ({ key, version, state: await blobs.get(of) }))),
  }
}

/** The keys of a retained state and where each lies, without reading them; undefined when its manifest is not whole. */
export const snapshotBlobs = async (blobs: Blobs, uri: string): Promise<Manifest['keys'] | undefined> => {
  try {
    return (JSON.parse((await blobs.get(uri)).toString('utf8')) as Manifest).keys
  } catch (error) {
    if (!codeOf(error)?.startsWith('ANDON_BLOB_')) throw error
    return undefined
  }
}

/**
 * The newest retained snapshot of a partition that stands before an offset, on records that are still in the log, and whose
 * content is whole; undefined when there is none.
 */
export const findSnapshot = async (
  log: Log,
  codec: Codec,
  blobs: Blobs,
  { group, topic, partition, before }: { group: string; topic: string; partition: number; before: number },
): Promise<(RetainedSnapshot & { readonly versions: readonly number[] }) | undefined> => {
  for (const entry of (await listSnapshots(log, codec, group, partition)).toReversed()) {
    const { input, uri } = entry
    if (input.topic !== topic || input.offset >= before) continue
    if (input.offset >= (await log.admin.endOfEpoch(topic, partition, input.leaderEpoch))) continue
    try {
      const { keys } = await loadSnapshot(blobs, uri)
      return { ...entry, versions: [...new Set(keys.map(({ version }) => version))] }
    } catch (error) {
      if (!codeOf(error)?.startsWith('ANDON_BLOB_')) throw error
    }
  }
  return undefined
}
