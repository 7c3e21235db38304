// The NATS door with a real server: requests, mapped subjects, and JetStream as a source, through kills of either side.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { AckPolicy, connect } from 'nats'
import type { NatsConnection } from 'nats'
import { connectNats, noNatsAccess } from '../src/adapters/nats-connection.ts'
import { natsDoor } from '../src/adapters/nats.ts'
import type { Source } from '../src/adapters/source.ts'
import { systemClock } from '../src/clock.ts'
import { quarantineTopic } from '../src/records.ts'
import { startJetStream } from './own-server.ts'
import type { OwnServer } from './own-server.ts'
import { logged, openRig, rowsOf } from './rig.ts'
import type { ManualClock, Rig } from './rig.ts'
import { conformsToSource } from './source-conformance.ts'
import type { Sender } from './source-conformance.ts'
import { conformanceMapping, logger, metrics, plainMapping, source, TestAssignment, TestSources } from './streams.ts'
import { until } from './until.ts'

let nats: OwnServer
let client: NatsConnection
let rig: Rig

const counted = metrics()
const opened = new Set<Source>()
const newDoor = (sources = new TestSources(), maxInFlight = 1000, assignment = new TestAssignment()): Source => {
  const door = natsDoor({
    url: nats.url,
    namespace: '',
    instance: 'ingest-0',
    access: noNatsAccess,
    maxInFlight,
    sources,
    assignment,
    logger,
    metrics: counted,
  })
  opened.add(door)
  return door
}

before(async () => {
  nats = await startJetStream()
  client = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
  rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
  await until(() => rig.wiring.refusing() === undefined, 'the intake')
})

after(async () => {
  for (const door of opened) await door.stop()
  await client?.close()
  await rig?.wiring.stop()
  await nats?.stop()
})

/** A request that is sent again while the answer is an error that may pass. */
const requester = (subject: string): Sender => {
  let isClosed = false
  const send = async (payload: Buffer): Promise<void> => {
    while (!isClosed) {
      const reply = await client.request(subject, payload, { timeout: 20_000 })
      const { error } = reply.json<{ error?: { retriable: boolean } }>()
      if (error?.retriable !== true) return
      await pause(20)
    }
    throw new Error('closed')
  }
  return {
    send,
    close: async () => {
      isClosed = true
    },
  }
}

conformsToSource('NATS', {
  open: () => newDoor(),
  sender: async (_door, device) => requester(`telemetry.${device}`),
})

conformsToSource('NATS on a mapped subject', {
  open: () => newDoor(new TestSources(source({ id: 'mapped', kind: 'nats', subject: 'mapped.*', mapping: conformanceMapping }))),
  sender: async () => requester('mapped.any'),
})

const manager = () => client.jetstreamManager()

/** A stream that is new for each door under test. */
let streams = 0
const streamFile = async (mapping: object = conformanceMapping) => {
  const stream = `S${++streams}`
  await (await manager()).streams.add({ name: stream, subjects: [`${stream}.>`] })
  return source({ id: stream.toLowerCase(), kind: 'nats', subject: `${stream}.>`, jetstream: { stream, durable: 'andon' }, mapping })
}

/** Acknowledged: the consumer's floor has passed the message. */
const isAcknowledged = async (stream: string, seq: number) => {
  const info = await (await manager()).consumers.info(stream, 'andon').catch(() => undefined)
  return info !== undefined && info.ack_floor.stream_seq >= seq
}

const streamSender = (stream: string): Sender => {
  let isClosed = false
  return {
    send: async (payload) => {
      const { seq } = await client.jetstream().publish(`${stream}.oven`, payload)
      while (!(await isAcknowledged(stream, seq))) {
        if (isClosed) throw new Error('closed')
        await pause(10)
      }
    },
    close: async () => {
      isClosed = true
    },
  }
}

conformsToSource('JetStream', {
  open: async () => newDoor(new TestSources(await streamFile())),
  sender: async () => streamSender(`S${streams}`),
})

const send = async (stream: string, ...values: readonly object[]) => {
  for (const value of values) await client.jetstream().publish(`${stream}.oven`, JSON.stringify(value))
}
const numbersOf = async (machine: string) => rowsOf(await logged(rig.log), machine)

test('a JetStream message that comes again is known, whatever its payload', async () => {
  const file = await streamFile(plainMapping)
  const door = newDoor(new TestSources(file))
  const stream = `S${streams}`
  let failing = true
  await door.start(async (delivery) => {
    const receipt = await rig.wiring.intake(delivery)
    if (failing) throw Object.assign(new Error('the process died before the acknowledgement'))
    return receipt
  }, rig.wiring.refusing)
  await send(stream, { machine: 'again', t: 5 }, { machine: 'again', t: 5 })
  await until(async () => (await numbersOf('again')).length === 2, 'two readings')
  failing = false
  await until(() => isAcknowledged(stream, 2), 'the acknowledgement')
  assert.deepEqual(await numbersOf('again'), [1, 2])
  await door.stop()
})

test('nothing of a stream is lost or doubled when NATS is killed, and when the door starts anew', async () => {
  const file = await streamFile()
  const stream = `S${streams}`
  const sources = new TestSources(file)
  let door = newDoor(sources)
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  const readings = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => ({
      source: 'js-kill',
      asset: 'oven',
      epoch: 1,
      seq: from + index,
      timeUs: Date.now() * 1000,
      values: { temperatureC: 20 },
    }))
  await send(stream, ...readings(1, 20))
  await nats.kill()
  await until(() => door.ready() !== true, 'the door to notice')
  await nats.start()
  await until(() => door.ready() === true, 'the door to be back')
  await until(
    () =>
      !client.isClosed() &&
      client.rtt().then(
        () => true,
        () => false,
      ),
    'the client to be back',
  )
  await send(stream, ...readings(21, 40))
  await door.stop()
  await send(stream, ...readings(41, 60))
  door = newDoor(sources)
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  await until(() => isAcknowledged(stream, 60), 'everything')
  const expected = readings(1, 60).map(({ seq }) => seq)
  await until(async () => new Set(await numbersOf('js-kill')).size === 60, 'the log')
  assert.deepEqual(
    [...new Set(await numbersOf('js-kill'))].toSorted((a, b) => a - b),
    expected,
  )
  await door.stop()
})

