// One ONNX session, as a worker thread and an isolated process hold it: opened from bytes, run on typed buffers, released. Running
// and opening block the thread they are called in, so neither happens where requests are answered.

import './no-telemetry.ts'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { packBytes, unpackBytes } from '../tensors/bytes.ts'
import { datatypeOf, elementCount, onnxType, viewOf } from '../tensors/tensors.ts'
import type { ModelIo, NumericDatatype, TensorSpec } from '../tensors/tensors.ts'
import { widenHalves } from './onnx-graph.ts'
import type { WidenedGraph } from './onnx-graph.ts'
import { executionProvider } from './providers.ts'
import type { ProviderName } from './providers.ts'
import { sessionOptionsOf } from './session-options.ts'

export interface SessionModel {
  readonly bytes: Uint8Array
  /** Files the model refers to (external data), by the path it uses. */
  readonly externalData?: ReadonlyMap<string, Uint8Array>
  /** Backend parameters of the configuration (intra_op_thread_count, execution_mode, session options). */
  readonly parameters?: Readonly<Record<string, string>>
  /** One that a probe has seen working; cpu by default. What it cannot run, it leaves to the CPU. */
  readonly provider?: ProviderName
  /** Which of several GPUs. */
  readonly deviceId?: number
}

/** A tensor in the graph's own types, on its way in or out; the buffer may be longer than the tensor. */
export interface SessionTensor {
  readonly name: string
  /** FP16 and BF16 are FP32 here; BYTES are the protocol's length-prefixed elements. */
  readonly datatype: GraphDatatype
  readonly shape: readonly number[]
  readonly buffer: ArrayBuffer
  /** Where it starts, a multiple of the element's size; 0 by default. */
  readonly byteOffset?: number
  /** BYTES: how long the tensor is; up to the end of the buffer by default. */
  readonly byteLength?: number
}

export type GraphDatatype = NumericDatatype | 'BYTES'

/** A tensor that the session has written: bytes that belong to it until it is collected, so whoever keeps them copies them. */
export interface SessionOutput {
  readonly name: string
  readonly datatype: GraphDatatype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export interface ModelSession {
  readonly io: ModelIo
  /** CPUExecutionProvider … */
  readonly provider: string
  /** In any order; a failure is the runtime's, in its words. */
  run(feeds: readonly SessionTensor[], outputs: readonly string[]): Promise<SessionRun>
  release(): Promise<void>
}

export interface SessionRun {
  readonly outputs: readonly SessionOutput[]
  readonly runUs: number
}

/** Rejects with the reason when the bytes are no model that can be run here. */
export const openSession = async (model: SessionModel): Promise<ModelSession> => {
  const { bytes, inputs, outputs } = widenHalves(model.bytes)
  const provider = model.provider ?? 'cpu'
  const session = await InferenceSession.create(bytes, {
    ...sessionOptionsOf(model.parameters),
    executionProviders: [provider === 'cuda' || provider === 'tensorrt' ? { name: provider, deviceId: model.deviceId ?? 0 } : provider],
    ...(model.externalData === undefined ? {} : { externalData: [...model.externalData].map(([path, data]) => ({ path, data })) }),
  })
  try {
    return sessionOver(session, executionProvider[provider], inputs, outputs)
  } catch (error) {
    await session.release()
    throw error
  }
}

const sessionOver = (session: InferenceSession, provider: string, inputs: Wires, outputs: Wires): ModelSession => ({
  io: { inputs: specs(session.inputMetadata, inputs), outputs: specs(session.outputMetadata, outputs) },
  provider,
  async run(feeds, wanted) {
    const tensors = Object.fromEntries(feeds.map((feed) => [inputs.get(feed.name)?.wire ?? feed.name, toTensor(feed)]))
    const wires = wanted.map((name) => outputs.get(name)?.wire ?? name)
    const startedMs = performance.now()
    const results = await session.run(tensors, wires)
    const runUs = (performance.now() - startedMs) * 1000
    return { outputs: wanted.map((name, i) => toOutput(name, results[wires[i]!]!)), runUs }
  },
  release: () => session.release(),
})

type Wires = WidenedGraph['inputs']

/** Under the names and types that callers use. */
const specs = (metadata: readonly InferenceSession.ValueMetadata[], wires: Wires): TensorSpec[] => {
  const names = new Map([...wires].map(([name, { wire }]) => [wire, name]))
  return metadata.map((value) => {
    const datatype = value.isTensor ? graphDatatypeOf(value.type) : undefined
    if (!value.isTensor || datatype === undefined)
      throw new Error(`${value.name} has type ${value.isTensor ? value.type : 'no tensor'}, which cannot be scored here`)
    const name = names.get(value.name) ?? value.name
    const half = wires.get(name)
    return {
      name,
      datatype: half?.datatype ?? datatype,
      shape: value.shape.map((dimension) => (typeof dimension === 'number' && dimension >= 0 ? dimension : -1)),
      ...(half === undefined ? {} : { graphDatatype: 'FP32' as const }),
    }
  })
}

const graphDatatypeOf = (onnx: string): GraphDatatype | undefined => (onnx === 'string' ? 'BYTES' : datatypeOf(onnx))

const toTensor = ({ name, datatype, shape, buffer, byteOffset = 0, byteLength }: SessionTensor): Tensor => {
  const count = elementCount(shape)
  if (datatype === 'BYTES') return new Tensor('string', decodeStrings(name, new Uint8Array(buffer, byteOffset, byteLength)), shape)
  return new Tensor(onnxType(datatype), viewOf(datatype, buffer, count, byteOffset) as Float64Array, shape)
}

const toOutput = (name: string, tensor: Tensor): SessionOutput => {
  const datatype = graphDatatypeOf(tensor.type)!
  if (datatype === 'BYTES')
    return { name, datatype, shape: tensor.dims, bytes: packBytes((tensor.data as string[]).map((text) => Buffer.from(text))) }
  const { buffer, byteOffset, byteLength } = tensor.data as Float64Array
  return { name, datatype, shape: tensor.dims, bytes: new Uint8Array(buffer, byteOffset, byteLength) }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Elements of a BYTES tensor as the text that ONNX strings are. */
const decodeStrings = (name: string, packed: Uint8Array): string[] => unpackBytes(packed).map((bytes, i) => decodeText(name, i, bytes))

const decodeText = (name: string, index: number, bytes: Uint8Array): string => {
  // The runtime takes a string up to its first zero: refused rather than cut.
  if (bytes.includes(0)) throw new Error(`element ${index} of ${name} has a zero byte, which ONNX strings cannot carry here`)
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new Error(`element ${index} of ${name} is not UTF-8, which ONNX strings have to be here`, { cause })
  }
}
