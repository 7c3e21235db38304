// Devices as a field engineer meets them: openssl makes keys and requests, curl speaks EST and HTTP, and two instances follow one log.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'
import { after, before, test } from 'node:test'
import mqtt from 'mqtt'
import { createLogger, LogError } from '@andon/kit'
import { issueFor, makeServerCertificate, makeSiteAuthority, openAuthority, pemOf } from '@andon/kit/pki'
import { mqttDoor, plainMqtt } from '../src/adapters/mqtt.ts'
import { openDeviceRig, principals, SITE } from './device-rig.ts'
import type { DeviceRig } from './device-rig.ts'
import { until } from './until.ts'

let rig: DeviceRig
let a: Awaited<ReturnType<DeviceRig['openInstance']>>
let b: Awaited<ReturnType<DeviceRig['openInstance']>>

before(async () => {
  rig = await openDeviceRig()
  a = await rig.openInstance()
  b = await rig.openInstance()
})
after(() => rig.close())

const away = () => new LogError('retriable', 'ANDON_LOG_UNAVAILABLE', 'the broker is away')
const codeOf = (body: string): string => (JSON.parse(body) as { code: string }).code
const derOf = (name: string) => Buffer.from(readFileSync(rig.file(`${name}.pem`), 'utf8').replace(/-----[^-]+-----|\s/g, ''), 'base64')
const refusalOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'accepted'
}

test('claim, enrolment by EST, approval: then, and only then, readings are taken', async () => {
  const claim = await rig.claim(a.url, 'press-1-plc')
  const body = await rig.request('press-1-plc', '/CN=press-1-plc')
  const enrolled = await rig.est(a.url, 'simpleenroll', claim, 'press-1-plc', body)
  assert.equal(enrolled.status, 200, enrolled.body)
  const text = await rig.openssl('x509', '-in', 'press-1-plc.pem', '-noout', '-subject', '-ext', 'subjectAltName,extendedKeyUsage')
  assert.match(text, /O = steel-works, CN = press-1-plc/)
  assert.match(text, /URI:urn:andon:steel-works:press-1-plc/)
  assert.match(text, /TLS Web Client Authentication/)
  const pending = await rig.send(a.url, 'press-1-plc')
  assert.deepEqual([pending.status, codeOf(pending.body)], [403, 'ANDON_INGEST_DEVICE_PENDING'])
  const approved = await rig.api(a.url, '/press-1-plc/approve', { assets: ['press-1'] })
  assert.equal(approved.status, 200, JSON.stringify(approved.json))
  assert.deepEqual([approved.json['status'], approved.json['approvedBy']], ['active', 'p-operator'])
  assert.equal((await rig.send(a.url, 'press-1-plc')).status, 202)
  const { device } = rig.deliveries.at(-1)!
  assert.equal(device?.id, 'press-1-plc')
  await until(() => b.devices.identify(derOf('press-1-plc')) !== undefined, 'the other instance knows it too')
})

test('what the chain says is what openssl says, also on a device whose clock is ten minutes off', async () => {
  const nowS = Math.floor(Date.now() / 1000)
  for (const atS of [nowS - 600, nowS, nowS + 600]) {
    const common = ['verify', '-CAfile', 'ca.pem', '-attime', String(atS)]
    assert.match(await rig.openssl(...common, '-purpose', 'sslclient', 'press-1-plc.pem'), /OK/)
    assert.match(await rig.openssl(...common, '-purpose', 'sslserver', 'door.pem'), /OK/)
  }
  const cacerts = await rig.curl(`${a.url}/.well-known/est/cacerts`)
  rig.file('cacerts.p7', Buffer.from(cacerts.body, 'base64'))
  const subjects = await rig.openssl('pkcs7', '-inform', 'DER', '-in', 'cacerts.p7', '-print_certs', '-noout')
  assert.match(subjects, /subject=CN = Andon test root[\s\S]*subject=O = steel-works, CN = Andon steel-works/)
})

