// One partition and its only owner, for given / when / then: requests and facts land at once, at the time of the test's clock.

import assert from 'node:assert/strict'
import type { Actions } from '@andon/schemas'
import { decide, dueFacts, emptyState, evolve, executing, outcome, ownershipTaken, sign } from '../src/index.ts'
import type { DecideContext, Entry, Outcome, Step, Verdict } from '../src/index.ts'
import { contextAt, LINE, T0 } from './fixtures.ts'

export class Partition {
  readonly entries: Entry[] = []
  readonly state = emptyState()
  nowUs = T0
  epoch = 0
  owner = ''
  context: Partial<DecideContext> = {}

  constructor() {
    this.take('owner-1')
  }

  take(owner: string, epoch = this.state.highestEpoch + 1): Verdict {
    this.epoch = epoch
    this.owner = owner
    return this.land(ownershipTaken(LINE, epoch, owner, this.nowUs))
  }

  /** Appends as is. */
  land(record: Actions, appendedUs = this.nowUs): Verdict {
    const entry = { record, offset: this.entries.length, appendedUs }
    this.entries.push(entry)
    return evolve(this.state, entry)
  }

  /** Appends facts signed by the owner. */
  write(facts: readonly Actions[]): Verdict[] {
    return sign(facts, this.epoch, this.owner).map((one) => this.land(one))
  }

  contextNow(): DecideContext {
    return contextAt(Math.max(this.nowUs, this.state.stampUs), this.context)
  }

  /** Appends a request and lets the owner decide it; returns the facts. */
  ask(request: Actions): Actions[] {
    this.land(request)
    return this.decideNext()
  }

  decideNext(): Actions[] {
    const [next] = this.state.pending.values()
    if (!next) return []
    const facts = decide(next.record, this.state, this.contextNow())
    this.write(facts)
    return facts
  }

  /** Lets time pass; the owner writes what is due. */
  wait(us: number): Actions[] {
    this.nowUs += us
    const all: Actions[] = []
    for (let facts = dueFacts(this.state, this.contextNow()); facts.length > 0; facts = dueFacts(this.state, this.contextNow())) {
      this.write(facts)
      all.push(...facts)
    }
    return all
  }

  step(name: string): Step {
    const step = [...this.state.steps.values()].find((one) => one.name === name)
    assert.ok(step, `no step ${name}`)
    return step
  }

  intend(name: string): Verdict {
    return this.write([executing(this.step(name), 10_000, this.nowUs)])[0] ?? 'dead'
  }

  settle(name: string, kind: Outcome): Verdict {
    return this.write([outcome(this.step(name), kind, 'answer', null, null, this.nowUs)])[0] ?? 'dead'
  }
}

export const typesOf = (facts: readonly Actions[]): string[] => facts.map((one) => one.type)
export const codeOf = (facts: readonly Actions[]): string | undefined => facts[0]?.refusal?.code
