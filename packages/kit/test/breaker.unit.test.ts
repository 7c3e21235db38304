import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { createBreaker, createMetrics } from '../src/index.ts'
import type { Breaker, BreakerOptions, BreakerState } from '../src/index.ts'

const open: Breaker<never[], unknown>[] = []
after(() => open.forEach((breaker) => breaker.close()))

const breaker = <A extends readonly unknown[], R>(
  action: (signal: AbortSignal, ...args: A) => Promise<R>,
  options: BreakerOptions = {},
) => {
  const made = createBreaker('press-line', action, options)
  open.push(made as never)
  return made
}

const fails = (): Promise<never> => Promise.reject(new Error('no route'))

const fireTimes = async (target: Breaker<[], unknown>, times: number): Promise<void> => {
  for (let i = 0; i < times; i += 1) await target.fire().catch(() => {})
}

const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected

test('it opens after five failures, never after one, and says why', async () => {
  const changes: [BreakerState, string][] = []
  const target = breaker(fails, { onStateChange: (...change) => changes.push(change) })
  await fireTimes(target, 4)
  assert.equal(target.state, 'closed')
  await fireTimes(target, 1)
  assert.equal(target.state, 'open')
  assert.deepEqual(changes, [['open', 'no route']])
})

test('an open breaker does not call the action, and says so with a retriable code', async () => {
  let calls = 0
  const target = breaker(() => {
    calls += 1
    return fails()
  })
  await fireTimes(target, 5)
  await assert.rejects(
    target.fire(),
    (error: { code?: string; retriable?: boolean }) => error.code === 'ANDON_BREAKER_OPEN' && error.retriable === true,
  )
  assert.equal(calls, 5)
})

test('after the reset time one success closes it, one failure opens it again', async () => {
  const changes: BreakerState[] = []
  let isBroken = true
  const target = breaker(() => (isBroken ? fails() : Promise.resolve('done')), {
    resetAfterMs: 30,
    onStateChange: (state) => changes.push(state),
  })
  await fireTimes(target, 5)
  await sleep(60)
  await assert.rejects(target.fire(), /no route/)
  isBroken = false
  await sleep(60)
  assert.equal(await target.fire(), 'done')
  assert.deepEqual(changes, ['open', 'half-open', 'open', 'half-open', 'closed'])
})

test('a refusal by the target is a value and does not count against it', async () => {
  const target = breaker(() => Promise.resolve({ refused: 'ManualMode' }))
  await fireTimes(target, 20)
  assert.equal(target.state, 'closed')
})

test('a call that takes too long is aborted, is not retriable, and its sibling goes on', async () => {
  const aborted: string[] = []
  const target = breaker(
    (signal, name: string, ms: number) =>
      new Promise<string>((resolve, reject) => {
        const timer = setTimeout(() => resolve(name), ms)
        signal.addEventListener('abort', () => {
          aborted.push(name)
          clearTimeout(timer)
          reject(signal.reason as Error)
        })
      }),
    { timeoutMs: 60 },
  )
  const slow = target.fire('slow', 10_000)
  const refused = assert.rejects(
    slow,
    (error: { code?: string; retriable?: boolean }) => error.code === 'ANDON_BREAKER_TIMEOUT' && error.retriable === false,
  )
  await sleep(30)
  assert.equal(await target.fire('quick', 45), 'quick')
  await refused
  assert.deepEqual(aborted, ['slow'])
})

test('a hung action that ignores its signal counts as in flight until it comes back', async () => {
  let release: () => void = () => {}
  const target = breaker(
    () =>
      new Promise<void>((resolve) => {
        release = resolve
      }),
    { timeoutMs: 20 },
  )
  await assert.rejects(target.fire(), code('ANDON_BREAKER_TIMEOUT'))
  assert.equal(target.inFlight, 1)
  release()
  await sleep(0)
  assert.equal(target.inFlight, 0)
})

test('two equal calls at once are two calls', async () => {
  let calls = 0
  const target = breaker(async (_signal, step: string) => {
    calls += 1
    await sleep(5)
    return step
  })
  assert.deepEqual(await Promise.all([target.fire('pause'), target.fire('pause')]), ['pause', 'pause'])
  assert.equal(calls, 2)
})

test('an endless timeout or a threshold below five is refused', () => {
  assert.throws(() => breaker(fails, { timeoutMs: Infinity }), code('ANDON_BREAKER_OPTION'))
  assert.throws(() => breaker(fails, { minimumCalls: 1 }), code('ANDON_BREAKER_OPTION'))
})

test('it offers no way to switch it off or to answer for the action', () => {
  assert.deepEqual(Object.keys(breaker(fails)).toSorted(), ['close', 'fire', 'inFlight', 'state'])
})

test('a socket that times out is a failure of the target, told as it is', async () => {
  const target = breaker(() => Promise.reject(Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'connect' })))
  await assert.rejects(target.fire(), /connect ETIMEDOUT/)
})

test('state and outcomes are counted', async () => {
  const metrics = createMetrics('actions')
  const target = breaker(fails, { metrics })
  await fireTimes(target, 6)
  const text = await metrics.text()
  assert.match(text, /andon_breaker_state\{breaker="press-line",service="actions"\} 2/)
  assert.match(text, /andon_breaker_calls_total\{breaker="press-line",outcome="failure",service="actions"\} 5/)
  assert.match(text, /andon_breaker_calls_total\{breaker="press-line",outcome="refused",service="actions"\} 1/)
  assert.match(text, /andon_breaker_transitions_total\{breaker="press-line",state="open",service="actions"\} 1/)
})
