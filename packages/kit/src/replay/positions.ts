// How far a run has come in each partition, kept in its changelog beside the snapshots. Processes with state start from
// their own snapshots; for those without, and for partitions that are done, this is the progress that survives a kill.

import type { Changelog, ChangelogInput } from '@andon/schemas'
import type { Codec } from '../codec-port.ts'
import type { Log } from '../log/port.ts'
import { changelogTopic } from '../snapshots.ts'

const keyOf = (partition: number): string => `${partition}:@position`

export class Positions {
  private readonly log: Log
  private readonly codec: Codec
  private readonly topic: string
  private readonly inputTopic: string
  private readonly known = new Map<number, number>()

  /** `log` maps the group's changelog to the run's. */
  constructor(log: Log, codec: Codec, group: string, inputTopic: string) {
    this.log = log
    this.codec = codec
    this.topic = changelogTopic(group)
    this.inputTopic = inputTopic
  }

  /** Next offset to read of a partition, as the last process left it. */
  get(partition: number): number | undefined {
    return this.known.get(partition)
  }

  async load(): Promise<void> {
    for (const { partition } of await this.log.admin.watermarks(this.topic))
      for await (const batch of this.log.read({ topic: this.topic, partition, from: 'earliest', to: 'latest' }))
        for (const record of batch.records) {
          if (record.value === null || record.key !== keyOf(partition)) continue
          const { offset, inputTopic } = await this.codec.decodeAsync<Changelog>(this.topic, record.value)
          if (inputTopic === this.inputTopic) this.known.set(partition, offset)
        }
  }

  /** Stores what has moved; resolves once the brokers have it. */
  async store(positions: ReadonlyMap<number, number>): Promise<void> {
    const moved = [...positions].filter(([partition, offset]) => this.known.get(partition) !== offset)
    if (moved.length === 0) return
    await this.log.append(
      moved.map(([partition, offset]) => {
        const value: ChangelogInput = { type: 'position', inputTopic: this.inputTopic, inputPartition: partition, leaderEpoch: -1, offset }
        return { topic: this.topic, partition, key: keyOf(partition), value: this.codec.encode(this.topic, value) }
      }),
    )
    for (const [partition, offset] of moved) this.known.set(partition, offset)
  }
}
