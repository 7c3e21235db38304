// Owners of one partition that pause, crash and come back, appends that land late, twice or never, and a target: the protocol of
// DESIGN.md §4 as services/actions/src/{owner,execution,partition-log}.ts run it, with the kernel's own functions deciding.
// A tick is 20 s: the command window is two ticks, the target's latency one, the stamp bound three.

import { executing, isBadStamp, openIntents, outcome, ownershipTaken, record, sign } from '@andon/decisions'
import type { CommandRule, DecideContext, Outcome, State, Step } from '@andon/decisions'
import type { Actions } from '@andon/schemas'
import type { Model, Move } from './checker.ts'
import { wrongToSend } from './judge.ts'
import { keyOf, Prefixes, prefixTo } from './partition.ts'
import type { Prefix } from './partition.ts'
import type { Rules } from './rules.ts'

export const LINE = 'press-line'
const T0 = 1_790_000_000_000_000
export const TICK_US = 20_000_000
const TICK_MS = TICK_US / 1000
const WINDOW_MS = 2 * TICK_MS
const LATENCY_MS = TICK_MS
/** Ticks a command may be under way. */
const LATENCY = 1
/** Longest process stop that is assumed; stops beyond it are what `stopsBeforeSend` is about. */
const MAX_STOP_MS = 0

/** What a target refuses: late and repeated ids, repeated ids only, nothing. */
export type TargetClass = 'i' | 'ii' | 'iii'

export interface Said {
  readonly request: Actions
  /** Requests, by index, that have to lie on the log before. */
  readonly after?: readonly number[]
  /** Whether somebody says this now. */
  readonly when?: (state: State) => boolean
  /** Need not be said at all. */
  readonly isOptional?: boolean
}

/** How often each thing may go wrong. */
interface Faults {
  /** The group moves the partition. */
  readonly moves: number
  /** An append has no known result. */
  readonly unknown: number
  readonly crashes: number
  /** An answer or a command of the target is lost. */
  readonly target: number
  /** A fenced owner takes again before it learns that the partition is no longer its own. */
  readonly zombies: number
  /** A door appends a request twice. */
  readonly repeats: number
}
const NO_FAULTS: Faults = { moves: 0, unknown: 0, crashes: 0, target: 0, zombies: 0, repeats: 0 }

export interface Scenario {
  readonly target: TargetClass
  readonly owners?: number
  /** Steps that wait for a person. */
  readonly steps?: number
  /** On the log from the start. */
  readonly asked?: readonly Actions[]
  readonly said?: readonly Said[]
  readonly faults: Partial<Faults>
  /** Ticks at which the proposals expire. */
  readonly expires?: number
  /** Clock errors of owners, ticks. */
  readonly clocks?: readonly number[]
  /** The target's own clock error, ticks. */
  readonly targetClock?: number
  /** Ticks before time ends; it passes only while somebody waits for it. */
  readonly ticks: number
  /** Time passes anyhow. */
  readonly hasClock?: boolean
  /** Processes may stop between the last check and the socket, for any time. */
  readonly stopsBeforeSend?: boolean
}

interface Intent {
  readonly stepId: string
  readonly offset: number
  readonly requestId: string
  readonly notAfterUs: number
  readonly startedTick: number
  readonly allowedMs: number
  readonly isSent: boolean
  /** The read-back that found nothing against sending; null until then. */
  readonly readBack: Prefix | null
}

interface Todo {
  readonly stepId: string
  readonly offset: number
  readonly kind: Outcome
  readonly by: 'answer' | 'readback'
}

interface Owner {
  readonly isAssigned: boolean
  readonly phase: 'off' | 'taking' | 'running' | 'fenced' | 'wrong-clock'
  readonly epoch: number
  readonly takes: number
  readonly knows: Prefix | null
  readonly isWaiting: boolean
  readonly intent: Intent | null
  readonly todo: Todo | null
  /** When it first read each open intent: offset and tick. */
  readonly firstRead: readonly (readonly [number, number])[]
}

interface Flight {
  readonly by: number
  readonly facts: readonly Actions[]
  readonly isLive: boolean
  readonly key: string
}

