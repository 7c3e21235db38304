// The fast way in: rows of one source in columns → blocks, checked column by column and copied as they are. What becomes of a row is
// what would become of it as a reading: the same checks, refusals, numbers and memory.

import { historicalAfterUs } from './block-builder.ts'
import type { ReadingColumns } from './columns.ts'
import type { Layout } from './layout.ts'
import { columnsFault, firstOf, isRefusal, refusal, reservedFault, timeFault } from './reading.ts'
import type { Refusal } from './reading.ts'
import type { Taking } from './taking.ts'

// What becomes of a row; 0: taken, not historical. Rows of one outcome that follow each other are taken together.
const historical = 1
const refused = 2
const repeated = 3

/** Takes all rows in this turn. Rows are counted on from those of the columns before. */
export const takeColumns = (taking: Taking, sent: ReadingColumns, key: string | undefined): void => {
  const { rows, epoch, seqFrom, source } = sent
  const { blocks, memory } = taking.deps
  const first = taking.rows
  taking.rows += rows
  const reserved = taking.isOwn ? undefined : reservedFault(source)
  const placed = columnsFault(sent, taking.delivery.source) ?? reserved ?? taking.lookup.placeColumns(sent, taking.delivery.device)
  if (isRefusal(placed)) {
    for (let row = 0; row < rows; row++)
      taking.refuse(first + row, sent.bytesOf(row), sent.refused?.get(row) ?? ofRow(placed, row), readingOf(sent, row))
    return
  }
  const columns = inUnitsOf(placed, sent)
  const outcomes = outcomesOf(taking, columns, placed)
  const isNumbered = seqFrom !== undefined
  const subject = isNumbered ? undefined : key === undefined ? placed.subject : taking.keySubject(source, key)
  if (subject !== undefined) markRepeats(taking, columns, outcomes, subject, key === undefined ? undefined : first)

  for (let from = 0, to = 0; from < rows; from = to) {
    const outcome = outcomes[from]!
    for (to = from + 1; to < rows && outcomes[to] === outcome;) to++
    if (outcome === refused)
      for (let row = from; row < to; row++)
        taking.refuse(first + row, columns.bytesOf(row), whyNot(taking, columns, placed, row), readingOf(sent, row))
    if (outcome === repeated || outcome === refused) continue
    if (outcome === historical) taking.historical += to - from
    const received = { receivedUs: taking.receivedUs, historical: outcome === historical, sender: taking.sender }
    let seq = isNumbered ? seqFrom + from : memory.number(source, to - from)
    for (let at = from; at < to;) {
      const { next, block } = blocks.addColumns(placed, columns, at, to, isNumbered ? (epoch ?? 0) : memory.epoch, seq, received)
      taking.wait(block.safe)
      if (subject !== undefined && key !== undefined) {
        memory.rememberRows(subject, first + at, first + next, block.safe)
        block.traces.addRows(subject, first + at, first + next)
      } else if (subject !== undefined) {
        for (let row = at; row < next; row++) {
          memory.rememberAt(subject, columns.timesUs[row]!, block.safe)
          block.traces.addTime(subject, columns.timesUs[row]!)
        }
      }
      seq += next - at
      at = next
    }
  }
}

/** The same columns in the plant's units. */
const inUnitsOf = ({ conversion, ids }: Layout, columns: ReadingColumns): ReadingColumns => {
  if (conversion === undefined) return columns
  const { rows } = columns
  const values = new Float64Array(columns.values.length)
  for (let channel = 0; channel < ids.length; channel++) {
    const factor = conversion.factors[channel]!
    const offset = conversion.offsets[channel]!
    for (let at = channel * rows; at < (channel + 1) * rows; at++) values[at] = columns.values[at]! * factor + offset
  }
  return { ...columns, values }
}

