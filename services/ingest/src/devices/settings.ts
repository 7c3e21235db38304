// Settings of who may come in: certificates of the doors, the authority that issues, the cluster this process runs in.

import { existsSync } from 'node:fs'
import { AndonError, env } from '@andon/kit'
import type { TlsPaths } from './tls-files.ts'

const file = (name: string, doc: string) => env.optional(env.path(name, doc))

export const deviceSettings = {
  tlsKey: file('INGEST_TLS_KEY', 'Key of the doors, PEM; with certificate and issuers it opens them to the network'),
  tlsCert: file('INGEST_TLS_CERT', 'Certificate of the doors with what issued it, PEM'),
  tlsCa: file('INGEST_TLS_CA', 'Issuers of device certificates, root first, PEM'),
  caKey: file('INGEST_CA_KEY', 'Key of the authority that issues to devices, PEM; without it devices enrol at another instance'),
  caCert: file('INGEST_CA_CERT', 'Certificate of that authority, PEM'),
  certificateDays: env.integer('INGEST_DEVICE_CERTIFICATE_DAYS', 'Life of a device certificate, at most 30', 30),
  claimHours: env.integer('INGEST_CLAIM_HOURS', 'Life of a claim certificate', 24),
  overlapHours: env.integer('INGEST_RENEWAL_OVERLAP_HOURS', 'How long the certificate before a renewal stays valid', 24),
  cluster: env.optional(
    env.string('ANDON_CLUSTER', 'Id of the cluster this process runs in; a plant file may name those its data may reach'),
  ),
}

interface DoorMode extends TlsPaths {
  readonly host: string
  readonly caKey: string | null
  readonly caCert: string | null
}

const invalid = (setting: string, expected: string, found: string) =>
  new AndonError('ANDON_SETTING_INVALID', `${setting}: expected ${expected}, found ${found}. Correct ${setting} and start again.`)

/** Plain mode never leaves the machine, and half a configuration is none: both are refused at the start, naming the setting. */
export const checkDoorMode = (config: DoorMode): void => {
  const { host, tlsKey, tlsCert, tlsCa, caKey, caCert } = config
  const given = { INGEST_TLS_KEY: tlsKey, INGEST_TLS_CERT: tlsCert, INGEST_TLS_CA: tlsCa }
  const isSecure = Object.values(given).some((path) => path !== null)
  const pair = { INGEST_CA_KEY: caKey, INGEST_CA_CERT: caCert }
  const needed = { ...(isSecure ? given : {}), ...(caKey !== null || caCert !== null ? pair : {}) }
  for (const [setting, path] of Object.entries(needed)) {
    if (path === null) throw invalid(setting, `a file, since ${Object.keys(needed).join(', ')} go together`, 'nothing')
    if (!existsSync(path)) throw invalid(setting, 'a file', `${path}, which is not there`)
  }
  if (!isSecure && caKey !== null) throw invalid('INGEST_TLS_KEY', 'a file, since devices enrol over TLS (INGEST_CA_KEY)', 'nothing')
  if (!isSecure && !isLoopback(host))
    throw new AndonError(
      'ANDON_SETTING_INVALID',
      `ANDON_HOST: found ${host}, expected a loopback address (127.0.0.1): without INGEST_TLS_KEY, INGEST_TLS_CERT and INGEST_TLS_CA the doors ask nobody who they are, so they stay on this machine. Set those three (\`andon up --secure\` makes them), or ANDON_HOST=127.0.0.1.`,
    )
}

const isLoopback = (host: string): boolean => /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host)
