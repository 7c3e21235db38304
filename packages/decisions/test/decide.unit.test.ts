// The rules of the kernel, one test each: given facts, when a request, then facts.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { record } from '../src/index.ts'
import { copied, deciding, findingOf, holding, lifting, LINE, MINUTE, pause, planOf, SECOND, T0 } from './fixtures.ts'
import { codeOf, Partition, typesOf } from './partition.ts'

const withFinding = (plan = planOf(), finding = findingOf()): Partition => {
  const partition = new Partition()
  partition.context = { plan }
  partition.ask(copied(finding))
  return partition
}
const hashOf = (partition: Partition, step = 'pause'): string => partition.step(step).proposal.command.commandHash
const idOf = (partition: Partition, step = 'pause'): string => partition.step(step).id
const approval = (partition: Partition, by = 'p-operator', fields = {}) =>
  deciding('approve', idOf(partition), hashOf(partition), by, fields)

describe('findings', () => {
  test('an opened episode opens one incident, orders evidence and proposes the plan', () => {
    const partition = new Partition()
    const facts = partition.ask(copied())
    assert.deepEqual(typesOf(facts), [
      'IncidentOpened',
      'EvidenceOrdered',
      'StepProposed',
      'StepApproved',
      'StepProposed',
      'StepApproved',
      'StepProposed',
    ])
    assert.equal(partition.step('inspection').status, 'approved')
    assert.equal(partition.step('pause').status, 'awaiting-approval')
    assert.deepEqual([facts[1]?.evidence?.fromUs, facts[1]?.evidence?.toUs], [T0 - 10 * SECOND, T0 + 5 * SECOND])
  })

  test('the same finding copied twice is decided once', () => {
    const partition = withFinding()
    assert.equal(partition.land(copied()), 'repeat')
    assert.deepEqual(partition.decideNext(), [])
  })

  test('an update of the episode updates its incident and proposes nothing twice', () => {
    const partition = withFinding()
    const facts = partition.ask(copied(findingOf({ findingId: 'f-2', transition: 'updated', severity: 1 })))
    assert.deepEqual(typesOf(facts), ['IncidentUpdated'])
    assert.equal(partition.state.incidents.size, 1)
    assert.equal([...partition.state.incidents.values()][0]?.severity, 1)
  })

  test('an update that matches a stronger policy adds only the missing steps', () => {
    const partition = withFinding(planOf({ steps: planOf().steps.slice(0, 2) }))
    partition.context = { plan: planOf() }
    const facts = partition.ask(copied(findingOf({ findingId: 'f-2', transition: 'updated' })))
    assert.deepEqual(typesOf(facts), ['IncidentUpdated', 'StepProposed'])
    assert.equal(facts[1]?.title, 'pause')
  })

  test('a historical finding proposes nothing, orders nothing and is closed at once', () => {
    const facts = new Partition().ask(copied(findingOf({ historical: true })))
    assert.deepEqual(typesOf(facts), ['IncidentOpened', 'IncidentClosed'])
  })

  test('a closed episode closes its incident when every step has ended', () => {
    const partition = withFinding(planOf({ steps: [pause] }))
    assert.deepEqual(typesOf(partition.ask(copied(findingOf({ findingId: 'f-2', transition: 'closed' })))), ['IncidentUpdated'])
    partition.ask(deciding('reject', idOf(partition), hashOf(partition)))
    assert.deepEqual(typesOf(partition.wait(SECOND)), ['IncidentClosed'])
  })

  test('a doubt asks a human for everything but telling people', () => {
    const partition = withFinding(planOf(), findingOf({ doubts: ['out-of-domain'] }))
    assert.equal(partition.step('inspection').proposal.approvalsNeeded, 1)
    assert.equal(partition.step('notify').proposal.approvalsNeeded, 0)
  })

  test('a model that is not the champion may propose, and every proposal asks a human', () => {
    const partition = withFinding(planOf(), findingOf({ modelRole: 'advisory' }))
    assert.equal(partition.step('inspection').status, 'awaiting-approval')
  })

  test('a canary or shadow model never proposes motion', () => {
    for (const modelRole of ['canary', 'shadow']) {
      const partition = withFinding(planOf(), findingOf({ modelRole }))
      assert.deepEqual(
        [...partition.state.steps.values()].map((step) => step.name),
        ['inspection', 'notify'],
      )
      assert.match([...partition.state.incidents.values()][0]?.notes[0] ?? '', /never proposes motion/)
    }
  })

  test('a sensor at fault and missing telemetry are told, and never propose motion', () => {
    for (const about of ['sensor', 'telemetry']) {
      const partition = withFinding(planOf(), findingOf({ about, model: '', modelRole: '' }))
      assert.deepEqual(
        [...partition.state.steps.values()].map((step) => [step.name, step.status]),
        [
          ['inspection', 'approved'],
          ['notify', 'approved'],
        ],
      )
      assert.match([...partition.state.incidents.values()][0]?.notes[0] ?? '', new RegExp(`about the ${about}, not the machine, never`))
    }
  })

  test('an absolute limit that no model judges may propose motion, and a human decides', () => {
    const partition = withFinding(planOf(), findingOf({ model: '', modelRole: '' }))
    assert.deepEqual([partition.step('inspection').status, partition.step('pause').status], ['approved', 'awaiting-approval'])
  })

  test('motion needs a human whatever the policy says', () => {
    const partition = withFinding(planOf({ steps: [{ ...pause, approvals: 0 }] }))
    assert.equal(partition.step('pause').proposal.approvalsNeeded, 1)
    assert.equal(partition.step('pause').status, 'awaiting-approval')
  })

  test('an error in the gate still raises the finding, and asks', () => {
    const partition = withFinding(planOf({ doubts: ['gate-error'] }))
    assert.equal(partition.step('inspection').status, 'awaiting-approval')
  })

  test('a step whose parameters do not fit the catalogue is not proposed, and it is said', () => {
    const partition = withFinding(planOf({ steps: [{ ...pause, params: { reviewMinutes: 4_000 } }] }))
    assert.equal(partition.state.steps.size, 0)
    assert.match([...partition.state.incidents.values()][0]?.notes[0] ?? '', /an integer from 1 to 480/)
  })

  test('beyond the hourly budget of the line an incident opens without proposals', () => {
    const partition = withFinding(planOf({ budgetPerHour: 1 }))
    const facts = partition.ask(copied(findingOf({ findingId: 'f-9', episodeId: 'e-9' })))
    assert.deepEqual(typesOf(facts), ['IncidentOpened', 'EvidenceOrdered'])
  })
})

