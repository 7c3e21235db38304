// FailureRecordRequested → FailureRecorded or FailureWithdrawn: what broke or was serviced, by hand or from the maintenance system.
// A failure is known by its id: a repeat changes nothing, another content replaces the earlier one, a withdrawn one stays withdrawn.

import { failureCodeProblem } from '@andon/schemas/iso-14224'
import type { Actions, FailureRecord } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import { MOST_NAME, MOST_TEXT, TEACHING_ROLES, isSame, tooLong } from './teaching.ts'
import type { DecideContext, Facts, State } from './types.ts'

export const FAILURE_KINDS = ['failure', 'intervention'] as const

/** A clock that runs ahead may call a failure of this moment one of the future. */
const AHEAD_US = 60_000_000

/** Why this record may not be kept, as [code, message]; null when it may. The door asks the same before an import. */
export const failureObjection = (failure: FailureRecord, state: State, context: DecideContext): [code: string, message: string] | null => {
  const before = state.teaching.failures.get(failure.failureId)
  if (before && before.what.assetId !== failure.assetId)
    return ['ANDON_ACTIONS_FAILURE_KNOWN', `Failure ${failure.failureId} is one of ${before.what.assetId}: give this one another id`]
  if (failure.withdrawn)
    return before ? null : ['ANDON_ACTIONS_UNKNOWN_FAILURE', `No failure ${failure.failureId} was recorded for ${failure.assetId}`]
  if (before?.what.withdrawn)
    return [
      'ANDON_ACTIONS_FAILURE_WITHDRAWN',
      `Failure ${failure.failureId} was withdrawn by ${before.by}: if it did happen, give it another id`,
    ]
  const place = context.plant?.placeOf(failure.assetId)
  if (context.plant && !place) return ['ANDON_ACTIONS_UNKNOWN_PLACE', `The plant has no asset ${failure.assetId}`]
  const problem = problemOf(failure, context.atUs) ?? failureCodeProblem(failure, place?.equipmentClass)
  return problem === undefined ? null : ['ANDON_ACTIONS_BAD_FAILURE', problem]
}

export const decideFailure = (request: Actions, state: State, context: DecideContext): Facts => {
  const no = (code: string, message: string): Facts => [refused(request, context.atUs, code, message)]
  const { failure: asked } = request
  if (!asked || asked.failureId === '' || asked.assetId === '')
    return no('ANDON_ACTIONS_MALFORMED', 'FailureRecordRequested carries no failure')
  const roles: readonly string[] = TEACHING_ROLES.FailureRecordRequested
  if (!(request.roles ?? []).some((role) => roles.includes(role)))
    return no('ANDON_ACTIONS_ROLE', `Recording a failure needs one of the roles ${roles.join(', ')}`)
  const objection = failureObjection(asked, state, context)
  if (objection) return no(...objection)

  const before = state.teaching.failures.get(asked.failureId)
  // a withdrawal says which failure, not again what it was
  const failure = asked.withdrawn && before ? { ...before.what, withdrawn: true } : asked
  const revision = (before?.revision ?? 0) + (before && isSame(before.what, failure) ? 0 : 1)
  const type = failure.withdrawn ? 'FailureWithdrawn' : 'FailureRecorded'
  return [
    fact(type, request.line, context.atUs, [failure.failureId, revision], {
      by: request.by,
      requestId: request.id,
      incidentId: incidentOf(failure, state) ?? before?.incidentId ?? null,
      assetId: failure.assetId,
      title: titleOf(failure),
      failure,
    }),
  ]
}

/** Whether keeping this record would change anything. */
export const wouldChange = (failure: FailureRecord, state: State): boolean => {
  const before = state.teaching.failures.get(failure.failureId)
  return before === undefined || !isSame(before.what, failure)
}

/** The incident of the same asset whose job the maintenance system filed under this work order. */
const incidentOf = ({ assetId, workOrder }: FailureRecord, state: State): string | undefined => {
  if (workOrder === null || workOrder === '') return undefined
  for (const step of state.steps.values()) {
    if (step.status !== 'executed' || step.note === '') continue
    const incident = state.incidents.get(step.incidentId)
    if (incident?.assetId === assetId && namesOrder(step.note, workOrder)) return incident.id
  }
  return undefined
}

/** The read-back of a job: its place, or its body, has the work order as one whole word. */
const namesOrder = (readback: string, workOrder: string): boolean => {
  const isWord = (character: string | undefined): boolean => character !== undefined && /[\p{L}\p{N}_-]/u.test(character)
  for (let at = readback.indexOf(workOrder); at >= 0; at = readback.indexOf(workOrder, at + 1))
    if (!isWord(readback[at - 1]) && !isWord(readback[at + workOrder.length])) return true
  return false
}

const problemOf = (failure: FailureRecord, nowUs: number): string | undefined => {
  const { kind, atUs, restoredUs, mode, note, component, workOrder, failureId } = failure
  if (!(FAILURE_KINDS as readonly string[]).includes(kind)) return `kind: expected failure or intervention, found ${kind}`
  if (kind === 'failure' && mode === null) return 'mode: expected a failure mode of ISO 14224; UNK when it is not known'
  if (atUs > nowUs + AHEAD_US) return 'at: expected a time that has come'
  if (restoredUs !== null && restoredUs < atUs) return 'restored: expected a time after that of the failure'
  if (note.length > MOST_TEXT) return `note: expected at most ${MOST_TEXT} characters`
  const long = tooLong({ component, workOrder, failureId }, MOST_NAME)
  return long === undefined ? undefined : `${long}: expected at most ${MOST_NAME} characters`
}

const titleOf = ({ kind, mode, assetId, withdrawn }: FailureRecord): string => {
  const what = kind === 'intervention' ? `Intervention at ${assetId}` : `Failure of ${assetId}`
  return `${what}${mode === null ? '' : ` (${mode})`}${withdrawn ? ' withdrawn' : ''}`
}
