// POST /v1/calls on the HTTP door: a button that speaks HTTP calls for help. 202 once the call is on the log.

import type { IncomingMessage, RequestListener } from 'node:http'
import { AndonError } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import type { Buttons } from '../buttons.ts'
import type { Devices } from '../devices.ts'
import { answerProblem } from './http-answers.ts'
import { Senders } from './http-identity.ts'

export const callsPrefix = '/v1/calls'

const maxBodyBytes = 4096

export interface CallsDeps {
  readonly buttons: Buttons
  readonly principals: () => Principals
  readonly devices: Devices
  readonly logger: Logger
}

/** Body: `{"button": "<id>"}`, with `epoch` and `seq` of the press where the button counts. */
export const callsHandler =
  (deps: CallsDeps): RequestListener =>
  (request, response) => {
    const answer = async () => {
      // Asked for every press: a button that was cut off calls nobody over a connection that it still has.
      const { device } = new Senders(deps.principals(), deps.devices).of(request)
      if (request.method !== 'POST') {
        throw new AndonError('ANDON_INGEST_BAD_METHOD', `${callsPrefix}: found ${request.method}, expected POST`, {
          status: 405,
          fields: { allow: 'POST' },
        })
      }
      const body = await bodyOf(request)
      const button = buttonOf(body)
      if (device?.speaksFor(button) === false) {
        throw new AndonError(
          'ANDON_INGEST_OTHER_SOURCE',
          `found button ${button.slice(0, 100)}; device ${device.id} speaks for itself only`,
          {
            status: 403,
          },
        )
      }
      const callId = await deps.buttons.press(button, body)
      response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ callId }))
    }
    answer().catch((error: unknown) => {
      if (!(error instanceof AndonError)) deps.logger.error({ err: error }, 'a call failed')
      answerProblem(request, response, error)
    })
  }

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBodyBytes) {
      throw new AndonError('ANDON_INGEST_TOO_LARGE', `found more than ${maxBodyBytes} bytes, expected a call`, { status: 413 })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const buttonOf = (body: Buffer): string => {
  try {
    const { button } = JSON.parse(body.toString('utf8')) as { button?: unknown }
    if (typeof button === 'string' && button !== '') return button
  } catch {
    // said below
  }
  throw new AndonError('ANDON_INGEST_BAD_REQUEST', 'found no button, expected {"button": "<id of its source file>"}', { status: 400 })
}
