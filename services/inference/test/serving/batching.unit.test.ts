// The queue of one model on made-up clocks: which requests go together, when, and what becomes of the others.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { BatchQueue } from '../../src/serving/batching.ts'
import type { Admission, Entry } from '../../src/serving/batching.ts'
import type { QueuePolicy, SchedulingPolicy } from '../../src/serving/policy.ts'

const queuePolicy = (changes: Partial<QueuePolicy> = {}): QueuePolicy => ({
  timeoutAction: 'reject',
  defaultTimeoutUs: 0,
  allowsTimeoutOverride: false,
  maxQueueSize: 1000,
  ...changes,
})

const policy = (changes: Partial<SchedulingPolicy> = {}): SchedulingPolicy => ({
  maxBatchRows: 8,
  instances: 1,
  isDynamic: true,
  preferredBatchRows: [],
  maxQueueDelayUs: 0,
  preservesOrdering: false,
  priorityLevels: 0,
  defaultPriority: 0,
  defaultQueue: queuePolicy(),
  priorityQueues: new Map(),
  ...changes,
})

const admission = (changes: Partial<Admission> = {}): Admission => ({
  key: 'k',
  rows: 1,
  priority: 0,
  timeoutUs: 0,
  deadlineMs: Infinity,
  ...changes,
})

/** Adds so many requests at once, named 0, 1, 2 … */
const filled = (count: number, changes: Partial<SchedulingPolicy> = {}, each: Partial<Admission> = {}): BatchQueue<number> => {
  const queue = new BatchQueue<number>(policy(changes))
  for (let i = 0; i < count; i++) queue.add(i, admission(each), 0)
  return queue
}
const items = (entries: readonly Entry<number>[]): number[] => entries.map(({ item }) => item)

