// Who is at the door: strong sign-ins for steps that ask for one, and people of a real identity provider (oidc-provider).

import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import { freePorts } from '@andon/platform'
import { Provider } from 'oidc-provider'
import { findingOf, plantDocuments, publishDocuments, raise, startActions, TOPICS } from './rig.ts'

const start = async (t: TestContext, settings: Record<string, string> = {}) => {
  const log = openMemoryLog({ partitions: 4 })
  const codec = localCodec()
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
  const documents = plantDocuments({}, (name, value) => {
    if (name === 'policies/press-vibration') for (const step of value['plan'] as object[]) Object.assign(step, { stepUp: true })
  })
  await publishDocuments(log, codec, documents)
  return { ...(await startActions(t, { log, codec }, settings)), log, codec }
}

test('a step with stepUp is approved with a strong sign-in only, and a weak one is told how', async (t) => {
  const { door, log, codec } = await start(t)
  await raise(log, codec, findingOf())
  const step = await door.step('pause')
  assert.equal(step.stepUp, true)
  const weak = await door.decide('approve', step, 'lead')
  assert.deepEqual([weak.status, weak.body.code], [401, 'ANDON_ACTIONS_STEP_UP'])
  assert.match(weak.headers.get('www-authenticate') ?? '', /insufficient_user_authentication.*acr_values="phr phrh mfa hwk", max_age="300"/)
  const strong = await door.decide('approve', step, 'strong')
  assert.equal(strong.body.outcome, 'DecisionRecorded')
  assert.deepEqual(
    (await door.step('pause')).approvals.map((one: { by: string; strength: string }) => [one.by, one.strength]),
    [['p-strong', 'strong']],
  )
})

test('a word that was refused is said again once nothing speaks against it', async (t) => {
  const { door, log, codec } = await start(t)
  await raise(log, codec, findingOf())
  const step = await door.step('pause')
  const by = { commandHash: step.commandHash, untilUs: Date.now() * 1000 + 60_000_000, to: 'p-lead' }
  assert.equal((await door.post(`/v1/steps/${step.id}/delegate`, by, 'strong')).body.outcome, 'StepDelegated')
  const lent = await door.decide('approve', step, 'strong')
  const again = await door.decide('approve', step, 'strong')
  assert.deepEqual([lent.body.code, again.body.code], ['ANDON_ACTIONS_FOUR_EYES', 'ANDON_ACTIONS_FOUR_EYES'])
  const { timeline } = (await door.get(`/v1/incidents/${step.incidentId}`)).body
  assert.equal(timeline.filter((one: { type: string }) => one.type === 'RequestRefused').length, 2)
})

const AUDIENCE = 'https://andon.example/actions'

const identityProvider = async (t: TestContext): Promise<{ issuer: string; tokenOf: (client: string) => Promise<string> }> => {
  const [port = 0] = await freePorts(1)
  const issuer = `http://127.0.0.1:${port}`
  const client = (id: string) => ({
    client_id: id,
    client_secret: 'secret',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  })
  const provider = new Provider(issuer, {
    clients: [client('shift-lead'), client('visitor')],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: () => ({ scope: '', audience: AUDIENCE, accessTokenFormat: 'jwt' }),
      },
    },
    extraTokenClaims: (_context, token) => ({ roles: 'clientId' in token && token.clientId === 'shift-lead' ? ['shift-lead'] : [] }),
  })
  const server = await new Promise<Server>((resolve) => {
    const listening: Server = provider.listen(port, '127.0.0.1', () => resolve(listening))
  })
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const tokenOf = async (id: string): Promise<string> => {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${id}:secret`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: AUDIENCE }),
    })
    const body = (await response.json()) as { access_token: string }
    assert.ok(response.ok, JSON.stringify(body))
    return body.access_token
  }
  return { issuer, tokenOf }
}

test('people of an identity provider come in with its access tokens', async (t) => {
  const { issuer, tokenOf } = await identityProvider(t)
  const { door } = await start(t, { ANDON_OIDC_ISSUER: issuer, ANDON_OIDC_AUDIENCE: AUDIENCE })
  const call = (token: string) =>
    door.call('POST', '/v1/calls', undefined, { asset: 'press-1', title: 'Oil' }, { authorization: `Bearer ${token}` })
  const lead = await tokenOf('shift-lead')
  const called = await call(lead)
  assert.deepEqual([called.status, called.body.outcome], [200, 'IncidentOpened'])
  const { openedBy } = (await door.get(`/v1/incidents/${called.body.incidentId}`)).body
  assert.match(openedBy, /^p-[0-9a-f]{20}$/)
  assert.equal((await call(await tokenOf('visitor'))).status, 403)
  const [head, body, signature = ''] = lead.split('.')
  const forged = await call(`${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`)
  assert.deepEqual([forged.status, forged.body.code], [401, 'ANDON_UNAUTHENTICATED'])
  assert.equal((await door.get('/v1/incidents')).status, 200, 'tokens of the file go on')
})
