// When windows close, what is late, what is lost: the rules of the data path that concern features, one by one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addBlock, advance, isDamaged, markDamaged, newAsset } from '../src/asset-windows.ts'
import type { AssetWindows, Closing } from '../src/asset-windows.ts'
import { NEVER_US } from '../src/intervals.ts'
import type { AssetPlan } from '../src/plan.ts'
import { summarise } from '../src/summarise.ts'
import { SECOND_US, blockOf, modelPlan } from './blocks.ts'
import type { PlanOptions, Row } from './blocks.ts'

/** Windows of 4 s, lateness 4 s, grace 3 s. */
class Bench {
  readonly asset: AssetWindows = newAsset()
  partitionTimeUs = NEVER_US
  readonly plan: AssetPlan
  readonly gapBound: number

  constructor(overrides: PlanOptions = {}, gapBound = 256) {
    this.plan = modelPlan(overrides)
    this.gapBound = gapBound
  }

  send(rows: readonly Row[], overrides: Parameters<typeof blockOf>[1] = {}) {
    return addBlock(this.asset, blockOf(rows, overrides), () => this.plan, this.partitionTimeUs, this.gapBound)
  }

  tick(upToS: number): readonly Closing[] {
    this.partitionTimeUs = upToS * SECOND_US
    return advance(this.asset, this.partitionTimeUs)
  }

  /** As it would be published now. */
  window(startS: number) {
    const endUs = (startS + 4) * SECOND_US
    return summarise(this.asset, { kind: 'vector', window: { endUs, plan: 0, published: null }, plan: this.plan }, null)
  }

  isDamaged(startS: number): boolean {
    return isDamaged(this.asset, startS * SECOND_US, (startS + 4) * SECOND_US)
  }
}

const row = (seq: number, timeS: number): Row => ({ seq, timeS, values: [timeS] })
const starts = (closings: readonly Closing[]) =>
  closings.flatMap((c) => (c.kind === 'vector' ? [c.window.endUs / SECOND_US - windowS(c.plan)] : []))
const windowS = ({ scales }: AssetPlan): number => (scales[0]!.length as { us: number }).us / SECOND_US
const late = (closings: readonly Closing[]) =>
  closings.flatMap((c) =>
    c.kind === 'late' ? [[c.lost ? 'lost' : 'late', c.windowStartUs / SECOND_US, c.ranges.map((r) => [r.seqFrom, r.seqTo])]] : [],
  )

test('a window closes when a later sample of its only source comes', () => {
  const bench = new Bench()
  assert.deepEqual(starts(bench.send([row(1, 0), row(2, 3)]).closings), [])
  assert.deepEqual(starts(bench.send([row(3, 4)]).closings), [0])
})

test('no tick is needed while samples come, and none closes a window twice', () => {
  const bench = new Bench()
  assert.deepEqual(starts(bench.send([row(1, 0), row(2, 9)]).closings), [0])
  assert.deepEqual(starts(bench.tick(9)), [])
})

test('a sample that took another door is new although its successors came first (row 12)', () => {
  const bench = new Bench()
  bench.send([row(2, 1), row(3, 3)])
  const second = bench.send([row(1, 0)])
  assert.deepEqual([second.accepted, second.repeated], [1, 0])
  assert.deepEqual([bench.send([row(1, 0), row(2, 1)]).accepted, bench.window(0)?.revision], [0, 3])
})

test('withheld numbers leave no gap (row 13)', () => {
  const bench = new Bench()
  assert.deepEqual(starts(bench.send([row(1, 0), row(3, 5)]).closings), [0])
})

test('a block of withheld numbers only moves no time', () => {
  const bench = new Bench()
  bench.send([row(1, 0)])
  bench.send([], { seqFrom: 2, seqTo: 9, receivedUs: 1_000 * SECOND_US })
  assert.deepEqual(starts(bench.send([row(10, 3)]).closings), [])
  assert.equal(bench.window(0)?.revision, 2)
})

