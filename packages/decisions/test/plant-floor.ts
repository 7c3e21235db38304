// One partition on which anything may happen in any order: people who say anything, owners that decide on old knowledge, owners with
// a wrong kernel, replays. Every effect is judged by the records alone, by rules written a second time.

import type { Actions, Proposal } from '@andon/schemas'
import {
  decide,
  dueFacts,
  emptyState,
  evolve,
  executableSteps,
  executing,
  objectionToSend,
  outcome,
  ownershipTaken,
  record,
  sign,
} from '../src/index.ts'
import type { Entry, Outcome, State } from '../src/index.ts'
import { contextAt, LINE, MINUTE, SECOND, T0 } from './fixtures.ts'

export interface Kernel {
  readonly evolve: typeof evolve
  readonly decide: typeof decide
  readonly objectionToSend: typeof objectionToSend
}
export const KERNEL: Kernel = { evolve, decide, objectionToSend }

/** Who works here, and with which roles. */
const PEOPLE: Readonly<Record<string, readonly string[]>> = {
  'p-operator': ['operator'],
  'p-lead': ['shift-lead'],
  'p-engineer': ['process-engineer'],
  'p-model': ['operator', 'shift-lead'],
  'p-caller': ['operator', 'shift-lead'],
  'p-guest': ['viewer'],
}
export const NAMES = Object.keys(PEOPLE)
const EXPIRES_US = T0 + 15 * MINUTE
const WINDOW_MS = 10_000
const ORDER = 'order-1'

export interface Asked {
  readonly needed: number
  readonly fourEyes: boolean
  readonly stepUp: boolean
  readonly byRoles: boolean
  /** All of it is a replay run. */
  readonly isReplay: boolean
}

/** What may happen next. `who`, `late` and `n` mean what the kind makes of them. */
export interface Event {
  readonly kind: (typeof KINDS)[number]
  readonly who: number
  readonly step: number
  readonly n: number
}
export const KINDS = [
  'approve',
  'approve',
  'approve',
  'approve strongly',
  'approve strongly',
  'approve something else',
  'reject',
  'revoke',
  'withdraw',
  'abstain',
  'delegate',
  'modify',
  'hold',
  'lift',
  'evidence is false',
  'evidence is right',
  'breaker',
  'decide',
  'decide',
  'decide',
  'decide',
  'decide on old knowledge',
  'time passes',
  'time passes to the expiry',
  'deadlines',
  'intend',
  'intend',
  'intend',
  'send',
  'send',
  'send',
  'outcome',
  'take',
  'forge',
  'replay',
] as const

interface Intent {
  readonly stepId: string
  readonly offset: number
  readonly startedUs: number
}

const proposal = (fields: Partial<Proposal>, name: string): Proposal => ({
  command: {
    command: 'line.pause',
    target: LINE,
    params: '{"reviewMinutes":45}',
    effect: 'motion',
    riskClass: 'high',
    commandHash: `hash ${name}`,
  },
  approvalsNeeded: 1,
  roles: ['operator', 'shift-lead', 'process-engineer'],
  fourEyes: false,
  expiresUs: EXPIRES_US,
  escalateUs: null,
  policy: 'policies/press',
  policyDigest: 'd',
  simulated: true,
  exclude: [],
  quorum: [],
  stepUp: false,
  ladder: [],
  ...fields,
})

export class PlantFloor {
  readonly entries: Entry[] = []
  readonly state: State
  readonly effects: { readonly stepId: string; readonly offset: number }[] = []
  /** The first promise that was broken. */
  broken: string | null = null
  private nowUs = T0
  private epoch = 0
  private owner = ''
  private requests = 0
  private intent: Intent | undefined
  private readonly ended = new Map<string, string>()
  private readonly kernel: Kernel
  private readonly isReplay: boolean

