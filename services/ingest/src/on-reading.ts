// device reading → telemetry (and telemetry.ingest.quarantine). Checks each reading, gives it its place in a block, and answers
// when everything the delivery brought is safe. A bad reading never takes a good one with it: its number is withheld from the block.
//
// Up to the first await everything happens in one turn, so receive times and places in the lanes have the same order.

import { AndonError } from '@andon/kit'
import type { BytesDelivery, Delivery, Intake, Receipt } from './adapters/source.ts'
import { historicalAfterUs } from './block-builder.ts'
import type { Clock } from './clock.ts'
import { identityOf } from './door-memory.ts'
import type { DoorMemory } from './door-memory.ts'
import type { OpenBlocks } from './open-blocks.ts'
import type { Placed, PlantLookup } from './plant-lookup.ts'
import { checkReading, isRefusal, readingsOf, refusal } from './reading.ts'
import type { RawReading, Reading, Refusal } from './reading.ts'

export interface ReadingDeps {
  /** Undefined when deliveries are taken, else why not. */
  readonly refusing: () => AndonError | undefined
  readonly lookup: () => PlantLookup
  readonly blocks: OpenBlocks
  readonly memory: DoorMemory
  readonly quarantine: (delivery: Delivery, raw: RawReading, refusal: Refusal, receivedUs: number) => Promise<void>
  readonly clock: Clock
  /** How far ahead of receive time a source time may be, microseconds. One further ahead would close every window behind it. */
  readonly maxAheadUs: number
  readonly observe: (door: Delivery['door'], receipt: Receipt, received: { rows: number; historical: number }) => void
}

export const onReading = (deps: ReadingDeps): Intake => {
  return async (delivery) => {
    const refused = deps.refusing()
    if (refused !== undefined) throw refused
    const readings = rawReadingsOf(delivery)
    const receivedUs = deps.clock.nowUs()
    const lookup = deps.lookup()
    const safe = new Set<Promise<void>>()
    const quarantined: { index: number; code: string; message: string }[] = []
    let historical = 0
    let duplicates = 0
    readings.forEach((raw, index) => {
      const placed: Placed | Refusal = check(raw, delivery, lookup, receivedUs, deps.maxAheadUs)
      if (isRefusal(placed)) {
        quarantined.push({ index, code: placed.code, message: placed.message })
        safe.add(deps.quarantine(delivery, raw, placed, receivedUs))
        const withheld = withhold(deps.blocks, lookup, placed, receivedUs)
        if (withheld !== undefined) safe.add(withheld)
        return
      }
      const { reading } = placed
      const received = { receivedUs, historical: reading.timeUs < receivedUs - historicalAfterUs }
      if (received.historical) historical++
      if (reading.seq !== undefined && reading.epoch !== undefined) {
        safe.add(deps.blocks.add(placed, reading.epoch, reading.seq, received))
        return
      }
      const nowMs = deps.clock.monotonicMs()
      const identity = identityOf(reading, delivery.idempotencyKey, index)
      const first = deps.memory.seen(identity, nowMs)
      if (first !== undefined) {
        duplicates++
        safe.add(first)
        return
      }
      const row = deps.blocks.add(placed, deps.memory.epoch, deps.memory.number(reading.source), received, identity)
      deps.memory.remember(identity, row, nowMs)
      safe.add(row)
    })
    await Promise.all(safe)
    const receipt = { accepted: readings.length - quarantined.length - duplicates, duplicates, quarantined }
    deps.observe(delivery.door, receipt, { rows: readings.length, historical })
    return receipt
  }
}

const rawReadingsOf = (delivery: Delivery): readonly RawReading[] => {
  if ('readings' in delivery) return delivery.readings
  if ('columns' in delivery) throw new Error('columns are not taken yet')
  return readingsOf(delivery.payload, delivery.format) ?? unreadable(delivery)
}

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

const check = (raw: RawReading, delivery: Delivery, lookup: PlantLookup, receivedUs: number, maxAheadUs: number): Placed | Refusal => {
  const reading: Reading | Refusal = raw.refused ?? checkReading(raw.value, delivery.source)
  if (isRefusal(reading)) return reading
  const aheadUs = reading.timeUs - receivedUs
  if (aheadUs > maxAheadUs) {
    const message = `timeUs: found ${reading.timeUs}, ${Math.round(aheadUs / 1e6)} s ahead of the receive time; expected at most ${maxAheadUs / 1e6} s`
    return refusal('ANDON_INGEST_TIME_AHEAD', message, reading)
  }
  return lookup.place(reading)
}

const withhold = (blocks: OpenBlocks, lookup: PlantLookup, refused: Refusal, receivedUs: number): Promise<void> | undefined => {
  const { source, epoch, seq } = refused
  const assetId = source === undefined ? undefined : lookup.assetOf(source)
  if (source === undefined || epoch === undefined || seq === undefined || assetId === undefined) return undefined
  return blocks.withhold({ sourceId: source, assetId, epoch }, seq, receivedUs)
}
