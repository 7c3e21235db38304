// Vectors of files as records of `features`: what `andon features export` wrote (Parquet, CSV), and JSON lines as the training commands
// take them. Columns that are none of a vector's own are features, in the file's order.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { parse } from 'csv-parse'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import type { ParquetParsers } from 'hyparquet'
import { vectorId } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import type { FeaturesInput } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { vectorColumns } from '../features/vectors.ts'

type Row = Readonly<Record<string, unknown>>

const unreadable = (file: string, expected: string, found: string): AndonError =>
  new AndonError('ANDON_CLI_FILE', `${file}: expected ${expected}, found ${found}.`, { status: 400 })

/** Every file's vectors, one file after the other; `asset` for rows that name none. */
export async function* vectorsOf(files: readonly string[], asset: string | undefined): AsyncGenerator<FeaturesInput> {
  for (const file of files) {
    let number = 0
    for await (const row of rowsOf(file)) yield vectorOf(row, `${file}, row ${++number}`, asset)
  }
}

const rowsOf = (file: string): AsyncIterable<Row> => {
  if (file.endsWith('.parquet')) return parquetRows(file)
  if (file.endsWith('.csv')) return createReadStream(file).pipe(parse({ columns: true, bom: true })) as AsyncIterable<Row>
  if (/\.(ndjson|jsonl)$/.test(file)) return jsonRows(file)
  throw unreadable(file, 'a name that ends in .parquet, .csv, .ndjson or .jsonl', 'another')
}

/** A Date would cut microseconds off. */
const parsers = { timestampFromMicroseconds: (us: bigint): number => Number(us) } as object as ParquetParsers

async function* parquetRows(path: string): AsyncGenerator<Row> {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    yield* await parquetReadObjects({ file, metadata, rowStart, rowEnd, parsers })
    rowStart = rowEnd
  }
}

async function* jsonRows(path: string): AsyncGenerator<Row> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }))
    if (line.trim() !== '') yield JSON.parse(line) as Row
}

const own = new Set(vectorColumns([], true).map(({ name }) => name))

const numberOf = (value: unknown): number => (value === null || value === undefined || value === '' ? Number.NaN : Number(value))
const microsecondsOf = (value: unknown): number => {
  if (value instanceof Date) return value.getTime() * 1000
  if (typeof value === 'string' && !/^-?\d+$/.test(value)) return Math.round(Date.parse(value) * 1000)
  return numberOf(value)
}
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const isTrue = (value: unknown): boolean => value === true || value === 'true'
const listOf = (value: unknown): string[] => (Array.isArray(value) ? (value as string[]) : textOf(value).split(';').filter(Boolean))

/** Written by export as channel:flag+flag; whatever names a flagged channel is masked then, as in live scoring of earlier releases. */
const healthOf = (value: unknown): { channel: string; flags: string[]; names: string[] }[] =>
  listOf(value).map((each) => {
    const at = each.lastIndexOf(':')
    return { channel: each.slice(0, at), flags: each.slice(at + 1).split('+'), names: [] }
  })

const vectorOf = (row: Row, place: string, asset: string | undefined): FeaturesInput => {
  const assetId = textOf(row['assetId']) || asset
  const featureSetDigest = textOf(row['featureSetDigest'])
  const [windowStartUs, windowEndUs] = [microsecondsOf(row['windowStartUs']), microsecondsOf(row['windowEndUs'])]
  if (assetId === undefined) throw unreadable(place, 'a column assetId, or --asset', 'neither')
  if (featureSetDigest === '' || !Number.isSafeInteger(windowEndUs))
    throw unreadable(place, 'columns windowStartUs, windowEndUs, featureSetDigest and one per feature', Object.keys(row).join(', '))
  const listed = Array.isArray(row['names']) && Array.isArray(row['values'])
  const names = listed ? (row['names'] as string[]) : Object.keys(row).filter((name) => !own.has(name))
  const values = listed ? (row['values'] as unknown[]).map(numberOf) : names.map((name) => numberOf(row[name]))
  const revision = Number(row['revision'] ?? 1)
  const quality = textOf(row['quality']) || 'good'
  return {
    type: 'vector',
    assetId,
    vector: {
      vectorId: textOf(row['vectorId']) || vectorId(featureSetDigest, assetId, windowEndUs, revision, 'file'),
      featureSet: textOf(row['featureSet']),
      featureSetDigest,
      windowStartUs,
      windowEndUs,
      revision,
      names: quality === 'unmonitored' ? [] : names,
      values: packDoubles(Float64Array.from(quality === 'unmonitored' ? [] : values)),
      complete: row['complete'] === undefined ? values.every((value) => !Number.isNaN(value)) : isTrue(row['complete']),
      missing: listOf(row['missing']),
      historical: isTrue(row['historical']),
      quality,
      regime: textOf(row['regime']) || null,
      machineOff: isTrue(row['machineOff']),
      health: healthOf(row['health']),
      young: isTrue(row['young']),
      supersedes: textOf(row['supersedes']) || null,
      ranges: [],
      plantDigest: textOf(row['plantDigest']),
    },
  }
}
