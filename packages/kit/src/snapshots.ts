// Snapshots of a service's state in its private, compacted `<group>.changelog`. One round holds the keys that changed
// since the round before, the kit's own marks, and the positions that the state stands for; it is stored all or none.
// Recovery takes the round whose marks still hold: state and position come from there, never from the committed offset.

import type { ChangelogInput } from '@andon/schemas'
import { ChangelogView } from './changelog-view.ts'
import type { Entry, Standby } from './changelog-view.ts'
import type { Codec } from './codec-port.ts'
import type { Append, Log, Position, TopicSpec } from './log/port.ts'
import type { DedupeEntry } from './lineage.ts'
import { comparePositions } from './lineage.ts'
import { holds } from './marks.ts'
import type { Mark } from './marks.ts'
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
}

export interface Recovered {
  readonly input: Mark
  readonly output: Mark | undefined
  readonly kit: KitState
  readonly keys: readonly KeySnapshot[]
  /** A newer round was passed over because its marks no longer hold: the log lost a tail. */
  readonly rejected: boolean
}

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
  private readonly history: SnapshotHistory | undefined
  private readonly standby: Standby | undefined
  /** Per partition the newest record of the changelog that somebody's state relies on. */
  private readonly ends = new Map<number, Position>()

  constructor(log: Log, codec: Codec, group: string, history?: SnapshotHistory, standby?: Standby) {
    this.log = log
    this.codec = codec
    this.topic = changelogTopic(group)
    this.history = history
    this.standby = standby
  }

  /**
   * Stores a round; resolves once the brokers have it. Rejects with ANDON_LOG_TAIL_LOST when rounds before it are lost: it
   * holds only what changed since them.
   */
  async write(round: Round): Promise<void> {
    const { input, output } = round
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
    const records = [...round.keys, kit].map(({ key, version, state }) =>
      this.record(input.partition, key, { ...place, stateVersion: version, state }),
    )
    records.push(this.record(input.partition, '', { ...place, type: 'round' }))
    const end = this.ends.get(input.partition)
    const after = end ? [{ topic: this.topic, partition: input.partition, ...end }] : []
    const { leaderEpoch, offset } = (await this.log.append(records, { atomic: true, after })).at(-1)!
    this.ends.set(input.partition, { leaderEpoch, offset })
    this.history?.note({ input, dedupe: round.kit.dedupe, keys: round.keys })
  }

  /** The state to start from, or undefined if no round's marks hold. */
  async recover(inputTopic: string, partition: number): Promise<Recovered | undefined> {
    const found = await this.newest(inputTopic, partition)
    this.history?.restored(partition, found?.keys ?? [])
    return found
  }

  /** True unless the changelog lost a round that the state of this partition was restored from or kept in. */
  async isKept(partition: number): Promise<boolean> {
    const end = this.ends.get(partition)
    return end === undefined || (await this.log.admin.endOfEpoch(this.topic, partition, end.leaderEpoch)) > end.offset
  }

  private async newest(inputTopic: string, partition: number): Promise<Recovered | undefined> {
    const { rounds, entries } = await this.load(inputTopic, partition)
    const isKept = this.keptInput(inputTopic, partition)
    let rejected = false
    for (const round of rounds.toSorted((a, b) => comparePositions(b.input, a.input) || b.at - a.at)) {
      const state = await newestUpTo(entries, round.input, isKept)
      const kit = kitState(state.get(KIT_KEY))
      if (await this.marksHold(round, kit)) {
        state.delete(KIT_KEY)
        return { input: round.input, output: round.output, kit, keys: [...state.values()], rejected }
      }
      rejected = true
    }
    return undefined
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
    const view = (await this.standby?.view(partition)) ?? (await this.readView(inputTopic, partition))
    if (view.end) this.ends.set(partition, view.end)
    else this.ends.delete(partition)
    return view
  }

  private async readView(inputTopic: string, partition: number): Promise<ChangelogView> {
    const view = new ChangelogView(this.topic, inputTopic, partition)
    for await (const batch of this.log.read({ topic: this.topic, partition, from: 'earliest', to: 'latest' }))
      for (const record of batch.records) await view.take(this.codec, record, false)
    return view
  }

  private record(partition: number, key: string, value: ChangelogInput): Append {
    return { topic: this.topic, partition, key: `${partition}:${key}`, value: this.codec.encode(this.topic, value) }
  }
}

/**
 * Per key the snapshot with the highest position not above the round's. State is a function of the input, so it does not
 * matter which owner wrote it; one that stands on lost input does not count.
 */
const newestUpTo = async (
  entries: Map<string, Entry[]>,
  upTo: Position,
  isKept: (position: Position) => Promise<boolean>,
): Promise<Map<string, KeySnapshot>> => {
  const newest = new Map<string, Entry>()
  for (const [key, list] of entries) {
    for (const entry of list) {
      const best = newest.get(key)
      if (comparePositions(entry.position, upTo) > 0 || (best && comparePositions(entry.position, best.position) < 0)) continue
      if (await isKept(entry.position)) newest.set(key, entry)
    }
  }
  return newest
}

const kitState = (snapshot: KeySnapshot | undefined): KitState =>
  snapshot ? (JSON.parse(Buffer.from(snapshot.state).toString()) as KitState) : { dedupe: [], outputs: [] }
