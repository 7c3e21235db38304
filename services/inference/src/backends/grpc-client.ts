// A client of any server that speaks Open Inference by gRPC: the scorer's way to the GPU servers, and the backend `andon_remote`.
// Raw tensors only. A dead, frozen or slow server costs its caller a typed, retriable error by the request's deadline, never more;
// what is held for it is bounded in number and bytes.

import {
  ModelMetadataRequest,
  ModelMetadataResponse,
  ModelReadyRequest,
  ModelReadyResponse,
  ServerMetadataRequest,
  ServerMetadataResponse,
  ServerReadyRequest,
  ServerReadyResponse,
} from '@andon/schemas/inference'
import { AndonError } from '@andon/kit/errors'
import { Client, Metadata, credentials, status } from '@grpc/grpc-js'
import type { CallOptions, ClientUnaryCall, ServiceError } from '@grpc/grpc-js'
import { giveBack } from '../doors/grpc-http2.ts'
import { cancelled, serverAnswerWrong, serverBusy, serverTimeout, serverUnreachable, stopping } from '../errors.ts'
import type { InferAnswer, InferRequest } from '../serving/serving.ts'
import type { TensorSpec } from '../tensors/tensors.ts'
import { isDatatype } from '../tensors/tensors.ts'
import { answerStream } from './answer-stream.ts'
import type { ClientState, Duplex, DuplexListener } from './answer-stream.ts'
import type { RemoteClient, RemoteModel } from './client.ts'
import { decodeAnswer, encodeRequest, errorOfStatus } from './messages.ts'

export type { ClientState } from './answer-stream.ts'

export interface InferenceClientOptions {
  /** `host:port`. */
  readonly target: string
  /** With TLS, against the system's certificates. */
  readonly tls?: boolean
  /** Longest wait for an answer where the request names no deadline, ms. Default 10 000. */
  readonly timeoutMs?: number
  /** Requests sent that have no answer yet, unary and on the stream each; more wait their turn on the stream, and are turned away as unary ones. Default 256. */
  readonly maxInFlight?: number
  /** Bytes of tensors in those requests. Default 64 MiB. */
  readonly maxInFlightBytes?: number
  /** Requests that wait their turn; one more is turned away. Default 8192. */
  readonly maxWaiting?: number
  /** Largest message in either direction. Default 64 MiB. */
  readonly maxMessageBytes?: number
  /** Told about the stream. */
  readonly onStateChange?: (state: ClientState, reason: string) => void
}

export interface InferenceClient extends RemoteClient {
  /** Of the stream. */
  readonly state: ClientState
  /** Requests sent and waiting. */
  readonly pending: number
  /** One unary call. */
  infer(request: InferRequest): Promise<InferAnswer>
  /** Over the one stream that all requests share: the cheaper way for many. Answers come as they are done. */
  inferOverStream(request: InferRequest): Promise<InferAnswer>
  describe(model: string, version: string): Promise<RemoteModel>
}

const SERVICE = '/inference.GRPCInferenceService'
/** Longest wait for an answer that says how the server is. */
const HEALTH_TIMEOUT_MS = 2_000

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const same = (bytes: Buffer): Buffer => bytes

