// Guards around kafkajs 2.2.4: the private names we rely on exist, and its known defects stay out of our way; README.md
// here lists them.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  createCluster,
  internals,
  scheduleCheckPendingRequests,
  sendBytes,
  shareConnects,
  withFreshBuffer,
  withoutEmptyRest,
} from '../src/log/kafka/kafkajs.ts'

const require = createRequire(import.meta.url)

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
    ['cluster', 'loggers', 'network/connection', 'network/requestQueue', 'network/socketFactory'].map(
      (what) => `${join('log', 'kafka', 'kafkajs.ts')}: kafkajs/src/${what}`,
    ),
  )
})

test('every private name that the transport needs exists', () => {
  const cluster = createCluster({ brokers: ['127.0.0.1:1'], clientId: 'names' })
  for (const name of ['connect', 'disconnect', 'refreshMetadata', 'getNodeIds', 'findBroker'] as const)
    assert.equal(typeof cluster[name], 'function', name)
  assert.equal(typeof cluster.brokerPool.findConnectedBroker, 'function')
  assert.deepEqual(cluster.brokerPool.brokers, {})
  const Pool = require('kafkajs/src/network/connectionPool') as { prototype: Record<string, unknown> }
  assert.equal(typeof Pool.prototype['getConnection'], 'function')
  const connection = internals.Connection.prototype as unknown as Record<string, unknown>
  for (const name of [
    'connect',
    'isConnected',
    'isAuthenticated',
    'authenticate',
    'failIfNotConnected',
    'nextCorrelationId',
    'processData',
    'rejectRequests',
    'disconnect',
  ])
    assert.equal(typeof connection[name], 'function', name)
  assert.equal(typeof internals.RequestQueue.prototype['checkPendingRequests'], 'function')
})

test('a request carries our bytes unchanged behind the head that kafkajs would write', async () => {
  const createRequest = require('kafkajs/src/protocol/request') as (options: object) => Promise<{ buffer: Buffer }>
  const Encoder = require('kafkajs/src/protocol/encoder') as new (size: number) => { buf: Buffer; offset: number }
  const encode = (): object => Object.assign(new Encoder(0), { buf: Buffer.from('body'), offset: 4 })
  const { buffer } = await createRequest({ correlationId: 7, clientId: 'cö', request: { apiKey: 1, apiVersion: 11, encode } })
  const written: Buffer[] = []
  let isSignedIn = false
  const answer = await sendBytes(
    {
      socket: { cork: () => undefined, uncork: () => undefined, write: (bytes: Buffer) => written.push(bytes) } as unknown as Socket,
      clientId: 'cö',
      isConnected: () => true,
      isAuthenticated: () => isSignedIn,
      authenticate: async () => void (isSignedIn = true),
      failIfNotConnected: () => undefined,
      nextCorrelationId: () => 7,
      rejectRequests: () => undefined,
      disconnect: async () => undefined,
      requestQueue: {
        push: (request) => {
          request.sendRequest()
          request.entry.resolve({ payload: Buffer.from('answer') })
        },
      },
    },
    [1, 11, 'Fetch'],
    Buffer.from('body'),
  )
  assert.deepEqual(Buffer.concat(written), buffer)
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
  const via = <T>(broker: T): T => {
    tries++
    return broker
  }
  const cluster = createCluster({ brokers: ['127.0.0.1:9'], clientId: 'c', via })
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

test('an answer that broke off leaves nothing in front of the answers of the next socket', async () => {
  const connection = {
    isOpen: false,
    isConnected: () => connection.isOpen,
    connect: withFreshBuffer(async () => undefined),
    chunks: [Buffer.from([0, 0, 1])],
    bytesBuffered: 3,
    bytesNeeded: 260,
  }
  await connection.connect()
  assert.deepEqual([connection.chunks, connection.bytesBuffered, connection.bytesNeeded], [[], 0, 4])
  const underway = [Buffer.from([0, 0])]
  Object.assign(connection, { isOpen: true, chunks: underway, bytesBuffered: 2 })
  await connection.connect()
  assert.equal(connection.chunks, underway, 'an open connection keeps what it has received')
  const Connection = require('kafkajs/src/network/connection') as new (options: object) => Record<string, unknown>
  const { chunks, bytesBuffered, bytesNeeded } = new Connection({ host: 'h', port: 1, logger: { namespace: () => ({}) } })
  assert.deepEqual([chunks, bytesBuffered, bytesNeeded], [[], 0, 4], 'the names and first values are as kafkajs has them')
})

test('an answer that came whole is not copied to stand behind nothing', () => {
  const seen: number[] = []
  const take = withoutEmptyRest(function (this: { chunks: Buffer[] }) {
    seen.push(this.chunks.length)
  })
  take.call({ chunks: [Buffer.alloc(0)], bytesBuffered: 0 } as never, Buffer.from('answer'))
  take.call({ chunks: [Buffer.from('half')], bytesBuffered: 4 } as never, Buffer.from('rest'))
  assert.deepEqual(seen, [0, 1])
})