test('openssl refuses what the site’s authority signs for another site', async () => {
  rig.file('elsewhere.pem', pemOf(await issued({ site: 'rolling-mill' })))
  const chain = ['verify', '-CAfile', 'ca.pem']
  await assert.rejects(rig.openssl(...chain, 'elsewhere.pem'), /permitted subtree violation/)
  assert.match(await rig.openssl(...chain, 'press-1-plc.pem'), /OK/)
})

test('a claim enrols once; the same device asking again with the same key gets the same certificate', async () => {
  const claim = await rig.claim(a.url, 'press-2-plc')
  const body = await rig.request('press-2-plc', '/CN=press-2-plc')
  await rig.est(a.url, 'simpleenroll', claim, 'press-2-plc', body)
  const first = readFileSync(rig.file('press-2-plc.pem'), 'utf8')
  assert.equal((await rig.est(b.url, 'simpleenroll', claim, 'press-2-plc', body)).status, 200)
  assert.equal(readFileSync(rig.file('press-2-plc.pem'), 'utf8'), first)
  const thief = await rig.est(a.url, 'simpleenroll', claim, 'thief', await rig.request('thief', '/CN=press-2-plc'))
  assert.deepEqual([thief.status, codeOf(thief.body)], [409, 'ANDON_INGEST_CLAIM_USED'])
  const sent = await rig.send(a.url, claim)
  assert.deepEqual([sent.status, codeOf(sent.body)], [403, 'ANDON_INGEST_CERTIFICATE_IS_A_CLAIM'])
  const renewed = await rig.est(a.url, 'simplereenroll', claim, 'thief', await rig.request('thief', '/CN=press-2-plc'))
  assert.deepEqual([renewed.status, codeOf(renewed.body)], [403, 'ANDON_INGEST_CERTIFICATE_WRONG_KIND'])
})

const asked: readonly (readonly [string, string, readonly string[], RegExp])[] = [
  ['of another device', '/CN=press-9-plc', [], /the common name .*press-9-plc/],
  ['with another URI', '/CN=press-3-plc', ['-addext', 'subjectAltName=URI:urn:andon:steel-works:press-9-plc'], /alternative name url/],
  ['for an authority', '/CN=press-3-plc', ['-addext', 'basicConstraints=critical,CA:TRUE'], /CA:TRUE/],
  ['for a server', '/CN=press-3-plc', ['-addext', 'extendedKeyUsage=serverAuth'], /extended key usage/],
]
for (const [what, subject, more, words] of asked) {
  test(`a request ${what} is refused and leaves the claim unused`, async () => {
    const claim = await rig.claim(a.url, 'press-3-plc')
    const answer = await rig.est(a.url, 'simpleenroll', claim, 'x', await rig.request('x', subject, ...more))
    assert.deepEqual([answer.status, codeOf(answer.body)], [400, 'ANDON_CERTIFICATE_REQUEST'])
    assert.match(answer.body, words)
    const good = await rig.est(a.url, 'simpleenroll', claim, 'press-3-plc', await rig.request('press-3-plc', '/'))
    assert.equal(good.status, 200, good.body)
  })
}

test('EST asks for a certificate, for the method of each operation, and for bytes that it can read', async () => {
  assert.equal((await rig.curl(`${a.url}/.well-known/est/simpleenroll`, '-d', 'x')).status, 401)
  assert.equal((await rig.curl(`${a.url}/.well-known/est/simpleenroll`)).status, 405)
  assert.equal((await rig.curl(`${a.url}/.well-known/est/serverkeygen`)).status, 404)
  const claim = await rig.claim(a.url, 'press-4-plc')
  const big = rig.file('big.b64', 'A'.repeat(40_000))
  assert.equal((await rig.est(a.url, 'simpleenroll', claim, 'x', big)).status, 413)
  assert.equal((await rig.est(a.url, 'simpleenroll', claim, 'x', rig.file('bad.b64', 'hello'))).status, 400)
})

test('during a renewal both certificates count; the key stays on the device', async () => {
  const body = await rig.request('renewed', '/CN=press-1-plc')
  const answer = await rig.est(a.url, 'simplereenroll', 'press-1-plc', 'renewed', body)
  assert.equal(answer.status, 200, answer.body)
  assert.deepEqual([(await rig.send(a.url, 'press-1-plc')).status, (await rig.send(a.url, 'renewed')).status], [202, 202])
  const { json } = await rig.api(a.url, '/press-1-plc')
  const states = json.certificates!.map(({ state, endsUs, notAfterUs }) => [state, endsUs === notAfterUs])
  assert.deepEqual(states, [
    ['valid', true],
    ['valid', false],
  ])
})

