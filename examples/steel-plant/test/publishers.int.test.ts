// Readings over a real MQTT broker, NATS server and HTTP door that go away in the middle: everything arrives, in order, under its own
// number; what comes twice is the same reading.

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { Aedes } from 'aedes'
import { connect as connectNats } from 'nats'
import { openOutbox } from '../src/outbox.ts'
import { httpDelivery } from '../src/publishers/http.ts'
import { openMqtt } from '../src/publishers/mqtt.ts'
import { openNats } from '../src/publishers/nats.ts'
import type { Reading } from '../src/reading.ts'

const token = 'a-token'
const total = 300
const reading = (seq: number): Reading => ({ source: 'press-1-plc', asset: 'a', epoch: 1, seq, timeUs: 1000 + seq, values: { x: seq } })
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const until = async (what: string, condition: () => boolean, withinMs = 30_000) => {
  for (const deadline = Date.now() + withinMs; !condition();) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`)
    await pause(20)
  }
}
const portOf = (server: Server | HttpServer) => (server.address() as { port: number }).port
const listening = <S extends Server | HttpServer>(server: S, port: number) =>
  new Promise<S>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
const freePort = async () => {
  const server = await listening(createServer(), 0)
  const port = portOf(server)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/** What a receiver saw: every number once or more, first sights in order, repeats equal to the first. */
const receiver = () => {
  const seen = new Map<number, string>()
  const order: number[] = []
  return {
    take(batch: Reading[]) {
      for (const each of batch) {
        const text = JSON.stringify(each)
        const before = seen.get(each.seq)
        if (before === undefined) {
          seen.set(each.seq, text)
          order.push(each.seq)
        } else assert.equal(text, before)
      }
    },
    count: () => order.length,
    check: () =>
      assert.deepEqual(
        order,
        Array.from({ length: total }, (_, seq) => seq),
      ),
  }
}
const feed = async (add: (readings: Reading[]) => void) => {
  for (let seq = 0; seq < total; seq++) {
    add([reading(seq)])
    if (seq % 10 === 0) await pause(30)
  }
}
const quick = { first: 50, most: 300 }

test('MQTT: a broker that is gone for a while, and one that drops the connection before it acknowledges', { timeout: 60_000 }, async () => {
  const got = receiver()
  const broker = await Aedes.createBroker()
  let dropNext = 0
  broker.authenticate = (_client, _user, password, done) => done(null, password?.toString() === token)
  broker.authorizePublish = (client, packet, done) => {
    assert.equal(packet.topic, 'andon/press-1-plc/readings')
    got.take(JSON.parse(packet.payload.toString()) as Reading[])
    if (dropNext > 0) {
      dropNext--
      client?.conn.destroy()
      return
    }
    done(null)
  }
  const sockets = new Set<Socket>()
  const open = (port: number) =>
    listening(
      createServer((socket) => {
        sockets.add(socket)
        broker.handle(socket)
      }),
      port,
    )
  let server = await open(0)
  const port = portOf(server)
  const mqtt = openMqtt({ url: `mqtt://127.0.0.1:${port}`, clientId: 'press-1', token, ackTimeoutMs: 2000 })
  const box = openOutbox({
    source: 'press-1-plc',
    maxBatch: 20,
    maxWaiting: 1000,
    retryMs: quick,
    deliver: (batch, signal) => mqtt.deliver(batch, signal),
  })
  after(async () => {
    await box.stop()
    await mqtt.stop()
    server.close()
    await new Promise<void>((resolve) => broker.close(() => resolve()))
  })
  const fed = feed((readings) => box.add(readings))
  await until('the first readings', () => got.count() > 30)
  dropNext = 2
  await until('two dropped', () => dropNext === 0)
  assert.ok(got.count() < total)
  server.close()
  for (const socket of sockets) socket.destroy()
  await pause(500)
  server = await open(port)
  await fed
  await until('all acknowledged', () => box.counts().acknowledged === total)
  got.check()
})

