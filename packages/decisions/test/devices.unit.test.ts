// What the device kernel promises: requests decided once, in log order, and nobody speaks who may not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DeviceCertificate, Devices } from '@andon/schemas'
import { decideDevice, deviceRequest, emptyDevices, evolveDevices, foldDevices, standing } from '../src/devices/index.ts'
import type { DeviceEntry, DevicesState } from '../src/devices/index.ts'

const T0 = 1_790_000_000_000_000
const SECOND = 1_000_000
const DAY = 86_400 * SECOND
const OVERLAP = 3600 * SECOND

const certificateOf = (name: string, key = name): DeviceCertificate => ({
  serial: name,
  sha256: `sha-${name}`,
  spkiSha256: `key-${key}`,
  notBeforeUs: T0 - 900 * SECOND,
  notAfterUs: T0 + 30 * DAY,
  der: Buffer.from(name),
})

type Fields = Parameters<typeof deviceRequest>[4]
const OPERATOR = { by: 'p-operator', roles: ['operator'] }
let asked = 0
const request = (type: string, deviceId: string, fields: Fields = {}, id = `r-${asked++}`): Devices =>
  deviceRequest(type, id, { deviceId, site: 'site-a' }, T0, fields)
const asksFor = (deviceId: string, claim: string) =>
  request('ClaimRequested', deviceId, { ...OPERATOR, claim: { serial: claim, sha256: claim, notAfterUs: T0 + DAY } })
const enrols = (deviceId: string, claim: string, certificate: DeviceCertificate) =>
  request('EnrolRequested', deviceId, { by: deviceId, credentialDigest: claim, certificate })
const renews = (deviceId: string, shown: string, certificate: DeviceCertificate) =>
  request('RenewRequested', deviceId, { by: deviceId, credentialDigest: `sha-${shown}`, certificate, overlapUs: OVERLAP })
const approves = (deviceId: string, fields: Fields = {}) =>
  request('ApproveRequested', deviceId, { ...OPERATOR, assets: ['press-1'], ...fields })
const asks = (type: string, deviceId: string, fields: Fields = {}) => request(type, deviceId, { ...OPERATOR, ...fields })

/** The log and one instance that decides at once. */
class Mesh {
  readonly entries: DeviceEntry[] = []
  readonly state = emptyDevices()
  nowUs = T0

  append(record: Devices, appendedUs = this.nowUs) {
    const entry = { record, offset: this.entries.length, appendedUs }
    this.entries.push(entry)
    return evolveDevices(this.state, entry)
  }

  /** Gives the answering fact: its type, or the code of the refusal. */
  ask(record: Devices): string {
    this.append(record)
    const fact = decideDevice(record, this.state, { atUs: this.nowUs })
    this.append(fact)
    return fact.refusal?.code ?? fact.type
  }

  speaks(certificate: string): string | null {
    return standing(this.state, `sha-${certificate}`, this.nowUs).code
  }
}

const active = (mesh = new Mesh()) => {
  mesh.ask(asksFor('press-1-plc', 'claim-1'))
  mesh.ask(enrols('press-1-plc', 'claim-1', certificateOf('c1')))
  mesh.ask(approves('press-1-plc'))
  return mesh
}

test('a device speaks after claim, enrolment and approval, and not before', () => {
  const mesh = new Mesh()
  assert.equal(mesh.ask(asksFor('press-1-plc', 'claim-1')), 'ClaimIssued')
  assert.equal(mesh.speaks('c1'), 'ANDON_INGEST_CERTIFICATE_UNKNOWN')
  assert.equal(mesh.ask(enrols('press-1-plc', 'claim-1', certificateOf('c1'))), 'DeviceEnrolled')
  assert.equal(mesh.speaks('c1'), 'ANDON_INGEST_DEVICE_PENDING')
  assert.equal(mesh.ask(approves('press-1-plc')), 'DeviceApproved')
  assert.equal(mesh.speaks('c1'), null)
  const device = mesh.state.devices.get('press-1-plc')
  assert.deepEqual([device?.approvedBy, device?.assets], ['p-operator', ['press-1']])
})

