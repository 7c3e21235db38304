// The story of one fault mode, through the services' own code on the log in memory: an unknown state, an emerging mode, a person who names
// it, failures that are recorded, and the mode coming back as a graver finding with what it stands on. Always with a synthetic bearing;
// with the recordings of real bearings where they are at hand (they may not be copied into the repository).

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { randomFrom } from '@andon/clustering/random'
import { loadConfig } from '@andon/clustering/config'
import { createClusteringService } from '@andon/clustering'
import {
  canonicalJson,
  createLogger,
  createMetrics,
  followTopic,
  localCodec,
  openMemoryLog,
  publish,
  runProcess,
  sha256Hex,
  startService,
} from '@andon/kit'
import { repositoryRoot } from '@andon/platform'
import { parsePlant } from '@andon/schemas'
import type { Anomalies, Models, Predictions } from '@andon/schemas'
import { Registrations } from '../../services/inference/src/models/registrations.ts'
import { onRegistrationRequests } from '../../services/inference/src/on-registration-requests.ts'
import { plantDocuments, publishDocuments, readActions, startActions, TOPICS } from '../../services/actions/test/rig.ts'
import { idle, reviewPolicy } from '../../services/actions/test/review-rig.ts'
import { BEARING_FEATURES, bearingFeatures, bearingWindows } from '../quality/bearing-windows.ts'

const SECOND_US = 1_000_000
const HOUR_US = 3_600 * SECOND_US
const DAY_US = 24 * HOUR_US
/** Windows of a pump, one every six hours. */
const EVERY_US = 6 * HOUR_US
const PUMPS = ['pump-1', 'pump-2', 'pump-3', 'pump-4']
/** A worn bearing runs for four days, then it fails; the pump is well again at once. */
const FAULT_DAYS = 4
const LEARNING_DAYS = 30

interface Bearing {
  readonly healthy: readonly Float64Array[]
  readonly worn: readonly Float64Array[]
}

/** Noise of a running shaft; worn, with knocks at the rate of the inner race that ring at 3 kHz. */
const syntheticBearing = (): Bearing => {
  const random = randomFrom(7)
  const every = 12_000 / ((1797 / 60) * 5.4152)
  const windows = (count: number, knock: number): Float64Array[] =>
    Array.from({ length: count }, () => {
      const samples = Float64Array.from({ length: 4096 }, (_, i) => {
        const since = i % every
        const ring = knock * Math.exp(-since / 12) * Math.sin((2 * Math.PI * 3_000 * since) / 12_000)
        return 0.3 * Math.sin((2 * Math.PI * 29.95 * i) / 12_000) + 0.2 * random.normal() + ring * (1 + 0.1 * random.normal())
      })
      return bearingFeatures(samples, 1797)
    })
  return { healthy: windows(200, 0), worn: windows(60, 1.5) }
}

const recordings = join(repositoryRoot, '..', 'shared', 'data')
const missing = existsSync(join(recordings, 'cwru')) ? false : 'the bearing recordings are not here'

/**
 * A healthy bearing and one with a small fault of the inner race, at 1797 turns a minute. The recordings are short and the story is long:
 * recorded windows come again and again, each time with a scatter of their own, for no two windows of a machine are equal.
 */
const recordedBearing = (): Bearing => {
  const { features, faults, speedsRpm } = bearingWindows(recordings)
  const random = randomFrom(11)
  const of = (fault: string): Float64Array[] => {
    const recorded = faults.flatMap((found, i) =>
      found === fault && speedsRpm[i] === 1797 ? [features.values.slice(i * features.width, (i + 1) * features.width)] : [],
    )
    const spread = BEARING_FEATURES.map((_, k) => {
      const column = recorded.map((row) => row[k] as number)
      const mean = column.reduce((sum, value) => sum + value, 0) / column.length
      return Math.sqrt(column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length)
    })
    return Array.from({ length: 400 }, (_, n) =>
      (recorded[n % recorded.length] as Float64Array).map((value, k) => value + 0.7 * (spread[k] as number) * random.normal()),
    )
  }
  return { healthy: of('Normal'), worn: of('IR_7') }
}

const plant = parsePlant({
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'Europe/Berlin' },
  lines: [{ id: 'water', name: 'Water', area: 'utilities' }],
  assetClasses: [{ id: 'pump', featureSet: 'features/bearing', equipmentClass: 'PU' }],
  assets: PUMPS.map((id) => ({
    id,
    name: id,
    line: 'water',
    class: 'pump',
    channels: [{ id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 12_000, width: 4096 }],
  })),
})

