// `andon features export`: what a table says is what the log says, record by record; nothing in it was known later than it claims.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { tableFromIPC } from 'apache-arrow'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { type Log, localCodec, openMemoryLog } from '@andon/kit'
import { rangesOf } from '../src/data/ranges.ts'
import { exportAsOf, readMoments } from '../src/features/as-of.ts'
import { type FeaturesExport, TABLE_FORMATS, type TableFormat, exportFeatures } from '../src/features/export.ts'
import { DIGEST, type Said, WINDOW_US, recordOf, vectorIdOf } from './features-log.ts'

const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-features-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

const PARTITIONS = 3
const partitionOf = (assetId: string): number => assetId.charCodeAt(0) % PARTITIONS

const logOf = async (said: readonly Said[]): Promise<Log> => {
  const log = openMemoryLog({ partitions: PARTITIONS, maxBatchRecords: 3 })
  await log.admin.ensureTopics(['features', 'features.run.lab'].map((name) => ({ name, partitions: PARTITIONS })))
  for (const each of said) await log.append([recordOf(codec, each, partitionOf(each.assetId))])
  return log
}

type Cell = string | number | boolean | null
type Line = Record<string, Cell>

/** Rows as other tools read them, in the words of a CSV. */
const read = async (file: string, format: TableFormat): Promise<Line[]> => {
  if (format === 'csv') return parse(readFileSync(file), { columns: true }) as Line[]
  if (format === 'arrow') {
    const table = tableFromIPC(readFileSync(file))
    return Array.from({ length: table.numRows }, (_, i) =>
      Object.fromEntries(
        table.schema.fields.map(({ name }, column) => {
          const vector = table.getChildAt(column)!
          const value = vector.get(i) as Cell
          // Arrow gives timestamps in ms; the stored number is in microseconds.
          if (value !== null && name.endsWith('Us')) return [name, String((vector.data[0]!.values as BigInt64Array)[i])]
          return [name, value === null ? '' : String(value)]
        }),
      ),
    )
  }
  const rows = await parquetReadObjects({
    file: await asyncBufferFromFile(file),
    parsers: { timestampFromMicroseconds: (us: bigint) => us } as never,
  })
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === null ? '' : String(value)])))
}

const table = async (said: readonly Said[], format: TableFormat, options: Partial<FeaturesExport> = {}) => {
  const log = await logOf(said)
  const out = join(folder, `${++files}.${format}`)
  const topic = options.topic ?? 'features'
  const { counts } = await exportFeatures(log, codec, {
    topic,
    ranges: await rangesOf(log, topic, 'start'),
    selection: {},
    format,
    out,
    isPointInTime: false,
    groupRows: 4,
    ...options,
  })
  return { rows: await read(out, format), counts }
}

const cause = (() => {
  let next = 100
  return () => next++
})()
const first: Said = { assetId: 'a', window: 1, revision: 1, timestampMs: 1_700_000_001_000, cause: cause() }

for (const format of TABLE_FORMATS)
  test(`${format}: a row is its record: values, identity, quality and place`, async () => {
    const values = { 'temperatureC.mean': 0.1, 'temperatureC.max': Number.NaN, 'odd,"name".p5': -1e-12 }
    const said: Said[] = [{ ...first, values, revision: 3 }]
    const { rows } = await table(said, format)
    assert.equal(rows.length, 1)
    const { 'temperatureC.mean': mean, 'temperatureC.max': max, 'odd,"name".p5': p5, ...rest } = rows[0]!
    assert.deepEqual([Number(mean), max, Number(p5)], [0.1, '', -1e-12])
    assert.deepEqual(rest, {
      assetId: 'a',
      windowStartUs: String(WINDOW_US),
      windowEndUs: String(2 * WINDOW_US),
      quality: 'good',
      regime: '',
      machineOff: 'false',
      health: 'temperatureC:gap+flat',
      complete: 'true',
      missing: '',
      young: 'false',
      historical: 'false',
      uncertainRows: '0',
      badRows: '0',
      baselineEpochUs: '',
      recordedStartUs: '',
      vectorId: vectorIdOf(said[0]!),
      revision: '3',
      supersedes: '',
      featureSet: 'features/oven',
      featureSetDigest: DIGEST,
      plantDigest: 'p'.repeat(64),
      ranges: 'plc/1:10-13',
      topic: 'features',
      partition: String(partitionOf('a')),
      leaderEpoch: '0',
      offset: '0',
      causeTopic: 'telemetry',
      causePartition: String(partitionOf('a')),
      causeLeaderEpoch: '4',
      causeOffset: String(first.cause),
      causeIndex: '0',
      order: `0.4.${first.cause}.0`,
      lane: 'live',
      run: '',
      emittedAtUs: '1700000001000000',
    })
  })

