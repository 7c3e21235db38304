// What the OPC UA door counts. Names are listed in docs/opcua.md.

import type { Metrics } from '@andon/kit'
import type { NodeValue } from '../opcua-values.ts'

export interface OpcuaMetrics {
  readonly value: (value: NodeValue) => void
  readonly repeats: (count: number) => void
  readonly connected: (outcome: 'up' | 'failed') => void
  /** What became of an outage: bridged by the server's queues, filled from its history, or open. */
  readonly gap: (outcome: 'bridged' | 'filled' | 'open') => void
}

export const opcuaMetrics = (metrics: Metrics): OpcuaMetrics => {
  const values = metrics.counter('andon_ingest_opcua_values_total', 'Values by status code', ['status'])
  const overflows = metrics.counter('andon_ingest_opcua_overflows_total', 'Values before which the server’s queue ran over')
  const repeats = metrics.counter('andon_ingest_opcua_repeats_total', 'Values that were known already')
  const connects = metrics.counter('andon_ingest_opcua_connects_total', 'Attempts to connect', ['outcome'])
  const gaps = metrics.counter('andon_ingest_opcua_gaps_total', 'Outages by what became of their values', ['outcome'])
  return {
    value: ({ statusName, isAfterLoss }) => {
      values.inc({ status: statusName })
      if (isAfterLoss) overflows.inc()
    },
    repeats: (count) => repeats.inc(count),
    connected: (outcome) => connects.inc({ outcome }),
    gap: (outcome) => gaps.inc({ outcome }),
  }
}
