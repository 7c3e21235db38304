// device reading → telemetry (and telemetry.ingest.quarantine). Checks each reading, gives it its place in a block, and answers
// when everything the delivery brought is safe. A bad reading never takes a good one with it: its number is withheld from the block.
//
// All but the receipt happens in one turn, so receive times and places in the lanes have the same order.

import { AndonError, uuid8 } from '@andon/kit'
import type { Correction } from './amendments.ts'
import type { BytesDelivery, Delivery, Intake, ReadingsDelivery, Receipt } from './adapters/source.ts'
import { historicalAfterUs } from './block-builder.ts'
import type { Received } from './block-builder.ts'
import { readingsOf } from './json-payload.ts'
import type { Layout } from './layout.ts'
import { takeColumns } from './on-columns.ts'
import type { OpenBlock } from './open-blocks.ts'
import { checkReading, isRefusal, maxValues, maxWaveformBytes, reservedFault, timeFault } from './reading.ts'
import type { RawReading, Reading, Waveform } from './reading.ts'
import { Taking } from './taking.ts'
import type { TakingDeps } from './taking.ts'

export interface ReadingDeps extends TakingDeps {
  /** Undefined when deliveries are taken, else why not. */
  readonly refusing: () => AndonError | undefined
  readonly observe: (door: Delivery['door'], receipt: Receipt, received: { rows: number; historical: number; leftOut: number }) => void
}

export const onReading = (deps: ReadingDeps): Intake => {
  let leftOutBefore = 0
  const take = (delivery: Delivery): Promise<Receipt> => {
    const refused = deps.refusing()
    if (refused !== undefined) throw refused
    const taking = new Taking(delivery, deps)
    if (delivery.isOwn === true && 'readings' in delivery) {
      const quarantined = refusalsOf(taking, delivery)
      const isTaken = quarantined.length === 0
      if (!isTaken || delivery.isTrial === true)
        return Promise.resolve({ accepted: isTaken ? delivery.readings.length : 0, duplicates: 0, quarantined })
    }
    if ('columns' in delivery) for (const columns of delivery.columns) takeColumns(taking, columns, delivery.idempotencyKey)
    else takeReadings(taking, delivery)
    return taking.safe().then(() => {
      const receipt = taking.receipt()
      const leftOut = deps.blocks.leftOut - leftOutBefore
      leftOutBefore += leftOut
      deps.observe(delivery.door, receipt, { rows: taking.rows, historical: taking.historical, leftOut })
      return receipt
    })
  }
  // One promise per delivery: an async function would make several.
  return (delivery) => {
    try {
      return take(delivery)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }
}

/** The values of the reading in hand: a reading is placed and added before the next one is looked at. */
const row = new Float64Array(maxValues)

const takeReadings = (taking: Taking, delivery: BytesDelivery | ReadingsDelivery): void => {
  const { lookup, receivedUs, times, isOwn, deps } = taking
  const { source: doorSource, device } = delivery
  const readings = rawReadingsOf(delivery)
  taking.rows = readings.length
  if (readings.length === 0 && delivery.correction !== undefined) return deleteRange(taking, delivery.correction)
  const received = { receivedUs, historical: false, sender: taking.sender }
  for (let index = 0; index < readings.length; index++) {
    const raw = readings[index]!
    const reading = raw.refused ?? checkReading(raw.value, doorSource)
    if (isRefusal(reading)) {
      taking.refuse(index, raw.bytes(), reading, raw.value)
      continue
    }
    const layout =
      (isOwn ? undefined : reservedFault(reading.source)) ?? timeFault(reading, reading.timeUs, times) ?? lookup.place(reading, row, device)
    if (isRefusal(layout)) {
      taking.refuse(index, raw.bytes(), layout, raw.value)
      continue
    }
    received.historical = reading.timeUs < receivedUs - historicalAfterUs
    if (received.historical) taking.historical++
    if (reading.seq === undefined) takeUnnumbered(taking, reading, layout, index, received)
    else taking.wait(deps.blocks.add(layout, reading, row, reading.epoch!, reading.seq, received).safe)
  }
}

/** Why readings of a release or a correction are refused. Throws an AndonError when the correction itself cannot be. */
const refusalsOf = (taking: Taking, { readings, correction }: ReadingsDelivery): Receipt['quarantined'] => {
  const { lookup, times } = taking
  if (correction !== undefined) checkCorrection(taking, correction)
  return readings.flatMap((raw, index) => {
    const reading = raw.refused ?? checkReading(raw.value)
    const fault = isRefusal(reading) ? reading : (timeFault(reading, reading.timeUs, times) ?? lookup.place(reading, row))
    return isRefusal(fault) ? [{ index, code: fault.code, message: fault.message }] : []
  })
}

const checkCorrection = ({ lookup, times }: Taking, { assetId, channels, fromUs, toUs }: Correction): void => {
  if (!lookup.knows(assetId, channels)) {
    const message = `plant.yaml has no asset ${assetId} with all of these channels: ${channels.join(', ')}`
    throw new AndonError('ANDON_INGEST_UNKNOWN_CHANNEL', message, { status: 400 })
  }
  // Samples that are still to come would be superseded unseen.
  if (fromUs >= times.earliestUs && toUs <= times.receivedUs) return
  const message = `fromUs, toUs: found ${fromUs} to ${toUs}, expected a range from ${times.earliestUs} up to now (${times.receivedUs}), microseconds UTC`
  throw new AndonError('ANDON_INGEST_BAD_AMENDMENT', message, { status: 400 })
}

/** A correction that puts nothing in the place of what it supersedes: a block without rows says so. */
const deleteRange = (taking: Taking, { id, assetId }: Correction): void => {
  const { deps, sender, receivedUs } = taking
  taking.wait(deps.blocks.withhold({ sourceId: `correction:${id}`, assetId, epoch: 0, sender }, 1, receivedUs))
}

const takeUnnumbered = (taking: Taking, reading: Reading, layout: Layout, index: number, received: Received): void => {
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
  const { safe, traces } =
    reading.waveform !== undefined && reading.waveform.f32.length > maxWaveformBytes
      ? addParts(taking.deps, reading, reading.waveform, layout, received)
      : blocks.add(layout, reading, row, memory.epoch, memory.number(source), received)
  if (key === undefined) {
    memory.rememberAt(subject, timeUs, safe)
    traces.addTime(subject, timeUs)
  } else {
    memory.rememberRows(subject, index, index + 1, safe)
    traces.addRows(subject, index, index + 1)
  }
  taking.wait(safe)
}

/** A waveform that is too long for one block, as parts with numbers of their own. They are safe together. */
const addParts = ({ blocks, memory }: TakingDeps, reading: Reading, waveform: Waveform, layout: Layout, received: Received): OpenBlock => {
  const { source, timeUs } = reading
  const { f32, channel, sampleRateHz } = waveform
  const id = uuid8('burst', source, channel, timeUs)
  const parts = Math.ceil(f32.length / maxWaveformBytes)
  const added = Array.from({ length: parts }, (_, at) => {
    const from = at * maxWaveformBytes
    const part: Reading = {
      ...reading,
      timeUs: timeUs + Math.round((from / 4 / sampleRateHz) * 1e6),
      waveform: { ...waveform, f32: f32.subarray(from, from + maxWaveformBytes), burst: { id, part: at + 1, parts, scheduledUs: null } },
    }
    return blocks.add(layout, part, row, memory.epoch, memory.number(source), received)
  })
  const safe = Promise.all(added.map((part) => part.safe)).then(() => undefined)
  safe.catch(() => undefined) // the receipt awaits it
  return { safe, traces: added.at(-1)!.traces }
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
