// Integrator events: signed, at least once with one id, in order, and one dead endpoint holds up nobody else.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { createLogger, createMetrics, localCodec, openMemoryLog } from '@andon/kit'
import { fact, ownershipTaken, sign } from '@andon/decisions'
import type { Actions } from '@andon/schemas'
import { ACTIONS, openActionsLog } from '../src/actions-log.ts'
import { webhookSender } from '../src/adapters/webhook.ts'
import { webhooksPart } from '../src/webhooks.ts'
import { eventually, WEBHOOK_SECRET } from './rig.ts'

const logger = createLogger({ service: 'actions', level: 'silent' })
const sender = webhookSender({ allow: ['127.0.0.1'] })
after(() => sender.close())
const LINE = 'press-line'

/** An endpoint that answers with the statuses it is given, then 200. */
const endpoint = async (t: TestContext, statuses: number[] = []) => {
  const received: { id: string; type: string; verified: boolean }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      let verified = true
      try {
        new Webhook(WEBHOOK_SECRET).verify(body, request.headers as Record<string, string>)
      } catch {
        verified = false
      }
      received.push({ id: String(request.headers['webhook-id']), type: (JSON.parse(body) as { type: string }).type, verified })
      response.writeHead(statuses.shift() ?? 200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, received }
}

const rig = async (t: TestContext, nowMs = () => Date.now()) => {
  const log = openMemoryLog({ partitions: 1 })
  await log.admin.ensureTopics([{ name: ACTIONS, partitions: 1 }])
  const actionsLog = openActionsLog(log, localCodec(), logger)
  const open = () =>
    webhooksPart({
      log,
      actionsLog,
      codec: localCodec(),
      sender,
      secretOf: (name) => (name === 'ACTIONS_WEBHOOK_SECRET' ? WEBHOOK_SECRET : undefined),
      timeoutMs: 1_000,
      maxAgeMs: 3_600_000,
      nowMs,
      logger,
      metrics: createMetrics('actions'),
    })
  const webhooks = open()
  t.after(() => webhooks.stop())
  const atUs = Date.now() * 1000
  await actionsLog.append(0, [ownershipTaken(LINE, 1, 'owner-1', atUs)])
  const write = (facts: Actions[], owner = 'owner-1') => actionsLog.append(0, sign(facts, 1, owner))
  const opened = (id: string) => fact('IncidentOpened', LINE, atUs, [id], { incidentId: id, title: id })
  return { webhooks, open, write, opened }
}

const hook = (id: string, url: string, types: string[] = ['IncidentOpened']) => ({ id, url, secretEnv: 'ACTIONS_WEBHOOK_SECRET', types })

test('an event is delivered signed, with the id of its fact', async (t) => {
  const { webhooks, write, opened } = await rig(t)
  const sink = await endpoint(t)
  await webhooks.set([hook('a', sink.url)])
  await write([opened('i-1')])
  await eventually(() => assert.deepEqual(sink.received, [{ id: opened('i-1').id, type: 'IncidentOpened', verified: true }]))
})

test('a failed delivery is tried again with the same id, and the next event waits its turn', async (t) => {
  const { webhooks, write, opened } = await rig(t)
  const sink = await endpoint(t, [500, 503])
  await webhooks.set([hook('a', sink.url)])
  await write([opened('i-1')])
  await write([opened('i-2')])
  await eventually(() => assert.equal(sink.received.length, 4))
  const [first, second] = [opened('i-1').id, opened('i-2').id]
  assert.deepEqual(
    sink.received.map((one) => one.id),
    [first, first, first, second],
  )
})

test('only the types that the endpoint asks for are sent', async (t) => {
  const { webhooks, write, opened } = await rig(t)
  const sink = await endpoint(t)
  await webhooks.set([hook('a', sink.url, ['IncidentClosed'])])
  await write([opened('i-1'), fact('IncidentClosed', LINE, Date.now() * 1000, ['i-1'], { incidentId: 'i-1' })])
  await eventually(() =>
    assert.deepEqual(
      sink.received.map((one) => one.type),
      ['IncidentClosed'],
    ),
  )
})

test('only events that its filter wants are sent', async (t) => {
  const { webhooks, write, opened } = await rig(t)
  const sink = await endpoint(t)
  await webhooks.set([{ ...hook('a', sink.url), filter: `incident == 'i-2'` }])
  await write([opened('i-1'), opened('i-2')])
  await eventually(() =>
    assert.deepEqual(
      sink.received.map((one) => one.id),
      [opened('i-2').id],
    ),
  )
})

test('a fact that counts for nobody is not sent', async (t) => {
  const { webhooks, write, opened } = await rig(t)
  const sink = await endpoint(t)
  await webhooks.set([hook('a', sink.url)])
  await write([opened('i-forged')], 'somebody-else')
  await write([opened('i-1')])
  await eventually(() =>
    assert.deepEqual(
      sink.received.map((one) => one.id),
      [opened('i-1').id],
    ),
  )
})

test('a dead endpoint holds up nobody else', async (t) => {
  const { webhooks, write, opened } = await rig(t)
  const sink = await endpoint(t)
  await webhooks.set([hook('dead', 'http://127.0.0.1:1/'), hook('alive', sink.url)])
  await write([opened('i-1')])
  await eventually(() => assert.equal(sink.received.length, 1))
})

test('what was delivered is remembered: a new process goes on where the last one stopped', async (t) => {
  const { webhooks, open, write, opened } = await rig(t)
  const sink = await endpoint(t)
  await webhooks.set([hook('a', sink.url)])
  await write([opened('i-1')])
  await eventually(() => assert.equal(sink.received.length, 1))
  await webhooks.stop()
  await write([opened('i-2')])
  const next = open()
  t.after(() => next.stop())
  await next.set([hook('a', sink.url)])
  await eventually(() =>
    assert.deepEqual(
      sink.received.map((one) => one.id),
      [opened('i-1').id, opened('i-2').id],
    ),
  )
})

test('events older than the limit are left out', async (t) => {
  const { webhooks, write, opened } = await rig(t, () => Date.now() + 2 * 3_600_000)
  const sink = await endpoint(t)
  await webhooks.set([hook('a', sink.url)])
  await write([opened('i-1')])
  await eventually(() => assert.equal(sink.received.length, 0))
})
