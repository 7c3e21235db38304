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

const call = async <T>(path: string, method = 'GET', sent?: unknown): Promise<T> => {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(path, { method, headers, ...(sent === undefined ? {} : { body: JSON.stringify(sent) }) })
  const text = await response.text()
  const body: unknown = text === '' ? null : JSON.parse(text)
  if (!response.ok) {
    const problem = body as { code?: string; detail?: string; title?: string } | null
    throw new ApiError(response.status, problem?.code ?? String(response.status), problem?.detail ?? problem?.title ?? response.statusText)
  }
  return body as T
}

const post = <T>(path: string, body: unknown): Promise<T> => call<T>(path, 'POST', body)

export interface DecisionAnswer {
  readonly type?: string
  readonly status?: string
  readonly refusal?: { code: string; message: string }
}

export const api = {
  me: () => call<Person>('/api/session'),
  signIn: (token: string) => post<Person>('/api/session', { token }),
  signOut: () => call<null>('/api/session', 'DELETE'),
  overview: () => call<Overview>('/api/overview'),
  incident: (id: string) => call<IncidentView>(`/api/incidents/${encodeURIComponent(id)}`),
  series: (asset: string, feature: string, minutes: number) =>
    call<Series>(`/api/assets/${encodeURIComponent(asset)}/series?feature=${encodeURIComponent(feature)}&minutes=${minutes}`),
  decide: (stepId: string, verdict: 'approve' | 'reject', commandHash: string, reason: string) =>
    post<DecisionAnswer>(`/api/steps/${encodeURIComponent(stepId)}/${verdict}`, { commandHash, reason }),
  hold: (scope: string, reason: string) => post<unknown>('/api/holds', { scope, reason }),
  lift: (holdId: string, reason: string) => post<unknown>(`/api/holds/${encodeURIComponent(holdId)}/lift`, { reason }),
  call: (line: string, title: string) => post<unknown>('/api/calls', { line, title }),
}
