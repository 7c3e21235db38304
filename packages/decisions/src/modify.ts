// ModifyRequested → another command in the place of one: the old step is superseded, and people decide anew on what it says now.

import { canonicalJson } from '@andon/kit/ids'
import { checkParams } from '@andon/schemas/documents/commands'
import type { Proposal } from '@andon/schemas'
import { decideOn } from './approvals.ts'
import { commandHash, fact, refused, stepIdOf } from './facts.ts'
import { hasEnded } from './fold-steps.ts'

/** Whoever changes a command cannot approve it; its expiry stays. */
export const modify = decideOn((request, step, decision, context) => {
  const no = (code: string, message: string) => [refused(request, context.atUs, code, message)]
  if (hasEnded(step) || step.open !== null) return no('ANDON_ACTIONS_NOT_PENDING', `Step is ${step.open ? 'under way' : step.status}`)
  const { proposal } = step
  const command = context.commands.get(proposal.command.command)
  if (!command) return no('ANDON_ACTIONS_MALFORMED', `Command ${proposal.command.command} is not in the catalogue`)
  const given = JSON.parse(decision.params ?? '{}') as Record<string, unknown>
  const checked = checkParams(command, given)
  if ('param' in checked)
    return no('ANDON_ACTIONS_MALFORMED', `Parameter ${checked.param} is ${String(given[checked.param])}, expected ${checked.expected}`)
  const params = canonicalJson(checked.params)
  if (params === proposal.command.params) return no('ANDON_ACTIONS_MALFORMED', 'The command is the one that is proposed already')
  const stepId = stepIdOf(step.incidentId, `${step.id} ${request.id}`)
  const { target } = proposal.command
  const changed: Proposal = {
    ...proposal,
    command: {
      ...proposal.command,
      params,
      commandHash: commandHash(command.name, target, params, proposal.policyDigest, stepId),
    },
    approvalsNeeded: Math.max(1, proposal.approvalsNeeded),
    fourEyes: true,
    exclude: [...new Set([...proposal.exclude, request.by])],
  }
  const common = { by: request.by, requestId: request.id, incidentId: step.incidentId }
  const said = { ...decision, verdict: 'modify' }
  return [
    fact('StepSuperseded', request.line, context.atUs, [step.id], { ...common, stepId: step.id, title: 'Changed', decision: said }),
    fact('StepProposed', request.line, context.atUs, [stepId], { ...common, stepId, title: step.name, proposal: changed }),
  ]
})
