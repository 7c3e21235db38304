// One plain line per fact of an incident, for people.

import type { Incident, State } from '@andon/decisions'
import { noticeWords } from './words.ts'

type Entry = Incident['timeline'][number]

/** A person, rather than the service or a policy. */
const isPerson = (by: string): boolean => by !== 'actions' && !by.startsWith('policies/')

const words: Readonly<Record<string, (what: string, by: string, note: string) => string>> = {
  IncidentOpened: (_, by) => (isPerson(by) ? `${by} called` : 'Incident opened'),
  IncidentUpdated: (_what, _by, note) => (note === '' ? 'Finding changed' : `Finding changed: ${note}`),
  IncidentClosed: () => 'Incident closed',
  StepProposed: (what) => `Proposed: ${what}`,
  DecisionRecorded: (what, by) => `${by} decided on: ${what}`,
  StepApproved: (what, by) => (isPerson(by) ? `Approved by ${by}: ${what}` : `Needs no approval: ${what}`),
  StepRejected: (what, by) => `Rejected by ${by}: ${what}`,
  StepRevoked: (what, by) => `Withdrawn by ${by}: ${what}`,
  StepExpired: (what) => `Expired, nothing ran: ${what}`,
  StepCompleted: (what) => `Completed: ${what}`,
  RequestRefused: (what, _by, note) => `Refused${what === '' ? '' : ` for ${what}`}: ${note}`,
  Executing: (what) => `Sent: ${what}`,
  Executed: (what) => `Done and read back: ${what}`,
  RejectedByTarget: (what) => `The target refused: ${what}`,
  ExecutionAbandoned: (what, _by, note) => `Not sent: ${what}${note === '' ? '' : `. ${note}`}`,
  NotExecuted: (what) => `Read back as not done: ${what}`,
  NotObserved: (what) => `No trace at the target, asks again: ${what}`,
  EvidenceOrdered: () => 'Video evidence ordered',
  EvidenceAttached: () => 'Video evidence stored',
  Notified: (what, _by, note) => `Told: ${note === '' ? what : noticeWords(note)}`,
  TimerFired: (what, _by, note) => note || `Deadline reached: ${what}`,
}

/** `titleOf` gives a command's title from the catalogue. */
export const describe = (entry: Entry, state: State, titleOf: (command: string) => string): string => {
  const step = entry.stepId === null ? undefined : state.steps.get(entry.stepId)
  const what = step ? titleOf(step.proposal.command.command) : ''
  const word = words[entry.type]
  return word ? word(what, entry.by, entry.title ?? '') : (entry.title ?? entry.type)
}