test('a claim certificate is good for one enrolment: the first in the log has it', () => {
  const mesh = new Mesh()
  mesh.ask(asksFor('press-1-plc', 'claim-1'))
  const thief = enrols('press-1-plc', 'claim-1', certificateOf('thief'))
  const owner = enrols('press-1-plc', 'claim-1', certificateOf('owner'))
  mesh.append(thief)
  mesh.append(owner)
  mesh.append(decideDevice(thief, mesh.state, { atUs: T0 }))
  mesh.append(decideDevice(owner, mesh.state, { atUs: T0 }))
  assert.equal(mesh.state.answers.get(thief.id)?.type, 'DeviceEnrolled')
  assert.equal(mesh.state.answers.get(owner.id)?.code, 'ANDON_INGEST_CLAIM_USED')
})

test('a claim that expired, was replaced, or is of another device enrols nobody', () => {
  const mesh = new Mesh()
  mesh.ask(asksFor('press-1-plc', 'claim-1'))
  mesh.ask(asksFor('press-1-plc', 'claim-2'))
  assert.equal(mesh.ask(enrols('press-1-plc', 'claim-1', certificateOf('c1'))), 'ANDON_INGEST_CLAIM_UNKNOWN')
  assert.equal(mesh.ask(enrols('press-2-plc', 'claim-2', certificateOf('c1'))), 'ANDON_INGEST_CLAIM_UNKNOWN')
  mesh.nowUs = T0 + DAY + 1
  assert.equal(mesh.ask(enrols('press-1-plc', 'claim-2', certificateOf('c1'))), 'ANDON_INGEST_CLAIM_EXPIRED')
})

test('the same request twice is answered once', () => {
  const mesh = new Mesh()
  const claim = asksFor('press-1-plc', 'claim-1')
  mesh.ask(claim)
  assert.equal(mesh.append(claim), 'repeat')
  assert.equal(mesh.state.pending.size, 0)
})

test('two instances that answer at once decide once: the second fact counts for nobody', () => {
  const mesh = new Mesh()
  const claim = asksFor('press-1-plc', 'claim-1')
  mesh.append(claim)
  const fact = decideDevice(claim, mesh.state, { atUs: T0 })
  assert.equal(mesh.append(fact), 'counted')
  assert.equal(mesh.append({ ...fact, refusal: { code: 'ANDON_INGEST_DEVICE_ROLE', message: 'no' } }), 'void-order')
  assert.equal(mesh.state.answers.get(claim.id)?.code, null)
})

test('a fact that answers a later request before the oldest is void', () => {
  const mesh = active()
  const suspend = asks('SuspendRequested', 'press-1-plc')
  const revoke = asks('RevokeRequested', 'press-1-plc')
  mesh.append(suspend)
  mesh.append(revoke)
  assert.equal(mesh.append(decideDevice(revoke, mesh.state, { atUs: T0 })), 'void-order')
  assert.equal(mesh.state.devices.get('press-1-plc')?.status, 'active')
})

test('a decision stamped by a clock more than a minute off counts for nobody, and the request stays open', () => {
  const mesh = new Mesh()
  const claim = asksFor('press-1-plc', 'claim-1')
  mesh.append(claim)
  assert.equal(mesh.append(decideDevice(claim, mesh.state, { atUs: T0 + 61 * SECOND })), 'void-stamp')
  assert.equal(mesh.append(decideDevice(claim, mesh.state, { atUs: T0 + 59 * SECOND })), 'counted')
})

test('roles: an integrator brings a device in, and does not approve it', () => {
  const mesh = new Mesh()
  const integrator = { by: 'p-integrator', roles: ['integrator'] }
  assert.equal(mesh.ask(request('EnrolRequested', 'press-1-plc', { ...integrator, certificate: certificateOf('c1') })), 'DeviceEnrolled')
  assert.equal(mesh.ask(approves('press-1-plc', integrator)), 'ANDON_INGEST_DEVICE_ROLE')
  assert.equal(
    mesh.ask(request('EnrolRequested', 'x', { by: 'p', roles: ['ingest'], certificate: certificateOf('c2') })),
    'ANDON_INGEST_DEVICE_ROLE',
  )
  assert.equal(mesh.ask(asks('RevokeRequested', 'press-1-plc', integrator)), 'ANDON_INGEST_DEVICE_ROLE')
})

