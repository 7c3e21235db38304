// Generated from schemas/avro by `npm run generate`. Change the schema, not this file.
// long and timestamp-micros are numbers (exact below 2^53), bytes are Buffers that may be views into a fetch buffer.

/** How much one feature contributes to a finding. */
export interface Contribution {
  /** Feature name, channel.statistic. */
  readonly name: string
  /** Channel. */
  readonly channel: string
  /** Share of the score, 0 to 1. */
  readonly share: number
  /** Value in the window. */
  readonly value: number
  /** Unit of the value. */
  readonly unit: string
  /** Low end of the learnt range. */
  readonly normalLow: number | null
  /** High end of the learnt range. */
  readonly normalHigh: number | null
}

/** What a writer of Contribution gives; a field left out takes its Avro default. */
export interface ContributionInput {
  readonly name: string
  readonly channel: string
  readonly share: number
  readonly value: number
  readonly unit?: string | undefined
  readonly normalLow?: number | null | undefined
  readonly normalHigh?: number | null | undefined
}

/** One model or detector that was heard. */
export interface FindingSource {
  /** Model or detector name. */
  readonly name: string
  /** model or detector. */
  readonly kind: string
  /** Digest of its artefact. */
  readonly digest: string
  /** What it says: 1 is the line. */
  readonly ratio: number
}

/** What a writer of FindingSource gives; a field left out takes its Avro default. */
export interface FindingSourceInput {
  readonly name: string
  readonly kind: string
  readonly digest: string
  readonly ratio: number
}

/** An earlier episode that looked alike. */
export interface NearestEpisode {
  /** Episode. */
  readonly episodeId: string
  /** Its asset. */
  readonly assetId: string
  /** Its fault mode. */
  readonly faultModeId: string | null
  /** Distance of their patterns, in standard deviations of normal per root of dimension. */
  readonly distance: number
  /** Event time at which it opened. */
  readonly openedUs: number
  /** Event time at which it closed, microseconds UTC. */
  readonly closedUs: number | null
  /** What a person said of it. */
  readonly verdict: string | null
}

/** What a writer of NearestEpisode gives; a field left out takes its Avro default. */
export interface NearestEpisodeInput {
  readonly episodeId: string
  readonly assetId: string
  readonly faultModeId?: string | null | undefined
  readonly distance: number
  readonly openedUs: number
  readonly closedUs?: number | null | undefined
  readonly verdict?: string | null | undefined
}

/** What followed earlier episodes of the fault mode. */
export interface Precedent {
  /** Earlier episodes that count. */
  readonly episodes: number
  /** Those that a failure followed within the horizon. */
  readonly failures: number
  /** Horizon, microseconds. */
  readonly horizonUs: number
  /** Lower bound of the chance of a failure within the horizon. */
  readonly probabilityLow: number
  /** Its posterior mean. */
  readonly probability: number
  /** Upper bound. */
  readonly probabilityHigh: number
  /** Lower bound of the chance against the asset class's base rate. */
  readonly liftLow: number
  /** Lower quartile of the time from opening to failure, microseconds. */
  readonly leadTimeLowUs: number | null
  /** Median of it. */
  readonly leadTimeUs: number | null
  /** Failures it rests on. */
  readonly failureIds: readonly string[]
}

/** What a writer of Precedent gives; a field left out takes its Avro default. */
export interface PrecedentInput {
  readonly episodes: number
  readonly failures: number
  readonly horizonUs: number
  readonly probabilityLow: number
  readonly probability: number
  readonly probabilityHigh: number
  readonly liftLow: number
  readonly leadTimeLowUs?: number | null | undefined
  readonly leadTimeUs?: number | null | undefined
  readonly failureIds?: readonly string[] | undefined
}

/** A judgement about one asset over an episode. */
export interface Finding {
  /** UUIDv8 over (asset, detector set, opening vector, transition). */
  readonly findingId: string
  /** UUIDv8 over (asset, detector set, opening vector). */
  readonly episodeId: string
  /** Asset. */
  readonly assetId: string
  /** opened, updated, closed, corrected. */
  readonly transition: string
  /** 1 (highest) to 4. */
  readonly severity: number
  /** Combined evidence: 1 is the line. */
  readonly ratio: number
  /** Largest ratio in the episode so far. */
  readonly peakRatio: number
  /** Event time at which the episode opened. */
  readonly openedUs: number
  /** Event time of the window that caused this finding. */
  readonly atUs: number
  /** Vector that opened the episode. */
  readonly openingVectorId: string
  /** Vector that caused this finding. */
  readonly vectorId: string
  /** Prediction that caused this finding. */
  readonly predictionId: string
  /** Model with the largest ratio; empty when no model judged. */
  readonly model: string
  /** Its version. */
  readonly modelVersion: number
  /** Its digest. */
  readonly modelDigest: string
  /** Its role. */
  readonly modelRole: string
  /** Detector set digest: configuration of combination and hysteresis. */
  readonly detectorSet: string
  /** Largest first. */
  readonly contributions: readonly Contribution[]
  /** Micro-cluster the window was assigned to. */
  readonly clusterId: string | null
  /** True when no known cluster was near. */
  readonly clusterIsNovel: boolean
  /** Name of the cluster, if a person gave one. */
  readonly faultMode: string | null
  /** Why a human must look: missing-features, uncertain-samples, out-of-domain, non-champion, stale-calibration, gate-error. */
  readonly doubts: readonly string[]
  /** Pages nobody and proposes nothing. */
  readonly historical: boolean
  /** Replayed recordings: recorded time of the window, microseconds UTC. */
  readonly recordedUs: number | null
  /** One plain sentence: what, where, how much. */
  readonly title: string
  /** What is judged: machine; sensor (its signal is at fault); telemetry (none comes). Only a finding about the machine may propose to move or stop it. */
  readonly about: string
  /** Stable id of the fault mode of the asset's class. */
  readonly faultModeId: string | null
  /** Share of held-out normal windows at least as far out, where calibrated. */
  readonly pValue: number | null
  /** Operating regime of the window. */
  readonly regime: string | null
  /** Who was heard, largest ratio first. */
  readonly sources: readonly FindingSource[]
  /** Nearest past episodes, nearest first. */
  readonly nearest: readonly NearestEpisode[]
  /** Present where the fault mode preceded failures. */
  readonly precedent: Precedent | null
}

/** What a writer of Finding gives; a field left out takes its Avro default. */
export interface FindingInput {
  readonly findingId: string
  readonly episodeId: string
  readonly assetId: string
  readonly transition: string
  readonly severity: number
  readonly ratio: number
  readonly peakRatio: number
  readonly openedUs: number
  readonly atUs: number
  readonly openingVectorId: string
  readonly vectorId: string
  readonly predictionId: string
  readonly model: string
  readonly modelVersion: number
  readonly modelDigest: string
  readonly modelRole: string
  readonly detectorSet: string
  readonly contributions: readonly ContributionInput[]
  readonly clusterId?: string | null | undefined
  readonly clusterIsNovel?: boolean | undefined
  readonly faultMode?: string | null | undefined
  readonly doubts?: readonly string[] | undefined
  readonly historical?: boolean | undefined
  readonly recordedUs?: number | null | undefined
  readonly title: string
  readonly about?: string | undefined
  readonly faultModeId?: string | null | undefined
  readonly pValue?: number | null | undefined
  readonly regime?: string | null | undefined
  readonly sources?: readonly FindingSourceInput[] | undefined
  readonly nearest?: readonly NearestEpisodeInput[] | undefined
  readonly precedent?: PrecedentInput | null | undefined
}

/** What exactly would be done; the command hash covers all of it. */
export interface Command {
  /** Name in the command catalogue, e.g. line.pause. */
  readonly command: string
  /** Line or asset acted on. */
  readonly target: string
  /** Typed parameters as canonical JSON (RFC 8785 key order). */
  readonly params: string
  /** none, notify, record, motion or energy; motion and energy need a human whatever a policy says. */
  readonly effect: string
  /** low, medium or high. */
  readonly riskClass: string
  /** SHA-256 (hex) over command, target, params, policy digest and step id. */
  readonly commandHash: string
}

