// Which mode the doors are in, and whose data may come in: decided at the start and by the plant file, with one clear message.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { decideDevice, deviceRequest, emptyDevices, evolveDevices } from '@andon/decisions/devices'
import { createLogger, createMetrics } from '@andon/kit'
import { describeCertificate, issueFor, makeRoot, openAuthority } from '@andon/kit/pki'
import { parsePlant } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { SecureDevices } from '../src/devices.ts'
import type { DeviceRegistry } from '../src/devices/registry.ts'
import { siteObjection } from '../src/devices/site-rule.ts'

const refused = (environment: Record<string, string>): string => {
  try {
    loadConfig({ INGEST_DOORS: 'http', ...environment })
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}
const here = import.meta.filename
const tls = { INGEST_TLS_KEY: here, INGEST_TLS_CERT: here, INGEST_TLS_CA: here }

test('plain mode stays on this machine: another address is refused at the start', () => {
  for (const host of ['127.0.0.1', '127.4.5.6', '::1', 'localhost']) assert.equal(refused({ ANDON_HOST: host }), 'accepted')
  for (const host of ['0.0.0.0', '::', '10.0.0.7', 'ingest', '127.0.0.1.example.org'])
    assert.match(refused({ ANDON_HOST: host }), /ANDON_HOST: found .*, expected a loopback address/)
  assert.equal(refused({ ANDON_HOST: '0.0.0.0', ...tls }), 'accepted')
})

test('half a configuration of certificates is refused, naming the setting', () => {
  assert.match(refused({ INGEST_TLS_KEY: here }), /INGEST_TLS_CERT: expected a file/)
  assert.match(refused({ ...tls, INGEST_TLS_CA: '/nowhere/ca.pem' }), /INGEST_TLS_CA: expected a file, found .*ca.pem, which is not there/)
  assert.match(refused({ ...tls, INGEST_CA_CERT: here }), /INGEST_CA_KEY: expected a file/)
  assert.match(refused({ INGEST_CA_KEY: here, INGEST_CA_CERT: here }), /INGEST_TLS_KEY: expected a file, since devices enrol over TLS/)
  assert.equal(refused({ ...tls, INGEST_CA_KEY: here, INGEST_CA_CERT: here }), 'accepted')
})

const plantOf = (clusters?: readonly string[]) =>
  parsePlant({
    version: 1,
    site: { id: 'steel-works', name: 'Steel works', timezone: 'Europe/Vienna', ...(clusters ? { clusters } : {}) },
    lines: [{ id: 'line-1', name: 'Line 1', area: 'hall-1' }],
    assetClasses: [],
    assets: [],
  })

test('a site’s data reaches the clusters that its plant file names, and no other', () => {
  const codeOf = (clusters: readonly string[] | undefined, cluster: string | null) => siteObjection(plantOf(clusters), cluster)?.code
  assert.equal(codeOf(undefined, null), undefined)
  assert.equal(codeOf(undefined, 'us-1'), undefined)
  assert.equal(codeOf(['eu-1', 'eu-2'], 'eu-2'), undefined)
  assert.equal(codeOf(['eu-1'], 'us-1'), 'ANDON_INGEST_SITE_NOT_ALLOWED')
  assert.equal(codeOf(['eu-1'], null), 'ANDON_INGEST_SITE_NOT_ALLOWED')
  assert.match(siteObjection(plantOf(['eu-1']), 'us-1')!.message, /site steel-works may reach eu-1 .*; this process runs in us-1/)
})

test('a plant file that names no cluster in its list is refused', () => {
  assert.throws(() => plantOf([]), /site\.clusters/)
})

test('while the topic is read again nobody is identified, and nobody is cut off', async () => {
  const { devices, der, reader } = await oneDevice()
  const cut: string[] = []
  devices.onCutOff((deviceId) => cut.push(deviceId))
  assert.equal(devices.identify(der).id, 'press-1-plc')
  Object.assign(reader, { isRead: false, state: emptyDevices() })
  devices.sweep()
  assert.throws(() => devices.identify(der), { code: 'ANDON_INGEST_DEVICES_NOT_READ' })
  assert.deepEqual(cut, [])
  reader.isRead = true
  devices.sweep()
  assert.deepEqual(cut, ['press-1-plc'])
})

test('a device that has a newer certificate is not cut off when the older one ends', async () => {
  const { devices, der, reader, clock, issue } = await oneDevice()
  const cut: string[] = []
  devices.onCutOff((deviceId) => cut.push(deviceId))
  devices.identify(der)
  const next = await issue()
  reader.ask('RenewRequested', {
    certificate: describeCertificate(next),
    overlapUs: 1_000_000,
    credentialDigest: describeCertificate(der).sha256,
  })
  devices.identify(next)
  clock.nowUs += 2_000_000
  devices.sweep()
  assert.throws(() => devices.identify(der), { code: 'ANDON_INGEST_CERTIFICATE_SUPERSEDED' })
  assert.deepEqual(cut, [])
  clock.nowUs += 31 * 86_400_000_000
  devices.sweep()
  assert.deepEqual(cut, ['press-1-plc'])
})

/** One active device on a log that is a list. */
const oneDevice = async () => {
  const site = await openAuthority(await makeRoot('root'))
  const clock = { nowUs: Date.now() * 1000 }
  const issue = async () => {
    const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const nowMs = clock.nowUs / 1000
    const validity = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 30 * 86_400_000 }
    const spki = keys.publicKey.export({ format: 'der', type: 'spki' })
    return issueFor(site, { kind: 'device', site: 'steel-works', deviceId: 'press-1-plc' }, spki, validity)
  }
  let offset = 0
  const reader = {
    isRead: true,
    state: emptyDevices(),
    onChange: () => () => undefined,
    ask: (type: string, fields: Parameters<typeof deviceRequest>[4]) => {
      const name = { deviceId: 'press-1-plc', site: 'steel-works' }
      const request = deviceRequest(type, `${type}-${offset}`, name, clock.nowUs, { by: 'p', roles: ['operator'], ...fields })
      evolveDevices(reader.state, { record: request, offset: offset++, appendedUs: clock.nowUs })
      const fact = decideDevice(request, reader.state, { atUs: clock.nowUs })
      assert.equal(fact.refusal, null, fact.refusal?.message)
      evolveDevices(reader.state, { record: fact, offset: offset++, appendedUs: clock.nowUs })
    },
  }
  const der = await issue()
  reader.ask('EnrolRequested', { certificate: describeCertificate(der) })
  reader.ask('ApproveRequested', { assets: ['*'] })
  const pem = Buffer.from(site.certificate)
  const devices = new SecureDevices({
    tls: { key: pem, cert: pem, ca: pem },
    registry: () => reader as unknown as DeviceRegistry,
    logger: createLogger({ service: 'ingest', level: 'silent' }),
    metrics: createMetrics('ingest'),
    nowUs: () => clock.nowUs,
    monotonicMs: () => clock.nowUs / 1000,
  })
  devices.usePlant(plantOf())
  return { devices, der, reader, clock, issue }
}
