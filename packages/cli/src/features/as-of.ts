// The as-of join for training: for each given moment of an asset, what the live path knew of it then. Of the vectors known at
// that moment it takes that of the latest window, in its newest revision; never one that became known later.

import { createReadStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { parse } from 'csv-parse'
import { type Codec, HEADER, type Log, type Order, compareOrders, parseOrder } from '@andon/kit'
import { AndonError, messageOf } from '@andon/kit/errors'
import type { Vector } from '@andon/schemas'
import type { Column, Row } from '../data/columns.ts'
import type { PartitionRange } from '../data/ranges.ts'
import { writerOf } from '../data/table-file.ts'
import { type ExportCounts, type TableFormat, TableWriter, newCounts, requireOneSet, survey } from './export.ts'
import { type Selection, isOfSet, knownColumns, lateRows, readFeatures, vectorColumns, vectorRow } from './vectors.ts'

/** One moment that is asked for. */
export interface Moment {
  readonly assetId: string
  readonly timeUs: number
  /** Further columns of the file, as they were. */
  readonly others: Row
}

export interface Moments {
  readonly list: readonly Moment[]
  /** Names of the further columns. */
  readonly others: readonly string[]
}

/** Reads a CSV with `assetId` and `timeUs` (or `time` in ISO 8601) and any further columns. Throws ANDON_CLI_TIMES with the line. */
export const readMoments = async (file: string): Promise<Moments> => {
  const list: Moment[] = []
  let head: readonly string[] | undefined
  const fail = (line: number, expected: string): AndonError =>
    new AndonError('ANDON_CLI_TIMES', `${file}:${line}: expected ${expected}.`, { status: 400 })
  try {
    const rows = createReadStream(file).pipe(parse({ bom: true, skipEmptyLines: true, trim: true, info: true }))
    for await (const { record, info } of rows as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      if (head === undefined) {
        head = record
        if (!head.includes('assetId')) throw fail(1, `a column assetId, found ${head.join(', ')}`)
        if (!head.includes('timeUs') && !head.includes('time'))
          throw fail(1, `a column timeUs (microseconds) or time (2026-11-23T08:00:00Z), found ${head.join(', ')}`)
        continue
      }
      const fields = Object.fromEntries(head.map((name, i) => [name, record[i] ?? '']))
      const text = fields['timeUs'] ?? fields['time'] ?? ''
      const timeUs = 'timeUs' in fields ? Number(text || Number.NaN) : Date.parse(text) * 1000
      if (!Number.isSafeInteger(timeUs)) throw fail(info.lines, `a time, found "${text}"`)
      const { assetId = '', timeUs: _us, time: _time, ...others } = fields
      list.push({ assetId, timeUs, others })
    }
  } catch (error) {
    if (error instanceof AndonError) throw error
    throw new AndonError('ANDON_CLI_TIMES', `--at ${file}: ${messageOf(error)}`, { status: 400, cause: error })
  }
  if (head === undefined) throw fail(1, 'a line of column names')
  return { list, others: head.filter((name) => !['assetId', 'timeUs', 'time'].includes(name)) }
}

export interface AsOfExport {
  readonly topic: string
  readonly ranges: readonly PartitionRange[]
  readonly selection: Selection
  readonly format: TableFormat
  readonly out: string
  readonly moments: Moments
  readonly groupRows?: number
}

export interface AsOfCounts extends ExportCounts {
  /** Rows for which nothing was known. */
  unknown: number
}

/** Writes a row per moment, in the order of the file. A file sorted by time is written as the log is read. */
export const exportAsOf = async (
  log: Log,
  codec: Codec,
  options: AsOfExport,
): Promise<{ counts: AsOfCounts; featureSet: string | null; featureSetDigest: string | null }> => {
  const { topic, ranges, format, out, moments, groupRows } = options
  const assets = new Set(moments.list.map(({ assetId }) => assetId))
  const selection: Selection = { ...options.selection, assets }
  const { sets } = await survey(log, codec, topic, ranges, selection)
  requireOneSet(sets)
  const [set] = sets
  const columns = asOfColumns(moments.others, [...(set?.names ?? [])])
  mkdirSync(dirname(out), { recursive: true })
  const metadata = { 'andon.topic': topic, ...(set === undefined ? {} : { 'andon.featureSetDigest': set.featureSetDigest }) }
  const table = new TableWriter(() => writerOf(format, out, columns, metadata), groupRows)
  const counts: AsOfCounts = { ...newCounts(), unknown: 0 }

  const found: (Row | null | undefined)[] = Array.from({ length: moments.list.length }, () => undefined)
  let written = 0
  const writeSettled = async (): Promise<void> => {
    for (; written < found.length && found[written] !== undefined; written++) {
      const { assetId, timeUs, others } = moments.list[written] as Moment
      const row = found[written] as Row | null
      found[written] = null // the row may go
      if (row === null) counts.unknown += 1
      else if (row['quality'] === 'unmonitored') counts.unmonitored += 1
      counts.rows += 1
      await table.add({ ...row, ...others, assetId, timeUs })
    }
  }

  const waiting = waitingOf(moments)
  const newest = new Map<string, Newest>()
  for await (const { record, value, knownFromUs } of readFeatures(log, codec, topic, ranges, selection)) {
    if (value === undefined) counts.undecodable += 1
    if (value?.late) {
      counts.lateReports += 1
      counts.lateSamples += lateRows(value.late)
    }
    const vector = value?.vector
    if (value === undefined || !vector) continue
    if (!isOfSet(selection.set, vector)) {
      counts.ofOtherSets += 1
      continue
    }
    const { assetId } = value
    const of = newest.get(assetId) ?? new Newest()
    newest.set(assetId, of)
    for (const index of waiting.before(assetId, knownFromUs)) found[index] = of.row
    const order = parseOrder(record.header(HEADER.order)) ?? {
      promotion: 0,
      leaderEpoch: record.leaderEpoch,
      offset: record.offset,
      index: 0,
    }
    const became = of.take(vector, order, () => ({ ...vectorRow(record, assetId, vector), knownFromUs, knownToUs: null }))
    if (became !== 'newest') counts[became] += 1
    await writeSettled()
  }
  for (const assetId of assets)
    for (const index of waiting.before(assetId, Number.POSITIVE_INFINITY)) found[index] = newest.get(assetId)?.row ?? null
  await writeSettled()
  await table.close()
  return { counts, featureSet: set?.featureSet ?? null, featureSetDigest: set?.featureSetDigest ?? null }
}

/** The vector of the latest window of an asset, as known so far. */
class Newest {
  row: Row | null = null
  private windowEndUs = Number.NEGATIVE_INFINITY
  private order: Order | undefined
  private vectorId = ''

  take(vector: Vector, order: Order, row: () => Row): 'newest' | 'superseded' | 'repeats' | 'outranked' {
    if (vector.windowEndUs < this.windowEndUs) return 'superseded' // a revision of an earlier window
    if (vector.windowEndUs === this.windowEndUs && this.order !== undefined) {
      if (vector.vectorId === this.vectorId && order.promotion === this.order.promotion) return 'repeats'
      if (compareOrders(order, this.order) <= 0) return 'outranked'
    }
    this.windowEndUs = vector.windowEndUs
    this.order = order
    this.vectorId = vector.vectorId
    this.row = row()
    return 'newest'
  }
}

/** Moments of each asset by time; each is given out once. */
const waitingOf = ({ list }: Moments) => {
  const byAsset = new Map<string, number[]>()
  list.forEach(({ assetId }, index) => {
    const indices = byAsset.get(assetId)
    if (indices === undefined) byAsset.set(assetId, [index])
    else indices.push(index)
  })
  const timeOf = (index: number): number => (list[index] as Moment).timeUs
  for (const indices of byAsset.values()) indices.sort((a, b) => timeOf(b) - timeOf(a) || b - a)
  return {
    /** Moments before a time, oldest first. */
    *before(assetId: string, us: number): Generator<number> {
      const indices = byAsset.get(assetId) ?? []
      for (let last = indices.at(-1); last !== undefined && timeOf(last) < us; last = indices.at(-1)) {
        indices.pop()
        yield last
      }
    },
  }
}

const asOfColumns = (others: readonly string[], names: readonly string[]): Column[] => {
  const own = vectorColumns(names, true)
    .filter(({ name }) => name !== 'assetId' && name !== knownColumns[1]?.name)
    .map((each) => ({ ...each, nullable: true }))
  const taken = others.find((name) => own.some((each) => each.name === name))
  if (taken !== undefined)
    throw new AndonError('ANDON_CLI_TIMES', `--at: the column ${taken} is one of the table's own. Give it another name in the file.`, {
      status: 400,
    })
  return [
    { name: 'assetId', type: 'string', nullable: false },
    { name: 'timeUs', type: 'timestamp-us', nullable: false },
    ...others.map((name): Column => ({ name, type: 'string', nullable: false })),
    ...own,
  ]
}
