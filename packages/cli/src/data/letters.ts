// Dead letters as data: read, grouped, chosen, and the records that a redrive or a discard appends. Nothing here writes.

import type { Append, Cause, Log, LogRecord } from '@andon/kit'
import { DEAD_LETTER_HEADER, HEADER, comparePositions, parseCause } from '@andon/kit'
import { SETTLEMENT_HEADER, type Settlement } from '@andon/kit/dead-letters'
import { AndonError } from '@andon/kit/errors'
import { uuid8 } from '@andon/kit/ids'

/** What is known about a letter without its bytes. */
export interface Letter {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
  readonly key: string | null
  readonly id: string | null
  readonly type: string | null
  readonly lane: string | null
  readonly cause: Cause | undefined
  readonly code: string
  readonly reason: string
  readonly stackHash: string | null
  readonly group: string | null
  readonly schemaId: number | null
  /** Microseconds UTC. */
  readonly firstSeenUs: number
  /** Where the record lay; null for a quarantined reading, which never was on a topic. */
  readonly from: { readonly topic: string; readonly partition: number; readonly leaderEpoch: number; readonly offset: number } | null
  readonly bytes: number
  readonly settled: Settlement | null
}

/** `partition@offset`, as options take it. */
export const placeOf = (letter: { readonly partition: number; readonly offset: number }): string => `${letter.partition}@${letter.offset}`

/** True for topics that hold dead letters or quarantined readings. */
export const holdsLetters = (topic: string): boolean => topic.endsWith('.dlq') || topic.endsWith('.quarantine')

const toLetter = (record: LogRecord): Letter => {
  const whole = (name: string): number | null => {
    const text = record.header(name)
    return text === undefined || !/^-?\d+$/.test(text) ? null : Number(text)
  }
  const topic = record.header(DEAD_LETTER_HEADER.topic)
  return {
    topic: record.topic,
    partition: record.partition,
    leaderEpoch: record.leaderEpoch,
    offset: record.offset,
    key: record.key,
    id: record.header(HEADER.id) ?? null,
    type: record.header(HEADER.type) ?? null,
    lane: record.header(HEADER.lane) ?? null,
    cause: parseCause(record.header(HEADER.cause)),
    code: record.header(DEAD_LETTER_HEADER.code) ?? record.header('andon-quarantine-code') ?? '-',
    reason: record.header(DEAD_LETTER_HEADER.reason) ?? record.header('andon-quarantine-message') ?? '',
    stackHash: record.header(DEAD_LETTER_HEADER.stackHash) ?? null,
    group: record.header(DEAD_LETTER_HEADER.group) ?? null,
    schemaId: whole(DEAD_LETTER_HEADER.schemaId),
    firstSeenUs: whole(DEAD_LETTER_HEADER.firstSeenUs) ?? record.timestampMs * 1000,
    from:
      topic === undefined
        ? null
        : {
            topic,
            partition: whole(DEAD_LETTER_HEADER.partition) ?? record.partition,
            leaderEpoch: whole(DEAD_LETTER_HEADER.leaderEpoch) ?? -1,
            offset: whole(DEAD_LETTER_HEADER.offset) ?? -1,
          },
    bytes: record.value?.length ?? 0,
    settled: null,
  }
}

const toSettlement = (record: LogRecord): Settlement | undefined => {
  const as = record.header(SETTLEMENT_HEADER.as)
  if (as !== 'redriven' && as !== 'released' && as !== 'discarded') return undefined
  const lane = record.header(SETTLEMENT_HEADER.lane)
  return { as, reason: record.header(SETTLEMENT_HEADER.reason) ?? '', ...(lane === undefined ? {} : { lane }) }
}

/** All letters of a topic with what became of them, by partition and offset. */
export const readLetters = async (log: Log, topic: string): Promise<Letter[]> => {
  const found: Letter[] = []
  for (const { partition, low, high } of await log.admin.watermarks(topic)) {
    const letters = new Map<string, Letter>()
    for await (const batch of log.read({ topic, partition, from: low, to: high })) {
      for (const record of batch.records) {
        const settles = record.header(SETTLEMENT_HEADER.letter)
        if (settles === undefined) letters.set(`${record.leaderEpoch}/${record.offset}`, toLetter(record))
        else {
          const letter = letters.get(settles)
          const settled = toSettlement(record)
          if (letter !== undefined && settled !== undefined) letters.set(settles, { ...letter, settled })
        }
      }
    }
    found.push(...letters.values())
  }
  return found
}

export interface LetterFilter {
  readonly code?: string | undefined
  readonly stackHash?: string | undefined
  /** `partition@offset`. */
  readonly at?: readonly string[] | undefined
  /** First seen at or after, microseconds UTC. */
  readonly sinceUs?: number | undefined
  /** At most so many, oldest first. */
  readonly limit?: number | undefined
  /** Settled ones too. */
  readonly all?: boolean | undefined
}

