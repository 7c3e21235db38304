// Models for tests and benchmarks, written here and the same bytes every time.

import { writeOnnx } from '../src/learning/onnx-writer.ts'
import type { GraphNode, Initializer } from '../src/learning/onnx-writer.ts'

/** Numbers of a fixed sequence in [-1, 1). */
export const numbers = (count: number, seed: number): Float32Array<ArrayBuffer> => {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  })
}

/** Layers of the reference model of the benchmarks. */
export const REFERENCE = [64, 256, 256, 8] as const

/** Dense layers with ReLU between them, float32: `x` [N, first] → `y` [N, last]. `by` chooses the operators. */
export const mlp = (sizes: readonly number[], by: 'MatMul' | 'Gemm' = 'MatMul'): Buffer => {
  const nodes: GraphNode[] = []
  const initializers: Initializer[] = []
  const last = sizes.length - 2
  for (let i = 0; i <= last; i++) {
    const [from, to] = [sizes[i]!, sizes[i + 1]!]
    const weights = numbers(from * to, i + 1).map((value) => value / Math.sqrt(from))
    initializers.push({ name: `w${i}`, dims: [from, to], data: weights }, { name: `b${i}`, dims: [to], data: numbers(to, 100 + i) })
    const [input, sum] = [i === 0 ? 'x' : `h${i - 1}`, i === last ? 'y' : `s${i}`]
    if (by === 'Gemm') nodes.push({ op: 'Gemm', inputs: [input, `w${i}`, `b${i}`], outputs: [sum] })
    else {
      nodes.push({ op: 'MatMul', inputs: [input, `w${i}`], outputs: [`m${i}`] })
      nodes.push({ op: 'Add', inputs: [`m${i}`, `b${i}`], outputs: [sum] })
    }
    if (i < last) nodes.push({ op: 'Relu', inputs: [sum], outputs: [`h${i}`] })
  }
  return writeOnnx({
    name: `mlp-${sizes.join('-')}`,
    nodes,
    initializers,
    inputs: [{ name: 'x', type: 'float', dims: ['N', sizes[0]!] }],
    outputs: [{ name: 'y', type: 'float', dims: ['N', sizes.at(-1)!] }],
  })
}

/** Gives back what it is given. */
export const identity = (type: 'float' | 'float16' | 'bfloat16' | 'string' | 'int64', columns: number): Buffer =>
  writeOnnx({
    name: 'identity',
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    initializers: [],
    inputs: [{ name: 'x', type, dims: ['N', columns] }],
    outputs: [{ name: 'y', type, dims: ['N', columns] }],
  })

/** The sum over all rows, under the name of a batch: no output of it is anybody's own. */
export const sumOfRows = (columns: number): Buffer =>
  writeOnnx({
    name: 'sum',
    nodes: [{ op: 'ReduceSum', inputs: ['x', 'axes'], outputs: ['y'], attributes: { keepdims: 1 } }],
    initializers: [{ name: 'axes', dims: [1], data: BigInt64Array.of(0n) }],
    inputs: [{ name: 'x', type: 'float', dims: ['N', columns] }],
    outputs: [{ name: 'y', type: 'float', dims: ['M', columns] }],
  })
