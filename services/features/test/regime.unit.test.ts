import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Condition, RegimeRule } from '../src/plan.ts'
import { regimeOf } from '../src/regime.ts'

const condition = (place: number, bounds: Partial<Condition>): Condition => ({ place, atLeast: null, below: null, equals: null, ...bounds })
const regimes: RegimeRule[] = [
  { id: 'off', isOff: true, when: [condition(0, { below: 50 })] },
  { id: 'heavy', isOff: false, when: [condition(0, { atLeast: 1000 }), condition(1, { equals: 3 })] },
  { id: 'fast', isOff: false, when: [condition(0, { atLeast: 1000, below: 2000 })] },
]
const idOf = (values: readonly number[], rules = regimes) => regimeOf({ regimes: rules }, Float64Array.from(values))?.id

test('the first regime whose conditions all hold is that of the window', () => {
  assert.equal(idOf([49.9, 0]), 'off')
  assert.equal(idOf([1000, 3]), 'heavy')
  assert.equal(idOf([1000, 4]), 'fast')
  assert.deepEqual(regimeOf({ regimes }, Float64Array.of(0, 0)), regimes[0])
})

test('a low bound belongs to the regime, a high one does not', () => {
  assert.equal(idOf([50, 0]), undefined)
  assert.equal(idOf([1999.9, 0]), 'fast')
  assert.equal(idOf([2000, 0]), undefined)
})

test('a number that could not be computed meets no condition', () => {
  assert.equal(idOf([Number.NaN, 3]), undefined)
  assert.equal(idOf([1500, Number.NaN]), 'fast')
})

test('a regime without a condition always holds, and without regimes there is none', () => {
  const running = { id: 'running', isOff: false, when: [] }
  assert.equal(idOf([Number.NaN, 0], [...regimes, running]), 'running')
  assert.equal(idOf([0, 0], []), undefined)
})
