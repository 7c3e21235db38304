// What a model's configuration says by itself, checked: which version, file and backend, how its requests are scheduled, what its tensors
// are. Every field of ModelConfig is obeyed, or taken with a warning that nothing here uses it, or refused by name with what to do.
// `complete-config.ts` adds what the graph says.

import { DataType, ModelInstanceGroup_Kind } from '@andon/schemas/inference'
import type { ModelConfig, ModelDynamicBatching, ModelInput, ModelOutput, ModelQueuePolicy } from '@andon/schemas/inference'
import { messageOf } from '@andon/kit'
import { sessionOptionsOf } from '../runtime/session-options.ts'
import { pathText } from './config-text.ts'
import type { ConfigPath, ConfigText } from './config-text.ts'
import { datatypeNames } from './data-types.ts'

/** What holds where a configuration says nothing. */
export interface ConfigDefaults {
  /** Rows of a batch, where the graph has a batch dimension. */
  readonly maxBatchRows: number
  /** Batches side by side. */
  readonly instances: number
  /** Requests that may wait for a model, in the place of "as many as come". */
  readonly maxQueueSize: number
}

export type VersionPolicy =
  | { readonly kind: 'latest'; readonly count: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'specific'; readonly versions: readonly number[] }

/** p95 and p99 of the time from request to answer that the model has to keep, milliseconds. */
export interface LatencyTargets {
  readonly p95Ms?: number
  readonly p99Ms?: number
}

/** What can be said before the model is opened. */
export interface DeclaredConfig {
  readonly text: ConfigText
  /** As written, with the model's name. */
  readonly config: ModelConfig
  readonly kind: 'onnxruntime' | 'remote' | 'ensemble'
  readonly versionPolicy: VersionPolicy
  readonly filename: string
  readonly instances: number
  readonly device: 'auto' | 'cpu' | 'gpu'
  /** `auto` follows the service's setting. */
  readonly isolation: 'auto' | 'threads' | 'process'
  readonly nonFinite: 'refuse' | 'pass'
  readonly targets: LatencyTargets
  /** Parameters of the backend, session options among them. */
  readonly parameters: Readonly<Record<string, string>>
  /** One sentence each. */
  readonly warnings: readonly string[]
}

export type Say = (path: ConfigPath, expected: string, found: string) => never

/** Throws ANDON_INFERENCE_CONFIG_INVALID for the first fault. */
export const declareConfig = (name: string, text: ConfigText, defaults: ConfigDefaults): DeclaredConfig => {
  const { config } = text
  const fail: Say = (path, expected, found) => {
    throw text.fault(path, expected, found)
  }
  const warnings: string[] = []
  const unused = (path: ConfigPath, why: string): void => {
    if (text.states(path)) warnings.push(`${pathText(path)} is not used: ${why}`)
  }
  if (config.name !== '' && config.name !== name) fail(['name'], `the folder's name, ${name}`, config.name)
  refuse(text, fail)
  warn(config, unused)
  const kind = kindOf(config, fail)
  if (kind === 'ensemble')
    for (const field of ['model_warmup', 'instance_group', 'response_cache', 'default_model_filename'])
      unused([field], 'an ensemble runs as its parts do')
  config.input.forEach(({ optional }, i) => {
    if (optional && kind === 'onnxruntime') fail(['input', i, 'optional'], 'false; ONNX Runtime needs every input of a graph here', 'true')
  })
  const { instances, device } = instanceGroups(config, defaults, fail)
  if (config.maxBatchSize < 0) fail(['max_batch_size'], '0 (no batch dimension) or above', String(config.maxBatchSize))
  checkTensors(config, fail)
  checkScheduling(config, warnings, fail)
  const { parameters, ...own } = readParameters(config, kind, warnings, fail)
  const filename = config.defaultModelFilename === '' ? 'model.onnx' : config.defaultModelFilename
  if (!isPlainName(filename)) fail(['default_model_filename'], 'the name of a file in the version folder', filename)
  return {
    text,
    config: { ...config, name },
    kind,
    versionPolicy: versionPolicyOf(config, fail),
    filename,
    instances,
    device,
    parameters,
    ...own,
    warnings,
  }
}

/** A name that stays in its folder. */
export const isPlainName = (name: string): boolean => name !== '' && name !== '.' && name !== '..' && !/[/\\\0]/.test(name)

