// A gRPC server of the protocol that answers as a test says, rightly or not: for what no honest server does on request.

import type { TestContext } from 'node:test'
import { GRPCInferenceServiceService, ModelInferResponse, ModelStreamInferResponse } from '@andon/schemas/inference'
import type { GRPCInferenceServiceServer, ModelInferRequest } from '@andon/schemas/inference'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'

type Stream = ServerDuplexStream<ModelInferRequest, ModelStreamInferResponse>

export interface Fake {
  readonly target: string
  readonly port: number
  /** Every connection is cut, nobody listens any more. */
  kill(): void
}

export const fakeServer = async (t: TestContext, handlers: Partial<GRPCInferenceServiceServer>, port = 0): Promise<Fake> => {
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(GRPCInferenceServiceService, handlers as GRPCInferenceServiceServer)
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, free) =>
      error === null ? resolve(free) : reject(error),
    )
  })
  const kill = (): void => server.forceShutdown()
  t.after(kill)
  return { target: `127.0.0.1:${bound}`, port: bound, kill }
}

/** The request's tensors, given back. */
export const echoOf = (request: ModelInferRequest): ModelInferResponse =>
  ModelInferResponse.fromPartial({
    modelName: request.modelName,
    modelVersion: '1',
    id: request.id,
    outputs: request.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    rawOutputContents: request.rawInputContents,
  })

/** `answer` says what comes back for each request of a stream; undefined: nothing does. */
export const streaming = (
  answer: (request: ModelInferRequest, stream: Stream) => Partial<ModelStreamInferResponse> | undefined,
): Partial<GRPCInferenceServiceServer> => ({
  modelStreamInfer: (stream) => {
    stream.on('data', (request: ModelInferRequest) => {
      const response = answer(request, stream)
      if (response !== undefined) stream.write(ModelStreamInferResponse.fromPartial(response))
    })
    stream.on('end', () => stream.end())
    stream.on('error', () => {})
  },
})

export const answering = (
  answer: (request: ModelInferRequest) => ModelInferResponse | Error | undefined,
): Partial<GRPCInferenceServiceServer> => ({
  modelInfer: (call: ServerUnaryCall<ModelInferRequest, ModelInferResponse>, callback: sendUnaryData<ModelInferResponse>) => {
    const response = answer(call.request)
    if (response instanceof Error) callback(response)
    else if (response !== undefined) callback(null, response)
  },
})
