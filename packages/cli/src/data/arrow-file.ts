// Rows as an Arrow IPC file (Feather 2): one record batch per written group.

import { closeSync, openSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import {
  AsyncByteQueue,
  Binary,
  Bool,
  type Data,
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchReader,
  Schema,
  Struct,
  TimestampMicrosecond,
  TimestampMillisecond,
  Utf8,
  makeBuilder,
} from 'apache-arrow'
import { type Column, type ColumnType, type Row, storedColumns } from './columns.ts'
import type { Metadata, RowReader, RowWriter } from './table-file.ts'

/** `isStored`: times as plain int64, as builders take them; their bytes are those of a timestamp. */
const typeOf = (type: ColumnType, isStored: boolean): DataType => {
  switch (type) {
    case 'boolean':
      return new Bool()
    case 'int':
      return new Int32()
    case 'long':
      return new Int64()
    case 'double':
      return new Float64()
    case 'string':
      return new Utf8()
    case 'bytes':
      return new Binary()
    case 'timestamp-ms':
      return isStored ? new Int64() : new TimestampMillisecond('UTC')
    case 'timestamp-us':
      return isStored ? new Int64() : new TimestampMicrosecond('UTC')
    default:
      return 'list' in type ? new List(fieldOf(type.list, isStored)) : new Struct(type.struct.map((each) => fieldOf(each, isStored)))
  }
}

const fieldOf = ({ name, type, nullable }: Column, isStored: boolean): Field => new Field(name, typeOf(type, isStored), nullable)

const convert = (type: ColumnType, value: unknown): unknown => {
  if (value === null || value === undefined) return null
  if (type === 'long' || type === 'timestamp-ms' || type === 'timestamp-us') return BigInt(value as number)
  if (typeof type === 'string') return value
  if ('list' in type) return (value as unknown[]).map((each) => convert(type.list.type, each))
  return Object.fromEntries(type.struct.map((field) => [field.name, convert(field.type, (value as Row)[field.name])]))
}

/** The same buffers under another type of the same shape. */
const retyped = (data: Data, type: DataType): Data =>
  data.clone(
    type,
    data.offset,
    data.length,
    data.nullCount,
    data.buffers,
    data.children.map((child, i) => retyped(child, (type.children as Field[])[i]!.type as DataType)),
  )

/** Writes through, so that no batch waits in memory. */
class FileSink extends AsyncByteQueue {
  private readonly file: number
  constructor(file: number) {
    super()
    this.file = file
  }
  override write(bytes: Uint8Array): void {
    writeSync(this.file, bytes)
  }
}

export const writeArrow = (path: string, columns: readonly Column[], metadata: Metadata): RowWriter => {
  const whole: ColumnType = { struct: columns }
  const schema = new Schema(
    columns.map((each) => fieldOf(each, false)),
    new Map(Object.entries(metadata)),
  )
  const file = openSync(path, 'w')
  const writer = new RecordBatchFileWriter()
  writer.reset(new FileSink(file), schema)
  return {
    write: async (rows) => {
      if (rows.length === 0) return
      const builder = makeBuilder({ type: typeOf(whole, true), nullValues: [null, undefined] })
      for (const row of rows) builder.append(convert(whole, row))
      const [data] = builder.finish().toVector().data
      writer.write(new RecordBatch(schema, retyped(data as Data, typeOf(whole, false)) as Data<Struct>))
    },
    close: async () => {
      writer.finish()
      closeSync(file)
    },
  }
}

export const readArrow = async (path: string): Promise<RowReader> => {
  const file = await open(path)
  const reader = await RecordBatchReader.from(file)
  await reader.open()
  return {
    metadata: Object.fromEntries(reader.schema.metadata),
    async *groups() {
      try {
        for await (const batch of reader) {
          const vectors = storedColumns.map((name) => [name, batch.getChild(name)] as const)
          yield Array.from({ length: batch.numRows }, (_, i): Row =>
            Object.fromEntries(vectors.map(([name, vector]) => [name, vector?.get(i)])),
          )
        }
      } finally {
        await file.close()
      }
    },
  }
}