interface Command {
  readonly by: number
  readonly intent: Intent
  readonly sentTick: number
  /** Somebody waits for the answer. */
  readonly isLive: boolean
}

interface World {
  readonly tick: number
  readonly log: Prefix
  readonly assigned: number
  readonly owners: readonly Owner[]
  readonly flights: readonly Flight[]
  readonly wire: readonly Command[]
  readonly effects: readonly { readonly requestId: string; readonly stepId: string }[]
  /** Ids the target refuses from now on. */
  readonly burnt: readonly string[]
  readonly said: number
  readonly faults: Faults
  readonly broken: string | null
}

const OFF: Owner = {
  isAssigned: false,
  phase: 'off',
  epoch: 0,
  takes: 0,
  knows: null,
  isWaiting: false,
  intent: null,
  todo: null,
  firstRead: [],
}

const command = (name: string, commandClass: string): CommandRule => ({
  name,
  title: name,
  executor: 'opcua',
  target: { kind: 'line' },
  effect: 'motion',
  class: commandClass as TargetClass,
  riskClass: 'high',
  params: {},
  simulated: true,
})

export const stepIdOf = (step: number): string => `step-${step}`
const hashOf = (step: number): string => `hash-${step}`

const wordOn = (type: string, verdict: string, id: string, step: number, by: string): Actions =>
  record(type, id, LINE, T0, {
    by,
    roles: ['operator'],
    stepId: stepIdOf(step),
    decision: { verdict, reason: 'looked at it', commandHash: hashOf(step) },
  })

export const approval = (id: string, step = 0, by = 'p-operator'): Actions => wordOn('ApproveRequested', 'approve', id, step, by)
export const revocation = (id: string, step = 0): Actions => wordOn('RevokeRequested', 'revoke', id, step, 'p-lead')

const hold = (type: string, id: string, holdIds: readonly string[], detail: string | null = null): Actions =>
  record(type, id, '*', T0, {
    by: 'p-lead',
    roles: ['shift-lead'],
    hold: { holdIds: [...holdIds], scope: '*', reason: 'a person in the cell' },
    detail,
  })
export const holding = (id: string): Actions => hold('HoldRequested', id, [id])
export const lifting = (id: string, holdIds: readonly string[]): Actions => hold('HoldLiftRequested', id, holdIds)

const proposals = (steps: number, expires: number): Actions[] => [
  record('IncidentOpened', 'incident', LINE, T0, { incidentId: 'incident', title: 'Vibration', detail: '{}' }),
  ...Array.from({ length: steps }, (_, step) =>
    record('StepProposed', `proposed-${step}`, LINE, T0, {
      incidentId: 'incident',
      stepId: stepIdOf(step),
      title: stepIdOf(step),
      proposal: {
        command: {
          command: `command-${step}`,
          target: LINE,
          params: '{}',
          effect: 'motion',
          riskClass: 'high',
          commandHash: hashOf(step),
        },
        approvalsNeeded: 1,
        roles: [],
        fourEyes: false,
        expiresUs: T0 + expires * TICK_US,
        escalateUs: null,
        policy: 'policies/press',
        policyDigest: 'digest',
        simulated: true,
      },
    }),
  ),
]

const NEVER = 1_000

export class Execution implements Model<World> {
  readonly initial: World
  private readonly scenario: Scenario
  private readonly rules: Rules
  private readonly prefixes: Prefixes
  private readonly context: Omit<DecideContext, 'atUs'>

  constructor(scenario: Scenario, rules: Rules) {
    this.scenario = scenario
    this.rules = rules
    this.prefixes = new Prefixes(rules)
    const names = Array.from({ length: scenario.steps ?? 1 }, (_, step) => `command-${step}`)
    this.context = { commands: new Map(names.map((name) => [name, command(name, scenario.target)])), plan: null }
    this.initial = {
      tick: 0,
      log: this.start(),
      assigned: 0,
      owners: Array.from({ length: scenario.owners ?? 2 }, (_, i) => ({ ...OFF, isAssigned: i === 0 })),
      flights: [],
      wire: [],
      effects: [],
      burnt: [],
      said: 0,
      faults: { ...NO_FAULTS, ...scenario.faults },
      broken: null,
    }
  }

