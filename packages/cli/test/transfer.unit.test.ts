// Export and import: what comes back is what was there, in every format, and tools of others can read the files.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type Append, HEADER, type Log, localCodec, openMemoryLog } from '@andon/kit'
import { type SchemaName, avroSchemas, schemaNames } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { columnsOf } from '../src/data/columns.ts'
import { rangesOf } from '../src/data/ranges.ts'
import { FORMATS, type Format, readerOf } from '../src/data/table-file.ts'
import { exportTopic, importFiles, importRows, importTarget, requireSameSchemas, SCHEMAS, surveyFiles } from '../src/data/transfer.ts'

const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-transfer-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

const packedLongs = (...values: bigint[]): Buffer => Buffer.from(BigInt64Array.from(values).buffer)

/** One record of each topic with packed numbers in it. */
const values: Readonly<Partial<Record<SchemaName, unknown>>> = {
  telemetry: {
    type: 'block',
    assetId: 'press-1',
    block: {
      sourceId: 'plc',
      epoch: 1,
      seqFrom: 1,
      seqTo: 2,
      rows: 2,
      channels: ['temperatureC'],
      units: ['Cel'],
      dtype: 'f32',
      width: 1,
      samples: Buffer.from(Float32Array.of(20.5, Number.NaN).buffer),
      timesUs: packedLongs(1_700_000_000_000_001n, 1_700_000_000_100_001n),
      qualities: Buffer.from([0, 2]),
      receivedUs: 1_700_000_000_200_001,
    },
  },
  features: {
    type: 'vector',
    assetId: 'press-1',
    vector: {
      vectorId: 'v-1',
      featureSet: 'press',
      featureSetDigest: 'd',
      windowStartUs: 1_700_000_000_000_001,
      windowEndUs: 1_700_000_010_000_001,
      revision: 3,
      names: ['vibrationG.rms'],
      values: packDoubles(Float64Array.of(0.1)),
      ranges: [{ sourceId: 'plc', epoch: 1, seqFrom: 1, seqTo: 2 }],
      complete: true,
    },
  },
}

const headers = {
  [HEADER.id]: 'e-1',
  [HEADER.type]: 'andon.features.vector',
  [HEADER.lane]: 'live',
  [HEADER.cause]: 'telemetry/1/2/345/0',
  [HEADER.order]: '0.2.345.0',
  [HEADER.traceparent]: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'x-site': 'Köln 鋼',
}

const stored = async (log: Log, topic: string): Promise<Append[]> => {
  const found: Append[] = []
  for (const { partition } of await log.admin.watermarks(topic))
    for await (const batch of log.read({ topic, partition, from: 0, to: 'latest' }))
      for (const record of batch.records)
        found.push({
          topic: '',
          partition,
          key: record.key,
          value: record.value === null ? null : Buffer.from(record.value),
          headers: record.headers(),
          timestampMs: record.timestampMs,
        })
  return found
}

const roundTrip = async (topic: string, records: readonly Omit<Append, 'topic'>[], format: Format, isFolder = false, groupRows = 5000) => {
  const log = openMemoryLog({ partitions: 3, maxBatchRecords: 4 })
  await log.admin.ensureTopics(['copy', topic].map((name) => ({ name, partitions: 3 })))
  await log.append(records.map((record) => ({ topic, ...record })))
  const out = join(folder, isFolder ? `set-${++files}/` : `${++files}.${format}`)
  await exportTopic(log, codec, { topic, ranges: await rangesOf(log, topic, 'start'), format, out, groupRows })
  const count = await importRows(log, importFiles(out), 'copy', undefined)
  assert.equal(count, records.length)
  assert.deepEqual(await stored(log, 'copy'), await stored(log, topic))
  return out
}

