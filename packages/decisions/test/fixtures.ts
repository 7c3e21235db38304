// A press line, its commands and a policy's plan, for tests of the kernel.

import type { Actions, DecisionInput, Finding } from '@andon/schemas'
import { record } from '../src/index.ts'
import type { CommandRule, DecideContext, Plan } from '../src/index.ts'

export const LINE = 'press-line'
export const T0 = 1_790_000_000_000_000
export const SECOND = 1_000_000
export const MINUTE = 60 * SECOND

const command = (name: string, fields: Partial<CommandRule>): CommandRule => ({
  name,
  title: name,
  executor: 'job',
  target: { kind: 'line' },
  effect: 'none',
  class: 'ii',
  riskClass: 'low',
  params: {},
  simulated: true,
  ...fields,
})

export const commands: ReadonlyMap<string, CommandRule> = new Map(
  [
    command('line.pause', {
      executor: 'opcua',
      effect: 'motion',
      riskClass: 'high',
      params: { reviewMinutes: { type: 'integer', min: 1, max: 480, default: 45 } },
    }),
    command('notify.technicians', { executor: 'notify', effect: 'notify' }),
    command('inspection.create', {
      target: { kind: 'asset' },
      params: { priority: { type: 'string', enum: ['high', 'normal'], default: 'high' } },
    }),
  ].map((one) => [one.name, one]),
)

export const pause = {
  step: 'pause',
  command: 'line.pause',
  params: { reviewMinutes: 45 },
  approvals: 1,
  roles: ['shift-lead', 'operator'],
  fourEyes: true,
  expireMinutes: 15,
  escalateMinutes: 5,
} as const

export const planOf = (fields: Partial<Plan> = {}): Plan => ({
  policy: 'policies/press-vibration',
  policyDigest: 'd1',
  lineId: LINE,
  steps: [
    { step: 'inspection', command: 'inspection.create', approvals: 0 },
    { step: 'notify', command: 'notify.technicians', approvals: 0 },
    pause,
  ],
  evidence: { cameraIds: ['cam-1'], beforeS: 10, afterS: 5 },
  doubts: [],
  budgetPerHour: 12,
  runbook: null,
  ...fields,
})

export const contextAt = (atUs: number, fields: Partial<DecideContext> = {}): DecideContext => ({
  atUs,
  commands,
  plan: planOf(),
  ...fields,
})

export const findingOf = (fields: Partial<Finding> = {}): Finding => ({
  findingId: 'f-1',
  episodeId: 'e-1',
  assetId: 'press-1',
  transition: 'opened',
  severity: 2,
  ratio: 1.6,
  peakRatio: 1.6,
  openedUs: T0,
  atUs: T0,
  openingVectorId: 'v-1',
  vectorId: 'v-1',
  predictionId: 'p-1',
  model: 'm',
  modelVersion: 1,
  modelDigest: 'd',
  modelRole: 'champion',
  detectorSet: 's',
  contributions: [],
  clusterId: null,
  clusterIsNovel: false,
  faultMode: null,
  doubts: [],
  historical: false,
  recordedUs: null,
  title: 'Vibration of press-1 is 1.6 times its line',
  about: 'machine',
  faultModeId: null,
  pValue: null,
  regime: null,
  sources: [],
  nearest: [],
  precedent: null,
  ...fields,
})

export const copied = (finding: Finding = findingOf(), atUs = T0): Actions =>
  record('FindingCopied', finding.findingId, LINE, atUs, { assetId: finding.assetId, finding })

export const deciding = (
  verdict: 'approve' | 'reject' | 'revoke',
  stepId: string,
  hash: string,
  by = 'p-operator',
  fields: { id?: string; roles?: string[]; atUs?: number; reason?: string } = {},
): Actions => {
  const decision: DecisionInput = { verdict, reason: fields.reason ?? 'looked at it', commandHash: hash }
  const type = { approve: 'ApproveRequested', reject: 'RejectRequested', revoke: 'RevokeRequested' }[verdict]
  return record(type, fields.id ?? `${verdict}-${stepId}-${by}`, LINE, fields.atUs ?? T0, {
    by,
    roles: fields.roles ?? ['operator'],
    stepId,
    decision,
  })
}

export const holding = (holdId: string, scope = '*', atUs = T0): Actions =>
  record('HoldRequested', holdId, LINE, atUs, {
    by: 'p-lead',
    roles: ['shift-lead'],
    hold: { holdIds: [holdId], scope, reason: 'somebody is in the cell' },
  })

export const lifting = (id: string, holdIds: string[], atUs = T0, detail: string | null = null): Actions =>
  record('HoldLiftRequested', id, LINE, atUs, {
    by: 'p-lead',
    roles: ['shift-lead'],
    hold: { holdIds, scope: '*', reason: 'cell is empty' },
    detail,
  })
