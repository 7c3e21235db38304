// Readers of an in-process log: what one client reads, partition by partition, for runs and follows alike. Each fetch is
// a request of the schedule; a reader is in doubt whenever its connection or the leader epoch under it changed.

import type { MemoryPartition, MemoryStore } from './memory-store.ts'
import { PartitionRunner } from './partition-runner.ts'
import type { RunnerHandlers } from './partition-runner.ts'
import type { RecordBatch, StartAt } from './port.ts'
import type { Schedule } from './schedule.ts'

export interface ReaderEvents {
  onProgress(runner: PartitionRunner): void
  onFatal(error: unknown): void
}

export class MemoryReader {
  /** By topic and partition. */
  readonly runners = new Map<string, PartitionRunner>()
  /** The client is gone: nothing more is handled, kept or told. */
  dead = false
  private readonly detach = new Map<string, () => void>()
  private readonly store: MemoryStore
  private readonly schedule: Schedule
  private readonly prefix: string
  private readonly maxRecords: number

  constructor(store: MemoryStore, schedule: Schedule, prefix: string, maxRecords: number) {
    this.store = store
    this.schedule = schedule
    this.prefix = prefix
    this.maxRecords = maxRecords
  }

  add(topic: string, partition: number, committed: number | undefined, handlers: RunnerHandlers, events: ReaderEvents): void {
    const id = `${topic}/${partition}`
    const part = this.store.partition(this.prefix + topic, partition)
    /** The newest leader epoch that this reader knows of; a fetch under an older one is refused. */
    let leaderEpoch = part.leaderEpoch
    let isFetching = false
    const runner: PartitionRunner = new PartitionRunner(topic, partition, handlers, {
      clock: this.schedule.clock,
      resolve: (_topic, _partition, at) => this.schedule.request('ask', `start ${id}`, () => clamp(part, at)),
      onHungry: () => pump(),
      onProgress: () => events.onProgress(runner),
      onFatal: (error) => events.onFatal(error),
    })
    const isAttached = (): boolean => !this.dead && this.runners.get(id) === runner
    const fetch = (from: number): RecordBatch | 'out of range' | 'another leader epoch' => {
      if (part.leaderEpoch !== leaderEpoch) return 'another leader epoch'
      return from < part.low || from > part.high ? 'out of range' : part.batch(from, part.high, this.maxRecords, topic)
    }
    const pump = (): void => {
      const from = isFetching || !isAttached() ? undefined : runner.wanted()
      if (from === undefined || (from === part.high && part.leaderEpoch === leaderEpoch)) return
      isFetching = true
      const { doubts } = runner
      this.schedule
        .request('fetch', `${id} from ${from}`, () => fetch(from))
        .then(
          (found) => {
            if (typeof found !== 'string') {
              const offer = (): void => runner.offer(from, found, doubts)
              offer()
              this.schedule.again?.(`fetch ${id} from ${from}`, offer)
            } else if (runner.wanted() !== undefined || found !== 'out of range') runner.doubt(found === 'out of range')
            if (found === 'another leader epoch') leaderEpoch = part.leaderEpoch
          },
          () => runner.doubt(),
        )
        .finally(() => {
          isFetching = false
          pump()
        })
    }
    const doubt = (): void => {
      void this.schedule.hear(`doubt ${id}`).then(() => {
        if (!isAttached()) return
        leaderEpoch = part.leaderEpoch
        runner.doubt()
      })
    }
    part.readers.add(pump)
    part.doubters.add(doubt)
    this.detach.set(id, () => {
      part.readers.delete(pump)
      part.doubters.delete(doubt)
    })
    this.runners.set(id, runner)
    runner.start(committed)
  }

  /** Ends the partition after the batch in hand; `lost`: somebody else has it already. */
  async remove(id: string, lost = false): Promise<void> {
    const runner = this.runners.get(id)
    if (!runner) return
    this.detach.get(id)!()
    if (lost) {
      this.runners.delete(id)
      runner.lose()
    }
    await runner.close()
    if (this.runners.get(id) === runner) this.runners.delete(id)
  }

  async removeAll(lost = false): Promise<void> {
    await Promise.all([...this.runners.keys()].map((id) => this.remove(id, lost)))
  }

  /** As a killed process: nothing is told, whatever is in hand ends nowhere. */
  die(): void {
    this.dead = true
    for (const [id, runner] of this.runners) {
      this.detach.get(id)!()
      runner.lose()
    }
  }
}

/** An offset inside what the log holds. */
export const clamp = (part: MemoryPartition, at: StartAt): number =>
  at === 'earliest' ? part.low : at === 'latest' ? part.high : Math.min(Math.max(at, part.low), part.high)
