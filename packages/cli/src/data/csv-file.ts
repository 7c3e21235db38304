// Rows as CSV (RFC 4180, UTF-8): a line per row, times as microseconds since 1970. For reading elsewhere; nothing is imported from it.

import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { AndonError } from '@andon/kit/errors'
import type { Column, Row } from './columns.ts'
import type { RowWriter } from './table-file.ts'

/** Columns hold single values: a list or a struct has no form in a CSV. */
export const writeCsv = (path: string, columns: readonly Column[]): RowWriter => {
  const nested = columns.find(({ type }) => typeof type !== 'string')
  if (nested !== undefined) throw new AndonError('ANDON_CLI_FILE', `CSV has no form for the list in ${nested.name}. Take parquet or arrow.`)
  const file = createWriteStream(path)
  const done = finished(file)
  done.catch(() => undefined) // told by the next write, or by close
  const write = async (text: string): Promise<void> => {
    if (!file.write(text)) await Promise.race([once(file, 'drain'), done])
  }
  const names = columns.map(({ name }) => name)
  let head: string | undefined = line(names)
  return {
    write: async (rows: readonly Row[]) => {
      const text = rows.map((row) => line(names.map((name) => row[name]))).join('')
      await write((head ?? '') + text)
      head = undefined
    },
    close: async () => {
      file.end(head)
      await done
    },
  }
}

const line = (values: readonly unknown[]): string => `${values.map(field).join(',')}\r\n`

const field = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  const text = String(value as string | number | boolean | bigint)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
