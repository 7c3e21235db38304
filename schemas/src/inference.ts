// The synchronous scoring door: generated messages, client and service definition, model configurations as Triton writes them, and the
// descriptor set for reflection.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export * from '../generated/proto/inference/grpc_service.ts'
export {
  DataType,
  ModelConfig,
  ModelDynamicBatching,
  ModelEnsembling,
  ModelInput,
  ModelInstanceGroup,
  ModelInstanceGroup_Kind,
  ModelOutput,
  ModelQueuePolicy,
  ModelQueuePolicy_TimeoutAction,
  ModelVersionPolicy,
  ModelWarmup,
  ModelWarmup_Input,
} from '../generated/proto/inference/model_config.ts'

/** A serialised google.protobuf.FileDescriptorSet of the door's .proto files. */
export const descriptorSet = (): Uint8Array => readFileSync(new URL('../generated/proto/descriptors.binpb', import.meta.url))

/** Folder of the .proto files, for readers that take them as text (config.pbtxt). */
export const protoDir: string = fileURLToPath(new URL('../proto', import.meta.url))
