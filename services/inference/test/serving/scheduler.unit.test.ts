// The scheduler over a made-up runner: who is answered, with what, and when nothing is run at all.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { ModelConfig } from '@andon/schemas/inference'
import { runFailed, workerLost } from '../../src/errors.ts'
import type { Batch, BatchAnswer, Runner } from '../../src/runtime/runner.ts'
import type { QueuePolicy, SchedulingPolicy } from '../../src/serving/policy.ts'
import { responseCache } from '../../src/serving/response-cache.ts'
import { scheduled } from '../../src/serving/scheduled.ts'
import type { Scheduled, ScheduledOptions } from '../../src/serving/scheduled.ts'
import { QueueLimit } from '../../src/serving/scheduler.ts'
import type { RunRequest } from '../../src/serving/servable.ts'
import { statisticsOf } from '../../src/serving/statistics.ts'
import type { Statistics } from '../../src/serving/statistics.ts'

const queuePolicy = (changes: Partial<QueuePolicy> = {}): QueuePolicy => ({
  timeoutAction: 'reject',
  defaultTimeoutUs: 0,
  allowsTimeoutOverride: true,
  maxQueueSize: 1000,
  ...changes,
})

const policy = (changes: Partial<SchedulingPolicy> = {}): SchedulingPolicy => ({
  maxBatchRows: 4,
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

interface Begun {
  readonly batch: Batch
  /** The numbers that its requests carry. */
  readonly numbers: readonly number[]
  finish(): void
  fail(error: Error): void
}

/** One thread that runs one batch and has another waiting, and ends what it is told to; gives each request its own bytes back. */
class FakeThread {
  readonly begun: Begun[] = []
  isClosed = false
  #inFlight = 0
  #listeners: (() => void)[] = []

  readonly runner: Runner = {
    io: { inputs: [{ name: 'x', datatype: 'UINT8', shape: [-1, 1] }], outputs: [{ name: 'y', datatype: 'UINT8', shape: [-1, 1] }] },
    provider: 'fake',
    room: {
      hasRoom: () => this.#inFlight < 2,
      isIdle: () => this.#inFlight === 0,
      whenRoom: (listener) => void this.#listeners.push(listener),
    },
    run: (batch) => this.#run(batch),
    close: async () => {
      this.isClosed = true
    },
  }

  #run(batch: Batch): Promise<BatchAnswer> {
    this.#inFlight++
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => (): void => {
        this.#inFlight--
        settle()
        const [listener] = this.#listeners.splice(0, 1)
        listener?.()
      }
      this.begun.push({
        batch,
        numbers: batch.requests.map(({ inputs }) => inputs[0]!.bytes[0]!),
        finish: end(() =>
          resolve({
            outputs: batch.requests.map(({ inputs }) => [{ name: 'y', datatype: 'UINT8', ...inputs[0]! }]),
            inputUs: 1,
            runUs: 2,
            outputUs: 3,
          }),
        ),
        fail: (error) => end(() => reject(error))(),
      })
    })
  }
}

const request = (number: number, changes: Partial<RunRequest> = {}): RunRequest => ({
  inputs: [{ shape: [1, 1], bytes: Uint8Array.of(number) }],
  outputs: ['y'],
  ...changes,
})

interface Opened {
  readonly model: Scheduled
  readonly thread: FakeThread
  readonly statistics: Statistics
}

const open = (rules: Partial<SchedulingPolicy> = {}, changes: Partial<ScheduledOptions> = {}, thread = new FakeThread()): Opened => {
  const statistics = statisticsOf('m', '1', () => 0)
  const model = scheduled({
    name: 'm',
    version: 1,
    digest: 'd',
    config: ModelConfig.fromPartial({}),
    policy: policy(rules),
    runner: thread.runner,
    statistics,
    ...changes,
  })
  return { model, thread, statistics }
}

