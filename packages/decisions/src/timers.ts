// Deadlines → facts. Due ones are written before any other decision, so that log order decides who was late.

import type { Actions, Rung } from '@andon/schemas'
import { digestFacts, floodBegan, mayTell, restoreFacts } from './alarms/discipline.ts'
import { earliestIncident } from './deadlines.ts'
import { fact } from './facts.ts'
import { hasEnded } from './fold-steps.ts'
import { CALL_REVIEW_US, closedFact, isSettled } from './incidents.ts'
import { proposeNotice } from './planning.ts'
import type { DecideContext, Facts, Incident, State, Step } from './types.ts'

interface Deadline {
  readonly dueUs: number
  readonly facts: (context: DecideContext) => Facts
}

/** Facts of the earliest deadline that has come, as one decision; empty when none has. */
export const dueFacts = (state: State, context: DecideContext): Facts => {
  const next = earliest(state)
  return next && next.dueUs <= context.atUs ? next.facts(context) : []
}

/** When the next deadline comes, µs UTC; undefined when none is set. */
export const nextDueUs = (state: State): number | undefined => earliest(state)?.dueUs

const earliest = (state: State): Deadline | undefined => {
  const incident = earliestIncident(state, (one) => firstOf(deadlinesOf(state, one))?.dueUs)
  let first = incident && firstOf(deadlinesOf(state, incident))
  for (const deadline of alarmDeadlines(state)) if (!first || deadline.dueUs < first.dueUs) first = deadline
  return first
}

const firstOf = (deadlines: readonly Deadline[]): Deadline | undefined => {
  let first: Deadline | undefined
  for (const deadline of deadlines) if (!first || deadline.dueUs < first.dueUs) first = deadline
  return first
}

function* alarmDeadlines(state: State): Generator<Deadline> {
  for (const [line, alarms] of state.alarms) {
    if (alarms.flood) yield { dueUs: alarms.flood.periodEndsUs, facts: (context) => digestFacts(line, alarms, context) }
    for (const one of alarms.suppressions.values()) yield { dueUs: one.untilUs, facts: (context) => restoreFacts(one, context) }
  }
}

const deadlinesOf = (state: State, incident: Incident): Deadline[] => {
  const steps = incident.stepIds.map((id) => state.steps.get(id)).filter((step) => step !== undefined)
  const deadlines = steps.flatMap((step) => stepDeadlines(state, incident, step))
  const { shelvedUntilUs } = incident
  if (shelvedUntilUs !== null) deadlines.push({ dueUs: shelvedUntilUs, facts: (context) => unshelve(incident, shelvedUntilUs, context) })
  const isOver = steps.every(isSettled)
  if (incident.kind === 'finding' && incident.episodeClosed && isOver)
    deadlines.push({ dueUs: 0, facts: ({ atUs }) => [closedFact(incident, atUs, null)] })
  if (incident.kind === 'call' && isOver)
    deadlines.push({ dueUs: incident.openedUs + CALL_REVIEW_US, facts: ({ atUs }) => [closedFact(incident, atUs, null)] })
  return deadlines
}

const stepDeadlines = (state: State, incident: Incident, step: Step): Deadline[] => {
  const { expiresUs, escalateUs } = step.proposal
  const deadlines: Deadline[] = []
  if (!hasEnded(step) && step.open === null) deadlines.push({ dueUs: expiresUs, facts: (context) => expire(step, context) })
  const isAsking = step.status === 'awaiting-approval' || step.status === 'unsure'
  const isWaiting = (isAsking || isUnheard(incident, step)) && incident.shelvedUntilUs === null
  const rung = step.proposal.ladder[step.rungs]
  if (isWaiting && rung && rung.atUs < expiresUs)
    deadlines.push({ dueUs: rung.atUs, facts: (context) => climb(state, incident, step, rung, context) })
  if (isWaiting && escalateUs !== null && escalateUs < expiresUs && !step.escalated)
    deadlines.push({ dueUs: escalateUs, facts: (context) => escalate(state, incident, step, context) })
  const { reviewUs } = step
  if (reviewUs !== null) deadlines.push({ dueUs: reviewUs, facts: (context) => review(state, incident, step, reviewUs, context) })
  return deadlines
}

/** People were told, and nobody has said that they have it. */
const isUnheard = (incident: Incident, step: Step): boolean =>
  incident.acknowledged === null && step.proposal.command.effect === 'notify' && (step.status === 'approved' || step.status === 'executed')

/** What the escalation says is missing. */
const missing = (step: Step): string =>
  step.proposal.command.effect === 'notify' ? 'Nobody has acknowledged yet' : 'Nobody has decided yet'

const about = (step: Step) => ({ incidentId: step.incidentId, stepId: step.id })

const fired = (step: Step, name: string, dueUs: number, atUs: number, title: string): Actions =>
  fact('TimerFired', step.line, atUs, [step.id, name, step.round], { ...about(step), title, timer: { name, dueUs } })

const expire = (step: Step, { atUs }: DecideContext): Facts => [
  fired(step, 'expire', step.proposal.expiresUs, atUs, 'Nobody decided in time: nothing runs'),
  fact('StepExpired', step.line, atUs, [step.id], { ...about(step), title: 'Expired' }),
]

/** Tells people again, and that it does; in a flood of alarms the digest counts it instead. What waits goes on waiting. */
const tellAgain = (
  state: State,
  incident: Incident,
  step: Step,
  timer: Actions,
  name: string,
  context: DecideContext,
  to?: string,
): Facts => {
  const { id: incidentId, line, assetId, severity } = incident
  const isHeard = incident.kind === 'call' || mayTell(state, line, severity, context.atUs)
  if (!isHeard) {
    const told = { ...timer, detail: JSON.stringify({ alarm: { state: 'flood' } }) }
    return [told, ...floodBegan(state, line, null, assetId, { deadlines: 1 }, context)]
  }
  const subject = { incidentId, line, assetId, requestId: null, proposedBy: 'actions', finding: null, severity }
  const notice = { name: `${name}-${step.name}`, to }
  return [timer, ...proposeNotice(subject, notice, step.proposal.policy, step.proposal.policyDigest, context)]
}

const escalate = (state: State, incident: Incident, step: Step, context: DecideContext): Facts => {
  const timer = fired(step, 'escalate', step.proposal.escalateUs ?? 0, context.atUs, missing(step))
  return tellAgain(state, incident, step, timer, 'escalate', context)
}

/** The next rung of the ladder: its role or schedule is told. */
const climb = (state: State, incident: Incident, step: Step, rung: Rung, context: DecideContext): Facts => {
  const name = `escalate-${step.rungs + 2}`
  const timer = fired(step, name, rung.atUs, context.atUs, `${missing(step)}: ${rung.tell} is told`)
  return tellAgain(state, incident, step, timer, name, context, rung.tell)
}

const unshelve = (incident: Incident, dueUs: number, { atUs }: DecideContext): Facts => [
  fact('TimerFired', incident.line, atUs, [incident.id, 'unshelve', dueUs], {
    incidentId: incident.id,
    title: 'The time on the shelf is over',
    timer: { name: 'unshelve', dueUs },
  }),
  fact('IncidentUnshelved', incident.line, atUs, [incident.id, dueUs], { incidentId: incident.id, title: 'Back from the shelf' }),
]

/** A latched effect stays; only people end it. */
const review = (state: State, incident: Incident, step: Step, dueUs: number, context: DecideContext): Facts => {
  const timer = fired(step, 'review', dueUs, context.atUs, 'The line is still paused: somebody has to look')
  return tellAgain(state, incident, step, timer, 'review', context)
}
