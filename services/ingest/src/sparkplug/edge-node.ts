// One Sparkplug B edge node as its host sees it: births and deaths, the order of messages, and when to ask for births again. Pure: time is
// handed in, what is to be done comes back. Sentences in quotes are ids of statements of the specification (3.0).
//
// Numbers: epoch = time of the birth in microseconds, plus one for every gap since; within it readings of a source count from 1 in the
// order of seq. The same messages, however often and in whatever order they arrive, give the same numbers.

import { sha256Hex } from '@andon/kit'
import type { RawReading } from '../reading.ts'
import { refusal } from '../reading.ts'
import { bdSeqOf, NodeState } from './node-state.ts'
import type { Part } from './node-state.ts'
import { BadPayload, readPayload } from './payload.ts'
import type { Payload } from './payload.ts'
import { rowsOf, staleRows } from './rows.ts'
import type { Feed } from './rows.ts'
import type { SparkplugTopic } from './topic.ts'

export interface EdgeNodeOptions {
  /** What the node (undefined) or one of its devices feeds; asked at its birth. */
  readonly feedsOf: (device: string | undefined) => readonly Feed[]
  /** How long a message may wait for one with a lower seq. */
  readonly reorderMs: number
}

/** Why births are asked for. */
export type RebirthReason = 'gap' | 'unknown-metric' | 'before-birth' | 'bad-payload'

/** What is to be done, in order. */
export interface Outcome {
  readonly readings: RawReading[]
  /** Births are to be asked for. */
  rebirth: RebirthReason | undefined
  /** Messages that were known already. */
  repeats: number
  /** Messages from which nothing could be taken: before a birth, of a device without one. */
  unborn: number
}

interface Message {
  readonly topic: SparkplugTopic
  readonly payload: Payload
  readonly bytes: Buffer
  readonly digest: string
  readonly atMs: number
}

const payloadCode = 'ANDON_INGEST_SPARKPLUG_PAYLOAD'
const birthCode = 'ANDON_INGEST_SPARKPLUG_BIRTH'
const unbornCode = 'ANDON_INGEST_SPARKPLUG_UNBORN'
const maxWaiting = 1000
const rememberedMessages = 128

export class EdgeNode {
  readonly #options: EdgeNodeOptions
  #state: NodeState | undefined
  readonly #feeds = new Map<string | undefined, readonly Feed[]>()
  /** Messages whose turn has not come. */
  #waiting: Message[] = []
  /** Digests of the newest messages since the birth in force: a repeat is told by them. */
  readonly #seen = new Set<string>()
  #birthDigest: string | undefined
  /** bdSeq of the birth that a death ended last. */
  #endedBdSeq: number | undefined
  /** A death that no birth precedes; its birth may be on its way. */
  #earlyDeath: { readonly bdSeq: number; readonly atMs: number } | undefined
  #lastEpoch = 0

  constructor(options: EdgeNodeOptions) {
    this.#options = options
  }

  get isAlive(): boolean {
    return this.#state !== undefined
  }

  /** When `expire` is to be called, on the clock of `atMs`; undefined while nothing waits. */
  get dueMs(): number | undefined {
    const oldest = this.#waiting[0]
    return oldest === undefined ? undefined : oldest.atMs + this.#options.reorderMs
  }

  /** Takes a message that arrived now. */
  take(topic: SparkplugTopic, bytes: Buffer, atMs: number): Outcome {
    const outcome = nothing()
    let payload: Payload
    try {
      payload = readPayload(bytes)
    } catch (error) {
      if (!(error instanceof BadPayload)) throw error
      outcome.rebirth = 'bad-payload'
      this.#quarantine(outcome, payloadCode, topic, error.message, bytes)
      return outcome
    }
    const message: Message = { topic, payload, bytes, digest: sha256Hex(bytes), atMs }
    if (topic.type === 'NBIRTH') this.#nodeBirth(message, outcome)
    else if (topic.type === 'NDEATH') this.#nodeDeath(message, outcome)
    else this.#inOrder(message, outcome)
    return outcome
  }

  /** Time has passed: what has waited too long is taken without what it waited for. */
  expire(nowMs: number): Outcome {
    const outcome = nothing()
    while (this.dueMs !== undefined && this.dueMs <= nowMs) {
      const state = this.#state
      if (state === undefined) this.#refuseUnborn(this.#waiting.shift()!, outcome)
      else this.#skipTo(state, outcome)
    }
    return outcome
  }

