// Turns "earliest", "latest" or an offset into an offset that the log holds now.

import type { StartAt } from '../port.ts'
import type { Transport } from './transport.ts'

/** An offset outside the log becomes its nearest end: below, retention has taken the records; above, they were lost. */
export const startOffset = async (transport: Transport, topic: string, partition: number, at: StartAt): Promise<number> => {
  if (at === 'earliest') return transport.earliest(topic, partition)
  if (at === 'latest') return transport.latest(topic, partition)
  const [low, high] = await Promise.all([transport.earliest(topic, partition), transport.latest(topic, partition)])
  return Math.min(Math.max(at, low), high)
}