test('the newest revision of a window is a row, whatever order the others came in', async () => {
  const said = [
    { ...first, cause: 1 },
    { ...first, revision: 2, cause: 2, timestampMs: first.timestampMs + 5 },
    { ...first, revision: 2, cause: 2, timestampMs: first.timestampMs + 5 }, // written a second time after a crash
    { ...first, revision: 1, cause: 1, timestampMs: first.timestampMs }, // redriven: older than what is known
  ]
  const { rows, counts } = await table(said, 'csv')
  assert.deepEqual(
    rows.map(({ revision }) => revision),
    ['2'],
  )
  assert.deepEqual([counts.rows, counts.superseded, counts.repeats, counts.outranked], [1, 1, 1, 1])
})

test('each revision was known from its record until the next one of its window', async () => {
  const said = [
    { ...first, cause: 1 },
    { ...first, window: 2, cause: 2, timestampMs: first.timestampMs + 10 },
    { ...first, revision: 2, cause: 3, timestampMs: first.timestampMs + 25 },
  ]
  const { rows, counts } = await table(said, 'csv', { isPointInTime: true })
  const us = (ms: number) => String((first.timestampMs + ms + 1) * 1000)
  assert.deepEqual(
    rows.map(({ revision, knownFromUs, knownToUs }) => [revision, knownFromUs, knownToUs]),
    [
      ['1', us(0), us(25)],
      ['1', us(10), ''],
      ['2', us(25), ''],
    ],
  )
  assert.deepEqual([counts.rows, counts.superseded], [3, 1])
})

test('the place on the log decides, not the clock: a record is never known before one that lies before it', async () => {
  const said = [
    { ...first, cause: 1, timestampMs: first.timestampMs + 9000 },
    { ...first, window: 2, cause: 2, timestampMs: first.timestampMs }, // a device clock stepped back
    { ...first, promotion: 1, revision: 4, cause: 3, timestampMs: first.timestampMs - 86_400_000 }, // promoted with its old time
  ]
  const { rows } = await table(said, 'csv', { isPointInTime: true })
  const us = String((first.timestampMs + 9001) * 1000)
  assert.deepEqual(
    rows.map(({ window: _window, revision, knownFromUs, knownToUs }) => [revision, knownFromUs, knownToUs]),
    [
      ['1', us, us],
      ['1', us, ''],
      ['4', us, ''],
    ],
  )
})

test('an export up to a moment is the same whatever came later', async () => {
  const said = [first, { ...first, revision: 2, cause: cause(), timestampMs: first.timestampMs + 60_000 }]
  const log = await logOf(said)
  const ranges = await rangesOf(log, 'features', 'start', undefined, first.timestampMs + 60_000)
  const { rows } = await table(said, 'csv', { ranges, isPointInTime: true })
  assert.deepEqual(
    rows.map(({ revision, knownToUs }) => [revision, knownToUs]),
    [['1', '']],
  )
})

