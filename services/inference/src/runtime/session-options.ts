// How every ONNX session of the mesh is opened, in the service and in the tests that prove parity, and what a model's configuration
// may say about it.

import type { InferenceSession } from 'onnxruntime-node'

export const sessionOptions: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  // Our graphs are tiny and rows are batched: one thread per session, more sessions instead.
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  // Above `basic` a scalar next to a matrix product is fused into it as a float32 factor: 1e-8 off in a float64 graph (measured, 1.30).
  graphOptimizationLevel: 'basic',
  extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
}

/** The options under the names that Triton's ONNX Runtime backend gives them; throws with the parameter's name, what is expected and what was found. */
export const sessionOptionsOf = (parameters: Readonly<Record<string, string>> = {}): InferenceSession.SessionOptions => {
  const intraOp = wholeNumber(parameters, 'intra_op_thread_count')
  const interOp = wholeNumber(parameters, 'inter_op_thread_count')
  const mode = oneOf(parameters, 'execution_mode', EXECUTION_MODES)
  const level = oneOf(parameters, 'graph_optimization_level', LEVELS)
  const arena = oneOf(parameters, 'enable_mem_arena', SWITCHES)
  const pattern = oneOf(parameters, 'enable_mem_pattern', SWITCHES)
  const denormals = oneOf(parameters, 'session.set_denormal_as_zero', SWITCHES)
  const spinning = oneOf(parameters, 'session.intra_op.allow_spinning', SWITCHES)
  return {
    ...sessionOptions,
    ...(intraOp === undefined ? {} : { intraOpNumThreads: intraOp }),
    ...(interOp === undefined ? {} : { interOpNumThreads: interOp }),
    ...(mode === undefined ? {} : { executionMode: mode }),
    ...(level === undefined ? {} : { graphOptimizationLevel: level }),
    ...(arena === undefined ? {} : { enableCpuMemArena: arena }),
    ...(pattern === undefined ? {} : { enableMemPattern: pattern }),
    // The runtime takes these as text.
    extra: {
      session: {
        intra_op: { allow_spinning: spinning === true ? '1' : '0' },
        inter_op: { allow_spinning: '0' },
        ...(denormals === true ? { set_denormal_as_zero: '1' } : {}),
      },
    },
  }
}

const EXECUTION_MODES = { '0': 'sequential', '1': 'parallel', sequential: 'sequential', parallel: 'parallel' } as const
const LEVELS = { disabled: 'disabled', basic: 'basic', extended: 'extended', layout: 'layout', all: 'all' } as const
const SWITCHES = { '0': false, '1': true, false: false, true: true } as const

const wholeNumber = (parameters: Readonly<Record<string, string>>, name: string): number | undefined => {
  const text = parameters[name]
  if (text === undefined) return undefined
  const value = Number(text)
  // The runtime asks the machine for as many threads as it is told to.
  if (text.trim() === '' || !Number.isInteger(value) || value < 0 || value > 256)
    throw new Error(`parameter ${name}: expected a whole number from 0 to 256, got ${JSON.stringify(text)}`)
  return value
}

const oneOf = <Value>(
  parameters: Readonly<Record<string, string>>,
  name: string,
  values: Readonly<Record<string, Value>>,
): Value | undefined => {
  const text = parameters[name]
  if (text === undefined) return undefined
  if (!Object.hasOwn(values, text))
    throw new Error(`parameter ${name}: expected ${Object.keys(values).join(', ')}, got ${JSON.stringify(text)}`)
  return values[text]
}
