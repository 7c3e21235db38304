// The two messages every scored row passes through, ModelInferRequest and ModelInferResponse, between their bytes and what the rooms
// work with. Raw contents are views of the received bytes, shapes are numbers, names that come again are not decoded again. What a
// request rarely has (typed contents, groups) is left to the generated code, which is also what the tests compare this with.

import { ModelInferRequest, ModelInferResponse } from '@andon/schemas/inference'
import type { InferParameter } from '@andon/schemas/inference'
import { invalidRequest, invalidTensor, unsupported } from '../errors.ts'
import type { InferAnswer, InferRequest, Parameter, Parameters, RequestedOutput, TensorData } from '../serving/serving.ts'
import { datatypeNamed, rawCount, readInputs } from './contents.ts'

/** A request as it came, before anybody says until when it is wanted. */
export type InferMessage = Omit<InferRequest, 'deadlineMs' | 'signal'>

/** Of inputs, outputs, raw contents, parameters and dimensions each. No model has as many; a message of 64 MiB could name 30 million. */
const MOST_ENTRIES = 4096
/** Typed values become JavaScript values before they become bytes. */
const MOST_TYPED_VALUES = 1 << 20

/** Throws AndonErrors of status 400 that name the tensor, what is expected and what was found. */
export const decodeInferRequest = (bytes: Uint8Array): InferMessage => readRequest(bytes) ?? decodeGenerated(bytes)

/** The bytes of a message that is framed by its caller: `headroom` bytes in front are left free for that. */
export const encodeInferResponse = (id: string, answer: InferAnswer, headroom = 0): Buffer => encodeAnswer(id, answer, headroom, false)

/** As ModelStreamInferResponse. */
export const encodeStreamResponse = (id: string, answer: InferAnswer, headroom = 0): Buffer => encodeAnswer(id, answer, headroom, true)

export const encodeStreamError = (id: string, message: string, headroom = 0): Buffer => {
  const meta = new Meta()
  meta.text(0x0a, message)
  const inner = new Meta()
  if (id !== '') inner.text(0x1a, id)
  meta.tag(0x12).varint(inner.length).append(inner)
  return meta.finish(headroom)
}

/** For clients of other servers: inputs as raw contents. */
export const encodeInferRequest = (request: InferMessage, headroom = 0): Buffer => {
  const meta = new Meta()
  if (request.model !== '') meta.text(0x0a, request.model)
  if (request.version !== '') meta.text(0x12, request.version)
  if (request.id !== '') meta.text(0x1a, request.id)
  writeParameters(meta, request.parameters)
  for (const input of request.inputs) writeTensor(meta, input)
  for (const { name, classes } of request.outputs) {
    const output = new Meta().text(0x0a, name)
    if (classes > 0) writeParameter(output, 0x12, 'classification', BigInt(classes))
    meta.tag(0x32).varint(output.length).append(output)
  }
  return meta.finish(headroom, 0x3a, request.inputs)
}

export interface InferResponse {
  readonly id: string
  readonly answer: InferAnswer
}

/** For clients of other servers: raw contents as they are, typed ones (which some answer) by the generated code. */
export const decodeInferResponse = (bytes: Uint8Array): InferResponse => readResponse(new Reader(bytes)) ?? responseGenerated(bytes)

/** One message of a stream: an answer, or why there is none. */
export const decodeStreamResponse = (bytes: Uint8Array): { readonly error: string; readonly response: InferResponse | undefined } => {
  const reader = new Reader(bytes)
  let error = ''
  let response: InferResponse | undefined
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 0x0a) error = reader.text()
    else if (tag === 0x12) {
      const inner = reader.view()
      response = decodeInferResponse(inner)
    } else if (!reader.skip(tag)) throw unreadable('a group')
  }
  return { error, response }
}

const unreadable = (what: string): Error => invalidRequest(`The message cannot be read: expected fields of the protocol, got ${what}`)
const tooMany = (what: string, count: number): Error => invalidRequest(`${what}: expected at most ${MOST_ENTRIES}, got more (${count})`)

// Reading.

/** Short names, by a cheap hash: a server meets few, again and again. */
const names: (string | undefined)[] = Array.from({ length: 512 })
const LONGEST_CACHED = 48

