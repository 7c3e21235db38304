// The gRPC door: Open Inference Protocol v2 as Triton's clients speak it, grpc.health.v1 and reflection, on one port. It converts
// messages and maps errors to statuses; models run elsewhere, so the door answers probes meanwhile.

import { AndonError } from '@andon/kit'
import type { Logger, Part } from '@andon/kit'
import { descriptorSet } from '@andon/schemas/inference'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import { status } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import type { Serving } from '../serving/serving.ts'
import type { RequestTimes } from '../serving/triton-metrics.ts'
import { modelInfer, modelStreamInfer } from './grpc-infer.ts'
import { inferenceRpcs, serverExtensions, serverName } from './grpc-rpcs.ts'
import { GrpcError, grpcServer } from './grpc-server.ts'
import type { StreamMethod, UnaryMethod } from './grpc-server.ts'
import { serviceHost } from './grpc-services.ts'
import type { DoorSettings } from './settings.ts'

export { serverExtensions, serverName }

const SERVICE = 'inference.GRPCInferenceService'
const HEALTH_MS = 1_000
/** How long calls in flight may take to end; watchers of the health service never do by themselves. */
const STOP_PATIENCE_MS = 3_000

export interface GrpcDoorOptions {
  readonly host: string
  readonly port: number
  /** Name of the setting the port comes from, for the message that it is taken. */
  readonly setting: string
  readonly serving: () => Serving
  readonly isReady: () => boolean
  readonly settings: DoorSettings
  readonly maxMessageBytes: number
  readonly maxConnections?: number
  /** Told how every scoring request ended. */
  readonly onRequest: (request: { isSuccess: boolean; durationMs: number }) => void
  /** Told where the time of one that was answered went. */
  readonly onTimes?: (model: string, times: RequestTimes) => void
  readonly logger: Logger
}

export interface GrpcDoor extends Part {
  /** Port it listens on, once started. */
  port(): number
}

export const grpcDoor = (options: GrpcDoorOptions): GrpcDoor => {
  const { isReady } = options
  let port = options.port
  const errorOf = errorsOf(options.logger)
  const health = new HealthImplementation({ '': 'NOT_SERVING', [SERVICE]: 'NOT_SERVING' })
  const server = grpcServer({
    ...methodsOf(options, health, errorOf),
    maxMessageBytes: options.maxMessageBytes,
    maxConnections: options.maxConnections,
    errorOf,
  })
  let isServing: boolean | undefined
  const setServing = (state: boolean): void => {
    if (state === isServing) return
    isServing = state
    for (const name of ['', SERVICE]) health.setStatus(name, state ? 'SERVING' : 'NOT_SERVING')
  }
  let watch: NodeJS.Timeout | undefined
  return {
    name: 'grpc',
    port: () => port,
    async start() {
      port = await listen(server.listen(options.host, options.port), options)
      const update = (): void => setServing(isReady() && options.serving().isReady())
      update()
      watch = setInterval(update, HEALTH_MS)
      watch.unref()
    },
    async stop() {
      clearInterval(watch)
      setServing(false)
      await server.stop(STOP_PATIENCE_MS)
    },
  }
}

const listen = async (listening: Promise<number>, { host, port, setting }: GrpcDoorOptions): Promise<number> => {
  try {
    return await listening
  } catch (error) {
    throw new AndonError(
      'ANDON_PORT_BUSY',
      `${setting}: expected a free port on ${host}, found ${port} not available. Stop what uses it, or set ${setting} or ANDON_PORT_OFFSET.`,
      { cause: error },
    )
  }
}

/** Everything that can be called, by path. */
const methodsOf = (
  options: GrpcDoorOptions,
  health: HealthImplementation,
  errorOf: (error: unknown, path: string) => GrpcError,
): { unary: Map<string, UnaryMethod>; streams: Map<string, StreamMethod> } => {
  const { serving, settings, isReady, onRequest, onTimes } = options
  const infer = {
    serving,
    onRequest,
    onTimes,
    onTraced: (request: { model: string; id: string; durationMs: number }) => settings.traced({ ...request, door: 'grpc' }),
    errorOf,
  }
  const unary = inferenceRpcs({ serving, settings, isReady })
  unary.set(`/${SERVICE}/ModelInfer`, modelInfer(infer))
  const streams = new Map([[`/${SERVICE}/ModelStreamInfer`, modelStreamInfer(infer)]])
  const host = serviceHost(unary, streams)
  health.addToServer(host as Parameters<typeof health.addToServer>[0])
  reflection().addToServer(host)
  return { unary, streams }
}

/** Errors as statuses. Only an AndonError says what is wrong; of anything else the log knows more than the caller. */
const errorsOf =
  (logger: Logger) =>
  (error: unknown, method: string): GrpcError => {
    if (error instanceof GrpcError) return error
    const code = statusOf(error)
    if (code === status.INTERNAL) logger.error({ err: error, method }, 'gRPC request failed')
    return new GrpcError(
      code,
      error instanceof AndonError ? `${error.code}: ${error.message}` : 'ANDON_INTERNAL: the service failed; its log says why',
    )
  }

const statuses: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  409: status.FAILED_PRECONDITION,
  413: status.RESOURCE_EXHAUSTED,
  415: status.INVALID_ARGUMENT,
  422: status.INVALID_ARGUMENT,
  429: status.RESOURCE_EXHAUSTED,
  499: status.CANCELLED,
  501: status.UNIMPLEMENTED,
  502: status.UNAVAILABLE,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
}
const statusOf = (error: unknown): status => (error instanceof AndonError ? (statuses[error.status] ?? status.INTERNAL) : status.INTERNAL)

/** Reflection from the descriptor set that was generated beside the service's code. */
const reflection = (): ReflectionService => {
  const reader = new BinaryReader(descriptorSet())
  const files: Buffer[] = []
  while (reader.pos < reader.len) {
    reader.tag() // FileDescriptorSet has one field: file = 1
    files.push(Buffer.from(reader.bytes()))
  }
  const definition = { [SERVICE]: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos: files } }
  return new ReflectionService(definition as unknown as ConstructorParameters<typeof ReflectionService>[0])
}
