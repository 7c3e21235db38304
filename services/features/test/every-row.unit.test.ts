// Windows that overlap: those that hop, and those that end at every row. What a late row, a correction or another feature
// set changes in them, and what they hold of memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addBlock, advance, newAsset } from '../src/asset-windows.ts'
import type { AssetWindows, Closing } from '../src/asset-windows.ts'
import { NEVER_US } from '../src/intervals.ts'
import type { AssetPlan } from '../src/plan.ts'
import { summarise } from '../src/summarise.ts'
import { tidy } from '../src/window-memory.ts'
import { SECOND_US, blockOf, modelPlan, waveformOf } from './blocks.ts'
import type { Row } from './blocks.ts'

const byRow = modelPlan({ isByRow: true, lengths: [{ rows: 3 }], statistics: { temperatureC: ['count', 'mean'] } })
const hopping = modelPlan({ windowUs: 4 * SECOND_US, hopUs: 2 * SECOND_US, statistics: { temperatureC: ['count', 'mean'] } })

const row = (seq: number, timeS: number, value = timeS): Row => ({ seq, timeS, values: [value] })

class Bench {
  readonly asset: AssetWindows = newAsset()
  private readonly planAt: (timeUs: number) => AssetPlan

  constructor(plan: AssetPlan | ((timeUs: number) => AssetPlan)) {
    this.planAt = typeof plan === 'function' ? plan : () => plan
  }

  send(rows: readonly Row[], overrides: Parameters<typeof blockOf>[1] = {}) {
    return this.published(addBlock(this.asset, blockOf(rows, overrides), this.planAt, NEVER_US, 256).closings)
  }

  tick(upToS: number) {
    return this.published(advance(this.asset, upToS * SECOND_US))
  }

  /** Start and end in s (of a window that ends at a row: the time of that row), revision, count, mean. */
  published(closings: readonly Closing[]) {
    return closings.map((closing) => {
      if (closing.kind !== 'vector') return closing.kind
      const { startUs, endUs, revision, values } = summarise(this.asset, closing, null)!
      const lastUs = closing.plan.hop === 'row' ? endUs - 1 : endUs
      return [startUs / SECOND_US, lastUs / SECOND_US, revision, values[0], values[1]]
    })
  }
}

test('at every row a window ends, holding the rows before it; its own row closes it', () => {
  const bench = new Bench(byRow)
  assert.deepEqual(bench.send([row(1, 0), row(2, 1)]), [
    [0, 0, 2, 1, 0],
    [0, 1, 4, 2, 0.5],
  ])
  assert.deepEqual(bench.send([row(3, 2), row(4, 8)]), [
    [0, 2, 6, 3, 1],
    [1, 8, 4, 3, 11 / 3],
  ])
})

test('a late row ends a window of its own and revises the later ones, each once', () => {
  const bench = new Bench(byRow)
  bench.send([row(1, 0), row(2, 1), row(3, 3), row(4, 4)])
  assert.deepEqual(bench.send([row(5, 2)]), [
    [0, 2, 6, 3, 1],
    [1, 3, 7, 3, 2],
    [2, 4, 8, 3, 3],
  ])
  assert.deepEqual(bench.send([row(5, 2)]), [], 'sent again it changes nothing')
})

test('a row whose own window is final is late as a whole: it enters no later window', () => {
  const bench = new Bench(byRow)
  bench.send([row(1, 0), row(2, 6)])
  assert.deepEqual(bench.send([row(3, 1)]), ['late'])
  assert.deepEqual(bench.send([row(4, 7)]), [[0, 7, 5, 3, 13 / 3]])
})

test('rows of equal time end one window', () => {
  const bench = new Bench(
    modelPlan({ isByRow: true, lengths: [{ rows: 3 }], sources: [], statistics: { temperatureC: ['count', 'mean'] } }),
  )
  assert.deepEqual(bench.send([row(1, 1, 10), row(2, 1, 20)]), [[1, 1, 4, 2, 15]])
})

test('rows of waveforms are in windows that end at rows, but end none', () => {
  const plan = modelPlan({
    isByRow: true,
    lengths: [{ rows: 3 }],
    sources: ['press-1-plc', 'press-1-vib'],
    statistics: { temperatureC: ['count', 'mean'], vibrationG: ['count'] },
    waveforms: { vibrationG: [1024, 8] },
  })
  const asset = newAsset()
  const send = (block: ReturnType<typeof blockOf>) => addBlock(asset, block, () => plan, NEVER_US, 256).closings
  assert.deepEqual(send(waveformOf(1, 0, new Float32Array(8), 1024)), [])
  send(blockOf([row(1, 1)]))
  const closings = send(waveformOf(2, 2, new Float32Array(8), 1024))
  const [found] = closings.flatMap((closing) => (closing.kind === 'vector' ? [summarise(asset, closing, null)!] : []))
  assert.deepEqual([found?.endUs, found?.values[0], found?.values[2]], [SECOND_US + 1, 1, 8])
})