export const openInferenceClient = (options: InferenceClientOptions): InferenceClient => {
  const { target } = options
  const timeoutMs = options.timeoutMs ?? 10_000
  const maxInFlight = options.maxInFlight ?? 256
  const maxInFlightBytes = options.maxInFlightBytes ?? 64 * 1024 * 1024
  const maxMessageBytes = options.maxMessageBytes ?? 64 * 1024 * 1024
  const open = new Set<ClientUnaryCall>()
  let calls = 0
  let callBytes = 0
  let isClosed = false

  const connect = (): Client =>
    new Client(target, options.tls === true ? credentials.createSsl() : credentials.createInsecure(), {
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.enable_retries': 0, // a retry would keep every message; who calls decides about another try
      'grpc.use_local_subchannel_pool': 1, // a stream taken for dead takes its connection with it
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 5_000,
    })
  let client: Client | undefined

  const unary = <Request, Response>(
    method: string,
    encode: (request: Request) => Uint8Array,
    decode: (bytes: Uint8Array) => Response,
    request: Request,
    { deadlineMs, signal }: Pick<InferRequest, 'deadlineMs' | 'signal'> = {},
  ): Promise<Response> => {
    if (isClosed) return Promise.reject(stopping())
    if (signal?.aborted === true) return Promise.reject(cancelled())
    const waitMs = deadlineMs === undefined ? timeoutMs : deadlineMs - performance.now()
    if (waitMs <= 0) return Promise.reject(serverTimeout(target, 0))
    return new Promise((resolve, reject) => {
      const settings: CallOptions = { deadline: Date.now() + Math.ceil(waitMs) }
      client ??= connect()
      const call = client.makeUnaryRequest(
        `${SERVICE}/${method}`,
        (message: Request) => asBuffer(encode(message)),
        same,
        request,
        new Metadata(),
        settings,
        (error: ServiceError | null, bytes?: Buffer) => {
          open.delete(call)
          signal?.removeEventListener('abort', abort)
          if (error !== null) {
            reject(isClosed ? stopping() : errorOfStatus(error.code, error.details, target, waitMs, error))
            return
          }
          try {
            resolve(decode(bytes!))
          } catch (cause) {
            reject(cause instanceof AndonError ? cause : serverAnswerWrong(target, `${method} cannot be read`, cause))
          }
        },
      )
      open.add(call)
      const abort = (): void => call.cancel()
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  const describe = async (name: string, version: string): Promise<RemoteModel> => {
    const metadata = await unary(
      'ModelMetadata',
      (request: ModelMetadataRequest) => ModelMetadataRequest.encode(request).finish(),
      (bytes) => ModelMetadataResponse.decode(bytes),
      { name, version },
    )
    const specOf = (tensor: ModelMetadataResponse['inputs'][number]): TensorSpec => {
      if (!isDatatype(tensor.datatype)) throw serverAnswerWrong(target, `tensor ${tensor.name} has the datatype "${tensor.datatype}"`)
      return { name: tensor.name, datatype: tensor.datatype, shape: tensor.shape.map(Number) }
    }
    const { versions, platform } = metadata
    return { name: metadata.name, versions, platform, inputs: metadata.inputs.map(specOf), outputs: metadata.outputs.map(specOf) }
  }

  /** Whatever cut the stream, its requests may be asked again; a server that has none says so to each. */
  const streamError = (error: ServiceError): Error =>
    error.code === status.UNIMPLEMENTED
      ? errorOfStatus(error.code, error.details, target, timeoutMs, error)
      : serverUnreachable(target, error.details, error)

  /** A connection of its own, so that a dead stream can be thrown away with it. */
  const openDuplex = (listener: DuplexListener): Duplex => {
    const own = connect()
    let isOver = false
    const call = own.makeBidiStreamRequest(`${SERVICE}/ModelStreamInfer`, asBuffer, same, new Metadata())
    const end = (reason: string, error: Error): void => {
      if (isOver) return
      isOver = true
      listener.onEnd(reason, error)
    }
    call.on('data', (bytes: Buffer) => {
      if (!isOver) listener.onMessage(bytes)
    })
    call.on('drain', () => listener.onDrain())
    call.on('error', (error: ServiceError) => end(error.details, streamError(error)))
    call.on('status', () => end('the server ended the stream', serverUnreachable(target, 'the server ended the stream')))
    return {
      // grpc-js has copied it behind its prefix before it calls back. Left to the collector, what was sent costs more than sending it.
      write: (message) => call.write(message, () => giveBack(asBuffer(message))),
      destroy: () => {
        isOver = true
        call.cancel()
        own.close()
      },
    }
  }

  const stream = answerStream({
    target,
    timeoutMs,
    maxInFlight,
    maxInFlightBytes,
    maxWaiting: options.maxWaiting ?? 8192,
    maxMessageBytes,
    open: openDuplex,
    ...(options.onStateChange === undefined ? {} : { onStateChange: options.onStateChange }),
  })

  const isTrue = (answer: Promise<{ readonly ready: boolean }>): Promise<boolean> =>
    answer.then(
      ({ ready }) => ready,
      () => false,
    )
  const soon = (): { deadlineMs: number } => ({ deadlineMs: performance.now() + Math.min(timeoutMs, HEALTH_TIMEOUT_MS) })

  return {
    target,
    get state() {
      return stream.state
    },
    get pending() {
      return stream.pending + calls
    },
    async infer(request) {
      const bytes = request.inputs.reduce((sum, input) => sum + input.bytes.byteLength, 0)
      if (calls >= maxInFlight || (calls > 0 && callBytes + bytes > maxInFlightBytes))
        throw serverBusy(target, `${calls} calls are on their way`)
      calls += 1
      callBytes += bytes
      try {
        const encode = (asked: InferRequest): Uint8Array => encodeRequest(asked, asked.id, asked.parameters)
        return await unary('ModelInfer', encode, (answer) => decodeAnswer(answer, target), request, request)
      } finally {
        calls -= 1
        callBytes -= bytes
      }
    },
    inferOverStream: (request) => stream.infer(request),
    describe,
    server: () =>
      unary(
        'ServerMetadata',
        () => ServerMetadataRequest.encode({}).finish(),
        (bytes) => ServerMetadataResponse.decode(bytes),
        {},
      ),
    isServerReady: () =>
      isTrue(
        unary(
          'ServerReady',
          () => ServerReadyRequest.encode({}).finish(),
          (bytes) => ServerReadyResponse.decode(bytes),
          {},
          soon(),
        ),
      ),
    isModelReady: (name, version) =>
      isTrue(
        unary(
          'ModelReady',
          (request: ModelReadyRequest) => ModelReadyRequest.encode(request).finish(),
          (bytes) => ModelReadyResponse.decode(bytes),
          { name, version },
          soon(),
        ),
      ),
    async close() {
      if (isClosed) return
      isClosed = true
      stream.close()
      for (const call of open) call.cancel()
      client?.close()
    },
  }
}
