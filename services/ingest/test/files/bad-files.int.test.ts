// Files that are not as they should be: each is refused as a whole with one code, or loses exactly its bad rows; what is good beside them is
// read, and random bytes neither crash nor hang the readers nor get through in silence.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { AndonError } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { FileSource } from '../../src/files/column-plan.ts'
import { FileAssets } from '../../src/files/file-assets.ts'
import { isUnfinishedName, safeName } from '../../src/files/manifest.ts'
import { openFile } from '../../src/files/open-file.ts'
import { within } from '../../src/files/within.ts'
import { plant } from '../rig.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'andon-bad-files-'))
})
after(() => rm(folder, { recursive: true, force: true }))

let files = 0
const put = async (content: Buffer | string): Promise<string> => {
  const path = join(folder, `file-${++files}`)
  await writeFile(path, content)
  return path
}

interface Read {
  readonly good: number
  readonly bad: number
}

/** Rows that can and cannot be read, or the code of the refusal. */
const outcomeOf = async (path: string, sources: readonly FileSource[] = [], name = 'file.csv'): Promise<Read | string> => {
  try {
    const file = await openFile(path, name, sources, plant, () => undefined)
    try {
      const source = await file.rows(new FileAssets())
      const batch = source.newBatch()
      let [good, bad] = [0, 0]
      for (let at = source.start; ;) {
        const next = await source.read(batch, at)
        if (batch.rows === 0) return { good, bad }
        assert.ok(next.at > at.at && next.row === at.row + batch.rows, 'reading goes on')
        bad += batch.faults.length
        good += batch.rows - batch.faults.length
        at = next
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof AndonError && !error.retriable) return error.code.replace('ANDON_INGEST_FILE_', '')
    throw error
  }
}

const mapping = (fields: Record<string, unknown>): FileSource =>
  parseSource({ version: 1, id: 'export', kind: 'file', name: '*', mapping: { format: 'csv', ...fields } }) as FileSource

const H = 'time,asset,temperatureC\n'
const T = '2026-11-18T11:06:40Z'
const R = `${T},oven,1\n`
const good = (rows: number, bad = 0): Read => ({ good: rows, bad })

const inputs: readonly (readonly [name: string, content: Buffer | string, expected: Read | string])[] = [
  ['an empty file', '', 'EMPTY'],
  ['a header alone', H, 'EMPTY'],
  ['a header without a line end', H.trim(), 'EMPTY'],
  ['empty lines alone', '\n\n\n', 'HEADER'],
  ['a byte order mark alone', '\ufeff', 'HEADER'],
  ['a byte order mark before the header', `\ufeff${H}${R}`, good(1)],
  ['UTF-16 little-endian', Buffer.from(`\ufeff${H}${R}`, 'utf16le'), 'ENCODING'],
  ['UTF-16 big-endian', Buffer.from(`\ufeff${H}${R}`, 'utf16le').swap16(), 'ENCODING'],
  ['UTF-16 without a mark', Buffer.from(`${H}${R}`, 'utf16le'), 'BINARY'],
  ['a NUL in a row', `${H}${R}${T},oven,1\0\n`, 'BINARY'],
  [
    'a header that is not UTF-8',
    Buffer.concat([Buffer.from('time,asset,temp'), Buffer.from([0xff, 0xfe, 0x0a]), Buffer.from(R)]),
    'ENCODING',
  ],
  [
    'an asset that is not UTF-8',
    Buffer.concat([Buffer.from(`${H}${R}${T},ov`), Buffer.from([0xc3, 0x28]), Buffer.from(',1\n')]),
    good(1, 1),
  ],
  ['a ZIP archive', Buffer.from('504b030414000000', 'hex'), 'BINARY'],
  ['gzip', gzipSync(`${H}${R}`), 'BINARY'],
  ['a gzip bomb', gzipSync(Buffer.alloc(20_000_000)), 'BINARY'],
  ['zstd', Buffer.from('28b52ffd00', 'hex'), 'BINARY'],
  ['a PDF', '%PDF-1.7\n', 'BINARY'],
  ['a spreadsheet', Buffer.from('d0cf11e0a1b11ae1', 'hex'), 'BINARY'],
  ['an ELF binary', Buffer.from('7f454c460201010000', 'hex'), 'BINARY'],
  ['a quote that is never closed', `${H}${R}${T},oven,"1\n${R}`, 'QUOTE'],
  ['a quote at the very end', `${H}${R}"`, 'QUOTE'],
  ['text behind a closing quote', `${H}${R}${T},oven,"1"x"2"\n`, good(1, 1)],
  ['a quote inside a field without quotes, in pairs', `${H}${R}${T},o"v"en,1\n`, good(1, 1)],
  ['one line of 3 MB', `${H}${R}${'1'.repeat(3_000_000)}`, 'ROW_TOO_LONG'],
  ['a header of 2 MB', `time,asset,${'x'.repeat(2_000_000)}\n${R}`, 'ROW_TOO_LONG'],
  ['a quoted field of 3 MB in many lines', `${H}${R}${T},oven,"${'a\n'.repeat(1_500_000)}"\n`, 'ROW_TOO_LONG'],
  ['a row of 900 kB, its asset unknown', `${H}${R}${T},${'a'.repeat(900_000)},1\n`, good(1, 1)],
  ['a field too few', `${H}${R}${T},oven\n`, good(1, 1)],
  ['a field too many', `${H}${R}${T},oven,1,2\n`, good(1, 1)],
  ['a separator too many at every end', `${H}${T},oven,1,\n`, 'NO_ROW'],
  ['the header again in the middle', `${H}${R}${H}${R}`, good(2, 1)],
  ['no column time', `asset,temperatureC\noven,1\n`, 'HEADER'],
  ['no column asset', `time,temperatureC\n${T},1\n`, 'HEADER'],
  ['both time and timeUs', `time,timeUs,asset,temperatureC\n${T},1,oven,1\n`, 'HEADER'],
  ['a column twice', `time,asset,temperatureC,temperatureC\n${T},oven,1,1\n`, 'HEADER'],
  ['a channel twice, with two units', `time,asset,temperatureC,temperatureC [K]\n${T},oven,1,1\n`, 'HEADER'],
  ['a column without a name', `time,asset,,temperatureC\n${T},oven,1,1\n`, 'HEADER'],
  ['no channel', `time,asset\n${T},oven\n`, 'HEADER'],
  ['2000 columns', `time,asset,${Array.from({ length: 2000 }, (_, at) => `c${at}`).join(',')}\n`, 'HEADER'],
  ['300 channels', `time,asset,${Array.from({ length: 300 }, (_, at) => `c${at}`).join(',')}\n`, 'HEADER'],
  ['a channel that no asset has', `time,asset,temperature\n${T},oven,1\n`, 'UNKNOWN_CHANNEL'],
  ['no header at all', R.repeat(3), 'HEADER'],
  ['words for numbers', `${H}${R}${T},oven,warm\n`, good(1, 1)],
  ['a decimal comma', `${H}${R}${T},oven,"1,5"\n`, good(1, 1)],
  ['a thousands separator', `${H}${R}${T},oven,1.000.000\n`, good(1, 1)],
  ['Infinity', `${H}${R}${T},oven,Infinity\n`, good(1, 1)],
  ['a number beyond a double', `${H}${R}${T},oven,1e999\n`, good(1, 1)],
  ['hexadecimal', `${H}${R}${T},oven,0x1F\n`, good(1, 1)],
  ['a formula', `${H}${R}${T},oven,=1+1\n`, good(1, 1)],
  ['a missing value', `${H}${R}${T},oven,\n`, good(2)],
  ['NaN', `${H}${R}${T},oven,NaN\n`, good(2)],
  ['no time', `${H}${R},oven,1\n`, good(1, 1)],
  ['a time without an offset in every row', `${H}${'2026-11-18 11:06:40,oven,1\n'.repeat(5)}`, 'NO_ROW'],
  ['the 30th of February', `${H}${R}2026-02-30T00:00:00Z,oven,1\n`, good(1, 1)],
  ['the hour 25', `${H}${R}2026-02-03T25:00:00Z,oven,1\n`, good(1, 1)],
  ['the year 1970', `${H}${R}1970-01-01T00:00:00Z,oven,1\n`, good(1, 1)],
  ['the year 9999', `${H}${R}9999-01-01T00:00:00Z,oven,1\n`, good(1, 1)],
  ['milliseconds as timeUs', `timeUs,asset,temperatureC\n${'1795000000000,oven,1\n'.repeat(3)}`, 'NO_ROW'],
  ['a time below zero', `timeUs,asset,temperatureC\n1795000000000000,oven,1\n-5,oven,1\n`, good(1, 1)],
  ['no asset', `${H}${R}${T},,1\n`, good(1, 1)],
  ['an asset that is a path', `${H}${R}${T},../../etc,1\n`, good(1, 1)],
  ['an asset with a line end', `${H}${R}${T},"ov\nen",1\n`, good(1, 1)],
  ['an asset of 200 characters', `${H}${R}${T},${'a'.repeat(200)},1\n`, good(1, 1)],
  ['10 500 assets', `${H}${Array.from({ length: 10_500 }, (_, at) => `${T},a-${at},1`).join('\n')}`, good(10_000, 500)],
  ['a quality of 7', `time,asset,quality,temperatureC\n${T},oven,0,1\n${T},oven,7,1\n`, good(1, 1)],
  ['carriage returns alone', `${H.trim()}\r${R.trim()}\r`, 'UNKNOWN_CHANNEL'],
  ['CRLF', `${H}${R}`.replaceAll('\n', '\r\n'), good(1)],
  ['semicolons where commas were meant in one row', `${H}${R}${T};oven;1\n`, good(1, 1)],
]

for (const [name, content, expected] of inputs) {
  test(`CSV: ${name}`, async () => assert.deepEqual(await outcomeOf(await put(content)), expected))
}

const parquet = (rows = 100, compressed = true): Buffer =>
  Buffer.from(
    parquetWriteBuffer({
      columnData: [
        {
          name: 'timeUs',
          data: Array.from({ length: rows }, (_, row) => 1_795_000_000_000_000n + BigInt(row) * 1_000_000n),
          type: 'INT64',
        },
        { name: 'asset', data: Array.from({ length: rows }, () => 'oven'), type: 'STRING' },
        { name: 'temperatureC', data: Array.from({ length: rows }, (_, row) => row / 2), type: 'DOUBLE' },
      ],
      rowGroupSize: [40],
      ...(compressed ? {} : { codec: 'UNCOMPRESSED' }),
    }),
  )

test('Parquet: rows in several row groups are read, from the middle of one too', async () => {
  const path = await put(parquet())
  assert.deepEqual(await outcomeOf(path), good(100))
  const file = await openFile(path, 'a.parquet', [], plant, () => undefined)
  const source = await file.rows(new FileAssets())
  const batch = source.newBatch()
  await source.read(batch, { at: 55, row: 55 })
  assert.deepEqual([batch.rows, batch.timesUs[0], batch.values[0]], [25, 1_795_000_055_000_000, 27.5])
  await file.close()
})

const changed = (bytes: Buffer, change: (bytes: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes)
  change(copy)
  return copy
}

const whole = parquet()
const parquets: readonly (readonly [name: string, content: Buffer, expected: string])[] = [
  ['the magic alone', Buffer.from('PAR1'), 'PARQUET'],
  ['cut off in the middle', whole.subarray(0, whole.length / 2), 'PARQUET'],
  ['cut off in the footer', whole.subarray(0, whole.length - 20), 'PARQUET'],
  ['a footer length beyond the file', changed(whole, (bytes) => bytes.writeUInt32LE(0x7fffffff, bytes.length - 8)), 'PARQUET'],
  ['a footer length of 0', changed(whole, (bytes) => bytes.writeUInt32LE(0, bytes.length - 8)), 'PARQUET'],
  ['a footer of noise', changed(whole, (bytes) => bytes.fill(0xa5, bytes.length - 300, bytes.length - 8)), 'PARQUET'],
  ['pages of noise', changed(whole, (bytes) => bytes.fill(0xa5, 4, 200)), 'PARQUET'],
  ['no rows', parquet(0), 'HEADER'],
]
for (const [name, content, expected] of parquets) {
  test(`Parquet: ${name}`, async () => assert.equal(await outcomeOf(await put(content)), expected))
}

test('Parquet: a value that is no number and an asset that is none are refused alone', async () => {
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'time', data: ['2026-11-18T11:06:40Z', 'yesterday', '2026-11-18T11:06:42Z'], type: 'STRING' },
      { name: 'asset', data: ['oven', 'oven', 'No Asset'], type: 'STRING' },
      { name: 'temperatureC', data: [1, 2, 3], type: 'DOUBLE' },
    ],
  })
  assert.deepEqual(await outcomeOf(await put(Buffer.from(bytes))), good(1, 2))
})

