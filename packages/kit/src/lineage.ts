// Lineage headers: which one record caused this one, in which lane, and the order of the vector it derives from.
// Dedupe and recovery read them; bodies never carry log positions.

import type { Input, Lane, Order, Output } from './flow.ts'
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
  const parts = text?.split('/')
  if (parts?.length !== 5) return undefined
  const [partition, leaderEpoch, offset, index] = parts.slice(1).map(Number) as [number, number, number, number]
  return [partition, leaderEpoch, offset, index].every(Number.isSafeInteger)
    ? { topic: parts[0]!, partition, leaderEpoch, offset, index }
    : undefined
}

export const formatOrder = (order: Order): string => `${order.promotion}.${order.leaderEpoch}.${order.offset}.${order.index}`

export const parseOrder = (text: string | undefined): Order | undefined => {
  const parts = text?.split('.').map(Number)
  if (parts?.length !== 4 || !parts.every(Number.isSafeInteger)) return undefined
  const [promotion, leaderEpoch, offset, index] = parts as [number, number, number, number]
  return { promotion, leaderEpoch, offset, index }
}

/** Negative if a comes before b: leader epoch first, then offset. */
export const comparePositions = (a: Position, b: Position): number => a.leaderEpoch - b.leaderEpoch || a.offset - b.offset

const compareCauses = (a: Position & { index: number }, b: Position & { index: number }): number =>
  comparePositions(a, b) || a.index - b.index

/** Negative if a comes before b; services keep the highest order of a window. */
export const compareOrders = (a: Order, b: Order): number => a.promotion - b.promotion || compareCauses(a, b)

/** True if the place of output `index` of `position` is at or below the mark. */
export const isCovered = (mark: (Position & { index: number }) | undefined, position: Position, index: number): boolean =>
  mark !== undefined && compareCauses({ ...position, index }, mark) <= 0

/** One mark: upstream topic/partition and lane, then the newest cause seen. */
export type DedupeEntry = readonly [upstream: string, leaderEpoch: number, offset: number, index: number]

/** Drops repeats: one high-water mark per upstream partition and lane. Records without a cause (sources) always pass. */
export class DedupeMarks {
  private readonly marks = new Map<string, Position & { index: number }>()

  /** True the first time; the mark moves up. */
  admit(cause: Cause | undefined, lane: Lane): boolean {
    if (!cause) return true
    const upstream = `${cause.topic}/${cause.partition}/${lane}`
    if (isCovered(this.marks.get(upstream), cause, cause.index)) return false
    this.marks.set(upstream, { leaderEpoch: cause.leaderEpoch, offset: cause.offset, index: cause.index })
    return true
  }

  entries(): DedupeEntry[] {
    return [...this.marks].map(([upstream, mark]) => [upstream, mark.leaderEpoch, mark.offset, mark.index])
  }

  restore(entries: readonly DedupeEntry[]): void {
    this.marks.clear()
    for (const [upstream, leaderEpoch, offset, index] of entries) this.marks.set(upstream, { leaderEpoch, offset, index })
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

/** All headers of an output that an input caused. Lane, trace and order travel on; `own` order is this record's lineage. */
export const outputHeaders = (cause: Input<unknown>, index: number, output: Output, source: string): Record<string, string> => {
  const headers = eventHeaders(output, source)
  headers[HEADER.lane] = cause.lane
  headers[HEADER.cause] = formatCause({ topic: cause.topic, partition: cause.partition, ...cause.position, index })
  const order = output.order === 'own' ? { promotion: 0, ...cause.position, index } : (output.order ?? cause.order)
  if (order) headers[HEADER.order] = formatOrder(order)
  if (cause.traceparent !== undefined) headers[HEADER.traceparent] = cause.traceparent
  return headers
}
