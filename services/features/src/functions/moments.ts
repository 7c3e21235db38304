// Level, spread and shape of the elements of a window: one pass for mean and extremes, one more for what is left around the mean,
// and others only where something asked for needs them.

import type { Statistic } from '@andon/schemas'
import { elementCount } from './elements.ts'
import type { Compute, Kernel, Series } from './kernel.ts'
import { found, levelPass, place, powersPass } from './simd.ts'
import { absolutes, cubes, roots } from './sums.ts'

/** What the passes over one window found; y = x - mean. */
interface Moments {
  count: number
  mean: number
  min: number
  max: number
  /** Largest |y|. */
  peak: number
  /** What follows is in units of this; `largest` is the peak. */
  scale: number
  largest: number
  rms: number
  /** Means of y^3, y^4, |y| and the root of |y|. */
  cube: number
  fourth: number
  absolute: number
  root: number
}

interface Part {
  readonly needs: 'nothing' | 'level' | 'powers' | 'cubes' | 'absolutes' | 'roots'
  readonly of: (moments: Moments) => number
}

/** ln of a level of 0 has no number; below this it makes no difference that a sensor could show. */
export const leastLevel = 1e-12

const over = (numerator: number, denominator: number): number => (denominator > 0 ? numerator / denominator : 0)

const parts = {
  count: { needs: 'nothing', of: (m) => m.count },
  mean: { needs: 'level', of: (m) => m.mean },
  std: { needs: 'powers', of: (m) => m.rms * m.scale },
  min: { needs: 'level', of: (m) => m.min },
  max: { needs: 'level', of: (m) => m.max },
  range: { needs: 'level', of: (m) => m.max - m.min },
  rms: { needs: 'powers', of: (m) => m.rms * m.scale },
  peak: { needs: 'level', of: (m) => m.peak },
  crest: { needs: 'powers', of: (m) => over(m.largest, m.rms) },
  kurtosis: { needs: 'powers', of: (m) => over(m.fourth, m.rms * m.rms * (m.rms * m.rms)) },
  skewness: { needs: 'cubes', of: (m) => over(m.cube, m.rms * m.rms * m.rms) },
  shape: { needs: 'absolutes', of: (m) => over(m.rms, m.absolute) },
  impulse: { needs: 'absolutes', of: (m) => over(m.largest, m.absolute) },
  clearance: { needs: 'roots', of: (m) => over(m.largest, m.root * m.root) },
  lnRms: { needs: 'powers', of: (m) => Math.log(Math.max(m.rms * m.scale, leastLevel)) },
} as const satisfies Partial<Record<Statistic, Part>>

type MomentName = keyof typeof parts

/** Passes that a call needs; each stands on the one before it. */
interface Passes {
  readonly level: boolean
  readonly powers: boolean
  readonly cubes: boolean
  readonly absolutes: boolean
  readonly roots: boolean
}

const passesOf = (wanted: readonly Part[]): Passes => {
  const needs = (...names: Part['needs'][]) => wanted.some((part) => names.includes(part.needs))
  return {
    level: wanted.some((part) => part.needs !== 'nothing'),
    powers: needs('powers', 'cubes', 'absolutes', 'roots'),
    cubes: needs('cubes'),
    absolutes: needs('absolutes'),
    roots: needs('roots'),
  }
}

const now: Moments = {
  count: Number.NaN,
  mean: Number.NaN,
  min: Number.NaN,
  max: Number.NaN,
  peak: Number.NaN,
  scale: Number.NaN,
  largest: Number.NaN,
  rms: Number.NaN,
  cube: Number.NaN,
  fourth: Number.NaN,
  absolute: Number.NaN,
  root: Number.NaN,
}

/** Squares of the sum lie between, so that their squares neither overflow nor vanish. Floats always do. */
const [leastSquares, mostSquares] = [1e-140, 1e140]

/** Looks at what was placed. False where doubles of the window are too large, or too small, for their powers. */
const measure = (x: Float64Array, n: number, passes: Passes): boolean => {
  levelPass(n)
  const first = x[0] as number
  const shift = found.sum / n
  now.mean = first + shift
  now.min = found.low
  now.max = found.high
  now.largest = Math.max(found.high - first - shift, first - found.low + shift)
  now.peak = now.largest
  if (shift - shift !== 0) return false
  if (!passes.powers) return true
  powersPass(n, shift)
  const { squares, fourths } = found
  now.rms = Math.sqrt(squares / n)
  now.fourth = fourths / n
  if (passes.cubes) now.cube = cubes(x, n, shift) / n
  if (passes.absolutes) now.absolute = absolutes(x, n, shift) / n
  if (passes.roots) now.root = roots(x, n, shift) / n
  return (squares > leastSquares && squares < mostSquares) || (squares === 0 && isConstant(x, n))
}

const isConstant = (x: Float64Array, n: number): boolean => {
  for (let i = 1; i < n; i++) if (x[i] !== x[0]) return false
  return true
}

/** Measures in units of a power of four that is near the largest element: exact, whatever its size, and so is the unit's root. */
const measureRescaled = (x: Float64Array, n: number, passes: Passes): void => {
  let largest = 0
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(x[i] as number))
  // Not below -1000: the factor has to be a number, and the smallest doubles need no more.
  const exponent = Math.max(2 * Math.floor(Math.log2(largest) / 2), -1000)
  const factor = 2 ** -exponent
  for (let i = 0; i < n; i++) x[i] = (x[i] as number) * factor
  const { mean, min, max, peak } = now
  measure(x, n, passes)
  now.scale = 2 ** exponent
  now.min = min
  now.max = max
  // As they are where nothing else is asked for, if they could be had.
  const isKnown = mean - mean === 0
  now.mean = isKnown ? mean : now.mean * now.scale
  now.peak = isKnown ? peak : now.peak * now.scale
}

const momentsOf = (series: Series, passes: Passes): void => {
  const n = elementCount(series)
  now.count = n
  now.scale = 1
  if (!passes.level) return
  const x = place(series.elements, n)
  if (!measure(x, n, passes)) measureRescaled(x, n, passes)
}

const passesOfLevel = passesOf([parts.rms])
const passesOfMean = passesOf([parts.mean])

/** Rms of the elements around their mean. */
export const rmsOf = (series: Series): number => {
  momentsOf(series, passesOfLevel)
  return parts.rms.of(now)
}

export const meanOf = (series: Series): number => {
  momentsOf(series, passesOfMean)
  return parts.mean.of(now)
}

const prepare: Kernel['prepare'] = ({ call: { asked } }): Compute => {
  const wanted = asked.map(({ statistic }): Part => parts[statistic as MomentName])
  const places = asked.map(({ places: [place] }) => place as number)
  const passes = passesOf(wanted)
  return ([series], values) => {
    momentsOf(series as Series, passes)
    for (let i = 0; i < wanted.length; i++) {
      const value = (wanted[i] as Part).of(now)
      if (value - value === 0) values[places[i] as number] = value // the range of doubles at both ends is no double
    }
  }
}

export const moments: Kernel = { statistics: Object.keys(parts) as MomentName[], prepare }
