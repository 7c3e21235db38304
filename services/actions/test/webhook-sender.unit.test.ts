// One delivery: where it may go, how it is signed, what a bad endpoint can do to us.

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { isPublic } from '../src/adapters/public-addresses.ts'
import type { Lookup } from '../src/adapters/public-addresses.ts'
import { signaturesOf, webhookSender } from '../src/adapters/webhook.ts'
import type { SenderOptions } from '../src/adapters/webhook.ts'
import { fact } from '@andon/decisions'
import { filterProblem, webhookFilter } from '../src/webhook-filter.ts'
import { WEBHOOK_SECRET } from './rig.ts'

const listening = async (t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  let calls = 0
  const server = createServer((request, response) => {
    calls += 1
    request.resume()
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, calls: () => calls }
}

const post = async (t: TestContext, url: string, options: Partial<SenderOptions> = {}, timeoutMs = 1_000) => {
  const sender = webhookSender({ allow: ['127.0.0.1'], ...options })
  t.after(() => sender.close())
  return sender.post({ url, secret: WEBHOOK_SECRET, event: { id: 'e-1', type: 'IncidentOpened', timestampMs: 0, data: {} }, timeoutMs })
}

describe('where it may go', () => {
  const isRefused =
    '127.0.0.1 127.9.9.9 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 198.18.0.1 224.0.0.1 ' +
    '255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: fe80::1 fd00::1 ff02::1 2001:db8::1 nonsense'
  for (const address of isRefused.split(' ')) test(`not to ${address}`, () => assert.equal(isPublic(address), false))
  for (const address of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '192.0.1.1', '2606:4700::1111', '2a00:1450:4001::8'])
    test(`to ${address}`, () => assert.equal(isPublic(address), true))

  test('no spelling of a private address gets through, and nothing is sent', async (t) => {
    const sink = await listening(t, (_request, response) => void response.end())
    const spelt = [
      '127.0.0.1',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '127.1',
      '[::1]',
      '[::ffff:7f00:1]',
      '[::ffff:127.0.0.1]',
      'localhost',
    ]
    for (const host of spelt) {
      const { isDelivered, detail } = await post(t, `http://${host}:${sink.port}/`, { allow: [] })
      assert.ok(!isDelivered, host)
      assert.match(detail, /ACTIONS_WEBHOOK_ALLOW/, host)
    }
    assert.equal(sink.calls(), 0)
  })

  test('a name that resolves anew to something private is refused where it connects', async (t) => {
    const sink = await listening(t, (_request, response) => void response.end())
    const answers = ['8.8.8.8', '127.0.0.1']
    const asked: string[] = []
    const rebinding: Lookup = (host, _options, done) => {
      const address = answers[Math.min(asked.length, 1)] as string
      asked.push(address)
      if (address === '8.8.8.8' && asked.length === 1) return done(Object.assign(new Error(`${host} timed out`), { code: 'ETIMEOUT' }), [])
      return done(null, [{ address, family: 4 }])
    }
    const sender = webhookSender({ allow: [], lookup: rebinding })
    t.after(() => sender.close())
    const event = { id: 'e', type: 'x', timestampMs: 0, data: {} }
    const attempt = () => sender.post({ url: `http://rebind.example/`, secret: WEBHOOK_SECRET, event, timeoutMs: 500 })
    await attempt()
    assert.match((await attempt()).detail, /rebind\.example \(127\.0\.0\.1\) is no address of the open internet/)
    assert.equal(sink.calls(), 0)
  })

  test('of a name with public and private addresses only the public ones are tried', async (t) => {
    const tried: string[] = []
    const mixed: Lookup = (_host, _options, done) => {
      tried.push('asked')
      done(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '192.0.2.1', family: 4 },
      ])
    }
    const { detail } = await post(t, 'http://mixed.example/', { allow: [], lookup: mixed })
    assert.deepEqual(tried, ['asked'])
    assert.match(detail, /is no address of the open internet/)
  })

  test('a host that is allowed by name is reached where it is, at its port', async (t) => {
    const sink = await listening(t, (_request, response) => void response.end())
    const lookup: Lookup = (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }])
    assert.equal((await post(t, `http://mes.plant:${sink.port}/`, { allow: ['MES.plant'], lookup })).isDelivered, true)
    assert.equal((await post(t, `http://other.plant:${sink.port}/`, { allow: ['mes.plant'], lookup })).isDelivered, false)
    assert.equal(sink.calls(), 1)
  })

  test('other ports, protocols and passwords in the URL are refused', async (t) => {
    for (const url of ['https://example.com:22/', 'ftp://example.com/', 'https://user:word@example.com/', 'file:///etc/passwd', 'nonsense'])
      assert.equal((await post(t, url)).isDelivered, false, url)
  })
})