test('a mapping that does not fit the file is named', async () => {
  const path = await put(`t;A\n${T};1\n`)
  const wide = { asset: { id: 'oven' }, time: { field: 't' } }
  assert.equal(await outcomeOf(path, [mapping({ ...wide, channels: { temperatureC: { field: 'B' } }, csv: { delimiter: ';' } })]), 'HEADER')
  assert.equal(
    await outcomeOf(path, [
      mapping({ ...wide, asset: { id: 'nothing' }, channels: { temperatureC: { field: 'A' } }, csv: { delimiter: ';' } }),
    ]),
    'UNKNOWN_ASSET',
  )
  assert.deepEqual(
    await outcomeOf(path, [mapping({ ...wide, channels: { temperatureC: { field: 'A' } }, csv: { delimiter: ';' } })]),
    good(1),
  )
  assert.equal(await outcomeOf(await put(parquet()), [mapping({ ...wide, channels: { temperatureC: { field: 'A' } } })]), 'HEADER')
})

test('a decoder that goes round for ever is ended', () => {
  assert.throws(
    () =>
      within(50, () => {
        for (;;);
      }),
    { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' },
  )
  assert.equal(
    within(50, () => 7),
    7,
  )
})

test('a link, a pipe, a folder and a device are not read', async () => {
  const link = join(folder, 'link')
  await symlink('/etc/passwd', link)
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [link, pipe, folder, '/dev/zero']) assert.equal(await outcomeOf(path), 'NOT_REGULAR', path)
  assert.equal(await outcomeOf(join(folder, 'nothing')), 'GONE')
})

