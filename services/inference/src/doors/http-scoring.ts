// POST /v2/models/{model}[/versions/{version}]/infer, the hot route: plain node:http, no framework between the bytes and the scheduler.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { invalidRequest } from '../errors.ts'
import type { InferAnswer, Serving } from '../serving/serving.ts'
import { answerError } from './http-answers.ts'
import { Gone, codingAsked, compressed } from './http-bodies.ts'
import type { Bodies } from './http-bodies.ts'
import { rawRequest, readRequest, writeAnswer } from './http-infer.ts'
import type { AnswerBody, ReadRequest } from './http-infer.ts'
import type { HttpDoorOptions } from './http-rest.ts'

export interface InferTarget {
  readonly model: string
  readonly version: string
}

/** The model a path asks to score, or undefined where it is another route's. */
export const inferTarget = (url: string): InferTarget | undefined => {
  const match = /^\/v2\/models\/([^/?]+)(?:\/versions\/([^/?]+))?\/infer(?:\?|$)/.exec(url)
  return match === null ? undefined : { model: nameIn(match[1]!), version: nameIn(match[2] ?? '') }
}

const nameIn = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Never rejects. */
export const score = async (
  { serving, settings, onRequest, onTimes, logger }: HttpDoorOptions,
  bodies: Bodies,
  target: InferTarget,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const startedMs = performance.now()
  const abort = new AbortController()
  const gone = (): void => void (response.writableFinished || abort.abort())
  response.on('close', gone)
  let isSuccess = false
  let id = ''
  try {
    const headerLength = headerLengthOf(request)
    const body = await bodies.read(request)
    const readyMs = performance.now()
    const read = await requestOf(serving(), target, body, headerLength)
    id = read.form.id
    const scoringMs = performance.now()
    const answer: InferAnswer = await serving().infer({ ...target, ...read.request, signal: abort.signal })
    const scoredMs = performance.now()
    await send(request, response, writeAnswer(answer, read.form))
    isSuccess = true
    const endMs = performance.now()
    onTimes?.(answer.model, {
      preprocessS: (scoringMs - readyMs) / 1000,
      predictS: (scoredMs - scoringMs) / 1000,
      postprocessS: (endMs - scoredMs) / 1000,
    })
  } catch (error) {
    if (!(error instanceof Gone) && !abort.signal.aborted) answerError(request, response, error, logger)
  } finally {
    const durationMs = performance.now() - startedMs
    onRequest({ isSuccess, durationMs })
    settings.traced({ model: target.model, id, door: 'http', durationMs })
  }
}

const requestOf = async (serving: Serving, target: InferTarget, body: Buffer, headerLength: number | undefined): Promise<ReadRequest> => {
  if (headerLength === 0 && body.length > 0) return rawRequest(body, await serving.describe(target.model, target.version))
  if (headerLength !== undefined && headerLength > body.length)
    throw invalidRequest(`Inference-Header-Content-Length: expected at most the body's ${body.length} bytes, got ${headerLength}`)
  return readRequest(body, headerLength)
}

const headerLengthOf = ({ headers }: IncomingMessage): number | undefined => {
  const text = headers['inference-header-content-length']
  if (text === undefined) return undefined
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text)
  throw invalidRequest(`Inference-Header-Content-Length: expected a number of bytes, got ${String(text)}`)
}

/** Below this the parts of an answer are put together: one write costs less than copying. */
const joinedBytes = 64 * 1024

const send = async (request: IncomingMessage, response: ServerResponse, { parts, headerLength }: AnswerBody): Promise<void> => {
  const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const headers: Record<string, string | number> = {
    'content-type': headerLength === undefined ? 'application/json' : 'application/octet-stream',
  }
  if (headerLength !== undefined) headers['inference-header-content-length'] = headerLength
  const coding = codingAsked(request)
  const smaller = coding === undefined ? undefined : compressed(coding, Buffer.concat(parts, bytes))
  if (coding !== undefined && smaller !== undefined) {
    const body = await smaller
    headers['content-encoding'] = coding
    headers['content-length'] = body.length
    response.writeHead(200, headers)
    response.end(body)
    return
  }
  headers['content-length'] = bytes
  response.writeHead(200, headers)
  if (parts.length === 1) response.end(parts[0])
  else if (bytes <= joinedBytes) response.end(Buffer.concat(parts, bytes))
  else {
    response.cork()
    for (const part of parts) response.write(part)
    response.end()
  }
}
