// Bodies for the HTTP door: how good ones are made, and by name the bad ones of which nothing can be taken.

import { deflateRawSync } from 'node:zlib'
import { compileEncoder } from '@andon/kit'
import { batchSchemaText } from '../src/adapters/http-avro.ts'

export const [json, ndjson, csv] = ['application/json', 'application/x-ndjson', 'text/csv'] as const
export const [rawAvro, avroFile] = ['application/vnd.andon.telemetry+avro', 'application/avro'] as const

export const nowUs = () => Date.now() * 1000
let sequence = 0

/** A reading of the oven that is good, but for what is given. */
export const reading = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  source: 'oven-plc',
  asset: 'oven',
  epoch: 1,
  seq: ++sequence,
  timeUs: nowUs(),
  values: { temperatureC: 20 },
  ...fields,
})

export const text = (fields: Record<string, unknown> = {}) => JSON.stringify(reading(fields))
export const nested = (open: string, close: string, levels: number) => `${open.repeat(levels)}1${close.repeat(levels)}`

// --- Avro -------------------------------------------------------------------------------------------------------------------------

const encode = compileEncoder(JSON.parse(batchSchemaText) as object)
const slab = Buffer.alloc(1 << 16)

/** One row of the oven in Avro, but for what is given. */
export const batch = (fields: Record<string, unknown> = {}): Buffer => {
  const value = {
    source: 'oven-plc',
    asset: 'oven',
    epoch: 1,
    seqFrom: ++sequence,
    channels: ['temperatureC'],
    units: [],
    timesUs: Buffer.from(BigInt64Array.of(BigInt(nowUs())).buffer),
    values: Buffer.from(Float64Array.of(20).buffer),
    qualities: Buffer.alloc(0),
    ...fields,
  }
  return Buffer.from(slab.subarray(0, encode(value, slab, 0)))
}

const long = (value: number): Buffer => {
  const bytes: number[] = []
  let left = value < 0 ? -value * 2 - 1 : value * 2
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) + 128)
  return Buffer.from([...bytes, left])
}
const bytes = (content: Buffer | string): Buffer => Buffer.concat([long(Buffer.byteLength(content)), Buffer.from(content)])
const sync = Buffer.alloc(16, 7)

/** An object container file. */
export const container = (
  blocks: readonly { count: number; data: Buffer; size?: number; sync?: Buffer }[],
  metadata: Readonly<Record<string, string>> = { 'avro.schema': batchSchemaText },
  entries = Object.keys(metadata).length,
): Buffer =>
  Buffer.concat([
    Buffer.from('Obj\u0001', 'latin1'),
    long(entries),
    ...Object.entries(metadata).flatMap(([key, value]) => [bytes(key), bytes(value)]),
    long(0),
    sync,
    ...blocks.flatMap(({ count, data, size = data.length, sync: marker = sync }) => [long(count), long(size), data, marker]),
  ])

const good = { count: 1, data: batch() }
const schemaOf = (schema: unknown) => ({ 'avro.schema': typeof schema === 'string' ? schema : JSON.stringify(schema) })
const deepSchema = `${'{"type":"array","items":'.repeat(100)}"int"${'}'.repeat(100)}`
const bomb = { count: 1, data: deflateRawSync(Buffer.alloc(32 * 1024 * 1024)) }

// --- refused as a whole -----------------------------------------------------------------------------------------------------------

export const columnar = (fields: Record<string, unknown> = {}) =>
  JSON.stringify({
    source: 'oven-plc',
    asset: 'oven',
    epoch: 1,
    seq: (sequence += 2) - 1,
    timesUs: [nowUs(), nowUs()],
    channels: { temperatureC: [20, 21] },
    ...fields,
  })

type RefusedBody = readonly [name: string, contentType: string, status: number, code: string, body: Buffer | string]

