// A recorded partition of `actions`, decided again: wherever its owner wrote a decision, today's rules get the state before
// it, the documents of then and the recorded stamp, and have to come to the same facts. Pure: no clock, no log, nothing runs.
// The state always follows what was recorded, so one difference never causes the next.

import {
  decide,
  dueFacts,
  emptyState,
  evolve,
  executableSteps,
  executing,
  fold,
  isBadStamp,
  isRequest,
  outcome,
  settledOutcome,
} from '@andon/decisions'
import type { Entry, Facts, Outcome, State } from '@andon/decisions'
import type { Actions, Config } from '@andon/schemas'
import { decideContext } from './decide-context.ts'
import { PlantView } from './plant-view.ts'

/** A record of `config` and when it came onto the log, µs UTC. */
export interface PublishedDocument {
  readonly record: Config
  readonly publishedUs: number
}

/** One place where today's rules say something else than what was recorded. */
export interface Difference {
  /** Offset of the decision's first fact. */
  readonly offset: number
  /** The request that was answered; null where a deadline or an execution was. */
  readonly request: Pick<Actions, 'type' | 'id' | 'by' | 'line'> | null
  /** Which field of which fact, as `StepProposed.proposal.approvalsNeeded`; a fact's type alone where one of both has no such fact. */
  readonly path: string
  /** What was recorded. */
  readonly expected: unknown
  /** What today's rules say. */
  readonly found: unknown
}

export interface Redecision {
  /** Decisions and execution facts that were compared. */
  readonly compared: number
  /** What today's rules write, in log order; without the owner's signature. */
  readonly facts: readonly Actions[]
  readonly differences: readonly Difference[]
}

/** The rules to decide by. */
export interface Rules {
  readonly decide: typeof decide
  readonly dueFacts: typeof dueFacts
}

/** An owner follows `config` a moment behind, and clocks differ: it may have decided on documents of any moment in between. */
const DOCUMENTS_LATE_US = 15_000_000
const DOCUMENTS_EARLY_US = 1_000_000

const OUTCOMES = new Set<string>(['Executed', 'RejectedByTarget', 'ExecutionAbandoned', 'NotExecuted', 'NotObserved'] satisfies Outcome[])
/** Told by executors, breakers and the owner itself: they follow from no request and no deadline. */
const NOTED = new Set(['Notified', 'BreakerChanged', 'OwnershipRestated', 'OutcomeUnknown'])
/** What a deadline's decision begins with. */
const BEGINS_DEADLINE = new Set(['TimerFired', 'IncidentClosed'])

/**
 * Decides again what the valid owners of one partition decided. `entries` is the partition from its first record on, in log
 * order; `documents` is `config` in log order. Compared are all fields of the facts but the owner's signature; of executions
 * what the kernel fixes: that the step was ready, the intent, and that an outcome closes an open intent as its command allows.
 */
export const redecide = (
  entries: readonly Entry[],
  documents: readonly PublishedDocument[],
  rules: Rules = { decide, dueFacts },
): Redecision => {
  const again = new Again(entries, documents, rules)
  const state = emptyState()
  for (let at = 0; at < entries.length;) {
    const end = again.compareAt(state, at)
    for (; at < end; at++) evolve(state, entries[at] as Entry)
  }
  return { compared: again.compared, facts: again.facts, differences: again.differences }
}

class Again {
  compared = 0
  readonly facts: Actions[] = []
  readonly differences: Difference[] = []
  private readonly entries: readonly Entry[]
  private readonly documents: readonly PublishedDocument[]
  private readonly rules: Rules
  private readonly views = new Map<number, PlantView>()
  /** Requests so far, by id, and where they lie. */
  private readonly asked = new Map<string, number>()
  /** First record that the owner may not have read when it decided next. */
  private unread = 0

  constructor(entries: readonly Entry[], documents: readonly PublishedDocument[], rules: Rules) {
    this.entries = entries
    this.documents = documents
    this.rules = rules
  }

  /** Compares what the owner wrote at an index, `state` being that before it; gives the index after it. */
  compareAt(state: State, at: number): number {
    const entry = this.entries[at] as Entry
    const { record } = entry
    if (isRequest(record) && !this.asked.has(record.id)) this.asked.set(record.id, at)
    if (record.type === 'OwnershipTaken' && (record.epoch ?? 0) > state.epoch) this.unread = at + 1
    if (!isOwners(entry, state)) return at + 1
    if (record.atUs < state.stampUs) this.report(at, { path: `${record.type}.atUs`, expected: record.atUs, found: state.stampUs })
    const end = this.endOfDecision(at)
    if (!NOTED.has(record.type)) this.compare(state, at, end)
    this.unread = end
    return end
  }

  /** One decision is one append: facts that answer one request, or that one deadline causes. All others stand alone. */
  private endOfDecision(at: number): number {
    const first = (this.entries[at] as Entry).record
    let end = at + 1
    if (standsAlone(first)) return end
    for (let next = this.entries[end]; next !== undefined; next = this.entries[++end]) {
      const { record } = next
      const isSame = record.requestId === first.requestId && record.epoch === first.epoch && record.owner === first.owner
      if (!isSame || record.atUs !== first.atUs || isRequest(record) || standsAlone(record)) break
      if (first.requestId === null && BEGINS_DEADLINE.has(record.type)) break
    }
    return end
  }

