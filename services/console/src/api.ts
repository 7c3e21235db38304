// The page's HTTP door: reads from the read model, passes decisions on to the services' own doors with the person's token.
// The token rides in an HttpOnly cookie; nothing that changes anything is a GET.

import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { AndonError, asyncRoute, notFoundHandler, problemHandler } from '@andon/kit'
import type { Logger, Principal, Principals } from '@andon/kit'
import express from 'express'
import type { Express, Request, Response } from 'express'
import type { ReadModel } from './read-model.ts'
import type { Person } from './view.ts'

export interface ApiOptions {
  readonly model: ReadModel
  readonly principals: Principals
  readonly logger: Logger
  readonly actionsUrl: string
  readonly videoUrl: string
  /** Folder of the built page. */
  readonly page: string
}

const cookieName = 'andon_token'
/** Inline styles: the chart positions its layers with them. */
const contentPolicy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const liveEveryMs = 250
const keepAliveMs = 15_000

const tokenOf = (request: Request): string | undefined =>
  request.headers.cookie
    ?.split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${cookieName}=`))
    ?.slice(cookieName.length + 1)

const cookie = (token: string, maxAgeS: number): string => `${cookieName}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}`

/** What the page shows of a person: names stay in the tokens file, the strongest role speaks. */
const personOf = (principal: Principal): Person => ({ id: principal.id, name: principal.roles[0] ?? principal.id, roles: principal.roles })

/** The id in a path, when it can be one: what goes into another door's address is never more than a word. */
const idOf = (request: Request): string => {
  const { id } = request.params
  if (typeof id === 'string' && /^[\w-]{1,100}$/.test(id)) return id
  throw new AndonError('ANDON_NOT_FOUND', `There is no ${request.method} ${request.path} here`, { status: 404 })
}

/** Makes a second press of hold or call the same request at the door. */
const keyOf = (request: Request): Record<string, string> => {
  const key = request.get('idempotency-key')
  return key === undefined ? {} : { 'idempotency-key': key }
}

export const createApi = (options: ApiOptions): Express => {
  const { model } = options
  const app = express()
  app.disable('x-powered-by')
  app.use((_request, response, next) => {
    response.setHeader('content-security-policy', contentPolicy)
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('referrer-policy', 'no-referrer')
    next()
  })

  /** The person behind the session, or a 401 that says how to get one. */
  const person = (request: Request): { principal: Principal; token: string } => {
    const token = tokenOf(request)
    const principal = token === undefined ? undefined : options.principals.of(token)
    if (token === undefined || principal === undefined)
      throw new AndonError('ANDON_CONSOLE_NOT_SIGNED_IN', 'No session. Sign in with one of the tokens in .andon/tokens.', { status: 401 })
    return { principal, token }
  }

  app.get('/api/session', (request, response) => {
    const { principal } = person(request)
    response.json(personOf(principal))
  })
  app.post('/api/session', express.json({ limit: '4kb' }), (request, response) => {
    const token = (request.body as { token?: unknown } | undefined)?.token
    const principal = typeof token === 'string' && /^[\w.-]{16,200}$/.test(token) ? options.principals.of(token) : undefined
    if (principal === undefined)
      throw new AndonError('ANDON_CONSOLE_BAD_TOKEN', 'Nobody has this token. Check that it was copied whole.', { status: 401 })
    response.setHeader('set-cookie', cookie(token as string, 12 * 3600))
    response.json(personOf(principal))
  })
  app.delete('/api/session', (_request, response) => {
    response.setHeader('set-cookie', cookie('', 0))
    response.status(204).end()
  })

  app.get('/api/overview', (request, response) => {
    person(request)
    response.json(model.overview())
  })
  app.get('/api/incidents/:id', (request, response) => {
    person(request)
    const incident = model.incident(request.params.id)
    if (!incident) throw new AndonError('ANDON_CONSOLE_NO_INCIDENT', `The log names no incident ${request.params.id}.`, { status: 404 })
    response.json(incident)
  })
  app.get('/api/assets/:id/series', (request, response) => {
    person(request)
    const minutes = Math.min(24 * 60, Math.max(1, Number(request.query['minutes'] ?? 10) || 10))
    const { feature } = request.query
    response.json(model.trend(request.params.id, typeof feature === 'string' ? feature : '', minutes))
  })
  app.get('/api/live', (request, response) => {
    person(request)
    live(model, request, response)
  })

  const pass = (path: (request: Request) => string): express.RequestHandler =>
    asyncRoute(async (request, response) => {
      const { token } = person(request)
      const answer = await fetch(`${options.actionsUrl}${path(request)}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...keyOf(request) },
        body: JSON.stringify(request.body ?? {}),
        signal: AbortSignal.timeout(5000),
      }).catch((cause: unknown) => {
        throw new AndonError('ANDON_CONSOLE_NO_ACTIONS_DOOR', 'The actions service does not answer. Nothing was decided; try again.', {
          status: 502,
          cause,
        })
      })
      response
        .status(answer.status)
        .type(answer.headers.get('content-type') ?? 'application/json')
        .send(Buffer.from(await answer.arrayBuffer()))
    })
  const json = express.json({ limit: '32kb' })
  app.post('/api/steps/:id/:verdict', json, (request, response, next) => {
    const verdict = request.params['verdict']
    if (verdict !== 'approve' && verdict !== 'reject' && verdict !== 'revoke') return next()
    return pass((r) => `/v1/steps/${idOf(r)}/${verdict}`)(request, response, next)
  })
  app.post(
    '/api/holds',
    json,
    pass(() => '/v1/holds'),
  )
  app.post(
    '/api/holds/:id/lift',
    json,
    pass((r) => `/v1/holds/${idOf(r)}/lift`),
  )
  app.post(
    '/api/calls',
    json,
    pass(() => '/v1/calls'),
  )

  app.get(
    '/media/clips/:id/video',
    asyncRoute(async (request, response) => {
      const { token } = person(request)
      await stream(`${options.videoUrl}/v1/clips/${idOf(request)}/video`, token, request, response)
    }),
  )

  app.use(express.static(options.page, { index: 'index.html', maxAge: 0 }))
  app.use(notFoundHandler)
  app.use(problemHandler(options.logger))
  return app
}

