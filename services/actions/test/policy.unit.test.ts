// The gate: which policy answers, in which order, and what an error in it means.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptyState, record } from '@andon/decisions'
import { documentProblem } from '../src/documents.ts'
import { PlantView } from '../src/plant-view.ts'
import { planFor } from '../src/policy.ts'
import { findingOf, plantDocuments } from './rig.ts'

const viewOf = (change: (name: string, value: Record<string, unknown>) => void = () => {}): PlantView => {
  const view = new PlantView()
  for (const document of plantDocuments({}, change)) view.apply(document)
  return view
}

const planned = (view: PlantView, fields: Parameters<typeof findingOf>[0] = {}) => {
  const finding = findingOf(fields)
  return planFor(record('FindingCopied', finding.findingId, 'press-line', finding.atUs, { finding }), emptyState(), view)
}

test('the first policy by name whose condition holds plans, the default one last', () => {
  const view = viewOf()
  assert.equal(planned(view)?.policy, 'policies/press-vibration')
  assert.equal(planned(view, { severity: 3 })?.policy, 'policies/default')
  assert.equal(planned(view, { assetId: 'furnace-fan' })?.policy, 'policies/default')
})

test('evidence comes from the cameras that see the asset', () => {
  assert.deepEqual(planned(viewOf())?.evidence, { cameraIds: ['cam-press-front', 'cam-press-rear'], beforeS: 10, afterS: 5 })
})

for (const [what, when] of [
  ['a field that is not there', 'finding.nothing > 1'],
  ['an answer that is no boolean', 'finding.severity'],
] as const)
  test(`a condition with ${what} counts as true and adds the doubt gate-error`, () => {
    const view = viewOf((name, value) => {
      if (name === 'policies/press-vibration') value['when'] = when
    })
    const plan = planned(view)
    assert.deepEqual([plan?.policy, plan?.doubts], ['policies/press-vibration', ['gate-error']])
  })

test('conditions see finding, asset, line and incident', () => {
  const view = viewOf((name, value) => {
    if (name === 'policies/press-vibration')
      value['when'] =
        'asset.class == "hydraulic-press" && line.area == "forming" && !incident.isOpen && finding.ratio > 1.5 && size(finding.doubts) == 0'
  })
  assert.deepEqual(planned(view)?.doubts, [])
  assert.equal(planned(view, { ratio: 1.2 })?.policy, 'policies/default')
})

test('a condition that CEL cannot read is refused with the policy, before it is published', () => {
  const policy = plantDocuments().find((one) => one.name === 'policies/default')
  assert.ok(policy)
  const body = JSON.stringify({ ...(JSON.parse(policy.body) as object), when: 'finding.severity <=' })
  assert.match(documentProblem({ name: policy.name, kind: 'policy', body }, viewOf()) ?? '', /when: expected a CEL condition/)
  assert.equal(documentProblem(policy, viewOf()), null)
})

test('quorums by role, step-up, ladders and budgets per asset reach the plan', () => {
  const quorum = [{ role: 'shift-lead', people: 1 }]
  const ladder = [{ afterMinutes: 12, tell: 'maintenance-manager' }]
  const view = viewOf((name, value) => {
    if (name !== 'policies/press-vibration') return
    Object.assign((value['plan'] as Record<string, unknown>[]).at(-1) ?? {}, {
      quorum,
      ladder,
      stepUp: true,
      escalateMinutes: 5,
      expireMinutes: 15,
    })
    value['budget'] = { perLinePerHour: 6, perAssetPerHour: 2 }
  })
  const plan = planned(view)
  const step = plan?.steps.at(-1)
  assert.deepEqual([step?.quorum, step?.ladder, step?.stepUp, plan?.assetBudgetPerHour], [quorum, ladder, true, 2])
})

for (const [what, fields, expected] of [
  ['a rung that comes before the one below it', { ladder: [{ afterMinutes: 1, tell: 'x' }], escalateMinutes: 5 }, /ladder.*more than 5/s],
  [
    'a quorum of a role that may not decide',
    { roles: ['operator'], quorum: [{ role: 'shift-lead', people: 1 }] },
    /quorum.*one of roles: operator/s,
  ],
] as const)
  test(`a policy with ${what} is refused, with its path`, () => {
    const policy = plantDocuments().find((one) => one.name === 'policies/press-vibration')
    assert.ok(policy)
    const value = JSON.parse(policy.body) as { plan: object[] }
    const plan = value.plan.map((step, i) => (i === value.plan.length - 1 ? { ...step, expireMinutes: 15, ...fields } : step))
    const body = JSON.stringify({ ...value, plan })
    assert.match(documentProblem({ name: policy.name, kind: 'policy', body }, viewOf()) ?? '', expected)
  })