for (const format of FORMATS) {
  test(`${format}: values, keys, headers and timestamps come back as they were`, async () => {
    for (const topic of ['telemetry', 'features'] as const) {
      const value = codec.encode(topic as string, values[topic])
      await roundTrip(
        topic,
        [
          { key: 'press-1', partition: 1, value, headers, timestampMs: 1_700_000_000_123 },
          { key: null, partition: 0, value: Buffer.from('rubbish'), timestampMs: 1_700_000_000_001 },
          { key: '', partition: 2, value: null, headers: { empty: '' }, timestampMs: 1_700_000_000_500 },
          { key: 'press-1', partition: 1, value: Buffer.alloc(0), timestampMs: 1_700_000_000_124 },
        ],
        format,
      )
    }
  })

  test(`${format}: any bytes, keys and headers come back, from a folder of partitions as well`, async () => {
    const record = fc.record({
      key: fc.option(fc.string({ unit: 'grapheme' })),
      partition: fc.nat(2),
      value: fc.option(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))),
      headers: fc.dictionary(
        fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => name !== '__proto__'),
        fc.string({ unit: 'grapheme' }),
        { maxKeys: 3 },
      ),
      timestampMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 20 }), fc.boolean(), async (records, isFolder) => {
        await roundTrip(
          'features',
          records.toSorted((a, b) => a.timestampMs - b.timestampMs),
          format,
          isFolder && records.length > 0,
        )
      }),
      { numRuns: 15 },
    )
  })

  test(`${format}: more rows than a group holds are written and read in groups`, async () => {
    const many = Array.from({ length: 251 }, (_, i) => ({
      key: `k-${i}`,
      partition: i % 3,
      value: Buffer.from(String(i)),
      headers: { i: String(i) },
      timestampMs: 1 + i,
    }))
    const out = await roundTrip('features', many, format, false, 100)
    let groups = 0
    for await (const group of (await readerOf(out)).groups()) {
      assert.ok(group.length <= 100)
      groups += 1
    }
    assert.equal(groups, 3)
    assert.equal((await surveyFiles([out])).lastPartition, 2)
  })
}

test('every topic of the mesh has columns, and none of its fields hides a lineage column', () => {
  for (const name of schemaNames) {
    const names = columnsOf(name === 'changelog' ? 'features.changelog' : name).map((each) => each.name)
    assert.equal(new Set(names).size, names.length)
  }
  assert.throws(() => columnsOf('somebody-elses'), { code: 'ANDON_CLI_TOPIC_SCHEMA' })
})

test('nothing is imported into a live topic; a run has topics of its own', () => {
  for (const live of ['telemetry', 'actions', 'features.changelog', 'features.inference.dlq', 'telemetry.ingest.quarantine'])
    assert.throws(() => importTarget(live, undefined), { code: 'ANDON_CLI_IMPORT_LIVE' })
  assert.equal(importTarget('telemetry', 'lab-7'), 'telemetry.run.lab-7')
  assert.equal(importTarget('telemetry.run.lab-7', undefined), 'telemetry.run.lab-7')
  assert.equal(importTarget('scratch', undefined), 'scratch')
  assert.throws(() => importTarget('telemetry', 'Lab 7'), { code: 'ANDON_CLI_RUN_ID' })
})

test('an import as a run says so in the headers', async () => {
  const log = openMemoryLog({ partitions: 1 })
  await log.append([{ topic: 'features', key: 'a', value: Buffer.from('x'), headers: { [HEADER.id]: 'e-1' } }])
  const out = join(folder, 'run.parquet')
  await exportTopic(log, codec, { topic: 'features', ranges: await rangesOf(log, 'features', 'start'), format: 'parquet', out })
  await importRows(log, [out], 'features.run.lab-7', 'lab-7')
  assert.deepEqual((await stored(log, 'features.run.lab-7'))[0]?.headers, { [HEADER.id]: 'e-1', [HEADER.run]: 'lab-7' })
})