/** Tells the page that something changed, at most four times a second; what changed it asks for itself. */
const live = (model: ReadModel, request: Request, response: Response): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  let sent = -1
  let timer: NodeJS.Timeout | undefined
  const send = (): void => {
    timer = undefined
    if (sent === model.version) return
    sent = model.version
    response.write(`id: ${sent}\nevent: change\ndata: {"version":${sent}}\n\n`)
  }
  const stop = model.subscribe(() => {
    timer ??= setTimeout(send, liveEveryMs)
  })
  const alive = setInterval(() => response.write(': alive\n\n'), keepAliveMs)
  send()
  request.on('close', () => {
    stop()
    clearTimeout(timer)
    clearInterval(alive)
  })
}

/** Hands a clip through, byte ranges included. */
const stream = async (url: string, token: string, request: Request, response: Response): Promise<void> => {
  const left = new AbortController()
  request.on('close', () => left.abort())
  const answer = await fetch(url, {
    headers: { authorization: `Bearer ${token}`, ...(request.headers.range ? { range: request.headers.range } : {}) },
    signal: left.signal,
  }).catch((cause: unknown) => {
    throw new AndonError('ANDON_CONSOLE_NO_VIDEO_DOOR', 'The video service does not answer.', { status: 502, cause })
  })
  response.status(answer.status)
  for (const name of ['content-type', 'content-length', 'content-range', 'accept-ranges', 'etag']) {
    const value = answer.headers.get(name)
    if (value !== null) response.setHeader(name, value)
  }
  response.setHeader('cache-control', 'no-store')
  if (!answer.body) return void response.end()
  Readable.fromWeb(answer.body as ReadableStream)
    .on('error', () => response.destroy())
    .pipe(response)
}
