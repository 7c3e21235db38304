// The own certificate authority of one mesh (`andon up --secure`), in the state folder: a root, the authority of the site that issues
// to devices, and the certificate of ingest's doors, made anew with every start and every day. The root's key is not needed again before the
// site's authority ends: it belongs off this machine.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { AndonError } from '@andon/kit/errors'
import type { KeyPair } from '@andon/kit/pki'
import type { Home } from './layout.ts'

export interface Pki {
  readonly site: string
  /** Root and site authority: what devices and tools trust, PEM file. */
  readonly caFile: string
  /** Settings of ingest. */
  readonly environment: Readonly<Record<string, string>>
  /** True when the authorities were made now. */
  readonly isNew: boolean
}

/** Authority file of a mesh, whether or not it is there. */
export const caFileOf = (home: Home): string => join(home.pki, 'ca.pem')

/**
 * Makes what is missing. `site` is needed the first time and has to be the same later; names beside those of this machine go into the
 * doors' certificate.
 */
export const ensurePki = async (
  home: Home,
  options: { readonly site?: string | undefined; readonly names?: readonly string[] },
): Promise<Pki> => {
  // Loaded when needed: most commands make no certificate.
  const { makeRoot, makeServerCertificate, makeSiteAuthority, openAuthority } = await import('@andon/kit/pki')
  mkdirSync(home.pki, { recursive: true, mode: 0o700 })
  const file = (name: string) => join(home.pki, name)
  const keep = (name: string, pair: KeyPair): void => {
    writeFileSync(file(`${name}.key`), pair.key, { mode: 0o600 })
    writeFileSync(file(`${name}.pem`), pair.certificate)
  }
  const read = (name: string): KeyPair => ({
    certificate: readFileSync(file(`${name}.pem`), 'utf8'),
    key: readFileSync(file(`${name}.key`), 'utf8'),
  })

  const isNew = !existsSync(file('site.pem')) || !existsSync(file('site.key'))
  if (isNew) {
    if (options.site === undefined)
      throw new AndonError(
        'ANDON_SITE_UNKNOWN',
        'The authority of a site is made for its id: name it with --plant <folder> or --site <id> the first time.',
      )
    const root = await makeRoot(`Andon root of ${options.site}`)
    keep('root', root)
    keep('site', await makeSiteAuthority(await openAuthority(root), options.site))
    writeFileSync(file('site.id'), `${options.site}\n`)
    writeFileSync(caFileOf(home), readFileSync(file('root.pem'), 'utf8') + readFileSync(file('site.pem'), 'utf8'))
  }
  const site = readFileSync(file('site.id'), 'utf8').trim()
  if (options.site !== undefined && options.site !== site)
    throw new AndonError(
      'ANDON_SITE_CHANGED',
      `The authority in ${home.pki} is of site ${site}, found ${options.site}. Use another ANDON_HOME, or \`andon down --wipe\` to begin anew; devices then enrol again.`,
    )
  const authority = read('site')
  const names = ['localhost', '127.0.0.1', '::1', hostname(), ...addresses(), ...(options.names ?? [])]
  const door = await makeServerCertificate(await openAuthority(authority), site, [...new Set(names)])
  keep('door', { key: door.key, certificate: door.certificate + authority.certificate })
  return {
    site,
    caFile: caFileOf(home),
    isNew,
    environment: {
      INGEST_TLS_KEY: file('door.key'),
      INGEST_TLS_CERT: file('door.pem'),
      INGEST_TLS_CA: caFileOf(home),
      INGEST_CA_KEY: file('site.key'),
      INGEST_CA_CERT: file('site.pem'),
    },
  }
}

/** Addresses of this machine on its networks; link-local ones need a zone and go into no certificate. */
const addresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((one) => one ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address)
