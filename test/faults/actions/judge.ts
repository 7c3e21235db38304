// The line's ledger against the log: at most one effect per step, none without an approval that came before its intent, and nothing
// left unknown.

import type { RecordVerdict } from '../../harness/record-ledger.ts'
import type { Place } from './plant.ts'

export interface Effects {
  readonly verdict: RecordVerdict
  readonly unapproved: number
  readonly effects: number
  /** Steps by how they ended. */
  readonly endings: Readonly<Record<string, number>>
  /** Outcomes that were settled by reading back. */
  readonly readBack: number
}

/** `approved`: ids of the steps that a person approved. */
export const judgeEffects = ({ line, facts, state }: Place, approved: ReadonlySet<string>): Effects => {
  const problems: string[] = []
  const intents = new Map(
    facts.flatMap(({ record, offset }) =>
      record.type === 'Executing' && record.execution ? [[record.execution.commandRequestId, { stepId: record.stepId ?? '', offset }]] : [],
    ),
  )
  const approvals = new Map(facts.flatMap(({ record, offset }) => (record.type === 'StepApproved' ? [[record.stepId ?? '', offset]] : [])))
  const perStep = new Map<string, number>()
  let unapproved = 0
  for (const { requestId } of line.ledger()) {
    const intent = intents.get(requestId)
    const approval = intent && approvals.get(intent.stepId)
    if (!intent || approval === undefined || approval > intent.offset || !approved.has(intent.stepId)) {
      unapproved += 1
      problems.push(`effect of request ${requestId} has no valid approval before its intent`)
      continue
    }
    perStep.set(intent.stepId, (perStep.get(intent.stepId) ?? 0) + 1)
  }
  const doubled = [...perStep].filter(([, count]) => count > 1)
  for (const [stepId, count] of doubled) problems.push(`step ${stepId} has ${count} effects`)
  const endings: Record<string, number> = {}
  let lost = 0
  for (const stepId of approved) {
    const step = state.steps.get(stepId)
    const ending = step?.status ?? 'unknown'
    endings[ending] = (endings[ending] ?? 0) + 1
    if (step?.open) problems.push(`step ${stepId} is still unknown`)
    if ((ending === 'executed') !== (perStep.get(stepId) === 1)) {
      lost += 1
      problems.push(`step ${stepId} is ${ending} on the log and has ${perStep.get(stepId) ?? 0} effects`)
    }
  }
  const closings = new Map<string, number>()
  for (const { record } of facts)
    if (record.execution?.by) {
      const key = record.execution.commandRequestId
      closings.set(key, (closings.get(key) ?? 0) + 1)
    }
  for (const [requestId, count] of closings) if (count > 1) problems.push(`request ${requestId} has ${count} outcomes`)
  const readBack = facts.filter(({ record }) => record.execution?.by === 'readback').length
  return {
    verdict: { acknowledged: approved.size, lost, duplicates: doubled.length, misordered: 0, problems },
    unapproved,
    effects: line.ledger().length,
    endings,
    readBack,
  }
}
