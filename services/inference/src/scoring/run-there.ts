// Rows of a model version on other servers, over one stream to each. Every server has a breaker, which is a gate and nothing more: while
// it is open the server is asked for its health, not for scores. What no server answers is scored by the same artefact here, or is
// said to be unscored; a server whose artefact is another one, or which does not say, is never believed.

import { AndonError, createBreaker, messageOf } from '@andon/kit'
import type { Breaker, Logger, Metrics } from '@andon/kit'
import type { InferenceClient } from '../backends/grpc-client.ts'
import { serverTimeout, unscored, wrongArtefact } from '../errors.ts'
import type { ActiveModel } from '../models/model-registry.ts'
import type { InferAnswer } from '../serving/serving.ts'
import { outputsWanted, planOf, readRows, tensorOf } from './scorer.ts'
import type { RowAnswer, RowPlan, RunRows, Wants } from './scorer.ts'

/** What is asked of a server. */
export type ScoringClient = Pick<InferenceClient, 'target' | 'describe' | 'inferOverStream' | 'isServerReady' | 'close'>

export interface RunThereOptions {
  readonly clients: readonly ScoringClient[]
  /** Longest wait for one answer, ms. */
  readonly timeoutMs: number
  readonly mostRows: number
  /** The same artefact here; undefined: what no server answers is unscored. */
  readonly fallback: RunRows | undefined
  readonly logger: Logger
  readonly metrics: Metrics
  /** Time between two questions to a server whose breaker is open, ms. Default 500. */
  readonly probeEveryMs?: number
}

export interface RunThere {
  readonly run: RunRows
  /** Asks the servers what the model takes, so that its first vector does not wait for it. */
  prepare(model: ActiveModel): void
  close(): Promise<void>
}

/** How long a server is not asked for a model that it has another artefact of, or has not got. */
const WRONG_FOR_MS = 5_000
const UNKNOWN_FOR_MS = 1_000

/** Refusals are values: the server is well, and this model is not to be had from it. */
type Outcome = { readonly rows: readonly RowAnswer[] } | { readonly refusal: AndonError } | { readonly busy: AndonError }

export const runThere = (options: RunThereOptions): RunThere => {
  const { timeoutMs, fallback, logger, metrics } = options
  const counted = metrics.counter('andon_inference_scorer_rows_total', 'Rows of the event path by where they were scored', ['where'])
  const servers = options.clients.map((client) => new Server(client, options))
  let next = 0
  let isClosed = false

  const chunk = async (model: ActiveModel, rows: readonly Float64Array[], wants: Wants): Promise<readonly RowAnswer[]> => {
    const untilMs = performance.now() + 2 * timeoutMs
    let last: unknown
    const absent = new Set<Server>()
    for (let round = 0; ; round++) {
      if (round > 0) await wait(Math.min(50 * 2 ** round, 400))
      const first = next++
      for (let i = 0; i < servers.length && performance.now() < untilMs; i++) {
        const server = servers[(first + i) % servers.length]!
        if (absent.has(server) || !server.mayBeAsked(model)) continue
        try {
          const outcome = await server.score(model, rows, wants)
          if ('rows' in outcome) {
            counted.inc({ where: 'server' }, rows.length)
            return outcome.rows
          }
          last = 'refusal' in outcome ? outcome.refusal : outcome.busy
          // A server may not have read of a new model yet: that is worth waiting for where nothing else can score.
          if ('refusal' in outcome && !(fallback === undefined && isUnknownModel(outcome.refusal))) absent.add(server)
        } catch (error) {
          last = error
        }
      }
      const isWorthWaiting = !isClosed && performance.now() < untilMs && servers.some((each) => !absent.has(each) && each.mayBeAsked(model))
      if (fallback !== undefined || !isWorthWaiting) break
    }
    if (fallback !== undefined) {
      const answers = await fallback(model, rows, wants)
      counted.inc({ where: 'embedded' }, rows.length)
      return answers
    }
    counted.inc({ where: 'nowhere' }, rows.length)
    if (last instanceof AndonError && isOfTheRows(last)) throw last
    const reason = last === undefined ? 'no server answers' : messageOf(last)
    logger.warn({ model: model.model, version: model.version, rows: rows.length, reason }, 'vectors are not scored')
    throw unscored(model.model, reason, last)
  }

  return {
    run: async (model, rows, wants) => {
      const { mostRows } = options
      const chunks = Array.from({ length: Math.ceil(rows.length / mostRows) }, (_, i) => rows.slice(i * mostRows, (i + 1) * mostRows))
      return (await Promise.all(chunks.map((some) => chunk(model, some, wants)))).flat()
    },
    prepare: (model) => servers.forEach((server) => server.prepare(model)),
    close: async () => {
      isClosed = true
      await Promise.all(servers.map((server) => server.close()))
    },
  }
}

class Server {
  readonly #client: ScoringClient
  readonly #options: RunThereOptions
  readonly #breaker: Breaker<[ActiveModel, readonly Float64Array[], Wants], Outcome>
  /** Plans by name, version and artefact. */
  readonly #plans = new Map<string, Promise<RowPlan>>()
  /** Until when a model is not asked for. */
  readonly #refused = new Map<string, number>()
  #isDown = false
  #probe: NodeJS.Timeout | undefined

