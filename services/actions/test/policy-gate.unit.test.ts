// The gate's guardrails: whatever it doubts goes to a person or nowhere, it says why, and nothing of a safety function is ever a target.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decide, emptyState, evolve, ownershipTaken, record, sign } from '@andon/decisions'
import type { State } from '@andon/decisions'
import { parseCommands, parsePlant, parsePolicy, readPlantFolder } from '@andon/schemas'
import type { Actions, Finding } from '@andon/schemas'
import { decideContext } from '../src/decide-context.ts'
import { checkTogether } from '../src/documents.ts'
import { PlantView } from '../src/plant-view.ts'
import { judge } from '../src/policy.ts'
import type { GateDecision } from '../src/policy.ts'
import { findingOf, plantDocuments } from './rig.ts'

type Change = (value: Record<string, unknown>) => void
const PRESS = 'policies/press-vibration'
const NOW_US = Date.parse('2026-11-23T08:00:00Z') * 1000

const viewOf = (changes: Readonly<Record<string, Change>> = {}): PlantView => {
  const view = new PlantView()
  for (const document of plantDocuments({}, (name, value) => changes[name]?.(value))) view.apply(document)
  return view
}

const requestOf = (finding: Finding, type = 'EpisodeOpened'): Actions =>
  record('FindingCopied', finding.findingId, 'press-line', finding.atUs, {
    finding,
    assetId: finding.assetId,
    detail: JSON.stringify({ type }),
  })

const judged = (view: PlantView, fields: Partial<Finding> = {}, atUs = NOW_US, state: State = emptyState()) => {
  let decision: GateDecision | undefined
  const plan = judge(requestOf(findingOf(fields)), state, view, atUs, (one) => (decision = one))
  assert.ok(decision)
  return { plan, decision, doubts: plan?.doubts ?? [] }
}

/** Steps as the kernel proposes them, with the number of people each needs. */
const proposed = (view: PlantView, fields: Partial<Finding> = {}): Record<string, number> => {
  const state = emptyState()
  const land = (one: Actions, offset: number): unknown => evolve(state, { record: one, offset, appendedUs: NOW_US })
  land(ownershipTaken('press-line', 1, 'o', NOW_US), 0)
  const request = requestOf(findingOf(fields))
  land(request, 1)
  const facts = sign(decide(request, state, decideContext(view)(request, state, NOW_US)), 1, 'o')
  return Object.fromEntries(
    facts.filter(({ type }) => type === 'StepProposed').map(({ title, proposal }) => [title ?? '', proposal?.approvalsNeeded ?? -1]),
  )
}

test('a finding without a doubt gets the plan as the policy says it', () => {
  assert.deepEqual(proposed(viewOf()), { inspection: 0, notify: 0, pause: 1 })
  assert.equal(judged(viewOf()).decision.result, 'plan')
})

for (const doubt of ['drift', 'out-of-domain', 'stale-calibration', 'missing-features', 'gate-error'])
  test(`with the doubt ${doubt} everything but telling people needs a person`, () => {
    assert.deepEqual(proposed(viewOf(), { doubts: [doubt] }), { inspection: 1, notify: 0, pause: 1 })
    assert.equal(judged(viewOf(), { doubts: [doubt] }).decision.result, 'ask')
  })

test('a canary model proposes no motion, and nothing else without a person', () => {
  assert.deepEqual(proposed(viewOf(), { modelRole: 'canary' }), { inspection: 1, notify: 0 })
})

test('a finding about a sensor or missing telemetry proposes no motion', () => {
  assert.deepEqual(proposed(viewOf(), { about: 'telemetry' }), { inspection: 0, notify: 0 })
})

test('historical findings propose nothing', () => {
  assert.deepEqual(proposed(viewOf(), { historical: true }), {})
  assert.equal(judged(viewOf(), { historical: true }).decision.result, 'nothing')
})

