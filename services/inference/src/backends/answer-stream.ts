// One stream to another server that many requests share, matched to their answers by an id of our own. At most so many requests, with
// so many bytes, are on their way; the rest wait in line. Who waits longer than it may is told so, and a stream on which nothing has
// come since then is taken for dead: it is thrown away with all it holds, and tried again after a pause that doubles.

import { messageOf } from '@andon/kit/errors'
import { cancelled, invalidRequest, serverAnswerWrong, serverBusy, serverTimeout, serverUnreachable, stopping } from '../errors.ts'
import type { InferAnswer, InferRequest } from '../serving/serving.ts'
import { decodeStreamAnswer, encodeRequest } from './messages.ts'

/** The stream: not asked for yet, in use, or refused until the next attempt because the server could not be reached. */
export type ClientState = 'idle' | 'open' | 'backing-off'

/** One connection's stream of messages. */
export interface Duplex {
  /** False: nothing more until `onDrain`. */
  write(message: Uint8Array): boolean
  /** Gives the connection and what it buffers back; nothing is told any more. */
  destroy(): void
}

export interface DuplexListener {
  onMessage(bytes: Uint8Array): void
  onDrain(): void
  /** Called once at most, with what everybody who waits is told. */
  onEnd(reason: string, error: Error): void
}

export interface AnswerStreamOptions {
  readonly target: string
  readonly timeoutMs: number
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
  readonly maxWaiting: number
  readonly maxMessageBytes: number
  readonly open: (listener: DuplexListener) => Duplex
  readonly onStateChange?: (state: ClientState, reason: string) => void
}