test('a renewal while the broker is away is told to come again, and then gives one certificate', async () => {
  await rig.bringIn(a.url, 'press-5-plc', ['press-1'])
  const body = await rig.request('later', '/CN=press-5-plc')
  rig.log.failAppends(() => ({ error: away() }))
  const refused = await rig.est(a.url, 'simplereenroll', 'press-5-plc', 'later', body)
  assert.equal(refused.status, 503, refused.body)
  assert.equal((await rig.send(a.url, 'press-5-plc')).status, 202, 'the certificate it has goes on')
  rig.log.failAppends(undefined)
  assert.equal((await rig.est(a.url, 'simplereenroll', 'press-5-plc', 'later', body)).status, 200)
  const { json } = await rig.api(a.url, '/press-5-plc')
  assert.equal(json.certificates?.length, 2)
})

const name = { kind: 'device', site: SITE, deviceId: 'press-1-plc' } as const
const key = async () =>
  (await rig.openssl('pkey', '-in', 'press-1-plc.key', '-pubout', '-outform', 'PEM')).replace(/-----[^-]+-----|\s/g, '')
const issued = async (more: Partial<{ site: string; fromDays: number; toDays: number }> = {}) => {
  const { site = SITE, fromDays = -1, toDays = 1 } = more
  const day = 86_400_000
  return issueFor(rig.authority, { ...name, site }, Buffer.from(await key(), 'base64'), {
    notBeforeMs: Date.now() + fromDays * day,
    notAfterMs: Date.now() + toDays * day,
  })
}
const strangers = async (): Promise<Buffer> => {
  const other = await openAuthority(await makeSiteAuthority(rig.rootAuthority, SITE))
  const day = 86_400_000
  return issueFor(other, name, Buffer.from(await key(), 'base64'), { notBeforeMs: Date.now() - day, notAfterMs: Date.now() + day })
}

const wrong: readonly (readonly [string, string, () => Promise<Buffer>])[] = [
  ['expired', 'ANDON_INGEST_CERTIFICATE_EXPIRED', () => issued({ fromDays: -3, toDays: -1 })],
  ['not valid yet', 'ANDON_INGEST_CERTIFICATE_NOT_YET_VALID', () => issued({ fromDays: 1, toDays: 2 })],
  ['of another site', 'ANDON_INGEST_SITE_NOT_ALLOWED', () => issued({ site: 'rolling-mill' })],
  ['signed by us and never granted', 'ANDON_INGEST_CERTIFICATE_UNKNOWN', () => issued()],
  ['for servers', 'ANDON_INGEST_CERTIFICATE_WRONG_USAGE', async () => derOf('door')],
  ['of another authority', 'ANDON_INGEST_CERTIFICATE_NOT_OURS', strangers],
  ['that is none', 'ANDON_INGEST_CERTIFICATE_NOT_OURS', async () => Buffer.from('certificate')],
]
for (const [what, code, make] of wrong) {
  test(`a certificate ${what} is refused, and counted`, async () => {
    const der = await make()
    assert.equal(
      refusalOf(() => a.devices.identify(der)),
      code,
    )
    assert.ok((await rig.metric(a.metrics, `andon_ingest_device_refused_total{reason="${code}"`)) > 0)
  })
}

test('over TLS an expired certificate and one of a stranger reach nothing', async () => {
  for (const [file, der] of [
    ['expired', await issued({ fromDays: -3, toDays: -1 })],
    ['stranger', await strangers()],
  ] as const) {
    rig.file(`${file}.pem`, pemOf(der))
    rig.file(`${file}.key`, readFileSync(rig.file('press-1-plc.key')))
    const answer = await rig.send(a.url, file)
    assert.equal(answer.status, 401, answer.body)
  }
})

