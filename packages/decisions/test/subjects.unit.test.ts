// One engine, many subjects: the same promises hold for devices, models, fault modes, evidence and configuration, with instances that
// answer at the same time, clocks that are wrong, forged facts and requests that come twice. A rule that is missing is noticed.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { caseKernel, config, devices, emptyCases, evidence, faultModes, models } from '../src/subjects/index.ts'
import type { Asks, CaseEntry, CaseFact, CaseKernel, CaseRequest, Subject, Word } from '../src/subjects/index.ts'
import { MINUTE, SECOND, T0 } from './fixtures.ts'

const SCHEDULES = 3_000
const WORDS: readonly Word[] = ['propose', 'approve', 'approve', 'approve', 'approve', 'reject', 'withdraw', 'abstain']
const PEOPLE: readonly (readonly [string, readonly string[]])[] = [
  ['p-engineer', ['process-engineer']],
  ['p-lead', ['shift-lead']],
  ['p-second-engineer', ['process-engineer', 'shift-lead']],
  ['p-operator', ['operator', 'privacy']],
  ['p-owner', ['process-engineer', 'integrator']],
  ['p-guest', ['viewer']],
]

interface Event {
  readonly what: 'ask' | 'ask again' | 'answer' | 'answer twice' | 'answer late' | 'forge' | 'wait'
  readonly word: Word
  readonly who: number
  readonly change: number
  readonly n: number
}
const event: fc.Arbitrary<Event> = fc.record({
  what: fc.constantFrom('ask', 'ask', 'ask', 'answer', 'answer', 'answer', 'answer twice', 'answer late', 'ask again', 'forge', 'wait'),
  word: fc.constantFrom(...WORDS),
  who: fc.nat(5),
  change: fc.nat(5),
  n: fc.nat(40),
})
const schedule = fc.array(event, { minLength: 6, maxLength: 40, size: 'max' })

/** What was asked of people when a case was proposed, taken from the subject itself, not from its kernel. */
interface Judged<Change> {
  readonly change: Change
  readonly asks: Asks
  readonly by: string
  readonly expiresUs: number
}

class Room<Change> {
  readonly entries: CaseEntry<Change>[] = []
  readonly state = emptyCases<Change>()
  applied = 0
  private nowUs = T0
  private asked = 0
  private readonly ends = new Map<string, string>()
  private readonly subject: Subject<Change>
  private readonly kernel: CaseKernel<Change>
  private readonly changes: readonly Change[]

  constructor(subject: Subject<Change>, kernel: CaseKernel<Change>, changes: readonly Change[]) {
    this.subject = subject
    this.kernel = kernel
    this.changes = changes
  }

  private land(record: CaseEntry<Change>['record']): void {
    const entry = { record, offset: this.entries.length, appendedUs: this.nowUs }
    this.entries.push(entry)
    const before = new Map([...this.state.cases].map(([id, one]) => [id, one.status]))
    this.kernel.evolve(this.state, entry)
    for (const [id, { status }] of this.state.cases) {
      const ended = this.ends.get(id)
      if (ended !== undefined && ended !== status) throw new Error(`${id} ended as ${ended} and then as ${status}`)
      if (status !== 'open') this.ends.set(id, status)
      if (status === 'applied' && before.get(id) !== 'applied') this.judge(id)
    }
  }

