// Writes the tables of statistics in the README from the catalogue; part of `npm run generate`.

import { readFileSync, writeFileSync } from 'node:fs'
import { outputNames, statisticNames, statistics } from '@andon/schemas'
import type { OptionName, Statistic, StatisticDefinition, StatisticOptions } from '@andon/schemas'

const readme = new URL('../README.md', import.meta.url)
const BEGIN = '<!-- statistics: written by scripts/statistics-table.ts -->'
const END = '<!-- end of statistics -->'

/** What the outputs of a statistic are shown for. */
const sample: StatisticOptions = {
  quantiles: [0.05, 0.5],
  states: [0, 3],
  bandsHz: [[10, 250]],
  logBands: { count: 8, lowHz: 10, highHz: 4000 },
  orders: [1, 2.5],
  octaveRangeHz: [63, 125],
}

const groups: readonly (readonly [title: string, isOf: (definition: StatisticDefinition) => boolean])[] = [
  ['Of single values and waveforms: over all elements of the window', ({ of, channels }) => of === 'any' && channels === 1],
  ['Of single values: slow signals, counters, states', ({ of, channels }) => of === 'scalar' && channels === 1],
  ['Of several channels (`channels: [...]`)', ({ channels }) => channels > 1],
  ['Of waveforms', ({ of, channels }) => of === 'waveform' && channels === 1],
]

/** A README with the tables that the catalogue gives now. */
export const withTables = (text: string): string => {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`README.md has no ${BEGIN} followed by ${END}`)
  return `${text.slice(0, from)}${BEGIN}\n${groups.map(table).join('')}${text.slice(to)}`
}

const table = ([title, isOf]: (typeof groups)[number]): string => {
  const rows = statisticNames.filter((name) => isOf(statistics[name])).map(row)
  const head = '| statistic | options | unit | formula | source |\n|---|---|---|---|---|\n'
  return `\n${title}\n\n${head}${rows.join('\n')}\n`
}

const row = (name: Statistic): string => {
  const { unit, formula, source } = statistics[name]
  const cells = [nameCell(name), optionCell(name), unit === 'channel' ? "the channel's" : unit, formula, source]
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`
}

/** The name, and what its numbers are called where they have names of their own. */
const nameCell = (name: Statistic): string => {
  const outputs = outputNames(name, sample)
  const isItself = outputs.length === 1 && outputs[0] === name
  return isItself
    ? `\`${name}\``
    : `\`${name}\` → ${outputs
        .slice(0, 2)
        .map((each) => `\`${each}\``)
        .join(' ')}${outputs.length > 2 ? ' …' : ''}`
}

const optionCell = (name: Statistic): string => {
  const { of, channels, requires, reads, needs }: StatisticDefinition = statistics[name]
  const list = (options: readonly OptionName[]): string => options.map((option) => `\`${option}\``).join(' ')
  const kinds = { any: 'of one kind', scalar: 'of single values', waveform: 'of waveforms' }
  const parts = [
    ...(channels > 1 ? [`${channels} channels ${kinds[of]}`] : []),
    ...(requires.length > 0 ? [`**${list(requires)}**`] : []),
    ...(reads.length > 0 ? [list(reads)] : []),
    ...(needs.length > 0 ? [`plant file: ${needs.join(', ')}`] : []),
  ]
  return parts.join('; ')
}

if (import.meta.main) writeFileSync(readme, withTables(readFileSync(readme, 'utf8')))
