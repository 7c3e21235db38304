// Bodies of the HTTP door as they come over a wire: in any pieces, one behind the other, cut off. What was sent is what the intake gets.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { createLogger, sha256Hex } from '@andon/kit'
import { httpDoor } from '../src/adapters/http.ts'
import type { Delivery, Intake } from '../src/adapters/source.ts'
import { until } from './until.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const tokens = new Map([[sha256Hex('device-token'), { id: 'p-device', roles: ['ingest'] }]])
const principals = { of: (token: string) => tokens.get(sha256Hex(token)) }

const seqsOf = (delivery: Delivery): number[] =>
  'readings' in delivery ? delivery.readings.map(({ value }) => (value as { seq: number }).seq) : []

/** A door that remembers the numbers it was given, and answers in its own time. */
const openDoor = async (t: TestContext, maxReceivingBytes = 1 << 20) => {
  const seqs: number[] = []
  const intake: Intake = async (delivery) => {
    seqs.push(...seqsOf(delivery))
    await new Promise<void>((resolve) => setImmediate(resolve))
    return { accepted: seqsOf(delivery).length, duplicates: 0, quarantined: [] }
  }
  const door = httpDoor({ host: '127.0.0.1', port: 0, principals, maxBodyBytes: 1 << 20, maxReceivingBytes, logger })
  await door.start(intake, () => undefined)
  t.after(() => door.stop())
  return { port: door.port(), seqs }
}

const bodyOf = (seq: number, padding: number): string => `${JSON.stringify({ source: 'plc', seq })}${' '.repeat(padding)}`

const headOf = (framing: string): string =>
  `POST /v1/telemetry HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer device-token\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`

const chunksOf = (body: string, size: number): string => {
  let text = ''
  for (let at = 0; at < body.length; at += size) {
    const part = body.slice(at, at + size)
    text += `${part.length.toString(16)}\r\n${part}\r\n`
  }
  return `${text}0\r\n\r\n`
}

test('bodies in any pieces and framing, one behind the other: each is taken once, as sent, in order', async (t) => {
  const { port, seqs } = await openDoor(t)
  const request = fc.record({ padding: fc.nat(300), chunk: fc.option(fc.integer({ min: 1, max: 100 })), isWrong: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
      async (requests, sizes) => {
        seqs.length = 0
        const wire = requests.map(({ padding, chunk, isWrong }, seq) => {
          const body = isWrong ? 'no JSON' : bodyOf(seq, padding)
          return chunk === null
            ? `${headOf(`Content-Length: ${body.length}`)}${body}`
            : `${headOf('Transfer-Encoding: chunked')}${chunksOf(body, chunk)}`
        })
        const socket = connect(port, '127.0.0.1').setNoDelay(true)
        let heard = ''
        socket.on('data', (bytes) => (heard += bytes.toString('latin1')))
        await once(socket, 'connect')
        const text = wire.join('')
        for (let at = 0, piece = 0; at < text.length; piece++) {
          const size = sizes[piece % sizes.length]!
          socket.write(text.slice(at, at + size))
          at += size
          await new Promise<void>((resolve) => setImmediate(resolve))
        }
        const statuses = () => [...heard.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))
        await until(() => statuses().length === requests.length)
        socket.destroy()
        assert.deepEqual(
          statuses(),
          requests.map(({ isWrong }) => (isWrong ? 400 : 202)),
        )
        assert.deepEqual(
          seqs,
          requests.flatMap(({ isWrong }, seq) => (isWrong ? [] : [seq])),
        )
      },
    ),
    { numRuns: 60 },
  )
})

test('a sender that leaves within its body is forgotten: nothing of it is taken, and its bytes make room for others', async (t) => {
  const most = 64 * 1024
  const { port, seqs } = await openDoor(t, most)
  const post = (seq: number, padding: number) =>
    fetch(`http://127.0.0.1:${port}/v1/telemetry`, {
      method: 'POST',
      headers: { authorization: 'Bearer device-token', 'content-type': 'application/json' },
      body: bodyOf(seq, padding),
    })
  for (let left = 0; left < 5; left++) {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`${headOf(`Content-Length: ${most}`)}${bodyOf(1000, most / 2)}`)
    // While half of the room is taken, a body of three quarters is one too many.
    await until(async () => (await post(2000 + left, (most / 4) * 3)).status === 429)
    socket.destroy()
    await until(async () => (await post(left, (most / 4) * 3)).status === 202)
  }
  assert.deepEqual(
    seqs.filter((seq) => seq < 1000),
    [0, 1, 2, 3, 4],
  )
  assert.ok(!seqs.includes(1000))
})
