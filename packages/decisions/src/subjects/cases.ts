// One approval engine, many subjects: changes of devices, models, fault modes, evidence or configuration are proposed, voted on and
// applied by the same rules. Whoever answers first decides, as on topic `devices` (ADR 9): a fact counts only when it answers the oldest
// open request, so that cases need no owner. That suffices because applying a change has no effect outside the log.

import { STAMP_BOUND_US } from '../fold.ts'
import { isCarried, objectionToDecide, objectionToVoice, peopleNeeded } from '../ballot.ts'
import type { Ballot, BallotProblem, Voice } from '../ballot.ts'

/** What a change asks of people. */
export type Asks = Pick<Ballot, 'needed' | 'roles' | 'quorum' | 'exclude' | 'fourEyes' | 'stepUp'>

/** What is decided about one kind of thing. */
export interface Subject<Change> {
  readonly name: string
  /** Roles that may propose a change. */
  readonly proposers: readonly string[]
  /** Time to decide, µs. */
  readonly timeToDecideUs: number
  /** The thing that a change is about. */
  readonly idOf: (change: Change) => string
  /** Digest of exactly what would be done. */
  readonly hashOf: (change: Change) => string
  readonly asks: (change: Change) => Asks
  /** Why the change does not fit what holds now; null when it does. Asked when it is proposed and again when it is applied. */
  readonly problem: (change: Change, holds: Change | undefined) => string | null
}

export type Word = 'propose' | 'approve' | 'reject' | 'withdraw' | 'abstain'

export interface CaseRequest<Change> {
  readonly kind: 'request'
  readonly word: Word
  readonly id: string
  /** The case is named by the request that proposed it. */
  readonly caseId: string
  readonly by: string
  readonly roles: readonly string[]
  readonly strength: string | null
  readonly hash: string
  /** Proposals only. */
  readonly change: Change | null
  readonly atUs: number
}

export interface CaseFact<Change> {
  readonly kind: 'fact'
  readonly type: 'Proposed' | 'Voted' | 'Applied' | 'Rejected' | 'Withdrawn' | 'Abstained' | 'Expired' | 'Refused'
  readonly requestId: string
  readonly caseId: string
  readonly by: string
  readonly change: Change | null
  /** Proposals: what they ask of people, and until when. It stays so, whatever later versions ask. */
  readonly asks: (Asks & { readonly expiresUs: number }) | null
  /** Refusals: why. */
  readonly problem: BallotProblem | 'unknown' | 'not-pending' | 'not-proposer' | 'unfit' | null
  readonly message: string | null
  readonly atUs: number
}

export interface CaseEntry<Change> {
  readonly record: CaseRequest<Change> | CaseFact<Change>
  readonly offset: number
  readonly appendedUs: number
}

export type CaseStatus = 'open' | 'applied' | 'rejected' | 'withdrawn' | 'expired' | 'superseded'

export interface Case<Change> {
  readonly id: string
  readonly change: Change
  readonly ballot: Ballot
  voices: readonly Voice[]
  status: CaseStatus
}

export interface CasesState<Change> {
  nextOffset: number
  stampUs: number
  readonly pending: Map<string, CaseRequest<Change>>
  readonly answers: Map<string, CaseFact<Change> | null>
  readonly cases: Map<string, Case<Change>>
  /** What was applied last, by the thing it is about. */
  readonly holds: Map<string, Change>
}

export type CaseVerdict = 'counted' | 'repeat' | 'void-order' | 'void-stamp' | 'dead'

export const emptyCases = <Change>(): CasesState<Change> => ({
  nextOffset: 0,
  stampUs: 0,
  pending: new Map(),
  answers: new Map(),
  cases: new Map(),
  holds: new Map(),
})

/** The kernel of one subject. */
export interface CaseKernel<Change> {
  /** The one fact that answers the oldest open request. */
  decide(request: CaseRequest<Change>, state: CasesState<Change>, atUs: number): CaseFact<Change>
  /** Folds one more record into the state, in place, and says what became of it. */
  evolve(state: CasesState<Change>, entry: CaseEntry<Change>): CaseVerdict
}