export interface AnswerStream {
  readonly state: ClientState
  /** Requests that wait or are on their way. */
  readonly pending: number
  infer(request: InferRequest): Promise<InferAnswer>
  close(): void
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

interface Asked {
  readonly request: InferRequest
  readonly bytes: number
  readonly deadlineMs: number
  readonly waitMs: number
  /** Empty once the caller has its answer or its error. */
  settle: { readonly resolve: (answer: InferAnswer) => void; readonly reject: (error: Error) => void } | undefined
  onAbort?: () => void
  sentMs: number
}

export const answerStream = (options: AnswerStreamOptions): AnswerStream => {
  const { target } = options
  const waiting: Asked[] = []
  const sent = new Map<string, Asked>()
  let sentBytes = 0
  let stale = 0
  let nextId = 1
  let duplex: Duplex | undefined
  let isBlocked = false
  let lastHeardMs = 0
  let pauseMs = FIRST_PAUSE_MS
  let pause: NodeJS.Timeout | undefined
  let lastReason = ''
  let state: ClientState = 'idle'
  let wake: NodeJS.Timeout | undefined
  let wakeAtMs = Infinity
  let isClosed = false

  const changeTo = (next: ClientState, reason: string): void => {
    if (state === next) return
    state = next
    options.onStateChange?.(next, reason)
  }

  const settle = (asked: Asked, outcome: InferAnswer | Error): void => {
    const { settle: callbacks, request } = asked
    if (callbacks === undefined) return
    asked.settle = undefined
    if (asked.onAbort !== undefined) request.signal?.removeEventListener('abort', asked.onAbort)
    if (outcome instanceof Error) callbacks.reject(outcome)
    else callbacks.resolve(outcome)
  }

  /** Everything asked so far is rejected, the stream with all it buffers is gone, and the next one waits for its time. */
  const lose = (reason: string, error: Error): void => {
    const lost = duplex
    duplex = undefined
    isBlocked = false
    lost?.destroy()
    const all = [...sent.values(), ...waiting]
    sent.clear()
    waiting.length = 0
    sentBytes = 0
    stale = 0
    if (!isClosed) {
      lastReason = reason
      changeTo('backing-off', reason)
      clearTimeout(pause)
      pause = setTimeout(() => changeTo('idle', 'the next request tries again'), pauseMs)
      pause.unref()
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
    }
    for (const asked of all) settle(asked, error)
  }

  const listenerOf = (mine: () => Duplex | undefined): DuplexListener => ({
    onMessage: (bytes) => {
      if (mine() === duplex && !isClosed) heard(bytes)
    },
    onDrain: () => {
      if (mine() !== duplex) return
      isBlocked = false
      send()
    },
    onEnd: (reason, error) => {
      if (mine() === duplex && duplex !== undefined) lose(reason, error)
    },
  })

  const heard = (bytes: Uint8Array): void => {
    lastHeardMs = performance.now()
    pauseMs = FIRST_PAUSE_MS
    let id: string
    let outcome: InferAnswer | Error
    try {
      ;({ id, outcome } = decodeStreamAnswer(bytes, target))
    } catch (error) {
      lose('an answer could not be read', serverAnswerWrong(target, `a message of the stream cannot be read: ${messageOf(error)}`, error))
      return
    }
    const asked = sent.get(id)
    if (asked === undefined) {
      // An error that names no request can be anybody's: nobody may go on waiting, nobody may get another's answer.
      if (outcome instanceof Error) lose(outcome.message, serverUnreachable(target, `the stream broke: ${outcome.message}`, outcome))
      else lose('an answer to nothing', serverAnswerWrong(target, `an answer came with the id "${id}", which was not asked`))
      return
    }
    sent.delete(id)
    sentBytes -= asked.bytes
    if (asked.settle === undefined) stale--
    else settle(asked, outcome)
    send()
  }

  const send = (): void => {
    while (waiting.length > 0 && !isBlocked && sent.size < options.maxInFlight) {
      const next = waiting[0]!
      if (sent.size > 0 && sentBytes + next.bytes > options.maxInFlightBytes) return
      waiting.shift()
      if (next.settle === undefined) continue
      const id = String(nextId++)
      const message = messageFor(next, id)
      if (message instanceof Error) {
        settle(next, message)
        continue
      }
      if (duplex === undefined) openDuplex()
      next.sentMs = performance.now()
      sent.set(id, next)
      sentBytes += next.bytes
      isBlocked = !duplex!.write(message)
    }
  }

  /** What cannot be sent is its caller's trouble alone: on the stream it would be everybody's. */
  const messageFor = ({ request, deadlineMs }: Asked, id: string): Uint8Array | Error => {
    const leftUs = Math.max(1, Math.round((deadlineMs - performance.now()) * 1000))
    try {
      // With `timeout`, where the server honours it, no time is spent on a request that nobody waits for.
      const message = encodeRequest(request, id, { timeout: BigInt(leftUs), ...request.parameters })
      if (message.byteLength <= options.maxMessageBytes) return message
      return invalidRequest(`expected a message of at most ${options.maxMessageBytes} bytes, got ${message.byteLength}`)
    } catch (error) {
      return invalidRequest(`the request cannot be written: ${messageOf(error)}`)
    }
  }

  const openDuplex = (): void => {
    let mine: Duplex | undefined
    mine = options.open(listenerOf(() => mine))
    duplex = mine
    changeTo('open', 'a request is sent')
  }

  /** One timer for all: it looks when the earliest of them is due. */
  const wakeAt = (deadlineMs: number): void => {
    if (deadlineMs >= wakeAtMs) return
    wakeAtMs = deadlineMs
    clearTimeout(wake)
    wake = setTimeout(expire, Math.max(1, Math.ceil(deadlineMs - performance.now())))
  }

  const expire = (): void => {
    wakeAtMs = Infinity
    const nowMs = performance.now()
    let earliestMs = Infinity
    let isDead = false
    const isDue = (asked: Asked): boolean => {
      if (asked.settle === undefined) return false
      if (asked.deadlineMs > nowMs) earliestMs = Math.min(earliestMs, asked.deadlineMs)
      return asked.deadlineMs <= nowMs
    }
    for (const asked of sent.values()) {
      if (isDue(asked)) {
        stale++
        settle(asked, serverTimeout(target, asked.waitMs))
      }
      // A caller in a hurry says nothing about the stream: only silence for as long as the client waits does.
      isDead ||= asked.settle === undefined && lastHeardMs < asked.sentMs && nowMs - asked.sentMs >= options.timeoutMs - 1
    }
    for (const asked of waiting.splice(0)) {
      if (isDue(asked)) settle(asked, serverTimeout(target, asked.waitMs))
      else waiting.push(asked)
    }
    if (isDead) lose('nothing came in time', serverTimeout(target, options.timeoutMs))
    // Others wait for room that answers hold which may never come.
    else if (waiting.length > 0 && stale > sent.size / 2)
      lose('too many answers are missing', serverUnreachable(target, 'too many answers are missing'))
    else {
      if (earliestMs < Infinity) wakeAt(earliestMs)
      send()
    }
  }

  return {
    get state() {
      return state
    },
    get pending() {
      return waiting.length + sent.size - stale
    },
    infer: (request) => {
      const nowMs = performance.now()
      const deadlineMs = request.deadlineMs ?? nowMs + options.timeoutMs
      if (isClosed) return Promise.reject(stopping())
      if (request.signal?.aborted === true) return Promise.reject(cancelled())
      if (deadlineMs <= nowMs) return Promise.reject(serverTimeout(target, 0))
      if (state === 'backing-off') return Promise.reject(serverUnreachable(target, lastReason))
      if (waiting.length >= options.maxWaiting) return Promise.reject(serverBusy(target, `${waiting.length} requests wait here`))
      return new Promise((resolve, reject) => {
        const bytes = request.inputs.reduce((sum, input) => sum + input.bytes.byteLength, 0)
        const asked: Asked = { request, bytes, deadlineMs, waitMs: deadlineMs - nowMs, settle: { resolve, reject }, sentMs: 0 }
        if (request.signal !== undefined) {
          asked.onAbort = () => {
            if (asked.sentMs > 0) stale++
            else waiting.splice(waiting.indexOf(asked), 1)
            settle(asked, cancelled())
          }
          request.signal.addEventListener('abort', asked.onAbort, { once: true })
        }
        waiting.push(asked)
        send()
        wakeAt(deadlineMs)
      })
    },
    close: () => {
      isClosed = true
      clearTimeout(wake)
      clearTimeout(pause)
      lose('closed', stopping())
      changeTo('idle', 'closed')
    },
  }
}