test('a device in use is enrolled anew only by those who decide about it', () => {
  const mesh = active()
  const integrator = { by: 'p-integrator', roles: ['integrator'] }
  const claim = { serial: 'c', sha256: 'c', notAfterUs: T0 + DAY }
  assert.equal(mesh.ask(request('ClaimRequested', 'press-1-plc', { ...integrator, claim })), 'ANDON_INGEST_DEVICE_ROLE')
  const again = { ...integrator, certificate: certificateOf('c2') }
  assert.equal(mesh.ask(request('EnrolRequested', 'press-1-plc', again)), 'ANDON_INGEST_DEVICE_ROLE')
  assert.equal(mesh.ask(request('EnrolRequested', 'press-1-plc', { ...again, ...OPERATOR })), 'DeviceEnrolled')
  assert.equal(mesh.speaks('c1'), 'ANDON_INGEST_CERTIFICATE_SUPERSEDED')
})

test('an approval names assets, and the certificate that was looked at if it names one', () => {
  const mesh = new Mesh()
  mesh.ask(asksFor('press-1-plc', 'claim-1'))
  mesh.ask(enrols('press-1-plc', 'claim-1', certificateOf('c1')))
  assert.equal(mesh.ask(approves('press-1-plc', { assets: [] })), 'ANDON_INGEST_DEVICE_MALFORMED')
  assert.equal(mesh.ask(approves('press-1-plc', { credentialDigest: 'sha-other' })), 'ANDON_INGEST_DEVICE_CHANGED')
  assert.equal(mesh.ask(approves('press-1-plc', { credentialDigest: 'sha-c1' })), 'DeviceApproved')
})

test('two certificates count during a renewal, the older one until the overlap ends', () => {
  const mesh = active()
  assert.equal(mesh.ask(renews('press-1-plc', 'c1', certificateOf('c2'))), 'CertificateRenewed')
  assert.deepEqual([mesh.speaks('c1'), mesh.speaks('c2')], [null, null])
  mesh.nowUs += OVERLAP
  assert.deepEqual([mesh.speaks('c1'), mesh.speaks('c2')], ['ANDON_INGEST_CERTIFICATE_SUPERSEDED', null])
})

test('a third certificate ends the first at once', () => {
  const mesh = active()
  mesh.ask(renews('press-1-plc', 'c1', certificateOf('c2')))
  mesh.ask(renews('press-1-plc', 'c2', certificateOf('c3')))
  assert.deepEqual(
    ['c1', 'c2', 'c3'].map((one) => mesh.speaks(one)),
    ['ANDON_INGEST_CERTIFICATE_SUPERSEDED', null, null],
  )
})

test('a renewal is asked with a certificate of that device that still counts', () => {
  const mesh = active()
  assert.equal(mesh.ask(renews('press-2-plc', 'c1', certificateOf('c2'))), 'ANDON_INGEST_DEVICE_NOT_ITS_NAME')
  mesh.ask(asks('SuspendRequested', 'press-1-plc'))
  assert.equal(mesh.ask(renews('press-1-plc', 'c1', certificateOf('c2'))), 'ANDON_INGEST_DEVICE_SUSPENDED')
})

test('a revoked device, key or certificate never speaks again; a new key, enrolled and approved, does', () => {
  const mesh = active()
  assert.equal(mesh.ask(asks('RevokeRequested', 'press-1-plc', { reason: 'stolen' })), 'DeviceRevoked')
  assert.equal(mesh.speaks('c1'), 'ANDON_INGEST_DEVICE_REVOKED')
  mesh.ask(asksFor('press-1-plc', 'claim-2'))
  assert.equal(mesh.ask(enrols('press-1-plc', 'claim-2', certificateOf('c2', 'c1'))), 'ANDON_INGEST_DEVICE_KEY_REVOKED')
  assert.equal(mesh.ask(enrols('press-1-plc', 'claim-2', certificateOf('c2'))), 'DeviceEnrolled')
  mesh.ask(approves('press-1-plc'))
  assert.deepEqual([mesh.speaks('c1') !== null, mesh.speaks('c2')], [true, null])
})