/** What a writer of Command gives; a field left out takes its Avro default. */
export interface CommandInput {
  readonly command: string
  readonly target: string
  readonly params: string
  readonly effect: string
  readonly riskClass: string
  readonly commandHash: string
}

/** So many distinct people with one role. */
export interface QuorumRole {
  /** Role. */
  readonly role: string
  /** Distinct people needed. */
  readonly people: number
}

/** What a writer of QuorumRole gives; a field left out takes its Avro default. */
export interface QuorumRoleInput {
  readonly role: string
  readonly people: number
}

/** Who is told when nobody has decided. */
export interface Rung {
  /** When. */
  readonly atUs: number
  /** Role, or schedule on call. */
  readonly tell: string
}

/** What a writer of Rung gives; a field left out takes its Avro default. */
export interface RungInput {
  readonly atUs: number
  readonly tell: string
}

/** A step an incident's plan proposes. */
export interface Proposal {
  /** What would be done. */
  readonly command: Command
  /** Distinct humans needed; 0 = runs without. */
  readonly approvalsNeeded: number
  /** Roles that may decide; empty = any principal with role operator or above. */
  readonly roles: readonly string[]
  /** The proposer cannot approve; two distinct persons where approvalsNeeded is 2. */
  readonly fourEyes: boolean
  /** Undecided at this time: nothing runs. */
  readonly expiresUs: number
  /** When the next person is told. */
  readonly escalateUs: number | null
  /** Policy document name. */
  readonly policy: string
  /** SHA-256 (hex) of the policy. */
  readonly policyDigest: string
  /** Target is a simulator. */
  readonly simulated: boolean
  /** People who cannot approve: the owner of the model that found it, whoever changed the command. */
  readonly exclude: readonly string[]
  /** Roles that have to be among the approvals; one person stands for one role. */
  readonly quorum: readonly QuorumRole[]
  /** Approving needs a strong sign-in of its own. */
  readonly stepUp: boolean
  /** Escalations after the first, in order. */
  readonly ladder: readonly Rung[]
}

/** What a writer of Proposal gives; a field left out takes its Avro default. */
export interface ProposalInput {
  readonly command: CommandInput
  readonly approvalsNeeded: number
  readonly roles?: readonly string[] | undefined
  readonly fourEyes?: boolean | undefined
  readonly expiresUs: number
  readonly escalateUs?: number | null | undefined
  readonly policy: string
  readonly policyDigest: string
  readonly simulated?: boolean | undefined
  readonly exclude?: readonly string[] | undefined
  readonly quorum?: readonly QuorumRoleInput[] | undefined
  readonly stepUp?: boolean | undefined
  readonly ladder?: readonly RungInput[] | undefined
}

/** One person's word on one step. */
export interface Decision {
  /** approve, reject, revoke, withdraw, abstain, delegate, modify or shelve. */
  readonly verdict: string
  /** Reason given. */
  readonly reason: string
  /** Hash of the command the person saw. */
  readonly commandHash: string
  /** How the person signed in for this word: strong, or nothing said. */
  readonly strength: string | null
  /** Delegations: who decides instead. */
  readonly to: string | null
  /** Delegations and shelving: until when. */
  readonly untilUs: number | null
  /** Modifications: the parameters wanted, JSON. */
  readonly params: string | null
}

/** What a writer of Decision gives; a field left out takes its Avro default. */
export interface DecisionInput {
  readonly verdict: string
  readonly reason?: string | undefined
  readonly commandHash: string
  readonly strength?: string | null | undefined
  readonly to?: string | null | undefined
  readonly untilUs?: number | null | undefined
  readonly params?: string | null | undefined
}

/** One attempt to bring a command to its target. */
export interface Execution {
  /** 1, 2, ... */
  readonly attempt: number
  /** Request id that travels with the command: UUIDv8 over (incident, step, attempt). */
  readonly commandRequestId: string
  /** The target must refuse after this. */
  readonly notAfterUs: number
  /** Executed, RejectedByTarget, ExecutionAbandoned, NotExecuted, NotObserved or OutcomeUnknown. */
  readonly outcome: string | null
  /** What was read back from the target, JSON. */
  readonly readback: string | null
  /** answer or readback: how the outcome is known. */
  readonly by: string | null
}

/** What a writer of Execution gives; a field left out takes its Avro default. */
export interface ExecutionInput {
  readonly attempt: number
  readonly commandRequestId: string
  readonly notAfterUs: number
  readonly outcome?: string | null | undefined
  readonly readback?: string | null | undefined
  readonly by?: string | null | undefined
}

/** One stored piece of video evidence. */
export interface Clip {
  /** UUIDv8 over (order, camera). */
  readonly clipId: string
  /** Camera. */
  readonly cameraId: string
  /** Actual start, whole GOPs. */
  readonly fromUs: number
  /** Actual end. */
  readonly toUs: number
  /** Blob uri sha256:<hex>. */
  readonly uri: string
  /** SHA-256 (hex) of the clip file. */
  readonly sha256: string
  /** Size of the clip file in bytes. */
  readonly bytes: number
  /** SHA-256 (hex) of the manifest. */
  readonly manifestSha256: string
  /** Times inside the range for which no video exists, ISO 8601 intervals. */
  readonly gaps: readonly string[]
}

/** What a writer of Clip gives; a field left out takes its Avro default. */
export interface ClipInput {
  readonly clipId: string
  readonly cameraId: string
  readonly fromUs: number
  readonly toUs: number
  readonly uri: string
  readonly sha256: string
  readonly bytes: number
  readonly manifestSha256: string
  readonly gaps?: readonly string[] | undefined
}

/** An order for video, or what was stored for it. */
export interface Evidence {
  /** UUIDv8 over (incident, step). */
  readonly orderId: string
  /** Cameras. */
  readonly cameraIds: readonly string[]
  /** Requested start. */
  readonly fromUs: number
  /** Requested end. */
  readonly toUs: number
  /** Stored clips; empty in an order. */
  readonly clips: readonly Clip[]
  /** Why nothing could be stored. */
  readonly failure: string | null
}

/** What a writer of Evidence gives; a field left out takes its Avro default. */
export interface EvidenceInput {
  readonly orderId: string
  readonly cameraIds: readonly string[]
  readonly fromUs: number
  readonly toUs: number
  readonly clips?: readonly ClipInput[] | undefined
  readonly failure?: string | null | undefined
}

/** A stop for all execution in a scope; the andon of Andon itself. */
export interface Hold {
  /** Hold asked for or lifted, by id; unique per press. */
  readonly holdIds: readonly string[]
  /** * or a control group. */
  readonly scope: string
  /** Reason given. */
  readonly reason: string
}

/** What a writer of Hold gives; a field left out takes its Avro default. */
export interface HoldInput {
  readonly holdIds: readonly string[]
  readonly scope: string
  readonly reason: string
}

/** A deadline that came. */
export interface Timer {
  /** expire, escalate or review. */
  readonly name: string
  /** When it was due. */
  readonly dueUs: number
}

/** What a writer of Timer gives; a field left out takes its Avro default. */
export interface TimerInput {
  readonly name: string
  readonly dueUs: number
}

/** Why a request was not granted. */
export interface Refusal {
  /** Error code ANDON_ACTIONS_<WHAT>. */
  readonly code: string
  /** What, where, what to do. */
  readonly message: string
}

/** What a writer of Refusal gives; a field left out takes its Avro default. */
export interface RefusalInput {
  readonly code: string
  readonly message: string
}

/** A circuit breaker changed its state. */
export interface BreakerState {
  /** Executor. */
  readonly executor: string
  /** open, halfOpen or closed. */
  readonly state: string
  /** Last error. */
  readonly reason: string
}

/** What a writer of BreakerState gives; a field left out takes its Avro default. */
export interface BreakerStateInput {
  readonly executor: string
  readonly state: string
  readonly reason?: string | undefined
}

/** Somebody was told. */
export interface Notification {
  /** webhook, smtp, nats or job. */
  readonly channel: string
  /** Whom or which endpoint, by id. */
  readonly target: string
  /** Whether the endpoint accepted it. */
  readonly delivered: boolean
  /** External reference or error. */
  readonly detail: string
}

/** What a writer of Notification gives; a field left out takes its Avro default. */
export interface NotificationInput {
  readonly channel: string
  readonly target: string
  readonly delivered: boolean
  readonly detail?: string | undefined
}