  /** The connection is gone: nothing is known of the node from now on, until it is born again. */
  forget(nowMs: number): Outcome {
    const outcome = nothing()
    if (this.#state !== undefined) this.#die(this.#state, nowMs, outcome)
    this.#waiting = []
    return outcome
  }

  #nodeBirth(message: Message, outcome: Outcome): void {
    const { payload, digest, atMs } = message
    if (this.#birthDigest === digest) {
      outcome.repeats++
      return
    }
    const bdSeq = bdSeqOf(payload)
    const { timestampMs } = payload
    // tck-id-topics-nbirth-seq-num, tck-id-topics-nbirth-bdseq-included, tck-id-topics-nbirth-timestamp
    if (payload.seq !== 0) return this.#refuseBirth(message, outcome, `seq: found ${payload.seq ?? 'none'}, expected 0`)
    if (bdSeq === undefined) return this.#refuseBirth(message, outcome, 'bdSeq: found none, expected a metric bdSeq of 0 to 255')
    if (!isTime(timestampMs)) return this.#refuseBirth(message, outcome, noTime)
    const state = new NodeState(bdSeq, timestampMs * 1000, timestampMs)
    const part = state.begin(undefined, payload.metrics)
    if (typeof part === 'string') return this.#refuseBirth(message, outcome, part)
    this.#endSession(timestampMs, outcome)
    state.epoch = Math.max(state.epoch, this.#lastEpoch + 1)
    this.#lastEpoch = state.epoch
    this.#state = state
    this.#birthDigest = digest
    this.#publish(state, part, message, outcome)
    this.#drain(outcome)
    const death = this.#earlyDeath
    this.#earlyDeath = undefined
    if (death?.bdSeq === bdSeq && atMs - death.atMs <= this.#options.reorderMs) this.#die(state, atMs, outcome)
  }

  /** What was sent before a new birth belongs to the one before it, if there was one. */
  #endSession(bornMs: number, outcome: Outcome): void {
    const later = this.#waiting.filter(({ payload }) => (payload.timestampMs ?? bornMs) >= bornMs)
    this.#waiting = this.#waiting.filter((message) => !later.includes(message))
    const state = this.#state
    while (this.#waiting.length > 0) {
      if (state === undefined) this.#refuseUnborn(this.#waiting.shift()!, outcome)
      else this.#skipTo(state, outcome)
    }
    outcome.rebirth = undefined // it has come
    this.#waiting = later
    this.#seen.clear()
    this.#feeds.clear()
  }

  #nodeDeath({ payload, atMs, topic, bytes }: Message, outcome: Outcome): void {
    const bdSeq = bdSeqOf(payload)
    if (bdSeq === undefined) return this.#quarantine(outcome, payloadCode, topic, 'bdSeq: found none, expected that of the birth', bytes)
    const state = this.#state
    // tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-offline: only the birth's own death ends it.
    if (state?.bdSeq === bdSeq) this.#die(state, atMs, outcome)
    else if (state === undefined && this.#endedBdSeq === bdSeq) outcome.repeats++
    else this.#earlyDeath = { bdSeq, atMs }
  }

  #die(state: NodeState, atMs: number, outcome: Outcome): void {
    while (this.#waiting.length > 0) this.#skipTo(state, outcome)
    outcome.rebirth = undefined
    for (const part of state.alive()) outcome.readings.push(...staleRows(state, part, this.#feedsOf(part.device), atMs))
    this.#state = undefined
    this.#birthDigest = undefined
    this.#endedBdSeq = state.bdSeq
  }

  #inOrder(message: Message, outcome: Outcome): void {
    const { payload, topic, bytes, digest } = message
    const { seq } = payload
    if (seq === undefined || Number.isNaN(seq)) {
      outcome.rebirth = 'bad-payload'
      this.#quarantine(outcome, payloadCode, topic, `seq: found ${seq === undefined ? 'none' : 'one above 255'}, expected 0 to 255`, bytes)
      return
    }
    if (this.#seen.has(digest) || this.#waiting.some((waiting) => waiting.digest === digest)) {
      outcome.repeats++
      return
    }
    const state = this.#state
    if (state !== undefined && seq === state.nextSeq) {
      this.#apply(state, message, outcome)
      this.#drain(outcome)
    } else if (state !== undefined && (payload.timestampMs ?? state.bornMs) < state.bornMs) {
      // Overtaken by the birth after it, whose aliases need not be its own.
      outcome.unborn++
      this.#quarantine(outcome, unbornCode, topic, 'it was sent before the birth in force', bytes)
    } else if (state !== undefined && aheadOf(state, message) >= 128) {
      // Given up as lost, and come after all: what it says is still true at its time.
      this.#apply(state, message, outcome, state.nextSeq)
    } else this.#wait(message, outcome)
  }

  #wait(message: Message, outcome: Outcome): void {
    this.#waiting.push(message)
    if (this.#waiting.length <= maxWaiting) return
    if (this.#state === undefined) this.#refuseUnborn(this.#waiting.shift()!, outcome)
    else this.#skipTo(this.#state, outcome)
  }

  #drain(outcome: Outcome): void {
    for (let state = this.#state; state !== undefined; state = this.#state) {
      const { nextSeq } = state
      const next = this.#waiting.findIndex(({ payload }) => payload.seq === nextSeq)
      if (next < 0) return
      const [message] = this.#waiting.splice(next, 1)
      this.#apply(state, message!, outcome)
    }
  }

  /** Goes on with the waiting message that is nearest in seq: those before it are lost. */
  #skipTo(state: NodeState, outcome: Outcome): void {
    const nearest = this.#waiting.reduce((best, each) => (aheadOf(state, each) < aheadOf(state, best) ? each : best))
    state.skip()
    this.#lastEpoch = state.epoch
    state.nextSeq = nearest.payload.seq!
    outcome.rebirth = 'gap'
    this.#drain(outcome)
  }

  #apply(state: NodeState, message: Message, outcome: Outcome, nextSeq = (message.payload.seq! + 1) % 256): void {
    const { topic, payload, digest, atMs } = message
    state.nextSeq = nextSeq
    this.#remember(digest)
    if (topic.type === 'DBIRTH') return this.#deviceBirth(state, message, outcome)
    const part = state.part(topic.device)
    if (topic.type === 'DDEATH') {
      if (part?.isAlive !== true) return
      part.isAlive = false
      const timeMs = isTime(payload.timestampMs) ? payload.timestampMs : atMs
      outcome.readings.push(...staleRows(state, part, this.#feedsOf(part.device), timeMs))
    } else if (part?.isAlive === true) this.#publish(state, part, message, outcome)
    else this.#refuseUnborn(message, outcome)
  }

  #deviceBirth(state: NodeState, message: Message, outcome: Outcome): void {
    const { topic, payload } = message
    if (!isTime(payload.timestampMs)) return this.#refuseBirth(message, outcome, noTime)
    const part = state.begin(topic.device, payload.metrics)
    if (typeof part === 'string') return this.#refuseBirth(message, outcome, part)
    this.#feeds.delete(topic.device)
    this.#publish(state, part, message, outcome)
  }

  #publish(state: NodeState, part: Part, { topic, payload, bytes }: Message, outcome: Outcome): void {
    const isBirth = topic.type === 'NBIRTH' || topic.type === 'DBIRTH'
    const { metrics, timestampMs } = payload
    const { readings, unknown } = rowsOf(state, part, { metrics, timestampMs, isBirth, bytes }, this.#feedsOf(part.device))
    outcome.readings.push(...readings)
    const [first] = unknown
    if (first === undefined) return
    outcome.rebirth = 'unknown-metric'
    const name = first.name ?? `alias ${first.alias ?? 'none'}`
    const others = unknown.length === 1 ? '' : ` and ${unknown.length - 1} others`
    this.#quarantine(outcome, unbornCode, topic, `${name}${others}: no birth announced it`, bytes)
  }

  #feedsOf(device: string | undefined): readonly Feed[] {
    let feeds = this.#feeds.get(device)
    if (feeds === undefined) this.#feeds.set(device, (feeds = this.#options.feedsOf(device)))
    return feeds
  }

