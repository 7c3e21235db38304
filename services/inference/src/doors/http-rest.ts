// The HTTP door: REST v2 as Triton and the Open Inference Protocol define it, over the same `Serving` as gRPC. Scoring has a path of its
// own; everything else is looked up, listed and set through express.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { asyncRoute, notFoundHandler } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { codeVersion } from '@andon/kit/code-version'
import type { InferStatistics, ModelStatistics, StatisticDuration } from '@andon/schemas/inference'
import express from 'express'
import type { ErrorRequestHandler, Request, Response } from 'express'
import { badMethod, invalidRequest, unsupported } from '../errors.ts'
import type { LoadOptions, Serving } from '../serving/serving.ts'
import type { RequestTimes } from '../serving/triton-metrics.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import { serverExtensions, serverName } from './grpc-rpcs.ts'
import { answerError, answerJson } from './http-answers.ts'
import { Bodies } from './http-bodies.ts'
import { configJson } from './http-config.ts'
import { openApi, routes } from './http-openapi.ts'
import type { RouteName } from './http-openapi.ts'
import { inferTarget, score } from './http-scoring.ts'
import type { DoorSettings, LogChanges, TraceChanges } from './settings.ts'

export interface HttpDoorOptions {
  readonly serving: () => Serving
  /** False until the service has started, and when it cannot run models. Default: always true. */
  readonly isReady?: () => boolean
  readonly settings: DoorSettings
  readonly maxBodyBytes: number
  /** Told how every scoring request ended. */
  readonly onRequest: (request: { isSuccess: boolean; durationMs: number }) => void
  /** Told where the time of one that was answered went. */
  readonly onTimes?: (model: string, times: RequestTimes) => void
  readonly logger: Logger
}

export const restDoor = (options: HttpDoorOptions): RequestListener => {
  const bodies = new Bodies(options.maxBodyBytes)
  const control = controlRoutes(options, bodies)
  return (request, response) => {
    const target = request.method === 'POST' ? inferTarget(request.url!) : undefined
    if (target === undefined) control(request, response)
    else void score(options, bodies, target, request, response) // never rejects
  }
}

type Answer = (request: Request, response: Response) => unknown

const controlRoutes = (options: HttpDoorOptions, bodies: Bodies): RequestListener => {
  const { logger } = options
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  const answers = answersOf(options, bodies)
  for (const { name, method, path } of routes) {
    if (name === 'infer' || name === 'versionInfer') continue // taken before
    const answer = answers[name]
    app[method](
      path.replaceAll(/\{(\w+)\}/g, ':$1'),
      asyncRoute(async (request, response) => answer(request, response)),
    )
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const allow = routes.flatMap((route) => (route.path === path ? [route.method.toUpperCase()] : [])).join(', ')
    app.all(path.replaceAll(/\{(\w+)\}/g, ':$1'), ({ method }) => {
      throw badMethod(allow, method)
    })
  }
  app.use(notFoundHandler)
  const failed: ErrorRequestHandler = (error: unknown, request, response, _next) => answerError(request, response, error, logger)
  app.use(failed)
  return app
}

