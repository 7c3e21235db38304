// Snapshots of a service's state in its private, compacted `<group>.changelog`. One round holds the keys that changed
// since the round before, the kit's own marks, and the positions that the state stands for; its last record has a sum over
// all that it stands on. Recovery takes the newest round that is whole and whose marks still hold: state and position come
// from there, never from the committed offset.

import type { Changelog, ChangelogInput } from '@andon/schemas'
import { ChangelogView } from './changelog-view.ts'
import type { Entry, Standby, StoredRound } from './changelog-view.ts'
import type { Codec } from './codec-port.ts'
import type { Append, Log, Position, TopicSpec } from './log/port.ts'
import { readAround } from './damaged-read.ts'
import type { DedupeEntry } from './lineage.ts'
import { comparePositions } from './lineage.ts'
import { holds } from './marks.ts'
import type { Mark } from './marks.ts'
import { StoredKeys, sumOf } from './round-sum.ts'
import type { SnapshotHistory } from './snapshot-history.ts'

/** Reserved state key for what the kit itself remembers; services' keys never begin with it. */
const KIT_KEY = '@kit'
const KIT_STATE_VERSION = 1

export interface KeySnapshot {
  readonly key: string
  readonly version: number
  readonly state: Uint8Array
}

/** What the kit remembers beside the service's state. */
export interface KitState {
  readonly dedupe: readonly DedupeEntry[]
  /** Newest output in every output partition that this input partition has written to. */
  readonly outputs: readonly Mark[]
}

export interface Round {
  /** The last applied input; offset -1 = none yet. */
  readonly input: Mark
  /** The last output. */
  readonly output: Mark | undefined
  readonly kit: KitState
  readonly keys: readonly KeySnapshot[]
  /** Keys that did not change since the round before, written again: see `Snapshots.unchanged`. */
  readonly again?: readonly KeySnapshot[]
}

export interface Recovered {
  readonly input: Mark
  readonly output: Mark | undefined
  readonly kit: KitState
  readonly keys: readonly KeySnapshot[]
  /** A newer round was passed over because its marks no longer hold: the log lost a tail. */
  readonly rejected: boolean
}

export interface SnapshotOptions {
  readonly history?: SnapshotHistory | undefined
  readonly standby?: Standby | undefined
  /** Something that was stored is damaged or not whole, and was passed over. */
  readonly onDamage?: (fields: object, message: string) => void
  /** Told when state is passed over that another version of the service wrote. */
  readonly onOtherVersion?: (fields: object, message: string) => void
  /** Nobody else can write rounds of our partitions: in transactions their ids see to that. */
  readonly isExclusive?: boolean
  /** A larger round is stored in parts; each must fit one batch. Default 32 MiB. */
  readonly maxPartBytes?: number
}

const MAX_PART_BYTES = 32 * 1024 * 1024

export const changelogTopic = (group: string): string => `${group}.changelog`

/** Rounds stay readable one by one for 10 min, longer than anything that a power loss can take back (15 s). */
export const changelogSpec = (group: string, partitions: number): TopicSpec => ({
  name: changelogTopic(group),
  partitions,
  configs: {
    'cleanup.policy': 'compact',
    'min.compaction.lag.ms': '600000',
    'min.cleanable.dirty.ratio': '0.2',
    'segment.ms': '600000',
    'max.message.bytes': String(64 * 1024 * 1024),
  },
})

export class Snapshots {
  private readonly log: Log
  private readonly codec: Codec
  private readonly topic: string
  private readonly options: SnapshotOptions
  /** Per partition the newest record of the changelog that somebody's state relies on. */
  private readonly ends = new Map<number, Position>()
  private readonly stored = new Map<number, StoredKeys>()

  constructor(log: Log, codec: Codec, group: string, options: SnapshotOptions = {}) {
    this.log = log
    this.codec = codec
    this.topic = changelogTopic(group)
    this.options = options
  }