class Reader {
  readonly bytes: Buffer
  readonly end: number
  at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.end = bytes.byteLength
  }

  /** Up to 2^53 exactly, what is beyond to the nearest number. Signed 64 bits. */
  varint(): number {
    const { bytes } = this
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.at >= this.end) throw unreadable('its end')
      const byte = bytes[this.at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    this.at -= 4
    return Number(BigInt.asIntN(64, this.bigint()))
  }

  /** As unsigned. */
  bigint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.at >= this.end) throw unreadable('its end')
      const byte = this.bytes[this.at++]!
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw unreadable('an integer of more than 10 bytes')
  }

  /** Moves past a length-delimited field; its bytes end where the reader now stands. Returns where they begin. */
  span(): number {
    const length = this.varint()
    const from = this.at
    if (length < 0 || length > this.end - from) throw unreadable(`a field of ${length} bytes with ${this.end - from} left`)
    this.at = from + length
    return from
  }

  view(): Buffer {
    const from = this.span()
    return this.bytes.subarray(from, this.at)
  }

  text(): string {
    const from = this.span()
    const { bytes, at } = this
    const length = at - from
    if (length === 0) return ''
    if (length > LONGEST_CACHED) return bytes.toString('utf8', from, at)
    const slot = (length * 31 + bytes[from]! * 7 + bytes[at - 1]! * 3 + bytes[from + (length >> 1)]!) & 511
    const known = names[slot]
    if (known !== undefined && known.length === length) {
      let i = 0
      while (i < length && known.charCodeAt(i) === bytes[from + i]) i++
      if (i === length) return known
    }
    const text = bytes.toString('utf8', from, at)
    let isAscii = text.length === length
    for (let i = 0; isAscii && i < length; i++) isAscii = bytes[from + i]! < 0x80
    if (isAscii) names[slot] = text
    return text
  }

  double(): number {
    if (this.end - this.at < 8) throw unreadable('its end')
    this.at += 8
    return this.bytes.readDoubleLE(this.at - 8)
  }

  /** Moves past a field that means nothing here; false for a group. */
  skip(tag: number): boolean {
    if (tag >>> 3 === 0 || tag < 0) throw unreadable('field number 0')
    const type = tag & 7
    if (type === 0) this.bigint()
    else if (type === 2) this.span()
    else if (type === 1 || type === 5) {
      this.at += type === 1 ? 8 : 4
      if (this.at > this.end) throw unreadable('its end')
    } else return false
    return true
  }
}

interface ReadTensor {
  name: string
  datatype: string
  readonly shape: number[]
}

/** Undefined where the generated code has to read it. */
const readRequest = (bytes: Uint8Array): InferMessage | undefined => {
  const reader = new Reader(bytes)
  let model = ''
  let version = ''
  let id = ''
  let parameters: Record<string, Parameter> | undefined
  const tensors: ReadTensor[] = []
  const outputs: RequestedOutput[] = []
  const raw: Uint8Array[] = []
  let count = 0
  let isTyped = false
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 0x3a) {
      raw.push(reader.view())
      if (raw.length > MOST_ENTRIES) throw tooMany('raw_input_contents', raw.length)
    } else if (tag === 0x2a) {
      const view = new Reader(reader.view())
      const tensor: ReadTensor = { name: '', datatype: '', shape: [] }
      if (tensors.length >= MOST_ENTRIES) throw tooMany('inputs', tensors.length + 1)
      const kind = readTensor(view, tensor)
      if (kind === 'group') return undefined
      isTyped ||= kind === 'typed'
      tensors.push(tensor)
    } else if (tag === 0x0a) model = reader.text()
    else if (tag === 0x12) version = reader.text()
    else if (tag === 0x1a) id = reader.text()
    else if (tag === 0x22) {
      parameters ??= {}
      if (++count > MOST_ENTRIES) throw tooMany('parameters', count)
      if (!readParameter(new Reader(reader.view()), parameters)) return undefined
    } else if (tag === 0x32) {
      if (outputs.length >= MOST_ENTRIES) throw tooMany('outputs', outputs.length + 1)
      const output = readRequestedOutput(new Reader(reader.view()))
      if (output === undefined) return undefined
      outputs.push(output)
    } else if (!reader.skip(tag)) return undefined
  }
  if (isTyped) return undefined
  // No raw contents at all, where no element is asked for, may also mean typed contents that have none.
  if (raw.length === 0 && tensors.length > 0) return undefined
  if (raw.length !== tensors.length) throw rawCount(tensors.length, raw.length)
  const inputs: TensorData[] = []
  for (let i = 0; i < tensors.length; i++) {
    const { name, datatype, shape } = tensors[i]!
    inputs.push({ name, datatype: datatypeNamed(name, datatype), shape, bytes: raw[i]! })
  }
  return { model, version, id, parameters: parameters ?? NONE, inputs, outputs }
}