test('without a delay whatever waits starts at once, up to the largest batch', () => {
  const queue = filled(10)
  assert.deepEqual(items(queue.next(0, 0).batch), [0, 1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(items(queue.next(0, 0).batch), [8, 9])
  assert.deepEqual(queue.next(0, 0), { batch: [], untilMs: Infinity })
})

test('the largest preferred size that waits is taken, the rest stays', () => {
  const queue = filled(7, { preferredBatchRows: [2, 4] })
  assert.equal(queue.next(0, 0).batch.length, 4)
  assert.equal(queue.next(0, 0).batch.length, 2)
  assert.equal(queue.next(0, 0).batch.length, 1) // nothing to wait for
})

test('rows that make no preferred size exactly do not exceed the largest one', () => {
  const queue = filled(5, { preferredBatchRows: [4], maxBatchRows: 8 }, { rows: 3 })
  assert.equal(queue.next(0, 0).batch.length, 1)
})

test('with a delay a batch waits for a preferred size, and no longer than the delay', () => {
  const queue = filled(3, { preferredBatchRows: [4], maxQueueDelayUs: 2000 })
  assert.deepEqual(queue.next(1, 0), { batch: [], untilMs: 2 })
  queue.add(3, admission(), 1.5)
  assert.deepEqual(items(queue.next(1.5, 0).batch), [0, 1, 2, 3])
  queue.add(4, admission(), 1.6)
  assert.deepEqual(queue.next(1.6, 0).batch, [])
  assert.deepEqual(items(queue.next(3.6, 0).batch), [4])
})

test('a batch closes early enough for its first deadline', () => {
  const queue = filled(1, { maxQueueDelayUs: 100_000 }, { deadlineMs: 50 })
  assert.deepEqual(queue.next(0, 10), { batch: [], untilMs: 40 })
  assert.deepEqual(items(queue.next(40, 10).batch), [0])
})

test('requests of another shape neither share a batch nor keep it waiting', () => {
  const queue = new BatchQueue<number>(policy({ maxQueueDelayUs: 1000 }))
  queue.add(0, admission({ key: 'a' }), 0)
  queue.add(1, admission({ key: 'b' }), 0)
  queue.add(2, admission({ key: 'a' }), 0)
  assert.deepEqual(items(queue.next(0, 0).batch), [0, 2])
  assert.deepEqual(queue.next(0, 0).batch, [])
  assert.deepEqual(items(queue.next(1, 0).batch), [1])
})

test('without dynamic batching each request runs alone, in order', () => {
  const queue = filled(3, { isDynamic: false })
  assert.deepEqual(
    [0, 1, 2].map(() => items(queue.next(0, 0).batch)),
    [[0], [1], [2]],
  )
})

test('a request with more rows than a batch runs alone', () => {
  const queue = new BatchQueue<number>(policy())
  queue.add(0, admission({ rows: 20 }), 0)
  queue.add(1, admission(), 0)
  assert.deepEqual(items(queue.next(0, 0).batch), [0])
})

test('while only a full batch is wanted, a smaller one waits', () => {
  const queue = filled(7)
  assert.deepEqual(queue.next(0, 0, true).batch, [])
  queue.add(7, admission(), 0)
  assert.equal(queue.next(0, 0, true).batch.length, 8)
})

test('1 is the highest priority, 0 and what is no level the default', () => {
  const queue = new BatchQueue<number>(policy({ priorityLevels: 3, defaultPriority: 2, isDynamic: false }))
  for (const [i, priority] of [3, 0, 9, 1].entries()) queue.add(i, admission({ priority }), 0)
  assert.deepEqual(
    [0, 1, 2, 3].map(() => items(queue.next(0, 0).batch)[0]),
    [3, 1, 2, 0],
  )
})

test('a request of a lower level goes along only when nobody of a higher one is left behind', () => {
  const queue = new BatchQueue<number>(policy({ priorityLevels: 2, defaultPriority: 2 }))
  queue.add(0, admission({ priority: 2, key: 'a' }), 0)
  queue.add(1, admission({ priority: 1, key: 'a' }), 0)
  queue.add(2, admission({ priority: 1, key: 'b' }), 0)
  assert.deepEqual(items(queue.next(0, 0).batch), [1])
  assert.deepEqual(items(queue.next(0, 0).batch), [2])
  assert.deepEqual(items(queue.next(0, 0).batch), [0])
})

test('a level takes as many as its policy says', () => {
  const queue = new BatchQueue<number>(
    policy({ priorityLevels: 2, defaultPriority: 2, priorityQueues: new Map([[1, queuePolicy({ maxQueueSize: 1 })]]) }),
  )
  assert.ok(queue.add(0, admission({ priority: 1 }), 0))
  assert.equal(queue.add(1, admission({ priority: 1 }), 0), undefined)
  assert.ok(queue.add(2, admission({ priority: 2 }), 0))
})

test('a request can ask for less time in the queue than the default, where it may ask, and never for more', () => {
  const timeoutMs = (changes: Partial<QueuePolicy>, timeoutUs: number): number => {
    const queue = new BatchQueue<number>(policy({ defaultQueue: queuePolicy(changes) }))
    queue.add(0, admission({ timeoutUs }), 0)
    return queue.expiresMs
  }
  assert.equal(timeoutMs({ defaultTimeoutUs: 5000, allowsTimeoutOverride: true }, 2000), 2)
  assert.equal(timeoutMs({ defaultTimeoutUs: 5000, allowsTimeoutOverride: true }, 9000), 5)
  assert.equal(timeoutMs({ defaultTimeoutUs: 5000, allowsTimeoutOverride: true }, 0), 5)
  assert.equal(timeoutMs({ defaultTimeoutUs: 5000 }, 2000), 5)
  assert.equal(timeoutMs({ allowsTimeoutOverride: true }, 2000), 2)
  assert.equal(timeoutMs({}, 2000), Infinity)
})

test('REJECT turns a request away when its time is over, DELAY puts it behind the others', () => {
  const reject = filled(2, { defaultQueue: queuePolicy({ defaultTimeoutUs: 1000 }) })
  assert.deepEqual(reject.expire(0.9), [])
  assert.deepEqual(
    reject.expire(1).map(({ entry, reason }) => [entry.item, reason]),
    [
      [0, 'timeout'],
      [1, 'timeout'],
    ],
  )
  assert.equal(reject.size, 0)
  const delay = filled(1, { isDynamic: false, defaultQueue: queuePolicy({ defaultTimeoutUs: 1000, timeoutAction: 'delay' }) })
  delay.add(1, admission(), 0.5)
  assert.deepEqual(delay.expire(1), [])
  assert.deepEqual(items(delay.next(1, 0).batch), [1])
  assert.deepEqual(items(delay.next(1, 0).batch), [0])
})

test('a request whose deadline has passed is not run', () => {
  const queue = filled(1, { isDynamic: false }, { deadlineMs: 5 })
  assert.deepEqual(
    queue.expire(5).map(({ reason }) => reason),
    ['deadline'],
  )
  assert.deepEqual(queue.next(5, 0).batch, [])
})

test('who is still there after others have expired expires as well', () => {
  const queue = new BatchQueue<number>(policy())
  for (const [i, deadlineMs] of [1, 6].entries()) queue.add(i, admission({ deadlineMs }), 0)
  assert.equal(queue.expire(2).length, 1)
  assert.equal(queue.expiresMs, 6)
  assert.equal(queue.expire(6).length, 1)
})

test('a request that has used up its time does not wait for a larger batch on top of it', () => {
  const queue = filled(1, { maxQueueDelayUs: 9000, defaultQueue: queuePolicy({ defaultTimeoutUs: 1000, timeoutAction: 'delay' }) })
  queue.expire(1)
  assert.deepEqual(items(queue.next(1, 0).batch), [0])
})

test('a request leaves once', () => {
  const queue = new BatchQueue<number>(policy())
  const entry = queue.add(0, admission(), 0)!
  assert.equal(queue.remove(entry), true)
  assert.equal(queue.remove(entry), false)
  const next = queue.add(1, admission(), 0)!
  queue.next(0, 0)
  assert.equal(queue.remove(next), false)
  assert.deepEqual([queue.size, queue.rows], [0, 0])
})

const arbitraryQueuePolicy = fc.record({
  timeoutAction: fc.constantFrom('reject' as const, 'delay' as const),
  defaultTimeoutUs: fc.constantFrom(0, 500, 3000),
  allowsTimeoutOverride: fc.boolean(),
  maxQueueSize: fc.integer({ min: 1, max: 12 }),
})

const arbitraryPolicy = fc
  .record({
    maxBatchRows: fc.integer({ min: 1, max: 8 }),
    isDynamic: fc.boolean(),
    preferredBatchRows: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 3 }),
    maxQueueDelayUs: fc.constantFrom(0, 700, 4000),
    priorityLevels: fc.integer({ min: 0, max: 3 }),
    defaultQueue: arbitraryQueuePolicy,
    first: fc.option(arbitraryQueuePolicy),
  })
  .map(({ first, ...rest }) =>
    policy({ ...rest, defaultPriority: Math.ceil(rest.priorityLevels / 2), priorityQueues: new Map(first === null ? [] : [[1, first]]) }),
  )

