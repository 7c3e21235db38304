// Promotion and undo: readers keep what was promoted, over later live revisions, until it is undone.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DedupeMarks,
  HEADER,
  type MemoryLog,
  type Order,
  compareOrders,
  localCodec,
  openMemoryLog,
  parseCause,
  parseOrder,
} from '@andon/kit'
import { packDoubles } from '@andon/schemas/packed'
import { parseTolerances } from '../src/replay/compare.ts'
import { type PromotionPlan, applyPromotion, planPromotion, planUndo } from '../src/replay/promote.ts'

const codec = localCodec()
const windowUs = 10_000_000
const request = { run: 'run-2', topic: 'features', fromMs: 1000, toMs: 2000, tolerances: parseTolerances([]) }

const vector = (start: number, value: number, revision: number, quality = 'good') =>
  codec.encode('features', {
    type: 'vector',
    assetId: 'press-1',
    vector: {
      vectorId: `v-${start}-${revision}`,
      featureSet: 'press',
      featureSetDigest: 'd',
      windowStartUs: start * windowUs,
      windowEndUs: (start + 1) * windowUs,
      revision,
      names: ['vibrationG.rms'],
      values: packDoubles(Float64Array.of(value)),
      ranges: [],
      complete: true,
      quality,
    },
  })

const append = async (log: MemoryLog, topic: string, start: number, value: number, cause = start, revision = 1): Promise<void> => {
  await log.append([
    {
      topic,
      partition: 0,
      key: 'press-1',
      value: vector(start, value, revision),
      timestampMs: 1000 + start,
      headers: {
        [HEADER.id]: `v-${start}-${revision}`,
        [HEADER.lane]: 'live',
        [HEADER.cause]: `telemetry/0/0/${cause}/0`,
        [HEADER.order]: `0.0.${cause}.0`,
        ...(topic === 'features' ? {} : { [HEADER.run]: 'run-2' }),
      },
    },
  ])
}

/** Live windows 1, 2 and 5 with a lateness of one window; the run says other things of 2, and brings 3. */
const openLog = async (): Promise<MemoryLog> => {
  const log = openMemoryLog({ partitions: 1 })
  const body = JSON.stringify({ name: 'press', latenessMs: windowUs / 1000 })
  await log.append([
    {
      topic: 'config',
      partition: 0,
      key: 'features/press',
      timestampMs: 1,
      value: codec.encode('config', {
        type: 'ConfigPublished',
        name: 'features/press',
        kind: 'feature-set',
        digest: 'd',
        body,
        effectiveFromUs: 0,
        by: 'p',
        atUs: 0,
      }),
    },
  ])
  for (const [start, value] of [
    [1, 1],
    [2, 2],
    [5, 5],
  ] as const)
    await append(log, 'features', start, value)
  for (const [start, value] of [
    [1, 1],
    [2, 20],
    [3, 30],
    [5, 50],
  ] as const)
    await append(log, 'features.run.run-2', start, value)
  return log
}

const windowsOf = (plan: PromotionPlan) =>
  plan.promotions.map(({ key, order }) => [Number(key.split(' ').at(-1)) / windowUs - 1, order.promotion])

const settle = { settleMs: 1, wait: async () => undefined }

/** What a reader with marks and a per-window order keeps, and how often it took something. */
const kept = async (log: MemoryLog): Promise<{ values: Record<number, number>; taken: number }> => {
  const marks = new DedupeMarks()
  const windows = new Map<number, { order: Order; value: number }>()
  let taken = 0
  for await (const batch of log.read({ topic: 'features', partition: 0, from: 0, to: 'latest' }))
    for (const record of batch.records) {
      if (!marks.admit(parseCause(record.header(HEADER.cause)), record.header(HEADER.lane)!)) continue
      const order = parseOrder(record.header(HEADER.order))!
      const { windowStartUs, values } = codec.decode<{ vector: { windowStartUs: number; values: Buffer } }>(
        'features',
        record.value!,
      ).vector
      const start = windowStartUs / windowUs
      const known = windows.get(start)
      if (known !== undefined && compareOrders(order, known.order) <= 0) continue
      windows.set(start, { order, value: values.readDoubleLE(0) })
      taken += 1
    }
  return { values: Object.fromEntries([...windows].map(([start, { value }]) => [start, value])), taken }
}

