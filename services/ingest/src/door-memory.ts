// Readings without a sequence number: what identifies them instead, which of them the door has seen, and the numbers it gives them.
// Pure. A repeat within ten minutes is answered like the first one, and only once the first one is safe.
//
// A row is known by its sender's key and its place in the delivery, or else by source, asset, channels and source time. Rows of a block
// are remembered together: places as ranges, times as a list.

import { sha256Hex } from '@andon/kit'

/** How long a door remembers at least. DESIGN §3.2. */
export const rememberMs = 600_000
// Two generations of this many: about 200 MB at most. A device that sends faster numbers its readings.
const maxPerGeneration = 1_000_000

/** Identity of what a key or a layout stands for: 128 bits of a digest, in hex. */
export const subjectOf = (...parts: readonly string[]): string => sha256Hex(parts.join('\u001f')).slice(0, 32)

// `<subject>r<from>,<to>.` or `<subject>t<time>,<delta>,<delta>….`, numbers in base 36.
const traceForm = /^[0-9a-f]{32}[rt][0-9a-z,-]+\.$/

/** False for a line that was torn while being written. */
export const isTrace = (text: string): boolean => traceForm.test(text)

/** Rows [from, to) of one delivery, and when they are safe. */
interface KeptRows {
  readonly from: number
  readonly to: number
  readonly safe: Promise<void>
}

class Generation {
  readonly times = new Map<string, Map<number, Promise<void>>>()
  readonly rows = new Map<string, KeptRows[]>()
  size = 0
}

const alreadySafe = Promise.resolve()

export class DoorMemory {
  /** Epoch of every number this process gives; higher than that of its predecessor, and its own among instances. */
  readonly epoch: number
  readonly #next = new Map<string, number>()
  #recent = new Generation()
  #older = new Generation()
  #turnedMs: number

  constructor(epoch: number, nowMs: number) {
    this.epoch = epoch
    this.#turnedMs = nowMs
  }

  /** Takes the next numbers of a source and returns the first of them; the first of all is 1. */
  number(source: string, count = 1): number {
    const seq = this.#next.get(source) ?? 1
    this.#next.set(source, seq + count)
    return seq
  }

  /** Forgets what is old. To be called before a delivery is looked at. */
  age(nowMs: number): void {
    if (nowMs - this.#turnedMs < rememberMs && this.#recent.size < maxPerGeneration) return
    this.#older = nowMs - this.#turnedMs < 2 * rememberMs ? this.#recent : new Generation()
    this.#recent = new Generation()
    this.#turnedMs = nowMs
  }

  /** When the first row of this layout and time is safe, if there was one. */
  seenAt(subject: string, timeUs: number): Promise<void> | undefined {
    return this.#recent.times.get(subject)?.get(timeUs) ?? this.#older.times.get(subject)?.get(timeUs)
  }

  rememberAt(subject: string, timeUs: number, safe: Promise<void>): void {
    const { times } = this.#recent
    let known = times.get(subject)
    if (known === undefined) times.set(subject, (known = new Map()))
    known.set(timeUs, safe)
    this.#recent.size++
  }

  /** When the first delivery of this key has its row safe, if there was one. */
  seenRow(subject: string, row: number): Promise<void> | undefined {
    return rowIn(this.#recent.rows.get(subject), row) ?? rowIn(this.#older.rows.get(subject), row)
  }

  /** Remembers rows [from, to). */
  rememberRows(subject: string, from: number, to: number, safe: Promise<void>): void {
    const { rows } = this.#recent
    const known = rows.get(subject)
    const last = known?.at(-1)
    if (last !== undefined && last.to === from && last.safe === safe) known![known!.length - 1] = { from: last.from, to, safe }
    else {
      if (known === undefined) rows.set(subject, [{ from, to, safe }])
      else known.push({ from, to, safe })
      this.#recent.size++
    }
  }

  /** Remembers what an earlier process did. */
  restore(traces: Iterable<string>): void {
    for (const trace of traces) {
      const { subject, kind, numbers } = readTrace(trace)
      if (kind === 'r') this.rememberRows(subject, numbers[0]!, numbers[1]!, alreadySafe)
      else eachTime(numbers, (timeUs) => this.rememberAt(subject, timeUs, alreadySafe))
    }
  }

  /** Forgets rows that could not be kept, so that their sender can try again. */
  forget(traces: Iterable<string>): void {
    for (const trace of traces) {
      const { subject, kind, numbers } = readTrace(trace)
      for (const { times, rows } of [this.#recent, this.#older]) {
        if (kind === 't') eachTime(numbers, (timeUs) => times.get(subject)?.delete(timeUs))
        else {
          const left = rows.get(subject)?.filter(({ from, to }) => to <= numbers[0]! || from >= numbers[1]!)
          if (left !== undefined) rows.set(subject, left)
        }
      }
    }
  }
}

const rowIn = (known: readonly KeptRows[] | undefined, row: number): Promise<void> | undefined => {
  if (known === undefined) return undefined
  for (const { from, to, safe } of known) if (row >= from && row < to) return safe
  return undefined
}

/** What the rows of one block are known by, as text: with the block in the spool, later in the journal. */
export class Traces {
  #times: Map<string, { last: number; text: string }> | undefined
  #rows: { readonly subject: string; readonly from: number; to: number }[] | undefined

  addTime(subject: string, timeUs: number): void {
    const times = (this.#times ??= new Map())
    const known = times.get(subject)
    if (known === undefined) times.set(subject, { last: timeUs, text: `${subject}t${timeUs.toString(36)}` })
    else {
      known.text += `,${(timeUs - known.last).toString(36)}`
      known.last = timeUs
    }
  }

  addRows(subject: string, from: number, to: number): void {
    const rows = (this.#rows ??= [])
    const last = rows.at(-1)
    if (last?.subject === subject && last.to === from) last.to = to
    else rows.push({ subject, from, to })
  }

  texts(): readonly string[] {
    if (this.#times === undefined && this.#rows === undefined) return none
    const texts: string[] = []
    for (const { text } of this.#times?.values() ?? []) texts.push(`${text}.`)
    for (const { subject, from, to } of this.#rows ?? []) texts.push(`${subject}r${from.toString(36)},${to.toString(36)}.`)
    return texts
  }
}

const none: readonly string[] = []

const readTrace = (trace: string): { subject: string; kind: string; numbers: number[] } => ({
  subject: trace.slice(0, 32),
  kind: trace.charAt(32),
  numbers: trace
    .slice(33, -1)
    .split(',')
    .map((text) => Number.parseInt(text, 36)),
})

const eachTime = (numbers: readonly number[], use: (timeUs: number) => void): void => {
  let timeUs = 0
  for (const delta of numbers) use((timeUs += delta))
}
