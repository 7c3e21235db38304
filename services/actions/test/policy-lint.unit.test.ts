// Policies are checked before they decide: every fault at once, at the very place of what is wrong.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBoundary, parseCommands, parsePlant } from '@andon/schemas'
import { lintPolicies } from '../src/policy-lint.ts'
import { VARIABLES } from '../src/policy-context.ts'
import { lintFolder } from '../src/policy-tool.ts'
import { plantDocuments } from './rig.ts'

const body = (name: string): unknown => JSON.parse(plantDocuments().find((one) => one.name === name)?.body ?? '')
const about = {
  plant: parsePlant(body('plant')),
  catalogue: parseCommands(body('commands')),
  boundaries: [parseBoundary(body('boundaries/press-pause'))],
}
const PLAN = 'plan:\n  - { step: notify, command: notify.technicians, approvals: 0 }\n'
const REST = 'evidence: null\nbudget: { perLinePerHour: 1 }\nrunbook: x\n'
const policy = (name: string, when: string, plan = PLAN, rest = REST) => ({
  name: `policies/${name}`,
  file: `${name}.yaml`,
  text: `version: 1\nname: policies/${name}\nwhen: ${when}\n${plan}${rest}`,
})
const faults = (...policies: ReturnType<typeof policy>[]) =>
  lintPolicies(policies, about).map(({ file, line, column, path, found }) => `${file}:${line}:${column} ${path} ${found}`)

test('the demo plant has no fault', () => {
  assert.deepEqual(lintFolder(new URL('../../../examples/steel-plant/', import.meta.url).pathname, '2026-11-23').faults, [])
})

test('every fault of a condition is told at its word, in any form of quoting', () => {
  const when = 'finding.severty <= 2 && foo.x == 1 && finding.severity == "a" && asset.line == "pres" && finding.ratio'
  const expected = ['finding.severty', 'foo', 'finding.severity == "a"', '"pres"', 'finding.ratio']
  const columns = [15, 31, 45, 86, 96]
  assert.deepEqual(
    faults(policy('a', when)),
    expected.map((found, i) => `a.yaml:3:${columns[i]} when ${found}`),
  )
  assert.deepEqual(faults(policy('a', `>-\n  finding.severity < 2 &&\n  foo == 1`)), ['a.yaml:5:3 when foo'])
  assert.deepEqual(faults(policy('a', JSON.stringify('asset.id == "press-1" && foo == 1'))), ['a.yaml:3:35 when foo'])
  assert.deepEqual(faults(policy('a', 'finding.severity <= && true')), ['a.yaml:3:27 when &&'])
})

test('macros bind their own names, and every declared field passes', () => {
  assert.deepEqual(faults(policy('a', 'finding.doubts.exists(d, d == "drift") && has(asset.bearing)')), [])
  for (const [name, fields] of Object.entries(VARIABLES))
    for (const field of Object.keys(fields)) assert.deepEqual(faults(policy('a', `has(${name}.${field})`)), [])
})

test('catalogue, risk floor, risk class, parameters, unknown keys and the missing boundary page are told together', () => {
  const plan = `plan:
  - { step: a, command: line.pause, params: { reviewMinutes: 900 }, approvals: 0 }
  - { step: b, command: line.paus, approvals: two }
`
  assert.deepEqual(faults(policy('a', 'finding.severity == 1', plan, `riskClass: low\nrunbok: x\n${REST}`)).toSorted(), [
    'a.yaml:1:1 boundary nothing',
    'a.yaml:5:25 plan[0].command "line.pause"',
    'a.yaml:5:62 plan[0].params.reviewMinutes 900',
    'a.yaml:5:80 plan[0].approvals 0',
    'a.yaml:6:25 plan[1].command "line.paus"',
    'a.yaml:6:47 plan[1].approvals "two"',
    'a.yaml:8:1 runbok "runbok"',
  ])
})

test('a policy that tolerates more false alarms than its boundary page is told', () => {
  const rest = `boundary: boundaries/press-pause\nfalsePositives: { perAssetPerWeek: 3 }\n${REST}`
  assert.deepEqual(faults(policy('a', 'finding.severity == 1', PLAN, rest)), ['a.yaml:7:36 falsePositives.perAssetPerWeek 3'])
  assert.match(faults(policy('a', 'true', PLAN, `boundary: boundaries/none\n${REST}`)).join(), /6:11 boundary "boundaries\/none"/)
})

test('a policy that is never reached is told, one that names a type for review is reached', () => {
  const first = policy('a', 'finding.severity <= 2')
  assert.match(faults(first, policy('b', 'asset.id == "press-1" && finding.severity<=2')).join(), /^b\.yaml:3:7 when/)
  assert.deepEqual(faults(first, policy('b', 'finding.severity <= 3')), [])
  assert.deepEqual(faults(first, policy('b', 'finding.severity <= 2 && finding.type == "DriftDetected"')), [])
  assert.match(faults(policy('b', 'false && finding.severity == 1')).join(), /^b\.yaml:3:7 when/)
})

test('a text that is no YAML is one fault, and hides none of the others', () => {
  const broken = { name: 'policies/b', file: 'b.yaml', text: 'a: [' }
  assert.deepEqual(
    lintPolicies([broken, policy('c', 'foo')], about).map(({ file, line }) => [file, line]),
    [
      ['b.yaml', 1],
      ['c.yaml', 3],
    ],
  )
})
