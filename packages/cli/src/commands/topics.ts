// andon topics: what is on the log, decoded. Reading joins no group and moves no position.

import { type Codec, type Log, type LogRecord, openCodec } from '@andon/kit'
import type { Context } from '../context.ts'
import { type Filter, filterOf } from '../data/filter.ts'
import { lastOf, mergedByTime, parseStart, rangesOf } from '../data/ranges.ts'
import { type ShownRecord, showRecord } from '../data/readable.ts'
import { withLog } from '../kafka.ts'
import { plain, print, table, wholeNumber } from '../output.ts'

export const listTopics = (context: Context, options: { json?: boolean }): Promise<void> =>
  withLog(context, async (log) => {
    const topics = await Promise.all(
      (await log.admin.topics()).map(async ({ name, partitions }) => {
        const records = (await log.admin.watermarks(name)).reduce((sum, each) => sum + each.high - each.low, 0)
        return { name, partitions, records }
      }),
    )
    topics.sort((a, b) => a.name.localeCompare(b.name))
    print(options.json === true, { topics }, () =>
      table([['TOPIC', 'PARTITIONS', 'RECORDS'], ...topics.map((each) => [each.name, String(each.partitions), String(each.records)])]),
    )
  })

/** A codec that reads; it registers nothing. */
export const readingCodec = (context: Context): Promise<Codec> =>
  openCodec({ registryUrl: context.registryUrl, autoRegister: false, namespace: context.namespace, readsAnyTopic: true })

export interface TailOptions {
  readonly json?: boolean
  readonly raw?: boolean
  readonly follow?: boolean
  readonly lines?: string
  readonly offset: string
  readonly filter?: string
  readonly partition?: string
  readonly key?: string
}

const DEFAULT_LINES = 10

/**
 * The last records (`-o end`), or those from a start on, all partitions merged by time; with `follow` new ones as they
 * come, until Ctrl-C. `lines` bounds what is shown before following: matching records, ten for `-o end`, else all.
 */
export const tailTopic = (context: Context, topic: string, options: TailOptions): Promise<void> => {
  const start = parseStart('--offset', options.offset, Date.now())
  const lines = options.lines === undefined ? undefined : wholeNumber('--lines', options.lines)
  const only = options.partition === undefined ? undefined : wholeNumber('--partition', options.partition)
  const filter = options.filter === undefined ? undefined : filterOf(options.filter)
  return withLog(context, async (log) => {
    const codec = options.raw && filter === undefined ? undefined : await readingCodec(context)
    const select = (record: LogRecord): Promise<Shown | undefined> => selected(codec, record, options, filter)
    const ranges = await rangesOf(log, topic, start === 'end' ? 'start' : start, only)
    if (start === 'end') {
      for (const shown of await lastOf(log, topic, ranges, lines ?? DEFAULT_LINES, select)) show(shown, options)
    } else {
      let left = lines ?? Number.POSITIVE_INFINITY
      for await (const record of mergedByTime(log, topic, ranges)) {
        if (left === 0) break
        const shown = await select(record)
        if (shown === undefined) continue
        show(shown, options)
        left -= 1
      }
    }
    if (options.follow) await followFrom(log, topic, new Map(ranges.map(({ partition, to }) => [partition, to])), select, options)
    if (filter !== undefined && filter.failed.count > 0)
      console.error(`The filter failed on ${filter.failed.count} records, first with: ${filter.failed.reason}. They are left out.`)
  })
}

const followFrom = async (
  log: Log,
  topic: string,
  from: ReadonlyMap<number, number>,
  select: (record: LogRecord) => Promise<Shown | undefined>,
  options: TailOptions,
): Promise<void> => {
  const follow = await log.follow({
    topics: [topic],
    from: (_topic, partition) => from.get(partition) ?? 'latest',
    async onBatch(batch) {
      if (!from.has(batch.partition)) return
      for (const record of batch.records) {
        const shown = await select(record)
        if (shown !== undefined) show(shown, options)
      }
    },
  })
  process.once('SIGINT', () => void follow.stop()) // ends `follow.ended`
  process.once('SIGTERM', () => void follow.stop())
  await follow.ended
}

type Shown = Omit<ShownRecord, 'value'> & { readonly value?: unknown; readonly hex?: string }

/** What is shown of a record; undefined when it is not wanted. The bytes are copied: the record is a view. */
const selected = async (
  codec: Codec | undefined,
  record: LogRecord,
  options: TailOptions,
  filter: Filter | undefined,
): Promise<Shown | undefined> => {
  if (options.key !== undefined && record.key !== options.key) return undefined
  const shown = await showRecord(codec ?? undecoded, record)
  if (filter !== undefined && !filter.matches(shown)) return undefined
  if (!options.raw) return shown
  const { value: _value, ...rest } = shown
  return { ...rest, hex: record.value?.toString('hex') ?? '' }
}

const undecoded: Pick<Codec, 'decodeAsync'> = { decodeAsync: <T>() => Promise.resolve(null as T) }

const show = (shown: Shown, options: TailOptions): void =>
  print(options.json === true, plain(shown), () => {
    const at = `${new Date(shown.timestampMs).toISOString()} ${shown.topic}/${shown.partition}@${shown.offset} ${shown.key ?? '-'} ${shown.type ?? '-'}`
    return `${at} ${shown.hex ?? JSON.stringify(plain(shown.value))}`
  })
