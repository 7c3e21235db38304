// Alarm discipline: random storms on a line, and what people may hear of them. Every schedule is decided and folded as an owner does.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Actions, Finding } from '@andon/schemas'
import { alarmKpis, decide, dueFacts, emptyState, evolve, nextDueUs, record, sign } from '../src/index.ts'
import type { AlarmCounts, State } from '../src/index.ts'
import { LINE, MINUTE, SECOND, T0, contextAt, copied, findingOf, planOf } from './fixtures.ts'

const WINDOW = 10 * MINUTE
const plan = planOf({ budgetPerHour: null, steps: [{ step: 'notify', command: 'notify.technicians', approvals: 0 }], evidence: null })

class Line {
  readonly state: State = emptyState()
  readonly facts: Actions[] = []
  /** What assets are a part of. */
  readonly parents = new Map<string, string>()
  asked = 0
  private offset = 0

  constructor() {
    this.put(record('OwnershipTaken', 'o', LINE, T0, { epoch: 1, owner: 'me' }))
  }

  private put(one: Actions): void {
    assert.notEqual(evolve(this.state, { record: one, offset: this.offset++, appendedUs: one.atUs }).startsWith('void'), true)
  }

  private write(facts: readonly Actions[]): void {
    for (const one of sign(facts, 1, 'me')) {
      this.put(one)
      this.facts.push(one)
    }
  }

  timersUntil(atUs: number): void {
    for (let due = nextDueUs(this.state); due !== undefined && due <= atUs; due = nextDueUs(this.state)) {
      const facts = dueFacts(this.state, contextAt(Math.max(due, this.state.stampUs), { plan }))
      assert.ok(facts.length > 0)
      this.write(facts)
    }
  }

  ask(request: Actions, atUs: number): readonly Actions[] {
    this.timersUntil(atUs)
    this.put(request)
    const facts = decide(request, this.state, contextAt(atUs, { plan, parentOf: (asset) => this.parents.get(asset) }))
    this.write(facts)
    return facts
  }

  finding(fields: Partial<Finding>, atUs: number): readonly Actions[] {
    const id = `f-${this.asked++}`
    return this.ask(copied(findingOf({ findingId: id, episodeId: `e-${id}`, atUs, ...fields }), atUs), atUs)
  }

  notices(): Actions[] {
    return this.facts.filter((one) => one.type === 'StepProposed' && one.proposal?.command.effect === 'notify')
  }

  mostIn10Minutes(): number {
    const times = this.notices().map(({ atUs }) => atUs)
    return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + WINDOW).length))
  }
}

const countsOf = (facts: readonly Actions[], types: readonly string[]): { counts: AlarmCounts; totals: AlarmCounts }[] =>
  facts
    .filter(({ type }) => types.includes(type))
    .map(({ detail }) => JSON.parse(detail ?? '{}') as { counts: AlarmCounts; totals: AlarmCounts })

const DISPOSED = ['raised', 'event', 'grouped', 'flood', 'shelved', 'out-of-service', 'by-design', 'refused'] as const
const addsUp = (counts: AlarmCounts): void =>
  assert.equal(
    DISPOSED.reduce((sum, name) => sum + counts[name], 0),
    counts.findings,
  )

test('a storm of 1 000 findings a minute is at most 10 alarms in 10 minutes, all stored, and its digests add up', () => {
  const line = new Line()
  for (let i = 0; i < 12_000; i++) line.finding({ assetId: `press-${i % 300}`, severity: 1 + (i % 4) }, T0 + i * 60_000)
  line.timersUntil(T0 + 60 * MINUTE)
  assert.ok(line.mostIn10Minutes() <= 10, `${line.mostIn10Minutes()} alarms`)
  assert.equal(line.facts.filter(({ type, finding }) => type === 'IncidentOpened' && finding).length, 12_000)
  assert.equal(countsOf(line.facts, ['AlarmFloodEnded']).length, 1)
})