test('windows without telemetry are rows without values, and late samples a table of their own', async () => {
  const said: Said[] = [
    first,
    { ...first, window: 2, revision: 0, values: {}, cause: cause() },
    { ...first, window: 1, revision: 17, late: true, cause: cause() },
  ]
  const late = join(folder, `${++files}.csv`)
  const { rows, counts } = await table(said, 'csv', { late })
  assert.deepEqual(
    rows.map((row) => [row['temperatureC.mean'], row['quality']]),
    [
      ['1', 'good'],
      ['', 'unmonitored'],
    ],
  )
  assert.deepEqual([counts.unmonitored, counts.lateReports, counts.lateSamples], [1, 1, 17])
  const [report] = await read(late, 'csv')
  assert.deepEqual([report?.['ranges'], report?.['rows'], report?.['lost']], ['plc/1:1-17', '17', 'false'])
})

test('two versions of a feature set are no table: the error lists them, a folder takes both', async () => {
  const said = [first, { ...first, window: 2, digest: 'e'.repeat(64), values: { 'temperatureC.rms': 1 }, cause: cause() }]
  await assert.rejects(table(said, 'csv'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ANDON_CLI_FEATURE_SETS')
    assert.match(error.message, /dddddddddddd {2}1 vectors of 1 features[^]*eeeeeeeeeeee[^]*--set/)
    return true
  })
  const { rows, counts } = await table(said, 'csv', { selection: { set: 'eeeeee' } })
  assert.deepEqual([rows.length, rows[0]?.['temperatureC.rms'], counts.ofOtherSets], [1, '1', 1])
  const out = join(folder, `both-${++files}/`)
  const log = await logOf(said)
  await exportFeatures(log, codec, {
    topic: 'features',
    ranges: await rangesOf(log, 'features', 'start'),
    selection: {},
    format: 'csv',
    out,
    isPointInTime: false,
  })
  assert.deepEqual(readdirSync(out).toSorted(), ['oven-dddddddddddd.csv', 'oven-eeeeeeeeeeee.csv'])
})

test('a replay run is exported by its id, apart from the live vectors', async () => {
  const said = [first, { ...first, window: 7, run: 'lab', cause: cause() }]
  const { rows } = await table(said, 'csv', { topic: 'features.run.lab' })
  assert.deepEqual(
    rows.map(({ topic, run, windowStartUs }) => [topic, run, windowStartUs]),
    [['features.run.lab', 'lab', String(7 * WINDOW_US)]],
  )
})

/** Histories of two assets of one partition and one of another: revisions, repeats, silence, clocks that step. */
const histories = fc
  .array(
    fc.record({
      assetId: fc.constantFrom('a', 'd', 'b'),
      window: fc.nat(4),
      revision: fc.integer({ min: 1, max: 4 }),
      step: fc.integer({ min: -3, max: 8 }),
      promotion: fc.constantFrom(0, 0, 0, 1),
      late: fc.constantFrom(false, false, false, true),
    }),
    { maxLength: 40 },
  )
  .map((list): Said[] => {
    let timestampMs = first.timestampMs
    return list.map(({ step, ...said }, i) => {
      timestampMs += step
      return { ...said, timestampMs, cause: said.promotion === 1 ? 1000 : i }
    })
  })

interface Known {
  readonly said: Said
  readonly knownFromUs: number
}

/** What a reader that keeps the highest order of each window had been told, one record after the other. */
const knownOf = (said: readonly Said[]): Known[] => {
  const newestMs = new Map<number, number>()
  return said.map((each) => {
    const partition = partitionOf(each.assetId)
    const ms = Math.max(each.timestampMs, newestMs.get(partition) ?? 0)
    newestMs.set(partition, ms)
    return { said: each, knownFromUs: (ms + 1) * 1000 }
  })
}

const ranksAbove = (a: Said, b: Said): boolean =>
  (a.promotion ?? 0) !== (b.promotion ?? 0) ? (a.promotion ?? 0) > (b.promotion ?? 0) : a.cause > b.cause