  /**
   * Keys that the next round of a partition should hold although they did not change; mostly none. All of them after something
   * that was not whole or that somebody else wrote, and now and then (at most as many bytes again as rounds have anyway), so
   * that there is more than one place from which the state can be had.
   */
  unchanged(partition: number): readonly string[] {
    const stored = this.storedOf(partition)
    return stored.wantsAll ? [...stored.keys()].filter((key) => key !== KIT_KEY) : []
  }

  /**
   * Stores a round; resolves once the brokers have it. Rejects with ANDON_LOG_TAIL_LOST when rounds before it are lost: it
   * holds only what changed since them. After a rejection the partition is to be recovered before its next round. False: somebody
   * else has written rounds meanwhile, and another round with the `unchanged` keys is to follow, before compaction drops ours.
   */
  async write(round: Round): Promise<boolean> {
    const { input, output } = round
    const { partition } = input
    const place: ChangelogInput = {
      type: 'snapshot',
      inputTopic: input.topic,
      inputPartition: input.partition,
      leaderEpoch: input.leaderEpoch,
      offset: input.offset,
      recordId: input.id,
      ...(output
        ? {
            outputTopic: output.topic,
            outputPartition: output.partition,
            outputLeaderEpoch: output.leaderEpoch,
            outputOffset: output.offset,
            outputId: output.id,
          }
        : {}),
    }
    const kit = { key: KIT_KEY, version: KIT_STATE_VERSION, state: Buffer.from(JSON.stringify(round.kit)) }
    const stored = this.storedOf(partition)
    const keys = [...round.keys, ...(round.again ?? []), kit]
    const records = keys.map(({ key, version, state }) => {
      stored.store(key, input, state.length)
      return this.record(partition, key, { ...place, stateVersion: version, state })
    })
    records.push(this.record(partition, '', { ...place, type: 'round', state: stored.sumNow() }))
    let isAlone = true
    for (const part of partsOf(records, this.options.maxPartBytes ?? MAX_PART_BYTES))
      isAlone = (await this.append(partition, part)) && isAlone
    stored.stored(keys.length)
    if (!isAlone) stored.wantAll()
    this.options.history?.note({ input, dedupe: round.kit.dedupe, keys: round.keys })
    return isAlone
  }

  /** True if nobody else has written rounds since our last record: an earlier owner may stand still for a while and then go on. */
  private async append(partition: number, records: readonly Append[]): Promise<boolean> {
    const end = this.ends.get(partition)
    const after = end ? [{ topic: this.topic, partition, ...end }] : []
    const places = await this.log.append(records, { atomic: true, after })
    const { leaderEpoch, offset } = places.at(-1)!
    this.ends.set(partition, { leaderEpoch, offset })
    const first = places.at(0)!.offset
    return (
      this.options.isExclusive === true || !end || first === end.offset + 1 || !(await this.hasRounds(partition, end.offset + 1, first))
    )
  }

  /** What cannot be read counts as a round. */
  private async hasRounds(partition: number, from: number, to: number): Promise<boolean> {
    let isDamaged = false
    const around = readAround(this.log, { topic: this.topic, partition, from, to }, () => {
      isDamaged = true
    })
    for await (const batch of around)
      for (const { value } of batch.records)
        if (value !== null && ROUND_TYPES.has((await this.codec.decodeAsync<Changelog>(this.topic, value)).type)) return true
    return isDamaged
  }

  private storedOf(partition: number): StoredKeys {
    const stored = this.stored.get(partition) ?? new StoredKeys()
    this.stored.set(partition, stored)
    return stored
  }

  /**
   * The state to start from, or undefined if no round's marks hold. With `stateVersion`, only what was written in this encoding
   * counts, and nothing before the newest of another: then the state is built again from all input that is kept.
   */
  async recover(inputTopic: string, partition: number, stateVersion?: number): Promise<Recovered | undefined> {
    const found = await this.newest(inputTopic, partition, stateVersion)
    this.options.history?.restored(partition, found?.keys ?? [])
    return found
  }

