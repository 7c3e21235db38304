// The admin server of every service: is it alive, is it ready, what does it count, what is it.

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { codeDigest, codeVersion } from './code-version.ts'
import type { Metrics } from './metrics.ts'

/** What /readyz says about one part: true, or why it is not. */
export type Readiness = boolean | string

export interface AdminView {
  readonly service: string
  readonly metrics: Metrics
  /** Readiness by part name; empty while starting counts as not ready. */
  readiness(): Readonly<Record<string, Readiness>>
  /** Added to /version: the durability mode and whatever else an operator should see. */
  about(): Readonly<Record<string, unknown>>
}

/** HTTP server with /livez /readyz /metrics /version. Alive = the event loop answers. */
export const createAdminServer = (view: AdminView): Server => {
  const routes: Record<string, () => Promise<Answer> | Answer> = {
    '/livez': () => json(200, { status: 'alive' }),
    '/readyz': () => {
      const parts = view.readiness()
      const isReady = Object.keys(parts).length > 0 && Object.values(parts).every((each) => each === true)
      return json(isReady ? 200 : 503, { status: isReady ? 'ready' : 'not ready', parts })
    },
    '/metrics': async () => ({ status: 200, type: view.metrics.contentType, body: await view.metrics.text() }),
    '/version': () =>
      json(200, { service: view.service, version: codeVersion(), code: codeDigest(view.service), node: process.version, ...view.about() }),
  }
  return createServer((request, response) => {
    const route = routes[new URL(request.url ?? '/', 'http://admin').pathname]
    void answer(route, request, response) // cannot reject: every failure becomes an answer
  })
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const json = (status: number, body: unknown): Answer => ({ status, type: 'application/json', body: JSON.stringify(body) })

const answer = async (
  route: (() => Promise<Answer> | Answer) | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  let given: Answer
  try {
    if (route === undefined) given = json(404, { status: 'not found' })
    else if (request.method !== 'GET' && request.method !== 'HEAD') given = json(405, { status: 'only GET' })
    else given = await route()
  } catch {
    given = json(500, { status: 'failed' })
  }
  response
    .writeHead(given.status, { 'content-type': given.type, 'cache-control': 'no-store' })
    .end(request.method === 'HEAD' ? '' : given.body)
}
