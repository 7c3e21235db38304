// Conversion between UCUM units (https://ucum.org, case-sensitive codes): prefixes, products, quotients, powers, affine temperatures and
// the units that plants use. Pure. What is not in the table converts to nothing but itself: a wrong factor is worse than a refusal.

/** value in the new unit = value · factor + offset. */
export interface Conversion {
  readonly factor: number
  readonly offset: number
}

/** 1 of a unit = mantissa / divisor · 10^exponent of its base units; an affine one starts at `zero`, in 1/180 K: whole for both scales. */
interface Unit {
  readonly mantissa: number
  readonly divisor: number
  readonly exponent: number
  /** Powers of m, s, g, K, C, cd, rad, mol, By. */
  readonly dimensions: readonly number[]
  readonly zero: number
  readonly isMetric: boolean
}

const base = ['m', 's', 'g', 'K', 'C', 'cd', 'rad', 'mol', 'By'] as const
const noDimensions = base.map(() => 0)

const prefixes: Readonly<Record<string, number>> = Object.fromEntries([
  ...['da', 'h', 'k'].map((prefix, i) => [prefix, i + 1]),
  ...['M', 'G', 'T', 'P', 'E', 'Z', 'Y'].map((prefix, i) => [prefix, 6 + 3 * i]),
  ...['d', 'c', 'm'].map((prefix, i) => [prefix, -1 - i]),
  ...['u', 'n', 'p', 'f', 'a', 'z', 'y'].map((prefix, i) => [prefix, -6 - 3 * i]),
])

/** Code → [mantissa, exponent of ten, unit] that define it, in figures as they are fixed by law or by UCUM. These take no prefix. */
const plain: Readonly<Record<string, readonly [number, number, string]>> = {
  '%': [1, -2, '1'],
  '[ppth]': [1, -3, '1'],
  '[ppm]': [1, -6, '1'],
  '[ppb]': [1, -9, '1'],
  '[pi]': [Math.PI, 0, '1'],
  '10*': [1, 1, '1'],
  '10^': [1, 1, '1'],
  deg: [Math.PI / 180, 0, 'rad'],
  min: [60, 0, 's'],
  h: [3600, 0, 's'],
  d: [86_400, 0, 's'],
  wk: [604_800, 0, 's'],
  a: [31_557_600, 0, 's'], // the Julian year, as UCUM says
  mo: [2_629_800, 0, 's'],
  '[in_i]': [254, -4, 'm'],
  '[ft_i]': [3048, -4, 'm'],
  '[yd_i]': [9144, -4, 'm'],
  '[mi_i]': [1_609_344, -3, 'm'],
  '[nmi_i]': [1852, 0, 'm'],
  '[kn_i]': [1852, 0, 'm/h'],
  '[lb_av]': [45_359_237, -5, 'g'],
  '[oz_av]': [28_349_523_125, -9, 'g'],
  '[lbf_av]': [44_482_216_152_605, -13, 'N'],
  '[psi]': [1, 0, '[lbf_av]/[in_i]2'],
  '[gal_us]': [3_785_411_784, -9, 'L'],
  '[cfm_i]': [1, 0, '[ft_i]3/min'],
  '[Btu_IT]': [105_505_585_262, -8, 'J'],
  '[HP]': [550, 0, '[ft_i].[lbf_av]/s'],
  atm: [101_325, 0, 'Pa'],
  bit: [125, -3, 'By'],
}

/** These take prefixes. */
const metric: Readonly<Record<string, readonly [number, number, string]>> = {
  Hz: [1, 0, '/s'],
  N: [1, 3, 'g.m/s2'],
  Pa: [1, 0, 'N/m2'],
  J: [1, 0, 'N.m'],
  W: [1, 0, 'J/s'],
  A: [1, 0, 'C/s'],
  V: [1, 0, 'J/C'],
  F: [1, 0, 'C/V'],
  Ohm: [1, 0, 'V/A'],
  S: [1, 0, 'A/V'],
  Wb: [1, 0, 'V.s'],
  T: [1, 0, 'Wb/m2'],
  H: [1, 0, 'Wb/A'],
  sr: [1, 0, 'rad2'],
  lm: [1, 0, 'cd.sr'],
  lx: [1, 0, 'lm/m2'],
  Bq: [1, 0, '/s'],
  L: [1, -3, 'm3'],
  l: [1, -3, 'm3'],
  t: [1, 6, 'g'],
  bar: [1, 5, 'Pa'],
  P: [1, -1, 'Pa.s'],
  St: [1, -4, 'm2/s'],
  G: [1, -4, 'T'],
  dyn: [1, -5, 'N'],
  erg: [1, -7, 'J'],
  cal: [4184, -3, 'J'],
  eV: [1_602_176_634, -28, 'J'],
  gf: [980_665, -8, 'N'],
  '[g]': [980_665, -5, 'm/s2'],
  'm[Hg]': [133_322, 0, 'Pa'],
  'm[H2O]': [980_665, -2, 'Pa'],
}