test('a slow device clock, or a file of last year, does not find its windows closed (row 17)', () => {
  const bench = new Bench()
  bench.tick(1_000_000)
  const receivedUs = 1_000_000 * SECOND_US
  assert.deepEqual(late(bench.send([row(1, 0), row(2, 1)], { receivedUs }).closings), [])
  assert.deepEqual(starts(bench.tick(1_000_005)), [], 'newest 1 s + 5 s of partition time - 3 s grace = 3 s')
  assert.deepEqual(starts(bench.tick(1_000_006)), [0])
})

test('a later sample does not close over a known gap; ticks do (row 18)', () => {
  const bench = new Bench()
  bench.tick(0)
  assert.deepEqual(starts(bench.send([row(1, 0), row(2, 1)]).closings), [])
  assert.deepEqual(starts(bench.send([row(4, 5)]).closings), [], 'number 3 may still come')
  assert.deepEqual(starts(bench.send([row(3, 2)]).closings), [0])
  assert.equal(bench.window(0)?.revision, 3)
})

test('a gap that nothing fills stops holding once what it waits for would be late', () => {
  const bench = new Bench()
  bench.tick(0)
  bench.send([row(1, 0)])
  bench.send([row(3, 5)])
  assert.deepEqual(starts(bench.tick(7)), [0], 'ticks: 5 s + 2 s - 3 s grace')
  assert.deepEqual(starts(bench.send([row(4, 8.5)]).closings), [], 'the gap still holds')
  assert.deepEqual(starts(bench.tick(12)), [4])
  assert.deepEqual(starts(bench.send([row(5, 12.5)]).closings), [8], 'own samples count again')
})

test('a source that the plant names and nobody has seen holds windows until ticks pass (row 19)', () => {
  const bench = new Bench({ sources: ['press-1-plc', 'press-1-vib'] })
  bench.tick(0)
  assert.deepEqual(starts(bench.send([row(1, 0), row(2, 9)]).closings), [])
  assert.deepEqual(starts(bench.tick(10)), [], '10 s - 3 s grace - 4 s lateness is below 4 s')
  assert.deepEqual(starts(bench.tick(11)), [0])
})

test('a file of last year beside the live machine holds no window open; alone it is waited for', () => {
  const bench = new Bench({ sources: [] })
  const receivedUs = 1_000_000 * SECOND_US
  const file = (seq: number, timeS: number) => bench.send([row(seq, timeS)], { sourceId: 'files', receivedUs })
  file(1, 0)
  assert.deepEqual(starts(file(2, 5).closings), [0])
  assert.deepEqual(starts(bench.send([row(1, 1_000_000)], { receivedUs }).closings), [4])
  assert.deepEqual(starts(bench.send([row(2, 1_000_005)], { receivedUs }).closings), [1_000_000])
  assert.deepEqual(late(file(3, 9).closings), [['late', 8, [[3, 3]]]])
  assert.deepEqual(starts(bench.send([row(3, 1_000_009)], { receivedUs }).closings), [1_000_004])
})

test('ticks close the window of a source that fell silent', () => {
  const bench = new Bench()
  bench.send([row(1, 0), row(2, 1)])
  assert.deepEqual(starts(bench.tick(6)), [])
  assert.deepEqual(starts(bench.tick(7)), [0])
})

test('an out-of-order sample within the lateness is a new revision of a closed window', () => {
  const bench = new Bench()
  bench.send([row(1, 0), row(2, 4)])
  const { closings } = bench.send([row(3, 2)])
  assert.deepEqual(starts(closings), [0])
  const window = bench.window(0)
  assert.equal(window?.revision, 2)
  assert.deepEqual(
    window?.ranges.map((r) => [r.seqFrom, r.seqTo]),
    [
      [1, 1],
      [3, 3],
    ],
  )
})

test('a sample for a final window is reported late and stays out of it', () => {
  const bench = new Bench()
  bench.send([row(1, 0), row(2, 8)])
  assert.deepEqual(late(bench.send([row(3, 1), row(4, 2)]).closings), [['late', 0, [[3, 4]]]])
  assert.deepEqual(late(bench.send([row(3, 1)]).closings), [], 'a repeat is not reported again')
})