for (const [what, guardrails, fields] of [
  ['a ratio below the least one', { minRatio: 1.5 }, { ratio: 1.4 }],
  ['a ratio that is no number', { minRatio: 1.5 }, { ratio: Number.NaN }],
  ['a p-value above the largest one', { maxPValue: 0.01 }, { pValue: 0.02 }],
  ['no calibrated p-value where one is wanted', { maxPValue: 0.01 }, { pValue: null }],
] as const)
  test(`${what} is the doubt low-confidence`, () => {
    const view = viewOf({ [PRESS]: (value) => (value['guardrails'] = guardrails) })
    assert.deepEqual(judged(view, fields).doubts, ['low-confidence'])
    assert.deepEqual(judged(view, { ratio: 1.6, pValue: 0.001 }).doubts, [])
  })

test('where a policy says so, a doubt leaves nothing but telling people', () => {
  const view = viewOf({ [PRESS]: (value) => (value['guardrails'] = { onDoubt: 'nothing' }) })
  assert.deepEqual(proposed(view, { doubts: ['drift'] }), { notify: 0 })
  assert.deepEqual(proposed(view), { inspection: 0, notify: 0, pause: 1 })
})

test('the owner of the model cannot approve, and a model without an owner asks', () => {
  const view = viewOf({ [PRESS]: (value) => (value['modelOwners'] = { m: 'p-ana' }) })
  assert.deepEqual([judged(view).plan?.modelOwner, judged(view).doubts], ['p-ana', []])
  assert.deepEqual(judged(view, { model: 'other' }).doubts, ['gate-error'])
  assert.deepEqual(judged(view, { model: 'constructor' }).doubts, ['gate-error'])
  assert.deepEqual(judged(view, { model: '' }).doubts, [])
})

test('more false alarms in a week than are tolerated are a doubt; older ones and those of other assets are none', () => {
  const view = viewOf({ [PRESS]: (value) => (value['falsePositives'] = { perAssetPerWeek: 1 }) })
  const state = emptyState()
  const day = 86_400_000_000
  const say = (n: number, assetId: string, daysAgo: number): void => {
    state.incidents.set(`i-${n}`, { assetId } as never)
    const what = { episodeId: `e-${n}`, findingId: 'f', verdict: 'false-alarm', modeId: null, note: '' }
    state.teaching.verdicts.set(`e-${n}`, { what, line: '', by: 'p', atUs: NOW_US - daysAgo * day, revision: 1, incidentId: `i-${n}` })
  }
  say(1, 'press-1', 1)
  say(2, 'press-1', 8)
  say(3, 'furnace-fan', 1)
  assert.deepEqual(judged(view, {}, NOW_US, state).doubts, [])
  say(4, 'press-1', 2)
  assert.deepEqual(judged(view, {}, NOW_US, state).doubts, ['false-positives'])
})

const isAsked = (view: PlantView, reason: RegExp, atUs = NOW_US): void => {
  const { doubts, decision } = judged(view, {}, atUs)
  assert.deepEqual([doubts, decision.result], [['gate-error'], 'ask'])
  assert.match(decision.reasons.join('\n'), reason)
}

for (const [what, when] of [
  ['a field that is not there', 'finding.nothing > 1'],
  ['an attribute that this finding lacks', 'finding.precedent.liftLow > 2.0'],
  ['no yes or no', 'finding.severity'],
] as const)
  test(`a condition with ${what} asks a person`, () => {
    isAsked(viewOf({ [PRESS]: (value) => (value['when'] = when) }), /gate-error: the condition of policies\/press-vibration/)
  })

test('a policy past its last day asks; on that day it decides', () => {
  const view = viewOf({ [PRESS]: (value) => (value['validUntil'] = '2026-11-23') })
  assert.deepEqual(judged(view, {}, Date.parse('2026-11-23T23:59:59Z') * 1000).doubts, [])
  isAsked(view, /was valid until 2026-11-23/, Date.parse('2026-11-24T00:00:00Z') * 1000)
})