const versionPolicyOf = ({ versionPolicy }: ModelConfig, fail: Say): VersionPolicy => {
  const choice = versionPolicy?.policyChoice
  if (choice?.$case === 'all') return { kind: 'all' }
  if (choice?.$case === 'specific') {
    const versions = choice.value.versions.map(Number)
    versions.forEach((version, i) => {
      if (!Number.isSafeInteger(version) || version < 1)
        fail(['version_policy', 'specific', 'versions', i], 'a version of 1 and above', String(version))
    })
    if (versions.length === 0) fail(['version_policy', 'specific', 'versions'], 'at least one version', 'none')
    return { kind: 'specific', versions }
  }
  const count = choice?.value.numVersions ?? 1
  return { kind: 'latest', count: count === 0 ? 1 : count }
}

const kindOf = ({ platform, backend, schedulingChoice }: ModelConfig, fail: Say): DeclaredConfig['kind'] => {
  const isEnsemble = schedulingChoice?.$case === 'ensembleScheduling'
  if (platform === 'ensemble' || isEnsemble) {
    if (platform !== 'ensemble') fail(['platform'], '"ensemble" beside ensemble_scheduling', JSON.stringify(platform))
    if (!isEnsemble) fail(['platform'], 'ensemble_scheduling beside "ensemble"', 'none')
    if (backend !== '') fail(['backend'], 'no backend for an ensemble', backend)
    return 'ensemble'
  }
  if (backend === 'andon_remote') return 'remote'
  if (backend !== '' && backend !== 'onnxruntime')
    fail(['backend'], '"onnxruntime" or "andon_remote"; export the model as ONNX, or name a server that runs it (andon_remote)', backend)
  if (platform !== '' && platform !== 'onnxruntime_onnx')
    fail(['platform'], '"onnxruntime_onnx" or "ensemble"; export the model as ONNX, or name a server that runs it (andon_remote)', platform)
  return 'onnxruntime'
}

/** What would change what the model answers, and is not there: served without it, the answers would be others. */
const refuse = (text: ConfigText, fail: Say): void => {
  const { config } = text
  const refused: readonly (readonly [boolean, ConfigPath, string])[] = [
    [
      config.schedulingChoice?.$case === 'sequenceBatching',
      ['sequence_batching'],
      'dynamic_batching or nothing; sequences are not run here: send the state as a tensor',
    ],
    [config.batchInput.length > 0, ['batch_input', 0], 'no batch_input; ragged batches are not run here: pad the inputs to one shape'],
    [config.batchOutput.length > 0, ['batch_output', 0], 'no batch_output; ragged batches are not run here: pad the inputs to one shape'],
    [
      (config.modelOperations?.opLibraryFilename.length ?? 0) > 0,
      ['model_operations', 'op_library_filename'],
      'none; operator libraries are not loaded: export the graph with standard operators',
    ],
    [
      config.modelTransactionPolicy?.decoupled === true,
      ['model_transaction_policy', 'decoupled'],
      'false; every request has one answer here',
    ],
    [
      (config.modelRepositoryAgents?.agents.length ?? 0) > 0,
      ['model_repository_agents'],
      'none; put the files into the folder as they are to be served',
    ],
    [Object.keys(config.ccModelFilenames).length > 0, ['cc_model_filenames'], 'none; default_model_filename names the one file'],
    [config.instanceGroup.some(({ secondaryDevices }) => secondaryDevices.length > 0), ['instance_group'], 'no secondary_devices'],
    [config.instanceGroup.some(({ profile }) => profile.length > 0), ['instance_group'], 'no profile; those are of TensorRT plans'],
  ]
  for (const [isThere, path, expected] of refused) if (isThere) fail(path, expected, 'it')
  config.input.forEach((input, i) => {
    if (input.isShapeTensor) fail(['input', i, 'is_shape_tensor'], 'false; shape tensors are of TensorRT plans', 'true')
    if (input.allowRaggedBatch)
      fail(['input', i, 'allow_ragged_batch'], 'false; ragged batches are not run here: pad the inputs to one shape', 'true')
    if (input.isNonLinearFormatIo) fail(['input', i, 'is_non_linear_format_io'], 'false; such formats are of TensorRT plans', 'true')
  })
  config.output.forEach((output, i) => {
    if (output.isShapeTensor) fail(['output', i, 'is_shape_tensor'], 'false; shape tensors are of TensorRT plans', 'true')
    if (output.isNonLinearFormatIo) fail(['output', i, 'is_non_linear_format_io'], 'false; such formats are of TensorRT plans', 'true')
  })
}

