// Readings that are put right afterwards, as a person does it: quarantined, released once the plant file or the source file is right, or
// discarded; a range that was wrong, corrected and deleted. A real ingest on a real broker, and what features makes of its blocks.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { HEADER } from '@andon/kit'
import type { Block } from '@andon/schemas'
import { connectAsync } from 'mqtt'
import { addBlock, newAsset } from '../../services/features/src/asset-windows.ts'
import type { AssetWindows, Closing } from '../../services/features/src/asset-windows.ts'
import { NEVER_US } from '../../services/features/src/intervals.ts'
import { summarise } from '../../services/features/src/summarise.ts'
import { modelPlan } from '../../services/features/test/blocks.ts'
import { openIngestProcess } from '../../services/ingest/test/ingest-process.ts'
import { plant } from '../../services/ingest/test/rig.ts'
import { until } from '../../services/ingest/test/until.ts'
import { andon } from '../../packages/cli/test/command.ts'
import type { Result } from '../../packages/cli/test/command.ts'

const ingest = await openIngestProcess('http,mqtt')
after(() => ingest.stop())
await ingest.document('sources/boilers', 'source', boilers('temp'))
await ingest.start()

const door = `http://127.0.0.1:${ingest.ports.http}`
const environment = {
  ANDON_KAFKA_BROKERS: ingest.kafka.brokers.join(','),
  ANDON_REGISTRY_URL: ingest.registryUrl,
  ANDON_NAMESPACE: ingest.namespace,
  ANDON_INGEST_URL: door,
  ANDON_HOME: join(ingest.folder, 'home'),
  ANDON_TOKEN: 'operator-token',
}
const run = (...words: string[]): Promise<Result> => andon(words, environment)
const works = async <T = unknown>(...words: string[]): Promise<T> => {
  const { code, out, err } = await run(...words, '--json')
  assert.equal(code, 0, `andon ${words.join(' ')}\n${out}${err}`)
  return JSON.parse(out) as T
}
const post = (path: string, body: unknown, token?: string) =>
  fetch(`${door}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  })

// A source file as it is published; `field` is where it looks for the temperature.
function boilers(field: string) {
  const channels = { temperatureC: { field } }
  const mapping = { asset: { id: 'oven' }, time: { field: 't', format: 'ms' }, channels }
  return { version: 1, id: 'boilers', kind: 'mqtt', topic: 'boilers/+boiler', mapping }
}

/** The plant with another limit for the oven's temperature. */
const plantUpTo = (highest: number) => ({
  ...plant,
  cameras: [],
  assets: plant.assets.map((asset) =>
    asset.id === 'oven'
      ? { ...asset, channels: asset.channels.map((each) => (each.id === 'temperatureC' ? { ...each, range: [-50, highest] } : each)) }
      : asset,
  ),
})

const SECOND_US = 1_000_000
// Windows of 4 s: the test's samples lie in one that is over.
const baseUs = Math.floor(Date.now() / 4000 - 10) * 4 * SECOND_US
const iso = (s: number) => new Date((baseUs + s * SECOND_US) / 1000).toISOString()
const reading = (seq: number, s: number, temperatureC: number) => ({
  source: 'oven-plc',
  epoch: 1,
  seq,
  timeUs: baseUs + s * SECOND_US,
  values: { temperatureC },
})

interface Row {
  readonly source: string
  readonly asset: string
  readonly at: number
  readonly values: readonly number[]
  readonly id: string
}
/** Blocks of the oven in log order, of sources whose name begins so. */
const blocksOf = async (source = ''): Promise<{ assetId: string; block: Block }[]> =>
  (await ingest.telemetry()).flatMap(({ assetId, block }) => (block?.sourceId.startsWith(source) ? [{ assetId, block }] : []))
const rowsOf = async (source: string): Promise<Omit<Row, 'id'>[]> =>
  (await blocksOf(source)).flatMap(({ assetId, block }) =>
    Array.from({ length: block.rows }, (_, row) => ({
      source: block.sourceId,
      asset: assetId,
      at: (Number(Buffer.from(block.timesUs).readBigInt64LE(row * 8)) - baseUs) / SECOND_US,
      values: block.channels.map((_, channel) => Buffer.from(block.samples).readDoubleLE((channel * block.rows + row) * 8)),
    })),
  )
const rowsAppear = async (source: string, count: number) => {
  await until(async () => (await rowsOf(source)).length >= count, `${count} rows of ${source}`)
  return rowsOf(source)
}

/** Records of the quarantine: letters and settlements. */
const quarantined = async () =>
  (await ingest.log.admin.watermarks('telemetry.ingest.quarantine')).reduce((sum, { low, high }) => sum + high - low, 0)
/** Would ingest take this release, by the documents it knows now? */
const isTaken = async (each: object) => {
  const answer = await post('/v1/releases', { dryRun: true, reason: 'trial', releases: [each] }, 'operator-token')
  return ((await answer.json()) as { accepted: number }).accepted === 1
}

interface Released {
  readonly outcomes: readonly { readonly at: string; readonly outcome: string; readonly why: string }[]
}
const letters = async (...words: string[]) =>
  (
    await works<{
      letters: { partition: number; offset: number; id: string; code: string; settled: { as: string; reason: string } | null }[]
    }>('quarantine', 'show', ...words)
  ).letters
const release = async (reason: string, ...words: string[]) =>
  (await works<Released>('quarantine', 'release', '--reason', reason, ...words)).outcomes.map(({ outcome, why }) => [outcome, why])

test('a reading out of range is released once the plant file is right, and once only', async () => {
  const sent = await post('/v1/telemetry', [reading(1, 0, 80), reading(2, 1, 950), reading(3, 5, 80)], 'loader-token')
  assert.equal(((await sent.json()) as { accepted: number }).accepted, 2)
  await until(async () => (await quarantined()) === 1, 'the letter')
  const [letter] = await letters()
  const { groups } = await works<{ groups: { code: string; letters: number }[] }>('quarantine', 'ls')
  assert.deepEqual(
    groups.map(({ code, letters }) => [code, letters]),
    [['ANDON_INGEST_OUT_OF_RANGE', 1]],
  )
  const place = `${letter!.partition}@${letter!.offset}`
  assert.match((await run('quarantine', 'show', place)).out, /temperatureC: found 950, expected -50 to 900/)

  for (const yes of [[], ['--yes']]) {
    const [[outcome, why]] = (await release('range was too small', ...yes)) as [[string, string]]
    assert.equal(outcome, 'still refused')
    assert.match(why, /ANDON_INGEST_OUT_OF_RANGE: temperatureC: found 950/)
  }
  assert.equal(await quarantined(), 1, 'a refused release is no letter of its own')

  await ingest.document('plant', 'plant', plantUpTo(1200))
  const trial = { quarantineId: letter!.id, reading: reading(2, 1, 950) }
  await until(() => isTaken(trial), 'the plant file is known')
  assert.deepEqual(await release('range was too small'), [['would release', '']])
  assert.deepEqual(await rowsOf('release:'), [])
  assert.deepEqual(await release('range was too small', '--yes'), [['released', 'range was too small']])
  const [row] = await rowsAppear(`release:${letter!.id}`, 1)
  assert.deepEqual(row, { source: `release:${letter!.id}`, asset: 'oven', at: 1, values: [950] })
  assert.deepEqual((await letters('--all'))[0]?.settled, { as: 'released', reason: 'range was too small' })
  assert.deepEqual(await release('again', '--all', '--yes'), [['released', 'again']])
  await rowsAppear('release:', 2)
  const ids = await idsOf('release:')
  assert.deepEqual([ids.length, new Set(ids).size], [2, 1], 'the same block again')
})

/** Ids of the blocks of sources whose name begins so. */
const idsOf = async (source: string): Promise<(string | undefined)[]> => {
  const ids: (string | undefined)[] = []
  for (const { partition, low, high } of await ingest.log.admin.watermarks('telemetry'))
    for await (const batch of ingest.log.read({ topic: 'telemetry', partition, from: low, to: high }))
      for (const record of batch.records) if (record.value?.includes(source) === true) ids.push(record.header(HEADER.id))
  return ids
}

test('a payload that was mapped wrongly is released by the corrected source file; what nobody wants is discarded', async () => {
  const client = await connectAsync(`mqtt://127.0.0.1:${ingest.ports.mqtt}`, {
    username: 'plc',
    password: 'loader-token',
    protocolVersion: 5,
  })
  const publish = (payload: object) => client.publishAsync('boilers/oven', JSON.stringify(payload), { qos: 1 })
  await publish({ t: baseUs / 1000 + 2000, celsius: 90 })
  await publish({ t: 'never', celsius: 90 })
  await client.endAsync()
  await until(async () => (await quarantined()) === 5, 'both letters') // and two settlements

  await ingest.document('sources/boilers', 'source', boilers('celsius'))
  await until(
    async () => (await release('names another field')).some(([outcome]) => outcome === 'would release'),
    'the source file is known',
  )
  const outcomes = await release('names another field', '--yes')
  assert.deepEqual(
    outcomes.map(([outcome]) => outcome),
    ['released', 'still refused'],
  )
  const rows = (await rowsAppear('release:', 3)).filter(({ at }) => at === 2)
  assert.deepEqual(
    rows.map(({ asset, values }) => [asset, values]),
    [['oven', [90]]],
  )

  await works('quarantine', 'discard', '--reason', 'test device', '--yes')
  assert.ok((await letters('--all')).some(({ settled }) => settled?.as === 'discarded' && settled.reason === 'test device'))
})

