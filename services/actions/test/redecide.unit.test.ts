// Deciding a recorded partition again: whatever an owner did by today's rules is found the same, however requests, documents
// and deadlines fell between its reading and its writing; and what it did otherwise is told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decide,
  dueFacts,
  emptyState,
  evolve,
  executableSteps,
  executing,
  openIntents,
  outcome,
  ownershipTaken,
  record,
  sign,
} from '@andon/decisions'
import type { Entry, Outcome, Step } from '@andon/decisions'
import { canonicalJson, sha256Hex } from '@andon/kit/ids'
import type { Actions, Config } from '@andon/schemas'
import fc from 'fast-check'
import { decideContext } from '../src/decide-context.ts'
import { PlantView } from '../src/plant-view.ts'
import { redecide } from '../src/redecide.ts'
import type { PublishedDocument, Rules } from '../src/redecide.ts'
import { findingOf, plantDocuments } from './rig.ts'

const LINE = 'press-line'
const SECOND_US = 1_000_000
const OUTCOMES: readonly Outcome[] = ['Executed', 'RejectedByTarget', 'ExecutionAbandoned', 'NotExecuted', 'NotObserved']
const PEOPLE = ['p-operator', 'p-lead', 'p-integrator'] as const
const ROLES = { 'p-operator': ['operator'], 'p-lead': ['shift-lead', 'operator'], 'p-integrator': ['integrator'] }

/** What `ask` asks. */
const [FINDING, CALL, HOLD, REVOKE, APPROVE] = [0, 1, 2, 5, 6] as const
/** Who and which step `ask` takes: the shift lead, and the third step of the press's plan. */
const LEAD_ON_THE_PAUSE = 7

/** One partition with an owner that reads, decides and writes, and others whose records come in between. */
class Recording {
  readonly entries: Entry[] = []
  readonly documents: PublishedDocument[] = []
  private readonly state = emptyState()
  private readonly view = new PlantView()
  private readonly unseen: Config[] = []
  nowUs = 1_790_000_000 * SECOND_US
  private owner = { epoch: 0, id: '' }
  private count = 0

  constructor() {
    for (const document of plantDocuments()) this.publish(document)
    this.look()
    this.take()
  }

  land(one: Actions): void {
    const entry = { record: one, offset: this.entries.length, appendedUs: this.nowUs }
    this.entries.push(entry)
    evolve(this.state, entry)
  }

  take(): void {
    this.owner = { epoch: this.state.highestEpoch + 1, id: `owner-${this.count++}` }
    this.land(ownershipTaken(LINE, this.owner.epoch, this.owner.id, this.nowUs))
  }

  publish(document: Config): void {
    this.documents.push({ record: document, publishedUs: this.nowUs })
    this.unseen.push(document)
  }

  /** The owner reads what is on `config` by now. */
  look(): void {
    for (const document of this.unseen.splice(0)) this.view.apply(document)
  }

  wait(us: number): void {
    this.look()
    this.nowUs += us
  }

  /** The press policy, with another number of approvals for the pause; the owner reads it later. */
  changePolicy(approvals: number): void {
    const [document] = plantDocuments({}, (name, value) => {
      if (name === 'policies/press-vibration') for (const step of value['plan'] as { approvals: number }[]) step.approvals = approvals
    }).filter(({ name }) => name === 'policies/press-vibration')
    if (document) this.publish({ ...document, digest: sha256Hex(canonicalJson([document.body, this.count++])) })
  }

  ask(what: number, pick: number): void {
    const id = `request-${this.count++}`
    const by = PEOPLE[pick % PEOPLE.length] ?? 'p-lead'
    const person = { by, roles: ROLES[by] }
    const step = this.steps()[Math.floor(pick / PEOPLE.length) % Math.max(1, this.state.steps.size)]
    const hold = { holdIds: [`hold-${pick % 2}`], scope: LINE, reason: '' }
    const finding = findingOf({
      findingId: id,
      episodeId: `e-${pick % 3}`,
      atUs: this.nowUs,
      severity: (pick % 3) + 1,
      transition: pick % 5 === 0 ? 'closed' : 'opened',
    })
    const decision = { verdict: '', reason: 'because', commandHash: step?.proposal.command.commandHash ?? '' }
    const about = { ...person, incidentId: step?.incidentId ?? null, stepId: step?.id ?? null, decision }
    const requests = [
      record('FindingCopied', id, LINE, this.nowUs, { by: 'clustering', assetId: finding.assetId, finding }),
      record('CallRequested', id, LINE, this.nowUs, { ...person, title: 'Call' }),
      record('HoldRequested', id, LINE, this.nowUs, { ...person, hold }),
      record('HoldLiftRequested', id, LINE, this.nowUs, { ...person, hold }),
      record('RejectRequested', id, LINE, this.nowUs, about),
      record('RevokeRequested', id, LINE, this.nowUs, about),
      record('ApproveRequested', id, LINE, this.nowUs, about),
    ]
    this.land(requests[Math.min(what, requests.length - 1)] as Actions)
  }

  /** One turn of the owner; `between` happens after it decided and before its facts land. False when there was nothing to do. */
  turn(pick: number, between: () => void): boolean {
    const { epoch, id } = this.owner
    const facts = this.next(pick)
    between()
    this.write(facts, epoch, id)
    return facts.length > 0
  }

  write(facts: readonly Actions[], epoch = this.owner.epoch, id = this.owner.id): void {
    for (const one of sign(facts, epoch, id)) this.land(one)
  }

