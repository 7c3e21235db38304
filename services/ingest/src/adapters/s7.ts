// S7 door: reads the addresses that source files of kind s7 map, from Siemens S7-300/400/1200/1500 and what speaks like them. Never writes.
//
// nodes7 reconnects by itself, throws inside its socket's callbacks on answers it does not understand, and calls back late or never:
// here it may connect once, what it throws ends the connection, and every wait is bounded by the caller.

import NodeS7 from 'nodes7'
import { defineDoor } from '../doors.ts'
import { fault, pollingDoor } from './polling.ts'
import type { PlcConnection, Polled, PolledFile } from './polling.ts'

export const s7DoorKind = defineDoor({
  name: 's7',
  about: 'polls the S7 controllers that sources/*.yaml name',
  settings: {},
  open: (_settings, context) => pollingDoor({ kind: 's7', connect: connectS7 }, context),
})

// Timers that its cleanup leaves.
const timers = ['reconnectTimer', 'rereadTimer', 'resetTimeout', 'dropConnectionTimer'] as const

// Handlers of its socket.
const handlers = ['onTCPConnect', 'onISOConnectReply', 'onPDUReply', 'onResponse', 'onClientClose', 'onClientDisconnect'] as const

const connectS7 = async (file: PolledFile<'s7'>): Promise<PlcConnection> => {
  const client = new NodeS7({ silent: true })
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined) // watched while connecting and reading
  let isClosed = false
  const close = (): void => {
    if (isClosed) return
    isClosed = true
    if (client.isoclient !== undefined) client.connectionCleanup()
    for (const timer of timers) clearTimeout(client[timer] as NodeJS.Timeout | undefined)
    fail(new Error('the connection was closed'))
  }
  for (const name of handlers) {
    const original = client[name]
    if (typeof original !== 'function') continue
    client[name] = (...args: unknown[]) => {
      try {
        Reflect.apply(original, client, args)
      } catch (error) {
        fail(new Error('an answer that cannot be understood', { cause: error }))
        close()
      }
    }
  }
  const { host, port, rack, slot, timeoutMs } = file
  const connected = new Promise<void>((resolve, reject) => {
    client.initiateConnection({ host, port, rack, slot, timeout: timeoutMs }, (error) =>
      error === undefined ? resolve() : reject(new Error(reasonOf(error))),
    )
    client.connectNow = () => undefined // once
  })
  const timer = setTimeout(() => fail(new Error(`not connected within ${timeoutMs} ms`)), timeoutMs)
  try {
    await Promise.race([connected, failed])
  } catch (error) {
    close()
    throw error
  } finally {
    clearTimeout(timer)
  }
  client.isoclient?.once('close', () => fail(new Error('the connection was closed')))
  const addresses = Object.values(file.channels).map(({ address }) => address)
  client.addItems([...new Set(addresses)])

  return {
    read: async () => {
      const values = await Promise.race([
        failed,
        new Promise<Readonly<Record<string, unknown>>>((resolve) => client.readAllItems((_isAnyBad, read) => resolve(read))),
      ])
      const polled = addresses.map((address) => numberOf(values[address], address))
      // It answers a lost connection with bad values.
      if (client.isoclient?.destroyed !== false) throw new Error('the connection was closed')
      return polled
    },
    close,
  }
}

const numberOf = (value: unknown, address: string): Polled => {
  if (typeof value === 'boolean') return Number(value)
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  return fault(`${typeof value === 'string' ? value : 'no value'} at ${address}`)
}

const reasonOf = (error: unknown): string => {
  const { code, message } = error as { code?: string; message?: string }
  return message ?? code ?? String(error)
}
