// From outputs to records: values and headers of a batch's outputs lie side by side in one slab, which is used again for
// the next batch once the log has answered.

import type { Codec } from './codec-port.ts'
import type { Input, Order, Output } from './flow.ts'
import { OutputHeaders } from './header-template.ts'
import type { HeaderContext } from './header-template.ts'
import { LIVE } from './lineage.ts'
import { EncodedHeaders } from './log/encoded-headers.ts'
import type { Append } from './log/port.ts'

const FIRST_BYTES = 64 * 1024
/** A slab that one large batch needed is not kept. */
const MOST_KEPT_BYTES = 1024 * 1024

export class OutputRecords {
  private readonly codec: Codec
  private readonly headers: OutputHeaders
  private slab = Buffer.alloc(0)
  private at = 0
  /** Of the record that is made: one object for all of them. */
  private readonly context: { -readonly [field in keyof HeaderContext]: HeaderContext[field] } = {
    lane: LIVE,
    traceparent: undefined,
    order: undefined,
    cause: undefined,
    index: 0,
  }
  private readonly own = { promotion: 0, leaderEpoch: 0, offset: 0, index: 0 }

  /** `source` becomes ce_source. */
  constructor(codec: Codec, source: string) {
    this.codec = codec
    this.headers = new OutputHeaders(source)
  }

  /** Records made before are written over from now on. */
  begin(): void {
    if (this.slab.length > MOST_KEPT_BYTES) this.slab = Buffer.alloc(0)
    this.at = 0
  }

  /** An append was rejected: the log may still store or read its records, so their bytes are left alone. */
  abandon(): void {
    this.slab = Buffer.alloc(0)
  }

  /** The record of an output, valid until `begin`. It takes the time of its cause. */
  record(cause: Input<unknown>, index: number, output: Output): Append {
    const { topic, key, partition } = output
    let end = this.codec.encodeInto(topic, output.value, this.slab, this.at)
    while (end < 0) end = this.codec.encodeInto(topic, output.value, this.anotherSlab(end), 0)
    const value = this.slab.subarray(this.at, end)
    this.at = end
    this.context.lane = cause.lane
    this.context.traceparent = cause.traceparent
    this.context.order = this.orderOf(cause, index, output)
    this.context.cause = cause
    this.context.index = index
    end = this.headers.write(this.slab, this.at, output, this.context)
    while (end < 0) end = this.headers.write(this.anotherSlab(end), 0, output, this.context)
    const headers = new EncodedHeaders(this.slab, this.at, end)
    this.at = end
    return partition === undefined
      ? { topic, key, value, headers, timestampMs: cause.timestampMs }
      : { topic, key, value, headers, timestampMs: cause.timestampMs, partition }
  }

  private orderOf(cause: Input<unknown>, index: number, { order }: Output): Order | undefined {
    if (order !== 'own') return order ?? cause.order
    this.own.leaderEpoch = cause.position.leaderEpoch
    this.own.offset = cause.position.offset
    this.own.index = index
    return this.own
  }

  /** A slab that is too small, `end` says by how much, is left to the records that lie in it. */
  private anotherSlab(end: number): Buffer {
    this.slab = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, this.slab.length * 2, this.slab.length - this.at - end))
    this.at = 0
    return this.slab
  }
}
