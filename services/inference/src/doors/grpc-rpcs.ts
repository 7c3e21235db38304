// The rpcs of inference.GRPCInferenceService but the two that score: what is asked of the catalogue and the settings, as the protocol's
// messages. Shared memory is not there: its status is empty, giving all of it back succeeds, the rest is UNIMPLEMENTED.

import { codeVersion } from '@andon/kit/code-version'
import { GRPCInferenceServiceService as definition } from '@andon/schemas/inference'
import type {
  GRPCInferenceServiceServer,
  LogSettingsRequest,
  LogSettingsResponse,
  ModelMetadataResponse_TensorMetadata,
  RepositoryModelLoadRequest,
  TraceSettingRequest,
  TraceSettingResponse,
} from '@andon/schemas/inference'
import type { handleUnaryCall } from '@grpc/grpc-js'
import { invalidRequest, unsupported } from '../errors.ts'
import type { LoadOptions, Serving } from '../serving/serving.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import type { UnaryMethod } from './grpc-server.ts'
import type { DoorSettings, LogSettings, TraceSettings } from './settings.ts'

export const serverName = 'andon-inference'
/** What of the protocol's extensions exists here, by both doors. */
export const serverExtensions: readonly string[] = [
  'classification',
  'model_repository',
  'model_repository(unload_dependents)',
  'schedule_policy',
  'model_configuration',
  'binary_tensor_data',
  'parameters',
  'statistics',
  'trace',
  'logging',
]

export interface RpcOptions {
  readonly serving: () => Serving
  readonly settings: DoorSettings
  /** False until the service has started and when it stops. */
  readonly isReady: () => boolean
}

type Rpcs = {
  [
    Name in keyof GRPCInferenceServiceServer as string extends Name ? never : Name
  ]?: GRPCInferenceServiceServer[Name] extends handleUnaryCall<infer Request, infer Response>
    ? (request: Request) => Response | Promise<Response>
    : never
}

export const inferenceRpcs = (options: RpcOptions): Map<string, UnaryMethod> => {
  const methods = new Map<string, UnaryMethod>()
  for (const [name, rpc] of Object.entries(rpcsOf(options))) {
    const { path, requestDeserialize, responseSerialize } = definition[name as 'serverLive']
    const answer = rpc as (request: unknown) => unknown
    methods.set(path, async (bytes) => {
      let request: unknown
      try {
        request = requestDeserialize(bytes)
      } catch (error) {
        throw invalidRequest(`The message cannot be read: ${error instanceof Error ? error.message : String(error)}`)
      }
      return responseSerialize((await answer(request)) as never)
    })
  }
  return methods
}

const rpcsOf = ({ serving, settings, isReady }: RpcOptions): Rpcs => ({
  serverLive: () => ({ live: true }),
  serverReady: () => ({ ready: isReady() && serving().isReady() }),
  modelReady: ({ name, version }) => ({ ready: serving().isModelReady(name, version) }),
  serverMetadata: () => ({ name: serverName, version: codeVersion(), extensions: [...serverExtensions] }),
  modelMetadata: async ({ name, version }) => {
    const model = await serving().describe(name, version)
    return {
      name: model.name,
      versions: [...model.versions],
      platform: model.platform,
      inputs: model.inputs.map(metadataOf),
      outputs: model.outputs.map(metadataOf),
    }
  },
  modelConfig: async ({ name, version }) => ({ config: (await serving().describe(name, version)).config }),
  modelStatistics: ({ name, version }) => ({ modelStats: [...serving().statistics(name, version)] }),
  repositoryIndex: ({ ready }) => ({
    models: serving()
      .index()
      .filter(({ state }) => !ready || state === 'READY')
      .map((entry) => ({ ...entry })),
  }),
  repositoryModelLoad: async (request) => {
    const name = nameOf(request)
    await serving().load(name, loadOptions(request))
    return { modelName: name, isLoaded: true }
  },
  repositoryModelUnload: async (request) => {
    const name = nameOf(request)
    await serving().unload(name, { withDependents: withDependents(request) })
    return { modelName: name, isUnloaded: true }
  },
  systemSharedMemoryStatus: () => ({ regions: {} }),
  cudaSharedMemoryStatus: () => ({ regions: {} }),
  systemSharedMemoryUnregister: ({ name }) => nothingShared(name),
  cudaSharedMemoryUnregister: ({ name }) => nothingShared(name),
  systemSharedMemoryRegister: () => noSharedMemory(),
  cudaSharedMemoryRegister: () => noSharedMemory(),
  traceSetting: ({ settings: wanted, modelName }) => traceResponse(changedTrace(settings, modelName, wanted)),
  logSettings: ({ settings: wanted }) => logResponse(changedLog(settings, wanted)),
})

