// andon topics: what is on the log, decoded. Reading joins no group and moves no position.

import { type LogRecord, HEADER, openCodec } from '@andon/kit'
import { messageOf } from '@andon/kit/errors'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { plain, print, table } from '../output.ts'

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

interface ShownRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly id: string | undefined
  readonly type: string | undefined
  readonly headers: Record<string, string>
  readonly value: unknown
}

/** Turns records into what is shown; a value that cannot be decoded is shown with the reason. */
const showRecord = async (codec: { decodeAsync<T>(topic: string, bytes: Buffer): Promise<T> }, record: LogRecord): Promise<ShownRecord> => {
  let value: unknown = null
  try {
    if (record.value !== null) value = plain(await codec.decodeAsync(record.topic, record.value))
  } catch (error) {
    value = { undecodable: messageOf(error), bytes: record.value?.length ?? 0 }
  }
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestampMs: record.timestampMs,
    key: record.key,
    id: record.header(HEADER.id),
    type: record.header(HEADER.type),
    headers: record.headers(),
    value,
  }
}

const lineOf = (record: ShownRecord): string =>
  `${new Date(record.timestampMs).toISOString()} ${record.topic}/${record.partition}@${record.offset} ${record.key ?? '-'} ${record.type ?? ''} ${JSON.stringify(record.value)}`

const openRegisteredCodec = (context: Context) =>
  openCodec({ registryUrl: context.registryUrl, autoRegister: false, namespace: context.namespace })

export interface ReadOptions {
  readonly json?: boolean
  readonly partition?: string
  readonly limit?: string
  readonly from?: string
}

/** Reads a whole number of the command line; anything else is a usage error that names the option. */
const wholeNumber = (option: string, found: string): number => {
  if (/^\d+$/.test(found)) return Number(found)
  throw new CommandError(EXIT.usage, `${option}: expected a whole number, found "${found}".`)
}

/** The last records of a topic, by partition, or the first ones after `from`. */
export const readTopic = async (context: Context, topic: string, options: ReadOptions): Promise<void> => {
  const limit = wholeNumber('--limit', options.limit ?? '10')
  const wanted = options.partition === undefined ? undefined : wholeNumber('--partition', options.partition)
  const first = options.from === undefined || options.from === 'earliest' ? 0 : wholeNumber('--from', options.from)
  await withLog(context, async (log) => {
    const codec = await openRegisteredCodec(context)
    const marks = (await log.admin.watermarks(topic)).filter((each) => wanted === undefined || each.partition === wanted)
    if (marks.length === 0) throw new CommandError(EXIT.failed, `No topic ${topic}, or no such partition. See \`andon topics list\`.`)
    for (const { partition, low, high } of marks) {
      const from = Math.min(high, Math.max(low, options.from === undefined ? high - limit : first))
      for await (const batch of log.read({ topic, partition, from, to: Math.min(high, from + limit) })) {
        for (const record of batch.records) {
          const shown = await showRecord(codec, record)
          print(options.json === true, shown, () => lineOf(shown))
        }
      }
    }
  })
}

/** New records as they come, until Ctrl-C. */
export const tailTopic = (context: Context, topic: string, options: { json?: boolean }): Promise<void> =>
  withLog(context, async (log) => {
    const codec = await openRegisteredCodec(context)
    const follow = await log.follow({
      topics: [topic],
      from: () => 'latest',
      async onBatch(batch) {
        for (const record of batch.records) {
          const shown = await showRecord(codec, record)
          print(options.json === true, shown, () => lineOf(shown))
        }
      },
    })
    process.once('SIGINT', () => void follow.stop()) // ends `follow.ended`
    await follow.ended
  })
