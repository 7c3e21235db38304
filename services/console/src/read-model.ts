// The console's read model: what the log says, folded for the page. A void fact changes nothing here either: partitions of
// `actions` are folded by the same kernel that their owners use. Rebuilt from the log at every start; bounded by settings.

import { type Entry, type Incident, type State, type Step, emptyState, evolve } from '@andon/decisions'
import type { CommandDefinition, Commands, Models, Plant, Predictions } from '@andon/schemas'
import { featureChannels } from '@andon/schemas/feature-names'
import { readDoubles } from '@andon/schemas/packed'
import { AssetSeries } from './series.ts'
import { isAsking, stepView } from './step-view.ts'
import { describe } from './timeline.ts'
import type { AssetView, ClipView, ContributionView, HoldView, IncidentRow, IncidentView, Overview, Series, TimelineEntry } from './view.ts'
import { featureUnit, featureWords, statisticWords } from './words.ts'

interface NormalRange {
  readonly low: number
  readonly high: number
}

/** Incidents listed at once: what needs a person comes first, so only old closed ones fall away. */
const listed = 300
const contributionsShown = 5
const recentWindows = 60

export interface ReadModelOptions {
  /** Windows kept per asset for the trend. */
  readonly windowsPerAsset: number
  readonly now: () => number
}

export class ReadModel {
  private readonly options: ReadModelOptions
  private readonly partitions = new Map<number, State>()
  private readonly series = new Map<string, AssetSeries>()
  /** The newest prediction of each asset. */
  private readonly newest = new Map<string, Predictions>()
  private readonly normals = new Map<string, ReadonlyMap<string, NormalRange>>()
  private readonly listeners = new Set<() => void>()
  private plant: Plant | null = null
  private commands: ReadonlyMap<string, CommandDefinition> = new Map()
  /** Rises with every change; the page asks again when it does. */
  version = 0

  constructor(options: ReadModelOptions) {
    this.options = options
  }

  onPlant(plant: Plant): void {
    this.plant = plant
    this.changed()
  }

  onCommands(catalogue: Commands): void {
    this.commands = new Map(catalogue.commands.map((command) => [command.name, command]))
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
    const before = this.newest.get(assetId)
    // A window that was under way when an asset fell silent ends before the silence was noticed, and ends it all the same.
    if (before === undefined || before.type === 'unmonitored' || windowEndUs >= before.windowEndUs) this.newest.set(assetId, prediction)
    if (prediction.type === 'unmonitored') return this.changed()
    const series = this.series.get(assetId) ?? new AssetSeries(this.options.windowsPerAsset)
    this.series.set(assetId, series)
    const ratios = verdicts.filter((verdict) => verdict.role !== 'shadow' && verdict.error === null).map((verdict) => verdict.ratio)
    series.add(windowEndUs, names, readDoubles(values), ratios.length === 0 ? Number.NaN : Math.max(...ratios))
    this.changed()
  }

