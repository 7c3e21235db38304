// What is asked of an OPC UA server: which nodes, how often they are sampled, and queues long enough for an outage.

import { AndonError } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { severityOf } from '../opcua-values.ts'
import type { NodeChannel } from '../opcua-values.ts'
import type { OpcuaFile } from './opcua-link.ts'
import type { OpcuaSession } from './opcua-session.ts'

/** A subscription at the server. */
export interface Subscription {
  readonly id: number
  /** Number of the last notification whose values are safe. */
  lastSeq: number
  readonly keepAliveMs: number
}

const wantedKeepAliveMs = 2000
const notificationsPerPublish = 10_000
const itemsPerRequest = 1000
/** Between two values of a node that is reported at every change. */
const fastestMs = 10

/** Node ids with the indexes that the server gives its namespaces now. */
export const resolveNodes = async (
  session: OpcuaSession,
  channels: readonly NodeChannel[],
  { id, endpoint }: OpcuaFile,
): Promise<Map<NodeChannel, string>> => {
  const namespaces = await session.readNamespaceArray()
  return new Map(
    channels.map((channel) => {
      const named = /^nsu=([^;]+);(.+)$/s.exec(channel.node)
      if (named === null) return [channel, channel.node]
      const index = namespaces.indexOf(named[1]!)
      if (index < 0)
        throw new AndonError(
          'ANDON_INGEST_OPCUA_NAMESPACE',
          `${endpoint} has no namespace ${named[1]}, which sources/${id} names for channel ${channel.channel}; it has ${namespaces.join(', ')}`,
          { retriable: true },
        )
      return [channel, `ns=${index};${named[2]}`]
    }),
  )
}

/** Creates the subscription with an item per channel; its handle is the channel's place in the file. Nodes the server refuses are logged. */
export const subscribe = async (
  session: OpcuaSession,
  nodeIds: ReadonlyMap<NodeChannel, string>,
  file: OpcuaFile,
  logger: Logger,
): Promise<Subscription> => {
  const { AttributeIds, DataChangeFilter, DataChangeTrigger, DeadbandType, TimestampsToReturn } = await import('node-opcua-client')
  const keepAliveCount = Math.max(1, Math.ceil(wantedKeepAliveMs / file.publishingMs))
  const created = await session.createSubscription({
    requestedPublishingInterval: file.publishingMs,
    requestedMaxKeepAliveCount: keepAliveCount,
    requestedLifetimeCount: Math.max(3 * keepAliveCount, Math.ceil((file.bufferS * 1000) / file.publishingMs)),
    maxNotificationsPerPublish: notificationsPerPublish,
    publishingEnabled: true,
    priority: 0,
  })
  const queueSize = Math.ceil(Math.max(file.bufferS * 1000, 4 * file.publishingMs) / Math.max(file.samplingMs, fastestMs))
  const items = [...nodeIds].map(([{ channel }, nodeId], clientHandle) => {
    const { deadband } = file.channels[channel]!
    return {
      itemToMonitor: { nodeId, attributeId: AttributeIds.Value },
      monitoringMode: 2, // reporting
      requestedParameters: {
        clientHandle,
        samplingInterval: file.samplingMs,
        discardOldest: true,
        queueSize,
        filter: new DataChangeFilter({
          trigger: DataChangeTrigger.StatusValue,
          deadbandType: deadband === undefined ? DeadbandType.None : DeadbandType.Absolute,
          deadbandValue: deadband ?? 0,
        }),
      },
    }
  })
  const refused: string[] = []
  for (let from = 0; from < items.length; from += itemsPerRequest) {
    const part = items.slice(from, from + itemsPerRequest)
    const { results } = await session.createMonitoredItems({
      subscriptionId: created.subscriptionId,
      timestampsToReturn: TimestampsToReturn.Both,
      itemsToCreate: part,
    })
    part.forEach(({ itemToMonitor: { nodeId } }, index) => {
      const status = results?.[index]?.statusCode
      if (status === undefined || severityOf(status) === 2) refused.push(`${nodeId}: ${status?.name ?? 'no answer'}`)
    })
  }
  if (refused.length === items.length)
    throw new AndonError(
      'ANDON_INGEST_OPCUA_NODES',
      `${file.endpoint} gives none of the nodes of sources/${file.id}: ${refused[0]}. Correct the node ids, or the rights of the user`,
      { retriable: true },
    )
  if (refused.length > 0)
    logger.warn(
      { source: file.id, code: 'ANDON_INGEST_OPCUA_NODES', count: refused.length, example: refused[0] },
      'the server refuses nodes',
    )
  return { id: created.subscriptionId, lastSeq: 0, keepAliveMs: created.revisedMaxKeepAliveCount * created.revisedPublishingInterval }
}
