// The sealer on a real broker: a finding with its lineage is sealed, sealed again with the same digests, and what retention took is a
// gap. The command reads it again without a broker.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, after, test } from 'node:test'
import { formatCause, HEADER, localCodec, openBlobs, openKafkaLog, partitionOf, verifySeal } from '@andon/kit'
import type { Append, Appended, Codec, Log, SealManifest } from '@andon/kit'
import { record } from '@andon/decisions'
import { startKafka } from '@andon/platform'
import type { Actions, FeaturesInput, PredictionsInput, Seal, TelemetryInput } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { DigestIndex } from '../src/sealer/digest-index.ts'
import { sealIncident } from '../src/sealer/sealer.ts'
import { eventually, findingOf, plantDocuments, publishDocuments, readActions, startActions, tempDir, TOPICS } from './rig.ts'

const ASSET = 'press-1'
const codec: Codec = localCodec()
const kafkaLogs: { close(): Promise<void> }[] = []
let brokers: readonly string[]
let stopKafka: () => Promise<unknown>
let namespaces = 0

before(async () => {
  const kafka = await startKafka()
  brokers = kafka.brokers
  stopKafka = () => kafka.stop()
})
after(async () => {
  for (const log of kafkaLogs) await log.close().catch(() => {})
  await stopKafka()
})

const openLog = async () => {
  const log = await openKafkaLog({ brokers: [...brokers], clientId: 'test', namespace: `seal${(namespaces += 1)}.` })
  kafkaLogs.push(log)
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' || name === 'models' ? 1 : 4 })))
  return log
}

const startUs = Date.now() * 1000 - 60_000_000

/** Appends one record with its id and what caused it. */
const append = async (log: Log, topic: string, key: string, id: string, value: unknown, cause?: Appended): Promise<Appended> => {
  const headers = {
    [HEADER.id]: id,
    [HEADER.lane]: 'live',
    ...(cause ? { [HEADER.cause]: formatCause({ ...cause, index: 0 }) } : {}),
  }
  const one: Append = { topic, key, value: codec.encode(topic, value), headers }
  const place = (await log.append([one])).at(0)
  assert.ok(place)
  return place
}

const block = (seqFrom: number): TelemetryInput => {
  const timesUs = Buffer.alloc(16)
  for (const row of [0, 1]) timesUs.writeBigInt64LE(BigInt(startUs + (seqFrom + row) * 1000), row * 8)
  return {
    type: 'block',
    assetId: ASSET,
    block: {
      sourceId: 'press-1-plc',
      epoch: 1,
      seqFrom,
      seqTo: seqFrom + 1,
      withheld: [],
      rows: 2,
      channels: ['temperatureC'],
      units: ['Cel'],
      dtype: 'f64',
      width: 1,
      samples: packDoubles(Float64Array.of(20, 21)),
      timesUs,
      qualities: Buffer.alloc(0),
      receivedUs: startUs + seqFrom * 1000,
      historical: false,
    },
    tick: null,
  }
}

/** Three blocks, one of another window; a vector of two; its prediction by a model in the blob store; the finding. */
const raiseWithLineage = async (log: Log, blobDir: string) => {
  const documents = plantDocuments()
  await publishDocuments(log, codec, documents)
  const digestOf = (name: string): string => documents.find((one) => one.name === name)?.digest ?? ''
  const artefact = await (await openBlobs(blobDir)).put(Buffer.from('an ONNX model'))
  const model = {
    type: 'ModelActivated',
    model: 'm',
    version: 1,
    kind: 'onnx',
    assetId: ASSET,
    featureSet: 'features/press',
    featureSetDigest: 'x',
    digest: artefact.sha256,
    uri: artefact.uri,
    role: 'champion',
    features: ['a'],
    card: '{}',
    effectiveFromUs: 0,
    by: 'test',
    atUs: startUs,
  }
  await append(log, 'models', 'm', 'model-1', model)
  const blocks: Appended[] = []
  for (const seq of [1, 3, 5]) blocks.push(await append(log, 'telemetry', ASSET, `block-${seq}`, block(seq)))
  const vector: FeaturesInput = {
    type: 'vector',
    assetId: ASSET,
    vector: {
      vectorId: 'v-1',
      featureSet: 'features/press',
      featureSetDigest: 'no-such-document',
      windowStartUs: startUs,
      windowEndUs: startUs + 7_000,
      revision: 4,
      names: ['a'],
      values: packDoubles(Float64Array.of(1)),
      ranges: [{ sourceId: 'press-1-plc', epoch: 1, seqFrom: 3, seqTo: 6 }],
      complete: true,
      missing: [],
      historical: false,
      plantDigest: digestOf('plant'),
    },
  }
  const vectorAt = await append(log, 'features', ASSET, 'v-1', vector, blocks.at(-1))
  const prediction: PredictionsInput = {
    type: 'verdicts',
    assetId: ASSET,
    predictionId: 'p-1',
    vectorId: 'v-1',
    featureSet: 'features/press',
    featureSetDigest: 'no-such-document',
    windowStartUs: startUs,
    windowEndUs: startUs + 7_000,
    revision: 4,
    names: ['a'],
    values: packDoubles(Float64Array.of(1)),
    verdicts: [],
    complete: true,
    missing: [],
    historical: false,
  }
  const predictionAt = await append(log, 'predictions', ASSET, 'p-1', prediction, vectorAt)
  const finding = findingOf({ findingId: 'f-1', modelDigest: artefact.sha256 })
  await append(log, 'anomalies', ASSET, 'f-1', { type: 'EpisodeOpened', assetId: ASSET, finding, detail: null }, predictionAt)
  return { blocks, artefact }
}