  #refuseBirth({ topic, bytes }: Message, outcome: Outcome, why: string): void {
    this.#quarantine(outcome, birthCode, topic, why, bytes)
  }

  #refuseUnborn({ topic, bytes }: Message, outcome: Outcome): void {
    outcome.rebirth ??= 'before-birth'
    outcome.unborn++
    this.#quarantine(outcome, unbornCode, topic, 'no birth announced its metrics', bytes)
  }

  #remember(digest: string): void {
    this.#seen.add(digest)
    const [oldest] = this.#seen
    if (this.#seen.size > rememberedMessages && oldest !== undefined) this.#seen.delete(oldest)
  }

  /** Devices that feed nothing are nobody's concern; births and deaths of the node are everybody's. */
  #quarantine(outcome: Outcome, code: string, topic: SparkplugTopic, why: string, bytes: Buffer): void {
    const { group, node, device, type } = topic
    if (device !== undefined && this.#options.feedsOf(device).length === 0) return
    const who = [group, node, device].filter((name) => name !== undefined).join('/')
    outcome.readings.push({ value: undefined, bytes: () => bytes, refused: refusal(code, `${type} of ${who}: ${why}`, {}) })
  }
}

const noTime = 'timestamp: found none, expected milliseconds since 1970'
const isTime = (ms: number | undefined): ms is number => ms !== undefined && !Number.isNaN(ms)
const aheadOf = (state: NodeState, { payload }: Message): number => (payload.seq! - state.nextSeq + 256) % 256

const nothing = (): Outcome => ({ readings: [], rebirth: undefined, repeats: 0, unborn: 0 })
