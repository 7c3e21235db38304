// Fault modes of a class of three assets on three partitions, judged by two instances of clustering over a real broker: a mode emerges, is
// activated, both instances name it alike, its id outlives the instance that fitted it, and a replay of the windows says the same.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeInput, followTopic, localCodec, openBlobs, openKafkaLog, publish, runProcess, startService } from '@andon/kit'
import { createLogger, createMetrics } from '@andon/kit'
import type { Follow, Input, Log, Run, RunningService } from '@andon/kit'
import { startKafka } from '@andon/platform'
import { topology } from '@andon/schemas'
import type { Anomalies, Models, Predictions } from '@andon/schemas'
import { documents } from '../../packages/cli/test/replay-plant.ts'
import { newMemory } from '../../services/clustering/src/asset-state.ts'
import { openClassModels } from '../../services/clustering/src/class-models.ts'
import { detectorSetOf, loadConfig } from '../../services/clustering/src/config.ts'
import { openArtefacts } from '../../services/clustering/src/detector-artefacts.ts'
import { detectorSetDigest } from '../../services/clustering/src/detector-set.ts'
import { openFaultModes } from '../../services/clustering/src/fault-modes.ts'
import { assetWords } from '../../services/clustering/src/finding.ts'
import { ModelCards } from '../../services/clustering/src/model-cards.ts'
import { onPredictions } from '../../services/clustering/src/on-predictions.ts'
import { createClusteringService } from '../../services/clustering/src/service.ts'
import { modelFact, predictionOf, valuesAt, verdictOf } from '../../services/clustering/test/predictions.ts'
import { REGISTRAR_GROUP, onRegistrationRequests } from '../../services/inference/src/on-registration-requests.ts'
import { Registrations } from '../../services/inference/src/models/registrations.ts'

const ASSETS = ['oven-0', 'oven-1', 'oven-2'] as const
const MINUTE_US = 60_000_000
const DELAY_MS = 200
const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-fault-modes-'))
const tokens = join(folder, 'principals.json')
writeFileSync(tokens, '[]')
const environment = {
  CLUSTERING_ADMIN_PORT: '0',
  CLUSTERING_HTTP_PORT: '0',
  CLUSTERING_SNAPSHOT_EVERY_MS: '200',
  CLUSTERING_LEARNING_WINDOWS: '10000',
  CLUSTERING_ACTIVATION_DELAY_MS: String(DELAY_MS),
  ANDON_LOG_LEVEL: 'silent',
  ANDON_TOKENS_FILE: tokens,
  ANDON_BLOB_DIR: join(folder, 'blobs'),
}

let kafka: Awaited<ReturnType<typeof startKafka>>
let log: Log
let registrar: { follow: Follow; run: Run }
const facts: Input<Models>[] = []
const findings: Input<Anomalies>[] = []
const follows: Follow[] = []
const running = new Set<RunningService>()

const eventually = async <T>(what: string, look: () => T | undefined): Promise<T> => {
  for (let waitedMs = 0; waitedMs < 120_000; waitedMs += 50) {
    const found = look()
    if (found !== undefined) return found
    await sleep(50)
  }
  throw new Error(`did not happen within 120 s: ${what}; models: ${facts.map(({ value }) => `${value.type} ${value.reason}`).join(', ')}`)
}

/** Inference's part in it. */
const startRegistrar = async (): Promise<typeof registrar> => {
  const registrations = new Registrations()
  const blobs = await openBlobs(environment.ANDON_BLOB_DIR)
  const follow = await followTopic<Models>(log, codec, 'models', ({ value }) => registrations.apply(value))
  const deps = { registrations, settled: () => follow.caughtUp(), hasArtefact: (uri: string) => blobs.has(uri), count: () => {} }
  const meters = { logger: createLogger({ service: 'test', level: 'silent' }), metrics: createMetrics('test') }
  const options = { service: 'inference', group: REGISTRAR_GROUP, input: 'models', maxBatchRecords: 1 }
  const run = await runProcess<Models>(log, codec, { ...options, open: () => ({ handle: onRegistrationRequests(deps) }) }, meters)
  return { follow, run }
}

