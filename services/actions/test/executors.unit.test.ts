// Executors against small real servers: what counts as sent, refused, unknown; the breaker and the rate limit as gates.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { freePorts } from '@andon/platform'
import { parseCommands } from '@andon/schemas'
import { Executors } from '../src/adapters/executors.ts'
import type { BreakerChange } from '../src/adapters/executors.ts'
import { NotSent } from '../src/adapters/executor.ts'
import type { Executor, Order } from '../src/adapters/executor.ts'
import { jobExecutor } from '../src/adapters/job.ts'
import { notifyExecutor } from '../src/adapters/notify.ts'
import { webhookSender } from '../src/adapters/webhook.ts'
import type { RateLimits } from '../src/adapters/rate-limits.ts'
import { plantDocuments } from './rig.ts'

const catalogue = parseCommands(JSON.parse(plantDocuments().find((one) => one.name === 'commands')?.body ?? ''))

const orderOf = (name: string, maxLatencyMs = 3_000, params = '{"priority":"high"}'): Order => {
  const definition = catalogue.commands.find((one) => one.name === name)
  assert.ok(definition)
  const command = { command: name, target: 'press-1', params, effect: 'none', riskClass: 'low', commandHash: 'h' }
  return {
    commandRequestId: 'request-1',
    command,
    definition: { ...definition, maxLatencyMs, readBack: { ...definition.readBack, withinMs: 100 } },
    line: 'press-line',
    incidentId: 'i-1',
    stepId: 's-1',
    assetId: 'press-1',
    title: 'Vibration',
    severity: 2,
    notAfterUs: Date.now() * 1000 + 5_000_000,
  }
}

