// A command to a line's control system, whatever the protocol: check, ask once, and believe the read-back alone. It requests,
// never writes outputs: the control system keeps the final say, and a resume needs a person at the machine.

import { setTimeout as delay } from 'node:timers/promises'
import type { CommandDefinition } from '@andon/schemas'
import { NotSent } from './executor.ts'
import type { Answer, Executor, Order } from './executor.ts'

export type LineVerb = 'pause' | 'resume' | 'slow-down'

/** What a line shows of itself. */
export interface LineReading {
  readonly state: string
  readonly mode: string
  readonly emergencyStop: boolean
  readonly heartbeat: number
  /** Request whose effect was reached last. */
  readonly doneRequestId: string
  /** Values that not every control system shows: undefined there. */
  readonly speedPercent?: number | undefined
  readonly interlocksClosed?: boolean | undefined
  readonly localResetDone?: boolean | undefined
  /** Where a protocol knows no acknowledgement, the word about a request is a value like any other. */
  readonly answered?: LineWord & { readonly requestId: string }
  /** A reading of another session says nothing about a request of this one. */
  readonly session?: string
}

/** The control system's word about a request. */
export interface LineWord {
  readonly accepted: boolean
  readonly code: string
}

export interface LineAsk {
  readonly verb: LineVerb
  readonly requestId: string
  readonly notAfterMs: number
  readonly params: Readonly<Record<string, unknown>>
}

/** One line behind one protocol. */
export interface LineLink {
  read(signal: AbortSignal): Promise<LineReading>
  /** Brings the request on its way once. undefined: the protocol has no acknowledgement, the readings tell. */
  ask(request: LineAsk, signal: AbortSignal): Promise<LineWord | undefined>
  /** Whether the request took effect; from now on the line refuses it. */
  burn(requestId: string, signal: AbortSignal): Promise<boolean>
}

const POLL_MS = 100
/** A control system counts its heartbeat at least every second; this much silence means that nobody is at home. */
const HEARTBEAT_WITHIN_MS = 3_000

/** Catalogue command → what the line is asked for. Nothing else can be said to a line. */
const VERBS: Readonly<Record<string, LineVerb>> = { 'line.pause': 'pause', 'line.resume': 'resume', 'line.slow-down': 'slow-down' }

export const lineExecutor = (linkOf: (order: Order) => LineLink, close: () => Promise<void>): Executor => ({
  async prepare(order, signal) {
    const verb = verbOf(order.definition)
    const link = linkOf(order)
    const before = await notSentIfFails(link.read(signal))
    await checkPreconditions(order.definition, link, before, signal)
    return { send: (sending) => askAndReadBack(order, verb, link, before, sending) }
  },

  async settle(order, signal) {
    const link = linkOf(order)
    const isDone = await link.burn(order.commandRequestId, signal)
    return { isDone, readback: JSON.stringify(await link.read(signal)) }
  },

  close,
})

const verbOf = ({ name }: CommandDefinition): LineVerb => {
  const verb = VERBS[name]
  if (verb === undefined) throw new NotSent(`${name} is nothing that a line can be asked for; known: ${Object.keys(VERBS).join(', ')}`)
  return verb
}

