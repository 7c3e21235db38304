// What a configuration says, in the three ways it may be written: faults name file, line and field, every field is obeyed, warned about
// or refused, and what is not said comes from the graph.

import assert from 'node:assert/strict'
import test from 'node:test'
import { ModelConfig } from '@andon/schemas/inference'
import fc from 'fast-check'
import { readConfigText } from '../../src/repository/config-text.ts'
import { completeConfig } from '../../src/repository/complete-config.ts'
import type { CompleteConfig } from '../../src/repository/complete-config.ts'
import { declareConfig } from '../../src/repository/model-config.ts'
import type { DeclaredConfig } from '../../src/repository/model-config.ts'
import type { ModelIo } from '../../src/tensors/tensors.ts'

const defaults = { maxBatchRows: 16, instances: 2, maxQueueSize: 100 }
const graph: ModelIo = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [-1, 2] },
    { name: 'z', datatype: 'INT64', shape: [-1] },
  ],
}

const declare = (text: string, file = 'press/config.pbtxt'): DeclaredConfig => declareConfig('press', readConfigText(file, text), defaults)
const complete = (text: string, io = graph): CompleteConfig => completeConfig(declare(text), io, defaults)
const faultOf = (text: string, file?: string): string => {
  try {
    completeConfig(declare(text, file), graph, defaults)
    return 'none'
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'ANDON_INFERENCE_CONFIG_INVALID', String(error))
    return (error as Error).message
  }
}

const full = `# what the press takes
name: "press"
backend: "onnxruntime"
max_batch_size: 8
input [
  { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }
]
output { name: "y" data_type: TYPE_FP32 dims: 2 }
instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 kind: KIND_CPU } ]
dynamic_batching {
  preferred_batch_size: [ 8, 4 ]
  max_queue_delay_microseconds: 500
  preserve_ordering: true
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 1000 allow_timeout_override: true max_queue_size: 7 }
  priority_queue_policy { key: 1 value: { max_queue_size: 0 } }
}
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
parameters { key: "andon_target_p95_ms" value { string_value: "4.5" } }
version_policy: { specific: { versions: 3, versions: 1 } }
response_cache { enable: true }`

test('a configuration means the same as pbtxt, JSON in both cases and YAML', () => {
  const snake = JSON.stringify({
    name: 'press',
    max_batch_size: 8,
    input: [{ name: 'x', data_type: 'TYPE_FP32', dims: ['3'] }],
    parameters: { execution_mode: { string_value: '1' } },
    dynamic_batching: { priority_levels: 2, default_priority_level: 1, priority_queue_policy: { 1: { max_queue_size: 5 } } },
    version_policy: { latest: { num_versions: 2 } },
  })
  const camel = snake.replaceAll(/"[a-z_]+":/g, (key) => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()))
  const pbtxt = `name: 'press' max_batch_size: 8 input { name: "x", data_type: TYPE_FP32; dims: 3 }
    parameters { key: "execution_mode" value { string_value: "1" } }
    dynamic_batching < priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 1 value { max_queue_size: 5 } } >
    version_policy { latest { num_versions: 2 } }`
  const yaml = `
name: press
max_batch_size: 8
input:
  - {name: x, data_type: TYPE_FP32, dims: [3]}
parameters:
  execution_mode: {string_value: 1}
dynamic_batching:
  priority_levels: 2
  default_priority_level: 1
  priority_queue_policy:
    1: {max_queue_size: 5}
version_policy: {latest: {num_versions: 2}}`
  const expected = readConfigText('config.pbtxt', pbtxt).config
  assert.equal(expected.input[0]!.dims[0], 3n)
  // execution_mode is the one name of a parameter here, not of a field.
  const camelAgain = camel.replace('executionMode', 'execution_mode')
  assert.deepEqual(readConfigText('config.json', snake).config, expected)
  assert.deepEqual(readConfigText('config.json', camelAgain).config, expected)
  assert.deepEqual(readConfigText('config.yaml', yaml).config, expected)
})