test('a policy whose boundary page is not published asks', () => {
  const view = new PlantView()
  for (const document of plantDocuments()) if (document.name !== 'boundaries/press-pause') view.apply(document)
  isAsked(view, /boundaries\/press-pause is not published/)
})

for (const name of ['plant', 'commands', PRESS, 'policies/default', 'boundaries/press-pause', 'policies/another'])
  test(`a newest version of ${name} that cannot be read asks until a readable one comes`, () => {
    const view = viewOf()
    const old = plantDocuments().find((one) => one.name === name)
    const broken = { ...(old ?? plantDocuments()[0]!), name, body: '{"version":9}', digest: 'broken' }
    view.apply(broken)
    isAsked(view, new RegExp(`the newest version of ${name} cannot be read`))
    view.apply(old ?? { ...broken, type: 'ConfigRetired' })
    assert.deepEqual(judged(view).doubts, [])
  })

test('a command that became riskier than the policy allows asks', () => {
  const view = viewOf({ [PRESS]: (value) => (value['riskClass'] = 'low') })
  isAsked(view, /line\.pause has risk class high, and the policy allows low/)
})

test('a decision says policy, digest, input, result and reasons, and the incident keeps them', () => {
  const view = viewOf()
  const { decision, plan } = judged(view, { doubts: ['drift'] })
  assert.equal(decision.policyDigest, view.policies.get(PRESS)?.digest)
  assert.deepEqual(decision.reasons, ['policies/press-vibration: its condition holds', 'doubt of the finding: drift'])
  const { policyDigest, inputDigest, result, reasons } = decision
  assert.deepEqual(plan?.gate, { policyDigest, inputDigest, result, reasons })
  assert.match(inputDigest, /^[0-9a-f]{64}$/)
  assert.equal(judged(view, { doubts: ['drift'], atUs: 1, openedUs: 1 }).decision.inputDigest === inputDigest, false)
})

test('a policy of before boundary pages plans as it was recorded', () => {
  const view = viewOf({ [PRESS]: (value) => delete value['boundary'] })
  assert.equal(judged(view).plan && 'gate' in judged(view).plan!, false)
})

test('the shift is that of the site at the time of deciding, past midnight too', () => {
  const shifts = [
    { name: 'early', from: '06:00', to: '22:00' },
    { name: 'night', from: '22:00', to: '06:00' },
  ]
  const view = viewOf({
    plant: (value) => ((value['site'] as Record<string, unknown>)['shifts'] = shifts),
    [PRESS]: (value) => (value['when'] = 'shift.name == "night" && shift.weekday == 1 && model.isChampion'),
  })
  // Berlin is an hour ahead in November
  assert.equal(judged(view, {}, Date.parse('2026-11-23T21:30:00Z') * 1000).plan?.policy, PRESS)
  assert.equal(judged(view, {}, Date.parse('2026-11-23T20:30:00Z') * 1000).plan?.policy, 'policies/default')
  assert.equal(judged(view, {}, Date.parse('2026-11-23T03:00:00Z') * 1000).plan?.policy, PRESS)
})

test('a policy in shadow mode is judged beside, says what it would do, and changes nothing', () => {
  const shadow = (fields: object): PlantView => {
    const view = viewOf()
    const inForce = plantDocuments().find(({ name }) => name === PRESS)
    assert.ok(inForce)
    const body = { ...(JSON.parse(inForce.body) as object), name: 'policies/a-next', mode: 'shadow', ...fields }
    view.apply({ ...inForce, name: 'policies/a-next', body: JSON.stringify(body), digest: 'next' })
    return view
  }
  const at = { atUs: NOW_US, openedUs: NOW_US }
  assert.deepEqual(judged(shadow({ when: 'true' }), at).plan, judged(viewOf(), at).plan)
  assert.deepEqual(
    [
      shadow({ when: 'true' }),
      shadow({ when: 'true', plan: [{ step: 'x', command: 'notify.technicians', approvals: 0 }] }),
      shadow({ when: 'false' }),
    ].map((view) => judged(view).decision.shadows.map(({ policy, result, isSame, steps }) => [policy, result, isSame, steps.length])),
    [[['policies/a-next', 'plan', true, 3]], [['policies/a-next', 'plan', false, 1]], [['policies/a-next', 'none', false, 0]]],
  )
  assert.equal(judged(shadow({ when: 'finding.nothing' })).decision.shadows[0]?.result, 'ask')
  assert.deepEqual(judged(shadow({ when: 'finding.nothing' })).doubts, [])
})

