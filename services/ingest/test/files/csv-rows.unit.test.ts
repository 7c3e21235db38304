// The scanner against csv-parse and Number(): whatever can be written as CSV is read the same, in windows of any size.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { parseSource } from '@andon/schemas'
import type { FileSource } from '../../src/files/column-plan.ts'
import { rowsOf } from './csv.ts'

const mapped = (mapping: Record<string, unknown>, name = '*.csv') =>
  parseSource({ version: 1, id: 'export', kind: 'file', name, mapping: { format: 'csv', ...mapping } }) as FileSource

const timeUs = 1_795_000_000_000_000

test('rows of the default header: time, asset, quality, channels with units', () => {
  const text = `time,asset,quality,temperatureC [K],pressureBar\n2026-11-18T11:06:40Z,oven,1,293.15,\n2026-11-18T11:06:40.25Z,press-1,,-2,1e3\n`
  assert.deepEqual(
    rowsOf(text).map(({ asset, timeUs: at, values, quality, fault }) => ({ asset, timeUs: at, values, quality, fault })),
    [
      { asset: 'oven', timeUs, values: [293.15, Number.NaN], quality: 1, fault: undefined },
      { asset: 'press-1', timeUs: timeUs + 250_000, values: [-2, 1000], quality: 0, fault: undefined },
    ],
  )
})

const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((value) => value.toFixed(3)),
  fc.integer().map(String),
  fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 25n }), fc.bigInt({ min: 0n, max: 10n ** 22n })).map(([whole, part]) => `${whole}.${part}`),
  fc.constantFrom('0', '-0', '0.1', '1e22', '9007199254740993', '.5', '5.', '+1', '000000000000000000001', '1e-320', ' 7 '),
)

test('numbers are those of Number(), to the bit', () => {
  fc.assert(
    fc.property(fc.array(number, { minLength: 1, maxLength: 40 }), fc.constantFrom('\n', '\r\n'), (numbers, lineEnd) => {
      const text = `timeUs,asset,a${lineEnd}${numbers.map((value) => `${timeUs},oven,${value}`).join(lineEnd)}`
      assert.deepEqual(
        rowsOf(text, undefined, 64).map(({ values, fault }) => fault ?? values[0]),
        numbers.map((value) => Number(value) + 0),
      )
    }),
    { numRuns: 500 },
  )
})

test('what is no number is refused, whatever Number() makes of it', () => {
  for (const text of [
    '0x10',
    '1_000',
    'Infinity',
    '1e999',
    '12abc',
    '1,5',
    '--1',
    '1.2.3',
    '-',
    '.',
    'e5',
    '1e',
    '0b1',
    'true',
    '½',
    '1 2',
  ]) {
    const [row] = rowsOf(`timeUs,asset,a\n${timeUs},oven,"${text}"\n`)
    assert.match(row?.fault ?? 'taken', /^a: found .*, expected a number/, text)
  }
})

test('decimal commas of a mapping; a point is then no number', () => {
  const source = mapped({
    csv: { delimiter: ';', decimal: ',' },
    asset: { id: 'oven' },
    time: { field: 't', format: 'ms' },
    channels: { a: { field: 'A', scale: 2, offset: 1 } },
  })
  const rows = rowsOf(`t;A\n1795000000000;1,5\n1795000000000,5;2\n1795000000000;1.5\n`, source)
  assert.deepEqual(rows.map(({ values }) => values[0]).slice(0, 2), [4, 5])
  assert.equal(rows[1]?.timeUs, timeUs + 500)
  assert.match(rows[2]?.fault ?? '', /"1.5".*","/)
})

test('every field is split as csv-parse splits it, in windows of any size', () => {
  const field = fc.oneof(fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '1') }), fc.constantFrom('', '12', '"'))
  const quoted = (text: string) => (/[",\n\r]/.test(text) || text.length === 1 ? `"${text.replaceAll('"', '""')}"` : text)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(field, field, field), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 200 }),
      fc.constantFrom('\n', '\r\n'),
      (rows, window, lineEnd) => {
        const text = `timeUs,asset,x,y,z${lineEnd}${rows.map((row) => `${timeUs},oven,${row.map(quoted).join(',')}`).join(lineEnd)}${lineEnd}`
        const expected = parse(text, { from: 2 }) as string[][]
        const found = rowsOf(text, undefined, window)
        assert.equal(found.length, expected.length)
        found.forEach(({ values, fault }, row) => {
          const [, , ...fields] = expected[row]!
          fields.forEach((each, at) => {
            const isMissing = /^\s*(nan|null)?\s*$/i.test(each)
            if (fault === undefined) assert.equal(values[at], isMissing ? Number.NaN : Number(each))
          })
          const isGood = fields.every((each) => each.trim() === '' || /^\s*\d+\s*$/.test(each))
          assert.equal(fault === undefined, isGood, JSON.stringify(fields))
        })
      },
    ),
    { numRuns: 500 },
  )
})

test('ragged rows are refused alone; empty lines are no rows', () => {
  const rows = rowsOf(`timeUs,asset,a\n\n${timeUs},oven,1\n${timeUs},oven\r\n\r\n${timeUs},oven,3,4\n${timeUs},oven,5`)
  assert.deepEqual(
    rows.map(({ values, fault }) => fault ?? values[0]),
    [1, 'found 2 fields, expected 3, as the header has', 'found 4 fields, expected 3, as the header has', 5],
  )
})

test('times are those of Date, leap years and all', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date('2000-01-01'), max: new Date('2199-12-31'), noInvalidDate: true }), (date) => {
      const [row] = rowsOf(`time,asset,a\n${date.toISOString()},oven,1\n`)
      assert.equal(row?.timeUs, date.getTime() * 1000)
    }),
    { numRuns: 2000 },
  )
  assert.match(rowsOf('time,asset,a\n2026-11-18 11:06:40,oven,1\n')[0]?.fault ?? '', /^time: .*offset/)
  assert.match(rowsOf('time,asset,a\n2026-02-29T00:00:00Z,oven,1\n')[0]?.fault ?? '', /^time: /)
})

test('long form: the channel is named by a column', () => {
  const source = mapped({
    asset: { id: 'oven' },
    time: { field: 't', format: 'us' },
    long: { channel: 'tag', value: 'v', map: { TT1: 'temperatureC', PT1: 'pressureBar' } },
  })
  const rows = rowsOf(`t,tag,v\n${timeUs},TT1,1\n${timeUs},PT1,2\n${timeUs},XX,3\n`, source)
  assert.deepEqual(rows.map(({ values }) => values[0]).slice(0, 2), [1, 2])
  assert.match(rows[2]?.fault ?? '', /^tag: found "XX"/)
})

test('the asset is a part of the file name', () => {
  const source = mapped({ asset: { field: '{1}' }, time: { field: 't', format: 'us' }, channels: { a: { field: 'a' } } }, 'export-*-?.csv')
  assert.equal(rowsOf(`t,a\n${timeUs},1\n`, source, 100, 'export-press-1-x.csv')[0]?.asset, 'press-1')
})
