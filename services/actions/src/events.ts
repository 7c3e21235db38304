// /v1/events: requests and facts that count, as server-sent events. `id` is an opaque cursor over all partitions, so a client
// that comes back with Last-Event-ID misses nothing and repeats nothing.

import type { Request, RequestHandler, Response } from 'express'
import { AndonError } from '@andon/kit'
import type { ActionsLog, TracedEntry } from './actions-log.ts'
import { kindOf } from './board.ts'
import type { Board, BoardEvent } from './board.ts'

const HEARTBEAT_MS = 15_000
/** A client that reads slower than this is cut off and comes back with its cursor. */
const MOST_BUFFERED_BYTES = 4 * 1024 * 1024

/** Offset after the newest event seen, per partition. */
type Cursor = Record<string, number>

const encodeCursor = (cursor: Cursor): string => Buffer.from(JSON.stringify(cursor)).toString('base64url')

const decodeCursor = (text: string): Cursor => {
  try {
    const cursor = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Cursor
    if (Object.values(cursor).every((offset) => Number.isSafeInteger(offset) && offset >= 0)) return cursor
  } catch {
    // said below
  }
  throw new AndonError('ANDON_ACTIONS_BAD_CURSOR', 'Last-Event-ID is not an id of this stream', { status: 400 })
}

export interface EventsOptions {
  readonly board: Board
  readonly actionsLog: ActionsLog
}

export const streamEvents =
  ({ board, actionsLog }: EventsOptions): RequestHandler =>
  async (request, response) => {
    const cursor: Cursor = {}
    for (let partition = 0; partition < board.partitions; partition += 1) cursor[partition] = board.state(partition).nextOffset
    const lines = linesWanted(request)
    const send = (partition: number, entry: TracedEntry): void => {
      if (entry.offset < (cursor[partition] ?? 0)) return
      cursor[partition] = entry.offset + 1
      if (lines && !lines.has(entry.record.line)) return
      write(response, cursor, entry)
    }
    const last =
      request.get('last-event-id') ?? (typeof request.query['lastEventId'] === 'string' ? request.query['lastEventId'] : undefined)
    const missed = last === undefined ? undefined : decodeCursor(last)
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
    response.write(': andon actions\n\n')

    // live events wait until what was missed has been sent
    const held: BoardEvent[] = []
    let isReplaying = missed !== undefined
    const stopListening = board.listen((event) => {
      if (isReplaying) held.push(event)
      else send(event.partition, event.entry)
    })
    const heartbeat = setInterval(() => response.write(': heartbeat\n\n'), HEARTBEAT_MS)
    response.on('close', () => {
      stopListening()
      clearInterval(heartbeat)
    })
    if (!missed) return
    const upTo = { ...cursor }
    Object.assign(cursor, missed)
    for (const [partition, end] of Object.entries(upTo))
      await replay(Number(partition), missed[partition] ?? end, end, board, actionsLog, send)
    isReplaying = false
    for (const event of held) send(event.partition, event.entry)
  }

const replay = async (
  partition: number,
  from: number,
  end: number,
  board: Board,
  actionsLog: ActionsLog,
  send: (partition: number, entry: TracedEntry) => void,
): Promise<void> => {
  if (from >= end) return
  await actionsLog.read(partition, from, (entry) => {
    if (entry.offset < end && !board.voids.get(partition)?.has(entry.offset)) send(partition, entry)
  })
}

const linesWanted = (request: Request): Set<string> | undefined => {
  const { line } = request.query
  return typeof line === 'string' ? new Set(line.split(',')) : undefined
}

const write = (response: Response, cursor: Cursor, { record }: TracedEntry): void => {
  if (response.writableLength > MOST_BUFFERED_BYTES) {
    response.destroy()
    return
  }
  response.write(`id: ${encodeCursor(cursor)}\nevent: ${record.type}\ndata: ${JSON.stringify({ kind: kindOf(record), ...record })}\n\n`)
}
