// Outages, wrong clocks, old data and gaps (section 4 of the data path's protocol), with ingest and features as they run.
// What everybody is promised: an acknowledged sample is in exactly one kept revision or in a late report. What is promised
// beyond that - nothing late at all, or nobody else's - stands in each name.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { keyedState } from '../../services/features/src/state.ts'
import { Line, skewed } from './line.ts'
import type { Rig } from '../../services/ingest/test/rig.ts'

const open = async (t: TestContext, ...options: ConstructorParameters<typeof Line>): Promise<Line> => {
  const line = new Line(...options)
  line.store.topic('features')
  await line.startFeatures()
  t.after(() => line.stop())
  return line
}

const names = (from: number, to: number, source = 'oven-plc'): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `${source}.${from + i}`)

const cutOff = (rig: Rig): void => rig.log.failAppends(() => ({ error: new Error('away') }))
const reconnect = (rig: Rig): void => rig.log.failAppends(undefined)

/** Every one of these samples is kept once or reported late, and nothing else is. */
const assertAccounted = (line: Line, wanted: readonly string[]): void => {
  const kept = Object.values(line.kept()).flat()
  const { late } = line.passed()
  assert.deepEqual([...kept, ...late].toSorted(), wanted.toSorted())
}

/** All of them are kept, each in one window. */
const assertKept = (line: Line, wanted: readonly string[]): void => {
  assert.deepEqual(line.passed().late, [])
  assertAccounted(line, wanted)
}

const lab = { source: 'oven-lab', asset: 'oven' }

test('an instance that is cut off for 120 s makes its own samples late at most, and holds nobody up', async (t) => {
  const line = await open(t, { sources: ['oven-plc', 'oven-lab'] })
  const [a, b] = [await line.ingest('ingest-0'), await line.ingest('ingest-1', { log: line.connection() })]
  for (const rig of [a, b]) await rig.pump()
  for (let second = 1; second <= 160; second++) {
    if (second === 20) cutOff(b)
    if (second === 140) {
      await line.settled()
      assert.ok(Object.keys(line.kept()).length >= 20, 'windows went on closing meanwhile')
      reconnect(b)
    }
    await line.accept(a, [second, second])
    await line.accept(b, [second, second, lab])
    await line.seconds(1, a, b)
  }
  await line.seconds(20, a, b)
  await line.settled()
  assertAccounted(line, [...names(1, 160), ...names(1, 160, 'oven-lab')])
  const { late } = line.passed()
  assert.ok(late.length > 0)
  assert.deepEqual(
    late.filter((sample) => !sample.startsWith('oven-lab')),
    [],
  )
})

for (const [aheadS, behindS] of [
  [2, 0],
  [0, -2],
] as const)
  test(`instances whose clocks are ${aheadS - behindS} s apart (${aheadS}, ${behindS}) make nothing late, whichever door a device takes`, async (t) => {
    const line = await open(t)
    const a = await line.ingest('ingest-0', { clock: skewed(line.clock, aheadS) })
    const b = await line.ingest('ingest-1', { clock: skewed(line.clock, behindS) })
    for (const rig of [a, b]) await rig.pump()
    for (let second = 1; second <= 60; second++) {
      await line.accept(second % 5 < 3 ? a : b, [second, second])
      await line.seconds(1, a, b)
    }
    await line.seconds(20, a, b)
    await line.settled()
    assertKept(line, names(1, 60))
  })

for (const skewS of [3600, -3600])
  test(`an instance whose clock is ${skewS / 3600} h off loses nothing and says what is late`, async (t) => {
    const line = await open(t)
    const a = await line.ingest('ingest-0')
    const b = await line.ingest('ingest-1', { clock: skewed(line.clock, skewS) })
    for (const rig of [a, b]) await rig.pump()
    for (let second = 1; second <= 90; second++) {
      await line.accept(second % 5 < 3 ? a : b, [second, second])
      await line.seconds(1, a, b)
    }
    await line.seconds(60, a, b)
    await line.settled()
    assertAccounted(line, names(1, 90))
  })

test('a device whose clock is slow, and slower by the minute, has all its samples in their windows', async (t) => {
  const line = await open(t)
  const a = await line.ingest('ingest-0')
  await a.pump()
  for (let second = 1; second <= 120; second++) {
    await line.accept(a, [second, second * 0.9 - 45])
    await line.seconds(1, a)
  }
  await line.seconds(20, a)
  await line.settled()
  assertKept(line, names(1, 120))
})

