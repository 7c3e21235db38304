// Source files → readings: which field is what, and one clear refusal per reading that cannot be mapped.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { DocumentError, parseSource, sourceFaults } from '@andon/schemas'
import { compileMapping } from '../src/mapping.ts'
import type { Arrival } from '../src/mapping.ts'
import { checkReading, isRefusal } from '../src/reading.ts'
import { topicPattern } from '../src/mqtt/topics.ts'
import { timeReader } from '../src/times.ts'
import { plant } from './rig.ts'

const arrival: Arrival = {
  levels: ['plants', 'works', 'press-1', 'data'],
  names: { site: 'works', machine: 'press-1' },
  receivedUs: 1_795_000_000_000_000,
}

const sourceFile = (mapping: object, topic = 'plants/+site/+machine/data') =>
  parseSource({ version: 1, id: 'press-log', kind: 'mqtt', topic, mapping }) as Extract<ReturnType<typeof parseSource>, { kind: 'mqtt' }>

const compiled = (mapping: object) => compileMapping(sourceFile(mapping).mapping, { id: 'press-log' })
const mapped = (mapping: object, payload: unknown, from: Arrival = arrival) =>
  compiled(mapping).ofPayload(Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)), from)
const values = (mapping: object, payload: unknown, from?: Arrival) => mapped(mapping, payload, from).map(({ value }) => value)
const faults = (mapping: object, payload: unknown) => mapped(mapping, payload).map(({ refused }) => refused?.message)

const temperature = { asset: { id: 'press-1' }, channels: { temperatureC: { field: 'temp' } } }

test('wide form: a field per channel, with unit, scale and offset; a missing one is null', () => {
  const mapping = {
    asset: { field: '{machine}' },
    time: { field: 'ts', format: 'ms' },
    epoch: { field: 'boot' },
    seq: { field: 'n' },
    quality: { field: 'q', good: ['GOOD', 192], uncertain: [64] },
    channels: {
      temperatureC: { field: 'data.values.0.temp', unit: '[degF]' },
      pressureBar: { field: 'data.p', scale: 0.001, offset: 1 },
      speedRpm: { field: 'data.speed' },
    },
  }
  const payload = { ts: 1_795_000_000_123, boot: 3, n: '12', q: 64, data: { values: [{ temp: '98.6' }], p: 4000 } }
  assert.deepEqual(values(mapping, payload), [
    {
      asset: 'press-1',
      source: 'press-1:press-log',
      epoch: 3,
      seq: 12,
      timeUs: 1_795_000_000_123_000,
      values: { temperatureC: 98.6, pressureBar: 5, speedRpm: null },
      units: { temperatureC: '[degF]' },
      quality: 1,
    },
  ])
})

test('long form: a reading per value, the channel named by a field, each channel a source of its own', () => {
  const mapping = {
    each: 'values',
    asset: { field: '{2}' },
    time: { field: '$.timestamp', format: 'iso8601' },
    long: { channel: 'id', value: 'v', map: { 'Temp.PV': 'temperatureC', P: 'pressureBar' } },
  }
  const payload = {
    timestamp: '2026-11-18T06:13:20Z',
    values: [
      { id: 'Temp.PV', v: 21.5 },
      { id: 'P', v: true },
      { id: 'what', v: 1 },
    ],
  }
  assert.deepEqual(
    values(mapping, payload).map((value) => value && [(value as { source: string }).source, (value as { values: unknown }).values]),
    [['press-1:press-log.temperatureC', { temperatureC: 21.5 }], ['press-1:press-log.pressureBar', { pressureBar: 1 }], undefined],
  )
  assert.deepEqual(faults(mapping, payload).slice(2), ['sources/press-log: field id: found "what", expected one of the map: Temp.PV, P'])
})

test('each over an object takes its keys as {key}', () => {
  const mapping = { each: 'tags', asset: { id: 'press-1' }, long: { channel: '{key}', value: '.' } }
  assert.deepEqual(
    values(mapping, { tags: { temperatureC: 1, pressureBar: '2' } }).map((value) => (value as { values: unknown }).values),
    [{ temperatureC: 1 }, { pressureBar: 2 }],
  )
})

test('a bare number, its channel in the topic', () => {
  const mapping = { format: 'number', asset: { id: 'press-1' }, long: { channel: '{site}-{2}', value: '$' } }
  assert.deepEqual((values(mapping, ' 21.5\n')[0] as { values: unknown }).values, { 'works-press-1': 21.5 })
  assert.match(faults(mapping, 'on')[0] ?? '', /field \$: found "on", expected a finite number/)
})

