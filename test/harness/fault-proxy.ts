// Stands between a client and a server and treats their bytes as bad networks do. It changes no byte and no order: what it
// passes on is what was sent, late, slowly, in pieces, or not before the fault is healed; connections it ends, it ends at once.
// A broker is led through it by advertising the proxy's port (startKafka's `advertisedPort`), so any client takes the way.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { FaultPipe, NO_PIPE_FAULT } from './fault-pipe.ts'
import type { PipeFault } from './fault-pipe.ts'
import { ApiKeys, Frames } from './kafka-frames.ts'

export interface NetworkFault {
  /** Every piece comes this much later, in each direction … */
  readonly latencyMs: number
  /** … plus or minus up to this. */
  readonly jitterMs: number
  /** In each direction of each connection. */
  readonly bytesPerSecond: number
  /** Largest piece that is written at once; 1 tears every frame at every byte. */
  readonly splitBytes: number
  /**
   * Which direction is silent; one alone is a half-open connection. Nothing is refused, closed or lost: bytes wait for the end of
   * the fault, and so does the news that the server has gone.
   */
  readonly blackhole: 'none' | 'both' | 'requests' | 'answers'
  /** Share of new connections that are reset after some of their traffic. */
  readonly resetShare: number
}

const NONE: NetworkFault = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Infinity,
  splitBytes: Infinity,
  blackhole: 'none',
  resetShare: 0,
}

/** A connection that is to be reset gets this far at most. */
const RESET_WITHIN_BYTES = 64 * 1024

export interface FaultProxy {
  readonly port: number
  /** Leads connections to any broker through the proxy: the option `via` of openKafkaLog. */
  readonly via: () => { host: string; port: number }
  /** From now on, for open connections too; what is not named is as without a fault. */
  set(fault: Partial<NetworkFault>): void
  /** No fault from now on; bytes that were held back go on. */
  heal(): void
  /** Swallows the next `count` answers to this Kafka request (API.produce = 0 …) and cuts their connections: it was carried out, and nobody heard. */
  swallowAnswers(apiKey: number, count: number): void
  /** Answers swallowed so far. */
  readonly swallowed: number
  /** Connections that were reset by `resetShare` so far. */
  readonly resets: number
  /** Connections open now. */
  readonly connections: number
  /** Resets every open connection. */
  cutAll(): void
  close(): Promise<void>
}

export interface FaultProxyOptions {
  /** Where to listen; default: a free port. */
  readonly port?: number
  readonly random?: () => number
}

/** Opens a proxy to a server on this machine; the server may come and go. */
export const openFaultProxy = async (targetPort: number, { port, random = Math.random }: FaultProxyOptions = {}): Promise<FaultProxy> => {
  let fault = NONE
  const toSwallow = new Map<number, number>()
  let swallowed = 0
  let resets = 0
  const open = new Set<{ readonly client: Socket; readonly target: Socket; readonly requests: FaultPipe; readonly answers: FaultPipe }>()

  const pipeFault = (direction: 'requests' | 'answers'): PipeFault => {
    if (fault === NONE) return NO_PIPE_FAULT
    const { latencyMs, jitterMs, bytesPerSecond, splitBytes, blackhole } = fault
    return { latencyMs, jitterMs, bytesPerSecond, splitBytes, isHeld: blackhole === 'both' || blackhole === direction }
  }

  const server = createServer({ noDelay: true }, (client) => {
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true })
    const requests = new FaultPipe(client, target, () => pipeFault('requests'), random)
    const answers = new FaultPipe(target, client, () => pipeFault('answers'), random)
    const connection = { client, target, requests, answers }
    open.add(connection)
    for (const socket of [client, target]) socket.on('error', () => undefined) // told by 'close'
    client.on('close', () => {
      open.delete(connection)
      target.destroy()
    })
    target.on('close', () => {
      if (!pipeFault('answers').isHeld) client.destroy()
    })
    let lifeBytes = random() < fault.resetShare ? Math.ceil(random() * RESET_WITHIN_BYTES) : Infinity
    const isOver = (bytes: Buffer): boolean => {
      lifeBytes -= bytes.length
      if (lifeBytes > 0) return false
      resets++
      client.resetAndDestroy()
      return true
    }
    const asked: number[] = []
    const requestFrames = new ApiKeys((apiKey) => void asked.push(apiKey))
    const answerFrames = new Frames(() => {
      const apiKey = asked.shift()
      const left = apiKey === undefined ? 0 : (toSwallow.get(apiKey) ?? 0)
      if (apiKey === undefined || left === 0 || client.destroyed) return
      toSwallow.set(apiKey, left - 1)
      swallowed++
      client.resetAndDestroy()
    })
    client.on('data', (bytes: Buffer) => {
      requestFrames.feed(bytes)
      if (!isOver(bytes)) requests.feed(bytes)
    })
    target.on('data', (bytes: Buffer) => {
      answerFrames.feed(bytes)
      if (!client.destroyed && !isOver(bytes)) answers.feed(bytes)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: port ?? 0, host: '127.0.0.1' }, resolve)
  })
  const ownPort = (server.address() as AddressInfo).port

  const set = (next: Partial<NetworkFault>): void => {
    fault = { ...NONE, ...next }
    for (const { client, target, requests, answers } of open) {
      requests.resume()
      answers.resume()
      if (target.destroyed && !pipeFault('answers').isHeld) client.destroy()
    }
  }
  const cutAll = (): void => {
    for (const { client } of open) client.resetAndDestroy()
    open.clear()
  }
  return {
    port: ownPort,
    via: () => ({ host: '127.0.0.1', port: ownPort }),
    set,
    heal: () => set({}),
    swallowAnswers: (apiKey, count) => void toSwallow.set(apiKey, count),
    get swallowed() {
      return swallowed
    },
    get resets() {
      return resets
    },
    get connections() {
      return open.size
    },
    cutAll,
    close: () =>
      new Promise((resolve) => {
        cutAll()
        server.close(() => resolve())
      }),
  }
}
