// andon events: one event by its id, and what it came from and led to, over all topics of the mesh.

import { type Log, recordAt } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import type { Context } from '../context.ts'
import { type EventAt, drawLineage, findEvents, walkDown, walkUp } from '../data/events.ts'
import { showRecord } from '../data/readable.ts'
import { parseTimeMs } from '../data/when.ts'
import { withLog } from '../kafka.ts'
import { plain, print, wholeNumber } from '../output.ts'
import { readingCodec } from './topics.ts'

export interface EventOptions {
  readonly json?: boolean
  readonly since: string
}

const find = async (log: Log, id: string, since: string): Promise<{ event: EventAt; repeats: EventAt[] }> => {
  const [event, ...repeats] = await findEvents(log, id, parseTimeMs('--since', since, Date.now()))
  if (event !== undefined) return { event, repeats }
  throw new AndonError('ANDON_CLI_EVENT_UNKNOWN', `No event ${id} on the topics of the mesh since ${since}. --since 7d looks further back.`)
}

const placeOf = (event: EventAt): string => `${event.topic}/${event.partition}@${event.offset}`

/** The event's record, decoded, and where it lies again. */
export const showEvent = (context: Context, id: string, options: EventOptions): Promise<void> =>
  withLog(context, async (log) => {
    const { event, repeats } = await find(log, id, options.since)
    const record = await recordAt(log, event)
    if (record === undefined) throw new AndonError('ANDON_CLI_EVENT_UNKNOWN', `${placeOf(event)} went from the log while it was read.`)
    const shown = plain({ ...(await showRecord(await readingCodec(context), record)), repeats }) as { headers: object; value: unknown }
    print(options.json === true, shown, () =>
      [
        `${placeOf(event)}  ${event.type ?? '-'}  ${event.key ?? '-'}  ${new Date(event.timestampMs).toISOString()}`,
        ...Object.entries(shown.headers).map(([name, text]) => `  ${name}: ${text}`),
        JSON.stringify(shown.value, null, 2),
        ...repeats.map((each) => `again at ${placeOf(each)} in lane ${each.lane ?? '-'}`),
      ].join('\n'),
    )
  })

export interface LineageOptions extends EventOptions {
  readonly up?: boolean
  readonly down?: boolean
  readonly depth: string
}

/** Causes and effects of an event; both ways unless one is asked for. */
export const showLineage = (context: Context, id: string, options: LineageOptions): Promise<void> => {
  const depth = wholeNumber('--depth', options.depth)
  const isBoth = options.up === options.down
  return withLog(context, async (log) => {
    const { event, repeats } = await find(log, id, options.since)
    const up = isBoth || options.up ? await walkUp(log, event, depth) : { events: [], gone: null }
    const down = isBoth || options.down ? await walkDown(log, event, depth) : undefined
    print(
      options.json === true,
      { event, repeats, up: up.events, gone: up.gone, caused: down?.tree.caused ?? [], truncated: down?.truncated ?? false },
      () => drawLineage(up, down, event),
    )
  })
}
