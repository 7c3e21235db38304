// Which events an endpoint wants beside their types: a CEL condition over the event, as the plant file has it.

import { Environment } from '@marcbachmann/cel-js'
import type { Actions } from '@andon/schemas'

const environment = new Environment({ unlistedVariablesAreDyn: true })

/** The variables of a filter. */
const variablesOf = (record: Actions) => ({
  event: record.type,
  line: record.line,
  asset: record.assetId ?? '',
  incident: record.incidentId ?? '',
  step: record.stepId ?? '',
  by: record.by,
  severity: BigInt(record.finding?.severity ?? 0),
  about: record.finding?.about ?? '',
  effect: record.proposal?.command.effect ?? '',
  riskClass: record.proposal?.command.riskClass ?? '',
})

/** What is wrong with the text of a filter; null when nothing is. */
export const filterProblem = (text: string): string | null => {
  try {
    environment.parse(text)
    return null
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
  }
}

/** Whether an event is wanted. A condition that fails or says neither true nor false lets it pass: too much is better than silence. */
export const webhookFilter = (text: string | undefined): ((record: Actions) => boolean) => {
  if (text === undefined || filterProblem(text) !== null) return () => true
  const condition = environment.parse(text) as (variables: Record<string, unknown>) => unknown
  return (record) => {
    try {
      return condition(variablesOf(record)) !== false
    } catch {
      return true
    }
  }
}
