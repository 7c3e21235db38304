// A delivery: good readings are kept beside bad ones, repeats are known, and a device is told to wait rather than lose.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { quarantineTopic } from '../src/records.ts'
import { blocksOf, logged, openRig, reading, rowsOf, startUs } from './rig.ts'
import type { Rig, RigOptions } from './rig.ts'

const joined = async (options: RigOptions = {}): Promise<Rig> => {
  const rig = await openRig(options)
  await rig.pump()
  return rig
}

const deliver = async (rig: Rig, delivery: Parameters<Rig['send']>[0]) => {
  const [receipt] = await Promise.all([rig.send(delivery), rig.flush()])
  await rig.pump()
  return receipt
}

test('bad readings go to quarantine with their original bytes and the cause, the rest is accepted', async () => {
  const rig = await joined()
  const payload = Buffer.from(
    `[${JSON.stringify(reading(1))}, {"source":"oven-plc", "seq":2,"epoch":1, "timeUs":${startUs}, "values":{"colour":1.50}} ,${JSON.stringify(reading(3))}, "what"]`,
  )
  const receipt = await deliver(rig, { payload })
  assert.equal(receipt.accepted, 2)
  assert.deepEqual(
    receipt.quarantined.map(({ index, code }) => [index, code]),
    [
      [1, 'ANDON_INGEST_UNKNOWN_CHANNEL'],
      [3, 'ANDON_INGEST_NOT_A_READING'],
    ],
  )
  const kept = await logged(rig.log, quarantineTopic)
  assert.deepEqual(
    kept.map(({ value }) => value.type),
    [`{"source":"oven-plc", "seq":2,"epoch":1, "timeUs":${startUs}, "values":{"colour":1.50}}`, '"what"'],
  )
  const [block] = blocksOf(await logged(rig.log))
  assert.deepEqual([block?.seqFrom, block?.seqTo, block?.withheld], [1, 3, [2]])
})

for (const [code, extra] of [
  ['ANDON_INGEST_UNKNOWN_SOURCE', { source: 'stranger' }],
  ['ANDON_INGEST_UNKNOWN_ASSET', { source: 'stranger', asset: 'nowhere' }],
  ['ANDON_INGEST_SOURCE_OF_ANOTHER_ASSET', { asset: 'spindle' }],
  ['ANDON_INGEST_WRONG_KIND', { source: 'spindle-vib', values: { vibrationG: 1 } }],
  ['ANDON_INGEST_TIME_AHEAD', { timeUs: startUs + 90_000_000_000 }],
] as const) {
  test(`${code} sends a reading to quarantine`, async () => {
    const rig = await joined()
    const receipt = await deliver(rig, { readings: reading(1, extra) })
    assert.deepEqual(
      receipt.quarantined.map((each) => each.code),
      [code],
    )
    assert.equal((await logged(rig.log, quarantineTopic)).length, 1)
  })
}

test('an unreadable payload of a device is quarantined whole; over HTTP the sender is told', async () => {
  const rig = await joined()
  const receipt = await deliver(rig, { door: 'mqtt', payload: Buffer.from('21.5'), source: 'oven-plc' })
  assert.deepEqual([receipt.accepted, receipt.quarantined[0]?.code], [0, 'ANDON_INGEST_NOT_A_READING'])
  await assert.rejects(rig.send({ door: 'http', payload: Buffer.from('{') }), { code: 'ANDON_INGEST_NOT_JSON', status: 400 })
})

test('a source that the plant does not name stays with the asset of its first reading', async () => {
  const rig = await joined()
  await deliver(rig, { readings: reading(1, { source: 'handheld', asset: 'oven' }) })
  const moved = await deliver(rig, { readings: reading(2, { source: 'handheld', asset: 'spindle' }) })
  assert.equal(moved.quarantined[0]?.code, 'ANDON_INGEST_SOURCE_OF_ANOTHER_ASSET')
  await deliver(rig, { readings: reading(3, { source: 'handheld' }) })
  const rows = rowsOf(await logged(rig.log), 'handheld')
  assert.deepEqual(rows, [1, 3])
})

test('without numbers a repeat by time is answered like the first and kept once', async () => {
  const rig = await joined({ doorEpoch: 42 })
  const readings = [reading(undefined), reading(undefined, { timeUs: startUs + 5 })]
  assert.equal((await deliver(rig, { readings })).accepted, 2)
  assert.equal((await deliver(rig, { readings })).duplicates, 2)
  const blocks = blocksOf(await logged(rig.log))
  assert.deepEqual(
    blocks.map(({ epoch, seqFrom, seqTo }) => [epoch, seqFrom, seqTo]),
    [[42, 1, 2]],
  )
})