  /** A former owner proposed and died. */
  private start(): Prefix {
    const { steps = 1, expires = NEVER, asked = [] } = this.scenario
    const signed = sign(proposals(steps, expires), 1, 'former')
    let log = this.prefixes.after(this.prefixes.root, [ownershipTaken(LINE, 1, 'former', T0), ...signed], T0)
    for (const request of asked) log = this.prefixes.after(log, [request], T0)
    return log
  }

  key(world: World): string {
    const { tick, log, assigned, owners, flights, wire, effects, burnt, said, faults } = world
    const owner = (one: Owner): string => {
      const { intent, todo } = one
      const busy = intent === null ? '' : `${intent.offset}:${intent.startedTick}:${intent.isSent}:${intent.readBack?.id ?? ''}`
      return [
        one.isAssigned,
        one.phase,
        one.epoch,
        one.takes,
        one.knows?.id,
        one.isWaiting,
        busy,
        todo?.offset,
        todo?.kind,
        one.firstRead,
      ].join()
    }
    return [
      tick,
      log.id,
      assigned,
      owners.map(owner).join('/'),
      flights
        .map((one) => `${one.by}${one.isLive}${one.key}`)
        .toSorted()
        .join('/'),
      wire
        .map((one) => `${one.by}${one.intent.requestId}${one.sentTick}${one.isLive}`)
        .toSorted()
        .join('/'),
      effects
        .map((one) => one.requestId)
        .toSorted()
        .join(),
      burnt.toSorted().join(),
      said,
      Object.values(faults).join(),
    ].join('|')
  }

  broken(world: World): string | null {
    if (world.broken !== null) return world.broken
    const { log, owners } = world
    if (log.judged.broken !== null) return log.judged.broken
    const deciding = owners.filter((one) => one.phase === 'running' && one.knows === log)
    if (deciding.length > 1) return 'two owners both take themselves for the owner at the end of the log'
    const twice = world.effects.find(({ stepId }, i) => world.effects.findIndex((one) => one.stepId === stepId) !== i)
    if (twice) return `two effects of ${twice.stepId}`
    // it may still act: only a person who looks may set the step free again
    if (this.scenario.target === 'iii' && Object.values(log.judged.outcomes).includes('NotExecuted'))
      return 'a step of a target that refuses nothing is free again, and nobody looked'
    const late = world.effects.find(({ requestId, stepId }) => log.judged.steps[stepId]?.over.includes(requestId))
    return late ? `an effect of ${late.stepId}, settled as without effect` : null
  }

  stuck(world: World): string | null {
    if (world.tick >= this.scenario.ticks) return null
    const { state } = world.log
    const [undecided] = state.pending.keys()
    if (undecided !== undefined) return `request ${undecided} never gets an answer`
    for (const step of state.steps.values()) {
      if (step.open) return `the intent of ${step.id} is never settled`
      if (step.status === 'approved' && world.log.judged.holds.length === 0) return `${step.id} is approved and never ends`
    }
    return null
  }

  moves(world: World): readonly Move<World>[] {
    if (world.broken !== null) return []
    const moves: Move<World>[] = []
    const add = (name: string, next: () => World, isFault = false): void => void moves.push({ name, isFault, next })
    this.peopleMove(world, add)
    this.groupMoves(world, add)
    this.networkMoves(world, add)
    world.owners.forEach((owner, i) => this.ownerMoves(world, owner, i, add))
    this.targetMoves(world, add)
    const waits = this.scenario.hasClock === true || world.owners.some((one) => this.isWaitingForTime(one))
    const isOverdue = world.wire.some((one) => world.tick - one.sentTick >= LATENCY)
    if (waits && world.tick < this.scenario.ticks && !isOverdue) add('20 s pass', () => ({ ...world, tick: world.tick + 1 }))
    return moves
  }

  private isWaitingForTime({ knows, phase }: Owner): boolean {
    if (!knows || phase !== 'running') return false
    const ends = (step: Step): boolean => step.endedUs === null && step.proposal.expiresUs < T0 + NEVER * TICK_US
    return [...knows.state.steps.values()].some((step) => step.open !== null || ends(step) || step.retryAtUs > 0)
  }

