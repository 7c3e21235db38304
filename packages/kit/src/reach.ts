// Is something listening there? Services ask first thing, so that a wrong address ends the start in seconds and by name.

import { connect } from 'node:net'
import type { Server } from 'node:net'
import { AndonError, codeOf, messageOf } from './errors.ts'

/**
 * Rejects with ANDON_UNREACHABLE, naming the setting, unless one of the addresses (`host:port` or URLs) accepts a
 * connection within the timeout.
 */
export const checkReachable = async (addresses: readonly string[], settingName: string, timeoutMs = 2000): Promise<void> => {
  const faults = await Promise.all(addresses.map((address) => tryAddress(address, timeoutMs)))
  if (faults.includes(undefined)) return
  const found = addresses.map((address, index) => `${address} (${faults[index]})`).join(', ')
  throw new AndonError(
    'ANDON_UNREACHABLE',
    `${settingName}: expected a server that answers, found none at ${found}. Start it, or correct ${settingName}.`,
    { fields: { setting: settingName, addresses } },
  )
}

/** Undefined when it answers, else why not. */
const tryAddress = async (address: string, timeoutMs: number): Promise<string | undefined> => {
  const target = parseAddress(address)
  if (target === undefined) return 'not a host and port'
  return new Promise((resolve) => {
    const socket = connect({ ...target, autoSelectFamily: true })
    const end = (fault: string | undefined): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(fault)
    }
    const timer = setTimeout(() => end(`no answer in ${timeoutMs} ms`), timeoutMs)
    socket.once('connect', () => end(undefined))
    socket.once('error', (error) => end(codeOf(error) ?? messageOf(error)))
  })
}

const conventionalPorts: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'redis:': 6379,
  'rediss:': 6379,
  'nats:': 4222,
  'tls:': 4222,
  'mqtt:': 1883,
  'mqtts:': 8883,
}

const parseAddress = (address: string): { host: string; port: number } | undefined => {
  const text = address.includes('://') ? address : `tcp://${address}`
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const port = url.port === '' ? conventionalPorts[url.protocol] : Number(url.port)
  return port === undefined || url.hostname === '' ? undefined : { host: url.hostname.replace(/^\[|\]$/g, ''), port }
}

export interface ListenOptions {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Setting that gives the port; named when the port is taken. */
  readonly setting: string
}

/** Starts a server (TCP, HTTP, …) and gives the port it has. A taken port is ANDON_PORT_BUSY, naming port and setting. */
export const listen = (server: Server, { host, port, setting }: ListenOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(listenError(error, host, port, setting))
    server.once('error', failed)
    server.listen({ host, port }, () => {
      server.off('error', failed)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })

const listenError = (error: Error, host: string, port: number, setting: string): AndonError => {
  const fields = { host, port, setting }
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new AndonError(
        'ANDON_PORT_BUSY',
        `${setting}: expected a free port, found ${host}:${port} in use. Stop the program that has it, set another ${setting}, or shift all ports with ANDON_PORT_OFFSET.`,
        { cause: error, fields },
      )
    case 'EADDRNOTAVAIL':
      return new AndonError('ANDON_HOST_INVALID', `ANDON_HOST: expected an address of this machine, found ${host}. Correct ANDON_HOST.`, {
        cause: error,
        fields,
      })
    default:
      return new AndonError('ANDON_LISTEN_FAILED', `${setting}: cannot listen on ${host}:${port}: ${error.message}`, {
        cause: error,
        fields,
      })
  }
}