/** Affine temperatures: [mantissa, divisor, zero]; 0 Cel = 273.15 K, 0 [degF] = 459.67 · 5/9 K. */
const temperatures: Readonly<Record<string, readonly [number, number, number]>> = { Cel: [1, 1, 49_167], '[degF]': [5, 9, 45_967] }

const dimensionless: Unit = { mantissa: 1, divisor: 1, exponent: 0, dimensions: noDimensions, zero: 0, isMetric: false }
const atoms = new Map<string, Unit>()
for (const [at, code] of base.entries()) {
  atoms.set(code, { ...dimensionless, dimensions: noDimensions.map((_, i) => Number(i === at)), isMetric: true })
}
for (const [code, [mantissa, divisor, zero]] of Object.entries(temperatures)) {
  atoms.set(code, { ...(atoms.get('K') as Unit), mantissa, divisor, zero, isMetric: code === 'Cel' })
}

const define = (table: typeof plain, isMetric: boolean): void => {
  for (const [code, [mantissa, exponent, definition]] of Object.entries(table)) {
    const unit = unitOf(definition)
    if (unit === undefined) throw new Error(`${code} is defined by ${definition}, which is no unit`)
    atoms.set(code, { ...unit, mantissa: unit.mantissa * mantissa, exponent: unit.exponent + exponent, isMetric })
  }
}

const longestCode = 64

/** Undefined when it is not UCUM, or has a unit that is not in the table. */
const unitOf = (code: string): Unit | undefined => {
  if (code.length > longestCode) return undefined
  const reader = { text: code, at: 0 }
  const unit = readTerm(reader)
  return unit === undefined || reader.at < code.length ? undefined : unit
}

interface Reader {
  readonly text: string
  at: number
}

/** [/] component { . or / component } */
const readTerm = (reader: Reader): Unit | undefined => {
  let unit: Unit | undefined = reader.text[reader.at] === '/' ? dimensionless : readComponent(reader)
  for (let sign = reader.text[reader.at]; unit !== undefined && (sign === '.' || sign === '/'); sign = reader.text[reader.at]) {
    reader.at++
    const right = readComponent(reader)
    unit = right === undefined ? undefined : times(unit, right, sign === '.' ? 1 : -1)
  }
  return unit
}

const readComponent = (reader: Reader): Unit | undefined => {
  if (reader.text[reader.at] === '(') {
    reader.at++
    const unit = readTerm(reader)
    return unit !== undefined && reader.text[reader.at++] === ')' ? unit : undefined
  }
  const found = /^(?:(\d+)(?![*^\d])|((?:10[*^]|\[[^\]]*\]|[A-Za-z%'"])(?:\[[^\]]*\]|[A-Za-z_])*)([+-]?\d+)?)?(\{[^{}]*\})?/.exec(
    reader.text.slice(reader.at),
  )
  if (found === null || found[0] === '') return undefined
  reader.at += found[0].length
  const [, number, code, power] = found
  if (number !== undefined) return { ...dimensionless, mantissa: Number(number) }
  if (code === undefined) return dimensionless
  const unit = atoms.get(code) ?? prefixed(code)
  return unit === undefined || power === undefined ? unit : times(dimensionless, unit, Number(power))
}

const prefixed = (code: string): Unit | undefined => {
  for (const length of [2, 1]) {
    const exponent = prefixes[code.slice(0, length)]
    const unit = exponent === undefined ? undefined : atoms.get(code.slice(length))
    if (exponent !== undefined && unit?.isMetric === true) return { ...unit, exponent: unit.exponent + exponent, isMetric: false }
  }
  return undefined
}

/** left · right^power. Within a product a temperature is a difference: its zero is gone. */
const times = (left: Unit, right: Unit, power: number): Unit => ({
  mantissa: left.mantissa * (power < 0 ? right.divisor : right.mantissa) ** Math.abs(power),
  divisor: left.divisor * (power < 0 ? right.mantissa : right.divisor) ** Math.abs(power),
  exponent: left.exponent + right.exponent * power,
  dimensions: left.dimensions.map((dimension, i) => dimension + power * (right.dimensions[i] as number)),
  zero: 0,
  isMetric: false,
})

define(metric, true)
define(plain, false)

const same: Conversion = { factor: 1, offset: 0 }

/**
 * How values of one unit become values of another; undefined when they measure different things, or one of them is not known.
 * Factors are exact to the last digits of a double. A code converts to itself, known or not.
 */
export const conversionOf = (from: string, to: string): Conversion | undefined => {
  if (from === to) return same
  const [source, target] = [unitOf(from), unitOf(to)]
  if (source === undefined || target === undefined) return undefined
  if (source.dimensions.some((dimension, i) => dimension !== target.dimensions[i])) return undefined
  const exponent = source.exponent - target.exponent
  const mantissa = (source.mantissa * target.divisor) / (source.divisor * target.mantissa)
  const factor = exponent < 0 ? mantissa / 10 ** -exponent : mantissa * 10 ** exponent
  const offset = ((source.zero - target.zero) * target.divisor) / (180 * target.mantissa * 10 ** target.exponent)
  return Number.isFinite(factor) && factor !== 0 ? { factor, offset } : undefined
}
