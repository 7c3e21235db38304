// The gRPC door: Open Inference Protocol v2, grpc.health.v1 and reflection. It converts messages and maps errors to status codes;
// scoring itself happens on worker threads, so the door answers probes while models run.

import { AndonError } from '@andon/kit'
import type { Logger, Part } from '@andon/kit'
import { codeVersion } from '@andon/kit/code-version'
import { GRPCInferenceServiceService, descriptorSet } from '@andon/schemas/inference'
import type {
  GRPCInferenceServiceServer,
  InferParameter,
  ModelInferRequest,
  ModelInferResponse,
  ModelMetadataResponse_TensorMetadata,
} from '@andon/schemas/inference'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import { Server, ServerCredentials, logVerbosity, setLogVerbosity, status } from '@grpc/grpc-js'
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import { readInputs } from '../tensors/contents.ts'
import { invalidRequest } from '../errors.ts'
import type { InferAnswer, InferenceDoor } from '../serving/infer.ts'
import type { TensorSpec } from '../tensors/tensors.ts'

/** Largest message in either direction. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024
const SERVICE = 'inference.GRPCInferenceService'

export const serverName = 'andon-inference'
/** What of the protocol's extensions exists here. */
export const serverExtensions: readonly string[] = ['parameters']

export interface GrpcDoorOptions {
  readonly host: string
  readonly port: number
  readonly setting: string
  readonly door: () => InferenceDoor
  readonly isReady: () => boolean
  /** Told how every scoring request ended. */
  readonly onRequest: (request: { isSuccess: boolean; durationMs: number }) => void
  readonly logger: Logger
}

export interface GrpcDoor extends Part {
  /** Port it listens on, once started. */
  port(): number
}

export const grpcDoor = (options: GrpcDoorOptions): GrpcDoor => {
  let port = options.port
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES, 'grpc.max_send_message_length': MAX_MESSAGE_BYTES })
  const health = new HealthImplementation({ '': 'NOT_SERVING', [SERVICE]: 'NOT_SERVING' })
  server.addService(GRPCInferenceServiceService, handlers(options))
  health.addToServer(server)
  reflection().addToServer(server)
  const serving = (state: 'SERVING' | 'NOT_SERVING'): void => ['', SERVICE].forEach((name) => health.setStatus(name, state))
  let watch: NodeJS.Timeout | undefined
  return {
    name: 'grpc',
    port: () => port,
    async start() {
      port = await bind(server, options)
      const update = (): void => serving(options.isReady() ? 'SERVING' : 'NOT_SERVING')
      update()
      watch = setInterval(update, 1_000)
      watch.unref()
    },
    async stop() {
      clearInterval(watch)
      serving('NOT_SERVING')
      await new Promise<void>((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), 3_000) // watchers of the health service never end by themselves
        server.tryShutdown(() => {
          clearTimeout(force)
          resolve()
        })
      })
    },
  }
}

const bind = (server: Server, { host, port, setting }: GrpcDoorOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    setLogVerbosity(logVerbosity.NONE) // it would print a line of its own next to our message
    server.bindAsync(`${host.includes(':') ? `[${host}]` : host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      setLogVerbosity(logVerbosity.ERROR)
      if (error === null) resolve(bound)
      else
        reject(
          portBusy(
            `${setting}: expected a free port on ${host}, found ${port} not available. Stop what uses it, or set ${setting} or ANDON_PORT_OFFSET.`,
            error,
          ),
        )
    })
  })

const portBusy = (message: string, cause: Error): AndonError => new AndonError('ANDON_PORT_BUSY', message, { cause })

const handlers = ({ door, isReady, onRequest, logger }: GrpcDoorOptions): GRPCInferenceServiceServer => {
  const unary =
    <Request, Response>(answer: (request: Request, signal: AbortSignal) => Promise<Response> | Response) =>
    (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
      const abort = new AbortController()
      call.on('cancelled', () => abort.abort())
      const respond = async (): Promise<void> => {
        let response: Response
        try {
          response = await answer(call.request, abort.signal)
        } catch (error) {
          callback(errorOf(error, call.getPath()))
          return
        }
        callback(null, response)
      }
      void respond() // never rejects
    }
  const errorOf = (error: unknown, method: string): { code: status; details: string } => {
    const code = statusOf(error)
    if (code === status.INTERNAL) logger.error({ err: error, method }, 'gRPC request failed')
    return {
      code,
      details: error instanceof AndonError ? `${error.code}: ${error.message}` : 'ANDON_INTERNAL: the service failed; its log says why',
    }
  }
  return {
    serverLive: unary(() => ({ live: true })),
    serverReady: unary(() => ({ ready: isReady() })),
    modelReady: unary(async ({ name, version }) => ({ ready: await door().isModelReady(name, version) })),
    serverMetadata: unary(() => ({ name: serverName, version: codeVersion(), extensions: [...serverExtensions] })),
    modelMetadata: unary(async ({ name, version }) => {
      const { model, versions, io } = await door().describe(name, version)
      return {
        name: model.model,
        versions,
        platform: 'onnxruntime_onnx',
        inputs: io.inputs.map(metadataOf),
        outputs: io.outputs.map(metadataOf),
      }
    }),
    modelInfer: unary(async (request: ModelInferRequest, signal) => {
      const startedMs = performance.now()
      let answer: InferAnswer | undefined
      try {
        answer = await door().infer({
          model: request.modelName,
          version: request.modelVersion,
          assetId: assetOf(request),
          inputs: readInputs(request),
          outputs: request.outputs.map(({ name }) => name),
          signal,
        })
        return responseOf(request.id, answer)
      } finally {
        onRequest({ isSuccess: answer !== undefined, durationMs: performance.now() - startedMs })
      }
    }),
  } as Partial<GRPCInferenceServiceServer> as GRPCInferenceServiceServer // what is missing is answered UNIMPLEMENTED
}

const assetOf = ({ parameters }: ModelInferRequest): string | undefined => {
  const choice = parameters['andon_asset']?.parameterChoice
  if (choice === undefined) return undefined
  if (choice.$case !== 'stringParam') throw invalidRequest(`parameter andon_asset: expected string_param, got ${choice.$case}`)
  return choice.value
}

const responseOf = (id: string, { model, outputs, parameters }: InferAnswer): ModelInferResponse => ({
  modelName: model.model,
  modelVersion: String(model.version),
  id,
  parameters: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, parameterOf(value)])),
  outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt), parameters: {}, contents: undefined })),
  rawOutputContents: outputs.map(({ bytes }) => bytes),
})

const parameterOf = (value: string | bigint | boolean): InferParameter => {
  if (typeof value === 'string') return { parameterChoice: { $case: 'stringParam', value } }
  if (typeof value === 'bigint') return { parameterChoice: { $case: 'int64Param', value } }
  return { parameterChoice: { $case: 'boolParam', value } }
}

const metadataOf = ({ name, datatype, shape }: TensorSpec): ModelMetadataResponse_TensorMetadata => ({
  name,
  datatype,
  shape: shape.map(BigInt),
})

const statusOf = (error: unknown): status => {
  if (!(error instanceof AndonError)) return status.INTERNAL
  const byHttp: Readonly<Record<number, status>> = {
    400: status.INVALID_ARGUMENT,
    404: status.NOT_FOUND,
    499: status.CANCELLED,
    503: status.UNAVAILABLE,
  }
  return byHttp[error.status] ?? status.INTERNAL
}

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
