import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noTrend, remainingUntil, STATED_COVERAGE, trendAfter } from '../src/prognosis.ts'
import type { TrendTransition } from '../src/prognosis.ts'
import { randomFrom } from '../src/random.ts'

const HOUR_US = 3600e6
const LIMIT = 4.5

/** A velocity that rises from 1 mm/s and reaches the limit after `life` windows, with correlated noise. */
const degradation = (seed: number, life: number, kind: 'straight' | 'exponential', noise: number, phi: number) => {
  const random = randomFrom(seed)
  let off = 0
  return (i: number): number => {
    off = phi * off + Math.sqrt(1 - phi * phi) * random.normal()
    return kind === 'straight' ? 1 + (3.5 * i) / life + noise * off : Math.exp((Math.log(LIMIT) * i) / life + noise * off)
  }
}

for (const [kind, noise, phi] of [
  ['straight', 0.15, 0],
  ['exponential', 0.08, 0],
  ['straight', 0.15, 0.4],
] as const)
  test(`an interval of ${100 * STATED_COVERAGE} % holds the true end as often as it says: ${kind}, correlation ${phi}`, () => {
    let held = 0
    let told = 0
    for (let seed = 1; seed <= 400; seed++) {
      const life = 60
      const at = degradation(seed, life, kind, noise, phi)
      const values = Array.from({ length: 40 }, (_, i) => at(i))
      const remaining = remainingUntil(
        values.map((_, i) => i * HOUR_US),
        values,
        LIMIT,
        39 * HOUR_US,
      )
      if (remaining === undefined) continue
      told++
      const trueUs = (life - 39) * HOUR_US
      if (remaining.lowUs <= trueUs && (remaining.highUs ?? Number.POSITIVE_INFINITY) >= trueUs) held++
    }
    assert.ok(told > 300, `told ${told}`)
    assert.ok(Math.abs(held / told - STATED_COVERAGE) <= 0.05, `coverage ${(held / told).toFixed(3)} of ${told}`)
  })

const run = (valueOf: (i: number) => number, windows: number, limitOf: (value: number) => number | undefined = () => LIMIT) => {
  const told: TrendTransition[] = []
  let state = noTrend
  for (let i = 0; i < windows; i++) {
    const value = valueOf(i)
    const step = trendAfter(state, { atUs: i * HOUR_US, value, limit: limitOf(value), vectorId: `v${i}` })
    // A restart between any two windows changes nothing.
    state = JSON.parse(JSON.stringify(step.state)) as typeof state
    if (step.transition !== undefined) told.push(step.transition)
  }
  return { told, state }
}

test('a machine that does not degrade has no prognosis', () => {
  let opened = 0
  for (let seed = 1; seed <= 40; seed++) {
    const random = randomFrom(seed)
    opened += run(() => 2 + 0.2 * random.normal(), 300).told.filter(({ kind }) => kind === 'opened').length
  }
  assert.ok(opened <= 4, `${opened} in 40 runs`)
})

test('a prognosis is told when it begins, seldom after, and is over when the limit is reached', () => {
  const at = degradation(5, 400, 'straight', 0.15, 0)
  const { told } = run(at, 450, (value) => (value < LIMIT ? LIMIT : undefined))
  const kinds = told.map(({ kind }) => kind)
  assert.equal(kinds[0], 'opened')
  assert.ok(kinds.includes('closed'))
  assert.ok(kinds.length <= 25, kinds.join(' '))
  assert.ok(kinds.filter((kind) => kind === 'opened').length <= 3, kinds.join(' '))
})

test('the points of a trend are bounded', () => {
  const { state } = run((i) => 1 + i * 1e-4, 3000)
  assert.ok(state.values.length <= 48 && state.pending.length < state.every)
})
