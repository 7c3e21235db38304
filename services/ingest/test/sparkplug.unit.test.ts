// The state of an edge node at its host. Names in brackets are ids of statements of the Sparkplug specification, 3.0.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EdgeNode } from '../src/sparkplug/edge-node.ts'
import type { Outcome } from '../src/sparkplug/edge-node.ts'
import type { Feed } from '../src/sparkplug/rows.ts'
import { birth, data, death, encode, encodeRaw, refusals, rows, startMs, tell } from './sparkplug-node.ts'
import type { Row } from './sparkplug-node.ts'

const feed = (source: string, metrics: Record<string, string>): Feed => ({
  source,
  asset: source,
  channels: new Map(Object.entries(metrics).map(([metric, channel]) => [metric, { channel, scale: 1, offset: 0 }])),
  units: undefined,
})
const ofNode = feed('oven', { temp: 'temperatureC', press: 'pressureBar', count: 'count' })
const ofDevice = feed('pump', { rpm: 'rpm' })

const newNode = (reorderMs = 250) =>
  new EdgeNode({ reorderMs, feedsOf: (device) => (device === undefined ? [ofNode] : device === 'D' ? [ofDevice] : []) })

const born = () => {
  const edge = newNode()
  tell(edge, 'NBIRTH', birth())
  return edge
}

const deviceBirth = (seq: number, timestamp = startMs + 10) =>
  encode({ timestamp, seq, metrics: [{ name: 'rpm', alias: 10, type: 'Float', value: 900 }] })
const deviceData = (seq: number, value = 901) =>
  encodeRaw({ timestamp: startMs + seq * 100, seq, metrics: [{ alias: 10, timestamp: startMs + seq * 100, floatValue: value }] })
const temperatures = (outcome: Outcome) => rows(outcome).map(({ values }) => values['temperatureC'])

test('a birth says what holds at its own time [tck-id-payloads-nbirth-timestamp]', () => {
  const [row, ...more] = rows(tell(newNode(), 'NBIRTH', birth()))
  assert.deepEqual(more, [])
  const values = { temperatureC: 20, pressureBar: -3 }
  assert.deepEqual(row, { source: 'oven', asset: 'oven', epoch: startMs * 1000, seq: 1, timeUs: startMs * 1000, quality: 0, values })
})

test('data without names and datatypes is read by alias [tck-id-payloads-metric-datatype-not-req] [tck-id-payloads-alias-data-cmd-requirement]', () => {
  const [row] = rows(tell(born(), 'NDATA', data(1, 41.5)))
  assert.deepEqual([row?.values, row?.timeUs, row?.seq], [{ temperatureC: 41.5 }, (startMs + 100) * 1000, 2])
})

test('data is read by name when it has no alias', () => {
  const sent = encodeRaw({ timestamp: startMs, seq: 1, metrics: [{ name: 'press', timestamp: startMs, intValue: 7 }] })
  assert.deepEqual(rows(tell(born(), 'NDATA', sent))[0]?.values, { pressureBar: 7 })
})

test('a birth whose seq is not 0, or that has none, is refused [tck-id-topics-nbirth-seq-num]', () => {
  for (const payload of [birth({ seq: 5 }), encode({ timestamp: startMs, metrics: [{ name: 'bdSeq', type: 'UInt64', value: 0 }] })]) {
    const edge = newNode()
    assert.equal(refusals(tell(edge, 'NBIRTH', payload))[0]?.code, 'ANDON_INGEST_SPARKPLUG_BIRTH')
    assert.equal(edge.isAlive, false)
  }
})

test('a birth without bdSeq is refused [tck-id-topics-nbirth-bdseq-included]', () => {
  const edge = newNode()
  assert.match(refusals(tell(edge, 'NBIRTH', encode({ timestamp: startMs, seq: 0, metrics: [] })))[0]!.message, /bdSeq: found none/)
})

test('seq goes from 255 to 0 [tck-id-payloads-sequence-num-incrementing]', () => {
  const edge = born()
  for (let count = 1; count <= 600; count++) {
    const outcome = tell(edge, 'NDATA', data(count % 256, count, startMs + count))
    assert.deepEqual([temperatures(outcome), outcome.rebirth], [[count], undefined])
  }
})

