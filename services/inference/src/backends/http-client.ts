// A client of servers that speak Open Inference over HTTP: JSON alone, or JSON with the tensors' bytes behind it. Servers disagree here
// (one answers binary tensors with 422, another takes no request that asks for binary outputs), so the two are protocols of their own.

import { messageOf } from '@andon/kit/errors'
import { serverAnswerWrong, serverBusy, serverRefused, serverUnreachable } from '../errors.ts'
import type { InferAnswer, InferRequest, Parameters, TensorData } from '../serving/serving.ts'
import { isDatatype } from '../tensors/tensors.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import type { RemoteClient, RemoteModel } from './client.ts'
import { httpCaller } from './http-call.ts'
import type { HttpAnswer, HttpCall } from './http-call.ts'
import { bytesOf, flatJson, parseExact } from './json-values.ts'
import { sized } from './messages.ts'

export interface HttpClientOptions {
  /** `http://host:port`, with a path where the server has one. */
  readonly url: string
  /** Tensors as bytes behind the JSON (Triton's binary tensor data extension). */
  readonly isBinary: boolean
  readonly timeoutMs: number
  /** Connections at most. */
  readonly maxSockets: number
  readonly maxMessageBytes: number
}

const HEALTH_TIMEOUT_MS = 2_000
const HEADER_LENGTH = 'inference-header-content-length'

export const openHttpClient = ({ url, isBinary, timeoutMs, maxSockets, maxMessageBytes }: HttpClientOptions): RemoteClient => {
  const caller = httpCaller(url, { maxBytes: maxMessageBytes, maxSockets })
  const get = (path: string, waitMs = timeoutMs): Promise<HttpAnswer> =>
    caller.call({ method: 'GET', path, deadlineMs: performance.now() + waitMs })
  const isOk = (path: string): Promise<boolean> =>
    get(path, Math.min(timeoutMs, HEALTH_TIMEOUT_MS)).then(
      ({ status, body }) => status === 200 && !/"ready"\s*:\s*false/.test(body.toString('utf8', 0, 1000)),
      () => false,
    )
  return {
    target: url,
    async infer(request) {
      const { headers, body } = isBinary ? binaryBody(request) : jsonBody(request)
      const call: HttpCall = {
        method: 'POST',
        path: `${modelPath(request.model, request.version)}/infer`,
        headers,
        body,
        deadlineMs: request.deadlineMs ?? performance.now() + timeoutMs,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      }
      return answerOf(accepted(await caller.call(call), url), url)
    },
    async server() {
      const { name, version } = objectOf(parsed(accepted(await get('/v2'), url).body, url), 'an object', url)
      return { name: textOf(name), version: textOf(version) }
    },
    describe: async (model, version) => remoteModelOf(parsed(accepted(await get(modelPath(model, version)), url).body, url), url),
    isServerReady: () => isOk('/v2/health/ready'),
    isModelReady: (model, version) => isOk(`${modelPath(model, version)}/ready`),
    close: async () => caller.close(),
  }
}

const modelPath = (model: string, version: string): string =>
  `/v2/models/${encodeURIComponent(model)}${version === '' ? '' : `/versions/${encodeURIComponent(version)}`}`

const jsonBody = (request: InferRequest): { headers: Record<string, string>; body: Uint8Array[] } => {
  const inputs = request.inputs.map(
    (input) =>
      `{"name":${JSON.stringify(input.name)},"datatype":"${input.datatype}","shape":${JSON.stringify(input.shape)},"data":${flatJson(input)}}`,
  )
  return { headers: { 'content-type': 'application/json' }, body: [Buffer.from(head(request, inputs, {}))] }
}

const binaryBody = (request: InferRequest): { headers: Record<string, string>; body: Uint8Array[] } => {
  const inputs = request.inputs.map(
    ({ name, datatype, shape, bytes }) =>
      `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":${JSON.stringify(shape)},"parameters":{"binary_data_size":${bytes.byteLength}}}`,
  )
  const json = Buffer.from(head(request, inputs, { binary_data: true }))
  return {
    headers: { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(json.byteLength) },
    body: [json, ...request.inputs.map(({ bytes }) => bytes)],
  }
}

const head = (
  { id, parameters, outputs }: InferRequest,
  inputs: readonly string[],
  ofOutput: Readonly<Record<string, unknown>>,
): string => {
  const asked = outputs.map(({ name, classes }) => ({
    name,
    ...(classes > 0 || Object.keys(ofOutput).length > 0
      ? { parameters: { ...ofOutput, ...(classes > 0 ? { classification: classes } : {}) } }
      : {}),
  }))
  const fields = [
    ...(id === '' ? [] : [`"id":${JSON.stringify(id)}`]),
    ...(Object.keys(parameters).length === 0 ? [] : [`"parameters":${parametersJson(parameters)}`]),
    `"inputs":[${inputs.join(',')}]`,
    ...(asked.length === 0 ? [] : [`"outputs":${JSON.stringify(asked)}`]),
  ]
  return `{${fields.join(',')}}`
}