test('CSV: columns by name, another delimiter and a decimal comma; a short row takes no other with it', () => {
  const mapping = {
    format: 'csv',
    csv: { delimiter: ';', decimal: ',' },
    asset: { field: 'machine' },
    time: { field: 'Time of day', timezone: 'Europe/Berlin' },
    channels: { temperatureC: { field: 'Temp. [C]' } },
  }
  const csv =
    'machine;Time of day;Temp. [C]\r\npress-1;2026-11-18 07:13:20,5;"21,5"\r\npress-1;2026-11-18\r\npress-2;2026-07-18 07:13:20;\r\n'
  const [first, short, empty] = mapped(mapping, csv)
  assert.deepEqual(first?.value, {
    asset: 'press-1',
    source: 'press-1:press-log',
    timeUs: Date.UTC(2026, 10, 18, 6, 13, 20, 500) * 1000,
    values: { temperatureC: 21.5 },
  })
  assert.match(short?.refused?.message ?? '', /a row of 2 fields, expected 3/)
  assert.equal(short?.bytes().toString(), 'machine;Time of day;Temp. [C]\r\npress-1;2026-11-18\r\n')
  assert.match(empty?.refused?.message ?? '', /expected a value in at least one of them/)
})

test('an array and NDJSON hold one reading each; a bad one takes no other with it and keeps its own bytes', () => {
  const [a, b, c] = mapped(temperature, '[{"temp":1}, {"temp": "x"} ,{"temp":3}]')
  assert.deepEqual([a?.refused, c?.refused], [undefined, undefined])
  assert.equal(b?.bytes().toString(), '{"temp": "x"}')
  assert.equal(b?.refused?.code, 'ANDON_INGEST_MAPPING')
  const lines = mapped({ ...temperature, format: 'ndjson' }, '{"temp":1}\nnope\n\n{"temp":2}')
  assert.deepEqual(
    lines.map(({ refused }) => refused?.message.includes('expected JSON') ?? false),
    [false, true, false],
  )
  assert.equal(lines[1]?.bytes().toString(), 'nope')
})

test('quarantined bytes of a nested list can be mapped again by themselves', () => {
  const mapping = { ...temperature, each: 'a.0.rows', time: { field: '$.ts', format: 's' } }
  const [, second] = mapped(mapping, { ts: 1_795_000_000, a: [{ rows: [{ temp: 1 }, { temp: 'x' }] }] })
  assert.equal(second?.bytes().toString(), '{"ts":1795000000,"a":[{"rows":[{"temp":"x"}]}]}')
})

test('the number of a refused reading is known, so that it can be withheld', () => {
  const [reading] = mapped({ ...temperature, seq: { field: 'n' } }, { n: 7, temp: {} })
  const { source, epoch, seq } = reading?.refused ?? {}
  assert.deepEqual([source, epoch, seq], ['press-1:press-log', 0, 7])
})

test('a device leads the source ids of what it sends', () => {
  const [value] = values(temperature, { temp: 1 }, { ...arrival, deviceId: 'gateway-7' })
  assert.equal((value as { source: string }).source, 'gateway-7:press-log.press-1')
})

for (const [name, mapping, payload, message] of [
  ['an empty payload', temperature, '', /an empty payload/],
  ['no JSON', temperature, '{"temp":', /found "\{\\"temp\\":", expected JSON/],
  ['no list', { ...temperature, each: 'rows' }, { rows: 3 }, /field rows: found 3, expected the list/],
  ['no value at all', temperature, { other: 1 }, /field temp: found nothing, expected a value/],
  ['a value that is no number', temperature, { temp: '21.5 C' }, /field temp: found "21.5 C", expected a finite number/],
  ['a hexadecimal number', temperature, { temp: '0x10' }, /expected a finite number/],
  ['a number beyond a double', temperature, '{"temp":1e999}', /found Infinity, expected a finite number/],
  [
    'a capture that the topic lacks',
    { ...temperature, asset: { field: '$.machine' } },
    { temp: 1 },
    /field \$\.machine: found nothing, expected a text/,
  ],
  [
    'an asset that the map lacks',
    { ...temperature, asset: { field: 'm', map: { a: 'press-1' } } },
    { m: 'b' },
    /found "b", expected one of the map: a/,
  ],
  [
    'a number of a sequence that is negative',
    { ...temperature, seq: { field: 'n' } },
    { n: -1 },
    /field n: found -1, expected an integer ≥ 0/,
  ],
  ['a sequence number that a double cannot hold', { ...temperature, seq: { field: 'n' } }, '{"n":9007199254740993}', /expected an integer/],
  [
    'a time in seconds that is milliseconds',
    { ...temperature, time: { field: 't', format: 's' } },
    { t: 1_795_000_000_000 },
    /in the year 58851/,
  ],
  ['a local time without a zone', { ...temperature, time: { field: 't' } }, { t: '2026-11-18 07:13:20' }, /expected an offset/],
  ['a day that does not exist', { ...temperature, time: { field: 't' } }, { t: '2026-02-30T00:00:00Z' }, /that exist/],
  ['inherited fields', { ...temperature, asset: { field: 'constructor.name' } }, { temp: 1 }, /found nothing/],
] as const) {
  test(`refused with the field: ${name}`, () => {
    const [reading] = mapped(mapping, payload)
    assert.equal(reading?.refused?.code, 'ANDON_INGEST_MAPPING')
    assert.match(reading?.refused?.message ?? '', message)
    assert.match(reading?.refused?.message ?? '', /^sources\/press-log: /)
  })
}