  private nowUs(world: World): number {
    return T0 + world.tick * TICK_US
  }

  private wallUs(world: World, i: number): number {
    return this.nowUs(world) + (this.scenario.clocks?.[i] ?? 0) * TICK_US
  }

  private append(world: World, facts: readonly Actions[]): World {
    return { ...world, log: this.prefixes.after(world.log, facts, this.nowUs(world)) }
  }

  private peopleMove(world: World, add: Add): void {
    this.scenario.said?.forEach((one, at) => {
      const isSaid = (world.said >> at) % 2 === 1
      const name = `somebody appends ${one.request.type} ${one.request.id}`
      if (isSaid && world.faults.repeats > 0) add(`${name} again`, () => spend(this.append(world, [one.request]), 'repeats'), true)
      const isDue = one.after?.every((before) => (world.said >> before) % 2 === 1) ?? true
      if (isSaid || !isDue || one.when?.(world.log.state) === false) return
      add(name, () => ({ ...this.append(world, [one.request]), said: world.said | (1 << at) }), one.isOptional === true)
    })
  }

  private groupMoves(world: World, add: Add): void {
    if (world.faults.moves > 0)
      world.owners.forEach((_, i) => {
        if (i !== world.assigned)
          add(`the group moves the partition to ${nameOf(i)}`, () => spend({ ...world, assigned: i }, 'moves'), true)
      })
    world.owners.forEach((owner, i) => {
      const name = nameOf(i)
      if (!owner.isAssigned && world.assigned === i)
        add(`${name} learns that it is assigned`, () => withOwner(world, i, { isAssigned: true }))
      if (owner.isAssigned && world.assigned !== i)
        add(`${name} learns that it lost the partition`, () => withOwner(strand(world, i), i, { ...OFF, takes: owner.takes }))
      if (world.faults.crashes > 0 && (owner.isAssigned || owner.phase !== 'off'))
        add(`${name} crashes`, () => spend(withOwner(strand(world, i), i, { ...OFF, takes: owner.takes }), 'crashes'), true)
    })
  }

  private networkMoves(world: World, add: Add): void {
    world.flights.forEach((flight, at) => {
      const { by, facts } = flight
      const without = { ...world, flights: world.flights.filter((_, other) => other !== at) }
      const what = `${facts[0]!.type} of ${nameOf(by)}`
      if (!flight.isLive) return add(`late ${what} lands`, () => this.append(without, facts), true)
      add(`${what} lands and is acknowledged`, () => this.acknowledged(this.append(without, facts), by, facts))
      if (world.faults.unknown > 0)
        add(
          `${what} has no known result`,
          () => {
            const lost = spend({ ...without, flights: [...without.flights, { ...flight, isLive: false }] }, 'unknown')
            if (this.rules.endsEpoch) return this.endTerm(lost, by)
            return { ...lost, flights: [...lost.flights, flight] }
          },
          true,
        )
    })
  }

  /** The term is over: what it has under way is settled by the next one. */
  private endTerm(world: World, i: number): World {
    return withOwner(dropAnswers(world, i), i, { phase: 'off', isWaiting: false, intent: null, todo: null })
  }

  private acknowledged(world: World, i: number, facts: readonly Actions[]): World {
    const owner = world.owners[i]!
    const [first] = facts as readonly [Actions]
    const landed = world.log
    const offset = landed.length - facts.length
    const read = this.read(withOwner(world, i, { isWaiting: false }), i, world.log)
    const bad = isBadStamp(landed.entries[0]!)
    if (first.type === 'OwnershipTaken') {
      const isMine = landed.state.epoch === owner.epoch && landed.state.owner === idOf(i, owner)
      const isWrong = bad && Math.abs(this.scenario.clocks?.[i] ?? 0) * TICK_US > 60_000_000
      return withOwner(read, i, { phase: isMine ? 'running' : isWrong ? 'wrong-clock' : 'off' })
    }
    // partition-log.ts: a void stamp of one's own ends the term
    if (bad && landed.state.owner === idOf(i, owner)) return this.endTerm(read, i)
    if (first.type !== 'Executing' || read.owners[i]!.phase !== 'running') return read
    const { commandRequestId, notAfterUs } = first.execution!
    const step = owner.knows!.state.steps.get(first.stepId!)!
    const startedTick = owner.intent?.startedTick ?? world.tick
    const toExpiryMs = (step.proposal.expiresUs - first.atUs) / 1000
    const intent: Intent = {
      stepId: step.id,
      offset,
      requestId: commandRequestId,
      notAfterUs,
      startedTick,
      allowedMs: this.rules.windowEndsWithExpiry ? Math.min(WINDOW_MS, toExpiryMs) : WINDOW_MS,
      isSent: false,
      readBack: null,
    }
    return withOwner(read, i, { intent })
  }