test('in any storm alarms stay within their number, the first graver finding is heard, and every finding counts once', () => {
  const one = fc.record({
    gapS: fc.constantFrom(0, 0, 1, 5, 30, 200, 700),
    asset: fc.integer({ min: 0, max: 30 }),
    severity: fc.integer({ min: 1, max: 4 }),
    mode: fc.option(fc.integer({ min: 0, max: 20 })),
  })
  fc.assert(
    fc.property(fc.array(one, { minLength: 20, maxLength: 150 }), (storm) => {
      const line = new Line()
      let atUs = T0
      let before = 0
      for (const { gapS, asset, severity, mode } of storm) {
        atUs += gapS * SECOND
        line.timersUntil(atUs)
        const heard = line.notices().filter((notice) => notice.atUs > atUs - WINDOW && severityOf(line, notice) !== null)
        const isGravest = heard.every((notice) => severity < (severityOf(line, notice) ?? 0))
        if (!line.facts.some(({ type }) => type === 'AlarmFloodBegan')) before += 1
        const facts = line.finding({ assetId: `a-${asset}`, severity, faultModeId: mode === null ? null : `m-${mode}` }, atUs)
        if (isGravest)
          assert.ok(
            facts.some(({ type, title }) => type === 'StepProposed' && title === 'notify'),
            'the gravest is heard',
          )
      }
      line.timersUntil(atUs + 60 * MINUTE)
      assert.ok(line.mostIn10Minutes() <= 10, `${line.mostIn10Minutes()} alarms in 10 minutes`)
      for (const { counts } of countsOf(line.facts, ['AlarmDigest', 'AlarmFloodEnded'])) addsUp(counts)
      let inFlood = 0
      let answered: Actions[] = []
      for (const fact of line.facts) {
        if (fact.type === 'AlarmFloodBegan') answered = answered.slice(-1)
        if (fact.finding) answered.push(fact)
        if (fact.type !== 'AlarmFloodEnded') continue
        const [{ totals } = assert.fail()] = countsOf([fact], ['AlarmFloodEnded'])
        assert.equal(totals.findings, answered.length, 'a flood counts what came in it')
        addsUp(totals)
        inFlood += totals.findings
        answered = []
      }
      assert.ok(inFlood <= storm.length && before > 0)
    }),
    { numRuns: 150 },
  )
})

/** Severity of the finding a notice is about; null for a digest's. */
const severityOf = (line: Line, { incidentId }: Actions): number | null =>
  line.state.incidents.get(incidentId ?? '')?.finding?.severity ?? null

test('the same cause on a line and a second episode of an asset are one alarm, unless they are graver', () => {
  const line = new Line()
  assert.equal(told(line.finding({ assetId: 'a', faultModeId: 'm', severity: 2 }, T0)), true)
  assert.equal(told(line.finding({ assetId: 'b', faultModeId: 'm', severity: 2 }, T0 + SECOND)), false)
  assert.equal(told(line.finding({ assetId: 'b', faultModeId: 'm', severity: 1 }, T0 + 2 * SECOND)), true)
  assert.equal(told(line.finding({ assetId: 'c', severity: 3 }, T0 + 3 * SECOND)), true)
  assert.equal(told(line.finding({ assetId: 'c', severity: 3 }, T0 + 4 * SECOND)), false)
  assert.equal(line.state.alarms.get(LINE)?.counts.grouped, 2)
})

test('an alarm of the whole speaks for its parts, however deep; one of a part does not speak for the whole', () => {
  const line = new Line()
  line.parents.set('bearing', 'drive').set('drive', 'press').set('pump', 'hydraulics').set('hydraulics', 'pump')
  assert.equal(told(line.finding({ assetId: 'drive', faultModeId: 'm', severity: 2 }, T0)), true)
  assert.equal(told(line.finding({ assetId: 'bearing', faultModeId: 'n', severity: 2 }, T0 + SECOND)), false)
  assert.equal(told(line.finding({ assetId: 'bearing', faultModeId: 'n', severity: 1 }, T0 + 2 * SECOND)), true)
  assert.equal(told(line.finding({ assetId: 'press', faultModeId: 'o', severity: 2 }, T0 + 3 * SECOND)), true)
  assert.equal(told(line.finding({ assetId: 'pump', faultModeId: 'p', severity: 2 }, T0 + 4 * SECOND)), true)
  assert.equal(line.state.alarms.get(LINE)?.counts.grouped, 1)
})

const told = (facts: readonly Actions[]): boolean => facts.some(({ type }) => type === 'StepProposed')

test('out of service and by design page nobody and propose nothing, until their end or condition', () => {
  const line = new Line()
  const suppress = (
    id: string,
    assetId: string,
    verdict: string,
    untilUs: number | null,
    detail: string | null = null,
    reason = 'overhaul',
  ) =>
    line.ask(
      record('AlarmSuppressRequested', id, LINE, T0, {
        by: 'p-lead',
        roles: ['shift-lead'],
        assetId,
        detail,
        decision: { verdict, reason, commandHash: '', untilUs },
      }),
      T0,
    )
  assert.equal(suppress('s0', 'pump', 'out-of-service', T0 + MINUTE, null, '')[0]?.refusal?.code, 'ANDON_ACTIONS_MALFORMED')
  assert.equal(suppress('s1', 'pump', 'out-of-service', T0 + MINUTE)[0]?.type, 'AlarmSuppressed')
  suppress('s2', 'flow', 'by-design', T0 + 60 * MINUTE, JSON.stringify({ whileOutOfService: 'pump' }))
  assert.equal(told(line.finding({ assetId: 'pump' }, T0 + SECOND)), false)
  assert.equal(told(line.finding({ assetId: 'flow' }, T0 + SECOND)), false)
  assert.equal(alarmKpis(line.state, T0 + SECOND)[0]?.suppressed, 2)
  assert.equal(told(line.finding({ assetId: 'pump' }, T0 + 2 * MINUTE)), true)
  assert.equal(told(line.finding({ assetId: 'flow' }, T0 + 2 * MINUTE)), true)
  assert.ok(line.facts.some(({ type }) => type === 'AlarmRestored'))
})