/** Looks at every number once, by column. */
const outcomesOf = (taking: Taking, columns: ReadingColumns, layout: Layout): Uint8Array => {
  const { rows, timesUs, values, qualities } = columns
  const outcomes = new Uint8Array(rows)
  const { receivedUs } = taking
  const historicalBelowUs = receivedUs - historicalAfterUs
  const { earliestUs, latestUs } = taking.times
  for (let row = 0; row < rows; row++) {
    const timeUs = timesUs[row]!
    if (!(timeUs >= earliestUs && timeUs <= latestUs) || timeUs !== Math.floor(timeUs)) outcomes[row] = refused
    else if (timeUs < historicalBelowUs) outcomes[row] = historical
  }
  for (let channel = 0; channel < layout.ids.length; channel++) {
    const low = layout.lows[channel]!
    const high = layout.highs[channel]!
    const first = channel * rows
    for (let row = 0; row < rows; row++) {
      const value = values[first + row]!
      if (value < low || value > high) outcomes[row] = refused
    }
  }
  if (qualities !== undefined) for (let row = 0; row < rows; row++) if (qualities[row]! > 2) outcomes[row] = refused
  if (columns.refused !== undefined) for (const row of columns.refused.keys()) outcomes[row] = refused
  return outcomes
}

/** Marks rows that the door has seen, and has the receipt wait for the first ones; `firstRow` where a key stands for them. */
const markRepeats = (
  taking: Taking,
  columns: ReadingColumns,
  outcomes: Uint8Array,
  subject: string,
  firstRow: number | undefined,
): void => {
  const { memory } = taking.deps
  const ownTimes = firstRow === undefined ? new Set<number>() : undefined
  for (let row = 0; row < columns.rows; row++) {
    if (outcomes[row] === refused) continue
    const timeUs = columns.timesUs[row]!
    const safe = firstRow === undefined ? memory.seenAt(subject, timeUs) : memory.seenRow(subject, firstRow + row)
    if (safe !== undefined) taking.wait(safe)
    else if (ownTimes === undefined || !ownTimes.has(timeUs)) {
      ownTimes?.add(timeUs)
      continue
    }
    outcomes[row] = repeated
    taking.duplicates++
  }
}

/** A row as a reading, as it may come back from quarantine; undefined where the door itself could not read it. */
const readingOf = (sent: ReadingColumns, row: number): Readonly<Record<string, unknown>> | undefined => {
  const { source, asset, channels, units, rows, timesUs, values, qualities } = sent
  if (sent.refused?.has(row) === true) return undefined
  const valueOf = (at: number): number | null => {
    const value = values[at * rows + row]!
    return Number.isNaN(value) ? null : value
  }
  const foreign = channels.flatMap((id, at) => (units?.[at] === undefined ? [] : [[id, units[at]] as const]))
  return {
    source,
    ...(asset === undefined ? {} : { asset }),
    timeUs: timesUs[row],
    values: Object.fromEntries(channels.map((id, at) => [id, valueOf(at)])),
    ...(qualities === undefined ? {} : { quality: qualities[row] }),
    ...(foreign.length === 0 ? {} : { units: Object.fromEntries(foreign) }),
  }
}

/** Why a row was refused: found again, since hardly any is. */
const whyNot = (taking: Taking, columns: ReadingColumns, layout: Layout, row: number): Refusal => {
  const own = columns.refused?.get(row)
  if (own !== undefined) return own
  const first = firstOf(columns)
  const of = { ...first, seq: first.seq === undefined ? undefined : first.seq + row }
  const time = timeFault(of, columns.timesUs[row]!, taking.times)
  if (time?.code === 'ANDON_INGEST_BAD_FIELD') return time
  const quality = columns.qualities?.[row] ?? 0
  if (quality > 2) return refusal('ANDON_INGEST_BAD_FIELD', `quality: found ${quality}, expected 0 (good), 1 (uncertain) or 2 (bad)`, of)
  if (time !== undefined) return time
  const channel = layout.ids.findIndex((_, at) => isOutside(layout, at, columns.values[at * columns.rows + row]!))
  return taking.lookup.outOfRange(layout, channel, columns.values[channel * columns.rows + row]!, of)
}

const isOutside = ({ lows, highs }: Layout, channel: number, value: number): boolean => value < lows[channel]! || value > highs[channel]!

/** The refusal of all rows, as that of one: the first one's number, if it has one, becomes this one's. */
const ofRow = (all: Refusal, row: number): Refusal => (all.seq === undefined ? all : { ...all, seq: all.seq + row })
