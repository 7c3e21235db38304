// What a set's run gives: one JSON object, and the same figures for people. A figure that misses what is required fails the run.

import { canonicalJson, sha256Hex } from '@andon/kit'
import { multivariateDefaults, univariateDefaults } from '@andon/clustering/detectors/constants'
import { refitDefaults } from '@andon/clustering/modes/refit'

export interface Figure {
  readonly name: string
  readonly value: number
  /** What is required, when something is. */
  readonly atLeast?: number
  readonly atMost?: number
  readonly digits?: number
}

export interface QualityResult {
  readonly figures: readonly Figure[]
  readonly seeds?: readonly number[]
  /** More numbers for the JSON line, and what to read them with. */
  readonly detail?: Readonly<Record<string, unknown>>
}

export interface QualityOptions {
  readonly data: string
  /** Says what goes on, to people. */
  readonly note: (text: string) => void
}

export interface QualitySet {
  readonly name: string
  readonly title: string
  /** False of a set that needs no recordings. */
  readonly needsData?: boolean
  readonly run: (options: QualityOptions) => QualityResult | Promise<QualityResult>
}

/** One digest of every constant that decides: the same on every line. */
export const configDigest = (): string => sha256Hex(canonicalJson({ multivariateDefaults, univariateDefaults, refitDefaults })).slice(0, 16)

export const isMet = ({ value, atLeast, atMost }: Figure): boolean =>
  Number.isFinite(value) && (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost)

const rounded = ({ value, digits = 3 }: Figure): number | null => (Number.isFinite(value) ? Number(value.toFixed(digits)) : null)

/** `name` of a figure may be a path, `blind.F1`: the line nests it. */
export const lineOf = (set: string, { figures, seeds, detail }: QualityResult): Record<string, unknown> => {
  const line: Record<string, unknown> = { set }
  for (const figure of figures) {
    const path = figure.name.split('.')
    const last = path.pop() as string
    let at = line
    for (const part of path) at = (at[part] ??= {}) as Record<string, unknown>
    at[last] = rounded(figure)
  }
  return {
    ...line,
    config: configDigest(),
    pass: figures.every(isMet),
    ...(seeds === undefined ? {} : { seeds }),
    ...(detail === undefined ? {} : { detail }),
  }
}

export const tableOf = (results: readonly { readonly set: string; readonly result: QualityResult | Error }[]): string => {
  const rows = results.flatMap(({ set, result }) =>
    result instanceof Error
      ? [[set, '', '', '', `FAILED: ${result.message}`]]
      : result.figures.map((figure, i) => [
          i === 0 ? set : '',
          figure.name,
          String(rounded(figure) ?? '-'),
          [figure.atLeast === undefined ? '' : `≥ ${figure.atLeast}`, figure.atMost === undefined ? '' : `≤ ${figure.atMost}`].join(''),
          figure.atLeast === undefined && figure.atMost === undefined ? '' : isMet(figure) ? 'ok' : 'MISSED',
        ]),
  )
  const all = [['SET', 'FIGURE', 'VALUE', 'REQUIRED', 'RESULT'], ...rows]
  const widths = (all[0] as string[]).map((_, column) => Math.max(...all.map((row) => (row[column] as string).length)))
  const text = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join('  ')
      .trimEnd(),
  )
  return [...text, `config ${configDigest()}`].join('\n')
}