  /** The owner folds up to a prefix and notices there that another one has taken over. */
  private read(world: World, i: number, to: Prefix): World {
    const owner = world.owners[i]!
    const open = openIntents(to.state).flatMap((step) => (step.open ? [step.open.offset] : []))
    const firstRead = open.map((offset) => owner.firstRead.find(([known]) => known === offset) ?? ([offset, world.tick] as const))
    const isFenced = owner.phase === 'running' && (to.state.epoch !== owner.epoch || to.state.owner !== idOf(i, owner))
    const fenced = { phase: 'fenced', intent: null, todo: null, isWaiting: false } as const
    const next = withOwner(world, i, { knows: to, firstRead, ...(isFenced ? fenced : {}) })
    return isFenced ? strand(next, i) : next
  }

  private ownerMoves(world: World, owner: Owner, i: number, add: Add): void {
    if (!owner.isAssigned || owner.isWaiting) return
    const name = nameOf(i)
    if (owner.phase === 'off') return add(`${name} takes the partition`, () => this.take(world, i))
    if (owner.phase === 'fenced') return this.fencedMoves(world, i, add)
    if (owner.phase === 'wrong-clock')
      return add(`${name} finds its clock wrong and leaves`, () => ({
        ...withOwner(strand(world, i), i, { ...OFF, takes: owner.takes }),
        assigned: (i + 1) % world.owners.length,
      }))
    this.intentMoves(world, owner, i, add)
    const read = this.read(world, i, world.log)
    if (read.owners[i]!.phase === 'fenced') return add(`${name} reads that it is fenced`, () => read)
    const facts = this.nextFacts(read, i)
    if (facts) return add(`${name} writes ${facts.map((one) => one.type).join(', ')}`, () => this.put(read, i, facts))
    this.settlingMoves(read, i, add)
    if (owner.knows !== world.log) add(`${name} reads on`, () => read)
  }

  private take(world: World, i: number): World {
    const owner = world.owners[i]!
    const epoch = world.log.state.highestEpoch + 1
    const takes = owner.takes + 1
    const taking = withOwner(this.read(world, i, world.log), i, { phase: 'taking', epoch, takes })
    return this.put(taking, i, [ownershipTaken(LINE, epoch, idOf(i, { takes }), this.wallUs(world, i))], true)
  }

  private fencedMoves(world: World, i: number, add: Add): void {
    if (!this.rules.retakes) return
    if (world.assigned === i) add(`${nameOf(i)} is still assigned and starts anew`, () => withOwner(world, i, { phase: 'off' }))
    else if (world.faults.zombies > 0)
      add(`${nameOf(i)} believes that it is assigned and starts anew`, () => spend(withOwner(world, i, { phase: 'off' }), 'zombies'), true)
  }

  private put(world: World, i: number, facts: readonly Actions[], isTake = false): World {
    const owner = world.owners[i]!
    const signed = isTake ? facts : sign(facts, owner.epoch, idOf(i, owner))
    const flight: Flight = { by: i, facts: signed, isLive: true, key: keyOf(signed) }
    const startedTick = world.tick
    const isIntent = facts[0]!.type === 'Executing'
    const begun = isIntent ? { intent: { ...NOT_YET, startedTick } } : {}
    const todo = facts[0]!.execution?.outcome ? { todo: null } : {}
    return withOwner({ ...world, flights: [...world.flights, flight] }, i, { isWaiting: true, ...begun, ...todo })
  }

