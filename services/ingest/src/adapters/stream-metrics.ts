// What the doors that read streams count: NATS, Kafka, Kinesis.

import type { Metrics } from '@andon/kit'

export interface StreamMetrics {
  /** A stream could not be read; it is tried again. */
  readonly failed: (source: string) => void
  /** Messages taken from it. */
  readonly taken: (source: string, messages: number) => void
}

export const streamMetrics = (metrics: Metrics): StreamMetrics => {
  const failures = metrics.counter('andon_ingest_stream_failures_total', 'Attempts to read a stream that failed', ['source'])
  const messages = metrics.counter('andon_ingest_stream_messages_total', 'Messages taken from streams', ['source'])
  return {
    failed: (source) => failures.inc({ source }),
    taken: (source, count) => messages.inc({ source }, count),
  }
}
