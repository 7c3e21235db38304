// Files of rows in three formats. Writers take groups of rows and keep none of them; readers give one group at a time.

import { AndonError } from '@andon/kit/errors'
import type { Column, Row } from './columns.ts'

export const FORMATS = ['parquet', 'avro', 'arrow'] as const
export type Format = (typeof FORMATS)[number]

/** CSV is written for others to read; it holds no bytes, so nothing comes back from it. */
export type WrittenFormat = Format | 'csv'

export interface RowWriter {
  /** Appends one group of rows; resolves when it is on its way to disk. */
  write(rows: readonly Row[]): Promise<void>
  /** Ends the file; without it the file is unreadable. */
  close(): Promise<void>
}

/** Names and values that travel in the file beside the rows. */
export type Metadata = Readonly<Record<string, string>>

export interface RowReader {
  readonly metadata: Metadata
  /** Groups of rows with at least the columns an import needs, in the file's order. */
  groups(): AsyncIterable<Row[]>
}

export const writerOf = async (format: WrittenFormat, path: string, columns: readonly Column[], metadata: Metadata): Promise<RowWriter> => {
  // Each format's library is loaded when it is used.
  switch (format) {
    case 'parquet':
      return (await import('./parquet-file.ts')).writeParquet(path, columns, metadata)
    case 'avro':
      return (await import('./avro-file.ts')).writeAvro(path, columns, metadata)
    case 'arrow':
      return (await import('./arrow-file.ts')).writeArrow(path, columns, metadata)
    case 'csv':
      return (await import('./csv-file.ts')).writeCsv(path, columns)
  }
}

export const formatOf = (path: string): Format => {
  const found = FORMATS.find((format) => path.endsWith(`.${format}`))
  if (found !== undefined) return found
  throw new AndonError('ANDON_CLI_FILE', `${path}: expected a name that ends in ${FORMATS.map((format) => `.${format}`).join(', ')}.`, {
    status: 400,
  })
}

export const readerOf = async (path: string): Promise<RowReader> => {
  switch (formatOf(path)) {
    case 'parquet':
      return (await import('./parquet-file.ts')).readParquet(path)
    case 'avro':
      return (await import('./avro-file.ts')).readAvro(path)
    case 'arrow':
      return (await import('./arrow-file.ts')).readArrow(path)
  }
}
