// What the HTTP door answers: receipts as 202, everything else as problem details (RFC 9457) with a link to what can be done about it.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { AndonError, problemOf } from '@andon/kit'
import type { Receipt } from './source.ts'

/** Path of the page that explains every code, one anchor each. */
export const errorsPath = '/docs/errors'

const docsOf = (code: string): string => `${errorsPath}#${code}`

// A refused sender may have megabytes on their way. Up to this they are read and the connection is kept.
const drainMaxBytes = 256 * 1024
const drainMs = 2000
const retryAfterS = 2
const plainReceipts = 1024

const plainReceipt = (accepted: number): string => `{"accepted":${accepted},"duplicates":0,"quarantined":[]}`
const plain = Array.from({ length: plainReceipts }, (_, accepted) => {
  const body = plainReceipt(accepted)
  return { body, headers: ['content-type', 'application/json', 'content-length', String(body.length)] }
})

const receiptBody = (receipt: Receipt, indexOf: (row: number) => number): string =>
  JSON.stringify({
    accepted: receipt.accepted,
    duplicates: receipt.duplicates,
    quarantined: receipt.quarantined.map(({ index, code, message }) => ({ index: indexOf(index), code, message, docs: docsOf(code) })),
  })

/** 202: everything in the receipt is safe. `indexOf`: place in the body of the receipt's n-th row. */
export const answerReceipt = (response: ServerResponse, receipt: Receipt, indexOf = (row: number): number => row): void => {
  const ready = receipt.duplicates === 0 && receipt.quarantined.length === 0 ? plain[receipt.accepted] : undefined
  if (ready !== undefined) {
    response.writeHead(202, ready.headers)
    response.end(ready.body, 'latin1')
    return
  }
  const body = receiptBody(receipt, indexOf)
  response.writeHead(202, ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(body))])
  response.end(body)
}

interface ProblemAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** An error as status, headers and problem details. */
export const problemAnswer = (error: unknown): ProblemAnswer => {
  const problem = problemOf(error)
  const body = JSON.stringify({ ...problem, docs: docsOf(problem.code) })
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
  }
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer'
  const { allow, retryAfterS: asked } = problem.fields ?? {}
  if (typeof allow === 'string') headers['allow'] = allow
  if (error instanceof AndonError && error.retriable)
    headers['retry-after'] = String(typeof asked === 'number' ? Math.ceil(asked) : retryAfterS)
  return { status: problem.status, headers, body }
}

/**
 * Answers an error. What the request still brings is read and thrown away, so that the sender sees the answer and the connection can
 * be used again; a sender that goes on for too long is cut off.
 */
export const answerProblem = (request: IncomingMessage, response: ServerResponse, error: unknown): void => {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, headers, body } = problemAnswer(error)
  const text = request.method === 'HEAD' ? '' : body
  if (request.complete) {
    response.writeHead(status, headers)
    response.end(text)
    return
  }
  const announced = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY)
  const isKept = announced <= drainMaxBytes && request.headers.expect === undefined
  response.writeHead(status, isKept ? headers : { ...headers, connection: 'close' })
  response.write(text)
  drain(request, response)
}

const drain = (request: IncomingMessage, response: ServerResponse): void => {
  let bytes = 0
  const end = () => {
    clearTimeout(timer)
    request.off('data', count)
    if (!request.complete) response.shouldKeepAlive = false
    response.end()
  }
  const count = (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > drainMaxBytes) end()
  }
  const timer = setTimeout(end, drainMs)
  request.once('end', end).once('error', end).once('close', end).on('data', count).resume()
}

/** A problem for a connection on which no request could be read. */
export const rawProblem = (error: unknown): string => {
  const { status, headers, body } = problemAnswer(error)
  const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${problemOf(error).title}\r\n${lines.join('')}\r\n${body}`
}