/** The letters a filter chooses, in the given order. Throws ANDON_CLI_LETTER_UNKNOWN for a place without a letter. */
export const chooseLetters = (letters: readonly Letter[], filter: LetterFilter): Letter[] => {
  for (const place of filter.at ?? [])
    if (!letters.some((letter) => placeOf(letter) === place))
      throw new AndonError('ANDON_CLI_LETTER_UNKNOWN', `There is no dead letter at ${place}. \`andon dlq show <topic>\` lists them.`)
  return letters
    .filter(
      (letter) =>
        (filter.all === true || letter.settled === null) &&
        (filter.code === undefined || letter.code === filter.code) &&
        (filter.stackHash === undefined || letter.stackHash === filter.stackHash) &&
        (filter.at === undefined || filter.at.includes(placeOf(letter))) &&
        (filter.sinceUs === undefined || letter.firstSeenUs >= filter.sinceUs),
    )
    .slice(0, filter.limit)
}

export interface LetterGroup {
  readonly topic: string
  readonly code: string
  readonly stackHash: string | null
  readonly letters: number
  /** Sent back: redriven, or released from quarantine. */
  readonly redriven: number
  readonly discarded: number
  readonly firstSeenUs: number
  readonly lastSeenUs: number
  /** The newest letter, as `partition@offset`. */
  readonly newest: string
  /** Reason of the newest letter. */
  readonly reason: string
}

/** One group per topic, code and stack hash, the largest first. */
export const groupLetters = (letters: readonly Letter[]): LetterGroup[] => {
  const groups = Map.groupBy(letters, ({ topic, code, stackHash }) => JSON.stringify([topic, code, stackHash]))
  return [...groups.values()]
    .map((each): LetterGroup => {
      const newest = each.reduce((a, b) => (b.firstSeenUs >= a.firstSeenUs ? b : a))
      return {
        topic: newest.topic,
        code: newest.code,
        stackHash: newest.stackHash,
        letters: each.length,
        redriven: each.filter(({ settled }) => settled?.as === 'redriven' || settled?.as === 'released').length,
        discarded: each.filter(({ settled }) => settled?.as === 'discarded').length,
        firstSeenUs: each.reduce((least, { firstSeenUs }) => Math.min(least, firstSeenUs), newest.firstSeenUs),
        lastSeenUs: newest.firstSeenUs,
        newest: placeOf(newest),
        reason: newest.reason,
      }
    })
    .toSorted((a, b) => b.letters - a.letters || (a.topic < b.topic ? -1 : 1))
}

/** One letter to send back, and the lane it goes in. */
export interface Redriven {
  readonly letter: Letter
  readonly lane: string
}

/**
 * What a redrive of these letters sends, partition by partition in the order of their causes, as readers' marks need it.
 * The lane follows from which letters they are and stays with them, so the same redrive again is a repeat to every reader.
 * Of a record that was dead-lettered several times the newest letter stands for all. Throws ANDON_CLI_LETTER_ORIGIN for a
 * letter that does not say where it came from.
 */
export const planRedrive = (topic: string, letters: readonly Letter[]): Redriven[] => {
  for (const letter of letters)
    if (letter.from === null)
      throw new AndonError(
        'ANDON_CLI_LETTER_ORIGIN',
        `${letter.topic}/${placeOf(letter)} does not say which topic it came from; \`andon quarantine release\` sends quarantined readings back.`,
      )
  const fresh = letters.filter(({ settled }) => settled?.lane === undefined)
  const lane = `redrive:${uuid8('redrive', topic, ...fresh.map((each) => `${each.leaderEpoch}/${placeOf(each)}`)).slice(0, 8)}`
  const newest = new Map(letters.map((letter) => [`${letter.from?.topic}/${letter.id ?? JSON.stringify(letter.from)}`, letter]))
  return [...newest.values()].toSorted(byCause).map((letter) => ({ letter, lane: letter.settled?.lane ?? lane }))
}

const byCause = (a: Letter, b: Letter): number => {
  if (a.partition !== b.partition) return a.partition - b.partition
  if (a.cause === undefined || b.cause === undefined)
    return Number(a.cause !== undefined) - Number(b.cause !== undefined) || a.offset - b.offset
  return comparePositions(a.cause, b.cause) || a.cause.index - b.cause.index
}

const letterHeaders = new Set<string>(Object.values(DEAD_LETTER_HEADER))
letterHeaders.delete(DEAD_LETTER_HEADER.firstSeenUs) // should it fail again, it is known since when

/** The record the letter was - same id, key, bytes, timestamp and partition - in the given lane. */
export const originalOf = (record: LogRecord, from: NonNullable<Letter['from']>, lane: string): Append => ({
  topic: from.topic,
  partition: from.partition,
  key: record.key,
  value: record.value,
  timestampMs: record.timestampMs,
  headers: {
    ...Object.fromEntries(Object.entries(record.headers()).filter(([name]) => !letterHeaders.has(name))),
    [HEADER.lane]: lane,
  },
})
