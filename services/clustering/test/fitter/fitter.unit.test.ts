// The fitter on the log in memory: what is on the log is all it has, so another one goes on where it fell.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { MemoryStore, createLogger, createMetrics, followTopic, localCodec, openBlobs, openMemoryLog, publish } from '@andon/kit'
import type { Input } from '@andon/kit'
import type { Anomalies, Models } from '@andon/schemas'
import { openClassModels } from '../../src/class-models.ts'
import { ClassState, HOUR_US } from '../../src/class-summaries.ts'
import { readArtefact, toArtefact } from '../../src/class-model.ts'
import { fitClass } from '../../src/fitter/fit-class.ts'
import { readRequest } from '../../src/fitter/fit-in-worker.ts'
import type { PackedRequest, PackedResult } from '../../src/fitter/fit-in-worker.ts'
import { openFitter } from '../../src/fitter/fitter.ts'
import { summaryRecord } from '../../src/fitter/summary-records.ts'
import { randomFrom } from '../../src/random.ts'
import { type Placed, absorbAll, windowsOf } from '../class-windows.ts'

const codec = localCodec()
const folder = mkdtempSync(join(tmpdir(), 'andon-fitter-'))
after(() => rmSync(folder, { recursive: true }))
const blobs = await openBlobs(folder)

/** In this thread: the test waits for it. */
const fitHere = async (request: PackedRequest): Promise<PackedResult> => {
  const result = fitClass(readRequest(request))
  return result.decision === 'refuse' ? result : { decision: 'activate', artefact: new Uint8Array(toArtefact(result.model)) }
}

const plant = async (t: TestContext) => {
  const store = new MemoryStore(2)
  const log = openMemoryLog({ store })
  for (const [name, partitions] of [
    ['models', 1],
    ['predictions', 2],
    ['anomalies', 2],
  ] as const)
    await log.admin.ensureTopics([{ name, partitions }])
  const facts: Models[] = []
  const findings: Input<Anomalies>[] = []
  const listeners = new Set<() => void>()
  const heard = (): void => listeners.forEach((listener) => listener())
  const follows = [
    await followTopic<Models>(log, codec, 'models', ({ value }) => {
      facts.push({ ...value })
      heard()
    }),
    await followTopic<Anomalies>(log, codec, 'anomalies', (input) => {
      findings.push({ ...input })
      heard()
    }),
  ]
  t.after(() => Promise.all(follows.map((follow) => follow.stop())))
  /** Resolves as soon as something is so. */
  const until = (isSo: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const listener = (): void => {
        if (!isSo()) return
        listeners.delete(listener)
        resolve()
      }
      listeners.add(listener)
      listener()
    })
  const open = async (fit: (request: PackedRequest, signal: AbortSignal) => Promise<PackedResult> = fitHere) => {
    const own = openMemoryLog({ store })
    const models = openClassModels({ blobs: async () => blobs, delayUs: 0, onMissing: () => {} })
    const meters = { logger: createLogger({ service: 'test', level: 'silent' }), metrics: createMetrics('test') }
    const taughtOf = async () => ({ failures: [], interventions: [], verdicts: {} })
    const settled = (): Promise<void> => follow.caughtUp()
    const fitter = openFitter({
      log: own,
      codec,
      blobs,
      models,
      settled,
      taughtOf,
      nameOf: () => null,
      refitEveryUs: HOUR_US,
      nowUs: () => 1,
      fit,
      ...meters,
    })
    const follow = await followTopic<Models>(own, codec, 'models', ({ value, timestampMs }) => {
      models.apply(value, timestampMs * 1000)
      fitter.apply(value)
    })
    await follow.caughtUp()
    await fitter.start()
    let stopped: Promise<void> | undefined
    const stop = (): Promise<void> => (stopped ??= fitter.stop().then(() => follow.stop()))
    t.after(stop)
    return { fitter, stop, settled }
  }
  const state = new ClassState('pump')
  /** Windows of some hours, summarised at their end. */
  const pass = async (hours: readonly [from: number, to: number], placed: readonly Placed[]): Promise<void> => {
    absorbAll(state, windowsOf(placed, (hours[1] - hours[0]) * 60, hours[0] * HOUR_US, hours[0]))
    await log.append([summaryRecord(codec, 'pump', 0, 2, state.summary(0, hours[1] * HOUR_US))])
  }
  /** What inference answers. */
  const answer = async (request: Models): Promise<void> => {
    const version = 1 + facts.filter(({ type }) => type === 'ModelRegistered').length
    for (const type of ['ModelRegistered', 'ModelActivated'])
      await publish(
        log,
        codec,
        [{ topic: 'models', key: request.model, value: { ...request, type, version }, id: `${type}-${version}`, type, timeUs: 0 }],
        'test',
      )
  }
  const of = (type: string): Models[] => facts.filter((fact) => fact.type === type)
  const modelOf = async ({ uri }: Models) => readArtefact(await blobs.get(uri))
  return { log, state, facts, findings, until, open, pass, answer, of, modelOf }
}

