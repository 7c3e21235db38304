// Contender `kafkajs-readings.ts <broker> <topic>`: sends readings one record each, in calls of a batch, several calls in flight, acks=all.
// One round = one call.

import kafkajs from 'kafkajs'
import { serveContender } from '../../../harness/bench-process.ts'
import { BATCH, readingJson } from '../readings.ts'
import { MACHINES, machineOf } from '../rig.ts'

const [broker = '', topic = '', inFlightText = '8'] = process.argv.slice(2)
const inFlight = Number(inFlightText)
const { Kafka, Partitioners, logLevel } = kafkajs
const producer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).producer({
  createPartitioner: Partitioners.DefaultPartitioner,
  allowAutoTopicCreation: false,
})
await producer.connect()

// Made once and sent again and again: what is timed is the client. Keys as bytes: the cheapest form it takes.
const startUs = Date.now() * 1000
const batches = Array.from({ length: MACHINES }, (_, machine) =>
  Array.from({ length: BATCH }, (_one, i) => ({
    key: Buffer.from(machineOf(machine)),
    value: Buffer.from(readingJson(machine, i + 1, startUs)),
  })),
)
const send = (round: number) => producer.send({ topic, acks: -1, messages: batches[round % MACHINES]! })
await send(0)
await serveContender(
  { inFlight },
  async (rounds) => {
    let next = 0
    const lane = async () => {
      while (next < rounds) await send(next++)
    }
    await Promise.all(Array.from({ length: inFlight }, lane))
    return rounds * BATCH
  },
  () => producer.disconnect(),
)
process.exit(0)
