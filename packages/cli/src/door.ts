// Calls the HTTP doors of the services. A refusal of the door ends the command with exit code 4 and the door's own words.

import { messageOf } from '@andon/kit/errors'
import { CommandError } from './context.ts'
import { EXIT } from './exit.ts'

interface ProblemBody {
  readonly code?: string
  readonly detail?: string
  readonly title?: string
}

export interface Answer<T> {
  readonly status: number
  readonly body: T
  /** Where to look for the outcome, when the door answered 202. */
  readonly location: string | null
}

/** Sends one request as JSON. `token` goes as bearer token; `timeoutMs`, default 10 s, is for what takes long. */
export const callDoor = async <T>(
  method: 'GET' | 'POST',
  url: string,
  options: { token?: string; body?: unknown; timeoutMs?: number } = {},
): Promise<Answer<T>> => {
  let response: Response
  try {
    response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      },
      signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    })
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
    throw new CommandError(EXIT.notRunning, `${new URL(url).origin} does not answer (${cause}). Is the mesh up? See \`andon status\`.`)
  }
  const text = await response.text()
  const body: unknown = text === '' ? undefined : parse(text)
  if (response.ok) return { status: response.status, body: body as T, location: response.headers.get('location') }
  const problem = (typeof body === 'object' && body !== null ? body : {}) as ProblemBody
  const said = problem.detail ?? problem.title ?? (typeof body === 'string' ? body.slice(0, 300) : '')
  throw new CommandError(EXIT.refused, `${problem.code ?? `HTTP ${response.status}`}: ${said}`)
}

/** JSON where it is JSON, else the text itself. */
export const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
