import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Statistic } from '@andon/schemas'
import fc from 'fast-check'
import { close, golden, numberOf, numbersOf, rowsOf, signalOf, timesOf } from './signals.ts'
import type { SlowCase } from './signals.ts'

const three: readonly Statistic[] = ['correlation', 'regressionResidual', 'regressionResidualRms']

test('correlation and regression of two channels with own times equal those of numpy and scipy', () => {
  for (const { first, second, timesSeed, meanUs, pairs } of golden<SlowCase[]>('slow')) {
    const a = rowsOf(signalOf(first), timesOf(timesSeed, first.count, meanUs))
    const b = rowsOf(signalOf(second), timesOf(timesSeed + 1, second.count, meanUs, 1.8e15 + 3 * meanUs))
    const found = numbersOf([a, b], three)
    for (const [name, expected] of Object.entries(pairs)) close(found[name], expected, 1e-9, 1e-2, name)
  }
})

test('a line is correlated fully and leaves no residual; its factor and offsets do not count', () => {
  const values = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 3, maxLength: 40 }).filter((x) => new Set(x).size > 1)
  fc.assert(
    fc.property(values, fc.constantFrom(-3, -0.5, 2, 1000), fc.constantFrom(0, 1e9), (x, factor, offset) => {
      const found = numbersOf([rowsOf(x.map((value) => value * factor + offset)), rowsOf(x)], three)
      close(found['correlation'], Math.sign(factor))
      close(found['regressionResidualRms'], 0, 1e-12, 1e6)
      close(found['regressionResidual'], 0, 1e-12, 1e6)
    }),
  )
})

test('correlation is symmetric and lies between -1 and 1', () => {
  const pairs = fc.array(fc.tuple(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.double({ min: -1e-3, max: 1e3, noNaN: true })), {
    minLength: 1,
    maxLength: 30,
  })
  fc.assert(
    fc.property(pairs, (list) => {
      const [a, b] = [rowsOf(list.map(([x]) => x)), rowsOf(list.map(([, y]) => y))]
      const found = numberOf([a, b], 'correlation')
      assert.ok(found >= -1 && found <= 1)
      assert.equal(numberOf([b, a], 'correlation'), found)
      // The two in any mixture of floats and doubles: one does not overwrite the other.
      const [c, d] = [rowsOf(Float32Array.from(a.elements)), rowsOf(Float32Array.from(b.elements))]
      const doubles = [rowsOf(Float64Array.from(c.elements)), rowsOf(Float64Array.from(d.elements))] as const
      assert.deepEqual(numbersOf([c, d], three), numbersOf(doubles, three))
      assert.deepEqual(numbersOf([c, doubles[1]], three), numbersOf(doubles, three))
    }),
  )
})

test('a channel that stands still is correlated with nothing, and a line over it is the mean', () => {
  const moving = [1, 2, 6]
  const found = numbersOf([rowsOf(moving), rowsOf([0.1, 0.1, 0.1])], three)
  assert.deepEqual([found['correlation'], found['regressionResidual']], [0, 3])
  close(found['regressionResidualRms'], numberOf(rowsOf(moving), 'std'))
  assert.deepEqual(Object.values(numbersOf([rowsOf([5]), rowsOf([7])], three)), [0, 0, 0], 'one pair')
})

test('the second channel is held from one of its rows to the next, and rows before its first make no pair', () => {
  const first = rowsOf([100, 1, 2, 3, 4], [0, 10, 20, 30, 40])
  const second = rowsOf([10, 20, 40], [10, 15, 40])
  const aligned = numbersOf([rowsOf([1, 2, 3, 4]), rowsOf([10, 20, 20, 40])], three)
  assert.deepEqual(numbersOf([first, second], three), aligned)
  for (const value of Object.values(numbersOf([first, rowsOf([1, 2], [41, 50])], three))) assert.ok(Number.isNaN(value), 'no value by then')
})

test('a ratio of increases is scrap per part, and none while nothing was made', () => {
  assert.equal(numberOf([rowsOf([7, 8, 9]), rowsOf([100, 140, 20, 40])], 'increaseRatio'), 2 / 80)
  assert.ok(Number.isNaN(numberOf([rowsOf([7, 8]), rowsOf([3, 3])], 'increaseRatio')))
  assert.ok(Number.isNaN(numberOf([rowsOf([7, 7]), rowsOf([3, 3])], 'increaseRatio')))
  assert.equal(numberOf([rowsOf([65_530, 4]), rowsOf([0, 20])], 'increaseRatio', { options: { wrapsAt: 65_536 } }), 0.5)
})