test('what the doors give as JSON is read back as the same configuration', () => {
  const { config } = complete(full)
  const again = readConfigText('config.json', JSON.stringify(ModelConfig.toJSON(config))).config
  assert.deepEqual(ModelConfig.encode(again).finish(), ModelConfig.encode(config).finish())
})

test('scheduling is what dynamic_batching says, and a queue is never unbounded', () => {
  const { policy } = complete(full)
  const queue = { timeoutAction: 'delay', defaultTimeoutUs: 1000, allowsTimeoutOverride: true, maxQueueSize: 7 }
  assert.deepEqual(policy, {
    maxBatchRows: 8,
    instances: 3,
    isDynamic: true,
    preferredBatchRows: [4, 8],
    maxQueueDelayUs: 500,
    preservesOrdering: true,
    priorityLevels: 3,
    defaultPriority: 2,
    defaultQueue: queue,
    priorityQueues: new Map([[1, { timeoutAction: 'reject', defaultTimeoutUs: 0, allowsTimeoutOverride: false, maxQueueSize: 100 }]]),
  })
  const { warnings, targets, parameters, versionPolicy } = declare(full)
  assert.deepEqual(warnings, [
    "dynamic_batching.priority_queue_policy.1.max_queue_size 0 (unbounded) is replaced by the service's own bound",
  ])
  assert.deepEqual(
    [targets, parameters, versionPolicy],
    [{ p95Ms: 4.5 }, { intra_op_thread_count: '2' }, { kind: 'specific', versions: [3, 1] }],
  )
})

