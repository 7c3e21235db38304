// What a benchmark gives: one figure against its bound, with what it stands on. Printed as a table or as JSON lines.

import { loadavg } from 'node:os'

export interface Measurement {
  readonly id: string
  /** 1 = the bound, higher is better. Null: not measured, see `why`. */
  readonly score: number | null
  readonly value: number | null
  /** Largest value that is good enough. */
  readonly required: number
  readonly unit: string
  /** Single observations behind the value. */
  readonly samples: number
  readonly why?: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** A value that must not exceed its bound. Of a bound of 0 the score is 1 or 0. */
export const limit = (
  id: string,
  value: number,
  required: number,
  unit: string,
  samples: number,
  detail: Readonly<Record<string, unknown>>,
): Measurement => ({
  id,
  score: required === 0 ? Number(value === 0) : rounded(required / Math.max(value, 1e-9)),
  value: rounded(value),
  required,
  unit,
  samples,
  detail,
})

export const notMeasured = (id: string, required: number, unit: string, why: string, detail: Measurement['detail'] = {}): Measurement => ({
  id,
  score: null,
  value: null,
  required,
  unit,
  samples: 0,
  why,
  detail,
})

/** Three significant digits after the point at most, and none that pretend. */
export const rounded = (value: number): number => Number(value.toPrecision(4))

/** Load averages now: other work on the machine makes every figure worse. */
export const load = (): number[] => loadavg().map(rounded)

/** Linear-interpolated quantile. */
export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = q * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN]
  return low + (high - low) * (at - Math.floor(at))
}

export const isPass = ({ score }: Measurement): boolean => score !== null && score >= 1

/** A table for people: the figure, its bound, and the details below it. */
export const tableOf = (measurements: readonly Measurement[]): string => {
  const rows = measurements.map((one) => [
    one.id,
    one.value === null ? '-' : String(one.value),
    `≤ ${one.required}`,
    one.unit,
    String(one.samples),
    one.score === null ? `not measured: ${one.why ?? ''}` : isPass(one) ? `ok (${one.score})` : `OVER (${one.score})`,
  ])
  const table = [['ID', 'VALUE', 'BOUND', 'UNIT', 'SAMPLES', 'SCORE'], ...rows]
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [...lines, ...measurements.map(detailsOf)].join('\n')
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