const story = async (t: TestContext, { healthy, worn }: Bearing): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-story-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'principals.json'), '[]')
  const log = openMemoryLog({ partitions: 1 })
  const codec = localCodec()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: 1 })))
  const startUs = Math.floor((Date.now() * 1000 - 150 * DAY_US) / DAY_US) * DAY_US
  const body = canonicalJson(plant)
  const type = 'ConfigPublished'
  const document = {
    type,
    name: 'plant',
    kind: 'plant',
    digest: sha256Hex(body),
    body,
    effectiveFromUs: startUs,
    by: 'test',
    atUs: startUs,
  }
  await publish(log, codec, [{ topic: 'config', key: 'plant', value: document, id: 'plant', type, timeUs: startUs }], 'test')

  const found: Anomalies[] = []
  const anomalies = await followTopic<Anomalies>(log, codec, 'anomalies', ({ value }) => void found.push(value))
  t.after(() => anomalies.stop())
  await answerRegistrations(t)
  const catalogue = plantDocuments().filter(({ kind }) => kind === 'commands' || kind === 'boundary')
  const policy = { ...document, name: reviewPolicy.name, kind: 'policy', digest: 'review', body: JSON.stringify(reviewPolicy) }
  await publishDocuments(log, codec, [...catalogue, policy])
  const { door } = await startActions(t, { log, codec, executors: { opcua: idle, notify: idle, job: idle } })
  const decided = await readActions(t, log, codec)
  const clustering = await startService(
    createClusteringService(
      loadConfig({
        CLUSTERING_ADMIN_PORT: '0',
        CLUSTERING_HTTP_PORT: '0',
        CLUSTERING_LEARNING_WINDOWS: String((LEARNING_DAYS * DAY_US) / EVERY_US),
        CLUSTERING_REFIT_EVERY_MS: String(DAY_US / 1000),
        CLUSTERING_ACTIVATION_DELAY_MS: '1000',
        ANDON_LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
        ANDON_TOKENS_FILE: join(folder, 'principals.json'),
        ANDON_BLOB_DIR: join(folder, 'blobs'),
      }),
      async () => ({ log, codec }),
    ),
  )
  t.after(() => clustering.stop())

  /** What inference does with requests for registration. */
  async function answerRegistrations(within: TestContext): Promise<void> {
    const registrations = new Registrations()
    const models = await followTopic<Models>(log, codec, 'models', ({ value }) => registrations.apply(value))
    const open = () => ({
      handle: onRegistrationRequests({ registrations, settled: () => models.caughtUp(), hasArtefact: async () => true, count: () => {} }),
    })
    const logger = createLogger({ service: 'inference', level: 'silent' })
    const options = { service: 'inference', group: 'inference.registrar', input: 'models', open, maxBatchRecords: 1 }
    const run = await runProcess<Models>(log, codec, options, { logger, metrics: createMetrics('inference') })
    within.after(async () => {
      await run.stop()
      await models.stop()
    })
  }

  let day = 0
  let sent = 0
  /** From healthy to worn. */
  const further = meanOf(worn).map((value, k) => value - (meanOf(healthy)[k] as number))
  const turn = randomFrom(3)
  /** Days of all pumps; `faulty` runs with a worn bearing for so long from the first of them on, `wear` times further than worn. */
  const run = async (days: number, faulty?: string, wear = 0): Promise<void> => {
    const outputs = []
    for (let at = 0; at < days * DAY_US; at += EVERY_US)
      for (const assetId of PUMPS) {
        const isWorn = assetId === faulty && at < FAULT_DAYS * DAY_US
        const windows = isWorn ? worn : healthy
        const drawn = windows[Math.floor(turn.uniform() * windows.length)] as Float64Array
        const row = isWorn ? drawn.map((value, k) => value + wear * (further[k] as number)) : drawn
        const value = windowOf(assetId, startUs + day * DAY_US + at, row, sent++)
        const order = { promotion: 0, leaderEpoch: 0, offset: sent, index: 0 }
        const { predictionId: id, type: kind, windowEndUs: timeUs } = value
        outputs.push({ topic: 'predictions', key: assetId, value, id, type: kind, timeUs, order })
      }
    day += days
    // what was said and activated until now holds for these windows
    await publish(log, codec, outputs, 'test', { timestampMs: Date.now() + 5_000 })
  }
  const event = (type: string, assetId?: string) =>
    found.find((one) => one.type === type && (assetId === undefined || one.assetId === assetId))
  const until = async <T>(what: string, look: () => T | undefined, meanwhile: () => Promise<void> = async () => {}): Promise<T> => {
    for (let tries = 0; tries < 400; tries++) {
      const seen = look()
      if (seen !== undefined) return seen
      if (tries % 20 === 19) await meanwhile()
      await delay(25)
    }
    throw new Error(
      `did not happen: ${what}; told: ${JSON.stringify(found.map((one) => `${one.type} ${one.assetId} ${one.finding?.faultModeId}`))}`,
    )
  }

  // an unknown state: no model of the class knows the pattern
  await run(LEARNING_DAYS + 5)
  await run(10, 'pump-1')
  const unknown = await until('an episode of pump-1', () => event('EpisodeOpened', 'pump-1')?.finding ?? undefined)
  assert.deepEqual([unknown.faultMode, event('FaultModeReappeared')], [null, undefined])

  // an emerging mode: more pumps show it, and it is told once, for review
  const failed: { readonly asset: string; readonly atUs: number }[] = [
    { asset: 'pump-1', atUs: startUs + (day - 10 + FAULT_DAYS) * DAY_US },
  ]
  for (const asset of [...PUMPS.slice(1), ...PUMPS.slice(1)]) {
    failed.push({ asset, atUs: startUs + (day + FAULT_DAYS) * DAY_US })
    await run(8, asset)
  }
  await run(15)
  const discovered = await until(
    'a fault mode',
    () => event('FaultModeDiscovered'),
    () => run(2),
  )
  const modeId = discovered.faultMode?.modeId ?? ''
  assert.equal(found.filter(({ type }) => type === 'FaultModeDiscovered').length, 1)

  // a person names it, and the failures that followed are recorded
  const named = await door.post(
    `/v1/fault-modes/${modeId}`,
    {
      class: 'pump',
      name: 'Worn inner race',
      instruction: 'Exchange the bearing',
      consequence: 'The pump seizes',
      timeToRespondS: 172_800,
    },
    'lead',
  )
  assert.deepEqual([named.status, named.body.outcome], [200, 'FaultModeNamed'])
  const failureIds: string[] = []
  for (const { asset, atUs } of failed) {
    const recorded = await door.post('/v1/failures', { asset, at: atUs, mode: 'VIB', mechanism: '2.4' }, 'integrator')
    assert.equal(recorded.body.outcome, 'FailureRecorded', JSON.stringify(recorded.body))
    failureIds.push(recorded.body.failureId)
  }

  // it comes back: a graver finding, with its name and what it stands on
  let activations = 0
  const models = await followTopic<Models>(log, codec, 'models', ({ value }) => {
    if (value.type === 'ModelActivated' && value.kind === 'clusters') activations++
  })
  t.after(() => models.stop())
  await models.caughtUp()
  // a fit that was under way may not know of the failures, the next one does
  const enough = activations + 2
  await until(
    'a fit that knows of the failures',
    () => (activations >= enough ? true : undefined),
    () => run(2),
  )
  await run(8, 'pump-1')
  const back = await until('the mode coming back', () => event('FaultModeReappeared', 'pump-1')?.finding ?? undefined)
  const episode = found.find(({ finding }) => finding?.episodeId === back.episodeId && finding.transition === 'opened')?.finding
  assert.deepEqual([back.faultModeId, back.faultMode], [modeId, 'Worn inner race'])
  assert.equal(back.severity, Math.max(1, (episode?.severity ?? 0) - 1))
  assert.match(back.title, /Worn inner race is back; a failure followed \d of \d earlier episodes/)
  const { precedent } = back
  assert.ok(precedent !== null && precedent.failures >= 5 && precedent.liftLow > 1.5, JSON.stringify(precedent))
  assert.deepEqual(
    precedent.failureIds.filter((id) => !failureIds.includes(id)),
    [],
  )

  // bearings wear faster than they did: the mode moves, keeps its id and its name, and is work where a policy says so
  let wear = 0
  const before = found.length
  const moved = await until(
    'the mode moving',
    () => found.slice(before).find(({ type }) => type === 'FaultModeDrifted'),
    async () => {
      wear += 0.2
      for (const asset of PUMPS) await run(8, asset, wear)
    },
  )
  assert.deepEqual([moved.faultMode?.modeId, moved.faultMode?.name], [modeId, 'Worn inner race'])
  await until('an incident for review', () =>
    decided.find(({ type, requestId }) => type === 'IncidentOpened' && requestId === moved.finding?.findingId),
  )
}

