import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setImmediate as tick } from 'node:timers/promises'
import { createLogger, createMetrics, startMessage, startService } from '../src/index.ts'
import type { Part, Service } from '../src/index.ts'

const service = (parts: Part[], port = 0, about?: Service['about']): Service => ({
  name: 'features',
  parts,
  admin: { host: '127.0.0.1', port },
  logger: createLogger({ service: 'features', level: 'silent' }),
  metrics: createMetrics('features'),
  ...(about === undefined ? {} : { about }),
})

const part = (name: string, story: string[], extra: Partial<Part> = {}): Part => ({
  name,
  start: async () => {
    await tick()
    story.push(`start ${name}`)
  },
  stop: async () => {
    await tick()
    story.push(`stop ${name}`)
  },
  ...extra,
})

const get = async (port: number, path: string): Promise<{ status: number; body: string }> => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  return { status: response.status, body: await response.text() }
}

test('parts start in order and stop in reverse, also when one of them throws', async () => {
  const story: string[] = []
  const broken = part('log', story, { stop: () => Promise.reject(new Error('gone')) })
  const running = await startService(service([part('store', story), broken, part('door', story)]))
  await running.stop()
  await running.stop()
  assert.deepEqual(story, ['start store', 'start log', 'start door', 'stop door', 'stop store'])
})

test('a part that fails to start stops what had started, itself included, and frees the port', async () => {
  const story: string[] = []
  const failing = part('log', story, { start: () => Promise.reject(new Error('no broker')) })
  await assert.rejects(startService(service([part('store', story), failing, part('door', story)])), /no broker/)
  assert.deepEqual(story, ['start store', 'stop log', 'stop store'])
})

test('a part that cannot stop does not hide for long why another failed to start', async () => {
  const stuck = part('store', [], { stop: () => new Promise(() => {}) })
  const failing = part('log', [], { start: () => Promise.reject(new Error('no broker')) })
  const from = performance.now()
  await assert.rejects(startService(service([stuck, failing])), /no broker/)
  assert.ok(performance.now() - from < 9_000) // the deadline of a stop is 10 s
})

test('the admin server tells alive, ready and why not, metrics and version', async () => {
  let state: boolean | string = 'catching up'
  const story: string[] = []
  const running = await startService(
    service([part('log', story, { ready: () => state }), part('door', story)], 0, () => ({ durability: 'single-node' })),
  )
  try {
    assert.equal((await get(running.adminPort, '/livez')).status, 200)
    const notReady = await get(running.adminPort, '/readyz')
    assert.equal(notReady.status, 503)
    assert.deepEqual(JSON.parse(notReady.body).parts, { log: 'catching up', door: true })
    state = true
    assert.equal((await get(running.adminPort, '/readyz')).status, 200)
    assert.equal((await get(running.adminPort, '/metrics')).status, 200)
    const version = JSON.parse((await get(running.adminPort, '/version')).body)
    assert.equal(version.durability, 'single-node')
    assert.match(version.version, /^\d+\.\d+\.\d+/)
    assert.match(version.code, /^[0-9a-f]{64}$/)
    assert.equal((await get(running.adminPort, '/nothing')).status, 404)
    assert.equal((await fetch(`http://127.0.0.1:${running.adminPort}/livez`, { method: 'POST' })).status, 405)
  } finally {
    await running.stop()
  }
})

test('while parts start the service is alive and not ready', async () => {
  let port = 0
  const probe = createServer()
  await new Promise<void>((resolve) => {
    probe.listen(0, '127.0.0.1', resolve)
  })
  port = (probe.address() as AddressInfo).port
  await new Promise((resolve) => {
    probe.close(resolve)
  })
  let during: { status: number; body: string } | undefined
  const slow: Part = {
    name: 'log',
    start: async () => {
      during = await get(port, '/readyz')
    },
    stop: () => Promise.resolve(),
  }
  const running = await startService(service([slow], port))
  await running.stop()
  assert.equal(during?.status, 503)
  assert.match(during?.body ?? '', /starting/)
})

test('a busy admin port names port and setting', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => {
    other.listen(0, '127.0.0.1', resolve)
  })
  const port = (other.address() as AddressInfo).port
  try {
    await assert.rejects(startService(service([], port)), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ANDON_PORT_BUSY')
      assert.match(error.message, new RegExp(`^FEATURES_ADMIN_PORT: .*127\\.0\\.0\\.1:${port} in use`))
      return true
    })
  } finally {
    other.close()
  }
})

test('a part that fails for good while running is told', async () => {
  let fail: (error: Error) => void = () => {}
  const ended = new Promise<void>((_, reject) => {
    fail = reject
  })
  const running = await startService(service([part('log', [], { ended: () => ended })]))
  fail(new Error('fenced'))
  await assert.rejects(running.failed, /fenced/)
  await running.stop()
})

test('a failed start is one line for our errors and has a trace for others', () => {
  const ours = Object.assign(new Error('FEATURES_X: expected an integer'), { code: 'ANDON_SETTING_INVALID' })
  assert.equal(startMessage('features', ours), 'features did not start: ANDON_SETTING_INVALID: FEATURES_X: expected an integer')
  assert.match(startMessage('features', new TypeError('bug')), /ANDON_START_FAILED: bug\nTypeError: bug\n {4}at/)
})
