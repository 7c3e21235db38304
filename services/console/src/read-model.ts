// The console's read model: what the log says, folded for the page. A void fact changes nothing here either: partitions of
// `actions` are folded by the same kernel that their owners use. Rebuilt from the log at every start; bounded by settings.

import { type Entry, type Incident, type State, type Step, emptyState, evolve } from '@andon/decisions'
import type { Models, Plant, Predictions } from '@andon/schemas'
import { AssetSeries } from './series.ts'
import { describe } from './timeline.ts'
import type { AssetView, ClipView, ContributionView, HoldView, IncidentRow, IncidentView, Overview, Series, StepView } from './view.ts'

interface NormalRange {
  readonly low: number
  readonly high: number
}

export interface ReadModelOptions {
  /** Windows kept per asset for the trend. */
  readonly windowsPerAsset: number
  readonly now: () => number
}

export class ReadModel {
  private readonly options: ReadModelOptions
  private readonly partitions = new Map<number, State>()
  private readonly series = new Map<string, AssetSeries>()
  private readonly normals = new Map<string, ReadonlyMap<string, NormalRange>>()
  private readonly listeners = new Set<() => void>()
  private plant: Plant | null = null
  /** Rises with every change; the page asks again when it does. */
  version = 0

  constructor(options: ReadModelOptions) {
    this.options = options
  }

  onPlant(plant: Plant): void {
    this.plant = plant
    this.changed()
  }

  onAction(partition: number, entry: Entry): void {
    const state = this.partitions.get(partition) ?? emptyState()
    this.partitions.set(partition, state)
    evolve(state, entry)
    this.changed()
  }

  onPrediction(prediction: Predictions): void {
    const { assetId, names, values, windowEndUs, verdicts } = prediction
    const series = this.series.get(assetId) ?? new AssetSeries(this.options.windowsPerAsset)
    this.series.set(assetId, series)
    const columns = new Float64Array(names.length)
    for (let i = 0; i < names.length; i++)
      columns[i] =
        values.length >= 8 * (i + 1) ? Buffer.from(values.buffer, values.byteOffset, values.length).readDoubleLE(8 * i) : Number.NaN
    const ratios = verdicts.filter((verdict) => verdict.role !== 'shadow' && verdict.error === null).map((verdict) => verdict.ratio)
    series.add(windowEndUs, names, columns, ratios.length === 0 ? Number.NaN : Math.max(...ratios))
    this.changed()
  }

  onModel(fact: Models): void {
    if (fact.type !== 'ModelActivated' && fact.type !== 'ModelRegistered') return
    const ranges = normalRanges(fact)
    if (ranges.size > 0) this.normals.set(fact.assetId, ranges)
  }

  /** Calls back after each change; returns how to stop. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private changed(): void {
    this.version++
    for (const listener of this.listeners) listener()
  }

  overview(): Overview {
    const { plant } = this
    const nowMs = this.options.now()
    const rows = this.incidents().map((found) => this.row(found.incident, found.state))
    const newest = Math.max(...[...this.series.values()].map((series) => series.newestUs() ?? -Infinity), -Infinity)
    return {
      site: plant?.site ?? null,
      incidents: rows.sort(byNeed).slice(0, 300),
      holds: this.holds(),
      assets: (plant?.assets ?? []).map((asset) => this.asset(asset)),
      cameras: (plant?.cameras ?? []).map((camera) => ({ id: camera.id, name: camera.name, simulated: camera.origin === 'simulated' })),
      behindMs: newest === -Infinity ? null : Math.max(0, nowMs - newest / 1000),
      version: this.version,
    }
  }

  /** Undefined when the log names no such incident. */
  incident(id: string): IncidentView | undefined {
    const found = this.incidents().find(({ incident }) => incident.id === id)
    if (!found) return undefined
    const { incident, state } = found
    const { finding } = incident
    return {
      ...this.row(incident, state),
      model: finding && { name: finding.model, version: finding.modelVersion, role: finding.modelRole, digest: finding.modelDigest },
      doubts: finding?.doubts ?? [],
      peakRatio: finding?.peakRatio ?? null,
      contributions: (finding?.contributions ?? []).slice(0, 5).map((c): ContributionView => {
        const learnt = this.normals.get(incident.assetId ?? '')?.get(c.name)
        return {
          name: c.name,
          label: labelOf(c.name),
          share: c.share,
          value: c.value,
          unit: c.unit,
          low: c.normalLow ?? learnt?.low ?? null,
          high: c.normalHigh ?? learnt?.high ?? null,
        }
      }),
      recordedUs: finding?.recordedUs ?? null,
      steps: stepsOf(incident, state).map((step) => stepView(step)),
      clips: incident.evidence
        .flatMap((evidence) => evidence.clips ?? [])
        .map((clip): ClipView => ({
          ...clip,
          gaps: clip.gaps ?? [],
          cameraName: this.plant?.cameras.find((camera) => camera.id === clip.cameraId)?.name ?? clip.cameraId,
        })),
      evidencePending: incident.evidence.some((evidence) => (evidence.clips ?? []).length === 0 && (evidence.failure ?? null) === null),
      evidenceFailure: incident.evidence.map((evidence) => evidence.failure ?? null).find((failure) => failure !== null) ?? null,
      timeline: incident.timeline.map((entry) => ({ atUs: entry.atUs, type: entry.type, text: describe(entry, state), by: entry.by })),
    }
  }

