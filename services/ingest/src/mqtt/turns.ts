// Acknowledgements of the MQTT doors, in the order in which their messages came, however long each takes to be safe; one write for all that a turn of the
// event loop made safe.

import { generate } from 'mqtt-packet'

/** A place in the order; `bytes` once there is something to write. */
export interface Turn {
  bytes: Buffer | undefined
}

export class Turns {
  readonly #write: (bytes: Buffer) => void
  #turns: Turn[] = []
  #isDue = false

  /** @param write called with what is next to be sent; not after `close`. */
  constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  take(): Turn {
    const turn = { bytes: undefined }
    this.#turns.push(turn)
    return turn
  }

  /** Fills a place; an empty answer lets the next one pass. */
  answer(turn: Turn, bytes: Buffer): void {
    turn.bytes = bytes
    if (this.#isDue) return
    this.#isDue = true
    process.nextTick(() => this.flush())
  }

  /** Writes what is ready now. */
  flush(): void {
    this.#isDue = false
    let ready = 0
    while (ready < this.#turns.length && this.#turns[ready]!.bytes !== undefined) ready++
    if (ready === 0) return
    const answers = this.#turns.splice(0, ready).map(({ bytes }) => bytes!)
    this.#write(answers.length === 1 ? answers[0]! : Buffer.concat(answers))
  }
}

/** Plain PUBACKs or PUBRECs: success, without a word. */
export const plainAnswers = (cmd: 'puback' | 'pubrec', messageIds: readonly number[]): Buffer => {
  const bytes = Buffer.allocUnsafe(4 * messageIds.length)
  let at = 0
  for (const messageId of messageIds) {
    bytes[at++] = cmd === 'puback' ? 0x40 : 0x50
    bytes[at++] = 2
    bytes[at++] = messageId >> 8
    bytes[at++] = messageId & 0xff
  }
  return bytes
}

/** PUBACK or PUBREC of MQTT 5. `note`: the reason in words. */
export const answer5 = (cmd: 'puback' | 'pubrec', messageId: number, reasonCode: number, note: string | undefined): Buffer => {
  if (reasonCode === 0 && note === undefined) return plainAnswers(cmd, [messageId])
  const properties = note === undefined ? {} : { properties: { reasonString: note } }
  return generate({ cmd, messageId, reasonCode, ...properties }, { protocolVersion: 5 })
}
