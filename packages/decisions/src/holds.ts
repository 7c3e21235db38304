// HoldRequested, HoldLiftRequested → the andon of Andon itself. A hold works by its own position; only HoldLifted, by name, ends it.

import type { Actions } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import { DECIDING_ROLES } from './approvals.ts'
import type { DecideContext, Facts, HoldState, State } from './types.ts'

/** The owner says that it has seen the hold; execution was blocked before this. */
export const decideHold = (request: Actions, _state: State, context: DecideContext): Facts =>
  request.hold
    ? [fact('HoldActivated', request.line, context.atUs, [request.id], { by: request.by, requestId: request.id, hold: request.hold })]
    : [refused(request, context.atUs, 'ANDON_ACTIONS_MALFORMED', 'HoldRequested names no hold')]

/** Lifts exactly the holds it names. A carried lift was decided in the hold's home partition already and is obeyed even before its hold. */
export const decideLift = (request: Actions, state: State, context: DecideContext): Facts => {
  const { hold } = request
  if (!hold || hold.holdIds.length === 0)
    return [refused(request, context.atUs, 'ANDON_ACTIONS_MALFORMED', 'HoldLiftRequested names no hold')]
  const lifted = fact('HoldLifted', request.line, context.atUs, [request.id], { by: request.by, requestId: request.id, hold })
  if (isCarried(request)) return [lifted]
  if (!(request.roles ?? []).some((role) => DECIDING_ROLES.includes(role)))
    return [refused(request, context.atUs, 'ANDON_ACTIONS_ROLE', `Lifting a hold needs one of the roles ${DECIDING_ROLES.join(', ')}`)]
  const unknown = hold.holdIds.find((id) => !state.holds.has(id))
  if (unknown !== undefined) return [refused(request, context.atUs, 'ANDON_ACTIONS_UNKNOWN_HOLD', `No hold ${unknown} is known here`)]
  return [lifted]
}

const isCarried = (request: Actions): boolean => (JSON.parse(request.detail ?? '{}') as { carried?: boolean }).carried === true

/** What the home partition of mesh-wide holds still has to bring to another partition; repeats carry the same ids. */
export const carriedHolds = (home: State, elsewhere: State, line: string, atUs: number): Facts => {
  const requests: Facts = []
  for (const hold of home.holds.values()) {
    if (hold.scope !== '*') continue
    if (hold.isActive && !elsewhere.holds.has(hold.id)) requests.push(holdCopy(hold, line, atUs))
    if (!hold.isActive && !elsewhere.liftedHolds.has(hold.id)) requests.push(liftCopy(hold, line, atUs))
  }
  return requests
}

const holdCopy = (hold: HoldState, line: string, atUs: number): Actions => ({
  ...fact('HoldRequested', line, atUs, [hold.id], { by: hold.by, hold: { holdIds: [hold.id], scope: hold.scope, reason: hold.reason } }),
  // the press's own id, so that the door's copy and this one count once
  id: hold.id,
})

const liftCopy = (hold: HoldState, line: string, atUs: number): Actions =>
  fact('HoldLiftRequested', line, atUs, [hold.id, 'lift'], {
    by: hold.liftedBy ?? 'actions',
    hold: { holdIds: [hold.id], scope: hold.scope, reason: '' },
    detail: JSON.stringify({ carried: true }),
  })
