// What the door shows of a device.

import type { DeviceState, HeldCertificate } from '@andon/decisions/devices'

export interface DeviceView {
  readonly id: string
  readonly site: string
  readonly status: string
  readonly assets: readonly string[]
  readonly enrolledUs: number | null
  readonly approvedUs: number | null
  readonly approvedBy: string | null
  readonly claimExpiresUs: number | null
  /** Newest first. */
  readonly certificates: readonly CertificateView[]
  readonly last: DeviceState['last']
}

export interface CertificateView {
  readonly serial: string
  readonly sha256: string
  readonly notBeforeUs: number
  readonly notAfterUs: number
  readonly state: 'valid' | 'expired' | 'superseded' | 'revoked'
  /** Until when it counts: its end, or the end of the overlap after a renewal. */
  readonly endsUs: number
}

export const deviceView = (device: DeviceState, nowUs: number): DeviceView => {
  const { id, site, status, assets, enrolledUs, approvedUs, approvedBy, claim, certificates, last } = device
  return {
    id,
    site,
    status,
    assets,
    enrolledUs,
    approvedUs,
    approvedBy,
    claimExpiresUs: claim?.notAfterUs ?? null,
    certificates: certificates.map((one) => certificateView(one, nowUs)).toReversed(),
    last,
  }
}

const certificateView = (
  { serial, sha256, notBeforeUs, notAfterUs, endsUs, isRevoked }: HeldCertificate,
  nowUs: number,
): CertificateView => ({
  serial,
  sha256,
  notBeforeUs,
  notAfterUs,
  endsUs,
  state: isRevoked ? 'revoked' : nowUs >= notAfterUs ? 'expired' : nowUs >= endsUs ? 'superseded' : 'valid',
})
