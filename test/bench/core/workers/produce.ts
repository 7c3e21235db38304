// Contender `produce.ts <andon|kafkajs> <broker> <topic> <batch> <values>`: sends batches of keyed records, acks=all, idempotent, each
// after the answer to the one before. One round = one batch. Records are made once and sent again and again: what is timed is the client.

import { readFileSync } from 'node:fs'
import { openKafkaLog } from '@andon/kit'
import kafkajs from 'kafkajs'
import { serveContender } from '../../../harness/bench-process.ts'
import { VALUES, VALUE_BYTES, keyOf } from '../payloads.ts'

const [who, broker = '', topic = '', batchText, valuesFile = ''] = process.argv.slice(2)
const batch = Number(batchText)
const bytes = readFileSync(valuesFile)
const valueOf = (i: number): Buffer => bytes.subarray((i % VALUES) * VALUE_BYTES, ((i % VALUES) + 1) * VALUE_BYTES)
const indexes = Array.from({ length: batch }, (_, i) => i)

const open = async (): Promise<{ send: () => Promise<unknown>; close: () => Promise<void> }> => {
  if (who === 'andon') {
    const log = await openKafkaLog({ brokers: [broker], clientId: 'bench' })
    const records = indexes.map((i) => ({ topic, key: keyOf(i), value: valueOf(i) }))
    return { send: () => log.append(records), close: () => log.close() }
  }
  const { Kafka, Partitioners, logLevel } = kafkajs
  const producer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
  })
  await producer.connect()
  // Keys as bytes: the cheapest form it takes.
  const messages = indexes.map((i) => ({ key: Buffer.from(keyOf(i)), value: valueOf(i) }))
  return { send: () => producer.send({ topic, acks: -1, messages }), close: () => producer.disconnect() }
}

const { send, close } = await open()
await send() // the batch that is read back before anything is timed
await serveContender(
  {},
  async (rounds) => {
    for (let i = 0; i < rounds; i++) await send()
    return rounds * batch
  },
  close,
)
process.exit(0)