  /** True unless the changelog lost a round that the state of this partition was restored from or kept in. */
  async isKept(partition: number): Promise<boolean> {
    const end = this.ends.get(partition)
    return end === undefined || (await this.log.admin.endOfEpoch(this.topic, partition, end.leaderEpoch)) > end.offset
  }

  private async newest(inputTopic: string, partition: number, stateVersion: number | undefined): Promise<Recovered | undefined> {
    const loaded = await this.load(inputTopic, partition)
    const view = stateVersion === undefined ? loaded : ofVersion(loaded, stateVersion)
    if (loaded.rounds.length > 0 && view.rounds.length === 0) {
      const message = `state of another version is not read, this build has version ${stateVersion}; it is built again from all input that is kept`
      this.options.onOtherVersion?.({ topic: this.topic, partition }, message)
    }
    const isKept = this.keptInput(inputTopic, partition)
    const stored = new StoredKeys()
    this.stored.set(partition, stored)
    let rejected = false
    let damaged = view.damagedAt !== undefined
    for (const round of view.rounds.toSorted((a, b) => comparePositions(b.input, a.input) || b.at - a.at)) {
      const state = await wholeState(view, round, isKept)
      const kit = kitState(state?.get(KIT_KEY))
      if (!state) damaged = true
      if (!state || !(await this.marksHold(round, kit))) {
        rejected = true
        continue
      }
      for (const { key, position, state: bytes } of state.values()) stored.store(key, position, bytes.length)
      // What does not hold must not outlive this round in a compacted log, and what is ahead of it was somebody else's.
      const isAhead = [...view.entries.values()].some((list) => list.some(({ position }) => comparePositions(position, round.input) > 0))
      if (rejected || damaged || isAhead) stored.wantAll()
      if (damaged)
        this.tellDamage(
          partition,
          round.input.offset,
          'damaged or incomplete snapshots were passed over; going on from an earlier or later round that is whole',
        )
      state.delete(KIT_KEY)
      return { input: round.input, output: round.output, kit, keys: [...state.values()], rejected }
    }
    return damaged ? this.retained(partition, stateVersion) : undefined
  }

  /** Nothing in the changelog is whole: the newest retained state, or the input from its beginning. */
  private async retained(partition: number, stateVersion: number | undefined): Promise<Recovered | undefined> {
    const found = await this.options.history?.newest(partition)
    if (!found?.keys.every(({ version }) => version === (stateVersion ?? version))) {
      this.tellDamage(partition, -1, 'no snapshot of the partition is whole; its state is built again from all input that is kept')
      return undefined
    }
    const { input, dedupe, keys } = found
    this.tellDamage(partition, input.offset, 'no snapshot of the partition is whole; going on from the newest retained one')
    const stored = this.storedOf(partition)
    for (const { key, state } of keys) stored.store(key, input, state.length)
    stored.wantAll()
    return { input, output: undefined, kit: { dedupe, outputs: [] }, keys, rejected: true }
  }

  private tellDamage(partition: number, offset: number, message: string): void {
    this.options.onDamage?.({ topic: this.topic, partition, offset }, message)
  }

  private async marksHold(round: { input: Mark; output: Mark | undefined }, kit: KitState): Promise<boolean> {
    for (const mark of [round.input, ...(round.output ? [round.output] : []), ...kit.outputs])
      if (!(await holds(this.log, mark))) return false
    return true
  }

  /** True for positions of the input whose records were not lost; asks the log once per leader epoch. */
  private keptInput(topic: string, partition: number): (position: Position) => Promise<boolean> {
    const ends = new Map<number, Promise<number>>()
    return async ({ leaderEpoch, offset }) => {
      if (offset < 0) return true
      const end = ends.get(leaderEpoch) ?? this.log.admin.endOfEpoch(topic, partition, leaderEpoch)
      ends.set(leaderEpoch, end)
      return offset < (await end)
    }
  }

  private async load(inputTopic: string, partition: number): Promise<ChangelogView> {
    const view = (await this.options.standby?.view(partition)) ?? (await this.readView(inputTopic, partition))
    if (view.end) this.ends.set(partition, view.end)
    else this.ends.delete(partition)
    return view
  }

