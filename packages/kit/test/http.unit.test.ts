import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import {
  AndonError,
  asyncRoute,
  httpPart,
  loadPrincipals,
  notFoundHandler,
  principalOf,
  problemHandler,
  requireRole,
  sha256Hex,
} from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-kit-'))
after(() => rmSync(folder, { recursive: true }))
const tokensFile = join(folder, 'principals.json')
writeFileSync(
  tokensFile,
  JSON.stringify([
    { id: 'p-operator', name: 'operator', roles: ['operator'], tokenSha256: sha256Hex('secret-o') },
    { id: 'p-lead', name: 'shift-lead', roles: ['shift-lead', 'operator'], tokenSha256: sha256Hex('secret-l') },
  ]),
)
const principals = loadPrincipals(tokensFile)

const app = express()
app.use(express.json())
app.get('/who', requireRole(principals, 'operator'), (request, response) => {
  response.json(request.principal)
})
app.post('/holds', requireRole(principals, 'shift-lead'), (_request, response) => {
  response.status(202).end()
})
app.get(
  '/refused',
  asyncRoute(async () => {
    await Promise.resolve()
    throw new AndonError('ANDON_ACTIONS_NOT_PENDING', 'Step is expired', { status: 409, fields: { stepId: 's1' } })
  }),
)
app.get('/stop-line', () => {
  throw new AndonError('ANDON_STRONGER', 'Sign in strongly', { status: 401, fields: { acrValues: ['phr', 'mfa'], maxAge: 300 } })
})
app.get('/broken', () => {
  throw new Error('password=hunter2')
})
app.get('/stream', (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n')
})
app.use(notFoundHandler, problemHandler())

const door = httpPart({ name: 'http', host: '127.0.0.1', port: 0, app, setting: 'TEST_HTTP_PORT', graceMs: 50 })
await door.start()
after(() => door.stop())

const call = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(`http://127.0.0.1:${door.port()}${path}`, init)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> }
}
const as = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } })

test('a principal is known by the digest of its token and shown without a name', async () => {
  assert.deepEqual((await call('/who', as('secret-o'))).body, { id: 'p-operator', roles: ['operator'] })
  assert.equal(principalOf(principals, 'secret-l').id, 'p-lead')
})

test('no token and a wrong one are 401, a missing role is 403', async () => {
  const none = await call('/who')
  assert.equal(none.status, 401)
  assert.equal(none.headers.get('www-authenticate'), 'Bearer')
  assert.equal((await call('/who', as('guess'))).status, 401)
  const forbidden = await call('/holds', { method: 'POST', ...as('secret-o') })
  assert.equal(forbidden.status, 403)
  assert.equal(forbidden.body['code'], 'ANDON_FORBIDDEN')
  assert.equal((await call('/holds', { method: 'POST', ...as('secret-l') })).status, 202)
})

test('a stronger sign-in is asked for as RFC 9470 says', async () => {
  const { status, headers } = await call('/stop-line')
  assert.equal(status, 401)
  assert.equal(headers.get('www-authenticate'), 'Bearer error="insufficient_user_authentication", acr_values="phr mfa", max_age="300"')
})

test('errors are problem details with our code and fields', async () => {
  const { status, headers, body } = await call('/refused')
  assert.equal(status, 409)
  assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/)
  assert.deepEqual(body, {
    type: 'urn:andon:error:ANDON_ACTIONS_NOT_PENDING',
    title: 'Conflict',
    status: 409,
    detail: 'Step is expired',
    code: 'ANDON_ACTIONS_NOT_PENDING',
    fields: { stepId: 's1' },
  })
})

test('a failure of ours says nothing about itself; bad JSON and unknown paths are the client’s', async () => {
  const broken = await call('/broken')
  assert.equal(broken.status, 500)
  assert.doesNotMatch(JSON.stringify(broken.body), /hunter2/)
  const { headers } = as('secret-l')
  const badJson = await call('/holds', {
    method: 'POST',
    body: '{',
    headers: { ...(headers as object), 'content-type': 'application/json' },
  })
  assert.equal(badJson.status, 400)
  assert.equal(badJson.body['code'], 'ANDON_REQUEST_INVALID')
  assert.equal((await call('/nothing')).body['code'], 'ANDON_NOT_FOUND')
})

test('a missing or bad tokens file names the setting and the file', () => {
  assert.throws(() => loadPrincipals(join(folder, 'none.json')), /ANDON_TOKENS_FILE: .*none\.json, found no such file/)
  writeFileSync(join(folder, 'bad.json'), '[{"id":"p","name":"n","roles":[],"tokenSha256":"short"}]')
  assert.throws(() => loadPrincipals(join(folder, 'bad.json')), /found a bad value at 0\.tokenSha256/)
})

test('a stop ends open streams after the grace', async () => {
  const other = httpPart({ name: 'http', host: '127.0.0.1', port: 0, app, setting: 'X', graceMs: 30 })
  await other.start()
  const stream = await fetch(`http://127.0.0.1:${other.port()}/stream`)
  const read = stream.text().catch(() => 'cut')
  await other.stop()
  assert.equal(await read, 'cut')
})

test('a busy port names port and setting', async () => {
  const second = httpPart({ name: 'http', host: '127.0.0.1', port: door.port(), app, setting: 'TEST_HTTP_PORT' })
  await assert.rejects(second.start(), /^AndonError: TEST_HTTP_PORT: expected a free port/)
  await second.stop()
})