const answersOf = (
  { serving, settings, isReady = () => true }: HttpDoorOptions,
  bodies: Bodies,
): Record<Exclude<RouteName, 'infer' | 'versionInfer'>, Answer> => {
  const body = (request: IncomingMessage): Promise<Record<string, unknown>> => jsonBody(request, bodies)
  const sharedMemory = (response: ServerResponse): void => answerJson(response, '[]')
  const noSharedMemory = (request: Request): never => {
    throw unsupported(`${request.path}: there is no shared memory here; send tensors in the body`)
  }
  const load: Answer = async (request, response) => {
    await serving().load(model(request), loadOptions(await body(request)))
    answerJson(response, '{}')
  }
  const unload: Answer = async (request, response) => {
    const { parameters } = await body(request)
    const withDependents = recordOf('parameters', parameters)['unload_dependents'] ?? false
    if (typeof withDependents !== 'boolean')
      throw invalidRequest(`unload_dependents: expected true or false, got ${JSON.stringify(withDependents)}`)
    await serving().unload(model(request), { withDependents })
    answerJson(response, '{}')
  }
  const index: Answer = async (request, response) => {
    const { ready = false } = await body(request)
    if (typeof ready !== 'boolean') throw invalidRequest(`ready: expected true or false, got ${String(ready)}`)
    const entries = serving().index()
    const listed = entries.filter(({ state }) => !ready || state === 'READY')
    answerJson(
      response,
      JSON.stringify(listed.map(({ name, version, state, reason }) => ({ name, ...(version === '' ? {} : { version }), state, reason }))),
    )
  }
  const trace: Answer = (request, response) => {
    if (model(request) !== '') checkKnown(serving(), model(request))
    answerJson(response, JSON.stringify(settings.trace(model(request))))
  }
  const changeTrace: Answer = async (request, response) => {
    if (model(request) !== '') checkKnown(serving(), model(request))
    const changes = await body(request)
    for (const [name, value] of Object.entries(changes)) {
      const isText = (each: unknown): boolean => typeof each === 'string'
      if (value !== null && !isText(value) && !(Array.isArray(value) && value.every(isText)))
        throw invalidRequest(`${name}: expected a text, a list of texts or null`)
    }
    answerJson(response, JSON.stringify(settings.changeTrace(model(request), changes as TraceChanges)))
  }
  const changeLog: Answer = async (request, response) => {
    const changes = await body(request)
    for (const [name, value] of Object.entries(changes))
      if (typeof value === 'object' && value !== null) throw invalidRequest(`${name}: expected a text, a number, true, false or null`)
    answerJson(response, JSON.stringify(settings.changeLog(changes as LogChanges)))
  }
  const statistics: Answer = (request, response) =>
    answerJson(response, statisticsJson(serving().statistics(model(request), version(request))))
  const ready: Answer = (request, response) => {
    const name = model(request)
    if (serving().isModelReady(name, version(request))) return answerJson(response, JSON.stringify({ name, ready: true }))
    const isKnown = serving()
      .index()
      .some((entry) => entry.name === name)
    const why = isKnown ? 'Model version not ready' : `There is no model ${name}`
    return answerJson(response, JSON.stringify({ name, ready: false, error: why }), isKnown ? 400 : 404)
  }
  const metadata: Answer = async (request, response) => {
    const { name, versions, platform, inputs, outputs } = await serving().describe(model(request), version(request))
    answerJson(response, JSON.stringify({ name, versions, platform, inputs: inputs.map(tensorOf), outputs: outputs.map(tensorOf) }))
  }
  const config: Answer = async (request, response) => {
    answerJson(response, configJson((await serving().describe(model(request), version(request))).config))
  }
  return {
    live: (_request, response) => answerJson(response, '{"live":true}'),
    ready: (_request, response) => {
      const ready = isReady() && serving().isReady()
      answerJson(response, JSON.stringify({ ready }), ready ? 200 : 503)
    },
    server: (_request, response) =>
      answerJson(response, JSON.stringify({ name: serverName, version: codeVersion(), extensions: serverExtensions })),
    modelReady: ready,
    versionReady: ready,
    model: metadata,
    version: metadata,
    modelConfig: config,
    versionConfig: config,
    statistics,
    modelStatistics: statistics,
    versionStatistics: statistics,
    index,
    namedIndex: index,
    load,
    namedLoad: load,
    unload,
    namedUnload: unload,
    trace,
    changeTrace,
    modelTrace: trace,
    changeModelTrace: changeTrace,
    log: (_request, response) => answerJson(response, JSON.stringify(settings.log())),
    changeLog,
    systemStatus: (_request, response) => sharedMemory(response),
    systemRegionStatus: noSharedMemory,
    systemRegister: noSharedMemory,
    systemUnregister: noSharedMemory,
    systemUnregisterAll: (_request, response) => answerJson(response, '{}'),
    cudaStatus: (_request, response) => sharedMemory(response),
    cudaRegionStatus: noSharedMemory,
    cudaRegister: noSharedMemory,
    cudaUnregister: noSharedMemory,
    cudaUnregisterAll: (_request, response) => answerJson(response, '{}'),
    openApi: (_request, response) => answerJson(response, JSON.stringify(openApi())),
  }
}

