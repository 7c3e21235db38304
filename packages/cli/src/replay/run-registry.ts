// The registry as the code of a run sees it: everything in it can be read, nothing of the live subjects can be changed. Code of
// another time asks for schemas that this mesh's registry may never have seen. One that the run writes is registered under the
// run's own topic (`features.run.<id>-value`), if the live subject would take it too; for any other an id is made up, so that
// the service starts: no record can carry it, since a run appends to its own topics only.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { messageOf } from '@andon/kit/errors'
import { runTopic } from '@andon/kit/replay/names'

export interface RunRegistry {
  /** What stands for ANDON_REGISTRY_URL. */
  readonly url: string
  close(): Promise<void>
}

export interface RunRegistryOptions {
  /** The mesh's registry; may have a path. */
  readonly url: string
  readonly namespace: string
  readonly runId: string
  /** Topics that the run writes, by their live names. */
  readonly writes: readonly string[]
}

interface Answer {
  readonly status: number
  readonly body: string
}

const JSON_TYPE = 'application/vnd.schemaregistry.v1+json'
const MOST_BODY_BYTES = 1024 * 1024
/** Made-up ids count down from here: registries count up from 1. */
const LAST_ID = 2 ** 31 - 1

/** Registries append the whole earlier schema and their settings to the reasons. */
const reasonsIn = (messages: readonly string[]): string =>
  messages
    .filter((message) => !/^\{(oldSchema|validateFields|compatibility)/.test(message))
    .slice(0, 3)
    .join(' ')

const refusal = (status: number, message: string): Answer => ({ status, body: JSON.stringify({ error_code: status * 100, message }) })

/** Listens on the loopback until it is closed. */
export const openRunRegistry = async ({ url, namespace, runId, writes }: RunRegistryOptions): Promise<RunRegistry> => {
  const upstream = url.replace(/\/+$/, '')
  const ids = new Map<string, Promise<Answer>>()
  let made = 0

  const ask = async (method: string, path: string, body?: string): Promise<Answer> => {
    const response = await fetch(`${upstream}${path}`, {
      method,
      headers: { accept: JSON_TYPE, ...(body === undefined ? {} : { 'content-type': JSON_TYPE }) },
      ...(body === undefined ? {} : { body }),
    })
    return { status: response.status, body: await response.text() }
  }
  const post = (path: string, body: string): Promise<Answer> => ask('POST', path, body)

  /** The run's subject of a live one that it writes beside; undefined for any other. */
  const ownSubject = (subject: string): string | undefined => {
    const topic = /^(.*)-value$/.exec(subject)?.[1]
    if (topic === undefined || !topic.startsWith(namespace)) return undefined
    const name = topic.slice(namespace.length)
    if (!writes.includes(name) && !name.endsWith('.changelog')) return undefined
    return `${namespace}${runTopic(name, runId)}-value`
  }

  const register = async (subject: string, schema: string): Promise<Answer> => {
    const known = await post(`/subjects/${encodeURIComponent(subject)}`, schema)
    if (known.status !== 404) return known
    const own = ownSubject(subject)
    if (own === undefined) return { status: 200, body: JSON.stringify({ id: LAST_ID - made++, subject, version: 1 }) }
    const verdict = await post(`/compatibility/subjects/${encodeURIComponent(subject)}/versions?verbose=true`, schema)
    const { is_compatible: isCompatible, messages = [] } = JSON.parse(verdict.body) as { is_compatible?: boolean; messages?: string[] }
    if (verdict.status >= 400 && verdict.status !== 404) return verdict
    if (verdict.status !== 404 && isCompatible !== true)
      return refusal(409, `This code writes records that readers of ${subject} cannot read: ${reasonsIn(messages)}`)
    const registered = await post(`/subjects/${encodeURIComponent(own)}/versions`, schema)
    if (registered.status >= 400) return registered
    const { id } = JSON.parse(registered.body) as { id: number }
    return { status: 200, body: JSON.stringify({ id, subject: own, version: 1 }) }
  }

  /** Processes of one run ask for the same at the same moment, and get the same answer. */
  const registerOnce = (subject: string, schema: string): Promise<Answer> => {
    const key = `${subject}\n${schema}`
    const known = ids.get(key)
    if (known) return known
    const asked = register(subject, schema)
    ids.set(key, asked)
    const forget = (): void => void ids.delete(key)
    asked.then(({ status }) => (status === 200 ? undefined : forget()), forget)
    return asked
  }

  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const path = request.url ?? '/'
    if (request.method === 'GET') return ask('GET', path)
    const body = await bodyOf(request)
    const subject = /^\/subjects\/([^/?]+)(?:\/versions)?(?:\?|$)/.exec(path)?.[1]
    if (request.method === 'POST' && subject !== undefined) return registerOnce(decodeURIComponent(subject), body)
    if (request.method === 'POST' && path.startsWith('/compatibility/')) return post(path, body)
    return refusal(403, `A replay run changes nothing in the registry: ${request.method ?? ''} ${path}`)
  }

  const server = createServer((request, response) => {
    answer(request)
      .catch((error: unknown) => refusal(503, `The schema registry at ${upstream} does not answer: ${messageOf(error)}`))
      .then(
        (given) => send(response, given),
        () => response.destroy(),
      )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const send = (response: ServerResponse, { status, body }: Answer): void => {
  response.writeHead(status, { 'content-type': JSON_TYPE }).end(body)
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MOST_BODY_BYTES) throw new Error(`the body of ${request.url ?? ''} has more than ${MOST_BODY_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
