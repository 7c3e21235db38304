// One partition as a tree of log prefixes: every batch is folded once, by the kernel for those who read and by the judge for the
// verdict, and all readers of the same prefix share the result.

import { emptyState } from '@andon/decisions'
import type { Entry, State } from '@andon/decisions'
import type { Actions } from '@andon/schemas'
import { judged, NOTHING_JUDGED } from './judge.ts'
import type { Judged } from './judge.ts'
import type { Rules } from './rules.ts'

export interface Prefix {
  readonly id: number
  /** Records up to here. */
  readonly length: number
  /** What came last, as one batch. */
  readonly entries: readonly Entry[]
  readonly before: Prefix | null
  readonly state: State
  readonly judged: Judged
}

/** A copy that `evolve` may change without changing the original. */
const copyOf = (state: State): State => ({
  ...state,
  pending: new Map(state.pending),
  answers: new Map(state.answers),
  holds: new Map([...state.holds].map(([id, hold]) => [id, { ...hold }])),
  liftedHolds: new Map(state.liftedHolds),
  incidents: new Map(
    [...state.incidents].map(([id, one]) => [id, { ...one, stepIds: [...one.stepIds], evidence: [...one.evidence], timeline: [] }]),
  ),
  openIncidents: new Set(state.openIncidents),
  steps: new Map(
    [...state.steps].map(([id, step]) => [
      id,
      { ...step, approvals: [...step.approvals], delegations: [...step.delegations], open: step.open && { ...step.open } },
    ]),
  ),
  documents: new Map(state.documents),
  breakers: new Map(state.breakers),
})

export class Prefixes {
  readonly root: Prefix = { id: 0, length: 0, entries: [], before: null, state: emptyState(), judged: NOTHING_JUDGED }
  private readonly rules: Rules
  private readonly known = new Map<string, Prefix>()

  constructor(rules: Rules) {
    this.rules = rules
  }

  /** The prefix that is one batch longer. */
  after(prefix: Prefix, facts: readonly Actions[], appendedUs: number): Prefix {
    const key = `${prefix.id} ${appendedUs} ${keyOf(facts)}`
    const known = this.known.get(key)
    if (known) return known
    const entries = facts.map((record, i) => ({ record, offset: prefix.length + i, appendedUs }))
    const state = copyOf(prefix.state)
    for (const entry of entries) this.rules.evolve(state, entry)
    const next: Prefix = {
      id: this.known.size + 1,
      length: prefix.length + facts.length,
      entries,
      before: prefix,
      state,
      judged: entries.reduce(judged, prefix.judged),
    }
    this.known.set(key, next)
    return next
  }
}

/** The prefix that ends with this offset. */
export const prefixTo = (end: Prefix, offset: number): Prefix => {
  let prefix = end
  while (prefix.before !== null && prefix.before.length > offset) prefix = prefix.before
  return prefix
}

/** What tells batches apart: ids are logical, the rest is who wrote them when. */
export const keyOf = (facts: readonly Actions[]): string =>
  facts.map(({ id, type, atUs, epoch, owner }) => `${type}${id}${atUs}${epoch ?? ''}${owner ?? ''}`).join()