const correct = (from: number, to: number, ...words: string[]) => {
  const range = ['--asset', 'oven', '--channel', 'temperatureC', '--from', iso(from), '--to', iso(to), '--reason', 'loose wire']
  return works<{ correctionId: string; accepted: number; sent: boolean }>('telemetry', 'correct', ...range, ...words)
}

test('a range is corrected, and deleted, once; features gives the next revision of its window', async () => {
  const file = join(ingest.folder, 'corrected.csv')
  writeFileSync(file, `time,temperatureC\n${iso(1)},70\n${iso(1.5)},\n`)
  const { correctionId, sent } = await correct(1, 2, '--file', file)
  assert.deepEqual([sent, await blocksOf('correction:')], [false, []])
  for (let again = 0; again < 2; again++) assert.equal((await correct(1, 2, '--file', file, '--yes')).correctionId, correctionId)
  const gone = await correct(2, 3, '--yes')
  assert.equal(gone.accepted, 0)
  await until(async () => (await blocksOf('correction:')).length === 3, 'the corrections')

  const [first, second, deletion] = (await blocksOf('correction:')).map(({ block }) => block)
  assert.deepEqual(first!.correction, {
    id: correctionId,
    fromUs: baseUs + SECOND_US,
    toUs: baseUs + 2 * SECOND_US,
    channels: ['temperatureC'],
    reason: 'loose wire',
    by: 'p-operator',
  })
  assert.deepEqual(
    [first!.rows, second!.seqTo, deletion!.rows, deletion!.sourceId],
    [2, first!.seqTo, 0, `correction:${gone.correctionId}`],
  )

  const plan = modelPlan({
    sources: ['oven-plc'],
  })
  const asset = newAsset()
  const revisions = (await blocksOf()).flatMap(({ block }) => vectors(asset, addBlock(asset, block, () => plan, NEVER_US, 256).closings))
  // 80; 950 released; 90 released; 70 in the place of 950; 90 taken out. What was sent twice gave no revision.
  assert.deepEqual(revisions, [
    [1, 80],
    [2, 515],
    [3, 1120 / 3],
    [6, 80],
    [7, 75],
  ])
})

