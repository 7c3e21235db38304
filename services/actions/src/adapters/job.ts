// Inspection jobs over HTTP: one POST with an Idempotency-Key, so that asking again is asking, not ordering twice.

import { NotSent } from './executor.ts'
import type { Answer, Executor, Order } from './executor.ts'

export interface JobOptions {
  /** Where jobs are created; undefined when the plant file names no place. */
  readonly url: () => string | undefined
}

export const jobExecutor = ({ url }: JobOptions): Executor => ({
  async prepare(order) {
    const target = targetOf(url)
    return { send: (signal) => post(target, order, signal) }
  },

  /** Burns the key where the job system can; elsewhere the same key gives the same job, so a repeat reads back the first. */
  async settle(order, signal) {
    const target = targetOf(url)
    const burned = await burn(target, order, signal)
    if (burned) return burned
    const answer = await post(target, order, signal)
    return { isDone: answer.kind === 'Executed', readback: answer.readback }
  },

  async close() {},
})

const targetOf = (url: () => string | undefined): string => {
  const target = url()
  if (target === undefined) throw new NotSent('The plant file names no place for jobs (notifications.jobs.url)')
  return target
}

/** undefined when the job system knows no burning. */
const burn = async (url: string, order: Order, signal: AbortSignal): Promise<{ isDone: boolean; readback: string } | undefined> => {
  const response = await fetch(`${url}/burn`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ requestId: order.commandRequestId }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(order.definition.maxLatencyMs)]),
  })
  const text = await response.text()
  if (response.status === 404 || response.status === 405) return undefined
  if (!response.ok) throw new Error(`The job system answers ${response.status} to burning`)
  return { isDone: (JSON.parse(text) as { done?: boolean }).done === true, readback: text.slice(0, 2_000) }
}

const post = async (url: string, order: Order, signal: AbortSignal): Promise<Answer> => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': order.commandRequestId },
    body: JSON.stringify({
      title: order.title,
      asset: order.command.target,
      line: order.line,
      incidentId: order.incidentId,
      stepId: order.stepId,
      severity: order.severity,
      requestId: order.commandRequestId,
      notAfterMs: order.notAfterUs / 1000,
      ...(JSON.parse(order.command.params) as object),
    }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(order.definition.maxLatencyMs)]),
    redirect: 'error',
  }).catch((cause: unknown) => {
    if (isRefusedConnection(cause)) throw new NotSent(`Nobody listens at ${url}`, { isFault: true, cause })
    throw cause
  })
  const text = (await response.text()).slice(0, 2_000)
  const readback = JSON.stringify({ status: response.status, location: response.headers.get('location'), body: text })
  if (response.ok) return { kind: 'Executed', readback, title: 'Job accepted' }
  if (response.status === 429 || response.status === 503)
    throw new NotSent(`The job system is busy (${response.status})`, { isFault: true })
  if (response.status < 500) return { kind: 'RejectedByTarget', readback, title: `The job system refuses it (${response.status})` }
  throw new Error(`The job system answers ${response.status}`)
}

/** Nobody accepted the connection, so nothing can have been read. */
export const isRefusedConnection = (error: unknown): boolean => {
  const cause = (error as { cause?: { code?: string; errors?: { code?: string }[] } } | null)?.cause
  const codes = [cause?.code, ...(cause?.errors ?? []).map((one) => one.code), (error as { code?: string } | null)?.code]
  return codes.some((code) => code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EDNS' || code === 'EHOSTUNREACH')
}
