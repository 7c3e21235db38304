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
  readonly pass: boolean
  /** Rules that were not tried, each with the reason. */
  readonly skipped: readonly string[]
  /** What failed, first lines. */
  readonly failures: readonly string[]
}

const root = join(import.meta.dirname, '../..')

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : inspect(error)).split('\n', 1)[0] ?? ''

/** Runs one file of tests in a process of its own. A file that cannot start, or tries nothing, has failed. */
export const runSuite = async (check: string, file: string): Promise<Check> => {
  const skipped: string[] = []
  const failures: string[] = []
  let items = 0
  for await (const event of run({ files: [join(root, file)], cwd: root, isolation: 'process' })) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, details, skip } = event.data
    if (details.type === 'suite' && event.type === 'test:pass') continue
    if (skip !== undefined) {
      skipped.push(typeof skip === 'string' ? `${name}: ${skip}` : name)
      continue
    }
    const { error } = event.data.details as { error?: { failureType?: string; cause?: unknown } }
    if (error?.failureType === 'subtestsFailed') continue
    items++
    if (event.type === 'test:fail') failures.push(`${name}: ${firstLine(error?.cause)}`)
  }
  if (items === 0) failures.push(`${file} tried nothing`)
  return { check, items, failed: failures.length, pass: failures.length === 0, skipped, failures }
}

/** A table for people, with what was left out and what failed below it. */
export const tableOf = (checks: readonly Check[]): string => {
  const rows = [
    ['CHECK', 'RULES', 'FAILED', 'LEFT OUT', ''],
    ...checks.map((one) => [one.check, String(one.items), String(one.failed), String(one.skipped.length), one.pass ? 'ok' : 'FAILED']),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  const details = checks.flatMap(({ check, skipped, failures }) => [
    ...(failures.length > 0 ? [`\n${check}, failed:`, ...failures.map((each) => `  ✖ ${each}`)] : []),
    ...(skipped.length > 0 ? [`\n${check}, left out:`, ...skipped.map((each) => `  - ${each}`)] : []),
  ])
  return [...lines, ...details].join('\n')
}
