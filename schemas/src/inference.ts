// The synchronous scoring door: generated messages, client and service definition, and the descriptor set for reflection.

import { readFileSync } from 'node:fs'

export * from '../generated/proto/inference/grpc_service.ts'

/** A serialised google.protobuf.FileDescriptorSet of the door's .proto files. */
export const descriptorSet = (): Uint8Array => readFileSync(new URL('../generated/proto/descriptors.binpb', import.meta.url))