test('a device speaks for itself, its streams and what the plant file gives to its assets; and feeds its assets', async () => {
  await rig.bringIn(a.url, 'gateway-1', ['press-1', 'press-2'])
  const gateway = a.devices.identify(derOf('gateway-1'))
  const press = a.devices.identify(derOf('press-1-plc'))
  assert.deepEqual(
    ['gateway-1', 'gateway-1:vibration', 'gateway-10', 'meter-7', 'press-2-plc', 'other'].map((source) => gateway.speaksFor(source)),
    [true, true, false, true, false, false],
    'press-2-plc has a certificate of its own',
  )
  assert.deepEqual(
    ['press-1', 'press-2'].map((asset) => press.feeds(asset)),
    [true, false],
  )
  await rig.api(a.url, '/press-1-plc/approve', { assets: ['press-2'] })
  assert.deepEqual(
    ['press-1', 'press-2'].map((asset) => press.feeds(asset)),
    [false, true],
    'holds for live sessions',
  )
  const unknown = await rig.api(a.url, '/press-1-plc/approve', { assets: ['press-77'] })
  assert.deepEqual([unknown.status, unknown.json.code], [422, 'ANDON_INGEST_UNKNOWN_ASSET'])
})

/** A connection that is kept, as a device's client does; says what each request got and when the connection ended. */
const keepAlive = (url: string, device: string) => {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 1,
    ca: readFileSync(rig.config.tlsCa!),
    cert: readFileSync(rig.file(`${device}.pem`)),
    key: readFileSync(rig.file(`${device}.key`)),
  })
  const ended = Promise.withResolvers<void>()
  const sockets = new Set<unknown>()
  const post = () =>
    new Promise<number>((resolve, reject) => {
      const sending = httpsRequest(
        `${url}/v1/telemetry`,
        { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
        (response) => {
          response.resume().once('end', () => resolve(response.statusCode ?? 0))
        },
      )
      sending.once('socket', (socket) => {
        if (!sockets.has(socket)) socket.once('close', () => ended.resolve())
        sockets.add(socket)
      })
      sending.once('error', reject)
      sending.end('[]')
    })
  return { post, ended: ended.promise, connections: () => sockets.size, close: () => agent.destroy() }
}

test('a revoked device loses its live connections on every instance, and gets none again', async () => {
  await rig.bringIn(a.url, 'press-6-plc', ['press-1'])
  await until(() => b.part.ready?.() === true && refusalOf(() => b.devices.identify(derOf('press-6-plc'))) === 'accepted', 'b knows it')
  const [onA, onB] = [keepAlive(a.url, 'press-6-plc'), keepAlive(b.url, 'press-6-plc')]
  assert.deepEqual([await onA.post(), await onA.post(), await onB.post()], [202, 202, 202])
  assert.equal(onA.connections(), 1)
  assert.equal(await rig.metric(a.metrics, 'andon_ingest_device_sessions{door="http"'), 1)
  assert.equal((await rig.api(a.url, '/press-6-plc/revoke', { reason: 'stolen' })).status, 200)
  const startedMs = performance.now()
  await Promise.all([onA.ended, onB.ended])
  assert.ok(performance.now() - startedMs < 5000, 'within 5 s')
  assert.deepEqual(
    [codeOf((await rig.send(a.url, 'press-6-plc')).body), codeOf((await rig.send(b.url, 'press-6-plc')).body)],
    ['ANDON_INGEST_DEVICE_REVOKED', 'ANDON_INGEST_DEVICE_REVOKED'],
  )
  await until(async () => (await rig.metric(a.metrics, 'andon_ingest_device_sessions{door="http"')) === 0, 'no session is counted')
  onA.close()
  onB.close()
})

