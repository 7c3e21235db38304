// What a sender can get wrong at the HTTP door: each bad input gets one clear answer with a code and a link, what is valid beside it is
// kept, the door goes on, and memory stays bounded.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { createLogger, sha256Hex } from '@andon/kit'
import { httpDoor } from '../src/adapters/http.ts'
import { systemClock } from '../src/clock.ts'
import { openRig } from './rig.ts'
import type { ManualClock, Rig } from './rig.ts'
import { quarantinedBodies } from './http-bad-items.ts'
import { reading, refusedBodies } from './http-bodies.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const tokens = new Map([
  [sha256Hex('device-token'), { id: 'p-device', roles: ['ingest'] }],
  [sha256Hex('other-token'), { id: 'p-other', roles: ['operator'] }],
])
const principals = { of: (token: string) => tokens.get(sha256Hex(token)) }
const maxBodyBytes = 1024 * 1024
const host = '127.0.0.1'
const patient = httpDoor({ host, port: 0, principals, maxBodyBytes, logger })
const hasty = httpDoor({ host, port: 0, principals, maxBodyBytes, logger, requestTimeoutMs: 200 })
let rig: Rig
let errorsPage = ''

interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Sends the bytes as they are and reads one answer. */
const exchange = (bytes: readonly (string | Buffer)[], options: { isHasty?: boolean; endsEarly?: boolean } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const socket = connect((options.isHasty === true ? hasty : patient).port(), host)
    const answerOf = (text: string): Answer | undefined => {
      const head = text.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
      if (head < 0 || text.length < head + 4 + length) return undefined
      return { status: Number(text.slice(9, 12)), head: text.slice(0, head), body: text.slice(head + 4, head + 4 + length) }
    }
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const answer = answerOf(text)
      if (answer === undefined) return
      resolve(answer)
      socket.destroy()
    })
    socket.on('error', () => undefined) // a server may close while we still send
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(text.slice(0, 200))}`)))
    for (const part of bytes) socket.write(part)
    if (options.endsEarly === true) socket.end()
  })

type Headers = Readonly<Record<string, string | undefined>>

/** A request with a token, JSON and Content-Length, unless the headers say otherwise (undefined: without). */
const request = (body: string | Buffer, headers: Headers = {}, line = 'POST /v1/telemetry HTTP/1.1'): Buffer => {
  const all: Headers = {
    Host: 'ingest',
    Authorization: 'Bearer device-token',
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\r\n`]))
  return Buffer.concat([Buffer.from(`${line}\r\n${lines.join('')}\r\n`), Buffer.from(body)])
}

const good = () => reading({ source: 'good' })

before(async () => {
  rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
  while (rig.wiring.refusing() !== undefined) await new Promise((resolve) => setTimeout(resolve, 10))
  for (const door of [patient, hasty]) await door.start(rig.wiring.intake, rig.wiring.refusing)
  errorsPage = await (await fetch(`http://${host}:${patient.port()}/docs/errors`)).text()
})

after(async () => {
  for (const door of [patient, hasty]) await door.stop()
  await rig.wiring.stop()
})

interface Problem {
  readonly type: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly docs: string
}

/** One problem with this status and code, which the page explains. */
const isProblem = (answer: Answer, status: number, code: string) => {
  const problem = JSON.parse(answer.body) as Problem
  assert.deepEqual([answer.status, problem.status, problem.code], [status, status, code], answer.body)
  assert.match(answer.head, /content-type: application\/problem\+json/i)
  assert.equal(problem.docs, `/docs/errors#${code}`)
  assert.ok(errorsPage.includes(`id="${code}"`), `${code} is not on the page`)
  assert.ok(problem.detail.length > 10)
}

const isAlive = async () => {
  const { status, body } = await exchange([request(JSON.stringify([good()]))])
  assert.deepEqual([status, body], [202, '{"accepted":1,"duplicates":0,"quarantined":[]}'])
}

const mebibyte = 1024 * 1024
const zeros = Buffer.alloc(64 * mebibyte)
const valid = JSON.stringify([reading()])
const telemetry = 'POST /v1/telemetry HTTP/1.1'

