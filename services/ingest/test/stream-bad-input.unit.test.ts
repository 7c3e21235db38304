// What a stream may hold that is no reading: in NATS, Kafka and Kinesis alike, each message gets one clear reason in quarantine, and the
// good message behind it in the same batch is kept.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Delivery, Receipt } from '../src/adapters/source.ts'
import { takeMessages } from '../src/adapters/mapped-payload.ts'
import { compileMapping } from '../src/mapping.ts'
import type { PlantSource } from '@andon/schemas'
import { openRig, startUs } from './rig.ts'
import { source } from './streams.ts'

const file = (mapping: object) =>
  source({ id: 'stream', kind: 'kinesis', stream: 's', region: 'r', mapping }) as Extract<PlantSource, { kind: 'kinesis' }>

const json = file({
  format: 'json',
  asset: { field: 'machine', map: { m1: 'oven' } },
  source: { field: 'device' },
  time: { field: 'at', format: 'us' },
  epoch: { field: 'boot' },
  seq: { field: 'n' },
  quality: { field: 'ok', good: [true] },
  channels: { temperatureC: { field: 'v.t' }, pressureBar: { field: 'v.p' } },
})
const list = file({
  format: 'json',
  each: 'rows',
  asset: { id: 'oven' },
  time: { field: 'at', format: 'ms' },
  channels: { temperatureC: { field: 't' } },
})
const csv = file({ format: 'csv', asset: { id: 'oven' }, time: { field: 'at', format: 'us' }, channels: { temperatureC: { field: 't' } } })
const number = file({ format: 'number', asset: { id: 'oven' }, channels: { temperatureC: { field: '$' } } })
const ndjson = file({ format: 'ndjson', asset: { id: 'oven' }, time: { field: 'at' }, channels: { temperatureC: { field: 't' } } })
const long = file({
  format: 'json',
  asset: { id: 'oven' },
  time: { field: 'at', format: 's' },
  long: { channel: 'c', value: 'v', map: { T: 'temperatureC' } },
})

const valid = { machine: 'm1', device: 'd1', at: startUs, boot: 1, n: 1, ok: true, v: { t: 20, p: 1 } }
const like = (extra: object) => JSON.stringify({ ...valid, ...extra })
const seconds = Math.round(startUs / 1e6)
const milliseconds = startUs / 1000

type Case = [file: typeof json, payload: string | Buffer, code: RegExp]
const mapping = /^ANDON_INGEST_MAPPING$/
const badField = /^ANDON_INGEST_BAD_FIELD$/
const deep = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels)

