// A million records of every kind a plant sends - good, late, early, repeated, of bad quality, unusable - and the sum: what came in is what
// was accepted, quarantined or recognised as a repeat, to the record; and the topics hold exactly that.

import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import type { Telemetry } from '@andon/schemas'
import { verifyRecords } from '../../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { readTopic, until, withScene } from '../rig.ts'
import { CHANNEL, TOKEN, openIngest, sourceOf } from './rig.ts'
import { sampleId, samplesOn } from './samples.ts'

const RECORDS = 1_000_000
const BATCH = 1000
const SENDERS = 4
const ASSETS = ['mixed-1', 'mixed-2', 'mixed-3', 'mixed-4'] as const

/** What a record is meant to be, as [share, what becomes of it]. The shares sum to 1. */
const KINDS = {
  good: [0.67, 'accepted'],
  // Numbered readings are known by their numbers to every reader of the log, not to the door: it takes them again.
  numberedAgain: [0.03, 'repeated'],
  badQuality: [0.05, 'accepted'],
  slowClock: [0.05, 'accepted'],
  fastClock: [0.03, 'accepted'],
  historical: [0.04, 'accepted'],
  unnumbered: [0.04, 'accepted'],
  unnumberedAgain: [0.03, 'duplicate'],
  outOfRange: [0.02, 'ANDON_INGEST_OUT_OF_RANGE'],
  unknownChannel: [0.02, 'ANDON_INGEST_UNKNOWN_CHANNEL'],
  notANumber: [0.01, 'ANDON_INGEST_BAD_FIELD'],
  tooFarAhead: [0.01, 'ANDON_INGEST_TIME_AHEAD'],
} as const satisfies Readonly<Record<string, readonly [number, string]>>

type Kind = keyof typeof KINDS
const kinds = Object.keys(KINDS) as Kind[]

const SECOND_US = 1_000_000

/** Records of one sender, with what has to become of each. */
class Sender {
  readonly expected = new Map<string, number>()
  readonly acknowledged = new Set<string>()
  private readonly random: () => number
  private readonly asset: string
  private readonly startUs: number
  private next = 1
  private seq = 1
  private readonly unnumbered: Record<string, unknown>[] = []
  private readonly numbered: Record<string, unknown>[] = []

  constructor(asset: string, seed: number) {
    this.asset = asset
    this.random = seeded(seed).fraction
    this.startUs = Date.now() * 1000
  }

  record(): Record<string, unknown> {
    const kind = this.kind()
    const earlier = kind === 'unnumberedAgain' ? this.unnumbered : kind === 'numberedAgain' ? this.numbered : []
    const again = earlier[Math.floor(this.random() * earlier.length)]
    const [, outcome] = KINDS[again === undefined && (kind === 'unnumberedAgain' || kind === 'numberedAgain') ? 'good' : kind]
    this.expected.set(outcome, (this.expected.get(outcome) ?? 0) + 1)
    if (again !== undefined) return again
    const count = this.next++
    if (outcome === 'accepted') this.acknowledged.add(sampleId(this.asset, count))
    const timeUs = this.startUs + count + this.skewUs(kind)
    const reading = { source: sourceOf(this.asset), epoch: 1, seq: this.seq, timeUs, quality: kind === 'badQuality' ? 2 : 0 }
    if (kind === 'unnumbered') {
      const { epoch: _epoch, seq: _seq, ...plain } = reading
      const kept = { ...plain, values: { [CHANNEL]: count } }
      return remember(this.unnumbered, kept)
    }
    this.seq++
    if (kind === 'outOfRange') return { ...reading, values: { [CHANNEL]: -count } }
    if (kind === 'unknownChannel') return { ...reading, values: { humidity: count } }
    if (kind === 'notANumber') return { ...reading, values: { [CHANNEL]: `${count}` } }
    const sent = { ...reading, values: { [CHANNEL]: count } }
    return outcome === 'accepted' ? remember(this.numbered, sent) : sent
  }

  private kind(): Kind {
    let left = this.random()
    for (const kind of kinds) if ((left -= KINDS[kind][0]) < 0) return kind
    return 'good'
  }

  private skewUs(kind: Kind): number {
    if (kind === 'slowClock') return -60 * SECOND_US
    if (kind === 'fastClock') return 60 * SECOND_US
    if (kind === 'historical') return -30 * 86_400 * SECOND_US
    if (kind === 'tooFarAhead') return 30 * 86_400 * SECOND_US
    return 0
  }
}

/** Keeps some of the newest records, to be sent again. */
const remember = (records: Record<string, unknown>[], record: Record<string, unknown>): Record<string, unknown> => {
  records.push(record)
  if (records.length > 1000) records.splice(0, 500)
  return record
}

