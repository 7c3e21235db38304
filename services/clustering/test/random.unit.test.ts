import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { drawn, randomAt, randomFrom } from '../src/random.ts'

test('random numbers are those of the reference implementation of xoshiro128**', () => {
  const random = randomAt([1, 2, 3, 4])
  const numbers = Array.from({ length: 10 }, () => random.uint32())
  assert.deepEqual(numbers, [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804])
})

test('a seed gives the same numbers for ever', () => {
  const random = randomFrom(1)
  assert.deepEqual(
    [random.uint32(), random.uint32(), random.uniform(), random.below(10), random.normal()],
    [393288148, 2174103013, 0.8881928137485323, 6, 0.09360392100457025],
  )
})

test('a state continues where it was taken', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(50), (seed, before) => {
      const random = randomFrom(seed)
      for (let i = 0; i < before; i++) random.uint32()
      const other = randomAt(JSON.parse(JSON.stringify(random.state())) as number[])
      for (let i = 0; i < 20; i++) assert.equal(random.uniform(), other.uniform())
    }),
  )
})

test('seeds that differ by little give numbers that have nothing in common', () => {
  const firsts = new Set(Array.from({ length: 1000 }, (_, seed) => randomFrom(seed).uint32()))
  assert.equal(firsts.size, 1000)
  assert.notEqual(randomFrom(2 ** 32).uint32(), randomFrom(0).uint32())
})

test('numbers have the mean and spread of their distribution', () => {
  const random = randomFrom(7)
  let [sum, squares, uniform] = [0, 0, 0]
  const counts = new Float64Array(7)
  for (let i = 0; i < 70_000; i++) {
    const x = random.normal()
    sum += x
    squares += x * x
    uniform += random.uniform()
    const bin = random.below(7)
    counts[bin] = (counts[bin] as number) + 1
  }
  assert.ok(Math.abs(sum / 70_000) < 0.015 && Math.abs(squares / 70_000 - 1) < 0.02 && Math.abs(uniform / 70_000 - 0.5) < 0.005)
  assert.ok(counts.every((count) => Math.abs(count - 10_000) < 400))
})

test('drawn rows are different and within their range', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }), (seed, a, b) => {
      const [count, from] = [Math.min(a, b), Math.max(a, b)]
      const rows = drawn(randomFrom(seed), from, count)
      assert.equal(rows.length, count)
      assert.equal(new Set(rows).size, count)
      assert.ok(rows.every((row) => row >= 0 && row < from))
    }),
  )
})

test('a seed or a state that is none is refused', () => {
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) assert.throws(() => randomFrom(seed), /seed is/)
  for (const state of [
    [0, 0, 0, 0],
    [1, 2, 3],
  ])
    assert.throws(() => randomAt(state), /state/)
})
