// One take of a partition: its epoch, its owner id, and whether it is over. Work begun in a term that ended writes nothing.

import { randomUUID } from 'node:crypto'

export class Term {
  readonly epoch: number
  /** Fresh for every take: after a log truncation an epoch may come twice. */
  readonly owner = randomUUID()
  hasEnded = false
  /** Offsets of intents this term has under way itself. */
  readonly underWay = new Set<number>()

  constructor(epoch: number) {
    this.epoch = epoch
  }
}

/** Runs work one after the other. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const next = this.last.then(work, work)
    this.last = next.catch(() => undefined) // the caller sees the error
    return next
  }
}