test('over MQTT a revoked device is told goodbye and disconnected, its neighbour is not', async () => {
  const broker = mqttDoor({
    ...plainMqtt,
    host: '127.0.0.1',
    port: 0,
    devices: a.devices,
    principals: () => principals,
    logger: createLogger({ service: 'ingest', level: 'silent' }),
    metrics: a.metrics,
  })
  await broker.start(
    async () => ({ accepted: 1, duplicates: 0, quarantined: [] }),
    () => undefined,
  )
  try {
    const open = async (device: string) => {
      await rig.bringIn(a.url, device, ['press-1'])
      const client = mqtt.connect({
        protocol: 'mqtts',
        host: 'localhost',
        port: broker.port(),
        protocolVersion: 5,
        reconnectPeriod: 0,
        ca: readFileSync(rig.config.tlsCa!),
        cert: readFileSync(rig.file(`${device}.pem`)),
        key: readFileSync(rig.file(`${device}.key`)),
      })
      await once(client as unknown as EventEmitter, 'connect')
      return client
    }
    const [stolen, neighbour] = [await open('press-10-plc'), await open('press-11-plc')]
    await stolen.publishAsync('andon/press-10-plc/readings', '[]', { qos: 1 })
    const goodbye = once(stolen as unknown as EventEmitter, 'disconnect')
    const ended = once(stolen as unknown as EventEmitter, 'close')
    await rig.api(b.url, '/press-10-plc/revoke', {})
    const [packet] = (await goodbye) as [{ reasonCode: number }]
    assert.equal(packet.reasonCode, 0x87)
    await ended
    await neighbour.publishAsync('andon/press-11-plc/readings', '[]', { qos: 1 })
    await neighbour.endAsync()
  } finally {
    await broker.stop()
  }
})

test('suspended and resumed: silent in between, with the same certificate', async () => {
  assert.equal((await rig.api(b.url, '/gateway-1/suspend', { reason: 'maintenance' })).status, 200)
  assert.equal(codeOf((await rig.send(b.url, 'gateway-1')).body), 'ANDON_INGEST_DEVICE_SUSPENDED')
  const again = await rig.api(b.url, '/gateway-1/suspend', {})
  assert.deepEqual([again.status, again.json.code], [409, 'ANDON_INGEST_DEVICE_STATE'])
  await rig.api(b.url, '/gateway-1/resume', {})
  assert.equal((await rig.send(b.url, 'gateway-1')).status, 202)
})

test('one certificate from two addresses at once raises an alarm, once', async () => {
  await rig.bringIn(a.url, 'press-7-plc', ['press-1'])
  const open = (localAddress: string) =>
    new Promise<ReturnType<typeof connect>>((resolve, reject) => {
      const socket = connect({
        socket: connectTcp({ host: '127.0.0.1', port: a.http.port(), localAddress }),
        servername: 'localhost',
        ca: readFileSync(rig.config.tlsCa!),
        cert: readFileSync(rig.file('press-7-plc.pem')),
        key: readFileSync(rig.file('press-7-plc.key')),
      })
      socket.once('error', reject)
      socket.once('data', () => resolve(socket))
      socket.write('POST /v1/telemetry HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]')
    })
  const clones = () => rig.metric(a.metrics, 'andon_ingest_cloned_certificates_total')
  const [first, same] = [await open('127.0.0.1'), await open('127.0.0.1')]
  assert.equal(await clones(), 0, 'two connections of one device are nothing')
  const other = await open('127.0.0.2')
  assert.equal(await clones(), 1)
  const line = rig.lines.find(({ msg }) => msg.includes('two addresses at once'))
  assert.deepEqual([line?.level, line?.['deviceId'], line?.['addresses']], ['error', 'press-7-plc', ['127.0.0.1', '127.0.0.2']])
  other.destroy()
  ;(await open('127.0.0.2')).destroy()
  assert.equal(await clones(), 1, 'the same pair is told once in ten minutes')
  first.destroy()
  same.destroy()
})

test('roles: an integrator brings devices in and approves none; nobody asks without a token', async () => {
  await rig.api(a.url, '/press-8-plc/claim', {}, 'integrator')
  const refused = await rig.api(a.url, '/press-8-plc/revoke', {}, 'integrator')
  assert.deepEqual([refused.status, refused.json.code], [403, 'ANDON_INGEST_DEVICE_ROLE'])
  assert.equal((await rig.curl(`${a.url}/v1/devices`)).status, 401)
  assert.equal((await rig.api(a.url, '/nobody')).status, 404)
  assert.equal((await rig.api(a.url, '/press-8-plc/approve', { assets: [] })).status, 400)
})