test('an import is refused where a schema id means another schema', async () => {
  const log = openMemoryLog({ partitions: 1 })
  await log.append([{ topic: 'features', key: 'a', value: codec.encode('features' as string, values.features) }])
  const id = codec.schemaId('features')
  for (const format of FORMATS) {
    const out = join(folder, `schemas.${format}`)
    const metadata = { [SCHEMAS]: JSON.stringify([[id, avroSchemas.features]]) }
    await exportTopic(log, codec, { topic: 'features', ranges: await rangesOf(log, 'features', 'start'), format, out, metadata })
    const survey = await surveyFiles([out])
    assert.deepEqual([...survey.schemaIds], [id])
    await requireSameSchemas(survey, async () => avroSchemas.features)
    for (const here of [undefined, avroSchemas.predictions])
      await assert.rejects(
        requireSameSchemas(survey, async () => here),
        { code: 'ANDON_CLI_IMPORT_SCHEMA' },
      )
  }
})

test('what is no export is refused by name', async () => {
  assert.throws(() => importFiles(join(folder, 'missing.parquet')), { code: 'ANDON_CLI_FILE' })
  await assert.rejects(readerOf('table.csv'), { code: 'ANDON_CLI_FILE' })
})

// Reading with other people's tools: ANDON_TEST_PYTHON names a Python that has pyarrow and fastavro.
const python = process.env['ANDON_TEST_PYTHON'] ?? 'python3'
const hasTools = spawnSync(python, ['-c', 'import pyarrow.parquet, pyarrow.feather, fastavro']).status === 0
const script = `
import sys, json, fastavro, pyarrow.parquet as pq, pyarrow.feather as feather
folder = sys.argv[1]
out = {}
for topic in ('telemetry', 'features'):
    out[topic] = {
        'parquet': pq.read_table(f'{folder}/{topic}.parquet').to_pylist()[0],
        'arrow': feather.read_table(f'{folder}/{topic}.arrow').to_pylist()[0],
        'avro': next(iter(fastavro.reader(open(f'{folder}/{topic}.avro', 'rb')))),
    }
print(json.dumps(out, default=lambda x: x.hex() if isinstance(x, bytes) else x.isoformat()))
`

test('pyarrow and fastavro read the files', { skip: hasTools ? false : 'no Python with pyarrow and fastavro here' }, async () => {
  const log = openMemoryLog({ partitions: 3 })
  for (const topic of ['telemetry', 'features'] as const) {
    await log.append([
      { topic, key: 'press-1', partition: 1, value: codec.encode(topic as string, values[topic]), headers, timestampMs: 1_700_000_000_123 },
    ])
    const ranges = await rangesOf(log, topic, 'start')
    for (const format of FORMATS) await exportTopic(log, codec, { topic, ranges, format, out: join(folder, `${topic}.${format}`) })
  }
  const read = JSON.parse(execFileSync(python, ['-c', script, folder], { encoding: 'utf8' }).replaceAll('NaN', 'null')) as Record<
    string,
    Record<Format, Record<string, never>>
  >
  for (const format of FORMATS) {
    const features = read['features']?.[format] as Record<string, unknown>
    assert.equal(features['key'], 'press-1')
    assert.equal(features['cause_offset'], 345)
    assert.match(String(features['timestamp']), /^2023-11-14T22:13:20\.123/)
    assert.equal(features['value_bytes'], codec.encode('features' as string, values.features).toString('hex'))
    const vector = features['vector'] as Record<string, unknown>
    assert.deepEqual(vector['values'], [0.1])
    assert.match(String(vector['windowStartUs']), /^2023-11-14T22:13:20\.000001/)
    assert.deepEqual(vector['ranges'], [{ sourceId: 'plc', epoch: 1, seqFrom: 1, seqTo: 2 }])
    assert.equal(features['late'], null)
    const telemetry = read['telemetry']?.[format] as Record<string, unknown>
    const block = telemetry['block'] as Record<string, unknown>
    assert.deepEqual(block['samples'], [20.5, null])
    assert.deepEqual(block['qualities'], [0, 2])
    assert.match(String((block['timesUs'] as string[])[1]), /^2023-11-14T22:13:20\.100001/)
  }
})
