// Owners, a log, a network that loses acknowledgements and a target, driven one action at a time: the schedules of
// notes/actions-protocol.md §6 run against the kernel itself. Owners here do what services/actions/src/owner.ts does,
// without I/O. Every effect is judged by the log alone.

import assert from 'node:assert/strict'
import type { Actions } from '@andon/schemas'
import {
  decide,
  dueFacts,
  emptyState,
  evolve,
  executableSteps,
  executing,
  fold,
  isBadStamp,
  isHeld,
  objectionToSend,
  openIntents,
  outcome,
  ownershipTaken,
  settledOutcome,
  settleWaitMs,
  sign,
} from '../src/index.ts'
import type { Entry, Outcome, State } from '../src/index.ts'
import { contextAt, LINE, SECOND, T0 } from './fixtures.ts'

export const WINDOW_MS = 10_000
export const LATENCY_MS = 3_000
export const MAX_STOP_MS = 2_000
export const SETTLE_MS = settleWaitMs(WINDOW_MS, LATENCY_MS, MAX_STOP_MS)

interface Flight {
  readonly facts: Actions[]
  /** What the owner does with the acknowledgement; undefined once nobody waits for it. */
  acknowledge: ((offset: number) => void) | undefined
}

interface Intent {
  readonly stepId: string
  readonly offset: number
  readonly startedUs: number
  readonly allowedMs: number
  readonly wallUs: number
}

interface Command {
  readonly requestId: string
  readonly stepId: string
  readonly intentOffset: number
  readonly sentUs: number
  answer: ((kind: Outcome) => void) | undefined
}

export type Phase = 'off' | 'taking' | 'running' | 'confirming' | 'ready-to-send' | 'sent' | 'down'

/** One process that may own the partition. */
export class Owner {
  phase: Phase = 'off'
  state: State = emptyState()
  epoch = 0
  id = ''
  flight: Flight | undefined
  intent: Intent | undefined
  todo: { stepId: string; kind: Outcome } | undefined
  firstRead = new Map<number, number>()
  clockUs = 0
  isAssigned = true
  readAtUs = 0
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

export class World {
  readonly log: Entry[] = []
  nowUs = T0
  readonly owners: Owner[]
  readonly strays: Actions[][] = []
  readonly wire: Command[] = []
  readonly effects: { requestId: string; stepId: string; atUs: number }[] = []
  readonly known = new Set<string>()
  /** i and ii remember and burn request ids, iii only has a state. */
  commandClass = 'ii'
  private takes = 0

  constructor(names = 'AB') {
    this.owners = names.split('').map((name) => new Owner(name))
  }

  owner(name: string): Owner {
    const owner = this.owners.find((one) => one.name === name)
    assert.ok(owner)
    return owner
  }

  append(record: Actions): Entry {
    const entry = { record, offset: this.log.length, appendedUs: this.nowUs }
    this.log.push(entry)
    return entry
  }

  state(): State {
    return fold(this.log)
  }

  /** Everything this owner can do next, by name. */
  moves(owner: Owner): [string, () => void][] {
    const moves: [string, () => void][] = []
    const add = (name: string, run: () => void): void => void moves.push([`${owner.name} ${name}`, run])
    if (owner.phase === 'down' || !owner.isAssigned) return moves
    if (owner.flight) {
      add('lands', () => this.land(owner))
      return moves
    }
    if (owner.phase === 'off') add('takes', () => this.take(owner))
    if (owner.phase === 'running') add('works', () => this.work(owner))
    if (owner.phase === 'confirming') add('confirms', () => this.confirm(owner))
    if (owner.phase === 'ready-to-send') add('sends', () => this.send(owner))
    if (owner.phase === 'sent') add('gives up waiting', () => this.giveUp(owner))
    return moves
  }

  run(owner: Owner, steps = 30): void {
    for (let left = steps; left > 0; left -= 1) {
      const move = this.moves(owner).find(([name]) => !name.endsWith('gives up waiting'))
      if (!move) return
      const isWork = owner.phase === 'running' && owner.flight === undefined
      move[1]()
      if (isWork && owner.phase === 'running' && !owner.flight) return
    }
  }

  private read(owner: Owner): void {
    for (const entry of this.log.slice(owner.state.nextOffset)) {
      evolve(owner.state, entry)
      if (entry.record.type === 'Executing') owner.firstRead.set(entry.offset, this.nowUs)
    }
    owner.readAtUs = this.nowUs
  }

