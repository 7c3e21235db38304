// A CSV text read by our scanner, as plain rows: what the tests look at.

import { csvHeader } from '../../src/files/csv-header.ts'
import { planColumns } from '../../src/files/column-plan.ts'
import type { FileSource } from '../../src/files/column-plan.ts'
import { CsvRows } from '../../src/files/csv-rows.ts'
import { FileAssets } from '../../src/files/file-assets.ts'
import { wordsOf } from '../../src/files/file-deliveries.ts'
import { RowBatch } from '../../src/files/row-batch.ts'

export interface PlainRow {
  readonly asset: string | undefined
  readonly timeUs: number
  readonly values: readonly number[]
  readonly quality: number
  readonly fault: string | undefined
  readonly text: string
}

/** @param windowBytes how much of the file the scanner sees at once at first; a row that is longer widens it. */
export const rowsOf = (text: string | Buffer, source?: FileSource, windowBytes = 1 << 16, name = 'file.csv'): PlainRow[] => {
  const file = Buffer.from(text)
  const header = csvHeader(file, source)
  const plan = planColumns(header.names, name, source)
  const assets = new FileAssets()
  const scanner = new CsvRows(plan, header.form, assets)
  const channels = plan.long === undefined ? plan.values.length : 1
  const rows: PlainRow[] = []
  let window = windowBytes
  const batch = new RowBatch(channels, Buffer.alloc(0))
  for (let at = header.end; at < file.length;) {
    const bytes = file.subarray(at, at + window)
    const isEnd = at + bytes.length === file.length
    batch.clear(rows.length)
    batch.bytes = Buffer.concat([bytes, Buffer.alloc(1)])
    const consumed = scanner.fill(batch, 0, bytes.length, isEnd)
    for (let row = 0; row < batch.rows; row++) {
      const fault = batch.faults.find((each) => each.row === row)
      rows.push({
        asset: assets.ids[batch.assets[row]!],
        timeUs: batch.timesUs[row]!,
        values: Array.from({ length: channels }, (_, channel) => batch.values[channel * batch.capacity + row]!),
        quality: batch.qualities[row]!,
        fault: fault === undefined ? undefined : wordsOf(fault),
        text: batch.bytesOf(row).toString(),
      })
    }
    if (consumed === 0 && isEnd) break
    if (consumed === 0) window *= 2
    at += consumed
  }
  return rows
}
