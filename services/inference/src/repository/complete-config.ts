// A model's configuration once its graph is known: what it leaves out is filled in, what contradicts the graph is refused; and how its
// requests are scheduled.

import { ModelConfig, ModelInstanceGroup_Kind, ModelQueuePolicy_TimeoutAction } from '@andon/schemas/inference'
import type { ModelDynamicBatching, ModelEnsembling, ModelInput, ModelOutput, ModelQueuePolicy } from '@andon/schemas/inference'
import type { QueuePolicy, SchedulingPolicy } from '../serving/policy.ts'
import type { ModelIo, TensorSpec } from '../tensors/tensors.ts'
import { dataTypeOf, datatypeNames } from './data-types.ts'
import type { ConfigDefaults, DeclaredConfig, Say } from './model-config.ts'

/** What can be said once the graph is known. */
export interface CompleteConfig {
  /** Defaults and what the graph says filled in. */
  readonly config: ModelConfig
  readonly policy: SchedulingPolicy
  /** As callers see them, in the order of the graph's, batch dimension in front. */
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Where callers and graph differ: shapes the graph takes and gives, by tensor. */
  readonly reshaped: ReadonlyMap<string, readonly number[]>
}

/** The configuration with what the graph says; throws where they contradict each other. */
export const completeConfig = (declared: DeclaredConfig, io: ModelIo, defaults: ConfigDefaults): CompleteConfig => {
  const { text, config } = declared
  const fail: Say = (path, expected, found) => {
    throw text.fault(path, expected, found)
  }
  const maxBatchSize = batchSizeOf(declared, io, defaults)
  const reshaped = new Map<string, readonly number[]>()
  const inputs = io.inputs.map((spec) => {
    const at = config.input.findIndex(({ name }) => name === spec.name)
    if (at < 0 && config.input.length > 0)
      fail(['input'], `the graph's input ${spec.name} as well`, config.input.map(({ name }) => name).join(', '))
    return declaredSpec('input', at, config.input[at], spec, maxBatchSize, reshaped, fail)
  })
  const unknown = config.input.findIndex(({ name }) => !io.inputs.some((spec) => spec.name === name))
  if (unknown >= 0)
    fail(['input', unknown, 'name'], `an input of the graph: ${io.inputs.map(({ name }) => name).join(', ')}`, config.input[unknown]!.name)
  const stranger = config.output.findIndex(({ name }) => !io.outputs.some((spec) => spec.name === name))
  if (stranger >= 0)
    fail(
      ['output', stranger, 'name'],
      `an output of the graph: ${io.outputs.map(({ name }) => name).join(', ')}`,
      config.output[stranger]!.name,
    )
  const outputs = io.outputs.flatMap((spec) => {
    const at = config.output.findIndex(({ name }) => name === spec.name)
    if (at < 0 && config.output.length > 0) return [] // a graph may give more than is served
    return [declaredSpec('output', at, config.output[at], spec, maxBatchSize, reshaped, fail)]
  })
  return { ...completed(declared, maxBatchSize, inputs, outputs, defaults), inputs, outputs, reshaped }
}

/** An ensemble has no graph: its own tensors are declared, and its parts are checked against them. */
export const completeEnsemble = (
  declared: DeclaredConfig,
  defaults: ConfigDefaults,
): CompleteConfig & { readonly steps: ModelEnsembling['step'] } => {
  const { config } = declared
  const specOf = ({ name, dataType, dims }: ModelInput | ModelOutput): TensorSpec => ({
    name,
    datatype: datatypeNames[dataType]!,
    shape: [...(config.maxBatchSize > 0 ? [-1] : []), ...dims.map(Number)],
  })
  const inputs = config.input.map((input) => ({ ...specOf(input), ...(input.optional ? { isOptional: true } : {}) }))
  const outputs = config.output.map(specOf)
  const steps = config.schedulingChoice?.$case === 'ensembleScheduling' ? config.schedulingChoice.value.step : []
  return { ...completed(declared, config.maxBatchSize, inputs, outputs, defaults), inputs, outputs, reshaped: new Map(), steps }
}

/** Stated, or guessed as Triton does: a graph whose every tensor has an open first dimension takes batches. */
export const batchSizeOf = ({ text, config }: DeclaredConfig, io: ModelIo, defaults: ConfigDefaults): number => {
  const closed = [...io.inputs, ...io.outputs].find(({ shape }) => shape[0] !== -1)
  if (text.states(['max_batch_size'])) {
    if (config.maxBatchSize > 0 && (closed !== undefined || io.inputs.length === 0)) {
      const found = closed === undefined ? 'a graph without inputs' : `[${closed.shape.join(', ')}] of ${closed.name}`
      throw text.fault(
        ['max_batch_size'],
        `0, or a graph whose tensors have an open first dimension`,
        `${config.maxBatchSize} beside ${found}`,
      )
    }
    return config.maxBatchSize
  }
  if (closed !== undefined || io.inputs.length === 0) return 0
  // Dimensions that are declared in full leave no room for a batch in front of them.
  const isFull = config.input.some(
    ({ name, dims, reshape }) => (reshape?.shape ?? dims).length === io.inputs.find((spec) => spec.name === name)?.shape.length,
  )
  return isFull ? 0 : defaults.maxBatchRows
}

