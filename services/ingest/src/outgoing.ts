// One record on its way to the log, and its form in the spool: a JSON head and the encoded value.

/** A record that ingest has decided to append, complete but for its position. */
export interface Outgoing {
  readonly topic: string
  readonly partition: number
  readonly key: string | null
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
  readonly timestampMs: number
  /** Receive time of the oldest sample it stands for, microseconds UTC: ticks stay below it until the broker has it. */
  readonly oldestReceivedUs: number
  /** What the door remembers of readings without a sequence number. */
  readonly identities: readonly string[]
}

export const toEntry = ({ value, ...head }: Outgoing): Buffer => {
  const headBytes = Buffer.from(JSON.stringify(head))
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32LE(headBytes.length, 0)
  return Buffer.concat([length, headBytes, value])
}

/** The record of an entry; `value` is a view into it. */
export const fromEntry = (entry: Buffer): Outgoing => {
  const length = entry.readUInt32LE(0)
  const head = JSON.parse(entry.subarray(4, 4 + length).toString('utf8')) as Omit<Outgoing, 'value'>
  return { ...head, value: entry.subarray(4 + length) }
}