  constructor(asked: Asked, kernel: Kernel = KERNEL) {
    this.kernel = kernel
    this.state = emptyState(asked.isReplay)
    this.isReplay = asked.isReplay
    this.take()
    const about = { incidentId: 'incident', assetId: 'press-1' }
    const quorum = asked.byRoles
      ? [
          { role: 'shift-lead', people: 1 },
          { role: 'process-engineer', people: 1 },
        ]
      : []
    const order = { orderId: ORDER, cameraIds: ['cam-1'], fromUs: T0, toUs: T0 + 1, clips: [], failure: null }
    const { needed: approvalsNeeded, fourEyes, stepUp } = asked
    this.write([
      record('IncidentOpened', 'opened', LINE, T0, { ...about, detail: '{}' }),
      record('EvidenceOrdered', 'ordered', LINE, T0, { ...about, evidence: order }),
      record('StepProposed', 'proposed-0', LINE, T0, {
        ...about,
        by: 'p-caller',
        stepId: 'step-0',
        title: 'pause',
        proposal: proposal({ approvalsNeeded, fourEyes, stepUp, quorum, exclude: ['p-model'] }, 'step-0'),
      }),
      // a policy that asks for nobody: the risk floor has to
      record('StepProposed', 'proposed-1', LINE, T0, {
        ...about,
        stepId: 'step-1',
        title: 'pause-2',
        proposal: proposal({ approvalsNeeded: 0, exclude: ['p-model'] }, 'step-1'),
      }),
      record('StepApproved', 'approved-1', LINE, T0, { ...about, by: 'policies/press', stepId: 'step-1' }),
    ])
  }

  private land(one: Actions, isReplayed = false): void {
    const entry: Entry = {
      record: one,
      offset: this.entries.length,
      appendedUs: this.nowUs,
      ...(isReplayed || this.isReplay ? { isReplayed: true } : {}),
    }
    this.entries.push(entry)
    this.kernel.evolve(this.state, entry)
    for (const step of this.state.steps.values()) {
      if (step.endedUs === null) continue
      const before = this.ended.get(step.id) ?? step.status
      if (before !== step.status) this.broken ??= `${step.id} ended as ${before} and then as ${step.status}`
      this.ended.set(step.id, step.status)
    }
    for (const [stepId, status] of this.ended)
      if (this.state.steps.get(stepId)?.endedUs === null) this.broken ??= `${stepId} had ended as ${status} and goes on`
  }

  private write(facts: readonly Actions[]): void {
    for (const one of sign(facts, this.epoch, this.owner)) this.land(one)
  }

  private take(): void {
    this.epoch = this.state.highestEpoch + 1
    this.owner = `owner-${this.epoch}`
    this.land(ownershipTaken(LINE, this.epoch, this.owner, this.nowUs))
  }

  private context() {
    return contextAt(Math.max(this.nowUs, this.state.stampUs))
  }

  private stepAt(n: number) {
    const steps = [...this.state.steps.values()]
    return steps[n % steps.length]!
  }