/** What people say of a fault mode; it stays with the stable id through every refit. */
export interface FaultModeNote {
  /** Asset class. */
  readonly classId: string
  /** Stable id. */
  readonly modeId: string
  /** Short name. */
  readonly name: string | null
  /** Free labels. */
  readonly labels: readonly string[]
  /** fault, normal (no alarm is wanted), known (accepted for now) or ignore. */
  readonly standing: string
  /** Root cause. */
  readonly rootCause: string | null
  /** What to do about it. */
  readonly instruction: string | null
  /** ISA-18.2 rationalisation: what leads to it. */
  readonly cause: string | null
  /** What happens if nobody responds. */
  readonly consequence: string | null
  /** What the operator does. */
  readonly response: string | null
  /** Time to respond, seconds. */
  readonly timeToRespondS: number | null
}

/** What a writer of FaultModeNote gives; a field left out takes its Avro default. */
export interface FaultModeNoteInput {
  readonly classId: string
  readonly modeId: string
  readonly name?: string | null | undefined
  readonly labels?: readonly string[] | undefined
  readonly standing?: string | undefined
  readonly rootCause?: string | null | undefined
  readonly instruction?: string | null | undefined
  readonly cause?: string | null | undefined
  readonly consequence?: string | null | undefined
  readonly response?: string | null | undefined
  readonly timeToRespondS?: number | null | undefined
}

/** A failure or an intervention, with or without an incident. */
export interface FailureRecord {
  /** UUIDv8 over (asset, time, code, source), or given by the sender. */
  readonly failureId: string
  /** Asset. */
  readonly assetId: string
  /** failure, or intervention (maintenance that may have prevented one). */
  readonly kind: string
  /** Event time. */
  readonly atUs: number
  /** Event time of the restoration, microseconds UTC. */
  readonly restoredUs: number | null
  /** ISO 14224 failure mode code, e.g. VIB. */
  readonly mode: string | null
  /** ISO 14224 failure mechanism code, e.g. 2.4. */
  readonly mechanism: string | null
  /** ISO 14224 failure cause code. */
  readonly cause: string | null
  /** ISO 14224 detection method code. */
  readonly detection: string | null
  /** Component or subunit. */
  readonly component: string | null
  /** Work order. */
  readonly workOrder: string | null
  /** Free text. */
  readonly note: string
  /** True: it was recorded by mistake. */
  readonly withdrawn: boolean
}

/** What a writer of FailureRecord gives; a field left out takes its Avro default. */
export interface FailureRecordInput {
  readonly failureId: string
  readonly assetId: string
  readonly kind: string
  readonly atUs: number
  readonly restoredUs?: number | null | undefined
  readonly mode?: string | null | undefined
  readonly mechanism?: string | null | undefined
  readonly cause?: string | null | undefined
  readonly detection?: string | null | undefined
  readonly component?: string | null | undefined
  readonly workOrder?: string | null | undefined
  readonly note?: string | undefined
  readonly withdrawn?: boolean | undefined
}

/** What a person found out about an episode. */
export interface EpisodeVerdict {
  /** Episode. */
  readonly episodeId: string
  /** Finding that the person saw. */
  readonly findingId: string
  /** confirmed, false-alarm, normal-now (the new level is wanted), planned or unsure. */
  readonly verdict: string
  /** Fault mode the person says it was. */
  readonly modeId: string | null
  /** Free text. */
  readonly note: string
}

/** What a writer of EpisodeVerdict gives; a field left out takes its Avro default. */
export interface EpisodeVerdictInput {
  readonly episodeId: string
  readonly findingId: string
  readonly verdict: string
  readonly modeId?: string | null | undefined
  readonly note?: string | undefined
}

/** One sealed input. */
export interface SealedItem {
  /** finding, prediction, vector, block, tick, model, artefact, config or snapshot. */
  readonly kind: string
  /** Its logical id: ce_id of a record, name@version of an artefact, name of a document, group and key of a snapshot. */
  readonly id: string
  /** SHA-256 (hex) of its content in the blob store. */
  readonly digest: string
  /** Size of the content in bytes. */
  readonly bytes: number
  /** Where the record lies: topic/partition/leader epoch/offset; null for what is no record. */
  readonly position: string | null
}

/** What a writer of SealedItem gives; a field left out takes its Avro default. */
export interface SealedItemInput {
  readonly kind: string
  readonly id: string
  readonly digest: string
  readonly bytes: number
  readonly position?: string | null | undefined
}

/** An input that could not be sealed. */
export interface SealGap {
  /** Which input. */
  readonly what: string
  /** Why it is not there. */
  readonly why: string
}

/** What a writer of SealGap gives; a field left out takes its Avro default. */
export interface SealGapInput {
  readonly what: string
  readonly why: string
}

/** What an incident's finding was made of, stored under the incident's hold. */
export interface Seal {
  /** SHA-256 (hex) of the manifest, canonical JSON in the blob store: it names every item and gap. */
  readonly digest: string
  /** Finding whose lineage was followed. */
  readonly findingId: string
  /** Items of the manifest; the list here ends at the first 1000. */
  readonly itemCount: number
  /** Size of all items in bytes. */
  readonly bytes: number
  /** Sealed inputs, sorted by kind, id and position. */
  readonly items: readonly SealedItem[]
  /** What is missing, sorted; the list here ends at the first 1000. */
  readonly gaps: readonly SealGap[]
}

/** What a writer of Seal gives; a field left out takes its Avro default. */
export interface SealInput {
  readonly digest: string
  readonly findingId: string
  readonly itemCount: number
  readonly bytes: number
  readonly items?: readonly SealedItemInput[] | undefined
  readonly gaps?: readonly SealGapInput[] | undefined
}

/** The owner's word for what a range of its partition held. */
export interface SealedRange {
  /** What is signed, canonical JSON: offsets, Merkle root, digest of the seal before, epoch, fingerprint of the key. */
  readonly body: string
  /** Ed25519 over the body. */
  readonly signature: Buffer
}

/** What a writer of SealedRange gives; a field left out takes its Avro default. */
export interface SealedRangeInput {
  readonly body: string
  readonly signature: Uint8Array
}

/** One record of topic actions: one fact or request about one incident, asset or line. Requests are appended by anybody (door), facts by the partition's owner alone. */
export interface Actions {
  /** Requests: FindingCopied, CallRequested, ApproveRequested, RejectRequested, RevokeRequested, WithdrawRequested, AbstainRequested, DelegateRequested, ModifyRequested, ShelveRequested, UnshelveRequested, AcknowledgeRequested, CommentRequested, ProposeRequested, EvidenceChecked, EvidenceRequested, HoldRequested, HoldLiftRequested, EvidenceStored, EvidenceFailed, ConfigApplyRequested, SealRequested. Facts: OwnershipTaken, OwnershipRestated, IncidentOpened, IncidentUpdated, IncidentClosed, StepProposed, DecisionRecorded, StepApproved, StepRejected, StepRevoked, StepWithdrawn, StepSuperseded, StepDelegated, StepExpired, IncidentShelved, IncidentUnshelved, IncidentAcknowledged, IncidentCommented, EvidenceVerified, EvidenceDisproved, OutcomeUnknown, Executing, Executed, RejectedByTarget, ExecutionAbandoned, NotExecuted, NotObserved, StepCompleted, EvidenceOrdered, EvidenceAttached, Notified, TimerFired, HoldActivated, HoldLifted, RequestRefused, ConfigApplied, BreakerChanged, IncidentSealed, RangeSealed. Teaching: FaultModeNameRequested, FailureRecordRequested, VerdictRequested and their facts FaultModeNamed, FailureRecorded, FailureWithdrawn, VerdictRecorded. */
  readonly type: string
  /** Logical id: requests by what they ask, facts by what they decide; a repeat carries the same id. */
  readonly id: string
  /** Control group, the record key. */
  readonly line: string
  /** Requests: the door's time. Facts: the owner's stamp, monotone per partition. */
  readonly atUs: number
  /** Pseudonymous principal id, or the service that asks. */
  readonly by: string
  /** Roles of the principal at the time of the request. */
  readonly roles: readonly string[] | null
  /** Facts: the request they answer. */
  readonly requestId: string | null
  /** Incident. */
  readonly incidentId: string | null
  /** Step of the incident's plan. */
  readonly stepId: string | null
  /** Asset. */
  readonly assetId: string | null
  /** Facts: the owner's epoch. */
  readonly epoch: number | null
  /** Facts: the owner's id of this take. */
  readonly owner: string | null
  /** One plain sentence for people. */
  readonly title: string | null
  /** The finding copied to the line's partition. */
  readonly finding: Finding | null
  /** StepProposed. */
  readonly proposal: Proposal | null
  /** Requests to decide and DecisionRecorded. */
  readonly decision: Decision | null
  /** Executing and outcomes. */
  readonly execution: Execution | null
  /** Evidence facts and requests. */
  readonly evidence: Evidence | null
  /** Hold facts and requests. */
  readonly hold: Hold | null
  /** TimerFired. */
  readonly timer: Timer | null
  /** RequestRefused. */
  readonly refusal: Refusal | null
  /** BreakerChanged. */
  readonly breaker: BreakerState | null
  /** Notified. */
  readonly notification: Notification | null
  /** Requests and facts about a fault mode. */
  readonly faultMode: FaultModeNote | null
  /** Requests and facts about failures. */
  readonly failure: FailureRecord | null
  /** Requests and facts about verdicts. */
  readonly episodeVerdict: EpisodeVerdict | null
  /** Anything else, JSON. */
  readonly detail: string | null
  /** SealRequested and IncidentSealed. */
  readonly seal: Seal | null
  /** RangeSealed. */
  readonly rangeSeal: SealedRange | null
}