test('an idempotency key tells equal readings of one delivery apart and knows its repeats', async () => {
  const rig = await joined()
  const readings = [reading(undefined), reading(undefined)]
  await deliver(rig, { readings, idempotencyKey: 'a' })
  await deliver(rig, { readings, idempotencyKey: 'a' })
  await deliver(rig, { readings, idempotencyKey: 'b' })
  assert.deepEqual(rowsOf(await logged(rig.log)), [1, 2, 3, 4])
})

test('a repeat is acknowledged only once the first one is safe', async () => {
  const rig = await joined()
  const answered: string[] = []
  const first = rig.send({ readings: reading(undefined) }).then(() => answered.push('first'))
  const repeat = rig.send({ readings: reading(undefined) }).then(() => answered.push('repeat'))
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.deepEqual(answered, [])
  await rig.flush()
  await Promise.all([first, repeat])
  assert.equal(answered.length, 2)
})

for (const isLetGo of [false, true]) {
  test(`a restart still knows repeats, ${isLetGo ? 'also after the spool has let them go' : 'by its spool'}`, async () => {
    const rig = await joined({ doorEpoch: 1 })
    await deliver(rig, { readings: reading(undefined) })
    if (isLetGo) {
      for (let second = 0; second < 20; second++) await rig.second()
      await rig.flush()
      assert.equal((await openRig({ disk: rig.disk.afterPowerLoss(0) })).wiring.edge.held.counts().held, 0)
    }
    const next = await openRig({ log: rig.log, disk: rig.disk.afterPowerLoss(0), clock: rig.clock, doorEpoch: 2 })
    await next.second()
    await deliver(next, { readings: reading(undefined) })
    assert.ok(blocksOf(await logged(next.log)).every(({ epoch }) => epoch === 1))
  })
}

test('a repeat older than ten to twenty minutes is a new reading', async () => {
  const rig = await joined()
  await deliver(rig, { readings: reading(undefined) })
  rig.clock.ms += 601_000
  await rig.pump()
  await deliver(rig, { readings: reading(undefined, { timeUs: startUs + 7 }) })
  await deliver(rig, { readings: reading(undefined) })
  assert.deepEqual(rowsOf(await logged(rig.log)), [1, 2])
  rig.clock.ms += 601_000
  await rig.pump()
  await deliver(rig, { readings: reading(undefined) })
  assert.deepEqual(rowsOf(await logged(rig.log)), [1, 2, 3])
})

test('rows older than ten minutes on receipt are historical, in blocks of their own', async () => {
  const rig = await joined()
  await deliver(rig, { readings: [reading(1, { timeUs: startUs - 601_000_000 }), reading(2)] })
  const blocks = blocksOf(await logged(rig.log))
  assert.deepEqual(
    blocks.map(({ seqFrom, historical }) => [seqFrom, historical]),
    [
      [1, true],
      [2, false],
    ],
  )
})

test('a replayed recording keeps its recorded times', async () => {
  const rig = await joined()
  await deliver(rig, { readings: reading(1, { recordedUs: 86_400_000_000 }) })
  const [block] = blocksOf(await logged(rig.log))
  assert.equal(Buffer.from(block!.recordedUs!).readBigInt64LE(0), 86_400_000_000n)
})

test('a full spool refuses with a retriable error and takes again once the broker is back', async () => {
  const rig = await joined({ settings: { inFlightMaxBytes: 1 << 24 } })
  rig.log.failAppends(() => ({ error: new Error('away') }))
  let seq = 1
  const untilFull = async () => {
    for (; ; seq += 100) await deliver(rig, { readings: Array.from({ length: 100 }, (_, at) => reading(seq + at)) })
  }
  await assert.rejects(untilFull(), { code: 'ANDON_INGEST_SPOOL_FULL', status: 503, retriable: true })
  rig.log.failAppends(undefined)
  for (let second = 0; second < 20; second++) await rig.second()
  await rig.flush()
  assert.equal(rig.wiring.refusing(), undefined)
  assert.deepEqual(
    rowsOf(await logged(rig.log)),
    Array.from({ length: seq - 1 }, (_, index) => index + 1),
  )
})

test('too much in flight is 429', async () => {
  const rig = await joined({ settings: { inFlightMaxBytes: 10 } })
  const first = rig.send({ readings: reading(1) })
  await assert.rejects(rig.send({ readings: reading(2) }), { code: 'ANDON_INGEST_BUSY', status: 429 })
  await rig.flush()
  await first
})
