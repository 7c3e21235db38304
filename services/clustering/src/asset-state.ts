// What clustering remembers per asset, and its encoding: one self-contained JSON snapshot per asset. Bounded: windows,
// clusters and closed episodes are capped.

import type { AcceptedLevel } from './accepted-level.ts'
import type { KeyedState, Order } from '@andon/kit'
import { AssetDetector } from './asset-detector.ts'
import { Beside } from './beside-episodes.ts'
import type { SavedBeside } from './beside-episodes.ts'
import type { SavedDetector } from './asset-detector.ts'
import { quietMachine } from './episode.ts'
import type { Episode, Machine, TransitionKind } from './episode.ts'
import { ClassState } from './class-summaries.ts'
import { classOfKey } from './fault-modes.ts'
import { noModes } from './mode-assignment.ts'
import type { AssetModes } from './mode-assignment.ts'
import type { LimitWatch } from './limit.ts'
import { forgetCounts } from './sensor-fault.ts'
import type { ChannelWatch } from './sensor-fault.ts'
import { newTelemetryWatch } from './telemetry-watch.ts'
import type { TelemetryWatch } from './telemetry-watch.ts'

/** What was decided on a window, so that a later revision can be compared. */
export interface KeptWindow {
  /** What it is known by. */
  readonly windowEndUs: number
  readonly featureSet: string
  vectorId: string
  order: Order
  /** What was published because of it. */
  told: { readonly kind: TransitionKind; readonly severity: number; readonly episode: Episode; readonly byDetector: boolean } | null
}

export interface ClosedEpisode {
  readonly episode: Episode
  readonly closedUs: number
}

export interface AssetState {
  machine: Machine
  /** The machine before the newest window: its revision is judged in its place. */
  before: Machine
  /** Numbers that led what was told of the open episode. */
  led: string[]
  /** By feature set. */
  detectors: Record<string, AssetDetector>
  /** Artefact by which an unknown regime was told last. */
  regimeTold: string | null
  /** Level that a person called normal, while it is kept; absent in older snapshots. */
  accepted?: AcceptedLevel | null
  /** Patterns that its episodes showed. */
  modes: AssetModes
  /** Ascending by end; the last is the newest judged. */
  windows: KeptWindow[]
  /** By channel. */
  sensors: Record<string, ChannelWatch>
  /** By the name of the number that has a limit. */
  limits: Record<string, LimitWatch>
  telemetry: TelemetryWatch
  /** Event time at which the baseline's epoch began; null = none known. */
  epochUs: number | null
  /** Newest last. */
  closed: ClosedEpisode[]
  /** Drift, limits ahead, what past episodes looked like. */
  beside: Beside
}

const WINDOWS_KEPT = 64
const CLOSED_KEPT = 20

export const newAssetState = (): AssetState => ({
  machine: quietMachine,
  before: quietMachine,
  led: [],
  detectors: {},
  regimeTold: null,
  modes: noModes(),
  windows: [],
  sensors: {},
  limits: {},
  telemetry: newTelemetryWatch(),
  epochUs: null,
  closed: [],
  beside: new Beside(),
})

/** The window of that end, if it passed: found from the newest back, as windows come in order. */
export const keptWindow = ({ windows }: AssetState, windowEndUs: number, featureSet: string): KeptWindow | undefined => {
  for (let at = windows.length - 1; at >= 0; at--) {
    const window = windows[at] as KeptWindow
    if (window.windowEndUs < windowEndUs) return undefined
    if (window.windowEndUs === windowEndUs && window.featureSet === featureSet) return window
  }
  return undefined
}

/** Keeps a window in its place; the oldest one falls out over the bound. */
export const keepWindow = (state: AssetState, window: KeptWindow): void => {
  let at = state.windows.length
  while (at > 0 && (state.windows[at - 1] as KeptWindow).windowEndUs > window.windowEndUs) at--
  state.windows.splice(at, 0, window)
  if (state.windows.length > WINDOWS_KEPT) state.windows.shift()
}

export const keepClosed = (state: AssetState, closed: ClosedEpisode): void => {
  state.closed.push(closed)
  if (state.closed.length > CLOSED_KEPT) state.closed.shift()
}

/**
 * A service begins another epoch: patterns and counts of before say nothing about what comes. An open episode goes on until
 * its windows are quiet.
 */
