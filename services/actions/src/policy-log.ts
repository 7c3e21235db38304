// What the gate decided, told: one line of the service's log per finding, and counters. A shadow policy leaves nothing but these.

import type { Logger, Metrics } from '@andon/kit'
import type { GateDecision } from './policy.ts'

export const policyLog = (logger: Logger, metrics: Metrics): ((decision: GateDecision) => void) => {
  const decisions = metrics.counter('andon_actions_gate_decisions_total', 'Findings judged by the policies, by result', ['result'])
  const shadows = metrics.counter('andon_actions_shadow_decisions_total', 'Findings judged by a policy in shadow mode', ['outcome'])
  return ({ shadows: beside, ...decision }) => {
    decisions.inc({ result: decision.result })
    logger.info(decision, 'finding judged')
    for (const shadow of beside) {
      shadows.inc({ outcome: shadow.isSame ? 'same' : shadow.result })
      logger.info({ findingId: decision.findingId, inputDigest: decision.inputDigest, ...shadow }, 'finding judged in shadow mode')
    }
  }
}
