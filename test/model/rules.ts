// What the models check: the kernel itself, and what an owner does with it. A weakening takes one guard away; the models have to
// notice each of them, else they prove nothing.

import { decide, dueFacts, evolve, executableSteps, objectionToSend, settledOutcome, settleWaitMs, carriedHolds } from '@andon/decisions'
import type { Entry, SendCheck, State } from '@andon/decisions'

export interface Rules {
  readonly evolve: typeof evolve
  readonly decide: typeof decide
  readonly dueFacts: typeof dueFacts
  readonly executableSteps: typeof executableSteps
  readonly objectionToSend: typeof objectionToSend
  readonly settledOutcome: typeof settledOutcome
  readonly settleWaitMs: typeof settleWaitMs
  readonly carriedHolds: typeof carriedHolds
  /** The read-back goes to the end of the log, not only to the intent. */
  readonly readsToEnd: boolean
  /** An append without a known result ends the epoch; otherwise the same facts are appended again. */
  readonly endsEpoch: boolean
  /** A fenced owner that is still assigned takes the partition again. */
  readonly retakes: boolean
  /** Waits on the settler's own monotonic clock since it first read the intent; otherwise until `notAfter` and the latency on its wall clock. */
  readonly settlesOnMonotonicClock: boolean
  /** The window of a command ends with its approval's expiry. */
  readonly windowEndsWithExpiry: boolean
  /** Settling makes a target refuse the command's id from then on. */
  readonly burns: boolean
  /** Mesh-wide holds are carried by the owner of their home partition; otherwise by the door that was asked. */
  readonly ownerCarries: boolean
}

export const RULES: Rules = {
  evolve,
  decide,
  dueFacts,
  executableSteps,
  objectionToSend,
  settledOutcome,
  settleWaitMs,
  carriedHolds,
  readsToEnd: true,
  endsEpoch: true,
  retakes: true,
  settlesOnMonotonicClock: true,
  windowEndsWithExpiry: true,
  burns: true,
  ownerCarries: true,
}

/** Folds as if holds were lifted only where they have been seen. */
const withoutTombstones = (state: State, run: () => ReturnType<typeof evolve>): ReturnType<typeof evolve> => {
  const lifted = new Map(state.liftedHolds)
  state.liftedHolds.clear()
  const verdict = run()
  for (const [id, by] of lifted) state.liftedHolds.set(id, by)
  return verdict
}

/** Folds with every hold out of sight, and puts them back. */
const withoutHolds = (state: State, run: () => ReturnType<typeof evolve>): ReturnType<typeof evolve> => {
  const active = [...state.holds.values()].filter((hold) => hold.isActive)
  for (const hold of active) hold.isActive = false
  const verdict = run()
  for (const hold of active) hold.isActive = true
  return verdict
}

const askedRevokes = (state: State): void => {
  for (const step of state.steps.values()) if (!step.isRevoked) step.revokeAsked = false
}

/** Steps that never expire. */
const endless = (state: State): State['steps'] =>
  new Map([...state.steps].map(([id, step]) => [id, { ...step, proposal: { ...step.proposal, expiresUs: Infinity } }]))

const checkWithout = (fields: (check: SendCheck) => Partial<SendCheck>): Partial<Rules> => ({
  objectionToSend: (check) => objectionToSend({ ...check, ...fields(check) }),
})

const foldWith = (before: (state: State, entry: Entry) => Entry): Partial<Rules> => ({
  evolve: (state, entry) => evolve(state, before(state, entry)),
})

/** One guard less, by what is missing. */
export const WEAKENINGS = {
  'any higher or equal epoch counts': foldWith((state, entry) => {
    const { record } = entry
    if (record.type === 'OwnershipTaken') Object.assign(state, { epoch: (record.epoch ?? 1) - 1 })
    const isOwners = record.epoch !== null && record.epoch >= state.epoch && record.type !== 'OwnershipTaken'
    return isOwners ? { ...entry, record: { ...record, epoch: state.epoch, owner: state.owner } } : entry
  }),
  'a fenced owner does not take again': { retakes: false },
  'bad stamps count': foldWith((_, entry) => ({ ...entry, appendedUs: entry.record.atUs })),
  'intents behind a hold are live, and sent': {
    evolve: (state, entry) => (entry.record.type === 'Executing' ? withoutHolds(state, () => evolve(state, entry)) : evolve(state, entry)),
    ...checkWithout((check) => ({ state: { ...check.state, holds: new Map() } })),
  },
  'a revocation counts only once it is decided': {
    evolve: (state, entry) => {
      const verdict = evolve(state, entry)
      if (entry.record.type === 'RevokeRequested') askedRevokes(state)
      return verdict
    },
  },
  'deadlines count only once they are written': {
    decide: (request, state, context) => decide(request, { ...state, steps: endless(state) }, context),
    dueFacts: () => [],
  },
  'the window may pass the expiry': { windowEndsWithExpiry: false },
  'the read-back ends at the intent': { readsToEnd: false },
  'the window is not looked at before sending': checkWithout(() => ({ monoSinceIntentMs: 0, wallSinceIntentMs: 0 })),
  'unknown outcomes are settled by wall clock': { settlesOnMonotonicClock: false },
  'settling does not wait for the window': { settleWaitMs: (_windowMs, ...rest) => settleWaitMs(0, ...rest) },
  'settling does not wait for the latency': { settleWaitMs: (windowMs, _latencyMs, ...rest) => settleWaitMs(windowMs, 0, ...rest) },
  'settling does not wait for a stopped process': {
    settleWaitMs: (windowMs, latencyMs, _stopMs, drift) => settleWaitMs(windowMs, latencyMs, 0, drift),
  },
  'settling does not wait for a slow clock': {
    settleWaitMs: (windowMs, latencyMs, stopMs, drift) => (windowMs + latencyMs) * (1 + 2 * (drift ?? 0)) + stopMs,
  },
  'settling burns nothing': { burns: false },
  'a target that refuses nothing is tried again by itself': {
    settledOutcome: (_commandClass, isDone) => settledOutcome('ii', isDone),
  },
  'a lift ends every hold': {
    evolve: (state, entry) => {
      const verdict = evolve(state, entry)
      if (verdict === 'counted' && entry.record.type === 'HoldLifted') for (const hold of state.holds.values()) hold.isActive = false
      return verdict
    },
  },
  'a lifted hold can come back': {
    evolve: (state, entry) =>
      entry.record.type === 'HoldRequested' ? withoutTombstones(state, () => evolve(state, entry)) : evolve(state, entry),
  },
  'the door carries mesh-wide holds': { ownerCarries: false },
  'an append without a known result is repeated': { endsEpoch: false },
} satisfies Record<string, Partial<Rules>>

export type Weakening = keyof typeof WEAKENINGS

export const without = (...missing: readonly Weakening[]): Rules =>
  missing.reduce<Rules>((rules, name) => ({ ...rules, ...WEAKENINGS[name] }), RULES)
