// Fills the gap an outage left, from the server's own history: raw values between what was kept last and now, page by page.

import type { HistoryReadResponse } from 'node-opcua-client'
import { messageOf } from '@andon/kit'
import { severityOf, valueOf } from '../opcua-values.ts'
import type { DataValueLike, NodeChannel, NodeValue } from '../opcua-values.ts'
import type { Connection } from './opcua-session.ts'

const valuesPerPage = 1000
// A server may stamp values ahead of its own clock.
const aheadMs = 86_400_000

export interface HistoryNode {
  readonly of: NodeChannel
  readonly nodeId: string
  /** Source time of the last kept value, microseconds. */
  readonly sinceUs: number
}

/**
 * Hands over the values after `sinceUs` of each node, in pages; a page is handed over when the one before was taken.
 * Rejects when the connection fails: what was not handed over is to be read again.
 * @returns the nodes whose history the server does not have or give, with its reason.
 */
export const readHistory = async (
  { session, unlessRefused }: Connection,
  nodes: readonly HistoryNode[],
  nowMs: () => number,
  take: (values: NodeValue[]) => Promise<void>,
): Promise<Map<HistoryNode, string>> => {
  const { HistoryReadRequest, ReadRawModifiedDetails, TimestampsToReturn } = await import('node-opcua-client')
  const without = new Map<HistoryNode, string>()
  const first = Math.min(...nodes.map(({ sinceUs }) => sinceUs))
  const ask = (open: readonly OpenNode[]): Promise<HistoryReadResponse> =>
    session.historyRead(
      new HistoryReadRequest({
        historyReadDetails: new ReadRawModifiedDetails({
          isReadModified: false,
          startTime: new Date(Math.floor(first / 1000)),
          endTime: new Date(nowMs() + aheadMs),
          numValuesPerNode: valuesPerPage,
          returnBounds: false,
        }),
        nodesToRead: open.map(({ node, continuationPoint }) => ({ nodeId: node.nodeId, ...(continuationPoint && { continuationPoint }) })),
        timestampsToReturn: TimestampsToReturn.Both,
        releaseContinuationPoints: false,
      }),
    )

  let open: OpenNode[] = nodes.map((node) => ({ node, continuationPoint: undefined }))
  while (open.length > 0) {
    let reason = 'no answer'
    const asked = ask(open)
    asked.catch((error: unknown) => (reason = messageOf(error)))
    const response = await unlessRefused(asked)
    if (response === undefined) {
      for (const { node } of open) without.set(node, reason) // a server without the service
      return without
    }
    const page: NodeValue[] = []
    const next: OpenNode[] = []
    open.forEach(({ node }, index) => {
      const result = response.results?.[index]
      const data = (result?.historyData as { dataValues?: readonly DataValueLike[] } | null | undefined)?.dataValues
      if (result === undefined || severityOf(result.statusCode) === 2) {
        without.set(node, result?.statusCode.name ?? 'no answer')
        return
      }
      for (const original of data ?? []) {
        const value = valueOf(node.of, original, nowMs() * 1000)
        if (value.timeUs > node.sinceUs) page.push(value)
      }
      const { continuationPoint } = result
      if (continuationPoint && continuationPoint.length > 0) next.push({ node, continuationPoint })
    })
    if (page.length > 0) await take(page)
    open = next
  }
  return without
}

interface OpenNode {
  readonly node: HistoryNode
  readonly continuationPoint: Buffer | undefined
}