  happen({ what, word, who, change: at, n }: Event): void {
    const cases = [...this.state.cases.keys()]
    const [oldest] = this.state.pending.values()
    const answer = (atUs: number): void => {
      if (oldest) this.land(this.kernel.decide(oldest, this.state, Math.max(atUs, this.state.stampUs)))
    }
    switch (what) {
      case 'ask': {
        this.asked += 1
        const id = `r-${this.asked}`
        const caseId = word === 'propose' || cases.length === 0 ? id : cases[n % cases.length]!
        const isProposal = caseId === id
        const [by, roles] = PEOPLE[who]!
        const change = isProposal ? this.changes[at % this.changes.length]! : null
        const target = this.state.cases.get(caseId)?.change
        const hash = target === undefined || n === 0 ? 'other' : this.subject.hashOf(target)
        const strength = n % 3 === 0 ? null : 'strong'
        return this.land({
          kind: 'request',
          word: isProposal ? 'propose' : word,
          id,
          caseId,
          by,
          roles,
          strength,
          hash,
          change,
          atUs: this.nowUs,
        })
      }
      case 'ask again': {
        const again = this.entries.find(({ record, offset }) => record.kind === 'request' && offset >= n % Math.max(1, this.entries.length))
        return again && this.land(again.record)
      }
      case 'answer':
        return answer(this.nowUs)
      case 'answer twice': {
        // two instances decide on the same state, and both land
        if (!oldest) return
        const fact = this.kernel.decide(oldest, this.state, Math.max(this.nowUs, this.state.stampUs))
        this.land(fact)
        return this.land(fact)
      }
      case 'answer late':
        return answer(this.nowUs - (n % 4) * MINUTE)
      case 'wait':
        this.nowUs += n % 4 === 0 ? this.subject.timeToDecideUs + ((n % 3) - 1) * SECOND : n * SECOND
        return
      case 'forge': {
        if (!oldest) return
        const type = n % 2 === 0 ? 'Applied' : 'Voted'
        const { id: requestId, caseId, by, change } = oldest
        return this.land({ kind: 'fact', type, requestId, caseId, by, change, asks: null, problem: null, message: null, atUs: this.nowUs })
      }
    }
  }

  /** By the records alone: who proposed, who has said yes, and whether in time. */
  private judge(caseId: string): void {
    this.applied += 1
    const requests = new Map<string, CaseRequest<Change>>()
    const answered = new Set<string>()
    let judged: Judged<Change> | undefined
    let yes: CaseRequest<Change>[] = []
    let atUs = 0
    for (const { record, appendedUs } of this.entries) {
      if (record.kind === 'request') {
        if (!requests.has(record.id)) requests.set(record.id, record)
        continue
      }
      const request = requests.get(record.requestId)
      if (!request || request.caseId !== caseId || answered.has(request.id) || Math.abs(record.atUs - appendedUs) > MINUTE) continue
      const accepted = this.state.answers.get(request.id)
      if (accepted !== record && !(accepted === null && record === this.entries.at(-1)?.record)) continue
      answered.add(request.id)
      if (accepted?.type === 'Refused') continue
      atUs = record.atUs
      if (request.word === 'propose')
        judged = {
          change: request.change!,
          asks: this.subject.asks(request.change!),
          by: request.by,
          expiresUs: record.atUs + this.subject.timeToDecideUs,
        }
      if (request.word === 'approve') yes = [...yes, request]
      if (request.word === 'abstain') yes = yes.filter((one) => one.by !== request.by)
    }
    if (!judged) throw new Error(`${caseId} is applied and nobody proposed it`)
    const { asks, by: proposer, expiresUs, change } = judged
    if (atUs >= expiresUs) throw new Error('applied after its expiry')
    const valid = yes.filter(
      (one) =>
        one.hash === this.subject.hashOf(change) &&
        !asks.exclude.includes(one.by) &&
        !(asks.fourEyes && one.by === proposer) &&
        !(asks.stepUp && one.strength !== 'strong') &&
        one.roles.some((role) => asks.roles.includes(role)),
    )
    const people = [...new Map(valid.map((one) => [one.by, one])).values()]
    if (people.length < asks.needed) throw new Error('applied without its quorum')
    const seats = asks.quorum.flatMap(({ role, people: count }) => Array.from({ length: count }, () => role))
    if (!seated(seats, people)) throw new Error('applied without its quorum of roles')
  }
}

const seated = (seats: readonly string[], people: readonly { readonly roles: readonly string[] }[]): boolean =>
  seats.length === 0 || people.some((one, i) => one.roles.includes(seats[0]!) && seated(seats.slice(1), people.toSpliced(i, 1)))

interface Instance<Change> {
  readonly subject: Subject<Change>
  readonly changes: readonly Change[]
}
const instance = <Change>(subject: Subject<Change>, changes: readonly Change[]): Instance<unknown> =>
  ({ subject, changes }) as unknown as Instance<unknown>

