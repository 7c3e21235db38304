// Publishing without a causing input: doors, sources, commands of an operator.

import type { Codec } from './codec-port.ts'
import type { Output } from './flow.ts'
import { HEADER, LIVE, eventHeaders, formatOrder } from './lineage.ts'
import type { AppendedRecords, Log } from './log/port.ts'

export interface PublishOptions {
  readonly traceparent?: string | undefined
  readonly lane?: string
  /** Record timestamp, ms UTC: when we received it. Default: now. */
  readonly timestampMs?: number
}

/** Appends the outputs in order and resolves once the brokers have them. Where a record lies comes back in input order. */
export const publish = async (
  log: Log,
  codec: Codec,
  outputs: readonly Output[],
  source: string,
  options: PublishOptions = {},
): Promise<AppendedRecords> =>
  log.append(
    outputs.map((output) => {
      const headers = eventHeaders(output, source)
      headers[HEADER.lane] = options.lane ?? LIVE
      if (options.traceparent !== undefined) headers[HEADER.traceparent] = options.traceparent
      if (output.order && output.order !== 'own') headers[HEADER.order] = formatOrder(output.order)
      return {
        topic: output.topic,
        key: output.key,
        value: codec.encode(output.topic, output.value),
        headers,
        ...(output.partition === undefined ? {} : { partition: output.partition }),
        ...(options.timestampMs === undefined ? {} : { timestampMs: options.timestampMs }),
      }
    }),
  )
