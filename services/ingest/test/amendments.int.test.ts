// What releases and corrections may be at the HTTP door: large ones, many at once, contradictions, any bytes. What is refused changes nothing.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import type { Logger } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import { openAmendRig } from './amend-rig.ts'
import { quarantineTopic } from '../src/records.ts'
import { blocksOf, logged } from './rig.ts'
import { until } from './until.ts'

const lines: [string, Record<string, unknown>][] = []
const note = (fields: Record<string, unknown>, message: string) => void lines.push([message, fields])
const rig = await openAmendRig({
  logger: { info: note, warn: note, error: note } as unknown as Logger,
  spoolMaxBytes: 1 << 28,
  settings: { inFlightMaxBytes: 1 << 26, blockMaxRows: 2000 },
})
after(() => rig.stop())

const nowUs = Date.now() * 1000
const fromUs = nowUs - 3_600_000_000
const range = { asset: 'oven', channels: ['temperatureC'], fromUs, toUs: nowUs - 60_000_000, reason: 'wrong sensor' }
const sample = (timeUs: number, temperatureC: unknown = 20) => ({ timeUs, values: { temperatureC } })
const released = (temperatureC: unknown = 20, quarantineId: string = crypto.randomUUID()) => ({
  quarantineId,
  reading: { source: 'oven-plc', epoch: 7, seq: 9, timeUs: fromUs, values: { temperatureC } },
})

const blocks = async (source: string) => blocksOf(await logged(rig.log)).filter(({ sourceId }) => sourceId.startsWith(source))
/** The blocks of a source, once so many rows of it are on the log. */
const blocksWith = async (source: string, rows: number) => {
  let found = await blocks(source)
  await until(async () => (found = await blocks(source)).reduce((sum, block) => sum + block.rows, 0) >= rows, `${rows} rows of ${source}`)
  return found
}

test('a hundred thousand readings of a correction are blocks of one source, in order and without a gap', async () => {
  const readings = Array.from({ length: 100_000 }, (_, at) => sample(fromUs + at * 1000, at % 900))
  const { status, body } = await rig.post('/v1/corrections', { ...range, readings })
  assert.deepEqual([status, body['accepted']], [202, 100_000], JSON.stringify(body))
  const written = await blocksWith(`correction:${String(body['correctionId'])}`, 100_000)
  assert.ok(written.length >= 50)
  let next = 1
  for (const { seqFrom, seqTo, correction } of written) {
    assert.deepEqual([seqFrom, correction?.by, correction?.reason], [next, 'p-operator', 'wrong sensor'])
    next = seqTo + 1
  }
  assert.equal(next, 100_001)
  const one = await rig.post('/v1/corrections', { ...range, readings: [...readings, sample(fromUs)] })
  assert.deepEqual([one.status, one.body['code']], [400, 'ANDON_INGEST_BAD_AMENDMENT'])
  assert.match(String(one.body['detail']), /readings: .*100000/)
})

test('a thousand releases at once are a thousand sources; one that is refused holds back no other', async () => {
  const releases = Array.from({ length: 1000 }, (_, at) => released(at === 500 ? 5000 : 20))
  const trial = await rig.post('/v1/releases', { reason: 'sensor changed', dryRun: true, releases })
  const { status, body } = await rig.post('/v1/releases', { reason: 'sensor changed', releases })
  assert.deepEqual([trial.status, status, trial.body['accepted'], body['accepted']], [200, 202, 999, 999])
  assert.deepEqual(
    (body['refused'] as { index: number; code: string }[]).map(({ index, code }) => [index, code]),
    [[500, 'ANDON_INGEST_OUT_OF_RANGE']],
  )
  const written = await blocksWith('release:', 999)
  assert.deepEqual([written.length, new Set(written.map(({ sourceId }) => sourceId)).size], [999, 999], 'a trial writes nothing')
  assert.deepEqual(lines.at(-1), [
    'readings released from quarantine',
    { by: 'p-operator', reason: 'sensor changed', releases: 1000, accepted: 999, refused: 1 },
  ])
  assert.deepEqual(await logged(rig.log, quarantineTopic), [], 'and what is refused stays where it was')
})

