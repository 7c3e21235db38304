// Models one after another as one model: `ensemble_scheduling`. Steps run as soon as their inputs are there, beside each other where they
// can; the first that fails, or a caller that gives up, ends them all. Parts are looked up for every request, so a part that is loaded
// anew is used at once; what does not fit any more is an error and never a guess.

import { invalidTensor, modelNotReady, runFailed } from '../errors.ts'
import type { ConfigText } from '../repository/config-text.ts'
import type { CompleteConfig } from '../repository/complete-config.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import type { OutputTensor, RunRequest, Servable, TensorBytes } from './servable.ts'
import type { Statistics } from './statistics.ts'

/** The servable of a step's model; throws when it cannot be scored. Empty version: the highest that is ready. */
export type ResolvePart = (model: string, version: string) => Servable

export interface EnsembleOptions {
  readonly name: string
  readonly version: number
  readonly digest: string
  readonly text: ConfigText
  readonly complete: CompleteConfig & { readonly steps: readonly EnsembleStep[] }
  readonly resolve: ResolvePart
  readonly statistics: Statistics
}

export interface EnsembleStep {
  readonly modelName: string
  readonly modelVersion: bigint
  /** Input of the model → tensor of the ensemble. */
  readonly inputMap: Readonly<Record<string, string>>
  /** Output of the model → tensor of the ensemble. */
  readonly outputMap: Readonly<Record<string, string>>
}

/** Throws ANDON_INFERENCE_CONFIG_INVALID where steps do not fit together; so does resolving a part. */
export const ensembleServable = (options: EnsembleOptions): Servable => {
  const { name, version, digest, complete, statistics } = options
  const { config, inputs, outputs } = complete
  let plan = planOf(options)
  let isClosed = false
  let inFlight = 0
  let onIdle: (() => void) | undefined
  const run = async (request: RunRequest): ReturnType<Servable['run']> => {
    if (plan.some(({ part, step }) => part !== resolveStep(options, step))) plan = planOf(options) // a part was loaded anew
    return runSteps(options, plan, request)
  }
  return {
    name,
    version,
    digest,
    config,
    inputs,
    outputs,
    provider: 'ensemble',
    async run(request) {
      const startedMs = performance.now()
      const sinceUs = (): number => (performance.now() - startedMs) * 1000
      if (isClosed) throw modelNotReady(name, String(version), 'it is being unloaded')
      inFlight++
      try {
        const answer = await run(request)
        const rows = config.maxBatchSize > 0 ? (request.inputs.find((input) => input !== undefined)?.shape[0] ?? 1) : 1
        // Where the time went its parts say.
        const batch = { inputUs: 0, runUs: 0, outputUs: 0 }
        statistics.execution({ rows, ...batch })
        statistics.success({ rows, totalUs: sinceUs(), queueUs: 0, batch })
        return answer
      } catch (error) {
        statistics.failure({ totalUs: sinceUs(), reason: request.signal?.aborted === true ? 'CANCELED' : 'BACKEND' })
        throw error
      } finally {
        inFlight--
        if (inFlight === 0) onIdle?.()
      }
    },
    statistics: () => statistics.read(),
    failures: () => statistics.failures(),
    async close() {
      isClosed = true
      if (inFlight > 0) await new Promise<void>((resolve) => (onIdle = resolve))
    },
  }
}

interface PlannedStep {
  readonly step: EnsembleStep
  readonly part: Servable
  readonly index: number
}

const resolveStep = ({ resolve }: EnsembleOptions, { modelName, modelVersion }: EnsembleStep): Servable =>
  resolve(modelName, modelVersion > 0n ? String(modelVersion) : '')

