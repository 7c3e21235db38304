// What a conformance rule is given: logs of one adapter in a namespace of their own, and what that adapter can do beyond the
// port. A rule that needs more than the adapter has is reported as left out, with the reason.

import { test } from 'node:test'
import { AndonError } from '@andon/kit'
import type { Append, KafkaClient, KafkaLog, KafkaLogOptions, Log, LogRecord } from '@andon/kit'

export interface Subject {
  /** A log with a namespace of its own. Two calls with one namespace share topics and groups. */
  open(namespace: string): Promise<Log>
  /** Longest time that a rebalance or redelivery may take. */
  readonly patienceMs: number
  /** Retention: records below `before` go. */
  readonly trim?: (log: Log, topic: string, partition: number, before: number) => Promise<void> | void
  /** Ends the log as a killed process would: nothing more is handled, committed or told. */
  readonly crash?: (log: Log) => void
  /** An adapter with a broker behind it. */
  readonly kafka?: KafkaSubject
}

export interface KafkaSubject {
  readonly client: KafkaClient
  brokers(): readonly string[]
  open(namespace: string, options?: Partial<KafkaLogOptions>): Promise<KafkaLog>
  /** A port that leads to the broker by a way of our own. */
  readonly port: () => number
}

/** What the rule is about: the rows of `npm run verify -- conformance`. */
export const RULES = [
  'order',
  'redelivery',
  'fencing',
  'zombies',
  'rebalance',
  'poison',
  'time-outs',
  'large records',
  'compression',
  'headers',
  'timestamps',
  'resuming',
  'log start',
  'topics',
  'following',
  'interop',
] as const

export type Rule = (typeof RULES)[number]

export interface Bench {
  readonly log: Log
  readonly namespace: string
  /** Another log in the same namespace, as another process has one. */
  readonly again: () => Promise<Log>
  /** Called when the rule has been tried, newest first. */
  readonly after: (close: () => unknown) => void
}

export type Check = (rule: Rule, promise: string, body: (bench: Bench) => Promise<void>) => void

let names = 0

/** Registers rules of an adapter as tests called `<adapter>: <rule>: <promise>`; each has a topic `numbers` of 4 partitions. */
export const checkOf =
  (adapter: string, subject: Pick<Subject, 'open'>): Check =>
  (rule, promise, body) =>
    void test(`${adapter}: ${rule}: ${promise}`, async () => {
      const namespace = `${adapter}${process.pid}-${++names}-`
      const closing: (() => unknown)[] = []
      const open = async (): Promise<Log> => {
        const log = await subject.open(namespace)
        closing.push(() => log.close())
        return log
      }
      try {
        const log = await open()
        await log.admin.ensureTopics([{ name: 'numbers', partitions: 4 }])
        await body({ log, namespace, again: open, after: (close) => closing.push(close) })
      } finally {
        for (const close of closing.reverse()) await close()
      }
    })

/** A rule that this adapter cannot be held against. */
export const leftOut = (adapter: string, rule: Rule, promise: string, why: string): void =>
  void test(`${adapter}: ${rule}: ${promise}`, { skip: why }, () => undefined)

export const text = (record: LogRecord): string => record.value?.toString() ?? ''

export const values = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => String(from + i))

export const toPartition = (partition: number, texts: readonly string[], topic = 'numbers'): Append[] =>
  texts.map((value) => ({ topic, key: null, partition, value: Buffer.from(value) }))

export const readAll = async (
  log: Log,
  topic: string,
  partition: number,
  from: number | 'earliest' = 'earliest',
  to: number | 'latest' = 'latest',
): Promise<LogRecord[]> => {
  const records: LogRecord[] = []
  for await (const batch of log.read({ topic, partition, from, to })) records.push(...batch.records)
  return records
}

/** An error that says: try again. */
export const away = () => new AndonError('ANDON_TEST_AWAY', 'away', { retriable: true })