describe('what an endpoint can do', () => {
  test('a redirect is not followed', async (t) => {
    const inner = await listening(t, (_request, response) => void response.end())
    const outer = await listening(t, (_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${inner.port}/` }).end()
    })
    const { isDelivered, detail } = await post(t, `http://127.0.0.1:${outer.port}/`)
    assert.deepEqual([isDelivered, detail, inner.calls()], [false, 'HTTP 307', 0])
  })

  test('silence ends with the time, and an endless answer with its connection', async (t) => {
    const silent = await listening(t, () => undefined)
    assert.equal((await post(t, `http://127.0.0.1:${silent.port}/`, {}, 100)).isDelivered, false)
    const closed = Promise.withResolvers<void>()
    const endless = await listening(t, (_request, response) => {
      const timer = setInterval(() => response.write(Buffer.alloc(16_384)), 1)
      response.on('close', () => {
        clearInterval(timer)
        closed.resolve()
      })
    })
    assert.equal((await post(t, `http://127.0.0.1:${endless.port}/`)).isDelivered, true)
    await closed.promise
  })
})

describe('how it is signed', () => {
  const at = new Date()
  const seconds = String(Math.floor(at.getTime() / 1000))

  test('while keys change over both sign, and either verifies', () => {
    const other = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
    const signature = signaturesOf(`${WEBHOOK_SECRET} ${other}`, 'e-1', at, '{}')
    for (const secret of [WEBHOOK_SECRET, other]) {
      const headers = { 'webhook-id': 'e-1', 'webhook-timestamp': seconds, 'webhook-signature': signature }
      assert.deepEqual(new Webhook(secret).verify('{}', headers), {})
      assert.throws(() => new Webhook(secret).verify('{"a":1}', headers))
    }
  })

  test('an Ed25519 key signs as v1a, and its public half verifies', () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)
    const [version, signature = ''] = signaturesOf(`whsk_${seed.toString('base64')}`, 'e-1', at, '{}').split(',')
    assert.equal(version, 'v1a')
    const signed = (body: string) => Buffer.from(`e-1.${seconds}.${body}`)
    const publicKey = createPublicKey(privateKey)
    assert.equal(verify(null, signed('{}'), publicKey, Buffer.from(signature, 'base64')), true)
    assert.equal(verify(null, signed('{ }'), publicKey, Buffer.from(signature, 'base64')), false)
    assert.throws(() => signaturesOf('whsk_c2hvcnQ=', 'e-1', at, '{}'), /32 bytes/)
  })
})

test('a filter says which events are wanted; one that fails lets them pass', () => {
  const opened = fact('IncidentOpened', 'press-line', 1, ['i'], { incidentId: 'i', assetId: 'press-1' })
  assert.equal(webhookFilter(`line == 'press-line' && asset.startsWith('press')`)(opened), true)
  assert.equal(webhookFilter(`line == 'utilities'`)(opened), false)
  assert.equal(webhookFilter(`event == 'IncidentOpened' && severity > 0`)(opened), false)
  assert.equal(webhookFilter(`nobody.knows > 3`)(opened), true)
  assert.equal(webhookFilter(undefined)(opened), true)
  assert.equal(filterProblem(`line == 'x'`), null)
  assert.notEqual(filterProblem(`line == `), null)
})
