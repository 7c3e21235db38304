// What ingest counts. Names are listed in the README.

import type { Metrics } from '@andon/kit'
import type { DoorName, Receipt } from './adapters/source.ts'

export interface IngestMetrics {
  readonly received: (door: DoorName, receipt: Receipt, of: { rows: number; historical: number; leftOut: number }) => void
  readonly refused: (door: DoorName) => void
  readonly acknowledged: (door: DoorName, seconds: number) => void
  readonly published: (records: number, kind: 'block' | 'tick') => void
  readonly doubt: () => void
  readonly damaged: () => void
  readonly second: (state: {
    held: number
    unanswered: number
    spoolBytes: number
    inFlightBytes: number
    isShared: boolean
    clockStepS: number
  }) => void
}

export const ingestMetrics = (metrics: Metrics): IngestMetrics => {
  const readings = metrics.counter('andon_ingest_readings_total', 'Readings that were made safe, by what became of them', [
    'door',
    'outcome',
  ])
  const historical = metrics.counter('andon_ingest_historical_readings_total', 'Accepted readings older than 10 minutes on receipt')
  const leftOut = metrics.counter('andon_ingest_left_out_rows_total', 'Accepted rows that down-sampling has left out')
  const refused = metrics.counter('andon_ingest_refused_deliveries_total', 'Deliveries of which nothing was acknowledged', ['door'])
  const seconds = metrics.histogram('andon_ingest_acknowledge_seconds', 'From the delivery to its acknowledgement', ['door'])
  const published = metrics.counter('andon_ingest_published_records_total', 'Records the brokers have answered, repeats included', ['kind'])
  const doubts = metrics.counter('andon_ingest_doubts_total', 'Times everything held was sent again')
  const damages = metrics.counter('andon_ingest_spool_damages_total', 'Places where the disk of the spool damaged acknowledged readings')
  const held = metrics.gauge('andon_ingest_held_records', 'Records kept in the spool')
  const waiting = metrics.gauge('andon_ingest_unpublished_records', 'Records the brokers have not answered yet')
  const spoolBytes = metrics.gauge('andon_ingest_spool_bytes', 'Disk used by the spool')
  const inFlight = metrics.gauge('andon_ingest_in_flight_bytes', 'Deliveries whose senders are not answered yet')
  const shared = metrics.gauge('andon_ingest_limits_shared', '1 while the limits of devices are shared by all instances, else 0')
  const clockStep = metrics.gauge(
    'andon_ingest_clock_step_seconds',
    'Wall clock minus receive time: how far the host clock was stepped since the start',
  )
  // Looking up labels for every delivery would cost more than counting; a series begins at 0 with its door's first delivery.
  const doors = new Map<DoorName, ReturnType<typeof seriesOf>>()
  const seriesOf = (door: DoorName) => {
    const [accepted, quarantined, duplicate] = (['accepted', 'quarantined', 'duplicate'] as const).map((outcome) => {
      const series = readings.labels({ door, outcome })
      series.inc(0)
      return series
    })
    return { accepted: accepted!, quarantined: quarantined!, duplicate: duplicate!, seconds: seconds.labels({ door }) }
  }
  const of = (door: DoorName) => {
    let series = doors.get(door)
    if (series === undefined) doors.set(door, (series = seriesOf(door)))
    return series
  }
  const add = (counter: { inc(by: number): void }, count: number): void => {
    if (count > 0) counter.inc(count)
  }
  return {
    received: (door, receipt, rows) => {
      const { accepted, quarantined, duplicate } = of(door)
      add(accepted, receipt.accepted)
      add(quarantined, receipt.quarantined.length)
      add(duplicate, receipt.duplicates)
      add(historical, rows.historical)
      add(leftOut, rows.leftOut)
    },
    refused: (door) => refused.inc({ door }),
    acknowledged: (door, took) => of(door).seconds.observe(took),
    published: (records, kind) => published.inc({ kind }, records),
    doubt: () => doubts.inc(),
    damaged: () => damages.inc(),
    second: (state) => {
      held.set(state.held)
      waiting.set(state.unanswered)
      spoolBytes.set(state.spoolBytes)
      inFlight.set(state.inFlightBytes)
      shared.set(state.isShared ? 1 : 0)
      clockStep.set(state.clockStepS)
    },
  }
}
