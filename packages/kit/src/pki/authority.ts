// Certificates that the mesh makes: a root that is kept offline, an authority per site, and what that one issues: doors,
// devices, claims. ECDSA P-256 throughout. Times in certificates begin a little early, for clocks that are behind.

import 'reflect-metadata' // @peculiar/x509 needs it first
import { createHash, createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { uriOf } from './names.ts'
import type { CertifiedName } from './names.ts'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const
const DAY_MS = 86_400_000
/** Clocks of devices may be 10 minutes off; certificates count a little longer before than that. */
export const BACKDATED_MS = 15 * 60_000
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const NAME_CONSTRAINTS = '2.5.29.30'

/** A certificate and its private key, PEM. */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** A certificate that can issue others, ready to sign. */
export interface Authority {
  /** PEM. */
  readonly certificate: string
  readonly subject: x509.Name
  readonly signingKey: webcrypto.CryptoKey
  readonly publicKey: x509.PublicKey
  readonly notAfter: Date
}

/** Reads an authority's certificate and key (PKCS #8, PEM). Throws when they do not belong together. */
export const openAuthority = async ({ certificate, key }: KeyPair): Promise<Authority> => {
  const read = new x509.X509Certificate(certificate)
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
    throw new Error('The key is not that of the certificate beside it')
  const pkcs8 = createPrivateKey(key).export({ format: 'der', type: 'pkcs8' })
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, P256, true, ['sign'])
  return { certificate, subject: read.subjectName, signingKey, publicKey: read.publicKey, notAfter: read.notAfter }
}

/** A self-signed root for 20 years. Its key is needed for the authorities of sites only, and belongs off the network. */
export const makeRoot = async (name: string, nowMs = Date.now()): Promise<KeyPair> => {
  const keys = await newKeys()
  const subject = new x509.Name([{ CN: [name] }])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: subject,
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + 20 * 365 * DAY_MS),
    keys,
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return pairOf(certificate, keys)
}

/**
 * The authority of one site for 5 years. It can only issue end certificates whose subject lies in `O=<site>`: a constraint on
 * the subject, since URIs without a host cannot be constrained (RFC 5280 §4.2.1.10). It is not marked critical: Go's verifier does
 * not know constraints on subjects and would refuse every certificate below; OpenSSL enforces it either way.
 */
export const makeSiteAuthority = async (root: Authority, site: string, nowMs = Date.now()): Promise<KeyPair> => {
  const keys = await newKeys()
  const certificate = await issue(root, {
    subject: new x509.Name([{ O: [site] }, { CN: [`Andon ${site}`] }]),
    publicKey: keys.publicKey,
    notBeforeMs: nowMs - BACKDATED_MS,
    notAfterMs: nowMs + 5 * 365 * DAY_MS,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.Extension(NAME_CONSTRAINTS, false, onlySubjectsOf(site)),
    ],
  })
  return pairOf(certificate, keys)
}

/** Key and certificate of a door for these names and addresses, 90 days unless told otherwise. */
export const makeServerCertificate = async (
  authority: Authority,
  site: string,
  names: readonly string[],
  nowMs = Date.now(),
  days = 90,
): Promise<KeyPair> => {
  const keys = await newKeys()
  const certificate = await issue(authority, {
    subject: new x509.Name([{ O: [site] }, { CN: [names[0] ?? 'localhost'] }]),
    publicKey: keys.publicKey,
    notBeforeMs: nowMs - BACKDATED_MS,
    notAfterMs: nowMs + days * DAY_MS,
    extensions: [
      ...endEntity(SERVER_AUTH),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value }))),
    ],
  })
  return pairOf(certificate, keys)
}

