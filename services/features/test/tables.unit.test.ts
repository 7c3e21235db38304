// Tables as people write them: dialects, numbers, times. What a file means does not depend on how it is written.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { learningRows, scanTable } from '../src/tools/scan.ts'
import { numberOf, openTable } from '../src/tools/table.ts'
import { timeFormOf } from '../src/tools/times.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-tables-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const file = (content: string | Buffer): string => {
  const name = join(folder, `${++files}.csv`)
  writeFileSync(name, content)
  return name
}
const read = async (content: string | Buffer) => {
  const table = await openTable(file(content))
  const rows: unknown[][] = []
  for await (const chunk of table.chunks()) rows.push(...chunk.rows.map((row) => [...row]))
  return { names: table.names, rows, hasDecimalComma: table.hasDecimalComma }
}

test('separator, quotes, line ends, byte order mark and encoding are told from the file', async () => {
  const expected = {
    names: ['t', 'Tür °C'],
    rows: [
      ['1', '2.5'],
      ['2', '3'],
    ],
    hasDecimalComma: false,
  }
  for (const separator of [',', ';', '\t', '|'])
    for (const end of ['\n', '\r\n']) {
      const text = [`t${separator}Tür °C`, `1${separator}2.5`, `2${separator}3`, ''].join(end)
      assert.deepEqual(await read(text), expected)
      assert.deepEqual(await read(`\uFEFF${text}`), expected)
      assert.deepEqual(await read(Buffer.from(text, 'latin1')), expected)
      assert.deepEqual(await read(Buffer.from(`\uFEFF${text}`, 'utf16le')), expected)
      assert.deepEqual(await read(text.replace('2.5', '"2.5"')), expected)
    }
  const quoted = await read('t,note\n1,"a, ""b""\nc"\n2,d\n')
  assert.deepEqual(quoted.rows, [
    ['1', 'a, "b"\nc'],
    ['2', 'd'],
  ])
})

test('a number is read with either decimal mark and with marks between thousands', () => {
  assert.deepEqual(
    ['1.5', '-2e3', '1,234.5', '', 'x', 'Infinity'].map((text) => numberOf(text, false)),
    [1.5, -2000, 1234.5, NaN, NaN, NaN],
  )
  assert.deepEqual(
    ['1,5', '1.234,5', '1.234', '7', 'x'].map((text) => numberOf(text, true)),
    [1.5, 1234.5, 1234, 7, NaN],
  )
})

test('one moment, many ways to write it', () => {
  const us = Date.parse('2026-02-13T14:05:06Z') * 1000
  const texts = [
    '2026-02-13 14:05:06',
    '2026-02-13T15:05:06+01:00',
    '2026/02/13 14:05:06',
    '2026-02-13-14-05-06',
    '13.02.2026 14:05:06',
    '13/02/2026 14:05:06',
    '2/13/2026 2:05:06 PM',
    '20260213140506',
  ]
  for (const text of texts) assert.equal(timeFormOf('x', [text])?.parse(text), us, text)
  for (const value of [us / 1e6, us / 1000, us, us * 1000]) assert.equal(timeFormOf('x', [value])?.parse(value), us, String(value))
  assert.equal(timeFormOf('x', ['2026-02-13 15:05:06'], 'Europe/Berlin')?.parse('2026-02-13 15:05:06'), us)
  assert.equal(timeFormOf('x', ['hello']), undefined)
})

test('columns without numbers are left out and said; wrong cells count as missing, with their line', async () => {
  const lines = Array.from(
    { length: 300 },
    (_, i) =>
      `2026-01-01 00:${String(Math.floor(i / 60)).padStart(2, '0')}:${String(i % 60).padStart(2, '0')},${i === 40 ? 'Bad' : i % 7},ok,,0`,
  )
  const scan = await scanTable(await openTable(file(['time,a,b,c,anomaly', ...lines].join('\n'))), {})
  assert.deepEqual(
    scan.channels.map(({ name }) => name),
    ['a'],
  )
  const notes = scan.notes.join('\n')
  for (const said of [
    /Column b is left out: it holds text \("ok" in line 2\)/,
    /Column c is left out: it is empty/,
    /Column a: 1 cell .* line 42 \("Bad"\)/,
    /Column anomaly holds labels/,
  ])
    assert.match(notes, said)
})

test('without a setting 15 % are learned from, enough for the detector, never more than half of a recording', () => {
  assert.deepEqual(
    [
      learningRows(100_000, 8),
      learningRows(10_000, 8),
      learningRows(1000, 8),
      learningRows(1000, 96),
      learningRows(300, 8),
      learningRows(900, 1),
      learningRows(22_000, 1),
    ],
    [10_000, 1500, 400, 480, 150, 200, 750],
  )
})