  private compare(state: State, at: number, end: number): void {
    const recorded = this.entries.slice(at, end).map(({ record }) => record)
    const [first] = recorded as [Actions]
    let best: { readonly facts: Facts; readonly found: FieldDifference[] } | undefined
    for (const known of this.knownTo(first, state, at)) {
      const facts = this.today(first, known)
      const found = differencesOf(recorded, facts)
      if (best === undefined || found.length < best.found.length) best = { facts, found }
      if (found.length === 0) break
    }
    this.compared += 1
    this.facts.push(...(best?.facts ?? []))
    for (const each of best?.found ?? []) this.report(at, each)
  }

  /**
   * What the owner can have known when it decided, the latest first. It had read its own last facts and the request, and may
   * have missed what came onto the log after them; of `config` likewise. The closest of these explains the decision.
   */
  private *knownTo({ atUs, requestId }: Actions, state: State, at: number): Generator<Known> {
    const published = (untilUs: number): number => this.documents.filter(({ publishedUs }) => publishedUs <= untilUs).length
    const asked = this.asked.get(requestId ?? '') ?? -1
    const unread = Math.max(this.unread, asked + 1)
    for (let count = published(atUs + DOCUMENTS_EARLY_US); count >= published(atUs - DOCUMENTS_LATE_US); count--)
      for (let read = at; read >= unread; read--)
        yield { state: read === at ? state : fold(this.entries.slice(0, read)), view: this.viewOf(count) }
  }

  private today(recorded: Actions, { state, view }: Known): Facts {
    if (standsAlone(recorded)) return executionOf(recorded, state, view)
    const contextOf = decideContext(view)
    const due = this.rules.dueFacts(state, contextOf(undefined, state, recorded.atUs))
    if (due.length > 0) return due
    const [pending] = state.pending.values()
    return pending ? this.rules.decide(pending.record, state, contextOf(pending.record, state, recorded.atUs)) : []
  }

  /** The plant after so many documents. */
  private viewOf(count: number): PlantView {
    const known = this.views.get(count)
    if (known) return known
    const view = new PlantView()
    for (const { record } of this.documents.slice(0, count)) view.apply(record)
    this.views.set(count, view)
    return view
  }

  private report(at: number, found: FieldDifference): void {
    const { record, offset } = this.entries[at] as Entry
    const asked = this.asked.get(record.requestId ?? '')
    const request = asked === undefined ? undefined : this.entries[asked]?.record
    const about = request ? { type: request.type, id: request.id, by: request.by, line: request.line } : null
    this.differences.push({ offset, request: about, ...found })
  }
}

interface Known {
  readonly state: State
  readonly view: PlantView
}

/** Written outside the order of requests and deadlines. */
const standsAlone = ({ type }: Actions): boolean => type === 'Executing' || OUTCOMES.has(type) || NOTED.has(type)

/** Whether a record is a valid owner's own; requests and void facts are nobody's decision. */
const isOwners = (entry: Entry, state: State): boolean => {
  const { record } = entry
  if (isRequest(record) || record.type === 'OwnershipTaken' || isBadStamp(entry)) return false
  return record.epoch === state.epoch && record.owner === state.owner
}

/** The intent or outcome as the kernel writes it; none where it would not be written. */
const executionOf = (recorded: Actions, state: State, view: PlantView): Facts => {
  const step = recorded.stepId === null ? undefined : state.steps.get(recorded.stepId)
  const definition = step && view.commands.get(step.proposal.command.command)
  if (!step || !definition) return []
  if (recorded.type === 'Executing')
    return executableSteps(state, recorded.atUs).includes(step) ? [executing(step, definition.commandWindowMs, recorded.atUs)] : []
  if (!step.open) return []
  const { by, readback } = recorded.execution ?? { by: null, readback: null }
  const isSettled = by === 'readback'
  const kind = isSettled ? settledOutcome(definition.class, recorded.type === 'Executed') : (recorded.type as Outcome)
  return [outcome(step, kind, isSettled ? 'readback' : 'answer', readback, recorded.title, recorded.atUs)]
}

type FieldDifference = Pick<Difference, 'path' | 'expected' | 'found'>

/** Facts are paired by their id, which says what was decided, else by type; then field by field, and in their order. */
const differencesOf = (recorded: readonly Actions[], today: readonly Actions[]): FieldDifference[] => {
  const found: FieldDifference[] = []
  const left = new Set(today)
  const order: (Actions | undefined)[] = []
  for (const was of recorded) {
    const is =
      [...left].find(({ id }) => id === was.id) ??
      [...left].find((one) => one.type === was.type && !recorded.some(({ id }) => id === one.id))
    if (is) left.delete(is)
    order.push(is)
    if (is?.type === was.type) collect(was.type, unsigned(was), unsigned(is), found)
    else found.push({ path: was.type, expected: brief(was), found: brief(is) })
  }
  for (const is of left) found.push({ path: is.type, expected: brief(undefined), found: brief(is) })
  if (found.length === 0 && order.some((is, i) => is !== today[i]))
    found.push({ path: 'order', expected: recorded.map(brief).join(', '), found: today.map(brief).join(', ') })
  return found
}

const unsigned = (fact: Actions): Actions => ({ ...fact, epoch: null, owner: null })

const brief = (fact: Actions | undefined): string =>
  fact ? [fact.type, fact.refusal?.code, fact.title].filter((word) => word !== undefined && word !== null).join(' ') : 'nothing'

/** What is not set is null on the log: both count as equal. */
const collect = (path: string, was: unknown, is: unknown, found: FieldDifference[]): void => {
  if (isObject(was) && isObject(is)) {
    for (const name of new Set([...Object.keys(was), ...Object.keys(is)])) collect(`${path}.${name}`, was[name], is[name], found)
    return
  }
  if (!Object.is(was ?? null, is ?? null)) found.push({ path, expected: was ?? null, found: is ?? null })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
