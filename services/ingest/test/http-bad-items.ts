// Bad items by name: each goes to quarantine, and the good ones beside it are kept.

import { avroFile, batch, columnar, container, csv, json, ndjson, nested, nowUs, rawAvro, text } from './http-bodies.ts'

let rowNumber = 0

type QuarantinedBody = readonly [name: string, contentType: string, body: Buffer | string, accepted: number, codes: readonly string[]]

/** A bad reading between two good ones. */
const between = (bad: string | Buffer) => Buffer.concat([Buffer.from(`[${text()},`), Buffer.from(bad), Buffer.from(`,${text()}]`)])
const item = (name: string, code: string, bad: string | Buffer): QuarantinedBody => [name, json, between(bad), 2, [code]]
const field = (name: string, fields: Record<string, unknown>, code = 'ANDON_INGEST_BAD_FIELD') => item(name, code, text(fields))

const csvHead = 'timeUs,source,asset,temperatureC,pressureBar'
const csvRow = (cells = '20,1') => `${nowUs() + ++rowNumber},oven-csv,oven,${cells}`
const csvItem = (name: string, code: string, row: string | Buffer): QuarantinedBody => [
  name,
  csv,
  Buffer.concat([Buffer.from(`${csvHead}\n${csvRow()}\n`), Buffer.from(row), Buffer.from(`\n${csvRow()}\n`)]),
  2,
  [code],
]

