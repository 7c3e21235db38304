// W3C trace context: `traceparent` travels in record headers and HTTP requests, so one trace spans all topics.

import { randomFillSync } from 'node:crypto'

export interface TraceParent {
  /** 32 hex digits. */
  readonly traceId: string
  /** 16 hex digits. */
  readonly spanId: string
  readonly isSampled: boolean
}

// Random bytes are fetched in bulk: one call a record would cost more than the header.
const pool = Buffer.alloc(4096)
let used = pool.length

const randomHex = (bytes: number): string => {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('hex', used - bytes, used)
}

/** Parts of a traceparent header; undefined when it is none. */
export const parseTraceparent = (header: string | undefined): TraceParent | undefined => {
  const match = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header ?? '')
  const [, traceId, spanId, flags] = match ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** A traceparent that starts a trace of its own. */
export const newTraceparent = (): string => `00-${randomHex(16)}-${randomHex(8)}-01`

/** A new span of the parent's trace, or of a new trace when there is no valid parent. */
export const childTraceparent = (parent: string | undefined): string => {
  const trace = parseTraceparent(parent)
  return trace === undefined ? newTraceparent() : `00-${trace.traceId}-${randomHex(8)}-${trace.isSampled ? '01' : '00'}`
}