  private async readView(inputTopic: string, partition: number): Promise<ChangelogView> {
    const view = new ChangelogView(this.topic, inputTopic, partition)
    const around = readAround(this.log, { topic: this.topic, partition, from: 'earliest', to: 'latest' }, (offset) => {
      view.damagedAt ??= offset
    })
    for await (const batch of around) for (const record of batch.records) await view.take(this.codec, record, false)
    return view
  }

  private record(partition: number, key: string, value: ChangelogInput): Append {
    return { topic: this.topic, partition, key: `${partition}:${key}`, value: this.codec.encode(this.topic, value) }
  }
}

/** What of a changelog was written after the newest state of another version. */
const ofVersion = (view: ChangelogView, stateVersion: number): Pick<ChangelogView, 'rounds' | 'entries' | 'damagedAt'> => {
  const { rounds, entries, damagedAt } = view
  let otherAt = -1
  for (const [key, list] of entries)
    if (key !== KIT_KEY) for (const { version, at } of list) if (version !== stateVersion && at > otherAt) otherAt = at
  if (otherAt < 0) return view
  const isAfter = ({ at }: { readonly at: number }): boolean => at > otherAt
  return {
    rounds: rounds.filter(isAfter),
    entries: new Map([...entries].map(([key, list]) => [key, list.filter(isAfter)])),
    damagedAt: damagedAt !== undefined && damagedAt > otherAt ? damagedAt : undefined,
  }
}

type IsKept = (position: Position) => Promise<boolean>

/**
 * The snapshots that a round stands on, or undefined if they are not all there. State is a function of the input, so it does
 * not matter which owner wrote a key: the one furthest in the input counts. Where an earlier owner was ahead of the one that
 * wrote the round, those are other snapshots of the same state; then what was written last before the round is what it stands on.
 */
const wholeState = async (
  { entries, damagedAt }: Pick<ChangelogView, 'entries' | 'damagedAt'>,
  round: StoredRound,
  isKept: IsKept,
): Promise<Map<string, Entry> | undefined> => {
  const furthest = await newestUpTo(entries, round.input, isKept, (a, b) => comparePositions(a.position, b.position) >= 0)
  if (round.sum === undefined) return damagedAt === undefined || round.at < damagedAt ? furthest : undefined
  if (isOf(round.sum, furthest)) return furthest
  const written = await newestUpTo(entries, round.input, isKept, ({ at }) => at < round.at)
  return isOf(round.sum, written) ? written : undefined
}

const isOf = (sum: Buffer, state: Map<string, Entry>): boolean =>
  sum.equals(sumOf([...state].map(([key, { position }]) => [key, position] as const)))

/** Per key one snapshot of those that are not above a position and stand on no lost input: the last that `isBetter` than those before. */
const newestUpTo = async (
  entries: Map<string, Entry[]>,
  upTo: Position,
  isKept: IsKept,
  isBetter: (entry: Entry, best: Entry) => boolean,
): Promise<Map<string, Entry>> => {
  const newest = new Map<string, Entry>()
  for (const [key, list] of entries) {
    for (const entry of list) {
      const best = newest.get(key)
      if (comparePositions(entry.position, upTo) > 0 || (best && !isBetter(entry, best))) continue
      if (await isKept(entry.position)) newest.set(key, entry)
    }
  }
  return newest
}

/** What decides about a round. */
const ROUND_TYPES = new Set(['snapshot', 'round'])

/** Records in order, in parts of at most so many bytes; one larger record is a part of its own. */
const partsOf = (records: readonly Append[], maxBytes: number): Append[][] => {
  const parts: Append[][] = [[]]
  let bytes = 0
  for (const record of records) {
    const size = record.value!.length
    if (bytes > 0 && bytes + size > maxBytes) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(record)
    bytes += size
  }
  return parts
}

const kitState = (snapshot: KeySnapshot | undefined): KitState =>
  snapshot ? (JSON.parse(Buffer.from(snapshot.state).toString()) as KitState) : { dedupe: [], outputs: [] }