test('a name is never a path, nor longer than a name', () => {
  for (const [name, safe] of [
    ['../../etc/passwd', 'passwd'],
    ['C:\\a\\b.csv', 'b.csv'],
    ['..', '_'],
    ['.hidden', '_hidden'],
    ['a\0b\n.csv', 'a_b_.csv'],
    ['', 'file'],
    ['a/', 'file'],
    ['<script>.csv', '_script_.csv'],
    ['ofen-größe 1.csv', 'ofen-größe 1.csv'],
  ] as const) {
    assert.equal(safeName(name), safe)
  }
  assert.ok(safeName('x'.repeat(5000)).length <= 120)
  // With an id before it and `.manifest.json.new` behind it a name still fits into a folder, which counts bytes.
  fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (name) => Buffer.byteLength(safeName(name)) <= 160))
  assert.equal(Buffer.byteLength(safeName('炉'.repeat(100))), 159)
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (name) => !/[/\\\0\n]|^\./.test(safeName(name))))
  assert.deepEqual(['a.part', '.a', 'a.tmp', 'a~', 'a.filepart'].map(isUnfinishedName), [true, true, true, true, true])
  assert.equal(isUnfinishedName('part.csv'), false)
})

test('random bytes: every file ends in rows or in a refusal', async () => {
  const starts = ['', H, `${H}${R}`, 'PAR1', 'timeUs;asset;temperatureC\n']
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...starts),
      fc.oneof(
        fc.uint8Array({ maxLength: 400 }),
        fc.string({ maxLength: 400, unit: fc.constantFrom('"', ',', '\n', '\r', '1', ';', 'o', '-') }),
      ),
      async (start, noise) => {
        const path = await put(Buffer.concat([Buffer.from(start), Buffer.from(noise as string)]))
        const outcome = await outcomeOf(path)
        assert.ok(typeof outcome === 'string' || outcome.good + outcome.bad > 0)
        await rm(path)
      },
    ),
    { numRuns: 300 },
  )
})

test('a Parquet file with any byte changed is read, or refused', async () => {
  const bytes = parquet(60, false)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
      const path = await put(changed(bytes, (copy) => changes.forEach(([at, value]) => copy.writeUInt8(value, at))))
      const outcome = await outcomeOf(path)
      assert.ok(typeof outcome === 'string' || outcome.good + outcome.bad > 0)
      await rm(path)
    }),
    { numRuns: 150 },
  )
})
