// `relay.ts <broker> <prefix> <hop…>`: what the mesh's five services would cost if they did nothing: kafkajs copies each record to the
// next topic at once. Hop `door` listens for HTTP and writes the first topic, `a>b` copies, `a>a` answers each first record of a on a.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Kafka, logLevel } from 'kafkajs'

const [broker, prefix, ...hops] = process.argv.slice(2) as [string, string, ...string[]]
const kafka = new Kafka({ clientId: `relay-${process.pid}`, brokers: [broker], logLevel: logLevel.NOTHING })
const producer = kafka.producer({ allowAutoTopicCreation: false })
await producer.connect()

const ready: Record<string, unknown> = {}
for (const hop of hops) {
  if (hop === 'door') {
    const server = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const key = String(request.headers['x-key'])
        const headers = { id: String(request.headers['x-id']) }
        void producer
          .send({ topic: `${prefix}0`, acks: -1, messages: [{ key, value: Buffer.concat(parts), headers }] })
          .then(() => response.writeHead(202).end())
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ready['port'] = (server.address() as AddressInfo).port
    continue
  }
  const [from, to] = hop.split('>').map((each) => `${prefix}${each}`) as [string, string]
  const consumer = kafka.consumer({ groupId: `${prefix}-${hop}`, sessionTimeout: 30_000 })
  await consumer.connect()
  await consumer.subscribe({ topic: from, fromBeginning: true })
  const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()))
  await consumer.run({
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      const messages = batch.messages
        .filter(({ headers }) => from !== to || headers?.['answer'] === undefined)
        .map(({ key, value, headers }) => ({ key, value, headers: { ...headers, ...(from === to ? { answer: '1' } : {}) } }))
      if (messages.length > 0) await producer.send({ topic: to, acks: -1, messages })
    },
  })
  await joined
}
process.stdout.write(`${JSON.stringify(ready)}\n`)