const vectors = (asset: AssetWindows, closings: readonly Closing[]) =>
  closings.flatMap((each) => {
    if (each.kind !== 'vector') return []
    const { startUs, revision, values } = summarise(asset, each, null)!
    return startUs === baseUs ? [[revision, values[0]]] : []
  })

test('without a token, with another role and with a contradiction nothing is taken', async () => {
  const before = await quarantined()
  for (const path of ['/v1/releases', '/v1/corrections']) {
    assert.equal((await post(path, {})).status, 401)
    assert.equal((await post(path, {}, 'loader-token')).status, 403)
    const answer = await post(path, {}, 'operator-token')
    assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [400, 'ANDON_INGEST_BAD_AMENDMENT'])
  }
  const range = ['--asset', 'oven', '--channel', 'temperatureC', '--from', iso(1), '--to', iso(2), '--reason', 'x', '--yes']
  const file = join(ingest.folder, 'wrong.csv')
  writeFileSync(file, `time,temperatureC\n${iso(1)},70\n${iso(1.5)},5000\n`)
  const refused = await run('telemetry', 'correct', ...range, '--file', file)
  assert.equal(refused.code, 4)
  assert.match(refused.err, /readings\[1\]: ANDON_INGEST_OUT_OF_RANGE: .* Nothing was written/)
  assert.equal(await quarantined(), before)
})