const notSentIfFails = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work
  } catch (cause) {
    if (cause instanceof NotSent) throw cause
    throw new NotSent(`The control system cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      isFault: true,
      cause,
    })
  }
}

type Check = (before: LineReading) => string | undefined

/** Why a precondition does not hold; a value that the control system does not show holds nothing. */
const CHECKS: Readonly<Record<string, Check>> = {
  modeAutomatic: ({ mode }) => (mode === 'automatic' ? undefined : `The line is in mode ${mode}, not automatic`),
  noEmergencyStop: ({ emergencyStop }) => (emergencyStop ? 'The emergency stop is active' : undefined),
  interlocksClosed: ({ interlocksClosed }) => (interlocksClosed === true ? undefined : 'An interlock is open'),
  localResetDone: ({ localResetDone }) =>
    localResetDone === true ? undefined : 'Nobody has released the line at the machine: it needs its local reset',
}

const checkPreconditions = async (
  { preconditions, allowedModes }: CommandDefinition,
  link: LineLink,
  before: LineReading,
  signal: AbortSignal,
): Promise<void> => {
  if (!allowedModes.includes('any') && !allowedModes.includes(before.mode))
    throw new NotSent(`The line is in mode ${before.mode}; the command is allowed in ${allowedModes.join(', ')}`)
  for (const precondition of preconditions) {
    if (precondition === 'heartbeatAlive') continue
    const check = CHECKS[precondition]
    if (check === undefined) throw new NotSent(`Precondition ${precondition} cannot be checked here`)
    const objection = check(before)
    if (objection !== undefined) throw new NotSent(objection)
  }
  if (preconditions.includes('heartbeatAlive')) await notSentIfFails(heartbeatMoves(link, before.heartbeat, signal))
}

const heartbeatMoves = async (link: LineLink, first: number, signal: AbortSignal): Promise<void> => {
  for (let waitedMs = 0; waitedMs < HEARTBEAT_WITHIN_MS; waitedMs += POLL_MS) {
    await delay(POLL_MS, undefined, { signal })
    if ((await link.read(signal)).heartbeat !== first) return
  }
  throw new NotSent(`The control system's heartbeat has stood still for ${HEARTBEAT_WITHIN_MS} ms`)
}

/** The request, and the reading that shows its effect. No such reading in time: nobody knows, it will be settled. */
const askAndReadBack = async (order: Order, verb: LineVerb, link: LineLink, before: LineReading, signal: AbortSignal): Promise<Answer> => {
  const { commandRequestId: requestId, definition } = order
  const params = JSON.parse(order.command.params) as Record<string, unknown>
  const word = await link.ask({ verb, requestId, notAfterMs: order.notAfterUs / 1000, params }, signal)
  if (word && !word.accepted) return refused(requestId, word)
  const startedMs = performance.now()
  for (;;) {
    const read = await link.read(signal)
    const tookMs = Math.round(performance.now() - startedMs)
    if (read.session !== before.session) throw new Error('The control system began another session after the command')
    if (read.doneRequestId === requestId && isReached(definition, params, read))
      return {
        kind: 'Executed',
        readback: JSON.stringify({ ...read, tookMs }),
        title: `Read back: ${told(definition, read)} after ${tookMs} ms`,
      }
    if (read.answered?.requestId === requestId && !read.answered.accepted) return refused(requestId, read.answered)
    // Without an acknowledgement the way there counts as well.
    const withinMs = definition.readBack.withinMs + (word ? 0 : definition.maxLatencyMs)
    if (tookMs > withinMs) throw new Error(`The line was asked for ${verb} and is ${told(definition, read)} after ${tookMs} ms`)
    await delay(POLL_MS, undefined, { signal })
  }
}

const refused = (requestId: string, { code }: LineWord): Answer => {
  // A copy of the request was faster: the line has it, and only reading back says what became of it.
  if (code === 'REPEATED') throw new Error(`The line says that it knows request ${requestId} already`)
  return { kind: 'RejectedByTarget', readback: JSON.stringify({ code }), title: `Refused by the control system: ${code}` }
}

const isReached = ({ readBack }: CommandDefinition, params: Readonly<Record<string, unknown>>, read: LineReading): boolean => {
  if (read.state !== readBack.state) return false
  if (readBack.value === undefined) return true
  const { param, tolerance } = readBack.value
  const value = read[param as 'speedPercent']
  return typeof value === 'number' && Math.abs(value - Number(params[param])) <= tolerance
}

const told = ({ readBack }: CommandDefinition, read: LineReading): string =>
  readBack.value === undefined
    ? read.state
    : `${read.state}, ${readBack.value.param} ${String(read[readBack.value.param as 'speedPercent'])}`
