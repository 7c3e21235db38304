// Sparkplug B topic → who speaks, and what kind of message it is. Pure.

export type MessageType = 'NBIRTH' | 'NDEATH' | 'NDATA' | 'DBIRTH' | 'DDEATH' | 'DDATA'

/** Where a message comes from. */
export interface SparkplugTopic {
  readonly group: string
  readonly node: string
  readonly type: MessageType
  /** Undefined for messages of the edge node itself. */
  readonly device: string | undefined
}

const nodeTypes: ReadonlySet<string> = new Set(['NBIRTH', 'NDEATH', 'NDATA'])
const deviceTypes: ReadonlySet<string> = new Set(['DBIRTH', 'DDEATH', 'DDATA'])

/** Undefined for what a host does not read: commands, STATE, other namespaces, and topics with too few or too many levels. */
export const sparkplugTopic = (topic: string): SparkplugTopic | undefined => {
  const [namespace, group, type, node, device, more] = topic.split('/')
  if (namespace !== 'spBv1.0' || more !== undefined || !group || !type || !node) return undefined
  const isOfNode = nodeTypes.has(type)
  if (isOfNode ? device !== undefined : !deviceTypes.has(type) || !device) return undefined
  return { group, node, type: type as MessageType, device }
}

export const stateTopic = (hostId: string): string => `spBv1.0/STATE/${hostId}`

export const nodeCommandTopic = (group: string, node: string): string => `spBv1.0/${group}/NCMD/${node}`
