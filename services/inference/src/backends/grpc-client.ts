// A client of any server that speaks Open Inference by gRPC: the scorer's way to the GPU servers, and the backend `andon_remote`.
// Raw tensors only. A dead, frozen or slow server costs its caller a typed, retriable error by the request's deadline, never more;
// what is held for it is bounded in number and bytes.

import type { InferAnswer, InferRequest } from '../serving/serving.ts'
import type { RemoteClient, RemoteModel } from './client.ts'

export interface InferenceClientOptions {
  /** `host:port`. */
  readonly target: string
  /** With TLS, against the system's certificates. */
  readonly tls?: boolean
  /** Longest wait for an answer where the request names no deadline, ms. Default 10 000. */
  readonly timeoutMs?: number
  /** Requests sent that have no answer yet; more wait their turn. Default 256. */
  readonly maxInFlight?: number
  /** Bytes of tensors in those requests. Default 64 MiB. */
  readonly maxInFlightBytes?: number
  /** Requests that wait their turn; one more is turned away. Default 8192. */
  readonly maxWaiting?: number
  /** Largest message in either direction. Default 64 MiB. */
  readonly maxMessageBytes?: number
  readonly onStateChange?: (state: ClientState, reason: string) => void
}

/** The stream: not asked for yet, in use, or refused until the next attempt because the server could not be reached. */
export type ClientState = 'idle' | 'open' | 'backing-off'

export interface InferenceClient extends RemoteClient {
  readonly state: ClientState
  /** Requests sent and waiting. */
  readonly pending: number
  /** One unary call. */
  infer(request: InferRequest): Promise<InferAnswer>
  /** Over the one stream that all requests share: the cheaper way for many. Answers come as they are done. */
  inferOverStream(request: InferRequest): Promise<InferAnswer>
  describe(model: string, version: string): Promise<RemoteModel>
}

export declare const openInferenceClient: (options: InferenceClientOptions) => InferenceClient
