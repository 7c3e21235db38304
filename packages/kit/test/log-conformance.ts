// What every log adapter promises. memory.unit.test.ts, simulation.unit.test.ts and kafka.int.test.ts hold their adapters
// against it; `npm run verify -- conformance` holds all of them and prints adapter by rule.

import { appendRules } from './conformance/appends.ts'
import { brokerRules } from './conformance/broker.ts'
import { foreignRules } from './conformance/foreign.ts'
import { groupRules } from './conformance/groups.ts'
import { instanceRules } from './conformance/instances.ts'
import { runRules } from './conformance/runs.ts'
import { checkOf } from './conformance/subject.ts'
import type { Subject } from './conformance/subject.ts'

export type { Subject } from './conformance/subject.ts'

/** Registers the suite as tests named `<adapter>: <rule>: <promise>`; what the adapter cannot do is skipped with its reason. */
export const conformance = (adapter: string, subject: Subject): void => {
  const check = checkOf(adapter, subject)
  appendRules(check)
  runRules(check, subject, adapter)
  groupRules(check, subject, adapter)
  instanceRules(subject.kafka, adapter)
  brokerRules(subject.kafka, adapter)
  foreignRules(subject.kafka, adapter)
}