  private stamp(owner: Owner): number {
    return Math.max(owner.state.stampUs, this.nowUs + owner.clockUs)
  }

  private put(owner: Owner, facts: Actions[], acknowledge: Flight['acknowledge']): void {
    owner.flight = { facts, acknowledge }
  }

  /** The batch is on the log and the owner knows. */
  land(owner: Owner): void {
    const { flight } = owner
    if (!flight) return
    owner.flight = undefined
    const first = this.log.length
    for (const one of flight.facts) this.append(one)
    flight.acknowledge?.(first)
  }

  /** Nobody will ever know whether the batch is on the log: the epoch ends. */
  loseAppend(owner: Owner, lands: 'now' | 'later' | 'never'): void {
    const { flight } = owner
    if (!flight) return
    owner.flight = undefined
    if (lands === 'now') for (const one of flight.facts) this.append(one)
    if (lands === 'later') this.strays.push(flight.facts)
    this.endEpoch(owner)
  }

  landStray(): void {
    for (const one of this.strays.shift() ?? []) this.append(one)
  }

  private endEpoch(owner: Owner): void {
    owner.phase = 'off'
    owner.intent = undefined
    owner.todo = undefined
  }

  crash(owner: Owner, lands: 'now' | 'later' | 'never' = 'never'): void {
    if (owner.flight) this.loseAppend(owner, lands)
    this.endEpoch(owner)
    owner.state = emptyState()
    owner.firstRead.clear()
  }

  take(owner: Owner): void {
    this.read(owner)
    this.takes += 1
    owner.epoch = owner.state.highestEpoch + 1
    owner.id = `${owner.name}-${this.takes}`
    owner.phase = 'taking'
    const record = ownershipTaken(LINE, owner.epoch, owner.id, this.nowUs + owner.clockUs)
    this.put(owner, [record], (offset) => {
      this.read(owner)
      const entry = this.log[offset]
      const isMine = owner.state.epoch === owner.epoch && owner.state.owner === owner.id
      const isWrongClock = Math.abs(owner.clockUs) > 60_000_000
      // a wrong clock never becomes owner: it leaves, and says so; a slow append only tries again
      owner.phase = isMine ? 'running' : entry && isBadStamp(entry) && isWrongClock ? 'down' : 'off'
    })
  }

  private isFenced(owner: Owner): boolean {
    return owner.state.epoch !== owner.epoch || owner.state.owner !== owner.id
  }

  work(owner: Owner): void {
    this.read(owner)
    if (this.isFenced(owner)) return this.endEpoch(owner)
    const facts = this.nextFacts(owner)
    if (facts.length > 0) return this.put(owner, sign(facts, owner.epoch, owner.id), (offset) => this.checkOwn(owner, offset))
    const [step] = executableSteps(owner.state, this.stamp(owner))
    if (!step) return
    const atUs = this.stamp(owner)
    const allowedMs = Math.min(WINDOW_MS, (step.proposal.expiresUs - atUs) / 1000)
    const startedUs = this.nowUs
    this.put(owner, sign([executing(step, WINDOW_MS, atUs)], owner.epoch, owner.id), (offset) => {
      owner.intent = { stepId: step.id, offset, startedUs, allowedMs, wallUs: startedUs + owner.clockUs }
      owner.phase = 'confirming'
    })
  }

  private checkOwn(owner: Owner, offset: number): void {
    this.read(owner)
    const entry = this.log[offset]
    if (entry && isBadStamp(entry)) this.endEpoch(owner)
  }

  private nextFacts(owner: Owner): Actions[] {
    const atUs = this.stamp(owner)
    const context = contextAt(atUs)
    const due = dueFacts(owner.state, context)
    if (due.length > 0) return due
    if (owner.todo) {
      const { stepId, kind } = owner.todo
      owner.todo = undefined
      const step = owner.state.steps.get(stepId)
      return step?.open ? [outcome(step, kind, 'answer', null, null, atUs)] : []
    }
    const [pending] = owner.state.pending.values()
    if (pending) return decide(pending.record, owner.state, context)
    return this.settlement(owner, atUs)
  }