const NONE: Parameters = Object.freeze({})

const readTensor = (reader: Reader, tensor: ReadTensor): 'raw' | 'typed' | 'group' => {
  const { shape } = tensor
  let parameters: Record<string, Parameter> | undefined
  let kind: 'raw' | 'typed' = 'raw'
  let values = 0
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 0x0a) tensor.name = reader.text()
    else if (tag === 0x12) tensor.datatype = reader.text()
    else if (tag === 0x1a) {
      const from = reader.span()
      const { at: to } = reader
      reader.at = from
      while (reader.at < to) shape.push(dimension(reader, tensor.name, shape))
      if (reader.at !== to) throw unreadable('a shape that ends in the middle of a number')
    } else if (tag === 0x18) shape.push(dimension(reader, tensor.name, shape))
    else if (tag === 0x22) {
      parameters ??= {}
      if (!readParameter(new Reader(reader.view()), parameters)) return 'group'
    } else if (tag === 0x2a) {
      kind = 'typed'
      values += countTyped(new Reader(reader.view()))
      if (values > MOST_TYPED_VALUES)
        throw invalidTensor(
          `input ${tensor.name}: expected at most ${MOST_TYPED_VALUES} typed values, got ${values}; send larger tensors as raw_input_contents`,
        )
    } else if (!reader.skip(tag)) return 'group'
  }
  if (parameters !== undefined) refuseSharedMemory(`input ${tensor.name}`, parameters)
  return kind
}

const dimension = (reader: Reader, name: string, shape: readonly number[]): number => {
  if (shape.length >= MOST_ENTRIES) throw tooMany(`input ${name}: dimensions`, shape.length + 1)
  return reader.varint()
}

const refuseSharedMemory = (where: string, parameters: Parameters): void => {
  if (Object.hasOwn(parameters, 'shared_memory_region'))
    throw unsupported(`${where}: expected its contents in the message, got shared_memory_region; shared memory is not there`)
}

/** How many values typed contents have; bytes of a packed field that end a number. */
const countTyped = (reader: Reader): number => {
  let count = 0
  while (reader.at < reader.end) {
    const tag = reader.varint()
    const field = tag >>> 3
    if ((tag & 7) !== 2 || field === 8) {
      if (!reader.skip(tag)) return MOST_TYPED_VALUES + 1
      count++
      continue
    }
    const from = reader.span()
    if (field === 6) count += (reader.at - from) >> 2
    else if (field === 7) count += (reader.at - from) >> 3
    else for (let i = from; i < reader.at; i++) if (reader.bytes[i]! < 0x80) count++
  }
  return count
}

/** One entry of a map of parameters. One without a value is left out. False where the generated code has to read it. */
const readParameter = (reader: Reader, into: Record<string, Parameter>): boolean => {
  let key = ''
  let value: Parameter | undefined
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 0x0a) key = reader.text()
    else if (tag === 0x12) {
      const choice = new Reader(reader.view())
      while (choice.at < choice.end) {
        const each = choice.varint()
        if (each === 0x08) value = choice.bigint() !== 0n
        else if (each === 0x10) value = BigInt.asIntN(64, choice.bigint())
        else if (each === 0x1a) value = choice.text()
        else if (each === 0x21) value = choice.double()
        else if (each === 0x28) value = choice.bigint()
        else if (!choice.skip(each)) return false
      }
    } else if (!reader.skip(tag)) return false
  }
  if (value !== undefined && key !== '__proto__') into[key] = value
  return true
}

