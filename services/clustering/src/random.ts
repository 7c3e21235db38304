// The only random numbers of clustering: xoshiro128** from a seed, so that a run with the same seed draws the same numbers on every machine.

export interface Random {
  /** Uniform in 0 … 2³² - 1. */
  uint32(): number
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number
  /** Uniform whole number in 0 … `count` - 1, without bias; `count` up to 2³². */
  below(count: number): number
  /** Standard normal. */
  normal(): number
  /** Four words that `randomAt` continues from: the numbers to come are the same. */
  state(): number[]
}

/** `seed` is a whole number below 2⁵³; neighbouring seeds give unrelated numbers. */
export const randomFrom = (seed: number): Random => {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed is ${seed}, expected a whole number from 0 to 2^53 - 1`)
  const high = Math.floor(seed / 2 ** 32)
  let word = (seed ^ Math.imul(high, 0x85eb_ca6b)) >>> 0
  // splitmix32, as xoshiro's authors advise splitmix for seeding: a state of zeros cannot come out of four words in a row.
  const next = (): number => {
    word = (word + 0x9e37_79b9) | 0
    let z = word ^ (word >>> 16)
    z = Math.imul(z, 0x21f0_aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a_2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  return randomAt([next(), next(), next(), next()])
}

/** Continues from a state of `state()`. */
export const randomAt = (state: readonly number[]): Random => {
  let [a = 0, b = 0, c = 0, d = 0] = state.map((word) => word | 0)
  if (state.length !== 4 || (a | b | c | d) === 0) throw new RangeError('a state is four words, not all of them zero')

  const uint32 = (): number => {
    const product = Math.imul(b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)
    return result
  }
  const uniform = (): number => ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53
  const below = (count: number): number => {
    if (!Number.isInteger(count) || count < 1 || count > 2 ** 32) throw new RangeError(`count is ${count}, expected 1 to 2^32`)
    const most = 2 ** 32 - (2 ** 32 % count)
    for (;;) {
      const drawn = uint32()
      if (drawn < most) return drawn % count
    }
  }
  /** Marsaglia's polar method; the second number of a pair is not kept, so that the state is the four words. */
  const normal = (): number => {
    for (;;) {
      const x = 2 * uniform() - 1
      const y = 2 * uniform() - 1
      const square = x * x + y * y
      if (square > 0 && square < 1) return x * Math.sqrt((-2 * Math.log(square)) / square)
    }
  }
  return { uint32, uniform, below, normal, state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0] }
}

/** `count` different whole numbers of 0 … `from` - 1, in random order (Fisher-Yates, broken off). */
export const drawn = (random: Random, from: number, count: number): Int32Array => {
  if (count > from) throw new RangeError(`${count} of ${from} cannot be drawn`)
  const all = Int32Array.from({ length: from }, (_, i) => i)
  for (let i = 0; i < count; i++) {
    const j = i + random.below(from - i)
    const held = all[i] as number
    all[i] = all[j] as number
    all[j] = held
  }
  return all.slice(0, count)
}