test('a late row of a hopping window revises every closed window that it lies in', () => {
  const bench = new Bench(hopping)
  bench.send([row(1, 0), row(2, 3), row(3, 6.5)])
  assert.deepEqual(bench.send([row(4, 2.5)]), [
    [0, 4, 3, 3, 5.5 / 3],
    [2, 6, 2, 2, 2.75],
  ])
})

test('a row of a hopping set is late once the first window that it lies in is final', () => {
  const bench = new Bench(hopping)
  bench.send([row(1, 1), row(2, 7.5)])
  assert.deepEqual(bench.send([row(3, 3.5)]), [
    [0, 4, 2, 2, 2.25],
    [2, 6, 1, 1, 3.5],
  ])
  bench.send([row(4, 8)])
  assert.deepEqual(bench.send([row(5, 3.6)]), ['late'])
})

test('a correction revises every closed window that it touches, of a hopping set and of one that ends at rows', () => {
  const correction = {
    sourceId: 'correction:a',
    epoch: 0,
    correction: {
      id: 'a',
      fromUs: 3 * SECOND_US,
      toUs: 4 * SECOND_US,
      channels: ['temperatureC'],
      reason: 'wrong sensor',
      by: 'p-operator',
    },
  }
  const hops = new Bench(hopping)
  hops.send([row(1, 1, 10), row(2, 3, 90), row(3, 5, 20), row(4, 6.5, 30)])
  assert.deepEqual(hops.send([row(1, 3, 12)], correction), [
    [0, 4, 4, 2, 11],
    [2, 6, 4, 2, 16],
  ])
  const rows = new Bench(byRow)
  rows.send([row(1, 1, 10), row(2, 3, 90), row(3, 5, 20), row(4, 6, 30)])
  assert.deepEqual(
    rows.send([row(1, 3, 12)], correction).map((each) => (each as number[]).slice(0, 2)),
    [
      [1, 3],
      [3, 5],
      [3, 6],
    ],
  )
})

test('another feature set begins anew: its windows hold the rows of its own time, the others keep theirs', () => {
  const other = { ...byRow, digest: 'e'.repeat(64), scales: [{ name: '2rows', length: { rows: 2 } }] }
  const bench = new Bench((timeUs) => (timeUs < 3 * SECOND_US ? byRow : other))
  assert.deepEqual(
    bench.send([row(1, 1), row(2, 2), row(3, 3), row(4, 4), row(5, 5)]).map((each) => (each as number[])[3]),
    [1, 2, 1, 2, 2],
  )
  const hops = new Bench((timeUs) => (timeUs < 5 * SECOND_US ? hopping : { ...hopping, digest: 'e'.repeat(64) }))
  assert.deepEqual(
    hops.send([row(1, 3), row(2, 4.5), row(3, 5.5), row(4, 8)]).map((each) => (each as number[]).slice(0, 4)),
    [
      [0, 4, 1, 1],
      [2, 6, 2, 2],
      [2, 6, 1, 1],
      [4, 8, 1, 1],
      [4, 8, 1, 1],
    ],
  )
})

test('a plant file that leaves an asset as it was cuts none of its windows', () => {
  const bench = new Bench((timeUs) => ({ ...byRow, plantDigest: String(Math.floor(timeUs / (2 * SECOND_US))) }))
  assert.deepEqual(
    bench.send([row(1, 1), row(2, 2), row(3, 4)]).map((each) => (each as number[])[3]),
    [1, 2, 3],
  )
})

test('rows that no window can need any more leave; a set that counts rows keeps these', () => {
  const bench = new Bench(modelPlan({ isByRow: true, lengths: [{ rows: 3 }], latenessUs: 0 }))
  for (let seq = 1; seq <= 5000; seq++) bench.send([row(seq, seq)])
  tidy(bench.asset)
  assert.deepEqual([bench.asset.lanes.map(({ rows }) => rows), bench.asset.windows.length], [[4], 1], 'the last window may be revised')
  assert.ok(bench.asset.lanes[0]!.room < 500)
  bench.tick(10_000)
  tidy(bench.asset)
  assert.deepEqual(
    bench.asset.lanes.map(({ rows }) => rows),
    [3],
  )
  const timed = new Bench(hopping)
  for (let seq = 1; seq <= 5000; seq++) timed.send([row(seq, seq / 10)])
  assert.ok(timed.asset.lanes[0]!.rows <= 140)
  timed.tick(600)
  tidy(timed.asset)
  assert.deepEqual([timed.asset.lanes, timed.asset.windows], [[], []])
})
