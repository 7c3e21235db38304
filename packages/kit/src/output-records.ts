// From outputs to records: values and headers of a batch's outputs lie side by side in one slab, which is used again for
// the next batch once the log has answered.

import type { Codec } from './codec-port.ts'
import type { Input, Output } from './flow.ts'
import { OutputHeaders } from './header-template.ts'
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
    const from = this.write((slab, at) => this.codec.encodeInto(topic, output.value, slab, at))
    const value = this.slab.subarray(from, this.at)
    const order = output.order === 'own' ? { promotion: 0, ...cause.position, index } : (output.order ?? cause.order)
    const { lane, traceparent } = cause
    const headersFrom = this.write((slab, at) => this.headers.write(slab, at, output, { lane, traceparent, order, cause, index }))
    const headers = new EncodedHeaders(this.slab, headersFrom, this.at)
    return partition === undefined
      ? { topic, key, value, headers, timestampMs: cause.timestampMs }
      : { topic, key, value, headers, timestampMs: cause.timestampMs, partition }
  }

  /** Where the bytes begin; they end at `at`. A slab that is too small is left to the records that lie in it. */
  private write(put: (slab: Buffer, at: number) => number): number {
    let end = put(this.slab, this.at)
    while (end < 0) {
      this.slab = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, this.slab.length * 2, this.slab.length - this.at - end))
      this.at = 0
      end = put(this.slab, 0)
    }
    const from = this.at
    this.at = end
    return from
  }
}