  private stampUs(world: World, i: number): number {
    return Math.max(world.owners[i]!.knows!.state.stampUs, this.wallUs(world, i))
  }

  /** What the owner writes next; null when there is nothing. */
  private nextFacts(world: World, i: number): readonly Actions[] | null {
    const owner = world.owners[i]!
    const { state } = owner.knows!
    const atUs = this.stampUs(world, i)
    const context = { ...this.context, atUs }
    const due = this.rules.dueFacts(state, context)
    if (due.length > 0) return due
    const { todo } = owner
    const done = todo === null ? undefined : state.steps.get(todo.stepId)
    if (todo && done?.open?.offset === todo.offset) return [outcome(done, todo.kind, todo.by, null, null, atUs)]
    const [pending] = state.pending.values()
    if (pending) return this.rules.decide(pending.record, state, context)
    if (owner.intent !== null) return null
    const [step] = this.rules.executableSteps(state, atUs)
    if (!step) return null
    const intent = executing(step, WINDOW_MS, atUs)
    if (this.rules.windowEndsWithExpiry) return [intent]
    return [{ ...intent, execution: { ...intent.execution!, notAfterUs: atUs + WINDOW_MS * 1000 } }]
  }

  private intentMoves(world: World, owner: Owner, i: number, add: Add): void {
    const { intent } = owner
    if (!intent || intent.offset < 0) return
    const name = nameOf(i)
    if (intent.isSent) {
      const isUnanswered = !world.wire.some((one) => one.by === i && one.isLive)
      if (isUnanswered) add(`${name} stops waiting for the target`, () => withOwner(world, i, { intent: null }))
      return
    }
    if (intent.readBack) add(`${name} writes the command to the socket`, () => this.send(world, i, intent, intent.readBack!))
    else add(`${name} reads back and checks`, () => this.confirm(world, i, intent))
  }

  private confirm(world: World, i: number, intent: Intent): World {
    const own = prefixTo(world.log, intent.offset)
    const seen = this.read(world, i, this.rules.readsToEnd ? world.log : later(world.owners[i]!.knows!, own))
    // what its term knew: a fenced owner has to find that out by itself
    const owner = world.owners[i]!
    const to = this.rules.readsToEnd ? world.log : own
    const sinceMs = (world.tick - intent.startedTick) * TICK_MS
    const objection = this.rules.objectionToSend({
      state: to.state,
      stepId: intent.stepId,
      intentOffset: intent.offset,
      epoch: owner.epoch,
      owner: idOf(i, owner),
      monoSinceIntentMs: sinceMs,
      wallSinceIntentMs: sinceMs,
      monoSinceReadMs: 0,
      allowedMs: intent.allowedMs,
    })
    if (objection === null) {
      if (this.scenario.stopsBeforeSend) return withOwner(seen, i, { intent: { ...intent, readBack: world.log } })
      return this.send(seen, i, intent, world.log)
    }
    if (seen.owners[i]!.phase !== 'running') return seen
    const isOpen = to.state.steps.get(intent.stepId)?.open?.offset === intent.offset
    const todo = isOpen ? ({ stepId: intent.stepId, offset: intent.offset, kind: 'ExecutionAbandoned', by: 'answer' } as const) : null
    return withOwner(seen, i, { intent: null, todo })
  }

  private send(world: World, i: number, intent: Intent, readBack: Prefix): World {
    const own = prefixTo(world.log, intent.offset)
    const entry = own.entries.find(({ offset }) => offset === intent.offset)!
    const errorUs = Math.abs(this.scenario.clocks?.[i] ?? 0) * TICK_US
    const wrong = wrongToSend(own.before!.judged, readBack.judged, intent.stepId, entry.record, this.nowUs(world), errorUs)
    const sent = { ...intent, isSent: true, readBack: null }
    const wire = [...world.wire, { by: i, intent: sent, sentTick: world.tick, isLive: true }]
    // a process that stopped before the socket may send whatever has happened since: that is the residue, judged by effects alone
    const broken = this.scenario.stopsBeforeSend ? null : wrong
    return withOwner({ ...world, wire, broken }, i, { intent: sent })
  }

