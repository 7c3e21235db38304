// POST /v1/telemetry, the hot route: plain node:http, no framework. A request is answered 202 when all it brought is safe; whatever is
// wrong with it is said before its body is read where that is possible.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { AndonError, problemOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { answerProblem, answerReceipt } from './http-answers.ts'
import { Gone } from './http-body.ts'
import type { Bodies } from './http-body.ts'
import type { Senders } from './http-identity.ts'
import type { MappedBodies } from './http-mapped.ts'
import { decoderOf } from './http-media.ts'
import type { Intake, Refusing } from './source.ts'

export const telemetryPath = '/v1/telemetry'

export interface TelemetryRoute {
  readonly senders: Senders
  readonly bodies: Bodies
  readonly mapped: MappedBodies
  readonly intake: Intake
  readonly refusing: Refusing
  readonly logger: Logger
}

const allow = 'POST, OPTIONS'
const keyForm = /^[\u0021-\u007e]{1,255}$/

/**
 * `expectsContinue`: the sender waits for our word before it sends the body. To be called in the turn in which the request comes in.
 * Callbacks, not promises: one reading per request is what many devices send.
 */
export const takeTelemetry = (
  { senders, bodies, mapped, intake, refusing, logger }: TelemetryRoute,
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
): void => {
  const refuse = (error: unknown): void => {
    if (error instanceof Gone) return
    // Back-pressure is the normal course of things: it is counted, not logged.
    if (problemOf(error).status === 500) logger.error({ err: error }, 'telemetry request failed')
    answerProblem(request, response, error)
  }
  try {
    if (request.method !== 'POST') return answerOther(request, response)
    const sender = senders.of(request)
    const { id, device } = sender
    const refused = refusing()
    if (refused !== undefined) throw refused
    bodies.check(request)
    const decode = mapped.decoderOf(request.url!) ?? decoderOf(request.headers['content-type'])
    const key = idempotencyKeyOf(request)
    const idempotencyKey = key === undefined ? undefined : `${id} ${key}`
    if (expectsContinue) response.writeContinue()
    const takeBody = (body: Buffer): void => {
      try {
        const content = decode(body, sender)
        const { bytes, indexOf } = content
        const delivery =
          'columns' in content
            ? ({ door: 'http', principal: id, device, idempotencyKey, bytes, columns: content.columns } as const)
            : ({ door: 'http', principal: id, device, idempotencyKey, bytes, readings: content.readings } as const)
        void intake(delivery).then((receipt) => {
          try {
            answerReceipt(response, receipt, indexOf)
          } catch (error) {
            refuse(error)
          }
        }, refuse)
      } catch (error) {
        refuse(error)
      }
    }
    bodies.take(request, takeBody, refuse)
  } catch (error) {
    refuse(error)
  }
}

const answerOther = (request: IncomingMessage, response: ServerResponse): void => {
  if (request.method === 'OPTIONS') {
    request.resume()
    response.writeHead(204, { allow }).end()
    return
  }
  throw new AndonError('ANDON_INGEST_BAD_METHOD', `${telemetryPath}: found ${request.method}, expected POST`, {
    status: 405,
    fields: { allow },
  })
}

const idempotencyKeyOf = ({ headers }: IncomingMessage): string | undefined => {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key === 'string' && keyForm.test(key)) return key
  throw new AndonError(
    'ANDON_INGEST_BAD_REQUEST',
    `Idempotency-Key: found ${JSON.stringify(key).slice(0, 80)}, expected 1 to 255 visible ASCII characters`,
    { status: 400 },
  )
}
