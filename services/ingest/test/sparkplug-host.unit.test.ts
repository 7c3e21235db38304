// The host over all of its nodes: when births are asked for, what source files mean, what waits until when.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SparkplugHost } from '../src/sparkplug/host.ts'
import type { SparkplugFile } from '../src/sparkplug/host.ts'
import { birth, data, rows, startMs } from './sparkplug-node.ts'
import { source } from './streams.ts'

const file = (node: string, extra: object = {}) =>
  source({
    id: node,
    kind: 'sparkplug',
    group: 'G',
    node,
    asset: 'oven',
    channels: { temperatureC: { metric: 'temp' } },
    ...extra,
  }) as SparkplugFile

const newHost = (...files: SparkplugFile[]) => {
  const named = { files }
  const host = new SparkplugHost({ files: () => named.files, channelsOf: () => ['press'], reorderMs: 250, rebirthMs: 1000 })
  return { host, named }
}
const asked = ({ rebirths }: { rebirths: readonly { node: string; reason: string }[] }) =>
  rebirths.map(({ node, reason }) => `${node} ${reason}`)

test('every node that is named is asked for its births at the start, once', () => {
  const { host } = newHost(file('a'), file('b'), { ...file('a'), id: 'a-2' })
  assert.deepEqual(asked(host.expire(startMs)), ['a start', 'b start'])
  assert.deepEqual(asked(host.expire(startMs + 999)), [])
})

test('a node that does not answer is asked less and less often, and as before once it was born', () => {
  const { host } = newHost(file('a'))
  const times: number[] = []
  for (let nowMs = 0; nowMs <= 2_000_000; nowMs += 500) if (host.expire(nowMs).rebirths.length > 0) times.push(nowMs)
  assert.deepEqual(times.slice(0, 4), [0, 1000, 3000, 7000])
  assert.ok(times.every((time, index) => index === 0 || time - times[index - 1]! <= 300_000))
  host.take('spBv1.0/G/NBIRTH/a', birth(), 2_000_000)
  assert.deepEqual(asked(host.expire(3_000_000)), [])
  host.take('spBv1.0/G/NDATA/a', data(2), 3_000_000)
  assert.deepEqual(asked(host.expire(3_000_250)), ['a gap'])
  assert.equal(host.dueMs(), 3_001_250)
})

test('many reasons within the wait are one request', () => {
  const { host } = newHost(file('a'))
  host.expire(startMs)
  host.take('spBv1.0/G/NBIRTH/a', birth(), startMs)
  let requests = 0
  for (let seq = 2; seq < 40; seq += 2) {
    const nowMs = startMs + 1000 + seq
    requests += host.take('spBv1.0/G/NDATA/a', data(seq), nowMs).rebirths.length + host.expire(nowMs + 250).rebirths.length
  }
  assert.equal(requests, 1)
})

test('nodes that no file names are nobody’s, whatever they send', () => {
  const { host } = newHost(file('a'))
  host.expire(startMs)
  for (const [topic, bytes] of [
    ['spBv1.0/G/NBIRTH/other', birth()],
    ['spBv1.0/G/NDATA/other', Buffer.from('x')],
    ['spBv1.0/other/NDATA/a', data(1)],
  ] as const) {
    const { readings, rebirths } = host.take(topic, bytes, startMs)
    assert.deepEqual([readings, rebirths], [[], []])
  }
})

test('scale, offset and unit are those of the file; the source is asset and file', () => {
  const channels = { temperatureC: { metric: 'temp', scale: 2, offset: 5, unit: '[degF]' } }
  const { host } = newHost(file('a', { channels }))
  const [{ value } = { value: undefined }] = host.take('spBv1.0/G/NBIRTH/a', birth(), startMs).readings
  const { source: named, values, units } = value as { source: string; values: object; units: object }
  assert.deepEqual([named, values, units], ['oven:a', { temperatureC: 45 }, { temperatureC: '[degF]' }])
})

test('a file without channels takes the metrics that have the names of the asset’s channels', () => {
  const { host } = newHost(file('a', { channels: {} }))
  assert.deepEqual(
    rows(host.take('spBv1.0/G/NBIRTH/a', birth(), startMs) as never).map(({ values }) => values),
    [{ press: -3 }],
  )
})

test('two files of one node are two sources with numbers of their own', () => {
  const { host } = newHost(file('a'), { ...file('a', { channels: { pressureBar: { metric: 'press' } } }), id: 'a-2' })
  assert.deepEqual(
    rows(host.take('spBv1.0/G/NBIRTH/a', birth(), startMs) as never).map(({ source: named, seq }) => [named, seq]),
    [
      ['oven:a', 1],
      ['oven:a-2', 1],
    ],
  )
})

test('a changed file holds from the next birth, which is asked for; a node without a file is forgotten', () => {
  const { host, named } = newHost(file('a'))
  host.expire(startMs)
  host.take('spBv1.0/G/NBIRTH/a', birth(), startMs)
  named.files = [file('a', { channels: { t2: { metric: 'temp' } } })]
  host.reconcile()
  assert.deepEqual(asked(host.expire(startMs + 1000)), ['a start'])
  const before = rows(host.take('spBv1.0/G/NDATA/a', data(1), startMs + 1001) as never)
  const after = rows(host.take('spBv1.0/G/NBIRTH/a', birth({ timestamp: startMs + 2000 }), startMs + 2000) as never)
  assert.deepEqual([before[0]?.values, after[0]?.values], [{ temperatureC: 1 }, { t2: 20 }])
  named.files = []
  host.reconcile()
  assert.deepEqual([host.nodes(), host.dueMs()], [[], undefined])
})

test('after a lost connection everything is asked for its births at once', () => {
  const { host } = newHost(file('a'))
  host.expire(startMs)
  host.take('spBv1.0/G/NBIRTH/a', birth(), startMs)
  const lost = host.disconnected(startMs + 10)
  assert.deepEqual([rows(lost as never)[0]?.values, lost.rebirths], [{ temperatureC: null }, []])
  host.connected()
  assert.deepEqual(asked(host.expire(startMs + 20)), ['a start'])
  assert.deepEqual(host.count(), { alive: 0, others: 1 })
})