  happen({ kind, who, step: at, n }: Event): void {
    const by = NAMES[who % NAMES.length]!
    const step = this.stepAt(at)
    const ask = (type: string, verdict: string, more: object = {}): void => {
      this.requests += 1
      const decision = { verdict, reason: 'because', commandHash: step.proposal.command.commandHash, ...more }
      const about = { by, roles: [...PEOPLE[by]!], incidentId: 'incident', stepId: step.id }
      this.land(record(type, `request-${this.requests}`, LINE, this.nowUs, { ...about, decision }))
    }
    const hold = (type: string, id: string, holdId: string): void =>
      this.land(record(type, id, LINE, this.nowUs, { by, roles: ['shift-lead'], hold: { holdIds: [holdId], scope: '*', reason: 'r' } }))
    const check = (failure: string | null): void => {
      this.requests += 1
      const evidence = { orderId: ORDER, cameraIds: ['cam-1'], fromUs: T0, toUs: T0 + 1, clips: [], failure }
      const verifier = n % 4 === 0 ? by : 'video'
      this.land(record('EvidenceChecked', `check-${this.requests}`, LINE, this.nowUs, { by: verifier, incidentId: 'incident', evidence }))
    }
    switch (kind) {
      case 'approve':
        return ask('ApproveRequested', 'approve')
      case 'approve strongly':
        return ask('ApproveRequested', 'approve', { strength: 'strong' })
      case 'approve something else':
        return ask('ApproveRequested', 'approve', { commandHash: 'other' })
      case 'reject':
        return ask('RejectRequested', 'reject')
      case 'revoke':
        return ask('RevokeRequested', 'revoke')
      case 'withdraw':
        return ask('WithdrawRequested', 'withdraw')
      case 'abstain':
        return ask('AbstainRequested', 'abstain')
      case 'delegate':
        return ask('DelegateRequested', 'delegate', { to: NAMES[n % NAMES.length], untilUs: this.nowUs + (n % 20) * MINUTE })
      case 'modify':
        return ask('ModifyRequested', 'modify', { params: JSON.stringify({ reviewMinutes: 30 + (n % 20) }) })
      case 'hold':
        return hold('HoldRequested', `hold-${n % 3}`, `hold-${n % 3}`)
      case 'lift':
        return hold('HoldLiftRequested', `lift-${n % 3}-${who}`, `hold-${n % 3}`)
      case 'evidence is false':
        return check('hash differs')
      case 'evidence is right':
        return check(null)
      case 'breaker':
        return this.write([
          record('BreakerChanged', `breaker-${this.entries.length}`, LINE, this.nowUs, {
            breaker: { executor: 'opcua', state: n % 2 === 0 ? 'open' : 'closed', reason: '' },
          }),
        ])
      case 'decide':
        return this.decideNext()
      case 'decide on old knowledge':
        return this.decideNext({ kind: RACERS[n % RACERS.length]!, who: who + 1, step: at, n })
      case 'time passes':
        this.nowUs += (n % 30) * SECOND
        return
      case 'time passes to the expiry':
        this.nowUs = Math.max(this.nowUs, EXPIRES_US + (n % 3) - 1)
        return
      case 'deadlines':
        return this.write(dueFacts(this.state, this.context()))
      case 'intend':
        return this.intend(n, { kind: RACERS[n % RACERS.length]!, who, step: at, n })
      case 'send':
        return this.send(n)
      case 'outcome':
        return this.settle(n)
      case 'take':
        return this.take()
      case 'forge':
        return this.forge(step.id, n, who % 2 === 0)
      case 'replay':
        return this.land(this.entries[n % this.entries.length]!.record, true)
    }
  }

  /** `racer` lands after the owner has decided and before its facts do. */
  private decideNext(racer?: Event): void {
    const [pending] = this.state.pending.values()
    const facts = pending ? this.kernel.decide(pending.record, this.state, this.context()) : []
    if (racer) this.happen(racer)
    this.write(facts)
  }

  private intend(n: number, racer: Event): void {
    const atUs = this.context().atUs
    const ready = executableSteps(this.state, atUs)
    const step = ready[n % Math.max(1, ready.length)]
    if (!step) return
    const intent = executing(step, WINDOW_MS, atUs)
    if (n % 3 === 0) this.happen(racer)
    const offset = this.entries.length
    const startedUs = this.nowUs
    this.write([intent])
    this.intent = { stepId: step.id, offset, startedUs }
  }

  private send(n: number): void {
    const { intent } = this
    if (!intent) return
    const entry = this.entries[intent.offset]!.record
    const sinceMs = (this.nowUs - intent.startedUs) / 1000
    const objection = this.kernel.objectionToSend({
      state: this.state,
      stepId: intent.stepId,
      intentOffset: intent.offset,
      epoch: entry.epoch ?? 0,
      owner: entry.owner ?? '',
      monoSinceIntentMs: sinceMs,
      wallSinceIntentMs: sinceMs,
      monoSinceReadMs: 0,
      allowedMs: Math.min(WINDOW_MS, (EXPIRES_US - entry.atUs) / 1000),
    })
    if (objection !== null) return
    // the same intent is never sent twice by one sender: but it may well be asked to
    if (n % 4 !== 0) this.intent = undefined
    this.broken ??= wrongWith(this.entries, intent.stepId, intent.offset, this.nowUs)
    const isRepeated = this.effects.some((one) => one.stepId === intent.stepId && one.offset !== intent.offset)
    if (isRepeated) this.broken ??= `${intent.stepId} is executed twice`
    this.effects.push({ stepId: intent.stepId, offset: intent.offset })
  }

