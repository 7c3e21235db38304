// A fact → what people who are looking now should see. JSON on NATS `andon.notify.<line>`.

import type { Actions } from '@andon/schemas'

export interface LiveNotice {
  readonly type: string
  readonly incidentId: string | null
  readonly stepId: string | null
  readonly title: string
  readonly severity: number | null
  readonly line: string
  readonly atUs: number
  /** Path in the console. */
  readonly path: string
  readonly [more: string]: unknown
}

/** What happened, where a record says it no better itself. */
const TITLES: Readonly<Record<string, string>> = {
  IncidentOpened: 'Incident opened',
  IncidentClosed: 'Incident closed',
  IncidentAcknowledged: 'Somebody has it',
  IncidentCommented: 'Somebody said something about it',
  StepProposed: 'A step is proposed',
  StepApproved: 'Approved',
  StepRejected: 'Rejected',
  StepRevoked: 'Revoked',
  StepExpired: 'Nobody decided in time',
  Executing: 'On its way to the target',
  Executed: 'Done and read back',
  RejectedByTarget: 'Refused by the target',
  ExecutionAbandoned: 'Not sent',
  NotExecuted: 'Not done',
  NotObserved: 'No effect is visible: somebody has to look',
  EvidenceOrdered: 'Video ordered',
  EvidenceAttached: 'Video stored',
  TimerFired: 'A deadline came',
  HoldActivated: 'Hold: nothing is executed',
  HoldLifted: 'Hold lifted',
  BreakerChanged: 'A target keeps failing or has recovered',
}

/** undefined: nobody needs to see this at once; historical findings page nobody. */
export const liveNotice = (record: Actions): LiveNotice | undefined => {
  const fallback = TITLES[record.type]
  if (fallback === undefined || record.finding?.historical) return undefined
  return {
    type: record.type,
    incidentId: record.incidentId,
    stepId: record.stepId,
    title: record.title ?? fallback,
    severity: record.finding?.severity ?? null,
    line: record.line,
    atUs: record.atUs,
    path: record.incidentId === null ? '/' : `/incidents/${record.incidentId}`,
  }
}
