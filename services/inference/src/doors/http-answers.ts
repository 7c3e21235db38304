// What the HTTP door answers: JSON, and errors with the fields of problem details (RFC 9457) beside the `error` text which clients of the
// protocol read. Some of those read it in `application/json` only, so that is what an error is called for whoever does not ask for
// `application/problem+json`.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { AndonError, problemOf } from '@andon/kit'
import type { Logger } from '@andon/kit'

export const answerJson = (response: ServerResponse, json: string, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) })
  response.end(json)
}

const PROBLEM = 'application/problem+json'

/** What a refused caller may still send before it is cut off, which would take the answer from it as well. */
const drainMaxBytes = 128 * 1024 * 1024

export const answerError = (request: IncomingMessage, response: ServerResponse, error: unknown, logger: Logger): void => {
  const problem = problemOf(error)
  if (problem.status >= 500 && problem.status !== 501 && problem.status !== 503)
    logger.error({ err: error, method: request.method, path: request.url }, 'request failed')
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const body = JSON.stringify({ ...problem, error: problem.detail })
  const headers: Record<string, string | number> = {
    'content-type': request.headers.accept?.includes(PROBLEM) === true ? PROBLEM : 'application/json',
    'content-length': Buffer.byteLength(body),
  }
  if (problem.status === 415) headers['accept-encoding'] = 'gzip, deflate'
  if (typeof problem.fields?.['allow'] === 'string') headers['allow'] = problem.fields['allow']
  if (error instanceof AndonError && error.retriable) headers['retry-after'] = 1
  // A caller that still sends sees the answer only once its bytes are read; one that sends too many is cut off.
  if (!request.complete) {
    let left = drainMaxBytes
    request.on('data', (chunk: Buffer) => {
      if ((left -= chunk.length) < 0) request.destroy()
    })
    request.resume()
    headers['connection'] = 'close'
  }
  response.writeHead(problem.status, headers)
  response.end(body)
}
