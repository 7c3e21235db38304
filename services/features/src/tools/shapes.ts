// Tables in other shapes than a time and a column per channel: date and clock in two columns, and a line per value with the name of its
// tag. Both are read as the table they mean, row by row.

import { type Cell, type Table, type TableChunk, fault, isMissing, textOf } from './table.ts'
import { timeFormOf } from './times.ts'

const CLOCK = /^\s*\d{1,2}:\d\d(:\d\d([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?\s*$/
const TAG_NAME = /^(tag|sensor|signal|variable|point|channel|metric|parameter|measurement|item)([ _-]?(id|name))?$/i
const VALUE_NAME = /^(value|val|reading|wert|messwert|measured[ _-]?value)$/i
const MOST_TAGS = 1000
const ROWS_PER_CHUNK = 4096

interface Shaped {
  readonly table: Table
  /** In the words of a person. */
  readonly note: string | undefined
}

const headOf = async (table: Table): Promise<readonly (readonly Cell[])[]> => {
  for await (const { rows } of table.chunks()) return rows.slice(0, 200)
  return []
}

/** `chosen`: the column that holds times, where somebody named one. */
export const shaped = async (table: Table, chosen?: string): Promise<Shaped> => {
  const head = await headOf(table)
  const texts = (column: number): string[] => head.map((row) => textOf(row[column])).filter((text) => !isMissing(text))
  const date = table.names.findIndex((_, at) => {
    const cells = texts(at)
    return cells.length > 0 && cells.every((cell) => /\D/.test(cell) && !cell.includes(':')) && timeFormOf('', cells)?.kind === 'date'
  })
  const clock = table.names.findIndex((_, at) => texts(at).length > 0 && texts(at).every((cell) => CLOCK.test(cell)))
  const isChosen = chosen === undefined || chosen === table.names[date] || chosen === table.names[clock]
  if (date >= 0 && clock >= 0 && isChosen) return joinedClock(table, date, clock)
  const tag = table.names.findIndex((name) => TAG_NAME.test(name.trim()))
  const value = table.names.findIndex((name) => VALUE_NAME.test(name.trim()))
  const time = table.names.findIndex(
    (name, at) => at !== tag && at !== value && (chosen === undefined ? timeFormOf('', texts(at))?.kind === 'date' : name === chosen),
  )
  if (tag < 0 || value < 0 || time < 0) return { table, note: undefined }
  // A tag per line only where times repeat: a column called so may be anything else.
  const seen = new Set(head.map((row) => textOf(row[tag])))
  return seen.size > 1 && seen.size < head.length / 2 ? await wide(table, { time, tag, value }) : { table, note: undefined }
}

const joinedClock = (table: Table, date: number, clock: number): Shaped => {
  const kept = table.names.map((_, at) => at).filter((at) => at !== clock)
  const joined = (row: readonly Cell[]): Cell[] =>
    kept.map((at) => (at === date ? `${textOf(row[date])} ${textOf(row[clock]).trim()}` : row[at]))
  return {
    table: {
      ...table,
      names: kept.map((at) => table.names[at] as string),
      async *chunks(onRead) {
        for await (const { rows, lineOf } of table.chunks(onRead)) yield { rows: rows.map(joined), lineOf }
      },
    },
    note: `Columns ${table.names[date]} and ${table.names[clock]} are read as one: date and time of day.`,
  }
}

const wide = async (table: Table, at: { time: number; tag: number; value: number }): Promise<Shaped> => {
  const places = new Map<string, number>()
  for await (const { rows } of table.chunks())
    for (const row of rows) {
      const tag = textOf(row[at.tag]).trim()
      if (!places.has(tag)) places.set(tag, places.size)
      if (places.size > MOST_TAGS)
        throw fault(`${table.file}: column ${table.names[at.tag]} names more than ${MOST_TAGS} tags; bring a column per channel.`)
    }
  async function* chunks(onRead?: (done: number) => void): AsyncGenerator<TableChunk> {
    let rows: Cell[][] = []
    let lines: number[] = []
    let time: string | undefined
    for await (const chunk of table.chunks(onRead)) {
      for (let i = 0; i < chunk.rows.length; i++) {
        const cells = chunk.rows[i] as readonly Cell[]
        const own = textOf(cells[at.time])
        if (own !== time) {
          if (rows.length >= ROWS_PER_CHUNK) {
            const told = lines
            yield { rows, lineOf: (row) => told[row] as number }
            rows = []
            lines = []
          }
          rows.push([cells[at.time], ...Array<Cell>(places.size).fill(null)])
          lines.push(chunk.lineOf(i))
          time = own
        }
        ;(rows.at(-1) as Cell[])[1 + (places.get(textOf(cells[at.tag]).trim()) as number)] = cells[at.value]
      }
    }
    const told = lines
    if (rows.length > 0) yield { rows, lineOf: (row) => told[row] as number }
  }
  return {
    table: { ...table, names: [table.names[at.time] as string, ...places.keys()], chunks },
    note: `A line per value: ${places.size} tags of column ${table.names[at.tag]} are read as channels, values of one time as one row.`,
  }
}