test('messages that overtook each other are put in order, without a request for births [tck-id-operational-behavior-host-reordering-param]', () => {
  const edge = born()
  assert.deepEqual(rows(tell(edge, 'NDATA', data(3))), [])
  assert.deepEqual(rows(tell(edge, 'NDATA', data(2))), [])
  assert.equal(edge.dueMs, startMs + 250)
  const outcome = tell(edge, 'NDATA', data(1))
  assert.deepEqual([temperatures(outcome), outcome.rebirth], [[1, 2, 3], undefined])
  assert.deepEqual([edge.dueMs, edge.expire(startMs + 1000).readings], [undefined, []])
})

test('a gap asks for births when the wait is over, and what came is kept [tck-id-operational-behavior-host-reordering-rebirth]', () => {
  const edge = born()
  tell(edge, 'NDATA', data(2))
  tell(edge, 'NDATA', data(3), startMs + 100)
  assert.deepEqual(edge.expire(startMs + 249).rebirth, undefined)
  const outcome = edge.expire(startMs + 250)
  assert.deepEqual([temperatures(outcome), outcome.rebirth], [[2, 3], 'gap'])
  assert.equal(tell(edge, 'NDATA', data(4)).rebirth, undefined)
})

test('the missing message in time makes births needless [tck-id-operational-behavior-host-reordering-success]', () => {
  const edge = born()
  tell(edge, 'NDATA', data(2))
  assert.deepEqual(temperatures(tell(edge, 'NDATA', data(1), startMs + 200)), [1, 2])
  assert.equal(edge.expire(startMs + 300).rebirth, undefined)
})

test('numbers begin a new epoch after a gap, since nobody knows how many readings are missing', () => {
  const edge = born()
  tell(edge, 'NDATA', data(2))
  const [row] = rows(edge.expire(startMs + 250))
  assert.deepEqual([row?.epoch, row?.seq], [startMs * 1000 + 1, 1])
})

test('a message given up as lost is kept when it comes after all, and nothing waits for it again', () => {
  const edge = born()
  tell(edge, 'NDATA', data(2))
  edge.expire(startMs + 250)
  const late = tell(edge, 'NDATA', data(1), startMs + 300)
  assert.deepEqual([temperatures(late), late.rebirth], [[1], undefined])
  assert.deepEqual(temperatures(tell(edge, 'NDATA', data(3))), [3])
})

test('a message that comes twice is taken once', () => {
  const edge = born()
  tell(edge, 'NDATA', data(1))
  tell(edge, 'NDATA', data(3))
  for (const repeated of [data(1), data(3)]) {
    const outcome = tell(edge, 'NDATA', repeated)
    assert.deepEqual([outcome.readings, outcome.repeats, outcome.rebirth], [[], 1, undefined])
  }
  assert.equal(tell(edge, 'NBIRTH', birth()).repeats, 1)
  assert.deepEqual(temperatures(tell(edge, 'NDATA', data(2))), [2, 3])
})

test('a death makes every announced channel bad and missing, once [tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale]', () => {
  const edge = born()
  tell(edge, 'DBIRTH', deviceBirth(1), startMs, 'D')
  const outcome = tell(edge, 'NDEATH', death(0), startMs + 777)
  assert.deepEqual(
    rows(outcome).map(({ source, quality, timeUs, values }) => [source, quality, timeUs, values]),
    [
      ['oven', 2, (startMs + 777) * 1000, { temperatureC: null, pressureBar: null }],
      ['pump', 2, (startMs + 777) * 1000, { rpm: null }],
    ],
  )
  const again = tell(edge, 'NDEATH', death(0), startMs + 900)
  assert.deepEqual([again.readings, again.repeats], [[], 1])
})

test('a death of another birth is ignored [tck-id-payloads-ndeath-bdseq] [tck-id-operational-behavior-edge-node-termination-host-action-ndeath-bdseq]', () => {
  const edge = newNode()
  tell(edge, 'NBIRTH', birth({}, 4))
  assert.deepEqual(tell(edge, 'NDEATH', death(3)).readings, [])
  assert.deepEqual(temperatures(tell(edge, 'NDATA', data(1))), [1])
})

test('a death that overtook its birth ends it', () => {
  const edge = newNode()
  tell(edge, 'NDEATH', death(5), startMs)
  const outcome = tell(edge, 'NBIRTH', birth({}, 5), startMs + 20)
  assert.deepEqual(temperatures(outcome), [20, null])
  assert.equal(edge.isAlive, false)
})

test('a death of long ago does not end a birth that has its number again', () => {
  const edge = newNode()
  tell(edge, 'NDEATH', death(5), startMs)
  tell(edge, 'NBIRTH', birth({}, 5), startMs + 300)
  assert.equal(edge.isAlive, true)
})