  trend(assetId: string, feature: string, minutes: number): Series {
    const windows = this.series.get(assetId)?.read(feature, this.options.now() * 1000 - minutes * 60e6) ?? {
      timesUs: [],
      values: [],
      ratios: [],
    }
    const normal = this.normals.get(assetId)?.get(feature)
    const channel = this.plant?.assets.find((asset) => asset.id === assetId)?.channels.find((c) => feature.startsWith(`${c.id}.`))
    const isUnitless = /\.(kurtosis|crest)$/.test(feature)
    return {
      assetId,
      feature,
      unit: isUnitless ? '' : (channel?.unit ?? ''),
      low: normal?.low ?? null,
      high: normal?.high ?? null,
      ...windows,
    }
  }

  private incidents(): { incident: Incident; state: State }[] {
    return [...this.partitions.values()].flatMap((state) => [...state.incidents.values()].map((incident) => ({ incident, state })))
  }

  private row(incident: Incident, state: State): IncidentRow {
    const waiting = stepsOf(incident, state).filter((step) => step.status === 'awaiting-approval')
    const asset = this.plant?.assets.find(({ id }) => id === incident.assetId)
    return {
      id: incident.id,
      line: incident.line,
      lineName: this.plant?.lines.find((line) => (line.controlGroup ?? line.id) === incident.line)?.name ?? incident.line,
      assetId: incident.assetId ?? '',
      assetName: asset?.name ?? incident.assetId ?? 'raised by a person',
      severity: incident.severity,
      title: incident.title,
      state: waiting.length > 0 ? 'needs-decision' : incident.closedUs === null ? 'open' : 'closed',
      openedUs: incident.openedUs,
      updatedUs: incident.timeline.at(-1)?.atUs ?? incident.openedUs,
      decideByUs: waiting.length === 0 ? null : Math.min(...waiting.map((step) => step.proposal.expiresUs)),
      ratio: incident.finding?.ratio ?? null,
      historical: incident.isHistorical,
    }
  }

  private holds(): HoldView[] {
    const holds = new Map<string, HoldView>()
    for (const state of this.partitions.values())
      for (const hold of state.holds.values())
        if (hold.isActive && !holds.has(hold.id))
          holds.set(hold.id, { id: hold.id, scope: hold.scope, by: hold.by, reason: hold.reason, sinceUs: hold.atUs })
    return [...holds.values()].sort((a, b) => a.sinceUs - b.sinceUs)
  }

  private asset(asset: Plant['assets'][number]): AssetView {
    const series = this.series.get(asset.id)
    const newestUs = series?.newestUs() ?? null
    const state = newestUs === null ? 'silent' : this.normals.has(asset.id) ? 'watched' : 'learning'
    return {
      id: asset.id,
      name: asset.name,
      line: asset.line,
      origin: asset.origin,
      features: series?.names ?? [],
      state,
      newestUs,
      ratio: series?.newestRatio() ?? null,
    }
  }
}

const needs: Readonly<Record<IncidentRow['state'], number>> = { 'needs-decision': 0, open: 1, closed: 2 }

const byNeed = (a: IncidentRow, b: IncidentRow): number =>
  needs[a.state] - needs[b.state] || (a.state === 'closed' ? b.updatedUs - a.updatedUs : a.severity - b.severity || b.openedUs - a.openedUs)

const stepsOf = (incident: Incident, state: State): Step[] =>
  incident.stepIds.map((id) => state.steps.get(id)).filter((step) => step !== undefined)

const stepView = (step: Step): StepView => {
  const { proposal } = step
  const { command } = proposal
  return {
    id: step.id,
    command: command.command,
    title: titles[command.command] ?? command.command,
    target: command.target,
    params: command.params,
    effect: command.effect,
    riskClass: command.riskClass,
    commandHash: command.commandHash,
    approvalsNeeded: proposal.approvalsNeeded,
    approvals: step.approvals.length,
    roles: proposal.roles ?? [],
    fourEyes: proposal.fourEyes ?? false,
    status: statusOf(step),
    proposedUs: step.proposedUs,
    expiresUs: proposal.expiresUs,
    escalateUs: proposal.escalateUs ?? null,
    simulated: proposal.simulated ?? false,
    outcome: step.status === 'executed' || step.note === '' ? null : step.note,
    readback: step.status === 'executed' && step.note !== '' ? step.note : null,
  }
}

const titles: Readonly<Record<string, string>> = {
  'line.pause': 'Pause the line at the next safe point',
  'notify.technicians': 'Tell the technicians on call',
  'inspection.create': 'Create an inspection job',
}

const statusOf = (step: Step): StepView['status'] => {
  if (step.open) return 'executing'
  switch (step.status) {
    case 'unsure':
      return 'unknown'
    case 'refused-by-target':
    case 'not-executed':
      return 'failed'
    case 'approved':
      return 'approved'
    default:
      return step.status
  }
}

/** vibrationG.bandRms[2000-3000] → "vibration band RMS 2000-3000"; kept close to the name so that it can be found again. */
export const labelOf = (name: string): string =>
  name
    .replace('.', ' ')
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()

/** Normal ranges from a model card: 1 % and 99 % quantiles of the training windows per feature. */
const normalRanges = (fact: Models): Map<string, NormalRange> => {
  const ranges = new Map<string, NormalRange>()
  const card = JSON.parse(fact.card ?? '{}') as { q01?: number[]; q99?: number[] }
  for (const [i, name] of (fact.features ?? []).entries()) {
    const [low, high] = [card.q01?.[i], card.q99?.[i]]
    if (low !== undefined && high !== undefined) ranges.set(name, { low, high })
  }
  return ranges
}
