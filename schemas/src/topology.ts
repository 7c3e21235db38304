// topology.json, typed: topics, who reads and writes them, and the conventional ports.

import { readFileSync } from 'node:fs'

export const topicNames = ['telemetry', 'features', 'predictions', 'anomalies', 'actions', 'models', 'devices', 'config'] as const
export type TopicName = (typeof topicNames)[number]

export const serviceNames = ['ingest', 'features', 'inference', 'clustering', 'actions', 'video', 'console'] as const
export type ServiceName = (typeof serviceNames)[number]

export interface TopicDefinition {
  readonly partitions: number
  /** What the record key names, in words. */
  readonly key: string
  readonly configs: Readonly<Record<string, string>>
}

export interface ServiceEdges {
  readonly reads: readonly TopicName[]
  readonly writes: readonly TopicName[]
  /** Read on demand, by offset range, for sealing. */
  readonly readsByRange?: readonly TopicName[]
  /** Keeps snapshots on `<service>.changelog`. */
  readonly changelog?: boolean
  /** Admin port before ANDON_PORT_OFFSET. */
  readonly admin: number
  /** Other ports before ANDON_PORT_OFFSET. */
  readonly ports: Readonly<Record<string, number>>
}

export interface Topology {
  readonly topics: Readonly<Record<TopicName, TopicDefinition>>
  readonly services: Readonly<Record<ServiceName, ServiceEdges>>
}

export const topology: Topology = JSON.parse(readFileSync(new URL('../topology.json', import.meta.url), 'utf8')) as Topology
