// Access tokens of an identity provider: keys over real HTTP, tokens signed here with everything that can be wrong with one.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import type { JWTPayload } from 'jose'
import { AndonError } from '../src/errors.ts'
import { oidcPrincipals } from '../src/oidc.ts'

type Pair = Awaited<ReturnType<typeof generateKeyPair>>
const keys = new Map<string, Pair>()
let jwksReads = 0
let mood: 'well' | 'down' | 'stranger' = 'well'

const server = createServer((request, response) => {
  const answer = async (): Promise<unknown> => {
    if (request.url !== '/jwks') return { issuer: mood === 'stranger' ? 'http://elsewhere.example' : issuer, jwks_uri: `${issuer}/jwks` }
    jwksReads += 1
    return {
      keys: await Promise.all([...keys].map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' }))),
    }
  }
  if (mood === 'down') response.writeHead(503).end()
  else void answer().then((body) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body)))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
after(() => server.close())
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
keys.set('k-1', await generateKeyPair('ES256'))

const nowS = Math.floor(Date.now() / 1000)
const sound = {
  iss: issuer,
  aud: 'andon',
  sub: 'anna',
  exp: nowS + 60,
  roles: ['operator', 'nordhafen/shift-lead', 'suedhafen/process-engineer'],
}
const signed = (payload: JWTPayload, kid = 'k-1', key = keys.get(kid)!.privateKey): Promise<string> =>
  new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid }).sign(key)

const common = { issuer, audience: 'andon', rolesClaim: 'roles', site: null, strong: ['phr', 'mfa'], strongMaxAgeS: 300 } as const
const principalOf = oidcPrincipals(common)

test('a sound token is somebody under a pseudonym, the same every time and another at another issuer', async () => {
  const principal = await principalOf(await signed(sound))
  assert.match(principal?.id ?? '', /^p-[0-9a-f]{20}$/)
  assert.deepEqual(principal?.roles, sound.roles)
  assert.equal((await principalOf(await signed({ ...sound, exp: nowS + 30 })))?.id, principal?.id)
  assert.notEqual((await principalOf(await signed({ ...sound, sub: 'bert' })))?.id, principal?.id)
})

test('what is no JWT is not for the provider', async () => assert.equal(await principalOf('a-token-of-the-file'), undefined))

const other = await generateKeyPair('ES256')
const header = (alg: string) => Buffer.from(JSON.stringify({ alg, kid: 'k-1' })).toString('base64url')
const bad: Readonly<Record<string, () => Promise<string>>> = {
  'another issuer': () => signed({ ...sound, iss: 'http://elsewhere.example' }),
  'another audience': () => signed({ ...sound, aud: 'somebody-else' }),
  'no audience': () => signed({ iss: issuer, sub: 'anna', exp: nowS + 60 }),
  expired: () => signed({ ...sound, exp: nowS - 60 }),
  'without an end': () => signed({ iss: issuer, aud: 'andon', sub: 'anna' }),
  'not yet valid': () => signed({ ...sound, nbf: nowS + 60 }),
  'without a subject': () => signed({ iss: issuer, aud: 'andon', exp: nowS + 60 }),
  'signed by somebody else': () => signed(sound, 'k-1', other.privateKey),
  'a key nobody knows': () => signed(sound, 'k-9', other.privateKey),
  'not signed': async () => new UnsecuredJWT(sound).encode(),
  'signed with a shared secret': () => new SignJWT(sound).setProtectedHeader({ alg: 'HS256', kid: 'k-1' }).sign(Buffer.alloc(32, 1)),
  'another payload under the signature': async () => {
    const [, , signature] = (await signed(sound)).split('.')
    return `${header('ES256')}.${Buffer.from(JSON.stringify({ ...sound, sub: 'eve' })).toString('base64url')}.${signature}`
  },
  'three words': async () => 'a.b.c',
}
for (const [what, make] of Object.entries(bad))
  test(`refused: ${what}`, async () => {
    const token = await make()
    await assert.rejects(
      principalOf(token),
      (error) => error instanceof AndonError && error.code === 'ANDON_UNAUTHENTICATED' && error.status === 401,
    )
  })

test('roles of one site, and roles inside of an object', async () => {
  const ofSite = oidcPrincipals({ ...common, site: 'nordhafen' })
  assert.deepEqual((await ofSite(await signed(sound)))?.roles, ['shift-lead'])
  const inside = oidcPrincipals({ ...common, rolesClaim: 'realm_access.roles' })
  assert.deepEqual((await inside(await signed({ ...sound, realm_access: { roles: ['operator', 7] } })))?.roles, ['operator'])
  assert.deepEqual((await inside(await signed(sound)))?.roles, [])
})

test('strong is who signed in just now with more than a password', async () => {
  const strengthOf = async (more: JWTPayload) => (await principalOf(await signed({ ...sound, ...more })))?.strength
  assert.equal(await strengthOf({ acr: 'phr', auth_time: nowS - 10 }), 'strong')
  assert.equal(await strengthOf({ amr: ['pwd', 'mfa'], auth_time: nowS - 10 }), 'strong')
  assert.equal(await strengthOf({ acr: 'phr', auth_time: nowS - 4_000 }), undefined)
  assert.equal(await strengthOf({ acr: 'phr' }), undefined)
  assert.equal(await strengthOf({ acr: '1', amr: ['pwd'], auth_time: nowS }), undefined)
})

test('keys are kept, and fetched again for one that is new', async () => {
  const before = jwksReads
  for (let i = 0; i < 20; i += 1) await principalOf(await signed(sound))
  assert.equal(jwksReads, before)
  const fresh = oidcPrincipals(common)
  await fresh(await signed(sound))
  keys.set('k-2', await generateKeyPair('ES256'))
  await new Promise((resolve) => setTimeout(resolve, 1_100)) // keys are asked for once a second at most
  assert.notEqual(await fresh(await signed(sound, 'k-2')), undefined)
})

test('a provider that cannot be asked is said, and asked again', async () => {
  const patient = oidcPrincipals(common)
  const token = await signed(sound)
  for (const bad of ['down', 'stranger'] as const) {
    mood = bad
    await assert.rejects(
      patient(token),
      (error) => error instanceof AndonError && error.code === 'ANDON_OIDC_UNAVAILABLE' && error.status === 503,
    )
  }
  mood = 'well'
  assert.notEqual(await patient(token), undefined)
})