const cases: Record<string, Case> = {
  'nothing at all': [json, '', mapping],
  'text that is not JSON': [json, 'hello', mapping],
  'JSON that ends early': [json, like({}).slice(0, -5), mapping],
  'JSON with something behind it': [json, `${like({})}x`, mapping],
  'a number instead of an object': [json, '7', mapping],
  'null instead of an object': [json, 'null', mapping],
  'a text instead of an object': [json, '"x"', mapping],
  'an empty object': [json, '{}', mapping],
  'JSON in UTF-16': [json, Buffer.from(like({}), 'utf16le'), mapping],
  'JSON behind a NUL': [json, `\u0000${like({})}`, mapping],
  'gzip that nobody announced': [json, Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), mapping],
  'an aggregated record of Kinesis’ producer library': [json, Buffer.from([0xf3, 0x89, 0x9a, 0xc2, 1, 2, 3]), mapping],
  'Avro without a registry': [json, Buffer.from([0, 0, 0, 0, 1, 2]), mapping],
  'only blanks': [json, '   ', mapping],
  'nesting of 100 000 levels': [json, deep('[', ']', 100_000), mapping],
  'objects of 50 000 levels': [json, `${'{"v":'.repeat(50_000)}1${'}'.repeat(50_000)}`, mapping],
  'a machine that the map does not have': [json, like({ machine: 'm2' }), mapping],
  'a machine that is an object': [json, like({ machine: {} }), mapping],
  'no machine': [json, like({ machine: undefined }), mapping],
  'a machine named __proto__': [json, like({ machine: '__proto__' }), mapping],
  'a machine named constructor': [json, like({ machine: 'constructor' }), mapping],
  'no device': [json, like({ device: null }), mapping],
  'an empty device': [json, like({ device: '' }), mapping],
  'a device with a slash': [json, like({ device: '../etc/passwd' }), badField],
  'a device with NUL': [json, like({ device: 'd\u0000' }), badField],
  'a device of 1000 characters': [json, like({ device: 'd'.repeat(1000) }), badField],
  'a device that is ingest’s own source': [json, like({ device: 'correction:x' }), /^ANDON_INGEST_/],
  'no time': [json, like({ at: undefined }), mapping],
  'a time that is text': [json, like({ at: 'now' }), mapping],
  'a time that is an object': [json, like({ at: {} }), mapping],
  'a time in seconds by mistake': [json, like({ at: seconds }), mapping],
  'a time before 1970': [json, like({ at: -1 }), /^ANDON_INGEST_/],
  'a time ten years ahead': [json, like({ at: startUs + 3.2e14 }), /^ANDON_INGEST_TIME_AHEAD$/],
  'a time above 2^53': [json, like({}).replace(String(startUs), '99999999999999999999'), /^ANDON_INGEST_/],
  'a number that is negative': [json, like({ n: -1 }), mapping],
  'a number that is a fraction': [json, like({ n: 1.5 }), mapping],
  'a number above 2^53': [json, like({}).replace('"n":1', '"n":9007199254740993'), mapping],
  'a number that is text': [json, like({ n: 'first' }), mapping],
  'a number that is true': [json, like({ n: true }), mapping],
  'an epoch that is negative': [json, like({ boot: -5 }), mapping],
  'an epoch that is a list': [json, like({ boot: [1] }), mapping],
  'a value that is text': [json, like({ v: { t: 'warm' } }), mapping],
  'a value that is NaN': [json, like({ v: { t: 'NaN' } }), mapping],
  'a value that is Infinity': [json, like({ v: { t: 'Infinity' } }), mapping],
  'a value that overflows': [json, like({}).replace('"t":20', '"t":1e999'), mapping],
  'a value that is an object': [json, like({ v: { t: { x: 1 } } }), mapping],
  'a value that is a list': [json, like({ v: { t: [1] } }), mapping],
  'a hexadecimal value': [json, like({ v: { t: '0x10' } }), mapping],
  'no value at all': [json, like({ v: {} }), mapping],
  'values that are null': [json, like({ v: { t: null, p: null } }), mapping],
  'values where an object is expected': [json, like({ v: 7 }), mapping],
  'a value outside the range': [json, like({ v: { t: 5000 } }), /^ANDON_INGEST_OUT_OF_RANGE$/],
  'a list that is not there': [list, '{}', mapping],
  'a list that is a text': [list, '{"rows":"x"}', mapping],
  'a list of texts': [list, '{"rows":["a"]}', mapping],
  'a row without a value': [list, `{"rows":[{"at":${milliseconds}}]}`, mapping],
  'a row without a time': [list, '{"rows":[{"t":1}]}', mapping],
  'CSV without rows': [csv, 'at,t\n', mapping],
  'CSV with a field too many': [csv, `at,t\n${startUs},1,2\n`, mapping],
  'CSV with a field too few': [csv, `at,t\n${startUs}\n`, mapping],
  'CSV without the column': [csv, `at,x\n${startUs},1\n`, mapping],
  'CSV with a quote that never ends': [csv, `at,t\n${startUs},"1\n`, mapping],
  'CSV with text as a value': [csv, `at,t\n${startUs},cold\n`, mapping],
  'CSV with a decimal comma': [csv, `at,t\n${startUs},"1,5"\n`, mapping],
  'CSV that is a formula': [csv, `at,t\n${startUs},=1+1\n`, mapping],
  'a number that is empty': [number, ' ', mapping],
  'a number with a unit': [number, '20 °C', mapping],
  'two numbers': [number, '1 2', mapping],
  'a line that is not JSON': [ndjson, 'x\n', mapping],
  'a line with a time without an offset': [ndjson, '{"at":"2026-11-18T10:00:00","t":1}', mapping],
  'a line with the 31st of February': [ndjson, '{"at":"2026-02-31T10:00:00Z","t":1}', mapping],
  'a name that the map does not have': [long, `{"at":${seconds},"c":"X","v":1}`, mapping],
  'a name that objects have': [long, `{"at":${seconds},"c":"toString","v":1}`, mapping],
  'a long value that is text': [long, `{"at":${seconds},"c":"T","v":"x"}`, mapping],
}

