// Lineage headers: which one record caused this one, in which lane, and the order of the vector it derives from.
// Dedupe and recovery read them; bodies never carry log positions.

import type { Lane, Order, Output } from './flow.ts'
import type { Position } from './log/port.ts'

export const HEADER = {
  specVersion: 'ce_specversion',
  id: 'ce_id',
  source: 'ce_source',
  type: 'ce_type',
  time: 'ce_time',
  subject: 'ce_subject',
  contentType: 'content-type',
  traceparent: 'traceparent',
  lane: 'andon-lane',
  cause: 'andon-cause',
  order: 'andon-order',
  run: 'andon-run',
} as const

export const LIVE: Lane = 'live'

/** The record that caused an output, and the output's number among that record's outputs. */
export interface Cause extends Position {
  readonly topic: string
  readonly partition: number
  readonly index: number
}

export const formatCause = (cause: Cause): string => `${cause.topic}/${cause.partition}/${cause.leaderEpoch}/${cause.offset}/${cause.index}`

export const parseCause = (text: string | undefined): Cause | undefined => {
  const end = text?.indexOf('/') ?? -1
  if (text === undefined || end < 0 || !readNumbers(text, end + 1, 0x2f)) return undefined
  const [partition, leaderEpoch, offset, index] = found
  return { topic: text.slice(0, end), partition, leaderEpoch, offset, index }
}

export const formatOrder = (order: Order): string => `${order.promotion}.${order.leaderEpoch}.${order.offset}.${order.index}`

export const parseOrder = (text: string | undefined): Order | undefined => {
  if (text === undefined || !readNumbers(text, 0, 0x2e)) return undefined
  const [promotion, leaderEpoch, offset, index] = found
  return { promotion, leaderEpoch, offset, index }
}

/** What readNumbers has read: kept here, since these two headers lie on every record. */
const found: [number, number, number, number] = [0, 0, 0, 0]

/** Reads four whole numbers up to the end of the text, the separator between them; leading zeros are allowed. False if it is anything else. */
const readNumbers = (text: string, from: number, separator: number): boolean => {
  let at = from
  for (let n = 0; n < 4; n++) {
    if (n > 0 && text.charCodeAt(at++) !== separator) return false
    const isNegative = text.charCodeAt(at) === 0x2d
    if (isNegative) at++
    const start = at
    let value = 0
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - 48
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
    if (at === start || !Number.isSafeInteger(value)) return false
    found[n] = isNegative ? -value : value
  }
  return at === text.length
}

/** Negative if a comes before b: leader epoch first, then offset. */
export const comparePositions = (a: Position, b: Position): number => a.leaderEpoch - b.leaderEpoch || a.offset - b.offset

const compareCauses = (a: Position & { index: number }, b: Position & { index: number }): number =>
  comparePositions(a, b) || a.index - b.index

/** Negative if a comes before b; services keep the highest order of a window. */
export const compareOrders = (a: Order, b: Order): number => a.promotion - b.promotion || compareCauses(a, b)

/** True if the place of output `index` of `position` is at or below the mark. */
export const isCovered = (mark: (Position & { index: number }) | undefined, position: Position, index: number): boolean =>
  mark !== undefined && (comparePositions(position, mark) || index - mark.index) <= 0

/** One mark: upstream topic/partition and lane, then the newest cause seen. */
export type DedupeEntry = readonly [upstream: string, leaderEpoch: number, offset: number, index: number]

interface DedupeMark {
  readonly upstream: string
  readonly topic: string
  readonly partition: number
  readonly lane: Lane
  leaderEpoch: number
  offset: number
  index: number
}

/**
 * Marks kept of redrives and promotions (one per upstream partition of each): every redrive has a lane of its own, and
 * they would add up for ever. Of an older one a record may pass again; its order keeps it from superseding anything.
 */
const SIDE_LANES_KEPT = 256

