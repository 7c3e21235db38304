// What a benchmark gives: one figure against what is required of it, with what it stands on. Printed as a table or as JSON lines.

import { loadavg } from 'node:os'

export interface Measurement {
  readonly id: string
  /** 1 = what is required, higher is better. Null: not measured, see `why`. */
  readonly score: number | null
  /** Of a ratio: the lower end of its 90 % interval, as a score. */
  readonly lo?: number | null
  readonly value: number | null
  /** Null where the benchmark failed before it could say. */
  readonly required: number | null
  readonly unit: string
  /** Of a ratio: the subject against itself in the same run, 1 on a quiet machine. */
  readonly control?: number | null
  /** Single observations behind the value, both sides together. */
  readonly samples: number
  /** The peer is not here: neither passed nor failed. */
  readonly skipped?: true
  /** Why there is no figure, or why it does not count. */
  readonly why?: string
  readonly detail: Readonly<Record<string, unknown>>
  /** `value` must not exceed `required`; otherwise it must reach it. For the table, not in the JSON line. */
  readonly isLimit: boolean
}

/** What is asked of a figure. */
export interface Requirement {
  readonly id: string
  readonly required: number
  readonly unit: string
  readonly isLimit?: boolean
}

/** A control outside of this says that the machine, not the code, made the difference. */
export const CONTROL_RANGE = [0.95, 1.05] as const
export const FEWEST_LO = 0.93

/** A limit that is kept by more than this says no more. */
const MOST_SCORE = 1000

/** A value that must not exceed its bound. Of a bound of 0 the score is 1 or 0. */
export const limit = (
  id: string,
  value: number,
  required: number,
  unit: string,
  samples: number,
  detail: Measurement['detail'],
): Measurement => ({
  id,
  score: required === 0 ? Number(value === 0) : rounded(required / Math.max(value, required / MOST_SCORE)),
  value: rounded(value),
  required,
  unit,
  samples,
  detail,
  isLimit: true,
})

/** Nothing could be measured: `why` says what was missing. Never a pass. */
export const notMeasured = (
  { id, required, unit, isLimit }: Requirement,
  why: string,
  detail: Measurement['detail'] = {},
): Measurement => ({
  id,
  score: null,
  value: null,
  required,
  unit,
  samples: 0,
  why,
  detail,
  isLimit: isLimit === true,
})

/** The benchmark ended with an error; the others go on. */
export const failed = (id: string, error: unknown): Measurement => {
  const why = `failed: ${error instanceof Error ? error.message : String(error)}`
  return { ...notMeasured({ id, required: 0, unit: '' }, why), required: null }
}

/** The peer cannot be had here. Never a pass. */
export const skipped = (requirement: Requirement, why: string): Measurement => ({ ...notMeasured(requirement, why), skipped: true })

/** Four significant digits, and none that pretend. */
export const rounded = (value: number): number => Number(value.toPrecision(4))

/** Load averages now: other work on the machine makes every figure worse. */
export const load = (): number[] => loadavg().map(rounded)

export const isControlled = (control: number): boolean => control >= CONTROL_RANGE[0] && control <= CONTROL_RANGE[1]

/** The requirement is met, and the run counts. */
export const isPass = ({ score, lo, control, why }: Measurement): boolean =>
  why === undefined &&
  score !== null &&
  score >= 1 &&
  (lo === undefined || (lo !== null && lo >= FEWEST_LO)) &&
  (control === undefined || (control !== null && isControlled(control)))

/** One JSON object per figure, in the field order of DESIGN.md §10. */
export const lineOf = ({ id, score, lo, value, required, unit, control, samples, skipped: isSkipped, why, detail }: Measurement): string =>
  JSON.stringify({ id, score, lo, value, required, unit, control, samples, skipped: isSkipped, why, detail })

/** A table for people: the figure, what is required of it, and the details below. */
export const tableOf = (measurements: readonly Measurement[]): string => {
  const rows = measurements.map((one) => [
    one.id,
    one.value === null ? '-' : String(one.value),
    one.required === null ? '-' : `${one.isLimit ? '≤' : '≥'} ${one.required}`,
    one.unit,
    one.control === undefined || one.control === null ? '' : String(one.control),
    String(one.samples),
    verdictOf(one),
  ])
  const table = [['ID', 'VALUE', 'REQUIRED', 'UNIT', 'CONTROL', 'SAMPLES', 'SCORE'], ...rows]
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [...lines, ...measurements.filter(({ detail }) => Object.keys(detail).length > 0).map(detailsOf)].join('\n')
}

const verdictOf = (one: Measurement): string => {
  if (one.skipped) return `skipped: ${one.why ?? ''}`
  if (one.score === null) return `not measured: ${one.why ?? ''}`
  const sure = one.lo === undefined || one.lo === null ? `${one.score}` : `${one.score}, lo ${one.lo}`
  if (isPass(one)) return `ok (${sure})`
  if (one.why !== undefined) return `${one.why} (${sure})`
  return `${one.score >= 1 ? 'UNSURE' : one.isLimit ? 'OVER' : 'BELOW'} (${sure})`
}

const detailsOf = ({ id, detail }: Measurement): string =>
  [`\n${id}`, ...Object.entries(detail).map(([name, value]) => `  ${name}: ${textOf(value)}`)].join('\n')

const textOf = (value: unknown): string => {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'object' && one !== null)) {
    return typeof value === 'string' ? value : JSON.stringify(value)
  }
  return value
    .map(
      (one) =>
        `\n    ${Object.entries(one as object)
          .map(([name, field]) => `${name} ${String(field)}`)
          .join(', ')}`,
    )
    .join('')
}
