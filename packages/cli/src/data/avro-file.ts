// Rows as an Avro object container file (specification 1.12): a head with schema and metadata, one deflated block per
// written group. Blocks are read one at a time.

import { randomBytes } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import avsc from 'avsc'
import type { Schema, Type } from 'avsc'
import { AndonError } from '@andon/kit/errors'
import type { Column, ColumnType, Row } from './columns.ts'
import type { Metadata, RowReader, RowWriter } from './table-file.ts'

interface Head {
  readonly magic: Buffer
  readonly meta: Readonly<Record<string, Buffer>>
  readonly sync: Buffer
}

const headType: Type = avsc.Type.forSchema({
  type: 'record',
  name: 'org.apache.avro.file.Header',
  fields: [
    { name: 'magic', type: { type: 'fixed', name: 'Magic', size: 4 } },
    { name: 'meta', type: { type: 'map', values: 'bytes' } },
    { name: 'sync', type: { type: 'fixed', name: 'Sync', size: 16 } },
  ],
} as Schema)
const longType: Type = avsc.Type.forSchema('long')
const magic = Buffer.from('Obj\u0001')
const MAX_HEAD_BYTES = 4 * 1024 * 1024
const MAX_LONG_BYTES = 10

const schemaOf = (type: ColumnType, path: string): Schema => {
  if (type === 'timestamp-ms') return { type: 'long', logicalType: 'timestamp-millis' }
  if (type === 'timestamp-us') return { type: 'long', logicalType: 'timestamp-micros' }
  if (typeof type === 'string') return type
  if ('list' in type) return { type: 'array', items: schemaOf(type.list.type, path) }
  return { type: 'record', name: path, fields: type.struct.map((field) => fieldOf(field, path)) }
}

const fieldOf = ({ name, type, nullable }: Column, path: string) => {
  const schema = schemaOf(type, `${path}_${name}`)
  return nullable ? { name, type: ['null', schema] as Schema, default: null } : { name, type: schema }
}

export const writeAvro = (path: string, columns: readonly Column[], metadata: Metadata): RowWriter => {
  const fields = columns.map((each) => fieldOf(each, 'Exported'))
  const schema = { type: 'record', name: 'Exported', namespace: 'andon.export', fields } as Schema
  const type = avsc.Type.forSchema(schema, { wrapUnions: false })
  const sync = randomBytes(16)
  const meta = { 'avro.schema': JSON.stringify(schema), 'avro.codec': 'deflate', ...metadata }
  const file = openSync(path, 'w')
  writeSync(
    file,
    headType.toBuffer({ magic, meta: Object.fromEntries(Object.entries(meta).map(([key, text]) => [key, Buffer.from(text)])), sync }),
  )
  return {
    write: async (rows) => {
      if (rows.length === 0) return
      const body = deflateRawSync(Buffer.concat(rows.map((row) => type.toBuffer(row))))
      writeSync(file, Buffer.concat([longType.toBuffer(rows.length), longType.toBuffer(body.length), body, sync]))
    },
    close: async () => closeSync(file),
  }
}

const readAt = async (file: FileHandle, position: number, length: number): Promise<Buffer> => {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}

const torn = (path: string): AndonError => new AndonError('ANDON_CLI_FILE', `${path} is no complete Avro file.`)

export const readAvro = async (path: string): Promise<RowReader> => {
  const file = await open(path)
  const { value: head, offset: bodyAt } = headType.decode(await readAt(file, 0, MAX_HEAD_BYTES)) as {
    value: Head | undefined
    offset: number
  }
  if (head === undefined || bodyAt < 0 || !head.magic.equals(magic)) {
    await file.close()
    throw torn(path)
  }
  const metadata = Object.fromEntries(Object.entries(head.meta).map(([name, bytes]) => [name, bytes.toString()]))
  const type = avsc.Type.forSchema(JSON.parse(metadata['avro.schema'] ?? '') as Schema, { wrapUnions: false })
  return {
    metadata,
    async *groups() {
      try {
        const { size } = await file.stat()
        for (let at = bodyAt; at < size;) {
          const frame = await readAt(file, at, 2 * MAX_LONG_BYTES)
          const count = longType.decode(frame) as { value: number; offset: number }
          const length = longType.decode(frame, count.offset) as { value: number; offset: number }
          const body = await readAt(file, at + length.offset, length.value + 16)
          if (body.length !== length.value + 16 || !body.subarray(length.value).equals(head.sync)) throw torn(path)
          yield rowsOf(type, count.value, body.subarray(0, length.value), metadata['avro.codec'])
          at += length.offset + body.length
        }
      } finally {
        await file.close()
      }
    },
  }
}

const rowsOf = (type: Type, count: number, body: Buffer, codec: string | undefined): Row[] => {
  const bytes = codec === 'deflate' ? inflateRawSync(body) : body
  const rows: Row[] = []
  for (let offset = 0; rows.length < count;) {
    const decoded = type.decode(bytes, offset) as { value: Row; offset: number }
    rows.push(decoded.value)
    offset = decoded.offset
  }
  return rows
}
