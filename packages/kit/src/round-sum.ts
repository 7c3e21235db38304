// What a round stands on, in 16 bytes: every key of the partition's state with the position of its newest snapshot. A round
// whose sum is not that of the snapshots found is not whole - a batch is damaged, a round was not finished, or compaction has
// kept the late snapshot of an earlier owner instead of the newer one - and is not used.

import { hash } from 'node:crypto'
import type { Position } from './log/port.ts'

const SUM_BYTES = 16

const addTo = (sum: Buffer, key: string, { leaderEpoch, offset }: Position): void => {
  const digest = hash('sha256', `${leaderEpoch}\u001f${offset}\u001f${key}`, 'buffer')
  for (let i = 0; i < SUM_BYTES; i++) sum[i] = sum[i]! ^ digest[i]!
}

export const sumOf = (found: Iterable<readonly [key: string, position: Position]>): Buffer => {
  const sum = Buffer.alloc(SUM_BYTES)
  for (const [key, position] of found) addTo(sum, key, position)
  return sum
}

interface Held extends Position {
  readonly bytes: number
}

/** The keys of one partition as its owner has stored them. */
export class StoredKeys {
  private readonly sum = Buffer.alloc(SUM_BYTES)
  private readonly held = new Map<string, Held>()
  /** Of all keys, and of what was stored since all of them were stored together. */
  private totalBytes = 0
  private sinceBytes = 0
  private isDue = false

  store(key: string, { leaderEpoch, offset }: Position, bytes: number): void {
    const before = this.held.get(key)
    if (before) addTo(this.sum, key, before) // an even number of times is none
    const held = { leaderEpoch, offset, bytes }
    addTo(this.sum, key, held)
    this.held.set(key, held)
    this.totalBytes += bytes - (before?.bytes ?? 0)
    this.sinceBytes += bytes
  }

  sumNow(): Buffer {
    return Buffer.from(this.sum)
  }

  keys(): IterableIterator<string> {
    return this.held.keys()
  }

  /** The next round is to hold every key, whatever has changed. */
  wantAll(): void {
    this.isDue = true
  }

  /** True when all keys are to be stored together: somebody asked, or what was stored since the last time has as many bytes as they have. */
  get wantsAll(): boolean {
    return this.isDue || (this.held.size > 0 && this.sinceBytes >= 2 * this.totalBytes)
  }

  /** A round was stored; `keys` of them at once. */
  stored(keys: number): void {
    if (keys < this.held.size) return
    this.isDue = false
    this.sinceBytes = this.totalBytes
  }
}
