// The protocols of DESIGN.md §4, explored to a small bound with the kernel's own functions; `npm run verify -- model` goes deeper.
// A guard that is taken away has to be missed: the shortest schedule that shows it is told.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { explore, told } from './checker.ts'
import type { Exploration } from './checker.ts'
import { Execution } from './execution.ts'
import type { Scenario } from './execution.ts'
import { HOLD_SCENARIOS, Holds } from './holds.ts'
import type { HoldScenario } from './holds.ts'
import { RULES, WEAKENINGS, without } from './rules.ts'
import type { Weakening } from './rules.ts'
import { SCENARIOS, stopped } from './scenarios.ts'
import { rates, RefusingLate, Settling } from './timing.ts'
import type { Refusing, Timing } from './timing.ts'

/** States per scenario here. */
const MOST_STATES = 8_000
/** States in which a missing guard has to show. */
const MOST_TO_FIND = 150_000

const TIMING: Timing = { window: 4, latency: 2, stop: 3, drift: 1 / 4 }

const settling = (rules = RULES): Exploration => {
  const all = rates(TIMING).map((pair) => explore(new Settling(TIMING, rules, pair)))
  return all.find((one) => one.violation) ?? all[0]!
}

describe('every schedule keeps the promises', () => {
  for (const [name, scenario] of Object.entries<Scenario>(SCENARIOS))
    test(name, () => {
      const found = explore(new Execution(scenario, RULES), MOST_STATES)
      assert.equal(found.violation, null, told(found))
      assert.ok(found.states > 500, `${found.states} states prove little`)
    })

  for (const [name, scenario] of Object.entries<HoldScenario>(HOLD_SCENARIOS))
    test(`holds: ${name}`, () => {
      const found = explore(new Holds(scenario, RULES), MOST_STATES)
      assert.equal(found.violation, null, told(found))
    })

  test('an unknown outcome is settled when no effect can come any more, however clocks drift', () => {
    const found = settling()
    assert.equal(found.violation, null, told(found))
  })

  for (const target of ['i', 'ii'] as const)
    test(`a process that stops before the socket for any time has no effect too many at a target of class ${target}`, () => {
      const found = explore(new Execution(stopped(target), RULES), MOST_STATES)
      assert.equal(found.violation, null, told(found))
    })

  test('a command that is sent at once is not refused as late while the window exceeds both clock errors and the path', () => {
    const limits: Refusing = { ownerError: 2, targetError: 1, path: 1, window: 4 }
    const found = explore(new RefusingLate(limits))
    assert.ok(found.isComplete && found.violation === null, told(found))
    assert.match(explore(new RefusingLate({ ...limits, window: 3 })).violation?.rule ?? '', /refused as late/)
  })
})

/** What only the target's own handshake could close: a command of class iii that is on its way when its sender stops. */
test('a target that refuses nothing may act after its outcome was settled, so that a person has to look', () => {
  const once = { ticks: 6, said: [] }
  const late = explore(new Execution(stopped('iii', once), RULES), MOST_TO_FIND)
  assert.match(late.violation?.rule ?? '', /settled as without effect/)
})

/** Where each guard is missed. */
const MISSED: Record<Weakening, () => Exploration> = (() => {
  const execution = (scenario: Scenario, guard: Weakening) => () => explore(new Execution(scenario, without(guard)), MOST_TO_FIND)
  const holds = (scenario: HoldScenario, guard: Weakening) => () => explore(new Holds(scenario, without(guard)), MOST_TO_FIND)
  const timed = (guard: Weakening) => () => settling(without(guard))
  const once = { ticks: 6, said: [] }
  const where: Record<Weakening, (guard: Weakening) => () => Exploration> = {
    'any higher or equal epoch counts': (guard) => execution(SCENARIOS['the group moves the partition'], guard),
    'a fenced owner does not take again': (guard) => execution(SCENARIOS['a zombie takes again'], guard),
    'bad stamps count': (guard) => execution(SCENARIOS['a clock two minutes slow'], guard),
    'intents behind a hold are live, and sent': (guard) => execution(SCENARIOS['a hold'], guard),
    'a revocation counts only once it is decided': (guard) => execution(SCENARIOS['a revocation'], guard),
    'deadlines count only once they are written': (guard) => execution(SCENARIOS['an expiry'], guard),
    'the window may pass the expiry': (guard) => execution(SCENARIOS['an expiry'], guard),
    'the read-back ends at the intent': (guard) => execution(SCENARIOS['a hold'], guard),
    'the window is not looked at before sending': (guard) => execution(SCENARIOS['the group moves the partition'], guard),
    'unknown outcomes are settled by wall clock': (guard) => execution(SCENARIOS['a clock a minute ahead'], guard),
    'settling does not wait for the window': timed,
    'settling does not wait for the latency': timed,
    'settling does not wait for a stopped process': timed,
    'settling does not wait for a slow clock': timed,
    'settling burns nothing': (guard) => execution(stopped('ii', once), guard),
    'a target that refuses nothing is tried again by itself': (guard) => execution(SCENARIOS['a target that refuses nothing'], guard),
    'a lift ends every hold': (guard) => execution(SCENARIOS['a hold, a lift and another hold'], guard),
    'a lifted hold can come back': (guard) => holds(HOLD_SCENARIOS['one press over three partitions'], guard),
    'the door carries mesh-wide holds': (guard) => holds(HOLD_SCENARIOS['one press over three partitions'], guard),
    'an append without a known result is repeated': (guard) => execution(SCENARIOS['appends have no known result'], guard),
  }
  return Object.fromEntries(Object.entries(where).map(([guard, at]) => [guard, at(guard as Weakening)])) as Record<
    Weakening,
    () => Exploration
  >
})()

describe('a missing guard is noticed', () => {
  for (const guard of Object.keys(WEAKENINGS) as Weakening[])
    test(guard, (t) => {
      const found = MISSED[guard]()
      assert.notEqual(found.violation, null, `${guard}: ${told(found)}`)
      t.diagnostic(told(found))
    })
})
