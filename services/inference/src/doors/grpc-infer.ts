// ModelInfer and ModelStreamInfer: every scored row passes here, so bytes go to tensors and back by the codec of tensors/wire.ts.

import { status } from '@grpc/grpc-js'
import { deadlineExceeded } from '../errors.ts'
import type { InferAnswer, InferRequest, Serving } from '../serving/serving.ts'
import type { RequestTimes } from '../serving/triton-metrics.ts'
import { decodeInferRequest, encodeInferResponse, encodeStreamError, encodeStreamResponse } from '../tensors/wire.ts'
import type { InferMessage } from '../tensors/wire.ts'
import { giveBack } from './grpc-http2.ts'
import { HEADROOM } from './grpc-server.ts'
import type { GrpcCall, GrpcError, StreamMethod, UnaryMethod } from './grpc-server.ts'

export interface InferOptions {
  readonly serving: () => Serving
  /** Told how every scoring request ended. */
  readonly onRequest: (request: { isSuccess: boolean; durationMs: number }) => void
  /** Told where the time of one that was answered went. */
  readonly onTimes?: ((model: string, times: RequestTimes) => void) | undefined
  readonly onTraced: (request: { model: string; id: string; durationMs: number }) => void
  readonly errorOf: (error: unknown, path: string) => GrpcError
}

/** Requests of one stream that are being scored; the next one waits in the caller's window. */
const MOST_IN_FLIGHT = 256
/** Answers of one stream that its caller has not taken; nothing more is scored for it until it does. */
const MOST_UNREAD_BYTES = 4 * 1024 * 1024

const score = (options: InferOptions, message: InferMessage, { deadlineMs, signal }: GrpcCall): Promise<InferAnswer> => {
  const { model, version, id, parameters, inputs, outputs } = message
  if (deadlineMs !== undefined && deadlineMs <= performance.now()) throw deadlineExceeded()
  const request: InferRequest =
    deadlineMs === undefined
      ? { model, version, id, parameters, inputs, outputs, signal }
      : { model, version, id, parameters, inputs, outputs, signal, deadlineMs }
  return options.serving().infer(request)
}

const timed = ({ onTimes }: InferOptions, model: string, startedMs: number, readMs: number, scoredMs: number): void =>
  onTimes?.(model, {
    preprocessS: (readMs - startedMs) / 1000,
    predictS: (scoredMs - readMs) / 1000,
    postprocessS: (performance.now() - scoredMs) / 1000,
  })

export const modelInfer =
  (options: InferOptions): UnaryMethod =>
  async (bytes, call) => {
    const startedMs = performance.now()
    let isSuccess = false
    try {
      const message = decodeInferRequest(bytes)
      const readMs = performance.now()
      const answer = await score(options, message, call)
      const scoredMs = performance.now()
      const response = encodeInferResponse(message.id, answer)
      giveBack(bytes) // it was run: nobody reads its tensors any more
      isSuccess = true
      timed(options, answer.model, startedMs, readMs, scoredMs)
      options.onTraced({ model: answer.model, id: message.id, durationMs: performance.now() - startedMs })
      return response
    } finally {
      options.onRequest({ isSuccess, durationMs: performance.now() - startedMs })
    }
  }

/**
 * Answers come as they are done. What is wrong with a request is said in its answer and the stream goes on, unless the caller
 * asked for statuses (metadata `triton_grpc_error: true`). A caller that does not read is not read from.
 */
export const modelStreamInfer =
  (options: InferOptions): StreamMethod =>
  (call, peer) => {
    const wantsStatus = call.metadata.get('triton_grpc_error') === 'true'
    let inFlight = 0
    let hasEnded = false
    let isOver = false
    let isPaused = false

    const settle = (): void => {
      if (isOver) return
      const isFull = inFlight >= MOST_IN_FLIGHT || peer.pendingBytes() > MOST_UNREAD_BYTES
      if (isFull !== isPaused) {
        isPaused = isFull
        if (isFull) peer.pause()
        else peer.resume()
      }
      if (hasEnded && inFlight === 0) {
        isOver = true
        peer.end()
      }
    }
    const fail = (error: unknown, id: string): void => {
      if (isOver) return
      const refused = options.errorOf(error, call.path)
      // The only deadline a request of a stream has is the stream's own: it ends as a whole, as it would a moment later.
      const isStreamsEnd = refused.code === status.DEADLINE_EXCEEDED
      if (!wantsStatus && !isStreamsEnd) return peer.write(encodeStreamError(id, refused.message))
      isOver = true
      peer.end(refused)
    }
    const one = async (bytes: Buffer): Promise<void> => {
      const startedMs = performance.now()
      let id = ''
      let isSuccess = false
      try {
        const message = decodeInferRequest(bytes)
        ;({ id } = message)
        const readMs = performance.now()
        const answer = await score(options, message, call)
        const scoredMs = performance.now()
        // No model answers more than once: the one answer is the final one, and an empty one after it would say nothing.
        const final = { ...answer, parameters: { ...answer.parameters, triton_final_response: true } }
        peer.write(encodeStreamResponse(id, final, HEADROOM), true)
        giveBack(bytes)
        isSuccess = true
        timed(options, answer.model, startedMs, readMs, scoredMs)
        options.onTraced({ model: answer.model, id, durationMs: performance.now() - startedMs })
      } catch (error) {
        fail(error, id)
      }
      options.onRequest({ isSuccess, durationMs: performance.now() - startedMs })
      inFlight--
      settle()
    }
    return {
      message(bytes) {
        if (isOver) return
        inFlight++
        void one(bytes) // never rejects
        settle()
      },
      end() {
        hasEnded = true
        settle()
      },
      cancelled() {
        isOver = true
      },
      drained: settle,
    }
  }
