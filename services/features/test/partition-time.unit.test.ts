import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NEVER_US } from '../src/intervals.ts'
import { onTick, startOfTime } from '../src/partition-time.ts'
import { SECOND_US } from './blocks.ts'

const ticks = (time: ReturnType<typeof startOfTime>, instance: string, seconds: readonly number[]) => {
  for (const s of seconds) onTick(time, instance, s * SECOND_US)
}
const count = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('partition time is the minimum over the instances that tick', () => {
  const time = startOfTime()
  assert.equal(time.timeUs, NEVER_US)
  ticks(time, 'a', [10])
  assert.equal(time.timeUs, 10 * SECOND_US)
  ticks(time, 'b', [11])
  ticks(time, 'a', [20])
  assert.equal(time.timeUs, 11 * SECOND_US)
})

test('an instance leaves after 30 ticks of one other instance', () => {
  const time = startOfTime()
  ticks(time, 'a', [0])
  ticks(time, 'b', [0, ...count(1, 29)])
  assert.equal(time.timeUs, 0)
  ticks(time, 'b', [29])
  assert.equal(time.timeUs, 29 * SECOND_US)
})

test('silence is 30 ticks of one other instance, not of all together, and not a difference of values (row 15)', () => {
  const time = startOfTime()
  ticks(time, 'a', [0])
  for (const s of count(1, 29)) for (const other of ['b', 'c', 'd']) ticks(time, other, [s])
  assert.equal(time.timeUs, 0, '84 ticks of three others are not 30 of one')
  ticks(time, 'b', [10_000])
  assert.equal(time.timeUs, 0, 'a clock far ahead does not push the others out')
})

test('an instance that returns with old ticks neither pulls time back nor stalls it (row 16)', () => {
  const time = startOfTime()
  ticks(time, 'a', [0])
  ticks(time, 'b', count(0, 100))
  assert.equal(time.timeUs, 99 * SECOND_US)
  ticks(time, 'a', [1])
  ticks(time, 'b', [100])
  assert.equal(time.timeUs, 100 * SECOND_US, 'its backlog is not waited for')
  ticks(time, 'a', [75])
  ticks(time, 'b', [101])
  assert.equal(time.timeUs, 100 * SECOND_US, 'within 30 s it counts again')
  ticks(time, 'a', [101])
  assert.equal(time.timeUs, 101 * SECOND_US)
})

test('partition time never goes back, whatever the ticks say', () => {
  const tick = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 200 }))
  fc.assert(
    fc.property(fc.array(tick, { maxLength: 300 }), (sequence) => {
      const time = startOfTime()
      let before = time.timeUs
      for (const [instance, s] of sequence) {
        onTick(time, instance, s * SECOND_US)
        assert.ok(time.timeUs >= before)
        before = time.timeUs
      }
    }),
  )
})
