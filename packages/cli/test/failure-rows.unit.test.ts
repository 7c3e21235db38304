// Files of failures: every row is read or told, and no row spoils another.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFailureRows } from '../src/data/failure-rows.ts'

test('a CSV with a header gives one row per line, with times in UTC and empty fields left out', () => {
  const text =
    '\uFEFFasset;at;mode;note\r\npump-1;2026-11-20T09:00:00+01:00;VIB;"loud; then quiet"\r\n\r\npump-2;2026-11-20 08:30:00Z;OHE;\r\n'
  assert.deepEqual(readFailureRows('f.csv', text), [
    { line: 2, body: { asset: 'pump-1', at: '2026-11-20T08:00:00.000Z', mode: 'VIB', note: 'loud; then quiet' } },
    { line: 4, body: { asset: 'pump-2', at: '2026-11-20T08:30:00.000Z', mode: 'OHE' } },
  ])
})

test('a row that cannot be read is told with its line, and the others go on', () => {
  const text =
    'asset,at,kind\npump-1,yesterday,\n,2026-11-20T08:00:00Z,\npump-1,2026-11-20T08:00:00Z\npump-1,2026-11-20T08:00:00Z,repair\npump-1,2026-11-20T08:00:00Z,failure\n'
  const rows = readFailureRows('f.csv', text)
  assert.deepEqual(
    rows.map((row) => ('problem' in row ? `${row.line}: ${row.problem}` : `${row.line} ok`)),
    [
      '2: at: expected a time with a zone like 2026-11-23T08:00:00Z, found yesterday',
      '3: asset: expected a value',
      '4: expected 3 fields, found 2',
      '5: kind: expected failure or intervention, found repair',
      '6 ok',
    ],
  )
})

test('a time without a zone is refused: it means another moment on another machine', () => {
  const [row] = readFailureRows('f.csv', 'asset,at\npump-1,2026-11-20T08:00:00\n')
  assert.ok(row && 'problem' in row)
})

test('a file of JSON objects is read line by line', () => {
  const text =
    '{"asset":"pump-1","at":"2026-11-20T08:00:00Z","mode":"VIB","workOrder":4711,"note":null}\n[]\n{"asset":\n{"asset":"p","at":"2026-11-20T08:00:00Z","colour":"red"}\n'
  assert.deepEqual(
    readFailureRows('f.ndjson', text).map((row) => ('problem' in row ? row.problem.slice(0, 24) : row.body)),
    [
      { asset: 'pump-1', at: '2026-11-20T08:00:00.000Z', mode: 'VIB', workOrder: '4711' },
      'expected a JSON object',
      'expected a JSON object',
      'expected fields among as',
    ],
  )
})

test('a file that is no table of failures is refused as a whole, with what it should have', () => {
  assert.throws(() => readFailureRows('f.csv', 'asset,when\n'), /f\.csv:1: expected columns among asset, at, .* found when/)
  assert.throws(() => readFailureRows('f.csv', 'asset,mode\npump-1,VIB\n'), /f\.csv:1: expected a column at/)
})
