// The door's read model: every partition of `actions`, followed without a group and folded as its owner folds it.

import { emptyState, evolve, isRequest } from '@andon/decisions'
import type { Answer, HoldState, Incident, State, Step, Verdict } from '@andon/decisions'
import { followTopic, partitionOf } from '@andon/kit'
import type { Codec, Follow, Input, Log, Logger, Part } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import { ACTIONS, entryOf } from './actions-log.ts'
import type { TracedEntry } from './actions-log.ts'

/** A record that counted, with where it lies. */
export interface BoardEvent {
  readonly partition: number
  readonly entry: TracedEntry
}

type Listener = (event: BoardEvent) => void

export class Board {
  readonly states = new Map<number, State>()
  /** Offsets of facts that count for nobody, per partition. */
  readonly voids = new Map<number, Set<number>>()
  private readonly listeners = new Set<Listener>()
  private readonly waiting = new Map<string, Set<(answer: Answer) => void>>()
  partitions = 0
  private readonly onUnfoldable: (partition: number, entry: TracedEntry, error: unknown) => void

  constructor(onUnfoldable: (partition: number, entry: TracedEntry, error: unknown) => void) {
    this.onUnfoldable = onUnfoldable
  }

  state(partition: number): State {
    let state = this.states.get(partition)
    if (!state) {
      state = emptyState()
      this.states.set(partition, state)
    }
    return state
  }

  /** Partition of a control group or document name. */
  partitionOf(key: string): number {
    return partitionOf(key, this.partitions)
  }

  /** A record that cannot be folded is reported and left out; its owner closes the partition. */
  apply(partition: number, entry: TracedEntry): void {
    let verdict: Verdict
    try {
      verdict = evolve(this.state(partition), entry)
    } catch (error) {
      this.onUnfoldable(partition, entry, error)
      return
    }
    if (verdict.startsWith('void-')) {
      const voids = this.voids.get(partition) ?? new Set()
      this.voids.set(partition, voids.add(entry.offset))
    }
    if (verdict !== 'counted') return
    for (const listener of this.listeners) listener({ partition, entry })
    this.answer(partition, entry.record)
  }

  private answer(partition: number, { requestId }: Actions): void {
    if (requestId === null) return
    const waiting = this.waiting.get(requestId)
    const answer = this.state(partition).answers.get(requestId)
    if (!waiting || !answer) return
    this.waiting.delete(requestId)
    for (const resolve of waiting) resolve(answer)
  }

  /** What the owner answered, or undefined when it did not within the time. Call it before appending the request. */
  waitFor(requestId: string, withinMs: number): Promise<Answer | undefined> {
    const known = this.answerOf(requestId)
    if (known) return Promise.resolve(known)
    return new Promise((resolve) => {
      const waiting = this.waiting.get(requestId) ?? new Set()
      this.waiting.set(requestId, waiting)
      const timer = setTimeout(() => {
        waiting.delete(done)
        if (waiting.size === 0) this.waiting.delete(requestId)
        resolve(undefined)
      }, withinMs)
      const done = (answer: Answer): void => {
        clearTimeout(timer)
        resolve(answer)
      }
      waiting.add(done)
    })
  }

  /** undefined: never seen. null: seen and undecided. */
  answerOf(requestId: string): Answer | null | undefined {
    for (const state of this.states.values()) if (state.answers.has(requestId)) return state.answers.get(requestId)
    return undefined
  }

  /** Requests and facts that count, as they come. Returns the way to stop. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  findStep(stepId: string): { readonly step: Step; readonly state: State } | undefined {
    for (const state of this.states.values()) {
      const step = state.steps.get(stepId)
      if (step) return { step, state }
    }
    return undefined
  }

  findIncident(incidentId: string): { readonly incident: Incident; readonly state: State } | undefined {
    for (const state of this.states.values()) {
      const incident = state.incidents.get(incidentId)
      if (incident) return { incident, state }
    }
    return undefined
  }

  /** One entry per hold, as its home partition knows it. */
  holds(): HoldState[] {
    const holds = new Map<string, HoldState>()
    for (const [partition, state] of this.states)
      for (const hold of state.holds.values())
        if (!holds.has(hold.id) || this.partitionOf(hold.scope) === partition) holds.set(hold.id, hold)
    return [...holds.values()].toSorted((left, right) => left.atUs - right.atUs)
  }
}

export interface BoardPart extends Part {
  readonly board: Board
}

/** Follows the topic from its beginning; ready once it has seen what was there at the start. */
export const boardPart = (log: Log, codec: Codec, logger: Logger): BoardPart => {
  const board = new Board((partition, { offset }, error) => logger.error({ err: error, partition, offset }, 'record cannot be folded'))
  let follow: Follow | undefined
  let isCaughtUp = false
  return {
    name: 'board',
    board,
    async start() {
      board.partitions = await log.admin.partitions(ACTIONS)
      const onInput = (input: Input<Actions>): void => board.apply(input.partition, entryOf(input))
      follow = await followTopic<Actions>(log, codec, ACTIONS, onInput, {
        onUndecodable: (record, error) => logger.error({ err: error, offset: record.offset }, 'undecodable record on actions is left out'),
      })
      await follow.caughtUp()
      isCaughtUp = true
    },
    ready: () => isCaughtUp || 'reading the log',
    ended: () => follow?.ended ?? Promise.resolve(),
    stop: async () => follow?.stop(),
  }
}

/** Requests are shown as such; everything else is a fact. */
export const kindOf = (record: Actions): 'request' | 'fact' => (isRequest(record) ? 'request' : 'fact')
