// One direction of a proxied connection: bytes come out in order, as late, as slowly and in as small pieces as the fault says.
// A blackhole holds bytes back and lets them go when it is healed, as a network does whose lost packets are sent again.

import type { Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

export interface PipeFault {
  /** Every piece comes this much later … */
  readonly latencyMs: number
  /** … plus or minus up to this. */
  readonly jitterMs: number
  readonly bytesPerSecond: number
  /** Largest piece that is written at once; the event loop turns in between, so readers see torn frames. */
  readonly splitBytes: number
  readonly isHeld: boolean
}

export const NO_PIPE_FAULT: PipeFault = { latencyMs: 0, jitterMs: 0, bytesPerSecond: Infinity, splitBytes: Infinity, isHeld: false }

/** Above this many waiting bytes the sender is no longer read. */
const HIGH_WATER_BYTES = 8 * 1024 * 1024
/** A limited bandwidth is spent in slices of this length. */
const SLICE_MS = 20

export class FaultPipe {
  private readonly from: Socket
  private readonly to: Socket
  private readonly fault: () => PipeFault
  private readonly random: () => number
  private readonly waiting: { bytes: Buffer; dueMs: number }[] = []
  private waitingBytes = 0
  private isPumping = false
  private lastDueMs = 0

  /** `fault` is asked before every piece, so a change reaches what waits already. */
  constructor(from: Socket, to: Socket, fault: () => PipeFault, random: () => number) {
    this.from = from
    this.to = to
    this.fault = fault
    this.random = random
  }

  feed(bytes: Buffer): void {
    const { latencyMs, jitterMs } = this.fault()
    const delayMs = Math.max(0, latencyMs + (2 * this.random() - 1) * jitterMs)
    this.lastDueMs = Math.max(this.lastDueMs, performance.now() + delayMs) // late bytes hold up those behind them
    this.waiting.push({ bytes, dueMs: this.lastDueMs })
    this.waitingBytes += bytes.length
    if (this.waitingBytes > HIGH_WATER_BYTES) this.from.pause()
    this.resume()
  }

  /** Goes on with what waits; called when the fault has changed. */
  resume(): void {
    if (!this.isPumping) void this.pump() // never rejects: a closed socket drops what is written to it
  }

  private async pump(): Promise<void> {
    this.isPumping = true
    for (let head = this.waiting[0]; head !== undefined && !this.to.destroyed; head = this.waiting[0]) {
      const { isHeld, splitBytes, bytesPerSecond } = this.fault()
      if (isHeld) break
      const earlyMs = head.dueMs - performance.now()
      if (earlyMs > 0) {
        await sleep(earlyMs)
        continue // the fault may have changed meanwhile
      }
      const piece = head.bytes.subarray(0, Math.max(1, Math.min(splitBytes, Math.ceil((bytesPerSecond * SLICE_MS) / 1000))))
      if (bytesPerSecond !== Infinity) await sleep((piece.length / bytesPerSecond) * 1000)
      if (piece.length === head.bytes.length) this.waiting.shift()
      else head.bytes = head.bytes.subarray(piece.length)
      this.waitingBytes -= piece.length
      if (this.waitingBytes <= HIGH_WATER_BYTES && this.from.isPaused()) this.from.resume()
      this.to.write(piece)
      if (splitBytes !== Infinity) await nextTurn()
    }
    this.isPumping = false
  }
}
