// Stands between client and broker and cuts connections where it hurts: after the broker has carried out a request and
// before its answer has arrived.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { ISocketFactory } from 'kafkajs'

const PRODUCE = 0

export interface FaultProxy {
  /** Leads connections to any broker through the proxy. */
  readonly socketFactory: ISocketFactory
  /** The next `count` answers to appends are swallowed and their connections cut. */
  swallowAppendAnswers(count: number): void
  /** Appends whose answers were swallowed. */
  readonly swallowed: number
  /** Cuts every open connection. */
  cutAll(): void
  close(): Promise<void>
}

export const openFaultProxy = async (brokerPort: number): Promise<FaultProxy> => {
  let toSwallow = 0
  let swallowed = 0
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const broker = connect(brokerPort, '127.0.0.1')
    let appending = false
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        broker.destroy()
      })
    }
    let header = Buffer.alloc(0)
    let left = 0
    client.on('data', (bytes) => {
      // Requests are framed: 4 bytes of length, then 2 bytes of api key.
      for (let at = 0; at < bytes.length;) {
        if (left > 0) {
          const skip = Math.min(left, bytes.length - at)
          left -= skip
          at += skip
          continue
        }
        const take = Math.min(6 - header.length, bytes.length - at)
        header = Buffer.concat([header, bytes.subarray(at, at + take)])
        at += take
        if (header.length < 6) continue
        appending = header.readInt16BE(4) === PRODUCE
        left = header.readInt32BE(0) - 2
        header = Buffer.alloc(0)
      }
      broker.write(bytes)
    })
    broker.on('data', (bytes) => {
      if (appending && toSwallow > 0) {
        toSwallow--
        swallowed++
        client.destroy()
        return
      }
      client.write(bytes)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    socketFactory: ({ onConnect }) => {
      const socket = connect(port, '127.0.0.1', onConnect)
      socket.setKeepAlive(true, 60_000)
      return socket
    },
    swallowAppendAnswers: (count) => {
      toSwallow = count
    },
    get swallowed() {
      return swallowed
    },
    cutAll: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
