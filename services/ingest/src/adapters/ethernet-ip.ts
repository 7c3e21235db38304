// EtherNet/IP door: reads the tags that source files of kind ethernet-ip map, from Logix controllers. Never writes.
//
// st-ethernet-ip knows one port for the whole process, answers whoever listens, and throws inside its socket's callbacks on answers it
// does not understand: here connections are opened one after the other, tags are read one at a time, and what it throws ends the connection.

import { lookup } from 'node:dns/promises'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { Controller as ControllerType, Tag as TagType } from 'st-ethernet-ip'
import { messageOf } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import { fault, pollingDoor } from './polling.ts'
import type { PlcConnection, Polled, PolledFile } from './polling.ts'

export const ethernetIpDoorKind = defineDoor({
  name: 'ethernet-ip',
  about: 'polls the Logix controllers that sources/*.yaml name',
  settings: {},
  open: (_settings, context) => pollingDoor({ kind: 'ethernet-ip', connect: connectEthernetIp }, context),
})

const require = createRequire(import.meta.url)

/** Loads the package where the door is open. Its timeouts are never cleared: ours are. */
const load = () => {
  const utilities = require('st-ethernet-ip/dist/utilities/index.js') as { promiseTimeout: typeof clearedTimeout }
  utilities.promiseTimeout = clearedTimeout
  return {
    library: require('st-ethernet-ip') as { Controller: typeof ControllerType; Tag: typeof TagType },
    config: require('st-ethernet-ip/dist/config.js') as { EIP_PORT: number },
  }
}

const clearedTimeout = <T>(work: Promise<T>, ms: number, error: Error = new Error('no answer')): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(error), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

let opening: Promise<unknown> = Promise.resolve()

const connectEthernetIp = async (file: PolledFile<'ethernet-ip'>): Promise<PlcConnection> => {
  const { library, config } = load()
  const { address } = await lookup(file.host, { family: 4 })
  const controller = new library.Controller(false)
  controller.timeout_sp = file.timeoutMs
  let asked = ''
  let fail: (error: Error) => void = () => undefined
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined) // watched while connecting and reading
  const close = (): void => {
    const closed = new Error('the connection was closed')
    fail(closed)
    controller.removeAllListeners('close') // its own handler tries to say goodbye
    controller.emit('Session Registration Failed', closed.message) // ends what it waits for
    controller.emit('Read Tag', closed)
    Socket.prototype.destroy.call(controller, closed)
  }
  guard(controller, (error) => {
    fail(new Error(`the answer${asked === '' ? '' : ` for tag ${asked}`} cannot be used: ${reasonOf(error)}`, { cause: error }))
    close()
  })
  controller.on('error', (error: Error) => fail(error))
  controller.once('close', () => fail(new Error('the connection was closed')))

  const connecting = opening.then(async () => {
    config.EIP_PORT = file.port
    const connected = controller.connect(address, file.slot, false)
    let isSettled = false
    connected.then(
      () => (isSettled = true),
      () => (isSettled = true),
    )
    while (!isSettled && controller.pending && !controller.connecting && !controller.destroyed) await turn() // until it has used the port
    return { connected }
  })
  opening = connecting.catch(() => undefined)
  try {
    const { connected } = await connecting
    await clearedTimeout(Promise.race([connected, failed]), file.timeoutMs, new Error(`not connected within ${file.timeoutMs} ms`))
  } catch (error) {
    close()
    throw error instanceof Error ? error : new Error(reasonOf(error))
  }

  const tags = Object.values(file.channels).map(({ tag }) => {
    const [program, rest] = tag.startsWith('Program:') ? splitProgram(tag) : [null, tag]
    return { name: tag, tag: new library.Tag(rest, program as never) }
  })
  return {
    read: async () => {
      const values: Polled[] = []
      for (const { name, tag } of tags) {
        asked = name
        try {
          await Promise.race([failed, controller.readTag(tag)])
          values.push(numberOf(tag.value, name))
        } catch (error) {
          const code = (error as { generalStatusCode?: number }).generalStatusCode
          if (code === undefined) throw error instanceof Error ? error : new Error(reasonOf(error))
          controller.removeAllListeners('Read Tag') // it leaves its listener behind when an answer says no
          values.push(fault(`${statuses.get(code) ?? `status ${code}`} at ${name}`))
        }
      }
      return values
    },
    close,
  }
}

// CIP general status, volume 1 appendix B.
const statuses = new Map([
  [4, 'no such tag'],
  [5, 'no such tag'],
  [15, 'no right to read'],
  [19, 'not enough data'],
  [255, 'an index out of range'],
])

const splitProgram = (tag: string): [string, string] => {
  const dot = tag.indexOf('.')
  return [tag.slice('Program:'.length, dot), tag.slice(dot + 1)]
}

// EtherNet/IP encapsulation header, CIP volume 2 §2-3.
const headerBytes = 24
const statusAt = 8

/** Its handlers run inside the socket's callbacks, where an exception would end the process. */
const guard = (controller: ControllerType, onError: (error: unknown) => void): void => {
  const own = controller.listeners('data') as ((data: Buffer) => void)[]
  controller.removeAllListeners('data')
  controller.on('data', (data: Buffer) => {
    try {
      const status = data.length < headerBytes ? 0 : data.readUInt32LE(statusAt)
      if (status !== 0) throw new Error(`encapsulation status ${status}`) // it would write that to the console, and wait
      for (const handle of own) handle.call(controller, data)
    } catch (error) {
      onError(error)
    }
  })
}

const numberOf = (value: unknown, tag: string): Polled => {
  if (typeof value === 'boolean') return Number(value)
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  return fault(`${Array.isArray(value) ? 'an array' : value === null ? 'no value' : `a ${typeof value}`} at ${tag}`)
}

const reasonOf = (error: unknown): string => {
  const { generalStatusCode } = error as { generalStatusCode?: number }
  return generalStatusCode === undefined ? messageOf(error) : `status ${generalStatusCode}`
}
