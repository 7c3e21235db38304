// `andon models` as a data engineer runs it: the real inference service learns an asset and scores it live; the same range and the same
// vectors from a file, scored again, say the same, bit for bit, and nothing is written on the log.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { type Codec, type Log, followTopic, openCodec, openKafkaLog, publish, vectorId } from '@andon/kit'
import { repositoryRoot, startKafka, startRegistry } from '@andon/platform'
import { type FeaturesInput, type Predictions, topology } from '@andon/schemas'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import { andon } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-models-int-'))
const PARTITIONS = 2
const WINDOWS = 120
const LEARNT = 60
const WINDOW_US = 1_000_000
const DIGEST = 'd'.repeat(64)
const NAMES = ['temperatureC.mean', 'vibrationG.rms', 'pressureBar.mean']

let kafka: Awaited<ReturnType<typeof startKafka>>
let registry: Awaited<ReturnType<typeof startRegistry>>
let service: ChildProcess
let log: Log
let codec: Codec
let environment: NodeJS.ProcessEnv
const live: Predictions[] = []

const valuesAt = (n: number): number[] => NAMES.map((_, j) => 10 * j + Math.sin(n * (j + 1.3)) + 0.3 * Math.cos(n * 7.7 + j))

const vectorAt = (assetId: string, n: number): FeaturesInput => ({
  type: 'vector',
  assetId,
  vector: {
    vectorId: vectorId(DIGEST, assetId, (n + 1) * WINDOW_US, 1, `samples-${n}`),
    featureSet: 'features/test',
    featureSetDigest: DIGEST,
    windowStartUs: n * WINDOW_US,
    windowEndUs: (n + 1) * WINDOW_US,
    revision: 1,
    supersedes: null,
    names: NAMES,
    values: packDoubles(Float64Array.from(valuesAt(n))),
    ranges: [],
    complete: true,
    missing: [],
    quality: 'good',
    plantDigest: '',
  },
})

const publishVectors = (assetId: string, from: number, to: number): Promise<unknown> =>
  publish(
    log,
    codec,
    Array.from({ length: to - from }, (_, i) => {
      const value = vectorAt(assetId, from + i)
      const { vectorId: id, windowEndUs: timeUs } = value.vector!
      return { topic: 'features', key: assetId, value, id, type: 'vector', subject: assetId, timeUs, order: 'own' as const }
    }),
    'test',
  )

const run = async (...words: string[]): Promise<string> => {
  const { code, out, err } = await andon(words, environment)
  assert.equal(code, 0, `${words.join(' ')}: ${err}${out}`)
  return out
}

const ends = async (): Promise<string> =>
  JSON.stringify(await Promise.all(Object.keys(topology.topics).map(async (topic) => [topic, await log.admin.watermarks(topic)])))

