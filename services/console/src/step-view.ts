// One step of an incident as the page shows it: what the log says, in the words of the command catalogue.

import { type Step } from '@andon/decisions'
import type { CommandDefinition } from '@andon/schemas'
import type { StepView } from './view.ts'
import { readbackWords } from './words.ts'

/** True when a person is asked now. */
export const isAsking = (step: Step): boolean => step.open === null && (step.status === 'awaiting-approval' || step.status === 'unsure')

const statusOf = (step: Step): StepView['status'] => {
  if (step.open) return 'executing'
  switch (step.status) {
    case 'unsure':
      return 'asks-again'
    case 'withdrawn':
    case 'superseded':
      return 'revoked'
    case 'refused-by-target':
      return 'refused'
    case 'not-executed':
      return 'not-done'
    default:
      return step.status
  }
}

const reviewMinutesOf = (params: string): number | null => {
  const { reviewMinutes } = JSON.parse(params === '' ? '{}' : params) as { reviewMinutes?: unknown }
  return typeof reviewMinutes === 'number' ? reviewMinutes : null
}

/** `command` is undefined when the catalogue no longer holds it: the name then stands for the title, and no effect is guessed. */
export const stepView = (step: Step, command: CommandDefinition | undefined, targetName: string): StepView => {
  const { proposal } = step
  const { hazardOfStop } = command ?? {}
  return {
    id: step.id,
    command: proposal.command.command,
    title: command?.title ?? proposal.command.command,
    target: proposal.command.target,
    targetName,
    params: proposal.command.params,
    effect: proposal.command.effect,
    riskClass: proposal.command.riskClass,
    commandHash: proposal.command.commandHash,
    latched: command?.latched ?? false,
    hazardOfStop: hazardOfStop === undefined || hazardOfStop.toLowerCase() === 'none' ? null : hazardOfStop,
    preconditions: command?.preconditions ?? [],
    readBack: command?.readBack ?? null,
    reviewMinutes: reviewMinutesOf(proposal.command.params),
    reviewUs: step.reviewUs,
    approvalsNeeded: proposal.approvalsNeeded,
    approvals: step.approvals.length,
    approvedBy: isAsking(step) ? [] : step.approvals.map(({ by }) => by),
    roles: proposal.roles,
    fourEyes: proposal.fourEyes,
    proposedBy: step.proposedBy,
    policy: proposal.policy,
    status: statusOf(step),
    proposedUs: step.proposedUs,
    endedUs: step.endedUs,
    expiresUs: proposal.expiresUs,
    escalateUs: proposal.escalateUs,
    escalated: step.escalated,
    simulated: proposal.simulated,
    note: step.note === '' ? null : readbackWords(step.note),
  }
}