export const refusedBodies: readonly RefusedBody[] = [
  ['JSON that is cut', json, 400, 'ANDON_INGEST_NOT_JSON', text().slice(0, -2)],
  ['JSON with a comma too many', json, 400, 'ANDON_INGEST_NOT_JSON', `[${text()},]`],
  ['JSON with NaN', json, 400, 'ANDON_INGEST_NOT_JSON', text().replace('20}', 'NaN}')],
  ['JSON with -Infinity', json, 400, 'ANDON_INGEST_NOT_JSON', text().replace('20}', '-Infinity}')],
  ['JSON with a leading zero', json, 400, 'ANDON_INGEST_NOT_JSON', text().replace('20}', '020}')],
  ['JSON with single quotes', json, 400, 'ANDON_INGEST_NOT_JSON', text().replaceAll('"', "'")],
  ['JSON with a comment', json, 400, 'ANDON_INGEST_NOT_JSON', `/* */${text()}`],
  ['JSON with a byte order mark', json, 400, 'ANDON_INGEST_NOT_JSON', `\ufeff${text()}`],
  ['JSON in UTF-16', json, 400, 'ANDON_INGEST_NOT_JSON', Buffer.from(text(), 'utf16le')],
  ['JSON with a NUL in a text', json, 400, 'ANDON_INGEST_NOT_JSON', text({ source: 'x' }).replace('"x"', '"\u0000"')],
  ['JSON with something behind it', json, 400, 'ANDON_INGEST_NOT_JSON', `${text()}}`],
  ['NDJSON sent as JSON', json, 400, 'ANDON_INGEST_NOT_JSON', `${text()}\n${text()}`],
  ['random bytes as JSON', json, 400, 'ANDON_INGEST_NOT_JSON', Buffer.from([0xde, 0xad, 0xbe, 0xef, 0, 1, 2])],
  ['blanks as JSON', json, 400, 'ANDON_INGEST_NOT_JSON', '   \n'],
  ['arrays nested 100 000 deep', json, 400, 'ANDON_INGEST_TOO_DEEP', nested('[', ']', 100_000)],
  ['objects nested 10 000 deep', json, 400, 'ANDON_INGEST_TOO_DEEP', nested('{"a":', '}', 10_000)],
  ['arrays that are opened 500 000 times', json, 400, 'ANDON_INGEST_TOO_DEEP', '['.repeat(500_000)],
  ['too many readings', json, 413, 'ANDON_INGEST_TOO_MANY', `[${'{},'.repeat(10_000)}{}]`],
  ['too many values', json, 413, 'ANDON_INGEST_TOO_MANY', `{"values":[${'1,'.repeat(200_000)}1]}`],
  ['too many lines', ndjson, 413, 'ANDON_INGEST_TOO_MANY', '{}\n'.repeat(10_001)],
  ['lines of too many values', ndjson, 413, 'ANDON_INGEST_TOO_MANY', `{"values":[${'1,'.repeat(100)}1]}\n`.repeat(3000)],
  ['empty lines', ndjson, 400, 'ANDON_INGEST_NO_BODY', '\n\r\n  \n'],

  ['columns of different lengths', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ channels: { temperatureC: [20] } })],
  ['columns without a list of times', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ timesUs: 'now' })],
  ['columns without source', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ source: undefined })],
  ['columns with a field of nobody', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ color: 'red' })],
  ['columns with an epoch without a number', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ seq: undefined })],
  ['columns with a list of channels', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ channels: [[20, 21]] })],
  ['columns with a unit of no channel', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ units: { colour: 'red' } })],
  ['columns with too few qualities', json, 400, 'ANDON_INGEST_BAD_COLUMNS', columnar({ qualities: [0] })],
  ['columns with a key twice', json, 400, 'ANDON_INGEST_BAD_KEY', columnar().replace('{', '{"seq":1,')],

  ['CSV without a column of time', csv, 400, 'ANDON_INGEST_BAD_CSV', `source,temperatureC\noven-plc,20\n`],
  ['CSV with both columns of time', csv, 400, 'ANDON_INGEST_BAD_CSV', `source,time,timeUs,temperatureC\n`],
  ['CSV without source', csv, 400, 'ANDON_INGEST_BAD_CSV', `timeUs,temperatureC\n${nowUs()},20\n`],
  ['CSV without a channel', csv, 400, 'ANDON_INGEST_BAD_CSV', `timeUs,source\n${nowUs()},oven-plc\n`],
  ['CSV with a column twice', csv, 400, 'ANDON_INGEST_BAD_CSV', `timeUs,source,temperatureC,temperatureC\n`],
  ['CSV with an epoch without seq', csv, 400, 'ANDON_INGEST_BAD_CSV', `timeUs,source,epoch,temperatureC\n`],
  ['CSV of empty lines', csv, 400, 'ANDON_INGEST_NO_BODY', '\n\n'],
  ['CSV in UTF-16', csv, 400, 'ANDON_INGEST_BAD_CSV', Buffer.from(`timeUs,source,temperatureC\n`, 'utf16le')],
  ['CSV of nothing but commas', csv, 413, 'ANDON_INGEST_TOO_MANY', ','.repeat(500_000)],
  ['CSV of nothing but line ends', csv, 413, 'ANDON_INGEST_TOO_MANY', '\n'.repeat(500_000)],
  ['CSV of too many rows', csv, 413, 'ANDON_INGEST_TOO_MANY', `timeUs,source,t\n${'1,a,2\n'.repeat(10_001)}`],

  ['Avro that is cut', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', batch().subarray(0, -3)],
  ['Avro with something behind it', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', Buffer.concat([batch(), Buffer.from('x')])],
  ['JSON sent as Avro', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', text()],
  ['Avro with a text of 2^40 bytes', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', Buffer.concat([long(2 ** 40), Buffer.from('abc')])],
  ['Avro with a text of negative length', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', Buffer.concat([long(-5), batch()])],
  ['Avro with half a time', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', batch({ timesUs: Buffer.alloc(7) })],
  ['Avro with values for other rows', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', batch({ values: Buffer.alloc(24) })],
  ['Avro with qualities for other rows', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', batch({ qualities: Buffer.alloc(3) })],
  ['Avro with units for other channels', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', batch({ units: ['Cel', 'bar'] })],
  ['Avro with an epoch without a number', rawAvro, 400, 'ANDON_INGEST_BAD_AVRO', batch({ seqFrom: null })],
  ['Avro of too many rows', rawAvro, 413, 'ANDON_INGEST_TOO_MANY', manyRows(10_001)],
  ['a container without its magic', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', batch()],
  ['a container that ends in its header', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([]).subarray(0, 40)],
  ['a container without a schema', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good], {})],
  ['a container of 2^40 metadata entries', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good], schemaOf('"int"'), 2 ** 40)],
  ['a schema that is no JSON', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good], schemaOf('{'))],
  ['a schema that is none', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good], schemaOf({ type: 'everything' }))],
  ['a schema of something else', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good], schemaOf('"string"'))],
  ['a schema nested 100 deep', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good], schemaOf(deepSchema))],
  [
    'a schema of 100 kB',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([good], schemaOf(batchSchemaText.replace('Rows', 'R'.repeat(100_000)))),
  ],
  [
    'a schema with a field named __proto__',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([good], schemaOf(batchSchemaText.replace('"qualities"', '"__proto__"'))),
  ],
  [
    'a schema that contains itself',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([good], schemaOf({ type: 'record', name: 'A', fields: [{ name: 'a', type: 'A' }] })),
  ],
  [
    'a schema without the source',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([good], schemaOf(batchSchemaText.replace('"source"', '"origin"'))),
  ],
  [
    'a codec that nobody knows',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([good], { ...schemaOf(batchSchemaText), 'avro.codec': 'lzma' }),
  ],
  [
    'a bomb in a container',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([bomb], { ...schemaOf(batchSchemaText), 'avro.codec': 'deflate' }),
  ],
  ['a block with another sync marker', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([{ ...good, sync: Buffer.alloc(16) }])],
  ['a block of 2^40 batches', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([{ ...good, count: 2 ** 40 }])],
  ['a block of -1 batches', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([{ ...good, count: -1 }])],
  ['a block with fewer batches than it says', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([{ ...good, count: 2 }])],
  [
    'a block with more batches than it says',
    avroFile,
    400,
    'ANDON_INGEST_BAD_AVRO',
    container([{ count: 1, data: Buffer.concat([batch(), batch()]) }]),
  ],
  ['a block larger than the body', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([{ ...good, size: 2 ** 40 }])],
  ['a block that is cut', avroFile, 400, 'ANDON_INGEST_BAD_AVRO', container([good]).subarray(0, -20)],
]

function manyRows(rows: number): Buffer {
  const value = {
    source: 'oven-plc',
    asset: null,
    epoch: null,
    seqFrom: null,
    channels: ['temperatureC'],
    units: [],
    qualities: Buffer.alloc(0),
    timesUs: Buffer.alloc(rows * 8),
    values: Buffer.alloc(rows * 8),
  }
  const large = Buffer.alloc(1 << 20)
  return Buffer.from(large.subarray(0, encode(value, large, 0)))
}
