// The few broker requests that starting a broker needs, spoken directly: is it up, are its coordinators loaded, one setting changed
// without touching the others. kafkajs cannot do the last, and a readiness check should not depend on a client's retries.

import { connect } from 'node:net'

const API = { metadata: 3, findCoordinator: 10, heartbeat: 12, initProducerId: 22, incrementalAlterConfigs: 44 } as const

/** Writes the protocol's primitive types. */
const encoder = () => {
  const parts: Buffer[] = []
  const put = (size: number, write: (buffer: Buffer) => void) => {
    const buffer = Buffer.alloc(size)
    write(buffer)
    parts.push(buffer)
    return api
  }
  const api = {
    int8: (value: number) => put(1, (b) => b.writeInt8(value)),
    int16: (value: number) => put(2, (b) => b.writeInt16BE(value)),
    int32: (value: number) => put(4, (b) => b.writeInt32BE(value)),
    string: (value: string) => {
      api.int16(Buffer.byteLength(value))
      parts.push(Buffer.from(value))
      return api
    },
    bytes: () => Buffer.concat(parts),
  }
  return api
}

/** Reads the protocol's primitive types. */
const decoder = (buffer: Buffer) => {
  let at = 0
  const take = (size: number) => (at += size) - size
  const api = {
    int16: () => buffer.readInt16BE(take(2)),
    int32: () => buffer.readInt32BE(take(4)),
    string: () => {
      const size = api.int16()
      if (size < 0) return null
      const start = take(size)
      return buffer.toString('utf8', start, start + size)
    },
  }
  return api
}

/** Sends one request on a connection of its own and gives the response body. */
const ask = (port: number, apiKey: number, apiVersion: number, body: Buffer, timeoutMs = 2000): Promise<ReturnType<typeof decoder>> =>
  new Promise((resolve, reject) => {
    const header = encoder().int16(apiKey).int16(apiVersion).int32(1).string('andon-platform').bytes()
    const socket = connect({ port, host: '127.0.0.1' })
    const chunks: Buffer[] = []
    const fail = (why: string) => {
      socket.destroy()
      reject(new Error(`broker on port ${port}: ${why}`))
    }
    socket.setTimeout(timeoutMs, () => fail('no answer'))
    socket.once('error', (error) => fail(error.message))
    socket.once('close', () => fail('connection closed'))
    socket.once('connect', () => {
      const size = Buffer.alloc(4)
      size.writeInt32BE(header.length + body.length)
      socket.write(Buffer.concat([size, header, body]))
    })
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (all.length < 4 || all.length < 4 + all.readInt32BE(0)) return
      resolve(decoder(all.subarray(8))) // after size and correlation id
      socket.destroy()
    })
  })

export interface BrokerDescription {
  readonly clusterId: string | null
  /** Registered brokers. */
  readonly brokers: number
  /** The ports where clients are sent, one per registered broker. */
  readonly ports: readonly number[]
}

/** What a broker knows of its cluster; rejects while it does not answer. */
export const describeBroker = async (port: number): Promise<BrokerDescription> => {
  const answer = await ask(port, API.metadata, 2, encoder().int32(0).bytes())
  const brokers = answer.int32()
  const ports: number[] = []
  for (let i = 0; i < brokers; i++) {
    answer.int32()
    answer.string()
    ports.push(answer.int32())
    answer.string()
  }
  return { clusterId: answer.string(), brokers, ports }
}

const COORDINATORS = { group: 0, transaction: 1 } as const
const WARM_UP = 'andon.warm-up'

/** Port of the coordinator, which may be on another node; undefined while there is none. */
const coordinatorPort = async (port: number, kind: keyof typeof COORDINATORS): Promise<number | undefined> => {
  const answer = await ask(port, API.findCoordinator, 1, encoder().string(WARM_UP).int8(COORDINATORS[kind]).bytes())
  answer.int32()
  if (answer.int16() !== 0) return undefined
  answer.string()
  answer.int32()
  answer.string()
  return answer.int32()
}

/**
 * True once the group and the transaction coordinator answer. Asking creates their internal topics, so that no service meets
 * COORDINATOR_NOT_AVAILABLE or COORDINATOR_LOAD_IN_PROGRESS on its first join.
 */
export const coordinatorsAreLoaded = async (port: number): Promise<boolean> => {
  const groups = await coordinatorPort(port, 'group')
  const transactions = await coordinatorPort(port, 'transaction')
  if (groups === undefined || transactions === undefined) return false
  const heartbeat = await ask(groups, API.heartbeat, 0, encoder().string(WARM_UP).int32(0).string('nobody').bytes())
  const isLoading = (code: number) => code === 14 || code === 15 || code === 16
  if (isLoading(heartbeat.int16())) return false
  const producer = await ask(transactions, API.initProducerId, 0, encoder().string(WARM_UP).int32(10_000).bytes())
  producer.int32()
  return producer.int16() === 0
}

/** Sets topic settings and leaves the topic's other settings as they are. */
export const setTopicSettings = async (port: number, topic: string, settings: Readonly<Record<string, string>>): Promise<void> => {
  const entries = Object.entries(settings)
  const body = encoder().int32(1).int8(2).string(topic).int32(entries.length)
  for (const [name, value] of entries) body.string(name).int8(0).string(value)
  const answer = await ask(port, API.incrementalAlterConfigs, 0, body.int8(0).bytes(), 10_000)
  answer.int32()
  answer.int32()
  const code = answer.int16()
  if (code !== 0) throw new Error(`broker on port ${port}: settings of ${topic} refused (code ${code}): ${answer.string() ?? ''}`)
}