const meanOf = (rows: readonly Float64Array[]): Float64Array => {
  const sum = new Float64Array(rows[0]?.length ?? 0)
  for (const row of rows) row.forEach((value, k) => (sum[k]! += value / rows.length))
  return sum
}

const windowOf = (assetId: string, windowStartUs: number, row: Float64Array, number: number): Predictions => ({
  type: 'learning',
  assetId,
  predictionId: `prediction-${number}`,
  vectorId: `vector-${number}`,
  featureSet: 'features/bearing',
  featureSetDigest: 'b'.repeat(64),
  windowStartUs,
  windowEndUs: windowStartUs + 10 * SECOND_US,
  revision: 1,
  names: BEARING_FEATURES.map((name) => `vibrationG.${name}`),
  values: Buffer.from(row.buffer, row.byteOffset, row.byteLength),
  verdicts: [],
  complete: false,
  missing: [],
  historical: false,
  recordedStartUs: null,
  quality: 'good',
  regime: null,
  machineOff: false,
  health: [],
  baselineEpochUs: null,
  embeddings: [],
  remaining: [],
})

test('a fault mode from unknown to named to feared: a synthetic bearing', (t) => story(t, syntheticBearing()))

test('a fault mode from unknown to named to feared: recorded bearings', { skip: missing }, (t) => story(t, recordedBearing()))
