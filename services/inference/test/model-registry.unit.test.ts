import assert from 'node:assert/strict'
import test from 'node:test'
import type { Models } from '@andon/schemas'
import { ModelRegistry, verdictSetDigest } from '../src/models/model-registry.ts'
import { chosen } from '../src/tools/score.ts'

const fact = (type: string, changes: Partial<Models> = {}): Models => ({
  type,
  model: 't2spe.press',
  version: 1,
  kind: 'onnx',
  assetId: 'press',
  featureSet: 'features/test',
  featureSetDigest: 'set-a',
  digest: `artefact-${changes.version ?? 1}`,
  uri: 'sha256:0',
  role: 'advisory',
  features: [],
  card: '{}',
  effectiveFromUs: 0,
  by: 'test',
  assetClass: '',
  requestId: null,
  reason: '',
  atUs: 0,
  ...changes,
})
const registryOf = (...facts: Models[]): ModelRegistry => {
  const registry = new ModelRegistry()
  for (const each of facts) registry.apply(each)
  return registry
}
const both = (changes: Partial<Models> = {}): Models[] => [fact('ModelRegistered', changes), fact('ModelActivated', changes)]
const versionsAt = (registry: ModelRegistry, windowEndUs: number, set = 'set-a'): number[] =>
  registry.activeAt('press', set, windowEndUs).map(({ version }) => version)

test('an activation holds for windows that end after the event time it names', () => {
  const registry = registryOf(...both({ effectiveFromUs: 100 }))
  assert.deepEqual([versionsAt(registry, 100), versionsAt(registry, 101)], [[], [1]])
})

test('of two versions the one activated for the later event time holds, each for its own range', () => {
  const registry = registryOf(...both({ effectiveFromUs: 0 }), ...both({ version: 2, effectiveFromUs: 50 }))
  assert.deepEqual([versionsAt(registry, 50), versionsAt(registry, 51)], [[1], [2]])
})

test('a version that was rolled back gives way to the one before, and may come back', () => {
  const registry = registryOf(
    ...both(),
    ...both({ version: 2, effectiveFromUs: 50 }),
    fact('ModelRolledBack', { version: 2, effectiveFromUs: 80 }),
  )
  assert.deepEqual([versionsAt(registry, 80), versionsAt(registry, 81)], [[2], [1]])
  registry.apply(fact('ModelActivated', { version: 2, effectiveFromUs: 90 }))
  assert.deepEqual([versionsAt(registry, 81), versionsAt(registry, 91)], [[1], [2]])
})

test('a retired model holds for nothing and its asset is not learned again by itself', () => {
  const registry = registryOf(...both(), fact('ModelRetired', { effectiveFromUs: 10 }))
  assert.deepEqual(versionsAt(registry, 11), [])
  assert.equal(registry.isCommissioned('press', 'set-a'), true)
  assert.equal(registry.isCommissioned('press', 'set-b'), false)
})

test('a version belongs to the artefact that was registered first', () => {
  const registry = registryOf(
    fact('ModelRegistered'),
    fact('ModelRegistered', { digest: 'other' }),
    fact('ModelActivated', { digest: 'other' }),
  )
  assert.deepEqual(versionsAt(registry, 1), [])
  registry.apply(fact('ModelActivated'))
  assert.equal(registry.activeAt('press', 'set-a', 1)[0]!.digest, 'artefact-1')
})

test('registered but not yet activated counts as not commissioned: a stop between the two facts is repaired', () => {
  assert.equal(registryOf(fact('ModelRegistered')).isCommissioned('press', 'set-a'), false)
})

test('repeating facts changes nothing, and detectors are left out', () => {
  const facts = [...both(), ...both({ version: 2, effectiveFromUs: 50 })]
  const [once, twice] = [registryOf(...facts), registryOf(...facts, ...facts, ...both({ model: 'detector.press', kind: 'detector' }))]
  for (const windowEndUs of [1, 50, 51, 1000])
    assert.deepEqual(twice.activeAt('press', 'set-a', windowEndUs), once.activeAt('press', 'set-a', windowEndUs))
})

test('the verdict set changes with model, version, artefact and role, and with nothing else', () => {
  const digest = (changes: Partial<Models> = {}): string => verdictSetDigest([fact('ModelActivated', changes)])
  const all = [digest(), digest({ model: 'x' }), digest({ version: 2 }), digest({ digest: 'x' }), digest({ role: 'champion' })]
  assert.equal(new Set(all).size, all.length)
  assert.equal(digest({ by: 'somebody else', atUs: 9, card: '{"a":1}' }), digest())
})

test('a version is chosen by number, by role, or as the one in force; one that is not there is refused with its reason', () => {
  const registry = registryOf(...both(), ...both({ version: 2, role: 'shadow' }), fact('ModelRegistered', { version: 3 }))
  for (const [name, version] of [
    ['t2spe.press/2', 2],
    ['t2spe.press@3', 3],
    ['t2spe.press@advisory', 1],
    ['t2spe.press@shadow', 2],
  ] as const)
    assert.equal(chosen(registry, name).version, version, name)
  for (const [name, reason] of [
    ['t2spe.nobody', /no model t2spe\.nobody$/],
    ['t2spe.press/7', /no model t2spe\.press, version 7$/],
    ['t2spe.press@champion', /t2spe\.press in force as champion: .*models show/],
    ['t2spe.nobody@champion', /it is not registered/],
  ] as const)
    assert.throws(() => chosen(registry, name), { code: 'ANDON_INFERENCE_MODEL_UNKNOWN', message: reason })
})
