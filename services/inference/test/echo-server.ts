// A process that a test can freeze: gives tensors back, over calls and streams, on the port of its argument. Prints a line once it listens.

import { GRPCInferenceServiceService, ModelStreamInferResponse } from '@andon/schemas/inference'
import type { GRPCInferenceServiceServer, ModelInferRequest, ModelInferResponse } from '@andon/schemas/inference'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { echoOf } from './fake-server.ts'

const server = new Server({ 'grpc.max_receive_message_length': -1 })
server.addService(GRPCInferenceServiceService, {
  serverReady: (_call, callback) => callback(null, { ready: true }),
  modelInfer: (call, callback) => callback(null, echoOf(call.request) satisfies ModelInferResponse),
  modelStreamInfer: (stream) => {
    stream.on('data', (request: ModelInferRequest) =>
      stream.write(ModelStreamInferResponse.fromPartial({ inferResponse: echoOf(request) })),
    )
    stream.on('end', () => stream.end())
    stream.on('error', () => {})
  },
} as Partial<GRPCInferenceServiceServer> as GRPCInferenceServiceServer)
server.bindAsync(`127.0.0.1:${process.argv[2] ?? '0'}`, ServerCredentials.createInsecure(), (_error, port) => console.log(port))
