// Labels of a recording from a file of their own: intervals from start to end (both are in), with or without a head, for all assets or
// by asset; or a column of 0 and 1 beside times, or row for row.

import { type Scan, isAbnormal, timeAt } from './scan.ts'
import { type Cell, fault, openTable, textOf, valueOf } from './table.ts'
import { type TimeParser, timeFormOf } from './times.ts'

/** Whether a row is labelled abnormal. */
export type Labels = (asset: string, timeUs: number, row: number) => boolean

interface Interval {
  readonly asset: string
  readonly fromUs: number
  readonly toUs: number
}

const START = /^(start|from|begin|beginning|onset|von|start[ _-]?time|start[ _-]?date)/i
const END = /^(end|to|until|stop|finish|bis|end[ _-]?time|end[ _-]?date)/i
const ASSET = /^(asset|machine|device|equipment|unit)/i

export const readLabels = async (file: string, scan: Scan, zone: string | undefined): Promise<Labels> => {
  const table = await openTable(file)
  const rows: { cells: readonly Cell[]; line: number }[] = []
  for await (const chunk of table.chunks()) chunk.rows.forEach((cells, i) => rows.push({ cells, line: chunk.lineOf(i) }))
  // Two times in a first line are an interval, not names.
  const first = table.names.length >= 2 && table.names.slice(0, 2).every((name) => timeFormOf('', [name], zone) !== undefined)
  const start = first ? 0 : table.names.findIndex((name) => START.test(name.trim()))
  const end = first ? 1 : table.names.findIndex((name) => END.test(name.trim()))
  const times = (column: number): TimeParser => {
    const head = first ? [table.names[column] as string] : []
    const values = [...head, ...rows.map(({ cells: row }) => row[column])].map((cell) => valueOf(cell, table.hasDecimalComma))
    const cells = values.filter((cell) => typeof cell === 'string' || cell === cell)
    const own = timeFormOf('', cells, zone)
    const { time } = scan
    return time !== null && own?.kind === time.form.kind
      ? (cell) =>
          time.form.kind === 'number'
            ? time.form.parse(cell)
            : own.isAmbiguous
              ? (time.form.parse(cell) ?? own.parse(cell))
              : (own.parse(cell) ?? time.form.parse(cell))
      : (own?.parse ?? (() => undefined))
  }
  const isHeadless = !first && start < 0 && table.names.length === 2 && table.names.every((name) => /^column\d$/.test(name))
  if ((start >= 0 && end >= 0) || isHeadless) {
    const [from, to] = isHeadless ? [0, 1] : [start, end]
    const asset = first ? -1 : table.names.findIndex((name) => ASSET.test(name.trim()))
    const [parseFrom, parseTo] = [times(from), times(to)]
    const read = (cells: readonly Cell[], line: number): Interval => {
      const at = (column: number, parse: TimeParser): number => {
        const us = scan.time === null ? undefined : parse(valueOf(cells[column], table.hasDecimalComma))
        const byRow = scan.time === null ? Number(cells[column]) * 1e6 : us
        if (byRow === undefined || Number.isNaN(byRow))
          throw fault(`${file}:${line}: column ${column + 1}: expected a time, found "${textOf(cells[column])}".`)
        return byRow
      }
      const [fromUs, toUs] = [at(from, parseFrom), at(to, parseTo)]
      if (toUs < fromUs) throw fault(`${file}:${line}: the interval ends before it begins.`)
      return { asset: asset < 0 ? '' : textOf(cells[asset]).trim(), fromUs, toUs }
    }
    const intervals = rows.map(({ cells, line }) => read(cells, line))
    if (first) intervals.unshift(read(table.names, 1))
    return (id, timeUs) => intervals.some(({ asset: of, fromUs, toUs }) => (of === '' || of === id) && timeUs >= fromUs && timeUs <= toUs)
  }
  const { time } = scan
  const at = time === null ? -1 : table.names.indexOf(time.name)
  const label = table.names.findLastIndex((_, column) => column !== at)
  if (label < 0)
    throw fault(
      `${file}: expected columns start and end, or a column of 0 and 1 beside ${time?.name ?? 'nothing else'}; found ${table.names.join(', ')}.`,
    )
  if (at >= 0 && time !== null) {
    const abnormal = new Set<number>()
    for (const { cells, line } of rows)
      if (isAbnormal(cells[label], table.hasDecimalComma)) abnormal.add(timeAt(table, { ...time, column: at }, cells, () => line))
    return (_, timeUs) => abnormal.has(timeUs)
  }
  if (rows.length !== scan.rows)
    throw fault(
      `${file} has ${rows.length} rows and ${scan.table.file} ${scan.rows}: without a column ${time?.name ?? 'of times'} labels are taken row for row.`,
    )
  const byRow = Uint8Array.from(rows, ({ cells }) => (isAbnormal(cells[label], table.hasDecimalComma) ? 1 : 0))
  return (_, __, row) => byRow[row] === 1
}