/** A job system that answers with the status. */
const jobSystem = async (t: TestContext, answer: (request: IncomingMessage) => number | undefined) => {
  const keys: string[] = []
  const server = createServer((request, response) => {
    request.resume()
    if (request.url === '/jobs') keys.push(String(request.headers['idempotency-key']))
    const status = answer(request)
    if (status !== undefined) response.writeHead(status).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { keys, executor: jobExecutor({ url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/jobs` }) }
}

/** Of a call that nobody ends. */
const endless = () => new AbortController().signal

const sendWith = async (executor: Executor, order: Order) => (await executor.prepare(order, endless())).send(endless())

test('a job carries its request id as Idempotency-Key', async (t) => {
  const { executor, keys } = await jobSystem(t, () => 201)
  assert.equal((await sendWith(executor, orderOf('inspection.create'))).kind, 'Executed')
  assert.deepEqual(keys, ['request-1'])
})

test('a job that the system refuses is a refusal, a busy system is not sent, a broken one is unknown', async (t) => {
  const at = (status: number | undefined) =>
    jobSystem(t, () => status).then(({ executor }) => sendWith(executor, orderOf('inspection.create', status ? 3_000 : 300)))
  assert.equal((await at(422)).kind, 'RejectedByTarget')
  await assert.rejects(at(503), NotSent)
  await assert.rejects(at(500), (error) => !(error instanceof NotSent))
  await assert.rejects(at(undefined), (error) => !(error instanceof NotSent))
})

test('a job system that nobody listens at is certainly not sent', async () => {
  const [closed] = await freePorts(1)
  await assert.rejects(sendWith(jobExecutor({ url: () => `http://127.0.0.1:${closed}/jobs` }), orderOf('inspection.create')), NotSent)
  await assert.rejects(sendWith(jobExecutor({ url: () => undefined }), orderOf('inspection.create')), /no place for jobs/)
})

test('a job system without burning is settled by asking with the same key', async (t) => {
  const { executor, keys } = await jobSystem(t, (request) => (request.url === '/jobs/burn' ? 404 : 200))
  assert.deepEqual((await executor.settle(orderOf('inspection.create'), endless())).isDone, true)
  assert.deepEqual(keys, ['request-1'])
})

test('nobody told is not sent; one channel is enough', async () => {
  const [closed = 0] = await freePorts(1)
  const notifications = () => ({
    webhooks: [],
    groups: {},
    smtp: { host: '127.0.0.1', port: closed, from: 'a@example.com', to: ['b@example.com'] },
  })
  const options = { notifications, secretOf: () => undefined, sender: webhookSender({ allow: [] }) }
  const dead = notifyExecutor({ ...options, notices: { publish: () => false } })
  await assert.rejects(sendWith(dead, orderOf('notify.technicians')), /smtp/)
  const alive = notifyExecutor({ ...options, notices: { publish: () => true } })
  const answer = await sendWith(alive, orderOf('notify.technicians'))
  assert.deepEqual(
    answer.notifications?.map((one) => [one.channel, one.delivered]),
    [
      ['smtp', false],
      ['nats', true],
    ],
  )
})

test('a notice for a group goes to its people, one for nobody in particular to the technicians', async () => {
  const [closed = 0] = await freePorts(1)
  const smtp = { host: '127.0.0.1', port: closed, from: 'a@example.com', to: ['b@example.com', 'c@example.com'] }
  const published: unknown[] = []
  const executor = notifyExecutor({
    notifications: () => ({ webhooks: [], groups: { 'shift-leads': ['d@example.com'] }, smtp }),
    secretOf: () => undefined,
    sender: webhookSender({ allow: [] }),
    notices: { publish: (_line, notice) => published.push((notice as unknown as { to: string | null }).to) > 0 },
  })
  const told = async (params: string) => (await sendWith(executor, orderOf('notify.technicians', 3_000, params))).notifications?.[0]?.target
  assert.equal(await told('{"to":"shift-leads"}'), 'shift-leads (1)')
  assert.equal(await told('{"to":"technicians"}'), '2 technicians')
  assert.equal(await told('{}'), '2 technicians')
  assert.deepEqual(published, ['shift-leads', 'technicians', null])
})

const unlimited: RateLimits = { take: async () => 0, close: async () => {} }

test('a target that keeps failing opens its breaker: nothing is sent, it is said once, and it recovers', async (t) => {
  let isBroken = true
  let calls = 0
  const target: Executor = {
    prepare: async () => ({
      send: async () => {
        calls += 1
        if (isBroken) throw new Error('connection reset')
        return { kind: 'Executed', readback: '{}', title: '' }
      },
    }),
    settle: async () => ({ isDone: false, readback: '' }),
    close: async () => {},
  }
  const changes: BreakerChange[] = []
  const executors = new Executors({
    executors: { opcua: target },
    rateLimits: unlimited,
    onBreaker: (change) => changes.push(change),
    resetAfterMs: 50,
  })
  t.after(() => executors.close())
  const order = orderOf('line.pause', 300)
  const attempt = async () => (await executors.prepare(order)).send()
  while (executors.isOpenFor(order.definition, order.line)) await attempt().catch(() => undefined)
  const before = calls
  await assert.rejects(attempt(), NotSent)
  assert.equal(calls, before)
  assert.deepEqual(
    changes.map((one) => [one.executor, one.line, one.state]),
    [['opcua', 'press-line', 'open']],
  )
  isBroken = false
  await new Promise((resolve) => setTimeout(resolve, 80))
  assert.equal((await attempt()).kind, 'Executed')
  assert.equal(changes.at(-1)?.state, 'closed')
})

/** A target that answers or not, as told. */
const flaky = () => {
  const target = { isBroken: true, calls: 0 }
  const executor: Executor = {
    prepare: async () => ({
      send: async () => {
        target.calls += 1
        if (target.isBroken) throw new Error('connection reset')
        return { kind: 'Executed', readback: '{}', title: '' }
      },
    }),
    settle: async () => ({ isDone: false, readback: '' }),
    close: async () => {},
  }
  return { target, executor }
}

test('a breaker that the log says is open stays closed to commands after a restart, then lets one through and closes', async (t) => {
  const changed = Promise.withResolvers<void>()
  const changes: string[] = []
  const { target, executor } = flaky()
  const executors = new Executors({
    executors: { opcua: executor },
    rateLimits: unlimited,
    onBreaker: ({ state }) => {
      changes.push(state)
      changed.resolve()
    },
    resetAfterMs: 30,
  })
  t.after(() => executors.close())
  const order = orderOf('line.pause', 300)
  executors.adopt('opcua', 'press-line', 'open')
  assert.equal(executors.isOpenFor(order.definition, order.line), false)
  assert.equal(executors.isOpenFor(order.definition, 'another-line'), true)
  await assert.rejects(executors.prepare(order), NotSent)
  await changed.promise
  assert.deepEqual(changes, ['halfOpen'])
  assert.equal(executors.isOpenFor(order.definition, order.line), true)
  await executors.prepare(order)
  assert.deepEqual(changes, ['halfOpen', 'closed'])
  assert.deepEqual([target.calls, executors.states().find((one) => one.line === 'press-line')?.state], [0, 'closed'])
})

test('a restored breaker whose probe fails is open again, and says so', async (t) => {
  const changes: string[] = []
  const halfOpen = Promise.withResolvers<void>()
  const executors = new Executors({
    executors: {
      opcua: {
        prepare: () => Promise.reject(new Error('no route')),
        settle: async () => ({ isDone: false, readback: '' }),
        close: async () => {},
      },
    },
    rateLimits: unlimited,
    onBreaker: ({ state, reason }) => {
      changes.push(`${state}: ${reason}`)
      halfOpen.resolve()
    },
    resetAfterMs: 30,
  })
  t.after(() => executors.close())
  executors.adopt('opcua', 'press-line', 'halfOpen')
  await halfOpen.promise
  await assert.rejects(executors.prepare(orderOf('line.pause')), /no route/)
  assert.deepEqual(changes.slice(0, 2), ['halfOpen: one call is let through', 'open: no route'])
  assert.equal(executors.isOpenFor(orderOf('line.pause').definition, 'press-line'), false)
})

test('a command that takes too long ends by its own signal; one beside it goes on', async (t) => {
  const ended: string[] = []
  const executor: Executor = {
    prepare: async (order) => ({
      send: (signal) =>
        new Promise((resolve, reject) => {
          const done = setTimeout(
            () => resolve({ kind: 'Executed', readback: '{}', title: order.stepId }),
            order.stepId === 'slow' ? 5_000 : 120,
          )
          signal.addEventListener('abort', () => {
            clearTimeout(done)
            ended.push(order.stepId)
            reject(signal.reason as Error)
          })
        }),
    }),
    settle: async () => ({ isDone: false, readback: '' }),
    close: async () => {},
  }
  const executors = new Executors({ executors: { opcua: executor }, rateLimits: unlimited, onBreaker: () => {} })
  t.after(() => executors.close())
  const hasty = orderOf('line.pause', 20)
  const [slow, quick] = await Promise.all([
    executors.prepare({ ...hasty, stepId: 'slow', definition: { ...hasty.definition, readBack: { state: 'paused', withinMs: 30 } } }),
    executors.prepare({ ...orderOf('line.pause'), stepId: 'quick' }),
  ])
  const answers = await Promise.allSettled([slow.send(), quick.send()])
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
  assert.deepEqual(ended, ['slow'])
})

test('a precondition that does not hold is no fault of the target', async (t) => {
  const target: Executor = {
    prepare: () => Promise.reject(new NotSent('The line is in mode manual')),
    settle: async () => ({ isDone: false, readback: '' }),
    close: async () => {},
  }
  const executors = new Executors({
    executors: { opcua: target },
    rateLimits: unlimited,
    onBreaker: () => assert.fail('the breaker moved'),
  })
  t.after(() => executors.close())
  for (let n = 0; n < 20; n += 1) await assert.rejects(executors.prepare(orderOf('line.pause')), /mode manual/)
})

test('beyond its hourly limit a command is not sent', async (t) => {
  const executors = new Executors({
    executors: {
      opcua: { prepare: () => assert.fail('was prepared'), settle: async () => ({ isDone: false, readback: '' }), close: async () => {} },
    },
    rateLimits: { take: async () => 90_000, close: async () => {} },
    onBreaker: () => {},
  })
  t.after(() => executors.close())
  await assert.rejects(executors.prepare(orderOf('line.pause')), /6 times per hour; wait 90 s/)
})
