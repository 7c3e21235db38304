// Readings without a sequence number: what identifies them instead, which of them the door has seen, and the numbers it gives them.
// Pure. A repeat within ten minutes is answered like the first one, and only once the first one is safe.

import { sha256Hex } from '@andon/kit'
import type { Reading } from './reading.ts'

/** How long a door remembers at least. DESIGN §3.2. */
export const rememberMs = 600_000
// Two generations of this many: about 200 MB at most. A device that sends faster numbers its readings.
const maxPerGeneration = 1_000_000

/** Characters of an identity: 128 bits of a digest. */
export const identityLength = 32

/** Identity by the sender's key and the place in its delivery, or else by source, asset, source time and channels. */
export const identityOf = (reading: Reading, key: string | undefined, index: number): string => {
  const { source, asset, timeUs, values, waveform } = reading
  const parts = [source, String(timeUs)]
  if (key !== undefined) parts.push('key', key, String(index))
  else parts.push('time', asset ?? '', waveform?.channel ?? Object.keys(values ?? {}).join(','))
  return sha256Hex(parts.join('\u001f')).slice(0, identityLength)
}

export class DoorMemory {
  /** Epoch of every number this process gives; higher than that of its predecessor, and its own among instances. */
  readonly epoch: number
  readonly #next = new Map<string, number>()
  #recent = new Map<string, Promise<void>>()
  #older = new Map<string, Promise<void>>()
  #turnedMs: number

  constructor(epoch: number, nowMs: number) {
    this.epoch = epoch
    this.#turnedMs = nowMs
  }

  /** The next number of a source; the first is 1. */
  number(source: string): number {
    const seq = this.#next.get(source) ?? 1
    this.#next.set(source, seq + 1)
    return seq
  }

  /** When the first one of this identity is safe, if there was one. */
  seen(identity: string, nowMs: number): Promise<void> | undefined {
    this.#turn(nowMs)
    return this.#recent.get(identity) ?? this.#older.get(identity)
  }

  /** Remembers an identity; a reading that could not be kept is forgotten, so that its sender can try again. */
  remember(identity: string, safe: Promise<void>, nowMs: number): void {
    this.#turn(nowMs)
    this.#recent.set(identity, safe)
    safe.catch(() => {
      this.#recent.delete(identity)
      this.#older.delete(identity)
    })
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#turnedMs < rememberMs && this.#recent.size < maxPerGeneration) return
    this.#older = nowMs - this.#turnedMs < 2 * rememberMs ? this.#recent : new Map()
    this.#recent = new Map()
    this.#turnedMs = nowMs
  }
}
