// The words of the decision kernel: what one partition of `actions` knows, and the data a decision needs from outside.
// Nothing here does I/O or reads a clock; time enters as stamps on records.

import type { Actions, BreakerState, Evidence, Finding, Proposal, Seal } from '@andon/schemas'
import type { CommandDefinition } from '@andon/schemas/documents/commands'
import type { LineAlarms } from './alarms/state.ts'
import type { TeachingPlant, TeachingState } from './teaching.ts'

/** A record of `actions` where the log put it. */
export interface Entry {
  readonly record: Actions
  readonly offset: number
  /** Broker append time, microseconds UTC (the topic is LogAppendTime). */
  readonly appendedUs: number
  /** Written by a replay run: counts in that run alone. */
  readonly isReplayed?: boolean
}

/** What folding one record did: `void` facts are not the owner's or badly stamped, `dead` ones came too late to change anything. */
export type Verdict = 'counted' | 'repeat' | 'void-owner' | 'void-stamp' | 'void-replay' | 'dead'

export type StepStatus =
  | 'awaiting-approval'
  | 'approved'
  /** An unrepeatable command left no trace at the target: a person has to look and decide anew. */
  | 'unsure'
  | 'executed'
  | 'rejected'
  | 'revoked'
  /** Taken back by whoever proposed it. */
  | 'withdrawn'
  /** Another step took its place: somebody changed the command. */
  | 'superseded'
  | 'expired'
  | 'refused-by-target'
  | 'not-executed'

/** An intent on the log whose outcome is not known yet. */
export interface OpenIntent {
  readonly attempt: number
  readonly offset: number
  readonly commandRequestId: string
  readonly notAfterUs: number
  readonly epoch: number
  readonly owner: string
  /** The owner that sent it got no answer: only reading back can tell. */
  isUnknown: boolean
}

/** Somebody lent the right to decide on one step to somebody else. */
export interface Delegation {
  readonly from: string
  readonly to: string
  readonly roles: readonly string[]
  readonly untilUs: number
}

export interface Step {
  readonly id: string
  readonly incidentId: string
  readonly line: string
  readonly name: string
  readonly proposal: Proposal
  /** Who caused the proposal: a principal, or `actions` for a policy. Four eyes exclude this one. */
  readonly proposedBy: string
  readonly proposedUs: number
  status: StepStatus
  /** Distinct people who approved in this round. */
  approvals: {
    readonly by: string
    readonly reason: string
    readonly atUs: number
    /** Null where the log does not say them. */
    readonly roles: readonly string[] | null
    readonly strength: string | null
  }[]
  delegations: Delegation[]
  /** Who took their own word back, once for each time. */
  takenBack: string[]
  /** Rises when a new human decision is needed after NotObserved. */
  round: number
  /** Somebody asked to revoke: blocks by the request's own position, before it is decided. */
  revokeAsked: boolean
  isRevoked: boolean
  open: OpenIntent | null
  attempts: number
  /** No new attempt before this stamp. */
  retryAtUs: number
  escalated: boolean
  /** Rungs of the ladder told so far. */
  rungs: number
  /** The effect was read back; null before it is executed. */
  isVerified: boolean | null
  /** Its outcome was unknown and was settled by reading back. */
  isReconciled: boolean
  /** When a latched effect is to be looked at again; null once it was. */
  reviewUs: number | null
  endedUs: number | null
  /** What is known of the last attempt: reason or read-back. */
  note: string
}

export interface Incident {
  readonly id: string
  readonly line: string
  readonly assetId: string | null
  readonly kind: 'finding' | 'call'
  readonly openedBy: string
  readonly openedUs: number
  /** Latest finding of the episode. */
  finding: Finding | null
  title: string
  severity: number
  isHistorical: boolean
  episodeClosed: boolean
  closedUs: number | null
  /** Who attends to it: the first to acknowledge it or to speak on one of its steps. Until then its notices escalate. */
  acknowledged: { readonly by: string; readonly atUs: number } | null
  /** Nobody is told and nothing is proposed until then. */
  shelvedUntilUs: number | null
  /** Evidence orders whose verification failed, or is said to have failed and not yet decided. */
  badEvidence: { readonly orderId: string; readonly isProved: boolean }[]
  /** Policy that planned, its runbook and what a person should know about the plan. */
  policy: string | null
  runbook: string | null
  notes: string[]
  stepIds: string[]
  evidence: Evidence[]
  /** What its finding was made of; absent until that is stored. */
  seal?: Seal
  timeline: {
    readonly offset: number
    readonly type: string
    readonly atUs: number
    readonly by: string
    readonly stepId: string | null
    readonly title: string | null
  }[]
}

