// All edge nodes that source files of kind sparkplug name: who gets which message, when births are asked for, what waits until when. Pure.

import type { PlantSource } from '@andon/schemas'
import type { RawReading } from '../reading.ts'
import { EdgeNode } from './edge-node.ts'
import type { Outcome, RebirthReason } from './edge-node.ts'
import type { Feed } from './rows.ts'
import { sparkplugTopic } from './topic.ts'

export type SparkplugFile = Extract<PlantSource, { kind: 'sparkplug' }>

export interface HostOptions {
  readonly files: () => readonly SparkplugFile[]
  /** Channel ids of an asset, for files that name no metrics. */
  readonly channelsOf: (asset: string) => readonly string[]
  readonly reorderMs: number
  /** Least time between two requests for births of one node; it doubles while the node does not answer, up to 5 minutes. */
  readonly rebirthMs: number
}

/** An edge node. */
export interface NodeId {
  readonly group: string
  readonly node: string
}

/** What is to be done after a message or a wait. */
export interface HostOutcome {
  /** To the intake, in this order. */
  readonly readings: readonly RawReading[]
  /** Ask these for their births. */
  readonly rebirths: readonly (NodeId & { readonly reason: RebirthReason | 'start' })[]
  readonly repeats: number
  readonly unborn: number
}

interface Known extends NodeId {
  readonly edge: EdgeNode
  /** Why births are wanted; undefined when they are not. */
  wanted: RebirthReason | 'start' | undefined
  mayAskMs: number
  waitMs: number
}

const longestWaitMs = 300_000
const nothing: Outcome = { readings: [], rebirth: undefined, repeats: 0, unborn: 0 }

export class SparkplugHost {
  readonly #options: HostOptions
  readonly #nodes = new Map<string, Known>()

  constructor(options: HostOptions) {
    this.#options = options
    this.reconcile()
  }

  nodes(): NodeId[] {
    return [...this.#nodes.values()]
  }

  /** Nodes between birth and death, and the others. */
  count(): { alive: number; others: number } {
    const alive = [...this.#nodes.values()].filter(({ edge }) => edge.isAlive).length
    return { alive, others: this.#nodes.size - alive }
  }

  /** Follows the source files: nodes come and go. What a living node feeds changes with its next birth, so births are wanted. */
  reconcile(): void {
    const named = new Map(this.#options.files().map(({ group, node }) => [keyOf(group, node), { group, node }]))
    for (const key of this.#nodes.keys()) if (!named.has(key)) this.#nodes.delete(key)
    for (const [key, id] of named) {
      const known = this.#nodes.get(key)
      if (known !== undefined) known.wanted ??= 'start'
      else this.#nodes.set(key, { ...id, edge: this.#edge(id), wanted: 'start', mayAskMs: 0, waitMs: this.#options.rebirthMs })
    }
  }

  /** Takes a message. Others than those of the nodes are ignored. */
  take(topic: string, payload: Buffer, nowMs: number): HostOutcome {
    const from = sparkplugTopic(topic)
    const known = from === undefined ? undefined : this.#nodes.get(keyOf(from.group, from.node))
    if (from === undefined || known === undefined) return this.#outcome([nothing], nowMs)
    const outcome = known.edge.take(from, payload, nowMs)
    if (from.type === 'NBIRTH' && known.edge.isAlive) {
      known.wanted = undefined
      known.waitMs = this.#options.rebirthMs
    }
    known.wanted = outcome.rebirth ?? known.wanted
    return this.#outcome([outcome], nowMs)
  }

  /** When `expire` is to be called. */
  dueMs(): number | undefined {
    const due = [...this.#nodes.values()].flatMap(({ edge, wanted, mayAskMs }) => [
      ...(edge.dueMs === undefined ? [] : [edge.dueMs]),
      ...(wanted === undefined ? [] : [mayAskMs]),
    ])
    return due.length === 0 ? undefined : Math.min(...due)
  }

  expire(nowMs: number): HostOutcome {
    const outcomes = [...this.#nodes.values()].map((known) => {
      const outcome = known.edge.expire(nowMs)
      known.wanted ??= outcome.rebirth
      return outcome
    })
    return this.#outcome(outcomes, nowMs)
  }

  /** The connection to the broker is gone: nothing is known of any node until it is born again. */
  disconnected(nowMs: number): HostOutcome {
    const outcomes = [...this.#nodes.values()].map(({ edge }) => edge.forget(nowMs))
    return { ...this.#outcome(outcomes, nowMs), rebirths: [] }
  }

  /** Births of every node are wanted, at once. */
  connected(): void {
    for (const known of this.#nodes.values()) {
      known.wanted = 'start'
      known.mayAskMs = 0
      known.waitMs = this.#options.rebirthMs
    }
  }

  #outcome(outcomes: readonly Outcome[], nowMs: number): HostOutcome {
    const rebirths: (NodeId & { reason: RebirthReason | 'start' })[] = []
    for (const known of this.#nodes.values()) {
      const { group, node, wanted } = known
      if (wanted === undefined || nowMs < known.mayAskMs) continue
      rebirths.push({ group, node, reason: wanted })
      known.mayAskMs = nowMs + known.waitMs
      known.waitMs = Math.min(known.waitMs * 2, longestWaitMs)
    }
    const sum = (count: 'repeats' | 'unborn') => outcomes.reduce((total, outcome) => total + outcome[count], 0)
    return { readings: outcomes.flatMap(({ readings }) => readings), rebirths, repeats: sum('repeats'), unborn: sum('unborn') }
  }

  #edge({ group, node }: NodeId): EdgeNode {
    const { reorderMs } = this.#options
    return new EdgeNode({
      reorderMs,
      feedsOf: (device) =>
        this.#options
          .files()
          .filter((file) => file.group === group && file.node === node && file.device === device)
          .map((file) => this.#feed(file)),
    })
  }

  #feed({ id, asset, channels }: SparkplugFile): Feed {
    const named = Object.entries(channels)
    const units = named.flatMap(([channel, { unit }]) => (unit === undefined ? [] : [[channel, unit] as const]))
    return {
      source: `${asset}:${id}`,
      asset,
      channels: new Map(
        named.length === 0
          ? this.#options.channelsOf(asset).map((channel) => [channel, { channel, scale: 1, offset: 0 }])
          : named.map(([channel, { metric, scale, offset }]) => [metric, { channel, scale, offset }]),
      ),
      units: units.length === 0 ? undefined : Object.fromEntries(units),
    }
  }
}

const keyOf = (group: string, node: string): string => `${group}/${node}`
