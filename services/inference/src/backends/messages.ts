// Requests and answers between this server and others as protocol messages, and what an error of theirs means here. An answer whose
// tensors do not have the bytes that their shapes say never leaves this file.

import type { InferParameter } from '@andon/schemas/inference'
import { ModelInferResponse, ModelStreamInferResponse } from '@andon/schemas/inference'
import { status } from '@grpc/grpc-js'
import { cancelled, serverAnswerWrong, serverBusy, serverRefused, serverTimeout, serverUnreachable } from '../errors.ts'
import type { InferAnswer, InferRequest, Parameters, TensorData } from '../serving/serving.ts'
import { packBytes } from '../tensors/bytes.ts'
import { sizeFault } from '../tensors/size.ts'
import { isDatatype, pack } from '../tensors/tensors.ts'
import type { Datatype } from '../tensors/tensors.ts'
import { decodeInferResponse, decodeStreamResponse, encodeInferRequest } from '../tensors/wire.ts'

/** With `id` in the place of the request's own, which stays with the caller. */
export const encodeRequest = (request: InferRequest, id: string, parameters: Parameters): Uint8Array =>
  encodeInferRequest({ ...request, id, parameters })

/** The answer of a call. Throws what is wrong with it. */
export const decodeAnswer = (bytes: Uint8Array, target: string): InferAnswer => {
  const response = fastOr(
    () => decodeInferResponse(bytes),
    () => ModelInferResponse.decode(bytes),
  )
  return 'answer' in response ? checked(response.answer, target) : answerOf(response, target)
}

/** One message of a stream: whose it is (empty: it does not say), and what came or why nothing did. Throws when it cannot be read at all. */
export const decodeStreamAnswer = (bytes: Uint8Array, target: string): { readonly id: string; readonly outcome: InferAnswer | Error } => {
  const message = fastOr(
    () => decodeStreamResponse(bytes),
    () => ModelStreamInferResponse.decode(bytes),
  )
  if ('error' in message) {
    const { error, response } = message
    return {
      id: response?.id ?? '',
      outcome: error === '' ? attempted(() => checked(response?.answer, target)) : errorOfText(error, target),
    }
  }
  const { errorMessage, inferResponse } = message
  return {
    id: inferResponse?.id ?? '',
    outcome: errorMessage === '' ? attempted(() => answerOf(inferResponse!, target)) : errorOfText(errorMessage, target),
  }
}

/** The codec of the hot path throws at what is wrong; the generated code then tells whose answer it is. */
const fastOr = <Fast, Slow>(fast: () => Fast, slow: () => Slow): Fast | Slow => {
  try {
    return fast()
  } catch {
    return slow()
  }
}

const attempted = (make: () => InferAnswer): InferAnswer | Error => {
  try {
    return make()
  } catch (error) {
    return error as Error
  }
}

const checked = (answer: InferAnswer | undefined, target: string): InferAnswer => {
  if (answer === undefined) throw serverAnswerWrong(target, 'expected an answer or an error, got neither')
  for (const output of answer.outputs) sized(output, target)
  return answer
}

/** Rejects answers whose bytes are not what shape and datatype say. Typed contents are taken as well: not every server answers raw. */
const answerOf = (response: ModelInferResponse, target: string): InferAnswer => {
  const { outputs, rawOutputContents } = response
  if (rawOutputContents.length > 0 && rawOutputContents.length !== outputs.length)
    throw serverAnswerWrong(target, `expected one raw entry per output, ${outputs.length}, got ${rawOutputContents.length}`)
  return {
    model: response.modelName,
    version: response.modelVersion,
    parameters: parametersOf(response.parameters),
    outputs: outputs.map((output, i) => {
      const { name } = output
      const datatype = datatypeOf(output, target)
      const shape = output.shape.map(Number)
      const bytes = rawOutputContents[i] ?? typedBytes(output, datatype, target)
      return sized({ name, datatype, shape, bytes }, target)
    }),
  }
}

/** The tensor, whose bytes are what its shape and datatype say. */
export const sized = (tensor: TensorData, target: string): TensorData => {
  const fault = sizeFault(tensor)
  if (fault !== undefined) throw serverAnswerWrong(target, `output ${tensor.name}: expected ${fault.expected}, got ${fault.got}`)
  return tensor
}

type Output = ModelInferResponse['outputs'][number]

const datatypeOf = ({ name, datatype }: Output, target: string): Datatype => {
  if (isDatatype(datatype)) return datatype
  throw serverAnswerWrong(target, `output ${name}: expected a datatype of the protocol, got "${datatype}"`)
}

const typedBytes = ({ name, contents }: Output, datatype: Datatype, target: string): Uint8Array => {
  const filled = Object.values(contents ?? {}).filter((values) => values.length > 0) as (readonly (number | bigint | boolean)[])[]
  if (filled.length > 1) throw serverAnswerWrong(target, `output ${name}: expected one field of contents, got ${filled.length}`)
  const values = filled[0] ?? []
  if (datatype === 'BYTES') return packBytes((contents?.bytesContents ?? []) as Uint8Array[])
  if (datatype === 'FP16' || datatype === 'BF16') throw serverAnswerWrong(target, `output ${name}: expected ${datatype} raw, got contents`)
  try {
    return pack(datatype, values)
  } catch (error) {
    throw serverAnswerWrong(target, `output ${name}: expected contents of ${datatype}`, error)
  }
}

const parametersOf = (parameters: Readonly<Record<string, InferParameter>>): Parameters =>
  Object.fromEntries(
    Object.entries(parameters).flatMap(([name, { parameterChoice }]) =>
      parameterChoice === undefined ? [] : [[name, parameterChoice.value]],
    ),
  )

/** What a gRPC status of another server means here. */
export const errorOfStatus = (code: status, details: string, target: string, timeoutMs: number, cause?: unknown): Error => {
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return serverTimeout(target, timeoutMs)
    case status.CANCELLED:
      return cancelled()
    case status.RESOURCE_EXHAUSTED:
      return serverBusy(target, details)
    case status.UNAVAILABLE:
      return isFullQueue(details) ? serverBusy(target, details) : serverUnreachable(target, details, cause)
    case status.ABORTED:
      return serverUnreachable(target, details, cause)
    default:
      return serverRefused(target, status[code] ?? `status ${code}`, details)
  }
}

/** A stream's answers carry words only: Triton's for a full queue, the code of ours for what another try can help. */
const errorOfText = (text: string, target: string): Error =>
  isFullQueue(text) || passing.has(/^ANDON_\w+/.exec(text)?.[0] ?? '') ? serverBusy(target, text) : serverRefused(target, 'an error', text)

const passing = new Set([
  'ANDON_BREAKER_OPEN',
  ...[
    'MODEL_NOT_READY',
    'STORE_UNAVAILABLE',
    'QUEUE_FULL',
    'QUEUE_TIMEOUT',
    'RUN_TIMEOUT',
    'MODEL_SUSPENDED',
    'NO_WORKER',
    'WORKER_LOST',
    'STOPPING',
  ].map((code) => `ANDON_INFERENCE_${code}`),
  ...['SERVER_TIMEOUT', 'SERVER_UNREACHABLE', 'SERVER_BUSY', 'DEADLINE_EXCEEDED'].map((code) => `ANDON_INFERENCE_${code}`),
])

const isFullQueue = (text: string): boolean => text.includes('xceeds maximum queue size')
