// Several brokers on one host as one cluster: the program of each node, in a folder of its own below a common one.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AndonError } from '@andon/kit/errors'
import type { Program } from '../child.ts'
import { type Distribution, clusterIdOf, newId } from './distribution.ts'
import { kafkaProgram } from './server.ts'

/** One entry per node, in the order of their ids 1, 2, 3. */
export interface ClusterPorts {
  readonly clients: readonly number[]
  readonly controllers: readonly number[]
  readonly replication: readonly number[]
}

export interface ClusterOptions {
  readonly dir: string
  readonly ports: ClusterPorts
  /** Where clients are sent instead of `ports.clients`. */
  readonly advertisedPorts?: readonly number[]
  /** Default: beside each node's data. */
  readonly logFile?: (nodeId: number) => string
  readonly extra?: Readonly<Record<string, string>>
  readonly distribution?: Distribution
}

const nodeFolder = (dir: string, nodeId: number): string => join(dir, `node-${nodeId}`)

export const clusterPrograms = ({ dir, ports, advertisedPorts, logFile, extra, distribution }: ClusterOptions): (() => Program)[] => {
  const clusterId = clusterIdOf(join(nodeFolder(dir, 1), 'data')) ?? newId()
  return ports.clients.map((port, i) => () => {
    const nodeId = i + 1
    const folder = nodeFolder(dir, nodeId)
    return kafkaProgram({
      dir: folder,
      port,
      controllerPort: ports.controllers[i] as number,
      advertisedPort: advertisedPorts?.[i] ?? port,
      cluster: { nodeId, clusterId, controllerPorts: ports.controllers, replicationPort: ports.replication[i] as number },
      logFile: logFile?.(nodeId) ?? join(folder, 'kafka.log'),
      ...(extra === undefined ? {} : { extra }),
      ...(distribution === undefined ? {} : { distribution }),
    })
  })
}

/** Throws when the folder holds the data of another number of brokers: they would start with empty topics. */
export const requireBrokerCount = (dir: string, brokers: 1 | 3): void => {
  const found = existsSync(join(dir, 'data')) ? 1 : existsSync(nodeFolder(dir, 1)) ? 3 : brokers
  if (found === brokers) return
  throw new AndonError(
    'ANDON_PLATFORM_BROKER_COUNT',
    `Expected the data of ${brokers === 1 ? 'one broker' : 'three brokers'} in ${dir}, found that of ${found}. Start with --brokers ${found}, choose another ANDON_HOME, or clear it with \`andon down --wipe\`.`,
  )
}
