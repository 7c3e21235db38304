// Driver `publish.ts <port> <token> <connections> <in flight> [mosquitto_sub]`: mqtt.js publishers, QoS 1, so many messages of each waiting
// for their PUBACK. One round = one message. With a subscriber, a message counts once that has it too.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import mqtt from 'mqtt'
import type { MqttClient } from 'mqtt'
import { serveContender } from '../../../harness/bench-process.ts'
import { readingJson } from '../readings.ts'
import { sourceOf } from '../rig.ts'

const [port = '', token = '', connectionsText, inFlightText, subscriber] = process.argv.slice(2)
const connections = Number(connectionsText)
const inFlight = Number(inFlightText)
const startUs = Date.now() * 1000 - 300 * 1_000_000

interface Publisher {
  readonly client: MqttClient
  readonly topic: string
  payloads: string[]
}

let seq = 1
let received = 0
let wanted = { count: Number.POSITIVE_INFINITY, reached: () => undefined as void }

const subscribe = async (program: string) => {
  // A character and a line end per message: counting them costs the driver nothing.
  const child = spawn(program, ['-p', port, '-q', '1', '-t', 'andon/+/readings', '-F', '.', '-i', 'subscriber'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.on('exit', () => child.kill('SIGKILL'))
  child.stdout.on('data', (bytes: Buffer) => {
    received += bytes.length / 2
    if (received >= wanted.count) wanted.reached()
  })
  await once(child, 'spawn')
}

const open = async (machine: number): Promise<Publisher> => {
  const client = await mqtt.connectAsync({
    host: '127.0.0.1',
    port: Number(port),
    clientId: `bench-${machine}`,
    username: 'bench',
    password: token,
    reconnectPeriod: 0,
  })
  return { client, topic: `andon/${sourceOf(machine)}/readings`, payloads: [] }
}

/** Publishes what is prepared, `inFlight` at a time. */
const publish = ({ client, topic, payloads }: Publisher): Promise<void> =>
  new Promise((resolve, reject) => {
    let sent = 0
    let answered = 0
    const next = () => {
      if (sent < payloads.length) client.publish(topic, payloads[sent++]!, { qos: 1 }, done)
    }
    const done = (error?: Error) => {
      if (error) return reject(error)
      if (++answered === payloads.length) return resolve()
      next()
    }
    for (let first = 0; first < inFlight; first++) next()
  })

const publishers = await Promise.all(Array.from({ length: connections }, (_, machine) => open(machine)))

const prepare = (rounds: number) => {
  const each = Math.max(1, Math.floor(rounds / connections))
  for (const [machine, publisher] of publishers.entries()) {
    publisher.payloads = Array.from({ length: each }, (_, index) => readingJson(machine, seq + index, startUs))
  }
  seq += each
}

if (subscriber !== undefined) {
  await subscribe(subscriber)
  // Until it has subscribed, messages go nowhere.
  for (let probe = 0; received === 0; probe++) {
    await publishers[0]!.client.publishAsync(publishers[0]!.topic, 'probe', { qos: 1 })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await new Promise((resolve) => setTimeout(resolve, 200))
}

await serveContender(
  { connections, inFlight },
  async () => {
    const count = publishers.reduce((sum, { payloads }) => sum + payloads.length, 0)
    const arrived = new Promise<void>((resolve) => {
      wanted = { count: subscriber === undefined ? 0 : received + count, reached: resolve }
      if (subscriber === undefined) resolve()
    })
    await Promise.all([...publishers.map(publish), arrived])
    return count
  },
  async () => process.exit(0),
  prepare,
)
