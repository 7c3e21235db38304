// What the benchmarks of the core stand on: one broker (and a registry) of their own, topics that do not fill the disk, and workers as processes.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openKafkaLog } from '@andon/kit'
import type { Log, TopicSpec } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import type { Contender } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'

/**
 * Samples of races on a broker: fewer than of pure computation, and longer, so that `core` ends within minutes; what they decide
 * are minima of CPU time, which settle early.
 */
export const BROKER_SAMPLES = 16
export const BROKER_SAMPLING = { sampleMs: 800, warmUps: 4 } as const

export interface Bench {
  readonly broker: string
  readonly registryUrl: string
  readonly log: Log
  /** A folder of this run's own. */
  readonly folder: string
}

/** Runs `use` on a fresh broker; nothing of it is left afterwards. */
export const withBroker = async <T>(use: (bench: Bench) => Promise<T>): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-bench-'))
  const kafka = await startKafka()
  const [broker] = kafka.brokers as [string]
  const registry = await startRegistry({ brokers: kafka.brokers })
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'bench' })
  try {
    return await use({ broker, registryUrl: registry.url, log, folder })
  } finally {
    await log.close()
    await registry.stop()
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Old records go early: a benchmark writes gigabytes. */
const SMALL = { 'retention.bytes': '200000000', 'segment.bytes': '50000000' } as const

export const smallTopic = (name: string, partitions: number): TopicSpec => ({ name, partitions, configs: SMALL })

let topics = 0

/** A new topic for one contender. */
export const newTopic = async (log: Log, name: string, partitions: number, configs: TopicSpec['configs'] = SMALL): Promise<string> => {
  const topic = `${name}-${++topics}`
  await log.admin.ensureTopics([{ name: topic, partitions, configs: { ...configs } }])
  return topic
}

/** A worker in TypeScript, from `workers/`. */
export const worker = (name: string, script: string, args: readonly string[]): Promise<Contender> =>
  processContender({ name, command: [process.execPath, join(import.meta.dirname, 'workers', script), ...args] })

export const workerFile = (name: string): string => join(import.meta.dirname, 'workers', name)
