// What the plant file, the certificate and the clock say of a reading, and what a block says of the readings it took.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Block } from '@andon/schemas'
import type { Delivery, Device } from '../src/adapters/source.ts'
import { quarantineTopic } from '../src/records.ts'
import { blocksOf, logged, openRig, reading, rowsOf, startUs } from './rig.ts'
import type { Rig } from './rig.ts'

const joined = async (): Promise<Rig> => {
  const rig = await openRig()
  await rig.pump()
  return rig
}

const deliver = async (rig: Rig, delivery: Parameters<Rig['send']>[0]) => {
  const [receipt] = await Promise.all([rig.send(delivery), rig.flush()])
  await rig.pump()
  return receipt
}

const blocks = async (rig: Rig): Promise<Block[]> => blocksOf(await logged(rig.log))
const doubles = (block: Block | undefined) => [...new Float64Array(Uint8Array.from(block!.samples).buffer)]

/** A device that is `oven-plc` and writes to the oven. */
const ovenPlc: Device = {
  id: 'oven-plc',
  certificateSha256: 'ab'.repeat(32),
  speaksFor: (source) => source === 'oven-plc' || source.startsWith('oven-plc:'),
  feeds: (assetId) => assetId === 'oven',
}

test('a device writes as itself and its streams, and its block names it and its certificate', async () => {
  const rig = await joined()
  const readings = [reading(1), reading(1, { source: 'oven-plc:fast', asset: 'oven' })]
  assert.equal((await deliver(rig, { door: 'mqtt', device: ovenPlc, readings })).accepted, 2)
  for (const block of await blocks(rig)) {
    assert.deepEqual([block.door, block.deviceId, block.certificateSha256], ['mqtt', 'oven-plc', 'ab'.repeat(32)])
  }
})

for (const [code, extra] of [
  ['ANDON_INGEST_NOT_YOUR_SOURCE', { source: 'spindle-vib' }],
  ['ANDON_INGEST_NOT_YOUR_SOURCE', { source: 'oven-plc2', asset: 'oven' }],
  ['ANDON_INGEST_NOT_YOUR_ASSET', { source: 'oven-plc:x', asset: 'spindle', values: { vibrationG: 1 } }],
  ['ANDON_INGEST_RESERVED_SOURCE', { source: 'correction:1', asset: 'oven' }],
  ['ANDON_INGEST_TIME_BEHIND', { timeUs: startUs - 4000 * 86_400e6 }],
] as const) {
  test(`${code}: ${JSON.stringify(extra).slice(0, 60)}, as JSON and in columns`, async () => {
    const device = code.startsWith('ANDON_INGEST_NOT_YOUR') ? { device: ovenPlc } : {}
    const rig = await joined()
    const { source, asset, timeUs } = { source: 'oven-plc', asset: undefined, timeUs: startUs, ...extra }
    const columns = {
      source,
      ...(asset === undefined ? {} : { asset }),
      epoch: 1,
      seqFrom: 2,
      rows: 1,
      channels: ['temperatureC'],
      timesUs: Float64Array.of(timeUs),
      values: Float64Array.of(20),
      bytesOf: () => Buffer.from('a row'),
    }
    const receipts = [
      await deliver(rig, { ...device, readings: reading(2, extra) }),
      (await Promise.all([rig.wiring.intake({ door: 'http', ...device, bytes: 1, columns: [columns] }), rig.flush()]))[0],
    ]
    for (const receipt of receipts) assert.deepEqual([receipt.accepted, receipt.quarantined[0]?.code], [0, code])
    await rig.pump()
    assert.equal((await logged(rig.log, quarantineTopic)).length, 2)
  })
}

test('a sender cannot have the numbers of others withheld', async () => {
  const rig = await joined()
  await deliver(rig, {
    device: ovenPlc,
    readings: [reading(1, { source: 'spindle-vib' }), reading(2, { source: 'spindle-vib', timeUs: 'x' })],
  })
  await deliver(rig, { source: 'oven-plc', readings: reading(3, { source: 'spindle-vib' }) })
  await deliver(rig, { readings: reading(3, { source: 'file:1' }) })
  assert.deepEqual(await blocks(rig), [])
})

test('what a device may is asked anew with every delivery', async () => {
  const rig = await joined()
  let isActive = true
  const device: Device = { ...ovenPlc, feeds: () => isActive }
  assert.equal((await deliver(rig, { device, readings: reading(1) })).accepted, 1)
  isActive = false
  assert.equal((await deliver(rig, { device, readings: reading(2) })).quarantined[0]?.code, 'ANDON_INGEST_NOT_YOUR_ASSET')
})

