import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearestOf, noPatterns, withClosed, withWindow } from '../src/nearest.ts'
import type { PatternState, PatternWindow } from '../src/nearest.ts'

const NAMES = ['a.mean', 'b.mean', 'c.mean']
const normalOf = (mean: number, std: number) => () => ({ mean, std })

const windowOf = (episodeId: string, values: readonly number[], more: Partial<PatternWindow> = {}): PatternWindow => ({
  episodeId,
  classId: 'pump',
  featureSet: 'features/pump',
  openedUs: 1,
  faultModeId: null,
  normalOf: normalOf(0, 1),
  names: NAMES,
  values,
  ...more,
})

const closedOf = (episodes: Readonly<Record<string, readonly number[]>>, more: Partial<PatternWindow> = {}): PatternState =>
  Object.entries(episodes).reduce<PatternState>(
    (state, [id, values]) => withClosed(withWindow(state, windowOf(id, values, more)), id, 2),
    noPatterns,
  )

test('the nearest past episode comes first, of other assets of the class too', () => {
  const one = closedOf({ bearing: [6, 0, 0], seal: [0, 6, 0] })
  // Another level of the same class: only what stands out of its own normal counts.
  const other = closedOf({ 'bearing elsewhere': [112, 100, 100] }, { normalOf: normalOf(100, 2) })
  const now = withWindow(noPatterns, windowOf('now', [6, 0.1, 0]))
  const near = nearestOf(now, [
    ['pump-1', one],
    ['pump-2', other],
  ])
  assert.deepEqual(
    near.map(({ assetId, signature }) => `${assetId} ${signature.episodeId}`),
    ['pump-1 bearing', 'pump-2 bearing elsewhere', 'pump-1 seal'],
  )
  assert.ok((near[0]?.distance ?? 9) < 0.1 && (near[2]?.distance ?? 0) > 1)
})

test('a signature is the mean of the windows, without numbers that are missing', () => {
  let state = withWindow(noPatterns, windowOf('e', [1, 2, Number.NaN]))
  state = withWindow(state, windowOf('e', [3, Number.NaN, Number.NaN]))
  const [signature] = withClosed(state, 'e', 5).closed
  assert.deepEqual(signature?.names, ['a.mean', 'b.mean'])
  const mean = (Math.asinh(1) + Math.asinh(3)) / 2
  assert.ok(Math.abs((signature?.coordinates[0] ?? 0) - mean) < 1e-4)
})

test('episodes of another class, and of too few common numbers, are not compared', () => {
  const now = withWindow(noPatterns, windowOf('now', [1, 1, 1]))
  assert.deepEqual(nearestOf(now, [['x', closedOf({ e: [1, 1, 1] }, { classId: 'fan' })]]), [])
  assert.deepEqual(nearestOf(now, [['x', closedOf({ e: [1] }, { names: ['a.mean'] })]]), [])
})

test('twenty closed episodes are kept per asset', () => {
  const many = closedOf(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`e${i}`, [i, 0, 0]])))
  assert.equal(many.closed.length, 20)
  assert.equal(many.closed[0]?.episodeId, 'e10')
})