test('a payload that is mapped to several readings now is released as all of them, or not at all', async () => {
  rig.documents['sources/racks'] = parseSource({
    version: 1,
    id: 'racks',
    kind: 'mqtt',
    topic: 'racks/+rack',
    mapping: { each: 'list', asset: { id: 'oven' }, time: { field: 't', format: 'ms' }, channels: { temperatureC: { field: 'v' } } },
  })
  const send = (...values: number[]) => {
    const payload = Buffer.from(JSON.stringify({ list: values.map((v, at) => ({ t: fromUs / 1000 + at, v })) })).toString('base64')
    const release = {
      quarantineId: '7d7f2b2e-0000-8000-8000-000000000000',
      mapped: { file: 'racks', arrival: { receivedUs: nowUs }, payload },
    }
    return rig.post('/v1/releases', { reason: 'the list has another name', releases: [release] })
  }
  assert.equal((await send(20, 5000)).body['accepted'], 0)
  assert.equal((await send()).body['accepted'], 0)
  assert.equal((await send(20, 21, 22)).body['accepted'], 3)
  assert.deepEqual(
    (await blocksWith('release:7d7f2b2e', 3)).map(({ sourceId }) => sourceId.slice(-4)).toSorted((a, b) => (a < b ? -1 : 1)),
    ['00.1', '00.2', '0000'],
  )
})

const badCorrections: [string, unknown, RegExp][] = [
  ['no reason', { ...range, reason: undefined, readings: [] }, /^reason: /],
  ['an empty reason', { ...range, reason: ' ', readings: [] }, /^reason: /],
  ['a range that ends before it starts', { ...range, toUs: fromUs - 1, readings: [] }, /^toUs: found/],
  ['a range in the future', { ...range, toUs: nowUs + 3_600_000_000, readings: [] }, /^fromUs, toUs: .* up to now/],
  ['a range in milliseconds', { ...range, fromUs: fromUs / 1000, readings: [] }, /^fromUs, toUs: /],
  ['a reading before the range', { ...range, readings: [sample(fromUs - 1)] }, /^readings\[0\]\.timeUs: /],
  ['a reading at its end', { ...range, readings: [sample(fromUs), sample(range.toUs)] }, /^readings\[1\]\.timeUs: /],
  [
    'a channel that is not corrected',
    { ...range, readings: [{ timeUs: fromUs, values: { pressureBar: 1 } }] },
    /^readings\[0\]\.values: found pressureBar/,
  ],
  [
    'a channel that the asset lacks',
    { ...range, channels: ['rpm'], readings: [] },
    /^plant\.yaml has no asset oven with all of these channels: rpm/,
  ],
  ['an asset that is none', { ...range, asset: 'constructor', readings: [] }, /no asset constructor/],
  ['a value out of range', { ...range, readings: [sample(fromUs), sample(fromUs + 1, 5000)] }, /^readings\[1\]: ANDON_INGEST_OUT_OF_RANGE/],
  ['no value', { ...range, readings: [{ timeUs: fromUs, values: {} }] }, /^readings\[0\]: ANDON_INGEST_BAD_FIELD/],
  ['a text', { ...range, readings: [sample(fromUs, 'hot')] }, /^readings\.0\.values: /],
  ['a field that is not known', { ...range, readings: [], by: 'p-other' }, /by/],
  [
    '__proto__ as a channel',
    `{"asset":"oven","channels":["temperatureC"],"fromUs":${fromUs},"toUs":${range.toUs},"reason":"x","readings":[{"timeUs":${fromUs},"values":{"__proto__":1}}]}`,
    /^readings\[0\]\.values: found __proto__/,
  ],
  [
    'constructor as a channel',
    { ...range, channels: ['constructor'], readings: [{ timeUs: fromUs, values: { constructor: 1 } }] },
    /no asset oven with all of these channels: constructor/,
  ],
  ['an array', [], /^body: /],
]
for (const [what, body, expected] of badCorrections) {
  test(`a correction with ${what} is refused by name, and nothing of it is written`, async () => {
    const before = (await blocks('')).length
    const answer = await rig.post('/v1/corrections', body)
    assert.equal(answer.status, 400, JSON.stringify(answer.body))
    assert.match(String(answer.body['detail']), expected)
    assert.equal((await blocks('')).length, before)
  })
}

