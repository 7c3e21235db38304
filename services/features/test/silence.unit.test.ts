// No telemetry for three windows: one vector without values that says so, until rows come again. By ticks alone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Features, Telemetry, Vector } from '@andon/schemas'
import { expectedAssets } from '../src/absent-assets.ts'
import { onTelemetry } from '../src/on-telemetry.ts'
import type { AssetPlan } from '../src/plan.ts'
import { keyedState, newMemory } from '../src/state.ts'
import { SECOND_US, blockOf, blockRecord, modelPlan, tickRecord } from './blocks.ts'
import { inputOf } from './one-asset.ts'

class Bench {
  memory = newMemory()
  unmonitored = 0
  private readonly plan: AssetPlan
  private readonly expected: (timeUs: number) => readonly string[]
  private readonly stored = new Map<string, Uint8Array>()
  private offset = 0

  constructor(plan: AssetPlan, expected: (timeUs: number) => readonly string[] = () => []) {
    this.plan = plan
    this.expected = expected
  }

  async give(value: Telemetry): Promise<Vector[]> {
    const counts = {
      windowsClosed: () => {},
      unmonitored: (count: number) => void (this.unmonitored += count),
      rows: () => {},
      malformed: () => {},
    }
    const handle = onTelemetry({
      memory: this.memory,
      settled: async () => {},
      servicedAt: () => null,
      expectedAt: this.expected,
      planAt: () => this.plan,
      gapBound: 16,
      counts,
    })
    const out = await handle({ topic: 'telemetry', partition: 0, inputs: [inputOf(value, this.offset++)] })
    return out.outputs.flatMap(({ output }) => (output.value as Features).vector ?? [])
  }

  row(seq: number, timeS: number, sourceId = 'press-1-plc', receivedS = timeS) {
    return this.give(blockRecord(blockOf([{ seq, timeS, values: [timeS] }], { sourceId, receivedUs: receivedS * SECOND_US })))
  }

  /** Ends of silences in s, when a tick found any. */
  async tick(upToS: number) {
    return (await this.give(tickRecord('ingest-0', upToS))).flatMap((vector) => (vector.quality === 'unmonitored' ? [vector] : []))
  }

  restart(): void {
    const stored = keyedState(this.memory)
    for (const key of stored.dirty()) this.stored.set(key, Uint8Array.from(stored.snapshot(key)))
    this.memory = newMemory()
    const into = keyedState(this.memory)
    for (const [key, state] of this.stored) into.restore(key, state, into.version)
  }
}

test('an asset that falls silent is said to be unmonitored once, three windows after its newest row', async () => {
  const bench = new Bench(modelPlan())
  await bench.row(1, 1)
  assert.deepEqual(await bench.tick(13), [])
  const [found, ...more] = await bench.tick(13.1)
  assert.deepEqual(more, [])
  const { names, values, ranges, revision, missing, complete, windowEndUs, supersedes } = found!
  assert.deepEqual(
    { names, values: values.length, ranges, revision, missing, complete, supersedes },
    { names: [], values: 0, ranges: [], revision: 0, missing: ['temperatureC'], complete: false, supersedes: null },
  )
  assert.equal(windowEndUs, 13 * SECOND_US + 1)
  assert.deepEqual(await bench.tick(60), [])
  assert.equal(bench.unmonitored, 1)
})

test('short windows have ten seconds: a gateway that connects again is no silence', async () => {
  const bench = new Bench(modelPlan({ windowUs: SECOND_US }))
  await bench.row(1, 1)
  assert.deepEqual(await bench.tick(11), [])
  assert.equal((await bench.tick(11.1)).length, 1)
})

test('rows end the silence, and the next one is said again, under another id', async () => {
  const bench = new Bench(modelPlan())
  await bench.row(1, 1)
  const [first] = await bench.tick(20)
  await bench.row(2, 20)
  assert.deepEqual(await bench.tick(32), [])
  const [second] = await bench.tick(33)
  assert.notEqual(second?.vectorId, first?.vectorId)
})

test('a row with an old time is telemetry too: a clock that went back is no silence', async () => {
  const bench = new Bench(modelPlan())
  await bench.row(1, 100, 'press-1-plc', 100)
  await bench.row(2, 50, 'press-1-plc', 110)
  assert.deepEqual(await bench.tick(121), [])
  assert.equal((await bench.tick(123)).length, 1)
})

test('a slow device clock is taken for what it is: silence counts from the receipt of the newest row', async () => {
  const bench = new Bench(modelPlan())
  await bench.row(1, 1, 'press-1-plc', 1000)
  assert.deepEqual(await bench.tick(1011), [])
  const [found] = await bench.tick(1013)
  assert.deepEqual([found?.windowEndUs, found?.historical], [13 * SECOND_US + 1, true])
})

test('files and corrections come when they come: of an asset with nothing else silence says nothing', async () => {
  const bench = new Bench(modelPlan({ sources: [] }))
  await bench.row(1, 1, 'file:0123456789abcdef:press-1')
  assert.deepEqual(await bench.tick(10_000), [])
})

test('windows that count rows go by the usual distance of rows', async () => {
  const bench = new Bench(modelPlan({ isByRow: true, lengths: [{ rows: 4 }], latenessUs: 0, graceUs: 0 }))
  await bench.row(1, 0)
  assert.deepEqual(await bench.tick(3000), [], 'one row has no distance')
  await bench.row(2, 3600)
  await bench.row(3, 7200)
  assert.deepEqual(await bench.tick(7200 + 3 * 3600), [])
  assert.equal((await bench.tick(7200 + 3 * 3601 + 1)).length, 1)
})

test('a restart neither forgets a silence nor says it twice', async () => {
  const bench = new Bench(modelPlan())
  await bench.row(1, 1)
  bench.restart()
  assert.equal((await bench.tick(20)).length, 1)
  bench.restart()
  assert.deepEqual(await bench.tick(40), [])
})

test('an asset of the plant that never sent anything is unmonitored once, three windows after ticks found it there', async () => {
  const bench = new Bench(modelPlan(), () => ['press-1-process', 'press-2'])
  await bench.tick(100)
  await bench.row(1, 100)
  assert.deepEqual(await bench.tick(111.9), [])
  bench.restart()
  const found = await bench.give(tickRecord('ingest-0', 112))
  assert.deepEqual(
    found.flatMap(({ quality, windowStartUs, windowEndUs }) =>
      quality === 'unmonitored' ? [[windowStartUs / SECOND_US, windowEndUs / SECOND_US]] : [],
    ),
    [[100, 112]],
  )
  bench.restart()
  assert.equal((await bench.tick(200)).length, 1, 'the one that sent something falls silent; the other one was told')
})

test('assets are expected from the time on that the plant is in force, by the partition that their key belongs to', () => {
  const version = { effectiveFromUs: 5, value: { assets: [{ id: 'a' }, { id: 'b' }] } }
  const expectedAt = expectedAssets(
    () => version,
    (id) => id === 'b',
  )
  assert.deepEqual([expectedAt(4), expectedAt(5)], [[], ['b']])
})
