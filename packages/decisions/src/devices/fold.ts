// records of `devices` → what the mesh knows of its devices. Every reader folds the same way: doors, deciders, console.
//
// Nobody owns this topic. Whoever answers first decides: a fact counts only when it answers the oldest open request, and every
// other one is void for every reader. So requests are decided in log order, once each, on all that was decided before,
// whichever instance is alive; two that answer at the same time cost one record. That suffices here, and not on `actions`,
// because a decision about a device has no effect outside the log.

import type { DeviceCertificate, Devices } from '@andon/schemas'
import { STAMP_BOUND_US } from '../fold.ts'
import type { DeviceEntry, DevicesState, DeviceState, DeviceStatus, DeviceVerdict, HeldCertificate } from './types.ts'

const REMEMBERED_REQUESTS = 50_000
/** Certificates kept per device: the two that may count, and some before them so that a refusal can say why. */
const REMEMBERED_CERTIFICATES = 8

const REQUESTS = new Set([
  'ClaimRequested',
  'EnrolRequested',
  'RenewRequested',
  'ApproveRequested',
  'SuspendRequested',
  'ResumeRequested',
  'RevokeRequested',
  'RevokeCertificateRequested',
  'RetireRequested',
])

export const isDeviceRequest = (record: Devices): boolean => REQUESTS.has(record.type)

export const emptyDevices = (): DevicesState => ({
  nextOffset: 0,
  stampUs: 0,
  pending: new Map(),
  answers: new Map(),
  devices: new Map(),
  holders: new Map(),
  keys: new Map(),
  revokedKeys: new Set(),
})

/** State after all these records. */
export const foldDevices = (entries: Iterable<DeviceEntry>): DevicesState => {
  const state = emptyDevices()
  for (const entry of entries) evolveDevices(state, entry)
  return state
}

/** Folds one more record into the state, in place, and says what became of it. Records below `nextOffset` are repeats. */
export const evolveDevices = (state: DevicesState, { record, offset, appendedUs }: DeviceEntry): DeviceVerdict => {
  if (offset < state.nextOffset) return 'repeat'
  state.nextOffset = offset + 1
  if (isDeviceRequest(record)) return addRequest(state, record)
  const [oldest] = state.pending.keys()
  if (oldest === undefined || record.requestId !== oldest) return 'void-order'
  if (Math.abs(record.atUs - appendedUs) > STAMP_BOUND_US) return 'void-stamp'
  state.pending.delete(oldest)
  const { code, message } = record.refusal ?? { code: null, message: null }
  state.answers.set(oldest, { type: record.type, offset, deviceId: record.deviceId, code, message })
  state.stampUs = Math.max(state.stampUs, record.atUs)
  apply(state, record)
  return 'counted'
}

const addRequest = (state: DevicesState, record: Devices): DeviceVerdict => {
  if (record.id === '' || state.answers.has(record.id)) return 'repeat'
  state.answers.set(record.id, null)
  state.pending.set(record.id, record)
  if (state.answers.size > REMEMBERED_REQUESTS) forgetOldestAnswer(state)
  return 'counted'
}

const forgetOldestAnswer = (state: DevicesState): void => {
  for (const [id, answer] of state.answers) {
    if (answer === null) continue
    state.answers.delete(id)
    return
  }
}

const apply = (state: DevicesState, record: Devices): void => {
  if (record.refusal !== null) return
  const device = deviceOf(state, record)
  device.last = { type: record.type, atUs: record.atUs, by: record.by, reason: record.reason }
  switch (record.type) {
    case 'ClaimIssued':
      device.claim = record.claim
      return
    case 'DeviceEnrolled':
      return enrol(state, device, record)
    case 'CertificateRenewed':
      if (record.certificate) hold(state, device, record.certificate, record.atUs, record.overlapUs ?? 0)
      return
    case 'DeviceApproved':
      device.status = 'active'
      device.assets = record.assets
      device.approvedUs = record.atUs
      device.approvedBy = record.by
      return
    case 'DeviceSuspended':
      device.status = 'suspended'
      return
    case 'DeviceResumed':
      device.status = 'active'
      return
    case 'DeviceRevoked':
      return end(state, device, 'revoked')
    case 'DeviceRetired':
      return end(state, device, 'retired')
    case 'CertificateRevoked':
      return revoke(state, device, (one) => one.sha256 === record.credentialDigest)
  }
}

const deviceOf = (state: DevicesState, { deviceId, site, type, atUs, by, reason }: Devices): DeviceState => {
  const known = state.devices.get(deviceId)
  if (known) return known
  const device: DeviceState = {
    id: deviceId,
    site,
    status: 'claimed',
    claim: null,
    usedClaim: null,
    certificates: [],
    assets: [],
    enrolledUs: null,
    approvedUs: null,
    approvedBy: null,
    last: { type, atUs, by, reason },
  }
  state.devices.set(deviceId, device)
  return device
}

/** An enrolment starts anew: what the device had before counts no more, and a person has to approve it. */
const enrol = (state: DevicesState, device: DeviceState, record: Devices): void => {
  if (device.claim !== null && device.claim.sha256 === record.credentialDigest) {
    device.usedClaim = device.claim.sha256
    device.claim = null
  }
  device.status = 'pending'
  device.enrolledUs = record.atUs
  device.approvedUs = null
  device.approvedBy = null
  if (record.certificate) hold(state, device, record.certificate, record.atUs, 0)
}

/** Adds a certificate; the newest before it counts until the overlap is over, older ones no more. */
const hold = (state: DevicesState, device: DeviceState, certificate: DeviceCertificate, atUs: number, overlapUs: number): void => {
  const before = device.certificates.map((one, index, all) => {
    const lastUs = index === all.length - 1 ? atUs + overlapUs : atUs
    return { ...one, endsUs: Math.min(one.endsUs, lastUs) }
  })
  const added: HeldCertificate = { ...certificate, der: Buffer.from(certificate.der), endsUs: certificate.notAfterUs, isRevoked: false }
  const all = [...before, added]
  const kept = all.slice(-REMEMBERED_CERTIFICATES)
  for (const one of all.slice(0, -REMEMBERED_CERTIFICATES)) state.holders.delete(one.sha256)
  device.certificates = kept
  state.holders.set(certificate.sha256, device.id)
  state.keys.set(certificate.spkiSha256, device.id)
}

const end = (state: DevicesState, device: DeviceState, status: DeviceStatus): void => {
  device.status = status
  device.claim = null
  revoke(state, device, () => true)
}

const revoke = (state: DevicesState, device: DeviceState, which: (certificate: HeldCertificate) => boolean): void => {
  device.certificates = device.certificates.map((one) => {
    if (!which(one)) return one
    state.revokedKeys.add(one.spkiSha256)
    return { ...one, isRevoked: true }
  })
}
