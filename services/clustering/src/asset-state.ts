// What clustering remembers per asset, and its encoding: one self-contained JSON snapshot per asset. Bounded: windows,
// clusters and closed episodes are capped.

import type { KeyedState, Order } from '@andon/kit'
import { quietMachine } from './episode.ts'
import type { Episode, Machine, TransitionKind } from './episode.ts'
import { emptySpace } from './micro-clusters.ts'
import type { ClusterSpace } from './micro-clusters.ts'
import type { ChannelWatch } from './sensor-fault.ts'

/** What was decided on a window, so that a later revision can be compared. */
export interface KeptWindow {
  readonly windowStartUs: number
  readonly featureSet: string
  vectorId: string
  order: Order
  /** What was published because of it. */
  told: { readonly kind: TransitionKind; readonly severity: number; readonly episode: Episode } | null
}

export interface ClosedEpisode {
  readonly episode: Episode
  readonly closedUs: number
}

export interface AssetState {
  machine: Machine
  /** The machine before the newest window: its revision is judged in its place. */
  before: Machine
  space: ClusterSpace
  /** Ascending by start; the last is the newest judged. */
  windows: KeptWindow[]
  sensors: Record<string, ChannelWatch>
  /** Newest last. */
  closed: ClosedEpisode[]
}

const WINDOWS_KEPT = 64
const CLOSED_KEPT = 20

export const newAssetState = (): AssetState => ({
  machine: quietMachine,
  before: quietMachine,
  space: emptySpace(),
  windows: [],
  sensors: {},
  closed: [],
})

/** Keeps a window in its place; the oldest one falls out over the bound. */
export const keepWindow = (state: AssetState, window: KeptWindow): void => {
  let at = state.windows.length
  while (at > 0 && (state.windows[at - 1] as KeptWindow).windowStartUs > window.windowStartUs) at--
  state.windows.splice(at, 0, window)
  if (state.windows.length > WINDOWS_KEPT) state.windows.shift()
}

export const keepClosed = (state: AssetState, closed: ClosedEpisode): void => {
  state.closed.push(closed)
  if (state.closed.length > CLOSED_KEPT) state.closed.shift()
}

/** All memory of one partition. */
export interface PartitionMemory {
  readonly assets: Map<string, AssetState>
  readonly changed: Set<string>
}

export const newMemory = (): PartitionMemory => ({ assets: new Map(), changed: new Set() })

/** The asset's state, created when new; counts as changed. */
export const assetOf = (memory: PartitionMemory, assetId: string): AssetState => {
  memory.changed.add(assetId)
  const known = memory.assets.get(assetId)
  if (known !== undefined) return known
  const created = newAssetState()
  memory.assets.set(assetId, created)
  return created
}

const VERSION = 1

export const keyedState = (memory: PartitionMemory): KeyedState => ({
  version: VERSION,
  dirty: () => memory.changed,
  snapshot(key) {
    memory.changed.delete(key)
    return Buffer.from(JSON.stringify(memory.assets.get(key) ?? newAssetState()))
  },
  restore(key, state, version) {
    if (version !== VERSION) throw new RangeError(`clustering state of ${key} has version ${version}, expected ${VERSION}`)
    memory.assets.set(key, JSON.parse(Buffer.from(state).toString('utf8')) as AssetState)
  },
  describe: (key) => memory.assets.get(key),
})
