// Who is at the door: bearer tokens of the principals in the tokens file. Only digests of tokens are kept.

import { readFileSync } from 'node:fs'
import type { Request, RequestHandler } from 'express'
import { z } from 'zod'
import { AndonError, codeOf } from './errors.ts'
import { sha256Hex } from './ids.ts'

/** `id` is pseudonymous and goes on the log; names stay in the tokens file. */
export interface Principal {
  readonly id: string
  readonly roles: readonly string[]
  /** `strong`: signed in just now with more than a password. Steps with `stepUp` are approved by nobody else. */
  readonly strength?: 'strong'
}

declare global {
  // eslint-disable-next-line typescript/no-namespace -- express declares its request type this way
  namespace Express {
    interface Request {
      /** Set by requireRole. */
      principal?: Principal
    }
  }
}

export interface Principals {
  /** Whose token this is, if anybody's. */
  of(token: string): Principal | undefined
  /** The same for tokens of an identity provider, where there is one. Says why a token of its kind is not taken (ANDON_UNAUTHENTICATED). */
  readonly verified?: (token: string) => Promise<Principal | undefined>
}

const fileShape = z.array(
  z.object({
    id: z.string().min(1),
    name: z.string(),
    roles: z.array(z.string().min(1)),
    tokenSha256: z.string().regex(/^[0-9a-f]{64}$/),
    strength: z.literal('strong').optional(),
  }),
)

/** Reads the tokens file: `[{ id, name, roles, tokenSha256, strength? }]`. Throws ANDON_TOKENS_FILE naming file and fault. */
export const loadPrincipals = (file: string): Principals => {
  const entries = readTokens(file)
  const byDigest = new Map(entries.map((entry) => [entry.tokenSha256, principalIn(entry)]))
  return { of: (token) => byDigest.get(sha256Hex(token)) }
}

const principalIn = ({ id, roles, strength }: z.infer<typeof fileShape>[number]): Principal => ({
  id,
  roles,
  ...(strength === undefined ? {} : { strength }),
})

const readTokens = (file: string): z.infer<typeof fileShape> => {
  const fail = (found: string, cause?: unknown): AndonError =>
    new AndonError(
      'ANDON_TOKENS_FILE',
      `ANDON_TOKENS_FILE: expected a JSON list of { id, name, roles, tokenSha256 } in ${file}, found ${found}. Start the platform with \`andon up\`, which writes it, or correct ANDON_TOKENS_FILE.`,
      { cause },
    )
  let content: unknown
  try {
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw fail(codeOf(error) === 'ENOENT' ? 'no such file' : 'something that cannot be read', error)
  }
  const parsed = fileShape.safeParse(content)
  if (!parsed.success) throw fail(`a bad value at ${parsed.error.issues[0]?.path.join('.') ?? ''}`)
  return parsed.data
}

const known = (principal: Principal | undefined, token: string | undefined): Principal => {
  if (principal !== undefined) return principal
  const what = token === undefined ? 'A bearer token is needed' : 'The bearer token belongs to nobody'
  throw new AndonError('ANDON_UNAUTHENTICATED', what, { status: 401 })
}

/** The principal of a token of the file; ANDON_UNAUTHENTICATED (401) when it is nobody's. */
export const principalOf = (principals: Principals, token: string | undefined): Principal =>
  known(token === undefined ? undefined : principals.of(token), token)

/** The principal of any token; ANDON_UNAUTHENTICATED (401) when it is nobody's, ANDON_OIDC_UNAVAILABLE when nobody can say. */
const verifiedPrincipal = async (principals: Principals, token: string | undefined): Promise<Principal> =>
  known(token === undefined ? undefined : (principals.of(token) ?? (await principals.verified?.(token))), token)

/** The bearer token of a request's Authorization header. */
export const bearerToken = (request: Pick<Request, 'headers'>): string | undefined =>
  /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]

/**
 * Lets a request pass whose principal has one of the roles (any principal when none is named) and sets
 * `request.principal`. Otherwise 401 ANDON_UNAUTHENTICATED or 403 ANDON_FORBIDDEN.
 */
export const requireRole =
  (principals: Principals, ...roles: readonly string[]): RequestHandler =>
  async (request, _response, next) => {
    const principal = await verifiedPrincipal(principals, bearerToken(request))
    if (roles.length > 0 && !roles.some((role) => principal.roles.includes(role))) {
      throw new AndonError('ANDON_FORBIDDEN', `This needs the role ${roles.join(' or ')}`, { status: 403, fields: { roles } })
    }
    request.principal = principal
    next()
  }