test('a node that comes back with the number it died with is alive', () => {
  const edge = born()
  tell(edge, 'NDEATH', death(0))
  tell(edge, 'NDEATH', death(0))
  tell(edge, 'NBIRTH', birth({ timestamp: startMs + 50 }), startMs + 50)
  assert.equal(edge.isAlive, true)
})

test('data before a birth asks for births once the wait is over, and is in quarantine [tck-id-operational-behavior-data-publish-nbirth]', () => {
  const edge = newNode()
  const early = tell(edge, 'NDATA', data(9))
  assert.deepEqual([early.readings, early.rebirth], [[], undefined])
  const outcome = edge.expire(startMs + 250)
  assert.deepEqual([refusals(outcome)[0]?.code, outcome.rebirth], ['ANDON_INGEST_SPARKPLUG_UNBORN', 'before-birth'])
  assert.deepEqual(outcome.readings[0]?.bytes(), data(9))
})

test('a device birth that overtook the node’s birth is taken after it', () => {
  const edge = newNode()
  tell(edge, 'DBIRTH', deviceBirth(1), startMs, 'D')
  tell(edge, 'DDATA', deviceData(2), startMs, 'D')
  const outcome = tell(edge, 'NBIRTH', birth(), startMs + 30)
  assert.deepEqual(
    rows(outcome).map(({ source, values }) => [source, values]),
    [
      ['oven', { temperatureC: 20, pressureBar: -3 }],
      ['pump', { rpm: 900 }],
      ['pump', { rpm: 901 }],
    ],
  )
})

test('data of a device without a birth asks for births [tck-id-operational-behavior-host-application-device-data-before-birth]', () => {
  const outcome = tell(born(), 'DDATA', deviceData(1), startMs, 'D')
  assert.deepEqual([refusals(outcome)[0]?.code, outcome.rebirth], ['ANDON_INGEST_SPARKPLUG_UNBORN', 'before-birth'])
})

test('a device’s death makes its own channels bad at the time it says [tck-id-operational-behavior-device-ddeath]', () => {
  const edge = born()
  tell(edge, 'DBIRTH', deviceBirth(1), startMs, 'D')
  const outcome = tell(edge, 'DDEATH', encode({ timestamp: startMs + 400, seq: 2 }), startMs + 500, 'D')
  assert.deepEqual(
    rows(outcome).map(({ source, quality, timeUs }) => [source, quality, timeUs]),
    [['pump', 2, (startMs + 400) * 1000]],
  )
  assert.deepEqual(temperatures(tell(edge, 'NDATA', data(3))), [3])
  assert.deepEqual(rows(tell(edge, 'NDEATH', death(0))).length, 1)
})

test('an alias that no birth announced asks for births, and the metrics beside it are kept', () => {
  const metrics = [
    { alias: 77, timestamp: startMs, doubleValue: 1 },
    { alias: 1, timestamp: startMs, doubleValue: 2 },
  ]
  const outcome = tell(born(), 'NDATA', encodeRaw({ timestamp: startMs, seq: 1, metrics }))
  assert.deepEqual([temperatures(outcome), outcome.rebirth], [[2], 'unknown-metric'])
  assert.match(refusals(outcome)[0]!.message, /alias 77: no birth announced it/)
})

test('an alias of a device means nothing in a message of the node [tck-id-payloads-alias-uniqueness]', () => {
  const edge = born()
  tell(edge, 'DBIRTH', deviceBirth(1), startMs, 'D')
  const sent = encodeRaw({ timestamp: startMs, seq: 2, metrics: [{ alias: 10, timestamp: startMs, doubleValue: 1 }] })
  assert.equal(tell(edge, 'NDATA', sent).rebirth, 'unknown-metric')
})

test('a device birth that uses an alias of another metric is refused [tck-id-payloads-alias-uniqueness]', () => {
  const sent = encode({ timestamp: startMs, seq: 1, metrics: [{ name: 'rpm', alias: 1, type: 'Float', value: 1 }] })
  assert.match(refusals(tell(born(), 'DBIRTH', sent, startMs, 'D'))[0]!.message, /alias 1, which temp has/)
})

test('a device may be born again with the aliases it had', () => {
  const edge = born()
  for (const seq of [1, 2]) assert.deepEqual(refusals(tell(edge, 'DBIRTH', deviceBirth(seq, startMs + seq), startMs, 'D')), [])
})