const badReleases: [string, unknown, number, RegExp][] = [
  ['no reason', { releases: [released()] }, 400, /^reason: /],
  ['nothing in it', { reason: 'x', releases: [] }, 400, /^releases: /],
  ['more than a thousand', { reason: 'x', releases: Array.from({ length: 1001 }, () => released()) }, 400, /^releases: .*1000/],
  [
    'an id that is none',
    { reason: 'x', releases: [released(), { ...released(), quarantineId: '../..' }] },
    400,
    /^releases\.1\.quarantineId: Invalid UUID/,
  ],
  ['no reading', { reason: 'x', releases: [{ quarantineId: crypto.randomUUID() }] }, 400, /^releases\.0: expected/],
  ['JSON cut off', '{"reason":', 400, /^body: .*expected JSON/],
  ['what is not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 400, /^body|^reason/],
  ['seventeen megabytes', JSON.stringify({ reason: 'x'.repeat(17 << 20) }), 413, /^body: found more than 16777216 bytes/],
]
for (const [what, body, status, expected] of badReleases) {
  test(`releases with ${what} are refused by name`, async () => {
    const answer = await rig.post('/v1/releases', body)
    assert.deepEqual([answer.status, answer.body['code']], [status, 'ANDON_INGEST_BAD_AMENDMENT'])
    assert.match(String(answer.body['detail']), expected)
  })
}

test('another content type, and nested beyond any stack, are answered as well', async () => {
  assert.equal((await rig.post('/v1/releases', 'reason=x', { 'content-type': 'application/x-www-form-urlencoded' })).status, 415)
  const deep = `{"reason":"x","releases":[{"quarantineId":"${crypto.randomUUID()}","reading":{"values":${'['.repeat(200_000)}${']'.repeat(200_000)}}}]}`
  const { status, body } = await rig.post('/v1/releases', deep)
  assert.deepEqual([status, body['accepted']], [202, 0])
})

const anyJson = fc.jsonValue({ maxDepth: 4 })
const nearCorrection = fc.record(
  {
    asset: fc.oneof(fc.constantFrom('oven', '__proto__', 'spindle'), anyJson),
    channels: fc.oneof(fc.constant(['temperatureC']), fc.array(fc.constantFrom('temperatureC', 'toString', '__proto__')), anyJson),
    fromUs: fc.oneof(fc.constant(fromUs), fc.integer(), fc.double(), anyJson),
    toUs: fc.oneof(fc.constant(range.toUs), fc.maxSafeInteger(), anyJson),
    reason: fc.oneof(fc.string(), anyJson),
    readings: fc.oneof(
      fc.array(fc.record({ timeUs: fc.constant(fromUs), values: fc.dictionary(fc.constantFrom('temperatureC', 'constructor'), anyJson) })),
      anyJson,
    ),
    dryRun: fc.oneof(fc.boolean(), anyJson),
  },
  { requiredKeys: [] },
)
const nearRelease = fc.record(
  {
    quarantineId: fc.oneof(fc.uuid(), fc.string()),
    reading: fc.oneof(
      fc.record(
        {
          source: anyJson,
          asset: anyJson,
          timeUs: fc.oneof(fc.constant(fromUs), anyJson),
          values: anyJson,
          waveform: anyJson,
          units: anyJson,
          quality: anyJson,
        },
        { requiredKeys: [] },
      ),
      anyJson,
    ),
    mapped: fc.record({
      file: fc.constantFrom('racks', '__proto__', ''),
      arrival: fc.oneof(fc.constant({ receivedUs: nowUs }), anyJson),
      payload: fc.oneof(fc.base64String(), anyJson),
    }),
  },
  { requiredKeys: ['quarantineId'] },
)
const bodies = fc.oneof(
  nearCorrection,
  fc.record({ reason: fc.string(), releases: fc.array(nearRelease) }),
  anyJson,
  fc.uint8Array({ maxLength: 200 }),
)

test('whatever is sent is answered as taken or as refused, and ingest goes on', async () => {
  await fc.assert(
    fc.asyncProperty(bodies, fc.constantFrom('/v1/releases', '/v1/corrections'), async (body, path) => {
      const { status, body: answer } = await rig.post(path, body)
      assert.ok([200, 202, 400, 415].includes(status), `${status} ${JSON.stringify(answer)}`)
      if (status >= 400) assert.match(String(answer['code']), /^ANDON_INGEST_/)
    }),
    { numRuns: 400 },
  )
  for (const block of await blocks('')) assert.ok(block.rows > 0 || block.correction !== null)
  assert.deepEqual(
    lines.filter(([message]) => message === 'request failed'),
    [],
  )
})
