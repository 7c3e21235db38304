import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Input } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { Registrations } from '../src/models/registrations.ts'
import { onRegistrationRequests } from '../src/on-registration-requests.ts'

const request = (digest: string, overrides: Partial<Models> = {}): Models => ({
  type: 'RegistrationRequested',
  model: 'modes.pump',
  version: 0,
  kind: 'clusters',
  assetId: '',
  featureSet: 'features/pump',
  featureSetDigest: 'f'.repeat(64),
  digest,
  uri: `sha256:${digest}`,
  role: 'advisory',
  features: [],
  card: JSON.stringify({ basedOn: null }),
  effectiveFromUs: 10,
  by: 'clustering',
  assetClass: 'pump',
  requestId: `request-${digest}`,
  reason: '',
  atUs: 7,
  ...overrides,
})

/** The topic with its registrar: what is sent lies on it, and so do the answers. */
const registrar = (hasArtefact = true) => {
  const registrations = new Registrations()
  const log: Models[] = []
  const ids: string[] = []
  const settled = async () => {}
  const handle = onRegistrationRequests({ registrations, settled, hasArtefact: async () => hasArtefact, count: () => {} })
  const send = async (value: Models): Promise<Models[]> => {
    registrations.apply(value)
    log.push(value)
    const input = { value, position: { leaderEpoch: 0, offset: log.length - 1 } } as Input<Models>
    const { outputs } = await handle({ topic: 'models', partition: 0, inputs: [input] })
    const facts = outputs.map(({ output }) => output.value as Models)
    for (const [i, fact] of facts.entries()) {
      registrations.apply(fact)
      log.push(fact)
      ids.push((outputs[i] as (typeof outputs)[number]).output.id)
    }
    return facts
  }
  return { send, ids, handle, log }
}

const says = (facts: readonly Models[]) => facts.map(({ type, version, digest }) => `${type} ${version} ${digest}`)

test('a request is registered and activated from the time it asks for, as the next version', async () => {
  const { send } = registrar()
  const first = await send(request('a'))
  assert.deepEqual(says(first), ['ModelRegistered 1 a', 'ModelActivated 1 a'])
  assert.deepEqual([first[1]?.effectiveFromUs, first[1]?.atUs, first[1]?.requestId, first[1]?.assetClass], [10, 7, 'request-a', 'pump'])
  const second = await send(request('b', { card: JSON.stringify({ basedOn: 'a' }) }))
  assert.deepEqual(says(second), ['ModelRegistered 2 b', 'ModelActivated 2 b'])
})

test('a repeated request changes nothing, and every answer has an id of its own', async () => {
  const { send, ids } = registrar()
  await send(request('a'))
  assert.deepEqual(await send(request('a')), [])
  await send(request('b', { card: JSON.stringify({ basedOn: 'a' }) }))
  assert.deepEqual(await send(request('a')), [])
  assert.equal(new Set(ids).size, ids.length)
})

test('of two models that were fitted after the same one, the second is refused', async () => {
  const { send } = registrar()
  await send(request('a'))
  await send(request('b', { card: JSON.stringify({ basedOn: 'a' }) }))
  const [answer] = await send(request('c', { card: JSON.stringify({ basedOn: 'a' }) }))
  assert.equal(answer?.type, 'RegistrationRefused')
  assert.equal(answer?.reason, 'it was fitted after a, and b holds')
  assert.deepEqual(await send(request('c', { card: JSON.stringify({ basedOn: 'a' }) })), [])
})

test('a detector needs its artefact and its own name', async () => {
  const detector = { kind: 'detector', model: 'detector.pump-1', assetId: 'pump-1', assetClass: '', card: '' }
  assert.deepEqual(says(await registrar().send(request('d', detector))), ['ModelRegistered 1 d', 'ModelActivated 1 d'])
  assert.match((await registrar(false).send(request('d', detector)))[0]?.reason ?? '', /the blob store has no sha256:d/)
  const [foreign] = await registrar().send(request('d', { ...detector, model: 'detector.pump-2' }))
  assert.match(foreign?.reason ?? '', /named detector.pump-1/)
})

test('the answer of another owner at the same moment is the same, and a version is taken once', async () => {
  const registrations = new Registrations()
  registrations.apply(request('a'))
  const { facts } = registrations.answer(request('a'), true)
  for (const fact of [...facts, ...facts]) registrations.apply(fact)
  registrations.apply({ ...facts[0]!, digest: 'x', requestId: 'request-x' })
  registrations.apply({ ...facts[1]!, digest: 'x', requestId: 'request-x' })
  const next = registrations.answer(request('b', { card: JSON.stringify({ basedOn: 'a' }) }), true)
  assert.deepEqual(says(next.facts), ['ModelRegistered 2 b', 'ModelActivated 2 b'])
})

test('what is no request of these kinds is left alone', async () => {
  const { send } = registrar()
  assert.deepEqual(await send(request('o', { kind: 'onnx', model: 't2spe.pump-1' })), [])
  assert.deepEqual(await send(request('o', { type: 'ModelRegistered', version: 1 })), [])
  assert.deepEqual(await send(request('o', { requestId: null })), [])
})