const startInstance = async (): Promise<RunningService> => {
  const outside = async () => ({ log: await openKafkaLog({ brokers: kafka.brokers, clientId: 'clustering' }), codec })
  const service = await startService(createClusteringService(loadConfig(environment), outside))
  running.add(service)
  return service
}

before(async () => {
  kafka = await startKafka()
  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  const topics = Object.entries(topology.topics)
  await log.admin.ensureTopics(topics.map(([name, { partitions, configs }]) => ({ name, partitions: Math.min(3, partitions), configs })))
  await publish(log, codec, documents(ASSETS), 'test')
  for (const [i, assetId] of ASSETS.entries()) {
    const value = modelFact({ model: `t2spe.${assetId}`, assetId, digest: String(i).repeat(64) })
    await publish(
      log,
      codec,
      [{ topic: 'models', key: value.model, value, id: `m${i}`, type: value.type, timeUs: 0, partition: 0 }],
      'test',
    )
  }
  registrar = await startRegistrar()
  follows.push(await followTopic<Models>(log, codec, 'models', (input) => void facts.push({ ...input })))
  follows.push(await followTopic<Anomalies>(log, codec, 'anomalies', (input) => void findings.push({ ...input })))
})

after(async () => {
  for (const service of running) await service.stop()
  for (const follow of [...follows, registrar?.follow]) await follow?.stop()
  await registrar?.run.stop()
  await log?.close()
  await kafka?.stop()
  rmSync(folder, { recursive: true, force: true })
})

let minute = 0
/** Hours of a window a minute per asset, the first twenty of each hour with a fault; their records came at that time. */
const run = async (hours: number, sigmas: readonly number[] | undefined, recordMs: number): Promise<void> => {
  const outputs = Array.from({ length: hours * 60 }, (_, at) => {
    const n = minute + at
    const isFault = sigmas !== undefined && at % 60 < 20
    return ASSETS.map((assetId, partition) => {
      const wobble = (i: number): number => Math.sin(n * (1.3 + 0.7 * i) + 5 * partition) + 0.5 * Math.cos(n * (2.9 + i))
      const values = valuesAt(...[0, 1, 2].map((i) => (isFault ? (sigmas[i] as number) : 0) + wobble(i)))
      const value = predictionOf(n, isFault ? 9 : 0.3, {
        assetId,
        predictionId: `prediction-${partition}-${n}`,
        vectorId: `vector-${partition}-${n}`,
        windowStartUs: n * MINUTE_US,
        windowEndUs: (n + 1) * MINUTE_US,
        values,
        verdicts: [verdictOf(isFault ? 9 : 0.3, { model: `t2spe.${assetId}`, digest: String(partition).repeat(64) })],
      })
      const order = { promotion: 0, leaderEpoch: 0, offset: n, index: 0 }
      return {
        topic: 'predictions',
        key: assetId,
        partition,
        value,
        id: value.predictionId,
        type: value.type,
        timeUs: value.windowEndUs,
        order,
      }
    })
  }).flat()
  minute += hours * 60
  await publish(log, codec, outputs, 'test', { timestampMs: recordMs })
}

const activations = () => facts.filter(({ value }) => value.type === 'ModelActivated' && value.kind === 'clusters')
const discovered = () => findings.filter(({ value }) => value.type === 'FaultModeDiscovered')
/** Modes of the episodes that were opened or updated from a minute on, by asset. */
const shown = (fromMinute: number) =>
  new Map(
    ASSETS.map((assetId) => [
      assetId,
      new Set(
        findings.flatMap(({ value: { finding } }) =>
          finding !== null && finding.assetId === assetId && finding.atUs > fromMinute * MINUTE_US && finding.transition === 'opened'
            ? [finding.faultModeId]
            : [],
        ),
      ),
    ]),
  )
/** A record time at which everything that is activated by now holds. */
const later = async (): Promise<number> => {
  const holdsMs = Math.max(...facts.map(({ timestampMs }) => timestampMs)) + DELAY_MS
  return eventually('the clock is there', () => (Date.now() > holdsMs ? Date.now() : undefined))
}
const opened = (assetId: string, fromMinute: number, count: number) => () => {
  const of = findings.filter(({ value }) => value.type === 'EpisodeOpened' && value.assetId === assetId)
  return of.filter(({ value }) => (value.finding?.atUs ?? 0) > fromMinute * MINUTE_US).length >= count ? true : undefined
}

