// A connection to NATS as the settings say: credentials, certificates, for ever reconnecting.

import { readFile } from 'node:fs/promises'
import { connect, credsAuthenticator } from 'nats'
import type { ConnectionOptions, NatsConnection } from 'nats'
import { checkReachable, env } from '@andon/kit'
import type { Logger } from '@andon/kit'

export const natsAccessSettings = {
  credsFile: env.optional(env.path('INGEST_NATS_CREDS_FILE', 'Credentials (JWT and seed) for NATS')),
  user: env.optional(env.string('INGEST_NATS_USER', 'User at NATS')),
  passwordFile: env.optional(env.path('INGEST_NATS_PASSWORD_FILE', 'File with the user’s password')),
  caFile: env.optional(env.path('INGEST_NATS_TLS_CA_FILE', 'Issuers of the NATS server’s certificate, PEM; turns TLS on')),
  certFile: env.optional(env.path('INGEST_NATS_TLS_CERT_FILE', 'Certificate that ingest shows to NATS, PEM')),
  keyFile: env.optional(env.path('INGEST_NATS_TLS_KEY_FILE', 'Its key, PEM')),
}

export type NatsAccess = { readonly [K in keyof typeof natsAccessSettings]: string | null }

export const noNatsAccess: NatsAccess = { credsFile: null, user: null, passwordFile: null, caFile: null, certFile: null, keyFile: null }

/** Connects; rejects with one clear error when nothing answers or NATS turns us away. A connection that breaks later comes back by itself. */
export const connectNats = async (url: string, name: string, access: NatsAccess, logger: Logger): Promise<NatsConnection> => {
  await checkReachable([url], 'ANDON_NATS_URL')
  const { credsFile, user, passwordFile, caFile, certFile, keyFile } = access
  const isOpen = credsFile === null && user === null && certFile === null
  if (isOpen && !isLoopback(url)) {
    logger.warn({ url }, 'NATS is used without credentials or certificate: whoever reaches it can send readings. Bind it to loopback')
  }
  const options: ConnectionOptions = { servers: url, name, maxReconnectAttempts: -1, reconnectTimeWait: 1000, timeout: 5000 }
  if (credsFile !== null) options.authenticator = credsAuthenticator(await readFile(credsFile))
  if (user !== null) options.user = user
  if (passwordFile !== null) options.pass = (await readFile(passwordFile, 'utf8')).trim()
  if (caFile !== null || certFile !== null) {
    options.tls = {
      ...(caFile !== null && { caFile }),
      ...(certFile !== null && { certFile }),
      ...(keyFile !== null && { keyFile }),
    }
  }
  return connect(options)
}

const isLoopback = (url: string): boolean => {
  const { hostname } = new URL(url.includes('://') ? url : `nats://${url}`)
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}
