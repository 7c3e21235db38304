// The console's door over a log in memory, with stand-ins for the actions and the video door behind it: the first decides with the
// kernel that owners use and appends to the same log, the second serves one file by byte ranges. For tests alone.

import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { record } from '@andon/decisions'
import { createLogger } from '@andon/kit'
import type { Principal } from '@andon/kit'
import { createApi } from '../src/api.ts'
import { PlantLog, line } from './plant-log.ts'

export const tokens = { operator: 'operator-token-0123456789', viewer: 'viewer-token-0123456789' } as const

const people: Readonly<Record<string, Principal>> = {
  [tokens.operator]: { id: 'p-operator', roles: ['operator'] },
  [tokens.viewer]: { id: 'p-viewer', roles: ['viewer'] },
}

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

const listen = async (server: Server, port = 0): Promise<number> => {
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}

const close = async (server: Server): Promise<void> => {
  server.closeAllConnections()
  await new Promise((resolve) => {
    server.close(resolve)
  })
}

/** Stand-in of the actions door: the routes the console passes on to. */
const actionsDoor = (log: PlantLog, seen: Seen[]) => {
  const app = express()
  app.use(express.json())
  app.use((request, _response, next) => {
    const body = request.body as Record<string, unknown>
    seen.push({ method: request.method, path: request.path, headers: request.headers, body })
    next()
  })
  app.post('/v1/steps/:id/:verdict', (request, response) => {
    const { reason, commandHash } = request.body as { reason: string; commandHash: string }
    const verdict = request.params.verdict as 'approve' | 'reject' | 'revoke'
    const [answer] = log.decide(verdict, request.params.id, commandHash, reason)
    if (answer?.refusal)
      response
        .status(409)
        .type('application/problem+json')
        .send(JSON.stringify({ status: 409, code: answer.refusal.code, detail: answer.refusal.message }))
    else response.json({ isDecided: true, outcome: answer?.type })
  })
  app.post('/v1/holds', (request, response) => {
    const { scope, reason } = request.body as { scope: string; reason: string }
    log.hold('h-1', scope, reason, 'p-operator')
    response.json({ isDecided: true, holdId: 'h-1' })
  })
  app.post('/v1/holds/:id/lift', (request, response) => {
    log.lift(request.params.id, (request.body as { reason: string }).reason, 'p-operator')
    response.json({ isDecided: true })
  })
  app.post('/v1/calls', (request, response) => {
    const { title } = request.body as { title: string }
    log.ask(record('CallRequested', `call-${title}`, line, log.nowUs, { by: 'p-operator', roles: ['operator'], title }), null)
    response.json({ isDecided: true })
  })
  return app
}

export interface Desk {
  readonly log: PlantLog
  /** Address of the page. */
  readonly url: string
  /** What reached the actions door. */
  readonly seen: Seen[]
  /** What reached the video door. */
  readonly watched: Seen[]
  /** Takes the console away, connections and all, and brings it back at the same address. */
  goAway(): Promise<void>
  comeBack(): Promise<void>
  stopActions(): Promise<void>
  stop(): Promise<void>
}

export const openDesk = async (options: { page?: string; clip?: string; nowUs?: number } = {}): Promise<Desk> => {
  const log = new PlantLog(options.nowUs)
  const [seen, watched]: [Seen[], Seen[]] = [[], []]
  const actions = createServer(actionsDoor(log, seen))
  const video = createServer(
    express().get('/v1/clips/:id/video', (request, response) => {
      watched.push({ method: request.method, path: request.path, headers: request.headers, body: {} })
      if (options.clip) response.type('video/mp4').sendFile(options.clip)
      else response.status(404).end()
    }),
  )
  const [actionsPort, videoPort] = await Promise.all([listen(actions), listen(video)])
  const app = createApi({
    model: log.model,
    principals: { of: (token) => people[token] },
    logger: createLogger({ service: 'console', level: 'fatal' }),
    actionsUrl: `http://127.0.0.1:${actionsPort}`,
    videoUrl: `http://127.0.0.1:${videoPort}`,
    page: options.page ?? '/nowhere',
  })
  let server = createServer(app)
  const port = await listen(server)
  return {
    log,
    url: `http://127.0.0.1:${port}`,
    seen,
    watched,
    goAway: () => close(server),
    async comeBack() {
      server = createServer(app)
      await listen(server, port)
    },
    stopActions: () => close(actions),
    async stop() {
      await Promise.all([server, actions, video].filter((one) => one.listening).map(close))
    },
  }
}
