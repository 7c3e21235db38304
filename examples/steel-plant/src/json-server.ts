// A small HTTP server on loopback for the demo plant's doors: exact routes, JSON in and out.

import { createServer, type IncomingMessage } from 'node:http'
import { listen, type ListenOptions } from '@andon/kit'

export interface Call {
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** Body as JSON; an empty one counts as {}. Throws `Answer` 400 when it is no object. */
  json(): Record<string, unknown>
}

/** Thrown or returned: status and body. */
export class Answer extends Error {
  readonly status: number
  readonly body: unknown
  constructor(status: number, body: unknown) {
    super(`${status}`)
    this.status = status
    this.body = body
  }
}

/** `METHOD /path` → handler; what it returns is sent as 200 unless it is an Answer. */
export type Routes = Readonly<Record<string, (call: Call) => unknown>>

const maxBodyBytes = 4 * 1024 * 1024

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBodyBytes) throw new Answer(413, { error: `Body above ${maxBodyBytes} bytes` })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const jsonOf = (body: Buffer): Record<string, unknown> => {
  if (body.length === 0) return {}
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Answered below like any other body that is no object.
  }
  throw new Answer(400, { error: 'Expected a JSON object' })
}

const answerTo = async (routes: Routes, request: IncomingMessage): Promise<Answer> => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const handler = Object.hasOwn(routes, `${request.method} ${pathname}`) ? routes[`${request.method} ${pathname}`] : undefined
  if (handler === undefined)
    return new Answer(404, { error: `No ${request.method} ${pathname}; there is: ${Object.keys(routes).join(', ')}` })
  try {
    const body = await bodyOf(request)
    const result: unknown = await handler({ query: searchParams, headers: request.headers, body, json: () => jsonOf(body) })
    return result instanceof Answer ? result : new Answer(200, result)
  } catch (error) {
    return error instanceof Answer ? error : new Answer(500, { error: error instanceof Error ? error.message : String(error) })
  }
}

export interface JsonServer {
  readonly port: number
  /** Also ends open connections. */
  close(): Promise<void>
}

/** Binds and serves; rejects, naming the setting, when the port is taken. */
export const serveJson = async (routes: Routes, options: ListenOptions): Promise<JsonServer> => {
  const server = createServer((request, response) => {
    void answerTo(routes, request).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
    })
  })
  const port = await listen(server, options)
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