  constructor(client: ScoringClient, options: RunThereOptions) {
    this.#client = client
    this.#options = options
    const { logger, metrics, timeoutMs } = options
    this.#breaker = createBreaker(`inference ${client.target}`, (signal, ...asked) => this.#ask(signal, ...asked), {
      timeoutMs: 2 * timeoutMs, // the request's own deadline comes first
      resetAfterMs: 500,
      windowMs: 5_000,
      metrics,
      onStateChange: (state, reason) => {
        logger.warn({ server: client.target, state, reason }, 'the breaker of an inference server changed')
        if (state === 'open') this.#goDown()
      },
    })
  }

  mayBeAsked(model: ActiveModel): boolean {
    return !this.#isDown && (this.#refused.get(keyOf(model)) ?? 0) < performance.now()
  }

  /** Rejects when the server failed or could not be reached. */
  score(model: ActiveModel, rows: readonly Float64Array[], wants: Wants): Promise<Outcome> {
    return this.#breaker.fire(model, rows, wants)
  }

  prepare(model: ActiveModel): void {
    this.#planOf(model).catch(() => {}) // whoever scores by it is told
  }

  async close(): Promise<void> {
    clearTimeout(this.#probe)
    this.#isDown = true
    this.#breaker.close()
    await this.#client.close()
  }

  async #ask(signal: AbortSignal, model: ActiveModel, rows: readonly Float64Array[], wants: Wants): Promise<Outcome> {
    const deadlineMs = performance.now() + this.#options.timeoutMs
    try {
      const plan = await inTime(this.#planOf(model), deadlineMs, this.#client.target)
      const input = { name: plan.input.name, datatype: plan.input.datatype, ...tensorOf(plan, rows) }
      const answer = await this.#client.inferOverStream({
        model: model.model,
        version: String(model.version),
        id: '',
        parameters: { andon_digest: model.digest },
        inputs: [input],
        outputs: outputsWanted(plan, wants).map((name) => ({ name, classes: 0 })),
        deadlineMs,
        signal,
      })
      return { rows: this.#believed(model, plan, rows.length, wants, answer) }
    } catch (error) {
      if (!(error instanceof AndonError)) throw error
      if (error.code === 'ANDON_INFERENCE_SERVER_BUSY') return { busy: error }
      if (!refusals.has(error.code)) throw error
      this.#refuse(model, error)
      return { refusal: error }
    }
  }

  /** One question at a time; an answer that comes too late for one vector is there for the next. */
  #planOf(model: ActiveModel): Promise<RowPlan> {
    const key = keyOf(model)
    const known = this.#plans.get(key)
    if (known !== undefined) return known
    const asking = this.#client.describe(model.model, String(model.version)).then((io) => planOf(model, io, this.#options.mostRows))
    this.#plans.set(key, asking)
    asking.catch(() => this.#plans.delete(key))
    return asking
  }

  /** The answer's rows, of this artefact and of nothing else. */
  #believed(model: ActiveModel, plan: RowPlan, count: number, wants: Wants, { parameters, outputs }: InferAnswer): RowAnswer[] {
    const digest = parameters['andon_digest']
    const where = `${this.#client.target}, model ${model.model} version ${model.version}`
    if (digest !== model.digest) throw wrongArtefact(where, model.digest, typeof digest === 'string' ? digest : 'an answer that names none')
    for (const name of outputsWanted(plan, wants))
      if (!outputs.some((output) => output.name === name)) throw wrongArtefact(where, `an output ${name}`, 'none')
    const provider = parameters['andon_provider']
    return readRows(plan, count, outputs, typeof provider === 'string' ? provider : 'remote')
  }

  #refuse(model: ActiveModel, error: AndonError): void {
    this.#plans.delete(keyOf(model)) // whatever is there next time may take something else
    if (isOfTheRows(error)) return
    const isUnknown = isUnknownModel(error)
    if (isUnknown && this.#options.fallback === undefined) return
    this.#refused.set(keyOf(model), performance.now() + (isUnknown ? UNKNOWN_FOR_MS : WRONG_FOR_MS))
    this.#options.logger.error(
      { err: error, server: this.#client.target, model: model.model },
      'an inference server is not asked for this model',
    )
  }

  /** Asked for its health until it is well again: no vector waits for a server that hangs. */
  #goDown(): void {
    if (this.#isDown) return
    this.#isDown = true
    const ask = async (): Promise<void> => {
      if (await this.#client.isServerReady()) this.#isDown = false
      else this.#probe = setTimeout(() => void ask(), this.#options.probeEveryMs ?? 500) // isServerReady never rejects
    }
    this.#probe = setTimeout(() => void ask(), this.#options.probeEveryMs ?? 500)
  }
}

const refusals = new Set([
  'ANDON_INFERENCE_SERVER_REFUSED',
  'ANDON_INFERENCE_SERVER_ANSWER_WRONG',
  'ANDON_INFERENCE_WRONG_ARTEFACT',
  'ANDON_INFERENCE_MODEL_UNFIT',
])

/** By its words: a stream's answers carry no more. Ours, and Triton's. */
const isUnknownModel = ({ code, message }: AndonError): boolean =>
  code === 'ANDON_INFERENCE_SERVER_REFUSED' && /NOT_FOUND|ANDON_INFERENCE_MODEL_UNKNOWN|unknown model|not found/i.test(message)

const isWrongArtefact = ({ code, message }: AndonError): boolean =>
  code === 'ANDON_INFERENCE_SERVER_REFUSED' && message.includes('ANDON_INFERENCE_WRONG_ARTEFACT')

const isOfTheRows = (error: AndonError): boolean =>
  error.code === 'ANDON_INFERENCE_SERVER_REFUSED' && !isUnknownModel(error) && !isWrongArtefact(error)

const keyOf = ({ model, version, digest }: ActiveModel): string => `${model}\u{1f}${version}\u{1f}${digest}`

const inTime = <T>(answer: Promise<T>, deadlineMs: number, target: string): Promise<T> => {
  const waitMs = Math.max(0, deadlineMs - performance.now())
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(serverTimeout(target, waitMs)), waitMs)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