  /** A model that judges an asset brings the ranges it learnt; one on trial does not. */
  onModel(fact: Models): void {
    if (fact.type !== 'ModelActivated' || fact.role === 'shadow' || fact.role === 'canary') return
    const ranges = normalRanges(fact.card)
    if (ranges.size === 0) return
    this.normals.set(fact.assetId, ranges)
    this.changed()
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
      incidents: rows.toSorted(byNeed).slice(0, listed),
      holds: this.holds(),
      lines: (plant?.lines ?? []).map(({ id, name, area, controlGroup, controlSystem }) => ({
        id,
        name,
        area,
        controlGroup,
        controlSystem: controlSystem?.kind ?? null,
        simulated: controlSystem?.simulated ?? false,
      })),
      assets: (plant?.assets ?? []).map((asset) => this.asset(asset)),
      cameras: (plant?.cameras ?? []).map(({ id, name, line, sees, origin }) => ({
        id,
        name,
        lineName: this.lineName(line),
        sees: sees.map((asset) => this.assetName(asset)),
        origin,
      })),
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
      kind: incident.kind,
      openedBy: incident.openedBy,
      about: aboutOf(finding?.about),
      model:
        finding && finding.model !== ''
          ? { name: finding.model, version: finding.modelVersion, role: finding.modelRole, digest: finding.modelDigest }
          : null,
      doubts: finding?.doubts ?? [],
      peakRatio: finding?.about === 'machine' ? finding.peakRatio : null,
      faultMode: finding?.faultMode ?? null,
      isNovel: finding?.clusterIsNovel ?? false,
      contributions: (finding?.contributions ?? []).slice(0, contributionsShown).map((one): ContributionView => {
        const learnt = this.normals.get(incident.assetId ?? '')?.get(one.name)
        return {
          name: one.name,
          label: this.label(incident.assetId, one.name),
          share: one.share,
          value: one.value,
          unit: one.unit,
          low: one.normalLow ?? learnt?.low ?? null,
          high: one.normalHigh ?? learnt?.high ?? null,
        }
      }),
      recordedUs: finding?.recordedUs ?? null,
      policy: incident.policy,
      runbook: incident.runbook,
      notes: incident.notes,
      steps: stepsOf(incident, state).map((step) => {
        const { command, target } = step.proposal.command
        return stepView(step, this.commands.get(command), this.nameOf(target))
      }),
      clips: incident.evidence.flatMap((evidence) => evidence.clips.map((clip) => this.clip(clip, evidence))),
      evidencePending: incident.evidence.some((evidence) => evidence.clips.length === 0 && evidence.failure === null),
      evidenceFailure: incident.evidence.find((evidence) => evidence.failure !== null)?.failure ?? null,
      timeline: this.timeline(incident, state),
    }
  }

  trend(assetId: string, feature: string, minutes: number): Series {
    const windows = this.series.get(assetId)?.read(feature, this.options.now() * 1000 - minutes * 60e6)
    const normal = this.normals.get(assetId)?.get(feature)
    const channel = this.plant?.assets.find((asset) => asset.id === assetId)?.channels.find((one) => one.id === featureChannels(feature)[0])
    return {
      assetId,
      feature,
      label: featureWords(feature),
      unit: featureUnit(feature, channel?.unit ?? ''),
      low: normal?.low ?? null,
      high: normal?.high ?? null,
      ...(windows ?? { timesUs: [], values: [], ratios: [] }),
    }
  }

  private incidents(): { incident: Incident; state: State }[] {
    return [...this.partitions.values()].flatMap((state) => [...state.incidents.values()].map((incident) => ({ incident, state })))
  }

  private row(incident: Incident, state: State): IncidentRow {
    const asking = incident.closedUs === null ? stepsOf(incident, state).filter(isAsking) : []
    const asset = this.plant?.assets.find(({ id }) => id === incident.assetId)
    const line = this.plant?.lines.find(({ controlGroup }) => controlGroup === incident.line)
    return {
      id: incident.id,
      line: incident.line,
      lineName: line?.name ?? incident.line,
      lineSimulated: line?.controlSystem?.simulated ?? false,
      assetId: incident.assetId ?? '',
      assetName: asset?.name ?? incident.assetId ?? `${line?.name ?? incident.line}, called by a person`,
      origin: asset?.origin ?? null,
      severity: incident.severity,
      title: incident.title,
      state: asking.length > 0 ? 'needs-decision' : incident.closedUs === null ? 'open' : 'closed',
      openedUs: incident.openedUs,
      updatedUs: incident.timeline.at(-1)?.atUs ?? incident.openedUs,
      moves: asking.some((step) => ['motion', 'energy'].includes(step.proposal.command.effect)),
      decideByUs: asking.length === 0 ? null : Math.min(...asking.map((step) => step.proposal.expiresUs)),
      ratio: incident.finding?.about === 'machine' ? incident.finding.ratio : null, // of the others it is no evidence about the machine
      historical: incident.isHistorical,
    }
  }

  private clip(clip: Incident['evidence'][number]['clips'][number], evidence: Incident['evidence'][number]): ClipView {
    const camera = this.plant?.cameras.find(({ id }) => id === clip.cameraId)
    const { clipId, cameraId, fromUs, toUs, sha256, manifestSha256, bytes, gaps } = clip
    const asked = { askedFromUs: evidence.fromUs, askedToUs: evidence.toUs }
    const seen = { cameraName: camera?.name ?? cameraId, origin: camera?.origin ?? ('live' as const) }
    return { clipId, cameraId, ...seen, fromUs, toUs, ...asked, sha256, manifestSha256, bytes, gaps }
  }

  /** Newest change of a run of finding changes stands for the run. */
  private timeline(incident: Incident, state: State): TimelineEntry[] {
    const { timeline } = incident
    const titleOf = (command: string): string => this.commands.get(command)?.title ?? command
    return timeline
      .filter((entry, i) => entry.type !== 'IncidentUpdated' || timeline[i + 1]?.type !== 'IncidentUpdated')
      .map((entry) => ({ atUs: entry.atUs, type: entry.type, text: describe(entry, state, titleOf), by: entry.by }))
  }

  private holds(): HoldView[] {
    const holds = new Map<string, HoldView>()
    for (const state of this.partitions.values())
      for (const { id, scope, by, reason, atUs, isActive } of state.holds.values())
        if (isActive && !holds.has(id)) holds.set(id, { id, scope, scopeName: this.scopeName(scope), by, reason, sinceUs: atUs })
    return [...holds.values()].sort((a, b) => a.sinceUs - b.sinceUs)
  }

  private asset(asset: Plant['assets'][number]): AssetView {
    const series = this.series.get(asset.id)
    const newestUs = series?.newestUs() ?? null
    const newest = this.newest.get(asset.id)
    return {
      id: asset.id,
      name: asset.name,
      line: asset.line,
      lineName: this.lineName(asset.line),
      origin: asset.origin,
      channels: asset.channels.map((channel) => featureWords(channel.id)),
      features: series?.names ?? [],
      state: stateOf(newest, this.normals.has(asset.id)),
      regime: newest?.regime ?? null,
      suspected: (newest?.health ?? []).map(({ channel }) => featureWords(channel)),
      newestUs,
      ratio: series?.newestRatio() ?? null,
      recent: series?.recentRatios(recentWindows) ?? [],
    }
  }

  /** A feature's name; on an asset with one waveform the channel goes without saying. */
  private label(assetId: string | null, feature: string): string {
    const channels = this.plant?.assets.find((asset) => asset.id === assetId)?.channels ?? []
    return channels.length === 1 && channels[0]?.kind === 'waveform' ? statisticWords(feature) : featureWords(feature)
  }

  private assetName(id: string): string {
    return this.plant?.assets.find((asset) => asset.id === id)?.name ?? id
  }

  private lineName(id: string): string {
    return this.plant?.lines.find((line) => line.id === id)?.name ?? id
  }

  private scopeName(scope: string): string {
    return scope === '*' ? 'every line' : (this.plant?.lines.find((line) => line.controlGroup === scope)?.name ?? scope)
  }

  /** Name of a command's target, a line or an asset. */
  private nameOf(target: string): string {
    return this.plant?.assets.find((asset) => asset.id === target)?.name ?? this.scopeName(target)
  }
}