const parametersJson = (parameters: Parameters): string =>
  `{${Object.entries(parameters)
    .map(([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? String(value) : JSON.stringify(value)}`)
    .join(',')}}`

/** The answer, unless the server says that there is none. */
export const accepted = (answer: HttpAnswer, url: string): HttpAnswer => {
  const { status, body } = answer
  if (status === 200) return answer
  const reason = body.toString('utf8', 0, 500).trim()
  if (status === 429 || (status === 503 && reason.includes('xceeds maximum queue size'))) throw serverBusy(url, reason)
  if (status === 502 || status === 503 || status === 504) throw serverUnreachable(url, `${status} ${reason}`)
  throw serverRefused(url, String(status), reason)
}

export const parsed = (body: Buffer, url: string): unknown => {
  try {
    return parseExact(body.toString('utf8'))
  } catch (error) {
    throw serverAnswerWrong(url, `expected JSON: ${messageOf(error)}`, error)
  }
}

/** Servers leave texts out, or write null. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const objectOf = (value: unknown, what: string, url: string): Readonly<Record<string, unknown>> => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw serverAnswerWrong(url, `expected ${what}`)
}

const listOf = (value: unknown, what: string, url: string): readonly unknown[] => {
  if (Array.isArray(value)) return value
  throw serverAnswerWrong(url, `expected ${what}`)
}

const sizesOf = (value: unknown, what: string, url: string): number[] =>
  listOf(value, `a shape of ${what}`, url).map((size) => {
    if (typeof size === 'number' && Number.isSafeInteger(size)) return size
    throw serverAnswerWrong(url, `${what}: expected a shape of whole numbers`)
  })

const answerOf = ({ headers, body }: HttpAnswer, url: string): InferAnswer => {
  const length = headers[HEADER_LENGTH] === undefined ? body.byteLength : Number(headers[HEADER_LENGTH])
  if (!Number.isSafeInteger(length) || length < 0 || length > body.byteLength)
    throw serverAnswerWrong(url, `expected ${HEADER_LENGTH} up to ${body.byteLength}, got ${String(headers[HEADER_LENGTH])}`)
  const json = objectOf(parsed(body.subarray(0, length), url), 'an object', url)
  let at = length
  const outputs = listOf(json['outputs'], 'outputs', url).map((each): TensorData => {
    const output = objectOf(each, 'an output', url)
    const [name, datatype] = [String(output['name']), String(output['datatype'])]
    if (!isDatatype(datatype)) throw serverAnswerWrong(url, `output ${name}: expected a datatype of the protocol, got "${datatype}"`)
    const shape = sizesOf(output['shape'], `output ${name}`, url)
    const size = objectOf(output['parameters'] ?? {}, 'parameters', url)['binary_data_size']
    if (size === undefined || output['data'] !== undefined)
      return { name, datatype, shape, bytes: bytesOf(name, datatype, shape, output['data'], url) }
    if (typeof size !== 'number' || !(size >= 0) || at + size > body.byteLength)
      throw serverAnswerWrong(url, `output ${name}: expected ${JSON.stringify(size)} bytes behind the JSON, got ${body.byteLength - at}`)
    const bytes = body.subarray(at, at + size)
    at += size
    return sized({ name, datatype, shape, bytes }, url)
  })
  if (at !== body.byteLength) throw serverAnswerWrong(url, `expected ${at} bytes, got ${body.byteLength}`)
  return { model: textOf(json['model_name']), version: textOf(json['model_version']), outputs, parameters: {} }
}

const remoteModelOf = (value: unknown, url: string): RemoteModel => {
  const json = objectOf(value, 'metadata', url)
  const specs = (list: unknown): TensorSpec[] =>
    listOf(list ?? [], 'tensors', url).map((each) => {
      const tensor = objectOf(each, 'a tensor', url)
      const [name, datatype] = [String(tensor['name']), String(tensor['datatype'])]
      if (!isDatatype(datatype)) throw serverAnswerWrong(url, `tensor ${name} has the datatype "${datatype}"`)
      return { name, datatype, shape: sizesOf(tensor['shape'] ?? [], `tensor ${name}`, url) }
    })
  return {
    name: textOf(json['name']),
    versions: listOf(json['versions'] ?? [], 'versions', url).map(String),
    platform: textOf(json['platform']),
    inputs: specs(json['inputs']),
    outputs: specs(json['outputs']),
  }
}
