// A business HTTP door as a part of a service: listens, answers errors as problem details, and stops with an end.

import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import type { Problem } from './errors.ts'
import { AndonError, problemOf } from './errors.ts'
import type { Part } from './lifecycle.ts'
import type { Logger } from './logger.ts'
import { listen } from './reach.ts'

export interface HttpPartOptions {
  readonly name: string
  readonly host: string
  /** 0 picks a free one; see `port()`. */
  readonly port: number
  /** An express app, or anything else that answers. */
  readonly app: RequestListener
  /** Setting that gives the port; named when it is taken. */
  readonly setting: string
  /** How long open answers (event streams) may go on after a stop, ms. Default 1000. */
  readonly graceMs?: number
}

export interface HttpPart extends Part {
  /** Port it listens on, once started. */
  port(): number
  readonly server: Server
}

/** An express app as a part. On stop it takes no new connection, lets answers in flight end, then closes what is left. */
export const httpPart = (options: HttpPartOptions): HttpPart => {
  const server = createServer(options.app)
  let port = options.port
  return {
    name: options.name,
    server,
    port: () => port,
    ready: () => server.listening,
    async start() {
      port = await listen(server, options)
    },
    async stop() {
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), options.graceMs ?? 1000)
      await closed
      clearTimeout(timer)
    },
  }
}

/** A route that awaits; what it throws reaches problemHandler, and its result is not taken for an answer. */
export const asyncRoute =
  (route: (request: Request, response: Response) => Promise<unknown>): RequestHandler =>
  async (request, response) => {
    await route(request, response)
  }

/** Answers what no route took. Mount it after the routes. */
export const notFoundHandler: RequestHandler = (request, _response, next) => {
  next(new AndonError('ANDON_NOT_FOUND', `There is no ${request.method} ${request.path} here`, { status: 404 }))
}

/** What a client has to do (RFC 6750; RFC 9470 where the problem's fields ask for a stronger sign-in). */
const challengeOf = ({ fields }: Problem): string => {
  const { acrValues, maxAge } = fields ?? {}
  if (!Array.isArray(acrValues)) return 'Bearer'
  return `Bearer error="insufficient_user_authentication", acr_values="${acrValues.join(' ')}", max_age="${String(maxAge)}"`
}

/** Answers errors as application/problem+json (RFC 9457). Mount it last; failures of ours are logged. */
export const problemHandler =
  (logger?: Logger): ErrorRequestHandler =>
  (error: unknown, request, response, next) => {
    const problem = problemOf(error)
    if (problem.status >= 500) logger?.error({ err: error, method: request.method, path: request.path }, 'request failed')
    if (response.headersSent) {
      next(error)
      return
    }
    if (problem.status === 401) response.setHeader('www-authenticate', challengeOf(problem))
    response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem))
  }