test('only what differs and is final is promoted, above the highest order of its window', async () => {
  const plan = await planPromotion(await openLog(), codec, request)
  // Window 5 is the newest: it may still be revised.
  assert.deepEqual(windowsOf(plan), [
    [2, 1],
    [3, 1],
  ])
  assert.equal(plan.notFinal, 1)
  assert.match(plan.lane, /^promote:run-2\.[0-9a-f]{8}$/)
})

test('readers take a promoted revision once and keep it over later live ones', async () => {
  const log = await openLog()
  const plan = await planPromotion(log, codec, request)
  assert.equal(await applyPromotion(log, plan, settle), 2)
  await append(log, 'features', 2, 2.5, 90, 2)
  assert.deepEqual((await kept(log)).values, { 1: 1, 2: 20, 3: 30, 5: 5 })
  const { taken } = await kept(log)
  await applyPromotion(log, plan, settle) // the same plan again, as after a crash before it was reported
  assert.equal((await kept(log)).taken, taken)
})

test('what was promoted already is the same and is not promoted again', async () => {
  const log = await openLog()
  await applyPromotion(log, await planPromotion(log, codec, request), settle)
  assert.deepEqual(windowsOf(await planPromotion(log, codec, request)), [])
})

test('a vector that says that no telemetry comes makes no window final', async () => {
  const log = await openLog()
  const silent = vector(40, 0, 0, 'unmonitored')
  const headers = { [HEADER.lane]: 'live', [HEADER.cause]: 'telemetry/0/0/40/0', [HEADER.order]: '0.0.40.0' }
  await log.append([{ topic: 'features', partition: 0, key: 'press-1', value: silent, timestampMs: 1040, headers }])
  assert.equal((await planPromotion(log, codec, request)).notFinal, 1)
})

test('undo brings the earlier content back, and promote again brings it back once more', async () => {
  const log = await openLog()
  await applyPromotion(log, await planPromotion(log, codec, request), settle)
  const undo = await planUndo(log, codec, request)
  assert.deepEqual(windowsOf(undo), [[2, 2]])
  assert.equal(undo.kept, 1) // window 3 had no earlier content
  await applyPromotion(log, undo, settle)
  assert.deepEqual((await kept(log)).values, { 1: 1, 2: 2, 3: 30, 5: 5 })
  assert.deepEqual(windowsOf(await planUndo(log, codec, request)), [])
  const again = await planPromotion(log, codec, request)
  assert.deepEqual(windowsOf(again), [[2, 3]])
  await applyPromotion(log, again, settle)
  assert.equal((await kept(log)).values[2], 20)
})

test('a promoted record keeps id, key, bytes, time and cause, and says which run it is from', async () => {
  const log = await openLog()
  await applyPromotion(log, await planPromotion(log, codec, request), settle)
  for await (const batch of log.read({ topic: 'features', partition: 0, from: 3, to: 4 })) {
    const record = batch.records[0]!
    assert.deepEqual(
      [record.key, record.timestampMs, record.header(HEADER.id), record.header(HEADER.cause)],
      ['press-1', 1002, 'v-2-1', 'telemetry/0/0/2/0'],
    )
    assert.ok(record.value?.equals(vector(2, 20, 1)))
    assert.deepEqual([record.header(HEADER.order), record.header(HEADER.run)], ['1.0.2.0', 'run-2'])
  }
})

test('a log that lost its tail while it settled stops the promotion before anything is appended', async () => {
  const log = await openLog()
  const plan = await planPromotion(log, codec, request)
  const wait = async (): Promise<void> => {
    log.cut('features', 0, 2)
    await append(log, 'features', 4, 4)
    await append(log, 'features', 6, 4)
  }
  await assert.rejects(applyPromotion(log, plan, { settleMs: 1, wait }), { code: 'ANDON_CLI_PROMOTE_UNSETTLED' })
  assert.equal((await log.latest('features', 0)).offset, 4)
})

test('facts are not promoted', async () => {
  await assert.rejects(planPromotion(await openLog(), codec, { ...request, topic: 'actions' }), { code: 'ANDON_CLI_PROMOTE_TOPIC' })
})