/** The steps with their parts, in an order in which every input is there before it is needed. */
const planOf = (options: EnsembleOptions): readonly PlannedStep[] => {
  const { text, complete } = options
  const { config, inputs, outputs, steps } = complete
  const at = (...path: (string | number)[]) => ['ensemble_scheduling', 'step', ...path]
  if (steps.length === 0) throw text.fault(['ensemble_scheduling'], 'at least one step', 'none')
  const planned = steps.map((step, index): PlannedStep => {
    if (step.modelName === '') throw text.fault(at(index, 'model_name'), 'a model', 'none')
    if (step.modelName === options.name) throw text.fault(at(index, 'model_name'), 'another model', 'the ensemble itself')
    return { step, index, part: resolveStep(options, step) }
  })

  /** What each tensor of the ensemble is, and who makes it; -1: the caller. */
  const tensors = new Map<string, { spec: TensorSpec; maker: number }>(inputs.map((spec) => [spec.name, { spec, maker: -1 }]))
  for (const { step, part, index } of planned) {
    if (part.config.maxBatchSize < config.maxBatchSize)
      throw text.fault(['max_batch_size'], `at most what ${part.name} takes, ${part.config.maxBatchSize}`, String(config.maxBatchSize))
    for (const [output, tensor] of Object.entries(step.outputMap)) {
      const spec = part.outputs.find(({ name }) => name === output)
      if (spec === undefined) throw text.fault(at(index, 'output_map', output), `an output of ${part.name}: ${names(part.outputs)}`, output)
      if (tensors.has(tensor)) throw text.fault(at(index, 'output_map', output), 'every tensor made once', `${tensor} a second time`)
      tensors.set(tensor, { spec, maker: index })
    }
  }
  const needs = planned.map(() => new Set<number>())
  for (const { step, part, index } of planned) {
    for (const [input, tensor] of Object.entries(step.inputMap)) {
      const spec = part.inputs.find(({ name }) => name === input)
      if (spec === undefined) throw text.fault(at(index, 'input_map', input), `an input of ${part.name}: ${names(part.inputs)}`, input)
      const from = tensors.get(tensor)
      if (from === undefined)
        throw text.fault(at(index, 'input_map', input), `a tensor that something makes: ${[...tensors.keys()].join(', ')}`, tensor)
      if (!fits(from.spec, spec))
        throw text.fault(at(index, 'input_map', input), `${tensor} as ${part.name} takes it, ${specText(spec)}`, specText(from.spec))
      if (from.maker >= 0) needs[index]!.add(from.maker)
    }
    const forgotten = part.inputs.find(({ name, isOptional }) => isOptional !== true && step.inputMap[name] === undefined)
    if (forgotten !== undefined) throw text.fault(at(index, 'input_map'), `the input ${forgotten.name} of ${part.name} as well`, 'none')
  }
  outputs.forEach((spec, i) => {
    const from = tensors.get(spec.name)
    if (from === undefined)
      throw text.fault(['output', i, 'name'], `a tensor that a step makes: ${[...tensors.keys()].join(', ')}`, spec.name)
    if (!fits(from.spec, spec)) throw text.fault(['output', i], `${spec.name} as it is made, ${specText(from.spec)}`, specText(spec))
  })

  const order: PlannedStep[] = []
  const rest = new Set(planned)
  while (rest.size > 0) {
    const ready = [...rest].filter(({ index }) => [...needs[index]!].every((need) => order.some((done) => done.index === need)))
    if (ready.length === 0)
      throw text.fault(
        ['ensemble_scheduling'],
        'steps that do not wait for each other',
        `a cycle: ${[...rest].map(({ step }) => step.modelName).join(', ')}`,
      )
    for (const step of ready) {
      order.push(step)
      rest.delete(step)
    }
  }
  return order
}

const names = (specs: readonly TensorSpec[]): string => specs.map(({ name }) => name).join(', ')
const specText = ({ datatype, shape }: TensorSpec): string => `${datatype} [${shape.join(', ')}]`
const fits = (from: TensorSpec, to: TensorSpec): boolean =>
  from.datatype === to.datatype &&
  from.shape.length === to.shape.length &&
  from.shape.every((dim, i) => dim === -1 || to.shape[i] === -1 || dim === to.shape[i])

const runSteps = async (options: EnsembleOptions, plan: readonly PlannedStep[], request: RunRequest): ReturnType<Servable['run']> => {
  const { inputs, outputs } = options.complete
  const abort = new AbortController()
  const signal = request.signal === undefined ? abort.signal : AbortSignal.any([abort.signal, request.signal])
  const tensors = new Map<string, Promise<TensorBytes | undefined>>(inputs.map(({ name }, i) => [name, Promise.resolve(request.inputs[i])]))
  const providers = new Set<string>()
  const { priority, timeoutUs, deadlineMs } = request
  const runs = plan.map(({ step }) => {
    const wanted = Object.keys(step.outputMap)
    const given = Object.entries(step.inputMap).map(async ([input, tensor]) => [input, await tensors.get(tensor)] as const)
    const running = Promise.all(given).then(async (entries) => {
      const part = resolveStep(options, step) // as it is now: the one that was planned with may have been replaced meanwhile
      const answer = await part.run({
        inputs: inputsOf(part, step, new Map(entries)),
        outputs: wanted,
        signal,
        ...(priority === undefined ? {} : { priority }),
        ...(timeoutUs === undefined ? {} : { timeoutUs }),
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      })
      providers.add(answer.provider)
      return answer.outputs
    })
    running.catch(() => abort.abort())
    for (const output of wanted) {
      const made = running.then((all) => all.find(({ name }) => name === output))
      made.catch(() => {}) // the run's own rejection is the one that counts
      tensors.set(step.outputMap[output]!, made)
    }
    return running
  })
  await firstFailure(runs)
  const made = await Promise.all(
    request.outputs.map(async (name): Promise<OutputTensor> => {
      const spec = outputs.find((output) => output.name === name)!
      const { shape, bytes } = (await tensors.get(name))!
      return { name, datatype: spec.datatype, shape, bytes }
    }),
  )
  return { outputs: made, provider: [...providers].toSorted().join('+') }
}

/** In the order of the part's inputs. A dimension that both sides left open may still not fit what comes. */
const inputsOf = (part: Servable, step: EnsembleStep, given: ReadonlyMap<string, TensorBytes | undefined>): RunRequest['inputs'] =>
  part.inputs.map(({ name, shape, isOptional }) => {
    const tensor = given.get(name)
    if (tensor === undefined) {
      if (isOptional === true) return undefined
      throw invalidTensor(`input ${step.inputMap[name] ?? name}: expected a tensor, which ${part.name} needs, got none`)
    }
    const isRight = tensor.shape.length === shape.length && tensor.shape.every((dim, i) => shape[i] === -1 || shape[i] === dim)
    if (!isRight) throw runFailed(part.name, `input ${name}: expected shape [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`)
    return tensor
  })

/** All have ended when it settles; rejects with what went wrong first, not with what was cancelled because of it. */
const firstFailure = async (runs: readonly Promise<unknown>[]): Promise<void> => {
  let failed: { error: unknown } | undefined
  await Promise.all(
    runs.map((run) =>
      run.catch((error: unknown) => {
        failed ??= { error }
      }),
    ),
  )
  if (failed !== undefined) throw failed.error
}
