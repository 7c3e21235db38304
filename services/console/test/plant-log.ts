// The demo plant's log in memory, for tests of the console: its own documents, facts decided by the kernel that owners use,
// windows as inference writes them. Feeds a read model and keeps the clock.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { decide, dueFacts, emptyState, evolve, executing, outcome, ownershipTaken, record, sign } from '@andon/decisions'
import type { DecideContext, Outcome, Plan, Step, Verdict } from '@andon/decisions'
import { parseCommands, parsePlant } from '@andon/schemas'
import type { Actions, Clip, Contribution, Finding, Models, Predictions } from '@andon/schemas'
import { ReadModel } from '../src/read-model.ts'

const file = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../examples/steel-plant/${name}`, import.meta.url)), 'utf8')
const plant = parsePlant(file('plant.yaml'))
const catalogue = parseCommands(file('commands.yaml'))

export const line = 'press-line'
export const asset = 'press-1'
export const second = 1_000_000
/** Partition of `actions` that the line's records are in. */
const partition = 9

const names = ['vibrationG.rms', 'vibrationG.kurtosis', 'vibrationG.bandRms2000to3000Hz']
/** As services/inference/src/models/model-card.ts writes it. */
const card = {
  method: 'test',
  training: { fromUs: 0, toUs: 1, rows: 300, rowsTrimmed: 0, source: 'commissioning' },
  limits: { t2: 1, spe: 1, components: 2 },
  features: [
    { name: 'vibrationG.rms', mean: 0.062, std: 0.001, q01: 0.06, q99: 0.0648, use: 'used' },
    { name: 'vibrationG.kurtosis', mean: 3.4, std: 0.2, q01: 3.04, q99: 3.67, use: 'used' },
    { name: 'vibrationG.bandRms2000to3000Hz', mean: 0.041, std: 0.001, q01: 0.0379, q99: 0.0442, use: 'used' },
  ],
}

/** What examples/steel-plant/policies/press-vibration.yaml plans. */
export const pausePlan: Plan = {
  policy: 'policies/press-vibration',
  policyDigest: 'd1',
  lineId: line,
  steps: [
    { step: 'notify', command: 'notify.technicians', approvals: 0 },
    {
      step: 'pause',
      command: 'line.pause',
      params: { reviewMinutes: 45 },
      approvals: 1,
      roles: ['shift-lead', 'operator'],
      fourEyes: true,
      expireMinutes: 15,
      escalateMinutes: 5,
    },
  ],
  evidence: { cameraIds: ['cam-press-front', 'cam-press-rear'], beforeS: 10, afterS: 5 },
  doubts: [],
  budgetPerHour: 12,
  runbook: 'docs/runbooks/press-vibration.md',
}

const contribution = (name: string, share: number, value: number, unit: string): Contribution => ({
  name,
  channel: 'vibrationG',
  share,
  value,
  unit,
  normalLow: null,
  normalHigh: null,
})

export class PlantLog {
  readonly model: ReadModel
  private readonly state = emptyState()
  private offset = 0
  private epoch = 0
  private owner = ''
  nowUs: number

  constructor(nowUs = Date.now() * 1000) {
    this.nowUs = nowUs
    this.model = new ReadModel({ windowsPerAsset: 600, now: () => this.nowUs / 1000 })
    this.model.onPlant(plant)
    this.model.onCommands(catalogue)
    this.take('owner-1')
  }

  take(owner: string): void {
    this.epoch = this.state.highestEpoch + 1
    this.owner = owner
    this.land(ownershipTaken(line, this.epoch, owner, this.nowUs))
  }

  /** Puts a record on the log as it is, for the owner and for the console alike. */
  land(one: Actions, appendedUs = this.nowUs): Verdict {
    const entry = { record: one, offset: this.offset++, appendedUs }
    this.model.onAction(partition, entry)
    return evolve(this.state, entry)
  }

  write(facts: readonly Actions[]): void {
    for (const one of sign(facts, this.epoch, this.owner)) this.land(one)
  }

  context(plan: Plan | null = pausePlan): DecideContext {
    return { atUs: this.nowUs, plan, commands: new Map(catalogue.commands.map((command) => [command.name, command])) }
  }

  /** Appends a request; the owner decides it at once. */
  ask(request: Actions, plan?: Plan | null): Actions[] {
    this.land(request)
    const facts = decide(request, this.state, this.context(plan))
    this.write(facts)
    return facts
  }

  wait(us: number): void {
    this.nowUs += us
    for (let facts = dueFacts(this.state, this.context()); facts.length > 0; facts = dueFacts(this.state, this.context())) this.write(facts)
  }

  step(command: string, incidentId?: string): Step {
    const found = [...this.state.steps.values()].find(
      (step) => step.proposal.command.command === command && (incidentId === undefined || step.incidentId === incidentId),
    )
    if (!found) throw new Error(`no step ${command}`)
    return found
  }

  intend(command: string): void {
    this.write([executing(this.step(command), 10_000, this.nowUs)])
  }

  settle(command: string, kind: Outcome, readback: string): void {
    this.write([outcome(this.step(command), kind, 'answer', readback, null, this.nowUs)])
  }

  /** A finding on the press; returns its incident's id. */
  finding(episode = 'e-1', fields: Partial<Finding> = {}, plan: Plan | null = pausePlan): string {
    const finding: Finding = {
      findingId: `f-${episode}-${this.offset}`,
      episodeId: episode,
      assetId: asset,
      transition: 'opened',
      severity: 2,
      ratio: 6.31,
      peakRatio: 7.2,
      openedUs: this.nowUs,
      atUs: this.nowUs,
      openingVectorId: 'v-1',
      vectorId: 'v-1',
      predictionId: 'p-1',
      model: 't2spe.press-1',
      modelVersion: 1,
      modelDigest: 'aa11',
      modelRole: 'champion',
      detectorSet: 's',
      contributions: [
        contribution('vibrationG.bandRms2000to3000Hz', 0.62, 0.279, 'g'),
        contribution('vibrationG.rms', 0.21, 0.3, 'g'),
        contribution('vibrationG.kurtosis', 0.12, 8.1, '1'),
      ],
      clusterId: null,
      clusterIsNovel: true,
      faultMode: null,
      about: 'machine',
      faultModeId: null,
      pValue: null,
      regime: null,
      sources: [],
      nearest: [],
      precedent: null,
      doubts: [],
      historical: false,
      recordedUs: null,
      title: 'Press 1 main drive: vibration band 2000-3000 Hz 6.3 × its normal limit',
      ...fields,
    }
    const request = record('FindingCopied', finding.findingId, line, this.nowUs, { assetId: finding.assetId, finding })
    const opened = this.ask(request, plan).find((one) => one.incidentId !== null)
    return opened?.incidentId ?? ''
  }

  decide(verdict: 'approve' | 'reject' | 'revoke', stepId: string, commandHash: string, reason = '', by = 'p-operator'): Actions[] {
    const type = { approve: 'ApproveRequested', reject: 'RejectRequested', revoke: 'RevokeRequested' }[verdict]
    const decision = { verdict, reason, commandHash }
    return this.ask(record(type, `${verdict}-${this.offset}`, line, this.nowUs, { by, roles: ['operator'], stepId, decision }))
  }

  hold(id: string, scope: string, reason: string, by = 'p-lead'): void {
    const hold = { holdIds: [id], scope, reason }
    this.ask(record('HoldRequested', id, line, this.nowUs, { by, roles: ['shift-lead'], hold }))
  }

  lift(id: string, reason: string, by = 'p-lead'): void {
    const hold = { holdIds: [id], scope: '*', reason }
    this.ask(record('HoldLiftRequested', `lift-${this.offset}`, line, this.nowUs, { by, roles: ['shift-lead'], hold }))
  }

  /** Stores clips for the order of an incident, as video reports them. */
  store(incidentId: string, clips: readonly Pick<Clip, 'clipId' | 'cameraId' | 'bytes' | 'sha256'>[]): void {
    const order = this.state.incidents.get(incidentId)?.evidence[0]
    if (!order) throw new Error('no evidence was ordered')
    const { fromUs, toUs } = order
    const stored = clips.map((clip) => ({ ...clip, fromUs, toUs, uri: `sha256:${clip.sha256}`, manifestSha256: 'b'.repeat(64), gaps: [] }))
    const evidence = { ...order, clips: stored }
    this.ask(record('EvidenceStored', `stored-${this.offset}`, line, this.nowUs, { by: 'video', incidentId, evidence }))
  }

  /** One scored window a second up to now; from `hotFromUs` on it leaves its normal. */
  windows(count: number, hotFromUs = Infinity, assetId = asset): void {
    for (let i = count - 1; i >= 0; i--) {
      const windowEndUs = this.nowUs - i * second
      const grown = windowEndUs < hotFromUs ? 0 : Math.min(1, (windowEndUs - hotFromUs) / (20 * second))
      const wobble = Math.sin(windowEndUs / 3e6)
      const values = [0.062 + wobble * 0.001 + grown * 0.24, 3.4 + wobble * 0.1 + grown * 4.7, 0.041 + wobble * 0.001 + grown * 0.24]
      this.model.onPrediction(prediction(assetId, windowEndUs, values, 0.4 + grown * 6))
    }
  }
}

export const modelFact = (fields: Partial<Models> = {}): Models => ({
  type: 'ModelActivated',
  model: 't2spe.press-1',
  version: 1,
  kind: 'onnx',
  assetId: asset,
  featureSet: 'features/press-vibration',
  featureSetDigest: 'd',
  digest: 'aa11',
  uri: 'sha256:aa11',
  role: 'champion',
  features: names,
  card: JSON.stringify(card),
  effectiveFromUs: 0,
  by: 'inference',
  assetClass: '',
  requestId: null,
  reason: '',
  atUs: 0,
  ...fields,
})

const packed = (values: readonly number[]): Buffer => Buffer.from(Float64Array.from(values).buffer)

export const prediction = (assetId: string, windowEndUs: number, values: readonly number[], ratio: number): Predictions => ({
  type: 'verdicts',
  assetId,
  predictionId: `p-${windowEndUs}`,
  vectorId: `v-${windowEndUs}`,
  featureSet: 'features/press-vibration',
  featureSetDigest: 'd',
  windowStartUs: windowEndUs - second,
  windowEndUs,
  revision: 1,
  names,
  values: packed(values),
  verdicts: [
    {
      model: 't2spe.press-1',
      version: 1,
      digest: 'aa11',
      role: 'champion',
      score: ratio,
      ratio,
      contributionNames: names,
      contributions: packed([1, 0, 0]),
      inDomain: true,
      error: null,
      provider: '',
    },
  ],
  complete: true,
  missing: [],
  historical: false,
  recordedStartUs: null,
  quality: 'good',
  regime: null,
  machineOff: false,
  health: [],
  baselineEpochUs: null,
  embeddings: [],
  remaining: [],
})