describe('decisions of people', () => {
  test('an approval by somebody with the role approves', () => {
    const partition = withFinding()
    assert.deepEqual(typesOf(partition.ask(approval(partition))), ['DecisionRecorded', 'StepApproved'])
  })

  test('a second click changes nothing', () => {
    const partition = withFinding()
    partition.ask(approval(partition))
    assert.equal(partition.land(approval(partition)), 'repeat')
    assert.equal(partition.step('pause').status, 'approved')
  })

  test('a role that the policy does not name is refused', () => {
    const partition = withFinding()
    assert.equal(codeOf(partition.ask(approval(partition, 'p-x', { roles: ['integrator'] }))), 'ANDON_ACTIONS_ROLE')
  })

  test('the proposer cannot approve under four eyes', () => {
    const partition = withFinding()
    Object.assign(partition.step('pause'), { proposedBy: 'p-operator' })
    assert.equal(codeOf(partition.ask(approval(partition))), 'ANDON_ACTIONS_FOUR_EYES')
  })

  test('a quorum of two needs two people', () => {
    const partition = withFinding(planOf({ steps: [{ ...pause, approvals: 2 }] }))
    assert.deepEqual(typesOf(partition.ask(approval(partition))), ['DecisionRecorded'])
    assert.equal(codeOf(partition.ask(approval(partition, 'p-operator', { id: 'again' }))), 'ANDON_ACTIONS_FOUR_EYES')
    assert.equal(partition.step('pause').status, 'awaiting-approval')
    assert.deepEqual(typesOf(partition.ask(approval(partition, 'p-lead'))), ['DecisionRecorded', 'StepApproved'])
  })

  test('an approval written without its quorum counts for nobody', () => {
    const partition = withFinding()
    const [verdict] = partition.write([record('StepApproved', 'x', LINE, partition.nowUs, { stepId: idOf(partition) })])
    assert.equal(verdict, 'dead')
    assert.equal(partition.intend('pause'), 'dead')
  })

  test('an approval of another command than the one shown is refused', () => {
    const partition = withFinding()
    assert.equal(codeOf(partition.ask(deciding('approve', idOf(partition), 'other'))), 'ANDON_ACTIONS_COMMAND_CHANGED')
  })

  test('an approval at the deadline is too late even before TimerFired is written', () => {
    const partition = withFinding()
    partition.nowUs = partition.step('pause').proposal.expiresUs
    assert.equal(codeOf(partition.ask(approval(partition))), 'ANDON_ACTIONS_EXPIRED')
  })

  test('an approval just before the deadline counts', () => {
    const partition = withFinding()
    partition.nowUs = partition.step('pause').proposal.expiresUs - 1
    assert.deepEqual(typesOf(partition.ask(approval(partition))), ['DecisionRecorded', 'StepApproved'])
  })

  test('an unknown step is refused and the log goes on', () => {
    const partition = withFinding()
    assert.equal(codeOf(partition.ask(deciding('approve', 'nowhere', 'h'))), 'ANDON_ACTIONS_UNKNOWN_STEP')
    assert.deepEqual(typesOf(partition.ask(approval(partition))), ['DecisionRecorded', 'StepApproved'])
  })

  test('a rejected step stays rejected', () => {
    const partition = withFinding()
    partition.ask(deciding('reject', idOf(partition), hashOf(partition)))
    assert.equal(codeOf(partition.ask(approval(partition, 'p-lead'))), 'ANDON_ACTIONS_NOT_PENDING')
    assert.equal(partition.intend('pause'), 'dead')
  })

  test('a revocation blocks by its own position, before anybody decides it', () => {
    const partition = withFinding()
    partition.ask(approval(partition))
    partition.land(deciding('revoke', idOf(partition), hashOf(partition)))
    assert.equal(partition.intend('pause'), 'dead')
    partition.decideNext()
    assert.equal(partition.step('pause').status, 'revoked')
  })

  test('a refused revocation stops blocking', () => {
    const partition = withFinding()
    partition.ask(approval(partition))
    assert.equal(codeOf(partition.ask(deciding('revoke', idOf(partition), hashOf(partition), 'p-x', { roles: [] }))), 'ANDON_ACTIONS_ROLE')
    assert.equal(partition.intend('pause'), 'counted')
  })

  test('a request that breaks the rule itself is refused, not thrown', () => {
    const partition = withFinding()
    const broken = record('ConfigApplyRequested', 'c-1', 'plant', T0, { detail: '{"name":' })
    assert.equal(codeOf(partition.ask(broken)), 'ANDON_ACTIONS_UNDECIDABLE')
  })
})