test('one revoked certificate leaves the other one of the device alone', () => {
  const mesh = active()
  mesh.ask(renews('press-1-plc', 'c1', certificateOf('c2')))
  assert.equal(mesh.ask(asks('RevokeCertificateRequested', 'press-1-plc', { credentialDigest: 'sha-c1' })), 'CertificateRevoked')
  assert.deepEqual([mesh.speaks('c1'), mesh.speaks('c2')], ['ANDON_INGEST_CERTIFICATE_REVOKED', null])
})

test('the key of another device enrols nobody', () => {
  const mesh = active()
  mesh.ask(asksFor('press-2-plc', 'claim-9'))
  assert.equal(mesh.ask(enrols('press-2-plc', 'claim-9', certificateOf('c9', 'c1'))), 'ANDON_INGEST_DEVICE_KEY_IN_USE')
})

test('a retired device stays retired', () => {
  const mesh = active()
  assert.equal(mesh.ask(asks('RetireRequested', 'press-1-plc')), 'DeviceRetired')
  assert.equal(mesh.ask(asksFor('press-1-plc', 'claim-2')), 'ANDON_INGEST_DEVICE_RETIRED')
  assert.equal(mesh.ask(asks('ResumeRequested', 'press-1-plc')), 'ANDON_INGEST_DEVICE_STATE')
})

test('a certificate counts from its beginning to its end', () => {
  const mesh = active()
  assert.equal(standing(mesh.state, 'sha-c1', T0 - 901 * SECOND).code, 'ANDON_INGEST_CERTIFICATE_NOT_YET_VALID')
  assert.equal(standing(mesh.state, 'sha-c1', T0 - 600 * SECOND).code, null)
  assert.equal(standing(mesh.state, 'sha-c1', T0 + 30 * DAY).code, 'ANDON_INGEST_CERTIFICATE_EXPIRED')
})

test('records of the first version decide nothing', () => {
  const mesh = new Mesh()
  const old = { ...request('DeviceEnrolled', 'd', {}, ''), by: 'p' }
  assert.equal(mesh.append(old), 'void-order')
  assert.equal(mesh.state.devices.size, 0)
})

// --- random interleavings -----------------------------------------------------------------------------------------------------------

const names = ['d1', 'd2'] as const
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('decide' as const),
      instance: fc.nat(2),
      isBehind: fc.boolean(),
      skewS: fc.constantFrom(0, 0, 0, 5, -90),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('catch-up' as const), instance: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('land' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), s: fc.nat(2000) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      what: fc.constantFrom(
        'claim',
        'enrol',
        'enrol',
        'approve',
        'approve',
        'renew',
        'suspend',
        'resume',
        'revoke',
        'revoke-certificate',
        'retire',
      ),
      device: fc.constantFrom(...names),
      credential: fc.nat(1),
      key: fc.nat(4),
      twice: fc.boolean(),
    }),
  },
)

const askOf = (what: string, device: string, credential: number, key: number, serial: number): Devices => {
  const certificate = { ...certificateOf(`${serial}`, `${key}`), sha256: `sha-${serial}` }
  switch (what) {
    case 'claim':
      return asksFor(device, `claim-${credential}`)
    case 'enrol':
      return enrols(device, `claim-${credential}`, certificate)
    case 'renew':
      return renews(device, `${serial - 1 - credential}`, certificate)
    case 'approve':
      return approves(device)
    case 'revoke-certificate':
      return asks('RevokeCertificateRequested', device, { credentialDigest: `sha-${serial - 1 - credential}` })
    default:
      return asks(`${what[0]?.toUpperCase()}${what.slice(1)}Requested`, device)
  }
}

const plain = (state: DevicesState) =>
  JSON.stringify([...state.devices], (_key, value: unknown) => (value instanceof Map ? [...value] : value))