const INSTANCES = [
  instance(devices, [
    { deviceId: 'd-1', to: 'active', assets: ['press-1'] },
    { deviceId: 'd-1', to: 'active', assets: ['*'] },
    { deviceId: 'd-1', to: 'suspended', assets: [] },
    { deviceId: 'd-2', to: 'retired', assets: [] },
  ]),
  instance(models, [
    { model: 'm-1', version: 1, role: 'champion', owner: 'p-owner' },
    { model: 'm-1', version: 2, role: 'champion', owner: 'p-owner' },
    { model: 'm-1', version: 2, role: 'advisory', owner: 'p-owner' },
  ]),
  instance(faultModes, [
    { modeId: 'f-1', name: 'imbalance', standing: 'fault' },
    { modeId: 'f-1', name: 'imbalance', standing: 'ignore' },
    { modeId: 'f-2', name: 'warm-up', standing: 'normal' },
  ]),
  instance(evidence, [
    { incidentId: 'i-1', to: 'held' },
    { incidentId: 'i-1', to: 'released' },
    { incidentId: 'i-1', to: 'erased' },
    { incidentId: 'i-2', to: 'erased' },
  ]),
  instance(config, [
    { name: 'policies/press', digest: 'a' },
    { name: 'policies/press', digest: 'b' },
    { name: 'plant', digest: 'c' },
  ]),
]

const tried = ({ subject, changes }: Instance<unknown>, kernel: CaseKernel<unknown>, numRuns: number) => {
  let applied = 0
  const result = fc.check(
    fc.property(schedule, (events) => {
      const room = new Room(subject, kernel, changes)
      for (const one of events) room.happen(one)
      applied += room.applied
    }),
    { numRuns, endOnFailure: true },
  )
  return { result, applied }
}

describe('every subject keeps the same promises', () => {
  for (const each of INSTANCES)
    test(each.subject.name, () => {
      const { result, applied } = tried(each, caseKernel(each.subject), SCHEDULES)
      assert.ok(!result.failed, `${String(result.errorInstance)}\n${fc.defaultReportMessage(result)}`)
      assert.ok(applied > SCHEDULES / 20, `only ${applied} changes were applied`)
    })
})

/** The kernel of a subject that asks for less than the subject does. */
const asking = (fewer: (asks: Asks) => Partial<Asks>) => (subject: Subject<unknown>) =>
  caseKernel({ ...subject, asks: (change) => ({ ...subject.asks(change), ...fewer(subject.asks(change)) }) })

const PLANTED: Readonly<Record<string, readonly [(subject: Subject<unknown>) => CaseKernel<unknown>, readonly string[]]>> = {
  'one person fewer': [
    asking(({ needed }) => ({ needed: Math.max(0, needed - 1), quorum: [] })),
    ['devices', 'models', 'fault modes', 'evidence', 'config'],
  ],
  'proposers who approve': [asking(() => ({ fourEyes: false })), ['devices', 'models', 'fault modes', 'evidence', 'config']],
  'owners of models who approve': [asking(() => ({ exclude: [] })), ['models']],
  'weak sign-ins': [asking(() => ({ stepUp: false })), ['models', 'evidence']],
  'cases that never expire': [
    (subject) => caseKernel({ ...subject, timeToDecideUs: Number.MAX_SAFE_INTEGER / 4 }),
    ['devices', 'models', 'fault modes', 'evidence', 'config'],
  ],
  'words on anything': [
    (subject) => {
      const kernel = caseKernel({ ...subject, hashOf: () => 'same' })
      const same = <T extends CaseRequest<unknown> | CaseFact<unknown>>(record: T): T => ({ ...record, hash: 'same' })
      return {
        decide: (request, state, atUs) => kernel.decide(same(request), state, atUs),
        evolve: (state, entry) =>
          kernel.evolve(state, { ...entry, record: entry.record.kind === 'request' ? same(entry.record) : entry.record }),
      }
    },
    ['devices', 'models', 'fault modes', 'evidence', 'config'],
  ],
}

describe('a rule that is missing is noticed', () => {
  for (const [what, [kernelOf, names]] of Object.entries(PLANTED))
    for (const name of names)
      test(`${what}: ${name}`, () => {
        const each = INSTANCES.find(({ subject }) => subject.name === name)!
        const { result } = tried(each, kernelOf(each.subject), 60_000)
        assert.ok(result.failed, 'nothing was noticed')
        assert.match(String(result.errorInstance), what === 'cases that never expire' ? /expiry/ : /quorum/)
      })
})
