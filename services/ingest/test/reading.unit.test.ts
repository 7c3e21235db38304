// What a reading may look like, and that a refusal says what to do about it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { elementsOf, readingsOf } from '../src/json-payload.ts'
import { checkReading, isRefusal } from '../src/reading.ts'

const valid = {
  source: 'oven-plc',
  epoch: 1,
  seq: 12,
  timeUs: 1_795_000_000_000_000,
  asset: 'oven',
  values: { temperatureC: 41.2 },
  quality: 1,
}
const samples = Buffer.from(new Float32Array([1, 2, 3, 4]).buffer).toString('base64')

const refused = (value: unknown, doorSource?: string) => {
  const checked = checkReading(value, doorSource)
  assert.ok(isRefusal(checked), JSON.stringify(checked))
  return checked
}

test('a complete reading is taken as it is', () => {
  const checked = checkReading(valid)
  assert.ok(!isRefusal(checked))
  assert.deepEqual(checked, { ...valid, units: undefined, waveform: undefined, recordedUs: undefined })
})

test('a waveform reading carries its elements', () => {
  const { values: _, ...rest } = valid
  const checked = checkReading({ ...rest, waveform: { channel: 'vibrationG', sampleRateHz: 8192, f32: samples } })
  assert.ok(!isRefusal(checked))
  assert.deepEqual(new Float32Array(Uint8Array.from(checked.waveform!.f32).buffer), new Float32Array([1, 2, 3, 4]))
})

test('a sequence without an epoch is of epoch 0, and the door may name the source', () => {
  const { source: _, epoch: __, ...rest } = valid
  const checked = checkReading(rest, 'oven-plc')
  assert.ok(!isRefusal(checked))
  assert.deepEqual([checked.source, checked.epoch, checked.seq], ['oven-plc', 0, 12])
})

for (const [field, found, change] of [
  ['source', '"a b"', { source: 'a b' }],
  ['seq', '1.5', { seq: 1.5 }],
  ['epoch', '-1', { epoch: -1 }],
  ['timeUs', '1795000000000', { timeUs: 1_795_000_000_000 }], // milliseconds
  ['timeUs', 'nothing', { timeUs: undefined }],
  ['asset', '7', { asset: 7 }],
  ['quality', '3', { quality: 3 }],
  ['recordedUs', '"then"', { recordedUs: 'then' }],
  ['values', 'nothing', { values: undefined }],
  ['values', '{"temperatureC":41.2}', { waveform: {} }],
  ['values', '0 channels', { values: {} }],
  ['values.temperatureC', '"hot"', { values: { temperatureC: 'hot' } }],
  ['waveform.f32', '3 bytes', { values: undefined, waveform: { channel: 'v', sampleRateHz: 1, f32: 'AAAA' } }],
  ['waveform.sampleRateHz', '0', { values: undefined, waveform: { channel: 'v', sampleRateHz: 0, f32: samples } }],
] as const) {
  test(`a bad ${field} is refused, naming field, found and expected: ${found}`, () => {
    const { code, message } = refused({ ...valid, ...change })
    assert.equal(code, 'ANDON_INGEST_BAD_FIELD')
    assert.ok(
      message.startsWith(`${field}: found ${found.includes('bytes') || found.includes('channels') ? `"${found}"` : found}, expected `),
      message,
    )
  })
}

test('a refused reading keeps the identity that it has, so that its number can be withheld', () => {
  const { source, asset, epoch, seq } = refused({ ...valid, values: { temperatureC: 'hot' } })
  assert.deepEqual({ source, asset, epoch, seq }, { source: 'oven-plc', asset: 'oven', epoch: 1, seq: 12 })
})

test('a reading may not name another source than its topic', () => {
  assert.match(refused(valid, 'other').message, /found "oven-plc", expected other/)
})

test('anything that is not an object is refused, and nothing throws', () => {
  fc.assert(fc.property(fc.anything(), (value) => void checkReading(value)))
  fc.assert(
    fc.property(
      fc.record({ source: fc.anything(), seq: fc.anything(), timeUs: fc.anything(), values: fc.anything() }),
      (value) => void checkReading(value),
    ),
  )
  assert.equal(refused(null).code, 'ANDON_INGEST_NOT_A_READING')
})

test('each element of a JSON array is found again in the original bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 1, '\t'), (values, space) => {
      const payload = Buffer.from(` ${JSON.stringify(values, null, space)}\n`)
      assert.deepEqual(
        elementsOf(payload).map((bytes): unknown => JSON.parse(bytes.toString())),
        JSON.parse(payload.toString()),
      )
    }),
  )
})

test('a bad NDJSON line is one bad reading, the lines around it are read', () => {
  const payload = Buffer.from('{"a":1}\r\n\n{oops\n{"a":2}')
  const readings = readingsOf(payload, 'ndjson')!
  assert.deepEqual(
    readings.map(({ value }) => value),
    [{ a: 1 }, undefined, { a: 2 }],
  )
  assert.equal(readings[1]!.bytes().toString(), '{oops')
})

test('JSON that cannot be parsed is not a list of readings', () => {
  assert.equal(readingsOf(Buffer.from('{"a":'), 'json'), undefined)
})