  /** The target tells what it did: an effect is never told as none. */
  private settle(n: number): void {
    for (const step of this.state.steps.values()) {
      if (!step.open) continue
      const isDone = this.effects.some((one) => one.offset === step.open?.offset)
      const kinds: readonly Outcome[] = isDone ? ['Executed'] : ['ExecutionAbandoned', 'NotExecuted', 'NotObserved', 'RejectedByTarget']
      if (this.intent?.offset === step.open.offset) this.intent = undefined
      return this.write([outcome(step, kinds[n % kinds.length]!, 'readback', null, null, this.context().atUs)])
    }
  }

  /** An owner whose kernel is wrong, or somebody who is no owner, writes what it likes. */
  private forge(stepId: string, n: number, isForeign: boolean): void {
    const about = { stepId, incidentId: 'incident' }
    const id = `forged-${this.entries.length}`
    const at = this.context().atUs
    const vote = (by: string): Actions =>
      record('DecisionRecorded', id, LINE, at, { ...about, by, decision: { verdict: 'approve', commandHash: '' } })
    const execution = { attempt: 1, commandRequestId: 'x', notAfterUs: at, outcome: 'NotExecuted', readback: null, by: 'answer' }
    // what readers can see to be wrong, whoever wrote it; the rest is only tried by one who does not own the partition
    const seen = [record('StepApproved', id, LINE, at, { ...about, by: 'p-lead' }), vote('p-model')]
    const unseen = [vote('p-operator'), vote('p-lead'), record('NotExecuted', id, LINE, at, { ...about, execution })]
    const forged = isForeign ? [...seen, ...unseen] : seen
    const one = forged[n % forged.length]!
    if (isForeign) this.land({ ...one, epoch: this.epoch, owner: 'somebody-else' })
    else this.write([one])
  }
}

/** What may come between a decision and its append. */
const RACERS = ['hold', 'revoke', 'approve', 'evidence is false', 'take', 'withdraw', 'reject'] as const

interface Known {
  proposal: Proposal
  proposedBy: string
  voices: { by: string; roles: readonly string[]; strength: string | null }[]
}

