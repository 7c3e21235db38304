// Where a step stands, in the words of DESIGN.md §4: read off what the partition knows.

import { breakerOf } from './fold.ts'
import type { CommandRule, State, Step } from './types.ts'

export type Phase =
  | 'awaiting-approval'
  | 'approved'
  | 'breaker-open'
  | 'executing'
  | 'outcome-unknown'
  | 'asks-again'
  | 'executed-verified'
  | 'executed-unverified'
  | 'rejected-by-target'
  | 'not-executed'
  | 'rejected'
  | 'expired'
  | 'revoked'
  | 'withdrawn'
  | 'superseded'

/** A step that was settled by reading back is `isReconciled` beside its phase. */
export const phaseOf = (step: Step, state: State, commands: ReadonlyMap<string, Pick<CommandRule, 'executor'>>): Phase => {
  if (step.open) return step.open.isUnknown ? 'outcome-unknown' : 'executing'
  switch (step.status) {
    case 'approved': {
      const executor = commands.get(step.proposal.command.command)?.executor ?? ''
      return state.breakers.get(breakerOf(executor, step.line))?.state === 'open' ? 'breaker-open' : 'approved'
    }
    case 'executed':
      return step.isVerified ? 'executed-verified' : 'executed-unverified'
    case 'refused-by-target':
      return 'rejected-by-target'
    case 'unsure':
      return 'asks-again'
    default:
      return step.status
  }
}
