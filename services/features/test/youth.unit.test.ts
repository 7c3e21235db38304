// Windows that are not yet full of rows say so, until they are: after a start, a service and a change of the feature set.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addBlock, newAsset } from '../src/asset-windows.ts'
import { NEVER_US } from '../src/intervals.ts'
import type { AssetPlan } from '../src/plan.ts'
import { summarise } from '../src/summarise.ts'
import { SECOND_US, blockOf, modelPlan } from './blocks.ts'

interface Sent {
  readonly channel?: string
  readonly timeS: number
}

/** By window, in the order of their ends: whether it is young. Rows come one by one. */
const youthOf = (plan: AssetPlan | ((timeUs: number) => AssetPlan), rows: readonly Sent[], servicedS: number | null = null): boolean[] => {
  const asset = newAsset()
  const planAt = typeof plan === 'function' ? plan : () => plan
  return rows.flatMap(({ channel = 'temperatureC', timeS }, i) => {
    const block = blockOf([{ seq: i + 1, timeS, values: [i] }], { channels: [channel] })
    return addBlock(asset, block, planAt, NEVER_US, 256).closings.flatMap((closing) => {
      if (closing.kind !== 'vector') return []
      const serviced = servicedS !== null && servicedS * SECOND_US < closing.window.endUs ? servicedS * SECOND_US : null
      const found = summarise(asset, closing, serviced)!
      assert.equal(found.isComplete, !found.isYoung && found.missing.length === 0)
      return [found.isYoung]
    })
  })
}

const seconds = (from: number, to: number): Sent[] => Array.from({ length: to - from + 1 }, (_, i) => ({ timeS: from + i }))

const byRows = modelPlan({ isByRow: true, lengths: [{ rows: 3 }, { rows: 2 }], sources: [] })

test('a window that counts rows is young until it has as many, and again after a service', () => {
  assert.deepEqual(youthOf(byRows, seconds(1, 5)), [true, true, false, false, false])
  assert.deepEqual(youthOf(byRows, seconds(1, 7), 4), [true, true, false, true, true, false, false])
})

test('a window of time that ends at every row is young while the first row of the asset, or its service, lies in it', () => {
  const plan = modelPlan({ isByRow: true, lengths: [{ us: 3 * SECOND_US }], sources: [] })
  assert.deepEqual(youthOf(plan, seconds(1, 6)), [true, true, true, false, false, false])
  assert.deepEqual(youthOf(plan, seconds(1, 8), 4.5), [true, true, true, false, true, true, true, false])
})

test('so is a window that hops; windows that follow each other are never young', () => {
  const hopping = modelPlan({ windowUs: 4 * SECOND_US, hopUs: SECOND_US, latenessUs: 0, sources: [] })
  assert.deepEqual(youthOf(hopping, seconds(2, 8)), [true, true, true, false, false, false])
  assert.deepEqual(youthOf(modelPlan({ sources: [] }), seconds(2, 12)), [false, false, false])
})

test('a hopping window stays young for as long as an earlier first row may still come', () => {
  const hopping = modelPlan({ windowUs: 4 * SECOND_US, hopUs: SECOND_US, latenessUs: 5 * SECOND_US, sources: [] })
  assert.deepEqual(youthOf(hopping, seconds(0, 8)), [true, true, true, true, true, false, false, false])
})

test('another feature set begins anew', () => {
  const other = { ...byRows, digest: 'e'.repeat(64) }
  const plan = (timeUs: number) => (timeUs < 4 * SECOND_US ? byRows : other)
  assert.deepEqual(youthOf(plan, seconds(1, 7)), [true, true, false, true, true, false, false])
})

const twoChannels = modelPlan({
  isByRow: true,
  lengths: [{ rows: 3 }],
  sources: [],
  statistics: { temperatureC: ['mean'], recipe: ['last'] },
})

test('a channel that is sent seldom keeps no window young, once the others have gone beyond its first row', () => {
  const rows = [{ channel: 'recipe', timeS: 0 }, ...seconds(1, 5)]
  assert.deepEqual(youthOf(twoChannels, rows), [true, true, true, false, false, false])
})

test('a channel that begins later makes windows young until it has its rows, or the others have gone beyond its first', () => {
  const rows = [...seconds(1, 4), { channel: 'recipe', timeS: 4.5 }, ...seconds(5, 8)]
  assert.deepEqual(youthOf(twoChannels, rows), [true, true, false, false, true, true, true, false, false])
})
