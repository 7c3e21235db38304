// What a verification gives: how many rules were held against which outside thing, and how many failed. A rule that was left out is
// named with its reason and never counts as passed.

import { join } from 'node:path'
import { run } from 'node:test'
import { inspect } from 'node:util'

export interface Check {
  readonly check: string
  /** Rules that were tried. */
  readonly items: number
  readonly failed: number
  /** null: nothing was tried, `skipped` says why. */
  readonly pass: boolean | null
  /** Rules that were not tried, each with the reason. */
  readonly skipped: readonly string[]
  /** What failed, first lines. */
  readonly failures: readonly string[]
}

const root = join(import.meta.dirname, '../..')

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : inspect(error)).split('\n', 1)[0] ?? ''

/** One test of a file: passed, left out with a reason, or failed with the first line of its error. */
export interface Tried {
  readonly name: string
  readonly skip?: string
  readonly failure?: string
}

/** Runs one file of tests in a process of its own. */
export async function* triedIn(file: string): AsyncGenerator<Tried> {
  for await (const event of run({ files: [join(root, file)], cwd: root, isolation: 'process' })) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, details, skip } = event.data
    if (details.type === 'suite' && event.type === 'test:pass') continue
    if (skip !== undefined) {
      yield { name, skip: typeof skip === 'string' ? skip : 'no reason given' }
      continue
    }
    const { error } = event.data.details as { error?: { failureType?: string; cause?: unknown } }
    if (error?.failureType === 'subtestsFailed') continue
    yield event.type === 'test:fail' ? { name, failure: firstLine(error?.cause) } : { name }
  }
}

/** What came of these tests, as one check. */
export const checkOf = (check: string, tried: readonly Tried[]): Check => {
  const failures = tried.flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`]))
  const skipped = tried.flatMap(({ name, skip }) => (skip === undefined ? [] : [`${name}: ${skip}`]))
  const items = tried.length - skipped.length
  return { check, items, failed: failures.length, pass: items === 0 ? null : failures.length === 0, skipped, failures }
}

/** Runs one file of tests as one check. A file that cannot start, or tries nothing, has failed. */
export const runSuite = async (check: string, file: string): Promise<Check> => {
  const tried = await Array.fromAsync(triedIn(file))
  const result = checkOf(check, tried)
  return result.items > 0 ? result : { ...result, failed: 1, pass: false, failures: [`${file} tried nothing`] }
}

/** A table for people, with what was left out and what failed below it. */
export const tableOf = (checks: readonly Check[]): string => {
  const rows = [
    ['CHECK', 'RULES', 'FAILED', 'LEFT OUT', ''],
    ...checks.map((one) => [one.check, String(one.items), String(one.failed), String(one.skipped.length), one.pass ? 'ok' : 'FAILED']),
  ]
  const details = checks.flatMap(({ check, skipped, failures }) => [
    ...(failures.length > 0 ? [`\n${check}, failed:`, ...failures.map((each) => `  ✖ ${each}`)] : []),
    ...(skipped.length > 0 ? [`\n${check}, left out:`, ...skipped.map((each) => `  - ${each}`)] : []),
  ])
  return [aligned(rows), ...details].join('\n')
}

/** Rows as columns of equal width. */
export const aligned = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
