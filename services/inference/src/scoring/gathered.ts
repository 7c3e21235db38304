// Rows of the event path on their way to a model: what is asked for in one go runs together, and no more is on its way at once than
// the queues take, so that a large poll turns nobody away. A full queue is asked again, and so is a model that did not come back, one
// row at a time and not for ever: what it hangs on is left unscored, and the log goes on. Whatever else fails is the row's own.

import { AndonError, codeOf, messageOf } from '@andon/kit'
import { notFinite, unscored } from '../errors.ts'
import type { ActiveModel } from '../models/model-registry.ts'
import type { RowAnswer, RunRows, Scorer, Wants } from './scorer.ts'

export interface GatheredOptions {
  /** Rows on their way at once, all models together. */
  readonly mostRows: number
  /** Rows of one model that are handed on together at most. */
  readonly mostTogether: number
  /** Waits between two tries while a queue is full. */
  readonly waitMs?: (attempt: number) => Promise<void>
}

interface Asked {
  readonly model: ActiveModel
  readonly wants: Wants
  readonly values: Float64Array
  readonly resolve: (answer: RowAnswer) => void
  readonly reject: (error: unknown) => void
}

/** Tries while a queue is full; then the kit tries the whole batch again. */
const MOST_TRIES = 6
/** Runs that the model may hang in with a row, the last of them with nothing else, before the row is left unscored. */
const MOST_HANGS = 2
/** Runs in which the thread or process may be lost, which may be the doing of another model: first of all rows, then of each alone. */
const MOST_LOSSES = 5
const LOSSES_ALONE = 2

const backOff = (attempt: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.min(10 * 2 ** attempt, 200)))

export const gathered = (run: RunRows, options: GatheredOptions): Scorer => {
  const waitMs = options.waitMs ?? backOff
  /** By artefact and what is wanted, oldest first. */
  const waiting = new Map<string, Asked[]>()
  let underWay = 0
  let isDue = false

  const ask = (model: ActiveModel, values: Float64Array, wants: Wants): Promise<RowAnswer> =>
    new Promise((resolve, reject) => {
      const key = `${model.model}\u{1f}${model.version}\u{1f}${wants}`
      const asked = { model, wants, values, resolve, reject }
      const queue = waiting.get(key)
      if (queue === undefined) waiting.set(key, [asked])
      else queue.push(asked)
      handOnSoon()
    })

  /** After whatever else is asked for in this turn. */
  const handOnSoon = (): void => {
    if (isDue) return
    isDue = true
    queueMicrotask(() => {
      isDue = false
      handOn()
    })
  }

  const handOn = (): void => {
    for (const [key, queue] of waiting) {
      while (queue.length > 0) {
        const room = options.mostRows - underWay
        if (room <= 0) return
        const some = queue.splice(0, Math.min(room, options.mostTogether))
        underWay += some.length
        void answer(some).finally(() => {
          underWay -= some.length
          if (waiting.size > 0) handOnSoon()
        })
      }
      waiting.delete(key)
    }
  }

  /** Never rejects: every row is told. */
  const answer = async (asked: readonly Asked[], hangs = 0, losses = 0): Promise<void> => {
    const { model, wants } = asked[0]!
    let answers: readonly RowAnswer[]
    try {
      answers = await patiently(
        model,
        asked.map(({ values }) => values),
        wants,
      )
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ANDON_INFERENCE_RUN_TIMEOUT') {
        if (asked.length > 1) for (const each of asked) await answer([each], 1)
        else if (hangs + 1 < MOST_HANGS) await answer(asked, hangs + 1)
        else leaveOut(asked, error)
        return
      }
      if (code === 'ANDON_INFERENCE_WORKER_LOST') {
        await waitMs(losses)
        if (losses + 1 < MOST_LOSSES) await answer(asked, hangs, losses + 1)
        else if (asked.length > 1) for (const each of asked) await answer([each], 0, MOST_LOSSES - LOSSES_ALONE)
        else leaveOut(asked, error)
        return
      }
      if (code === 'ANDON_INFERENCE_MODEL_SUSPENDED') return leaveOut(asked, error)
      const isOfOneRow = asked.length > 1 && !(error instanceof AndonError && (error.retriable || concernsAll.has(error.code)))
      if (isOfOneRow) await Promise.all(asked.map((each) => answer([each])))
      else for (const { reject } of asked) reject(error)
      return
    }
    asked.forEach(({ resolve }, i) => resolve(answers[i]!))
  }

  const patiently = async (model: ActiveModel, rows: readonly Float64Array[], wants: Wants): Promise<readonly RowAnswer[]> => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await run(model, rows, wants)
      } catch (error) {
        const isFull = error instanceof AndonError && error.code === 'ANDON_INFERENCE_QUEUE_FULL'
        if (!isFull || attempt + 1 >= MOST_TRIES) throw error
        await waitMs(attempt)
      }
    }
  }

  return {
    row: (model, values) => ask(model, values, 'all'),
    scores: async (model, rows) => {
      const answers = await Promise.all(rows.map((values) => ask(model, values, 'score')))
      return Float64Array.from(answers, ({ score }) => {
        if (!Number.isFinite(score)) throw notFinite(score)
        return score
      })
    },
  }
}

const leaveOut = (asked: readonly Asked[], error: unknown): void => {
  const reason = `${codeOf(error)}: ${messageOf(error)}`
  for (const { model, reject } of asked) reject(unscored(model.model, reason, error))
}

/** Errors of the model, whatever the rows are: asking row by row would say the same. */
const concernsAll = new Set(['ANDON_INFERENCE_MODEL_UNLOADABLE', 'ANDON_INFERENCE_MODEL_UNFIT', 'ANDON_INFERENCE_UNSCORED'])
