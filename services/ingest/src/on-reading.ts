// device reading → telemetry (and telemetry.ingest.quarantine). Checks each reading, gives it its place in a block, and answers
// when everything the delivery brought is safe. A bad reading never takes a good one with it: its number is withheld from the block.
//
// Up to the first await everything happens in one turn, so receive times and places in the lanes have the same order.

import { AndonError } from '@andon/kit'
import type { BytesDelivery, Delivery, Intake, ReadingsDelivery, Receipt } from './adapters/source.ts'
import { historicalAfterUs } from './block-builder.ts'
import type { Layout } from './layout.ts'
import { takeColumns } from './on-columns.ts'
import { checkReading, isRefusal, maxValues, readingsOf, timeFault } from './reading.ts'
import type { RawReading, Reading } from './reading.ts'
import { Taking } from './taking.ts'
import type { TakingDeps } from './taking.ts'

export interface ReadingDeps extends TakingDeps {
  /** Undefined when deliveries are taken, else why not. */
  readonly refusing: () => AndonError | undefined
  readonly observe: (door: Delivery['door'], receipt: Receipt, received: { rows: number; historical: number }) => void
}

export const onReading = (deps: ReadingDeps): Intake => {
  return async (delivery) => {
    const refused = deps.refusing()
    if (refused !== undefined) throw refused
    const taking = new Taking(delivery, deps)
    if ('columns' in delivery) for (const columns of delivery.columns) takeColumns(taking, columns, delivery.idempotencyKey)
    else takeReadings(taking, delivery)
    const receipt = await taking.receipt()
    deps.observe(delivery.door, receipt, taking)
    return receipt
  }
}

/** The values of the reading in hand: a reading is placed and added before the next one is looked at. */
const row = new Float64Array(maxValues)

const takeReadings = (taking: Taking, delivery: BytesDelivery | ReadingsDelivery): void => {
  const { lookup, receivedUs, times, deps } = taking
  const { source: doorSource, device } = delivery
  const readings = rawReadingsOf(delivery)
  taking.rows = readings.length
  const received = { receivedUs, historical: false }
  for (let index = 0; index < readings.length; index++) {
    const raw = readings[index]!
    const reading = raw.refused ?? checkReading(raw.value, doorSource)
    if (isRefusal(reading)) {
      taking.refuse(index, raw.bytes(), reading)
      continue
    }
    const layout = timeFault(reading, reading.timeUs, times) ?? lookup.place(reading, row, device)
    if (isRefusal(layout)) {
      taking.refuse(index, raw.bytes(), layout)
      continue
    }
    received.historical = reading.timeUs < receivedUs - historicalAfterUs
    if (received.historical) taking.historical++
    if (reading.seq === undefined) takeUnnumbered(taking, reading, layout, index, received)
    else taking.wait(deps.blocks.add(layout, reading, row, reading.epoch!, reading.seq, received).safe)
  }
}

const takeUnnumbered = (
  taking: Taking,
  reading: Reading,
  layout: Layout,
  index: number,
  received: { readonly receivedUs: number; readonly historical: boolean },
): void => {
  const { memory, blocks } = taking.deps
  const { source, timeUs } = reading
  const key = taking.delivery.idempotencyKey
  const subject = key === undefined ? layout.subject : taking.keySubject(source, key)
  const first = key === undefined ? memory.seenAt(subject, timeUs) : memory.seenRow(subject, index)
  if (first !== undefined) {
    taking.duplicates++
    taking.wait(first)
    return
  }
  const { safe, traces } = blocks.add(layout, reading, row, memory.epoch, memory.number(source), received)
  if (key === undefined) {
    memory.rememberAt(subject, timeUs, safe)
    traces.addTime(subject, timeUs)
  } else {
    memory.rememberRows(subject, index, index + 1, safe)
    traces.addRows(subject, index, index + 1)
  }
  taking.wait(safe)
}

const rawReadingsOf = (delivery: BytesDelivery | ReadingsDelivery): readonly RawReading[] =>
  'readings' in delivery ? delivery.readings : (readingsOf(delivery.payload, delivery.format) ?? unreadable(delivery))

// The sender of an HTTP request learns at once that it is not JSON. The other doors have no such answer, and a device would
// send the same bytes for ever: there the payload is one unreadable reading.
const unreadable = (delivery: BytesDelivery): RawReading[] => {
  if (delivery.door === 'http') {
    throw new AndonError(
      'ANDON_INGEST_NOT_JSON',
      'The body is not JSON; expected a reading, an array of readings, or NDJSON with content type application/x-ndjson',
      { status: 400 },
    )
  }
  return [{ value: undefined, bytes: () => delivery.payload }]
}
