// A certificate request (PKCS #10) that comes over the network: read once, and believed only as far as its own key has signed it.

import 'reflect-metadata' // @peculiar/x509 needs it first
import { createPublicKey } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { AndonError } from '../errors.ts'

const MAX_BYTES = 16 * 1024
const CURVES = new Set(['prime256v1', 'secp384r1'])
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SIGNING = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign

export interface CertificateRequest {
  /** SubjectPublicKeyInfo, DER. The only thing of a request that goes into a certificate. */
  readonly publicKey: Buffer
}

const bad = (found: string, expected: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_CERTIFICATE_REQUEST', `The certificate request has ${found}; expected ${expected}`, {
    status: 400,
    cause,
  })

/**
 * Reads a request for the name `uri` (a SAN URI, whose last part may stand as CN): PEM, base64 or DER. Throws
 * ANDON_CERTIFICATE_REQUEST saying what was found and expected.
 */
export const readCertificateRequest = async (body: Buffer, uri: string): Promise<CertificateRequest> => {
  if (body.length > MAX_BYTES) throw bad(`${body.length} bytes`, `at most ${MAX_BYTES}`)
  const request = parse(derOf(body))
  await checkSignature(request)
  checkName(request, uri)
  checkExtensions(request)
  const publicKey = Buffer.from(request.publicKey.rawData)
  checkKey(publicKey)
  return { publicKey }
}

const derOf = (body: Buffer): Buffer => {
  if (body[0] === 0x30 && body[1] !== undefined && body[1] > 0x7f) return body
  const text = body.toString('latin1').replace(/-----[^-]+-----/g, '')
  return Buffer.from(text.replace(/\s/g, ''), 'base64')
}

const parse = (der: Buffer): x509.Pkcs10CertificateRequest => {
  try {
    return new x509.Pkcs10CertificateRequest(Uint8Array.from(der))
  } catch (cause) {
    throw bad('bytes that cannot be read', 'PKCS #10 in base64', cause)
  }
}

const checkSignature = async (request: x509.Pkcs10CertificateRequest): Promise<void> => {
  const hash = (request.signatureAlgorithm as { hash?: { name?: string } | string }).hash
  const name = typeof hash === 'string' ? hash : hash?.name
  if (name === 'SHA-1' || name === 'MD5') throw bad(`a signature with ${name}`, 'SHA-256 or longer')
  const isSigned = await request.verify().catch(() => false) // an algorithm nobody knows signs nothing
  if (!isSigned) throw bad('a signature that its key did not make', 'one made with the private key')
}

const extensionOf = <T extends x509.Extension>(
  request: x509.Pkcs10CertificateRequest,
  kind: abstract new (...given: never[]) => T,
): T | undefined => request.extensions.find((one): one is T => one instanceof kind)

const checkName = (request: x509.Pkcs10CertificateRequest, uri: string): void => {
  const commonNames = request.subjectName.getField('CN')
  const id = uri.slice(uri.lastIndexOf(':') + 1)
  const other = commonNames.find((name) => name !== id && name !== uri)
  if (other !== undefined) throw bad(`the common name ${JSON.stringify(other)}`, `${id}, or none`)
  const alternative = extensionOf(request, x509.SubjectAlternativeNameExtension)
  const names = alternative?.names.toJSON() ?? []
  const foreign = names.find(({ type, value }) => type !== 'url' || value !== uri)
  if (foreign) throw bad(`the alternative name ${foreign.type}:${JSON.stringify(foreign.value)}`, `URI:${uri}, or none`)
}

const checkExtensions = (request: x509.Pkcs10CertificateRequest): void => {
  if (extensionOf(request, x509.BasicConstraintsExtension)?.ca) throw bad('CA:TRUE', 'CA:FALSE, or no basic constraints')
  const usages = extensionOf(request, x509.KeyUsagesExtension)?.usages ?? 0
  if ((usages & SIGNING) !== 0) throw bad('the key usage of an authority', 'digitalSignature, or none')
  const other = extensionOf(request, x509.ExtendedKeyUsageExtension)?.usages.find((usage) => usage !== CLIENT_AUTH)
  if (other !== undefined) throw bad(`the extended key usage ${String(other)}`, 'clientAuth, or none')
}

/** P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits. */
const checkKey = (spki: Buffer): void => {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  const kind = key.asymmetricKeyType
  const isGood =
    kind === 'ed25519' ||
    (kind === 'ec' && namedCurve !== undefined && CURVES.has(namedCurve)) ||
    (kind === 'rsa' && modulusLength >= 2048 && modulusLength <= 4096)
  if (!isGood)
    throw bad(`a key of type ${kind} ${namedCurve ?? (modulusLength || '')}`.trim(), 'P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits')
}
