// The HTTP door under the suite of all doors, with fetch as the sender; and a button that speaks HTTP.

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'node:test'
import { AndonError, createLogger, sha256Hex } from '@andon/kit'
import type { Principals } from '@andon/kit'
import { callsHandler, callsPrefix } from '../src/adapters/http-calls.ts'
import { httpDoor } from '../src/adapters/http.ts'
import { noDevices } from '../src/devices.ts'
import { HttpRoutes } from '../src/http-routes.ts'
import { conformsToSource } from './source-conformance.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const tokens = new Map([[sha256Hex('device-token'), { id: 'p-device', roles: ['ingest'] }]])
const principals: Principals = { of: (token) => tokens.get(sha256Hex(token)) }
const newDoor = (routes = new HttpRoutes()) => httpDoor({ host: '127.0.0.1', port: 0, principals, maxBodyBytes: 1 << 20, logger, routes })
type Door = ReturnType<typeof newDoor>

const post = (door: Door, path: string, body: string, token = 'device-token') =>
  fetch(`http://127.0.0.1:${door.port()}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body,
  })

conformsToSource('HTTP', {
  open: () => newDoor(),
  sender: async (door) => {
    let isClosed = false
    return {
      send: async (payload) => {
        for (;;) {
          const { status } = await post(door as Door, '/v1/telemetry', payload.toString())
          if (status === 202) return
          if (isClosed || (status !== 429 && status !== 503)) throw new Error(`answered ${status}`)
          await pause(20)
        }
      },
      close: async () => {
        isClosed = true
      },
    }
  },
  bad: null, // the sender is told at once that it is not JSON
})

test('POST /v1/calls: 202 once the call is on the log, 503 when it cannot be', async () => {
  const presses: string[] = []
  let away = false
  const press = async (button: string) => {
    if (button !== 'help-1') throw new AndonError('ANDON_INGEST_UNKNOWN_BUTTON', `found button ${button}`, { status: 404 })
    if (away) throw new AndonError('ANDON_LOG_AWAY', 'no broker', { retriable: true })
    return String(presses.push(button))
  }
  const routes = new HttpRoutes()
  routes.mount(callsPrefix, callsHandler({ buttons: { press }, principals: () => principals, devices: noDevices, logger }))
  const door = newDoor(routes)
  await door.start(
    async () => ({ accepted: 0, duplicates: 0, quarantined: [] }),
    () => undefined,
  )
  const call = async (body: string, token?: string) => {
    const answer = await post(door, callsPrefix, body, token)
    return [answer.status, (await answer.json()) as { callId?: string; code?: string }] as const
  }
  assert.deepEqual(await call('{"button":"help-1"}'), [202, { callId: '1' }])
  for (const [body, status, code] of [
    ['{"button":"help-2"}', 404, 'ANDON_INGEST_UNKNOWN_BUTTON'],
    ['{"line":"line-1"}', 400, 'ANDON_INGEST_BAD_REQUEST'],
    ['what', 400, 'ANDON_INGEST_BAD_REQUEST'],
    [`{"button":"${'x'.repeat(5000)}"}`, 413, 'ANDON_INGEST_TOO_LARGE'],
  ] as const) {
    const [answered, problem] = await call(body)
    assert.deepEqual([answered, problem.code], [status, code])
  }
  assert.equal((await call('{"button":"help-1"}', 'nobody'))[0], 401)
  away = true
  assert.equal((await call('{"button":"help-1"}'))[0], 503)
  assert.deepEqual(presses, ['help-1'])
  await door.stop()
})
