// What a run has written already, found from the lineage of its own records: a process that resumes, or an append whose
// answer was lost, gives the same outputs again, and those that lie on the run's topics are left out.

import { HEADER, isCovered, parseCause } from '../lineage.ts'
import type { Cause } from '../lineage.ts'
import type { Log } from '../log/port.ts'

/** How far back the newest output of an input partition is looked for; what lies further back may come twice, under its id. */
const LOOK_BACK_RECORDS = 50_000
const SCAN_RECORDS = 2_000

export class Written {
  private readonly log: Log
  private readonly inputs: readonly number[]
  private readonly inputTopic: string
  /** By output topic and partition, then input partition: the newest cause. */
  private newest = new Map<string, Map<number, Cause>>()

  /** `inputs`: the partitions of `inputTopic` that the run reads. */
  constructor(log: Log, inputTopic: string, inputs: readonly number[]) {
    this.log = log
    this.inputTopic = inputTopic
    this.inputs = inputs
  }

  /** Reads the ends of a run's topics again. */
  async load(topics: readonly string[]): Promise<void> {
    const all = new Map<string, Map<number, Cause>>()
    for (const topic of topics)
      for (const { partition, low, high } of await this.log.admin.watermarks(topic)) {
        const found = await this.scan(topic, partition, low, high)
        if (found.size > 0) all.set(`${topic}/${partition}`, found)
      }
    this.newest = all
  }

  /** True if an output with this cause lies in that partition already. */
  has(topic: string, partition: number, cause: Cause): boolean {
    const newest = cause.topic === this.inputTopic ? this.newest.get(`${topic}/${partition}`)?.get(cause.partition) : undefined
    return isCovered(newest, cause, cause.index)
  }

  private async scan(topic: string, partition: number, low: number, high: number): Promise<Map<number, Cause>> {
    const found = new Map<number, Cause>()
    const bottom = Math.max(low, high - LOOK_BACK_RECORDS)
    for (let to = high; to > bottom && found.size < this.inputs.length; to -= SCAN_RECORDS) {
      const chunk = new Map<number, Cause>()
      for await (const batch of this.log.read({ topic, partition, from: Math.max(bottom, to - SCAN_RECORDS), to }))
        for (let i = 0; i < batch.count; i++) {
          const cause = parseCause(batch.headerAt(i, HEADER.cause))
          if (cause?.topic === this.inputTopic) chunk.set(cause.partition, cause)
        }
      for (const [input, cause] of chunk) if (!found.has(input)) found.set(input, cause)
    }
    return found
  }
}
