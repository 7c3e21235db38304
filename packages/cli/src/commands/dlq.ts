// andon dlq: dead letters, with why they are there; redrive puts the original bytes back on their topic in a lane of its
// own, discard settles them. Both only say what they would do until they are told --yes.

import type { Log } from '@andon/kit'
import { openCodec } from '@andon/kit'
import { settlement } from '@andon/kit/dead-letters'
import { messageOf } from '@andon/kit/errors'
import { type Context, CommandError } from '../context.ts'
import {
  type Letter,
  type LetterGroup,
  chooseLetters,
  groupLetters,
  holdsLetters,
  originalOf,
  placeOf,
  planRedrive,
  readLetters,
} from '../data/letters.ts'
import { chunksByPartition, recordsAt } from '../data/records.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { plain, print, table, wholeNumber } from '../output.ts'

export interface ChooseOptions {
  readonly json?: boolean
  readonly code?: string
  readonly stack?: string
  readonly at?: readonly string[]
  readonly since?: string
  readonly limit?: string
  readonly all?: boolean
  readonly yes?: boolean
}

export const choose = async (log: Log, topic: string, options: ChooseOptions): Promise<Letter[]> => {
  await requireTopic(log, topic)
  return chooseLetters(await readLetters(log, topic), {
    code: options.code,
    stackHash: options.stack,
    at: options.at,
    all: options.all,
    limit: options.limit === undefined ? undefined : wholeNumber('--limit', options.limit),
    sinceUs: options.since === undefined ? undefined : parseTimeMs('--since', options.since, Date.now()) * 1000,
  })
}

const requireTopic = async (log: Log, topic: string): Promise<void> => {
  if ((await log.admin.topics()).some(({ name }) => name === topic)) return
  throw new CommandError(EXIT.failed, `There is no topic ${topic}. \`andon dlq ls\` names those with dead letters.`)
}

const seen = (timeUs: number): string => new Date(timeUs / 1000).toISOString().slice(0, 19).replace('T', ' ')

/** Groups of letters by topic, code and stack hash; settled ones only with `all`. */
export const listDlq = (context: Context, only: string | undefined, options: ChooseOptions): Promise<void> =>
  withLog(context, async (log) => {
    if (only !== undefined) await requireTopic(log, only)
    const names = (await log.admin.topics())
      .map(({ name }) => name)
      .filter((name) => (only === undefined ? holdsLetters(name) : name === only))
    const groups: LetterGroup[] = []
    for (const topic of names.toSorted()) groups.push(...groupLetters(await choose(log, topic, options)))
    print(options.json === true, { groups }, () =>
      groups.length === 0
        ? 'No open dead letters. --all shows settled ones.'
        : table([
            ['TOPIC', 'CODE', 'STACK', 'LETTERS', 'SETTLED', 'FIRST SEEN', 'LAST SEEN', 'NEWEST', 'REASON'],
            ...groups.map((each) => [
              each.topic,
              each.code,
              each.stackHash ?? '-',
              String(each.letters),
              String(each.redriven + each.discarded),
              seen(each.firstSeenUs),
              seen(each.lastSeenUs),
              each.newest,
              each.reason.slice(0, 80),
            ]),
          ]),
    )
  })

const originOf = ({ from }: Letter): string => (from === null ? '-' : `${from.topic}/${from.partition}@${from.offset}`)

/** The letters of a topic, one line each; with a place, that letter in full. */
export const showDlq = (context: Context, topic: string, place: string | undefined, options: ChooseOptions): Promise<void> =>
  withLog(context, async (log) => {
    const letters = await choose(log, topic, place === undefined ? options : { at: [place], all: true })
    const [letter] = letters
    if (place !== undefined && letter !== undefined) return showLetter(context, log, letter, options.json === true)
    print(options.json === true, { topic, letters }, () =>
      table([
        ['AT', 'FROM', 'KEY', 'CODE', 'SETTLED', 'REASON'],
        ...letters.map((each) => [placeOf(each), originOf(each), each.key ?? '-', each.code, each.settled?.as ?? '-', each.reason]),
      ]),
    )
  })