test(
  'HTTP: a door that is closed, busy, without a token yet, and then there; a batch it can never take is left behind',
  { timeout: 60_000 },
  async () => {
    const got = receiver()
    let mode: 'good' | 'busy' | 'unknown-token' | 'hang-up-after' = 'good'
    const handler = createHttpServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        assert.equal(request.headers.authorization, `Bearer ${token}`)
        if (mode === 'busy') return response.writeHead(503).end()
        if (mode === 'unknown-token') return response.writeHead(401).end()
        const batch = JSON.parse(body) as Reading[]
        if (batch.some((each) => each.seq === 9999)) return response.writeHead(400).end('{"code":"ANDON_INGEST_BAD_FIELD"}')
        got.take(batch)
        if (mode === 'hang-up-after') return response.destroy()
        return response
          .writeHead(202, { 'content-type': 'application/json' })
          .end(JSON.stringify({ accepted: batch.length, quarantined: [] }))
      })
    })
    const server = await listening(handler, 0)
    const deliver = httpDelivery({ url: `http://127.0.0.1:${portOf(server)}`, token })
    const box = openOutbox({ source: 'press-1-plc', maxBatch: 20, maxWaiting: 1000, retryMs: quick, deliver })
    after(async () => {
      await box.stop()
      server.closeAllConnections()
      server.close()
    })
    const fed = feed((readings) => box.add(readings))
    for (const next of ['busy', 'good', 'unknown-token', 'hang-up-after', 'good'] as const) {
      mode = next
      await pause(80)
    }
    await fed
    await until('all acknowledged', () => box.counts().acknowledged === total)
    got.check()
    box.add([reading(9999)])
    await until('the refused one', () => box.counts().refused === 1)
  },
)

test('NATS: a server that is killed and comes back, and no responder for a while', { timeout: 60_000 }, async () => {
  const got = receiver()
  const port = await freePort()
  const startServer = async (): Promise<ChildProcess> => {
    const child = spawn('nats-server', ['-a', '127.0.0.1', '-p', `${port}`], { stdio: 'ignore' })
    let isUp = false
    while (!isUp) {
      await pause(30)
      isUp = await new Promise<boolean>((resolve) => {
        const probe = connectTcp(port, '127.0.0.1', () => resolve(true))
        probe.on('error', () => resolve(false))
        probe.on('connect', () => probe.destroy())
      })
    }
    return child
  }
  const answering = async () => {
    const connection = await connectNats({ servers: `127.0.0.1:${port}`, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
    connection.subscribe('test.telemetry.>', {
      callback: (_error, message) => {
        const batch = message.json<Reading[]>()
        if (batch.some((each) => each.seq === 9999))
          return message.respond(JSON.stringify({ error: { code: 'X', message: 'no', retriable: false } }))
        got.take(batch)
        return message.respond(JSON.stringify({ accepted: batch.length }))
      },
    })
    return connection
  }
  let server = await startServer()
  const nats = openNats({ url: `nats://127.0.0.1:${port}`, name: 'meter', prefix: 'test.', timeoutMs: 1000 })
  const box = openOutbox({ source: 'press-1-plc', maxBatch: 20, maxWaiting: 1000, retryMs: quick, deliver: (batch) => nats.deliver(batch) })
  const fed = feed((readings) => box.add(readings))
  await pause(300)
  const ingest = await answering()
  after(async () => {
    await box.stop()
    await nats.stop()
    await ingest.close()
    server.kill('SIGKILL')
  })
  await until('the first readings', () => got.count() > 30)
  assert.ok(got.count() < total)
  const killed = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGKILL')
  await killed
  server = await startServer()
  await fed
  await until('all acknowledged', () => box.counts().acknowledged === total)
  got.check()
  box.add([reading(9999)])
  await until('the refused one', () => box.counts().refused === 1)
})
