// Finding an event by its id and walking causation, from record headers alone: up to what caused it, down to what it
// caused. Memory holds what was found; how far back a search goes is bounded by record time.

import { type Cause, HEADER, type Log, type LogRecord, causesOf, parseCause } from '@andon/kit'
import { type TopicName, topicNames, topology } from '@andon/schemas'

/** An event without its value. */
export interface EventAt {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly id: string | null
  readonly type: string | null
  readonly lane: string | null
  readonly cause: Cause | null
}

export interface EventTree extends EventAt {
  readonly caused: readonly EventTree[]
}

const eventAt = (record: LogRecord): EventAt => ({
  topic: record.topic,
  partition: record.partition,
  leaderEpoch: record.leaderEpoch,
  offset: record.offset,
  timestampMs: record.timestampMs,
  key: record.key,
  id: record.header(HEADER.id) ?? null,
  type: record.header(HEADER.type) ?? null,
  lane: record.header(HEADER.lane) ?? null,
  cause: parseCause(record.header(HEADER.cause)) ?? null,
})

const placeKey = (at: {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
}): string => `${at.topic}/${at.partition}/${at.leaderEpoch}/${at.offset}`

async function* recordsSince(log: Log, topic: string, sinceMs: number): AsyncGenerator<LogRecord> {
  for (const { partition, high } of await log.admin.watermarks(topic)) {
    const from = await log.admin.offsetAt(topic, partition, sinceMs)
    if (from >= high) continue
    for await (const batch of log.read({ topic, partition, from, to: high })) yield* batch.records
  }
}

const presentTopics = async (log: Log, wanted: readonly string[]): Promise<string[]> => {
  const present = new Set((await log.admin.topics()).map(({ name }) => name))
  return wanted.filter((name) => present.has(name))
}

/** Every record with this ce_id on the mesh's topics since the time: the event and its repeats, in the order of the topics. */
export const findEvents = async (log: Log, id: string, sinceMs: number): Promise<EventAt[]> => {
  const found: EventAt[] = []
  for (const topic of await presentTopics(log, topicNames))
    for await (const record of recordsSince(log, topic, sinceMs)) if (record.header(HEADER.id) === id) found.push(eventAt(record))
  return found
}

export interface Upwards {
  /** The causing event first, then what caused that, and so on. */
  readonly events: readonly EventAt[]
  /** The cause at which the walk ended because its record is gone; null when it ended at a source or at the depth. */
  readonly gone: Cause | null
}

export const walkUp = async (log: Log, event: EventAt, depth: number): Promise<Upwards> => {
  const { records, gone } = await causesOf(log, event.cause, depth)
  return { events: records.map(eventAt), gone }
}

/** Topics that the readers of a topic write. */
const writtenFrom = (topic: string): TopicName[] => {
  const written = Object.values(topology.services)
    .filter(({ reads }) => (reads as readonly string[]).includes(topic))
    .flatMap(({ writes }) => writes)
  return [...new Set(written)]
}

export const MOST_EVENTS = 1000

export interface Downwards {
  readonly tree: EventTree
  /** True when more than MOST_EVENTS were caused: the tree ends there. */
  readonly truncated: boolean
}

/**
 * What an event caused, generation by generation. A derived record is never older than its cause in record time, so each
 * topic is read from the oldest event of the generation on.
 */
export const walkDown = async (log: Log, event: EventAt, depth: number): Promise<Downwards> => {
  const children = new Map<string, EventAt[]>()
  const seen = new Set([placeKey(event)])
  let generation: EventAt[] = [event]
  for (let level = 0; level < depth && generation.length > 0 && seen.size <= MOST_EVENTS; level++) {
    const wanted = new Set(generation.map(placeKey))
    const sinceMs = Math.min(...generation.map(({ timestampMs }) => timestampMs))
    const topics = await presentTopics(log, [...new Set(generation.flatMap(({ topic }) => writtenFrom(topic)))])
    generation = []
    for (const topic of topics)
      for await (const record of recordsSince(log, topic, sinceMs)) {
        const cause = parseCause(record.header(HEADER.cause))
        if (cause === undefined || !wanted.has(placeKey(cause))) continue
        const found = eventAt(record)
        if (seen.has(placeKey(found)) || seen.size > MOST_EVENTS) continue
        seen.add(placeKey(found))
        generation.push(found)
        const siblings = children.get(placeKey(cause))
        if (siblings === undefined) children.set(placeKey(cause), [found])
        else siblings.push(found)
      }
  }
  const treeOf = (at: EventAt): EventTree => ({ ...at, caused: (children.get(placeKey(at)) ?? []).map(treeOf) })
  return { tree: treeOf(event), truncated: seen.size > MOST_EVENTS }
}

const labelOf = (event: EventAt): string =>
  [
    `${event.topic}/${event.partition}@${event.offset}`,
    event.type ?? '-',
    event.key ?? '-',
    new Date(event.timestampMs).toISOString(),
    event.id ?? '',
  ].join('  ')

/** The walk as an indented tree, causes above; the event asked for is marked with `*`. */
export const drawLineage = (up: Upwards, down: Downwards | undefined, event: EventAt): string => {
  const lines: string[] = []
  let indent = ''
  const above = up.events.toReversed()
  if (up.gone !== null) lines.push(`${up.gone.topic}/${up.gone.partition}@${up.gone.offset}  (no longer on the log)`)
  for (const each of above) {
    lines.push(lines.length === 0 ? labelOf(each) : `${indent}└─ ${labelOf(each)}`)
    if (lines.length > 1) indent += '   '
  }
  const draw = (tree: EventTree, before: string, isLast: boolean, mark: string): void => {
    lines.push(lines.length === 0 ? `${mark}${labelOf(tree)}` : `${before}${isLast ? '└─ ' : '├─ '}${mark}${labelOf(tree)}`)
    const inner = lines.length === 1 ? '' : `${before}${isLast ? '   ' : '│  '}`
    tree.caused.forEach((child, i) => draw(child, inner, i === tree.caused.length - 1, ''))
  }
  draw(down?.tree ?? { ...event, caused: [] }, indent, true, '* ')
  if (down?.truncated) lines.push(`… more than ${MOST_EVENTS} events; --depth shortens the walk`)
  return lines.join('\n')
}