// Safety-tagged signals: neither schema nor catalogue nor policy can name one as a target.

const withSafety = (value: Record<string, unknown>): void => {
  const process = (value['assets'] as { id: string; channels: { id: string; safety?: boolean }[] }[]).find(
    ({ id }) => id === 'press-1-process',
  )
  process!.channels.find(({ id }) => id === 'pressureBar')!.safety = true
}

const folder = new URL('../../../examples/steel-plant/', import.meta.url).pathname
const parts = (change: (name: string, value: Record<string, unknown>) => void) => {
  const documents = plantDocuments({}, change).map(({ name, kind, body }) => ({ name, kind, value: JSON.parse(body) as unknown }))
  return [...documents, ...readPlantFolder(folder).filter(({ kind }) => kind === 'feature-set')]
}

test('the schema has no target but the line or the asset of a finding', () => {
  const commands = plantDocuments().find(({ name }) => name === 'commands')
  const catalogue = JSON.parse(commands?.body ?? '') as { commands: Record<string, unknown>[] }
  for (const target of [
    { kind: 'signal', id: 'pressureBar' },
    { kind: 'asset', id: 'press-1' },
    { kind: 'asset', signal: 'pressureBar' },
  ]) {
    const changed = { ...catalogue, commands: catalogue.commands.map((one) => ({ ...one, target })) }
    assert.throws(() => parseCommands(changed), /target/)
  }
  const policy = JSON.parse(plantDocuments().find(({ name }) => name === PRESS)?.body ?? '') as { plan: object[] }
  assert.throws(() => parsePolicy({ ...policy, plan: policy.plan.map((step) => ({ ...step, target: 'pressureBar' })) }), /target/)
  assert.throws(() => parsePlant({ ...(JSON.parse(plantDocuments()[0]?.body ?? '') as object), safety: true }), /safety/)
})

test('a catalogue that names a signal of a safety function is refused', () => {
  for (const word of ['pressureBar', 'press-1-process.pressureBar', 'ns=2;s=press-1-process/pressureBar']) {
    const documents = parts((name, value) => {
      if (name === 'plant') withSafety(value)
      const [first] = name === 'commands' ? (value['commands'] as { params: object }[]) : []
      if (first) first.params = { ...first.params, tag: { type: 'string', enum: [word], default: word } }
    })
    assert.throws(() => checkTogether(documents, new PlantView()), /params\.tag\.default.*no signal of a safety function/)
  }
  assert.doesNotThrow(() =>
    checkTogether(
      parts((name, value) => name === 'plant' && withSafety(value)),
      new PlantView(),
    ),
  )
})

test('a policy that names a signal of a safety function is refused', () => {
  const documents = parts((name, value) => {
    if (name === 'plant') withSafety(value)
    if (name === PRESS) (value['plan'] as { params: object }[])[0]!.params = { priority: 'pressureBar' }
  })
  assert.throws(() => checkTogether(documents, new PlantView()), /plan\[0\]\.params\.priority.*no signal of a safety function/)
})

test('nothing acts on an asset that is part of a safety function', () => {
  const view = viewOf({
    plant: (value) => ((value['assets'] as { id: string; safety?: boolean }[]).find(({ id }) => id === 'press-1')!.safety = true),
    commands: (value) => ((value['commands'] as { name: string; target: object }[])[0]!.target = { kind: 'asset' }),
  })
  assert.deepEqual(proposed(view), { inspection: 0, notify: 0 })
  assert.match(judged(view).decision.reasons.join('\n'), /part of a safety function/)
})
