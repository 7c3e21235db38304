// A broker as a child program, and its warm-up. Ready means: it is among the registered brokers, coordinators are loaded, internal topics set.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Program } from '../child.ts'
import { kafkaLogging } from '../layout.ts'
import { type Distribution, JVM_FLAGS, ensureDistribution, formatDataFolder } from './distribution.ts'
import { type ClusterPlace, brokerProperties } from './properties.ts'
import { coordinatorsAreLoaded, describeBroker, setTopicSettings } from './wire.ts'

export interface KafkaOptions {
  /** Folder for server.properties and data. */
  readonly dir: string
  readonly port: number
  readonly controllerPort: number
  readonly logFile: string
  readonly advertisedPort?: number
  readonly cluster?: ClusterPlace & { readonly clusterId: string }
  readonly extra?: Readonly<Record<string, string>>
  /** More JVM flags, put before the class path. */
  readonly jvm?: readonly string[]
  readonly distribution?: Distribution
}

/** Prepares the data folder and says how to run the broker. */
export const kafkaProgram = (options: KafkaOptions): Program => {
  const distribution = options.distribution ?? ensureDistribution()
  const dataDir = join(options.dir, 'data')
  mkdirSync(options.dir, { recursive: true })
  formatDataFolder(distribution, dataDir, options.cluster)
  const properties = join(options.dir, 'server.properties')
  writeFileSync(properties, brokerProperties({ ...options, dataDir }))
  const archive = existsSync(distribution.archive) && options.jvm === undefined ? [`-XX:SharedArchiveFile=${distribution.archive}`] : []
  let isWarm = false
  return {
    name: options.cluster === undefined ? 'kafka' : `kafka-${options.cluster.nodeId}`,
    command: distribution.java,
    args: [
      ...JVM_FLAGS,
      ...archive,
      ...(options.jvm ?? []),
      `-Dlog4j2.configurationFile=${kafkaLogging}`,
      '-cp',
      distribution.classPath,
      'kafka.Kafka',
      properties,
    ],
    cwd: options.dir,
    logFile: options.logFile,
    readyWithinMs: 90_000,
    async isReady() {
      const { ports } = await describeBroker(options.port)
      if (!ports.includes(options.advertisedPort ?? options.port) || !(await coordinatorsAreLoaded(options.port))) return false
      if (!isWarm) await setTopicSettings(options.port, '__transaction_state', { 'flush.messages': '1' })
      return (isWarm = true)
    },
  }
}
