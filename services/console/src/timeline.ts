// One plain line per fact of an incident, for people.

import type { Incident, State } from '@andon/decisions'

type Entry = Incident['timeline'][number]

const words: Readonly<Record<string, (what: string, by: string) => string>> = {
  IncidentOpened: (_, by) => (by.startsWith('p-') ? `${by} called` : 'Incident opened'),
  IncidentUpdated: () => 'Finding changed',
  IncidentClosed: () => 'Incident closed',
  StepProposed: (what) => `Proposed: ${what}`,
  DecisionRecorded: (what, by) => `${by} decided on ${what}`,
  StepApproved: (what) => `Approved: ${what}`,
  StepRejected: (what, by) => `Rejected by ${by}: ${what}`,
  StepRevoked: (what, by) => `Withdrawn by ${by}: ${what}`,
  StepExpired: (what) => `Expired, nothing ran: ${what}`,
  Executing: (what) => `Sent: ${what}`,
  Executed: (what) => `Done and read back: ${what}`,
  RejectedByTarget: (what) => `The target refused: ${what}`,
  ExecutionAbandoned: (what) => `Not sent: ${what}`,
  NotExecuted: (what) => `Read back: not done, ${what}`,
  NotObserved: (what) => `Could not be seen at the target: ${what}`,
  EvidenceOrdered: () => 'Video evidence ordered',
  EvidenceAttached: () => 'Video evidence stored',
  Notified: (what) => `Told: ${what}`,
  TimerFired: (what) => `Deadline reached: ${what}`,
}

export const describe = (entry: Entry, state: State): string => {
  const step = entry.stepId === null ? undefined : state.steps.get(entry.stepId)
  const what = step?.proposal.command.command ?? entry.title ?? ''
  const word = words[entry.type]
  return word ? word(what, entry.by) : (entry.title ?? entry.type)
}