interface Receipt {
  readonly accepted: number
  readonly duplicates: number
  readonly quarantined: readonly { readonly code: string }[]
}

export const ingestMixed = (options: FaultOptions): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const ingest = await openIngest(scene, { doors: ['http'], assets: ASSETS })
    await ingest.start()
    const told = new Map<string, number>()
    const tell = (outcome: string, count: number): void => void told.set(outcome, (told.get(outcome) ?? 0) + count)
    const records = Math.round((RECORDS * options.scale) / SENDERS / BATCH) * BATCH
    const senders = ASSETS.slice(0, SENDERS).map((asset, at) => new Sender(asset, options.seed + at))
    await Promise.all(
      senders.map(async (sender) => {
        for (let sent = 0; sent < records; sent += BATCH) {
          const { accepted, duplicates, quarantined } = await post(
            ingest.url,
            Array.from({ length: BATCH }, () => sender.record()),
          )
          tell('accepted', accepted)
          tell('duplicate', duplicates)
          for (const { code } of quarantined) tell(code, 1)
        }
      }),
    )
    const expected = new Map<string, number>()
    for (const sender of senders)
      for (const [outcome, count] of sender.expected) expected.set(outcome, (expected.get(outcome) ?? 0) + count)
    const acknowledged = new Set(senders.flatMap((sender) => [...sender.acknowledged]))
    const quarantinedCount = [...expected].reduce((sum, [outcome, count]) => (outcome.startsWith('ANDON') ? sum + count : sum), 0)

    let found = await samplesOn(ingest.log, ingest.codec)
    await until(
      'everything to be on the topics',
      async () => {
        found = await samplesOn(ingest.log, ingest.codec)
        return found.samples.length >= acknowledged.size && (await quarantineCodes(ingest.log)).length >= quarantinedCount
      },
      120_000,
    ).catch(() => undefined) // the verdict says what is missing
    const codes = await quarantineCodes(ingest.log)
    const onTopic = new Map([
      ['accepted', found.samples.length],
      ['repeated', found.repeats],
      ['duplicate', expected.get('duplicate') ?? 0],
    ])
    for (const code of codes) onTopic.set(code, (onTopic.get(code) ?? 0) + 1)
    const marked = await markedBlocks(ingest)
    return {
      verdict: verifyRecords({ acknowledged, found: found.samples }),
      recoveredS: null,
      broken: [
        ...differences('the receipts', asTold(expected), told),
        ...differences('the topics', expected, onTopic),
        ...found.contradictions.slice(0, 3),
        ...(marked.historical === 0 || marked.skewed === 0 ? ['no block was marked historical, or none skewed'] : []),
      ],
      detail: { records: records * SENDERS, ...Object.fromEntries(told), repeatedRows: found.repeats },
    }
  })

const post = async (url: string, readings: readonly unknown[]): Promise<Receipt> => {
  for (;;) {
    const response = await fetch(`${url}/v1/telemetry`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(readings),
    })
    if (response.status === 202) return (await response.json()) as Receipt
    if (response.status !== 429 && response.status !== 503) throw new Error(`${response.status}: ${await response.text()}`)
    await sleep(Number(response.headers.get('retry-after') ?? 1) * 1000)
  }
}

const quarantineCodes = async (log: Parameters<typeof readTopic>[0]): Promise<string[]> =>
  (await readTopic(log, 'telemetry.ingest.quarantine')).flatMap((record) => record.header('andon-quarantine-code') ?? [])

const markedBlocks = async ({ log, codec }: Pick<Awaited<ReturnType<typeof openIngest>>, 'log' | 'codec'>) => {
  const marked = { historical: 0, skewed: 0 }
  for (const record of await readTopic(log, 'telemetry')) {
    const { block } = await codec.decodeAsync<Telemetry>('telemetry', record.value!)
    if (block?.historical === true) marked.historical++
    if (block !== null && block.skewUs !== 0) marked.skewed++
  }
  return marked
}

/** What a door says of readings: it cannot know numbers that it has seen before. */
const asTold = (expected: ReadonlyMap<string, number>): ReadonlyMap<string, number> => {
  const asked = new Map(expected)
  asked.set('accepted', (expected.get('accepted') ?? 0) + (expected.get('repeated') ?? 0))
  asked.delete('repeated')
  return asked
}

const differences = (where: string, expected: ReadonlyMap<string, number>, found: ReadonlyMap<string, number>): string[] =>
  [...new Set([...expected.keys(), ...found.keys()])].flatMap((outcome) =>
    (expected.get(outcome) ?? 0) === (found.get(outcome) ?? 0)
      ? []
      : [`${where}: ${found.get(outcome) ?? 0} ${outcome}, expected ${expected.get(outcome) ?? 0}`],
  )
