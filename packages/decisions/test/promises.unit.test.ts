// Nothing is executed without a valid quorum, after expiry, twice, in replay, under hold, above the risk floor without a human or on
// false evidence, and a step ends once: over many thousand random schedules, and not so once a rule is taken away.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { evolve, objectionToSend } from '../src/index.ts'
import type { Entry, State } from '../src/index.ts'
import { KERNEL, KINDS, PlantFloor } from './plant-floor.ts'
import type { Asked, Event, Kernel } from './plant-floor.ts'

const SCHEDULES = 20_000

const event: fc.Arbitrary<Event> = fc.record({
  kind: fc.constantFrom(...KINDS),
  who: fc.nat(5),
  step: fc.nat(3),
  n: fc.nat(60),
})
const asked: fc.Arbitrary<Asked> = fc.record({
  needed: fc.constantFrom(1, 1, 2),
  fourEyes: fc.boolean(),
  stepUp: fc.constantFrom(false, false, true),
  byRoles: fc.constantFrom(false, false, true),
  isReplay: fc.constantFrom(false, false, false, false, false, false, false, false, false, true),
})
const approved: Event[] = [
  { kind: 'approve strongly', who: 1, step: 0, n: 0 },
  { kind: 'decide', who: 0, step: 0, n: 0 },
  { kind: 'approve strongly', who: 2, step: 0, n: 0 },
  { kind: 'decide', who: 0, step: 0, n: 0 },
]
const plain = (kind: Event['kind']): Event => ({ kind, who: 0, step: 0, n: 1 })
const some = (maxLength: number): fc.Arbitrary<Event[]> => fc.array(event, { maxLength, size: 'max' })
/** Many schedules start with two approvals and go on to an intent, so that many reach an effect, with anything in between. */
const schedule = fc.oneof(
  some(40),
  some(24).map((events) => [...approved, ...events]),
  fc
    .tuple(some(2), some(3), some(20))
    .map(([first, second, rest]) => [...approved, ...first, plain('intend'), ...second, plain('send'), ...rest]),
)

const tried = (kernel: Kernel, numRuns: number) => {
  let effects = 0
  const result = fc.check(
    fc.property(asked, schedule, (what, events) => {
      const floor = new PlantFloor(what, kernel)
      for (const one of events) {
        floor.happen(one)
        if (floor.broken !== null) throw new Error(floor.broken)
      }
      effects += floor.effects.length
    }),
    { numRuns, endOnFailure: true },
  )
  return { result, effects }
}

test(`${SCHEDULES} schedules keep every promise`, () => {
  const { result, effects } = tried(KERNEL, SCHEDULES)
  assert.ok(!result.failed, `${String(result.errorInstance)}\n${fc.defaultReportMessage(result)}`)
  assert.ok(effects > SCHEDULES / 10, `only ${effects} effects: that proves little`)
})

/** Folds proposals as if they asked for less. */
const proposals = (change: (entry: Entry) => object): Kernel => ({
  ...KERNEL,
  evolve: (state, entry) => {
    const { proposal } = entry.record
    return evolve(state, proposal ? { ...entry, record: { ...entry.record, proposal: { ...proposal, ...change(entry) } } } : entry)
  },
})

const after = (change: (state: State, entry: Entry) => void, more: Partial<Kernel> = {}): Kernel => ({
  ...KERNEL,
  evolve: (state, entry) => {
    const verdict = evolve(state, entry)
    change(state, entry)
    return verdict
  },
  ...more,
})

const PLANTED: Readonly<Record<string, readonly [Kernel, RegExp]>> = {
  'a quorum of one': [proposals(() => ({ approvalsNeeded: 1, quorum: [] })), /quorum/],
  'roles that are not counted': [proposals(() => ({ quorum: [] })), /quorum of roles/],
  'a proposer who approves': [proposals(() => ({ fourEyes: false })), /quorum|without a human/],
  "a model's owner who approves": [proposals(() => ({ exclude: [] })), /quorum|without a human/],
  'a weak sign-in': [proposals(() => ({ stepUp: false })), /quorum|without a human/],
  'a risk floor that is not there': [
    proposals(({ record }) => ({ command: { ...record.proposal!.command, effect: 'record' } })),
    /without a human|false evidence/,
  ],
  'proposals that never expire': [
    {
      ...proposals(() => ({ expiresUs: Number.MAX_SAFE_INTEGER })),
      objectionToSend: (check) => objectionToSend({ ...check, allowedMs: Infinity }),
    },
    /after its expiry/,
  ],
  'holds that do not hold': [after((state) => state.holds.clear()), /under a hold/],
  'revocations that do not block': [
    after((state) => state.steps.forEach((step) => Object.assign(step, { revokeAsked: false }))),
    /taken back/,
  ],
  'false evidence that does not matter': [
    after((state) => state.incidents.forEach((incident) => Object.assign(incident, { badEvidence: [] }))),
    /false evidence/,
  ],
  'facts of anybody': [
    {
      ...KERNEL,
      evolve: (state, entry) => {
        const { record } = entry
        const isFact = record.epoch !== null && record.type !== 'OwnershipTaken'
        return evolve(state, isFact ? { ...entry, record: { ...record, epoch: state.epoch, owner: state.owner } } : entry)
      },
      objectionToSend: (check) => objectionToSend({ ...check, epoch: check.state.epoch, owner: check.state.owner ?? '' }),
    },
    /did not own|twice|quorum|without a human|ended/,
  ],
  'a replay that executes': [
    {
      ...KERNEL,
      evolve: (state, { record, offset, appendedUs }) => {
        state.isReplayed = false
        return evolve(state, { record, offset, appendedUs })
      },
    },
    /in a replay/,
  ],
  'a step that goes on after its end': [
    after((state) =>
      state.steps.forEach((step) => {
        if (step.status === 'executed') Object.assign(step, { status: 'approved', endedUs: null, attempts: 1 })
      }),
    ),
    /twice|goes on|ended/,
  ],
}

describe('a rule that is missing is noticed', () => {
  for (const [what, [kernel, rule]] of Object.entries(PLANTED))
    test(what, () => {
      const { result } = tried(kernel, 100_000)
      assert.ok(result.failed, 'nothing was noticed')
      assert.match(String(result.errorInstance), rule)
    })
})