const readRequestedOutput = (reader: Reader): RequestedOutput | undefined => {
  let name = ''
  let parameters: Record<string, Parameter> | undefined
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 0x0a) name = reader.text()
    else if (tag === 0x12) {
      parameters ??= {}
      if (!readParameter(new Reader(reader.view()), parameters)) return undefined
    } else if (!reader.skip(tag)) return undefined
  }
  return requestedOutput(name, parameters ?? NONE)
}

const requestedOutput = (name: string, parameters: Parameters): RequestedOutput => {
  refuseSharedMemory(`output ${name}`, parameters)
  const classes = Object.hasOwn(parameters, 'classification') ? parameters['classification'] : 0
  if ((typeof classes !== 'bigint' && typeof classes !== 'number') || classes < 0 || classes > 0x7fffffff)
    throw invalidRequest(`output ${name}: expected a number of classes in classification, got ${String(classes)}`)
  return { name, classes: Number(classes) }
}

const readResponse = (reader: Reader): InferResponse | undefined => {
  let model = ''
  let version = ''
  let id = ''
  let parameters: Record<string, Parameter> | undefined
  const tensors: ReadTensor[] = []
  const raw: Uint8Array[] = []
  while (reader.at < reader.end) {
    const tag = reader.varint()
    if (tag === 0x32) raw.push(reader.view())
    else if (tag === 0x2a) {
      const tensor: ReadTensor = { name: '', datatype: '', shape: [] }
      if (readTensor(new Reader(reader.view()), tensor) !== 'raw') return undefined
      tensors.push(tensor)
    } else if (tag === 0x0a) model = reader.text()
    else if (tag === 0x12) version = reader.text()
    else if (tag === 0x1a) id = reader.text()
    else if (tag === 0x22) {
      parameters ??= {}
      if (!readParameter(new Reader(reader.view()), parameters)) return undefined
    } else if (!reader.skip(tag)) return undefined
  }
  if (raw.length !== tensors.length) return undefined
  const outputs = tensors.map(({ name, datatype, shape }, i) => ({ name, datatype: datatypeNamed(name, datatype), shape, bytes: raw[i]! }))
  return { id, answer: { model, version, parameters: parameters ?? NONE, outputs } }
}

// By the generated code.

const decodeGenerated = (bytes: Uint8Array): InferMessage => {
  const message = byGenerated(() => ModelInferRequest.decode(bytes))
  for (const { name, parameters } of message.inputs) refuseSharedMemory(`input ${name}`, parametersOf(parameters))
  return {
    model: message.modelName,
    version: message.modelVersion,
    id: message.id,
    parameters: parametersOf(message.parameters),
    inputs: readInputs(message),
    outputs: message.outputs.map(({ name, parameters }) => requestedOutput(name, parametersOf(parameters))),
  }
}

const responseGenerated = (bytes: Uint8Array): InferResponse => {
  const message = byGenerated(() => ModelInferResponse.decode(bytes))
  const { modelName: model, modelVersion: version, id, outputs, rawOutputContents } = message
  return {
    id,
    answer: {
      model,
      version,
      parameters: parametersOf(message.parameters),
      outputs: readInputs({ inputs: outputs, rawInputContents: rawOutputContents }),
    },
  }
}

const byGenerated = <Message>(decode: () => Message): Message => {
  try {
    return decode()
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error))
  }
}

const parametersOf = (entries: Readonly<Record<string, InferParameter>>): Parameters => {
  const parameters: Record<string, Parameter> = {}
  for (const [key, { parameterChoice }] of Object.entries(entries))
    if (parameterChoice !== undefined) parameters[key] = parameterChoice.value
  return parameters
}

// Writing.

const encodeAnswer = (id: string, answer: InferAnswer, headroom: number, isStream: boolean): Buffer => {
  const meta = new Meta()
  if (answer.model !== '') meta.text(0x0a, answer.model)
  if (answer.version !== '') meta.text(0x12, answer.version)
  if (id !== '') meta.text(0x1a, id)
  writeParameters(meta, answer.parameters)
  for (const output of answer.outputs) writeTensor(meta, output)
  if (!isStream) return meta.finish(headroom, 0x32, answer.outputs)
  // The outer message is one tag and the length of the inner one.
  const inner = meta.length + rawLength(answer.outputs)
  const around = 1 + varintBytes(inner)
  const bytes = meta.finish(headroom + around, 0x32, answer.outputs)
  bytes[headroom] = 0x12
  putVarint(bytes, headroom + 1, inner)
  return bytes
}

