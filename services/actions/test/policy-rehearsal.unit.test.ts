// A version of a policy on recorded findings: which of them get another plan, and why.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testPolicies, testText, withPolicy } from '../src/policy-tool.ts'
import { findingOf, plantDocuments } from './rig.ts'

const START_US = 1_790_000_000_000_000
const SECOND_US = 1_000_000
const at = (n: number, severity: number) => {
  const atUs = START_US + n * SECOND_US
  const finding = findingOf({ findingId: `f-${n}`, episodeId: `e-${n}`, severity, atUs, openedUs: atUs })
  return { type: 'EpisodeOpened', finding, atUs }
}
const documents = plantDocuments()
const press = JSON.parse(documents.find(({ name }) => name === 'policies/press-vibration')?.body ?? '') as Record<string, unknown>
const changed = (fields: object) => withPolicy(documents, 'press.yaml', JSON.stringify({ ...press, ...fields }))

test('the same documents plan the same', () => {
  const findings = [at(1, 2), at(2, 3)]
  const { differences, before } = testPolicies(findings, documents, documents)
  assert.deepEqual(differences, [])
  assert.deepEqual(
    before.map(({ policy }) => policy),
    ['policies/press-vibration', 'policies/default'],
  )
})

test('a narrower condition changes just the findings that it leaves out, and says why', () => {
  const findings = [at(1, 1), at(2, 2), at(3, 3)]
  const result = testPolicies(findings, documents, changed({ when: 'finding.severity <= 1 && asset.line == "press-line"' }))
  assert.deepEqual(
    result.differences.map(({ findingId }) => findingId),
    ['f-2'],
  )
  const why = result.differences[0]?.why.join('\n') ?? ''
  assert.match(why, /policies\/press-vibration planned, policies\/default does now/)
  assert.match(why, /step pause is gone/)
  assert.match(why, /now: policies\/press-vibration: its condition does not hold/)
  assert.match(testText(findings, result), /1 of 3 findings get another plan/)
})

test('budgets count what was planned before, as they do live', () => {
  const findings = Array.from({ length: 4 }, (_, n) => at(n, 2))
  const { differences } = testPolicies(findings, documents, changed({ budget: { perLinePerHour: 2 } }))
  assert.deepEqual(
    differences.map(({ findingId }) => findingId),
    ['f-2', 'f-3'],
  )
  assert.match(differences[0]?.why.join() ?? '', /budget of 2 planned incidents per hour is used up/)
})

test('a policy in shadow mode is tried as if it decided, one with a fault is not tried', () => {
  const shadow = changed({ mode: 'shadow', when: 'false || finding.severity == 9' })
  assert.equal(testPolicies([at(1, 2)], documents, shadow).after[0]?.policy, 'policies/default')
  assert.throws(() => changed({ when: 'finding.severty < 2' }), /press\.yaml:1:\d+: when/)
})
