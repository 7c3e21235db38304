// Rows as Parquet: one row group per written group, snappy, three-level lists. int64 columns hold what fits 2^53.

import { ParquetWriter, fileWriter } from 'hyparquet-writer'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import type { SchemaElement } from 'hyparquet'
import { type Column, type ColumnType, type Row, storedColumns } from './columns.ts'
import type { Metadata, RowReader, RowWriter } from './table-file.ts'

const primitives: Readonly<Record<Extract<ColumnType, string>, Partial<SchemaElement>>> = {
  boolean: { type: 'BOOLEAN' },
  int: { type: 'INT32' },
  long: { type: 'INT64' },
  double: { type: 'DOUBLE' },
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  bytes: { type: 'BYTE_ARRAY' },
  'timestamp-ms': { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
  'timestamp-us': { type: 'INT64', converted_type: 'TIMESTAMP_MICROS' },
}

const elementsOf = ({ name, type, nullable }: Column): SchemaElement[] => {
  const repetition_type = nullable ? 'OPTIONAL' : 'REQUIRED'
  if (typeof type === 'string') return [{ name, repetition_type, ...primitives[type] }]
  if ('struct' in type) return [{ name, repetition_type, num_children: type.struct.length }, ...type.struct.flatMap(elementsOf)]
  return [
    { name, repetition_type, num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    ...elementsOf(type.list),
  ]
}

/** INT64 columns take bigints. */
const convert = (type: ColumnType, value: unknown): unknown => {
  if (value === null || value === undefined) return null
  if (type === 'long' || type === 'timestamp-ms' || type === 'timestamp-us') return BigInt(value as number)
  if (typeof type === 'string') return value
  if ('list' in type) return (value as unknown[]).map((each) => convert(type.list.type, each))
  return Object.fromEntries(type.struct.map((field) => [field.name, convert(field.type, (value as Row)[field.name])]))
}

export const writeParquet = (path: string, columns: readonly Column[], metadata: Metadata): RowWriter => {
  const writer = new ParquetWriter({
    writer: fileWriter(path),
    schema: [{ name: 'root', num_children: columns.length }, ...columns.flatMap(elementsOf)],
    kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    createdBy: 'andon',
  })
  return {
    write: async (rows) => {
      if (rows.length === 0) return
      const columnData = columns.map(({ name, type }) => ({ name, data: rows.map((row) => convert(type, row[name])) }))
      await writer.write({ columnData, rowGroupSize: rows.length })
    },
    close: async () => writer.finish(),
  }
}

export const readParquet = async (path: string): Promise<RowReader> => {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  return {
    metadata: Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ''])),
    async *groups() {
      let rowStart = 0
      for (const group of metadata.row_groups) {
        const rowEnd = rowStart + Number(group.num_rows)
        yield await parquetReadObjects({ file, metadata, columns: [...storedColumns], rowStart, rowEnd, utf8: false })
        rowStart = rowEnd
      }
    },
  }
}