test('a mode emerges, both instances name it alike, and its id outlives who fitted it', async () => {
  const [first, second] = [await startInstance(), await startInstance()]
  await run(5, undefined, Date.now())
  await eventually('the class has a model', () => activations()[0])
  assert.deepEqual(discovered(), [])

  await run(4, [20, 30, 40], await later())
  const [emerged] = await eventually('a fault mode is discovered', () => (discovered().length > 0 ? discovered() : undefined))
  const modeId = emerged?.value.faultMode?.modeId as string
  assert.deepEqual([emerged?.value.faultMode?.classId, emerged?.value.faultMode?.change], ['oven', 'emerged'])

  const told = minute
  await run(2, [20, 30, 40], await later())
  for (const assetId of ASSETS) await eventually(`${assetId} shows it`, opened(assetId, told, 2))
  assert.deepEqual(shown(told), new Map(ASSETS.map((assetId) => [assetId, new Set([modeId])])))

  // Whoever fits the class now, one of them goes, and the other has everything.
  await first.stop()
  running.delete(first)
  const before = activations().length
  await run(4, [-40, 20, -30], await later())
  await eventually('the class is fitted by the other', () => (discovered().length > 1 ? true : undefined))
  await second.stop()
  running.delete(second)
  assert.ok(activations().length > before)

  await startInstance()
  const again = minute
  await run(2, [20, 30, 40], await later())
  for (const assetId of ASSETS) await eventually(`${assetId} shows it again`, opened(assetId, again, 2))
  assert.deepEqual(shown(again), new Map(ASSETS.map((assetId) => [assetId, new Set([modeId])])))
  const ids = discovered().map(({ value }) => value.faultMode?.modeId)
  assert.deepEqual([ids.length, new Set(ids).size, new Set(discovered().map(({ id }) => id)).size], [2, 2, 2])
})

test('a replay of the windows with the activations of the log gives the same findings', async () => {
  const config = loadConfig(environment)
  const set = detectorSetOf(config)
  const cards = new ModelCards()
  const blobs = await openBlobs(config.blobDir)
  const models = openClassModels({
    blobs: async () => blobs,
    delayUs: DELAY_MS * 1000,
    onMissing: (digest) => assert.fail(`no artefact ${digest}`),
  })
  for (const { value, timestampMs } of facts) {
    cards.apply(value)
    models.apply(value, timestampMs * 1000)
  }
  const replayed: string[] = []
  for (const partition of ASSETS.keys()) {
    const memory = newMemory()
    const handle = onPredictions({
      memory,
      set,
      detectorSet: detectorSetDigest(set),
      cardOf: (digest) => cards.of(digest),
      artefacts: openArtefacts(),
      faultModes: openFaultModes({ memory, partition, classOf: () => 'oven', models }),
      wordsOf: (assetId) => assetWords(undefined, assetId),
      settled: async () => {},
      countPrediction: () => {},
      countFinding: () => {},
    })
    const inputs: Input<Predictions>[] = []
    for await (const batch of log.read({ topic: 'predictions', partition, from: 'earliest', to: 'latest' }))
      for (const record of batch.records) inputs.push({ ...(await decodeInput<Predictions>(codec, record)) })
    for (let at = 0; at < inputs.length; at += 97) {
      const { outputs } = await handle({ topic: 'predictions', partition, inputs: inputs.slice(at, at + 97) })
      for (const { output } of outputs) replayed.push(said(output.id, (output.value as Anomalies).finding))
    }
  }
  // What a fit changed is told by the fitter, not by windows.
  const live = findings
    .filter(({ value }) => value.finding !== null && value.faultMode === null)
    .map(({ id, value }) => said(id, value.finding))
  assert.ok(live.length > 20)
  assert.deepEqual(replayed.toSorted(), live.toSorted())
})

const said = (id: string, finding: Anomalies['finding']): string =>
  JSON.stringify([id, finding?.faultModeId, finding?.clusterId, finding?.clusterIsNovel, finding?.severity])