  steps(): Step[] {
    return [...this.state.steps.values()]
  }

  private next(pick: number): Actions[] {
    const { state } = this
    const atUs = Math.max(state.stampUs, this.nowUs)
    const contextOf = decideContext(this.view)
    const due = dueFacts(state, contextOf(undefined, state, atUs))
    if (due.length > 0) return due
    const [pending] = state.pending.values()
    if (pending) return decide(pending.record, state, contextOf(pending.record, state, atUs))
    const [open] = openIntents(state)
    if (open) return [outcome(open, OUTCOMES[pick % OUTCOMES.length] ?? 'Executed', 'answer', 'read back', 'answered', atUs)]
    const [ready] = executableSteps(state, atUs)
    return ready ? [executing(ready, this.view.commands.get(ready.proposal.command.command)?.commandWindowMs ?? 0, atUs)] : []
  }
}

const move = fc.record({
  what: fc.nat({ max: 10 }),
  pick: fc.nat({ max: 40 }),
  turns: fc.nat({ max: 4 }),
  between: fc.option(fc.nat({ max: 9 })),
})

const recordingOf = (moves: readonly { what: number; pick: number; turns: number; between: number | null }[]): Recording => {
  const recording = new Recording()
  for (const { what, pick, turns, between } of moves) {
    if (what === 10) recording.take()
    else if (what === 9) recording.wait((pick + 1) * 30 * SECOND_US)
    else if (what === 8) recording.changePolicy(1 + (pick % 3))
    else recording.ask(what, pick)
    for (let turn = 0; turn < turns; turn++)
      recording.turn(pick + turn, () => {
        if (turn === 0 && between === 9) recording.take()
        else if (turn === 0 && between === 8) recording.changePolicy(1 + (pick % 3))
        else if (turn === 0 && between !== null) recording.ask(between, pick + 1)
      })
  }
  return recording
}

const moves = fc.array(move, { minLength: 1, maxLength: 40 })

test('what today’s rules decided is found the same, whatever came in between', () => {
  fc.assert(
    fc.property(moves, (given) => {
      const { entries, documents } = recordingOf(given)
      assert.deepEqual(redecide(entries, documents).differences, [])
    }),
    { numRuns: 20 },
  )
})

test('an approval that was decided while its revocation came is as the owner knew it', () => {
  const recording = new Recording()
  recording.ask(FINDING, 1)
  recording.turn(0, () => {})
  recording.ask(APPROVE, LEAD_ON_THE_PAUSE)
  recording.turn(0, () => recording.ask(REVOKE, LEAD_ON_THE_PAUSE))
  assert.equal(recording.entries.at(-1)?.record.type, 'StepApproved')
  assert.deepEqual(redecide(recording.entries, recording.documents).differences, [])
})

test('a fact that says something else than the rules is told, and it alone', () => {
  fc.assert(
    fc.property(moves, fc.nat(), (given, pick) => {
      const { entries, documents } = recordingOf(given)
      const told = entries.flatMap(({ record: { type } }, at) => (type === 'IncidentOpened' || type === 'RequestRefused' ? [at] : []))
      const [at] = told.slice(pick % Math.max(1, told.length))
      const entry = at === undefined ? undefined : entries[at]
      const compared = redecide(entries, documents).facts.length
      fc.pre(at !== undefined && entry !== undefined)
      const forged = entries.with(at, { ...entry, record: { ...entry.record, roles: ['forged'] } })
      const { differences, facts } = redecide(forged, documents)
      const isVoid = entry.record.owner !== ownerAt(entries, at)
      assert.deepEqual(
        differences.map(({ path, expected }) => [path, expected]),
        isVoid ? [] : [[`${entry.record.type}.roles`, ['forged']]],
      )
      assert.equal(facts.length, compared)
    }),
    { numRuns: 20 },
  )
})

/** Owner of the partition before an index. */
const ownerAt = (entries: readonly Entry[], at: number): string | null => {
  const state = emptyState()
  for (const entry of entries.slice(0, at)) evolve(state, entry)
  return state.owner
}

test('an approval that today’s rules would refuse is told with its request', () => {
  const recording = new Recording()
  recording.ask(FINDING, 1)
  recording.turn(0, () => {})
  recording.ask(APPROVE, LEAD_ON_THE_PAUSE)
  recording.turn(0, () => {})
  const { entries, documents } = recording
  const strict: Rules = { dueFacts, decide: (request, state, context) => decide({ ...request, roles: [] }, state, context) }
  const [difference, , refused] = redecide(entries, documents, strict).differences
  assert.deepEqual(
    [difference?.request?.type, difference?.request?.by, difference?.path],
    ['ApproveRequested', 'p-lead', 'DecisionRecorded'],
  )
  assert.match(String(refused?.found), /^RequestRefused ANDON_ACTIONS_ROLE/)
})

test('an intent behind a hold is told: the rules write none', () => {
  const recording = new Recording()
  recording.ask(CALL, 0)
  recording.turn(0, () => {})
  recording.ask(HOLD, 0)
  recording.turn(0, () => {})
  const [step] = recording.steps()
  assert.ok(step)
  recording.write([executing(step, 1_000, recording.nowUs)])
  const { differences } = redecide(recording.entries, recording.documents)
  assert.deepEqual(
    differences.map(({ path, found }) => [path, found]),
    [['Executing', 'nothing']],
  )
})