before(async () => {
  kafka = await startKafka()
  registry = await startRegistry({ brokers: kafka.brokers })
  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  codec = await openCodec({ registryUrl: registry.url })
  await log.admin.ensureTopics(
    Object.entries(topology.topics).map(([name, { partitions, configs }]) => ({
      name,
      partitions: partitions === 1 ? 1 : PARTITIONS,
      configs,
    })),
  )
  environment = {
    ANDON_KAFKA_BROKERS: kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registry.url,
    ANDON_HOME: join(folder, 'home'),
    ANDON_BLOB_DIR: join(folder, 'blobs'),
  }
  const ports = { INFERENCE_ADMIN_PORT: '0', INFERENCE_GRPC_PORT: '0', INFERENCE_HTTP_PORT: '0', INFERENCE_METRICS_PORT: '0' }
  service = spawn(process.execPath, [join(repositoryRoot, 'services/inference/src/main.ts')], {
    env: { ...process.env, ...environment, ...ports, INFERENCE_COMMISSIONING_WINDOWS: String(LEARNT), ANDON_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await publishVectors('press', 0, WINDOWS)
  await publishVectors('fan', 0, 5)
  const { promise, resolve } = Promise.withResolvers<void>()
  const follow = await followTopic<Predictions>(log, codec, 'predictions', ({ value }) => {
    if (value.assetId === 'press' && live.push(value) === WINDOWS) resolve()
  })
  const died = once(service, 'exit').then(() => Promise.reject(new Error('the service ended')))
  died.catch(() => {})
  await Promise.race([promise, died])
  await follow.stop()
})
after(async () => {
  if (service !== undefined && service.exitCode === null) {
    service.kill('SIGTERM')
    await once(service, 'exit')
  }
  await log?.close()
  await registry?.stop()
  await kafka?.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Scored {
  readonly type: string
  readonly vectorId: string
  readonly predictionId: string
  readonly ratio: number
  readonly score: number
  readonly provider: string
  readonly contributions: Readonly<Record<string, number>>
}
const linesOf = (file: string): Scored[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Scored)

/** Windows that the model was in force for were said live as they are said now, bit for bit, under the same ids. */
const assertAsLive = (scored: readonly Scored[]): void => {
  const said = live.slice(LEARNT).map(({ vectorId: id, predictionId, verdicts: [verdict] }) => {
    const shares = readDoubles(verdict!.contributions)
    const contributions = Object.fromEntries(verdict!.contributionNames.map((name, i) => [name, shares[i]]))
    return { vectorId: id, predictionId, ratio: verdict!.ratio, score: verdict!.score, provider: verdict!.provider, contributions }
  })
  assert.equal(said.length, WINDOWS - LEARNT)
  const now = new Map(scored.map((each) => [each.vectorId, each]))
  for (const each of said) {
    const { vectorId: id, predictionId, ratio, score, provider, contributions } = now.get(each.vectorId)!
    assert.deepEqual({ vectorId: id, predictionId, ratio, score, provider, contributions }, each)
  }
}

test('a range scored again says what was said live, under the same ids, and writes nothing', async () => {
  const before = await ends()
  const out = join(folder, 'scores.ndjson')
  const summary = JSON.parse(await run('models', 'score', '--model', 't2spe.press@advisory', '--out', out, '--json')) as Record<
    string,
    unknown
  >
  assert.deepEqual(
    [summary['rows'], summary['scored'], summary['failed'], summary['version'], summary['role']],
    [WINDOWS, WINDOWS, 0, 1, 'advisory'],
  )
  assertAsLive(linesOf(out))
  assert.equal(await ends(), before)
})

test('by version, as Parquet, with the columns of a table', async () => {
  const out = join(folder, 'scores.parquet')
  await run('models', 'score', '--model', 't2spe.press/1', '--out', out)
  const rows = (await parquetReadObjects({ file: await asyncBufferFromFile(out) })) as { vectorId: string; ratio: number; model: string }[]
  assert.equal(rows.length, WINDOWS)
  const ratios = new Map(rows.map(({ vectorId: id, ratio }) => [id, ratio]))
  for (const { vectorId: id, verdicts } of live.slice(LEARNT)) assert.equal(ratios.get(id), verdicts[0]!.ratio)
})

test('vectors of files give the same scores: an export of the range, and JSON lines', async () => {
  const exported = join(folder, 'features.parquet')
  await run('features', 'export', '--asset', 'press', '--out', exported)
  const lines = join(folder, 'vectors.ndjson')
  const recorded = Array.from({ length: WINDOWS }, (_, n) => {
    const { vector, assetId } = vectorAt('press', n)
    return JSON.stringify({ ...vector, assetId, values: valuesAt(n) })
  })
  writeFileSync(lines, recorded.join('\n'))
  for (const file of [exported, lines]) {
    const out = join(folder, 'from-file.ndjson')
    await run('models', 'score', '--model', 't2spe.press@1', '--vectors', file, '--out', out)
    assertAsLive(linesOf(out))
  }
})

test('what is registered, and what is wrong with a name, is said', async () => {
  const listed = JSON.parse(await run('models', 'ls', '--json')) as { model: string; version: number; state: string }[]
  assert.deepEqual(
    listed.map(({ model, version, state }) => [model, version, state]),
    [['t2spe.press', 1, 'activated as advisory']],
  )
  assert.match(await run('models', 'show', 't2spe.press'), /version 1: activated as advisory[\s\S]*ModelActivated as advisory/)
  const wrong = ['models', 'score', '--model', 't2spe.press@champion', '--out', join(folder, 'none.ndjson')]
  const { code, err } = await andon(wrong, environment)
  assert.notEqual(code, 0)
  assert.match(err, /There is no model t2spe\.press in force as champion: `andon models show t2spe\.press` lists/)
})