describe('requests that are refused as a whole', () => {
  const refused: readonly [name: string, status: number, code: string, bytes: Buffer | readonly Buffer[]][] = [
    ['no token', 401, 'ANDON_UNAUTHENTICATED', request(valid, { Authorization: undefined })],
    ['a token of nobody', 401, 'ANDON_UNAUTHENTICATED', request(valid, { Authorization: 'Bearer nobody' })],
    ['a password', 401, 'ANDON_UNAUTHENTICATED', request(valid, { Authorization: 'Basic ZGV2aWNlOnRva2Vu' })],
    ['a token without the role', 403, 'ANDON_FORBIDDEN', request(valid, { Authorization: 'Bearer other-token' })],
    ['GET', 405, 'ANDON_INGEST_BAD_METHOD', request('', {}, 'GET /v1/telemetry HTTP/1.1')],
    ['PUT', 405, 'ANDON_INGEST_BAD_METHOD', request(valid, {}, 'PUT /v1/telemetry HTTP/1.1')],
    ['DELETE of the OpenAPI document', 405, 'ANDON_INGEST_BAD_METHOD', request('', {}, 'DELETE /openapi.json HTTP/1.1')],
    ['a path that is not there', 404, 'ANDON_NOT_FOUND', request(valid, {}, 'POST /v1/metrics HTTP/1.1')],
    ['path traversal', 404, 'ANDON_NOT_FOUND', request(valid, {}, 'POST /v1/telemetry/../../../etc/passwd HTTP/1.1')],
    ['encoded path traversal', 404, 'ANDON_NOT_FOUND', request('', {}, 'GET /docs/%2e%2e/%2e%2e/etc/passwd HTTP/1.1')],
    ['another spelling of the path', 404, 'ANDON_NOT_FOUND', request(valid, {}, 'POST //v1/telemetry HTTP/1.1')],
    ['a NUL in the path', 404, 'ANDON_NOT_FOUND', request(valid, {}, 'POST /v1/telemetry%00 HTTP/1.1')],
    ['no Content-Type', 415, 'ANDON_INGEST_BAD_MEDIA_TYPE', request(valid, { 'Content-Type': undefined })],
    ['a form', 415, 'ANDON_INGEST_BAD_MEDIA_TYPE', request(valid, { 'Content-Type': 'application/x-www-form-urlencoded' })],
    ['XML', 415, 'ANDON_INGEST_BAD_MEDIA_TYPE', request(valid, { 'Content-Type': 'application/xml' })],
    ['another charset', 415, 'ANDON_INGEST_BAD_MEDIA_TYPE', request(valid, { 'Content-Type': 'application/json; charset=latin1' })],
    ['an unknown Content-Encoding', 415, 'ANDON_INGEST_BAD_CONTENT_ENCODING', request(valid, { 'Content-Encoding': 'lzma' })],
    ['two Content-Encodings', 415, 'ANDON_INGEST_BAD_CONTENT_ENCODING', request(valid, { 'Content-Encoding': 'gzip, gzip' })],
    [
      'a Content-Encoding from the prototype',
      415,
      'ANDON_INGEST_BAD_CONTENT_ENCODING',
      request(valid, { 'Content-Encoding': 'constructor' }),
    ],
    ['no length', 411, 'ANDON_INGEST_LENGTH_REQUIRED', request('', { 'Content-Length': undefined })],
    ['an empty body', 400, 'ANDON_INGEST_NO_BODY', request('')],
    ['a negative Content-Length', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'Content-Length': '-1' })],
    ['a Content-Length in words', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'Content-Length': 'many' })],
    ['a Content-Length beyond numbers', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'Content-Length': '99999999999999999999999' })],
    ['two Content-Lengths', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'Content-length': '5' })],
    ['Content-Length and Transfer-Encoding', 400, 'ANDON_INGEST_BAD_REQUEST', request('0\r\n\r\n', { 'Transfer-Encoding': 'chunked' })],
    [
      'a Transfer-Encoding that is not chunked',
      400,
      'ANDON_INGEST_BAD_REQUEST',
      chunked('5\r\n[123]\r\n0\r\n\r\n', { 'Transfer-Encoding': 'gzip, chunked' }),
    ],
    [
      'a Transfer-Encoding that only looks chunked',
      400,
      'ANDON_INGEST_BAD_REQUEST',
      chunked('0\r\n\r\n', { 'Transfer-Encoding': 'xchunked' }),
    ],
    ['a chunk size that is none', 400, 'ANDON_INGEST_BAD_REQUEST', chunked('zz\r\n[]\r\n0\r\n\r\n')],
    ['a space before a colon', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'X-Header ': '1' })],
    ['a header that is folded', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'X-Header': '1\r\n two' })],
    ['a NUL in a header', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'X-Header': '\u0000' })],
    ['a line end in a header', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'X-Header': 'a\nContent-Length: 0' })],
    ['no HTTP', 400, 'ANDON_INGEST_BAD_REQUEST', Buffer.from('\u0016\u0003\u0001\u0002 hello\r\n\r\n')],
    ['an unknown method', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, {}, 'SEND /v1/telemetry HTTP/1.1')],
    ['an unknown version', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, {}, 'POST /v1/telemetry HTTP/9.1')],
    ['HTTP/2 in plain text', 400, 'ANDON_INGEST_BAD_REQUEST', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['headers without end', 431, 'ANDON_INGEST_HEADERS_TOO_LARGE', request(valid, { 'X-Header': 'a'.repeat(20_000) })],
    ['an expectation that nobody knows', 417, 'ANDON_INGEST_BAD_REQUEST', request(valid, { Expect: 'a miracle' })],
    ['an Idempotency-Key of 300 characters', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'Idempotency-Key': 'k'.repeat(300) })],
    ['an Idempotency-Key with blanks', 400, 'ANDON_INGEST_BAD_REQUEST', request(valid, { 'Idempotency-Key': 'a b' })],
    ['a body longer than it may be', 413, 'ANDON_INGEST_TOO_LARGE', request(Buffer.alloc(maxBodyBytes + 1, 0x20))],
    ['a length longer than it may be', 413, 'ANDON_INGEST_TOO_LARGE', request(valid, { 'Content-Length': '1000000000000' })],
    ['chunks without end', 413, 'ANDON_INGEST_TOO_LARGE', chunked(`200000\r\n${' '.repeat(2 * mebibyte)}\r\n0\r\n\r\n`)],
    ['a bomb in gzip', 413, 'ANDON_INGEST_TOO_LARGE', request(gzipSync(zeros), { 'Content-Encoding': 'gzip' })],
    ['a bomb in zstd', 413, 'ANDON_INGEST_TOO_LARGE', request(zstdCompressSync(zeros), { 'Content-Encoding': 'zstd' })],
    ['a bomb in deflate', 413, 'ANDON_INGEST_TOO_LARGE', request(deflateSync(zeros), { 'Content-Encoding': 'deflate' })],
    [
      'a bomb in brotli',
      413,
      'ANDON_INGEST_TOO_LARGE',
      request(brotliCompressSync(zeros.subarray(0, 8 * mebibyte)), { 'Content-Encoding': 'br' }),
    ],
    ['gzip that is none', 400, 'ANDON_INGEST_BAD_COMPRESSION', request(valid, { 'Content-Encoding': 'gzip' })],
    ['gzip that is cut', 400, 'ANDON_INGEST_BAD_COMPRESSION', request(gzipSync(valid).subarray(0, -4), { 'Content-Encoding': 'gzip' })],
    [
      'zstd that is cut',
      400,
      'ANDON_INGEST_BAD_COMPRESSION',
      request(zstdCompressSync(valid).subarray(0, -4), { 'Content-Encoding': 'zstd' }),
    ],
    [
      'something behind the zstd',
      400,
      'ANDON_INGEST_BAD_COMPRESSION',
      request(Buffer.concat([zstdCompressSync(valid), Buffer.from('x')]), { 'Content-Encoding': 'zstd' }),
    ],
    ...refusedBodies.map(
      ([name, contentType, status, code, body]) => [name, status, code, request(body, { 'Content-Type': contentType })] as const,
    ),
  ].map(([name, status, code, bytes]) => [name as string, status as number, code as string, bytes as Buffer] as const) as never

  for (const [name, status, code, bytes] of refused) {
    test(`${name}: ${status} ${code}`, async () => {
      isProblem(await exchange([bytes as Buffer]), status, code)
      await isAlive()
    })
  }

  test('a body that ends early: 400, and nothing of it is taken', async () => {
    isProblem(await exchange([request(valid, { 'Content-Length': '5000' })], { endsEarly: true }), 400, 'ANDON_INGEST_BAD_REQUEST')
  })

  test('a body longer than its Content-Length: what lies behind it is no part of it', async () => {
    isProblem(await exchange([request(valid, { 'Content-Length': '10' })]), 400, 'ANDON_INGEST_NOT_JSON')
  })

  test('headers that never end: 408', async () => {
    isProblem(await exchange([`${telemetry}\r\nHost: `], { isHasty: true }), 408, 'ANDON_INGEST_TIMEOUT')
  })

  test('a body that never ends: 408', async () => {
    isProblem(await exchange([request(valid, { 'Content-Length': '5000' })], { isHasty: true }), 408, 'ANDON_INGEST_TIMEOUT')
  })
})