/** What changes no answer: speed on other hardware, names of other tools. */
const warn = (config: ModelConfig, unused: (path: ConfigPath, why: string) => void): void => {
  unused(['runtime'], 'the runtime is ONNX Runtime as it is installed')
  unused(['metric_tags'], 'metrics have the labels model and version')
  unused(['model_metrics'], 'the histograms have buckets of their own')
  unused(['optimization', 'priority'], 'dynamic_batching has priorities for requests')
  unused(['optimization', 'cuda'], 'ONNX Runtime is not told about CUDA graphs here')
  unused(['optimization', 'execution_accelerators', 'cpu_execution_accelerator'], 'the CPU has one provider here')
  config.optimization?.executionAccelerators?.gpuExecutionAccelerator.forEach(({ name, parameters }, i) => {
    const path = ['optimization', 'execution_accelerators', 'gpu_execution_accelerator', i]
    if (i > 0 || !ACCELERATORS.includes(name)) unused(path, `the first of ${ACCELERATORS.join(', ')} is`)
    else if (Object.keys(parameters).length > 0) unused([...path, 'parameters'], 'ONNX Runtime is told the device alone')
  })
  unused(['optimization', 'input_pinned_memory'], 'tensors are copied through memory of the service')
  unused(['optimization', 'output_pinned_memory'], 'tensors are copied through memory of the service')
  unused(['optimization', 'gather_kernel_buffer_threshold'], 'tensors are copied through memory of the service')
  unused(['optimization', 'eager_batching'], 'a batch is copied when it is started')
  unused(['ensemble_scheduling', 'max_inflight_requests'], 'the queues of the models in it are bounded')
  config.instanceGroup.forEach((_, i) => {
    unused(['instance_group', i, 'rate_limiter'], 'batches run as threads are free')
    unused(['instance_group', i, 'host_policy'], 'where threads run the operating system decides')
    unused(['instance_group', i, 'passive'], 'every instance takes requests')
  })
  config.input.forEach((_, i) => unused(['input', i, 'format'], 'the graph takes the dimensions as they are'))
  if (config.schedulingChoice?.$case === 'ensembleScheduling')
    config.schedulingChoice.value.step.forEach((_, i) =>
      unused(['ensemble_scheduling', 'step', i, 'model_namespace'], 'models have names of their own in one repository'),
    )
}

/** Execution accelerators that are providers here. */
const ACCELERATORS: readonly string[] = ['cuda', 'tensorrt']

const instanceGroups = (config: ModelConfig, defaults: ConfigDefaults, fail: Say): Pick<DeclaredConfig, 'instances' | 'device'> => {
  const kinds = new Set<DeclaredConfig['device']>()
  let instances = 0
  config.instanceGroup.forEach(({ count, kind, gpus }, i) => {
    if (count < 0 || count > MOST_INSTANCES) fail(['instance_group', i, 'count'], `1 to ${MOST_INSTANCES}`, String(count))
    if (gpus.length > 1) fail(['instance_group', i, 'gpus'], 'one GPU; start one service per GPU', gpus.join(', '))
    if (gpus.length > 0 && kind === ModelInstanceGroup_Kind.KIND_CPU)
      fail(['instance_group', i, 'gpus'], 'none with KIND_CPU', gpus.join(', '))
    instances += count === 0 ? 1 : count
    kinds.add(
      kind === ModelInstanceGroup_Kind.KIND_GPU || gpus.length > 0 ? 'gpu' : kind === ModelInstanceGroup_Kind.KIND_CPU ? 'cpu' : 'auto',
    )
  })
  if (kinds.size > 1) fail(['instance_group'], 'one kind of instance; a model runs on the CPU or on the GPU', [...kinds].join(' and '))
  return { instances: instances === 0 ? defaults.instances : instances, device: [...kinds][0] ?? 'auto' }
}

const MOST_INSTANCES = 256