/** What a writer of Actions gives; a field left out takes its Avro default. */
export interface ActionsInput {
  readonly type: string
  readonly id: string
  readonly line: string
  readonly atUs: number
  readonly by: string
  readonly roles?: readonly string[] | null | undefined
  readonly requestId?: string | null | undefined
  readonly incidentId?: string | null | undefined
  readonly stepId?: string | null | undefined
  readonly assetId?: string | null | undefined
  readonly epoch?: number | null | undefined
  readonly owner?: string | null | undefined
  readonly title?: string | null | undefined
  readonly finding?: FindingInput | null | undefined
  readonly proposal?: ProposalInput | null | undefined
  readonly decision?: DecisionInput | null | undefined
  readonly execution?: ExecutionInput | null | undefined
  readonly evidence?: EvidenceInput | null | undefined
  readonly hold?: HoldInput | null | undefined
  readonly timer?: TimerInput | null | undefined
  readonly refusal?: RefusalInput | null | undefined
  readonly breaker?: BreakerStateInput | null | undefined
  readonly notification?: NotificationInput | null | undefined
  readonly faultMode?: FaultModeNoteInput | null | undefined
  readonly failure?: FailureRecordInput | null | undefined
  readonly episodeVerdict?: EpisodeVerdictInput | null | undefined
  readonly detail?: string | null | undefined
  readonly seal?: SealInput | null | undefined
  readonly rangeSeal?: SealedRangeInput | null | undefined
}

/** What became of a fault mode of an asset class at a refit, or on an asset. */
export interface FaultModeChange {
  /** Asset class. */
  readonly classId: string
  /** Stable id; never used again. */
  readonly modeId: string
  /** emerged, split, absorbed, disappeared, drifted or reappeared. */
  readonly change: string
  /** Modes it came from. */
  readonly fromModeIds: readonly string[]
  /** Modes it went into. */
  readonly toModeIds: readonly string[]
  /** Share of the windows of the refit that are in it. */
  readonly share: number
  /** Drifted: how far its centre moved, in its radii. */
  readonly distance: number
  /** Digest of the cluster model. */
  readonly modelDigest: string
  /** Name that a person gave it. */
  readonly name: string | null
}

/** What a writer of FaultModeChange gives; a field left out takes its Avro default. */
export interface FaultModeChangeInput {
  readonly classId: string
  readonly modeId: string
  readonly change: string
  readonly fromModeIds?: readonly string[] | undefined
  readonly toModeIds?: readonly string[] | undefined
  readonly share: number
  readonly distance?: number | undefined
  readonly modelDigest: string
  readonly name?: string | null | undefined
}

/** One number that no longer looks as in the reference. */
export interface DriftedFeature {
  /** Feature name. */
  readonly name: string
  /** Test, e.g. wasserstein or adwin. */
  readonly statistic: string
  /** Its value. */
  readonly distance: number
  /** Adjusted for the number of features. */
  readonly pValue: number
  /** Mean in the reference. */
  readonly referenceMean: number
  /** Mean now. */
  readonly currentMean: number
}

/** What a writer of DriftedFeature gives; a field left out takes its Avro default. */
export interface DriftedFeatureInput {
  readonly name: string
  readonly statistic: string
  readonly distance: number
  readonly pValue: number
  readonly referenceMean: number
  readonly currentMean: number
}

/** Behaviour moved away from the reference without being a fault, a sensor's or a regime's. */
export interface Drift {
  /** drift, sensor or regime; only drift may propose retraining. */
  readonly cause: string
  /** Most significant first. */
  readonly features: readonly DriftedFeature[]
  /** Event time from which it shows. */
  readonly sinceUs: number
  /** Digest of the reference. */
  readonly referenceDigest: string
  /** True: the asset's models should be learnt anew. */
  readonly proposesRetraining: boolean
  /** What proposes it. */
  readonly trigger: string
}

/** What a writer of Drift gives; a field left out takes its Avro default. */
export interface DriftInput {
  readonly cause: string
  readonly features: readonly DriftedFeatureInput[]
  readonly sinceUs: number
  readonly referenceDigest: string
  readonly proposesRetraining?: boolean | undefined
  readonly trigger?: string | undefined
}

/** When a limit is expected to be reached. */
export interface Prognosis {
  /** What runs towards what limit. */
  readonly quantity: string
  /** Lower bound of the remaining useful life, microseconds. */
  readonly lowUs: number
  /** Its median; null when the limit may never be reached. */
  readonly medianUs: number | null
  /** Its upper bound; null when unbounded. */
  readonly highUs: number | null
  /** Stated coverage of the interval, 0 to 1. */
  readonly coverage: number
  /** Model or rule it comes from. */
  readonly basis: string
}

/** What a writer of Prognosis gives; a field left out takes its Avro default. */
export interface PrognosisInput {
  readonly quantity: string
  readonly lowUs: number
  readonly medianUs?: number | null | undefined
  readonly highUs?: number | null | undefined
  readonly coverage: number
  readonly basis: string
}

/** One asset of a group. */
export interface DisturbedAsset {
  /** Asset. */
  readonly assetId: string
  /** Its open episode. */
  readonly episodeId: string
  /** Event time at which it opened. */
  readonly openedUs: number
  /** Its severity. */
  readonly severity: number
  /** 0 to 1: how likely the disturbance began here. */
  readonly originScore: number
}

/** What a writer of DisturbedAsset gives; a field left out takes its Avro default. */
export interface DisturbedAssetInput {
  readonly assetId: string
  readonly episodeId: string
  readonly openedUs: number
  readonly severity: number
  readonly originScore: number
}

/** Several assets of a line at once. */
export interface Disturbance {
  /** Line. */
  readonly line: string
  /** Likely origin first. */
  readonly assets: readonly DisturbedAsset[]
}

/** What a writer of Disturbance gives; a field left out takes its Avro default. */
export interface DisturbanceInput {
  readonly line: string
  readonly assets: readonly DisturbedAssetInput[]
}

/** One record of topic anomalies: a finding. */
export interface Anomalies {
  /** EpisodeOpened, EpisodeUpdated, EpisodeClosed, FindingCorrected, SensorFault, AssetUnmonitored, LimitExceeded, RegimeNew, DriftDetected, PrognosisUpdated, FaultModeDiscovered, FaultModeSplit, FaultModeMerged, FaultModeDisappeared, FaultModeDrifted, FaultModeReappeared, LineDisturbed. */
  readonly type: string
  /** Asset, the record key. */
  readonly assetId: string
  /** Present for episode and correction types, SensorFault, AssetUnmonitored and LimitExceeded. */
  readonly finding: Finding | null
  /** Fault mode types. */
  readonly faultMode: FaultModeChange | null
  /** DriftDetected. */
  readonly drift: Drift | null
  /** PrognosisUpdated. */
  readonly prognosis: Prognosis | null
  /** LineDisturbed. */
  readonly disturbance: Disturbance | null
  /** Other types: plain words. */
  readonly detail: string | null
}

