// andon dlq: dead letters, with why they are there; redrive puts the original bytes back on their topic in a lane of its own.

import { type Append, DEAD_LETTER_HEADER, HEADER, type Log, type LogRecord } from '@andon/kit'
import { uuid8 } from '@andon/kit/ids'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print, table } from '../output.ts'

const letters = async (log: Log, topic: string): Promise<LogRecord[]> => {
  const found: LogRecord[] = []
  for (const { partition, low, high } of await log.admin.watermarks(topic)) {
    for await (const batch of log.read({ topic, partition, from: low, to: high })) found.push(...batch.records)
  }
  return found
}

const shown = (letter: LogRecord) => ({
  partition: letter.partition,
  offset: letter.offset,
  timestampMs: letter.timestampMs,
  key: letter.key,
  id: letter.header(HEADER.id) ?? null,
  code: letter.header(DEAD_LETTER_HEADER.code) ?? null,
  reason: letter.header(DEAD_LETTER_HEADER.reason) ?? null,
  from: `${letter.header(DEAD_LETTER_HEADER.topic) ?? '?'}/${letter.header(DEAD_LETTER_HEADER.partition) ?? '?'}@${letter.header(DEAD_LETTER_HEADER.offset) ?? '?'}`,
  schemaId: letter.header(DEAD_LETTER_HEADER.schemaId) ?? null,
  bytes: letter.value?.length ?? 0,
})

export const listDlq = (context: Context, options: { json?: boolean }): Promise<void> =>
  withLog(context, async (log) => {
    const names = (await log.admin.topics())
      .map((each) => each.name)
      .filter((name) => name.endsWith('.dlq') || name.endsWith('.quarantine'))
    const topics = await Promise.all(
      names
        .sort()
        .map(async (name) => ({ name, records: (await log.admin.watermarks(name)).reduce((sum, each) => sum + each.high - each.low, 0) })),
    )
    print(options.json === true, { topics }, () =>
      table([['TOPIC', 'RECORDS'], ...topics.map((each) => [each.name, String(each.records)])]),
    )
  })

export const showDlq = (context: Context, topic: string, options: { json?: boolean }): Promise<void> =>
  withLog(context, async (log) => {
    const all = (await letters(log, topic)).map(shown)
    print(options.json === true, { topic, letters: all }, () =>
      table([
        ['AT', 'FROM', 'KEY', 'CODE', 'REASON'],
        ...all.map((each) => [`${each.partition}@${each.offset}`, each.from, each.key ?? '-', each.code ?? '-', each.reason ?? '-']),
      ]),
    )
  })

/** The record a dead letter was, in the lane of this redrive. */
const original = (letter: LogRecord, lane: string): Append => {
  const topic = letter.header(DEAD_LETTER_HEADER.topic)
  if (topic === undefined)
    throw new CommandError(EXIT.failed, `${letter.topic}/${letter.partition}@${letter.offset} does not say which topic it came from.`)
  const ours = new Set<string>(Object.values(DEAD_LETTER_HEADER))
  const headers = Object.fromEntries(Object.entries(letter.headers()).filter(([name]) => !ours.has(name)))
  return {
    topic,
    partition: Number(letter.header(DEAD_LETTER_HEADER.partition)),
    key: letter.key,
    value: letter.value,
    timestampMs: letter.timestampMs,
    headers: { ...headers, [HEADER.lane]: lane },
  }
}

/** Sends dead letters back. The lane's name derives from which letters they are: the same redrive twice is dropped by readers as a repeat. */
export const redriveDlq = (context: Context, topic: string, options: { json?: boolean; at?: string; yes?: boolean }): Promise<void> =>
  withLog(context, async (log) => {
    const all = await letters(log, topic)
    const chosen = options.at === undefined ? all : all.filter((each) => `${each.partition}@${each.offset}` === options.at)
    if (chosen.length === 0)
      throw new CommandError(EXIT.failed, `Nothing to redrive on ${topic}${options.at === undefined ? '' : ` at ${options.at}`}.`)
    const lane = `redrive:${uuid8('redrive', topic, ...chosen.map((each) => `${each.partition}@${each.offset}`)).slice(0, 8)}`
    const records = chosen.map((letter) => original(letter, lane))
    if (options.yes) await log.append(records)
    print(options.json === true, { topic, lane, records: records.length, sent: options.yes === true }, () =>
      options.yes
        ? `Sent ${records.length} records back in lane ${lane}.`
        : `Would send ${records.length} records back to ${[...new Set(records.map((each) => each.topic))].join(', ')} in lane ${lane}. Add --yes to do it.`,
    )
  })