test('faults name file, line, field, what is expected and what was found', () => {
  const faults: [text: string, message: RegExp, file?: string][] = [
    [
      'max_batch_size: 8\nmax_batch: 8',
      /^press\/config\.pbtxt:2: max_batch: expected a field of ModelConfig \(did you mean max_batch_size\?\)/,
    ],
    ['\n\nmax_batch_size: "8"', /^press\/config\.pbtxt:3: max_batch_size: expected an integer from .*, found "8"/],
    ['input {\n name: "x"\n data_type: TYPE_FLOAT\n}', /:3: input\[0\]\.data_type: expected one of TYPE_INVALID, .*, found TYPE_FLOAT/],
    ['name: press', /:1: name: expected a string in quotes, found press/],
    ['name: "a" name: "b"', /name: expected the field once/],
    ['dynamic_batching {\n', /:\d: the configuration: expected well-formed text/],
    [
      'dynamic_batching { }\nsequence_batching { }',
      /:2: sequence_batching: expected only one of dynamic_batching, .* found dynamic_batching as well/,
    ],
    ['max_batch_size: -1', /max_batch_size: expected 0 \(no batch dimension\) or above, found -1/],
    [
      'max_batch_size: 4 dynamic_batching {\n preferred_batch_size: 5 }',
      /:2: dynamic_batching\.preferred_batch_size\[0\]: expected 1 to max_batch_size, 4, found 5/,
    ],
    ['dynamic_batching { priority_levels: 2 }', /default_priority_level: expected 1 to priority_levels, 2, found 0/],
    [
      'dynamic_batching { priority_levels: 1 default_priority_level: 1\npriority_queue_policy { key: 2 value { } } }',
      /:2: dynamic_batching\.priority_queue_policy\.2: expected levels from 1 to 1/,
    ],
    ['input { name: "q" data_type: TYPE_FP32 dims: 3 }', /input: expected the graph's input x as well, found q/],
    ['input { name: "x" data_type: TYPE_FP64 dims: 3 }', /input\[0\]\.data_type: expected the graph's, TYPE_FP32, found TYPE_FP64/],
    [
      'input { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }\noutput { name: "q" data_type: TYPE_FP32 dims: 1 }',
      /:2: output\[0\]\.name: expected an output of the graph: y, z, found q/,
    ],
    ['input { name: "x" data_type: TYPE_FP32 dims: 0 }', /input\[0\]\.dims\[0\]: expected 1 and above, or -1/],
    [
      'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 3 reshape { shape: [ 2, 2 ] } }',
      /reshape\.shape: expected as many elements as dims, 3, found 4/,
    ],
    [
      'parameters { key: "andon_non_finit" value { string_value: "pass" } }',
      /parameters\.andon_non_finit: expected one of andon_non_finite/,
    ],
    [
      'parameters {\n key: "intra_op_thread_count" value { string_value: "two" } }',
      /parameters\.intra_op_thread_count: expected a whole number from 0 to 256, found "two"/,
    ],
    ['parameters { key: "andon_target_p99_ms" value { string_value: "-1" } }', /andon_target_p99_ms: expected milliseconds above 0/],
    ['default_model_filename: "../../etc/passwd"', /default_model_filename: expected the name of a file in the version folder/],
    ['platform: "ensemble"', /platform: expected ensemble_scheduling beside "ensemble"/],
    [
      'max_batch_size: 1\ninput:\n  - name: x\n    dims: many\n',
      /^press\/config\.yaml:4: input\[0\]\.dims\[0\]: expected an integer/,
      'press/config.yaml',
    ],
    ['a: [', /^press\/config\.yaml:\d: the configuration: expected well-formed YAML/, 'press/config.yaml'],
    ['{"a": }', /^press\/config\.json.*: expected well-formed JSON/, 'press/config.json'],
    ['[]', /expected an object with the fields of a model configuration/, 'press/config.json'],
  ]
  for (const [text, message, file] of faults) assert.match(faultOf(text, file), message)
})

test('what is not run here is refused by name, with what to do', () => {
  const refused: Record<string, RegExp> = {
    'sequence_batching { }': /sequences are not run here/,
    'batch_input { kind: BATCH_ELEMENT_COUNT }': /ragged batches are not run here/,
    'batch_output { target_name: "y" }': /ragged batches are not run here/,
    'model_operations { op_library_filename: "a.so" }': /operator libraries are not loaded/,
    'model_transaction_policy { decoupled: true }': /every request has one answer/,
    'model_repository_agents { agents { name: "checksum" } }': /put the files into the folder/,
    'cc_model_filenames { key: "7.5" value: "other.onnx" }': /default_model_filename names the one file/,
    'platform: "tensorrt_plan"': /export the model as ONNX/,
    'backend: "python"': /export the model as ONNX, or name a server that runs it/,
    'input { name: "x" data_type: TYPE_FP32 dims: 3 is_shape_tensor: true }': /TensorRT/,
    'input { name: "x" data_type: TYPE_FP32 dims: 3 allow_ragged_batch: true }': /pad the inputs/,
    'input { name: "x" data_type: TYPE_FP32 dims: 3 optional: true }': /ONNX Runtime needs every input/,
    'instance_group { gpus: [ 0, 1 ] }': /start one service per GPU/,
    'instance_group [ { kind: KIND_CPU }, { kind: KIND_GPU } ]': /one kind of instance/,
    'instance_group { count: 100000 }': /1 to 256/,
    'instance_group { profile: "1" }': /TensorRT plans/,
  }
  for (const [text, message] of Object.entries(refused)) assert.match(faultOf(text), message, text)
})

test('what changes no answer is taken with a warning that names it', () => {
  const unused = `runtime: "x" metric_tags { key: "a" value: "b" } model_metrics { }
    optimization { priority: PRIORITY_MAX cuda { graphs: true } input_pinned_memory { enable: true } output_pinned_memory { enable: true }
      gather_kernel_buffer_threshold: 1 eager_batching: true
      execution_accelerators { cpu_execution_accelerator { name: "openvino" } gpu_execution_accelerator { name: "other" } } }
    instance_group { rate_limiter { priority: 1 } host_policy: "a" passive: true }
    input { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] format: FORMAT_NHWC }
    parameters { key: "from_elsewhere" value { string_value: "1" } }`
  const { warnings } = declare(unused)
  const named = warnings.map((warning) => warning.split(' is not used')[0]!)
  assert.deepEqual(
    named.toSorted((a, b) => (a < b ? -1 : 1)),
    [
      'input[0].format',
      'instance_group[0].host_policy',
      'instance_group[0].passive',
      'instance_group[0].rate_limiter',
      'metric_tags',
      'model_metrics',
      'optimization.cuda',
      'optimization.eager_batching',
      'optimization.execution_accelerators.cpu_execution_accelerator',
      'optimization.execution_accelerators.gpu_execution_accelerator[0]',
      'optimization.gather_kernel_buffer_threshold',
      'optimization.input_pinned_memory',
      'optimization.output_pinned_memory',
      'optimization.priority',
      'parameters.from_elsewhere',
      'runtime',
    ],
  )
  assert.deepEqual(declare(full.replace('max_queue_size: 0', 'max_queue_size: 3')).warnings, [])
})

test('a GPU, a level and an accelerator reach the session under its own names', () => {
  const { parameters, device, instances } = declare(`instance_group { kind: KIND_GPU gpus: [ 1 ] }
    optimization { graph { level: 1 } execution_accelerators { gpu_execution_accelerator { name: "tensorrt" } } }`)
  assert.deepEqual(
    [parameters, device, instances],
    [{ andon_execution_provider: 'tensorrt', andon_gpu: '1', graph_optimization_level: 'extended' }, 'gpu', 1],
  )
})

test('what nobody wrote comes from the graph: batches where every first dimension is open', () => {
  const { config, policy, inputs } = complete('')
  assert.deepEqual([config.maxBatchSize, policy.maxBatchRows, policy.isDynamic, policy.instances], [16, 16, true, 2])
  assert.deepEqual(
    [...config.input, ...config.output].map(({ name, dims }) => [name, dims]),
    [
      ['x', [3n]],
      ['y', [2n]],
      ['z', []],
    ],
  )
  assert.deepEqual(inputs, graph.inputs)
  const closed: ModelIo = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3] }], outputs: graph.outputs }
  assert.deepEqual([complete('', closed).config.maxBatchSize, complete('', closed).policy.isDynamic], [0, false])
  // Dimensions declared in full, and a stated zero, leave the batch dimension to the caller.
  assert.equal(
    complete('input { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }\noutput { name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] }').config
      .maxBatchSize,
    0,
  )
  assert.equal(complete('max_batch_size: 0').config.maxBatchSize, 0)
  assert.equal(complete('max_batch_size: 5').policy.isDynamic, false)
  assert.throws(
    () => complete('max_batch_size: 5', closed),
    /max_batch_size: expected 0, or a graph whose tensors have an open first dimension/,
  )
})

test('outputs may be fewer than the graph gives', () => {
  const { outputs } = complete('max_batch_size: 2 output { name: "y" data_type: TYPE_FP32 dims: 2 }')
  assert.deepEqual(
    outputs.map(({ name }) => name),
    ['y'],
  )
})

test('whatever is written, it is read or refused by name, and never anything else', () => {
  const pieces = fc.constantFrom(
    'name',
    'input',
    'dims',
    'max_batch_size',
    'dynamic_batching',
    'parameters',
    'key',
    'value',
    ':',
    '{',
    '}',
    '[',
    ']',
    '<',
    '>',
    ',',
    ';',
    '"a',
    '"a"',
    "'b'",
    '-',
    '1',
    '-1',
    '0x1f',
    '1e9',
    'TYPE_FP32',
    'true',
    '#c\n',
    '\n',
    '\\',
    '\u0000',
    'ü',
    '99999999999999999999',
    'specific',
    'version_policy',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), fc.constantFrom('c.pbtxt', 'c.json', 'c.yaml'), (parts, file) => {
      try {
        declareConfig('a', readConfigText(file, parts.join(' ')), defaults)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ANDON_INFERENCE_CONFIG_INVALID', String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