const stateOf = (newest: Predictions | undefined, isLearnt: boolean): AssetView['state'] => {
  if (newest === undefined) return 'silent'
  if (newest.type === 'unmonitored') return 'unmonitored'
  if (newest.machineOff) return 'off'
  if (newest.type === 'unscored') return 'unscored'
  return isLearnt ? 'watched' : 'learning'
}

const aboutOf = (about: string | undefined): IncidentView['about'] => (about === 'sensor' || about === 'telemetry' ? about : 'machine')

const needs: Readonly<Record<IncidentRow['state'], number>> = { 'needs-decision': 0, open: 1, closed: 2 }

/** What needs a person first, then by severity, then what would move something, then what runs out first; closed ones newest first. */
const byNeed = (a: IncidentRow, b: IncidentRow): number => {
  if (a.state !== b.state) return needs[a.state] - needs[b.state]
  if (a.state === 'closed') return b.updatedUs - a.updatedUs
  return (
    a.severity - b.severity ||
    Number(b.moves) - Number(a.moves) ||
    (a.decideByUs ?? Infinity) - (b.decideByUs ?? Infinity) ||
    a.openedUs - b.openedUs
  )
}

const stepsOf = (incident: Incident, state: State): Step[] =>
  incident.stepIds.map((id) => state.steps.get(id)).filter((step) => step !== undefined)

/** Normal ranges from a model card: 1 % and 99 % quantiles of the training windows. A card of another make has none. */
const normalRanges = (text: string): Map<string, NormalRange> => {
  const ranges = new Map<string, NormalRange>()
  let card: { features?: unknown } | null = null
  try {
    card = JSON.parse(text) as { features?: unknown } | null
  } catch {
    return ranges
  }
  if (!Array.isArray(card?.features)) return ranges
  for (const { name, q01, q99 } of card.features as { name?: unknown; q01?: unknown; q99?: unknown }[])
    if (typeof name === 'string' && typeof q01 === 'number' && typeof q99 === 'number') ranges.set(name, { low: q01, high: q99 })
  return ranges
}
