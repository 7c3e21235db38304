// The counterexamples of the data path's model (its rows) that need more than one service: ingest's spools and ticks with
// features' windows behind them, on one in-memory log that can lose its tail. Each is the shortest schedule that shows it.
// Rows 3 to 7 and 9 to 11 are the loop's own: packages/kit/test/schedules/.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Line, ManualClock } from './line.ts'

const open = async (t: TestContext, ...options: ConstructorParameters<typeof Line>): Promise<Line> => {
  const line = new Line(...options)
  line.store.topic('features')
  await line.startFeatures()
  t.after(() => line.stop())
  return line
}

const names = (...numbers: number[]): string[] => numbers.map((n) => `oven-plc.${n}`)

test('row 1: an acknowledged sample that only the broker lost is in its window all the same', async (t) => {
  const line = await open(t)
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  await line.accept(ingest, [1, 1], [2, 2])
  await ingest.pump()
  await line.settled()
  line.powerLoss({ telemetry: 0 })
  for (let second = 0; second < 12; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1, 2) })
})

test('row 2: a half-open connection does not let the spool drop what the broker lost', async (t) => {
  const line = await open(t)
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  await line.accept(ingest, [1, 1])
  await ingest.pump()
  line.log.failAppends((records) => (records[0]?.topic === 'telemetry' ? { error: new Error('half-open') } : undefined))
  line.powerLoss({ telemetry: 0 })
  for (let second = 0; second < 60; second++) await ingest.second()
  line.log.failAppends(undefined)
  for (let second = 0; second < 3; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1) })
})

test('row 8: late samples that come in another order after a cut give revisions of their own, and the last one has all', async (t) => {
  const line = await open(t)
  const [a, b] = [await line.ingest('ingest-0'), await line.ingest('ingest-1')]
  for (const ingest of [a, b]) await ingest.pump()
  const second = async (): Promise<void> => {
    await a.second()
    await b.pump()
  }
  await line.accept(a, [1, 1])
  for (let at = 1; at <= 6; at++) await second()
  await line.accept(a, [4, 6])
  await second()
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1) }, 'closed, and not final')
  const before = line.store.partition('telemetry', 0).high
  await line.accept(a, [2, 2], [3, 3])
  await a.pump()
  await line.settled()
  line.powerLoss({ telemetry: before })
  await line.accept(b, [3, 3]) // the device is back first, at the other door
  await b.pump()
  await line.settled()
  for (let at = 0; at < 12; at++) await second()
  await line.settled()
  const { revisions } = line.passed()
  assert.deepEqual(line.kept()[0], names(1, 2, 3))
  const contents = new Map<string, string>()
  for (const { id, revision, samples } of revisions) {
    assert.equal(revision, samples.length, 'a revision counts its inputs')
    assert.equal(contents.get(id) ?? samples.join(), samples.join(), 'one id, one content')
    contents.set(id, samples.join())
  }
})

test('row 12: the older half of a source that is still in another spool is not taken for repeats', async (t) => {
  const line = await open(t)
  const [a, b] = [await line.ingest('ingest-0'), await line.ingest('ingest-1')]
  for (const ingest of [a, b]) await ingest.pump()
  await line.accept(a, [1, 1])
  await line.accept(b, [2, 2], [3, 3])
  await b.pump()
  await line.settled()
  await a.pump()
  for (let second = 0; second < 12; second++) for (const ingest of [a, b]) await (ingest === a ? ingest.second() : ingest.pump())
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1, 2, 3) })
  assert.deepEqual(line.passed().late, [])
})

test('row 13: a quarantined reading leaves no gap behind: later windows close by data', async (t) => {
  const line = await open(t)
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  line.clock.ms = 900 // no tick is due
  await line.accept(ingest, [1, 1], [2, 2, { values: { temperatureC: 4000 } }], [3, 6.8])
  await ingest.pump()
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1) }, 'closed by the later sample alone')
})

test('row 14: a tick that is appended while a sample is in linger closes nothing over it', async (t) => {
  const line = await open(t)
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  await line.accept(ingest, [1, 0])
  await ingest.pump()
  line.clock.ms = 900
  const waiting = ingest.send({
    readings: [{ source: 'oven-plc', epoch: 1, seq: 2, timeUs: 1_795_000_000_900_000, values: { temperatureC: 1 } }],
  })
  for (let second = 0; second < 15; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.kept(), {}, 'nothing is closed over the sample that waits')
  await ingest.flush()
  await waiting
  for (let second = 0; second < 10; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1, 2) })
  assert.deepEqual(line.passed().late, [])
})

test('row 14: no tick passes what was lost in a power loss that nobody has noticed yet', async (t) => {
  const line = await open(t)
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  await line.accept(ingest, [1, 1])
  for (let second = 0; second < 6; second++) await ingest.second()
  await line.settled()
  const before = line.store.partition('telemetry', 0).high
  await line.accept(ingest, [2, 7])
  await ingest.second()
  for (let second = 0; second < 20; second++) line.clock.ms += 1000 // the process stands still meanwhile
  line.powerLoss({ telemetry: before })
  for (let second = 0; second < 15; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.passed().late, [])
  assert.deepEqual(line.kept(), { 0: names(1), 4: names(2) })
})

