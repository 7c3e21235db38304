// What the console shows, as plain data: the shape of its HTTP answers. Shared by the server and the page; times are microseconds UTC.

export interface Person {
  readonly id: string
  readonly name: string
  readonly roles: readonly string[]
}

/** Where data or pictures come from; said wherever they are shown. */
export type Origin = 'simulated' | 'recording' | 'live'

export interface IncidentRow {
  readonly id: string
  readonly line: string
  readonly lineName: string
  readonly lineSimulated: boolean
  readonly assetId: string
  readonly assetName: string
  /** Null for an incident that names no asset of the plant file. */
  readonly origin: Origin | null
  readonly severity: number
  readonly title: string
  readonly state: 'needs-decision' | 'open' | 'closed'
  readonly openedUs: number
  readonly updatedUs: number
  /** True when a step that would move or stop something waits for a person. */
  readonly moves: boolean
  /** Earliest expiry among the steps that wait for a person. */
  readonly decideByUs: number | null
  readonly ratio: number | null
  readonly historical: boolean
}

export interface ContributionView {
  readonly name: string
  readonly label: string
  readonly share: number
  readonly value: number
  readonly unit: string
  readonly low: number | null
  readonly high: number | null
}

export interface StepView {
  readonly id: string
  readonly command: string
  readonly title: string
  readonly target: string
  readonly targetName: string
  /** JSON text. */
  readonly params: string
  readonly effect: string
  readonly riskClass: string
  readonly commandHash: string
  /** Stays as it is until a person and the control system's own reset end it. */
  readonly latched: boolean
  /** What stopping endangers; null when the catalogue names nothing. */
  readonly hazardOfStop: string | null
  readonly preconditions: readonly string[]
  /** State that proves the effect, and how soon it must be read. */
  readonly readBack: { readonly state: string; readonly withinMs: number } | null
  readonly reviewMinutes: number | null
  /** When a done, latched effect is to be looked at again. */
  readonly reviewUs: number | null
  readonly approvalsNeeded: number
  readonly approvals: number
  /** Who approved: named once the step no longer waits, so that nobody's word leads another's. */
  readonly approvedBy: readonly string[]
  readonly roles: readonly string[]
  readonly fourEyes: boolean
  readonly proposedBy: string
  readonly policy: string
  readonly status:
    | 'awaiting-approval'
    | 'asks-again'
    | 'approved'
    | 'executing'
    | 'executed'
    | 'rejected'
    | 'expired'
    | 'revoked'
    | 'refused'
    | 'not-done'
  readonly proposedUs: number
  readonly endedUs: number | null
  readonly expiresUs: number
  readonly escalateUs: number | null
  readonly escalated: boolean
  readonly simulated: boolean
  /** What is known of the last attempt or why the step ended, in words; null when nothing is. */
  readonly note: string | null
}

export interface ClipView {
  readonly clipId: string
  readonly cameraId: string
  readonly cameraName: string
  readonly origin: Origin
  readonly fromUs: number
  readonly toUs: number
  readonly askedFromUs: number
  readonly askedToUs: number
  readonly sha256: string
  readonly manifestSha256: string
  readonly bytes: number
  readonly gaps: readonly string[]
}

export interface TimelineEntry {
  readonly atUs: number
  readonly type: string
  readonly text: string
  readonly by: string
}

export interface IncidentView extends IncidentRow {
  readonly kind: 'finding' | 'call'
  readonly openedBy: string
  /** What is at fault: the machine, one of its sensors, or telemetry itself. */
  readonly about: 'machine' | 'sensor' | 'telemetry'
  /** Null when no model judged: a call, a limit, what vectors say themselves. */
  readonly model: { name: string; version: number; role: string; digest: string } | null
  readonly doubts: readonly string[]
  readonly peakRatio: number | null
  /** Name a person gave to this behaviour. */
  readonly faultMode: string | null
  /** True when no known behaviour was near. */
  readonly isNovel: boolean
  readonly contributions: readonly ContributionView[]
  readonly recordedUs: number | null
  readonly policy: string | null
  readonly runbook: string | null
  readonly notes: readonly string[]
  readonly steps: readonly StepView[]
  readonly clips: readonly ClipView[]
  /** Ordered, not stored yet. */
  readonly evidencePending: boolean
  readonly evidenceFailure: string | null
  readonly timeline: readonly TimelineEntry[]
}

export interface HoldView {
  readonly id: string
  readonly scope: string
  readonly scopeName: string
  readonly by: string
  readonly reason: string
  readonly sinceUs: number
}

export interface LineView {
  readonly id: string
  readonly name: string
  readonly controlGroup: string
  readonly area: string
  /** Kind of the control system, null when the line takes no commands. */
  readonly controlSystem: string | null
  readonly simulated: boolean
}

export interface AssetView {
  readonly id: string
  readonly name: string
  readonly line: string
  readonly lineName: string
  readonly origin: Origin
  readonly channels: readonly string[]
  readonly features: readonly string[]
  /** `silent`: nothing was ever received; `unmonitored`: nothing comes any more; `off`: the machine is off; `unscored`: no model answers. */
  readonly state: 'learning' | 'watched' | 'off' | 'unmonitored' | 'unscored' | 'silent'
  /** Operating regime of the newest window. */
  readonly regime: string | null
  /** Channels whose sensor is suspected. */
  readonly suspected: readonly string[]
  readonly newestUs: number | null
  readonly ratio: number | null
  /** Evidence of the last windows, oldest first; null where none was scored. */
  readonly recent: readonly (number | null)[]
}

export interface CameraView {
  readonly id: string
  readonly name: string
  readonly lineName: string
  readonly sees: readonly string[]
  readonly origin: Origin
}

export interface Overview {
  readonly site: { id: string; name: string; timezone: string } | null
  readonly incidents: readonly IncidentRow[]
  readonly holds: readonly HoldView[]
  readonly lines: readonly LineView[]
  readonly assets: readonly AssetView[]
  readonly cameras: readonly CameraView[]
  /** Age of the newest scored window, ms; null before the first. */
  readonly behindMs: number | null
  readonly version: number
}

export interface Series {
  readonly assetId: string
  readonly feature: string
  readonly label: string
  readonly unit: string
  readonly low: number | null
  readonly high: number | null
  readonly timesUs: readonly number[]
  readonly values: readonly (number | null)[]
  readonly ratios: readonly (number | null)[]
}