export const quarantinedBodies: readonly QuarantinedBody[] = [
  item('a number', 'ANDON_INGEST_NOT_A_READING', '42'),
  item('a text', 'ANDON_INGEST_NOT_A_READING', '"reading"'),
  item('null', 'ANDON_INGEST_NOT_A_READING', 'null'),
  item('an array in an array', 'ANDON_INGEST_NOT_A_READING', '[[]]'),
  item('an empty object', 'ANDON_INGEST_BAD_FIELD', '{}'),
  item('bytes that are no UTF-8', 'ANDON_INGEST_NOT_UTF8', Buffer.from(text({ unit: 'X' }).replace('"X"', '"\u00ff\u00fe"'), 'latin1')),
  item('a key twice', 'ANDON_INGEST_BAD_KEY', text().replace('"seq"', '"quality":0,"quality":2,"seq"')),
  item('a number twice', 'ANDON_INGEST_BAD_KEY', text().replace('"seq"', '"seq":1,"seq"')),
  item('a key twice, once in disguise', 'ANDON_INGEST_BAD_KEY', text().replace('"seq"', '"s\\u0065q":1,"seq"')),
  item('a channel twice', 'ANDON_INGEST_BAD_KEY', text().replace('20}', '20,"temperatureC":21}')),
  item('a key __proto__', 'ANDON_INGEST_BAD_KEY', text().replace('{', '{"__proto__":{"source":"x"},')),
  item('a channel __proto__', 'ANDON_INGEST_BAD_KEY', text().replace('20}', '20,"__proto__":21}')),
  item('a key __proto__ in disguise', 'ANDON_INGEST_BAD_KEY', text().replace('{', '{"\\u005f_proto__":{},')),
  field('a channel named constructor', { values: { constructor: 1 } }, 'ANDON_INGEST_UNKNOWN_CHANNEL'),
  item('1e999', 'ANDON_INGEST_BAD_FIELD', text().replace('20}', '1e999}')),
  item('-1e999', 'ANDON_INGEST_BAD_FIELD', text().replace('20}', '-1e999}')),
  field('a value in quotes', { values: { temperatureC: '20' } }),
  field('a value that is true', { values: { temperatureC: true } }),
  field('a value that is an object', { values: { temperatureC: { value: 20 } } }),
  field('no values', { values: {} }),
  field('neither values nor waveform', { values: undefined }),
  field('values as a list', { values: [20] }),
  field('more channels than anything has', { values: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`c${i}`, i])) }),
  field('a negative seq', { seq: -1 }),
  field('half a seq', { seq: 1.5 }),
  field('a seq in quotes', { seq: '12' }),
  field('a seq beyond numbers', { seq: 2 ** 53 }),
  field('an epoch without seq', { seq: undefined }),
  field('a negative epoch', { epoch: -1 }),
  field('a time in seconds', { timeUs: Math.floor(Date.now() / 1000) }),
  field('a time in milliseconds', { timeUs: Date.now() }),
  field('a time as a text', { timeUs: '2026-11-23T08:00:00Z' }),
  field('no time', { timeUs: undefined }),
  field('a clock years ahead', { timeUs: nowUs() + 3 * 365 * 86_400e6 }, 'ANDON_INGEST_TIME_AHEAD'),
  field('a quality of 7', { quality: 7 }),
  field('no source', { source: undefined }),
  field('a source that climbs', { source: '../../etc/passwd' }),
  field('a source with a NUL', { source: 'oven\u0000plc' }),
  field('a source of 129 characters', { source: 's'.repeat(129) }),
  field('an empty source', { source: '' }),
  field('an asset that is a number', { asset: 12 }),
  field('a source of nobody', { source: 'stranger', asset: undefined }, 'ANDON_INGEST_UNKNOWN_SOURCE'),
  field('an asset of nobody', { source: 'stranger', asset: 'engine' }, 'ANDON_INGEST_UNKNOWN_ASSET'),
  field('a source of another asset', { asset: 'spindle' }, 'ANDON_INGEST_SOURCE_OF_ANOTHER_ASSET'),
  field('an unknown channel', { values: { colour: 1 } }, 'ANDON_INGEST_UNKNOWN_CHANNEL'),
  field('a value out of range', { values: { temperatureC: 2000 } }, 'ANDON_INGEST_OUT_OF_RANGE'),
  field('a waveform as a value', { source: 'spindle-vib', asset: 'spindle', values: { vibrationG: 1 } }, 'ANDON_INGEST_WRONG_KIND'),
  field('a waveform that is cut', {
    source: 'spindle-vib',
    asset: 'spindle',
    values: undefined,
    waveform: { channel: 'vibrationG', sampleRateHz: 1000, f32: 'AAAA' },
  }),
  field('a waveform with a NaN', {
    source: 'spindle-vib',
    asset: 'spindle',
    values: undefined,
    waveform: { channel: 'vibrationG', sampleRateHz: 1000, f32: Buffer.from(Float32Array.of(1, Number.NaN).buffer).toString('base64') },
  }),
  field('a waveform without a rate', {
    source: 'spindle-vib',
    asset: 'spindle',
    values: undefined,
    waveform: { channel: 'vibrationG', f32: 'AAAAAA==' },
  }),

  ['a line that is cut', ndjson, `${text()}\n${text().slice(0, -1)}\n${text()}\n`, 2, ['ANDON_INGEST_NOT_JSON']],
  ['a line nested too deep', ndjson, `${text()}\n${nested('[', ']', 50_000)}\n${text()}\n`, 2, ['ANDON_INGEST_TOO_DEEP']],
  ['a line with a byte order mark', ndjson, `\ufeff${text()}\n${text()}\n`, 1, ['ANDON_INGEST_NOT_JSON']],
  [
    'a line that is no UTF-8',
    ndjson,
    Buffer.concat([Buffer.from(`${text()}\n{"source":"`), Buffer.from([0xff]), Buffer.from(`"}\n${text()}`)]),
    2,
    ['ANDON_INGEST_NOT_UTF8'],
  ],
  ['a JSON array as lines', ndjson, `[${text()}]\n${text()}`, 1, ['ANDON_INGEST_NOT_A_READING']],

  ['columns with a text for a value', json, columnar({ channels: { temperatureC: [20, '21'] } }), 1, ['ANDON_INGEST_BAD_FIELD']],
  ['columns with a hole for a time', json, columnar({ timesUs: [nowUs(), null] }), 1, ['ANDON_INGEST_BAD_FIELD']],
  ['columns with a quality of 3', json, columnar({ qualities: [0, 3] }), 1, ['ANDON_INGEST_BAD_FIELD']],
  ['columns with a value out of range', json, columnar({ channels: { temperatureC: [20, 2000] } }), 1, ['ANDON_INGEST_OUT_OF_RANGE']],
  [
    'columns of a channel of nobody',
    json,
    columnar({ channels: { colour: [1, 2] } }),
    0,
    ['ANDON_INGEST_UNKNOWN_CHANNEL', 'ANDON_INGEST_UNKNOWN_CHANNEL'],
  ],
  ['columns without a channel', json, columnar({ channels: {} }), 0, ['ANDON_INGEST_BAD_FIELD', 'ANDON_INGEST_BAD_FIELD']],

  csvItem('a row with a cell too few', 'ANDON_INGEST_NOT_A_READING', csvRow('20')),
  csvItem('a row with a cell too many', 'ANDON_INGEST_NOT_A_READING', csvRow('20,1,2')),
  csvItem('a word for a number', 'ANDON_INGEST_BAD_FIELD', csvRow('warm,1')),
  csvItem('a decimal comma', 'ANDON_INGEST_BAD_FIELD', csvRow('"20,5",1')),
  csvItem('a hexadecimal number', 'ANDON_INGEST_BAD_FIELD', csvRow('0x14,1')),
  csvItem('NaN in a cell', 'ANDON_INGEST_BAD_FIELD', csvRow('NaN,1')),
  csvItem('1e999 in a cell', 'ANDON_INGEST_BAD_FIELD', csvRow('1e999,1')),
  csvItem('a formula', 'ANDON_INGEST_BAD_FIELD', csvRow('=1+1,1')),
  csvItem('a row without time', 'ANDON_INGEST_BAD_FIELD', ',oven-csv,oven,20,1'),
  csvItem('a row without source', 'ANDON_INGEST_BAD_FIELD', `${nowUs()},,oven,20,1`),
  csvItem('a row that is no UTF-8', 'ANDON_INGEST_NOT_UTF8', Buffer.from(csvRow('\u00ff,1'), 'latin1')),
  csvItem('a row of an asset of nobody', 'ANDON_INGEST_UNKNOWN_ASSET', `${nowUs()},stranger,engine,20,1`),
  csvItem('a row out of range', 'ANDON_INGEST_OUT_OF_RANGE', csvRow('2000,1')),
  ['a quote that is never closed', csv, `${csvHead}\n${csvRow()}\n"${csvRow()}\n`, 1, ['ANDON_INGEST_NOT_A_READING']],

  [
    'Avro with an infinite value',
    rawAvro,
    batch({ values: Buffer.from(Float64Array.of(Number.POSITIVE_INFINITY).buffer) }),
    0,
    ['ANDON_INGEST_BAD_FIELD'],
  ],
  ['Avro with a time before 1970', rawAvro, batch({ timesUs: Buffer.from(BigInt64Array.of(-1n).buffer) }), 0, ['ANDON_INGEST_BAD_FIELD']],
  [
    'Avro with a clock years ahead',
    rawAvro,
    batch({ timesUs: Buffer.from(BigInt64Array.of(BigInt(nowUs()) + 3n * 365n * 86_400_000_000n).buffer) }),
    0,
    ['ANDON_INGEST_TIME_AHEAD'],
  ],
  ['Avro with a quality of 9', rawAvro, batch({ qualities: Buffer.of(9) }), 0, ['ANDON_INGEST_BAD_FIELD']],
  ['Avro with a source that climbs', rawAvro, batch({ source: '../etc' }), 0, ['ANDON_INGEST_BAD_FIELD']],
  [
    'Avro with a channel twice',
    rawAvro,
    batch({ channels: ['temperatureC', 'temperatureC'], values: Buffer.alloc(16) }),
    0,
    ['ANDON_INGEST_BAD_FIELD'],
  ],
  ['Avro with a number below 0', rawAvro, batch({ seqFrom: -1 }), 0, ['ANDON_INGEST_BAD_FIELD']],
  [
    'one bad batch of two',
    avroFile,
    container([{ count: 2, data: Buffer.concat([batch(), batch({ asset: 'engine', source: 'stranger' })]) }]),
    1,
    ['ANDON_INGEST_UNKNOWN_ASSET'],
  ],
]
