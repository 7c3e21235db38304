// How fast files may send rows to quarantine. Each such row is a record of its own, and ingest holds its place in memory until the brokers
// have provably kept it: a million bad rows must not take more of it than some thousands. One pace for all files. Pure.

import { holdMs } from '../held.ts'

/** Rows in quarantine that files may have held at once: some 15 MB. */
export const mostHeldRows = 60_000
// The hold, and what tick and answer may add to it.
const windowMs = holdMs + 5000

export class QuarantinePace {
  readonly #monotonicMs: () => number
  readonly #sent: { readonly atMs: number; readonly rows: number }[] = []
  #rows = 0

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  /** So many rows went to quarantine just now. */
  sent(rows: number): void {
    if (rows === 0) return
    this.#sent.push({ atMs: this.#monotonicMs(), rows })
    this.#rows += rows
  }

  /** How long a file has to wait before its next rows, milliseconds; mostly 0. */
  waitMs(): number {
    const nowMs = this.#monotonicMs()
    while (this.#sent.length > 0 && nowMs - this.#sent[0]!.atMs >= windowMs) this.#rows -= this.#sent.shift()!.rows
    return this.#rows < mostHeldRows ? 0 : windowMs - (nowMs - this.#sent[0]!.atMs)
  }
}
