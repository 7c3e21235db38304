// Headers of outputs without a map: what stays the same from record to record is encoded once, id and time are written
// over it in place, and order and cause, whose digits grow with the log, come last. The text of every header is the one
// that lineage.ts formats, so that any Kafka consumer reads it.

import type { Input, Order, Output } from './flow.ts'
import { HEADER, eventHeaders, formatOrder, formatCause, rfc3339 } from './lineage.ts'
import { putVarint, varintSize } from './log/varint.ts'

/** What a record's headers say beside its event: lane, trace, order of the vector and the one record that caused it. */
export interface HeaderContext {
  readonly lane: string
  readonly traceparent: string | undefined
  readonly order: Order | undefined
  readonly cause: Input<unknown> | undefined
  /** Number of the output among those of its cause. */
  readonly index: number
}

const MOST_TEMPLATES = 4096
const TIME_LENGTH = 27
/** Times whose year has four digits. */
const END_OF_YEAR_9999_US = 253_402_300_800_000_000
const SECOND_US = 1_000_000
/** Name, lengths and the longest text of order or cause beyond the topic's name. */
const TAIL_BYTES = 128

interface Template {
  readonly type: string
  readonly lane: string
  readonly subject: string | null
  readonly idLength: number
  readonly traceLength: number
  readonly hasOrder: boolean
  readonly causeTopic: string | undefined
  readonly causePartition: number
  /** All headers but order and cause; id, time and trace are those of the record before. */
  readonly bytes: Buffer
  readonly idAt: number
  readonly timeAt: number
  readonly traceAt: number
  readonly causePrefix: Buffer
  timeUs: number
  traceparent: string | undefined
}

/** Header templates of one source (`ce_source`); the least that a process needs is one per lane of its input. */
export class OutputHeaders {
  private readonly source: string
  private readonly bySubject = new Map<string | null, Template[]>()
  private count = 0
  private last: Template | undefined

  constructor(source: string) {
    this.source = source
  }

  /** Writes an output's header block at `at`; returns its end, or minus the bytes that the slab is too short, at least. */
  write(slab: Buffer, at: number, output: Output, context: HeaderContext): number {
    const { id, timeUs } = output
    if (!(timeUs >= 0 && timeUs < END_OF_YEAR_9999_US)) return this.writeMap(slab, at, output, context)
    const template = this.template(output, context)
    const { bytes } = template
    const most = bytes.length + (template.hasOrder ? TAIL_BYTES : 0) + (context.cause ? TAIL_BYTES + template.causePrefix.length : 0)
    if (at + most > slab.length) return slab.length - at - most
    if (!putAscii(bytes, template.idAt, id)) return this.writeMap(slab, at, output, context)
    if (timeUs !== template.timeUs) putTime(template, timeUs)
    const { traceparent, order, cause } = context
    if (traceparent !== template.traceparent) {
      template.traceparent = undefined
      if (!putAscii(bytes, template.traceAt, traceparent!)) return this.writeMap(slab, at, output, context)
      template.traceparent = traceparent
    }
    slab.set(bytes, at)
    let end = at + bytes.length
    if (order) end = putOrder(slab, end, order)
    if (cause) end = putCause(slab, end, template.causePrefix, cause, context.index)
    return end
  }

  private template(output: Output, { lane, traceparent, order, cause }: HeaderContext): Template {
    const subject = output.subject ?? output.key
    const traceLength = traceparent === undefined ? -1 : traceparent.length
    const fits = (one: Template): boolean =>
      one.subject === subject &&
      one.type === output.type &&
      one.lane === lane &&
      one.idLength === output.id.length &&
      one.traceLength === traceLength &&
      one.hasOrder === (order !== undefined) &&
      one.causeTopic === cause?.topic &&
      one.causePartition === (cause?.partition ?? -1)
    if (this.last && fits(this.last)) return this.last
    let known = this.bySubject.get(subject)
    let found = known?.find(fits)
    if (!found) {
      found = this.make(output, subject, { lane, traceparent, order, cause, index: 0 })
      if (this.count++ >= MOST_TEMPLATES) {
        this.bySubject.clear()
        this.count = 1
        known = undefined
      }
      if (known) known.push(found)
      else this.bySubject.set(subject, [found])
    }
    this.last = found
    return found
  }

  private make(output: Output, subject: string | null, { lane, traceparent, order, cause }: HeaderContext): Template {
    const event = eventHeaders({ ...output, timeUs: 0 }, this.source)
    const constant = [HEADER.specVersion, HEADER.source, HEADER.type, HEADER.contentType].map((name) => [name, event[name]!] as const)
    const places = new Map<string, number>()
    const parts: Buffer[] = []
    let at = 0
    const add = (part: Buffer): void => {
      parts.push(part)
      at += part.length
    }
    const header = (name: string, value: Buffer): void => {
      add(lengthed(Buffer.from(name)))
      const whole = lengthed(value)
      add(whole)
      places.set(name, at - value.length)
    }
    const count = constant.length + 3 + Number(subject !== null) + Number(traceparent !== undefined) + Number(!!order) + Number(!!cause)
    add(varint(count))
    for (const [name, value] of constant) header(name, Buffer.from(value))
    header(HEADER.lane, Buffer.from(lane))
    if (subject !== null) header(HEADER.subject, Buffer.from(subject))
    header(HEADER.id, Buffer.alloc(output.id.length, '-'))
    header(HEADER.time, Buffer.from(rfc3339(0)))
    if (traceparent !== undefined) header(HEADER.traceparent, Buffer.alloc(traceparent.length, '-'))
    return {
      type: output.type,
      lane,
      subject,
      idLength: output.id.length,
      traceLength: traceparent === undefined ? -1 : traceparent.length,
      hasOrder: order !== undefined,
      causeTopic: cause?.topic,
      causePartition: cause?.partition ?? -1,
      bytes: Buffer.concat(parts),
      idAt: places.get(HEADER.id)!,
      timeAt: places.get(HEADER.time)!,
      traceAt: places.get(HEADER.traceparent) ?? -1,
      causePrefix: Buffer.from(cause ? `${cause.topic}/${cause.partition}/` : ''),
      timeUs: 0,
      traceparent: undefined,
    }
  }

