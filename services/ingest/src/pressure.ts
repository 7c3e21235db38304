// How full ingest is, and who is let in: below nine tenths everybody, then control-class data alone, nobody at the bound.
// Bytes count from their arrival until their sender is answered: in hand, in open blocks, and on the way to the disk or the brokers. Pure.

import { AndonError } from '@andon/kit'

export interface PressureDeps {
  readonly maxBytes: number
  /** Share of the spool's bounds in use, of bytes or of records. */
  readonly spoolFullness: () => number
}

// What is kept free for control-class data.
const ordinaryShare = 0.9
// A full spool gets room once the log has answered 15 s after an entry's own answer; a full memory as soon as the disk has it.
const spoolRetryS = 15
const memoryRetryS = 1

export class Pressure {
  readonly #deps: PressureDeps
  #bytes = 0

  constructor(deps: PressureDeps) {
    this.#deps = deps
  }

  enter(bytes: number): void {
    this.#bytes += bytes
  }

  leave(bytes: number): void {
    this.#bytes -= bytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Why control-class data is not let in, if it is not. */
  refusing(): AndonError | undefined {
    return this.#refusing(1, '')
  }

  /** Why other data is not let in, if it is not. */
  refusingOrdinary(): AndonError | undefined {
    return this.#refusing(ordinaryShare, '; the rest is for control-class assets')
  }

  #refusing(share: number, why: string): AndonError | undefined {
    if (this.#deps.spoolFullness() >= share) {
      const message = `The spool is ${share === 1 ? '' : 'nearly '}full${why}: the broker has been away for too long, INGEST_SPOOL_MAX_BYTES is too small, or very much goes to quarantine`
      return tryAgain('ANDON_INGEST_SPOOL_FULL', message, spoolRetryS)
    }
    if (this.#bytes >= share * this.#deps.maxBytes)
      return tryAgain('ANDON_INGEST_BUSY', `Too many readings at once (INGEST_IN_FLIGHT_MAX_BYTES)${why}`, memoryRetryS, 429)
    return undefined
  }
}

/** A refusal that another try can overcome, best not before `retryAfterS`. */
export const tryAgain = (code: string, message: string, retryAfterS: number, status = 503): AndonError =>
  new AndonError(code, message, { retriable: true, status, fields: { retryAfterS } })
