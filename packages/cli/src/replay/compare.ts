// Two decoded values, field by field: which differ by more than their tolerance.

import { AndonError } from '@andon/kit/errors'
import { KEYED_LISTS } from './identity.ts'

export interface FieldDifference {
  /** By names; list elements as `[]`, e.g. `verdicts[].ratio`, `values.vibrationG.rms`. */
  readonly path: string
  /** The element's name or place, where the path goes through a list. */
  readonly element: string | null
  readonly before: unknown
  readonly after: unknown
  /** |after - before| of numbers. */
  readonly delta: number | null
}

/** Tolerance of numbers: `default`, or by the end of a path (`ratio`, `values.temperatureC.mean`). */
export type Tolerances = ReadonlyMap<string, number>

export const DEFAULT_TOLERANCE = 1e-5

/** `field=0.01` pairs; `default=…` changes the general one. Throws ANDON_CLI_TOLERANCE. */
export const parseTolerances = (pairs: readonly string[]): Tolerances => {
  const found = new Map([['default', DEFAULT_TOLERANCE]])
  for (const pair of pairs) {
    const [, field, number] = /^(.+)=([0-9.eE+-]+)$/.exec(pair) ?? []
    const tolerance = Number(number)
    if (field === undefined || !Number.isFinite(tolerance) || tolerance < 0)
      throw new AndonError('ANDON_CLI_TOLERANCE', `--tolerance: expected field=number, e.g. ratio=0.01, found "${pair}".`, { status: 400 })
    found.set(field, tolerance)
  }
  return found
}

const toleranceOf = (path: string, tolerances: Tolerances): number => {
  for (const [field, tolerance] of tolerances) if (path === field || path.endsWith(`.${field}`)) return tolerance
  return tolerances.get('default') ?? DEFAULT_TOLERANCE
}

/** Equal numbers within an absolute or relative tolerance; NaN equals NaN. Integers are compared exactly by tolerance 0. */
const isNear = (a: number, b: number, tolerance: number): boolean => {
  if (Object.is(a, b) || (Number.isNaN(a) && Number.isNaN(b))) return true
  const delta = Math.abs(a - b)
  return delta <= tolerance || delta <= tolerance * Math.max(Math.abs(a), Math.abs(b))
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

/** Differences from `before` to `after`; `ignored` names whole paths. */
export const compareValues = (before: unknown, after: unknown, tolerances: Tolerances, ignored: ReadonlySet<string>): FieldDifference[] => {
  const found: FieldDifference[] = []
  const differ = (path: string, element: string | null, a: unknown, b: unknown, delta: number | null = null): void => {
    found.push({ path, element, before: a ?? null, after: b ?? null, delta })
  }
  const walk = (path: string, element: string | null, a: unknown, b: unknown): void => {
    if (ignored.has(path)) return
    if (typeof a === 'number' && typeof b === 'number') {
      // Times and counts are whole numbers: they are equal or they are not.
      const tolerance = Number.isInteger(a) && Number.isInteger(b) && Math.abs(a) > 1e6 ? 0 : toleranceOf(path, tolerances)
      if (!isNear(a, b, tolerance)) differ(path, element, a, b, Math.abs(a - b))
    } else if (a instanceof Uint8Array && b instanceof Uint8Array) {
      if (Buffer.compare(a, b) !== 0) differ(path, element, `<${a.length} bytes>`, `<${b.length} bytes>`)
    } else if (Array.isArray(a) && Array.isArray(b)) walkLists(path, a, b)
    else if (isFields(a) && isFields(b)) {
      for (const name of new Set([...Object.keys(a), ...Object.keys(b)]))
        walk(path === '' ? name : `${path}.${name}`, element, a[name], b[name])
    } else if ((a ?? null) !== (b ?? null)) differ(path, element, a, b)
  }
  const walkLists = (path: string, a: readonly unknown[], b: readonly unknown[]): void => {
    const by = KEYED_LISTS[path]
    const named = (list: readonly unknown[]): Map<string, unknown> =>
      new Map(list.map((each, i) => [by !== undefined && isFields(each) ? String(each[by]) : String(i), each]))
    const [left, right] = [named(a), named(b)]
    for (const name of new Set([...left.keys(), ...right.keys()])) walk(`${path}[]`, name, left.get(name), right.get(name))
  }
  walk('', null, before, after)
  return found
}