test('row 15: after an outage for everybody one instance drains first, and nothing of the other is late', async (t) => {
  const line = await open(t)
  const [a, b] = [await line.ingest('ingest-0'), await line.ingest('ingest-1')]
  for (const ingest of [a, b]) await ingest.pump()
  await line.accept(a, [1, 1])
  for (const ingest of [a, b]) await ingest.pump()
  line.log.failAppends((records) => (records[0]?.topic === 'telemetry' ? { error: new Error('away') } : undefined))
  for (let second = 2; second <= 120; second++) {
    await a.second()
    await b.pump()
    if (second % 4 === 0) await line.accept(second % 8 === 0 ? a : b, [second / 4 + 1, second])
  }
  line.log.failAppends(undefined)
  await a.second()
  await a.pump() // all of A, while B has not sent anything yet
  for (let second = 0; second < 3; second++) await a.second()
  for (let second = 0; second < 12; second++) {
    await a.second()
    await b.pump()
  }
  await line.settled()
  assert.deepEqual(line.passed().late, [])
  const all = Object.values(line.kept()).flat()
  assert.equal(all.length, 31)
  assert.equal(new Set(all).size, 31)
})

test('row 16: an instance that returns with an old clock neither pulls partition time back nor holds up the others', async (t) => {
  const line = await open(t)
  const late = new ManualClock()
  const [a, b] = [await line.ingest('ingest-0'), await line.ingest('ingest-1', { clock: late })]
  for (const ingest of [a, b]) await ingest.pump()
  for (let second = 1; second <= 60; second++) {
    await a.second()
    if (second % 4 === 0) await line.accept(a, [second / 4, second])
  }
  await a.pump()
  await line.settled()
  const before = Object.keys(line.kept()).length
  assert.ok(before >= 8, `${before} windows closed though the other instance is silent`)
  assert.equal(line.kept()[60], undefined)
  await b.second() // its clock shows the second after the start
  for (let second = 0; second < 10; second++) await a.second()
  await line.settled()
  assert.deepEqual(line.kept()[60], names(15), 'closed by the ticks of the one that is there')
  assert.deepEqual(line.passed().late, [])
})

test('row 17: a device whose clock is slow, and a file of last year, are not closed before their data', async (t) => {
  const line = await open(t)
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  const yearS = -365 * 86_400
  for (let second = 1; second <= 30; second++) {
    await line.accept(ingest, [second, yearS + second])
    await ingest.second()
  }
  for (let second = 0; second < 20; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.passed().late, [])
  assert.deepEqual(Object.values(line.kept()).flat().toSorted(), names(...Array.from({ length: 30 }, (_, i) => i + 1)).toSorted())
})

test('row 18: a sample behind a gap closes nothing over it', async (t) => {
  const line = await open(t)
  const [a, b] = [await line.ingest('ingest-0'), await line.ingest('ingest-1')]
  for (const ingest of [a, b]) await ingest.pump()
  await line.accept(a, [1, 1])
  await a.pump()
  await line.accept(b, [2, 2]) // acknowledged, still in the other spool
  line.clock.ms = 30_000
  await line.accept(a, [3, 30])
  await a.pump()
  await line.settled()
  assert.deepEqual(line.kept(), {})
  await b.pump()
  await line.settled()
  assert.deepEqual(line.kept(), { 0: names(1, 2) })
  assert.deepEqual(line.passed().late, [])
})

test('row 19: a source that the plant names holds its windows open until it is seen or its time has passed', async (t) => {
  const line = await open(t, { sources: ['oven-plc', 'oven-lab'] })
  const ingest = await line.ingest('ingest-0')
  await ingest.pump()
  await line.accept(ingest, [1, 1], [2, 30])
  await ingest.pump()
  await line.settled()
  assert.deepEqual(line.kept(), {}, 'the other source has not been heard of')
  for (let second = 0; second < 20; second++) await ingest.second()
  await line.settled()
  assert.deepEqual(line.kept()[0], names(1))
})

test('row 21: bodies name sample ranges: other offsets and epochs give the same vectors, byte for byte', async (t) => {
  const bodies = []
  for (const isCut of [false, true]) {
    const line = await open(t)
    const ingest = await line.ingest('ingest-0')
    await ingest.pump()
    await line.accept(ingest, [1, 1], [2, 2])
    await ingest.pump()
    if (isCut) {
      await line.settled()
      line.powerLoss({ telemetry: 0 })
      for (let second = 0; second < 3; second++) await ingest.second()
    }
    await line.accept(ingest, [3, 9])
    await ingest.pump()
    await line.settled()
    bodies.push(
      line.store.partition('features', 0).records.map((record) => [record.key, record.value?.toString('hex'), record.header('ce_id')]),
    )
  }
  assert.ok(bodies[0]!.length > 0)
  assert.deepEqual(bodies[0], bodies[1])
})

for (const maxBatchRecords of [1, 2, 500])
  test(`a crash of features after each of its appends changes nothing (batches of ${maxBatchRecords})`, async (t) => {
    const line = new Line()
    t.after(() => line.stop())
    line.store.topic('features')
    const ingest = await line.ingest('ingest-0')
    await ingest.pump()
    for (let second = 1; second <= 24; second++) {
      await line.accept(ingest, [second, second])
      await ingest.second()
    }
    for (let second = 0; second < 12; second++) await ingest.second()
    for (let outputs = 1; outputs <= 5; outputs++) {
      await line.startFeatures(maxBatchRecords)
      while (line.passed().revisions.length < outputs) await new Promise<void>((resolve) => void setImmediate(resolve))
      line.crashFeatures()
    }
    await line.startFeatures(maxBatchRecords)
    await line.settled()
    const all = Object.values(line.kept()).flat()
    assert.deepEqual([all.length, new Set(all).size], [24, 24])
    assert.deepEqual(
      line.passed().revisions.map(({ revision, samples }) => revision === samples.length),
      line.passed().revisions.map(() => true),
    )
  })
