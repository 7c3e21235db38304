// actions → integrators. Every endpoint of the plant file has its own group and position, so a dead one holds up nobody else.
// At least once, in order per control group, `webhook-id` = the fact's id; void facts are left out.

import { emptyState, evolve } from '@andon/decisions'
import type { State, Verdict } from '@andon/decisions'
import { AndonError, decodeInput } from '@andon/kit'
import type { Codec, Log, LogRecord, Logger, Metrics, Part, Run } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { Plant } from '@andon/schemas'
import { ACTIONS, entryOf } from './actions-log.ts'
import type { ActionsLog, TracedEntry } from './actions-log.ts'
import type { WebhookSender } from './adapters/webhook.ts'
import { webhookFilter } from './webhook-filter.ts'

type Endpoint = Plant['notifications']['webhooks'][number]

export interface WebhooksOptions {
  readonly log: Log
  readonly actionsLog: ActionsLog
  readonly codec: Codec
  readonly sender: WebhookSender
  readonly secretOf: (name: string) => string | undefined
  readonly timeoutMs: number
  readonly maxAgeMs: number
  readonly nowMs: () => number
  readonly logger: Logger
  readonly metrics: Metrics
}

export interface WebhooksPart extends Part {
  /** Brings the running deliveries to the plant file's list. */
  set(endpoints: readonly Endpoint[]): Promise<void>
}

interface Delivering {
  readonly endpoint: Endpoint
  readonly run: Run
}

export const webhooksPart = (options: WebhooksOptions): WebhooksPart => {
  const running = new Map<string, Delivering>()
  let isStopped = false
  let last: Promise<void> = Promise.resolve()

  const bringTo = async (endpoints: readonly Endpoint[]): Promise<void> => {
    if (isStopped) return
    for (const [id, { endpoint, run }] of running) {
      const wanted = endpoints.find((one) => one.id === id)
      if (wanted && JSON.stringify(wanted) === JSON.stringify(endpoint)) continue
      running.delete(id)
      await run.stop()
    }
    for (const endpoint of endpoints) {
      if (running.has(endpoint.id)) continue
      const run = await deliver(endpoint, options)
      run.ended.catch((error: unknown) =>
        options.logger.error({ err: error, endpoint: endpoint.id }, 'deliveries to this endpoint have ended'),
      )
      running.set(endpoint.id, { endpoint, run })
    }
  }

  return {
    name: 'webhooks',
    async start() {},
    set(endpoints) {
      last = last
        .then(() => bringTo(endpoints))
        .catch((error: unknown) => options.logger.error({ err: error }, 'webhook deliveries could not be set up'))
      return last
    },
    async stop() {
      isStopped = true
      await last
      await Promise.all([...running.values()].map(({ run }) => run.stop()))
    },
  }
}

/** Where one partition's delivery stands. */
interface Lane {
  readonly state: State
  /** Offset below which everything was delivered or is not wanted. */
  doneTo: number
  /** What folding the newest record gave: a record that is tried again was folded before. */
  newest: { readonly offset: number; readonly verdict: Verdict }
}

const deliver = (endpoint: Endpoint, options: WebhooksOptions): Promise<Run> => {
  const lanes = new Map<number, Lane>()
  const isFiltered = webhookFilter(endpoint.filter)
  const outcomes = options.metrics.counter('andon_actions_webhook_deliveries_total', 'Attempts to deliver an event', [
    'endpoint',
    'outcome',
  ])

  /** Folding needs every record from the start; what lies below the position was delivered already. */
  const open = async (partition: number, committed: number | undefined): Promise<number> => {
    const state = emptyState()
    const from = committed ?? 0
    if (from > 0) await options.actionsLog.read(partition, 0, (entry) => void (entry.offset < from && foldOne(state, entry)))
    lanes.set(partition, { state, doneTo: from, newest: { offset: -1, verdict: 'repeat' } })
    return from
  }

  const handle = async (lane: Lane, stored: LogRecord, signal: AbortSignal): Promise<void> => {
    const entry = await decodeEntry(options.codec, stored)
    if (!entry) return
    if (lane.newest.offset !== entry.offset) lane.newest = { offset: entry.offset, verdict: foldOne(lane.state, entry) }
    if (
      lane.newest.verdict !== 'counted' ||
      !isWanted(entry.record, endpoint) ||
      !isFiltered(entry.record) ||
      isTooOld(entry.record, options)
    )
      return
    const result = await options.sender.post({
      url: endpoint.url,
      secret: options.secretOf(endpoint.secretEnv),
      event: { id: entry.record.id, type: entry.record.type, timestampMs: entry.record.atUs / 1000, data: entry.record },
      timeoutMs: options.timeoutMs,
    })
    outcomes.inc({ endpoint: endpoint.id, outcome: result.isDelivered ? 'delivered' : result.isGone ? 'gone' : 'failed' })
    if (result.isDelivered || result.isGone) return
    options.logger.warn({ endpoint: endpoint.id, id: entry.record.id, why: result.detail }, 'webhook not delivered, trying again')
    if (result.retryAfterMs !== undefined) await pause(result.retryAfterMs, signal)
    throw new AndonError('ANDON_ACTIONS_WEBHOOK_FAILED', `Endpoint ${endpoint.id} did not take ${entry.record.id}: ${result.detail}`, {
      retriable: true,
    })
  }

  return options.log.run({
    group: `actions.webhook.${endpoint.id}`,
    topics: [ACTIONS],
    onAssigned: (_topic, partition, committed) => open(partition, committed),
    onRevoked: (_topic, partition) => void lanes.delete(partition),
    onBatch: async (batch, { signal }) => {
      const lane = lanes.get(batch.partition)
      if (!lane) return undefined
      for (const stored of batch.records) {
        if (stored.offset < lane.doneTo) continue
        if (signal.aborted) return stored.offset
        await handle(lane, stored, signal)
        lane.doneTo = stored.offset + 1
      }
      return undefined
    },
  })
}

/** A record that cannot be folded counts for nobody; the owner of its partition raises the alarm. */
const foldOne = (state: State, entry: TracedEntry): Verdict => {
  try {
    return evolve(state, entry)
  } catch {
    return 'dead'
  }
}

const decodeEntry = async (codec: Codec, stored: LogRecord) => {
  try {
    return entryOf(await decodeInput<Actions>(codec, stored))
  } catch (error) {
    if (error instanceof AndonError && error.retriable) throw error
    return undefined // reported by the board, which reads the same records
  }
}

const isWanted = (record: Actions, endpoint: Endpoint): boolean =>
  record.epoch !== null && !(record.finding?.historical ?? false) && (endpoint.types.length === 0 || endpoint.types.includes(record.type))

const isTooOld = (record: Actions, { nowMs, maxAgeMs }: WebhooksOptions): boolean => nowMs() - record.atUs / 1000 > maxAgeMs

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(ms, 60_000))
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
