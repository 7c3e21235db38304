// Requests for certificates come over the network: what is not exactly right is refused, and nothing of them but the key is used.

import assert from 'node:assert/strict'
import { generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto'
import { before, test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import fc from 'fast-check'
import { AndonError } from '../src/errors.ts'
import {
  certsOnly,
  describeCertificate,
  issueFor,
  makeClaim,
  makeRoot,
  makeServerCertificate,
  makeSiteAuthority,
  nameOf,
  openAuthority,
  pemOf,
  readCertificateRequest,
  uriOf,
} from '../src/pki/index.ts'
import type { Authority } from '../src/pki/index.ts'

const URI = 'urn:andon:site-a:press-1-plc'
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

interface Shape {
  readonly subject?: string
  readonly extensions?: x509.Extension[]
  readonly algorithm?: object
}

const requestOf = async ({ subject = 'CN=press-1-plc', extensions = [], algorithm = EC }: Shape = {}): Promise<Buffer> => {
  const keys = (await webcrypto.subtle.generateKey(algorithm as never, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subject,
    keys,
    extensions,
    signingAlgorithm: algorithm as never,
  })
  return Buffer.from(request.rawData)
}

const refuses = (body: Buffer | Promise<Buffer>, words: RegExp) =>
  assert.rejects(
    async () => readCertificateRequest(await body, URI),
    (error: unknown) => {
      assert.ok(error instanceof AndonError, String(error))
      assert.equal(error.code, 'ANDON_CERTIFICATE_REQUEST')
      assert.match(error.message, words)
      return true
    },
  )

let site: Authority
const validity = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2026, 0, 31) }

before(async () => {
  const root = await openAuthority(await makeRoot('root'))
  site = await openAuthority(await makeSiteAuthority(root, 'site-a'))
})

test('a request is read as DER, base64 and PEM, and gives its key', async () => {
  const der = await requestOf()
  const base64 = Buffer.from(der.toString('base64').replace(/(.{64})/g, '$1\n'))
  const pem = Buffer.from(`-----BEGIN CERTIFICATE REQUEST-----\n${base64.toString()}\n-----END CERTIFICATE REQUEST-----\n`)
  const keys = await Promise.all(
    [der, base64, pem].map(async (body) => (await readCertificateRequest(body, URI)).publicKey.toString('hex')),
  )
  assert.equal(new Set(keys).size, 1)
})

test('a request may name the device, as common name or URI, or nobody', async () => {
  const named = [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: URI }])]
  for (const shape of [{ subject: `CN=${URI}` }, { subject: '' }, { extensions: named }, { subject: 'O=anything,CN=press-1-plc' }])
    await readCertificateRequest(await requestOf(shape), URI)
})

test('a request for another name is refused', async () => {
  await refuses(requestOf({ subject: 'CN=press-2-plc' }), /common name "press-2-plc"; expected press-1-plc/)
  const other = (type: 'url' | 'dns', value: string) =>
    requestOf({ extensions: [new x509.SubjectAlternativeNameExtension([{ type, value }])] })
  await refuses(other('url', 'urn:andon:site-b:press-1-plc'), /alternative name url:"urn:andon:site-b:press-1-plc"/)
  await refuses(other('dns', 'ingest'), /alternative name dns:"ingest"/)
})