  private settlement(owner: Owner, atUs: number): Actions[] {
    for (const step of openIntents(owner.state)) {
      const { open } = step
      const isUnderWay = open !== null && owner.intent?.offset === open.offset
      const since = owner.firstRead.get(open?.offset ?? -1) ?? this.nowUs
      if (!open || isUnderWay || this.nowUs - since <= SETTLE_MS * 1000) continue
      const id = open.commandRequestId
      const isDone =
        this.commandClass === 'iii'
          ? this.effects.some((one) => one.stepId === step.id)
          : this.known.has(id) && this.effects.some((one) => one.requestId === id)
      this.known.add(id)
      return [outcome(step, settledOutcome(this.commandClass, isDone), 'readback', null, null, atUs)]
    }
    return []
  }

  confirm(owner: Owner): void {
    this.read(owner)
    const { intent } = owner
    if (!intent) return
    const objection = this.objection(owner)
    if (objection === null) owner.phase = 'ready-to-send'
    else if (objection !== 'stale') this.abandon(owner)
  }

  private objection(owner: Owner): string | null {
    const { intent } = owner
    assert.ok(intent)
    return objectionToSend({
      state: owner.state,
      stepId: intent.stepId,
      intentOffset: intent.offset,
      epoch: owner.epoch,
      owner: owner.id,
      monoSinceIntentMs: (this.nowUs - intent.startedUs) / 1000,
      wallSinceIntentMs: (this.nowUs + owner.clockUs - intent.wallUs) / 1000,
      monoSinceReadMs: (this.nowUs - owner.readAtUs) / 1000,
      allowedMs: intent.allowedMs,
    })
  }

  private abandon(owner: Owner): void {
    const { intent } = owner
    if (!intent) return
    owner.intent = undefined
    if (this.isFenced(owner)) return this.endEpoch(owner)
    owner.phase = 'running'
    const step = owner.state.steps.get(intent.stepId)
    if (step?.open && step.open.offset === intent.offset) owner.todo = { stepId: step.id, kind: 'ExecutionAbandoned' }
  }

  /** The checks once more in the same instant as the bytes leave. */
  send(owner: Owner): void {
    const { intent } = owner
    if (!intent) return
    const objection = this.objection(owner)
    if (objection === 'stale') {
      owner.phase = 'confirming'
      return
    }
    if (objection !== null) return this.abandon(owner)
    const requestId = owner.state.steps.get(intent.stepId)?.open?.commandRequestId ?? ''
    owner.phase = 'sent'
    const answer = (kind: Outcome): void => {
      if (owner.intent !== intent) return
      owner.intent = undefined
      owner.todo = { stepId: intent.stepId, kind }
      owner.phase = 'running'
    }
    this.wire.push({ requestId, stepId: intent.stepId, intentOffset: intent.offset, sentUs: this.nowUs, answer })
  }

  giveUp(owner: Owner): void {
    owner.intent = undefined
    owner.phase = 'running'
  }

  /** The target gets the oldest command; its answer may get lost. */
  targetActs(isAnswerLost = false): void {
    const command = this.wire.shift()
    if (!command) return
    const answer = isAnswerLost ? undefined : command.answer
    if (this.commandClass !== 'iii' && this.known.has(command.requestId)) return answer?.('RejectedByTarget')
    this.known.add(command.requestId)
    this.judge(command)
    this.effects.push({ requestId: command.requestId, stepId: command.stepId, atUs: this.nowUs })
    answer?.('Executed')
  }

  loseCommand(): void {
    this.wire.shift()
  }

  /** The promises, by the log alone, at the moment of an effect. */
  private judge(command: Command): void {
    const before = fold(this.log.slice(0, command.intentOffset))
    const step = before.steps.get(command.stepId)
    assert.equal(step?.status, 'approved', 'an effect without an approval before its intent')
    assert.ok(!isHeld(before, LINE), 'an effect although a hold precedes its intent')
    assert.ok(!step.revokeAsked, 'an effect although a revocation precedes its intent')
    assert.ok(command.sentUs < step.proposal.expiresUs + 60 * SECOND, 'an effect after the approval expired')
    assert.ok(!this.effects.some((one) => one.requestId === command.requestId), 'two effects of one request id')
    assert.ok(!this.effects.some((one) => one.stepId === command.stepId), 'two effects of one step')
    const now = this.state().steps.get(command.stepId)
    assert.equal(now?.open?.commandRequestId, command.requestId, 'an effect after its intent was settled')
  }
}
