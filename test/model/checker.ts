// A small explicit-state model checker: breadth first over canonical states, so the first schedule that breaks a rule is a shortest one.

/** One thing that can happen in a state. */
export interface Move<S> {
  readonly name: string
  /** May never happen: a crash, a loss. A state in which only faults can happen is at rest. */
  readonly isFault: boolean
  readonly next: () => S
}

export interface Model<S> {
  readonly initial: S
  /** Equal for states that behave alike: what is in flight is a set, not a list. */
  key(state: S): string
  moves(state: S): readonly Move<S>[]
  /** The rule that this state breaks; null when it breaks none. */
  broken(state: S): string | null
  /** The same for a state at rest: what should have happened and never will. */
  stuck(state: S): string | null
}

export interface Exploration {
  readonly states: number
  /** Moves on the longest shortest path to a state. */
  readonly depth: number
  /** False when the bound ended the search. */
  readonly isComplete: boolean
  readonly violation: { readonly rule: string; readonly schedule: readonly string[] } | null
}

interface Reached {
  readonly from: number
  readonly name: string
  readonly depth: number
}

/** Looks at every reachable state, nearest first, until one breaks a rule or the bound is reached. */
export const explore = <S>(model: Model<S>, mostStates = 1_000_000): Exploration => {
  const seen = new Set([model.key(model.initial)])
  const reached: Reached[] = [{ from: -1, name: '', depth: 0 }]
  // states are dropped once they were expanded: only the way to them is kept
  const queue: (S | undefined)[] = [model.initial]
  const scheduleTo = (at: number): string[] => {
    const names: string[] = []
    for (let one = at; one > 0; one = reached[one]!.from) names.push(reached[one]!.name)
    return names.reverse()
  }
  const end = (isComplete: boolean, violation: Exploration['violation']): Exploration => {
    return { states: seen.size, depth: reached.at(-1)!.depth, isComplete, violation }
  }
  const first = model.broken(model.initial)
  if (first !== null) return end(false, { rule: first, schedule: [] })
  for (let at = 0; at < queue.length; at += 1) {
    const state = queue[at]!
    queue[at] = undefined
    const { depth } = reached[at]!
    let isAtRest = true
    for (const move of model.moves(state)) {
      if (!move.isFault) isAtRest = false
      const next = move.next()
      const key = model.key(next)
      if (seen.has(key)) continue
      seen.add(key)
      reached.push({ from: at, name: move.name, depth: depth + 1 })
      queue.push(next)
      const rule = model.broken(next)
      if (rule !== null) return end(false, { rule, schedule: scheduleTo(queue.length - 1) })
    }
    const rule = isAtRest ? model.stuck(state) : null
    if (rule !== null) return end(false, { rule, schedule: scheduleTo(at) })
    if (seen.size > mostStates) return end(false, null)
  }
  return end(true, null)
}

/** A schedule for people: one move a line. */
export const told = ({ violation, states }: Exploration): string =>
  violation === null
    ? `nothing found in ${states} states`
    : `${violation.rule}, ${violation.schedule.length} moves, found in ${states} states\n${violation.schedule.map((name, i) => `  ${String(i + 1).padStart(2)}. ${name}`).join('\n')}`