test('at every moment exactly the rows whose interval holds it were the newest known (any history, any share of memory)', async () => {
  await fc.assert(
    fc.asyncProperty(histories, fc.integer({ min: 1, max: 50 }), async (said, windowsPerPass) => {
      const { rows } = await table(said, 'csv', { isPointInTime: true, windowsPerPass })
      const known = knownOf(said)
      for (const { knownFromUs: atUs } of known) {
        const newest = new Map<string, Said>()
        for (const { said: each, knownFromUs } of known) {
          if (each.late || knownFromUs > atUs) continue
          const key = `${each.assetId} ${each.window}`
          const kept = newest.get(key)
          const isCopy = kept !== undefined && vectorIdOf(kept) === vectorIdOf(each) && (kept.promotion ?? 0) === (each.promotion ?? 0)
          if (kept === undefined || ranksAbove(each, kept)) newest.set(key, isCopy ? { ...kept, cause: each.cause } : each)
        }
        const held = rows.filter(
          ({ knownFromUs, knownToUs }) => Number(knownFromUs) <= atUs && (knownToUs === '' || Number(knownToUs) > atUs),
        )
        assert.deepEqual(new Set(held.map(({ vectorId }) => vectorId)), new Set([...newest.values()].map(vectorIdOf)))
        assert.equal(held.length, newest.size)
      }
    }),
    { numRuns: 120 },
  )
})

test('the as-of join takes the latest window known at the moment, and nothing from the future (any history)', async () => {
  const moments = fc.array(fc.record({ assetId: fc.constantFrom('a', 'b', 'x'), ms: fc.integer({ min: -5, max: 150 }) }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(histories, moments, async (said, asked) => {
      const file = join(folder, `${++files}-times.csv`)
      writeFileSync(
        file,
        `label,assetId,timeUs\n${asked.map(({ assetId, ms }, i) => `"row ${i}, ""quoted""",${assetId},${(first.timestampMs + ms) * 1000}`).join('\n')}\n`,
      )
      const log = await logOf(said)
      const out = join(folder, `${files}.parquet`)
      const ranges = await rangesOf(log, 'features', 'start')
      const { counts } = await exportAsOf(log, codec, {
        topic: 'features',
        ranges,
        selection: {},
        format: 'parquet',
        out,
        moments: await readMoments(file),
        groupRows: 3,
      })
      const rows = await read(out, 'parquet')
      const known = knownOf(said)
      const expected = asked.map(({ assetId, ms }) => {
        const atUs = (first.timestampMs + ms) * 1000
        let best: Said | undefined
        for (const { said: each, knownFromUs } of known) {
          if (each.late || each.assetId !== assetId || knownFromUs > atUs) continue
          if (best === undefined || each.window > best.window || (each.window === best.window && ranksAbove(each, best))) best = each
        }
        return best === undefined ? '' : vectorIdOf(best)
      })
      assert.deepEqual(
        rows.map(({ vectorId }) => vectorId),
        expected,
      )
      assert.deepEqual(
        rows.map(({ label, assetId, timeUs }) => [label, assetId, Number(timeUs)]),
        asked.map(({ assetId, ms }, i) => [`row ${i}, "quoted"`, assetId, (first.timestampMs + ms) * 1000]),
      )
      assert.equal(counts.unknown, expected.filter((id) => id === '').length)
    }),
    { numRuns: 120 },
  )
})

test('a times file says where it is wrong', async () => {
  const file = join(folder, 'wrong.csv')
  const refuses = async (text: string, expected: RegExp) => {
    writeFileSync(file, text)
    await assert.rejects(readMoments(file), expected)
  }
  await refuses('asset,timeUs\na,1\n', /wrong\.csv:1: expected a column assetId/)
  await refuses('assetId,when\na,1\n', /:1: expected a column timeUs/)
  await refuses('assetId,timeUs\na,1\na,soon\n', /:3: expected a time, found "soon"/)
  await refuses('assetId,timeUs\na,1,2\n', /--at .*wrong\.csv/)
})