test('a stream is read by the instance it belongs to, and by no other', async () => {
  const file = await streamFile()
  const stream = `S${streams}`
  const assignment = new TestAssignment()
  assignment.give(false)
  const door = newDoor(new TestSources(file), 1000, assignment)
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  await send(stream, { source: 'js-mine', asset: 'oven', epoch: 1, seq: 1, timeUs: Date.now() * 1000, values: { temperatureC: 1 } })
  await pause(100)
  assert.equal(await isAcknowledged(stream, 1), false)
  assignment.give(true)
  await until(() => isAcknowledged(stream, 1), 'the acknowledgement')
  await door.stop()
})

test('a consumer that would lose what is refused is not used, and that is counted', async () => {
  const file = await streamFile()
  const stream = `S${streams}`
  await (await manager()).consumers.add(stream, { durable_name: 'andon', ack_policy: AckPolicy.None })
  const door = newDoor(new TestSources(file))
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  const failures = async () => /stream_failures_total\{[^}]*source="s\d+"[^}]*\} [1-9]/.test(await counted.text())
  await until(failures, 'the failure')
  await send(stream, { source: 'js-none', asset: 'oven', epoch: 1, seq: 1, timeUs: Date.now() * 1000, values: { temperatureC: 1 } })
  assert.deepEqual(await numbersOf('js-none'), [])
  await door.stop()
})

test('more messages than may be worked on at once are refused, and the sender is told', async () => {
  const door = newDoor(new TestSources(), 2)
  const waiting: (() => void)[] = []
  await door.start(
    () => new Promise((resolve) => waiting.push(() => resolve({ accepted: 1, duplicates: 0, quarantined: [] }))),
    rig.wiring.refusing,
  )
  const ask = () => client.request('telemetry.busy', '{}', { timeout: 10_000 })
  const first = [ask(), ask()]
  await until(() => waiting.length === 2, 'two in hand')
  assert.deepEqual((await ask()).json<{ error: { code: string; retriable: boolean } }>().error.code, 'ANDON_INGEST_BUSY')
  for (const answer of waiting) answer()
  await Promise.all(first)
  await door.stop()
})

test('a source file that comes and goes is followed', async () => {
  const sources = new TestSources()
  const door = newDoor(sources)
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  sources.set(source({ id: 'late', kind: 'nats', subject: 'late.*', mapping: plainMapping }))
  const ask = async () => {
    try {
      const reply = await client.request('late.x', JSON.stringify({ machine: 'late', t: 3 }), { timeout: 500 })
      return reply.json<{ accepted?: number; duplicates?: number }>().accepted === 1
    } catch {
      return false
    }
  }
  await until(ask, 'the subject')
  sources.set()
  await until(async () => !(await ask()), 'the subject to be left')
  await door.stop()
})

test('what a mapped subject cannot use is in quarantine, with its bytes', async () => {
  const door = newDoor(new TestSources(source({ id: 'bad', kind: 'nats', subject: 'bad.*', mapping: plainMapping })))
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  const reply = await client.request('bad.x', '{"machine":"bad","t":"warm"}', { timeout: 10_000 })
  assert.equal(reply.json<{ quarantined: { code: string }[] }>().quarantined[0]?.code, 'ANDON_INGEST_MAPPING')
  await until(async () => (await logged(rig.log, quarantineTopic)).some(({ value }) => value.type.includes('"warm"')), 'the quarantine')
  await door.stop()
})

test('a server that asks for a login turns away who has none, and takes who has it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-nats-login-'))
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, 'secret\n')
  const guarded = await startJetStream(['authorization { user: plant, password: secret }'])
  try {
    const login = { ...noNatsAccess, user: 'plant', passwordFile }
    await assert.rejects(connectNats(guarded.url, 'nobody', noNatsAccess, logger), /Authorization/i)
    const connection = await connectNats(guarded.url, 'plant', login, logger)
    assert.equal(connection.isClosed(), false)
    await connection.close()
  } finally {
    await guarded.stop()
    await rm(folder, { recursive: true })
  }
})

test('NATS over TLS, with a certificate on both sides', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-nats-tls-'))
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=ca',
    '-days',
    '2',
  )
  await writeFile(path('san.cnf'), 'subjectAltName=DNS:localhost')
  for (const name of ['server', 'client']) {
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
    )
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-extfile',
      'san.cnf',
    )
  }
  const [cert, key, ca] = ['server.pem', 'server.key', 'ca.pem'].map((name) => JSON.stringify(path(name)))
  const secure = await startJetStream([`tls { cert_file: ${cert}, key_file: ${key}, ca_file: ${ca}, verify: true }`])
  try {
    const issuers = { ...noNatsAccess, caFile: path('ca.pem') }
    await assert.rejects(connectNats(secure.url.replace('127.0.0.1', 'localhost'), 'nobody', issuers, logger))
    const access = { ...issuers, certFile: path('client.pem'), keyFile: path('client.key') }
    const connection = await connectNats(secure.url.replace('127.0.0.1', 'localhost'), 'plant', access, logger)
    await connection.rtt()
    await connection.close()
  } finally {
    await secure.stop()
    await rm(folder, { recursive: true })
  }
})
