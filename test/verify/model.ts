// `npm run verify -- model`: the protocols of ownership, at-most-once execution and holds, explored far deeper than `npm test` does.
// ANDON_MODEL_STATES bounds the states of each scenario; one that was not explored to its end is left out by name, never passed.

import { explore, told } from '../model/checker.ts'
import type { Exploration } from '../model/checker.ts'
import { Execution } from '../model/execution.ts'
import type { Scenario } from '../model/execution.ts'
import { HOLD_SCENARIOS, Holds } from '../model/holds.ts'
import type { HoldScenario } from '../model/holds.ts'
import { RULES } from '../model/rules.ts'
import { DEEP_SCENARIOS, SCENARIOS, stopped } from '../model/scenarios.ts'
import type { Check } from './check.ts'

const DEFAULT_STATES = 400_000

interface Explored extends Exploration {
  readonly name: string
}

const checkOf = (check: string, explored: readonly Explored[]): Check => {
  const failures = explored.flatMap((one) => (one.violation ? [`${one.name}: ${told(one)}`] : []))
  const cut = explored.filter((one) => !one.isComplete && !one.violation)
  const skipped = cut.map(({ name, states, depth }) => `${name}: beyond ${states} states, ${depth} moves deep`)
  return { check, items: explored.length, failed: failures.length, pass: failures.length === 0, skipped, failures }
}

export const model = async (): Promise<Check[]> => {
  const most = Number(process.env['ANDON_MODEL_STATES'] ?? DEFAULT_STATES)
  const say = (one: Explored): Explored => {
    console.error(`${one.name}: ${one.states} states, ${one.depth} moves deep${one.isComplete ? ', all' : ''}`)
    return one
  }
  const execute = (name: string, scenario: Scenario): Explored => say({ name, ...explore(new Execution(scenario, RULES), most) })
  const hold = (name: string, scenario: HoldScenario): Explored => say({ name, ...explore(new Holds(scenario, RULES), most) })
  const late = (['i', 'ii'] as const).map((target) => execute(`stopped before the socket, class ${target}`, stopped(target)))
  return [
    checkOf(
      'model: ownership and execution',
      Object.entries<Scenario>({ ...SCENARIOS, ...DEEP_SCENARIOS }).map(([name, scenario]) => execute(name, scenario)),
    ),
    checkOf('model: processes that stop before the socket', late),
    checkOf(
      'model: holds over partitions',
      Object.entries<HoldScenario>({
        ...HOLD_SCENARIOS,
        'two presses over three partitions': { partitions: 3, presses: 2, crashes: 1, repeats: 1 },
      }).map(([name, scenario]) => hold(name, scenario)),
    ),
  ]
}