test("a sender's units become the plant's before ranges are checked", async () => {
  const rig = await joined()
  const readings = [
    reading(1, { values: { temperatureC: 212, pressureBar: 250 }, units: { temperatureC: '[degF]', pressureBar: 'kPa' } }),
    reading(2, { values: { temperatureC: 100, pressureBar: 2.5 } }),
    reading(3, { values: { temperatureC: 1000, pressureBar: null }, units: { temperatureC: '[degF]' } }),
  ]
  assert.equal((await deliver(rig, { readings })).accepted, 3)
  const [block] = await blocks(rig)
  assert.deepEqual(block?.units, ['Cel', 'bar'])
  const [first, second, third, ...pressures] = doubles(block)
  assert.ok([first, second].every((value) => Math.abs(value! - 100) < 1e-9) && Math.abs(third! - 537.7777777777778) < 1e-9)
  assert.deepEqual(pressures, [2.5, 2.5, Number.NaN])
})

test('units of columns are converted by column', async () => {
  const rig = await joined()
  const columns = {
    source: 'oven-plc',
    rows: 2,
    channels: ['temperatureC', 'pressureBar'],
    units: ['K', undefined],
    timesUs: Float64Array.of(startUs - 1, startUs),
    values: Float64Array.of(273.15, 373.15, 1, Number.NaN),
    bytesOf: () => Buffer.alloc(0),
  }
  const delivery: Delivery = { door: 'http', bytes: 1, columns: [columns] }
  const [receipt] = await Promise.all([rig.wiring.intake(delivery), rig.flush()])
  await rig.pump()
  assert.equal(receipt.accepted, 2)
  assert.deepEqual(doubles((await blocks(rig))[0]), [0, 100, 1, Number.NaN])
})

for (const [code, extra] of [
  ['ANDON_INGEST_WRONG_UNIT', { units: { temperatureC: 'bar' } }],
  ['ANDON_INGEST_WRONG_UNIT', { units: { temperatureC: 'degrees' } }],
  ['ANDON_INGEST_OUT_OF_RANGE', { values: { temperatureC: 2000 }, units: { temperatureC: '[degF]' } }],
  ['ANDON_INGEST_BAD_FIELD', { units: { pressureBar: 'bar' } }],
  ['ANDON_INGEST_BAD_FIELD', { units: { temperatureC: 5 } }],
  ['ANDON_INGEST_BAD_FIELD', { units: 'Cel' }],
] as const) {
  test(`${code}: ${JSON.stringify(extra)}`, async () => {
    const receipt = await deliver(await joined(), { readings: [reading(1), reading(2, extra)] })
    assert.deepEqual([receipt.accepted, receipt.quarantined[0]?.code], [1, code])
  })
}

for (const [lateness, behindUs] of [
  ['live', 10_000_000],
  ['delayed', 10_000_001],
  ['delayed', 600_000_000],
  ['historical', 600_000_001],
] as const) {
  test(`a block whose oldest row is ${behindUs / 1e6} s old on receipt is ${lateness}`, async () => {
    const rig = await joined()
    await deliver(rig, { readings: [reading(1, { timeUs: startUs - behindUs })] })
    assert.equal((await blocks(rig))[0]?.lateness, lateness)
  })
}

test('rows of different senders share no block', async () => {
  const rig = await joined()
  const other: Device = { ...ovenPlc, certificateSha256: 'cd'.repeat(32) }
  const sent = [
    rig.send({ device: ovenPlc, readings: reading(1) }),
    rig.send({ device: ovenPlc, readings: reading(2) }),
    rig.send({ device: other, readings: reading(3) }),
    rig.send({ device: other, door: 'mqtt', readings: reading(4) }),
  ]
  await Promise.all([...sent, rig.flush()])
  await rig.pump()
  assert.deepEqual(
    (await blocks(rig)).map(({ seqFrom, seqTo, door, certificateSha256 }) => [seqFrom, seqTo, door, certificateSha256?.slice(0, 2)]),
    [
      [1, 2, 'nats', 'ab'],
      [3, 3, 'nats', 'cd'],
      [4, 4, 'mqtt', 'cd'],
    ],
  )
})

const snippet = (elements: number) => Buffer.from(Float32Array.from({ length: elements }, (_, i) => Math.sin(i)).buffer)
const vibration = (f32: Buffer, extra: object = {}, of: object = {}) => ({
  source: 'spindle-vib',
  timeUs: startUs - 400_000_000,
  waveform: { channel: 'vibrationG', sampleRateHz: 1000, f32: f32.toString('base64'), ...extra },
  ...of,
})

