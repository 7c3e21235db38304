import assert from 'node:assert/strict'
import { test } from 'node:test'
import { disturbanceOf } from '../src/disturbances.ts'

const onset = (assetId: string, atS: number, severity = 3) => ({ assetId, episodeId: `e-${assetId}-${atS}`, openedUs: atS * 1e6, severity })
const line = { line: 'press-line', order: [] as string[], assets: 5 }
const order = (found: ReturnType<typeof disturbanceOf>): string[] => found?.disturbance.assets.map(({ assetId }) => assetId) ?? []

test('one asset alone is no disturbance, nor are two whose episodes begin far apart', () => {
  assert.equal(disturbanceOf([], line), undefined)
  assert.equal(disturbanceOf([onset('a', 0), onset('a', 60)], line), undefined)
  assert.equal(disturbanceOf([onset('a', 0), onset('b', 3600)], line), undefined)
})

test('the earliest comes first', () => {
  const found = disturbanceOf([onset('c', 200), onset('b', 100), onset('a', 0)], line)
  assert.deepEqual(order(found), ['a', 'b', 'c'])
  assert.equal(found?.kind, 'spread')
  assert.ok(Math.abs((found?.disturbance.assets ?? []).reduce((sum, { originScore }) => sum + originScore, 0) - 1) < 1e-12)
})

test('of those that begin together the graver one comes first, then the one upstream', () => {
  assert.deepEqual(order(disturbanceOf([onset('a', 0, 3), onset('b', 2, 1)], line)), ['b', 'a'])
  assert.deepEqual(order(disturbanceOf([onset('a', 0), onset('b', 2)], { ...line, order: ['b', 'x', 'a'] })), ['b', 'a'])
})

test('most of a line within half a minute has a common cause', () => {
  const at = ['a', 'b', 'c', 'd'].map((asset, i) => onset(asset, 5 * i))
  assert.equal(disturbanceOf(at, line)?.kind, 'common-cause')
  assert.equal(disturbanceOf(at, { ...line, assets: 50 })?.kind, 'spread')
})

test('the order in which findings arrive changes nothing', () => {
  const at = ['a', 'b', 'c', 'd'].map((asset, i) => onset(asset, 40 * i))
  assert.deepEqual(disturbanceOf(at.toReversed(), line), disturbanceOf(at, line))
})