/** The promises, by the records before an effect alone. */
const wrongWith = (entries: readonly Entry[], stepId: string, intentOffset: number, nowUs: number): string | null => {
  let owner = { epoch: 0, id: '' }
  const requests = new Map<string, Actions>()
  const refused = new Set<string>()
  const holds = new Set<string>()
  const lifted = new Set<string>()
  const lent: { from: string; to: string; roles: readonly string[]; untilUs: number }[] = []
  let known: Known | undefined
  let blocked: string[] = []
  let falseSince: string[] = []
  const disproved = new Set<string>()
  let atIntent: { voices: Known['voices']; blocked: boolean; evidence: boolean; held: boolean } | undefined
  for (const { record: one, offset, appendedUs, isReplayed } of entries) {
    if (isReplayed) {
      if (offset === intentOffset) return 'executed in a replay'
      continue
    }
    if (one.type === 'OwnershipTaken') {
      if ((one.epoch ?? 0) > owner.epoch) owner = { epoch: one.epoch ?? 0, id: one.owner ?? '' }
      continue
    }
    if (one.type.endsWith('Requested') || one.type === 'EvidenceChecked') {
      if (requests.has(one.id)) continue
      requests.set(one.id, one)
      for (const id of one.type === 'HoldRequested' ? (one.hold?.holdIds ?? []) : []) if (!lifted.has(id)) holds.add(id)
      if (one.stepId === stepId && /^(Revoke|Withdraw|Modify)/.test(one.type)) blocked.push(one.id)
      if (one.type === 'EvidenceChecked' && one.evidence?.failure) falseSince.push(one.id)
      continue
    }
    if (one.epoch !== owner.epoch || one.owner !== owner.id || Math.abs(one.atUs - appendedUs) > 60 * SECOND) continue
    if (offset === intentOffset)
      atIntent = { voices: [...(known?.voices ?? [])], blocked: blocked.length > 0, evidence: falseSince.length > 0, held: holds.size > 0 }
    if (one.type === 'HoldLifted')
      for (const id of one.hold?.holdIds ?? []) {
        holds.delete(id)
        lifted.add(id)
      }
    if (one.type === 'RequestRefused') {
      refused.add(one.requestId ?? '')
      blocked = blocked.filter((id) => id !== one.requestId)
      falseSince = falseSince.filter((id) => id !== one.requestId)
    }
    if (one.type === 'EvidenceDisproved') disproved.add(one.requestId ?? '')
    if (one.type === 'EvidenceVerified') falseSince = falseSince.filter((id) => !disproved.has(id))
    if (one.stepId !== stepId) continue
    if (one.type === 'StepProposed' && one.proposal && !known) known = { proposal: one.proposal, proposedBy: one.by, voices: [] }
    if (one.type === 'StepDelegated')
      lent.push({
        from: one.by,
        to: one.decision?.to ?? '',
        roles: requests.get(one.requestId ?? '')?.roles ?? [],
        untilUs: one.decision?.untilUs ?? 0,
      })
    if (one.type === 'NotObserved' && known) known.voices = []
    const leaves = one.type === 'StepDelegated' || (one.type === 'DecisionRecorded' && one.decision?.verdict === 'abstain')
    if (leaves && known) known.voices = known.voices.filter((voice) => voice.by !== one.by)
    if (one.type === 'DecisionRecorded' && one.decision?.verdict === 'approve' && known && one.atUs < known.proposal.expiresUs) {
      const request = requests.get(one.requestId ?? '')
      if (!request || request.type !== 'ApproveRequested' || request.by !== one.by) continue
      if (request.decision?.commandHash !== known.proposal.command.commandHash) continue
      const borrowed = lent.filter((loan) => loan.to === one.by && one.atUs < loan.untilUs).flatMap((loan) => loan.roles)
      if (lent.some((loan) => loan.from === one.by && one.atUs < loan.untilUs)) continue
      known.voices.push({ by: one.by, roles: [...(request.roles ?? []), ...borrowed], strength: request.decision.strength })
    }
  }
  if (!known || !atIntent) return 'executed by one who did not own the partition, or without a proposal'
  const { proposal: asked, proposedBy } = known
  if (atIntent.held || holds.size > 0) return 'executed under a hold'
  if (atIntent.blocked || blocked.length > 0) return 'executed although it was taken back'
  if (atIntent.evidence || falseSince.length > 0) return 'executed on false evidence'
  if (nowUs >= asked.expiresUs) return 'executed after its expiry'
  const voices = atIntent.voices.filter(
    (voice) =>
      !(asked.fourEyes && voice.by === proposedBy) &&
      !asked.exclude.includes(voice.by) &&
      !(asked.stepUp && voice.strength !== 'strong') &&
      voice.roles.some((role) => asked.roles.includes(role)),
  )
  const people = new Map(voices.map((voice) => [voice.by, voice]))
  if (people.size === 0 && ['motion', 'energy'].includes(asked.command.effect)) return 'executed above the risk floor without a human'
  if (people.size < asked.approvalsNeeded) return 'executed without its quorum'
  const seats = asked.quorum.flatMap(({ role, people: count }) => Array.from({ length: count }, () => role))
  return seated(seats, [...people.values()]) ? null : 'executed without its quorum of roles'
}

const seated = (seats: readonly string[], voices: readonly { readonly roles: readonly string[] }[]): boolean =>
  seats.length === 0 || voices.some((voice, i) => voice.roles.includes(seats[0]!) && seated(seats.slice(1), voices.toSpliced(i, 1)))