const normal: Placed = { assetId: 'pump-1', place: 0 }
const wear: Placed = { assetId: 'pump-1', place: 1, isAnomalous: true }
const leak: Placed = { assetId: 'pump-1', place: 2, isAnomalous: true }

test('a fitter that falls while it fits is followed by one that asks for the same model', async (t) => {
  const { until, open, pass, of, findings, answer } = await plant(t)
  const begun = Promise.withResolvers<PackedRequest>()
  const first = await open((request, signal) => {
    begun.resolve(request)
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('it fell'))))
  })
  await pass([1, 6], [normal, wear, leak])
  const expected = await fitHere(await begun.promise)
  await first.stop()
  assert.deepEqual(of('RegistrationRequested'), [])
  await open()
  await until(() => of('RegistrationRequested').length > 0)
  const [asked] = of('RegistrationRequested') as [Models]
  assert.equal(asked.uri, (await blobs.put((expected as { artefact: Uint8Array }).artefact)).uri)
  assert.deepEqual([asked.model, asked.assetClass, asked.effectiveFromUs], ['modes.pump', 'pump', 6 * HOUR_US])
  await answer(asked)
  await until(() => findings.length >= 2)
  assert.deepEqual(new Set(findings.map(({ type }) => type)), new Set(['FaultModeDiscovered']))
})

test('a request that waits for its answer is not made again, and what was told is not told again', async (t) => {
  const { log, until, open, pass, of, findings, answer, modelOf, state } = await plant(t)
  const first = await open()
  await pass([1, 6], [normal, wear, leak])
  await until(() => of('RegistrationRequested').length > 0)
  await first.stop()
  const second = await open()
  await pass([6, 8], [normal, wear, leak])
  await answer(of('RegistrationRequested')[0] as Models)
  // The answer lets the next fit go ahead, after the model that it is based on.
  await until(() => of('RegistrationRequested').length > 1 && findings.length >= 2)
  const [one, two] = of('RegistrationRequested') as [Models, Models]
  assert.equal((JSON.parse(two.card) as { basedOn: string }).basedOn, one.digest)
  assert.deepEqual(
    (await modelOf(two)).registry.modes.map(({ modeId }) => modeId),
    (await modelOf(one)).registry.modes.map(({ modeId }) => modeId),
  )
  await answer(two)
  await second.stop()

  await open()
  absorbAll(state, windowsOf([normal, wear, leak], 120, 8 * HOUR_US, 8))
  await log.append([summaryRecord(codec, 'pump', 0, 2, state.summary(0, 10 * HOUR_US))])
  await until(() => of('RegistrationRequested').length > 2)
  assert.deepEqual(
    findings.map(({ type }) => type),
    ['FaultModeDiscovered', 'FaultModeDiscovered'],
  )
})

test('a refit that misses its gates is not activated, and the log says why', async (t) => {
  const { until, open, pass, of, answer, state, log } = await plant(t)
  const { fitter, settled } = await open()
  await pass([1, 6], [normal, wear, leak])
  await until(() => of('RegistrationRequested').length > 0)
  await answer(of('RegistrationRequested')[0] as Models)
  const random = randomFrom(1)
  for (const window of windowsOf([normal], 500, 20 * HOUR_US, 2))
    state.absorb({ ...window, point: window.point.map(() => 40 * random.uniform() - 20), isAnomalous: true })
  await log.append([summaryRecord(codec, 'pump', 0, 2, state.summary(0, 30 * HOUR_US))])
  await until(() => of('RegistrationRefused').length > 0)
  const [refused] = of('RegistrationRefused') as [Models]
  assert.match(refused.reason, /Share of noise is 0\.\d+, at most 0\.25 is required/)
  assert.deepEqual([refused.effectiveFromUs, of('ModelActivated').length, of('RegistrationRequested').length], [30 * HOUR_US, 1, 1])
  await settled()
  assert.equal(fitter.refusalOf('pump'), refused.reason)
})