  private settlingMoves(world: World, i: number, add: Add): void {
    const owner = world.owners[i]!
    for (const step of openIntents(owner.knows!.state)) {
      const { offset, notAfterUs, commandRequestId } = step.open!
      if (owner.intent?.offset === offset || owner.todo?.offset === offset) continue
      const sinceMs = (world.tick - (owner.firstRead.find(([known]) => known === offset)?.[1] ?? world.tick)) * TICK_MS
      const waitMs = this.rules.settleWaitMs(WINDOW_MS, LATENCY_MS, MAX_STOP_MS)
      const isDue = this.rules.settlesOnMonotonicClock ? sinceMs > waitMs : this.wallUs(world, i) > notAfterUs + LATENCY_MS * 1000
      if (!isDue) continue
      add(`${nameOf(i)} reads the target back for ${step.id}`, () => this.readTarget(world, i, step.id, offset, commandRequestId))
    }
  }

  /** Asking and burning are one call of the target. */
  private readTarget(world: World, i: number, stepId: string, offset: number, requestId: string): World {
    const { target } = this.scenario
    const isDone = world.effects.some((one) => (target === 'iii' ? one.stepId === stepId : one.requestId === requestId))
    const burns = target !== 'iii' && this.rules.burns && !world.burnt.includes(requestId)
    const todo = { stepId, offset, kind: this.rules.settledOutcome(target, isDone), by: 'readback' } as const
    return withOwner({ ...world, burnt: burns ? [...world.burnt, requestId] : world.burnt }, i, { todo })
  }

  private targetMoves(world: World, add: Add): void {
    world.wire.forEach((command, at) => {
      const without = { ...world, wire: world.wire.filter((_, other) => other !== at) }
      const { stepId, offset } = command.intent
      add(`the target gets ${stepId}`, () => {
        const [acted, kind] = this.act(without, command.intent)
        if (!command.isLive) return acted
        return withOwner(acted, command.by, { intent: null, todo: { stepId, offset, kind, by: 'answer' } })
      })
      if (world.faults.target === 0) return
      add(`the target gets ${stepId}, its answer is lost`, () => spend(this.act(without, command.intent)[0], 'target'), true)
      add(`the command of ${stepId} is lost`, () => spend(without, 'target'), true)
    })
  }

  private act(world: World, { requestId, stepId, notAfterUs }: Intent): [World, Outcome] {
    const { target, targetClock = 0 } = this.scenario
    if (target !== 'iii' && world.burnt.includes(requestId)) return [world, 'RejectedByTarget']
    if (target === 'i' && this.nowUs(world) + targetClock * TICK_US > notAfterUs) return [world, 'RejectedByTarget']
    const burnt = target === 'iii' ? world.burnt : [...world.burnt, requestId]
    return [{ ...world, burnt, effects: [...world.effects, { requestId, stepId }] }, 'Executed']
  }
}

type Add = (name: string, next: () => World, isFault?: boolean) => void

const NOT_YET: Intent = {
  stepId: '',
  offset: -1,
  requestId: '',
  notAfterUs: 0,
  startedTick: 0,
  allowedMs: 0,
  isSent: false,
  readBack: null,
}

const nameOf = (i: number): string => 'ABC'[i]!
const idOf = (i: number, { takes }: Pick<Owner, 'takes'>): string => `${nameOf(i)}${takes}`

const withOwner = (world: World, i: number, fields: Partial<Owner>): World => ({
  ...world,
  owners: world.owners.map((owner, other) => (other === i ? { ...owner, ...fields } : owner)),
})

const spend = (world: World, fault: keyof Faults): World => ({
  ...world,
  faults: { ...world.faults, [fault]: world.faults[fault] - 1 },
})

/** Nobody waits any more for what this owner has under way. */
const strand = (world: World, i: number): World => ({
  ...dropAnswers(world, i),
  flights: world.flights.map((one) => (one.by === i ? { ...one, isLive: false } : one)),
})

const dropAnswers = (world: World, i: number): World => ({
  ...world,
  wire: world.wire.map((one) => (one.by === i ? { ...one, isLive: false } : one)),
})

const later = (a: Prefix, b: Prefix): Prefix => (a.length > b.length ? a : b)