test('times: every format, offsets, and the two odd hours of a year', () => {
  const us = 1_795_000_000_123_456
  for (const [format, value] of [
    ['s', us / 1e6],
    ['ms', us / 1000],
    ['us', String(us)],
    ['ns', `${us}789`],
    ['ns', BigInt(us) * 1000n],
    ['iso8601', '2026-11-18T11:06:40.123456789Z'],
    ['iso8601', '2026-11-18 16:36:40.123456+05:30'],
  ] as const) {
    const read = timeReader(format)(value)
    assert.ok(Math.abs((read as number) - us) <= (format === 's' ? 1 : 0), `${format}: ${read}`)
  }
  const berlin = timeReader('iso8601', 'Europe/Berlin')
  assert.equal(berlin('2026-10-25T02:30:00'), Date.UTC(2026, 9, 25, 0, 30) * 1000)
  assert.match(String(berlin('2026-03-29T02:30:00')), /does? not exist|exists in/)
  assert.equal(berlin('2016-12-31T23:59:60Z'), Date.UTC(2017, 0, 1) * 1000)
})

test('a local time read in its zone is the instant whose wall clock it is', () => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/St_Johns', 'UTC']
  fc.assert(
    fc.property(fc.constantFrom(...zones), fc.integer({ min: Date.UTC(2001, 0), max: Date.UTC(2037, 0) }), (zone, ms) => {
      const utcMs = Math.floor(ms / 1000) * 1000
      const wall = new Date(utcMs).toLocaleString('sv-SE', { timeZone: zone })
      const read = timeReader('iso8601', zone)(wall)
      assert.equal(typeof read, 'number')
      // The hour that comes twice is read as its first one.
      assert.equal(new Date((read as number) / 1000).toLocaleString('sv-SE', { timeZone: zone }), wall)
      assert.ok((read as number) / 1000 <= utcMs)
    }),
  )
})

const anyMapping = {
  each: 'rows',
  asset: { field: 'a' },
  source: { field: 's' },
  time: { field: 't', format: 'ms' },
  seq: { field: 'n' },
  quality: { field: 'q', good: ['ok'] },
  channels: { temperatureC: { field: 'v', scale: 2 }, pressureBar: { field: 'deep.er.0' } },
}

test('any JSON and any bytes: as many readings as rows, each one checked or refused, none thrown', () => {
  const mapping = compiled(anyMapping)
  const row = fc.record(
    Object.fromEntries(['a', 's', 't', 'n', 'q', 'v', 'deep'].map((key) => [key, fc.oneof(fc.anything(), fc.integer(), fc.constant('x'))])),
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(row, fc.anything()), { minLength: 1 }), (rows) => {
      let json: string
      try {
        json = JSON.stringify({ rows })
      } catch {
        return // bigint, cycles
      }
      const readings = mapping.ofPayload(Buffer.from(json), arrival)
      assert.equal(readings.length, rows.length)
      for (const reading of readings) {
        assert.ok(reading.refused !== undefined || typeof reading.value === 'object')
        assert.doesNotThrow(() => JSON.parse(reading.bytes().toString()))
        if (reading.refused === undefined) assert.doesNotThrow(() => checkReading(reading.value))
      }
    }),
  )
  for (const format of ['json', 'ndjson', 'csv', 'number'] as const) {
    const field = format === 'number' ? '$' : 'v'
    const any = compiled({ format, asset: { id: 'press-1' }, channels: { temperatureC: { field } } })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const readings = any.ofPayload(Buffer.from(bytes), arrival)
        assert.ok(
          readings.length > 0 || (format === 'json' && JSON.parse(Buffer.from(bytes).toString()).length === 0) || format === 'ndjson',
        )
        for (const { refused, value, bytes: kept } of readings) assert.ok((refused !== undefined || typeof value === 'object') && kept())
      }),
    )
  }
})

