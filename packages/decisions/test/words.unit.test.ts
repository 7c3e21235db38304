// What people may say of a step beside yes and no, and what a proposal may ask for: given facts, when a request, then facts.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAX_SHELVING_US, outcomeUnknown, phaseOf, record } from '../src/index.ts'
import type { CommandRule, Plan, PlanStep } from '../src/index.ts'
import { commands, copied, findingOf, LINE, MINUTE, pause, planOf, T0 } from './fixtures.ts'
import { codeOf, Partition, typesOf } from './partition.ts'

const withPause = (step: Partial<PlanStep> = {}, plan: Partial<Plan> = {}): Partition => {
  const partition = new Partition()
  partition.context = { plan: planOf({ steps: [{ ...pause, escalateMinutes: undefined, ...step }], ...plan }) }
  partition.ask(copied())
  return partition
}

let asked = 0
const say = (partition: Partition, type: string, by: string, roles: string[], more: object = {}, step = 'pause') => {
  const { id, proposal, incidentId } = [...partition.state.steps.values()].findLast((one) => one.name === step)!
  const decision = { verdict: '', reason: 'because', commandHash: proposal.command.commandHash, ...more }
  asked += 1
  return partition.ask(record(type, `word-${asked}`, LINE, partition.nowUs, { by, roles, stepId: id, incidentId, decision }))
}
const approve = (partition: Partition, by: string, roles = ['operator'], more: object = {}) =>
  say(partition, 'ApproveRequested', by, roles, more)

describe('quorums', () => {
  const byRoles = {
    roles: ['shift-lead', 'process-engineer', 'operator'],
    quorum: [
      { role: 'shift-lead', people: 1 },
      { role: 'process-engineer', people: 1 },
    ],
  }
  test('each role needs a person of its own', () => {
    const partition = withPause(byRoles)
    assert.deepEqual(typesOf(approve(partition, 'p-1', ['shift-lead', 'process-engineer'])), ['DecisionRecorded'])
    assert.deepEqual(typesOf(approve(partition, 'p-2', ['operator'])), ['DecisionRecorded'])
    assert.deepEqual(typesOf(approve(partition, 'p-3', ['shift-lead'])), ['DecisionRecorded', 'StepApproved'])
  })

  test('the owner of the model cannot approve what it found', () => {
    const partition = withPause({}, { modelOwner: 'p-model' })
    assert.equal(codeOf(approve(partition, 'p-model')), 'ANDON_ACTIONS_FOUR_EYES')
  })

  test('a strong sign-in is asked for by its own code', () => {
    const partition = withPause({ stepUp: true })
    assert.equal(codeOf(approve(partition, 'p-1')), 'ANDON_ACTIONS_STEP_UP')
    assert.deepEqual(typesOf(approve(partition, 'p-1', ['operator'], { strength: 'strong' })), ['DecisionRecorded', 'StepApproved'])
  })

  test('an open breaker closes the gate for approvals of its line alone', () => {
    const partition = withPause()
    const breaker = (line: string, state: string) =>
      partition.write([
        record('BreakerChanged', `${line} ${state}`, line, partition.nowUs, { breaker: { executor: 'opcua', state, reason: '' } }),
      ])
    breaker('another-line', 'open')
    breaker(LINE, 'open')
    assert.equal(codeOf(approve(partition, 'p-1')), 'ANDON_ACTIONS_BREAKER_OPEN')
    breaker(LINE, 'closed')
    assert.deepEqual(typesOf(approve(partition, 'p-1')), ['DecisionRecorded', 'StepApproved'])
  })
})