/** After what was submitted has reached the thread. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const numberOf = async (answer: ReturnType<Scheduled['run']>): Promise<number> => (await answer).outputs[0]!.bytes[0]!

test('an idle thread gets a request at once, and those that come meanwhile go together', async () => {
  const { model, thread, statistics } = open()
  const answers = [numberOf(model.run(request(1)))]
  await settled()
  answers.push(...[2, 3].map((number) => numberOf(model.run(request(number)))))
  await settled()
  assert.deepEqual(
    thread.begun.map(({ numbers }) => numbers),
    [[1]], // more may come to the second batch while the first runs
  )
  thread.begun[0]!.finish()
  await settled()
  thread.begun[1]!.finish()
  assert.deepEqual(await Promise.all(answers), [1, 2, 3])
  const stats = statistics.read()
  assert.deepEqual([stats.inferenceCount, stats.executionCount, stats.inferenceStats!.success!.count], [3n, 2n, 3n])
})

test('a full batch waits in the thread behind the one that runs, a third one does not', async () => {
  const { model, thread } = open()
  const answers = Array.from({ length: 13 }, (_, i) => numberOf(model.run(request(i))))
  await settled()
  assert.deepEqual(
    thread.begun.map(({ numbers }) => numbers.length),
    [4, 4],
  )
  for (let i = 0; i < 4; i++) {
    thread.begun[i]!.finish()
    await settled()
  }
  assert.deepEqual(await Promise.all(answers), [...answers.keys()])
})

test('a model whose batches are never full takes its turn beside one whose always are', async () => {
  const thread = new FakeThread()
  const [busy, rare] = [open({}, {}, thread).model, open({}, {}, thread).model]
  for (let i = 0; i < 40; i++) void busy.run(request(i))
  await settled()
  const answer = numberOf(rare.run(request(99)))
  await settled()
  // The busy one asked first; then it asks again, behind the other.
  for (const i of [0, 1]) {
    thread.begun[i]!.finish()
    await settled()
  }
  assert.deepEqual(thread.begun[2]!.numbers, [8, 9, 10, 11])
  assert.deepEqual(thread.begun[3]!.numbers, [99])
  for (const i of [2, 3]) {
    thread.begun[i]!.finish()
    await settled()
  }
  assert.equal(await answer, 99)
  // Again with nothing of its own under way.
  const next = numberOf(rare.run(request(100)))
  for (let i = 4; !thread.begun.some(({ numbers }) => numbers.includes(100)); i++) {
    assert.ok(i < 8, 'its next turn comes as well')
    await settled()
    thread.begun[i]!.finish()
    await settled()
  }
  for (const each of thread.begun.slice(-2)) each.finish()
  assert.equal(await next, 100)
})

test('a full queue turns a request away with the reason, and takes the next when there is room', async () => {
  const { model, thread, statistics } = open({ isDynamic: false, defaultQueue: queuePolicy({ maxQueueSize: 2 }) })
  const running = [1, 2].map((number) => model.run(request(number)))
  await settled()
  const waiting = [3, 4].map((number) => model.run(request(number)))
  await assert.rejects(model.run(request(5)), {
    code: 'ANDON_INFERENCE_QUEUE_FULL',
    retriable: true,
    message: /^Exceeds maximum queue size/,
  })
  assert.equal(statistics.failures().REJECTED, 1)
  thread.begun[0]!.finish()
  await settled()
  waiting.push(model.run(request(6)))
  for (let i = 1; i < 5; i++) {
    thread.begun[i]!.finish()
    await settled()
  }
  await Promise.all([...running, ...waiting])
})

test('all models together have a limit of rows and of bytes, and what has left counts no more', async () => {
  const thread = new FakeThread()
  const limit = new QueueLimit({ maxRows: 3, maxBytes: 100 })
  const [a, b] = [open({}, { limit }, thread).model, open({}, { limit }, thread).model]
  const answers = [a.run(request(1)), b.run(request(2)), a.run(request(3))]
  const refused = b.run(request(4))
  assert.deepEqual([limit.rows, limit.bytes], [3, 3])
  await assert.rejects(refused, { code: 'ANDON_INFERENCE_QUEUE_FULL' })
  await settled()
  for (let i = 0; i < 3 && thread.begun[i] !== undefined; i++) {
    thread.begun[i]!.finish()
    await settled()
  }
  await Promise.all(answers)
  assert.deepEqual([limit.rows, limit.bytes], [0, 0])
  const large = { inputs: [{ shape: [1, 1], bytes: new Uint8Array(101) }], outputs: ['y'] }
  const alone = a.run(large) // an empty queue takes whatever the doors let in
  await assert.rejects(a.run(large), { code: 'ANDON_INFERENCE_QUEUE_FULL' })
  await settled()
  thread.begun.at(-1)!.finish()
  await alone
})

test('a request with more rows than a batch is refused as what it is', async () => {
  const { model } = open()
  await assert.rejects(model.run({ inputs: [{ shape: [5, 1], bytes: new Uint8Array(5) }], outputs: ['y'] }), {
    code: 'ANDON_INFERENCE_BATCH_TOO_LARGE',
    status: 400,
    message: /has 5 rows, expected at most 4/,
  })
})

test('a request whose deadline has passed is not run', async () => {
  const { model, thread } = open()
  await assert.rejects(model.run(request(1, { deadlineMs: performance.now() - 1 })), {
    code: 'ANDON_INFERENCE_DEADLINE_EXCEEDED',
    retriable: false,
  })
  const running = [1, 2].map((number) => model.run(request(number)))
  await settled()
  // It passes while the thread is busy: the caller is told then, not when the thread is free.
  await assert.rejects(model.run(request(3, { deadlineMs: performance.now() + 5 })), { code: 'ANDON_INFERENCE_DEADLINE_EXCEEDED' })
  assert.deepEqual(
    thread.begun.map(({ numbers }) => numbers),
    [[1, 2]],
  )
  thread.begun[0]!.finish()
  await Promise.all(running)
  await settled()
  assert.equal(thread.begun.length, 1)
})

test('time in the queue that a request asks for is over when it is, whatever runs', async () => {
  const { model, thread } = open()
  const running = model.run(request(1))
  await settled()
  await assert.rejects(model.run(request(2, { timeoutUs: 3000 })), { code: 'ANDON_INFERENCE_QUEUE_TIMEOUT', retriable: true })
  thread.begun[0]!.finish()
  await running
})

test('a caller that gives up while it waits is answered at once and not run; one that runs is run to its end', async () => {
  const { model, thread, statistics } = open()
  const [first, second] = [new AbortController(), new AbortController()]
  const running = model.run(request(1, { signal: first.signal }))
  await settled()
  const waiting = model.run(request(2, { signal: second.signal }))
  await settled()
  first.abort()
  second.abort()
  await assert.rejects(waiting, { code: 'ANDON_INFERENCE_CANCELLED' })
  await assert.rejects(model.run(request(3, { signal: AbortSignal.abort() })), { code: 'ANDON_INFERENCE_CANCELLED' })
  thread.begun[0]!.finish()
  assert.equal(await numberOf(running), 1)
  assert.deepEqual([thread.begun.length, statistics.failures().CANCELED], [1, 2])
})

test('a batch that fails is the failure of its requests, and of no others', async () => {
  const { model, thread, statistics } = open({ isDynamic: false })
  const [bad, good] = [model.run(request(1)), model.run(request(2))]
  await settled()
  thread.begun[0]!.fail(runFailed('m', 'no'))
  thread.begun[1]!.finish()
  await assert.rejects(bad, { code: 'ANDON_INFERENCE_RUN_FAILED' })
  assert.equal(await numberOf(good), 2)
  assert.equal(thread.begun.length, 2) // nothing is run twice
  assert.equal(statistics.read().inferenceStats!.fail!.count, 1n)
})

test('when a batch fails on its input, its requests are run one by one: only the bad one fails', async () => {
  const { model, thread } = open()
  const answers = Promise.allSettled([1, 2, 3].map((number) => model.run(request(number))))
  await settled()
  thread.begun[0]!.fail(runFailed('m', 'an index is out of range'))
  for (const [i, number] of [1, 2, 3].entries()) {
    await settled()
    const {
      numbers: [run],
      ...begun
    } = thread.begun[1 + i]!
    assert.equal(run, number)
    if (number === 2) begun.fail(runFailed('m', 'an index is out of range'))
    else begun.finish()
  }
  assert.deepEqual(
    (await answers).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
})

test('a request whose inputs have different numbers of rows is refused alone', async () => {
  const { model } = open()
  const uneven = { inputs: [1, 2].map((rows) => ({ shape: [rows, 1], bytes: new Uint8Array(rows) })), outputs: ['y'] }
  await assert.rejects(model.run(uneven), { code: 'ANDON_INFERENCE_INVALID_TENSOR', message: /input of 2 rows, expected 1/ })
})

test('with preserve_ordering answers come in the order of the requests, however the batches end', async () => {
  const { model, thread } = open({ isDynamic: false, preservesOrdering: true, defaultQueue: queuePolicy({ maxQueueSize: 3 }) })
  const order: number[] = []
  const answers = [1, 2, 3].map((number) => model.run(request(number)).finally(() => order.push(number)))
  await settled()
  // Neither one that was turned away nor one that gave up holds the others back.
  const gone = new AbortController()
  const given = model.run(request(4, { signal: gone.signal }))
  gone.abort()
  await assert.rejects(given)
  const last = model.run(request(5)).finally(() => order.push(5))
  thread.begun[1]!.finish()
  await settled()
  assert.deepEqual(order, [])
  thread.begun[2]!.finish()
  thread.begun[0]!.fail(new Error('no'))
  await assert.rejects(answers[0]!)
  await Promise.all(answers.slice(1))
  await settled()
  thread.begun.at(-1)!.finish()
  await last
  assert.deepEqual(order, [1, 2, 3, 5])
})

test('with a delay a lone request runs when the delay is over, and not before', async () => {
  const { model, thread, statistics } = open({ maxQueueDelayUs: 2000 })
  const answer = model.run(request(1))
  while (thread.begun.length === 0) await settled()
  thread.begun[0]!.finish()
  assert.equal(await numberOf(answer), 1)
  assert.ok(statistics.read().inferenceStats!.queue!.ns >= 2_000_000n)
})

test('closing answers what was accepted, turns the rest away, then closes the runner', async () => {
  const { model, thread } = open({ isDynamic: false })
  const answers = [1, 2, 3].map((number) => model.run(request(number)))
  const closed = model.close()
  await assert.rejects(model.run(request(4)), { code: 'ANDON_INFERENCE_STOPPING' })
  await settled()
  for (let i = 0; i < 3; i++) {
    assert.equal(thread.isClosed, false)
    thread.begun[i]!.finish()
    await settled()
  }
  await Promise.all(answers)
  await closed
  assert.equal(thread.isClosed, true)
})

const arbitraryRun = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('ask' as const),
        of: fc.constantFrom(0, 1),
        rows: fc.integer({ min: 1, max: 4 }),
        columns: fc.constantFrom(1, 2),
        outputs: fc.constantFrom('y', 'z'),
        withinMs: fc.constantFrom(undefined, undefined, 0, 1),
        isCancelled: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('end' as const), how: fc.constantFrom('finish', 'input', 'lost' as const) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('cancel' as const) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('turn' as const) }) },
  ),
  { maxLength: 60 },
)

test('any run of two models on one thread: everybody is answered once, with their own rows or with an error that may be', async () => {
  const MAY_BE = ['RUN_FAILED', 'WORKER_LOST', 'QUEUE_FULL', 'DEADLINE_EXCEEDED', 'CANCELLED'].map((what) => `ANDON_INFERENCE_${what}`)
  await fc.assert(
    fc.asyncProperty(arbitraryRun, fc.boolean(), fc.constantFrom(0, 500), async (steps, preservesOrdering, maxQueueDelayUs) => {
      const thread = new FakeThread()
      const limit = new QueueLimit({ maxRows: 40, maxBytes: 1000 })
      const rules = { preservesOrdering, maxQueueDelayUs, defaultQueue: queuePolicy({ maxQueueSize: 12 }) }
      const models = [open(rules, { limit }, thread).model, open(rules, { limit }, thread).model]
      const answers: Promise<void>[] = []
      const leavers: AbortController[] = []
      const runOrders: number[][] = [[], []]
      const kinds = new Map<number, string>()
      let [asked, answered, ended] = [0, 0, 0]
      const end = (how: string): boolean => {
        const next = thread.begun[ended]
        if (next === undefined) return false
        ended++
        if (how === 'finish') next.finish()
        else next.fail(how === 'input' ? runFailed('m', 'no') : workerLost('no'))
        return true
      }
      for (const step of steps) {
        if (step.op === 'turn') await settled()
        else if (step.op === 'end') end(step.how)
        else if (step.op === 'cancel') leavers.shift()?.abort()
        else {
          const number = ++asked % 256
          const bytes = new Uint8Array(step.rows * step.columns).fill(number)
          kinds.set(number, `${step.of} ${step.columns} ${step.outputs}`)
          const leaver = new AbortController()
          if (step.isCancelled) leavers.push(leaver)
          const given: RunRequest = {
            inputs: [{ shape: [step.rows, step.columns], bytes }],
            outputs: [step.outputs],
            signal: leaver.signal,
            ...(step.withinMs === undefined ? {} : { deadlineMs: performance.now() + step.withinMs }),
          }
          const order = asked
          answers.push(
            models[step.of]!.run(given).then(
              ({ outputs }) => {
                answered++
                runOrders[step.of]!.push(order)
                assert.deepEqual([...outputs[0]!.bytes], [...bytes])
              },
              (error: { code: string }) => {
                answered++
                assert.ok(MAY_BE.includes(error.code), error.code)
              },
            ),
          )
        }
      }
      const all = Promise.all(answers)
      const closed = Promise.all(models.map((model) => model.close()))
      let isClosed = false
      void closed.then(() => (isClosed = true))
      while (!isClosed) {
        end('finish')
        await settled()
      }
      await all
      assert.equal(answered, asked)
      assert.deepEqual([limit.rows, limit.bytes, ...models.map(({ waiting }) => waiting)], [0, 0, 0, 0])
      for (const { numbers } of thread.begun) {
        assert.equal(new Set(numbers.map((number) => kinds.get(number))).size, 1, 'one model, one shape, one set of outputs')
      }
      for (const { batch } of thread.begun)
        assert.ok(batch.rows <= 4 && batch.rows === batch.requests.reduce((sum, { rows }) => sum + rows, 0))
      if (preservesOrdering)
        for (const order of runOrders)
          assert.deepEqual(
            order,
            order.toSorted((a, b) => a - b),
          )
    }),
    { numRuns: 300 },
  )
})

test('the same bytes are answered from the cache; other bytes, outputs or artefacts are not', async () => {
  const cache = responseCache({ maxBytes: 1 << 20 })
  const { model, thread, statistics } = open({}, { cache })
  const run = async (of: Scheduled, fake: FakeThread, asked: RunRequest): Promise<number> => {
    const before = fake.begun.length
    const answer = numberOf(of.run(asked))
    await settled()
    if (fake.begun.length > before) fake.begun.at(-1)!.finish()
    return answer
  }
  assert.equal(await run(model, thread, request(1)), 1)
  assert.equal(await run(model, thread, request(1)), 1)
  assert.equal(thread.begun.length, 1)
  assert.equal(await run(model, thread, request(2)), 2)
  await run(model, thread, request(1, { outputs: ['y', 'z'] }))
  await run(model, thread, request(1, { inputs: [{ shape: [1], bytes: Uint8Array.of(1) }] }))
  assert.equal(thread.begun.length, 4)
  const other = open({}, { cache, digest: 'e' })
  await run(other.model, other.thread, request(1))
  assert.equal(other.thread.begun.length, 1)
  const { cacheHit, cacheMiss, success } = statistics.read().inferenceStats!
  assert.deepEqual([cacheHit!.count, cacheMiss!.count, success!.count], [1n, 4n, 5n])
})

test('the cache keeps within its bytes, and forgets first what was not asked for longest', () => {
  const answer = (bytes: number) =>
    ({ outputs: [{ name: 'y', datatype: 'UINT8', shape: [bytes], bytes: new Uint8Array(bytes) }], provider: 'fake' }) as const
  const cache = responseCache({ maxBytes: 5000 })
  for (const key of ['a', 'b', 'c']) cache.put(key, answer(1000))
  assert.ok(cache.get('a'))
  cache.put('d', answer(1000))
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => cache.get(key) !== undefined),
    [true, false, true, true],
  )
  cache.put('a', answer(10))
  cache.put('huge', answer(5000))
  assert.deepEqual([cache.get('huge'), cache.entries], [undefined, 3])
  assert.ok(cache.bytes <= 5000)
})

test('a cached answer is a copy, so that it does not keep the bytes of a batch alive', () => {
  const batch = new Uint8Array(1 << 16)
  const cache = responseCache({ maxBytes: 5000 })
  cache.put('a', { outputs: [{ name: 'y', datatype: 'UINT8', shape: [8], bytes: batch.subarray(0, 8) }], provider: 'fake' })
  assert.equal(cache.get('a')!.outputs[0]!.bytes.buffer.byteLength, 8)
})
