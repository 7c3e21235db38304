// Avro for those who need more than the codec: foreign schemas, slabs of their own, columns.

export { BlockReader } from './blocks.ts'
export type { WriterSchemas } from './blocks.ts'
export { compileColumns } from './columns.ts'
export type { Columns as AvroColumns, ColumnFields, Ranges } from './columns.ts'
export { compileDecoder, compileResolver } from './decoder.ts'
export type { Decoder } from './decoder.ts'
export { compileEncoder } from './encoder.ts'
export type { Encoder } from './encoder.ts'
export { AvroError } from './errors.ts'
export type { AvroFault } from './errors.ts'
export { frameBytes, readFrame, writeFrame } from './frame.ts'
export type { BlockLayout } from './layouts.ts'
