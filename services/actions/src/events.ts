// /v1/events: requests and facts that count, as server-sent events. `id` is an opaque cursor over all partitions, so a client
// that comes back with Last-Event-ID misses nothing and repeats nothing.

import type { Request, RequestHandler, Response } from 'express'
import { AndonError } from '@andon/kit'
import type { Metrics } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { ActionsLog, TracedEntry } from './actions-log.ts'
import { kindOf } from './board.ts'
import type { Board, BoardEvent } from './board.ts'

const HEARTBEAT_MS = 15_000
/** A client that reads slower than this is cut off and comes back with its cursor. */
const MOST_BUFFERED_BYTES = 1024 * 1024
const HEARTBEAT = Buffer.from(': heartbeat\n\n')

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
  readonly metrics: Metrics
}

/** An event as it goes to everybody who follows the head of the log: made once, whoever reads it. */
interface Frame {
  readonly event: BoardEvent
  readonly bytes: Buffer
}

interface Client {
  readonly isWanted: (record: Actions) => boolean
  readonly write: (frame: Frame) => void
  readonly ping: () => void
}

/** Serves the stream to any number of clients over one look at the board. */
export const streamEvents = ({ board, actionsLog, metrics }: EventsOptions): RequestHandler => {
  const clients = new Set<Client>()
  const open = metrics.gauge('andon_actions_stream_clients', 'Clients that follow the event stream')

  const head = (): Cursor => {
    const cursor: Cursor = {}
    for (let partition = 0; partition < board.partitions; partition += 1) cursor[partition] = board.state(partition).nextOffset
    return cursor
  }

  board.listen((event) => {
    if (clients.size === 0) return
    const frame = { event, bytes: frameOf(head(), event.entry) }
    for (const client of clients) if (client.isWanted(event.entry.record)) client.write(frame)
  })
  setInterval(() => {
    for (const client of clients) client.ping()
  }, HEARTBEAT_MS).unref()

  return async (request, response) => {
    const isWanted = wanted(request)
    const missed = lastSeen(request)
    // an event is one write of one buffer: the stream ends with its connection, so it needs no chunks around each
    response.useChunkedEncodingByDefault = false
    response.writeHead(200, {
      connection: 'close',
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    response.write(': andon actions\n\n')

    // live events wait until what was missed has been sent
    let held: Frame[] | undefined = missed === undefined ? undefined : []
    const client: Client = {
      isWanted,
      write(frame) {
        if (held) held.push(frame)
        else push(response, frame.bytes)
      },
      ping: () => push(response, HEARTBEAT),
    }
    clients.add(client)
    open.set(clients.size)
    response.on('close', () => {
      clients.delete(client)
      open.set(clients.size)
    })
    if (missed === undefined) return
    const cursor: Cursor = { ...head(), ...missed }
    for (const [partition, end] of Object.entries(head())) {
      await replay(Number(partition), cursor[partition] ?? end, end, board, actionsLog, (entry) => {
        cursor[partition] = entry.offset + 1
        if (isWanted(entry.record)) push(response, frameOf(cursor, entry))
      })
    }
    for (const { event, bytes } of held ?? []) if (event.entry.offset >= (cursor[event.partition] ?? 0)) push(response, bytes)
    held = undefined
  }
}

const replay = async (
  partition: number,
  from: number,
  end: number,
  board: Board,
  actionsLog: ActionsLog,
  send: (entry: TracedEntry) => void,
): Promise<void> => {
  if (from >= end) return
  await actionsLog.read(partition, from, (entry) => {
    if (entry.offset < end && !board.voids.get(partition)?.has(entry.offset)) send(entry)
  })
}

const lastSeen = (request: Request): Cursor | undefined => {
  const { lastEventId } = request.query
  const last = request.get('last-event-id') ?? (typeof lastEventId === 'string' ? lastEventId : undefined)
  return last === undefined ? undefined : decodeCursor(last)
}

/** `line`, `asset` and `type`, comma separated; an event has to fit all that are given. */
const wanted = ({ query }: Request): ((record: Actions) => boolean) => {
  const among = (text: unknown): Set<string | null> | undefined => (typeof text === 'string' ? new Set(text.split(',')) : undefined)
  const [lines, assets, types] = [among(query['line']), among(query['asset']), among(query['type'])]
  return ({ line, assetId, type }) => (lines?.has(line) ?? true) && (assets?.has(assetId) ?? true) && (types?.has(type) ?? true)
}

const frameOf = (cursor: Cursor, { record }: TracedEntry): Buffer =>
  Buffer.from(`id: ${encodeCursor(cursor)}\nevent: ${record.type}\ndata: ${JSON.stringify({ kind: kindOf(record), ...record })}\n\n`)

const push = (response: Response, bytes: Buffer): void => {
  if (response.writableLength > MOST_BUFFERED_BYTES) response.destroy()
  else response.write(bytes)
}