/** What a writer of Anomalies gives; a field left out takes its Avro default. */
export interface AnomaliesInput {
  readonly type: string
  readonly assetId: string
  readonly finding?: FindingInput | null | undefined
  readonly faultMode?: FaultModeChangeInput | null | undefined
  readonly drift?: DriftInput | null | undefined
  readonly prognosis?: PrognosisInput | null | undefined
  readonly disturbance?: DisturbanceInput | null | undefined
  readonly detail?: string | null | undefined
}

/** One record of a private <service>.changelog topic: a snapshot of one key, or a round that closes a set of snapshots. */
export interface Changelog {
  /** snapshot or round. */
  readonly type: string
  /** Topic whose position this is. */
  readonly inputTopic: string
  /** Partition. */
  readonly inputPartition: number
  /** Leader epoch of the last applied record. */
  readonly leaderEpoch: number
  /** Offset of the last applied record; -1 = none yet. */
  readonly offset: number
  /** ce_id of the last applied record; empty = none. */
  readonly recordId: string
  /** Topic of the last output; empty = none. */
  readonly outputTopic: string
  /** Its partition. */
  readonly outputPartition: number
  /** Its leader epoch. */
  readonly outputLeaderEpoch: number
  /** Its offset. */
  readonly outputOffset: number
  /** Its ce_id. */
  readonly outputId: string
  /** Version of the state's own encoding. */
  readonly stateVersion: number
  /** Service state of the key; null in a round. */
  readonly state: Buffer | null
}

/** What a writer of Changelog gives; a field left out takes its Avro default. */
export interface ChangelogInput {
  readonly type: string
  readonly inputTopic: string
  readonly inputPartition: number
  readonly leaderEpoch: number
  readonly offset: number
  readonly recordId?: string | undefined
  readonly outputTopic?: string | undefined
  readonly outputPartition?: number | undefined
  readonly outputLeaderEpoch?: number | undefined
  readonly outputOffset?: number | undefined
  readonly outputId?: string | undefined
  readonly stateVersion?: number | undefined
  readonly state?: Uint8Array | null | undefined
}

/** One record of topic config: a validated document. */
export interface Config {
  /** ConfigPublished or ConfigRetired. */
  readonly type: string
  /** Document name, the record key, e.g. plant, features/press, policies/bearing, commands. */
  readonly name: string
  /** plant, feature-set, policy, commands, boundary or serviced. */
  readonly kind: string
  /** SHA-256 (hex) of body. */
  readonly digest: string
  /** Canonical JSON of the document. */
  readonly body: string
  /** Event time from which it holds. */
  readonly effectiveFromUs: number
  /** Principal. */
  readonly by: string
  /** When. */
  readonly atUs: number
}

/** What a writer of Config gives; a field left out takes its Avro default. */
export interface ConfigInput {
  readonly type: string
  readonly name: string
  readonly kind: string
  readonly digest: string
  readonly body: string
  readonly effectiveFromUs: number
  readonly by: string
  readonly atUs: number
}

/** A certificate that is good for one enrolment and for nothing else. */
export interface DeviceClaim {
  /** Serial number, hex. */
  readonly serial: string
  /** SHA-256 (hex) of the certificate, DER. */
  readonly sha256: string
  /** Last moment at which it can be used. */
  readonly notAfterUs: number
}

/** What a writer of DeviceClaim gives; a field left out takes its Avro default. */
export interface DeviceClaimInput {
  readonly serial: string
  readonly sha256: string
  readonly notAfterUs: number
}

/** A certificate of a device. */
export interface DeviceCertificate {
  /** Serial number, hex. */
  readonly serial: string
  /** SHA-256 (hex) of the certificate, DER. */
  readonly sha256: string
  /** SHA-256 (hex) of its public key (SubjectPublicKeyInfo, DER). */
  readonly spkiSha256: string
  /** Valid from. */
  readonly notBeforeUs: number
  /** Valid to. */
  readonly notAfterUs: number
  /** The certificate, DER. */
  readonly der: Buffer
}

/** What a writer of DeviceCertificate gives; a field left out takes its Avro default. */
export interface DeviceCertificateInput {
  readonly serial: string
  readonly sha256: string
  readonly spkiSha256: string
  readonly notBeforeUs: number
  readonly notAfterUs: number
  readonly der: Uint8Array
}

/** Why a request was not granted. */
export interface DeviceRefusal {
  /** Error code ANDON_INGEST_<WHAT>. */
  readonly code: string
  /** What, where, what to do. */
  readonly message: string
}

/** What a writer of DeviceRefusal gives; a field left out takes its Avro default. */
export interface DeviceRefusalInput {
  readonly code: string
  readonly message: string
}

/** One record of topic devices: a request about one device, or the fact that answers it. */
export interface Devices {
  /** Requests: ClaimRequested, EnrolRequested, RenewRequested, ApproveRequested, SuspendRequested, ResumeRequested, RevokeRequested, RevokeCertificateRequested, RetireRequested. Facts: ClaimIssued, DeviceEnrolled, CertificateRenewed, DeviceApproved, DeviceSuspended, DeviceResumed, DeviceRevoked, CertificateRevoked, DeviceRetired, RequestRefused. */
  readonly type: string
  /** Device, the record key. */
  readonly deviceId: string
  /** Asset it feeds, where there is one only; see assets. */
  readonly assetId: string
  /** SHA-256 (hex) of the certificate that a request was made with, or that it is about; empty where a person asks about the device. */
  readonly credentialDigest: string
  /** Principal, or the device itself. */
  readonly by: string
  /** When: facts are stamped by the instance that decided, requests by their door. */
  readonly atUs: number
  /** Id of the record; empty in records of the first version, which decide nothing. */
  readonly id: string
  /** In a fact: the request that it answers. */
  readonly requestId: string | null
  /** Site of the device, the second part of its name urn:andon:<site>:<device>. */
  readonly site: string
  /** In a request: roles of the principal. */
  readonly roles: readonly string[] | null
  /** What the person said. */
  readonly reason: string | null
  /** In an approval: assets the device may feed; * is every asset of the site. */
  readonly assets: readonly string[]
  /** In ClaimRequested and ClaimIssued. */
  readonly claim: DeviceClaim | null
  /** In EnrolRequested and RenewRequested: the certificate that counts once the request is granted; in the fact: the one that counts now. */
  readonly certificate: DeviceCertificate | null
  /** In RenewRequested and CertificateRenewed: how long the certificate before stays valid, microseconds. */
  readonly overlapUs: number | null
  /** In RequestRefused. */
  readonly refusal: DeviceRefusal | null
}

/** What a writer of Devices gives; a field left out takes its Avro default. */
export interface DevicesInput {
  readonly type: string
  readonly deviceId: string
  readonly assetId?: string | undefined
  readonly credentialDigest?: string | undefined
  readonly by: string
  readonly atUs: number
  readonly id?: string | undefined
  readonly requestId?: string | null | undefined
  readonly site?: string | undefined
  readonly roles?: readonly string[] | null | undefined
  readonly reason?: string | null | undefined
  readonly assets?: readonly string[] | undefined
  readonly claim?: DeviceClaimInput | null | undefined
  readonly certificate?: DeviceCertificateInput | null | undefined
  readonly overlapUs?: number | null | undefined
  readonly refusal?: DeviceRefusalInput | null | undefined
}

/** Sequence numbers of one source, inclusive. */
export interface SampleRange {
  /** Source of the numbers. */
  readonly sourceId: string
  /** Epoch of the source. */
  readonly epoch: number
  /** First number. */
  readonly seqFrom: number
  /** Last number. */
  readonly seqTo: number
}

/** What a writer of SampleRange gives; a field left out takes its Avro default. */
export interface SampleRangeInput {
  readonly sourceId: string
  readonly epoch: number
  readonly seqFrom: number
  readonly seqTo: number
}

