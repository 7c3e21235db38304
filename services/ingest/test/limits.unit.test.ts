// Who is let in when not everybody can be: control-class data to the last byte, the others up to nine tenths, and each device its share.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePlant } from '@andon/schemas'
import { Pressure, tryAgain } from '../src/pressure.ts'
import { controlAssets, isAllFor } from '../src/priorities.ts'
import { openRig, plant, reading } from './rig.ts'

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
const spindle = (seq: number) => ({ ...reading(seq), source: 'spindle-vib', values: undefined, waveform: wave })
const wave = { channel: 'vibrationG', sampleRateHz: 1000, f32: Buffer.from(new Float32Array(4).buffer).toString('base64') }

test('above nine tenths of the bytes in flight ordinary assets are refused, control-class ones are taken to the bound', async () => {
  const size = bytesOf(spindle(1))
  const rig = await openRig({ control: ['spindle'], settings: { inFlightMaxBytes: 10 * size } })
  await rig.pump()
  const inHand = Array.from({ length: 9 }, (_, index) => rig.send({ readings: spindle(index + 1) }))
  await assert.rejects(rig.send({ readings: reading(1) }), {
    code: 'ANDON_INGEST_BUSY',
    status: 429,
    retriable: true,
    fields: { retryAfterS: 1 },
  })
  await assert.rejects(
    rig.send({ readings: [spindle(20), reading(1)] }),
    { code: 'ANDON_INGEST_BUSY' },
    'a mixed delivery is an ordinary one',
  )
  assert.equal(rig.wiring.refusing(), undefined, 'doors go on reading bodies')
  inHand.push(rig.send({ readings: spindle(10) }))
  await assert.rejects(rig.send({ readings: spindle(11) }), { code: 'ANDON_INGEST_BUSY' })
  assert.equal(rig.wiring.refusing()?.code, 'ANDON_INGEST_BUSY')
  await rig.flush()
  assert.deepEqual(
    (await Promise.all(inHand)).map(({ accepted }) => accepted),
    Array.from({ length: 10 }, () => 1),
  )
  const after = rig.send({ readings: reading(1) })
  await rig.flush()
  assert.equal((await after).accepted, 1, 'it recovers by itself')
})

test('a nearly full spool is kept for control-class assets, and a full one for nobody', async () => {
  const rig = await openRig({ control: ['spindle'], spoolMaxBytes: 40_000 })
  await rig.pump()
  rig.log.failAppends(() => ({ error: new Error('away') }))
  const fill = async (send: (seq: number) => unknown): Promise<unknown> => {
    for (let seq = 1; ; seq++) {
      const sent = rig.send({ readings: send(seq) })
      sent.catch(() => undefined)
      await rig.flush()
      try {
        await sent
      } catch (error) {
        return error
      }
    }
  }
  const spool = () => rig.wiring.edge.spool.fullness()
  const refused = (await fill((seq) => reading(seq))) as ReturnType<typeof tryAgain>
  assert.deepEqual([refused.code, refused.status, refused.fields], ['ANDON_INGEST_SPOOL_FULL', 503, { retryAfterS: 15 }])
  assert.match(refused.message, /nearly full/)
  assert.ok(spool() >= 0.9 && spool() < 1)
  const late = (await fill(spindle)) as ReturnType<typeof tryAgain>
  assert.equal(late.code, 'ANDON_INGEST_SPOOL_FULL')
  assert.ok(spool() >= 1)
  const { held } = rig.wiring.edge
  assert.ok(held.size > 0)
  assert.equal(held.size, held.counts().held)
  rig.log.failAppends(undefined)
  for (let second = 0; second < 20; second++) await rig.second()
  assert.deepEqual([held.size, held.counts().held], [0, 0])
  const again = rig.send({ readings: reading(1000) })
  await rig.flush()
  assert.equal((await again).accepted, 1)
})

test('a device over its rate is refused with the time to wait; ingest itself is not', async () => {
  const asked: string[] = []
  const rates = {
    isShared: () => true,
    take: (device: string) => {
      asked.push(device)
      return device === 'loud' ? Promise.resolve(tryAgain('ANDON_INGEST_RATE', 'too much', 2, 429)) : undefined
    },
  }
  const rig = await openRig({ rates })
  await rig.pump()
  await assert.rejects(rig.send({ readings: reading(1), principal: 'loud' }), {
    code: 'ANDON_INGEST_RATE',
    status: 429,
    fields: { retryAfterS: 2 },
  })
  const device = { id: 'plc-1', certificateSha256: '', speaksFor: () => true, feeds: () => true }
  const sent = [
    rig.send({ readings: reading(1), principal: 'quiet' }),
    rig.send({ readings: reading(2), principal: 'loud', device }),
    rig.send({ readings: reading(3), principal: 'loud', isOwn: true }),
  ]
  await rig.flush()
  await Promise.all(sent)
  assert.deepEqual(asked, ['loud', 'quiet', 'plc-1'])
})

test('control-class is said by the class or by the asset', () => {
  const [oven, spindleAsset] = plant.assets
  const withClass = { ...plant, assetClasses: [{ ...plant.assetClasses[0]!, control: true }] }
  assert.deepEqual([...controlAssets(withClass)], ['oven', 'spindle'])
  const withAsset = parsePlant({ ...plant, assets: [oven, { ...spindleAsset, priority: 'control' }] })
  const control = controlAssets(withAsset)
  assert.deepEqual([...control], ['spindle'])
  const assetOf = (source: string) => ({ 'spindle-vib': 'spindle', 'oven-plc': 'oven' })[source]
  const json = (...readings: unknown[]) => ({ door: 'http', format: 'json', payload: Buffer.from(JSON.stringify(readings)) }) as const
  assert.equal(isAllFor(control, json({ source: 'spindle-vib' }, { source: 'x', asset: 'spindle' }), assetOf), true)
  assert.equal(isAllFor(control, json({ source: 'spindle-vib' }, { source: 'oven-plc' }), assetOf), false)
  for (const nonsense of [json(null), json(), json(7), { ...json(), payload: Buffer.from('{') }])
    assert.equal(isAllFor(control, nonsense, assetOf), false)
  assert.equal(isAllFor(control, { door: 'mqtt', readings: [], bytes: 3, source: 'spindle-vib' }, assetOf), false)
})

test('whichever of spool and memory is fuller decides', () => {
  let spool = 0.2
  const pressure = new Pressure({ maxBytes: 100, spoolFullness: () => spool })
  pressure.enter(50)
  assert.equal(pressure.bytes, 50)
  spool = 0.95
  assert.deepEqual([pressure.refusing(), pressure.refusingOrdinary()?.code], [undefined, 'ANDON_INGEST_SPOOL_FULL'])
  pressure.leave(50)
  spool = 0
  assert.equal(pressure.refusingOrdinary(), undefined)
})
