// request, state → facts. The whole kernel: no clock, no network, no randomness; every request gets exactly one answer.

import { sha256Hex } from '@andon/kit/ids'
import type { Actions } from '@andon/schemas'
import { decideSuppression } from './alarms/discipline.ts'
import { acknowledge, comment } from './attention.ts'
import { abstain, approve, delegate, reject, revoke, withdraw } from './approvals.ts'
import { decideEvidenceCheck, decideEvidenceRequest, decideEvidenceResult } from './evidence.ts'
import { fact, refused } from './facts.ts'
import { decideFailure } from './failures.ts'
import { decideModeName } from './fault-modes.ts'
import { decideHold, decideLift } from './holds.ts'
import { decideCall, decideFinding } from './incidents.ts'
import { modify } from './modify.ts'
import { propose } from './proposals.ts'
import { decideSeal } from './seals.ts'
import { shelve, unshelve } from './shelving.ts'
import type { DecideContext, Facts, State } from './types.ts'
import { decideVerdict } from './verdicts.ts'

type Rule = (request: Actions, state: State, context: DecideContext) => Facts

/** A document is accepted when nothing speaks against it; the partition's owner then publishes it on `config`. */
const decideDocument: Rule = (request, _state, context) => {
  const document = JSON.parse(request.detail ?? 'null') as { name: string; kind: string; body: string } | null
  if (!document) return [refused(request, context.atUs, 'ANDON_ACTIONS_MALFORMED', 'ConfigApplyRequested carries no document')]
  const problem = context.documentProblem?.(document) ?? null
  if (problem !== null) return [refused(request, context.atUs, 'ANDON_ACTIONS_BAD_DOCUMENT', problem)]
  const detail = JSON.stringify({ ...document, digest: sha256Hex(document.body) })
  return [
    fact('ConfigApplied', request.line, context.atUs, [request.id], {
      by: request.by,
      requestId: request.id,
      title: document.name,
      detail,
    }),
  ]
}

const RULES: Readonly<Record<string, Rule>> = {
  FindingCopied: decideFinding,
  CallRequested: decideCall,
  ApproveRequested: approve,
  RejectRequested: reject,
  RevokeRequested: revoke,
  WithdrawRequested: withdraw,
  AbstainRequested: abstain,
  DelegateRequested: delegate,
  ModifyRequested: modify,
  ShelveRequested: shelve,
  UnshelveRequested: unshelve,
  AcknowledgeRequested: acknowledge,
  CommentRequested: comment,
  ProposeRequested: propose,
  EvidenceChecked: decideEvidenceCheck,
  HoldRequested: decideHold,
  HoldLiftRequested: decideLift,
  EvidenceRequested: decideEvidenceRequest,
  EvidenceStored: decideEvidenceResult,
  EvidenceFailed: decideEvidenceResult,
  ConfigApplyRequested: decideDocument,
  AlarmSuppressRequested: decideSuppression,
  AlarmRestoreRequested: decideSuppression,
  FaultModeNameRequested: decideModeName,
  FailureRecordRequested: decideFailure,
  VerdictRequested: decideVerdict,
  SealRequested: decideSeal,
}

/** The facts that answer a request. A request that cannot be decided is refused, and the log goes on. */
export const decide = (request: Actions, state: State, context: DecideContext): Facts => {
  const rule = RULES[request.type]
  if (!rule) return [refused(request, context.atUs, 'ANDON_ACTIONS_UNKNOWN_REQUEST', `Nothing decides ${request.type}`)]
  try {
    return rule(request, state, context)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return [refused(request, context.atUs, 'ANDON_ACTIONS_UNDECIDABLE', `${request.type} could not be decided: ${why}`)]
  }
}
