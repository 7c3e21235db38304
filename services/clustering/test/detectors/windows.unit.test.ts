// Trailing windows: what they say is what their rows say, whatever came before and whatever is missing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FamilySpec } from '../../src/detectors/constants.ts'
import { firstUsable, openWindows } from '../../src/detectors/windows.ts'

const families: readonly FamilySpec[] = [
  { kind: 'level', window: 5 },
  { kind: 'step', window: 4 },
  { kind: 'rough', window: 6 },
  { kind: 'band', window: 7, scale: 2 },
]

const meanOf = (values: readonly number[]): number => {
  const there = values.filter((x) => x === x)
  return there.length >= values.length / 2 ? there.reduce((a, b) => a + b, 0) / there.length : Number.NaN
}

/** The same from the rows themselves: those that end at `t`. */
const plainly = ({ kind, window, scale = 0 }: FamilySpec, x: readonly number[], t: number): number => {
  const last = (count: number, end: number): number[] => x.slice(end - count + 1, end + 1)
  if (kind === 'level') return meanOf(last(window, t))
  if (kind === 'step') return meanOf(last(window, t)) - meanOf(last(window, t - window))
  const squares = Array.from({ length: window }, (_, i) => {
    const at = t - window + 1 + i
    const step = kind === 'rough' ? (x[at] as number) - (x[at - 1] as number) : meanOf(last(scale, at)) - meanOf(last(scale, at - scale))
    return step * step
  })
  return Math.sqrt(meanOf(squares))
}

test('every family gives what its rows give, also where values are missing and after a wild one', () => {
  const value = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -20, max: 20 }) },
    { weight: 1, arbitrary: fc.constantFrom(Number.NaN, 1e9) },
  )
  fc.assert(
    fc.property(fc.array(value, { minLength: 20, maxLength: 60 }), fc.integer({ min: 0, max: 19 }), (x, restart) => {
      const windows = openWindows(1, families)
      // What was before a restart is in no window.
      for (const before of x.slice(0, restart)) windows.push(Float64Array.of(before))
      windows.forget()
      const out = new Float64Array(1)
      x.forEach((now, t) => {
        windows.push(Float64Array.of(now))
        for (const family of families) {
          assert.equal(windows.read(family, out), t >= firstUsable(family))
          if (t < firstUsable(family)) continue
          const expected = plainly(family, x, t)
          if (Number.isNaN(expected)) assert.ok(Number.isNaN(out[0] as number))
          else assert.ok(Math.abs((out[0] as number) - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${family.kind} at ${t}`)
        }
      })
    }),
  )
})