describe('time', () => {
  test('an undecided step expires as a fact, and nothing runs', () => {
    const partition = withFinding(planOf({ steps: [{ ...pause, escalateMinutes: undefined }] }))
    assert.deepEqual(typesOf(partition.wait(15 * MINUTE)), ['TimerFired', 'StepExpired'])
    assert.equal(codeOf(partition.ask(approval(partition))), 'ANDON_ACTIONS_NOT_PENDING')
  })

  test('an undecided step escalates once: people are told again', () => {
    const partition = withFinding(planOf({ steps: [pause] }))
    assert.deepEqual(typesOf(partition.wait(5 * MINUTE)), ['TimerFired', 'StepProposed', 'StepApproved'])
    assert.deepEqual(partition.wait(MINUTE), [])
  })

  test('a latched pause is reviewed at its deadline and stays', () => {
    const partition = withFinding(planOf({ steps: [pause] }))
    partition.ask(approval(partition))
    partition.intend('pause')
    partition.settle('pause', 'Executed')
    assert.deepEqual(typesOf(partition.wait(45 * MINUTE)), ['TimerFired', 'StepProposed', 'StepApproved'])
    assert.equal(partition.step('pause').status, 'executed')
  })
})

describe('calls and evidence', () => {
  test('a call opens an incident and pages without approval', () => {
    const facts = new Partition().ask(record('CallRequested', 'call-1', LINE, T0, { by: 'p-operator', title: 'Oil on the floor' }))
    assert.deepEqual(typesOf(facts), ['IncidentOpened', 'StepProposed', 'StepApproved'])
    assert.equal(facts[0]?.title, 'Oil on the floor')
  })

  test('stored evidence is attached to the order it answers', () => {
    const partition = withFinding()
    const incident = [...partition.state.incidents.values()][0]
    const order = incident?.evidence[0]
    assert.ok(incident && order)
    const stored = record('EvidenceStored', 's-1', LINE, T0, {
      by: 'video',
      incidentId: incident.id,
      evidence: { ...order, failure: null },
    })
    assert.deepEqual(typesOf(partition.ask(stored)), ['EvidenceAttached'])
    const stray = record('EvidenceStored', 's-2', LINE, T0, { incidentId: incident.id, evidence: { ...order, orderId: 'none' } })
    assert.equal(codeOf(partition.ask(stray)), 'ANDON_ACTIONS_UNKNOWN_ORDER')
  })

  test('a person may order evidence of at most ten minutes', () => {
    const partition = withFinding()
    const incidentId = [...partition.state.incidents.keys()][0] ?? ''
    const ask = (id: string, toUs: number) =>
      partition.ask(
        record('EvidenceRequested', id, LINE, T0, {
          by: 'p-operator',
          incidentId,
          evidence: { orderId: '', cameraIds: ['cam-1'], fromUs: T0, toUs, clips: [], failure: null },
        }),
      )
    assert.deepEqual(typesOf(ask('r-1', T0 + MINUTE)), ['EvidenceOrdered'])
    assert.equal(codeOf(ask('r-2', T0 + 11 * MINUTE)), 'ANDON_ACTIONS_EVIDENCE_RANGE')
  })
})

