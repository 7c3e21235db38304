// The header of a CSV file: its bytes → names of the columns, and how the file is written. Pure.

import { isUtf8 } from 'node:buffer'
import { fileRefused } from './column-plan.ts'
import type { FileSource } from './column-plan.ts'
import type { CsvForm } from './csv-rows.ts'

export interface CsvHeader {
  readonly names: readonly string[]
  readonly form: CsvForm
  /** Where the first row begins. */
  readonly end: number
}

const separators = [',', ';', '\t', '|'] as const

/**
 * Reads the header at the start of a file. Without a source file the separator is the one of , ; tab and | that the line has most of.
 * Throws ANDON_INGEST_FILE_HEADER or _ENCODING.
 */
export const csvHeader = (start: Buffer, source: FileSource | undefined): CsvHeader => {
  const from = start.length >= 3 && start.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0
  const csv = source?.mapping.csv
  const decimal = csv?.decimal ?? '.'
  if (csv?.columns !== undefined) return { names: csv.columns, form: { separator: csv.delimiter, decimal }, end: from }
  let end = from
  let isQuoted = false
  for (; end < start.length; end++) {
    if (start[end] === 0x22) isQuoted = !isQuoted
    else if (start[end] === 0x0a && !isQuoted) break
  }
  if (!isUtf8(start.subarray(from, end))) {
    throw fileRefused('ANDON_INGEST_FILE_ENCODING', 'The header is not UTF-8; expected UTF-8. Save the file as "CSV UTF-8"')
  }
  const line = start.toString('utf8', from, end).replace(/\r$/, '')
  const separator = csv?.delimiter ?? mostFrequent(line)
  return { names: fieldsOf(line, separator).map((name) => name.trim()), form: { separator, decimal }, end: Math.min(end + 1, start.length) }
}

const mostFrequent = (line: string): CsvForm['separator'] => {
  const counts = separators.map((separator) => line.replaceAll(/"[^"]*"/g, '').split(separator).length)
  return separators[counts.indexOf(Math.max(...counts))]!
}

const fieldsOf = (line: string, separator: string): string[] => {
  const fields: string[] = []
  let field = ''
  let isQuoted = false
  for (let at = 0; at < line.length; at++) {
    const char = line[at]
    if (char === '"' && isQuoted && line[at + 1] === '"') {
      field += char
      at++
    } else if (char === '"') isQuoted = !isQuoted
    else if (char === separator && !isQuoted) {
      fields.push(field)
      field = ''
    } else field += char
  }
  return [...fields, field]
}