export interface HoldState {
  readonly id: string
  readonly scope: string
  readonly reason: string
  readonly by: string
  readonly atUs: number
  readonly offset: number
  isActive: boolean
  liftedBy: string | null
}

/** A request that waits for its owner's decision. */
export interface PendingRequest {
  readonly record: Actions
  readonly offset: number
}

/** The first fact that answered a request. */
export interface Answer {
  readonly type: string
  readonly offset: number
  readonly code: string | null
  readonly message: string | null
  readonly incidentId: string | null
  readonly stepId: string | null
}

/** A document accepted for publication on `config`. */
export interface AcceptedDocument {
  readonly name: string
  readonly kind: string
  readonly body: string
  readonly digest: string
  readonly by: string
  readonly atUs: number
}

/** Everything a partition knows; a function of the records up to `nextOffset` and of nothing else. */
export interface State {
  epoch: number
  owner: string | null
  /** Highest epoch seen, void ones included: a taker goes above it. */
  highestEpoch: number
  /** Highest stamp of a valid fact. */
  stampUs: number
  nextOffset: number
  readonly pending: Map<string, PendingRequest>
  /** Ids of all remembered requests; null while undecided. */
  readonly answers: Map<string, Answer | null>
  readonly holds: Map<string, HoldState>
  /** Lifted for good, whether or not the hold has been seen. */
  readonly liftedHolds: Map<string, string>
  readonly incidents: Map<string, Incident>
  readonly openIncidents: Set<string>
  readonly steps: Map<string, Step>
  readonly documents: Map<string, AcceptedDocument>
  /** By executor and line. */
  readonly breakers: Map<string, BreakerState>
  /** The state of a replay run: nothing executes on it. */
  isReplayed: boolean
  /** What people said of fault modes, failures and episodes. */
  readonly teaching: TeachingState
  /** By line. */
  readonly alarms: Map<string, LineAlarms>
}

/** What the kernel needs to know about a command of the catalogue. */
export type CommandRule = Pick<
  CommandDefinition,
  'name' | 'title' | 'executor' | 'target' | 'effect' | 'class' | 'riskClass' | 'params' | 'simulated'
>

export interface PlanStep {
  readonly step: string
  readonly command: string
  readonly params?: Readonly<Record<string, unknown>> | undefined
  readonly approvals: number
  readonly roles?: readonly string[] | undefined
  readonly fourEyes?: boolean | undefined
  readonly expireMinutes?: number | undefined
  readonly escalateMinutes?: number | undefined
  /** Roles that have to be among the approvals. */
  readonly quorum?: readonly { readonly role: string; readonly people: number }[] | undefined
  readonly stepUp?: boolean | undefined
  /** Who is told after how long, beside the first escalation. */
  readonly ladder?: readonly { readonly afterMinutes: number; readonly tell: string }[] | undefined
}

/** The policy that matched a finding, already evaluated. */
export interface Plan {
  readonly policy: string
  readonly policyDigest: string
  readonly lineId: string
  readonly steps: readonly PlanStep[]
  readonly evidence: { readonly cameraIds: readonly string[]; readonly beforeS: number; readonly afterS: number } | null
  /** Doubts of the gate itself, beside those of the finding. */
  readonly doubts: readonly string[]
  readonly budgetPerHour: number | null
  /** Planned incidents of one asset per hour; no limit where it is left out. */
  readonly assetBudgetPerHour?: number | null | undefined
  /** Owner of the model that found it: cannot approve. */
  readonly modelOwner?: string | null | undefined
  readonly runbook: string | null
  /** What the gate decided on and why, kept with the incident. */
  readonly gate?: unknown
}

export interface DecideContext {
  /** The owner's stamp for these facts. */
  readonly atUs: number
  readonly commands: ReadonlyMap<string, CommandRule>
  /** Steps for a finding or a call; null when no policy is known. */
  readonly plan: Plan | null
  /** Assets and classes of the plant; without it they are not checked. Only asked for what people teach. */
  readonly plant?: TeachingPlant | undefined
  /** What an asset is part of, where the plant says it: an alarm of the whole speaks for its parts. */
  readonly parentOf?: ((assetId: string) => string | undefined) | undefined
  /** Why a document may not be published; null when it may. Only asked for ConfigApplyRequested. */
  readonly documentProblem?:
    | ((document: { readonly name: string; readonly kind: string; readonly body: string }) => string | null)
    | undefined
}

/** Facts of one decision: appended as one record batch, stamped by the context, signed by the owner. */
export type Facts = Actions[]
