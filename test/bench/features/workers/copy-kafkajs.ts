// Contender `copy-kafkajs.ts <broker> <from> <to> <records> <partitions>`: kafkajs reads records in a group and writes them to another topic as
// they are, batch by batch. It decodes, computes and remembers nothing. One round = that many records acknowledged.

import kafkajs from 'kafkajs'
import type { IHeaders, Message } from 'kafkajs'
import { serveContender } from '../../../harness/bench-process.ts'
import { Meter } from '../../core/endless.ts'

const [broker = '', from = '', to = '', perRound, partitions] = process.argv.slice(2)
const meter = new Meter()
const { Kafka, Partitioners, logLevel } = kafkajs
const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR })
const consumer = kafka.consumer({ groupId: `bench-copy-${process.pid}` })
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false })
await Promise.all([consumer.connect(), producer.connect()])
consumer.on(consumer.events.CRASH, ({ payload }) => {
  console.error(payload.error)
  process.exit(1)
})
await consumer.subscribe({ topic: from, fromBeginning: true })
let isStopping = false
await consumer.run({
  autoCommitInterval: 1000,
  partitionsConsumedConcurrently: Number(partitions),
  eachBatch: async ({ batch: { partition, messages } }) => {
    if (isStopping) return
    await meter.append(messages.length, async () => {
      const copies: Message[] = messages.map(({ key, value, headers, timestamp }) => ({
        key,
        value,
        headers: headers as IHeaders,
        timestamp,
        partition,
      }))
      await producer.send({ topic: to, acks: -1, messages: copies })
    })
  },
})
await serveContender(
  {},
  (rounds) => meter.advance(rounds * Number(perRound)),
  async () => {
    isStopping = true
    meter.release()
    await consumer.disconnect()
    await producer.disconnect()
  },
)
process.exit(0)