  /** For what a template does not hold: an id beyond ASCII, a year beyond 9999. */
  private writeMap(slab: Buffer, at: number, output: Output, context: HeaderContext): number {
    const parts = Object.entries(headerMapOf(output, this.source, context)).flatMap(([name, value]) => [
      lengthed(Buffer.from(name)),
      lengthed(Buffer.from(value)),
    ])
    const block = Buffer.concat([varint(parts.length / 2), ...parts])
    if (at + block.length > slab.length) return slab.length - at - block.length
    slab.set(block, at)
    return at + block.length
  }
}

/** The same headers as a map. */
export const headerMapOf = (
  output: Output,
  source: string,
  { lane, traceparent, order, cause, index }: HeaderContext,
): Record<string, string> => {
  const headers = eventHeaders(output, source)
  headers[HEADER.lane] = lane
  if (traceparent !== undefined) headers[HEADER.traceparent] = traceparent
  if (order) headers[HEADER.order] = formatOrder(order)
  if (cause) headers[HEADER.cause] = formatCause({ topic: cause.topic, partition: cause.partition, ...cause.position, index })
  return headers
}

const varint = (value: number): Buffer => {
  const bytes = Buffer.alloc(varintSize(value))
  putVarint(bytes, 0, value)
  return bytes
}

const lengthed = (bytes: Buffer): Buffer => Buffer.concat([varint(bytes.length), bytes])

/** False if the text is not ASCII: it would not fit its place. */
const putAscii = (into: Buffer, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return false
    into[at + i] = code
  }
  return true
}

/** Writes the time over the one before; within a second only its digits below change. */
const putTime = (template: Template, timeUs: number): void => {
  const { bytes, timeAt } = template
  const second = Math.floor(timeUs / SECOND_US)
  if (second !== Math.floor(template.timeUs / SECOND_US)) bytes.write(rfc3339(timeUs), timeAt, TIME_LENGTH, 'latin1')
  else {
    let rest = timeUs - second * SECOND_US
    for (let at = timeAt + TIME_LENGTH - 2; at > timeAt + TIME_LENGTH - 8; at--) {
      const tenth = (rest / 10) | 0
      bytes[at] = 48 + rest - tenth * 10
      rest = tenth
    }
  }
  template.timeUs = timeUs
}

const SLASH = 0x2f
const DOT = 0x2e
const ORDER_NAME = lengthed(Buffer.from(HEADER.order))
const CAUSE_NAME = lengthed(Buffer.from(HEADER.cause))

const putOrder = (slab: Buffer, at: number, order: Order): number => {
  slab.set(ORDER_NAME, at)
  const start = at + ORDER_NAME.length
  let end = putNumber(slab, start + 1, order.promotion)
  slab[end++] = DOT
  end = putNumber(slab, end, order.leaderEpoch)
  slab[end++] = DOT
  end = putNumber(slab, end, order.offset)
  slab[end++] = DOT
  return putLength(slab, start, putNumber(slab, end, order.index))
}

const putCause = (slab: Buffer, at: number, prefix: Buffer, { position }: Input<unknown>, index: number): number => {
  slab.set(CAUSE_NAME, at)
  const start = at + CAUSE_NAME.length
  slab.set(prefix, start + 1)
  let end = putNumber(slab, start + 1 + prefix.length, position.leaderEpoch)
  slab[end++] = SLASH
  end = putNumber(slab, end, position.offset)
  slab[end++] = SLASH
  return putLength(slab, start, putNumber(slab, end, index))
}

/** Puts the length of the text [at + 1, end) in front of it; moves the text when its length takes more than one byte. */
const putLength = (slab: Buffer, at: number, end: number): number => {
  const length = end - at - 1
  const size = varintSize(length)
  if (size > 1) slab.copyWithin(at + size, at + 1, end)
  putVarint(slab, at, length)
  return end + size - 1
}

/** Decimal digits of a whole number. */
export const putNumber = (into: Buffer, at: number, value: number): number => {
  let rest = value
  let start = at
  if (rest < 0) {
    into[start++] = 0x2d
    rest = -rest
  }
  let end = start + 1
  for (let bound = 10; rest >= bound; bound *= 10) end++
  let place = end
  while (rest > 0x7fffffff) {
    const tenth = Math.floor(rest / 10)
    into[--place] = 48 + (rest - tenth * 10)
    rest = tenth
  }
  let small = rest | 0
  while (place > start) {
    const tenth = (small / 10) | 0
    into[--place] = 48 + small - tenth * 10
    small = tenth
  }
  return end
}