const model = ({ params }: Request): string => String(params['model'] ?? '')
const version = ({ params }: Request): string => String(params['version'] ?? '')

const tensorOf = ({ name, datatype, shape }: TensorSpec): object => ({ name, datatype, shape })

const checkKnown = (serving: Serving, name: string): void => {
  if (!serving.index().some((entry) => entry.name === name)) throw invalidRequest(`Request for unknown model : ${name}`)
}

const jsonBody = async (request: IncomingMessage, bodies: Bodies): Promise<Record<string, unknown>> => {
  const bytes = await bodies.read(request)
  if (bytes.length === 0) return {}
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw invalidRequest(`Body: expected JSON, got ${error instanceof Error ? error.message : String(error)}`)
  }
  return recordOf('Body', value)
}

const recordOf = (what: string, value: unknown = {}): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidRequest(`${what}: expected an object`)
  return value as Record<string, unknown>
}

/** `config` is JSON; `file:<version>/<name>` holds the file's bytes in base64. */
const loadOptions = ({ parameters }: Record<string, unknown>): LoadOptions => {
  let config: string | undefined
  const files = new Map<string, Uint8Array>()
  for (const [name, value] of Object.entries(recordOf('parameters', parameters))) {
    if (name !== 'config' && !name.startsWith('file:')) continue
    if (typeof value !== 'string') throw invalidRequest(`parameters.${name}: expected a text, got ${typeof value}`)
    if (name === 'config') config = value
    else files.set(name.slice('file:'.length), base64(name, value))
  }
  return { ...(config === undefined ? {} : { config }), ...(files.size === 0 ? {} : { files }) }
}

const base64 = (name: string, text: string): Uint8Array => {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw invalidRequest(`parameters.${name}: expected base64`)
  return Buffer.from(text, 'base64')
}

const statisticsJson = (all: readonly ModelStatistics[]): string => `{"model_stats":[${all.map(modelStatisticsJson).join(',')}]}`

const modelStatisticsJson = (of: ModelStatistics): string =>
  `{"name":${JSON.stringify(of.name)},"version":${JSON.stringify(of.version)},"last_inference":${of.lastInference},"inference_count":${of.inferenceCount},` +
  `"execution_count":${of.executionCount},"inference_stats":${durations(of.inferenceStats ?? {}, inferenceFields)},"response_stats":{},` +
  `"batch_stats":[${of.batchStats.map((batch) => `{"batch_size":${batch.batchSize},${durations(batch, batchFields).slice(1)}`).join(',')}],` +
  `"memory_usage":[${of.memoryUsage.map(({ type, id, byteSize }) => `{"type":${JSON.stringify(type)},"id":${id},"byte_size":${byteSize}}`).join(',')}]}`

const batchFields = { compute_input: 'computeInput', compute_infer: 'computeInfer', compute_output: 'computeOutput' } as const
const inferenceFields = {
  success: 'success',
  fail: 'fail',
  queue: 'queue',
  ...batchFields,
  cache_hit: 'cacheHit',
  cache_miss: 'cacheMiss',
} as const satisfies Record<string, keyof InferStatistics>

const durations = <Name extends string>(
  values: { readonly [name in Name]?: StatisticDuration | undefined },
  fields: Readonly<Record<string, Name>>,
): string => {
  const written = Object.entries(fields).map(
    ([name, field]) => `"${name}":{"count":${values[field]?.count ?? 0n},"ns":${values[field]?.ns ?? 0n}}`,
  )
  return `{${written.join(',')}}`
}