/** A sensor that is suspected. */
export interface ChannelHealth {
  /** Channel of the asset. */
  readonly channel: string
  /** flat, stuck, saturated, drop-outs, gap or noise. */
  readonly flags: readonly string[]
  /** Names of the vector that the channel feeds, as the speed of the shaft does too; empty in vectors of earlier releases: those that carry the channel. */
  readonly names: readonly string[]
}

/** What a writer of ChannelHealth gives; a field left out takes its Avro default. */
export interface ChannelHealthInput {
  readonly channel: string
  readonly flags: readonly string[]
  readonly names?: readonly string[] | undefined
}

/** The features of one asset over one closed window, one revision. */
export interface Vector {
  /** UUIDv8 over (feature set digest, asset, window end, revision, digest of sorted sample identities). */
  readonly vectorId: string
  /** Name of the feature set document. */
  readonly featureSet: string
  /** SHA-256 (hex) of the feature set that produced the vector. */
  readonly featureSetDigest: string
  /** Window start, inclusive, event time, microseconds UTC. */
  readonly windowStartUs: number
  /** Window end, exclusive, event time, microseconds UTC. */
  readonly windowEndUs: number
  /** Number of distinct input rows accepted into the window; a later revision has more. */
  readonly revision: number
  /** vectorId of the revision this one replaces. */
  readonly supersedes: string | null
  /** Feature names channel.statistic, e.g. vibrationG.rms, in packed order. */
  readonly names: readonly string[]
  /** Packed little-endian f64 per name; NaN = could not be computed. */
  readonly values: Buffer
  /** Sample ranges that went in. */
  readonly ranges: readonly SampleRange[]
  /** False when an expected channel is missing, a range was lost or undecodable, or the window is young. */
  readonly complete: boolean
  /** Names of channels that had no good sample in the window. */
  readonly missing: readonly string[]
  /** True when any input block was historical. */
  readonly historical: boolean
  /** Replayed recordings: recorded time of the first row in the window, microseconds UTC. */
  readonly recordedStartUs: number | null
  /** good; uncertain (samples of uncertain quality went in, or a sensor is suspected); unmonitored (no telemetry: there are no values). */
  readonly quality: string
  /** Operating regime by the rules of the feature set; null = it has none, or none held. */
  readonly regime: string | null
  /** True in a regime in which the machine is off. */
  readonly machineOff: boolean
  /** Channels whose sensor is suspected; a fault of the sensor is none of the machine. */
  readonly health: readonly ChannelHealth[]
  /** Event time of the service or sensor swap that began the baseline's epoch, microseconds UTC; null = none known. */
  readonly baselineEpochUs: number | null
  /** SHA-256 (hex) of the plant file that described the asset. */
  readonly plantDigest: string
  /** Rows of uncertain quality that went in. */
  readonly uncertainRows: number
  /** Rows of the window that were left out: bad quality, not a number, or superseded by a correction. */
  readonly badRows: number
  /** True while an overlapping window reaches back beyond the asset's first row, its service or its present feature set: it holds fewer rows than later ones, is not complete, and nobody is to judge it. */
  readonly young: boolean
}

/** What a writer of Vector gives; a field left out takes its Avro default. */
export interface VectorInput {
  readonly vectorId: string
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly windowStartUs: number
  readonly windowEndUs: number
  readonly revision: number
  readonly supersedes?: string | null | undefined
  readonly names: readonly string[]
  readonly values: Uint8Array
  readonly ranges: readonly SampleRangeInput[]
  readonly complete: boolean
  readonly missing?: readonly string[] | undefined
  readonly historical?: boolean | undefined
  readonly recordedStartUs?: number | null | undefined
  readonly quality?: string | undefined
  readonly regime?: string | null | undefined
  readonly machineOff?: boolean | undefined
  readonly health?: readonly ChannelHealthInput[] | undefined
  readonly baselineEpochUs?: number | null | undefined
  readonly plantDigest?: string | undefined
  readonly uncertainRows?: number | undefined
  readonly badRows?: number | undefined
  readonly young?: boolean | undefined
}

/** Samples that arrived after their window was final; they stay in their blocks. */
export interface Late {
  /** Start of the window they belong to. */
  readonly windowStartUs: number
  /** What came too late. */
  readonly ranges: readonly SampleRange[]
  /** True when the range was reported lost by the bounded interval set instead. */
  readonly lost: boolean
}

/** What a writer of Late gives; a field left out takes its Avro default. */
export interface LateInput {
  readonly windowStartUs: number
  readonly ranges: readonly SampleRangeInput[]
  readonly lost?: boolean | undefined
}

/** One record of topic features: a vector or a late report. */
export interface Features {
  /** vector or late. */
  readonly type: string
  /** Asset, the record key. */
  readonly assetId: string
  /** Present when type = vector. */
  readonly vector: Vector | null
  /** Present when type = late. */
  readonly late: Late | null
}

/** What a writer of Features gives; a field left out takes its Avro default. */
export interface FeaturesInput {
  readonly type: string
  readonly assetId: string
  readonly vector?: VectorInput | null | undefined
  readonly late?: LateInput | null | undefined
}

/** One record of topic models: a registry fact of a model, detector or cluster model, or the request for one. Versions are immutable. */
export interface Models {
  /** Requests: RegistrationRequested. Facts: ModelRegistered, ModelActivated, ModelRolledBack, ModelRetired, RegistrationRefused. */
  readonly type: string
  /** Model name, the record key, e.g. t2spe.press-1. */
  readonly model: string
  /** Version, 1, 2, ... */
  readonly version: number
  /** onnx; detector (of one asset, judged in clustering); clusters (fault modes of an asset class). */
  readonly kind: string
  /** Asset the model is for; empty for the models of a class. */
  readonly assetId: string
  /** Feature set it reads. */
  readonly featureSet: string
  /** Digest of the feature set. */
  readonly featureSetDigest: string
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  /** Blob uri sha256:<hex>. */
  readonly uri: string
  /** champion, advisory, canary or shadow. */
  readonly role: string
  /** Feature names in input order. */
  readonly features: readonly string[]
  /** JSON: how it was trained, on what (range, rows), limits, normal ranges per feature, licence of the data. Empty: none. */
  readonly card: string
  /** Event time from which an activation holds. */
  readonly effectiveFromUs: number
  /** Who or what registered it. */
  readonly by: string
  /** When. */
  readonly atUs: number
  /** Asset class that a model of kind clusters is for; else empty. */
  readonly assetClass: string
  /** Requests: UUIDv8 over (request, model, digest). Facts: the request they answer. */
  readonly requestId: string | null
  /** Refusals: why. Requests: what they are for. */
  readonly reason: string
}

/** What a writer of Models gives; a field left out takes its Avro default. */
export interface ModelsInput {
  readonly type: string
  readonly model: string
  readonly version: number
  readonly kind: string
  readonly assetId: string
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly digest: string
  readonly uri: string
  readonly role?: string | undefined
  readonly features?: readonly string[] | undefined
  readonly card?: string | undefined
  readonly effectiveFromUs: number
  readonly by: string
  readonly atUs: number
  readonly assetClass?: string | undefined
  readonly requestId?: string | null | undefined
  readonly reason?: string | undefined
}

/** What one model version says about one vector. */
export interface Verdict {
  /** Model name. */
  readonly model: string
  /** Model version. */
  readonly version: number
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  /** champion, advisory or canary; shadow only in predictions.shadow.<group>. Only a champion may act without doubt. */
  readonly role: string
  /** Model score in its own units, e.g. combined T2 + SPE. */
  readonly score: number
  /** Score divided by its limit: 1 is the line. */
  readonly ratio: number
  /** Features the contributions belong to. */
  readonly contributionNames: readonly string[]
  /** Packed little-endian f64 per contributionNames: share of the score, reconstruction based; sums to about 1. */
  readonly contributions: Buffer
  /** False when the input is outside what the model was trained on, or has missing features. */
  readonly inDomain: boolean
  /** Why no score could be given; score and ratio are then 0. */
  readonly error: string | null
  /** Execution provider that gave the score, e.g. CPUExecutionProvider; remote: a server that does not say. Empty: none, or an earlier release. */
  readonly provider: string
}

/** What a writer of Verdict gives; a field left out takes its Avro default. */
export interface VerdictInput {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly role: string
  readonly score: number
  readonly ratio: number
  readonly contributionNames: readonly string[]
  readonly contributions: Uint8Array
  readonly inDomain?: boolean | undefined
  readonly error?: string | null | undefined
  readonly provider?: string | undefined
}

