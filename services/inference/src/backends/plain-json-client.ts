// A client of servers whose HTTP is their author's own, such as BentoML's and Ray Serve's: one path takes JSON and gives JSON, tensors
// are lists in it, and where each lies is declared. They have no metadata, so the configuration alone says what the model takes.

import { invalidTensor, serverAnswerWrong } from '../errors.ts'
import type { InferAnswer, InferRequest, TensorData } from '../serving/serving.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import type { RemoteClient } from './client.ts'
import { accepted, parsed } from './http-client.ts'
import { httpCaller } from './http-call.ts'
import { bytesOf, nestedJson, shapeOf } from './json-values.ts'

export interface PlainJsonOptions {
  readonly url: string
  /** Name of the server's kind, for people and for the provider of answers. */
  readonly server: string
  /** Takes the tensors. */
  readonly path: string
  /** Answers 200 while the server is ready. */
  readonly healthPath: string
  /** Where a tensor lies in the body or the answer: a field, fields in fields (`result.score`), or `.` for all of it. Else the field of its name. */
  readonly fields: Readonly<Record<string, string>>
  /** What comes back. */
  readonly outputs: readonly TensorSpec[]
  readonly timeoutMs: number
  readonly maxSockets: number
  readonly maxMessageBytes: number
}

const HEALTH_TIMEOUT_MS = 2_000
const WHOLE = '.'

export const openPlainJsonClient = (options: PlainJsonOptions): RemoteClient => {
  const { url, server, path, healthPath, fields, timeoutMs, maxSockets, maxMessageBytes } = options
  const caller = httpCaller(url, { maxBytes: maxMessageBytes, maxSockets })
  const isServerReady = (): Promise<boolean> =>
    caller.call({ method: 'GET', path: healthPath, deadlineMs: performance.now() + Math.min(timeoutMs, HEALTH_TIMEOUT_MS) }).then(
      ({ status }) => status === 200,
      () => false,
    )
  const tensorOf = (answer: unknown, { name, datatype }: TensorSpec): TensorData => {
    const field = fields[name] ?? name
    let value = answer
    if (field !== WHOLE)
      for (const part of field.split('.')) {
        const inside: unknown = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined
        if (inside === undefined) throw serverAnswerWrong(url, `output ${name}: expected the field ${field} in the answer, found none`)
        value = inside
      }
    const shape = shapeOf(value)
    return { name, datatype, shape, bytes: bytesOf(name, datatype, shape, value, url) }
  }
  return {
    target: url,
    async infer(request): Promise<InferAnswer> {
      const answer = await caller.call({
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json' },
        body: [Buffer.from(bodyOf(request, fields))],
        deadlineMs: request.deadlineMs ?? performance.now() + timeoutMs,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      })
      const json = parsed(accepted(answer, url).body, url)
      const wanted = options.outputs.filter(
        ({ name }) => request.outputs.length === 0 || request.outputs.some((each) => each.name === name),
      )
      return { model: request.model, version: request.version, parameters: {}, outputs: wanted.map((spec) => tensorOf(json, spec)) }
    },
    server: async () => ({ name: server, version: '' }),
    describe: async () => undefined,
    isServerReady,
    isModelReady: isServerReady,
    close: async () => caller.close(),
  }
}

interface Tree {
  [field: string]: string | Tree
}

const bodyOf = ({ inputs }: InferRequest, fields: Readonly<Record<string, string>>): string => {
  const tree: Tree = {}
  for (const input of inputs) {
    const field = fields[input.name] ?? input.name
    if (field === WHOLE) {
      if (inputs.length === 1) return nestedJson(input)
      throw invalidTensor(`input ${input.name}: expected to be the only one, because it is the whole body`, { tensor: input.name })
    }
    const parts = field.split('.')
    let at = tree
    for (const part of parts.slice(0, -1)) {
      const inside = (at[part] ??= {})
      if (typeof inside === 'string') throw invalidTensor(`input ${input.name}: ${field} is another input's field`, { tensor: input.name })
      at = inside
    }
    at[parts.at(-1)!] = nestedJson(input)
  }
  return textOf(tree)
}

const textOf = (tree: Tree): string =>
  `{${Object.entries(tree)
    .map(([field, value]) => `${JSON.stringify(field)}:${typeof value === 'string' ? value : textOf(value)}`)
    .join(',')}}`