test('a request for more than a device may do is refused', async () => {
  await refuses(requestOf({ extensions: [new x509.BasicConstraintsExtension(true)] }), /CA:TRUE/)
  await refuses(requestOf({ extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign)] }), /key usage of an authority/)
  await refuses(requestOf({ extensions: [new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1'])] }), /extended key usage/)
})

test('a key that is weak or of another kind is refused', async () => {
  const rsa = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }
  await refuses(requestOf({ algorithm: rsa }), /key of type rsa 1024/)
  await refuses(requestOf({ algorithm: { ...EC, namedCurve: 'P-521' } }), /key of type ec secp521r1/)
  await refuses(requestOf({ algorithm: { ...rsa, modulusLength: 2048, hash: 'SHA-1' } }), /SHA-1/)
  await readCertificateRequest(await requestOf({ algorithm: { ...rsa, modulusLength: 2048 } }), URI)
})

test('a request signed by another key is refused', async () => {
  const der = await requestOf()
  const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey.export({ format: 'der', type: 'spki' })
  const at = der.indexOf(Buffer.from('3059301306072a8648ce3d0201', 'hex'))
  await refuses(Buffer.concat([der.subarray(0, at), other, der.subarray(at + other.length)]), /signature that its key did not make/)
})

test('no changed byte and no random bytes make a request that is accepted for another key', async () => {
  const der = await requestOf()
  const key = (await readCertificateRequest(der, URI)).publicKey.toString('hex')
  const outcome = async (body: Buffer) => {
    try {
      return (await readCertificateRequest(body, URI)).publicKey.toString('hex')
    } catch (error) {
      assert.ok(error instanceof AndonError, `${String(error)}`)
      return 'refused'
    }
  }
  await fc.assert(
    fc.asyncProperty(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(der)
      changed[at] = changed[at]! ^ flip
      assert.ok(['refused', key].includes(await outcome(changed)))
    }),
    { numRuns: 150 },
  )
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => assert.equal(await outcome(Buffer.from(bytes)), 'refused')),
    { numRuns: 150 },
  )
  await refuses(Buffer.alloc(17 * 1024, 0x41), /17408 bytes; expected at most 16384/)
})

test('a device certificate says what the mesh says, and nothing that the request said', async () => {
  const { publicKey } = await readCertificateRequest(await requestOf({ subject: 'O=elsewhere,CN=press-1-plc' }), URI)
  const der = await issueFor(site, { kind: 'device', site: 'site-a', deviceId: 'press-1-plc' }, publicKey, validity)
  const certificate = new X509Certificate(der)
  assert.equal(certificate.subject, 'O=site-a\nCN=press-1-plc')
  assert.equal(certificate.subjectAltName, `URI:${URI}`)
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  assert.equal(certificate.ca, false)
  const about = describeCertificate(der)
  assert.deepEqual([about.notBeforeUs, about.notAfterUs], [validity.notBeforeMs * 1000, validity.notAfterMs * 1000])
  assert.equal(about.sha256, certificate.fingerprint256.replaceAll(':', '').toLowerCase())
  assert.match(pemOf(der), /^-----BEGIN CERTIFICATE-----\n/)
})

test('a claim is never named like a device', async () => {
  const claim = await makeClaim(site, { site: 'site-a', deviceId: 'press-1-plc' }, validity)
  const uri = new X509Certificate(claim.certificate).subjectAltName?.replace('URI:', '') ?? ''
  assert.deepEqual(nameOf(uri), { kind: 'claim', site: 'site-a', deviceId: 'press-1-plc' })
  assert.notEqual(uri, URI)
})

test('names: only what uriOf writes is read', () => {
  const name = { kind: 'device', site: 'site-a', deviceId: 'press-1-plc' } as const
  assert.deepEqual(nameOf(uriOf(name)), name)
  for (const text of [
    'urn:andon:site-a',
    'urn:andon:site-a:a:b',
    'urn:andon:Site:x',
    'urn:andon:s:../x',
    ' urn:andon:s:x',
    'urn:andon:s:x\n',
    'x',
  ])
    assert.equal(nameOf(text), undefined, text)
})

test('clients in Go accept what the authority of a site issues: its constraint is there, and not critical', () => {
  const constraint = new x509.X509Certificate(site.certificate).extensions.find(({ type }) => type === '2.5.29.30')
  assert.equal(constraint?.critical, false)
})

test('a key that is not that of the certificate opens no authority', async () => {
  const [one, other] = [await makeRoot('one'), await makeRoot('other')]
  await assert.rejects(openAuthority({ certificate: one.certificate, key: other.key }), /not that of the certificate/)
})

test('a certificate never outlives its authority, and a certs-only message holds what it was given', async () => {
  const server = await makeServerCertificate(site, 'site-a', ['localhost', '127.0.0.1', '::1'], Date.now(), 36_500)
  const read = new X509Certificate(server.certificate)
  assert.equal(read.validToDate.getTime(), site.notAfter.getTime())
  assert.equal(read.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
  const message = certsOnly([server.certificate, site.certificate])
  const subjects = Array.from(new x509.X509Certificates(message), ({ subject }) => subject)
  assert.deepEqual(subjects, ['O=site-a, CN=localhost', 'O=site-a, CN=Andon site-a'])
})