export const caseKernel = <Change>(subject: Subject<Change>): CaseKernel<Change> => {
  const answer = (request: CaseRequest<Change>, type: CaseFact<Change>['type'], atUs: number): CaseFact<Change> => {
    const { id: requestId, caseId, by, change } = request
    const asks = change === null ? null : { ...subject.asks(change), expiresUs: atUs + subject.timeToDecideUs }
    return { kind: 'fact', type, requestId, caseId, by, change, asks, problem: null, message: null, atUs }
  }
  const no = (request: CaseRequest<Change>, atUs: number, problem: CaseFact<Change>['problem'], message: string): CaseFact<Change> => ({
    ...answer(request, 'Refused', atUs),
    problem,
    message,
  })
  const unfit = (change: Change, state: CasesState<Change>): string | null => subject.problem(change, state.holds.get(subject.idOf(change)))

  const propose = (request: CaseRequest<Change>, state: CasesState<Change>, atUs: number): CaseFact<Change> => {
    const { change } = request
    if (change === null || request.caseId !== request.id) return no(request, atUs, 'unfit', 'A proposal names its change')
    if (!request.roles.some((role) => subject.proposers.includes(role)))
      return no(request, atUs, 'role', `Proposing this needs one of the roles ${subject.proposers.join(', ')}`)
    const problem = unfit(change, state)
    if (problem !== null) return no(request, atUs, 'unfit', problem)
    const { needed, quorum } = subject.asks(change)
    return answer(request, peopleNeeded({ needed, quorum }) === 0 ? 'Applied' : 'Proposed', atUs)
  }

  const vote = (request: CaseRequest<Change>, one: Case<Change>, state: CasesState<Change>, atUs: number): CaseFact<Change> => {
    const voice = { by: request.by, roles: request.roles, strength: request.strength }
    const problem = objectionToVoice(one.ballot, one.voices, voice)
    if (problem !== null) return no(request, atUs, problem, `This approval does not count: ${problem}`)
    if (!isCarried(one.ballot, [...one.voices, voice])) return answer(request, 'Voted', atUs)
    const against = unfit(one.change, state)
    return against === null ? answer(request, 'Applied', atUs) : no(request, atUs, 'unfit', against)
  }

  const decide: CaseKernel<Change>['decide'] = (request, state, atUs) => {
    if (request.word === 'propose') return propose(request, state, atUs)
    const one = state.cases.get(request.caseId)
    if (!one) return no(request, atUs, 'unknown', `No case ${request.caseId} of ${subject.name} is known`)
    if (one.status !== 'open') return no(request, atUs, 'not-pending', `The case is ${one.status}`)
    if (atUs >= one.ballot.expiresUs) return answer(request, 'Expired', atUs)
    if (request.word === 'withdraw')
      return request.by === one.ballot.proposedBy
        ? answer(request, 'Withdrawn', atUs)
        : no(request, atUs, 'not-proposer', `Only ${one.ballot.proposedBy} withdraws this`)
    const problem = objectionToDecide(one.ballot, request, request.hash, atUs)
    if (problem !== null) return no(request, atUs, problem, `This word does not count: ${problem}`)
    if (request.word === 'approve') return vote(request, one, state, atUs)
    return answer(request, request.word === 'reject' ? 'Rejected' : 'Abstained', atUs)
  }

  const open = (
    state: CasesState<Change>,
    { asks, atUs }: CaseFact<Change>,
    { id, change, by }: CaseRequest<Change>,
  ): Case<Change> | null => {
    if (asks === null || change === null || atUs >= asks.expiresUs) return null
    const one: Case<Change> = { id, change, ballot: { ...asks, hash: subject.hashOf(change), proposedBy: by }, voices: [], status: 'open' }
    state.cases.set(id, one)
    return one
  }

  /** Every reader counts the votes again, by what the proposal asked on the log: a fact that they do not bear out changes nothing. */
  const apply = (state: CasesState<Change>, fact: CaseFact<Change>, request: CaseRequest<Change>): CaseVerdict => {
    if (fact.type === 'Refused') return 'counted'
    if (request.word === 'propose') return applyProposal(state, fact, request)
    const one = state.cases.get(request.caseId)
    if (one?.status !== 'open') return 'dead'
    const isLate = fact.atUs >= one.ballot.expiresUs
    if (fact.type === 'Expired') return isLate ? close(one, 'expired') : 'dead'
    if (fact.type === 'Withdrawn')
      return !isLate && request.word === 'withdraw' && request.by === one.ballot.proposedBy ? close(one, 'withdrawn') : 'dead'
    if (objectionToDecide(one.ballot, request, request.hash, fact.atUs) !== null) return 'dead'
    if (fact.type === 'Rejected') return request.word === 'reject' ? close(one, 'rejected') : 'dead'
    if (request.word === 'approve') return count(state, one, fact, request)
    if (fact.type !== 'Abstained' || request.word !== 'abstain') return 'dead'
    one.voices = one.voices.filter((voice) => voice.by !== request.by)
    return 'counted'
  }

  const applyProposal = (state: CasesState<Change>, fact: CaseFact<Change>, request: CaseRequest<Change>): CaseVerdict => {
    if (fact.type !== 'Proposed' && fact.type !== 'Applied') return 'dead'
    if (fact.type === 'Applied' && (fact.asks === null || peopleNeeded(fact.asks) > 0)) return 'dead'
    const one = open(state, fact, request)
    if (one === null) return 'dead'
    if (fact.type === 'Applied') applyChange(state, one)
    return 'counted'
  }

  const count = (state: CasesState<Change>, one: Case<Change>, fact: CaseFact<Change>, request: CaseRequest<Change>): CaseVerdict => {
    const voice = { by: request.by, roles: request.roles, strength: request.strength }
    const voices = [...one.voices, voice]
    const isEnough = isCarried(one.ballot, voices)
    if (objectionToVoice(one.ballot, one.voices, voice) !== null || fact.type !== (isEnough ? 'Applied' : 'Voted')) return 'dead'
    one.voices = voices
    if (isEnough) applyChange(state, one)
    return 'counted'
  }

  const close = (one: Case<Change>, status: CaseStatus): CaseVerdict => {
    one.status = status
    return 'counted'
  }

  /** Other open cases about the same thing were decided on what held before: they are superseded. */
  const applyChange = (state: CasesState<Change>, one: Case<Change>): void => {
    const id = subject.idOf(one.change)
    one.status = 'applied'
    state.holds.set(id, one.change)
    for (const other of state.cases.values()) if (other.status === 'open' && subject.idOf(other.change) === id) other.status = 'superseded'
  }

  const evolve: CaseKernel<Change>['evolve'] = (state, { record, offset, appendedUs }) => {
    if (offset < state.nextOffset) return 'repeat'
    state.nextOffset = offset + 1
    if (record.kind === 'request') {
      if (state.answers.has(record.id)) return 'repeat'
      state.answers.set(record.id, null)
      state.pending.set(record.id, record)
      return 'counted'
    }
    const [oldest] = state.pending.values()
    if (!oldest || record.requestId !== oldest.id) return 'void-order'
    // stamps never go back, else an expired case could be approved by a clock behind
    if (Math.abs(record.atUs - appendedUs) > STAMP_BOUND_US || record.atUs < state.stampUs) return 'void-stamp'
    const verdict = apply(state, record, oldest)
    if (verdict !== 'counted') return verdict
    state.pending.delete(oldest.id)
    state.answers.set(oldest.id, record)
    state.stampUs = record.atUs
    return 'counted'
  }
  return { decide, evolve }
}
