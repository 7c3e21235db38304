// When an unknown outcome may be settled, and what clock errors a target that refuses late commands can bear. Time is in small whole
// units and clocks drift by a quarter, so that every corner of the inequalities is reached.

import type { Model, Move } from './checker.ts'
import type { Rules } from './rules.ts'

export interface Timing {
  /** From the intent to the last check before sending, on the sender's clock. */
  readonly window: number
  /** From sending to the effect at most, real time. */
  readonly latency: number
  /** Longest process stop between the last check and the socket, real time. */
  readonly stop: number
  /** Rate error of every monotonic clock. */
  readonly drift: number
}

interface Race {
  readonly now: number
  readonly senderRate: number
  readonly settlerRate: number
  /** The sender took its time just before the append; real time of what follows, -1 before it happens. */
  readonly checked: number
  readonly sent: number
  readonly effect: number
  readonly read: number
  readonly settled: number
}

/** One sender and one settler: nothing may happen at the target once its outcome was settled as none. */
export class Settling implements Model<Race> {
  readonly initial: Race
  private readonly timing: Timing
  private readonly waits: number
  private readonly ends: number

  constructor(timing: Timing, rules: Rules, rates: readonly [sender: number, settler: number]) {
    this.timing = timing
    this.waits = rules.settleWaitMs(timing.window, timing.latency, timing.stop, timing.drift)
    const [senderRate, settlerRate] = rates
    this.initial = { now: 0, senderRate, settlerRate, checked: -1, sent: -1, effect: -1, read: -1, settled: -1 }
    this.ends = Math.ceil((timing.window + timing.latency + timing.stop) * 3)
  }

  key(race: Race): string {
    return Object.values(race).join()
  }

  broken({ effect, settled }: Race): string | null {
    return settled >= 0 && effect >= 0 ? 'an effect after it was settled as none' : null
  }

  stuck(): null {
    return null
  }

  moves(race: Race): readonly Move<Race>[] {
    const { now, senderRate, settlerRate, checked, sent, effect, read, settled } = race
    const { window, latency, stop } = this.timing
    const moves: Move<Race>[] = []
    const add = (name: string, fields: Partial<Race>): void =>
      void moves.push({ name: `${now}: ${name}`, isFault: false, next: () => ({ ...race, ...fields }) })
    if (checked < 0 && now * senderRate < window) add('the sender checks for the last time', { checked: now })
    if (checked >= 0 && sent < 0 && now - checked <= stop) add('the bytes leave', { sent: now })
    if (sent >= 0 && effect < 0 && now - sent <= latency) add('the effect', { effect: now })
    if (read < 0) add('the settler reads the intent', { read: now })
    const mayStillCome = effect < 0
    if (read >= 0 && settled < 0 && mayStillCome && (now - read) * settlerRate > this.waits)
      add('settled as without effect', { settled: now })
    if (now < this.ends) add('time passes', { now: now + 1 })
    return moves
  }
}

/** Every corner of two drifting clocks. */
export const rates = ({ drift }: Timing): [number, number][] =>
  [1 - drift, 1, 1 + drift].flatMap((sender) => [1 - drift, 1, 1 + drift].map((settler): [number, number] => [sender, settler]))

export interface Refusing {
  readonly window: number
  /** Greatest clock errors against real time. */
  readonly ownerError: number
  readonly targetError: number
  /** Time a command takes to the target's check. */
  readonly path: number
}

interface Fresh {
  readonly sentAt: number
  readonly now: number
  readonly owner: number
  readonly target: number
  readonly accepted: number
  readonly refused: number
}

/** A command that is sent at once is not refused, and none is accepted later than window and both errors after its intent. */
export class RefusingLate implements Model<Fresh> {
  readonly initial: Fresh = { sentAt: -1, now: 0, owner: 0, target: 0, accepted: -1, refused: -1 }
  private readonly limits: Refusing

  constructor(limits: Refusing) {
    this.limits = limits
  }

  key(one: Fresh): string {
    return Object.values(one).join()
  }

  broken({ sentAt, now, refused, accepted }: Fresh): string | null {
    const { window, ownerError, targetError, path } = this.limits
    if (refused >= 0 && sentAt === 0 && now <= path) return 'a command that was sent at once is refused as late'
    return accepted > window + ownerError + targetError ? 'a command is accepted later than its window and both clock errors' : null
  }

  stuck(): null {
    return null
  }

  moves(one: Fresh): readonly Move<Fresh>[] {
    const { ownerError, targetError, window, path } = this.limits
    const { sentAt, now, owner, target } = one
    const moves: Move<Fresh>[] = []
    const add = (name: string, fields: Partial<Fresh>): void =>
      void moves.push({ name: `${now}: ${name}`, isFault: false, next: () => ({ ...one, ...fields }) })
    if (now === 0 && sentAt < 0) {
      if (owner < ownerError) add("the owner's clock is further ahead", { owner: owner + 1 })
      if (owner > -ownerError) add("the owner's clock is further behind", { owner: owner - 1 })
      if (target < targetError) add("the target's clock is further ahead", { target: target + 1 })
      if (target > -targetError) add("the target's clock is further behind", { target: target - 1 })
    }
    if (sentAt < 0) add('sent', { sentAt: now })
    else if (one.accepted < 0 && one.refused < 0) {
      const isLate = now + target > owner + window
      add(isLate ? 'refused' : 'accepted', isLate ? { refused: now } : { accepted: now })
    }
    if (now < 2 * (window + ownerError + targetError + path)) add('time passes', { now: now + 1 })
    return moves
  }
}