/** A certificate for somebody else's public key (SubjectPublicKeyInfo, DER), with nothing in it but what is said here. DER. */
export const issueFor = async (
  authority: Authority,
  name: CertifiedName,
  publicKey: Uint8Array,
  validity: { readonly notBeforeMs: number; readonly notAfterMs: number },
): Promise<Buffer> => {
  const certificate = await issue(authority, {
    subject: new x509.Name([{ O: [name.site] }, { CN: [name.kind === 'claim' ? `claim of ${name.deviceId}` : name.deviceId] }]),
    publicKey: new x509.PublicKey(Uint8Array.from(publicKey)),
    ...validity,
    extensions: [...endEntity(CLIENT_AUTH), new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uriOf(name) }])],
  })
  return Buffer.from(certificate.rawData)
}

/** A new key and a claim certificate for it. */
export const makeClaim = async (
  authority: Authority,
  name: { readonly site: string; readonly deviceId: string },
  validity: { readonly notBeforeMs: number; readonly notAfterMs: number },
): Promise<KeyPair> => {
  const keys = await newKeys()
  const spki = Buffer.from(await webcrypto.subtle.exportKey('spki', keys.publicKey))
  return pairOf(new x509.X509Certificate(await issueFor(authority, { kind: 'claim', ...name }, spki, validity)), keys)
}

/** A PKCS #7 message that holds certificates and nothing else (RFC 5652 §5, “certs-only”), DER. */
export const certsOnly = (certificates: readonly (string | Uint8Array)[]): Buffer =>
  Buffer.from(new x509.X509Certificates(certificates.map((one) => new x509.X509Certificate(one))).export('raw'))

/** What the log keeps of a certificate. Times in microseconds UTC, digests in hex. */
export const describeCertificate = (der: Uint8Array) => {
  const certificate = new X509Certificate(der)
  return {
    serial: certificate.serialNumber.toLowerCase(),
    sha256: sha256(der),
    spkiSha256: sha256(certificate.publicKey.export({ format: 'der', type: 'spki' })),
    notBeforeUs: certificate.validFromDate.getTime() * 1000,
    notAfterUs: certificate.validToDate.getTime() * 1000,
    der: Buffer.from(der),
  }
}

export const pemOf = (der: Uint8Array): string => `${new x509.X509Certificate(Uint8Array.from(der)).toString('pem')}\n`

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

interface Content {
  readonly subject: x509.Name
  readonly publicKey: x509.PublicKeyType
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly extensions: readonly x509.Extension[]
}

/** Nothing outlives its issuer. */
const issue = async (authority: Authority, content: Content): Promise<x509.X509Certificate> =>
  x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: content.subject,
    issuer: authority.subject,
    notBefore: new Date(content.notBeforeMs),
    notAfter: new Date(Math.min(content.notAfterMs, authority.notAfter.getTime())),
    publicKey: content.publicKey,
    signingKey: authority.signingKey,
    signingAlgorithm: SIGNING,
    extensions: [
      ...content.extensions,
      await x509.SubjectKeyIdentifierExtension.create(content.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  })

const endEntity = (usage: string): x509.Extension[] => [
  new x509.BasicConstraintsExtension(false, undefined, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
  new x509.ExtendedKeyUsageExtension([usage], true),
]

const newKeys = () => webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])

/** 126 random bits, positive and never zero. */
const newSerial = (): string => {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

const pairOf = async (certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair): Promise<KeyPair> => {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' })
  return { certificate: `${certificate.toString('pem')}\n`, key: String(key) }
}

const isAddress = (name: string): boolean => /^[0-9.]+$|:/.test(name)

/** NameConstraints { permittedSubtrees { directoryName O=<site> } }, DER. */
const onlySubjectsOf = (site: string): Buffer => {
  const name = Buffer.from(new x509.Name([{ O: [site] }]).toArrayBuffer())
  return tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0xa4, name))))
}

/** One DER element of up to 127 bytes, which a site's id of 64 letters keeps to. */
const tlv = (tag: number, content: Buffer): Buffer => {
  if (content.length > 127) throw new RangeError('A site id of at most 64 letters was expected')
  return Buffer.concat([Buffer.from([tag, content.length]), content])
}
