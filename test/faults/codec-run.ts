// The frame of faults that hit decoding: blocks on `telemetry`, a service that makes one fact of each, and a verdict that wants for
// every record either its fact or its dead letter, once.

import { DEAD_LETTER_HEADER, openCodec } from '@andon/kit'
import type { Codec, Log, LogRecord } from '@andon/kit'
import { startRegistry } from '@andon/platform'
import { verifyRecords } from '../harness/record-ledger.ts'
import type { FoundRecord, RecordVerdict } from '../harness/record-ledger.ts'
import { causeOffset } from './blocks.ts'
import type { FaultOptions } from './fault.ts'
import { readTopic, until } from './rig.ts'
import type { Message, Scene, Worker } from './rig.ts'

export interface CodecRun {
  readonly registry: Awaited<ReturnType<typeof startRegistry>>
  readonly log: Log
  readonly codec: Codec
  startWorker(onMessage?: (message: Message) => void): Worker
  /** Appends one value; resolves with its offset. */
  append(value: Buffer | null): Promise<number>
  /** Facts and dead letters so far: what the service is done with. */
  done(): Promise<number>
}

export const DEAD_LETTERS = 'telemetry.registrar.dlq'

export const openCodecRun = async (scene: Scene, { client }: FaultOptions): Promise<CodecRun> => {
  const registry = await startRegistry({ brokers: scene.kafka.brokers })
  scene.defer(() => registry.stop())
  const log = await scene.openLog()
  const codec = await openCodec({ registryUrl: registry.url, namespace: scene.namespace })
  await log.admin.ensureTopics(['telemetry', 'devices', DEAD_LETTERS].map((name) => ({ name, partitions: 1 })))
  const end = async (topic: string): Promise<number> => (await log.latest(topic, 0)).offset
  return {
    registry,
    log,
    codec,
    startWorker: (onMessage) => scene.startWorker('registrar', { client, registryUrl: registry.url }, onMessage),
    append: async (value) => {
      for (const { offset } of await log.append([{ topic: 'telemetry', partition: 0, key: 'press', value }])) return offset
      throw new Error('an append without a place')
    },
    done: async () => (await end('devices')) + (await end(DEAD_LETTERS)),
  }
}

/** Waits until the service is done with this many records. */
export const untilDone = (run: CodecRun, count: number, what = `${count} records to be done with`): Promise<void> =>
  until(what, async () => (await run.done()) >= count)

export interface Outcome {
  readonly verdict: RecordVerdict
  readonly letters: readonly LogRecord[]
  /** Letters and facts that are not as they should be. */
  readonly broken: string[]
}

/**
 * Every offset of the input has exactly one outcome. `outcomeOf` says which one it has to be, and the codes its letter may
 * carry; undefined = either.
 */
export const judgeOutcomes = async (
  { log }: CodecRun,
  outcomeOf: (offset: number) => 'fact' | readonly string[] | undefined,
): Promise<Outcome> => {
  const inputs = await readTopic(log, 'telemetry')
  const facts = await readTopic(log, 'devices')
  const letters = await readTopic(log, DEAD_LETTERS)
  const broken: string[] = []
  const say = (problem: string): void => void (broken.length < 5 && broken.push(problem))
  const found = (offset: number, lane: string, content: string): FoundRecord => ({ id: `input ${offset}`, lane, number: offset, content })
  for (const fact of facts) if (Array.isArray(outcomeOf(causeOffset(fact)))) say(`input ${causeOffset(fact)} is poison and became a fact`)
  for (const letter of letters) {
    const offset = Number(letter.header(DEAD_LETTER_HEADER.offset))
    const input = inputs[offset]
    const code = letter.header(DEAD_LETTER_HEADER.code) ?? ''
    const wanted = outcomeOf(offset)
    if (wanted === 'fact') say(`input ${offset} is valid and was dead-lettered with ${code}`)
    if (Array.isArray(wanted) && !wanted.includes(code))
      say(`input ${offset} was dead-lettered with ${code}, expected ${wanted.join(' or ')}`)
    if (!code.startsWith('ANDON_')) say(`the letter of input ${offset} has no cause`)
    if (letter.header(DEAD_LETTER_HEADER.topic) !== 'telemetry') say(`the letter of input ${offset} names no topic`)
    if (String(letter.value) !== String(input?.value)) say(`the letter of input ${offset} has other bytes`)
    const claims = input?.value && input.value.length >= 5 && input.value[0] === 0 ? String(input.value.readInt32BE(1)) : undefined
    if (letter.header(DEAD_LETTER_HEADER.schemaId) !== claims)
      say(`the letter of input ${offset} has schema id ${letter.header(DEAD_LETTER_HEADER.schemaId)}, its bytes claim ${claims}`)
  }
  const verdict = verifyRecords({
    acknowledged: new Set(inputs.map(({ offset }) => `input ${offset}`)),
    found: [
      ...facts.map((fact) => found(causeOffset(fact), 'facts', fact.value?.toString('base64') ?? '')),
      ...letters.map((letter) =>
        found(Number(letter.header(DEAD_LETTER_HEADER.offset)), 'letters', letter.value?.toString('base64') ?? ''),
      ),
    ],
  })
  return { verdict, letters, broken }
}
