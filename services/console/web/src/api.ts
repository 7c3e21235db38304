// The page's only way to the server. A failed call throws what the server said, in its own words.
import type { IncidentView, Overview, Person, Series } from '../../src/view.ts'

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

const call = async <T>(path: string, method = 'GET', sent?: unknown, key?: string): Promise<T> => {
  const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) }
  const response = await fetch(path, { method, headers, ...(sent === undefined ? {} : { body: JSON.stringify(sent) }) })
  const text = await response.text()
  const body: unknown = text === '' ? null : JSON.parse(text)
  if (!response.ok) {
    const problem = body as { code?: string; detail?: string; title?: string } | null
    throw new ApiError(response.status, problem?.code ?? String(response.status), problem?.detail ?? problem?.title ?? response.statusText)
  }
  return body as T
}

const post = <T>(path: string, body: unknown, key?: string): Promise<T> => call<T>(path, 'POST', body, key)

/** What the actions door answers: the owner's fact, or not decided yet within a second. */
export interface DecisionAnswer {
  readonly isDecided: boolean
  readonly outcome?: string
}

export const api = {
  me: () => call<Person>('/api/session'),
  signIn: (token: string) => post<Person>('/api/session', { token }),
  signOut: () => call<null>('/api/session', 'DELETE'),
  overview: () => call<Overview>('/api/overview'),
  incident: (id: string) => call<IncidentView>(`/api/incidents/${encodeURIComponent(id)}`),
  series: (asset: string, feature: string, minutes: number) =>
    call<Series>(`/api/assets/${encodeURIComponent(asset)}/series?feature=${encodeURIComponent(feature)}&minutes=${minutes}`),
  /** The hash binds the word to exactly the command that was shown. */
  decide: (stepId: string, verdict: 'approve' | 'reject' | 'revoke', commandHash: string, reason: string) =>
    post<DecisionAnswer>(`/api/steps/${encodeURIComponent(stepId)}/${verdict}`, { commandHash, reason }),
  /** `key` makes a second press the same request. */
  hold: (scope: string, reason: string, key: string) => post<unknown>('/api/holds', { scope, reason }, key),
  lift: (holdId: string, reason: string, key: string) => post<unknown>(`/api/holds/${encodeURIComponent(holdId)}/lift`, { reason }, key),
  callFor: (line: string, title: string, key: string) => post<unknown>('/api/calls', { line, title }, key),
}