const declaredSpec = (
  field: 'input' | 'output',
  at: number,
  tensor: ModelInput | ModelOutput | undefined,
  spec: TensorSpec,
  maxBatchSize: number,
  reshaped: Map<string, readonly number[]>,
  fail: Say,
): TensorSpec => {
  if (tensor === undefined) return spec
  const datatype = datatypeNames[tensor.dataType]!
  if (datatype !== spec.datatype)
    fail(
      [field, at, 'data_type'],
      `the graph's, TYPE_${spec.datatype === 'BYTES' ? 'STRING' : spec.datatype}`,
      `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`,
    )
  const graphDims = (tensor.reshape?.shape ?? tensor.dims).map(Number)
  const graphShape = maxBatchSize > 0 ? [-1, ...graphDims] : graphDims
  const fits = graphShape.length === spec.shape.length && graphShape.every((dim, i) => spec.shape[i] === -1 || spec.shape[i] === dim)
  if (!fits) {
    const graph = maxBatchSize > 0 ? spec.shape.slice(1) : spec.shape
    const batch = maxBatchSize > 0 ? ' (after the batch dimension)' : ''
    fail(
      [field, at, tensor.reshape === undefined ? 'dims' : 'reshape'],
      `the graph's, [${graph.join(', ')}]${batch}`,
      `[${graphDims.join(', ')}]`,
    )
  }
  if (tensor.reshape !== undefined) reshaped.set(spec.name, graphShape)
  const shape = [...(maxBatchSize > 0 ? [-1] : []), ...tensor.dims.map(Number)]
  const isOptional = field === 'input' ? (tensor as ModelInput).optional : false
  return { ...spec, shape, ...(isOptional ? { isOptional } : {}) }
}

const completed = (
  { text, config, kind, instances }: DeclaredConfig,
  maxBatchSize: number,
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
  defaults: ConfigDefaults,
): Pick<CompleteConfig, 'config' | 'policy'> => {
  const isGuessed = !text.states(['max_batch_size']) && maxBatchSize > 0
  const scheduling =
    config.schedulingChoice ??
    (isGuessed ? ModelConfig.fromPartial({ schedulingChoice: { $case: 'dynamicBatching', value: {} } }).schedulingChoice : undefined)
  const batching = scheduling?.$case === 'dynamicBatching' ? scheduling.value : undefined
  const dims = (shape: readonly number[]): bigint[] => (maxBatchSize > 0 ? shape.slice(1) : shape).map(BigInt)
  const filled = ({ name, datatype, shape }: TensorSpec) => ({ name, dataType: dataTypeOf(datatype), dims: dims(shape) })
  const partial = ModelConfig.fromPartial({ input: inputs.map(filled), output: outputs.map(filled) })
  return {
    config: {
      ...config,
      platform: kind === 'ensemble' ? 'ensemble' : kind === 'onnxruntime' ? 'onnxruntime_onnx' : config.platform,
      backend: kind === 'ensemble' ? '' : kind === 'onnxruntime' ? 'onnxruntime' : config.backend,
      versionPolicy: config.versionPolicy ?? { policyChoice: { $case: 'latest', value: { numVersions: 1 } } },
      maxBatchSize,
      input: config.input.length > 0 ? config.input : partial.input,
      output: config.output.length > 0 ? config.output : partial.output,
      schedulingChoice: scheduling,
      instanceGroup:
        kind === 'onnxruntime' && config.instanceGroup.length === 0
          ? ModelConfig.fromPartial({ instanceGroup: [{ name: config.name, kind: ModelInstanceGroup_Kind.KIND_AUTO, count: instances }] })
              .instanceGroup
          : config.instanceGroup,
      defaultModelFilename: kind === 'onnxruntime' && config.defaultModelFilename === '' ? 'model.onnx' : config.defaultModelFilename,
    },
    policy: policyOf(batching, maxBatchSize, instances, defaults),
  }
}

const policyOf = (
  batching: ModelDynamicBatching | undefined,
  maxBatchRows: number,
  instances: number,
  defaults: ConfigDefaults,
): SchedulingPolicy => {
  const queueOf = (policy: ModelQueuePolicy | undefined): QueuePolicy => ({
    timeoutAction: policy?.timeoutAction === ModelQueuePolicy_TimeoutAction.DELAY ? 'delay' : 'reject',
    defaultTimeoutUs: Number(policy?.defaultTimeoutMicroseconds ?? 0n),
    allowsTimeoutOverride: policy?.allowTimeoutOverride ?? false,
    maxQueueSize: policy === undefined || policy.maxQueueSize === 0 ? defaults.maxQueueSize : policy.maxQueueSize,
  })
  return {
    maxBatchRows,
    instances,
    isDynamic: batching !== undefined && maxBatchRows > 0,
    preferredBatchRows: (batching?.preferredBatchSize ?? []).toSorted((a, b) => a - b),
    maxQueueDelayUs: Number(batching?.maxQueueDelayMicroseconds ?? 0n),
    preservesOrdering: batching?.preserveOrdering ?? false,
    priorityLevels: Number(batching?.priorityLevels ?? 0n),
    defaultPriority: Number(batching?.defaultPriorityLevel ?? 0n),
    defaultQueue: queueOf(batching?.defaultQueuePolicy),
    priorityQueues: new Map([...(batching?.priorityQueuePolicy ?? [])].map(([level, policy]) => [Number(level), queueOf(policy)])),
  }
}