test('a part of a scheduled burst has a block of its own that says which part it is', async () => {
  const rig = await joined()
  const burst = (part: number) => ({ id: 'b-7', part, parts: 2, scheduledUs: startUs - 500_000_000 })
  await deliver(rig, { readings: [1, 2].map((part) => vibration(snippet(4), { burst: burst(part) }, { epoch: 1, seq: part })) })
  assert.deepEqual(
    (await blocks(rig)).map((block) => [block.rows, block.burst]),
    [
      [1, burst(1)],
      [1, burst(2)],
    ],
  )
})

test('a waveform that is too long for a block is split into parts with numbers of their own', async () => {
  const rig = await openRig({ settings: { inFlightMaxBytes: 1 << 24 } })
  await rig.pump()
  const whole = snippet(300_000)
  const receipt = await deliver(rig, { readings: vibration(whole) })
  assert.deepEqual([receipt.accepted, receipt.quarantined], [1, []])
  const parts = await blocks(rig)
  assert.deepEqual(
    parts.map(({ seqFrom, seqTo, width, burst }) => [seqFrom, seqTo, width, burst?.part, burst?.parts]),
    [
      [1, 1, 131_072, 1, 3],
      [2, 2, 131_072, 2, 3],
      [3, 3, 37_856, 3, 3],
    ],
  )
  assert.equal(new Set(parts.map(({ burst }) => burst?.id)).size, 1)
  assert.ok(Buffer.concat(parts.map(({ samples }) => Buffer.from(samples))).equals(whole))
  assert.deepEqual(
    parts.map(({ timesUs }) => Number(Buffer.from(timesUs).readBigInt64LE(0)) - (startUs - 400_000_000)),
    [0, 131_072_000, 262_144_000],
  )
  for (let second = 0; second < 20; second++) await rig.second() // the spool of the rig is small
  await rig.flush()
  assert.equal((await deliver(rig, { readings: vibration(whole) })).duplicates, 1)
})

for (const [what, made] of [
  ['a numbered waveform that is too long', () => vibration(snippet(131_073), {}, { epoch: 1, seq: 1 })],
  ['a part that is too long', () => vibration(snippet(131_073), { burst: { id: 'b', part: 1, parts: 2 } })],
  ['a part beyond the last one', () => vibration(snippet(4), { burst: { id: 'b', part: 3, parts: 2 } })],
  ['a burst without an id', () => vibration(snippet(4), { burst: { part: 1, parts: 2 } })],
] as const) {
  test(`${what} is refused`, async () => {
    const rig = await openRig({ settings: { inFlightMaxBytes: 1 << 24 } })
    await rig.pump()
    assert.equal((await deliver(rig, { readings: made() })).quarantined[0]?.code, 'ANDON_INGEST_BAD_FIELD')
  })
}

const correction = {
  id: 'c-1',
  assetId: 'oven',
  fromUs: startUs - 10,
  toUs: startUs,
  channels: ['temperatureC'],
  reason: 'sensor was unplugged',
  by: 'p-17',
}
const correcting = async (rig: Rig, readings: readonly object[], of: object = correction) => {
  const raws = readings.map((value) => ({ value, bytes: () => Buffer.from(JSON.stringify(value)) }))
  const delivery = { door: 'http', bytes: 1, isOwn: true, source: 'correction:c-1', correction: of, readings: raws } as Delivery
  await Promise.all([rig.wiring.intake(delivery), rig.flush()])
  await rig.pump()
}

test('a correction is in every block of its readings', async () => {
  const rig = await joined()
  await correcting(rig, [reading(1, { source: 'correction:c-1', asset: 'oven', timeUs: startUs - 5 })])
  const [block] = await blocks(rig)
  const { assetId: _, ...said } = correction
  assert.deepEqual({ ...block?.correction }, { ...said, assetId: 'oven' })
  assert.deepEqual(rowsOf(await logged(rig.log), 'correction:c-1'), [1])
})

test('a correction that leaves nothing is a block without rows', async () => {
  const rig = await joined()
  await correcting(rig, [])
  const [block] = await blocks(rig)
  assert.deepEqual([block?.rows, block?.withheld, block?.correction?.reason], [0, [1], 'sensor was unplugged'])
  await assert.rejects(correcting(rig, [], { ...correction, channels: ['colour'] }), { code: 'ANDON_INGEST_UNKNOWN_CHANNEL', status: 400 })
})
