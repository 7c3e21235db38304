// `andon features` as a data engineer runs it: the real service over a real log, its vectors as tables, one of them explained,
// and a table previewed again.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'csv-parse/sync'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { type Codec, HEADER, type Log, type LogRecord, openCodec, openKafkaLog, publish } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { type Features, topology } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { andon } from './command.ts'
import { documents, telemetryOf } from './replay-plant.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-features-int-'))
const PARTITIONS = 2
const ASSETS = ['oven-1', 'oven-2']
const START_MS = Date.now() - 3_600_000

let kafka: Awaited<ReturnType<typeof startKafka>>
let registry: Awaited<ReturnType<typeof startRegistry>>
let log: Log
let codec: Codec
let environment: NodeJS.ProcessEnv

before(async () => {
  kafka = await startKafka()
  registry = await startRegistry({ brokers: kafka.brokers })
  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  codec = await openCodec({ registryUrl: registry.url })
  const topics = Object.entries(topology.topics)
  await log.admin.ensureTopics(
    topics.map(([name, { partitions, configs }]) => ({ name, partitions: partitions === 1 ? 1 : PARTITIONS, configs })),
  )
  environment = {
    ANDON_KAFKA_BROKERS: kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_HOME: join(folder, 'home'),
    ANDON_BLOB_DIR: join(folder, 'blobs'),
  }
  await publish(log, codec, documents(ASSETS), 'test')
  await log.append(telemetryOf(codec, ASSETS, PARTITIONS, START_MS, 30))
  // The service itself, as a run: what it writes is what it would have written live.
  await run('replay', 'run', '--topic', 'telemetry', '--from', '2h', '--as', 'lab')
})
after(async () => {
  await log?.close()
  await registry?.stop()
  await kafka?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const run = async (...words: string[]): Promise<string> => {
  const { code, out, err } = await andon(words, environment)
  assert.equal(code, 0, `${words.join(' ')}: ${err}${out}`)
  return out
}

const recordsOf = async (topic: string): Promise<LogRecord[]> => {
  const found: LogRecord[] = []
  for (let partition = 0; partition < PARTITIONS; partition++)
    for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' })) found.push(...batch.records)
  return found
}

test('a table of a run has a row per record of the log, with its numbers and its place', async () => {
  const file = join(folder, 'lab.parquet')
  const told = JSON.parse(await run('features', 'export', '--run', 'lab', '--point-in-time', '--out', file, '--json')) as { rows: number }
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file) })
  const records = await recordsOf('features.run.lab')
  const vectors = records.flatMap((record) => {
    const { vector } = codec.decode<Features>('features', record.value!)
    return vector === null ? [] : [{ record, vector }]
  })
  assert.ok(vectors.length >= 50, `${vectors.length} vectors`)
  assert.deepEqual([rows.length, told.rows], [vectors.length, vectors.length])
  const byId = new Map(rows.map((row) => [row['vectorId'], row]))
  for (const { record, vector } of vectors) {
    const row = byId.get(vector.vectorId)!
    const values = readDoubles(vector.values)
    assert.deepEqual(
      vector.names.map((name) => row[name]),
      [...values],
    )
    const cause = `${row['causeTopic']}/${row['causePartition']}/${row['causeLeaderEpoch']}/${row['causeOffset']}/${row['causeIndex']}`
    assert.deepEqual(
      [row['partition'], Number(row['offset']), row['leaderEpoch'], row['run'], cause, row['revision']],
      [record.partition, record.offset, record.leaderEpoch, 'lab', record.header(HEADER.cause), vector.revision],
    )
  }
})

test('for a moment of training the join gives what was known then', async () => {
  const times = join(folder, 'times.csv')
  const at = (seconds: number) => new Date(START_MS + seconds * 1000).toISOString()
  writeFileSync(times, `assetId,time,label\noven-1,${at(20.4)},good\noven-2,${at(-5)},none\n`)
  const out = join(folder, 'training.csv')
  const told = await run('features', 'export', '--run', 'lab', '--at', times, '--as', 'csv', '--out', out)
  assert.match(told, /For 1 of 2 moments a vector was known\./)
  const [first, second] = parse(readFileSync(out), { columns: true }) as Record<string, string>[]
  assert.deepEqual([first?.['label'], first?.['assetId'], second?.['label'], second?.['vectorId']], ['good', 'oven-1', 'none', ''])
  assert.ok(Number(first?.['knownFromUs']) <= (START_MS + 20_400) * 1000)
})

test('a vector of the service is explained, one that nobody wrote is not; the exit code says so', async () => {
  const [record] = await recordsOf('features.run.lab')
  const id = record!.header(HEADER.id)!
  const text = await run('features', 'explain', id, '--run', 'lab')
  assert.match(text, /✔ Computed again from the log: all 2 numbers are equal/)
  assert.match(text, /oven-\d-plc +1 +[\d-]+ +\d+ +telemetry\/\d@/)
  const unknown = await andon(['features', 'explain', 'nobody'], environment)
  assert.deepEqual([unknown.code, /ANDON_FEATURES_VECTOR_UNKNOWN/.test(unknown.err)], [1, true])
})

test('a preview needs no log, reads Parquet, and says by its exit code when a set does not fit', async () => {
  const set = join(folder, 'set.yaml')
  const text = (statistic: string) =>
    `version: 1\nname: features/again\nwindowMs: 5000\nlatenessMs: 0\ngraceMs: 0\nfeatures:\n  - { channel: temperatureC.mean, statistics: [${statistic}] }\n`
  writeFileSync(set, text('range'))
  const file = join(folder, 'lab.parquet')
  const words = ['features', 'preview', '--file', file, '--set', set, '--time', 'windowEndUs']
  const { code, out, err } = await andon([...words, '--columns', '80', '--png', join(folder, 'x.png')])
  assert.equal(code, 0, err)
  assert.match(out, /^features\/again on lab\.parquet/)
  assert.match(out, /temperatureC\.mean/)
  assert.equal(readFileSync(join(folder, 'x.png')).subarray(1, 4).toString(), 'PNG')
  writeFileSync(set, text('rnage'))
  const wrong = await andon(words)
  assert.equal(wrong.code, 2)
  assert.match(wrong.err, /set\.yaml:7: .*nearest known one is range/)
})