describe('words', () => {
  test('an abstention takes the own approval back', () => {
    const partition = withPause({ approvals: 2 })
    approve(partition, 'p-1')
    say(partition, 'AbstainRequested', 'p-1', ['operator'])
    assert.deepEqual(typesOf(approve(partition, 'p-2')), ['DecisionRecorded'])
    assert.deepEqual(typesOf(approve(partition, 'p-1')), ['DecisionRecorded', 'StepApproved'])
  })

  test('only the proposer withdraws, and not under way', () => {
    const partition = withPause()
    assert.equal(codeOf(say(partition, 'WithdrawRequested', 'p-1', ['operator'])), 'ANDON_ACTIONS_NOT_PROPOSER')
    Object.assign(partition.step('pause'), { proposedBy: 'p-1' })
    assert.deepEqual(typesOf(say(partition, 'WithdrawRequested', 'p-1', [])), ['StepWithdrawn'])
    assert.equal(codeOf(approve(partition, 'p-2')), 'ANDON_ACTIONS_NOT_PENDING')
  })

  test('a delegation lends the own roles, for a time, and the own word with them', () => {
    const partition = withPause({ roles: ['shift-lead'] })
    const untilUs = partition.nowUs + MINUTE
    assert.deepEqual(typesOf(say(partition, 'DelegateRequested', 'p-lead', ['shift-lead'], { to: 'p-1', untilUs })), ['StepDelegated'])
    assert.equal(codeOf(approve(partition, 'p-lead', ['shift-lead'])), 'ANDON_ACTIONS_FOUR_EYES')
    assert.equal(codeOf(say(partition, 'DelegateRequested', 'p-1', ['operator'], { to: 'p-2', untilUs })), 'ANDON_ACTIONS_ROLE')
    assert.deepEqual(typesOf(approve(partition, 'p-1')), ['DecisionRecorded', 'StepApproved'])
  })

  test('a delegation ends', () => {
    const partition = withPause({ roles: ['shift-lead'] })
    say(partition, 'DelegateRequested', 'p-lead', ['shift-lead'], { to: 'p-1', untilUs: partition.nowUs + MINUTE })
    partition.nowUs += MINUTE
    assert.equal(codeOf(approve(partition, 'p-1')), 'ANDON_ACTIONS_ROLE')
  })

  test('a changed command is another step, decided anew by others', () => {
    const partition = withPause()
    approve(partition, 'p-1')
    const facts = say(partition, 'ModifyRequested', 'p-2', ['operator'], { params: '{"reviewMinutes":30}' })
    assert.deepEqual(typesOf(facts), ['StepSuperseded', 'StepProposed'])
    assert.equal(partition.step('pause').status, 'superseded')
    assert.equal(codeOf(approve(partition, 'p-2')), 'ANDON_ACTIONS_FOUR_EYES')
    assert.deepEqual(typesOf(approve(partition, 'p-1')), ['DecisionRecorded', 'StepApproved'])
  })

  test('a change that the catalogue does not allow leaves the step as it is', () => {
    const partition = withPause()
    assert.equal(
      codeOf(say(partition, 'ModifyRequested', 'p-2', ['operator'], { params: '{"reviewMinutes":4000}' })),
      'ANDON_ACTIONS_MALFORMED',
    )
    assert.deepEqual(typesOf(approve(partition, 'p-1')), ['DecisionRecorded', 'StepApproved'])
    assert.equal(partition.intend('pause'), 'counted')
  })
})

