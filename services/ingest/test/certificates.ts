// Certificates of a site of a test's own.

import { X509Certificate, generateKeyPairSync } from 'node:crypto'
import { issueFor, makeRoot, makeServerCertificate, makeSiteAuthority, openAuthority } from '@andon/kit/pki'

export interface Issued {
  readonly key: string
  readonly cert: string
}

export interface TestAuthority {
  /** The issuers, PEM. */
  readonly ca: string
  /** A door's or a broker's, for localhost and 127.0.0.1. */
  server(): Promise<Issued>
  /** A device's: identity urn:andon:<site>:<device>. */
  device(deviceId: string): Promise<Issued>
}

const dayMs = 86_400_000

export const newAuthority = async (site = 'works'): Promise<TestAuthority> => {
  const root = await makeRoot('Root of a test')
  const pair = await makeSiteAuthority(await openAuthority(root), site)
  const authority = await openAuthority(pair)
  return {
    ca: `${pair.certificate}\n${root.certificate}\n`,
    server: async () => {
      const { certificate, key } = await makeServerCertificate(authority, site, ['localhost', '127.0.0.1'])
      return { key, cert: `${certificate}\n${pair.certificate}\n` }
    },
    device: async (deviceId) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const spki = publicKey.export({ format: 'der', type: 'spki' })
      const validity = { notBeforeMs: Date.now() - dayMs, notAfterMs: Date.now() + dayMs }
      const der = await issueFor(authority, { kind: 'device', site, deviceId } as never, spki, validity)
      const cert = `${new X509Certificate(der).toString()}\n${pair.certificate}\n`
      return { key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string, cert }
    },
  }
}
