// What commands print: a table or lines for people, JSON with --json. And the one number that options often take.

import { AndonError } from '@andon/kit/errors'

/** Rows as columns of equal width; the first row is the heading. */
export const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** JSON for machines, else the text. */
export const print = (isJson: boolean, value: unknown, text: () => string): void => {
  console.log(isJson ? JSON.stringify(value) : text())
}

export const duration = (ms: number): string => {
  const seconds = Math.floor(ms / 1000)
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return h > 0 ? `${h}h${String(m).padStart(2, '0')}m` : m > 0 ? `${m}m${String(s).padStart(2, '0')}s` : `${s}s`
}

export const mebibytes = (bytes: number | undefined): string => (bytes === undefined ? '-' : `${Math.round(bytes / 1024 / 1024)} MiB`)

/** Time of day of an event time in microseconds, local. */
export const clock = (timeUs: number): string => new Date(timeUs / 1000).toLocaleTimeString('en-GB')

/** JSON of decoded records: bytes as their length, big numbers as text. */
export const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, each: unknown) => {
      if (typeof each === 'bigint') return each.toString()
      if (
        typeof each === 'object' &&
        each !== null &&
        (each as { type?: unknown }).type === 'Buffer' &&
        Array.isArray((each as { data?: unknown }).data)
      ) {
        return `<${(each as { data: unknown[] }).data.length} bytes>`
      }
      return each
    }),
  )

/** Reads a whole number of the command line; anything else is a usage error that names the option. */
export const wholeNumber = (option: string, found: string): number => {
  if (/^\d+$/.test(found)) return Number(found)
  throw new AndonError('ANDON_CLI_NUMBER', `${option}: expected a whole number, found "${found}".`, { status: 400 })
}