const rawLength = (tensors: readonly TensorData[]): number => {
  let length = 0
  for (const { bytes } of tensors) length += 1 + varintBytes(bytes.byteLength) + bytes.byteLength
  return length
}

const varintBytes = (value: number): number => (value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5)

/** Of a length, below 2^35. Returns where it ends. */
const putVarint = (bytes: Uint8Array, at: number, value: number): number => {
  let rest = value
  let end = at
  while (rest >= 0x80) {
    bytes[end++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  bytes[end++] = rest
  return end
}

const writeTensor = (meta: Meta, { name, datatype, shape }: TensorData): void => {
  const tensor = new Meta().text(0x0a, name).text(0x12, datatype)
  if (shape.length > 0) {
    const dimensions = new Meta()
    for (const size of shape) dimensions.int64(size)
    tensor.tag(0x1a).varint(dimensions.length).append(dimensions)
  }
  meta.tag(0x2a).varint(tensor.length).append(tensor)
}

const writeParameters = (meta: Meta, parameters: Parameters): void => {
  for (const key in parameters) writeParameter(meta, 0x22, key, parameters[key]!)
}

const writeParameter = (meta: Meta, tag: number, key: string, value: Parameter): void => {
  const choice = new Meta()
  if (typeof value === 'boolean') choice.tag(0x08).varint(value ? 1 : 0)
  else if (typeof value === 'bigint') choice.tag(value >= 2n ** 63n ? 0x28 : 0x10).bigint(value)
  else if (typeof value === 'string') choice.text(0x1a, value)
  else choice.tag(0x21).double(value)
  const entry = new Meta().text(0x0a, key).tag(0x12).varint(choice.length).append(choice)
  meta.tag(tag).varint(entry.length).append(entry)
}

/** What stands before the raw contents: small, written once, then copied in front of them. */
class Meta {
  #bytes = Buffer.allocUnsafe(128)
  length = 0

  tag(tag: number): this {
    this.#room(1)
    this.#bytes[this.length++] = tag
    return this
  }

  varint(value: number): this {
    this.#room(5)
    this.length = putVarint(this.#bytes, this.length, value)
    return this
  }

  int64(value: number): this {
    return value >= 0 && value < 0x80 ? this.tag(value) : this.bigint(BigInt(value))
  }

  bigint(value: bigint): this {
    this.#room(10)
    let rest = BigInt.asUintN(64, value)
    while (rest >= 0x80n) {
      this.#bytes[this.length++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[this.length++] = Number(rest)
    return this
  }

  double(value: number): this {
    this.#room(8)
    this.length = this.#bytes.writeDoubleLE(value, this.length)
    return this
  }

  text(tag: number, text: string): this {
    const length = Buffer.byteLength(text)
    this.tag(tag).varint(length)
    this.#room(length)
    this.length += this.#bytes.write(text, this.length, 'utf8')
    return this
  }

  append(other: Meta): this {
    this.#room(other.length)
    other.#bytes.copy(this.#bytes, this.length, 0, other.length)
    this.length += other.length
    return this
  }

  /** Headroom, what was written, and the tensors' bytes with this tag each, in one buffer. */
  finish(headroom: number, rawTag = 0, tensors: readonly TensorData[] = []): Buffer {
    const bytes = Buffer.allocUnsafe(headroom + this.length + rawLength(tensors))
    this.#bytes.copy(bytes, headroom, 0, this.length)
    let at = headroom + this.length
    for (const { bytes: raw } of tensors) {
      bytes[at] = rawTag
      at = putVarint(bytes, at + 1, raw.byteLength)
      bytes.set(raw, at)
      at += raw.byteLength
    }
    return bytes
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.length + more))
    this.#bytes.copy(larger, 0, 0, this.length)
    this.#bytes = larger
  }
}