const showLetter = async (context: Context, log: Log, letter: Letter, isJson: boolean): Promise<void> => {
  const [record] = await recordsAt(log, [letter])
  const value = record?.value ?? Buffer.alloc(0)
  const shown = {
    ...letter,
    headers: record?.headers() ?? {},
    head: value.subarray(0, 64).toString('hex'),
    decoded: await decodedNow(context, letter.from?.topic, value),
  }
  print(isJson, shown, () =>
    [
      `${letter.topic}/${placeOf(letter)}  ${letter.code}  ${letter.reason}`,
      ...[
        ['from', originOf(letter)],
        ['key', letter.key ?? '-'],
        ['first seen', `${seen(letter.firstSeenUs)} UTC`],
        ['settled', letter.settled === null ? 'no' : `${letter.settled.as}: ${letter.settled.reason}`],
        ['bytes', String(letter.bytes)],
      ].map(([name, text]) => `  ${(name as string).padEnd(12)}${text}`),
      '  headers',
      ...Object.entries(shown.headers).map(([name, text]) => `    ${name}: ${text}`),
      `  bytes (first ${Math.min(64, value.length)})`,
      ...(shown.head.match(/.{1,32}/g) ?? []).map((line) => `    ${line.replaceAll(/(..)/g, '$1 ')}`),
      'value' in shown.decoded
        ? `  decodes now: ${JSON.stringify(shown.decoded.value)}`
        : `  does not decode now: ${shown.decoded.undecodable}`,
    ].join('\n'),
  )
}

/** The value, if today's schemas and registry can read it; else why not. */
const decodedNow = async (
  context: Context,
  topic: string | undefined,
  value: Buffer,
): Promise<{ value: unknown } | { undecodable: string }> => {
  if (topic === undefined) return { undecodable: 'it never was a record of a topic' }
  try {
    const codec = await openCodec({
      registryUrl: context.registryUrl,
      autoRegister: false,
      namespace: context.namespace,
      readsAnyTopic: true,
    })
    return { value: plain(await codec.decodeAsync(topic, value)) }
  } catch (error) {
    return { undecodable: messageOf(error) }
  }
}

const CHUNK = 200

/** Sends letters back under their own ids; a second time changes nothing downstream (planRedrive). */
export const redriveDlq = (context: Context, topic: string, options: ChooseOptions): Promise<void> =>
  withLog(context, async (log) => {
    const plan = planRedrive(topic, await choose(log, topic, options))
    if (plan.length === 0)
      throw new CommandError(EXIT.failed, `Nothing to redrive on ${topic}. \`andon dlq ls ${topic} --all\` shows settled letters too.`)
    if (options.yes)
      for (const chunk of chunksByPartition(plan, ({ letter }) => letter.partition, CHUNK)) {
        const records = await recordsAt(
          log,
          chunk.map(({ letter }) => letter),
        )
        const lanes = new Map(chunk.map((each) => [each.letter.offset, each]))
        await log.append(
          records.flatMap((record) => {
            const each = lanes.get(record.offset)
            return each?.letter.from ? [originalOf(record, each.letter.from, each.lane)] : []
          }),
        )
        await log.append(chunk.map(({ letter, lane }) => settlement(letter, { as: 'redriven', reason: `sent back in lane ${lane}`, lane })))
      }
    const lanes = [...new Set(plan.map(({ lane }) => lane))]
    const topics = [...new Set(plan.map(({ letter }) => letter.from?.topic))]
    print(options.json === true, { topic, lane: lanes[0], lanes, records: plan.length, sent: options.yes === true }, () =>
      options.yes
        ? `Sent ${plan.length} records back in lane ${lanes.join(', ')}.`
        : `Would send ${plan.length} records back to ${topics.join(', ')} in lane ${lanes.join(', ')}. Add --yes to do it.`,
    )
  })

/** Settles letters that nobody will send back. They stay on the topic until its retention ends; `ls --all` shows them. */
export const discardDlq = (context: Context, topic: string, options: ChooseOptions & { readonly reason: string }): Promise<void> =>
  withLog(context, async (log) => {
    const chosen = await choose(log, topic, options)
    if (chosen.length === 0) throw new CommandError(EXIT.failed, `Nothing to discard on ${topic}.`)
    if (options.yes) await log.append(chosen.map((letter) => settlement(letter, { as: 'discarded', reason: options.reason })))
    print(options.json === true, { topic, records: chosen.length, reason: options.reason, settled: options.yes === true }, () =>
      options.yes
        ? `Discarded ${chosen.length} letters of ${topic}.`
        : `Would discard ${chosen.length} letters of ${topic}. Add --yes to do it.`,
    )
  })
