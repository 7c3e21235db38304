// How scoring asks for numbers: rows of a model version in, what the graph says of each out, wherever it runs. Tensors and the names
// of a graph's outputs are known here and nowhere else on the event path.

import { AndonError } from '@andon/kit'
import type { OutputTensor, TensorBytes } from '../serving/servable.ts'
import type { ModelIo, TensorSpec } from '../tensors/tensors.ts'
import { elementCount } from '../tensors/tensors.ts'
import { modelUnfit } from '../errors.ts'
import { coverageOf, embeddingOutput } from '../models/model-card.ts'
import type { ActiveModel } from '../models/model-registry.ts'

/** Everything the graph gives that a prediction carries, or the score alone. */
export type Wants = 'all' | 'score'

/** What a model says of one row. */
export interface RowAnswer {
  /** NaN where the graph has no such output. */
  readonly score: number
  readonly ratio: number
  /** One per feature; empty where the graph gives none. */
  readonly contributions: Float64Array
  readonly embedding: Packed | undefined
  /** Hours that remain: low, median and high; absent or empty where the graph gives none. */
  readonly remainingHours?: Float64Array
  /** False for a model without a ratio. */
  readonly hasVerdict: boolean
  readonly provider: string
}

/** Little-endian numbers, as a record carries them. */
export interface Packed {
  readonly dtype: 'f32' | 'f64'
  readonly values: Buffer
}

export interface Scorer {
  row(model: ActiveModel, values: Float64Array): Promise<RowAnswer>
  scores(model: ActiveModel, rows: readonly Float64Array[]): Promise<Float64Array>
}

/** Runs rows of one model together; answers in their order, or rejects as a whole with an error that says whether another try can help. */
export type RunRows = (model: ActiveModel, rows: readonly Float64Array[], wants: Wants) => Promise<readonly RowAnswer[]>

/** How rows become tensors of a model and its answer becomes rows. */
export interface RowPlan {
  readonly input: TensorSpec
  /** By what they are for; undefined where the graph has none. */
  readonly score: string | undefined
  readonly ratio: string | undefined
  readonly contributions: string | undefined
  readonly embedding: string | undefined
  readonly remaining: string | undefined
  /** Rows of one run at most. */
  readonly mostRows: number
}

/** Throws ANDON_INFERENCE_MODEL_UNFIT when the graph takes something else than rows of this model's features. */
export const planOf = (model: ActiveModel, { inputs, outputs }: ModelIo, maxBatchRows: number): RowPlan => {
  const [input, ...others] = inputs.filter(({ isOptional }) => isOptional !== true)
  const fail = (found: string): AndonError =>
    modelUnfit(`${model.model}, version ${model.version}`, `one input FP32 or FP64 [-1, ${model.features.length}]`, found)
  if (input === undefined || others.length > 0) throw fail(`${inputs.length} inputs`)
  const width = input.shape.at(-1)
  const isRows = input.shape.length <= 2 && (width === -1 || width === model.features.length)
  if ((input.datatype !== 'FP64' && input.datatype !== 'FP32') || !isRows) throw fail(`${input.datatype} [${input.shape.join(', ')}]`)
  const named = (name: string): string | undefined =>
    outputs.some((spec) => spec.name === name && (spec.datatype === 'FP64' || spec.datatype === 'FP32')) ? name : undefined
  const embedding = named(embeddingOutput(model.card))
  const remaining = named('remaining_hours')
  const plan = { input, score: named('score'), ratio: named('ratio'), contributions: named('contributions'), embedding, remaining }
  const who = `${model.model}, version ${model.version}`
  if (plan.ratio === undefined && embedding === undefined && remaining === undefined)
    throw modelUnfit(who, 'an output ratio, embedding or remaining_hours', outputs.map(({ name }) => name).join(', '))
  if (remaining !== undefined && coverageOf(model.card) === undefined)
    throw modelUnfit(who, 'coverage of the interval of remaining_hours in its card, above 0 and below 1', 'none')
  return { ...plan, mostRows: input.shape.length === 2 && input.shape[0] === -1 ? Math.max(1, maxBatchRows) : 1 }
}

export const outputsWanted = ({ score, ratio, contributions, embedding, remaining }: RowPlan, wants: Wants): string[] =>
  wants === 'all'
    ? [score, ratio, contributions, embedding, remaining].filter((name) => name !== undefined)
    : [score ?? ratio].filter((name) => name !== undefined)

export const tensorOf = ({ input }: RowPlan, rows: readonly Float64Array[]): TensorBytes => {
  const width = rows[0]!.length
  const values = input.datatype === 'FP64' ? new Float64Array(rows.length * width) : new Float32Array(rows.length * width)
  rows.forEach((row, i) => values.set(row, i * width))
  return { shape: input.shape.length === 1 ? [width] : [rows.length, width], bytes: new Uint8Array(values.buffer) }
}

/** The answer's rows. Throws when a tensor does not have as many as were asked for. */
export const readRows = (
  plan: RowPlan,
  count: number,
  outputs: readonly Pick<OutputTensor, 'name' | 'datatype' | 'shape' | 'bytes'>[],
  provider: string,
): RowAnswer[] => {
  const read = (name: string | undefined): Cut | undefined => (name === undefined ? undefined : cutOf(name, count, outputs))
  const [score, ratio, contributions] = [read(plan.score), read(plan.ratio), read(plan.contributions)]
  const [embedding, remaining] = [read(plan.embedding), read(plan.remaining)]
  return Array.from({ length: count }, (_, row) => ({
    score: numbersOf(score, row)[0] ?? Number.NaN,
    ratio: numbersOf(ratio, row)[0] ?? Number.NaN,
    contributions: numbersOf(contributions, row),
    embedding: embedding && { dtype: embedding.dtype, values: Buffer.from(rowOf(embedding, row)) },
    remainingHours: numbersOf(remaining, row),
    hasVerdict: plan.ratio !== undefined,
    provider,
  }))
}

interface Cut {
  readonly dtype: Packed['dtype']
  readonly bytes: Uint8Array
  readonly rowBytes: number
}

/** Undefined for an output that was not asked for. */
const cutOf = (name: string, count: number, outputs: Parameters<typeof readRows>[2]): Cut | undefined => {
  const tensor = outputs.find((each) => each.name === name)
  if (tensor === undefined) return undefined
  const elementBytes = tensor.datatype === 'FP64' ? 8 : 4
  const elements = elementCount(tensor.shape)
  const isSound = tensor.datatype === 'FP64' || tensor.datatype === 'FP32'
  if (!isSound || elements * elementBytes !== tensor.bytes.byteLength || elements % count !== 0 || elements === 0)
    throw modelUnfit('The answer', `${count} rows of numbers in ${name}`, `${tensor.datatype} [${tensor.shape.join(', ')}]`)
  return { dtype: elementBytes === 8 ? 'f64' : 'f32', bytes: tensor.bytes, rowBytes: tensor.bytes.byteLength / count }
}

const rowOf = ({ bytes, rowBytes }: Cut, row: number): Uint8Array => bytes.subarray(row * rowBytes, (row + 1) * rowBytes)

const nothing = new Float64Array()

const numbersOf = (cut: Cut | undefined, row: number): Float64Array => {
  if (cut === undefined) return nothing
  const aligned = new Uint8Array(rowOf(cut, row)).buffer // a copy: a Buffer's slice is none
  return cut.dtype === 'f64' ? new Float64Array(aligned) : Float64Array.from(new Float32Array(aligned))
}
