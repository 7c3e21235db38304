// May whoever shows this certificate speak, at this moment? Asked for every session, and again for every live one as time passes.

import type { DevicesState, DeviceState, DeviceStatus, HeldCertificate } from './types.ts'

export type Standing =
  | { readonly code: null; readonly device: DeviceState; readonly certificate: HeldCertificate }
  | { readonly code: string; readonly message: string }

const SILENT: Readonly<Record<Exclude<DeviceStatus, 'active'>, readonly [string, string]>> = {
  claimed: ['ANDON_INGEST_CERTIFICATE_UNKNOWN', 'has not enrolled'],
  pending: ['ANDON_INGEST_DEVICE_PENDING', 'waits for its approval: `andon devices approve`'],
  suspended: ['ANDON_INGEST_DEVICE_SUSPENDED', 'is suspended: `andon devices resume` lets it speak again'],
  revoked: ['ANDON_INGEST_DEVICE_REVOKED', 'was revoked: it needs a new key and a new enrolment'],
  retired: ['ANDON_INGEST_DEVICE_RETIRED', 'was retired'],
}

const no = (code: string, message: string): Standing => ({ code, message })

/** The device and its certificate when it may speak, else a code and why not. `sha256` is of the certificate, hex. */
export const standing = (state: DevicesState, sha256: string, atUs: number): Standing => {
  const device = state.devices.get(state.holders.get(sha256) ?? '')
  const certificate = device?.certificates.find((one) => one.sha256 === sha256)
  if (!device || !certificate) return no('ANDON_INGEST_CERTIFICATE_UNKNOWN', 'Nobody here issued this certificate to a device')
  if (certificate.isRevoked && (device.status === 'active' || device.status === 'pending'))
    return no('ANDON_INGEST_CERTIFICATE_REVOKED', `This certificate of device ${device.id} was revoked`)
  if (atUs < certificate.notBeforeUs)
    return no(
      'ANDON_INGEST_CERTIFICATE_NOT_YET_VALID',
      `The certificate of device ${device.id} is valid from ${iso(certificate.notBeforeUs)}`,
    )
  if (atUs >= certificate.notAfterUs)
    return no('ANDON_INGEST_CERTIFICATE_EXPIRED', `The certificate of device ${device.id} was valid to ${iso(certificate.notAfterUs)}`)
  if (atUs >= certificate.endsUs)
    return no('ANDON_INGEST_CERTIFICATE_SUPERSEDED', `Device ${device.id} has a newer certificate than this one`)
  if (device.status !== 'active') {
    const [code, why] = SILENT[device.status]
    return no(code, `Device ${device.id} ${why}`)
  }
  return { code: null, device, certificate }
}

const iso = (us: number): string => new Date(us / 1000).toISOString()