/** Where one model version places the vector. */
export interface Embedding {
  /** Model name. */
  readonly model: string
  /** Model version. */
  readonly version: number
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  /** f32 or f64. */
  readonly dtype: string
  /** Packed little-endian numbers of that dtype; compare them with those of the same model and version only. */
  readonly values: Buffer
  /** Execution provider, as in a verdict. */
  readonly provider: string
}

/** What a writer of Embedding gives; a field left out takes its Avro default. */
export interface EmbeddingInput {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly dtype: string
  readonly values: Uint8Array
  readonly provider?: string | undefined
}

/** How long a model version gives a machine from this vector on. */
export interface RemainingLife {
  /** Model name. */
  readonly model: string
  /** Model version. */
  readonly version: number
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  /** As in a verdict. */
  readonly role: string
  /** Lower end of the interval, microseconds from the end of the window. */
  readonly lowUs: number
  /** Expected, microseconds from the end of the window. */
  readonly medianUs: number
  /** Upper end of the interval, microseconds from the end of the window. */
  readonly highUs: number
  /** Share of machines whose end lies in the interval, by the model's card. */
  readonly coverage: number
  /** Execution provider, as in a verdict. */
  readonly provider: string
}

/** What a writer of RemainingLife gives; a field left out takes its Avro default. */
export interface RemainingLifeInput {
  readonly model: string
  readonly version: number
  readonly digest: string
  readonly role: string
  readonly lowUs: number
  readonly medianUs: number
  readonly highUs: number
  readonly coverage: number
  readonly provider?: string | undefined
}

/** One record of topic predictions: the verdicts of all active models on one vector. */
export interface Predictions {
  /** verdicts; learning (no model yet: the asset is being commissioned); machine-off, young (not scored); unmonitored (no telemetry: nothing to score); unscored (nothing could score it: neither normal nor abnormal, `missing` names the models). */
  readonly type: string
  /** Asset, the record key. */
  readonly assetId: string
  /** UUIDv8 over (vector id, verdict set digest). */
  readonly predictionId: string
  /** Vector scored. */
  readonly vectorId: string
  /** Feature set of the vector. */
  readonly featureSet: string
  /** SHA-256 (hex) of the feature set. */
  readonly featureSetDigest: string
  /** Window start of the vector. */
  readonly windowStartUs: number
  /** Window end of the vector. */
  readonly windowEndUs: number
  /** Revision of the vector. */
  readonly revision: number
  /** Feature names, packed order. */
  readonly names: readonly string[]
  /** Packed little-endian f64 feature values. */
  readonly values: Buffer
  /** One per active model of the asset. */
  readonly verdicts: readonly Verdict[]
  /** All active models answered on a complete vector. */
  readonly complete: boolean
  /** Channels or models missing. */
  readonly missing: readonly string[]
  /** Carried from the vector. */
  readonly historical: boolean
  /** Carried from the vector, microseconds UTC. */
  readonly recordedStartUs: number | null
  /** good; uncertain (samples of uncertain quality went in, or a sensor is suspected); unmonitored (no telemetry: there are no values). Carried from the vector. */
  readonly quality: string
  /** Operating regime by the rules of the feature set; null = it has none, or none held. Carried from the vector. */
  readonly regime: string | null
  /** True in a regime in which the machine is off. Carried from the vector. */
  readonly machineOff: boolean
  /** Channels whose sensor is suspected; a fault of the sensor is none of the machine. Carried from the vector. */
  readonly health: readonly ChannelHealth[]
  /** Event time of the service or sensor swap that began the baseline's epoch, microseconds UTC; null = none known. Carried from the vector. */
  readonly baselineEpochUs: number | null
  /** One per active model that gives one. */
  readonly embeddings: readonly Embedding[]
  /** One per active model that gives one. */
  readonly remaining: readonly RemainingLife[]
}

/** What a writer of Predictions gives; a field left out takes its Avro default. */
export interface PredictionsInput {
  readonly type: string
  readonly assetId: string
  readonly predictionId: string
  readonly vectorId: string
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly windowStartUs: number
  readonly windowEndUs: number
  readonly revision: number
  readonly names: readonly string[]
  readonly values: Uint8Array
  readonly verdicts: readonly VerdictInput[]
  readonly complete: boolean
  readonly missing?: readonly string[] | undefined
  readonly historical?: boolean | undefined
  readonly recordedStartUs?: number | null | undefined
  readonly quality?: string | undefined
  readonly regime?: string | null | undefined
  readonly machineOff?: boolean | undefined
  readonly health?: readonly ChannelHealthInput[] | undefined
  readonly baselineEpochUs?: number | null | undefined
  readonly embeddings?: readonly EmbeddingInput[] | undefined
  readonly remaining?: readonly RemainingLifeInput[] | undefined
}

/** A waveform that is too long for one block, or that a device measures in parts: its parts are rows with numbers of their own. */
export interface Burst {
  /** Id of the burst, unique per source. */
  readonly id: string
  /** Number of this part, from 1. */
  readonly part: number
  /** Parts of the burst. */
  readonly parts: number
  /** When the burst was due by the device's schedule, microseconds UTC; null: not scheduled. */
  readonly scheduledUs: number | null
}

/** What a writer of Burst gives; a field left out takes its Avro default. */
export interface BurstInput {
  readonly id: string
  readonly part: number
  readonly parts: number
  readonly scheduledUs?: number | null | undefined
}

/** What a person has put right: samples of the asset that were there before are superseded by those of this source (correction:<id>). */
export interface Correction {
  /** Id of the correction. */
  readonly id: string
  /** Samples from this event time on are superseded, microseconds UTC. */
  readonly fromUs: number
  /** Up to, not including, this event time, microseconds UTC. */
  readonly toUs: number
  /** Channels whose samples are superseded. */
  readonly channels: readonly string[]
  /** Why, in the words of the person. */
  readonly reason: string
  /** Pseudonymous id of the person. */
  readonly by: string
}

/** What a writer of Correction gives; a field left out takes its Avro default. */
export interface CorrectionInput {
  readonly id: string
  readonly fromUs: number
  readonly toUs: number
  readonly channels: readonly string[]
  readonly reason: string
  readonly by: string
}

/** Samples of one asset from one source: consecutive sequence numbers, all channels packed into one bytes field. */
export interface Block {
  /** Source of the sequence numbers: device id plus stream, e.g. press-1-plc. Unique per site. */
  readonly sourceId: string
  /** Epoch of the source's counter; a device that restarts its numbering takes a higher one (e.g. its start time in s). */
  readonly epoch: number
  /** First sequence number covered, inclusive. */
  readonly seqFrom: number
  /** Last sequence number covered, inclusive. */
  readonly seqTo: number
  /** Sequence numbers inside seqFrom..seqTo that are deliberately not here (quarantined, filtered); readers count them as seen. */
  readonly withheld: readonly number[]
  /** Rows stored = (seqTo - seqFrom + 1) - withheld.length, in ascending sequence order. */
  readonly rows: number
  /** Channel ids, in the order of the packed samples, e.g. temperatureC. */
  readonly channels: readonly string[]
  /** UCUM unit per channel, same order; 1 for dimensionless. */
  readonly units: readonly string[]
  /** Element type of samples: f32 or f64, little-endian. */
  readonly dtype: string
  /** Elements per channel and row: 1 for scalar channels, n for a waveform snippet of n elements. */
  readonly width: number
  /** Packed little-endian elements, channel-major: [channel][row][width]; NaN = missing. */
  readonly samples: Buffer
  /** Packed little-endian int64 per row: source time in microseconds UTC; for a waveform the time of its first element. */
  readonly timesUs: Buffer
  /** One byte per row: 0 good, 1 uncertain, 2 bad; empty = all good. */
  readonly qualities: Buffer
  /** Waveforms: elements per second within a row, Hz. */
  readonly sampleRateHz: number | null
  /** Waveforms: sensor sensitivity that has been applied, mV per unit. */
  readonly sensitivity: number | null
  /** Replayed recordings: packed little-endian int64 per row, the time at which the row was originally recorded, microseconds UTC; timesUs is then the re-stamped time. */
  readonly recordedUs: Buffer | null
  /** When ingest received the newest row, microseconds UTC. */
  readonly receivedUs: number
  /** True when the oldest row was older than 10 min on receipt: stored and scored, pages nobody. */
  readonly historical: boolean
  /** Receive time minus newest source time when outside the device's bound, else 0; microseconds. Marked, never corrected. */
  readonly skewUs: number
  /** Door of ingest the rows came through, e.g. http, mqtt, opcua; empty: not said. */
  readonly door: string
  /** Device that brought the rows, proved by its certificate; null where none was shown. */
  readonly deviceId: string | null
  /** SHA-256 of the certificate the device showed, 64 hex digits. */
  readonly certificateSha256: string | null
  /** By the age of the oldest row on receipt: live (at most 10 s), delayed, or historical (more than 10 min, see historical); empty: not said. */
  readonly lateness: string
  /** Hint per channel, same order: days for which its samples are worth keeping; 0 = as long as the topic's. Empty: no channel says so. */
  readonly retentionDays: readonly number[]
  /** How rows of a channel were left out, same order: dead-band (a row left out has the value of the last kept row before it, within errorBounds), swinging-door (it lies on the line between the kept rows around it, within errorBounds), or empty: none were. Empty: of no channel. */
  readonly downsampling: readonly string[]
  /** Greatest deviation of a row left out from what the kept rows say, per channel, same order, in its unit; 0 = none. Empty: no row was left out by down-sampling. */
  readonly errorBounds: readonly number[]
  /** Present when the rows are one part of a burst: the block holds that row alone. */
  readonly burst: Burst | null
  /** Present when the block belongs to a correction. */
  readonly correction: Correction | null
}

