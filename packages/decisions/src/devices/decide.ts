// request, state → the one fact that answers it. No clock, no network: log order decides between two that want the same.

import type { DeviceCertificate, Devices } from '@andon/schemas'
import { deviceFact, deviceRefused } from './records.ts'
import { standing } from './standing.ts'
import type { DeviceDecision, DevicesState, DeviceState, DeviceStatus } from './types.ts'

/** Who may bring a device in: it still has to be approved. */
export const DEVICE_ENROLLERS: readonly string[] = ['operator', 'shift-lead', 'process-engineer', 'integrator']
/** Who may decide about a device. */
export const DEVICE_APPROVERS: readonly string[] = ['operator', 'shift-lead', 'process-engineer']

type Rule = (request: Devices, state: DevicesState, decision: DeviceDecision) => Devices

class Refusal extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

const demandRole = (request: Devices, roles: readonly string[]): void => {
  if (!(request.roles ?? []).some((role) => roles.includes(role)))
    throw new Refusal('ANDON_INGEST_DEVICE_ROLE', `${request.type} needs one of the roles ${roles.join(', ')}`)
}

const known = (request: Devices, state: DevicesState): DeviceState => {
  const device = state.devices.get(request.deviceId)
  if (!device) throw new Refusal('ANDON_INGEST_DEVICE_UNKNOWN', `No device ${request.deviceId} is known; \`andon devices ls\` shows all`)
  if (device.site !== request.site) throw wrongSite(request, device)
  return device
}

const wrongSite = (request: Devices, device: DeviceState) =>
  new Refusal('ANDON_INGEST_DEVICE_WRONG_SITE', `Device ${device.id} is of site ${device.site}, found ${request.site}`)

const demandStatus = (device: DeviceState, ...statuses: readonly DeviceStatus[]): void => {
  if (!statuses.includes(device.status))
    throw new Refusal(
      'ANDON_INGEST_DEVICE_STATE',
      `Device ${device.id} is ${device.status}; this is for one that is ${statuses.join(' or ')}`,
    )
}

/** Whoever enrols a device anew silences it until it is approved: for one that is in use, that is a decision about it. */
const enrollersOf = (device: DeviceState | undefined): readonly string[] =>
  device?.status === 'active' || device?.status === 'suspended' ? DEVICE_APPROVERS : DEVICE_ENROLLERS

/** What may come in again: anything but a retired device, and none of another site. */
const mayComeIn = (request: Devices, state: DevicesState): DeviceState | undefined => {
  const device = state.devices.get(request.deviceId)
  if (device && device.site !== request.site) throw wrongSite(request, device)
  if (device?.status === 'retired')
    throw new Refusal('ANDON_INGEST_DEVICE_RETIRED', `Device ${device.id} was retired; enrol the new one under an id of its own`)
  return device
}

const demandCertificate = (request: Devices, state: DevicesState): DeviceCertificate => {
  const { certificate } = request
  if (!certificate) throw new Refusal('ANDON_INGEST_DEVICE_MALFORMED', `${request.type} carries no certificate`)
  if (state.revokedKeys.has(certificate.spkiSha256))
    throw new Refusal('ANDON_INGEST_DEVICE_KEY_REVOKED', 'This key was revoked: make a new key on the device')
  const holder = state.keys.get(certificate.spkiSha256)
  if (holder !== undefined && holder !== request.deviceId)
    throw new Refusal('ANDON_INGEST_DEVICE_KEY_IN_USE', `This key is that of device ${holder}: each device makes a key of its own`)
  if (state.holders.has(certificate.sha256)) throw new Refusal('ANDON_INGEST_DEVICE_MALFORMED', 'This certificate is on the log already')
  return certificate
}

const claim: Rule = (request, state, { atUs }) => {
  demandRole(request, enrollersOf(mayComeIn(request, state)))
  if (!request.claim) throw new Refusal('ANDON_INGEST_DEVICE_MALFORMED', 'ClaimRequested carries no claim')
  return deviceFact('ClaimIssued', request, atUs, { claim: request.claim })
}

const enrol: Rule = (request, state, { atUs }) => {
  const device = mayComeIn(request, state)
  if (request.credentialDigest === '') demandRole(request, enrollersOf(device))
  else demandClaim(request, device, atUs)
  const certificate = demandCertificate(request, state)
  return deviceFact('DeviceEnrolled', request, atUs, { certificate, credentialDigest: request.credentialDigest })
}