const sealedFact = (records: readonly Actions[]): Promise<{ fact: Actions; seal: Seal }> =>
  eventually(() => {
    const fact = records.find(({ type }) => type === 'IncidentSealed')
    assert.ok(fact?.seal, `no seal among ${records.map(({ type }) => type).join(', ')}`)
    return { fact, seal: fact.seal }
  }, 30_000)

const kindsOf = ({ items }: Pick<Seal, 'items'>): string[] => items.map(({ kind, id }) => (kind === 'config' ? kind : `${kind} ${id}`))

const andon = (dir: string, ...args: string[]): Promise<{ code: number | null; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(import.meta.dirname, '../../../packages/cli/src/main.ts')
    const env = { ...process.env, ANDON_HOME: join(dir, 'home'), ANDON_BLOB_DIR: join(dir, 'blobs'), ANDON_KAFKA_BROKERS: '127.0.0.1:1' }
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.once('close', (code) => resolve({ code, out, err }))
  })

test('a finding is sealed with all it was made of; sealed again it has the same digests, and the command finds a flipped byte', async (t) => {
  const log = await openLog()
  const dir = tempDir(t)
  const blobDir = join(dir, 'blobs')
  mkdirSync(blobDir, { recursive: true })
  const { artefact } = await raiseWithLineage(log, blobDir)
  const records = await readActions(t, log, codec)
  const { door } = await startActions(t, { log, codec, executors: {} }, { ANDON_BLOB_DIR: blobDir })
  const { fact, seal } = await sealedFact(records)
  const incidentId = fact.incidentId ?? ''

  assert.deepEqual(
    kindsOf(seal).filter((kind) => kind !== 'config'),
    ['artefact m@1', 'block block-3', 'block block-5', 'finding f-1', 'model model-1', 'prediction p-1', 'vector v-1'],
  )
  assert.ok(kindsOf(seal).includes('config'), 'the plant file')
  assert.equal(seal.items.find(({ kind }) => kind === 'artefact')?.digest, artefact.sha256)
  assert.deepEqual(
    seal.gaps.map(({ what }) => what.replace(/ before .*/, '')),
    ['document no-such-document', 'snapshot of clustering', 'snapshot of features'],
  )
  assert.equal((await door.get('/v1/incidents')).body.incidents[0].id, incidentId)

  // another sealer, another store, the same log
  const again = join(dir, 'again')
  const stored = await openBlobs(blobDir)
  const [opened] = records.filter(({ type }) => type === 'IncidentOpened')
  assert.ok(opened)
  const blobs = await openBlobs(again)
  await blobs.put(await stored.get(artefact.uri))
  const partition = partitionOf(opened.line, 4)
  let place: { offset: number; timestampMs: number } | undefined
  for await (const batch of log.read({ topic: 'actions', partition, from: 'earliest', to: 'latest' }))
    for (const one of batch.records) if (one.header(HEADER.id) === opened.id) place = { offset: one.offset, timestampMs: one.timestampMs }
  assert.ok(place && opened.finding)
  const deps = { log, codec, blobs, history: () => openBlobs(join(again, 'history')), index: new DigestIndex(log, codec), maxBytes: 1e8 }
  const second = await sealIncident(deps, { fact: opened, finding: opened.finding, partition, ...place })
  assert.equal(second.digest, seal.digest)
  assert.deepEqual(second.items, seal.items)

  // asked once more, the owner says nothing new
  const request = records.find(({ type }) => type === 'SealRequested')
  assert.ok(request)
  await append(log, 'actions', opened.line, request.id, request)
  const mark = record('SealRequested', 'mark', opened.line, request.atUs, { by: 'nobody', incidentId })
  await append(log, 'actions', opened.line, 'mark', mark)
  await eventually(() => assert.ok(records.some(({ requestId }) => requestId === 'mark')))
  assert.equal(records.filter(({ type }) => type === 'IncidentSealed').length, 1)

  const whole = await andon(dir, 'incident', 'verify', incidentId, '--digest', seal.digest)
  assert.equal(whole.code, 0, whole.err)
  assert.match(whole.out, /Every digest is what it was/)
  const target = seal.items.find(({ id }) => id === 'block-3')
  const file = stored.path(`sha256:${target?.digest}`)
  const bytes = readFileSync(file)
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(file, bytes)
  rmSync(stored.path(artefact.uri))
  const broken = await andon(dir, 'incident', 'verify', incidentId, '--json')
  assert.equal(broken.code, 1)
  const { problems } = JSON.parse(broken.out) as { problems: { id: string; problem: string }[] }
  assert.deepEqual(
    problems.map(({ id, problem }) => `${id} ${problem}`),
    ['m@1 missing', 'block-3 changed'],
  )
})

test('what retention took is a named gap, and the rest is sealed', async (t) => {
  const log = await openLog()
  const blobDir = join(tempDir(t), 'blobs')
  const { blocks } = await raiseWithLineage(log, blobDir)
  const [, , last] = blocks
  await log.admin.deleteRecords('telemetry', last?.partition ?? 0, last?.offset ?? 0)
  const records = await readActions(t, log, codec)
  await startActions(t, { log, codec, executors: {} }, { ANDON_BLOB_DIR: blobDir })
  const { fact, seal } = await sealedFact(records)
  assert.ok(seal.gaps.some(({ what, why }) => what.startsWith('samples 3 to 4 of press-1-plc') && why === 'not on the log any more'))
  assert.deepEqual(
    kindsOf(seal).filter((kind) => kind.startsWith('block')),
    ['block block-5'],
  )
  const { manifest, problems } = await verifySeal(await openBlobs(blobDir), fact.incidentId ?? '', seal.digest)
  assert.deepEqual(problems, [])
  assert.deepEqual((manifest satisfies SealManifest).gaps, seal.gaps)
})