/** Drops repeats: one high-water mark per upstream partition and lane. Records without a cause (sources) always pass. */
export class DedupeMarks {
  private readonly marks = new Map<string, DedupeMark>()
  /** The same by upstream partition, mostly one in each: looked for with every record, and a name for it is dear to make. */
  private readonly byPartition = new Map<number, DedupeMark[]>()
  /** The mark asked for last: neighbours mostly come from one upstream partition. */
  private last: DedupeMark | undefined

  /** True if the record was seen before. */
  isRepeat(cause: Cause | undefined, lane: Lane): boolean {
    if (!cause) return false
    const mark = this.mark(cause, lane)
    return mark !== undefined && isCovered(mark, cause, cause.index)
  }

  /** True the first time; the mark moves up. */
  admit(cause: Cause | undefined, lane: Lane): boolean {
    if (!cause) return true
    const { topic, partition, leaderEpoch, offset, index } = cause
    const mark = this.mark(cause, lane)
    if (mark) {
      if (isCovered(mark, cause, index)) return false
      mark.leaderEpoch = leaderEpoch
      mark.offset = offset
      mark.index = index
    } else {
      const upstream = `${topic}/${partition}/${lane}`
      this.keep({ upstream, topic, partition, lane, leaderEpoch, offset, index })
      if (lane !== LIVE) this.forgetOldLanes()
    }
    return true
  }

  entries(): DedupeEntry[] {
    return [...this.marks.values()].map(({ upstream, leaderEpoch, offset, index }) => [upstream, leaderEpoch, offset, index])
  }

  restore(entries: readonly DedupeEntry[]): void {
    this.marks.clear()
    this.byPartition.clear()
    this.last = undefined
    for (const [upstream, leaderEpoch, offset, index] of entries) {
      const [topic = '', partition, ...lane] = upstream.split('/')
      this.keep({ upstream, topic, partition: Number(partition), lane: lane.join('/'), leaderEpoch, offset, index })
    }
  }

  /** In the order in which lanes were first seen, so that a replay forgets the same ones. */
  private forgetOldLanes(): void {
    const side = [...this.marks.values()].filter(({ lane }) => lane !== LIVE)
    for (const old of side.slice(0, Math.max(0, side.length - SIDE_LANES_KEPT))) {
      this.marks.delete(old.upstream)
      const others = this.byPartition.get(old.partition)!
      others.splice(others.indexOf(old), 1)
      if (others.length === 0) this.byPartition.delete(old.partition)
    }
  }

  private keep(mark: DedupeMark): void {
    const { upstream, partition } = mark
    this.marks.set(upstream, mark)
    const others = this.byPartition.get(partition)
    if (others === undefined) this.byPartition.set(partition, [mark])
    else others.push(mark)
    this.last = mark
  }

  private mark({ topic, partition }: Cause, lane: Lane): DedupeMark | undefined {
    const { last } = this
    if (last?.partition === partition && last.topic === topic && last.lane === lane) return last
    const others = this.byPartition.get(partition)
    if (others === undefined) return undefined
    for (let at = 0; at < others.length; at++) {
      const mark = others[at]!
      if (mark.topic === topic && mark.lane === lane) return (this.last = mark)
    }
    return undefined
  }
}

/** RFC 3339 with microseconds. */
export const rfc3339 = (timeUs: number): string => {
  const ms = Math.floor(timeUs / 1000)
  return `${new Date(ms).toISOString().slice(0, -1)}${String(timeUs - ms * 1000).padStart(3, '0')}Z`
}

/** CloudEvents 1.0 headers (binary mode) of an output, without lineage. */
export const eventHeaders = (output: Output, source: string): Record<string, string> => {
  const headers: Record<string, string> = {
    [HEADER.specVersion]: '1.0',
    [HEADER.id]: output.id,
    [HEADER.source]: source,
    [HEADER.type]: output.type,
    [HEADER.time]: rfc3339(output.timeUs),
    [HEADER.contentType]: 'application/avro',
  }
  const subject = output.subject ?? output.key
  if (subject !== null) headers[HEADER.subject] = subject
  return headers
}
