// Where appended records lie. A run of records that went into one batch has one first offset; an object per record is
// made only for whoever asks.

import type { Appended, AppendedRecords } from './port.ts'

/** The consecutive records of one append that lie in one batch of a partition. */
export interface AppendedRun {
  readonly topic: string
  readonly partition: number
  leaderEpoch: number
  /** Offset of its first record, known once the brokers have it. */
  firstOffset: number
  count: number
  /** Input index of its last record. */
  last: number
}

/** Places of an append from its runs: `runOf[i]` says to which run record i belongs. */
export class AppendedInRuns implements AppendedRecords {
  readonly length: number
  private readonly runs: readonly AppendedRun[]
  /** Absent when there is one run only. */
  private readonly runOf: Uint32Array | undefined
  private offsets: Float64Array | undefined

  constructor(length: number, runs: readonly AppendedRun[], runOf: Uint32Array | undefined) {
    this.length = length
    this.runs = runs
    this.runOf = runOf
  }

  at(index: number): Appended | undefined {
    const i = index < 0 ? this.length + index : index
    if (!(i >= 0 && i < this.length)) return undefined
    if (!this.runOf) return placeIn(this.runs[0]!, this.runs[0]!.firstOffset + i)
    this.offsets ??= this.workOut(this.runOf)
    return placeIn(this.runs[this.runOf[i]!]!, this.offsets[i]!)
  }

  newest(): { index: number; place: Appended }[] {
    const newest = new Map<string, { index: number; place: Appended }>()
    for (const run of this.runs)
      newest.set(`${run.topic}/${run.partition}`, { index: run.last, place: placeIn(run, run.firstOffset + run.count - 1) })
    return [...newest.values()]
  }

  *[Symbol.iterator](): Generator<Appended> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!
  }

  private workOut(runOf: Uint32Array): Float64Array {
    const next = this.runs.map(({ firstOffset }) => firstOffset)
    return Float64Array.from(runOf, (run) => next[run]!++)
  }
}

const placeIn = ({ topic, partition, leaderEpoch }: AppendedRun, offset: number): Appended => ({ topic, partition, leaderEpoch, offset })

/** Places that are a list already. */
export const appendedList = (places: readonly Appended[]): AppendedRecords => ({
  length: places.length,
  at: (index) => places.at(index),
  newest: () => {
    const newest = new Map<string, { index: number; place: Appended }>()
    places.forEach((place, index) => newest.set(`${place.topic}/${place.partition}`, { index, place }))
    return [...newest.values()]
  },
  [Symbol.iterator]: () => places[Symbol.iterator](),
})
