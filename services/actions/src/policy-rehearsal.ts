// Recorded findings through the gate and the kernel in memory: what a set of documents would have planned, and which findings another
// set plans for differently. Incidents, budgets and deadlines come about as they do live; nothing is written and nothing acts.

import { decide, dueFacts, emptyState, evolve, nextDueUs, ownershipTaken, record, sign } from '@andon/decisions'
import type { State } from '@andon/decisions'
import type { Actions, Config, Finding } from '@andon/schemas'
import { decideContext } from './decide-context.ts'
import { UNASSIGNED } from './on-anomalies.ts'
import { PlantView } from './plant-view.ts'
import type { GateDecision, GateResult } from './policy.ts'

/** A finding as it lies on `anomalies`. */
export interface RecordedFinding {
  readonly type: string
  readonly finding: Finding
  /** Record time, µs UTC. */
  readonly atUs: number
}

export interface RehearsedStep {
  readonly step: string
  readonly command: string
  readonly params: string
  readonly target: string
  readonly approvals: number
  readonly roles: readonly string[]
  readonly quorum: readonly { readonly role: string; readonly people: number }[]
  readonly fourEyes: boolean
  readonly stepUp: boolean
  readonly expireMinutes: number
  readonly escalateMinutes: number | null
  /** Roles told later, and after how many minutes. */
  readonly ladder: readonly string[]
  readonly exclude: readonly string[]
}

/** What one finding led to. */
export interface Rehearsed {
  readonly policy: string | null
  readonly result: GateResult
  readonly steps: readonly RehearsedStep[]
  readonly evidence: boolean
  readonly reasons: readonly string[]
}

const OWNER = 'rehearsal'

/** Findings in order of record time, each with what the documents plan for it. Policies in shadow mode stay so. */
export const rehearse = (findings: readonly RecordedFinding[], documents: readonly Config[]): Rehearsed[] => {
  const view = new PlantView()
  for (const document of documents) view.apply(document)
  let judged: GateDecision | undefined
  const contextOf = decideContext(view, (decision) => (judged = decision))
  const lines = new Map<string, Line>()
  return findings.map(({ type, finding, atUs }) => {
    const key = view.controlGroupOf(finding.assetId) ?? UNASSIGNED
    const line = lines.get(key) ?? new Line(key, atUs)
    lines.set(key, line)
    const detail = JSON.stringify({ type })
    const fields = { by: 'clustering', assetId: finding.assetId, title: finding.title, finding, detail }
    const request = record('FindingCopied', finding.findingId, key, finding.atUs, fields)
    judged = undefined
    const facts = line.decide(request, atUs, contextOf)
    return told(facts, judged)
  })
}

/** One partition with an owner that nobody disturbs. */
class Line {
  private readonly state: State = emptyState()
  private offset = 0
  private nowUs: number

  constructor(key: string, atUs: number) {
    this.nowUs = atUs
    this.land(ownershipTaken(key, 1, OWNER, atUs))
  }

  decide(request: Actions, atUs: number, contextOf: ReturnType<typeof decideContext>): readonly Actions[] {
    for (let due = nextDueUs(this.state); due !== undefined && due <= atUs; due = nextDueUs(this.state)) {
      this.nowUs = Math.max(this.nowUs, due)
      const facts = dueFacts(this.state, contextOf(undefined, this.state, this.nowUs))
      if (facts.length === 0) break
      this.write(facts)
    }
    this.nowUs = Math.max(this.nowUs, atUs)
    this.land(request)
    if (!this.state.pending.has(request.id)) return []
    const facts = decide(request, this.state, contextOf(request, this.state, this.nowUs))
    this.write(facts)
    return facts
  }

  private write(facts: readonly Actions[]): void {
    for (const fact of sign(facts, 1, OWNER)) this.land(fact)
  }

  private land(one: Actions): void {
    evolve(this.state, { record: one, offset: this.offset++, appendedUs: this.nowUs })
  }
}

const MINUTE_US = 60_000_000

