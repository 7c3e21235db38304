// Numbers that look random and are a function of a seed alone: schedules and test data that can be had again.

export interface Random {
  /** Number in [0, 1). */
  readonly fraction: () => number
  /** Integer from 0 to `below` - 1. */
  int(below: number): number
  /** True with this probability. */
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
}

/** splitmix32. Equal seeds give equal numbers. */
export const seeded = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
  return {
    fraction: () => next() / 2 ** 32,
    int: (below) => next() % below,
    chance: (probability) => next() < probability * 2 ** 32,
    pick: (from) => from[next() % from.length]!,
  }
}
