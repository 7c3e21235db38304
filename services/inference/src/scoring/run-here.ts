// Rows of a model version on its servable in this process, through the same queue and batches as requests at the doors.

import type { Servable } from '../serving/servable.ts'
import type { Models } from '@andon/schemas'
import { outputsWanted, planOf, readRows, tensorOf } from './scorer.ts'
import type { RowAnswer, RowPlan, RunRows } from './scorer.ts'

export type ServableOf = (model: Models) => Promise<Servable>

export const runHere = (servableOf: ServableOf): RunRows => {
  const plans = new WeakMap<Servable, RowPlan>()
  return async (model, rows, wants) => {
    const servable = await servableOf(model)
    let plan = plans.get(servable)
    if (plan === undefined) plans.set(servable, (plan = planOf(model, servable, servable.config.maxBatchSize)))
    const { mostRows } = plan
    const outputs = outputsWanted(plan, wants)
    const chunks = Array.from({ length: Math.ceil(rows.length / mostRows) }, (_, i) => rows.slice(i * mostRows, (i + 1) * mostRows))
    const answers = await Promise.all(
      chunks.map(async (chunk): Promise<RowAnswer[]> => {
        const answer = await servable.run({ inputs: inputsOf(servable, plan, chunk), outputs })
        return readRows(plan, chunk.length, answer.outputs, answer.provider)
      }),
    )
    return answers.flat()
  }
}

const inputsOf = ({ inputs }: Servable, plan: RowPlan, rows: readonly Float64Array[]) =>
  inputs.map((spec) => (spec === plan.input ? tensorOf(plan, rows) : undefined))