describe('items that go to quarantine', () => {
  for (const [name, contentType, body, accepted, codes] of quarantinedBodies) {
    test(`${name}: ${codes.join(', ')}`, async () => {
      const { status, body: answer } = await exchange([request(body, { 'Content-Type': contentType })])
      assert.equal(status, 202, answer)
      const receipt = JSON.parse(answer) as { accepted: number; quarantined: { code: string; message: string; docs: string }[] }
      assert.deepEqual(
        receipt.quarantined.map(({ code }) => code),
        codes,
        answer,
      )
      assert.equal(receipt.accepted, accepted)
      for (const { code, message, docs } of receipt.quarantined) {
        assert.equal(docs, `/docs/errors#${code}`)
        assert.ok(errorsPage.includes(`id="${code}"`), `${code} is not on the page`)
        assert.ok(message.length > 10)
      }
    })
  }

  test('the table has at least 60 bad inputs', () => {
    assert.ok(refusedBodies.length + quarantinedBodies.length >= 60)
  })
})

test('a refused request leaves its connection usable, whatever of it is unread', async () => {
  const socket = connect(patient.port(), host)
  const statuses: number[] = []
  const all = new Promise<void>((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      statuses.splice(0, statuses.length, ...[...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1])))
      if (statuses.length === 4) resolve()
    })
  })
  const unread = request(Buffer.alloc(100_000, 0x20), { Authorization: undefined })
  socket.write(Buffer.concat([unread, request(valid), unread, request(valid)]))
  await all
  assert.deepEqual(statuses, [401, 202, 401, 202])
  socket.destroy()
})

