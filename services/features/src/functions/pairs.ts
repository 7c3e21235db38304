// Two channels of single values together. A pair is made at each row of the first, with the newest value of the second at or
// before that time; rows before the second has a value make none, and without any pair nothing can be computed.

import type { Statistic } from '@andon/schemas'
import { increaseOf } from './counters.ts'
import { scratchArray } from './elements.ts'
import type { Kernel } from './kernel.ts'
import { rowsOf } from './rows.ts'
import type { Rows } from './rows.ts'

/** What the pairs (y, z) of a window hold, both without their means. */
interface Pairs {
  readonly count: number
  readonly y: Float64Array
  readonly z: Float64Array
  readonly yy: number
  readonly zz: number
  readonly yz: number
}

const scratch = [scratchArray(), scratchArray()] as const

const pairsOf = (first: Rows, second: Rows): Pairs => {
  const y = scratch[0](first.n)
  const z = scratch[1](first.n)
  let count = 0
  let held = -1
  for (let i = 0; i < first.n; i++) {
    const timeUs = first.timesUs[i] as number
    while (held + 1 < second.n && (second.timesUs[held + 1] as number) <= timeUs) held++
    if (held < 0) continue
    y[count] = first.x[i] as number
    z[count] = second.x[held] as number
    count++
  }
  centre(y, count)
  centre(z, count)
  let [yy, zz, yz] = [0, 0, 0]
  for (let i = 0; i < count; i++) {
    const [a, b] = [y[i] as number, z[i] as number]
    yy += a * a
    zz += b * b
    yz += a * b
  }
  return { count, y, z, yy, zz, yz }
}

/** Takes the mean off; a constant becomes 0 exactly. */
const centre = (x: Float64Array, n: number): void => {
  const first = x[0] as number
  let sum = 0
  for (let i = 0; i < n; i++) sum += x[i] = (x[i] as number) - first
  const shift = sum / n
  for (let i = 0; i < n; i++) x[i] = (x[i] as number) - shift
}

const correlation = ({ yy, zz, yz }: Pairs): number => {
  const scale = Math.sqrt(yy) * Math.sqrt(zz)
  return scale > 0 ? Math.max(-1, Math.min(1, yz / scale)) : 0
}

const slopeOf = ({ zz, yz }: Pairs): number => (zz > 0 ? yz / zz : 0)

const lastResidual = (pairs: Pairs): number => {
  const { count, y, z } = pairs
  return (y[count - 1] as number) - slopeOf(pairs) * (z[count - 1] as number)
}

const residualRms = (pairs: Pairs): number => {
  const { count, y, z } = pairs
  const slope = slopeOf(pairs)
  let squares = 0
  for (let i = 0; i < count; i++) {
    const residual = (y[i] as number) - slope * (z[i] as number)
    squares += residual * residual
  }
  return Math.sqrt(squares / count)
}

const ofPairs = {
  correlation,
  regressionResidual: lastResidual,
  regressionResidualRms: residualRms,
} as const satisfies Partial<Record<Statistic, (pairs: Pairs) => number>>

type PairName = keyof typeof ofPairs

export const pairs: Kernel = {
  statistics: [...(Object.keys(ofPairs) as PairName[]), 'increaseRatio'],
  prepare: ({ call: { asked, options } }) => {
    const ratio = asked.find(({ statistic }) => statistic === 'increaseRatio')
    const wanted = asked
      .filter((each) => each !== ratio)
      .map(({ statistic, places: [place] }) => ({ of: ofPairs[statistic as PairName], place: place as number }))
    const write = (values: Float64Array, place: number, value: number): void => {
      if (Number.isFinite(value)) values[place] = value
    }
    return ([a, b], values, window) => {
      const first = rowsOf(a!, window, 0)
      const second = rowsOf(b!, window, 1)
      if (wanted.length > 0) {
        const found = pairsOf(first, second)
        if (found.count > 0) for (const { of, place } of wanted) write(values, place, of(found))
      }
      // 0 / 0 is not a number, and so is a ratio to nothing.
      if (ratio !== undefined)
        write(values, ratio.places[0] as number, increaseOf(first, options.wrapsAt) / increaseOf(second, options.wrapsAt))
    }
  },
}
