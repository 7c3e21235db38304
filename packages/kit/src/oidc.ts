// People of an identity provider: its access tokens (JWT, RFC 9068) instead of the tokens file. What goes on the log is a
// pseudonym made of issuer and subject; who that is only the provider knows.

import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import { loadPrincipals } from './auth.ts'
import type { Principal, Principals } from './auth.ts'
import { AndonError, messageOf } from './errors.ts'
import { sha256Hex } from './ids.ts'

/** Signatures with a key pair; `none` and shared secrets never count. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const CLOCK_TOLERANCE_S = 5
const TIMEOUT_MS = 5_000
const PSEUDONYM_LENGTH = 20

export interface OidcOptions {
  /** As it stands in `iss`; its discovery document names the keys. */
  readonly issuer: string
  /** One of the token's `aud`. */
  readonly audience: string
  /** Claim that lists roles; a dot goes into an object (`realm_access.roles`). */
  readonly rolesClaim: string
  /** With it only roles `<site>/<role>` count; roles of other sites are nobody's here. */
  readonly site: string | null
  /** Values of `acr` or `amr` that stand for a strong sign-in. */
  readonly strong: readonly string[]
  /** Oldest sign-in (`auth_time`) that is still strong, seconds. */
  readonly strongMaxAgeS: number
  readonly nowMs?: () => number
}

/** What settings of a service say of people; spread `sharedSettings` into its spec. */
export interface IdentityConfig {
  readonly tokensFile: string
  readonly oidcIssuer: string | null
  readonly oidcAudience: string
  readonly oidcRolesClaim: string
  readonly oidcSite: string | null
  readonly oidcStrong: readonly string[]
  readonly oidcStrongMaxAgeS: number
}

/** Principals of the tokens file and, where an issuer is set, of the identity provider. Throws ANDON_TOKENS_FILE. */
export const openPrincipals = (config: IdentityConfig): Principals => {
  const file = loadPrincipals(config.tokensFile)
  if (config.oidcIssuer === null) return file
  const verified = oidcPrincipals({
    issuer: config.oidcIssuer,
    audience: config.oidcAudience,
    rolesClaim: config.oidcRolesClaim,
    site: config.oidcSite,
    strong: config.oidcStrong,
    strongMaxAgeS: config.oidcStrongMaxAgeS,
  })
  return { of: (token) => file.of(token), verified }
}

/**
 * Verifies access tokens of one issuer; keys are fetched at the first token, kept, and fetched again when a token names an unknown one.
 * Undefined for what is no JWT. Rejects with ANDON_UNAUTHENTICATED (401, says what is wrong) or ANDON_OIDC_UNAVAILABLE (503).
 */
export const oidcPrincipals = (options: OidcOptions): ((token: string) => Promise<Principal | undefined>) => {
  const nowMs = options.nowMs ?? Date.now
  let keys: Promise<JWTVerifyGetKey> | undefined
  return async (token) => {
    if (token.split('.').length !== 3) return undefined
    keys ??= discover(options.issuer)
    try {
      const { payload } = await jwtVerify(token, await keys, {
        issuer: options.issuer,
        audience: options.audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['sub', 'exp'],
        currentDate: new Date(nowMs()),
      })
      return principalIn(payload, options, nowMs())
    } catch (error) {
      if (isAnswer(error)) throw refused(error)
      keys = undefined // asked anew with the next token
      throw new AndonError('ANDON_OIDC_UNAVAILABLE', `${options.issuer} cannot be asked whose token this is: ${messageOf(error)}`, {
        retriable: true,
        cause: error,
      })
    }
  }
}

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() })

const discover = async (issuer: string): Promise<JWTVerifyGetKey> => {
  const response = await fetch(`${issuer}/.well-known/openid-configuration`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    redirect: 'error',
  })
  if (!response.ok) throw new Error(`its discovery document is answered with ${response.status}`)
  const found = discovery.parse(await response.json())
  if (found.issuer !== issuer) throw new Error(`its discovery document names the issuer ${found.issuer}`)
  return createRemoteJWKSet(new URL(found.jwks_uri), { timeoutDuration: TIMEOUT_MS, cooldownDuration: 1_000 })
}

/** The token is at fault; everything else is the way to the provider. */
const isAnswer = (error: unknown): error is errors.JOSEError =>
  error instanceof errors.JOSEError &&
  !(error instanceof errors.JWKSTimeout) &&
  !(error instanceof errors.JWKSInvalid) &&
  error.code !== 'ERR_JOSE_GENERIC'

const refused = (error: errors.JOSEError): AndonError =>
  new AndonError('ANDON_UNAUTHENTICATED', `The bearer token is not taken: ${error.message}`, { status: 401, cause: error })

const principalIn = (payload: JWTPayload, options: OidcOptions, nowMs: number): Principal => {
  const id = `p-${sha256Hex(`${payload.iss ?? ''}\n${payload.sub ?? ''}`).slice(0, PSEUDONYM_LENGTH)}`
  const roles = rolesIn(payload, options)
  return isStrong(payload, options, nowMs) ? { id, roles, strength: 'strong' } : { id, roles }
}

const rolesIn = (payload: JWTPayload, { rolesClaim, site }: OidcOptions): string[] => {
  const claim = rolesClaim
    .split('.')
    .reduce<unknown>((at, key) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined), payload)
  const roles = (Array.isArray(claim) ? claim : []).filter((role) => typeof role === 'string')
  if (site === null) return roles
  const prefix = `${site}/`
  return roles.filter((role) => role.startsWith(prefix)).map((role) => role.slice(prefix.length))
}

const isStrong = (payload: JWTPayload, { strong, strongMaxAgeS }: OidcOptions, nowMs: number): boolean => {
  const { acr, amr, auth_time: signedInS } = payload
  const said: unknown[] = [acr, ...(Array.isArray(amr) ? amr : [])]
  const isFresh = typeof signedInS === 'number' && nowMs / 1000 - signedInS <= strongMaxAgeS
  return isFresh && said.some((one) => typeof one === 'string' && strong.includes(one))
}
