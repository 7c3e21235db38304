// What the console shows, as plain data: the shape of its HTTP answers. Shared by the server and the page; times are microseconds UTC.

export interface Person {
  readonly id: string
  readonly name: string
  readonly roles: readonly string[]
}

export interface IncidentRow {
  readonly id: string
  readonly line: string
  readonly lineName: string
  readonly assetId: string
  readonly assetName: string
  readonly severity: number
  readonly title: string
  readonly state: 'needs-decision' | 'open' | 'closed'
  readonly openedUs: number
  readonly updatedUs: number
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
  readonly params: string
  readonly effect: string
  readonly riskClass: string
  readonly commandHash: string
  readonly approvalsNeeded: number
  readonly approvals: number
  readonly roles: readonly string[]
  readonly fourEyes: boolean
  readonly status: 'awaiting-approval' | 'approved' | 'executing' | 'executed' | 'rejected' | 'expired' | 'revoked' | 'failed' | 'unknown'
  readonly proposedUs: number
  readonly expiresUs: number
  readonly escalateUs: number | null
  readonly simulated: boolean
  readonly outcome: string | null
  readonly readback: string | null
}

export interface ClipView {
  readonly clipId: string
  readonly cameraId: string
  readonly cameraName: string
  readonly fromUs: number
  readonly toUs: number
  readonly sha256: string
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
  readonly model: { name: string; version: number; role: string; digest: string } | null
  readonly doubts: readonly string[]
  readonly peakRatio: number | null
  readonly contributions: readonly ContributionView[]
  readonly recordedUs: number | null
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
  readonly by: string
  readonly reason: string
  readonly sinceUs: number
}

export interface AssetView {
  readonly id: string
  readonly name: string
  readonly line: string
  readonly origin: string
  readonly features: readonly string[]
  readonly state: 'learning' | 'watched' | 'silent'
  readonly newestUs: number | null
  readonly ratio: number | null
}

export interface Overview {
  readonly site: { id: string; name: string; timezone: string } | null
  readonly incidents: readonly IncidentRow[]
  readonly holds: readonly HoldView[]
  readonly assets: readonly AssetView[]
  readonly cameras: readonly { id: string; name: string; simulated: boolean }[]
  /** Age of the newest scored window, ms; null before the first. */
  readonly behindMs: number | null
  readonly version: number
}

export interface Series {
  readonly assetId: string
  readonly feature: string
  readonly unit: string
  readonly low: number | null
  readonly high: number | null
  readonly timesUs: readonly number[]
  readonly values: readonly (number | null)[]
  readonly ratios: readonly (number | null)[]
}