test('whatever three instances do, requests are answered once, in log order, and only an active device speaks', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const log: DeviceEntry[] = []
      let nowUs = T0
      let serial = 0
      const instances = [emptyDevices(), emptyDevices(), emptyDevices()]
      const underWay: Devices[] = []
      const append = (record: Devices) => log.push({ record, offset: log.length, appendedUs: nowUs })
      const catchUp = (state: DevicesState) => log.slice(state.nextOffset).forEach((entry) => evolveDevices(state, entry))
      for (const one of steps) {
        if (one.kind === 'wait') nowUs += one.s * SECOND
        else if (one.kind === 'catch-up') catchUp(instances[one.instance]!)
        else if (one.kind === 'ask') {
          const asking = askOf(one.what, one.device, one.credential, one.key, serial++)
          append(asking)
          if (one.twice) underWay.push(asking)
        } else if (one.kind === 'land') {
          const [late] = underWay.splice(one.which % (underWay.length || 1), 1)
          if (late) append(late)
        } else {
          const state = instances[one.instance]!
          if (!one.isBehind) catchUp(state)
          const [oldest] = state.pending.values()
          if (!oldest) continue
          const fact = decideDevice(oldest, state, { atUs: Math.max(state.stampUs, nowUs) + one.skewS * SECOND })
          if (one.skewS === 5) underWay.push(fact)
          else append(fact)
        }
      }
      instances.forEach(catchUp)
      assert.equal(plain(instances[0]!), plain(foldDevices(log)))

      // An independent reading of the log: what counted, and what it means for who may speak.
      const seen = emptyDevices()
      const status = new Map<string, string>()
      const answered = new Map<string, number>()
      const claimsUsed = new Map<string, number>()
      const order: string[] = []
      const askedOrder: string[] = []
      const dead = new Set<string>()
      for (const entry of log) {
        const { record } = entry
        const verdict = evolveDevices(seen, entry)
        if (verdict !== 'counted') continue
        if (record.requestId === null) askedOrder.push(record.id)
        else {
          order.push(record.requestId)
          answered.set(record.requestId, (answered.get(record.requestId) ?? 0) + 1)
          if (record.refusal === null) {
            if (record.type === 'DeviceEnrolled')
              claimsUsed.set(
                `${record.deviceId} ${record.credentialDigest}`,
                (claimsUsed.get(`${record.deviceId} ${record.credentialDigest}`) ?? 0) + 1,
              )
            if (record.type === 'ClaimIssued') claimsUsed.delete(`${record.deviceId} ${record.claim?.sha256}`)
            if (/^Device(Enrolled|Approved|Suspended|Resumed|Revoked|Retired)$/.test(record.type)) status.set(record.deviceId, record.type)
            const device = seen.devices.get(record.deviceId)
            if (/^Device(Revoked|Retired)$/.test(record.type)) for (const held of device?.certificates ?? []) dead.add(held.spkiSha256)
            if (record.type === 'CertificateRevoked')
              for (const held of device?.certificates ?? []) if (held.sha256 === record.credentialDigest) dead.add(held.spkiSha256)
          }
        }
        for (const name of names) {
          const speaking = (seen.devices.get(name)?.certificates ?? []).filter(
            (held) => standing(seen, held.sha256, entry.appendedUs).code === null,
          )
          const may = status.get(name) === 'DeviceApproved' || status.get(name) === 'DeviceResumed'
          assert.ok(speaking.length === 0 || may, `${name} speaks after ${status.get(name)}`)
          assert.ok(speaking.length <= 2, 'at most two certificates count')
        }
        for (const device of seen.devices.values())
          for (const held of device.certificates)
            if (record.type === 'DeviceEnrolled' && record.refusal === null && device.certificates.at(-1) === held)
              assert.ok(!dead.has(held.spkiSha256) || held.isRevoked, 'a revoked key came back')
      }
      assert.deepEqual(order, askedOrder.slice(0, order.length), 'decided in log order')
      assert.ok([...answered.values()].every((count) => count === 1))
      assert.ok(
        [...claimsUsed.values()].every((count) => count <= 1),
        'a claim enrolled twice',
      )
    }),
    { numRuns: 400 },
  )
})