test('an operator enrols a device at once with its request', async () => {
  await rig.request('meter-9', '/CN=meter-9')
  const csr = await rig.openssl('req', '-inform', 'DER', '-in', 'meter-9.der', '-outform', 'PEM')
  const { status, json } = await rig.api(a.url, '/meter-9/enrol', { csr })
  assert.equal(status, 201, JSON.stringify(json))
  rig.file('meter-9.pem', String(json['certificate']))
  await rig.api(a.url, '/meter-9/approve', { assets: ['*'] })
  assert.equal((await rig.send(a.url, 'meter-9')).status, 202)
})

test('what the broker lost is read again, and nobody is judged by half of the log meanwhile', async () => {
  const kept = keepAlive(b.url, 'gateway-1')
  assert.equal(await kept.post(), 202)
  const { high } = (await rig.log.admin.watermarks('devices'))[0]!
  await rig.api(a.url, '/gateway-1/suspend', {})
  await kept.ended
  rig.log.cut('devices', 0, high)
  await until(async () => (await rig.api(b.url, '/gateway-1')).json.status === 'active', 'the suspension is gone with its records')
  const again = keepAlive(b.url, 'gateway-1')
  await until(async () => (await again.post()) === 202, 'it speaks again')
  kept.close()
  again.close()
})

test('the document of the door describes what the door says', async () => {
  interface Document {
    readonly paths: Readonly<Record<string, object>>
    readonly components: { readonly schemas: Readonly<Record<string, { readonly required: readonly string[] }>> }
  }
  const { body } = await rig.curl(`${a.url}/v1/devices/openapi.json`)
  const document = JSON.parse(body) as Document
  const references = [...body.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1] ?? '')
  assert.ok(references.length > 9)
  for (const name of references) assert.ok(document.components.schemas[name], name)
  const { json } = await rig.api(a.url, '/gateway-1')
  assert.deepEqual(Object.keys(json).toSorted(), [...document.components.schemas['Device']!.required].toSorted())
  assert.deepEqual(Object.keys(json.certificates![0]!).toSorted(), [...document.components.schemas['Certificate']!.required].toSorted())
  assert.equal(Object.keys(document.paths).length, 9)
})

test('a renewed certificate of the doors is served without a restart, and open connections go on', async () => {
  const kept = keepAlive(a.url, 'gateway-1')
  assert.equal(await kept.post(), 202)
  const serial = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: 'localhost', port: a.http.port(), ca: readFileSync(rig.config.tlsCa!) })
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
        socket.destroy()
      })
    })
  const before = await serial()
  const next = await makeServerCertificate(rig.authority, SITE, ['localhost', '127.0.0.1'])
  rig.file('door.key', next.key)
  await until(() => rig.lines.some(({ msg }) => msg.includes('cannot be used yet')), 'half a renewal is told')
  assert.equal(await serial(), before, 'and not used')
  rig.file('door.pem', next.certificate + readFileSync(rig.file('site.pem'), 'utf8'))
  await until(async () => (await serial()) !== before, 'the new one is served')
  assert.equal(await kept.post(), 202)
  assert.equal(kept.connections(), 1)
  kept.close()
})

test('a new instance knows all that was decided before it came', async () => {
  const c = await rig.openInstance()
  const ids = async (url: string) => (await rig.api(url, '')).json.devices!.map(({ id, status }) => `${id} ${status}`)
  assert.deepEqual(await ids(c.url), await ids(a.url))
  assert.ok((await ids(c.url)).includes('press-6-plc revoked'))
  assert.equal((await rig.send(c.url, 'meter-9')).status, 202)
})

test('a request whose instance died before it answered is answered by another one', async () => {
  const dying = await rig.openInstance()
  const tried = Promise.withResolvers<void>()
  rig.log.failAppends(([record]) => {
    if (!Buffer.from(record?.value ?? []).includes('DeviceSuspended')) return undefined
    tried.resolve()
    return { error: away() }
  })
  const asking = rig.api(dying.url, '/meter-9/suspend', {})
  await tried.promise
  await dying.part.stop()
  rig.log.failAppends(undefined)
  await until(async () => (await rig.api(b.url, '/meter-9')).json.status === 'suspended', 'somebody else decided')
  assert.equal((await asking).status, 503, 'the one that died has not heard of it')
})
