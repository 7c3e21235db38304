// andon dlq on a real broker and registry: a record whose schema is unknown is dead-lettered by a running process, looked
// at, sent back when the schema has arrived, handled once however often it is sent, and discarded when nobody wants it.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { DEAD_LETTER_HEADER, HEADER, type Log, emitter, openCodec, openKafkaLog, runProcess } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { avroSchemas } from '@andon/schemas'
import { andon } from './command.ts'

const kafka = await startKafka()
const registry = await startRegistry({ brokers: kafka.brokers })
const log: Log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
after(async () => {
  await log.close()
  await registry.stop()
  await kafka.stop()
})
const environment = { ANDON_KAFKA_BROKERS: kafka.brokers.join(), ANDON_REGISTRY_URL: registry.url, ANDON_HOME: '/nonexistent-andon-home' }
const dlq = 'features.reader.dlq'

await log.admin.ensureTopics([{ name: 'features', partitions: 1 }])
const codec = await openCodec({ registryUrl: registry.url })

/** A process that notes what it handled; `repeats` counts what it dropped. */
const reader = async () => {
  const handled: string[] = []
  const counts = { repeats: 0, letters: 0 }
  const run = await runProcess(
    log,
    await openCodec({ registryUrl: registry.url }),
    {
      service: 'reader',
      input: 'features',
      open: () => ({
        handle: (batch) => {
          handled.push(...batch.inputs.map(({ id }) => id))
          return emitter()
        },
      }),
    },
    {
      logger: { info: () => undefined, warn: () => undefined },
      metrics: {
        counter: (name) => ({
          inc: (_labels, value = 1) => {
            if (name === 'andon_kit_repeats_total') counts.repeats += value
            if (name === 'andon_kit_dead_letters_total') counts.letters += value
          },
        }),
      },
    },
  )
  return { handled, counts, stop: () => run.stop() }
}

const until = async (what: string, isSo: () => boolean): Promise<void> => {
  for (const endMs = Date.now() + 60_000; !isSo();) {
    assert.ok(Date.now() < endMs, `waited 60 s for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const receivedMs = Date.now() - 60_000
const vector = { type: 'late', assetId: 'press-1', late: { windowStartUs: 1, ranges: [], lost: false } }
const live = (id: string, cause: number, value: Buffer) => ({
  topic: 'features',
  partition: 0,
  key: 'press-1',
  value,
  timestampMs: receivedMs,
  headers: { [HEADER.id]: id, [HEADER.lane]: 'live', [HEADER.cause]: `telemetry/0/0/${cause}/0`, [HEADER.traceparent]: '00-a-b-01' },
})

/** A value whose schema the registry will know only once it is registered: the next free id. */
const newest = codec.schemaId('features')
const early = Buffer.concat([codec.encode('features', vector), Buffer.from([0])])
const answer = await fetch(`${registry.url}/schemas/ids/${newest}`)
assert.equal(answer.status, 200)
const nextId =
  Math.max(
    ...['telemetry', 'features', 'predictions', 'anomalies', 'actions', 'models', 'devices', 'config', 'features.changelog'].map((name) =>
      codec.schemaId(name),
    ),
  ) + 1
early.writeInt32BE(nextId, 1)

const parse = <T>(text: string): T => JSON.parse(text) as T
const later = {
  ...avroSchemas.features,
  fields: [...avroSchemas.features.fields, { name: 'arrived', type: ['null', 'string'], default: null }],
}

test('a record of an unknown schema becomes a letter that says all that is known', async () => {
  const process = await reader()
  await log.append([
    live('early-1', 1, early),
    live('early-2', 2, early),
    live('fine-3', 3, codec.encode('features', vector)),
    live('torn-4', 4, Buffer.from('rubbish')),
  ])
  await until('three letters and one input', () => process.counts.letters === 3 && process.handled.length === 1)
  await process.stop()

  const { out, code, err } = await andon(['dlq', 'ls', '--json'], environment)
  assert.equal(code, 0, err)
  const { groups } = parse<{ groups: { topic: string; code: string; letters: number; stackHash: string }[] }>(out)
  assert.deepEqual(
    groups.map((each) => [each.topic, each.code, each.letters]),
    [
      [dlq, 'ANDON_CODEC_UNKNOWN_SCHEMA', 2],
      [dlq, 'ANDON_CODEC_MAGIC', 1],
    ],
  )
  assert.notEqual(groups[0]?.stackHash, groups[1]?.stackHash)

  const shown = await andon(['dlq', 'show', dlq, '0@0', '--json'], environment)
  const letter = parse<{
    headers: Record<string, string>
    schemaId: number
    head: string
    decoded: { undecodable?: string }
    from: object
  }>(shown.out)
  assert.equal(letter.schemaId, nextId)
  assert.equal(letter.head, early.toString('hex'))
  assert.equal(letter.headers[HEADER.traceparent], '00-a-b-01')
  assert.equal(letter.headers[DEAD_LETTER_HEADER.group], 'reader')
  assert.match(letter.decoded.undecodable ?? '', /no schema/)
  assert.deepEqual(letter.from, { topic: 'features', partition: 0, leaderEpoch: 0, offset: 0 })
})

test('a redrive only says what it would do until it is told to', async () => {
  const { out } = await andon(['dlq', 'redrive', dlq, '--code', 'ANDON_CODEC_UNKNOWN_SCHEMA'], environment)
  assert.match(out, /Would send 2 records back to features in lane redrive:/)
  assert.equal((await log.latest('features', 0)).offset, 4)
})

test('letters that decode now are handled once, however often they are sent', async () => {
  const registered = await fetch(`${registry.url}/subjects/later-value/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: JSON.stringify(later) }),
  })
  assert.deepEqual(await registered.json(), { id: nextId })
  const shown = await andon(['dlq', 'show', dlq, '0@0', '--json'], environment)
  assert.equal(parse<{ decoded: { value: { assetId: string } } }>(shown.out).decoded.value.assetId, 'press-1')

  const process = await reader()
  const first = await andon(['dlq', 'redrive', dlq, '--code', 'ANDON_CODEC_UNKNOWN_SCHEMA', '--yes', '--json'], environment)
  assert.equal(first.code, 0, first.err)
  await until('the redriven records', () => process.handled.length >= 2)
  const second = await andon(['dlq', 'redrive', dlq, '--code', 'ANDON_CODEC_UNKNOWN_SCHEMA', '--all', '--yes', '--json'], environment)
  assert.equal(parse<{ lane: string }>(second.out).lane, parse<{ lane: string }>(first.out).lane)
  await until('the repeats', () => process.counts.repeats >= 2)
  await process.stop()
  assert.deepEqual(process.handled, ['early-1', 'early-2'])

  const sent: (string | undefined)[][] = []
  for await (const batch of log.read({ topic: 'features', partition: 0, from: 4, to: 'latest' }))
    for (const record of batch.records) {
      assert.ok(record.value?.equals(early))
      assert.equal(record.timestampMs, receivedMs)
      assert.equal(record.header(DEAD_LETTER_HEADER.code), undefined)
      sent.push([record.header(HEADER.id), record.header(HEADER.lane)])
    }
  const { lane } = parse<{ lane: string }>(first.out)
  assert.deepEqual(sent, [
    ['early-1', lane],
    ['early-2', lane],
    ['early-1', lane],
    ['early-2', lane],
  ])
})