for (const [backS, isLate] of [
  [3, false],
  [60, true],
] as const)
  test(`a device clock that is stepped back by ${backS} s loses nothing, and windows go on closing`, async (t) => {
    const line = await open(t)
    const a = await line.ingest('ingest-0')
    await a.pump()
    for (let second = 1; second <= 240; second++) {
      await line.accept(a, [second, second <= 60 ? second : second - backS])
      await line.seconds(1, a)
    }
    await line.seconds(20, a)
    await line.settled()
    assertAccounted(line, names(1, 240))
    assert.equal(line.passed().late.length > 0, isLate)
    assert.ok(Math.max(...Object.keys(line.kept()).map(Number)) >= 240 - backS - 4)
  })

test('a device that changes the door while its older half is still spooled has nothing late', async (t) => {
  const line = await open(t)
  const [a, b] = [await line.ingest('ingest-0', { log: line.connection() }), await line.ingest('ingest-1')]
  for (const rig of [a, b]) await rig.pump()
  for (let second = 1; second <= 40; second++) {
    if (second === 10) cutOff(a)
    if (second === 30) reconnect(a)
    await line.accept(second <= 20 ? a : b, [second, second])
    await line.seconds(1, a, b)
  }
  await line.seconds(20, a, b)
  await line.settled()
  assertKept(line, names(1, 40))
})

test('a device that starts a new epoch while the old one is still spooled has nothing late', async (t) => {
  const line = await open(t)
  const [a, b] = [await line.ingest('ingest-0', { log: line.connection() }), await line.ingest('ingest-1')]
  for (const rig of [a, b]) await rig.pump()
  for (let second = 1; second <= 40; second++) {
    if (second === 10) cutOff(a)
    if (second === 30) reconnect(a)
    if (second <= 20) await line.accept(a, [second, second])
    else await line.accept(b, [second - 20, second, { epoch: 2 }])
    await line.seconds(1, a, b)
  }
  await line.seconds(20, a, b)
  await line.settled()
  assertKept(line, [...names(1, 20), ...names(1, 20, 'oven-plc/2')])
})

test('a year of old data beside live data neither holds the live windows up nor is lost', async (t) => {
  const line = await open(t)
  const a = await line.ingest('ingest-0')
  await a.pump()
  const yearS = -365 * 86_400
  for (let second = 1; second <= 60; second++) {
    await line.accept(a, [second, second])
    if (second > 20) await line.accept(a, [second - 20, yearS + (second - 20) * 700_000, { source: 'oven-files', asset: 'oven' }])
    await line.seconds(1, a)
  }
  await line.seconds(20, a)
  await line.settled()
  assertAccounted(line, [...names(1, 60), ...names(1, 40, 'oven-files')])
  assert.deepEqual(
    line.passed().late.filter((sample) => sample.startsWith('oven-plc')),
    [],
  )
})

test('an hour with one reading in a hundred quarantined leaves no gap', async (t) => {
  const line = await open(t)
  const a = await line.ingest('ingest-0')
  await a.pump()
  const isBad = (seq: number): boolean => seq % 100 === 37
  for (let from = 1; from <= 3600; from += 6) {
    line.clock.ms += 6000
    const rows = Array.from(
      { length: 6 },
      (_, i) => [from + i, from + i, isBad(from + i) ? { values: { temperatureC: 4000 } } : {}] as const,
    )
    await line.accept(a, ...rows)
    await a.pump()
  }
  await line.settled()
  const [source] = [...line.memory.assets.get('oven')!.sources.values()]
  assert.deepEqual(
    source!.epochs.map(({ gaps }) => gaps),
    [[]],
  )
  await line.seconds(20, a)
  await line.settled()
  assertKept(
    line,
    names(1, 3600).filter((_, i) => !isBad(i + 1)),
  )
})

test('without room for gaps every number that never came is reported lost, by range, and memory stays flat', async (t) => {
  const line = await open(t, {}, { gapBound: 0 })
  const a = await line.ingest('ingest-0')
  await a.pump()
  const stateBytes = (): number => {
    const state = keyedState(line.memory)
    line.memory.changed.add('oven')
    return [...state.dirty()].reduce((sum, key) => sum + state.snapshot(key).length, 0)
  }
  const sizes: number[] = []
  for (let second = 1; second <= 400; second++) {
    await line.accept(a, [second * 3, second]) // two of three never come
    await line.seconds(1, a)
    if (second % 200 === 0) {
      await line.settled()
      sizes.push(stateBytes())
    }
  }
  await line.seconds(20, a)
  await line.settled()
  const numbers = Array.from({ length: 1200 }, (_, i) => i + 1)
  assert.deepEqual(
    line.passed().lost.toSorted(),
    numbers
      .filter((n) => n % 3 !== 0)
      .map((n) => `oven-plc.${n}`)
      .toSorted(),
  )
  assertAccounted(line, names(1, 1200))
  assert.ok(sizes[1]! <= sizes[0]! + 64, `${sizes.join(' then ')} bytes`)
})