const demandClaim = (request: Devices, device: DeviceState | undefined, atUs: number): void => {
  const sha256 = request.credentialDigest
  if (device !== undefined && device.usedClaim === sha256)
    throw new Refusal('ANDON_INGEST_CLAIM_USED', 'This claim certificate was used: it is good for one enrolment. Ask for a new one')
  if (device?.claim?.sha256 !== sha256)
    throw new Refusal(
      'ANDON_INGEST_CLAIM_UNKNOWN',
      `No open claim of ${request.deviceId} is this one: another took its place, or it was revoked`,
    )
  if (atUs > device.claim.notAfterUs)
    throw new Refusal('ANDON_INGEST_CLAIM_EXPIRED', 'This claim certificate has expired. Ask for a new one')
}

const renew: Rule = (request, state, { atUs }) => {
  const found = standing(state, request.credentialDigest, atUs)
  const isPending = found.code === 'ANDON_INGEST_DEVICE_PENDING'
  if (found.code !== null && !isPending) throw new Refusal(found.code, found.message)
  if (state.holders.get(request.credentialDigest) !== request.deviceId)
    throw new Refusal('ANDON_INGEST_DEVICE_NOT_ITS_NAME', `The certificate shown is not one of ${request.deviceId}`)
  known(request, state)
  const certificate = demandCertificate(request, state)
  const { overlapUs, credentialDigest } = request
  return deviceFact('CertificateRenewed', request, atUs, { certificate, overlapUs, credentialDigest })
}

/** Approves a device, or changes the assets of an active one. A digest, if given, is of the certificate that was looked at. */
const approve: Rule = (request, state, { atUs }) => {
  demandRole(request, DEVICE_APPROVERS)
  const device = known(request, state)
  demandStatus(device, 'pending', 'active')
  if (request.assets.length === 0)
    throw new Refusal('ANDON_INGEST_DEVICE_MALFORMED', 'An approval names the assets that the device may feed; * is all of the site')
  if (request.credentialDigest !== '' && device.certificates.at(-1)?.sha256 !== request.credentialDigest)
    throw new Refusal('ANDON_INGEST_DEVICE_CHANGED', `Device ${device.id} has another certificate by now: look at it again`)
  return deviceFact('DeviceApproved', request, atUs, { assets: request.assets })
}

const moves =
  (fact: string, ...from: readonly DeviceStatus[]): Rule =>
  (request, state, { atUs }) => {
    demandRole(request, DEVICE_APPROVERS)
    demandStatus(known(request, state), ...from)
    return deviceFact(fact, request, atUs)
  }

const revokeCertificate: Rule = (request, state, { atUs }) => {
  demandRole(request, DEVICE_APPROVERS)
  const device = known(request, state)
  const { credentialDigest } = request
  const held = device.certificates.find((one) => one.sha256 === credentialDigest)
  if (!held) throw new Refusal('ANDON_INGEST_CERTIFICATE_UNKNOWN', `Device ${device.id} has no certificate ${credentialDigest}`)
  if (held.isRevoked) throw new Refusal('ANDON_INGEST_CERTIFICATE_REVOKED', `Certificate ${credentialDigest} was revoked already`)
  return deviceFact('CertificateRevoked', request, atUs, { credentialDigest })
}

const RULES: Readonly<Record<string, Rule>> = {
  ClaimRequested: claim,
  EnrolRequested: enrol,
  RenewRequested: renew,
  ApproveRequested: approve,
  SuspendRequested: moves('DeviceSuspended', 'active'),
  ResumeRequested: moves('DeviceResumed', 'suspended'),
  RevokeRequested: moves('DeviceRevoked', 'claimed', 'pending', 'active', 'suspended'),
  RevokeCertificateRequested: revokeCertificate,
  RetireRequested: moves('DeviceRetired', 'claimed', 'pending', 'active', 'suspended', 'revoked'),
}

/** The fact that answers a request; one that cannot be granted is refused, with a code and what to do. */
export const decideDevice = (request: Devices, state: DevicesState, decision: DeviceDecision): Devices => {
  const rule = RULES[request.type]
  if (!rule) return deviceRefused(request, decision.atUs, 'ANDON_INGEST_DEVICE_MALFORMED', `Nothing decides ${request.type}`)
  try {
    return rule(request, state, decision)
  } catch (error) {
    const code = error instanceof Refusal ? error.code : 'ANDON_INGEST_DEVICE_MALFORMED'
    return deviceRefused(request, decision.atUs, code, error instanceof Error ? error.message : String(error))
  }
}
