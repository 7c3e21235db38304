import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { asset } from './plant-log.ts'
import { openDesk, tokens } from './desk.ts'
import type { Desk } from './desk.ts'

const folder = mkdtempSync(join(tmpdir(), 'console-api-'))
const clip = join(folder, 'clip.mp4')
writeFileSync(clip, Buffer.alloc(1000, 'c'))
let desk: Desk

before(async () => {
  desk = await openDesk({ clip })
})
after(async () => {
  await desk.stop()
  rmSync(folder, { recursive: true })
})

const cookie = `andon_token=${tokens.operator}`
const get = (path: string, headers: Record<string, string> = { cookie }): Promise<Response> => fetch(desk.url + path, { headers })
const post = (path: string, body: unknown, headers: Record<string, string> = { cookie }): Promise<Response> =>
  fetch(desk.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
const problem = async (response: Response): Promise<{ status: number; code: string; detail: string }> => {
  assert.match(response.headers.get('content-type') ?? '', /application\/problem\+json/)
  return (await response.json()) as { status: number; code: string; detail: string }
}

test('nothing is shown without a session', async () => {
  for (const path of [
    '/api/session',
    '/api/overview',
    '/api/incidents/x',
    `/api/assets/${asset}/series`,
    '/api/live',
    '/media/clips/c/video',
  ]) {
    const response = await get(path, {})
    assert.equal(response.status, 401, path)
    assert.equal((await problem(response)).code, 'ANDON_CONSOLE_NOT_SIGNED_IN', path)
  }
  assert.equal((await post('/api/holds', { scope: '*', reason: 'x' }, {})).status, 401)
  assert.equal((await get('/api/overview', { cookie: 'andon_token=wrong-token-0123456789' })).status, 401)
})

test('a token opens a session in a cookie that scripts and other sites cannot use; a wrong one does not', async () => {
  const wrong = await post('/api/session', { token: 'not-a-token-of-anybody' }, {})
  assert.equal((await problem(wrong)).code, 'ANDON_CONSOLE_BAD_TOKEN')
  assert.equal((await post('/api/session', { token: { $ne: null } }, {})).status, 401)
  const right = await post('/api/session', { token: tokens.operator }, {})
  assert.deepEqual(await right.json(), { id: 'p-operator', name: 'operator', roles: ['operator'] })
  const set = right.headers.get('set-cookie') ?? ''
  for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/']) assert.ok(set.includes(part), part)
  const left = await fetch(`${desk.url}/api/session`, { method: 'DELETE', headers: { cookie } })
  assert.equal(left.status, 204)
  assert.match(left.headers.get('set-cookie') ?? '', /Max-Age=0/)
})

test('an unknown incident is a problem with a code', async () => {
  const response = await get('/api/incidents/nothing')
  assert.equal(response.status, 404)
  assert.equal((await problem(response)).code, 'ANDON_CONSOLE_NO_INCIDENT')
  assert.equal((await get('/api/nothing')).status, 404)
})

test('a decision goes to the actions door with the person’s own token, and its answer comes back unchanged', async () => {
  const id = desk.log.finding('e-pass')
  const { id: stepId, proposal } = desk.log.step('line.pause', id)
  const { commandHash } = proposal.command
  desk.seen.length = 0
  const refused = await post(`/api/steps/${stepId}/approve`, { commandHash: 'another', reason: '' })
  assert.equal(refused.status, 409)
  assert.equal((await problem(refused)).code, 'ANDON_ACTIONS_COMMAND_CHANGED')
  const approved = await post(`/api/steps/${stepId}/approve`, { commandHash, reason: 'looked at it' })
  assert.deepEqual(await approved.json(), { isDecided: true, outcome: 'DecisionRecorded' })
  assert.deepEqual(
    desk.seen.map(({ path, headers, body }) => [path, headers.authorization, body]),
    [
      [`/v1/steps/${stepId}/approve`, `Bearer ${tokens.operator}`, { commandHash: 'another', reason: '' }],
      [`/v1/steps/${stepId}/approve`, `Bearer ${tokens.operator}`, { commandHash, reason: 'looked at it' }],
    ],
  )
  assert.equal((await post(`/api/steps/${stepId}/execute`, {})).status, 404)
})

test('hold, lift and call are passed on; a repeated press stays the same request', async () => {
  desk.seen.length = 0
  const headers = { cookie, 'idempotency-key': 'key-1' }
  await post('/api/holds', { scope: 'press-line', reason: 'somebody is in the cell' }, headers)
  await post('/api/holds/h-1/lift', { reason: 'empty again' }, headers)
  await post('/api/calls', { line: 'press-line', title: 'Oil under the press' }, headers)
  assert.deepEqual(
    desk.seen.map(({ path, headers: { 'idempotency-key': key } }) => [path, key]),
    [
      ['/v1/holds', 'key-1'],
      ['/v1/holds/h-1/lift', 'key-1'],
      ['/v1/calls', 'key-1'],
    ],
  )
})

test('no GET changes anything or reaches the actions door', async () => {
  const id = desk.log.finding('e-get')
  const { id: stepId } = desk.log.step('line.pause', id)
  desk.seen.length = 0
  const before = (await (await get('/api/overview')).json()) as { version: number }
  const paths = ['/api/session', '/api/overview', `/api/incidents/${id}`, `/api/assets/${asset}/series?feature=vibrationG.rms`]
  const changing = [`/api/steps/${stepId}/approve`, '/api/holds', '/api/calls', '/api/holds/h-1/lift']
  for (const path of paths) assert.equal((await get(path)).status, 200, path)
  for (const path of changing) assert.equal((await get(path)).status, 404, path)
  const after = (await (await get('/api/overview')).json()) as { version: number }
  assert.equal(after.version, before.version)
  assert.deepEqual(desk.seen, [])
})

test('a clip is handed through by byte ranges', async () => {
  desk.watched.length = 0
  const response = await get('/media/clips/c-1/video', { cookie, range: 'bytes=100-199' })
  assert.equal(response.status, 206)
  assert.equal(response.headers.get('content-range'), 'bytes 100-199/1000')
  assert.equal(response.headers.get('content-type'), 'video/mp4')
  assert.equal((await response.arrayBuffer()).byteLength, 100)
  const [watched] = desk.watched
  assert.deepEqual([watched?.headers.range, watched?.headers.authorization], ['bytes=100-199', `Bearer ${tokens.operator}`])
  const whole = await get('/media/clips/c-1/video')
  assert.deepEqual([whole.status, (await whole.arrayBuffer()).byteLength], [200, 1000])
  desk.watched.length = 0
  for (const id of ['%2e%2e', '..%2f..%2fv1%2fcameras', 'c-1%3fx', '%00'])
    assert.equal((await get(`/media/clips/${id}/video`)).status, 404, id)
  assert.deepEqual(desk.watched, [])
})

test('minutes and feature of a trend are bounded, and an unknown asset is empty', async () => {
  desk.log.windows(5)
  const read = async (query: string): Promise<number> => {
    const response = await get(`/api/assets/${asset}/series?${query}`)
    return ((await response.json()) as { timesUs: number[] }).timesUs.length
  }
  assert.equal(await read('feature=vibrationG.rms&minutes=10'), 5)
  assert.equal(await read('feature=vibrationG.rms&minutes=-4'), 5)
  assert.equal(await read('feature=vibrationG.rms&minutes=x'), 5)
  assert.equal(await read('feature[]=a&feature[]=b'), 5)
  const unknown = await get('/api/assets/nothing/series?feature=x')
  assert.deepEqual(((await unknown.json()) as { values: number[] }).values, [])
})

test('live says at once where it is, then that something changed', async () => {
  const controller = new AbortController()
  const response = await fetch(`${desk.url}/api/live`, { headers: { cookie }, signal: controller.signal })
  assert.match(response.headers.get('content-type') ?? '', /text\/event-stream/)
  const reader = response.body?.getReader()
  const next = async (): Promise<number> => Number(/"version":(\d+)/.exec(new TextDecoder().decode((await reader?.read())?.value))?.[1])
  const first = await next()
  assert.equal(first, desk.log.model.version)
  desk.log.windows(20)
  assert.equal(await next(), desk.log.model.version) // twenty changes, one word
  controller.abort()
})

test('the page may run its own scripts only, and style as the chart does', async () => {
  const policy = (await get('/api/session')).headers.get('content-security-policy') ?? ''
  assert.ok(policy.includes("default-src 'self'"))
  assert.ok(policy.includes("style-src 'self' 'unsafe-inline'"))
  assert.ok(policy.includes("frame-ancestors 'none'"))
  assert.ok(!/script-src|unsafe-eval/.test(policy))
})

test('a silent actions door is said, and that nothing was decided', async () => {
  await desk.stopActions()
  const response = await post('/api/holds', { scope: '*', reason: 'x' })
  assert.equal(response.status, 502)
  const { code, detail } = await problem(response)
  assert.equal(code, 'ANDON_CONSOLE_NO_ACTIONS_DOOR')
  assert.match(detail, /Nothing was decided/)
})
