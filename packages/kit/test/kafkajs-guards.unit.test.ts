// Guards around kafkajs 2.2.4: the private names we rely on exist, and its known defects stay out of our way; README.md
// here lists them.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { createCluster, internals, scheduleCheckPendingRequests, sendBytes, shareConnects } from '../src/log/kafka/kafkajs.ts'
import { openFrameSocket } from '../src/log/kafka/frame-socket.ts'
import type { Target } from '../src/log/kafka/frame-socket.ts'
import { Slabs } from '../src/log/kafka/slabs.ts'

const require = createRequire(import.meta.url)

const openSocket = (target: Target) => openFrameSocket(target, new Slabs(64 * 1024, 4))

test('kafkajs is the release whose internals we use', () => {
  assert.equal((require('kafkajs/package.json') as { version: string }).version, '2.2.4')
})

test('of kafkajs only the connections are used: its producer, consumer and admin, and their defects, have no way in', () => {
  const src = join(import.meta.dirname, '../src')
  const used = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const text = readFileSync(join(src, name), 'utf8')
      const values = text.matchAll(/(?:require\(|^import (?!type ).*from )'(kafkajs[^']*)'/gm)
      return [...values].map(([, what]) => `${name}: ${what}`)
    })
  assert.deepEqual(
    used.toSorted(),
    ['cluster', 'loggers', 'network/connection', 'network/requestQueue'].map(
      (what) => `${join('log', 'kafka', 'kafkajs.ts')}: kafkajs/src/${what}`,
    ),
  )
})

test('every private name that the transport needs exists', () => {
  const cluster = createCluster({ brokers: ['127.0.0.1:1'], clientId: 'names' }, openSocket)
  for (const name of ['connect', 'disconnect', 'refreshMetadata', 'getNodeIds', 'findBroker'] as const)
    assert.equal(typeof cluster[name], 'function', name)
  assert.equal(typeof cluster.brokerPool.findConnectedBroker, 'function')
  assert.deepEqual(cluster.brokerPool.brokers, {})
  const Pool = require('kafkajs/src/network/connectionPool') as { prototype: Record<string, unknown> }
  assert.equal(typeof Pool.prototype['getConnection'], 'function')
  const connection = internals.Connection.prototype as unknown as Record<string, unknown>
  for (const name of ['connect', 'isConnected', 'isAuthenticated', 'authenticate', 'rejectRequests', 'disconnect'])
    assert.equal(typeof connection[name], 'function', name)
  assert.equal(typeof internals.RequestQueue.prototype['checkPendingRequests'], 'function')
})

test('a request carries our bytes unchanged behind the head that kafkajs would write', { timeout: 30_000 }, async (t) => {
  const createRequest = require('kafkajs/src/protocol/request') as (options: object) => Promise<{ buffer: Buffer }>
  const Encoder = require('kafkajs/src/protocol/encoder') as new (size: number) => { buf: Buffer; offset: number }
  const encode = (): object => Object.assign(new Encoder(0), { buf: Buffer.from('body'), offset: 4 })
  const { buffer } = await createRequest({ correlationId: -1, clientId: 'cö', request: { apiKey: 1, apiVersion: 11, encode } })
  const arrived = Promise.withResolvers<Buffer>()
  const server = createServer((peer) => {
    const pieces: Buffer[] = []
    peer.on('data', (bytes: Buffer) => {
      pieces.push(bytes)
      const request = Buffer.concat(pieces)
      if (request.length < buffer.length) return
      arrived.resolve(request)
      peer.end(Buffer.from([0, 0, 0, 10, 0xff, 0xff, 0xff, 0xff, ...Buffer.from('answer')]))
    })
  })
  t.after(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = openSocket({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, onConnect: () => undefined })
  let isSignedIn = false
  const answer = await sendBytes(
    {
      socket,
      clientId: 'cö',
      sasl: { mechanism: 'plain', username: 'u', password: 'p' },
      isAuthenticated: () => isSignedIn,
      authenticate: async () => void (isSignedIn = true),
      rejectRequests: () => undefined,
      disconnect: async () => undefined,
    },
    [1, 11, 'Fetch'],
    Buffer.from('body'),
  )
  assert.deepEqual(await arrived.promise, buffer)
  assert.equal(answer.toString(), 'answer')
  assert.ok(isSignedIn)
})

test('an idle connection arms no timer (tulios/kafkajs#1751)', () => {
  const queue = {
    throttledUntil: -1,
    throttleCheckTimeoutId: null as NodeJS.Timeout | null,
    pending: [] as unknown[],
    checkPendingRequests: () => undefined,
  }
  scheduleCheckPendingRequests.call(queue)
  assert.equal(queue.throttleCheckTimeoutId, null)
  queue.pending.push({})
  scheduleCheckPendingRequests.call(queue)
  assert.notEqual(queue.throttleCheckTimeoutId, null)
  clearTimeout(queue.throttleCheckTimeoutId!)
  assert.equal(internals.RequestQueue.prototype['scheduleCheckPendingRequests'], scheduleCheckPendingRequests)
})

test('a dead broker is given up after few tries: with many, a reader stays inside one call and falls behind on the living ones', async () => {
  let tries = 0
  const cluster = createCluster({ brokers: ['127.0.0.1:9'], clientId: 'c' }, (target) => {
    tries++
    return openSocket(target)
  })
  await assert.rejects(cluster.connect())
  assert.ok(tries >= 1 && tries <= 4, `${tries} tries`)
})

test('connects of one connection at the same time open one socket', async () => {
  let opened = 0
  const gate = Promise.withResolvers<void>()
  const connect = shareConnects(() => {
    opened++
    return gate.promise
  })
  const connection = { connect }
  const both = [connection.connect(), connection.connect()]
  gate.resolve()
  await Promise.all(both)
  assert.equal(opened, 1)
  await connection.connect()
  assert.equal(opened, 2)
})