test('historical metrics keep their own time, in data and in births [tck-id-payloads-metric-historical]', () => {
  const [timestamp, isHistorical] = [startMs - 60_000, true]
  const sent = encodeRaw({ timestamp: startMs, seq: 1, metrics: [{ alias: 1, timestamp, isHistorical, doubleValue: 3 }] })
  assert.equal(rows(tell(born(), 'NDATA', sent))[0]?.timeUs, timestamp * 1000)
  const old = { name: 'count', type: 'Int32', value: 4, timestamp, isHistorical } as const
  const [now, before] = rows(tell(newNode(), 'NBIRTH', birth({ metrics: [old] })))
  assert.deepEqual([now?.timeUs, before?.timeUs, before?.values], [startMs * 1000, timestamp * 1000, { count: 4 }])
})

test('metrics of one time share a reading, those of others have their own', () => {
  const metrics = [
    { alias: 1, timestamp: startMs, doubleValue: 1 },
    { alias: 2, timestamp: startMs, intValue: 2 },
    { alias: 1, timestamp: startMs + 1, doubleValue: 3 },
    { alias: 1, timestamp: startMs, doubleValue: 4 },
  ]
  const taken = rows(tell(born(), 'NDATA', encodeRaw({ timestamp: startMs, seq: 1, metrics })))
  assert.deepEqual(
    taken.map(({ values, seq }) => [values, seq]),
    [
      [{ temperatureC: 1, pressureBar: 2 }, 2],
      [{ temperatureC: 3 }, 3],
      [{ temperatureC: 4 }, 4],
    ],
  )
})

test('the quality property is kept [tck-id-payloads-propertyset-quality-value-value]', () => {
  const quality = (code: number) => ({ keys: ['Quality'], values: [{ type: 3, intValue: code }] })
  const metrics = [0, 192, 500, 64].map((code, at) => ({ alias: 1, timestamp: startMs + at, doubleValue: 1, properties: quality(code) }))
  const taken = rows(tell(born(), 'NDATA', encodeRaw({ timestamp: startMs, seq: 1, metrics })))
  assert.deepEqual(
    taken.map(({ quality: mark }) => mark),
    [2, 0, 2, 1],
  )
})

test('a new birth takes over at once, and what was sent before it still counts', () => {
  const edge = born()
  tell(edge, 'NDATA', data(2))
  const outcome = tell(edge, 'NBIRTH', birth({ timestamp: startMs + 1000 }, 1), startMs + 20)
  assert.deepEqual([temperatures(outcome), outcome.rebirth], [[2, 20], undefined])
  const [first, second] = rows(outcome)
  assert.ok(first!.epoch < second!.epoch)
})

test('a message overtaken by the next birth asks for nothing', () => {
  const edge = born()
  tell(edge, 'NBIRTH', birth({ timestamp: startMs + 1000 }, 1))
  const outcome = tell(edge, 'NDATA', data(7))
  assert.deepEqual([outcome.rebirth, outcome.unborn, edge.dueMs], [undefined, 1, undefined])
})

test('epochs rise even when the clock of the node goes back', () => {
  const edge = born()
  const [row] = rows(tell(edge, 'NBIRTH', birth({ timestamp: startMs - 3_600_000 }, 1)))
  assert.equal(row?.epoch, startMs * 1000 + 1)
})

test('devices that feed nothing are left alone', () => {
  const edge = born()
  const outcome = tell(edge, 'DDATA', Buffer.from('no payload'), startMs, 'other')
  assert.deepEqual(outcome.readings, [])
})

test('when the connection is gone, every channel is bad and missing, once', () => {
  const edge = born()
  assert.deepEqual(temperatures(edge.forget(startMs + 5)), [null])
  assert.deepEqual(edge.forget(startMs + 6).readings, [])
})

test('in whatever order messages come within the wait, and however often, the readings are the same', () => {
  const messages = Array.from({ length: 12 }, (_, index) => data(index + 1, index + 1))
  const play = (order: readonly number[]): Row[] => {
    const edge = born()
    const taken = order.flatMap((at) => rows(tell(edge, 'NDATA', messages[at]!)))
    return [...taken, ...rows(edge.expire(startMs + 250))]
  }
  const inOrder = play([...messages.keys()])
  fc.assert(
    fc.property(fc.shuffledSubarray([...messages.keys(), ...messages.keys()], { minLength: 24, maxLength: 24 }), (order) => {
      assert.deepEqual(play(order), inOrder)
    }),
    { numRuns: 100 },
  )
})
