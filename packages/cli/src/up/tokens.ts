// Development principals: bearer tokens and the webhook secret, written once and readable by this user only.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256Hex } from '@andon/kit/ids'

const DEVELOPMENT = [
  { id: 'p-operator', name: 'operator', roles: ['operator'] },
  { id: 'p-lead', name: 'shift-lead', roles: ['shift-lead', 'operator'] },
  { id: 'p-agent', name: 'agent', roles: ['agent'] },
  { id: 'p-integrator', name: 'integrator', roles: ['integrator', 'ingest'] },
] as const

const keep = (file: string, make: () => string): string => {
  if (!existsSync(file)) writeFileSync(file, `${make()}\n`, { mode: 0o600 })
  return readFileSync(file, 'utf8').trim()
}

/** Makes sure tokens, principals.json and the webhook secret exist; gives the secret. */
export const writeTokens = (folder: string): { webhookSecret: string } => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const principals = DEVELOPMENT.map((principal) => {
    const token = keep(join(folder, principal.name), () => randomBytes(32).toString('base64url'))
    return { ...principal, tokenSha256: sha256Hex(token) }
  })
  writeFileSync(join(folder, 'principals.json'), `${JSON.stringify(principals, null, 2)}\n`, { mode: 0o600 })
  return { webhookSecret: keep(join(folder, 'webhook-secret'), () => `whsec_${randomBytes(24).toString('base64')}`) }
}