const open = () => openRig()
let rig: Awaited<ReturnType<typeof open>>

/** Hands two messages over as one batch, and gives the receipts. */
const take = async (from: typeof json, payloads: readonly Buffer[], door: Delivery['door'], name: string) => {
  const receipts: Receipt[] = []
  const compiled = compileMapping(from.mapping, from)
  const messages = payloads.map((payload, index) => ({
    readings: compiled.ofPayload(payload, { levels: ['a', 'b'], receivedUs: startUs }),
    bytes: payload.length,
    identity: `${door}:${name}:${index}`,
  }))
  const taken = takeMessages(
    async (delivery) => {
      const receipt = await rig.wiring.intake(delivery)
      receipts.push(receipt)
      return receipt
    },
    door,
    from.mapping,
    messages,
  )
  await rig.flush()
  await taken
  return receipts
}

const goodFor = new Map([
  [json, (n: number) => like({ device: `good${n}`, n })],
  [list, () => `{"rows":[{"at":${milliseconds},"t":1}]}`],
  [csv, () => `at,t\n${startUs},1\n`],
  [number, () => '21.5'],
  [ndjson, () => `{"at":${JSON.stringify(new Date(milliseconds).toISOString())},"t":1}`],
  [long, () => `{"at":${seconds},"c":"T","v":1}`],
])

let count = 0
for (const door of ['nats', 'kafka', 'kinesis'] as const) {
  test(`${door}: each of ${Object.keys(cases).length} bad messages is refused with one reason, and the good one behind it is kept`, async () => {
    rig = await open()
    await rig.pump()
    for (const [name, [from, payload, code]] of Object.entries(cases)) {
      const good = Buffer.from(goodFor.get(from)!(++count))
      const receipts = await take(from, [Buffer.from(payload), good], door, name)
      const quarantined = receipts.flatMap((receipt) => receipt.quarantined)
      assert.equal(quarantined.length, 1, `${name}: ${JSON.stringify(quarantined)}`)
      assert.match(quarantined[0]!.code, code, `${name}: ${quarantined[0]!.message}`)
      assert.ok(quarantined[0]!.message.length > 10 && quarantined[0]!.message.length < 1000, name)
      const kept = receipts.reduce((sum, { accepted, duplicates }) => sum + accepted + duplicates, 0)
      assert.equal(kept, 1, name)
    }
    await rig.wiring.stop()
  })
}

test('whatever bytes a message has, there is at least one reading or reason, and never an exception', () => {
  const compiled = [json, list, csv, number, ndjson, long].map((each) => compileMapping(each.mapping, each))
  const texts = fc.oneof(fc.json(), fc.string(), fc.string({ unit: 'binary' }))
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    texts.map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(bytes, fc.nat(compiled.length - 1), (payload, at) => {
      const readings = compiled[at]!.ofPayload(payload, { levels: ['a'], receivedUs: startUs })
      for (const { value, refused } of readings) assert.ok(refused !== undefined || typeof value === 'object')
    }),
    { numRuns: 2000 },
  )
})
