// The HTTP door: the protocol's REST form with JSON tensors, for a quick look and for clients without gRPC. Errors are problem
// details with the `error` text that REST clients of the protocol read.

import { AndonError, asyncRoute, messageOf, notFoundHandler, problemHandler } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { codeVersion } from '@andon/kit/code-version'
import express from 'express'
import type { ErrorRequestHandler, Express, Request } from 'express'
import { invalidRequest, invalidTensor } from '../errors.ts'
import { serverExtensions, serverName } from './grpc-door.ts'
import type { InferAnswer, InferenceDoor, InputTensor } from '../serving/infer.ts'
import { isNumeric, pack, unpack } from '../tensors/tensors.ts'

export interface HttpDoorOptions {
  readonly door: () => InferenceDoor
  readonly isReady: () => boolean
  readonly onRequest: (request: { isSuccess: boolean; durationMs: number }) => void
  readonly logger: Logger
}

export const httpDoor = ({ door, isReady, onRequest, logger }: HttpDoorOptions): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.use(express.json({ limit: '16mb' }))
  app.get('/v2/health/live', (_request, response) => void response.json({ live: true }))
  app.get('/v2/health/ready', (_request, response) => void response.status(isReady() ? 200 : 503).json({ ready: isReady() }))
  app.get('/v2', (_request, response) => void response.json({ name: serverName, version: codeVersion(), extensions: serverExtensions }))
  const eachVersion = (path: string): string[] => [`/v2/models/:model${path}`, `/v2/models/:model/versions/:version${path}`]
  app.get(
    eachVersion('/ready'),
    asyncRoute(async (request, response) => {
      const { model, version } = target(request)
      const ready = await door().isModelReady(model, version)
      response.status(ready ? 200 : 404).json({ name: model, ready })
    }),
  )
  app.get(
    eachVersion(''),
    asyncRoute(async (request, response) => {
      const { model: name, version } = target(request)
      const { model, versions, io } = await door().describe(name, version)
      response.json({ name: model.model, versions, platform: 'onnxruntime_onnx', inputs: io.inputs, outputs: io.outputs })
    }),
  )
  app.post(
    eachVersion('/infer'),
    asyncRoute(async (request, response) => {
      const startedMs = performance.now()
      const { model, version } = target(request)
      let answer: InferAnswer | undefined
      try {
        const body = readBody(request.body)
        answer = await door().infer({ model, version, ...body })
        response.type('application/json').send(JSON.stringify(answerJson(body.id, answer), bigIntAsNumber))
      } finally {
        onRequest({ isSuccess: answer !== undefined, durationMs: performance.now() - startedMs })
      }
    }),
  )
  app.use(notFoundHandler)
  app.use(withErrorText)
  app.use(problemHandler(logger))
  return app
}

const target = ({ params }: Request): { model: string; version: string } => ({
  model: String(params['model']),
  version: String(params['version'] ?? ''),
})

/** REST clients of the protocol read `error`; it rides along in the problem's fields' place. */
const withErrorText: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  const send = response.send.bind(response)
  response.send = (body: unknown) => {
    response.send = send
    if (typeof body !== 'string' || !body.startsWith('{')) return send(body)
    return send(
      JSON.stringify({ ...(JSON.parse(body) as object), error: error instanceof AndonError ? messageOf(error) : 'request failed' }),
    )
  }
  next(error)
}

interface Body {
  readonly id: string
  readonly assetId: string | undefined
  readonly inputs: readonly InputTensor[]
  readonly outputs: readonly string[]
}

const readBody = (body: unknown): Body => {
  if (typeof body !== 'object' || body === null)
    throw invalidRequest('Expected a JSON object with inputs, got none (is content-type application/json?)')
  const { id = '', parameters = {}, inputs = [], outputs = [] } = body as Record<string, unknown>
  const assetId = (parameters as Record<string, unknown>)['andon_asset']
  if (assetId !== undefined && typeof assetId !== 'string') throw invalidRequest('parameters.andon_asset: expected a text')
  if (!Array.isArray(inputs) || !Array.isArray(outputs)) throw invalidRequest('inputs and outputs: expected lists')
  return {
    id: String(id),
    assetId,
    inputs: inputs.map(readInput),
    outputs: outputs.map((output: { name?: unknown }) => String(output?.name)),
  }
}

const readInput = (input: unknown, index: number): InputTensor => {
  const { name, datatype, shape, data } = (input ?? {}) as Record<string, unknown>
  const where = `input ${typeof name === 'string' ? name : index}`
  if (typeof name !== 'string') throw invalidTensor(`${where}: expected a name, got none`)
  if (typeof datatype !== 'string' || !isNumeric(datatype))
    throw invalidTensor(`${where}: expected a datatype such as FP64, got ${String(datatype)}`, { tensor: name })
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size)))
    throw invalidTensor(`${where}: expected a shape such as [1, 9]`, { tensor: name })
  const values: unknown[] = Array.isArray(data) ? data.flat(8) : []
  const fits = values.every((value) =>
    datatype === 'BOOL' ? typeof value === 'boolean' || typeof value === 'number' : typeof value === 'number',
  )
  if (!Array.isArray(data) || !fits) throw invalidTensor(`${where}: expected data, a list of ${datatype} values`, { tensor: name })
  try {
    return { name, datatype, shape: shape as number[], bytes: pack(datatype, values as number[]) }
  } catch (error) {
    throw invalidTensor(`${where}: expected ${datatype} values, got ${messageOf(error)}`, { tensor: name })
  }
}

const answerJson = (id: string, { model, outputs, parameters }: InferAnswer): unknown => ({
  model_name: model.model,
  model_version: String(model.version),
  ...(id === '' ? {} : { id }),
  ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
  outputs: outputs.map(({ name, datatype, shape, bytes }) => ({
    name,
    datatype,
    shape,
    data: isNumeric(datatype) ? unpack(datatype, bytes) : [],
  })),
})

/** JSON has no 64-bit integers: exact up to 2^53. */
const bigIntAsNumber = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value)