test('what falls out of the bounded memory is reported lost, by range, and damages its windows', () => {
  const bench = new Bench({}, 0)
  const { closings } = bench.send([row(2, 0)])
  assert.deepEqual(late(closings), [['lost', 0, [[1, 1]]]])
  const next = bench.send([row(5, 1)])
  assert.deepEqual(late(next.closings), [['lost', 0, [[3, 4]]]])
  assert.equal(bench.isDamaged(0), true)
  assert.equal(bench.send([row(3, 0.5)]).accepted, 0, 'its numbers count as seen')
})

test('a new epoch is not believed before the old one had time to arrive from a spool', () => {
  const bench = new Bench()
  bench.tick(0)
  bench.send([row(1, 0), row(2, 1)])
  assert.deepEqual(starts(bench.send([row(1, 5)], { epoch: 2 }).closings), [])
  assert.deepEqual(late(bench.send([row(3, 2)], { epoch: 1 }).closings), [])
  assert.deepEqual(starts(bench.tick(7)), [0])
  assert.deepEqual(starts(bench.tick(12)), [4])
  assert.deepEqual(starts(bench.send([row(2, 11), row(3, 12)], { epoch: 2 }).closings), [8])
})

test('a correction has no time of its own and its samples are taken once', () => {
  const bench = new Bench()
  bench.send([row(1, 0)])
  assert.deepEqual(starts(bench.send([row(1, 100)], { sourceId: 'correction:7' }).closings), [])
  assert.equal(bench.send([row(1, 100)], { sourceId: 'correction:7' }).repeated, 1)
})

test('a file beside a live source has no time of its own; without one its windows close by its rows', () => {
  const beside = new Bench()
  beside.send([row(1, 0)])
  assert.deepEqual(starts(beside.send([row(0, 0), row(1, 100)], { sourceId: 'file:0123456789abcdef:press-1' }).closings), [])
  assert.equal(beside.asset.timeUs, 0)
  const alone = new Bench({ sources: [] })
  assert.deepEqual(starts(alone.send([row(0, 0), row(1, 9)], { sourceId: 'file:0123456789abcdef:press-1' }).closings), [0])
  assert.ok(starts(alone.send([row(0, 20)], { sourceId: 'file:fedcba9876543210:press-1' }).closings).length > 0)
})

test('the numbers of files that came long ago are forgotten: memory stays bounded', () => {
  const bench = new Bench()
  bench.send([row(1, 0)])
  for (let file = 0; file < 500; file++) bench.send([row(0, 0)], { sourceId: `file:${file}:press-1` })
  bench.tick(60)
  bench.send([row(0, 60)], { sourceId: 'file:500:press-1' })
  assert.ok(bench.asset.sources.size <= 65)
  assert.ok([...bench.asset.sources.keys()].some((id) => !id.startsWith('file:')))
  assert.equal(bench.send([row(0, 60)], { sourceId: 'file:500:press-1' }).repeated, 1)
})

test('an undecodable record damages the windows that wait, or the next one', () => {
  const bench = new Bench()
  bench.send([row(1, 0)])
  markDamaged(bench.asset, bench.partitionTimeUs)
  assert.equal(bench.isDamaged(0), true)
  const idle = new Bench()
  markDamaged(idle.asset, idle.partitionTimeUs)
  idle.send([row(1, 0)])
  assert.equal(idle.isDamaged(0), true)
})

test('a change of the feature set inside a block splits it at its event time', () => {
  const asset = newAsset()
  const [before, after] = [modelPlan(), modelPlan({ digest: 'e'.repeat(64), windowUs: 2 * SECOND_US })]
  const planAt = (timeUs: number) => (timeUs < 4 * SECOND_US ? before : after)
  const { closings } = addBlock(asset, blockOf([row(1, 3), row(2, 4), row(3, 6)]), planAt, NEVER_US, 8)
  assert.deepEqual(
    closings.map((c) => (c.kind === 'vector' ? [c.plan.digest[0], c.window.endUs / SECOND_US - windowS(c.plan)] : [])),
    [
      ['d', 0],
      ['e', 4],
    ],
  )
})

test('a block that contradicts itself is refused before anything of it is applied', () => {
  const bench = new Bench()
  assert.throws(() => bench.send([row(1, 0)], { rows: 2 }), /found 1 numbers, expected 2/)
  assert.equal(bench.asset.sources.size, 0)
})
