// One HTTP call to another server: an answer of bounded size by its deadline, or a typed error. Connections are kept and counted.

import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { codeOf, messageOf } from '@andon/kit/errors'
import { cancelled, serverAnswerWrong, serverTimeout, serverUnreachable, stopping } from '../errors.ts'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface HttpCall {
  readonly method: 'GET' | 'POST'
  /** Behind the server's address. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: readonly Uint8Array[]
  /** Moment of performance.now(). */
  readonly deadlineMs: number
  readonly signal?: AbortSignal
}

export interface HttpCaller {
  call(call: HttpCall): Promise<HttpAnswer>
  close(): void
}

/** `url` may have a path, which goes before every call's. */
export const httpCaller = (
  url: string,
  { maxBytes, maxSockets }: { readonly maxBytes: number; readonly maxSockets: number },
): HttpCaller => {
  const base = new URL(url)
  const isTls = base.protocol === 'https:'
  const agent = isTls ? new HttpsAgent({ keepAlive: true, maxSockets }) : new HttpAgent({ keepAlive: true, maxSockets })
  const open = new Set<ClientRequest>()
  const prefix = base.pathname.replace(/\/$/, '')
  let isClosed = false

  const call: HttpCaller['call'] = (asked) => {
    const { method, path, headers, body, deadlineMs, signal } = asked
    const waitMs = deadlineMs - performance.now()
    if (isClosed) return Promise.reject(stopping())
    if (signal?.aborted === true) return Promise.reject(cancelled())
    if (waitMs <= 0) return Promise.reject(serverTimeout(url, 0))
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
    const length = body?.reduce((sum, part) => sum + part.byteLength, 0)
    const request = (isTls ? httpsRequest : httpRequest)({
      hostname: base.hostname.replaceAll(/[[\]]/g, ''),
      port: base.port,
      agent,
      method,
      path: `${prefix}${path}`,
      headers: { accept: 'application/json', ...headers, ...(length === undefined ? {} : { 'content-length': length }) },
    })
    open.add(request)
    let isOver = false
    const fail = (error: Error): void => {
      isOver = true
      reject(error)
      request.destroy()
    }
    const abort = (): void => fail(cancelled())
    const timer = setTimeout(() => fail(serverTimeout(url, waitMs)), waitMs)
    signal?.addEventListener('abort', abort, { once: true })
    const settled = (): void => {
      open.delete(request)
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    promise.then(settled, settled)
    request.on('error', (error) => {
      // A kept connection that the server had closed by then: scoring twice does no harm, and a new connection tells.
      const wasStale = request.reusedSocket && codeOf(error) === 'ECONNRESET'
      if (isClosed) reject(stopping())
      else if (wasStale && !isOver) resolve(call(asked))
      else reject(serverUnreachable(url, codeOf(error) ?? messageOf(error), error))
    })
    request.on('response', (response) => void read(response, maxBytes).then(resolve, fail))
    for (const part of body ?? []) request.write(part)
    request.end()
    return promise
  }

  const read = async (response: IncomingMessage, most: number): Promise<HttpAnswer> => {
    const parts: Buffer[] = []
    let size = 0
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        size += part.byteLength
        if (size > most) throw serverAnswerWrong(url, `expected at most ${most} bytes, got more`)
        parts.push(part)
      }
    } catch (error) {
      if (codeOf(error) === 'ECONNRESET' || codeOf(error) === 'ERR_STREAM_PREMATURE_CLOSE')
        throw serverUnreachable(url, 'the connection was cut in the middle of an answer', error)
      throw error
    }
    return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }
  }

  return {
    call,
    close: () => {
      isClosed = true
      for (const request of open) request.destroy(stopping())
      agent.destroy()
    },
  }
}