export const beginEpoch = (state: AssetState, epochUs: number | null): void => {
  if (epochUs === null || (state.epochUs !== null && epochUs <= state.epochUs)) return
  state.epochUs = epochUs
  state.accepted = null
  state.modes = noModes()
  state.detectors = {}
  state.beside.forgetTrends()
  state.machine = { ...state.machine, above: 0, settling: 0, smoothed: state.machine.level === null ? null : state.machine.smoothed }
  forgetCounts(state.sensors)
}

/** Feature sets of an asset whose detectors are kept. */
const DETECTORS_KEPT = 4

/** The detector for a window, a new one where the feature set or the baseline's epoch is another. */
export const detectorOf = (state: AssetState, featureSet: string, featureSetDigest: string): AssetDetector => {
  const known = state.detectors[featureSet]
  if (known?.featureSetDigest === featureSetDigest && known.epochUs === state.epochUs) return known
  const created = new AssetDetector(featureSetDigest, state.epochUs)
  state.detectors[featureSet] = created
  const kept = Object.entries(state.detectors)
  if (kept.length > DETECTORS_KEPT) {
    // A feature set that no window comes of any more.
    const [oldest] = kept
      .filter(([name]) => name !== featureSet)
      .toSorted(([a, one], [b, other]) => (one.newestUs ?? 0) - (other.newestUs ?? 0) || (a < b ? -1 : 1))
    if (oldest !== undefined) delete state.detectors[oldest[0]]
  }
  return created
}

/** A detector of the asset is in an episode of its own. */
export const isDetectorOpen = ({ detectors }: AssetState): boolean => {
  for (const name in detectors) if ((detectors[name] as AssetDetector).isOpen) return true
  return false
}

/** All memory of one partition. */
export interface PartitionMemory {
  readonly assets: Map<string, AssetState>
  /** This partition's part of each asset class. */
  readonly classes: Map<string, ClassState>
  readonly changed: Set<string>
}

export const newMemory = (): PartitionMemory => ({ assets: new Map(), classes: new Map(), changed: new Set() })

/** The asset's state, created when new; counts as changed. */
export const assetOf = (memory: PartitionMemory, assetId: string): AssetState => {
  memory.changed.add(assetId)
  const known = memory.assets.get(assetId)
  if (known !== undefined) return known
  const created = newAssetState()
  memory.assets.set(assetId, created)
  return created
}

/** 3: assets have detectors. 2: windows are known by their end. The kit reads no other version: it builds the state again. */
const VERSION = 3

type SavedState = Omit<AssetState, 'detectors' | 'beside'> & {
  readonly detectors: Record<string, SavedDetector>
  readonly beside?: SavedBeside
}

export const keyedState = (memory: PartitionMemory): KeyedState => {
  /** Rows whose class is not restored yet. */
  const waiting = new Map<string, string>()
  const restoreClass = (classId: string, isRows: boolean, text: string): void => {
    if (!isRows) memory.classes.set(classId, ClassState.restore(classId, text))
    else waiting.set(classId, text)
    const rows = waiting.get(classId)
    if (rows === undefined || !memory.classes.has(classId)) return
    waiting.delete(classId)
    memory.classes.get(classId)?.restoreRows(rows)
  }
  return {
    version: VERSION,
    dirty: () => memory.changed,
    snapshot(key) {
      memory.changed.delete(key)
      const ofClass = classOfKey(key)
      if (ofClass !== undefined) {
        const state = memory.classes.get(ofClass.classId) ?? new ClassState(ofClass.classId)
        return Buffer.from(ofClass.isRows ? state.rows() : state.state())
      }
      return Buffer.from(JSON.stringify(memory.assets.get(key) ?? newAssetState()))
    },
    restore(key, state, version) {
      if (version !== VERSION) throw new RangeError(`clustering state of ${key} has version ${version}, expected ${VERSION}`)
      const ofClass = classOfKey(key)
      if (ofClass !== undefined) return restoreClass(ofClass.classId, ofClass.isRows, Buffer.from(state).toString('utf8'))
      const saved = JSON.parse(Buffer.from(state).toString('utf8')) as SavedState
      const detectors = Object.entries(saved.detectors).map(
        ([featureSet, detector]) => [featureSet, AssetDetector.restored(detector)] as const,
      )
      memory.assets.set(key, { ...newAssetState(), ...saved, detectors: Object.fromEntries(detectors), beside: new Beside(saved.beside) })
    },
    describe: (key) => memory.assets.get(key),
  }
}
