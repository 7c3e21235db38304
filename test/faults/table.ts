// The table of a fault run: one row per fault, and under it what did not hold.

import type { FaultLine } from './fault.ts'

export const tableOf = (lines: readonly FaultLine[]): string => {
  const rows = lines.map((line) => [
    line.fault,
    String(line.acknowledged),
    String(line.lost),
    String(line.duplicates),
    String(line.misordered),
    line.recoveredS === null ? '-' : `${line.recoveredS} s`,
    line.pass ? 'ok' : 'FAILED',
    line.detail === undefined
      ? ''
      : Object.entries(line.detail)
          .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
          .join(', '),
  ])
  const all = [['FAULT', 'ACKNOWLEDGED', 'LOST', 'DUPLICATES', 'MISORDERED', 'RECOVERED', 'RESULT', 'DETAIL'], ...rows]
  const widths = (all[0] as string[]).map((_, column) => Math.max(...all.map((row) => (row[column] as string).length)))
  const text = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join('  ')
      .trimEnd(),
  )
  const failures = lines.flatMap(({ fault, why }) => (why ?? []).map((reason) => `  ${fault}: ${reason}`))
  return [...text, ...failures].join('\n')
}
