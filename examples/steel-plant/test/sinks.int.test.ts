// The places that receive what Andon sends: signatures are checked, jobs exist once per request, mail is kept.

import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { after, before, test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { startSinks, type Sinks } from '../src/sinks.ts'

const secret = `whsec_${Buffer.from('a secret of thirty-two bytes ...').toString('base64')}`
let sinks: Sinks
let url = ''
before(async () => {
  sinks = await startSinks({ host: '127.0.0.1', httpPort: 0, smtpPort: 0, webhookSecret: secret })
  url = `http://127.0.0.1:${sinks.httpPort}`
})
after(() => sinks.stop())

const deliver = (id: string, body: string, signedBody = body) => {
  const at = new Date()
  const signature = new Webhook(secret).sign(id, at, signedBody)
  const headers = { 'webhook-id': id, 'webhook-timestamp': `${Math.floor(at.getTime() / 1000)}`, 'webhook-signature': signature }
  return fetch(`${url}/webhook`, { method: 'POST', headers, body })
}

test('a signed webhook is kept once, however often it comes; a changed body is refused and cannot replace it', async () => {
  assert.equal((await deliver('w-1', '{"type":"IncidentOpened"}')).status, 200)
  assert.equal((await deliver('w-1', '{"type":"IncidentOpened"}')).status, 200)
  assert.equal((await deliver('w-1', '{"type":"Executed"}', '{"type":"IncidentOpened"}')).status, 401)
  assert.equal((await deliver('w-2', 'x', 'y')).status, 401)
  const kept = sinks.received().webhooks.map(({ id, verified, deliveries, body }) => ({ id, verified, deliveries, body }))
  assert.deepEqual(kept, [
    { id: 'w-1', verified: true, deliveries: 2, body: { type: 'IncidentOpened' } },
    { id: 'w-2', verified: false, deliveries: 1, body: 'x' },
  ])
})

test('a job exists once per request; late and burned requests make none', async () => {
  const post = async (requestId: string, body: object = {}) => {
    const response = await fetch(`${url}/jobs`, { method: 'POST', headers: { 'idempotency-key': requestId }, body: JSON.stringify(body) })
    return { status: response.status, body: (await response.json()) as { jobId?: string; error?: string } }
  }
  const burn = async (requestId: string) =>
    (await (await fetch(`${url}/jobs/burn`, { method: 'POST', body: JSON.stringify({ requestId }) })).json()) as { done: boolean }
  const first = await post('r-1', { title: 'look' })
  assert.equal(first.status, 201)
  assert.deepEqual(await post('r-1', { title: 'again' }), { ...first, status: 200 })
  assert.deepEqual((await post('r-2', { notAfterMs: Date.now() - 1 })).body.error, 'LATE')
  assert.equal((await burn('r-3')).done, false)
  assert.equal((await post('r-3')).body.error, 'BURNED')
  assert.equal((await burn('r-1')).done, true)
  assert.equal((await fetch(`${url}/jobs?requestId=r-2`)).status, 404)
  assert.equal(sinks.received().jobs.length, 1)
})

test('mail is kept with sender, receivers and subject', async () => {
  const lines = [
    'EHLO x',
    'MAIL FROM:<andon@works.example>',
    'RCPT TO:<technicians@works.example>',
    'DATA',
    'Subject: Press 1\r\n\r\nLook at it.\r\n.',
    'QUIT',
  ]
  await new Promise<void>((resolve, reject) => {
    const socket = createConnection(sinks.smtpPort, '127.0.0.1')
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.on('data', (chunk: Buffer) => {
      // One command per final reply line (a line whose code is followed by a blank).
      for (const line of chunk.toString().split('\r\n')) if (/^\d{3} /.test(line) && lines.length > 0) socket.write(`${lines.shift()}\r\n`)
    })
  })
  const [mail] = sinks.received().mails
  assert.deepEqual([mail!.from, mail!.to, mail!.subject], ['andon@works.example', ['technicians@works.example'], 'Press 1'])
})

test('a taken port is an error that names the setting', async () => {
  await assert.rejects(
    startSinks({ host: '127.0.0.1', httpPort: sinks.httpPort, smtpPort: 0, webhookSecret: secret }),
    /STEEL_PLANT_SINK_PORT/,
  )
})