test('Expect: 100-continue is answered before the body, and a refusal in its place', async () => {
  const [head, body] = [request(valid, { Expect: '100-continue' }).subarray(0, -valid.length), valid]
  const socket = connect(patient.port(), host)
  const next = () => new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString('latin1'))))
  socket.write(head)
  assert.match(await next(), /^HTTP\/1\.1 100 /)
  socket.write(body)
  assert.match(await next(), /^HTTP\/1\.1 202 /)
  socket.destroy()
  const refused = request(valid, { Expect: '100-continue', Authorization: undefined }).subarray(0, -valid.length)
  isProblem(await exchange([refused]), 401, 'ANDON_UNAUTHENTICATED')
})

test('OPTIONS says what is allowed, and HEAD has no body', async () => {
  const options = await exchange([
    request('', { 'Content-Length': undefined }, 'OPTIONS /v1/telemetry HTTP/1.1')
      .toString()
      .replace('\r\n\r\n', '\r\ncontent-length: 0\r\n\r\n'),
  ])
  assert.equal(options.status, 204)
  assert.match(options.head, /allow: POST, OPTIONS/i)
  const head = await fetch(`http://${host}:${patient.port()}/v1/telemetry`, { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers.get('allow'), await head.text()], [405, 'POST, OPTIONS', ''])
})

test('memory stays bounded under bombs and huge bodies from many senders at once', async () => {
  const bomb = request(gzipSync(zeros), { 'Content-Encoding': 'gzip' })
  const startMiB = process.memoryUsage().rss / mebibyte
  let highestMiB = startMiB
  const meter = setInterval(() => (highestMiB = Math.max(highestMiB, process.memoryUsage().rss / mebibyte)), 5)
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, () => exchange([bomb])))
  clearInterval(meter)
  assert.ok(highestMiB - startMiB < 192, `${Math.round(highestMiB - startMiB)} MiB more than before`)
})

function chunked(body: string, headers: Headers = {}): Buffer {
  return request(body, { 'Content-Length': undefined, 'Transfer-Encoding': 'chunked', ...headers })
}