describe('holds', () => {
  test('a hold blocks by its own position, and its lift frees', () => {
    const partition = withFinding()
    partition.ask(approval(partition))
    partition.land(holding('h-1'))
    assert.equal(partition.intend('pause'), 'dead')
    assert.deepEqual(typesOf(partition.decideNext()), ['HoldActivated'])
    partition.ask(lifting('l-1', ['h-1']))
    assert.equal(partition.intend('pause'), 'counted')
  })

  test('a hold of another line does not block this one', () => {
    const partition = withFinding()
    partition.ask(approval(partition))
    partition.ask(holding('h-1', 'utilities'))
    assert.equal(partition.intend('pause'), 'counted')
  })

  test('lifting a hold that nobody knows is refused', () => {
    assert.equal(codeOf(new Partition().ask(lifting('l-1', ['h-9']))), 'ANDON_ACTIONS_UNKNOWN_HOLD')
  })
})

describe('documents', () => {
  const apply = (body: string) =>
    record('ConfigApplyRequested', `c-${body}`, 'plant', T0, {
      by: 'p-lead',
      detail: JSON.stringify({ name: 'plant', kind: 'plant', body }),
    })

  test('an accepted document is a fact with its digest', () => {
    const partition = new Partition()
    assert.deepEqual(typesOf(partition.ask(apply('{}'))), ['ConfigApplied'])
    assert.equal(partition.state.documents.get('plant')?.body, '{}')
  })

  test('a document with a problem is refused with the problem', () => {
    const partition = new Partition()
    partition.context = { documentProblem: () => 'plant.lines[0].id is missing' }
    const facts = partition.ask(apply('{}'))
    assert.equal(codeOf(facts), 'ANDON_ACTIONS_BAD_DOCUMENT')
    assert.match(facts[0]?.refusal?.message ?? '', /lines\[0\]/)
  })
})