describe('incidents', () => {
  test('on the shelf nobody is told, and afterwards again', () => {
    const partition = withPause({ escalateMinutes: 5 })
    const untilUs = partition.nowUs + 8 * MINUTE
    assert.equal(
      codeOf(say(partition, 'ShelveRequested', 'p-1', ['operator'], { untilUs: T0 + 2 * MAX_SHELVING_US })),
      'ANDON_ACTIONS_MALFORMED',
    )
    assert.deepEqual(typesOf(say(partition, 'ShelveRequested', 'p-1', ['operator'], { untilUs })), ['IncidentShelved'])
    assert.deepEqual(partition.wait(6 * MINUTE), [])
    assert.deepEqual(typesOf(partition.wait(2 * MINUTE)), ['TimerFired', 'IncidentUnshelved', 'TimerFired', 'StepProposed', 'StepApproved'])
  })

  test('a ladder is climbed rung by rung', () => {
    const ladder = [
      { afterMinutes: 8, tell: 'maintenance-manager' },
      { afterMinutes: 10, tell: 'plant-manager' },
    ]
    const partition = withPause({ escalateMinutes: 5, ladder })
    const fired = partition.wait(14 * MINUTE).filter((one) => one.type === 'TimerFired')
    assert.deepEqual(
      fired.map((one) => one.timer?.name),
      ['escalate', 'escalate-2', 'escalate-3'],
    )
    assert.match(fired[2]?.title ?? '', /plant-manager is told/)
  })

  test('what was only told escalates until somebody has it', () => {
    const ladder = [{ afterMinutes: 8, tell: 'maintenance-manager' }]
    const notify = { step: 'notify', command: 'notify.technicians', approvals: 0, escalateMinutes: 5, expireMinutes: 60, ladder }
    const told = (acknowledgedAfter: number): (string | undefined)[] => {
      const partition = new Partition()
      partition.context = { plan: planOf({ steps: [notify] }) }
      partition.ask(copied())
      const before = partition.wait(acknowledgedAfter * MINUTE)
      const about = { by: 'p-7', roles: ['technician'], incidentId: partition.step('notify').incidentId }
      assert.deepEqual(typesOf(partition.ask(record('AcknowledgeRequested', 'ack', LINE, partition.nowUs, about))), [
        'IncidentAcknowledged',
      ])
      const again = partition.ask(record('AcknowledgeRequested', 'ack-2', LINE, partition.nowUs, { ...about, by: 'p-8' }))
      assert.match(again[0]?.refusal?.message ?? '', /p-7 has it already/)
      return [...before, ...partition.wait(30 * MINUTE)].filter((one) => one.type === 'TimerFired').map((one) => one.timer?.name)
    }
    assert.deepEqual(told(2), [])
    assert.deepEqual(told(6), ['escalate'])
    assert.deepEqual(told(20), ['escalate', 'escalate-2'])
  })

  test('a word on a step says that somebody has it; a deadline of a decision goes on all the same', () => {
    const partition = withPause({ approvals: 2, escalateMinutes: 5 })
    approve(partition, 'p-1')
    assert.equal([...partition.state.incidents.values()][0]?.acknowledged?.by, 'p-1')
    assert.ok(partition.wait(6 * MINUTE).some((one) => one.timer?.name === 'escalate'))
  })

  test('a call that nobody answers is told again, once', () => {
    const partition = new Partition()
    partition.ask(record('CallRequested', 'call-1', LINE, T0, { by: 'p-1', title: 'Oil on the floor' }))
    const facts = partition.wait(30 * MINUTE)
    assert.deepEqual(
      facts.filter((one) => one.type === 'TimerFired').map((one) => one.title),
      ['Nobody has acknowledged yet'],
    )
    assert.equal(facts.filter((one) => one.type === 'StepProposed').length, 1)
  })

  test('a rung tells its group where the catalogue knows it, and everybody where it does not', () => {
    const to: CommandRule['params'][string] = { type: 'string', enum: ['technicians', 'shift-leads'], default: 'technicians' }
    const notify = { ...commands.get('notify.technicians')!, params: { to } }
    const partition = new Partition()
    const ladder = [
      { afterMinutes: 8, tell: 'shift-leads' },
      { afterMinutes: 9, tell: 'nobody-knows' },
    ]
    partition.context = { plan: planOf({ steps: [{ ...pause, ladder }] }), commands: new Map(commands).set(notify.name, notify) }
    partition.ask(copied())
    const asked = partition.wait(14 * MINUTE).filter((one) => one.type === 'StepProposed')
    assert.deepEqual(
      asked.map((one) => one.proposal?.command.params),
      ['{"to":"technicians"}', '{"to":"shift-leads"}', '{"to":"technicians"}'],
    )
  })

  test('comments stay in the timeline, of closed incidents too; the shelf can be left early', () => {
    const partition = withPause({ escalateMinutes: 5 })
    const incidentId = partition.step('pause').incidentId
    const ask = (type: string, roles: string[], more: object = {}) =>
      partition.ask(
        record(type, `${type}-${partition.entries.length}`, LINE, partition.nowUs, {
          by: 'p-1',
          roles,
          incidentId,
          decision: { verdict: '', reason: 'Bearing is hot', commandHash: '', ...more },
        }),
      )
    assert.equal(codeOf(ask('CommentRequested', ['integrator'])), 'ANDON_ACTIONS_ROLE')
    assert.deepEqual(typesOf(ask('CommentRequested', ['technician'])), ['IncidentCommented'])
    assert.equal(partition.state.incidents.get(incidentId)?.timeline.at(-1)?.title, 'Bearing is hot')
    assert.equal(codeOf(ask('UnshelveRequested', ['operator'])), 'ANDON_ACTIONS_NOT_PENDING')
    ask('ShelveRequested', ['operator'], { untilUs: partition.nowUs + 60 * MINUTE })
    assert.deepEqual(typesOf(ask('UnshelveRequested', ['operator'])), ['IncidentUnshelved'])
    assert.ok(partition.wait(6 * MINUTE).some((one) => one.timer?.name === 'escalate'))
  })

  test("beyond the asset's budget nothing is proposed", () => {
    const partition = withPause({}, { assetBudgetPerHour: 1 })
    assert.deepEqual(typesOf(partition.ask(copied(findingOf({ findingId: 'f-9', episodeId: 'e-9' })))), [
      'IncidentOpened',
      'EvidenceOrdered',
    ])
    assert.ok(
      typesOf(partition.ask(copied(findingOf({ findingId: 'f-8', episodeId: 'e-8', assetId: 'press-2' })))).includes('StepProposed'),
    )
  })

  test('false evidence stops what was approved, from the moment somebody verified it', () => {
    const partition = withPause()
    approve(partition, 'p-1')
    const incident = [...partition.state.incidents.values()][0]!
    const check = (id: string, failure: string | null, by = 'video') =>
      record('EvidenceChecked', id, LINE, partition.nowUs, { by, incidentId: incident.id, evidence: { ...incident.evidence[0]!, failure } })
    partition.land(check('c-1', 'hash differs'))
    assert.equal(partition.intend('pause'), 'dead')
    assert.deepEqual(typesOf(partition.decideNext()), ['EvidenceDisproved'])
    assert.equal(codeOf(partition.ask(check('c-2', 'no', 'p-1'))), 'ANDON_ACTIONS_ROLE')
    assert.equal(partition.intend('pause'), 'dead')
    assert.deepEqual(typesOf(partition.ask(check('c-3', null))), ['EvidenceVerified'])
    assert.equal(partition.intend('pause'), 'counted')
  })
})

test('a step stands where the log says', () => {
  const partition = withPause()
  const phase = () => phaseOf(partition.step('pause'), partition.state, commands)
  const phases = [phase()]
  const then = (what: () => unknown): void => {
    what()
    phases.push(phase())
  }
  then(() => approve(partition, 'p-1'))
  then(() => partition.intend('pause'))
  then(() => partition.write([outcomeUnknown(partition.step('pause'), 'no answer', partition.nowUs)]))
  then(() => partition.settle('pause', 'Executed'))
  assert.deepEqual(phases, ['awaiting-approval', 'approved', 'executing', 'outcome-unknown', 'executed-unverified'])
})