const arbitrarySteps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('add' as const),
        key: fc.constantFrom('a', 'b'),
        rows: fc.integer({ min: 1, max: 4 }),
        priority: fc.integer({ min: 0, max: 4 }),
        timeoutUs: fc.constantFrom(0, 200, 10_000),
        withinMs: fc.constantFrom(Infinity, Infinity, 1, 6),
      }),
    },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('free' as const), runMs: fc.constantFrom(0, 0.4), fullOnly: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('pass' as const), ms: fc.double({ min: 0, max: 2, noNaN: true }) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('cancel' as const), nth: fc.nat() }) },
  ),
  { maxLength: 120 },
)

interface Asked {
  readonly id: number
  readonly key: string
  readonly rows: number
  readonly level: number
  readonly atMs: number
  readonly deadlineMs: number
  readonly limitMs: number
  readonly isDelaying: boolean
}

test('any schedule: nothing is lost or answered twice, and every rule of the policy holds', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitrarySteps, (rules, steps) => {
      const queue = new BatchQueue<Asked>(rules)
      const waiting = new Map<number, Entry<Asked>>()
      const levels = Math.max(1, rules.priorityLevels)
      let [nowMs, lastId] = [0, 0]
      const leave = ({ item }: Entry<Asked>): void => assert.ok(waiting.delete(item.id), `${item.id} left twice`)
      const isDelayed = ({ item }: Entry<Asked>): boolean => item.isDelaying && nowMs >= item.limitMs
      const expire = (): void => {
        for (const { entry, reason } of queue.expire(nowMs)) {
          leave(entry)
          if (reason === 'deadline') assert.ok(nowMs >= entry.item.deadlineMs)
          else assert.ok(nowMs >= entry.item.limitMs && !entry.item.isDelaying)
        }
        for (const { item } of waiting.values()) {
          assert.ok(item.deadlineMs > nowMs, 'nobody waits beyond its deadline')
          assert.ok(item.isDelaying || item.limitMs > nowMs, 'nobody waits beyond its time in the queue')
        }
      }
      const free = (runMs: number, fullOnly: boolean): boolean => {
        expire()
        const { batch, untilMs } = queue.next(nowMs, runMs, fullOnly)
        batch.forEach(leave)
        const rows = batch.reduce((sum, entry) => sum + entry.rows, 0)
        if (batch.length > 1) {
          assert.ok(rules.isDynamic && rows <= rules.maxBatchRows)
          assert.equal(new Set(batch.map(({ key }) => key)).size, 1)
        }
        for (const taken of batch) {
          for (const left of waiting.values()) {
            assert.ok(left.item.level >= taken.item.level, 'nobody of a higher level is left behind')
            if (left.item.level !== taken.item.level || left.key !== taken.key) continue
            if (isDelayed(taken) || isDelayed(left)) assert.ok(isDelayed(left), 'the delayed ones come after the others')
            else assert.ok(left.item.id > taken.item.id, 'order of arrival within a level')
          }
        }
        if (batch.length === 0 && waiting.size > 0 && !fullOnly) {
          assert.ok(rules.maxQueueDelayUs > 0, 'a free slot stays free only with a delay')
          const oldestMs = Math.min(...[...waiting.values()].map(({ item }) => item.atMs))
          assert.ok(untilMs > nowMs && untilMs <= oldestMs + rules.maxQueueDelayUs / 1000)
        }
        return batch.length > 0
      }
      for (const step of steps) {
        if (step.op === 'pass') nowMs += step.ms
        else if (step.op === 'free') free(step.runMs, step.fullOnly)
        else if (step.op === 'cancel') {
          const entry = [...waiting.values()][step.nth % Math.max(1, waiting.size)]
          if (entry !== undefined) {
            assert.ok(queue.remove(entry))
            leave(entry)
          }
        } else {
          expire()
          const level =
            rules.priorityLevels === 0 ? 0 : step.priority >= 1 && step.priority <= levels ? step.priority : rules.defaultPriority
          const own = rules.priorityQueues.get(level) ?? rules.defaultQueue
          const asked = own.allowsTimeoutOverride && step.timeoutUs > 0 ? step.timeoutUs : Infinity
          const limitMs = nowMs + Math.min(asked, own.defaultTimeoutUs || Infinity) / 1000
          const item: Asked = {
            id: ++lastId,
            key: step.key,
            rows: Math.min(step.rows, rules.maxBatchRows),
            level,
            atMs: nowMs,
            deadlineMs: nowMs + step.withinMs,
            limitMs,
            isDelaying: own.timeoutAction === 'delay',
          }
          const ofLevel = [...waiting.values()].filter((entry) => entry.item.level === level).length
          const entry = queue.add(item, { ...item, priority: step.priority, timeoutUs: step.timeoutUs }, nowMs)
          assert.equal(entry === undefined, ofLevel >= own.maxQueueSize, 'as many wait as the policy says')
          if (entry !== undefined) waiting.set(item.id, entry)
        }
        assert.equal(queue.size, waiting.size)
        assert.equal(
          queue.rows,
          [...waiting.values()].reduce((sum, entry) => sum + entry.rows, 0),
        )
      }
      // However it stands, free slots empty it: nothing is forgotten.
      for (let rounds = 0; waiting.size > 0; rounds++) {
        assert.ok(rounds < 1000)
        if (!free(0, false)) nowMs += rules.maxQueueDelayUs / 1000
      }
    }),
    { numRuns: 3000 },
  )
})
