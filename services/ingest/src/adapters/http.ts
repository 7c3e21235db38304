// HTTP door: POST /v1/telemetry, one reading, an array or NDJSON. 202 is the acknowledgement; 503 and 429 say when to try again.

import express from 'express'
import type { ErrorRequestHandler, Response } from 'express'
import { AndonError, asyncRoute, env, portDefault, httpPart, notFoundHandler, problemHandler, requireRole } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import type { Source } from './source.ts'

export interface HttpDoorOptions {
  readonly host: string
  readonly port: number
  readonly principals: Principals
  readonly maxBodyBytes: number
  readonly logger: Logger
}

const retryAfterS = 2

export const httpDoorKind = defineDoor({
  name: 'http',
  about: 'POST /v1/telemetry: JSON or NDJSON',
  settings: {
    port: env.port('INGEST_HTTP_PORT', 'Port of the HTTP door', portDefault('ingest', 'http')),
    maxBodyBytes: env.integer('INGEST_BODY_MAX_BYTES', 'Longest HTTP body', 16 * 1024 * 1024),
  },
  open: ({ port, maxBodyBytes }, { config, principals, logger }) =>
    httpDoor({ host: config.host, port, principals: principals(), maxBodyBytes, logger }),
})

export const httpDoor = (options: HttpDoorOptions): Source & { port(): number } => {
  const app = express().disable('x-powered-by').disable('etag')
  const part = httpPart({ name: 'http', host: options.host, port: options.port, app, setting: 'INGEST_HTTP_PORT' })
  return {
    name: 'http',
    port: () => part.port(),
    ready: () => part.ready?.() === true || 'not listening',
    start: async (intake, refusing) => {
      const body = express.raw({ type: () => true, limit: options.maxBodyBytes })
      app.post(
        '/v1/telemetry',
        requireRole(options.principals, 'ingest'),
        (_request, _response, next) => next(refusing()), // before the body is read
        body,
        asyncRoute(async (request, response) => {
          if (!Buffer.isBuffer(request.body))
            throw new AndonError('ANDON_INGEST_NO_BODY', 'The body is empty; expected readings', { status: 400 })
          const key = request.get('idempotency-key')
          const receipt = await intake({
            door: 'http',
            payload: request.body,
            format: /ndjson|jsonl/.test(request.get('content-type') ?? '') ? 'ndjson' : 'json',
            ...(key === undefined ? {} : { idempotencyKey: `${request.principal?.id ?? ''} ${key}` }),
          })
          response.status(202).json(receipt)
        }),
      )
      app.use(notFoundHandler)
      app.use(retryLater)
      app.use(problemHandler(options.logger))
      await part.start()
    },
    stop: () => part.stop(),
  }
}

const answerQuietly = problemHandler()

// Back-pressure is the normal course of things: it is counted, not logged.
const retryLater: ErrorRequestHandler = (error: unknown, request, response: Response, next) => {
  if (!(error instanceof AndonError) || !error.retriable) return next(error)
  response.setHeader('retry-after', String(retryAfterS))
  return answerQuietly(error, request, response, next)
}