const told = (facts: readonly Actions[], judged: GateDecision | undefined): Rehearsed => {
  const steps = facts.flatMap(({ type, title, atUs, proposal }): RehearsedStep[] => {
    if (type !== 'StepProposed' || !proposal) return []
    const minutes = (us: number): number => (us - atUs) / MINUTE_US
    const { command, approvalsNeeded, roles, quorum, fourEyes, stepUp, expiresUs, escalateUs, ladder, exclude } = proposal
    return [
      {
        step: title ?? '',
        command: command.command,
        params: command.params,
        target: command.target,
        approvals: approvalsNeeded,
        roles,
        quorum,
        fourEyes,
        stepUp,
        expireMinutes: minutes(expiresUs),
        escalateMinutes: escalateUs === null ? null : minutes(escalateUs),
        ladder: ladder.map((rung) => `${rung.tell} after ${minutes(rung.atUs)} min`),
        exclude,
      },
    ]
  })
  const opened = facts.find(({ type }) => type === 'IncidentOpened')
  const { notes = [] } = JSON.parse(opened?.detail ?? '{}') as { notes?: string[] }
  const refusals = facts.flatMap(({ refusal }) => (refusal ? [refusal.message] : []))
  const isOnlyUpdate = steps.length === 0 && facts.some(({ type }) => type === 'IncidentUpdated')
  return {
    policy: judged?.policy ?? null,
    result: judged?.result ?? 'none',
    steps,
    evidence: facts.some(({ type }) => type === 'EvidenceOrdered'),
    reasons: [
      ...(judged?.reasons ?? []),
      ...notes.filter((note) => !note.startsWith('doubt: ')),
      ...refusals,
      ...(isOnlyUpdate ? ['the incident is open: its steps were proposed before, or its episode is over'] : []),
    ],
  }
}

/** A finding that two sets of documents plan for differently. */
export interface PlanDifference {
  readonly findingId: string
  readonly assetId: string
  readonly type: string
  readonly severity: number
  readonly atUs: number
  readonly title: string
  readonly before: Rehearsed
  readonly after: Rehearsed
  /** In words: what is different, and the reasons that only one of both gives. */
  readonly why: readonly string[]
}

/** Findings with another plan. That another policy plans the very same is none; that other people decide is one. */
export const planDifferences = (
  findings: readonly RecordedFinding[],
  before: readonly Rehearsed[],
  after: readonly Rehearsed[],
): PlanDifference[] =>
  findings.flatMap(({ type, finding, atUs }, i) => {
    const [was, is] = [before[i], after[i]]
    if (!was || !is || effectOf(was) === effectOf(is)) return []
    const { findingId, assetId, severity, title } = finding
    return [{ findingId, assetId, type, severity, atUs, title, before: was, after: is, why: whyDifferent(was, is) }]
  })

const effectOf = ({ steps, evidence }: Rehearsed): string => JSON.stringify([steps, evidence])

const whyDifferent = (before: Rehearsed, after: Rehearsed): string[] => {
  const why: string[] = []
  if (before.policy !== after.policy) why.push(`${before.policy ?? 'no policy'} planned, ${after.policy ?? 'no policy'} does now`)
  const steps = (of: Rehearsed) => new Map(of.steps.map((step) => [step.step, step]))
  const [was, is] = [steps(before), steps(after)]
  for (const name of was.keys()) if (!is.has(name)) why.push(`step ${name} is gone`)
  for (const [name, step] of is) {
    const old = was.get(name)
    if (!old) why.push(`step ${name} is new`)
    else why.push(...changesOf(name, old, step))
  }
  if (before.evidence !== after.evidence) why.push(after.evidence ? 'video is kept now' : 'no video is kept any more')
  for (const reason of after.reasons) if (!before.reasons.includes(reason)) why.push(`now: ${reason}`)
  for (const reason of before.reasons) if (!after.reasons.includes(reason)) why.push(`before: ${reason}`)
  return why
}

const changesOf = (name: string, before: RehearsedStep, after: RehearsedStep): string[] =>
  (Object.keys(after) as (keyof RehearsedStep)[])
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
    .map((key) => `step ${name}: ${key} ${JSON.stringify(before[key])} → ${JSON.stringify(after[key])}`)
