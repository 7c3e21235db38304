// A certificate that somebody shows at a door, as far as it speaks for itself: who issued it, for what, to whom. What the log says of
// it comes on top.

import { createHash, X509Certificate } from 'node:crypto'
import { AndonError } from '@andon/kit'
import { nameOf } from '@andon/kit/pki'
import type { CertifiedName } from '@andon/kit/pki'

export interface ShownCertificate {
  readonly sha256: string
  readonly name: CertifiedName
  readonly notBeforeUs: number
  readonly notAfterUs: number
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

export const refusedCertificate = (code: string, message: string): AndonError => new AndonError(code, message, { status: 403 })

/** The certificates of a PEM file, in its order. */
export const certificatesOf = (pem: Buffer | string): X509Certificate[] =>
  (String(pem).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((one) => new X509Certificate(one))

/** Reads a certificate (DER) that one of the issuers has signed for a client. Throws an AndonError that says what is wrong with it. */
export const readShown = (der: Buffer, issuers: readonly X509Certificate[]): ShownCertificate => {
  const certificate = parse(der)
  if (!issuers.some((issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)))
    throw refusedCertificate(
      'ANDON_INGEST_CERTIFICATE_NOT_OURS',
      `The certificate of ${subjectOf(certificate)} was issued by somebody else`,
    )
  if (certificate.keyUsage?.includes(CLIENT_AUTH) !== true)
    throw refusedCertificate(
      'ANDON_INGEST_CERTIFICATE_WRONG_USAGE',
      `The certificate of ${subjectOf(certificate)} is not for clients (clientAuth)`,
    )
  const uris = (certificate.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'))
  const name = uris.length === 1 ? nameOf(uris[0]!.slice('URI:'.length)) : undefined
  if (name === undefined)
    throw refusedCertificate(
      'ANDON_INGEST_CERTIFICATE_NO_NAME',
      `The certificate of ${subjectOf(certificate)} names ${uris.join(', ') || 'nobody'}; expected one URI:urn:andon:<site>:<device>`,
    )
  return {
    sha256: createHash('sha256').update(der).digest('hex'),
    name,
    notBeforeUs: certificate.validFromDate.getTime() * 1000,
    notAfterUs: certificate.validToDate.getTime() * 1000,
  }
}

const parse = (der: Buffer): X509Certificate => {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new AndonError('ANDON_INGEST_CERTIFICATE_NOT_OURS', 'Found bytes that are no X.509 certificate', { status: 403, cause })
  }
}

const subjectOf = (certificate: X509Certificate): string => certificate.subject.replaceAll('\n', ', ').slice(0, 200)