test('deep nesting is refused, not followed', () => {
  const deep = `{"temp":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
  assert.match(faults(temperature, deep)[0] ?? '', /found a list of 1/)
  const each = mapped({ ...temperature, each: 'rows' }, `{"rows":[${deep}]}`)
  assert.ok(each[0]!.bytes().length > 0)
})

for (const [name, mapping, expected, topic] of [
  ['neither channels nor long', { asset: { id: 'a' } }, /mapping\.channels: expected at least one channel, or long/],
  ['both', { ...temperature, long: { channel: 'c', value: 'v' } }, /either channels or long/],
  ['a list in a CSV', { ...temperature, format: 'csv', each: 'rows' }, /csv has no lists/],
  ['an epoch without seq', { ...temperature, epoch: { field: 'e' } }, /mapping\.epoch: expected nothing, unless seq/],
  ['no such time zone', { ...temperature, time: { field: 't', timezone: 'Mars/Base' } }, /an IANA time zone/],
  ['a time zone for a count', { ...temperature, time: { field: 't', format: 'ms', timezone: 'UTC' } }, /ms counts in UTC/],
  ['a level that the topic lacks', { ...temperature, asset: { field: '{4}' } }, /\{0\} to \{3\}/],
  ['a name that the topic lacks', { ...temperature, asset: { field: '{line}' } }, /a named level of the topic \(site, machine\)/],
  ['a lone brace', { ...temperature, asset: { field: '{line' } }, /braces in pairs/],
  ['{key} without each', { ...temperature, asset: { field: '{key}' } }, /unless each is given/],
  ['fields of a number', { ...temperature, format: 'number' }, /a number has no fields/],
  ['a word that is good and uncertain', { ...temperature, quality: { field: 'q', good: [1], uncertain: ['1'] } }, /not among good/],
  ['a scale of 0', { ...temperature, channels: { t: { field: 'v', scale: 0 } } }, /other than 0/],
  ['a decimal comma between commas', { ...temperature, format: 'csv', csv: { decimal: ',' } }, /"\."/],
  ['# in the middle', temperature, /# as its last level/, 'a/#/b'],
  ['half a wildcard', temperature, /levels that are text/, 'a/b+/c'],
  ['our own topics', temperature, /outside andon/, 'andon/x/readings'],
  ['a name twice', temperature, /used once/, '+a/+a'],
] as const) {
  test(`a source file is refused: ${name}`, () => {
    assert.throws(
      () => sourceFile(mapping, topic),
      (error) => error instanceof DocumentError && expected.test(error.message),
    )
  })
}

test('a fault of a source file names its line', () => {
  const yaml = 'version: 1\nid: x\nkind: mqtt\ntopic: a/b\nmapping:\n  asset: { id: press-1 }\n  channels:\n    t: { field: "{2}" }\n'
  assert.throws(() => parseSource(yaml, { file: 'sources/x.yaml' }), /sources\/x\.yaml:8: mapping\.channels\.t\.field: expected a level/)
})

test('assets and channels that a source file fixes are in the plant', () => {
  const faultOf = (mapping: object) => sourceFaults(sourceFile(mapping), plant)[0]
  assert.equal(faultOf({ asset: { id: 'oven' }, channels: { temperatureC: { field: 't' } } }), undefined)
  assert.equal(faultOf({ asset: { id: 'kiln' }, channels: { temperatureC: { field: 't' } } })?.path, 'mapping.asset.id')
  assert.deepEqual(faultOf({ asset: { field: 'm', map: { a: 'oven' } }, long: { channel: 'c', value: 'v', map: { T: 'tempC' } } }), {
    path: 'mapping.long.map.T',
    found: 'tempC',
    expected: 'a channel of oven (temperatureC, pressureBar)',
  })
})

test('the examples of docs/mqtt.md are valid, and map the message that stands above each', () => {
  const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'mqtt.md'), 'utf8')
  const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml]) => yaml!)
  assert.ok(examples.length >= 4)
  for (const yaml of examples) {
    const source = parseSource(yaml)
    if (source.kind !== 'mqtt') continue
    const [, payload = '', topic = ''] = /^# (.+) on ([\w/-]+)$/m.exec(yaml) ?? /^# (.+), as KepServer()/.exec(yaml)!
    const levels = (topic === '' ? source.topic : topic).split('/')
    const names = topicPattern(source.topic).match(levels)
    assert.ok(names !== undefined, source.id)
    const readings = compileMapping(source.mapping, source).ofPayload(Buffer.from(payload), { ...arrival, levels, names })
    for (const { value, refused } of readings) {
      assert.equal(refused, undefined)
      const reading = checkReading(value)
      assert.ok(!isRefusal(reading), source.id)
    }
  }
})
