// What a client of another inference server offers, whichever way it speaks: requests and answers as the doors have them, a time by
// which every request is answered or rejected, and errors that say whether another try can help.

import type { InferAnswer, InferRequest } from '../serving/serving.ts'
import type { ModelIo } from '../tensors/tensors.ts'

/** How the other server is spoken to: Open Inference by gRPC, by JSON, by JSON with binary tensors behind it; BentoML's and Ray Serve's plain JSON. */
export const remoteProtocols = ['grpc', 'http', 'http-binary', 'bentoml', 'ray'] as const
export type RemoteProtocol = (typeof remoteProtocols)[number]

/** What the other server says about a model. */
export interface RemoteModel extends ModelIo {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
}

export interface RemoteClient {
  /** `host:port` or URL, for messages. */
  readonly target: string
  /**
   * Answers once, by the request's `deadlineMs` or after the client's timeout at the latest. An answer's tensors have the sizes that
   * their shapes say. Rejects with an AndonError; a lost answer is retriable.
   */
  infer(request: InferRequest): Promise<InferAnswer>
  /** Name and version of the server. */
  server(): Promise<{ readonly name: string; readonly version: string }>
  /** Undefined where the protocol has no metadata. */
  describe(model: string, version: string): Promise<RemoteModel | undefined>
  /** Never rejects: a server that does not answer is not ready. */
  isServerReady(): Promise<boolean>
  isModelReady(model: string, version: string): Promise<boolean>
  /** Rejects what waits, ends the connection. */
  close(): Promise<void>
}