const checkTensors = (config: ModelConfig, fail: Say): void => {
  for (const [field, tensors] of [
    ['input', config.input],
    ['output', config.output],
  ] as const) {
    const names = new Set<string>()
    tensors.forEach((tensor: ModelInput | ModelOutput, i) => {
      if (tensor.name === '') fail([field, i], 'a name', 'none')
      if (names.has(tensor.name)) fail([field, i, 'name'], 'every name once', tensor.name)
      names.add(tensor.name)
      if (tensor.dataType === DataType.TYPE_INVALID || datatypeNames[tensor.dataType] === undefined)
        fail([field, i, 'data_type'], 'TYPE_BOOL, TYPE_FP32 …', tensor.dataType === 0 ? 'none' : String(tensor.dataType))
      if (tensor.dims.length === 0 && config.maxBatchSize === 0)
        fail([field, i, 'dims'], 'at least one dimension; [ 1 ] with a reshape to [ ] is a scalar', 'none')
      checkDims([field, i, 'dims'], tensor.dims, fail)
      if (tensor.reshape === undefined) return
      checkDims([field, i, 'reshape', 'shape'], tensor.reshape.shape, fail)
      const [open, openShape] = [tensor.dims, tensor.reshape.shape].map((dims) => dims.filter((dim) => dim === -1n).length)
      if (open !== openShape) fail([field, i, 'reshape', 'shape'], `as many open dimensions (-1) as dims, ${open}`, String(openShape))
      if (elements(tensor.dims) !== elements(tensor.reshape.shape))
        fail([field, i, 'reshape', 'shape'], `as many elements as dims, ${elements(tensor.dims)}`, String(elements(tensor.reshape.shape)))
    })
  }
  config.output.forEach(({ labelFilename }, i) => {
    if (labelFilename !== '' && !isPlainName(labelFilename))
      fail(['output', i, 'label_filename'], 'the name of a file beside the configuration', labelFilename)
  })
}

const elements = (dims: readonly bigint[]): bigint => dims.reduce((product, dim) => (dim === -1n ? product : product * dim), 1n)

const checkDims = (path: ConfigPath, dims: readonly bigint[], fail: Say): void =>
  dims.forEach((dim, i) => {
    if (dim !== -1n && (dim < 1n || dim > BigInt(Number.MAX_SAFE_INTEGER)))
      fail([...path, i], '1 and above, or -1 for any size', String(dim))
  })

const checkScheduling = (config: ModelConfig, warnings: string[], fail: Say): void => {
  if (config.schedulingChoice?.$case !== 'dynamicBatching') return
  const batching = config.schedulingChoice.value
  const at = (...path: ConfigPath): ConfigPath => ['dynamic_batching', ...path]
  batching.preferredBatchSize.forEach((rows, i) => {
    if (rows < 1 || (config.maxBatchSize > 0 && rows > config.maxBatchSize))
      fail(at('preferred_batch_size', i), `1 to max_batch_size, ${config.maxBatchSize}`, String(rows))
  })
  const levels = count(batching.priorityLevels, at('priority_levels'), fail)
  if (levels > MOST_LEVELS) fail(at('priority_levels'), `at most ${MOST_LEVELS}`, String(levels))
  const first = count(batching.defaultPriorityLevel, at('default_priority_level'), fail)
  if (levels > 0 && (first < 1 || first > levels)) fail(at('default_priority_level'), `1 to priority_levels, ${levels}`, String(first))
  if (levels === 0 && first > 0) fail(at('default_priority_level'), 'none without priority_levels', String(first))
  for (const [path, { maxQueueSize, defaultTimeoutMicroseconds }] of queuePolicies(batching)) {
    if (maxQueueSize === 0) warnings.push(`${pathText(path)}.max_queue_size 0 (unbounded) is replaced by the service's own bound`)
    count(defaultTimeoutMicroseconds, [...path, 'default_timeout_microseconds'], fail)
  }
  for (const level of batching.priorityQueuePolicy.keys())
    if (level < 1n || level > BigInt(levels))
      fail(
        at('priority_queue_policy', String(level)),
        levels === 0 ? 'none without priority_levels' : `levels from 1 to ${levels}`,
        String(level),
      )
  count(batching.maxQueueDelayMicroseconds, at('max_queue_delay_microseconds'), fail)
}

/** Each has a queue of its own. */
const MOST_LEVELS = 1000

const queuePolicies = ({ defaultQueuePolicy, priorityQueuePolicy }: ModelDynamicBatching): [ConfigPath, ModelQueuePolicy][] => [
  ...(defaultQueuePolicy === undefined
    ? []
    : [[['dynamic_batching', 'default_queue_policy'], defaultQueuePolicy] satisfies [ConfigPath, ModelQueuePolicy]]),
  ...[...priorityQueuePolicy].map(([level, policy]): [ConfigPath, ModelQueuePolicy] => [
    ['dynamic_batching', 'priority_queue_policy', String(level)],
    policy,
  ]),
]

/** Half an hour and more of microseconds are exact as numbers, and nothing waits longer than that. */
const count = (value: bigint, path: ConfigPath, fail: Say): number => {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail(path, `at most ${Number.MAX_SAFE_INTEGER}`, String(value))
  return Number(value)
}