/** What a writer of Block gives; a field left out takes its Avro default. */
export interface BlockInput {
  readonly sourceId: string
  readonly epoch: number
  readonly seqFrom: number
  readonly seqTo: number
  readonly withheld?: readonly number[] | undefined
  readonly rows: number
  readonly channels: readonly string[]
  readonly units: readonly string[]
  readonly dtype: string
  readonly width: number
  readonly samples: Uint8Array
  readonly timesUs: Uint8Array
  readonly qualities?: Uint8Array | undefined
  readonly sampleRateHz?: number | null | undefined
  readonly sensitivity?: number | null | undefined
  readonly recordedUs?: Uint8Array | null | undefined
  readonly receivedUs: number
  readonly historical?: boolean | undefined
  readonly skewUs?: number | undefined
  readonly door?: string | undefined
  readonly deviceId?: string | null | undefined
  readonly certificateSha256?: string | null | undefined
  readonly lateness?: string | undefined
  readonly retentionDays?: readonly number[] | undefined
  readonly downsampling?: readonly string[] | undefined
  readonly errorBounds?: readonly number[] | undefined
  readonly burst?: BurstInput | null | undefined
  readonly correction?: CorrectionInput | null | undefined
}

/** An ingest instance's promise that nothing it will still append to this partition was received before upToUs. */
export interface Tick {
  /** Ingest or recorder instance id, stable over restarts. */
  readonly instance: string
  /** Low-water mark of receive time, microseconds UTC. */
  readonly upToUs: number
}

/** What a writer of Tick gives; a field left out takes its Avro default. */
export interface TickInput {
  readonly instance: string
  readonly upToUs: number
}

/** How many rows were rejected for one reason. */
export interface RejectedRows {
  /** Error code. */
  readonly code: string
  /** Rows. */
  readonly rows: number
}

/** What a writer of RejectedRows gives; a field left out takes its Avro default. */
export interface RejectedRowsInput {
  readonly code: string
  readonly rows: number
}

/** One rejected row. */
export interface RejectedRow {
  /** Number of the row, the first one behind the header is 1. */
  readonly row: number
  /** Error code. */
  readonly code: string
  /** What was found and what is expected. */
  readonly message: string
}

/** What a writer of RejectedRow gives; a field left out takes its Avro default. */
export interface RejectedRowInput {
  readonly row: number
  readonly code: string
  readonly message: string
}

/** A file that came in through ingest: what it was, who brought it and what became of its rows. Its readings are the sources file:<first 16 digits of sha256>:<asset id>, epoch 0, numbered from 0 in the order of the file. */
export interface Manifest {
  /** Id of the import, as the door answered it. */
  readonly id: string
  /** Door it came through: tus, sftp or folder. */
  readonly door: string
  /** Pseudonymous id of the principal, id of the device or name of the SFTP user; null for a watched folder. */
  readonly by: string | null
  /** File name as sent, without folders. */
  readonly name: string
  /** SHA-256 of the bytes, 64 hex digits. */
  readonly sha256: string
  /** Size, bytes. */
  readonly bytes: number
  /** Id of the source file that mapped its columns; null: by its header. */
  readonly mapping: string | null
  /** applied: every row was accepted or rejected by itself; refused: nothing of it was taken; failed: reading stopped after some rows. */
  readonly outcome: string
  /** Why it was refused or failed, an error code. */
  readonly code: string | null
  /** The same in words. */
  readonly message: string | null
  /** Rows read, without header and empty lines. */
  readonly rows: number
  /** Rows that are on telemetry. */
  readonly accepted: number
  /** Rows that were there before. */
  readonly duplicates: number
  /** Rows in quarantine. */
  readonly rejected: number
  /** Rejected rows by reason. */
  readonly reasons: readonly RejectedRows[]
  /** The first rejected rows, at most 20. */
  readonly firstRejected: readonly RejectedRow[]
  /** Blob (sha256:<hex>) with all rejected rows as CSV: row,code,message; null when there are none. */
  readonly rejectedList: string | null
  /** When the whole file was here, microseconds UTC. */
  readonly receivedUs: number
  /** When its last row was safe, microseconds UTC. */
  readonly finishedUs: number
}

/** What a writer of Manifest gives; a field left out takes its Avro default. */
export interface ManifestInput {
  readonly id: string
  readonly door: string
  readonly by?: string | null | undefined
  readonly name: string
  readonly sha256: string
  readonly bytes: number
  readonly mapping?: string | null | undefined
  readonly outcome: string
  readonly code?: string | null | undefined
  readonly message?: string | null | undefined
  readonly rows: number
  readonly accepted: number
  readonly duplicates: number
  readonly rejected: number
  readonly reasons?: readonly RejectedRowsInput[] | undefined
  readonly firstRejected?: readonly RejectedRowInput[] | undefined
  readonly rejectedList?: string | null | undefined
  readonly receivedUs: number
  readonly finishedUs: number
}

/** One record of topic telemetry: a block of samples, a tick or the manifest of a file. */
export interface Telemetry {
  /** block, tick or manifest; readers skip types they do not know. */
  readonly type: string
  /** Asset the block belongs to, the record key; empty for a tick. */
  readonly assetId: string
  /** Present when type = block. */
  readonly block: Block | null
  /** Present when type = tick. */
  readonly tick: Tick | null
  /** Present when type = manifest. */
  readonly manifest: Manifest | null
}

/** What a writer of Telemetry gives; a field left out takes its Avro default. */
export interface TelemetryInput {
  readonly type: string
  readonly assetId?: string | undefined
  readonly block?: BlockInput | null | undefined
  readonly tick?: TickInput | null | undefined
  readonly manifest?: ManifestInput | null | undefined
}

/** Record as read, by schema name. */
export interface Records {
  readonly actions: Actions
  readonly anomalies: Anomalies
  readonly changelog: Changelog
  readonly config: Config
  readonly devices: Devices
  readonly features: Features
  readonly models: Models
  readonly predictions: Predictions
  readonly telemetry: Telemetry
}

/** Record as written, by schema name. */
export interface RecordInputs {
  readonly actions: ActionsInput
  readonly anomalies: AnomaliesInput
  readonly changelog: ChangelogInput
  readonly config: ConfigInput
  readonly devices: DevicesInput
  readonly features: FeaturesInput
  readonly models: ModelsInput
  readonly predictions: PredictionsInput
  readonly telemetry: TelemetryInput
}

/** Schema names: the shared topics, and `changelog` for every service's private one. */
export const schemaNames = ['actions', 'anomalies', 'changelog', 'config', 'devices', 'features', 'models', 'predictions', 'telemetry'] as const