test('a redriven letter is settled; a redrive without open letters says so', async () => {
  const { out } = await andon(['dlq', 'ls', dlq, '--json'], environment)
  assert.deepEqual(
    parse<{ groups: { code: string }[] }>(out).groups.map((each) => each.code),
    ['ANDON_CODEC_MAGIC'],
  )
  const { code, err } = await andon(['dlq', 'redrive', dlq, '--code', 'ANDON_CODEC_UNKNOWN_SCHEMA', '--yes'], environment)
  assert.equal(code, 1)
  assert.match(err, /Nothing to redrive/)
})

test('a discarded letter is hidden, with its reason, and only when told to', async () => {
  const dry = await andon(['dlq', 'discard', dlq, '--reason', 'test device'], environment)
  assert.match(dry.out, /Would discard 1 letters/)
  const done = await andon(['dlq', 'discard', dlq, '--reason', 'test device', '--yes'], environment)
  assert.equal(done.code, 0, done.err)
  assert.match((await andon(['dlq', 'ls', dlq], environment)).out, /No open dead letters/)
  const { out } = await andon(['dlq', 'show', dlq, '--all', '--json'], environment)
  assert.deepEqual(
    parse<{ letters: { settled: { as: string; reason: string } }[] }>(out).letters.map(({ settled }) => settled.as),
    ['redriven', 'redriven', 'discarded'],
  )
})

test('an unknown topic, place or filter is named', async () => {
  assert.match((await andon(['dlq', 'ls', 'nothing.dlq'], environment)).err, /no topic nothing\.dlq/)
  assert.match((await andon(['dlq', 'show', dlq, '0@99'], environment)).err, /no dead letter at 0@99.*ANDON_CLI_LETTER_UNKNOWN/)
  const { code, err } = await andon(['dlq', 'show', dlq, '--since', 'yesterday'], environment)
  assert.equal(code, 2)
  assert.match(err, /--since: expected a time/)
})