const OWN_PARAMETERS = ['andon_non_finite', 'andon_isolation', 'andon_target_p95_ms', 'andon_target_p99_ms'] as const
const SESSION_PARAMETERS: readonly string[] = [
  'intra_op_thread_count',
  'inter_op_thread_count',
  'execution_mode',
  'graph_optimization_level',
  'enable_mem_arena',
  'enable_mem_pattern',
  'session.set_denormal_as_zero',
  'session.intra_op.allow_spinning',
]
/** Where a session runs: providers.ts. */
const PLACE_PARAMETERS: readonly string[] = ['andon_execution_provider', 'andon_gpu']

const readParameters = (
  config: ModelConfig,
  kind: DeclaredConfig['kind'],
  warnings: string[],
  fail: Say,
): Pick<DeclaredConfig, 'parameters' | 'nonFinite' | 'isolation' | 'targets'> => {
  const values = Object.fromEntries(Object.entries(config.parameters).map(([name, { stringValue }]) => [name, stringValue]))
  const parameters: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) {
    if ((OWN_PARAMETERS as readonly string[]).includes(name)) continue
    if (kind === 'remote' && name.startsWith('andon_remote_')) parameters[name] = value
    else if (kind === 'onnxruntime' && PLACE_PARAMETERS.includes(name)) parameters[name] = value
    else if (kind === 'onnxruntime' && SESSION_PARAMETERS.includes(name)) {
      try {
        sessionOptionsOf({ [name]: value })
      } catch (error) {
        fail(['parameters', name], messageOf(error).replace(/^parameter \S+ expected (.*), got .*$/, '$1'), JSON.stringify(value))
      }
      parameters[name] = value
    } else if (name.startsWith('andon_'))
      fail(
        ['parameters', name],
        `one of ${[...OWN_PARAMETERS, ...(kind === 'remote' ? ['andon_remote_…'] : kind === 'ensemble' ? [] : PLACE_PARAMETERS)].join(', ')}`,
        name,
      )
    else warnings.push(`parameters.${name} is not used: no backend here takes it`)
  }
  const accelerator = config.optimization?.executionAccelerators?.gpuExecutionAccelerator[0]?.name
  if (kind === 'onnxruntime' && accelerator !== undefined && ACCELERATORS.includes(accelerator))
    parameters['andon_execution_provider'] ??= accelerator
  const gpu = config.instanceGroup.flatMap(({ gpus }) => gpus)[0]
  if (kind === 'onnxruntime' && gpu !== undefined) parameters['andon_gpu'] ??= String(gpu)
  const level = config.optimization?.graph?.level
  if (level !== undefined) {
    const known = graphLevels[level]
    if (known === undefined)
      fail(['optimization', 'graph', 'level'], '-1 (basic), 0 (the default), 1 (extended) or 2 (disabled)', String(level))
    if (known !== null && parameters['graph_optimization_level'] === undefined) parameters['graph_optimization_level'] = known!
  }
  const choice = <Value extends string>(name: (typeof OWN_PARAMETERS)[number], choices: readonly Value[]): Value | undefined => {
    const value = values[name]
    if (value === undefined || (choices as readonly string[]).includes(value)) return value as Value | undefined
    return fail(['parameters', name], choices.join(' or '), JSON.stringify(value))
  }
  const target = (name: (typeof OWN_PARAMETERS)[number]): number | undefined => {
    const value = values[name]
    if (value !== undefined && !(Number(value) > 0 && Number.isFinite(Number(value))))
      fail(['parameters', name], 'milliseconds above 0', JSON.stringify(value))
    return value === undefined ? undefined : Number(value)
  }
  const [p95Ms, p99Ms] = [target('andon_target_p95_ms'), target('andon_target_p99_ms')]
  return {
    parameters,
    // A graph may take infinities on purpose (masks of attention), and Triton's clients expect what Triton does.
    nonFinite: choice('andon_non_finite', ['refuse', 'pass']) ?? 'pass',
    isolation: choice('andon_isolation', ['threads', 'process']) ?? 'auto',
    targets: { ...(p95Ms === undefined ? {} : { p95Ms }), ...(p99Ms === undefined ? {} : { p99Ms }) },
  }
}

/** As Triton's ONNX Runtime backend reads them; null: the service's own default. */
const graphLevels: Readonly<Record<number, string | null>> = { [-1]: 'basic', 0: null, 1: 'extended', 2: 'disabled' }