const metadataOf = ({ name, datatype, shape }: TensorSpec): ModelMetadataResponse_TensorMetadata => ({
  name,
  datatype,
  shape: shape.map(BigInt),
})

/** Triton's form has the model in field 2, KServe's in field 1. */
const nameOf = ({ modelName, repositoryName }: Pick<RepositoryModelLoadRequest, 'modelName' | 'repositoryName'>): string => {
  const name = modelName === '' ? repositoryName : modelName
  if (name === '') throw invalidRequest('model_name: expected the name of a model, got none')
  return name
}

const loadOptions = ({ parameters }: RepositoryModelLoadRequest): LoadOptions => {
  let config: string | undefined
  const files = new Map<string, Uint8Array>()
  for (const [name, { parameterChoice: choice }] of Object.entries(parameters)) {
    if (name === 'config') {
      if (choice?.$case !== 'stringParam') throw invalidRequest(`parameter config: expected string_param, got ${choice?.$case ?? 'none'}`)
      config = choice.value
    } else if (name.startsWith('file:')) {
      if (choice?.$case !== 'bytesParam') throw invalidRequest(`parameter ${name}: expected bytes_param, got ${choice?.$case ?? 'none'}`)
      files.set(name.slice('file:'.length), choice.value)
    } else throw invalidRequest(`parameter ${name}: expected config or file:<version>/<name>`)
  }
  return { ...(config === undefined ? {} : { config }), ...(files.size === 0 ? {} : { files }) }
}

const withDependents = ({ parameters }: RepositoryModelLoadRequest): boolean => {
  const choice = parameters['unload_dependents']?.parameterChoice
  if (choice === undefined) return false
  if (choice.$case !== 'boolParam') throw invalidRequest(`parameter unload_dependents: expected bool_param, got ${choice.$case}`)
  return choice.value
}

const noSharedMemory = (): never => {
  throw unsupported('Shared memory is not there: send tensors in the message')
}

/** An empty name means every region, of which there is none. */
const nothingShared = (name: string): Record<string, never> => (name === '' ? {} : noSharedMemory())

const changedTrace = (settings: DoorSettings, model: string, wanted: TraceSettingRequest['settings']): TraceSettings => {
  const changes = Object.entries(wanted)
  if (changes.length === 0) return settings.trace(model)
  return settings.changeTrace(model, Object.fromEntries(changes.map(([name, { value }]) => [name, value.length === 0 ? null : value])))
}

const traceResponse = (settings: TraceSettings): TraceSettingResponse => ({
  settings: Object.fromEntries(
    Object.entries(settings).map(([name, value]: [string, string | readonly string[]]) => [
      name,
      { value: typeof value === 'string' ? [value] : [...value] },
    ]),
  ),
})

const changedLog = (settings: DoorSettings, wanted: LogSettingsRequest['settings']): LogSettings => {
  const changes = Object.entries(wanted)
  if (changes.length === 0) return settings.log()
  return settings.changeLog(Object.fromEntries(changes.map(([name, { parameterChoice }]) => [name, parameterChoice?.value ?? null])))
}

const logResponse = (settings: LogSettings): LogSettingsResponse => ({
  settings: Object.fromEntries(
    Object.entries(settings).map(([name, value]: [string, boolean | number | string]) => [name, { parameterChoice: logValue(value) }]),
  ),
})

type LogChoice = NonNullable<LogSettingsResponse['settings'][string]['parameterChoice']>

const logValue = (value: boolean | number | string): LogChoice => {
  if (typeof value === 'boolean') return { $case: 'boolParam', value }
  return typeof value === 'number' ? { $case: 'uint32Param', value } : { $case: 'stringParam', value }
}
